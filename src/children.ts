/**
 * Owns which messages are attached to which live run, so that a parent's stop reaches them and its end waits for theirs. What is attached
 * to what is said by the messages themselves; this is only the way from a parent to them, made anew when a process starts.
 */
import { type RunTicket, ticketId } from "../machines/ticket.ts";

export interface Child {
	readonly sessionKey: string;
	readonly messageId: string;
	/** However it ended. Never rejects. */
	readonly settled: Promise<unknown>;
}

type Identity = Pick<
	RunTicket,
	"sessionKey" | "generation" | "runId" | "attempt"
>;

export class Children {
	/** Tells a child to stop, at the latest by the deadline. */
	readonly #stop: (child: Child, deadline: number) => void;
	#byParent = new Map<string, Set<Child>>();

	constructor(stop: (child: Child, deadline: number) => void) {
		this.#stop = stop;
	}

	add(parent: Identity, child: Child): void {
		const id = ticketId(parent);
		const own = this.#byParent.get(id) ?? new Set();
		this.#byParent.set(id, own.add(child));
		void child.settled.then(() => {
			own.delete(child);
			if (own.size === 0 && this.#byParent.get(id) === own)
				this.#byParent.delete(id);
		});
	}

	has(parent: Identity): boolean {
		return this.#byParent.size > 0 && this.#byParent.has(ticketId(parent));
	}

	/** Tells all of them; each passes it on to its own. */
	stop(parent: Identity, deadline: number): void {
		if (this.#byParent.size === 0) return;
		for (const child of this.#byParent.get(ticketId(parent)) ?? [])
			this.#stop(child, deadline);
	}

	/** Resolves when all of them have ended. */
	async settled(parent: Identity): Promise<void> {
		const own = this.#byParent.get(ticketId(parent));
		if (own) await Promise.all([...own].map(({ settled }) => settled));
	}
}
