/**
 * Owns what becomes of live runs in this process: they enter with their times, are told to stop, come to their end, and let go of all that
 * they held. What they may do is decided by their sessions; whatever ends one here is an event that is tried until it is committed.
 */
import type { SessionFacts } from "../machines/facts.ts";
import {
	openWaits,
	type RunFacts,
	type RunWait,
	workedMs,
} from "../machines/run.ts";
import type { StopCause } from "../machines/ticket.ts";
import { type Child, Children } from "./children.ts";
import { dueAt, type RuntimeClock } from "./clock.ts";
import type { RetryBounds } from "./config.ts";
import {
	armLease,
	armTimeout,
	armWaits,
	type DeadlineHost,
	silenceLeft,
} from "./deadlines.ts";
import { errorText } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { Progress } from "./progress.ts";
import type { LiveRun, Registry } from "./registry.ts";
import type { Operation } from "./session.ts";
import type { Taking } from "./taking.ts";
import type { Turn } from "./turn.ts";

/** How long the last commits are waited for once a grace period is over, in ms. */
export const lastCommitMs = 1000;

export interface RunsHost {
	readonly options: {
		readonly clock: RuntimeClock;
		readonly logger: Logger;
		readonly graceMs: number;
		readonly runTimeoutMs: number | null;
		readonly retry: RetryBounds | null;
		readonly adopts: boolean;
	};
	readonly registry: Registry;
	readonly taking: Taking;
	/** Nothing is served any more. */
	readonly isOver: boolean;
	now(): number;
	post(key: string, operation: Operation): void;
	keep(
		key: string,
		operation: Omit<Operation, "failed" | "kept" | "intake">,
		givenUp?: () => void,
	): void;
}

export class Runs implements DeadlineHost {
	readonly children: Children;
	readonly progress: Progress;
	readonly #host: RunsHost;
	/** Runs that are about to be abandoned, and children that are about to be told to stop, by when. */
	readonly #abandoning = new Set<LiveRun>();
	readonly #stopping = new Map<object, number>();

	constructor(host: RunsHost) {
		this.#host = host;
		this.children = new Children((child, deadline) =>
			this.stopChild(child, deadline),
		);
		this.progress = new Progress(
			host.options.clock,
			(ticket) => host.registry.get(ticket)?.isEntered === true,
		);
	}

	get clock(): RuntimeClock {
		return this.#host.options.clock;
	}

	/** A run is live in this process, with its two times. */
	enter(run: RunFacts): LiveRun {
		const live = this.#host.registry.enter(run);
		if (run.status === "reserved" || live.isEntered) return live;
		live.isEntered = true;
		const { runTimeoutMs } = this.#host.options;
		if (runTimeoutMs !== null) {
			const left = runTimeoutMs - workedMs(run, this.#host.now());
			armTimeout(live, left, this);
		}
		if (run.leaseMs !== null) {
			const at = this.#host.now();
			// Where nothing is kept in memory it may have lived for as long as is not written.
			const unwrittenMs = this.#host.options.adopts ? run.leaseMs / 10 : 0;
			const silentMs = Math.max(0, at - (run.seenAt ?? at) - unwrittenMs);
			live.heardAt = Math.max(live.heardAt, this.clock.monotonic() - silentMs);
			armLease(live, run.leaseMs, this);
		}
		armWaits(live, this);
		return live;
	}

	/** One that another process drives: its times go on here, also that of a stop that it was told of. */
	adopt(run: RunFacts, facts: SessionFacts): void {
		this.enter(run).facts = facts;
		if (run.stop)
			this.stop({
				run,
				stop: run.stop,
				due: dueAt(this.clock, run.stop.deadline),
			});
	}

	/** A stop reaches what is attached to the run before it is told itself. */
	stop({ run, stop, due }: Turn["stops"][number]): void {
		const left = Math.max(0, Math.round(due - this.clock.monotonic()));
		this.children.stop(run, this.#host.now() + left);
		this.#host.registry.stop(run, stop, due);
	}

	timedOut(live: LiveRun): void {
		const { ticket } = live;
		this.#host.keep(ticket.sessionKey, {
			event: ({ facts }) => {
				// An answer is being waited for since: that time does not count.
				if (!facts.run || openWaits(facts.run).length > 0) return null;
				const at = this.#host.now();
				return {
					type: "abort",
					at,
					cause: "timeout",
					reason: `it took longer than ${this.#host.options.runTimeoutMs} ms`,
					deadline: at + this.#host.options.graceMs,
					queued: "keep",
					ticket,
				};
			},
			committed: () => {},
		});
	}

	unanswered({ ticket }: LiveRun, { name, deadline }: RunWait): void {
		this.#host.keep(ticket.sessionKey, {
			event: ({ facts: { run } }) =>
				// Asked for anew, it has another time.
				run?.waits.some((one) => one.name === name && one.deadline === deadline)
					? { type: "unwait", at: this.#host.now(), ticket, name }
					: null,
			committed: () => {},
		});
	}

	fellSilent(live: LiveRun, again: () => void): void {
		const { ticket } = live;
		const leaseMs = live.run.leaseMs ?? 0;
		let isHeard = false;
		this.#host.keep(ticket.sessionKey, {
			event: ({ facts }) => {
				const at = this.#host.now();
				isHeard = silenceLeft(live, leaseMs, this.clock.monotonic()) > 0;
				if (isHeard) return null;
				const error = `no sign of life for ${leaseMs} ms, which is its lease`;
				return {
					type: "settled",
					at,
					grant: this.#host.taking.grant(facts),
					ticket,
					end: { at, outcome: "interrupted", error },
				};
			},
			committed: () => {
				if (isHeard) again();
			},
		});
	}

	/** A sign of life; one that the store does not know yet is written now and then. */
	alive(live: LiveRun): void {
		const { leaseMs } = live.run;
		if (leaseMs === null) return;
		live.heardAt = this.clock.monotonic();
		const at = this.#host.now();
		// What is known already may be of a wall clock that was set back since.
		const isKnown = (run: RunFacts, forMs: number) =>
			Math.abs(at - (run.seenAt ?? at)) < forMs;
		const { adopts } = this.#host.options;
		const unwrittenMs = adopts ? leaseMs / 10 : Math.max(1000, leaseMs / 10);
		if (isKnown(live.run, unwrittenMs)) return;
		const { ticket } = live;
		this.#host.post(ticket.sessionKey, {
			event: ({ facts }) =>
				!facts.run || isKnown(facts.run, adopts ? unwrittenMs : 1000)
					? null
					: { type: "alive", at, ticket },
			committed() {},
			failed() {},
		});
	}

	/** Told once, unless it is to end sooner than it was told. */
	stopChild(
		child: Pick<Child, "messageId" | "sessionKey">,
		deadline: number,
	): void {
		const { sessionKey, messageId } = child;
		if ((this.#stopping.get(child) ?? Number.POSITIVE_INFINITY) <= deadline)
			return;
		this.#stopping.set(child, deadline);
		const done = () => {
			if (this.#stopping.get(child) === deadline) this.#stopping.delete(child);
		};
		this.#host.keep(
			sessionKey,
			{
				event: ({ facts }) => {
					const isHere =
						facts.run?.messageIds.includes(messageId) ||
						facts.queue.some((one) => one.messageId === messageId);
					if (!isHere) return null;
					const at = this.#host.now();
					return {
						type: "abort",
						at,
						grant: this.#host.taking.grant(facts),
						cause: "parent",
						reason: "the run that it is attached to ended",
						deadline,
						queued: "keep",
						expect: { messageId },
					};
				},
				committed: done,
			},
			done,
		);
	}

	/** The grace period of a run is over. What is attached to it has had the same, and ends before it. */
	overdue(live: LiveRun): void {
		if (!this.children.has(live.ticket)) {
			this.#abandon(live);
			return;
		}
		// A child whose end cannot be stored holds nobody up for ever.
		const late = Promise.withResolvers<void>();
		const timer = this.clock.setTimeout(late.resolve, lastCommitMs);
		void Promise.race([this.children.settled(live.ticket), late.promise]).then(
			() => {
				this.clock.clearTimeout(timer);
				this.#abandon(live);
			},
		);
	}

	/** One that cannot be stored may be stopped again and again meanwhile; it is abandoned once. */
	#abandon(live: LiveRun): void {
		if (this.#abandoning.has(live)) return;
		this.#abandoning.add(live);
		const done = () => {
			this.#abandoning.delete(live);
		};
		this.#host.keep(
			live.ticket.sessionKey,
			{
				event: ({ facts }) => ({
					type: "overdue",
					at: this.#host.now(),
					grant: this.#host.taking.grant(facts),
					ticket: live.ticket,
					stoppedBy: live.stoppedBy ?? undefined,
					unread: live.unread,
				}),
				committed: done,
			},
			done,
		);
	}

	leave(run: RunFacts, after: SessionFacts): void {
		if (run.outcome === null) return;
		this.free(run);
		const live = this.#host.registry.get(run);
		if (!live) return;
		if (run.outcome === "abandoned") this.#tellStraggler(live);
		if (run.generation === after.generation) live.facts = after;
		// Whoever still works for a run that has settled may stop.
		this.letGo(
			live,
			run.stop?.cause ?? (run.outcome === "interrupted" ? "shutdown" : null),
		);
	}

	/** A run is over: whoever waits for its slot, follows it or is attached to it is told. */
	free(run: RunFacts): void {
		this.#host.taking.slots.release(run);
		this.progress.end(run);
		this.children.stop(run, this.#host.now() + this.#host.options.graceMs);
	}

	letGo(live: LiveRun, cause: StopCause | null): void {
		void this.disposeScope(live);
		this.#host.registry.leave(live, cause);
	}

	/** Disposes what is in a run's scope, within the grace period. Null if there is nothing, or that was begun before. */
	disposeScope(live: LiveRun): Promise<void> | null {
		const disposed = live.dispose();
		if (!disposed) return null;
		const { logger, graceMs } = this.#host.options;
		const late = Promise.withResolvers<void>();
		const timer = this.clock.setTimeout(() => {
			logger.warn(
				{ ticket: live.ticket },
				`the scope of run ${live.ticket.runId} was not disposed within ${graceMs} ms; its end does not wait any longer`,
			);
			late.resolve();
		}, graceMs);
		const done = disposed.catch((error) => {
			logger.error(
				{ error, ticket: live.ticket },
				`the scope of run ${live.ticket.runId} could not be disposed: ${errorText(error)}`,
			);
		});
		return Promise.race([done, late.promise]).finally(() =>
			this.clock.clearTimeout(timer),
		);
	}

	#tellStraggler({ ticket, stoppedBy, run }: LiveRun): void {
		this.#host.options.logger.warn(
			{ ticket, stoppedBy, deadline: run.stop?.deadline },
			`run ${ticket.runId} of session ${JSON.stringify(ticket.sessionKey)} did not settle within its grace period and was abandoned; what it still does reaches nobody`,
		);
	}

	/** A managed run came to its end. */
	settle(
		live: LiveRun,
		end: {
			outcome: "completed" | "failed" | "aborted" | "interrupted";
			error?: string;
		},
	): void {
		// After the runtime has gone there is nothing left to tell.
		if (this.#host.isOver) return;
		this.#host.keep(live.ticket.sessionKey, {
			event: ({ facts }) => {
				const at = this.#host.now();
				return {
					type: "settled",
					at,
					grant: this.#host.taking.grant(facts),
					ticket: live.ticket,
					end: { at, stoppedBy: live.stoppedBy ?? undefined, ...end },
					unread: live.unread,
					// A clean close counts as a crash.
					retry:
						this.#host.options.retry && live.stoppedBy === "shutdown"
							? {
									...this.#host.options.retry,
									messages: [...live.messages, ...live.unread],
								}
							: undefined,
				};
			},
			committed: () => {},
		});
	}
}
