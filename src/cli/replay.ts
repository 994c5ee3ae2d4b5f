/** Owns `turnkeeper replay`: streams in, tables and sentences out. What happens to a stream is the replay's own business. */
import { basename } from "node:path";
import type { SessionRow } from "../../machines/facts.ts";
import type { VerdictKind } from "../../machines/report.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { memoryStore } from "../memory.ts";
import { openStream, type StreamMap } from "../replay/lines.ts";
import { type Replayed, replay } from "../replay/replay.ts";
import { count, shortId, when } from "../replay/words.ts";
import { sqliteStore } from "../sqlite.ts";
import {
	type Command,
	CommandError,
	readArguments,
	UsageError,
} from "./command.ts";
import { chunksOf, sizeOf } from "./files.ts";
import { loadMap } from "./maps.ts";
import { complain, paint, print, printable, printJson } from "./output.ts";
import { Progress } from "./progress.ts";
import { table } from "./table.ts";
import { watch } from "./watch.ts";

interface Stream extends Replayed {
	readonly stream: string;
}

const help = `usage: turnkeeper replay FILE… [--map MODULE] [--db FILE] [--json]
       turnkeeper replay --watch URL [--token TOKEN] [--json]

Feeds recorded lifecycle streams through the runtime, in their order and on their clock, and tells what it made of them: every
report with its verdict, the sessions as they stood at the end, and each row of the recorded host that contradicts itself or the runs.

  FILE           a stream, one JSON object a line; each is replayed on its own
  --map MODULE   turns lines of another format into the replay's own: a path, a package, or openclaw, which is built in
  --db FILE      keep the sessions in this store file, all streams in one, instead of in memory
  --json         one JSON object: {"streams":[{"stream","reports","rows","rowsAtOdds","hostRowsAtOdds","reasons",
                 "contradictions","badLines"}]}

With --watch, each row that a live OpenClaw gateway publishes in contradiction to itself or the runs is told as it comes, until Ctrl-C. The
gateway is only listened to: what it did before is not known, and a session is judged from its next start, end, reset or delete on.

  URL            such as ws://127.0.0.1:18789
  --token TOKEN  the gateway's token; else what OPENCLAW_GATEWAY_TOKEN says
  --json         one JSON object a line: {"contradiction"} each, and in the end {"reports","hostRows","hostRowsAtOdds","hostRowsAgainstRuns"}

A line of the replay's own format has "at" (epoch ms), "type" and:

  accepted   sessionKey, runId, sessionId?
  start      runId, sessionKey?, sessionId?, generation?, attempt?, startedAt?
  end        the same, outcome? (completed, aborted, timeout), endedAt?, usage? {inputTokens?, outputTokens?}
  error      the same without outcome, error
  reset      sessionKey, sessionId? (of the new generation), reason?
  abort      sessionKey, runId?, reason?
  delete     sessionKey, reason?
  row        sessionKey, row {status?, hasActiveRun?, sessionId?, startedAt?, endedAt?}: what the host told its clients

A map module exports map(source): given {line, value} for each JSON value of a file in order, it gives lines of this format, each with
the number of its line. A line that cannot be used is left out and said; the rest is replayed.`;

export const replayCommand: Command = {
	summary: "feed recorded lifecycle streams through the runtime",
	help,
	async run(args) {
		const { values, positionals } = readArguments(
			args,
			{
				map: { type: "string" },
				db: { type: "string" },
				json: { type: "boolean", default: false },
				watch: { type: "boolean", default: false },
				token: { type: "string" },
			},
			["FILE…"],
		);
		if (values.watch) return watch(positionals, values);
		if (values.token !== undefined)
			throw new UsageError("--token goes with --watch");
		if (values.db === "") throw new UsageError("--db is empty");
		const map =
			values.map === undefined ? undefined : await loadMap(values.map);
		const sizes: number[] = [];
		for (const file of positionals) sizes.push(await sizeOf(file));
		const total = sizes.reduce((sum, size) => sum + size, 0);
		const bar = new Progress("replay", total);
		const streams: Stream[] = [];
		try {
			for (const file of positionals) {
				const found = await replayFile(file, map, values, bar);
				bar.hide();
				warn(file, found);
				if (!values.json) print(describe(found));
				streams.push(found);
			}
		} finally {
			bar.done();
		}
		if (values.json) printJson({ streams: streams.map(toJson) });
		else if (streams.length > 1) print(overview(streams));
		return 0;
	},
};

async function replayFile(
	file: string,
	map: StreamMap | undefined,
	values: {
		readonly db?: string | undefined;
		readonly map?: string | undefined;
	},
	bar: Progress,
): Promise<Stream> {
	const store =
		values.db === undefined ? memoryStore() : sqliteStore(values.db);
	const stream = openStream(chunksOf(file, bar), map);
	try {
		const found = await replay(stream, store);
		return { stream: basename(file, ".jsonl"), ...found };
	} catch (error) {
		if (error instanceof TurnkeeperError || error instanceof CommandError)
			throw error;
		if (map)
			throw new CommandError(
				`the map ${values.map} failed on ${file}: ${errorText(error)}`,
				{ cause: error },
			);
		throw error;
	}
}

function warn(file: string, { badLines }: Stream): void {
	if (badLines.length === 0) return;
	const many = badLines.length > 1;
	complain(
		`${file}: ${count(badLines.length, "line")} ${many ? "were" : "was"} left out; ${many ? "the first: " : ""}${badLines[0]?.problem}`,
	);
}

/** The promised fields first; what came later stands behind them. */
function toJson({
	stream,
	reports,
	rows,
	rowsAtOdds,
	hostRowsAtOdds,
	reasons,
	contradictions,
	badLines,
}: Stream) {
	return {
		stream,
		reports,
		rows,
		rowsAtOdds,
		hostRowsAtOdds,
		reasons,
		contradictions,
		badLines,
	};
}

function describe(found: Stream): string {
	const { rows, contradictions, badLines } = found;
	const parts = [
		paint("bold", printable(found.stream)),
		"",
		verdicts(found),
		"",
	];
	parts.push(rows.length > 0 ? rowTable(rows) : "  no session is left", "");
	if (found.rowsAtOdds > 0)
		parts.push(
			`  ${count(found.rowsAtOdds, "row")} of the runtime at odds: this is a bug`,
			"",
		);
	if (found.hostRows > 0) parts.push(`  ${hostRows(found)}`);
	for (const sentence of contradictions) parts.push(`  ${printable(sentence)}`);
	if (found.hostRows > 0) parts.push("");
	for (const { problem } of badLines)
		parts.push(`  left out: ${printable(problem)}`);
	if (badLines.length > 0) parts.push("");
	return parts.join("\n");
}

function verdicts({ reports, reasons }: Stream): string {
	const lines: (string | number)[][] = [];
	for (const [verdict, number] of Object.entries(reports)) {
		const because = Object.entries(reasons[verdict as VerdictKind]);
		because.sort((a, b) => b[1] - a[1]);
		const [first] = because;
		lines.push([
			verdict,
			number,
			because.length === 1 ? (first?.[0] ?? "") : "",
		]);
		if (because.length > 1)
			for (const [reason, times] of because)
				lines.push(["", "", `${times} × ${reason}`]);
	}
	return table(lines, {
		head: ["reports", "", "why"],
		right: [1],
		indent: "  ",
	});
}

function rowTable(rows: readonly SessionRow[]): string {
	return table(
		rows.map((row) => [
			row.sessionKey,
			row.status,
			row.generation,
			shortId(row.sessionId),
			row.lastOutcome,
			row.startedAt === null ? null : when(row.startedAt),
			row.runtimeMs,
			row.lastError,
		]),
		{
			head: [
				"session",
				"status",
				"generation",
				"session id",
				"outcome",
				"started",
				"took ms",
				"error",
			],
			right: [2, 6],
			indent: "  ",
		},
	);
}

function hostRows(found: Stream): string {
	const published = `the host published ${count(found.hostRows, "row")}`;
	return found.contradictions.length === 0
		? `${published}, none at odds with itself or the runs`
		: `${published}: ${found.hostRowsAtOdds} at odds with ${found.hostRowsAtOdds === 1 ? "itself" : "themselves"}, ${found.hostRowsAgainstRuns} with the runs`;
}

function overview(streams: readonly Stream[]): string {
	return table(
		streams.map(({ stream, reports, rows, rowsAtOdds, hostRowsAtOdds }) => [
			stream,
			...Object.values(reports),
			rows.length,
			rowsAtOdds,
			hostRowsAtOdds,
		]),
		{
			head: [
				"stream",
				...Object.keys(streams[0]?.reports ?? {}),
				"rows",
				"rows at odds",
				"host rows at odds",
			],
			right: [1, 2, 3, 4, 5, 6, 7, 8],
		},
	);
}
