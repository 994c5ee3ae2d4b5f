/**
 * Owns the way from a message to its run: the span in which it was sent is kept until the message is taken or removed, and no longer. What
 * it knows is of this process alone.
 */
import type { SpanContext } from "@opentelemetry/api";
import type { TracedRun } from "./run-spans.ts";

/** Sends to one session that have not been answered, and what the feed has told meanwhile of messages that it cannot know yet. */
interface Sending {
	count: number;
	/** By message id: the run that took it, or null if it was removed. */
	readonly fates: Map<string, TracedRun | null>;
}

/** A message that was accepted, the span in which it was sent, and whether it waits for a run. */
export interface Accepted {
	readonly messageId: string;
	readonly sent: SpanContext;
	readonly isWaiting: boolean;
}

export class MessageLinks {
	readonly #waiting = new Map<string, SpanContext>();
	readonly #sending = new Map<string, Sending>();

	/** A message is on its way. What this gives back is called once, with what became of it, or with null if it was not accepted anew. */
	send(sessionKey: string): (accepted: Accepted | null) => void {
		const sending = this.#sending.get(sessionKey) ?? {
			count: 0,
			fates: new Map(),
		};
		this.#sending.set(sessionKey, sending);
		sending.count += 1;
		return (accepted) => {
			sending.count -= 1;
			if (sending.count === 0) this.#sending.delete(sessionKey);
			if (!accepted) return;
			const { messageId, sent, isWaiting } = accepted;
			// What its commit did, and maybe that of the run which took it, is told before its sender is answered.
			const fate = sending.fates.get(messageId);
			if (fate !== undefined) fate?.linkTo(sent, "message");
			else if (isWaiting) this.#waiting.set(idOf(sessionKey, messageId), sent);
		};
	}

	/** The span in which a message was sent that a run takes now, or null. */
	take(sessionKey: string, messageId: string): SpanContext | null {
		const id = idOf(sessionKey, messageId);
		const sent = this.#waiting.get(id) ?? null;
		this.#waiting.delete(id);
		return sent;
	}

	/** A run has taken a message, or (null) it left without one. */
	tell(sessionKey: string, messageId: string, fate: TracedRun | null): void {
		this.#sending.get(sessionKey)?.fates.set(messageId, fate);
	}

	get size(): number {
		return this.#waiting.size;
	}

	clear(): void {
		this.#waiting.clear();
	}
}

/** Neither has control characters in it. */
function idOf(sessionKey: string, messageId: string): string {
	return `${messageId}\n${sessionKey}`;
}
