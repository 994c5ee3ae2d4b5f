/**
 * Owns what is true of one session key, as the store keeps it. The chart's state and the public row are functions of it;
 * nothing here is ever stored twice. A key that nobody has used is a hidden first generation.
 */
import { frozen, type JsonValue } from "./json.ts";
import {
	addTokens,
	openWaits,
	type RunFacts,
	type RunRecord,
	ticketOf,
} from "./run.ts";
import type { RunOutcome, RunTicket } from "./ticket.ts";

/** A message that was accepted. */
export interface Message<Input = JsonValue> {
	readonly messageId: string;
	readonly input: Input;
	/** Epoch ms. */
	readonly acceptedAt: number;
	/** Where it was accepted; lower than the run's if a reset kept it. */
	readonly generation: number;
}

/** Only act if the session is still the one the caller saw. Every field given must match; a session id matches its whole lineage. `generation: 0`: must not exist. */
export interface Expectation {
	readonly sessionId?: string | undefined;
	readonly generation?: number | undefined;
	readonly runId?: string | undefined;
	/** One of the live run's messages; for `abort` also one that waits. */
	readonly messageId?: string | undefined;
	readonly version?: number | undefined;
}

/** By which run a message was spawned. */
export interface ChildOf {
	readonly run: RunTicket;
	/** Stopped with that run. */
	readonly attached: boolean;
	/** Session keys of the runs that the message's run is attached to, the nearest last. */
	readonly ancestors: readonly string[];
}

/** A message in line, with what must still hold when it is taken. */
export interface QueuedMessage extends Message {
	/** Arrival number on this key. */
	readonly seq: number;
	readonly expect: Expectation | null;
	/** Its place in line: lower is sooner. The arrival number, unless something moved it. */
	readonly order: number;
	/** Why it stands before others: it came with a reset, or is the newest that interrupts. */
	readonly front: "reset" | "interrupt" | null;
	/** Messages of one group are taken by one run; null: it stands alone. */
	readonly group: number | null;
	/** The run that it arrived during and is for, if that takes it in time. */
	readonly steers: string | null;
	/** Ids of the messages that were passed over for it, the newest 100. */
	readonly skipped: readonly string[];
	readonly parent: ChildOf | null;
	/** Its input is not the one that it was sent with. */
	readonly edited: boolean;
}

/** A run of an older generation that was told to stop and has not settled, with that generation as it ended. */
export interface DrainingRun {
	readonly run: RunFacts;
	readonly ended: ArchivedGeneration;
}

/** A generation that ended and whose host has not finished its own work on that (`onGenerationEnded`). */
export interface ClosingGeneration {
	readonly generation: number;
	/** When it is given up. */
	readonly deadline: number;
	/** Its time is over and its host was not called: it will be, by the next process at the latest, and nothing waits for that. */
	readonly postponed: boolean;
}

/** An entry of a transcript, with what the store keeps it by. */
export interface StoredEntry extends TranscriptEntry {
	readonly attempt: number;
	/** Taken back: kept, and shown to nobody. */
	readonly hidden: boolean;
}

/** What a run appended (`Run.append`). */
export interface TranscriptEntry {
	/** 1, 2, 3 … per session key, over all generations. */
	readonly seq: number;
	readonly sessionKey: string;
	readonly generation: number;
	/** The run's session id when it was appended. */
	readonly sessionId: string;
	readonly runId: string;
	/** Epoch ms. */
	readonly at: number;
	readonly entry: JsonValue;
}

/** How the last run of this generation ended. */
export interface LastRun {
	readonly outcome: RunOutcome;
	readonly error: string | null;
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	readonly runtimeMs: number | null;
}

/** All that is true of a session key, and all that the store keeps of it but its records. */
export interface SessionFacts {
	readonly sessionKey: string;
	readonly generation: number;
	/** Every session id this generation had, oldest first; empty only while hidden. */
	readonly sessionIds: readonly string[];
	/** Nobody has used this generation yet: the key is unknown or was deleted. */
	readonly hidden: boolean;
	/** Generations before this one are erased once nothing drains; null: none. */
	readonly purgeBefore: number | null;
	readonly run: RunFacts | null;
	readonly reservations: readonly RunFacts[];
	readonly draining: readonly DrainingRun[];
	readonly queue: readonly QueuedMessage[];
	/** Messages that ever arrived on this key. */
	readonly arrivals: number;
	readonly last: LastRun | null;
	readonly inputTokens: number;
	readonly outputTokens: number;
	readonly meta: JsonValue;
	readonly createdAt: number;
	readonly updatedAt: number;
	readonly version: number;
	/** Runs that died and are to be tried again; their messages are in line. */
	readonly retries: readonly RunFacts[];
	/** Until then nothing that waits is taken up: the quiet window. */
	readonly quietUntil: number;
	/** Transcript entries that were ever appended on this key. */
	readonly entries: number;
	/** When a message was last accepted, a run settled (recovery apart), or this generation began. */
	readonly activeAt: number;
	/** When a run last became live, or this generation began; null: by expiry, and nothing has run since that could expire again. */
	readonly takenAt: number | null;
	readonly closing: readonly ClosingGeneration[];
}

/**
 * idle: nothing has run in this generation · running, waiting: a run is live, the latter until its open waits are answered ·
 * resetting: an older generation drains, or the host still works on one that ended · failed: the last run's outcome was 'failed' ·
 * ended: it had another outcome.
 */
export type SessionStatus =
	| "idle"
	| "running"
	| "waiting"
	| "resetting"
	| "ended"
	| "failed";

/**
 * The current generation of one session key, as committed. `status` and `hasActiveRun` come from one fact: `hasActiveRun` is true
 * exactly when status is 'running' or 'waiting'. A run that was told to stop and has not settled is still running.
 */
export interface SessionRow<Meta = JsonValue> {
	readonly sessionKey: string;
	readonly sessionId: string;
	readonly generation: number;
	readonly status: SessionStatus;
	readonly hasActiveRun: boolean;
	readonly activeRun: RunTicket | null;
	/** Names of the waits that are open (`Run.waitFor`). */
	readonly waits: readonly string[];
	readonly lastOutcome: RunOutcome | null;
	/** Error text of the last run, if its outcome was 'failed'. */
	readonly lastError: string | null;
	/** Of the live run, else of the last one in this generation; epoch ms. */
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	/** How long the last run took, both ends from one clock, never negative; null while none has ended in this generation. */
	readonly runtimeMs: number | null;
	/** Sums over all runs of this generation. */
	readonly inputTokens: number;
	readonly outputTokens: number;
	readonly totalTokens: number;
	/** Accepted messages that wait for a run. */
	readonly queued: number;
	/** Runs of older generations that were told to stop and have not settled. */
	readonly draining: number;
	/** The host's own fields. */
	readonly meta: Meta;
	readonly createdAt: number;
	readonly updatedAt: number;
	/** +1 with every committed turn of this key; the unit of optimistic concurrency and of the feed. */
	readonly version: number;
}

/** A generation that ended, as the store keeps it; its runs are kept beside it. */
export interface ArchivedGeneration<Meta = JsonValue> {
	readonly sessionKey: string;
	readonly generation: number;
	/** Every session id this generation had, oldest first. */
	readonly sessionIds: readonly string[];
	readonly endedBy: "reset" | "expiry" | "delete";
	/** As the command gave it; of an expiry, what was due. */
	readonly reason: string | null;
	/** Epoch ms. */
	readonly endedAt: number;
	/** As it ended; a run that was still draining then completes it when it settles. */
	readonly row: SessionRow<Meta>;
}

/** A generation that ended. Late events of its runs complete their records here and nowhere else. */
export interface EndedGeneration<Meta = JsonValue>
	extends ArchivedGeneration<Meta> {
	/** The newest 100, newest first; `runs()` pages through all. */
	readonly runs: readonly RunRecord[];
}

/** The facts of a key that nobody has used. */
export function unusedFacts(sessionKey: string): SessionFacts {
	return {
		sessionKey,
		generation: 1,
		sessionIds: [],
		hidden: true,
		purgeBefore: null,
		run: null,
		reservations: [],
		draining: [],
		queue: [],
		arrivals: 0,
		last: null,
		inputTokens: 0,
		outputTokens: 0,
		meta: {},
		createdAt: 0,
		updatedAt: 0,
		version: 0,
		retries: [],
		quietUntil: 0,
		entries: 0,
		activeAt: 0,
		takenAt: 0,
		closing: [],
	};
}

const none: readonly never[] = Object.freeze([]);

/** What `rowOf` needs of the facts: all but the messages themselves. */
export type RowFacts = Omit<SessionFacts, "queue"> & {
	readonly queued: number;
};

export function statusOf(
	facts: Pick<SessionFacts, "draining" | "closing" | "run" | "last">,
): SessionStatus {
	if (isDraining(facts)) return "resetting";
	if (facts.run) return openWaits(facts.run).length > 0 ? "waiting" : "running";
	if (!facts.last) return "idle";
	return facts.last.outcome === "failed" ? "failed" : "ended";
}

/** Whether anything of an older generation is left to come to its end. */
export function isDraining(
	facts: Pick<SessionFacts, "draining" | "closing">,
): boolean {
	return (
		facts.draining.length > 0 ||
		facts.closing.some(({ postponed }) => !postponed)
	);
}

/** Whether anything of it goes on or is about to: a run, a drain, a line. What waits for a deleted session waits for its next use. */
export function isBusy(facts: SessionFacts): boolean {
	const goesOn = facts.queue.length > 0 && !facts.hidden;
	return facts.run !== null || isDraining(facts) || goesOn;
}

/** Whether something of it may have to be seen to when a process starts: what goes on, what waits, and what the host was not called for. */
export function isUnsettled(facts: SessionFacts): boolean {
	return isBusy(facts) || facts.queue.length > 0 || facts.closing.length > 0;
}

/** The row as readers see it; null while nobody has used this generation. */
export function shownRow<Meta = JsonValue>(
	facts: SessionFacts | RowFacts,
): SessionRow<Meta> | null {
	return facts.hidden ? null : rowOf(facts);
}

/** The public row: a function of the facts, never stored beside them. */
export function rowOf<Meta = JsonValue>(
	facts: SessionFacts | RowFacts,
): SessionRow<Meta> {
	const { run, last } = facts;
	return Object.freeze({
		sessionKey: facts.sessionKey,
		sessionId: facts.sessionIds.at(-1) ?? "",
		generation: facts.generation,
		status: statusOf(facts),
		hasActiveRun: run !== null,
		activeRun: run ? ticketOf(run) : null,
		waits: run ? openWaits(run) : none,
		lastOutcome: last ? last.outcome : null,
		lastError: last && last.outcome === "failed" ? last.error : null,
		startedAt: run ? run.startedAt : last ? last.startedAt : null,
		endedAt: run || !last ? null : last.endedAt,
		runtimeMs: last ? last.runtimeMs : null,
		inputTokens: facts.inputTokens,
		outputTokens: facts.outputTokens,
		totalTokens: addTokens(facts.inputTokens, facts.outputTokens),
		queued: "queue" in facts ? facts.queue.length : facts.queued,
		draining: facts.draining.length,
		meta: frozen(facts.meta) as Meta,
		createdAt: facts.createdAt,
		updatedAt: facts.updatedAt,
		version: facts.version,
	});
}

/** Which field of an expectation the session does not meet, or null. A hidden generation meets none but `generation: 0`. */
export function mismatchOf(
	facts: SessionFacts,
	expect: Expectation | null | undefined,
): keyof Expectation | null {
	if (!expect) return null;
	if (expect.generation !== undefined) {
		const generation = facts.hidden ? 0 : facts.generation;
		if (expect.generation !== generation) return "generation";
	}
	if (
		expect.sessionId !== undefined &&
		!facts.sessionIds.includes(expect.sessionId)
	)
		return "sessionId";
	if (
		expect.runId !== undefined &&
		(facts.hidden || facts.run?.runId !== expect.runId)
	)
		return "runId";
	if (
		expect.messageId !== undefined &&
		(facts.hidden || !facts.run?.messageIds.includes(expect.messageId))
	)
		return "messageId";
	if (
		expect.version !== undefined &&
		(facts.hidden || facts.version !== expect.version)
	)
		return "version";
	return null;
}
