/**
 * Owns `turnkeeper backup`: a copy of a store file as it is at one moment, made beside the host that owns it. The copy appears under its
 * name only when it is whole; what stood there before stays until then.
 */
import { existsSync } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { count } from "../replay/words.ts";
import {
	type Command,
	CommandError,
	needDb,
	readArguments,
} from "./command.ts";
import { fileError, openReader } from "./files.ts";
import { print, printable, printJson } from "./output.ts";
import { Progress } from "./progress.ts";

const help = `usage: turnkeeper backup FILE --db FILE [--force] [--json]

Copies a store file as it is now, also while a host owns it and writes to it. The copy is a store file like any other.

  FILE        where the copy goes; it must not exist
  --force     replace it if it does
  --db FILE   the store file to copy
  --json      one JSON object: {"file", "bytes", "pages"}`;

export const backupCommand: Command = {
	summary: "copy a store file, also beside its owner",
	help,
	async run(args) {
		const { values, positionals } = readArguments(
			args,
			{
				db: { type: "string" },
				force: { type: "boolean", default: false },
				json: { type: "boolean", default: false },
			},
			["FILE"],
		);
		const [file = ""] = positionals;
		const db = needDb(values.db);
		// Says what is wrong with a file that is no store.
		await (await openReader(db))[Symbol.asyncDispose]();
		await checkTarget(file, db, values.force);
		const pages = await copy(db, file);
		const { size: bytes } = await stat(file);
		if (values.json) printJson({ file, bytes, pages });
		else print(`${printable(file)}: ${count(bytes, "byte")}`);
		return 0;
	},
};

async function checkTarget(
	file: string,
	db: string,
	force: boolean,
): Promise<void> {
	if (!existsSync(file)) return;
	const [target, source] = [await stat(file), await stat(db)];
	if (target.isDirectory())
		throw new CommandError(`${file} is a folder; it must be a file`);
	if (target.ino === source.ino && target.dev === source.dev)
		throw new CommandError(
			`${file} is the store file itself; the copy needs another name`,
		);
	if (!force) throw new CommandError(`${file} exists; --force replaces it`);
}

async function copy(db: string, file: string): Promise<number> {
	const unfinished = `${file}.${process.pid}.unfinished`;
	const bar = new Progress("backup", 1);
	try {
		// Made first, so that a place that cannot be written to is told by the file system.
		await (await open(unfinished, "wx")).close();
		const pages = await copyPages(db, unfinished, bar);
		await flush(unfinished);
		await rename(unfinished, file);
		return pages;
	} catch (error) {
		await rm(unfinished, { force: true });
		if ((error as NodeJS.ErrnoException).code === "ENOENT")
			throw new CommandError(`${file}: there is no folder ${dirname(file)}`);
		throw "errcode" in (error as object)
			? new CommandError(`${file}: ${(error as Error).message}`, {
					cause: error,
				})
			: fileError(file, error);
	} finally {
		bar.done();
	}
}

async function copyPages(
	db: string,
	file: string,
	bar: Progress,
): Promise<number> {
	const source = new DatabaseSync(db, { readOnly: true, timeout: 5000 });
	try {
		// One snapshot from the first page to the last; without it, every commit of the owner would begin the copy anew.
		source.exec("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1");
		let total = 1;
		const pages = await backup(source, file, {
			rate: 1000,
			progress: ({ totalPages, remainingPages }) => {
				total = Math.max(1, totalPages);
				bar.reach((totalPages - remainingPages) / total);
			},
		});
		return pages;
	} finally {
		source.close();
	}
}

async function flush(file: string): Promise<void> {
	const handle = await open(file, "r+");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}
