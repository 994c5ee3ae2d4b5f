/** Every recorded stream of a real host, replayed: exactly what was derived by hand beforehand (test/recorded/expected). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { map } from "turnkeeper/maps/openclaw";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { openStream } from "../../src/replay/lines.ts";
import { replay } from "../../src/replay/replay.ts";
import { expectedNew } from "../recorded/expected/new.ts";
import { expectedOld } from "../recorded/expected/old.ts";
import type {
	Expectation,
	ExpectedArchive,
	ExpectedRow,
	ExpectedRun,
} from "../recorded/expected/types.ts";
import { storeKinds } from "../support/stores.ts";

const folder = join(import.meta.dirname, "..", "recorded", "openclaw");
const expected: Readonly<Record<string, Expectation>> = {
	...expectedOld,
	...expectedNew,
};
const names = readdirSync(folder).map((file) => file.replace(/\.jsonl$/, ""));

function linesOf(name: string): string[] {
	const text = readFileSync(join(folder, `${name}.jsonl`), "utf8");
	return text.split("\n").filter((line) => line !== "");
}

function replayLines(lines: readonly string[], store = memoryStore()) {
	return replay(openStream([lines.join("\n")], map), store, { history: true });
}

function isLifecycle(line: string): boolean {
	return JSON.parse(line).kind === "lifecycle";
}

function pick<Item extends object, Field extends keyof Item>(
	item: Item,
	fields: readonly Field[],
): Pick<Item, Field> {
	return Object.fromEntries(
		fields.map((field) => [field, item[field]]),
	) as Pick<Item, Field>;
}

const rowFields = [
	"sessionKey",
	"generation",
	"sessionId",
	"status",
	"hasActiveRun",
	"lastOutcome",
	"lastError",
	"startedAt",
	"endedAt",
	"runtimeMs",
] as const satisfies (keyof ExpectedRow)[];
const runFields = [
	"sessionKey",
	"generation",
	"runId",
	"sessionId",
	"outcome",
	"stoppedBy",
	"error",
	"startedAt",
	"endedAt",
] as const satisfies (keyof ExpectedRun)[];
const archiveFields = [
	"sessionKey",
	"generation",
	"endedBy",
	"sessionIds",
] as const satisfies (keyof ExpectedArchive)[];

/** Runs of one key come newest first, those without an end before all others; the expectation has them by admission. */
const byRun = (
	a: { sessionKey: string; runId: string },
	b: { sessionKey: string; runId: string },
) => a.sessionKey.localeCompare(b.sessionKey) || a.runId.localeCompare(b.runId);

test("there is an expectation for every recorded stream", () => {
	expect(names).toHaveLength(34);
	expect(Object.keys(expected).toSorted()).toEqual(names.toSorted());
});

describe.each(storeKinds)("replayed on %s", (_, makeStore) => {
	test.each(names)("%s gives what was derived by hand", async (name) => {
		const want = expected[name] as Expectation;
		const got = await replayLines(linesOf(name), makeStore());
		expect(got.badLines).toEqual([]);
		expect(got.reports).toEqual(want.reports);
		expect(got.rows.map((row) => pick(row, rowFields))).toEqual(want.rows);
		expect(got.runs.map((run) => pick(run, runFields)).toSorted(byRun)).toEqual(
			want.runs.toSorted(byRun),
		);
		expect(
			got.archive
				.map((ended) => pick(ended, archiveFields))
				.toSorted(
					(a, b) =>
						a.sessionKey.localeCompare(b.sessionKey) ||
						a.generation - b.generation,
				),
		).toEqual(want.archive);
		expect(got.hostRowsAtOdds).toBe(want.hostRowsAtOdds);
		expect(got.rowsAtOdds).toBe(0);
	});
});

describe("the same final rows come", () => {
	test.each(names)(
		"from %s with every lifecycle line said twice",
		async (name) => {
			const lines = linesOf(name);
			const once = await replayLines(lines);
			const twice = await replayLines(
				lines.flatMap((line) => (isLifecycle(line) ? [line, line] : [line])),
			);
			expect(twice.rows).toEqual(once.rows);
			expect(twice.archive).toEqual(once.archive);
			expect(twice.runs).toEqual(once.runs);
		},
	);

	test.each(names)(
		"from %s with all lifecycle lines again at the end",
		async (name) => {
			const lines = linesOf(name);
			const once = await replayLines(lines);
			const again = await replayLines([...lines, ...lines.filter(isLifecycle)]);
			expect(again.rows).toEqual(once.rows);
			expect(again.archive).toEqual(once.archive);
			expect(again.runs).toEqual(once.runs);
		},
	);
});

test("every report that was not applied is kept with its reason", async () => {
	for (const name of names) {
		const { reports, refusals, reasons } = await replayLines(linesOf(name));
		const { applied: _, ...others } = reports;
		for (const [verdict, number] of Object.entries(others))
			expect(refusals.filter((one) => one.verdict === verdict)).toHaveLength(
				number,
			);
		for (const [verdict, number] of Object.entries(reports)) {
			const counted = Object.values(reasons[verdict as keyof typeof reasons]);
			expect(counted.reduce((sum, times) => sum + times, 0)).toBe(number);
		}
	}
});
