/** Owns `turnkeeper import`: sessions of an earlier system, one JSON object a line, into a store file that it owns while it works. */
import { notJson } from "../../machines/json.ts";
import {
	checkMs,
	checkName,
	checkTokens,
	invalid,
	shown,
} from "../arguments.ts";
import { createSessionRuntime } from "../embedded.ts";
import { errorText } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { type BadLine, jsonLines } from "../replay/json-lines.ts";
import { count } from "../replay/words.ts";
import type { ImportedSession } from "../runtime.ts";
import { sqliteStore } from "../sqlite.ts";
import { type Command, needDb, readArguments } from "./command.ts";
import { chunksOf, sizeOf } from "./files.ts";
import { complain, print, printable, printJson } from "./output.ts";
import { Progress } from "./progress.ts";

const help = `usage: turnkeeper import FILE --db FILE [--json]

Takes over sessions of an earlier system. Keys that exist already are left alone. No host may own the store file meanwhile.

  FILE        one session a line: {"sessionKey", "sessionId", "meta"?, "usage"? {"inputTokens"?, "outputTokens"?},
              "createdAt"?, "updatedAt"?}, times in epoch ms
  --db FILE   the store file, made if there is none
  --json      one JSON object: {"imported", "skipped": [key…], "badLines": [{"line", "problem"}…]}

A line that cannot be used is left out and said; the exit code is then 1, with everything else imported.`;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export const importCommand: Command = {
	summary: "take over sessions of an earlier system",
	help,
	async run(args) {
		const { values, positionals } = readArguments(
			args,
			{ db: { type: "string" }, json: { type: "boolean", default: false } },
			["FILE"],
		);
		const [file = ""] = positionals;
		const db = needDb(values.db);
		const bar = new Progress("import", await sizeOf(file));
		const badLines: BadLine[] = [];
		const answer = await importFile(file, db, bar, badLines).finally(() =>
			bar.done(),
		);
		badLines.sort((a, b) => a.line - b.line);
		if (values.json) printJson({ ...answer, badLines });
		else print(describe(answer));
		if (badLines.length === 0) return 0;
		if (!values.json)
			for (const { problem } of badLines)
				print(`left out: ${printable(problem)}`);
		const lines = count(badLines.length, "line");
		complain(`${file}: ${lines} left out; the first: ${badLines[0]?.problem}`);
		return 1;
	},
};

async function importFile(
	file: string,
	db: string,
	bar: Progress,
	badLines: BadLine[],
): Promise<{ imported: number; skipped: readonly string[] }> {
	await using runtime = createSessionRuntime({
		store: sqliteStore(db),
		logger: silent,
	});
	await runtime.start();
	return await runtime.import(
		sessionsOf(chunksOf(file, bar), (bad) => badLines.push(bad)),
	);
}

/** The sessions of a file, each checked before the runtime sees it, so that a bad one loses nothing but itself. */
async function* sessionsOf(
	chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
	left: (bad: BadLine) => void,
): AsyncGenerator<ImportedSession> {
	for await (const { line, value } of jsonLines(chunks, left)) {
		let session: ImportedSession;
		try {
			session = sessionFrom(value);
		} catch (error) {
			left({ line, problem: `line ${line}: ${errorText(error)}` });
			continue;
		}
		yield session;
	}
}

function sessionFrom(value: unknown): ImportedSession {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw invalid(
			`this is ${shown(value)}; a session must be an object with sessionKey and sessionId`,
		);
	const given = value as { [Field in keyof ImportedSession]?: unknown };
	checkName(given.sessionKey, "sessionKey");
	checkName(given.sessionId, "sessionId");
	if (given.meta !== undefined && notJson(given.meta, "meta") !== null)
		throw invalid(`meta is ${shown(given.meta)}; it must be JSON`);
	for (const time of ["createdAt", "updatedAt"] as const)
		if (given[time] !== undefined) checkMs(given[time], time);
	if (given.usage !== undefined) checkUsage(given.usage);
	return value as ImportedSession;
}

function checkUsage(usage: unknown): void {
	if (typeof usage !== "object" || usage === null)
		throw invalid(
			`usage is ${shown(usage)}; it must be an object with inputTokens and outputTokens`,
		);
	const given = usage as Readonly<Record<string, unknown>>;
	for (const field of ["inputTokens", "outputTokens"])
		if (given[field] !== undefined && given[field] !== 0)
			checkTokens(given[field], `usage.${field}`);
}

function describe(answer: {
	imported: number;
	skipped: readonly string[];
}): string {
	const lines = [`${count(answer.imported, "session")} imported`];
	if (answer.skipped.length > 0)
		lines.push(
			`${answer.skipped.length} left alone, because they exist already:`,
			...answer.skipped.map((key) => `  ${printable(key)}`),
		);
	return lines.join("\n");
}
