/** Owns the form of a history: which calls were made on session keys, when, and what each was told. Plain data, of whatever engine. */
import type { OverlapMode } from "../../machines/events.ts";
import type { Expectation, SessionRow } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { LifecycleReport, VerdictKind } from "../../machines/report.ts";
import type {
	RunOutcome,
	RunTicket,
	StopCause,
} from "../../machines/ticket.ts";

/** A row as far as it is known; what is left out is not checked, and times never are. Null: no such session. */
export type HistoryRow = Partial<SessionRow> | null;

/** A run that is over, as far as it is known. */
export type HistoryRun = Pick<RunTicket, "runId"> & {
	readonly attempt?: number;
	readonly outcome?: RunOutcome | null;
	readonly stoppedBy?: StopCause | null;
};

/** As `Answer` of the runtime. */
export type HistoryAnswer =
	| {
			readonly result: "done";
			readonly row?: HistoryRow;
			readonly report?: {
				readonly ended?: {
					readonly generation: number;
					readonly endedBy?: "reset" | "expiry" | "delete";
				} | null;
				readonly drained?: readonly HistoryRun[];
				readonly abandoned?: readonly HistoryRun[];
				readonly removed?: readonly string[];
			} | null;
	  }
	| {
			readonly result: "stale";
			readonly row?: HistoryRow;
			readonly mismatch?: keyof Expectation;
	  }
	| { readonly result: "nothing"; readonly row?: HistoryRow };

interface StopArguments {
	readonly reason?: string | undefined;
	readonly graceMs?: number | undefined;
	readonly queued?: "keep" | "drop" | undefined;
	readonly messageId?: string | undefined;
	readonly expect?: Expectation | undefined;
}

interface OfRun {
	readonly ticket: RunTicket;
}

/** What can be called, with what it is given and what it can be told. */
export interface HistoryCalls {
	send: {
		readonly given: {
			readonly input: JsonValue;
			readonly messageId?: string | undefined;
			readonly overlap?: OverlapMode | undefined;
			readonly reset?: boolean | undefined;
			readonly meta?: JsonValue | undefined;
			readonly expect?: Expectation | undefined;
		};
		readonly told: {
			readonly disposition: "started" | "queued" | "steered" | "duplicate";
			readonly messageId: string;
			readonly ticket?: RunTicket | null;
			readonly row?: HistoryRow;
		};
	};
	admit: {
		readonly given: {
			readonly runId?: string | undefined;
			readonly sessionId?: string | undefined;
			readonly reserve?: boolean | undefined;
			readonly meta?: JsonValue | undefined;
			readonly expect?: Expectation | undefined;
		};
		readonly told: { readonly ticket: RunTicket };
	};
	/** Also `start`, `end` and `fail` of an admitted run. */
	report: {
		readonly given: LifecycleReport;
		readonly told: {
			readonly verdict: VerdictKind;
			readonly ticket?: RunTicket | null;
			readonly row?: HistoryRow;
		};
	};
	reset: {
		readonly given: StopArguments & {
			readonly sessionId?: string | undefined;
			readonly meta?: JsonValue | undefined;
		};
		readonly told: HistoryAnswer;
	};
	abort: { readonly given: StopArguments; readonly told: HistoryAnswer };
	delete: {
		readonly given: StopArguments & { readonly purge?: boolean | undefined };
		readonly told: HistoryAnswer;
	};
	patch: {
		readonly given: {
			readonly meta: JsonValue;
			readonly expect?: Expectation | undefined;
		};
		readonly told: HistoryAnswer;
	};
	resume: {
		readonly given: {
			readonly ticket: Pick<RunTicket, "generation" | "runId">;
			readonly name: string;
			readonly value: JsonValue;
		};
		readonly told: HistoryAnswer;
	};
	"queue.update": {
		readonly given: {
			readonly messageId: string;
			readonly input?: JsonValue | undefined;
			readonly before?: string | null | undefined;
		};
		readonly told: HistoryAnswer;
	};
	"queue.remove": {
		readonly given: { readonly messageId: string };
		readonly told: HistoryAnswer;
	};
	get: {
		readonly given: Readonly<Record<never, never>>;
		readonly told: HistoryRow;
	};
	"run.append": {
		readonly given: OfRun & { readonly entry: JsonValue };
		readonly told: null;
	};
	"run.rotate": {
		readonly given: OfRun & { readonly sessionId?: string | undefined };
		readonly told: RunTicket;
	};
	"run.waitFor": {
		readonly given: OfRun & { readonly name: string };
		readonly told: JsonValue;
	};
	"run.deliver": {
		readonly given: OfRun & { readonly name: string };
		readonly told: JsonValue;
	};
	/** Told null once it is known to count. */
	"run.usage": {
		readonly given: OfRun & {
			readonly inputTokens?: number | undefined;
			readonly outputTokens?: number | undefined;
		};
		readonly told: null;
	};
	// What is not called but happens.
	/** An executor was called: this run exists, it has these messages, and it begins but once. */
	"run.began": {
		readonly given: OfRun & { readonly messageIds?: readonly string[] };
		readonly told: null;
	};
	/** An executor came to its end; told how its run settled. */
	"run.ended": {
		readonly given: OfRun & {
			readonly outcome: "completed" | "failed";
			readonly error?: string | undefined;
		};
		readonly told: {
			readonly outcome: RunOutcome;
			readonly stoppedBy?: StopCause | null;
		};
	};
	/** The grace period of a run was over before the run was. */
	"run.overdue": { readonly given: OfRun; readonly told: null };
	/** The host of a run let it go without an end. */
	"run.released": { readonly given: OfRun; readonly told: null };
	/** A process that died was followed by another: what ran is settled, and the line goes on. */
	restart: {
		readonly given: Readonly<Record<never, never>>;
		readonly told: null;
	};
}

/** What every call has. */
export interface HistoryTimes {
	readonly key: string;
	/** When it was called: any number that grows, such as a count of calls and answers. */
	readonly invokedAt: number;
	/** When it was answered. Null: never, so that it may have taken effect at any time since, or not at all. */
	readonly answeredAt: number | null;
	/**
	 * The code of the error that it was told. 'STORE_FAILED': nothing of it holds. A call with neither `told` nor `error` may have taken
	 * effect or not: its process died, or nobody knows whether its commit holds.
	 */
	readonly error?: string;
}

/**
 * One call of a history.
 *
 * @example { key: "a", call: "patch", given: { meta: { n: 1 } }, invokedAt: 3, answeredAt: 5, told: { result: "done", row: { version: 2 } } }
 */
export type HistoryCall = {
	[Name in keyof HistoryCalls]: HistoryTimes & {
		readonly call: Name;
		readonly given: HistoryCalls[Name]["given"];
		readonly told?: HistoryCalls[Name]["told"];
	};
}[keyof HistoryCalls];
