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

/** What is attached to one run. */
interface Family {
	/** The session of that run. */
	readonly sessionKey: string;
	readonly children: Set<Child>;
	/** They were told to stop: nothing is waited for that does not end by itself. */
	isStopped: boolean;
}

export class Children {
	/** Tells a child to stop, at the latest by the deadline. */
	readonly #stop: (child: Child, deadline: number) => void;
	#byParent = new Map<string, Family>();

	constructor(stop: (child: Child, deadline: number) => void) {
		this.#stop = stop;
	}

	add(parent: Identity, child: Child): void {
		const id = ticketId(parent);
		const known = this.#byParent.get(id);
		const own: Family = known ?? {
			sessionKey: parent.sessionKey,
			children: new Set(),
			isStopped: false,
		};
		own.children.add(child);
		if (!known) this.#byParent.set(id, own);
		void child.settled.then(() => {
			own.children.delete(child);
			if (own.children.size === 0 && this.#byParent.get(id) === own)
				this.#byParent.delete(id);
		});
	}

	/** Whether a session may only go on after another one: a run of it waits for a child there, or in a session of which the same is true. */
	waitsFor(sessionKey: string, other: string): boolean {
		const reached = new Set([sessionKey]);
		for (const key of reached)
			for (const family of this.#byParent.values())
				if (family.sessionKey === key && !family.isStopped)
					for (const child of family.children) reached.add(child.sessionKey);
		return reached.has(other);
	}

	has(parent: Identity): boolean {
		return this.#byParent.size > 0 && this.#byParent.has(ticketId(parent));
	}

	/** Tells all of them; each passes it on to its own. */
	stop(parent: Identity, deadline: number): void {
		if (this.#byParent.size === 0) return;
		const own = this.#byParent.get(ticketId(parent));
		if (!own) return;
		own.isStopped = true;
		for (const child of own.children) this.#stop(child, deadline);
	}

	/** Resolves when all of them have ended. */
	async settled(parent: Identity): Promise<void> {
		const own = this.#byParent.get(ticketId(parent));
		if (own) await Promise.all([...own.children].map(({ settled }) => settled));
	}
}
