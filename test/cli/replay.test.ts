import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { expectedOld } from "../recorded/expected/old.ts";
import { temporaryFile } from "../support/stores.ts";
import { startOwner } from "./beside.ts";
import {
	failure,
	turnkeeper,
	turnkeeperHere,
	turnkeeperJson,
} from "./turnkeeper.ts";

const recorded = join(import.meta.dirname, "..", "recorded", "openclaw");
const normal = join(recorded, "old-normal.jsonl");
const lateEvent = join(recorded, "old-plugin-late-harness-event.jsonl");

function file(name: string, ...lines: (object | string)[]): string {
	const path = temporaryFile(name);
	const text = lines.map((line) =>
		typeof line === "string" ? line : JSON.stringify(line),
	);
	writeFileSync(path, `${text.join("\n")}\n`);
	return path;
}

const own = () =>
	file(
		"own.jsonl",
		{ at: 1000, type: "accepted", sessionKey: "k", runId: "r1" },
		{ at: 1001, type: "start", runId: "r1" },
		{ at: 1500, type: "error", runId: "r1", error: "no\u001b[2J model" },
		{ at: 1500, type: "end", runId: "r1" },
		{ at: 2000, type: "row", sessionKey: "k", row: { status: "running" } },
	);

describe("turnkeeper replay", () => {
	test("--json prints exactly one object, the promised fields first", async () => {
		const { code, stdout, stderr } = await turnkeeper([
			"replay",
			normal,
			"--map",
			"openclaw",
			"--json",
		]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(stdout.indexOf("\n")).toBe(stdout.length - 1);
		const { streams } = JSON.parse(stdout);
		expect(Object.keys(streams[0])).toEqual([
			"stream",
			"reports",
			"rows",
			"rowsAtOdds",
			"hostRowsAtOdds",
			"reasons",
			"contradictions",
			"badLines",
		]);
		expect(streams).toMatchObject([
			{
				stream: "old-normal",
				reports: {
					applied: 2,
					archived: 0,
					duplicate: 0,
					unknown: 0,
					refused: 0,
				},
				rows: expectedOld["old-normal"]?.rows,
				rowsAtOdds: 0,
				hostRowsAtOdds: 1,
				reasons: { applied: { "run is live": 1 } },
				contradictions: [
					"+0.395 s  agent:main:lab-normal-mws0xglo: contradicts itself: it has an active run and no status",
				],
				badLines: [],
			},
		]);
	});

	test("tells the same to people: verdicts with reasons, rows, and the host's rows in sentences", async () => {
		const { code, stdout, stderr } = await turnkeeperHere([
			"replay",
			lateEvent,
			normal,
			"--map",
			"openclaw",
		]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(stdout).toContain(`old-plugin-late-harness-event

  reports       why
  applied    9
                7 × reserved run became live
                2 × run is live
  archived   5  its generation has ended; filed in its archive
  duplicate  5  run had settled: aborted
  unknown    0
  refused    0
`);
		expect(stdout).toMatch(/^ {2}agent:main:plug-late-end +idle +2 /m);
		expect(stdout).toContain(
			"  the host published 37 rows: 8 at odds with themselves, 5 with the runs\n",
		);
		expect(stdout).toContain(
			"  +47.492 s  agent:main:plug-late-start: says running, but no run has been accepted since the reset 1.1 s before\n",
		);
		const table = stdout.slice(stdout.lastIndexOf("stream "));
		expect(table).toMatch(
			/^stream +applied .* rows at odds +host rows at odds$/m,
		);
		expect(table).toMatch(
			/^old-plugin-late-harness-event +9 +5 +5 +0 +0 +4 +0 +8$/m,
		);
		expect(table).toMatch(/^old-normal +2 +0 +0 +0 +0 +1 +0 +1$/m);
	});

	test("reads its own format without a map, and shows nothing that a terminal would obey", async () => {
		const { stdout } = await turnkeeperHere(["replay", own()]);
		expect(stdout).toContain("no\\u001b[2J model");
		expect(stdout).not.toContain("\u001b");
		expect(stdout).toContain(
			"the host published 1 row: 0 at odds with themselves, 1 with the runs\n",
		);
		expect(stdout).not.toContain("stream ");
	});

	test("each file is a stream of its own in memory; with --db all are in one file, one after another", async () => {
		const first = file(
			"first.jsonl",
			{ at: 1, type: "accepted", sessionKey: "k", runId: "r1" },
			{ at: 2, type: "start", runId: "r1" },
		);
		const second = file(
			"second.jsonl",
			{ at: 3, type: "reset", sessionKey: "k" },
			{ at: 4, type: "end", runId: "r1" },
		);
		type Answer = { streams: { reports: object; rows: object[] }[] };
		const apart = await turnkeeperJson<Answer>(["replay", first, second]);
		expect(apart.streams).toMatchObject([
			{ rows: [{ status: "running" }] },
			{ reports: { unknown: 1 }, rows: [{ generation: 1 }] },
		]);
		const db = temporaryFile();
		const together = await turnkeeperJson<Answer>([
			"replay",
			first,
			second,
			"--db",
			db,
		]);
		expect(together.streams).toMatchObject([
			{ rows: [{ status: "running" }] },
			{ reports: { duplicate: 1 }, rows: [{ generation: 2 }] },
		]);
		const { session } = await turnkeeperJson<{ session: object }>([
			"sessions",
			"show",
			"k",
			"--db",
			db,
		]);
		expect(session).toMatchObject({ generation: 2, status: "idle" });
	});

	test("bad lines are left out with a warning for each file, and the rest is replayed", async () => {
		const path = file(
			"bad.jsonl",
			{ at: 1, type: "accepted", sessionKey: "k", runId: "r1" },
			'{"at":2,"type":"st',
			{ at: 3, type: "began", runId: "r1" },
			{ at: 4, type: "start", runId: "r1" },
		);
		const { code, stdout, stderr } = await turnkeeperHere([
			"replay",
			path,
			"--json",
		]);
		expect(code).toBe(0);
		expect(stderr).toMatch(
			/^turnkeeper: .*bad\.jsonl: 2 lines were left out; the first: line 2 is not JSON .*\n$/,
		);
		expect(JSON.parse(stdout).streams).toMatchObject([
			{
				reports: { applied: 1 },
				badLines: [
					{ line: 2, problem: expect.stringContaining("is not JSON") },
					{
						line: 3,
						problem: expect.stringMatching(
							/^line 3: type is "began"; it must be one of accepted, /,
						),
					},
				],
			},
		]);
		const told = await turnkeeperHere(["replay", path]);
		expect(told.stdout).toContain("left out: line 3: type is");
	});

	test("a map of one's own is a path, in TypeScript if need be, or a package", async () => {
		const log = file("log.jsonl", { t: 1, ev: "new", chat: "c" });
		const folder = dirname(log);
		writeFileSync(
			join(folder, "map.ts"),
			`export async function* map(source: AsyncIterable<{ line: number; value: { t: number; chat: string } }>) {
				for await (const { line, value } of source) yield { line, at: value.t, type: "reset", sessionKey: value.chat };
			}`,
		);
		for (const name of ["map.ts", "./map.ts", join(folder, "map.ts")]) {
			const { stdout, stderr } = await turnkeeper(
				["replay", "log.jsonl", "--map", name, "--json"],
				{ cwd: folder },
			);
			expect(stderr).toBe("");
			expect(JSON.parse(stdout).streams).toMatchObject([
				{ rows: [{ sessionKey: "c" }] },
			]);
		}
		const named = await turnkeeperHere([
			"replay",
			normal,
			"--map",
			"turnkeeper/maps/openclaw",
		]);
		expect(named.code).toBe(0);
	});

	test("a map that is not there, exports no map, or throws is an error", async () => {
		const path = own();
		const bare = join(dirname(path), "bare.mjs");
		writeFileSync(bare, "export const mapp = 1;");
		const broken = join(dirname(path), "broken.mjs");
		writeFileSync(
			broken,
			"export async function* map(source) { for await (const _ of source) throw new Error('line\\nfeed'); }",
		);
		const replay = (map: string) =>
			turnkeeperHere(["replay", path, "--map", map]);
		expect(await replay("./none.mjs")).toEqual(
			failure(1, "there is no map ./none.mjs"),
		);
		expect(await replay("no-such-package")).toEqual(
			failure(
				1,
				"the map no-such-package cannot be loaded: Cannot find module 'no-such-package'",
			),
		);
		expect(await replay(bare)).toEqual(
			failure(
				1,
				`the map ${bare} exports mapp; it must export a function named map`,
			),
		);
		expect(await replay(broken)).toEqual(
			failure(1, `the map ${broken} failed on ${path}: line\\nfeed`),
		);
	});

	test("a store file that somebody owns, or that is none, is an error", async () => {
		const db = temporaryFile();
		const owner = await startOwner(db);
		expect(await turnkeeperHere(["replay", own(), "--db", db])).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringMatching(/^turnkeeper: .*own.*\n$/),
		});
		await owner.close();
		const none = temporaryFile();
		writeFileSync(none, "this is no database, however long it may be");
		expect(await turnkeeperHere(["replay", own(), "--db", none])).toMatchObject(
			{
				code: 1,
				stdout: "",
				stderr: expect.stringMatching(/^turnkeeper: .*\n$/),
			},
		);
	});
});
