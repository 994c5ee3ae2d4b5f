/**
 * Owns when the next message in line may be taken: in the turn that makes the session free, or later, when a quiet window is over or a slot
 * is there. Which message that is, and whether it is taken, is the machine's to say.
 */
import {
	isDraining,
	type QueuedMessage,
	type SessionFacts,
} from "../machines/facts.ts";
import type { RuntimeClock } from "./clock.ts";
import type { Renewal } from "./renewal.ts";
import type { Operation } from "./session.ts";
import { Slots } from "./slots.ts";

export interface TakingHost {
	readonly clock: RuntimeClock;
	/** Whether managed runs may begin at all. */
	readonly mayExecute: boolean;
	keep(
		key: string,
		operation: Omit<Operation, "failed" | "kept" | "intake">,
		givenUp: () => void,
		later: () => void,
	): void;
}

export class Taking {
	readonly slots: Slots;
	readonly #host: TakingHost;
	readonly #renewal: Renewal;
	readonly #runId: () => string;
	/** Sessions that are about to take their next message. */
	#taking = new Set<string>();
	/** Quiet windows of lines that could go on but for them, by session key. Without a timer it is over, whatever the clock says. */
	#quiet = new Map<
		string,
		{ readonly until: number; readonly timer: unknown }
	>();

	constructor(
		host: TakingHost,
		renewal: Renewal,
		options: {
			readonly maxConcurrentRuns: number;
			readonly runId: () => string;
		},
	) {
		this.#host = host;
		this.#renewal = renewal;
		this.#runId = options.runId;
		this.slots = new Slots(options.maxConcurrentRuns, (key) => this.#take(key));
	}

	/** A fresh run id if a managed run may start in this turn, for the message that arrives or the one that is next in line. */
	grant(
		facts: SessionFacts,
		arrives?: Pick<QueuedMessage, "parent">,
	): string | null {
		if (!arrives && !this.#mayTakeNext(facts)) return null;
		// What happens may change the line: nobody can say of the one that is next now that it will be the one that is taken.
		return this.#grant(facts, facts.queue.length === 0 ? arrives : undefined);
	}

	/** Not where it belongs to a new generation, which begins before it is taken. */
	#mayTakeNext(facts: SessionFacts): boolean {
		return (
			facts.queue.length > 0 && this.#renewal.reasonToExpire(facts) === null
		);
	}

	/** `taken`: the message that is taken for certain if any is; it may share the slot of the run that it is attached to. */
	#grant(
		{ sessionKey }: SessionFacts,
		taken: Pick<QueuedMessage, "parent"> | undefined,
	): string | null {
		return this.#host.mayExecute && this.slots.mayBegin(sessionKey, taken)
			? this.#runId()
			: null;
	}

	/** Lets the next message in line be taken, as soon as nothing stands against it: a quiet window, or the lack of a slot. */
	pump(facts: SessionFacts): void {
		const { sessionKey, queue, quietUntil } = facts;
		const mayTake =
			this.#host.mayExecute &&
			!facts.hidden &&
			!facts.run &&
			!isDraining(facts) &&
			queue.length > 0;
		const known = this.#quiet.get(sessionKey);
		if (known && !(mayTake && known.until === quietUntil)) {
			this.#host.clock.clearTimeout(known.timer);
			this.#quiet.delete(sessionKey);
		}
		// One that failed is tried again after a while.
		if (!mayTake || this.#taking.has(sessionKey)) return;
		const quiet = this.#quiet.get(sessionKey);
		if (quiet && quiet.timer !== null) return;
		const wait = quiet ? 0 : quietUntil - this.#nowFor(facts);
		if (wait > 0) {
			const timer = this.#host.clock.setTimeout(() => {
				this.#quiet.set(sessionKey, { until: quietUntil, timer: null });
				this.#take(sessionKey);
			}, wait);
			this.#quiet.set(sessionKey, { until: quietUntil, timer });
			return;
		}
		if (quietUntil > this.#host.clock.now())
			this.#quiet.set(sessionKey, { until: quietUntil, timer: null });
		if (this.slots.mayBegin(sessionKey, queue[0])) this.#take(sessionKey);
		else this.slots.queue(sessionKey);
	}

	/** A clock that stands before what was done already has stepped back: what was left then is left now. */
	#nowFor({ queue, quietUntil, activeAt }: SessionFacts): number {
		const arrivals = queue
			.map(({ acceptedAt }) => acceptedAt)
			.filter((acceptedAt) => acceptedAt <= quietUntil);
		return Math.max(this.#host.clock.now(), activeAt, ...arrivals);
	}

	#take(key: string): void {
		if (this.#taking.has(key)) return;
		this.#taking.add(key);
		const done = () => {
			this.#taking.delete(key);
			this.slots.answered(key);
		};
		this.#host.keep(
			key,
			{
				expires: () => this.#host.mayExecute,
				event: (session) => {
					const quiet = this.#quiet.get(key);
					const { facts } = session;
					return {
						type: "take",
						at: this.#host.clock.now(),
						grant: this.#mayTakeNext(facts)
							? this.#grant(facts, facts.queue[0])
							: null,
						quietUntil: quiet?.timer === null ? quiet.until : undefined,
					};
				},
				amend: ({ start }) => {
					if (!start) return;
					// The run holds its slot before the offer is given back.
					this.slots.hold(start.run);
					this.slots.answered(key);
				},
				committed: done,
			},
			done,
			// While it cannot be read or stored, others may have the slot.
			() => this.slots.answered(key),
		);
	}

	/** Nothing is taken any more. */
	close(): void {
		for (const { timer } of this.#quiet.values())
			this.#host.clock.clearTimeout(timer);
		this.#quiet.clear();
	}
}
