/** Owns the identity of a run. No clock is part of it. */

/**
 * Who owns a run. Plain JSON: it may cross a process boundary and come back.
 *
 * @example { sessionKey: "telegram:42", sessionId: "a1…", generation: 3, runId: "r9…", attempt: 1 }
 */
export interface RunTicket {
	readonly sessionKey: string;
	/** The session id this run writes to. Changes only when the run itself rotates it; any id of its lineage matches. */
	readonly sessionId: string;
	/** 1, 2, 3 … per session key; never reused, also not after delete, purge and re-creation. */
	readonly generation: number;
	readonly runId: string;
	/** 1 for the first try of this run id on this key; +1 each time it is tried again. */
	readonly attempt: number;
}

/**
 * How a run ended. `timeout`: by `runTimeoutMs`, or its host says so. `interrupted`: its host died, closed or fell silent.
 * `abandoned`: told to stop, it had not settled when its grace period was over.
 */
export type RunOutcome =
	| "completed"
	| "failed"
	| "aborted"
	| "timeout"
	| "interrupted"
	| "abandoned";

/** Why a run was told to stop. */
export type StopCause =
	| "reset"
	| "expiry"
	| "delete"
	| "abort"
	/** A newer message took its place (`interrupt`, `rollback`). */
	| "interrupt"
	| "timeout"
	| "shutdown"
	/** The run that it is attached to was stopped, or settled. */
	| "parent";

/** One string for one ticket, for use as a map key; the session id is left out because a run may rotate it. */
export function ticketId(
	ticket: Pick<RunTicket, "sessionKey" | "generation" | "runId" | "attempt">,
): string {
	return `${ticket.generation}.${ticket.attempt}.${ticket.runId}@${ticket.sessionKey}`;
}
