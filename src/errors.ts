/** Owns the errors that callers see: one class, told apart by `code`, and how the message of each names the page of its code. */
import type { StopCause } from "../machines/ticket.ts";

/** What kind of error it is; stable, where messages are not. Each has a page: `docs/errors/CODE.md`. */
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
	| "GATEWAY_FAILED"
	| "ENGINE_FAILED"
	| "ENGINE_MISMATCH";

/**
 * Every error that turnkeeper throws. The message names the thing, its value, and what would have been right, and at its end the page of
 * its code.
 *
 * @example catch (error) { if (error instanceof TurnkeeperError && error.code === "SESSION_BUSY") … }
 */
export class TurnkeeperError extends Error {
	readonly code: ErrorCode;

	/** The page is not part of the text: it is added to it. */
	constructor(code: ErrorCode, text: string, options?: ErrorOptions) {
		super(text + namingPage(code), options);
		this.name = "TurnkeeperError";
		this.code = code;
	}

	/** Where it is said what the code means and what to do about it: a file of this package, `docs/errors/CODE.md`. */
	get page(): string {
		return pageOf(this.code);
	}

	/** The message without its page: for a record, for another error's message, and for whoever does not have the package. */
	get text(): string {
		const end = namingPage(this.code);
		const { message } = this;
		return message.endsWith(end) ? message.slice(0, -end.length) : message;
	}
}

function pageOf(code: ErrorCode): string {
	return `docs/errors/${code}.md`;
}

/** How a message ends. */
function namingPage(code: ErrorCode): string {
	return ` (${pageOf(code)})`;
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

/** The text of anything that can be thrown, without the page that a message of ours names. Never throws itself. */
export function errorText(thrown: unknown): string {
	try {
		if (thrown instanceof TurnkeeperError) return thrown.text || thrown.name;
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
