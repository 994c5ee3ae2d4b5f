/**
 * Owns the contract of the public surface: what a host may call and what it is told. Nothing here runs.
 *
 * One rule for refusals: intake (`send`, `admit`, and what a run does) throws a TurnkeeperError, because an unread refusal would be
 * lost work; commands and reports answer, because late ones are normal.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { ReadonlyAtom } from "@xstate/store";
import type { InspectionEvent, Observer, Subscription } from "xstate";
import type { OverlapMode } from "../machines/events.ts";
import type {
	EndedGeneration,
	Expectation,
	Message,
	SessionRow,
	TranscriptEntry,
} from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import type { LifecycleReport, Refusal, Verdict } from "../machines/report.ts";
import type { RunRecord, Usage } from "../machines/run.ts";
import type { RunOutcome, RunTicket } from "../machines/ticket.ts";
import type { Clock } from "./clock.ts";
import type { TurnkeeperError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { ListQuery, Page, PageQuery, SessionStore } from "./store.ts";

/** What the host's own values must be. Only `input` is required. */
export interface Schemas<Input, Output, Meta> {
	/** Checked at `send`, and again when a stored message is taken by a newer version of the host. Any Standard Schema. */
	readonly input: StandardSchemaV1<unknown, Input>;
	/** A run whose output it refuses fails. */
	readonly output?: StandardSchemaV1<unknown, Output>;
	/** Checked wherever the host's own fields are given, and on the result of a `patch`. */
	readonly meta?: StandardSchemaV1<unknown, Meta>;
}

/**
 * What becomes of a message that arrives while its session is busy.
 *
 * @example { mode: "collect", debounceMs: 800 } // what is typed in one breath is answered in one run
 */
export interface OverlapPolicy {
	readonly mode: OverlapMode;
	/** Quiet window before waiting input is taken up, in ms; every message begins it anew. Default 0. */
	readonly debounceMs?: number;
	/** Most waiting messages of one session. Default 1000. */
	readonly capacity?: number;
	/** What a message gets when so many wait: MAILBOX_FULL, or the place of the oldest, which is removed. Default 'reject'. */
	readonly onFull?: "reject" | "drop-oldest";
}

/**
 * All of `createSessionRuntime`; only `store` is required. Times are in ms.
 *
 * @example { store: sqliteStore("sessions.db"), execute: (run) => answer(run.messages, run.signal), graceMs: 10_000 }
 */
export interface RuntimeOptions<Input, Output, Meta> {
	/** `sqliteStore("sessions.db")`, or `memoryStore()` for those who choose to forget. */
	store: SessionStore;
	schemas?: Schemas<Input, Output, Meta>;
	/** Executes managed runs. Leave out when the host runs its agent itself (`admit`, `report`). */
	execute?: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output;
	/** For all sessions, or by session and message. Default 'enqueue'. One that throws refuses its message. */
	overlap?:
		| OverlapMode
		| OverlapPolicy
		| ((
				row: SessionRow<Meta>,
				message: Message<Input>,
		  ) => OverlapMode | OverlapPolicy);
	/** How long a stopped run may take to settle before it is abandoned, in ms. Default 5000. */
	graceMs?: number;
	/** A run that lives longer is stopped with outcome 'timeout'; the time that it waits (`waitFor`) does not count. Default: none. */
	runTimeoutMs?: number;
	/**
	 * Most managed runs that execute at once, over all sessions; next in line by arrival. A run that waits gives its slot back, one that
	 * is attached to another shares that one's. Default: no cap.
	 */
	maxConcurrentRuns?: number;
	/**
	 * What becomes of managed runs that were live when the last process died or closed. retry: the same run id again as the next attempt,
	 * unless it has had `maxAttempts` (the first counts), or its message is older than `maxAgeMs`. Default { mode: 'settle' }.
	 */
	recovery?:
		| { mode: "settle" }
		| { mode: "retry"; maxAttempts: number; maxAgeMs?: number };
	/**
	 * Implicit reset of a session without a live run, decided when its next message is taken, or before any other write: after it rested
	 * for `idleMs`, or when the given hour of the day has begun in that time zone since a message was last taken.
	 *
	 * @example { idleMs: 3_600_000, daily: { hour: 4, timeZone: "Europe/Berlin" } }
	 */
	expiry?: { idleMs?: number; daily?: { hour: number; timeZone: string } };
	/** Which host fields a new generation keeps. Default: none. One that throws is logged and counts as the default. */
	carryOver?: (meta: Meta, cause: "reset" | "expiry") => Meta;
	/**
	 * After the commit that ended it, at least once, within the grace period of its drain: until it resolves the session is 'resetting'.
	 * One that fails or takes too long is logged; it never refuses a reset. Where the store cannot read the generation in all that time,
	 * the session goes on, and it is called when the session next begins anew, at the latest at the next start.
	 */
	onGenerationEnded?: (ended: EndedGeneration<Meta>) => Promise<void> | void;
	/**
	 * What is kept: the newest ended generations of a key, ended generations up to an age, the newest refusals of all keys, message ids
	 * (by which duplicates are told) up to an age, and as long as a run of their session goes on. Default: all generations, 100,000 refusals,
	 * ids for 24 hours.
	 */
	retention?: {
		generationsPerKey?: number;
		maxAgeMs?: number;
		refusals?: number;
		messageIdsMs?: number;
	};
	/** Idle sessions leave memory after this time, in ms. Default 60_000. */
	passivateAfterMs?: number;
	/** Most session actors in memory while idle. Default 10_000. */
	maxResident?: number;
	/** Default: the system's. */
	clock?: Clock;
	/** Default: random session ids, run ids that rise with time. One that throws is logged, and a fresh id used. */
	ids?: {
		sessionId?(for_: {
			sessionKey: string;
			generation: number;
			cause: SessionIdCause;
		}): string;
		/** Never the same one twice. Ids that rise with time keep the store's index small. */
		runId?(): string;
	};
	/** pino's shape. Default: warnings and errors to the console. */
	logger?: Logger;
}

/** What a session id is for: the first of a key, that of a new generation, or one that a run moved on to. */
export type SessionIdCause = "first" | "reset" | "expiry" | "rotate";

/** How a message is sent. */
export interface SendOptions<Meta> {
	/** The same id again on this key is a duplicate: nothing runs twice. Default: a fresh one. */
	messageId?: string;
	/** Instead of the runtime's mode; window and capacity stay the runtime's. */
	overlap?: OverlapMode;
	/** A new generation and this message in one commit; it stands before all that waits. `expect` is of the session before. */
	reset?: boolean;
	/** Replaces the host's own fields. */
	meta?: Meta;
	/** Checked now; generation and session id again when a generation ends that the message waits in: if they differ then, it is removed. */
	expect?: Expectation;
}

/** How a run of the host's is admitted. */
export interface AdmitOptions<Meta> {
	/** Default: a fresh one. */
	runId?: string;
	/** The session takes it on. Need not be new. */
	sessionId?: string;
	/** A ticket that holds no slot until its start is reported. */
	reserve?: boolean;
	/** Silence for this long, in ms, settles it 'interrupted'; a run with a lease outlives a restart of the runtime. Default: none. */
	leaseMs?: number;
	/** Replaces the host's own fields. */
	meta?: Meta;
	expect?: Expectation;
}

/** How `reset`, `abort` and `delete` stop what runs. */
export interface StopOptions {
	/** In words, for the archive and for the run's signal. */
	reason?: string;
	/** Instead of the runtime's, for what this stops; in ms. */
	graceMs?: number;
	/** What becomes of the messages that wait. Default: 'keep', for `delete` 'drop'. */
	queued?: "keep" | "drop";
	/**
	 * Makes a redelivered command harmless: the same id again is 'nothing', also where the first found nothing to do. Kept with the ids of
	 * messages; not for a key that was never used.
	 */
	messageId?: string;
	expect?: Expectation;
}

/** How a session is reset. */
export interface ResetOptions<Meta> extends StopOptions {
	/** Of the new generation. Need not be new: hosts exist that keep theirs across a reset. */
	sessionId?: string;
	/** What the new generation starts with, instead of `carryOver`. */
	meta?: Meta;
}

/** What holds on every engine. */
export interface SessionRuntime<
	Input = JsonValue,
	Output = unknown,
	Meta = JsonValue,
> extends AsyncDisposable {
	/** Opens the store, settles what the last process left, then lets the queues go on. Throws STORE_LOCKED where somebody else owns the store. */
	start(): Promise<this>;
	/** Stops intake, then stops or awaits what runs, commits, releases the store. Default 'abort'. graceMs bounds both; the last commits get a second more. Idempotent. */
	close(options?: {
		runs?: "abort" | "await";
		graceMs?: number;
	}): Promise<void>;

	/**
	 * Resolves once the message is durable.
	 *
	 * @example const { settled } = await runtime.send("telegram:42", { text: "hello" }, { messageId: update.id });
	 * @throws SESSION_BUSY, MAILBOX_FULL, STALE_EXPECTATION, INVALID_ARGUMENT, INVALID_INPUT, STORE_FAILED, STORE_CORRUPT, STORE_LOCKED once the store was taken over, RUNTIME_CLOSED
	 */
	send(
		sessionKey: string,
		input: Input,
		options?: SendOptions<Meta>,
	): Promise<SendReceipt<Output>>;

	/**
	 * For hosts that run their agent themselves: a live run, or with `reserve` a ticket that holds no slot until its start is reported.
	 * A live run id again: the same run; a settled one: a new attempt.
	 *
	 * @example await using run = await runtime.admit("telegram:42"); … await run.end({ usage });
	 * @throws SESSION_BUSY while another is live or the session drains, MAILBOX_FULL, and as `send`
	 */
	admit(
		sessionKey: string,
		options?: AdmitOptions<Meta>,
	): Promise<AdmittedRun<Meta>>;
	/**
	 * Takes a lifecycle event of a host-run, from wherever it comes. Late or foreign is an answer, not an error.
	 *
	 * @example const { verdict, reason } = await runtime.report({ runId: "r9", phase: "error", error: "socket hang up" });
	 * @throws STORE_FAILED, STORE_CORRUPT, STORE_LOCKED, RUNTIME_CLOSED
	 */
	report(report: LifecycleReport): Promise<Verdict>;

	/**
	 * New generation in one commit, then the old runs are stopped and drained; resolves when nothing older drains. Default: the queue is kept.
	 *
	 * @example const answer = await runtime.reset("telegram:42", { reason: "/new", expect: { generation: row.generation } });
	 */
	reset(
		sessionKey: string,
		options?: ResetOptions<Meta>,
	): Promise<Answer<StopReport<Meta>, Meta>>;
	/** Stops the live run, the message that `expect.messageId` names (waiting or running), or the reservation that `expect.runId` names; resolves when it has settled. Default: the queue is kept. */
	abort(
		sessionKey: string,
		options?: StopOptions,
	): Promise<Answer<StopReport<Meta>, Meta>>;
	/** A reset into a generation that `get` and `list` do not show; answers with the last row of the one that ended. Default: the queue is dropped. `purge` erases all but the generation counter. */
	delete(
		sessionKey: string,
		options?: StopOptions & { purge?: boolean },
	): Promise<Answer<StopReport<Meta>, Meta>>;
	/** Answers a run that waits (`Run.waitFor`). The first answer counts, later ones are 'nothing'; one for another run or an ended generation is stale. */
	resume(
		ticket: Pick<RunTicket, "sessionKey" | "generation" | "runId">,
		name: string,
		value: JsonValue,
	): Promise<Answer<null, Meta>>;
	/** The messages that wait. An edit of one that was taken or removed is stale, of one that is not known 'nothing'. */
	readonly queue: {
		list(sessionKey: string): Promise<readonly Message<Input>[]>;
		/** Another input, or another place: before that message, or (null) at the end. */
		update(
			sessionKey: string,
			messageId: string,
			change: { input?: Input; before?: string | null },
		): Promise<Answer<null, Meta>>;
		remove(sessionKey: string, messageId: string): Promise<Answer<null, Meta>>;
	};
	/**
	 * JSON merge patch (RFC 7396) of the host's own fields.
	 *
	 * @example await runtime.patch("telegram:42", { title: "taxes", draft: null }); // sets title, removes draft
	 */
	patch(
		sessionKey: string,
		meta: JsonValue,
		options?: { expect?: Expectation },
	): Promise<Answer<null, Meta>>;
	/** Takes over sessions of an earlier system; keys that exist already are left alone and named in the answer. */
	import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	): Promise<{ imported: number; skipped: readonly string[] }>;

	/** The committed row, or null for a key that is unknown or deleted. */
	get(sessionKey: string): Promise<SessionRow<Meta> | null>;
	/** Rows by key, a page at a time. */
	list(query?: ListQuery): Promise<Page<SessionRow<Meta>>>;
	/** Generations that ended, newest first. */
	archive(
		sessionKey: string,
		query?: PageQuery,
	): Promise<Page<EndedGeneration<Meta>>>;
	/** Runs, newest first, those that have not settled before all others. */
	runs(
		sessionKey: string,
		query?: PageQuery & { generation?: number },
	): Promise<Page<RunRecord>>;
	/** What runs appended, newest first, without what was taken back. */
	transcript(
		sessionKey: string,
		query?: PageQuery & { generation?: number; sessionId?: string },
	): Promise<Page<TranscriptEntry>>;
	/**
	 * Progress of a run from `from` on (default 1), numbered, so that a reader can come back; a gap is said. Ends with the run, or with the
	 * signal. The newest 1000 values of a live run are kept in memory, and those of a run that ended for a minute.
	 *
	 * @example for await (const item of runtime.follow(ticket)) if ("value" in item) print(item.value);
	 */
	follow(
		ticket: RunTicket,
		options?: { from?: number; signal?: AbortSignal },
	): AsyncIterable<ProgressItem>;
	/** Every report that was not applied, newest first. */
	refusals(query?: PageQuery & { sessionKey?: string }): Promise<Page<Refusal>>;
	/**
	 * Resolves with the first committed row for which it holds; null is a key that is unknown or deleted. `timeoutMs` in ms, default: none.
	 *
	 * @example await runtime.until("telegram:42", (row) => row?.status === "waiting", { timeoutMs: 10_000 });
	 * @throws WAIT_TIMEOUT, RUNTIME_CLOSED, the signal's reason
	 */
	until(
		sessionKey: string,
		holds: (row: SessionRow<Meta> | null) => boolean,
		options?: { timeoutMs?: number; signal?: AbortSignal },
	): Promise<SessionRow<Meta> | null>;
	/** Resolves when nothing runs, drains or is queued, in the session or in all. */
	whenIdle(
		sessionKey?: string,
		options?: { signal?: AbortSignal },
	): Promise<void>;
}

/** What needs the sessions in this process. */
export interface EmbeddedRuntime<
	Input = JsonValue,
	Output = unknown,
	Meta = JsonValue,
> extends SessionRuntime<Input, Output, Meta> {
	/** Committed changes only, each version once, in order per key; `seq` orders all. */
	subscribe(listener: (event: RuntimeEvent<Meta>) => void): Subscription;
	/** A live view of one row, an @xstate/store atom. Null until the row is read, and for a key that is unknown or deleted. */
	atom(sessionKey: string): ReadonlyAtom<SessionRow<Meta> | null>;
	/** Same value as XState's `inspect`, for all sessions or for one; a session that nobody looks at pays nothing. */
	inspect(
		observer: Observer<InspectionEvent> | ((event: InspectionEvent) => void),
		options?: { sessionKey?: string },
	): Subscription;
	/** Numbers of this moment; see `RuntimeStats`. */
	stats(): RuntimeStats;
}

/** What a run may do, whoever drives it. */
export interface Run<Meta = JsonValue> {
	/** Who owns this run; the newest, after a `rotate`. */
	readonly ticket: RunTicket;
	/** Aborted when the run is told to stop; `signal.reason` is a RunAborted. */
	readonly signal: AbortSignal;
	/** The last committed row of the run's own generation. */
	readonly row: SessionRow<Meta>;
	/** For those who `follow` this run. Never throws: what is not JSON is dropped and logged. */
	progress(value: JsonValue): void;
	/** Adds to what this run has used. Never throws, and always counts, in the archive if need be. */
	usage(tokens: { inputTokens?: number; outputTokens?: number }): void;
	/** Compaction, fork: a new session id for this run and its session, same identity. STALE_RUN once it was told to stop. */
	rotate(options?: { sessionId?: string }): Promise<RunTicket>;
	/**
	 * An outward effect (post a reply, call a tool that writes) under a name that is used once per run. The intent is committed before, the
	 * result after; a later attempt gets the stored result, or runs it again under the same `idempotencyKey` where the result is not known.
	 * The session stays busy until it ends. Its own error is passed on. The result of a run that the close of its process cut short is passed
	 * on as well, but not stored.
	 *
	 * @example await run.deliver("reply", ({ signal, idempotencyKey }) => post(text, { signal, idempotencyKey }));
	 * @throws STALE_RUN once the run was told to stop, INVALID_ARGUMENT for a name that it has used, INVALID_INPUT for a result that is not JSON
	 */
	// biome-ignore lint/suspicious/noConfusingVoidType: an effect that returns nothing is one
	deliver<T extends JsonValue | void>(
		name: string,
		effect: (context: {
			signal: AbortSignal;
			idempotencyKey: string;
		}) => Promise<T> | T,
	): Promise<T>;
	/** Adds to the transcript. Works until the run settles, unless its generation has ended: STALE_RUN. */
	append(entry: JsonValue): Promise<void>;
	/** The newest entries (default 100) of this run's generation and session id, oldest first. */
	transcript(query?: { limit?: number }): Promise<readonly TranscriptEntry[]>;
	/**
	 * Suspends until `resume` answers this name; the row says 'waiting'. The answer is kept for later attempts. Rejects with the signal's
	 * reason when the run is told to stop.
	 *
	 * @example const answer = await run.waitFor<{ ok: boolean }>("approve delete", { timeoutMs: 600_000 });
	 * @throws WAIT_TIMEOUT, STALE_RUN once the run was told to stop
	 */
	waitFor<T extends JsonValue>(
		name: string,
		options?: { timeoutMs?: number },
	): Promise<T>;
	/**
	 * A message to another session, as a child of this run, always with 'enqueue'. Attached (default): stopped with this run, and when it
	 * settles.
	 *
	 * @throws STALE_RUN, INVALID_ARGUMENT for its own session and, attached, for one that waits for it, and as `send`
	 */
	spawn(
		sessionKey: string,
		input: JsonValue,
		options?: { messageId?: string; attached?: boolean },
	): Promise<SendReceipt>;
	/** Disposed last in, first out, exactly once, when this run settles however it settles. */
	readonly scope: AsyncDisposableStack;
}

/** A run that the runtime executes: what `execute` is given. */
export interface ManagedRun<Input = JsonValue, Meta = JsonValue>
	extends Run<Meta> {
	/** One message, or several under 'collect' or when a retried run had been steered. */
	readonly messages: readonly Message<Input>[];
	/** Messages that 'latest' or 'drop-oldest' passed over for this run, the newest 100 that are still known. */
	readonly skipped: readonly Message<Input>[];
	/** Messages that arrive during this run under 'steer'; what is never taken becomes an ordinary later message, in order. Ends when the run is told to stop. */
	readonly steering: Steering<Input>;
}

/**
 * Messages that steer a run, each handed over once. For those who wait for the next one there is `for await`; for a loop that only looks
 * between two of its steps there is `take`.
 */
export interface Steering<Input = JsonValue>
	extends AsyncIterable<Message<Input>> {
	/** The next message that waits already; null if none does, or if the run was told to stop. */
	take(): Promise<Message<Input> | null>;
}

/** What `follow` gives: a value with its number from 1 on, or the numbers that are missing. */
export type ProgressItem =
	| { readonly seq: number; readonly value: JsonValue }
	/** What came in between is not kept any more. */
	| { readonly gap: { readonly from: number; readonly to: number } };

/** A run that the host drives. Disposed without an end, it settles 'interrupted'. */
export interface AdmittedRun<Meta = JsonValue>
	extends Run<Meta>,
		AsyncDisposable {
	/** Its executor has begun. `startedAt` here and in what ends it: on the host's clock, epoch ms. */
	start(options?: { startedAt?: number }): Promise<Verdict>;
	/** Default outcome 'completed'. */
	end(options?: {
		outcome?: "completed" | "aborted" | "timeout";
		usage?: Usage;
		startedAt?: number;
		endedAt?: number;
	}): Promise<Verdict>;
	/** As `end`, with outcome 'failed' and the error's text. */
	fail(
		error: unknown,
		options?: { usage?: Usage; startedAt?: number; endedAt?: number },
	): Promise<Verdict>;
}

/** Three different answers: done, the session is no longer the one expected, there was nothing to do. */
export type Answer<Report, Meta = JsonValue> =
	| {
			readonly result: "done";
			readonly row: SessionRow<Meta>;
			readonly report: Report;
	  }
	| {
			readonly result: "stale";
			readonly row: SessionRow<Meta> | null;
			/** The first field that differs. */
			readonly mismatch: keyof Expectation;
	  }
	| { readonly result: "nothing"; readonly row: SessionRow<Meta> | null };

/** What a `reset`, an `abort` or a `delete` did. */
export interface StopReport<Meta = JsonValue> {
	/** The generation that this ended; null for an abort, and for a reset that opened an unused key. */
	readonly ended: EndedGeneration<Meta> | null;
	/** Stopped runs that settled within their grace period. */
	readonly drained: readonly RunRecord[];
	/** Stopped runs that did not. */
	readonly abandoned: readonly RunRecord[];
	/** Ids of messages that were dropped. */
	readonly removed: readonly string[];
}

/** What `send` answers once the message is durable. */
export interface SendReceipt<Output = unknown> {
	/** steered: it waits for the live run to take it. duplicate: this id was accepted before. */
	readonly disposition: "started" | "queued" | "steered" | "duplicate";
	readonly messageId: string;
	/** null while it waits. */
	readonly ticket: RunTicket | null;
	readonly row: SessionRow;
	/**
	 * How it ended. Never rejects. 'removed': it left without a run (dropped, passed over, taken back, or its expectation no longer met). Output is not stored:
	 * it is given to receipts that were held when the run settled.
	 */
	readonly settled: Promise<Settled<Output>>;
}

/** How a message ended. */
export interface Settled<Output = unknown> {
	readonly ticket: RunTicket | null;
	readonly outcome: RunOutcome | "removed";
	readonly output?: Output;
	readonly error?: string;
}

/** A session of an earlier system. Times are epoch ms; `createdAt` is now unless given, `updatedAt` is `createdAt`. */
export interface ImportedSession<Meta = JsonValue> {
	readonly sessionKey: string;
	readonly sessionId: string;
	readonly meta?: Meta;
	readonly usage?: Usage;
	readonly createdAt?: number;
	readonly updatedAt?: number;
}

/** A committed change. `seq` orders all of one process, from 1 on. */
export type RuntimeEvent<Meta = JsonValue> = { readonly seq: number } & (
	| { readonly type: "row"; readonly row: SessionRow<Meta> }
	| {
			readonly type: "deleted";
			readonly sessionKey: string;
			/** The generation that was deleted. */
			readonly generation: number;
			readonly version: number;
	  }
	| { readonly type: "generation"; readonly ended: EndedGeneration<Meta> }
	| { readonly type: "run"; readonly run: RunRecord }
	| {
			readonly type: "message";
			readonly sessionKey: string;
			readonly messageId: string;
			readonly fate: "queued" | "taken" | "removed";
			readonly reason: string | null;
	  }
	| { readonly type: "refusal"; readonly refusal: Refusal }
	| { readonly type: "trouble"; readonly error: TurnkeeperError }
);

/** The runtime's own numbers: of the sessions in memory, where every run, drain and waiting message of this process is, and of its commits. */
export interface RuntimeStats {
	/** Session actors in memory. */
	readonly resident: number;
	/** Live runs, also those that were told to stop. */
	readonly running: number;
	/** Messages that wait. */
	readonly queued: number;
	/** Runs of older generations that have not settled. */
	readonly draining: number;
	/** Since the store was opened. */
	readonly commits: number;
	/** Mean over all commits. */
	readonly rowsPerCommit: number;
	/** Of the last thousand commits. */
	readonly commitMs: { readonly p50: number; readonly p99: number };
}
