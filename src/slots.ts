/**
 * Owns how many managed runs execute at once over all sessions, and who is next. A slot comes before the admission of a run; a run that
 * waits gives its own back and comes back before all others. Keeps nothing that a restart would need.
 */
import type { QueuedMessage } from "../machines/facts.ts";
import type { RunFacts } from "../machines/run.ts";
import { ticketId } from "../machines/ticket.ts";

export class Slots {
	readonly #most: number;
	/** Called with the session whose turn it is. */
	readonly #offer: (sessionKey: string) => void;
	/** Runs that execute, and sessions that were offered a slot and have not answered. */
	#held = new Set<string>();
	#returning: { id: string; go: () => void }[] = [];
	#line = new Set<string>();

	constructor(most: number, offer: (sessionKey: string) => void) {
		this.#most = most;
		this.#offer = offer;
	}

	get #isFree(): boolean {
		return this.#held.size < this.#most;
	}

	/** Whether the session may let the message that is next in line begin. What is attached to a run shares that one's slot. */
	mayBegin(
		sessionKey: string,
		next: Pick<QueuedMessage, "parent"> | undefined,
	) {
		if (this.#most === Number.POSITIVE_INFINITY) return true;
		if (next?.parent?.attached) return true;
		if (this.#held.has(offered(sessionKey))) return true;
		return (
			this.#isFree && this.#line.size === 0 && this.#returning.length === 0
		);
	}

	/** A session waits for a slot. */
	queue(sessionKey: string): void {
		this.#line.add(sessionKey);
		this.#next();
	}

	/** Those that share another's slot need none, and what the host drives is its own affair. */
	#counts(run: RunFacts): boolean {
		return (
			this.#most !== Number.POSITIVE_INFINITY &&
			run.driver === "managed" &&
			run.ancestors.length === 0
		);
	}

	/** A run was decided on. */
	hold(run: RunFacts): void {
		if (this.#counts(run)) this.#held.add(ticketId(run));
	}

	/** The session has answered its offer, whether it began a run or not. */
	answered(sessionKey: string): void {
		this.#line.delete(sessionKey);
		if (this.#held.delete(offered(sessionKey))) this.#next();
	}

	/** A run settled, waits, or was never begun. */
	release(run: RunFacts): void {
		if (this.#most === Number.POSITIVE_INFINITY) return;
		const id = ticketId(run);
		this.#returning = this.#returning.filter((one) => {
			if (one.id === id) one.go();
			return one.id !== id;
		});
		if (this.#held.delete(id)) this.#next();
	}

	/** Resolves when a run that has waited may go on. */
	rejoin(run: RunFacts): Promise<void> | undefined {
		if (!this.#counts(run)) return undefined;
		const id = ticketId(run);
		if (this.#held.has(id)) return undefined;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#returning.push({ id, go: resolve });
		this.#next();
		return promise;
	}

	#next(): void {
		while (this.#isFree) {
			const back = this.#returning.shift();
			if (back) {
				this.#held.add(back.id);
				back.go();
				continue;
			}
			const [key] = this.#line;
			if (key === undefined) return;
			this.#line.delete(key);
			this.#held.add(offered(key));
			this.#offer(key);
		}
	}
}

function offered(sessionKey: string): string {
	return `session ${sessionKey}`;
}
