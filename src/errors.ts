/** Owns the errors that callers see: one class, told apart by `code`. */
import type { StopCause } from "../machines/ticket.ts";

/** What kind of error it is; stable, where messages are not. The README says when each comes. */
export type ErrorCode =
	| "SESSION_BUSY"
	| "MAILBOX_FULL"
	| "STALE_RUN"
	| "STALE_EXPECTATION"
	| "WAIT_TIMEOUT"
	| "INVALID_ARGUMENT"
	| "INVALID_INPUT"
	| "STORE_FAILED"
	| "STORE_LOCKED"
	| "STORE_CORRUPT"
	| "STORE_VERSION"
	| "RUNTIME_CLOSED"
	| "RUN_ABORTED"
	| "CONTEXT_OVERFLOW"
	| "RATE_LIMITED"
	| "STREAM_DROPPED"
	| "MODEL_FAILED"
	| "GATEWAY_FAILED";

/**
 * Every error that turnkeeper throws. The message names the thing, its value, and what would have been right.
 *
 * @example catch (error) { if (error instanceof TurnkeeperError && error.code === "SESSION_BUSY") … }
 */
export class TurnkeeperError extends Error {
	readonly code: ErrorCode;

	constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = "TurnkeeperError";
		this.code = code;
	}
}

/** The reason of a run's aborted signal. `name` is 'AbortError', as abort-aware libraries expect. */
export class RunAborted extends TurnkeeperError {
	readonly by: StopCause;

	constructor(by: StopCause, reason: string | null) {
		super(
			"RUN_ABORTED",
			`the run was told to stop by ${by}${reason ? `: ${reason}` : ""}`,
		);
		this.name = "AbortError";
		this.by = by;
	}
}

/** The text of anything that can be thrown. Never throws itself. */
export function errorText(thrown: unknown): string {
	try {
		const said =
			thrown instanceof Error ? thrown.message || thrown.name : thrown;
		return typeof said === "string"
			? said
			: (JSON.stringify(said) ?? String(said));
	} catch {
		return "an error that cannot be shown";
	}
}

/** Whether something thrown says that work was aborted. Never throws itself. */
export function isAbort(thrown: unknown): boolean {
	try {
		return (thrown as { name?: unknown } | null)?.name === "AbortError";
	} catch {
		return false;
	}
}
