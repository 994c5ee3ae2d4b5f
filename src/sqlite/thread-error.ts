/** Owns how an error gets from a store's thread to its host: as what it was, with its code, its message, its stack and its cause. */
import { type ErrorCode, errorText, TurnkeeperError } from "../errors.ts";
import {
	type UnreadableRow,
	UnreadableSession,
	VersionConflict,
} from "../store.ts";

type Kind =
	| { readonly is: "unreadable"; readonly row: UnreadableRow }
	| {
			readonly is: "conflict";
			readonly sessionKey: string;
			readonly expected: number;
			readonly found: number;
	  }
	| { readonly is: "told"; readonly code: ErrorCode }
	/** Of SQLite, of Node or of the language. */
	| {
			readonly is: "other";
			readonly name: string;
			/** Such as `code` and `errcode`. */
			readonly facts: Readonly<Record<string, unknown>>;
	  };

/** An error as a message between threads can hold it: of error classes such a message keeps neither ours nor fields of their own. */
export interface CarriedError {
	readonly kind: Kind;
	/** What its message is made of again. */
	readonly text: string;
	readonly stack: string | undefined;
	/** Absent where there is none. */
	readonly cause?: CarriedError;
}

export function carried(thrown: unknown): CarriedError {
	const error = thrown instanceof Error ? thrown : new Error(errorText(thrown));
	return {
		kind: kindOf(error),
		text: error instanceof TurnkeeperError ? error.text : error.message,
		stack: error.stack,
		...("cause" in error ? { cause: carried(error.cause) } : {}),
	};
}

export function restored({ kind, text, stack, cause }: CarriedError): Error {
	const options = cause && { cause: restored(cause) };
	const error = made(kind, text, options);
	if (stack !== undefined) error.stack = stack;
	return error;
}

function kindOf(error: Error): Kind {
	if (error instanceof UnreadableSession)
		return { is: "unreadable", row: error.row };
	if (error instanceof VersionConflict) {
		const { sessionKey, expected, found } = error;
		return { is: "conflict", sessionKey, expected, found };
	}
	if (error instanceof TurnkeeperError) return { is: "told", code: error.code };
	const facts = Object.entries(error).filter(
		([, value]) => typeof value === "string" || typeof value === "number",
	);
	return { is: "other", name: error.name, facts: Object.fromEntries(facts) };
}

function made(kind: Kind, text: string, options?: ErrorOptions): Error {
	switch (kind.is) {
		case "unreadable":
			return new UnreadableSession(kind.row, options?.cause);
		case "conflict":
			return new VersionConflict(kind.sessionKey, kind.expected, kind.found);
		case "told":
			return new TurnkeeperError(kind.code, text, options);
		case "other": {
			const error = new Error(text, options);
			// Not a field that everybody sees, no more than where it came from.
			Object.defineProperty(error, "name", {
				value: kind.name,
				configurable: true,
				writable: true,
			});
			return Object.assign(error, kind.facts);
		}
	}
}
