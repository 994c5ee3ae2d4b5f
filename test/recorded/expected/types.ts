// What a replay of one recorded stream must give.

export type Outcome =
	| "completed"
	| "failed"
	| "aborted"
	| "timeout"
	| "abandoned";

export type Status = "idle" | "running" | "resetting" | "ended" | "failed";

// How many reports (start, end, error) got which verdict.
export interface ExpectedReports {
	readonly applied: number;
	readonly archived: number;
	readonly duplicate: number;
	readonly unknown: number;
	readonly refused: number;
}

// A session that is visible at the end of the stream.
export interface ExpectedRow {
	readonly sessionKey: string;
	readonly sessionId: string | null;
	readonly generation: number;
	readonly status: Status;
	readonly hasActiveRun: boolean;
	readonly lastOutcome: Outcome | null;
	readonly lastError: string | null;
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	readonly runtimeMs: number | null;
}

// A run or a reservation. One that never started has neither outcome nor times.
export interface ExpectedRun {
	readonly sessionKey: string;
	readonly generation: number;
	readonly runId: string;
	readonly sessionId: string | null;
	readonly outcome: Outcome | null;
	readonly stoppedBy: "abort" | "reset" | "delete" | null;
	readonly error: string | null;
	readonly startedAt: number | null;
	readonly endedAt: number | null;
}

// A generation that a reset or a delete ended.
export interface ExpectedArchive {
	readonly sessionKey: string;
	readonly generation: number;
	readonly endedBy: "reset" | "delete";
	readonly sessionIds: readonly string[];
}

export interface Expectation {
	readonly reports: ExpectedReports;
	// Sorted by session key.
	readonly rows: readonly ExpectedRow[];
	// Of all generations; of one key in the order of admission.
	readonly runs: readonly ExpectedRun[];
	// Oldest first.
	readonly archive: readonly ExpectedArchive[];
	// Rows of the host whose own status and hasActiveRun contradict each other.
	readonly hostRowsAtOdds: number;
}
