/** Owns how the messages of this process end, for those who hold a receipt. Nothing of it is stored; what has ended is forgotten. */
import { type RunFacts, ticketOf } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import type { Settled } from "./runtime.ts";
import type { Turn } from "./turn.ts";
import { TurnoverMap } from "./turnover.ts";

interface Settling<Output> {
	readonly key: string;
	readonly settled: PromiseWithResolvers<Settled<Output>>;
}

export class Receipts<Output> {
	/** By message id, until it has ended; different sessions may use the same one. */
	#settling = new TurnoverMap<string, readonly Settling<Output>[]>();
	#isOver = false;

	/** The end of a message, whenever it comes; the same promise for all who follow it. */
	follow(key: string, messageId: string): Promise<Settled<Output>> {
		if (this.#isOver)
			return Promise.resolve({ ticket: null, outcome: "interrupted" });
		const named = this.#settling.get(messageId);
		const known = named?.find((one) => one.key === key);
		if (known) return known.settled.promise;
		const settled = Promise.withResolvers<Settled<Output>>();
		const one = { key, settled };
		this.#settling.set(messageId, named ? [...named, one] : [one]);
		return settled.promise;
	}

	settle(key: string, messageId: string, how: Settled<Output>): void {
		const named = this.#settling.get(messageId);
		if (!named) return;
		named.find((one) => one.key === key)?.settled.resolve(how);
		const others = named.filter((one) => one.key !== key);
		if (others.length === 0) this.#settling.delete(messageId);
		else this.#settling.set(messageId, others);
	}

	/** A turn's messages that left without a run, and those whose run settled. */
	conclude(turn: Turn, outputOf: (run: RunFacts) => unknown): void {
		if (this.#settling.size === 0) return;
		const { key } = turn.session;
		for (const { messageId, fate } of turn.messages)
			if (fate === "removed")
				this.settle(key, messageId, { ticket: null, outcome: "removed" });
		for (const run of turn.runs) {
			if (run.outcome === null || run.messageIds.length === 0) continue;
			const output = outputOf(run);
			for (const messageId of run.messageIds)
				this.settle(key, messageId, {
					...settledBy(run),
					...(output === undefined || run.outcome !== "completed"
						? {}
						: { output: output as Output }),
				});
		}
	}

	/** The runtime closed: what still waits did not end here. */
	interrupt(): void {
		this.#isOver = true;
		for (const { settled } of [...this.#settling.values()].flat())
			settled.resolve({ ticket: null, outcome: "interrupted" });
		this.#settling.clear();
	}
}

/** What a stored run says of the end of its messages. */
export function settledBy(run: RunFacts): Settled<never> {
	return {
		ticket: ticketOf(run),
		outcome: run.outcome as NonNullable<RunFacts["outcome"]>,
		...(run.error === null ? {} : { error: run.error }),
	};
}

/** What the kept runs say of the end of a message that one took; null: that run never looked at it, it ends another time. */
export function keptEnd(
	messageId: string,
	taken: RunTicket,
	kept: readonly RunFacts[],
): Settled<never> | null {
	const ended = kept.find(
		(one) => one.attempt === taken.attempt && one.outcome !== null,
	);
	if (!ended)
		return {
			ticket: taken,
			outcome: "removed",
			error: "the record of its run has been erased since",
		};
	return ended.messageIds.includes(messageId) ? settledBy(ended) : null;
}
