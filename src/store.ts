/**
 * Owns the contract between the runtime and whatever keeps its facts. Asynchronous, so that a store may live on a thread or a
 * network. Facts only, never a snapshot of a chart.
 */
import type {
	ArchivedGeneration,
	QueuedMessage,
	RowFacts,
	SessionFacts,
	SessionStatus,
	StoredEntry,
	TranscriptEntry,
} from "../machines/facts.ts";
import type { Refusal } from "../machines/report.ts";
import type { RunFacts } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import { invalid, shown } from "./arguments.ts";
import { TurnkeeperError } from "./errors.ts";

/** Which page. */
export interface PageQuery {
	/** 1 to 1000; default 100. */
	readonly limit?: number | undefined;
	/** As the last page gave it. */
	readonly cursor?: string | undefined;
}

/** A page of a longer list. */
export interface Page<T> {
	readonly items: readonly T[];
	/** For the next page; null when there is none. */
	readonly cursor: string | null;
}

/** Which sessions; what is given must all hold. */
export interface ListQuery extends PageQuery {
	readonly status?: SessionStatus | readonly SessionStatus[] | undefined;
	/** Keys that begin with this. */
	readonly prefix?: string | undefined;
	/** Epoch ms, inclusive. */
	readonly updatedSince?: number | undefined;
}

/** What became of a message id on a key; the ledger by which a repeated one is told. */
export interface StoredMessage extends QueuedMessage {
	readonly fate: "queued" | "taken" | "removed";
	/** The run that took it. */
	readonly run: RunTicket | null;
	/** Why it was removed; null otherwise. */
	readonly reason: string | null;
	/** Other than `message`: the id of a command, which has no input. */
	readonly kind: "message" | CommandKind;
}

/** A command that may carry an id, by which a repeated one is told. */
export type CommandKind = "reset" | "abort" | "delete";

/** What one key's part of a batch writes. All of it holds or none. */
export interface SessionWrite {
	readonly sessionKey: string;
	/** The version that the store must hold now; 0: no row yet. */
	readonly baseVersion: number;
	/** The row as it shall be, with its new version; the queue in it is written through `messages`. Null: the row, which must exist, stays as it is. */
	readonly facts: SessionFacts | null;
	/** Runs that settled, or stay open in an ended generation; written again by (key, run id, attempt). */
	readonly runs: readonly RunFacts[];
	/** Written again by (key, generation). */
	readonly generations: readonly ArchivedGeneration[];
	/** Written again by (key, message id). */
	readonly messages: readonly StoredMessage[];
	/** New entries of the transcript. One that is not newer than the newest of its generation is there already, and stays as it is. */
	readonly entries: readonly StoredEntry[];
	/** After the entries: runs whose entries, those of the batch among them, are hidden from now on. */
	readonly hides: readonly HiddenRun[];
	/** After the rest: erase runs, generations and transcript of generations before this one, their messages as far as `isPurged` says so, and the key's refusals. */
	readonly purgeBefore: number | null;
}

/**
 * Whether a purge of all generations before this one erases a message. Not one that waits, and not one that waited through the purge and
 * was taken by a run since, even in the same commit: its id still says that it was accepted.
 */
export function isPurged(
	{ fate, generation, run }: Pick<StoredMessage, "fate" | "generation" | "run">,
	before: number,
): boolean {
	return fate !== "queued" && (run?.generation ?? generation) < before;
}

/** A run whose transcript entries are hidden (`rollback`, or a dead attempt). */
export type HiddenRun = Pick<RunFacts, "generation" | "runId" | "attempt">;

/** What may be erased because it is old. Never what waits, runs or drains. */
export type PruneRule =
	/** Message ids that were accepted before, of sessions where nothing runs or drains: a run may be tried again with those it took. */
	| { readonly of: "messages"; readonly acceptedBefore: number }
	/** Generations that ended before, of all keys, with their runs and transcripts. */
	| { readonly of: "generations"; readonly endedBefore: number }
	/** Generations of one key before this one. */
	| {
			readonly of: "generations";
			readonly sessionKey: string;
			readonly before: number;
	  }
	/** All refusals but the newest so many. */
	| { readonly of: "refusals"; readonly keep: number };

/** What a step of pruning did. */
export interface Pruned {
	/** Records erased, at most the limit. */
	readonly erased: number;
	/** Whether the rule has more to erase. */
	readonly more: boolean;
}

/** Whose entries: of a key, or of one generation or session id of it. */
export interface TranscriptQuery extends PageQuery {
	readonly generation?: number | undefined;
	readonly sessionId?: string | undefined;
}

/** All that one transaction writes. */
export interface Batch {
	readonly sessions: readonly SessionWrite[];
	readonly refusals: readonly StoredRefusal[];
}

/** A refusal with the key it was filed under; null where no session was found. */
export interface StoredRefusal extends Refusal {
	/** Written once by this, however often its batch is tried. */
	readonly refusalId: string;
	readonly sessionKey: string | null;
}

/** What one key is when it comes back from the store. */
export interface LoadedSession {
	readonly facts: RowFacts;
	/** The messages that wait, by `order`. */
	readonly queue: readonly QueuedMessage[];
}

/** The facts that it was stored from. */
export function factsOf({ facts, queue }: LoadedSession): SessionFacts {
	const { queued: _, ...kept } = facts;
	return { ...kept, queue };
}

/** The row of a key whose facts cannot be parsed, as far as its columns tell. */
export interface UnreadableRow {
	readonly sessionKey: string;
	readonly generation: number;
	readonly version: number;
	readonly raw: string;
	/** The messages that wait, by `order`; each has a row of its own. */
	readonly queue: readonly QueuedMessage[];
	/** Those that wait and cannot be read either, as the batch that resets the session may write them: removed, without input. */
	readonly lost: readonly StoredMessage[];
	/** The number of its newest transcript entry; 0 if there is none. */
	readonly entries: number;
}

/** STORE_CORRUPT about one key. Such a session can still be reset. */
export class UnreadableSession extends TurnkeeperError {
	readonly row: UnreadableRow;

	constructor(row: UnreadableRow, cause: unknown) {
		super(
			"STORE_CORRUPT",
			`the stored row of session ${JSON.stringify(row.sessionKey)} cannot be read; reset the session to archive it and go on`,
			{ cause },
		);
		this.row = row;
	}
}

/** Thrown by `commit` when a row was not at its base version; nothing of the batch holds. */
export class VersionConflict extends TurnkeeperError {
	readonly sessionKey: string;
	/** The version that the batch was made on. */
	readonly expected: number;
	/** The version that the row is at. */
	readonly found: number;

	constructor(sessionKey: string, expected: number, found: number) {
		super(
			"STORE_FAILED",
			`session ${JSON.stringify(sessionKey)} is at version ${found}, the batch was made on ${expected}`,
		);
		this.sessionKey = sessionKey;
		this.expected = expected;
		this.found = found;
	}
}

/** A key or id that any store can tell from every other. INVALID_ARGUMENT for half a character, which has no UTF-8. */
export function storable(text: string): string {
	if (!text.isWellFormed())
		throw invalid(
			`${shown(text)} cannot be a key or an id; it must not have a lone surrogate in it`,
		);
	return text;
}

/** A stored message as it stands in line, without its fate. */
export function queuedOf(message: StoredMessage): QueuedMessage {
	const {
		fate: _fate,
		run: _run,
		reason: _reason,
		kind: _kind,
		...queued
	} = message;
	return queued;
}

/**
 * What readers need. Rows page by key in the order of code points, lines by `order`, all else newest first: runs by generation, and in
 * it by when they were first written. A key or id with half a character in it (a lone surrogate) is never found. INVALID_ARGUMENT for a
 * limit that is none and a cursor that no page of the same kind gave; STORE_FAILED once it is disposed, which may be done twice.
 */
export interface StoreReader extends AsyncDisposable {
	/** Null for a key that was never written. Throws UnreadableSession. */
	load(sessionKey: string): Promise<LoadedSession | null>;
	/** The version of a key's row; 0 if there is none. */
	version(sessionKey: string): Promise<number>;
	message(sessionKey: string, messageId: string): Promise<StoredMessage | null>;
	/** Every kept attempt of a run id, on this key or, without one, on all, newest first. */
	runsNamed(runId: string, sessionKey?: string): Promise<readonly RunFacts[]>;
	/** Hidden rows and rows that cannot be read are left out. */
	list(query: ListQuery): Promise<Page<RowFacts>>;
	generations(
		sessionKey: string,
		query: PageQuery,
	): Promise<Page<ArchivedGeneration>>;
	generation(
		sessionKey: string,
		generation: number,
	): Promise<ArchivedGeneration | null>;
	runs(
		sessionKey: string,
		query: PageQuery & { readonly generation?: number | undefined },
	): Promise<Page<RunFacts>>;
	/** Entries that are not hidden: newest generation first, and in each by `seq`, newest first. */
	transcript(
		sessionKey: string,
		query: TranscriptQuery,
	): Promise<Page<TranscriptEntry>>;
	refusals(
		query: PageQuery & { readonly sessionKey?: string | undefined },
	): Promise<Page<StoredRefusal>>;
}

/** A store in the hands of its one owner. Disposing it gives the ownership up. */
export interface OpenStore extends StoreReader {
	/**
	 * All of the batch or nothing. Throws VersionConflict where a row is not at its base version, STORE_FAILED otherwise; after a
	 * throw the caller reads versions back to learn what holds, because a commit may fail after it took effect.
	 */
	commit(batch: Batch): Promise<void>;
	/** Keys with a live or draining run, a generation whose host has not finished with it, or messages that wait; by an index and not by a scan. */
	unsettled(query: PageQuery): Promise<Page<string>>;
	/** Erases at most `limit` records (runs, entries, messages, generations, refusals), the oldest first, in one transaction of its own. Moves no version. */
	prune(rule: PruneRule, limit: number): Promise<Pruned>;
}

/**
 * A store that has not been opened: what `createSessionRuntime` is given. `rowOf` of `turnkeeper/machines` makes the row of what a reader loads.
 *
 * @example const runtime = createSessionRuntime({ store: sqliteStore("sessions.db") });
 */
export interface SessionStore {
	/** Takes ownership. STORE_LOCKED if somebody else owns it, with that owner's name in the message; STORE_VERSION if it was written by a newer version. */
	open(owner: { readonly name: string }): Promise<OpenStore>;
	/** Reads while somebody else may own it. STORE_VERSION also for an older file that its owner has not migrated yet. */
	read(): Promise<StoreReader>;
}
