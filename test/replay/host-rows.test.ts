import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { oddsOf } from "../../src/replay/host-rows.ts";
import { openStream, type StreamLine } from "../../src/replay/lines.ts";
import { replay } from "../../src/replay/replay.ts";

type Unkeyed<T> = T extends unknown ? Omit<T, "sessionKey" | "at"> : never;

/** Replays lines of session "k", each with its offset in ms, and answers with what it says of the host's rows. */
async function judge(...lines: [number, Unkeyed<StreamLine>][]) {
	const text = lines
		.map(([at, line]) => JSON.stringify({ sessionKey: "k", at, ...line }))
		.join("\n");
	const stream = openStream([text]);
	const found = await replay(stream, memoryStore());
	expect(found.badLines).toEqual([]);
	return found;
}

const accepted = (runId = "r1") => ({ type: "accepted", runId }) as const;
const start = (runId = "r1") => ({ type: "start", runId }) as const;
const end = (runId = "r1") => ({ type: "end", runId }) as const;
const error = (runId = "r1") => ({ type: "error", runId, error: "x" }) as const;
const row = (status?: string, hasActiveRun?: boolean, sessionId?: string) =>
	({ type: "row", row: { status, hasActiveRun, sessionId } }) as const;

describe("a row contradicts itself", () => {
	test.each([
		[undefined, true, "it has an active run and no status"],
		["done", true, "it has an active run and status done"],
		["running", false, "it has status running and no active run"],
		["running", true, null],
		["running", undefined, null],
		["done", false, null],
		["done", undefined, null],
		[undefined, false, null],
		[undefined, undefined, null],
	])("status %s, active run %s: %s", (status, hasActiveRun, odds) => {
		expect(oddsOf({ status, hasActiveRun })).toBe(odds);
	});

	test("and is counted, with what the runs say beside it", async () => {
		const found = await judge(
			[1000, accepted()],
			[1100, start()],
			[1500, error()],
			[2079, row("running", false)],
			[2080, row("failed", false)],
		);
		expect(found.hostRowsAtOdds).toBe(1);
		expect(found.hostRows).toBe(2);
		expect(found.contradictions).toEqual([
			"+1.079 s  k: contradicts itself: it has status running and no active run; run r1 had failed 0.58 s before",
		]);
	});
});

describe("a row that says running", () => {
	test("is true while a run is accepted, live or draining", async () => {
		const found = await judge(
			[0, accepted()],
			[1, row("running", true)],
			[2, start()],
			[3, row("running", true)],
			[4, { type: "reset" }],
			[5, row("running", true)],
			[6, end()],
		);
		expect(found.contradictions).toEqual([]);
	});

	test("is false once the run has ended", async () => {
		const found = await judge(
			[0, accepted("b305f98b-7a16-487f-a5f5-dbd415f77475")],
			[700, start("b305f98b-7a16-487f-a5f5-dbd415f77475")],
			[1000, error("b305f98b-7a16-487f-a5f5-dbd415f77475")],
			[1400, row("running")],
		);
		expect(found.contradictions).toEqual([
			"+1.400 s  k: says running, but run b305f98b had failed 0.40 s before",
		]);
		expect(found.hostRowsAtOdds).toBe(0);
	});

	test("is false after a reset that nothing followed, and true again when a run is accepted", async () => {
		const found = await judge(
			[0, accepted()],
			[1, start()],
			[10, { type: "reset" }],
			[20, end()],
			[2010, row("running")],
			[2020, accepted("r2")],
			[2030, row("running")],
		);
		expect(found.contradictions).toEqual([
			"+2.010 s  k: says running, but no run has been accepted since the reset 2.0 s before",
		]);
	});

	test("is false where no run was ever accepted", async () => {
		const found = await judge(
			[0, row("running", true)],
			[1, { type: "reset" }],
			[2, row("running", true)],
			[3, { type: "delete" }],
			[4, row("running", true)],
		);
		expect(found.contradictions).toEqual([
			"+0.000 s  k: says running, but no run has been accepted for it (×2, until +0.002 s)",
			"+0.004 s  k: says running, but no run has been accepted since the delete 1 ms before",
		]);
	});

	test("is not judged while a run that nobody accepted says it runs", async () => {
		const found = await judge(
			[0, accepted()],
			[1, start()],
			[2, end()],
			[3, start("own")],
			[4, row("running", true)],
			[5, error("own")],
			[6, row("failed", false)],
			[7, row("running", true)],
		);
		expect(found.contradictions).toEqual([
			"+0.007 s  k: says running, but run r1 had completed 5 ms before",
		]);
	});

	test("is judged by the generation whose session id it carries", async () => {
		const found = await judge(
			[0, { ...accepted(), sessionId: "s1" }],
			[1, start()],
			[2, { type: "reset", sessionId: "s2" }],
			[3, end()],
			[4, row("done", false, "s1")],
			[5, row("running", true, "s1")],
			[6, row("done", false, "s2")],
			[7, row(undefined, false, "s2")],
		);
		expect(found.contradictions).toEqual([
			"+0.005 s  k: says running, but run r1 had been aborted 2 ms before",
			"+0.006 s  k: says done, but no run has ended since the reset 4 ms before",
		]);
	});

	test("is false after the grace period, though nothing was reported", async () => {
		const found = await judge(
			[0, accepted()],
			[1, start()],
			[1000, { type: "reset" }],
			[5999, row("running")],
			[7000, row("running")],
		);
		expect(found.contradictions).toEqual([
			"+7.000 s  k: says running, but no run has been accepted since the reset 6.0 s before",
		]);
	});
});

describe("a row that says how it ended", () => {
	test("is false while a run is live", async () => {
		const found = await judge(
			[0, accepted()],
			[100, start()],
			[950, row("done", false)],
			[960, row(undefined, false)],
			[965, { type: "abort", runId: "another" }],
			[966, row(undefined, false)],
			[970, { type: "abort" }],
			[980, row("killed", false)],
			[990, end()],
			[1000, row("killed", false)],
		);
		expect(found.contradictions).toEqual([
			"+0.950 s  k: says done, but run r1 has been running for 0.85 s",
			"+0.960 s  k: says that no run is active, but run r1 has been running for 0.86 s (×2, until +0.966 s)",
			"+0.980 s  k: says killed, but run r1, told to stop 0.01 s before, has not settled",
		]);
	});

	test("is false if the last run ended otherwise; a stopped run did not fail, whatever else it is called", async () => {
		const found = await judge(
			[0, accepted()],
			[1, start()],
			[2, end()],
			[3, row("failed", false)],
			[4, accepted("r2")],
			[5, start("r2")],
			[6, { type: "abort" }],
			[7, error("r2")],
			[8, row("timeout", false)],
			[9, row("done", false)],
			[10, row("failed", false)],
		);
		expect(found.contradictions).toEqual([
			"+0.003 s  k: says failed, but run r1 had completed 1 ms before",
			"+0.010 s  k: says failed, but run r2 had been aborted 3 ms before",
		]);
	});

	test("is false where no run has ended; words of the host's own claim nothing", async () => {
		const found = await judge(
			[0, accepted()],
			[1, row("done", false)],
			[2, row("pondering", false)],
		);
		expect(found.contradictions).toEqual([
			"+0.001 s  k: says done, but no run has ended in it",
		]);
	});
});

test("the same contradiction in rows in a row is said once; a true row between them divides", async () => {
	const found = await judge(
		[0, accepted()],
		[1, start()],
		[2, end()],
		[3, row("running")],
		[4, row("running")],
		[5, row("done")],
		[6, row("running")],
	);
	expect(found.contradictions).toEqual([
		"+0.003 s  k: says running, but run r1 had completed 1 ms before (×2, until +0.004 s)",
		"+0.006 s  k: says running, but run r1 had completed 4 ms before",
	]);
});
