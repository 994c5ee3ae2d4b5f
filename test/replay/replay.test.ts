import type { SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { openStream } from "../../src/replay/lines.ts";
import { replay } from "../../src/replay/replay.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";

function run(lines: readonly (object | string)[], store: SessionStore) {
	const text = lines
		.map((line) => (typeof line === "string" ? line : JSON.stringify(line)))
		.join("\n");
	return replay(openStream([text]), store, { history: true });
}

const k = { sessionKey: "k" };

describe.each(storeKinds)("a replay on %s", (_, makeStore) => {
	test("takes lines in their order and at their times", async () => {
		const { rows, runs, reports } = await run(
			[
				{ at: 10, type: "accepted", ...k, runId: "r1", sessionId: "s1" },
				{ at: 20, type: "start", runId: "r1" },
				{
					at: 30,
					type: "end",
					runId: "r1",
					usage: { inputTokens: 3, outputTokens: 4 },
				},
			],
			makeStore(),
		);
		expect(reports.applied).toBe(2);
		expect(rows).toMatchObject([
			{
				...k,
				sessionId: "s1",
				status: "ended",
				startedAt: 20,
				endedAt: 30,
				runtimeMs: 10,
				totalTokens: 7,
				createdAt: 10,
				updatedAt: 30,
			},
		]);
		expect(runs).toHaveLength(1);
	});

	test("does not let a reset hold up the lines behind it", async () => {
		const { rows, runs, reports } = await run(
			[
				{ at: 0, type: "accepted", ...k, runId: "r1" },
				{ at: 1, type: "start", runId: "r1" },
				{ at: 2, type: "reset", ...k, reason: "/new" },
				{ at: 2, type: "accepted", ...k, runId: "r2" },
				{ at: 2, type: "start", runId: "r2" },
				{ at: 3, type: "error", runId: "r1", error: "stopped" },
				{ at: 4, type: "start", runId: "r2" },
			],
			makeStore(),
		);
		expect(reports).toEqual({
			applied: 2,
			archived: 1,
			duplicate: 0,
			unknown: 0,
			refused: 1,
		});
		expect(rows).toMatchObject([
			{ generation: 2, status: "running", activeRun: { runId: "r2" } },
		]);
		expect(runs).toMatchObject([
			{ runId: "r2", outcome: null, startedAt: 4 },
			{ runId: "r1", outcome: "aborted", stoppedBy: "reset" },
		]);
	});

	test("ends a grace period at its own time, before the line that comes after it", async () => {
		const { rows, runs, archive, reports } = await run(
			[
				{ at: 1000, type: "accepted", ...k, runId: "r1" },
				{ at: 1001, type: "start", runId: "r1" },
				{ at: 2000, type: "reset", ...k },
				{ at: 90_000, type: "end", runId: "r1" },
			],
			makeStore(),
		);
		expect(runs).toMatchObject([{ outcome: "abandoned", endedAt: 7000 }]);
		expect(archive[0]?.runs).toMatchObject([{ outcome: "abandoned" }]);
		expect(rows).toMatchObject([{ status: "idle", updatedAt: 7000 }]);
		expect(reports.duplicate).toBe(1);
	});

	test("shows what stands after the last line, before anything is closed", async () => {
		const lines = [
			{ at: 0, type: "accepted", ...k, runId: "r1" },
			{ at: 1, type: "start", runId: "r1" },
		];
		const live = await run(lines, makeStore());
		expect(live.rows).toMatchObject([{ status: "running", updatedAt: 1 }]);
		const draining = await run(
			[...lines, { at: 2, type: "reset", ...k }],
			makeStore(),
		);
		expect(draining.rows).toMatchObject([{ status: "resetting", draining: 1 }]);
		const stopping = await run(
			[...lines, { at: 2, type: "abort", ...k }],
			makeStore(),
		);
		expect(stopping.rows).toMatchObject([{ status: "running" }]);
		expect(stopping.runs).toMatchObject([
			{ stoppedBy: "abort", outcome: null },
		]);
		const deleted = await run(
			[...lines, { at: 2, type: "delete", ...k, reason: "gone" }],
			makeStore(),
		);
		expect(deleted.rows).toEqual([]);
		expect(deleted.archive).toMatchObject([
			{ endedBy: "delete", reason: "gone" },
		]);
	});

	test("an abort of another run than the live one does nothing", async () => {
		const { runs } = await run(
			[
				{ at: 0, type: "accepted", ...k, runId: "r1" },
				{ at: 1, type: "start", runId: "r1" },
				{ at: 2, type: "abort", ...k, runId: "r0" },
				{ at: 3, type: "end", runId: "r1" },
			],
			makeStore(),
		);
		expect(runs).toMatchObject([{ outcome: "completed", stoppedBy: null }]);
	});

	test("says each verdict with its reason, ids left out so that equal ones count together", async () => {
		const { reports, reasons } = await run(
			[
				{ at: 0, type: "accepted", ...k, runId: "r1" },
				{ at: 0, type: "accepted", ...k, runId: "r2" },
				{ at: 1, type: "start", runId: "r1" },
				{ at: 1, type: "start", runId: "r2" },
				{ at: 1, type: "start", runId: "r1", generation: 7 },
				{ at: 2, type: "end", runId: "r1" },
				{ at: 2, type: "end", runId: "r1" },
				{ at: 2, type: "end", runId: "r9" },
				{ at: 2, type: "end", runId: "r8" },
			],
			makeStore(),
		);
		expect(reports).toEqual({
			applied: 2,
			archived: 0,
			duplicate: 1,
			unknown: 2,
			refused: 2,
		});
		expect(reasons.applied).toEqual({
			"reserved run became live": 1,
			"run is live": 1,
		});
		expect(reasons.refused).toMatchObject({
			"run is only reserved and another run is live": 1,
		});
		expect(reasons.duplicate).toEqual({ "run had settled: completed": 1 });
		expect(Object.values(reasons.unknown)).toEqual([2]);
	});

	test("has its rows by key, and only those that the stream touched", async () => {
		const keys = ["b", "__proto__", "a", "🦉", "it's /odd/"];
		const store = makeStore();
		await run([{ at: 0, type: "reset", sessionKey: "before" }], store);
		const { rows } = await run(
			keys.map((sessionKey, at) => ({ at, type: "reset", sessionKey })),
			store,
		);
		expect(rows.map(({ sessionKey }) => sessionKey)).toEqual(keys.toSorted());
	});

	test("goes back in no time: a line of an earlier time is taken at the latest", async () => {
		const { rows } = await run(
			[
				{ at: 100, type: "reset", ...k },
				{ at: 50, type: "reset", ...k },
			],
			makeStore(),
		);
		expect(rows).toMatchObject([{ createdAt: 100, updatedAt: 100 }]);
	});
});

test("a bad line is left out and said, and nothing else is lost", async () => {
	const { rows, reports, badLines } = await run(
		[
			{ at: 0, type: "accepted", ...k, runId: "r1" },
			'{"at":1,"type":"sta',
			{ at: 2, type: "reset", sessionKey: "x".repeat(5000) },
			{ at: 3, type: "end", runId: "r1" },
		],
		memoryStore(),
	);
	expect(rows).toMatchObject([{ status: "ended" }]);
	expect(reports.applied).toBe(1);
	expect(badLines).toEqual([
		{ line: 2, problem: expect.stringMatching(/^line 2 is not JSON/) },
		{
			line: 3,
			problem: "line 3: sessionKey has 5000 bytes; it may have 4096",
		},
	]);
});

test("an empty stream is a replay with nothing in it", async () => {
	const found = await run([], memoryStore());
	expect(found).toMatchObject({ rows: [], lines: 0, contradictions: [] });
});

test("streams replayed into one file come one after another", async () => {
	const file = temporaryFile();
	await run(
		[
			{ at: 0, type: "accepted", ...k, runId: "r1" },
			{ at: 1, type: "start", runId: "r1" },
		],
		sqliteStore(file),
	);
	const second = await run(
		[
			{ at: 2, type: "accepted", ...k, runId: "r2" },
			{ at: 3, type: "end", runId: "r2" },
		],
		sqliteStore(file),
	);
	expect(second.runs).toMatchObject([
		{ runId: "r2", outcome: "completed" },
		{ runId: "r1", outcome: "interrupted" },
	]);
});

test("a store that fails ends the replay with its error, and is given back", async () => {
	const inner = memoryStore();
	const store = new FaultyStore(inner);
	const lines = [
		{ at: 0, type: "accepted", ...k, runId: "r1" },
		{ at: 1, type: "start", runId: "r1" },
		{ at: 2, type: "reset", ...k },
		{ at: 3, type: "end", runId: "r1" },
	];
	store.beforeCommit = () => {
		store.broken = store.commits > 2;
	};
	await expect(run(lines, store)).rejects.toMatchObject({
		code: "STORE_FAILED",
	});
	const after = await run([{ at: 9, type: "reset", ...k }], inner);
	expect(after.rows).toMatchObject([{ status: "idle", generation: 2 }]);
});
