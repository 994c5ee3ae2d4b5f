/**
 * Owns how the command line gets at files: a store to read beside its owner, a file to read from its beginning to its end. Never
 * creates one to read it.
 */
import { createReadStream, type Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { sqliteStore } from "../sqlite.ts";
import type { StoreReader } from "../store.ts";
import { CommandError } from "./command.ts";
import type { Progress } from "./progress.ts";

/**
 * A reader of a store file, whoever owns it.
 *
 * @example await using store = await openReader("sessions.db");
 */
export async function openReader(file: string): Promise<StoreReader> {
	await statOf(file);
	return sqliteStore(file).read();
}

/**
 * The size in bytes of a file that is to be read from its beginning to its end.
 *
 * @throws CommandError if there is none, or if it is a folder
 */
export async function sizeOf(file: string): Promise<number> {
	const found = await statOf(file);
	if (found.isDirectory())
		throw new CommandError(`${file} is a folder; it must be a file`);
	return found.size;
}

/** A file in pieces; the bar is told of each that was used. */
export async function* chunksOf(
	file: string,
	bar: Progress,
): AsyncGenerator<Uint8Array> {
	try {
		for await (const chunk of createReadStream(file)) {
			yield chunk;
			bar.advance(chunk.length);
		}
	} catch (error) {
		throw fileError(file, error);
	}
}

async function statOf(file: string): Promise<Stats> {
	try {
		return await stat(file);
	} catch (error) {
		throw fileError(file, error);
	}
}

const problems: Readonly<Record<string, string>> = {
	ENOENT: "there is no such file",
	ENOTDIR: "a part of its path is not a folder",
	EACCES: "the permission is missing",
	EPERM: "the permission is missing",
	EISDIR: "it is a folder",
	ENOSPC: "the disk is full",
	EROFS: "the file system is read-only",
};

/** What the file system said, with the file that it is about. */
export function fileError(file: string, error: unknown): CommandError {
	const { code, message } = error as NodeJS.ErrnoException;
	const why = code === undefined ? message : (problems[code] ?? code);
	return new CommandError(`${file}: ${why}`, { cause: error });
}
