/** Owns how errors of SQLite and of the file system are told: which code, and in which words. */
import { errorText, TurnkeeperError } from "../errors.ts";

/** Result codes of SQLite: https://www.sqlite.org/rescode.html */
const result = {
	busy: 5,
	locked: 6,
	readOnly: 8,
	corrupt: 11,
	full: 13,
	cannotOpen: 14,
	notDatabase: 26,
} as const;

/** SQLite's primary result code, or null if the error is not SQLite's. */
function codeOf(error: unknown): number | null {
	if (!(error instanceof Error) || !("errcode" in error)) return null;
	return typeof error.errcode === "number" ? error.errcode & 0xff : null;
}

/** Whether somebody else holds a lock. */
export function isBusy(error: unknown): boolean {
	const code = codeOf(error);
	return code === result.busy || code === result.locked;
}

/** Whether SQLite found the file damaged, or no database at all. */
export function isDamage(error: unknown): boolean {
	const code = codeOf(error);
	return code === result.corrupt || code === result.notDatabase;
}

function isForbidden(error: unknown): boolean {
	const code = codeOf(error);
	if (code === result.readOnly || code === result.cannotOpen) return true;
	return (
		error instanceof Error &&
		"code" in error &&
		["EACCES", "EPERM", "EROFS"].includes(String(error.code))
	);
}

/**
 * What an attempt on a store's file failed with, as callers see it. An error that is told already stays as it is.
 *
 * @example throw storeFailure("/data/sessions.db", "opened", error)
 */
export function storeFailure(
	path: string,
	attempt: "found" | "opened" | "read" | "written" | "owned",
	error: unknown,
): TurnkeeperError {
	if (error instanceof TurnkeeperError) return error;
	const told = (code: TurnkeeperError["code"], why: string | null) => {
		const text =
			why === null ? errorText(error) : `${why} (${errorText(error)})`;
		return new TurnkeeperError(
			code,
			`the store ${path} cannot be ${attempt}: ${text}`,
			{ cause: error },
		);
	};
	if (isDamage(error) && attempt !== "written")
		return told(
			"STORE_CORRUPT",
			"the file is damaged or is no SQLite database; restore it from a copy",
		);
	if (isBusy(error))
		return told("STORE_FAILED", "another program holds a lock on the file");
	if (codeOf(error) === result.full)
		return told("STORE_FAILED", "the disk is full");
	if (isForbidden(error))
		return told(
			"STORE_FAILED",
			attempt === "read"
				? "a reader needs to read the file, and to write to its folder unless a host has the store open"
				: "an owner needs to write to the file and to its folder",
		);
	return told("STORE_FAILED", null);
}

/** What is asked of a store after it was closed. */
export function closedError(path: string): TurnkeeperError {
	return new TurnkeeperError(
		"STORE_FAILED",
		`the store ${path} is closed; open it again`,
	);
}

/** A record that was found and cannot be read. */
export function damaged(
	path: string,
	name: string,
	cause: unknown,
): TurnkeeperError {
	return new TurnkeeperError(
		"STORE_CORRUPT",
		`${name} in the store ${path} cannot be read: ${errorText(cause)}`,
		{ cause },
	);
}
