/** Owns `turnkeeper sessions`: what a store file says now, and of one session. Reads beside the host that owns the file. */
import type { SessionRow, SessionStatus } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { readArchive, readList, readRow } from "../reader.ts";
import { count, shortId, when } from "../replay/words.ts";
import type { StoreReader } from "../store.ts";
import {
	type Command,
	CommandError,
	needDb,
	readArguments,
	UsageError,
	wholeNumber,
} from "./command.ts";
import { openReader } from "./files.ts";
import { paint, print, printJson } from "./output.ts";
import { table } from "./table.ts";

const statuses = [
	"idle",
	"running",
	"waiting",
	"resetting",
	"ended",
	"failed",
] as const;
const largestPage = 1000;

const help = `usage: turnkeeper sessions list [--status STATUS] [--prefix PREFIX] [--limit N] --db FILE [--json]
       turnkeeper sessions show KEY --db FILE [--json]
       turnkeeper sessions archive KEY [--limit N] --db FILE [--json]

Reads a store file, also while a host owns it.

  list           the sessions, by key
  show KEY       one session as committed
  archive KEY    the generations of a session that ended, newest first

  --status STATUS   only those that are ${statuses.join(", ")}; several separated by commas
  --prefix PREFIX   only keys that begin so
  --limit N         at most so many; 100 unless told
  --db FILE         the store file
  --json            one JSON object: {"sessions":[…],"more"}, {"session"} or {"archive":[…],"more"}`;

const common = {
	db: { type: "string" },
	json: { type: "boolean", default: false },
} as const;
const limited = { ...common, limit: { type: "string" } } as const;

const actions: Readonly<
	Record<string, (args: readonly string[]) => Promise<number>>
> = { list, show, archive };

export const sessionsCommand: Command = {
	summary: "list sessions, show one, or show its archive",
	help,
	async run([action = "", ...args]) {
		const run = Object.hasOwn(actions, action) ? actions[action] : undefined;
		if (run) return run(args);
		const known = Object.keys(actions).join(", ");
		throw new UsageError(
			action === ""
				? `what to do is missing; it can be ${known}`
				: `${JSON.stringify(action)} is no action on sessions; it can be ${known}`,
		);
	},
};

async function list(args: readonly string[]): Promise<number> {
	const { values } = readArguments(
		args,
		{
			...limited,
			status: { type: "string" },
			prefix: { type: "string" },
		},
		[],
	);
	const file = needDb(values.db);
	const limit = wholeNumber(values.limit, "--limit", 100);
	const filter = {
		status: values.status === undefined ? undefined : statusesOf(values.status),
		prefix: values.prefix,
	};
	await using store = await openReader(file);
	const { items, more } = await firstOf(limit, (page) =>
		readList<JsonValue>(store, { ...filter, ...page }),
	);
	if (values.json) printJson({ sessions: items, more });
	else if (items.length === 0) print("no session");
	else print(listTable(items) + (more ? "\nthere are more; see --limit" : ""));
	return 0;
}

async function show(args: readonly string[]): Promise<number> {
	const { values, positionals } = readArguments(args, common, ["KEY"]);
	const [key = ""] = positionals;
	const file = needDb(values.db);
	await using store = await openReader(file);
	const row = await readRow(store, key);
	if (!row) throw await absent(store, key, file);
	if (values.json) printJson({ session: row });
	else
		print(
			table(Object.entries(row).map(([name, value]) => fieldOf(name, value))),
		);
	return 0;
}

async function archive(args: readonly string[]): Promise<number> {
	const { values, positionals } = readArguments(args, limited, ["KEY"]);
	const [key = ""] = positionals;
	const file = needDb(values.db);
	const limit = wholeNumber(values.limit, "--limit", 100);
	await using store = await openReader(file);
	const { items, more } = await firstOf(limit, (page) =>
		readArchive(store, key, page),
	);
	if (items.length === 0 && (await store.version(key)) === 0)
		throw await absent(store, key, file);
	if (values.json) printJson({ archive: items, more });
	else if (items.length === 0) print("no generation has ended");
	else
		print(
			table(
				items.map((ended) => [
					ended.generation,
					ended.endedBy,
					when(ended.endedAt),
					ended.row.status,
					ended.row.lastOutcome,
					count(ended.runs.length, "run"),
					ended.sessionIds.map(shortId).join(", "),
					ended.reason,
				]),
				{
					head: [
						"generation",
						"ended by",
						"at",
						"status",
						"outcome",
						"runs",
						"session ids",
						"reason",
					],
					right: [0],
				},
			) + (more ? "\nthere are more; see --limit" : ""),
		);
	return 0;
}

/** Pages until there are enough. */
async function firstOf<T>(
	limit: number,
	read: (page: {
		limit: number;
		cursor?: string | undefined;
	}) => Promise<{ items: readonly T[]; cursor: string | null }>,
): Promise<{ items: T[]; more: boolean }> {
	const items: T[] = [];
	let cursor: string | null | undefined;
	while (cursor !== null && items.length < limit) {
		const page = await read({
			limit: Math.min(largestPage, limit - items.length),
			cursor,
		});
		items.push(...page.items);
		cursor = page.cursor;
	}
	return { items, more: cursor !== null };
}

function statusesOf(value: string): SessionStatus[] {
	return value.split(",").map((part) => {
		const status = statuses.find((known) => known === part.trim());
		if (status) return status;
		throw new UsageError(
			`--status is ${JSON.stringify(part)}; it must be one of ${statuses.join(", ")}`,
		);
	});
}

/** What to say of a session that is not there. */
export async function absent(
	store: StoreReader,
	key: string,
	file: string,
): Promise<CommandError> {
	const name = JSON.stringify(key);
	return new CommandError(
		(await store.version(key)) > 0
			? `session ${name} is deleted; turnkeeper why tells what is left of it`
			: `no session ${name} was ever used in ${file}; turnkeeper sessions list --db ${file} shows those that are`,
	);
}

const colours = {
	idle: "gray",
	running: "green",
	waiting: "cyan",
	resetting: "yellow",
	ended: "reset",
	failed: "red",
} as const satisfies Record<SessionStatus, string>;

function listTable(rows: readonly SessionRow[]): string {
	const text = table(
		rows.map((row) => [
			row.sessionKey,
			row.status,
			row.generation,
			row.lastOutcome,
			row.queued,
			row.draining,
			row.totalTokens,
			when(row.updatedAt),
		]),
		{
			head: [
				"session",
				"status",
				"generation",
				"outcome",
				"queued",
				"draining",
				"tokens",
				"updated",
			],
			right: [2, 4, 5, 6],
		},
	);
	const [head = "", ...lines] = text.split("\n");
	const painted = lines.map((line, at) => {
		const status = rows[at]?.status ?? "idle";
		return paint(colours[status], line);
	});
	return [paint("bold", head), ...painted].join("\n");
}

function fieldOf(name: string, value: unknown): [string, string | null] {
	const isTime = typeof value === "number" && /[a-z]At$/.test(name);
	if (value === null) return [name, null];
	if (isTime) return [name, `${when(value)} (${value})`];
	return [name, typeof value === "string" ? value : JSON.stringify(value)];
}
