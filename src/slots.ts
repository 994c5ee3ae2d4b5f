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
	/** Runs that have waited and are to go on, the first one first. */
	#returning = new Map<string, PromiseWithResolvers<void>>();
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
		return this.#isFree && this.#line.size === 0 && this.#returning.size === 0;
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
		this.stay(run);
		if (this.#held.delete(ticketId(run))) this.#next();
	}

	/** Resolves when a run that has waited may go on; undefined if it may at once. */
	rejoin(run: RunFacts): Promise<void> | undefined {
		if (!this.#counts(run)) return undefined;
		const id = ticketId(run);
		if (this.#held.has(id)) return undefined;
		const place = this.#returning.get(id) ?? Promise.withResolvers<void>();
		this.#returning.set(id, place);
		this.#next();
		return this.#held.has(id) ? undefined : place.promise;
	}

	/** A run that was to come back does not. */
	stay(run: RunFacts): void {
		const id = ticketId(run);
		this.#returning.get(id)?.resolve();
		this.#returning.delete(id);
	}

	#next(): void {
		while (this.#isFree) {
			const [back] = this.#returning;
			if (back) {
				const [id, { resolve }] = back;
				this.#returning.delete(id);
				this.#held.add(id);
				resolve();
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
