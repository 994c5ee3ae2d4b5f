import type { SessionEvent } from "../machines/events.ts";
import { type ExpiryPolicy, expiryOf } from "../machines/expiry.ts";
import {
	isDraining,
	mismatchOf,
	type QueuedMessage,
	type SessionFacts,
	type SessionRow,
} from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import {
	openWaits,
	type RunFacts,
	type RunStop,
	ticketOf,
} from "../machines/run.ts";
import type { StopCause } from "../machines/ticket.ts";
import { type Child, Children } from "./children.ts";
import type { Clock } from "./clock.ts";
import { Closing } from "./closing.ts";
import type { RetryBounds } from "./config.ts";
import {
	armLease,
	armTimeout,
	type DeadlineHost,
	silenceLeft,
} from "./deadlines.ts";
import { Directory } from "./directory.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import { Inspection } from "./inspection.ts";
import { Journal, type JournalHost } from "./journal.ts";
import type { Logger } from "./logger.ts";
import { Progress } from "./progress.ts";
import { Projection } from "./projection.ts";
import { readRow, refusalOf, unsettledRuns } from "./reader.ts";
import { type LiveRun, Registry } from "./registry.ts";
import { Retries } from "./retries.ts";
import type { RuntimeOptions } from "./runtime.ts";
import type { Doubt, LiveSession, Operation, SessionHost } from "./session.ts";
import { Slots } from "./slots.ts";
import type { OpenStore, StoredRefusal } from "./store.ts";
import {
	endedBy,
	type LiveMachine,
	liveMachine,
	rowAfter,
	type Turn,
} from "./turn.ts";
import { Waiting } from "./waiting.ts";

/** new → starting → open → closing → closed; lost: somebody else took the store. */
export type EngineState =
	| "new"
	| "starting"
	| "open"
	| "closing"
	| "closed"
	| "lost";

export interface EngineOptions<Meta> {
	readonly clock: Clock;
	readonly logger: Logger;
	readonly graceMs: number;
	readonly runTimeoutMs: number | null;
	readonly maxConcurrentRuns: number;
	readonly retry: RetryBounds | null;
	readonly expiry: ExpiryPolicy | null;
	readonly onGenerationEnded:
		| RuntimeOptions<never, never, Meta>["onGenerationEnded"]
		| null;
	readonly carryOver: (meta: JsonValue, cause: "reset" | "expiry") => JsonValue;
	readonly passivateAfterMs: number;
	readonly maxResident: number;
	readonly runId: () => string;
	readonly sessionId: (
		sessionKey: string,
		generation: number,
		cause: "first" | "reset" | "expiry" | "rotate",
	) => string;
	/** Executes a managed run to its end. Never rejects. Null if the host runs its agent itself. */
	readonly execute:
		| ((live: LiveRun, start: NonNullable<Turn["start"]>) => void)
		| null;
	/** A message's run settled, or it left without one. */
	readonly concluded: (turn: Turn) => void;
	/** Nothing that waits will be concluded any more. */
	readonly interrupted: () => void;
	/** A session has begun a new generation. */
	readonly renewed: (sessionKey: string, generation: number) => void;
}

type ResetEvent = Extract<SessionEvent, { type: "reset" }>;

/** How long the last commits are waited for once a grace period is over, in ms. */
export const lastCommitMs = 1000;

/** Operations that may wait on one session. */
const mailboxCapacity = 10_000;

export class Engine<Meta> implements SessionHost, JournalHost, DeadlineHost {
	readonly options: EngineOptions<Meta>;
	readonly directory: Directory;
	readonly registry: Registry;
	readonly projection: Projection<Meta>;
	readonly waiting: Waiting;
	readonly inspection: Inspection;
	readonly retries: Retries;
	readonly slots: Slots;
	readonly children: Children;
	readonly progress: Progress;
	readonly closing: Closing<Meta> | null;
	readonly machine: LiveMachine;
	state: EngineState = "new";
	#store: OpenStore | null = null;
	#journal: Journal | null = null;
	#gathering: Turn | null = null;
	#lost: TurnkeeperError | null = null;
	/** Sessions that are about to take their next message. */
	#taking = new Set<string>();
	/** Quiet windows of lines that could go on but for them, by session key. Without a timer it is over, whatever the clock says. */
	#quiet = new Map<
		string,
		{ readonly until: number; readonly timer: unknown }
	>();
	/** Called with every run that becomes live while the runtime closes. */
	whileClosing: (live: LiveRun) => void = () => {};

	constructor(options: EngineOptions<Meta>) {
		this.options = options;
		const { clock, logger } = options;
		this.projection = new Projection(logger);
		this.waiting = new Waiting(clock);
		this.inspection = new Inspection(logger);
		this.retries = new Retries(clock, (key, operation) =>
			this.post(key, operation),
		);
		this.registry = new Registry(clock, (live) => this.overdue(live));
		this.slots = new Slots(options.maxConcurrentRuns, (key) => this.#take(key));
		this.children = new Children((child, deadline) =>
			this.#stopChild(child, deadline),
		);
		this.progress = new Progress(clock);
		this.closing = options.onGenerationEnded
			? new Closing(this, options.onGenerationEnded)
			: null;
		this.directory = new Directory(this, clock, options);
		this.machine = liveMachine(
			() => this.#gathering as Turn,
			() => this.inspection.isWatched,
		);
	}

	get store(): OpenStore {
		if (!this.#store) throw this.refusal("read");
		return this.#store;
	}

	get isServing(): boolean {
		return this.state === "open" || this.state === "closing";
	}

	get journal(): Journal {
		return this.#journal as Journal;
	}

	get clock(): Clock {
		return this.options.clock;
	}

	now(): number {
		return this.options.clock.now();
	}

	open(store: OpenStore): void {
		this.#store = store;
		this.#journal = new Journal(store, this);
	}

	/** Gives the store back. */
	async release(): Promise<void> {
		const store = this.#store;
		this.#store = null;
		await store?.[Symbol.asyncDispose]();
	}

	/** Asked at the call, and again when its turn has come: the runtime may close in between. */
	mustBeOpen(call: string): void {
		if (this.state !== "open") throw this.refusal(call);
	}

	/** What a call is told that comes when it cannot be served. */
	refusal(call: string): TurnkeeperError {
		if (this.#lost) return this.#lost;
		const why =
			this.state === "new" || this.state === "starting"
				? "has not started; await start() first"
				: this.state === "closing"
					? "is closing"
					: "is closed";
		return new TurnkeeperError("RUNTIME_CLOSED", `${call}: the runtime ${why}`);
	}

	/** Serves an operation on a session, or fails it: work is refused when too many calls wait, and all is once the store is lost. */
	post(key: string, operation: Operation): void {
		if (this.#lost) {
			operation.failed(this.#lost);
			return;
		}
		const session = this.directory.wake(key);
		if (operation.intake && session.waiting >= mailboxCapacity) {
			operation.failed(
				new TurnkeeperError(
					"MAILBOX_FULL",
					`${mailboxCapacity} calls wait on session ${JSON.stringify(key)}; wait for some of them to be answered`,
				),
			);
			return;
		}
		session.post(operation);
	}

	/**
	 * Posts an operation that nobody can repeat: it is tried until it is committed. `givenUp` is called if the runtime ends before that.
	 */
	keep(
		key: string,
		kept: Omit<Operation, "failed" | "kept" | "intake">,
		givenUp?: () => void,
	): void {
		const operation: Operation = {
			...kept,
			kept: true,
			failed: (error) => {
				if (this.#isOver) {
					givenUp?.();
					return;
				}
				this.projection.trouble(error);
				this.retries.again(key, operation, givenUp);
			},
		};
		if (this.#isOver) givenUp?.();
		else this.post(key, operation);
	}

	/** Resolves when every call that was made before this one has been served and committed. */
	async barrier(): Promise<void> {
		await Promise.all(
			this.directory.busy().map(
				({ key }) =>
					new Promise<void>((resolve) => {
						this.post(key, {
							event: () => null,
							committed: () => resolve(),
							failed: () => resolve(),
						});
					}),
			),
		);
	}

	/** Whether nothing is asked, running, draining, queued or to be tried again, in a session or in all. */
	isIdle(key?: string): boolean {
		if (this.retries.waits(key)) return false;
		if (key === undefined) return this.directory.isIdle;
		return this.directory.find(key)?.atRest ?? true;
	}

	/** A fresh run id if a managed run may start in this turn, for the message that arrives or the one that is next in line. */
	grant(
		facts: SessionFacts,
		arrives?: Pick<QueuedMessage, "parent">,
	): string | null {
		if (this.state !== "open" || !this.options.execute) return null;
		const next = facts.queue[0] ?? arrives;
		if (!next || !this.slots.mayBegin(facts.sessionKey, next)) return null;
		// What is next belongs to a new generation, which begins before it is taken.
		if (!arrives && this.#isExpired(facts)) return null;
		return this.options.runId();
	}

	/** A run that is live is no rest, and its end is activity. */
	#isExpired(facts: SessionFacts): string | null {
		const { expiry } = this.options;
		const { takenAt } = facts;
		if (!expiry || takenAt === null) return null;
		const at = this.now();
		const activeAt = facts.run ? at : facts.activeAt;
		return expiryOf(expiry, { activeAt, takenAt }, at);
	}

	/** Asked before a message is taken, and before any other write that finds no live run. */
	expiry(facts: SessionFacts): SessionEvent | null {
		if (facts.run || facts.hidden) return null;
		const reason = this.#isExpired(facts);
		if (reason === null) return null;
		const at = this.now();
		const deadline = at + this.options.graceMs;
		return this.resetOf(facts, {
			cause: "expiry",
			at,
			reason,
			deadline,
			queued: "keep",
			expect: undefined,
		});
	}

	/** The event of a reset, with what the host's functions give it; one that is stale asks the host for nothing. */
	resetOf(
		facts: SessionFacts,
		how: Pick<
			ResetEvent,
			"cause" | "at" | "reason" | "deadline" | "queued" | "expect"
		>,
		given: { readonly sessionId?: string; readonly meta?: JsonValue } = {},
	): ResetEvent {
		const { sessionKey, hidden, generation, version, meta } = facts;
		const applies = mismatchOf(facts, how.expect) === null;
		const freshId = () =>
			this.options.sessionId(
				sessionKey,
				hidden ? generation : generation + 1,
				version === 0 ? "first" : how.cause,
			);
		const carried = () =>
			hidden ? {} : this.options.carryOver(meta, how.cause);
		return {
			...how,
			type: "reset",
			grant: this.grant(facts),
			sessionId: given.sessionId ?? (applies ? freshId() : ""),
			meta: given.meta ?? (applies ? carried() : {}),
			hook: this.closing !== null,
		};
	}

	/** Resolves when a session has been read and all that was asked of it before is committed. */
	touch(key: string): Promise<void> {
		return new Promise((resolve, reject) => {
			this.post(key, {
				event: () => null,
				committed: () => resolve(),
				failed: reject,
			});
		});
	}

	/** Lets the next message in line be taken, as soon as nothing stands against it: a quiet window, or the lack of a slot. */
	pump(facts: SessionFacts): void {
		const { sessionKey, queue, quietUntil, activeAt } = facts;
		const mayTake =
			this.state === "open" &&
			this.options.execute !== null &&
			!facts.hidden &&
			!facts.run &&
			!isDraining(facts) &&
			queue.length > 0;
		const known = this.#quiet.get(sessionKey);
		if (known && !(mayTake && known.until === quietUntil)) {
			this.clock.clearTimeout(known.timer);
			this.#quiet.delete(sessionKey);
		}
		// One that failed is tried again after a while.
		if (!mayTake || this.#taking.has(sessionKey)) return;
		const quiet = this.#quiet.get(sessionKey);
		if (quiet && quiet.timer !== null) return;
		// A clock that stands before what was done already has stepped back: what was left then is left now.
		const wait = quiet ? 0 : quietUntil - Math.max(this.now(), activeAt);
		if (wait > 0) {
			const timer = this.clock.setTimeout(() => {
				this.#quiet.set(sessionKey, { until: quietUntil, timer: null });
				this.#take(sessionKey);
			}, wait);
			this.#quiet.set(sessionKey, { until: quietUntil, timer });
			return;
		}
		if (quietUntil > this.now())
			this.#quiet.set(sessionKey, { until: quietUntil, timer: null });
		if (this.slots.mayBegin(sessionKey, queue[0])) this.#take(sessionKey);
		else this.slots.queue(sessionKey);
	}

	#take(key: string): void {
		if (this.#taking.has(key)) return;
		this.#taking.add(key);
		const done = () => {
			this.#taking.delete(key);
			this.slots.answered(key);
		};
		this.keep(
			key,
			{
				expires: () => this.state === "open",
				event: (session) => {
					const quiet = this.#quiet.get(key);
					return {
						type: "take",
						at: this.now(),
						grant: this.grant(session.facts),
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
		);
	}

	#stopChild({ sessionKey, messageId }: Child, deadline: number): void {
		this.keep(sessionKey, {
			event: ({ facts }) => {
				const isHere =
					facts.run?.messageIds.includes(messageId) ||
					facts.queue.some((one) => one.messageId === messageId);
				if (!isHere) return null;
				const at = this.now();
				return {
					type: "abort",
					at,
					grant: this.grant(facts),
					cause: "parent",
					reason: "the run that it is attached to ended",
					deadline,
					queued: "keep",
					expect: { messageId },
				};
			},
			committed: () => {},
		});
	}

	/** The host's own work on a generation that ended is over. */
	closed(key: string, generation: number, done: () => void = () => {}): void {
		this.keep(
			key,
			{
				event: ({ facts }) => ({
					type: "closed",
					at: this.now(),
					grant: this.grant(facts),
					generation,
				}),
				committed: done,
			},
			done,
		);
	}

	timedOut(live: LiveRun): void {
		const { ticket } = live;
		this.keep(ticket.sessionKey, {
			event: ({ facts }) => {
				// An answer is being waited for since: that time does not count.
				if (!facts.run || openWaits(facts.run).length > 0) return null;
				const at = this.now();
				return {
					type: "abort",
					at,
					cause: "timeout",
					reason: `it took longer than ${this.options.runTimeoutMs} ms`,
					deadline: at + this.options.graceMs,
					queued: "keep",
					ticket,
				};
			},
			committed: () => {},
		});
	}

	fellSilent(live: LiveRun, again: () => void): void {
		const { ticket } = live;
		const leaseMs = live.run.leaseMs ?? 0;
		let isHeard = false;
		this.keep(ticket.sessionKey, {
			event: ({ facts }) => {
				const at = this.now();
				isHeard = silenceLeft(live, leaseMs, at) > 0;
				if (isHeard) return null;
				const error = `no sign of life for ${leaseMs} ms, which is its lease`;
				return {
					type: "settled",
					at,
					grant: this.grant(facts),
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
		const at = this.now();
		live.seenAt = at;
		if (at - (live.run.seenAt ?? 0) < Math.max(1000, leaseMs / 10)) return;
		const { ticket } = live;
		this.post(ticket.sessionKey, {
			event: ({ facts }) =>
				at - (facts.run?.seenAt ?? at) < 1000
					? null
					: { type: "alive", at, ticket },
			committed() {},
			failed() {},
		});
	}

	/** Keeps and publishes the refusal of a report that no session was asked about. */
	async refuse(refusal: StoredRefusal): Promise<void> {
		await this.journal.refuse(refusal);
		this.#logRefusal(refusal);
		this.projection.refusal(refusalOf(refusal));
	}

	#logRefusal({ sessionKey, verdict, reason, report, current }: StoredRefusal) {
		this.options.logger.info(
			{ sessionKey, verdict, reason, report, current },
			`a report was ${verdict === "duplicate" || verdict === "unknown" ? `not applied (${verdict})` : verdict}: ${reason}`,
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

	#abandon(live: LiveRun): void {
		this.keep(live.ticket.sessionKey, {
			event: ({ facts }) => ({
				type: "overdue",
				at: this.now(),
				grant: this.grant(facts),
				ticket: live.ticket,
				unread: live.unread,
			}),
			committed: () => {},
		});
	}

	async committedRow(key: string): Promise<SessionRow | null> {
		const session = this.directory.find(key);
		if (session?.committed) return session.row;
		return readRow(this.store, key);
	}

	// ── what a session needs

	get inspected(): boolean {
		return this.inspection.isWatched;
	}

	gather(turn: Turn, act: () => void): void {
		this.#gathering = turn;
		try {
			act();
		} finally {
			this.#gathering = null;
		}
	}

	settled(session: LiveSession): Promise<void> {
		return this.journal.settled(session);
	}

	cleared({ turns, error }: Doubt, holds: boolean): void {
		// Callers were told that it failed; that it holds all the same is seen by everybody else.
		const told = { event: () => null, committed() {}, failed() {} };
		if (holds)
			this.committed(
				turns.map((turn) =>
					turn.operation.kept
						? turn
						: {
								...turn,
								operation: told,
								// Nobody has the handle of a run whose admission was said to have failed.
								start: turn.reply?.result === "admitted" ? null : turn.start,
							},
				),
			);
		else
			for (const { operation, start } of turns) {
				if (start) this.slots.release(start.run);
				if (operation.kept) operation.failed(error);
			}
	}

	hydrated(session: LiveSession): void {
		if (this.isServing) this.#settleOrphans(session);
		if (this.inspected) this.inspection.announce(session);
	}

	/** A committed run that nobody in this process drives: its admission held although its caller was told that it failed. */
	#settleOrphans({ key, committed }: LiveSession): void {
		if (!committed) return;
		for (const run of unsettledRuns(committed)) {
			if (this.registry.get(run)) continue;
			// Its host may have it after all.
			if (run.leaseMs !== null && run.stop === null) {
				this.enter(run).facts = committed;
				continue;
			}
			const ticket = ticketOf(run);
			this.keep(key, {
				event: ({ facts }) => {
					const at = this.now();
					const end = { at, outcome: "interrupted" } as const;
					return { type: "settled", at, grant: this.grant(facts), ticket, end };
				},
				committed() {},
			});
		}
	}

	made(turn: Turn): void {
		if (turn.start?.run.driver === "managed") this.slots.hold(turn.start.run);
		this.journal.add(turn);
	}

	rested(session: LiveSession): void {
		this.directory.settle(session);
		this.waiting.rest();
	}

	// ── what the journal says

	committed(turns: readonly Turn[]): void {
		for (const turn of turns) {
			// Decided before anybody looked: who looks now is shown what came of it.
			if (
				this.inspected &&
				turn.inspection.length === 0 &&
				turn.after !== turn.before
			)
				this.inspection.announce(turn.session);
			this.#publish(turn);
		}
		for (const turn of turns) {
			this.#follow(turn);
			try {
				turn.operation.committed(turn);
				this.options.concluded(turn);
				this.waiting.see(turn);
			} catch (error) {
				// What is committed is committed: one answer that fails must not cost the others theirs.
				this.options.logger.error(
					{ error, sessionKey: turn.session.key },
					`a caller could not be answered: ${errorText(error)}`,
				);
			}
		}
		this.#carryOut(turns);
		for (const { session, after } of turns) {
			if (session.committed === after) this.pump(after);
			this.directory.settle(session);
		}
		this.waiting.rest();
	}

	failed(
		session: LiveSession,
		turns: readonly Turn[],
		error: TurnkeeperError,
	): void {
		this.projection.trouble(error);
		for (const turn of turns) {
			// A stop fires its signal even if its commit fails.
			for (const { run, stop } of turn.stops) this.#stop(run, stop);
			// What may hold already keeps its slot, and must not be made again before that is known.
			const isInDoubt = session.doubt?.turns.includes(turn) === true;
			if (turn.start && !isInDoubt) this.slots.release(turn.start.run);
			if (!turn.operation.kept || !isInDoubt) turn.operation.failed(error);
		}
		// Read again at once: what is live in it must not be out of sight. While the runtime starts, the start itself fails.
		if (this.isServing)
			this.keep(session.key, { event: () => null, committed() {} });
		this.directory.settle(session);
		this.waiting.rest();
	}

	lost(error: TurnkeeperError): void {
		if (this.#lost) return;
		this.#lost = error;
		this.state = "lost";
		this.projection.trouble(error);
		this.journal.stop(error);
		for (const live of this.registry.all()) live.abort(error);
		this.registry.clear();
		this.progress.close();
		this.giveUp(error);
		this.options.interrupted();
	}

	/** Whether anything that nobody can repeat waits for its next try, or is in doubt. */
	get hasUnfinished(): boolean {
		if (this.retries.waits()) return true;
		for (const { doubt } of this.directory.all()) if (doubt) return true;
		return false;
	}

	/** Nothing that waits will come to pass any more; whoever waits is told. */
	giveUp(error: TurnkeeperError): void {
		this.retries.giveUp();
		for (const { timer } of this.#quiet.values())
			this.clock.clearTimeout(timer);
		this.#quiet.clear();
		for (const { doubt } of this.directory.all())
			for (const { operation } of doubt?.turns ?? [])
				if (operation.kept) operation.failed(error);
		this.waiting.failAll(error);
	}

	get #isOver(): boolean {
		return this.state === "closed" || this.state === "lost";
	}

	#publish(turn: Turn): void {
		const { before, after, session } = turn;
		for (const event of turn.inspection) this.inspection.show(event);
		for (const refusal of turn.refusals) this.#logRefusal(refusal);
		if (this.projection.isFollowed) this.#tell(turn);
		if (after.version === before.version) return;
		if (!this.projection.shows(session.key)) return;
		const row = rowAfter(turn);
		if (row) this.projection.row(row as never);
		else if (!before.hidden)
			this.projection.deleted(session.key, before.generation, after.version);
	}

	#tell(turn: Turn): void {
		const { projection } = this;
		for (const message of turn.messages)
			if (message.kind === "message")
				projection.tell({
					type: "message",
					sessionKey: turn.session.key,
					messageId: message.messageId,
					fate: message.fate,
					reason: message.reason,
				});
		for (const run of turn.runs) if (run.outcome !== null) projection.run(run);
		const ended = endedBy(turn);
		if (ended) projection.generation(ended as never);
		for (const refusal of turn.refusals) projection.refusal(refusalOf(refusal));
	}

	/** The live runs of a session see its committed facts, those of older generations their last ones. */
	#follow({ after }: Turn): void {
		if (after.run) {
			const live = this.registry.get(after.run);
			if (!live) return;
			live.facts = after;
			if (openWaits(after.run).length > 0) this.slots.release(after.run);
			live.see(after.run, after);
		}
	}

	/** A run is live in this process, with its two times. */
	enter(run: RunFacts): LiveRun {
		const live = this.registry.enter(run);
		if (run.status === "reserved" || live.isEntered) return live;
		live.isEntered = true;
		this.progress.open(run);
		const { runTimeoutMs } = this.options;
		if (runTimeoutMs !== null) {
			const gone = this.now() - (run.admittedAt ?? this.now());
			armTimeout(live, runTimeoutMs - Math.max(0, gone), this);
		}
		if (run.leaseMs !== null) {
			live.seenAt = Math.max(live.seenAt, run.seenAt ?? 0);
			armLease(live, run.leaseMs, this);
		}
		return live;
	}

	/** A stop reaches what is attached to the run before it is told itself. */
	#stop(run: RunFacts, stop: RunStop): void {
		this.children.stop(run, stop.deadline);
		this.registry.stop(run, stop);
	}

	#carryOut(turns: readonly Turn[]): void {
		const starts: { live: LiveRun; start: NonNullable<Turn["start"]> }[] = [];
		for (const turn of turns) {
			const { before, after } = turn;
			if (turn.start) {
				const { run, messages } = turn.start;
				const live = this.enter(run);
				live.facts = after;
				live.messages = messages;
				// A commit that was in doubt has given the slot back.
				if (run.driver === "managed") this.slots.hold(run);
				if (this.state !== "open") this.whileClosing(live);
				if (turn.start.run.driver === "managed")
					starts.push({ live, start: turn.start });
			}
			for (const { run, stop } of turn.stops) this.#stop(run, stop);
			for (const closing of turn.closes)
				this.closing?.begin(after.sessionKey, closing);
			if (after.generation !== before.generation)
				this.options.renewed(after.sessionKey, after.generation);
			if (after.generation !== before.generation)
				for (const run of before.reservations) {
					const live = this.registry.get(run);
					if (live) this.#letGo(live, after.hidden ? "delete" : "reset");
				}
			for (const run of turn.runs) this.#leave(run, turn);
			// What an unreadable row had live is known to the registry alone.
			if (turn.healed)
				for (const live of this.registry.all())
					if (
						live.ticket.sessionKey === after.sessionKey &&
						live.ticket.generation < after.generation
					) {
						this.#free(live.run);
						this.#letGo(live, after.hidden ? "delete" : "reset");
					}
		}
		for (const { live, start } of starts) {
			// It may have settled within the same commit.
			if (this.registry.get(live.ticket) !== live) continue;
			if (live.isAborted) this.settle(live, { outcome: "aborted" });
			else this.options.execute?.(live, start);
		}
	}

	#leave(run: RunFacts, { after }: Turn): void {
		if (run.outcome === null) return;
		this.#free(run);
		const live = this.registry.get(run);
		if (!live) return;
		if (run.outcome === "abandoned") this.#tellStraggler(live);
		if (run.generation === after.generation) live.facts = after;
		// Whoever still works for a run that has settled may stop.
		this.#letGo(
			live,
			run.stop?.cause ?? (run.outcome === "interrupted" ? "shutdown" : null),
		);
	}

	/** A run is over: whoever waits for its slot, follows it or is attached to it is told. */
	#free(run: RunFacts): void {
		this.slots.release(run);
		this.progress.end(run);
		this.children.stop(run, this.now() + this.options.graceMs);
	}

	#letGo(live: LiveRun, cause: StopCause | null): void {
		void this.disposeScope(live);
		this.registry.leave(live, cause);
	}

	/** Disposes what is in a run's scope, within the grace period. Null if there is nothing, or that was begun before. */
	disposeScope(live: LiveRun): Promise<void> | null {
		const disposed = live.dispose();
		if (!disposed) return null;
		const { logger, graceMs } = this.options;
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

	#tellStraggler({ ticket, stoppedBy, deadline }: LiveRun): void {
		this.options.logger.warn(
			{ ticket, stoppedBy, deadline },
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
		if (this.#isOver) return;
		this.keep(live.ticket.sessionKey, {
			event: ({ facts }) => {
				const at = this.now();
				return {
					type: "settled",
					at,
					grant: this.grant(facts),
					ticket: live.ticket,
					end: { at, stoppedBy: live.stoppedBy ?? undefined, ...end },
					unread: live.unread,
					// A clean close counts as a crash.
					retry:
						this.options.retry && live.stoppedBy === "shutdown"
							? {
									...this.options.retry,
									messages: [...live.messages, ...live.unread],
								}
							: undefined,
				};
			},
			committed: () => {},
		});
	}
}
