import { describe, expect, test } from "vitest";
import {
	openStream,
	parseLine,
	reportOf,
	type StreamLine,
	type StreamMap,
} from "../../src/replay/lines.ts";
import { collect } from "./collect.ts";

function problemOf(value: unknown): string {
	const result = parseLine(value);
	return "problem" in result ? result.problem : "";
}

function lineOf(value: unknown): StreamLine {
	const result = parseLine(value);
	if ("problem" in result) throw new Error(result.problem);
	return result.value;
}

async function readAll(text: string, map?: StreamMap) {
	const stream = openStream([text], map);
	const lines = await collect(stream.lines);
	return { lines, badLines: stream.badLines };
}

const run = { at: 5, runId: "r1" };

describe("a line of the own format", () => {
	const whole: StreamLine[] = [
		{ at: 1, type: "accepted", sessionKey: "k", runId: "r", sessionId: "s" },
		{
			at: 2,
			type: "start",
			runId: "r",
			sessionKey: "k",
			sessionId: "s",
			generation: 3,
			attempt: 2,
			startedAt: 1,
		},
		{
			at: 3,
			type: "end",
			runId: "r",
			outcome: "timeout",
			startedAt: 1,
			endedAt: 2,
			usage: { inputTokens: 0, outputTokens: 7 },
		},
		{ at: 4, type: "error", runId: "r", error: "", endedAt: 3 },
		{ at: 5, type: "reset", sessionKey: "k", sessionId: "s", reason: "/new" },
		{ at: 6, type: "abort", sessionKey: "k", runId: "r", reason: "/stop" },
		{ at: 7, type: "delete", sessionKey: "k", reason: "gone" },
		{
			at: 8,
			type: "row",
			sessionKey: "k",
			row: {
				status: "done",
				hasActiveRun: false,
				sessionId: "s",
				startedAt: 1,
				endedAt: 2,
			},
		},
	];

	test.each(whole.map((line) => [line.type, line] as const))(
		"%s is taken as it stands",
		(_, line) => {
			expect(lineOf(line)).toStrictEqual(line);
			expect(lineOf(JSON.parse(JSON.stringify(line)))).toEqual(line);
		},
	);

	test("null counts as absent and unknown fields are ignored", () => {
		const line = lineOf({
			...run,
			type: "start",
			startedAt: null,
			sessionId: null,
			seq: 9,
		});
		expect(line).toStrictEqual({ ...run, type: "start" });
	});

	test("keys may be anything that a session key may be", () => {
		for (const sessionKey of ["__proto__", "'\"/\\", "🦉", "constructor"])
			expect(lineOf({ at: 1, type: "delete", sessionKey })).toEqual({
				at: 1,
				type: "delete",
				sessionKey,
			});
	});

	const known = "accepted, start, end, error, reset, abort, delete, row";
	test.each([
		[7, "this is 7; a line must be an object with at and type"],
		[null, "this is null; a line must be an object with at and type"],
		[[1], "this is [1]; a line must be an object with at and type"],
		[{ at: 1 }, `there is no type; it must be one of ${known}`],
		[
			{ at: 1, type: "acepted" },
			`type is "acepted"; it must be one of ${known}`,
		],
		[
			{ at: 1, type: "toString" },
			`type is "toString"; it must be one of ${known}`,
		],
		[{ type: "end", runId: "r" }, "an end needs at, epoch milliseconds"],
		[
			{ at: "2026-01-01", type: "end", runId: "r" },
			'at is "2026-01-01"; it must be epoch milliseconds',
		],
		[
			{ at: -1, type: "end", runId: "r" },
			"at is -1; it must be epoch milliseconds",
		],
		[
			{ at: 1e18, type: "end", runId: "r" },
			"at is 1000000000000000000; it must be epoch milliseconds",
		],
		[{ at: 1, type: "end" }, "an end needs runId, a string"],
		[{ at: 1, type: "reset" }, "a reset needs sessionKey, a string"],
		[
			{ at: 1, type: "reset", sessionKey: "" },
			"sessionKey is empty; it must name something",
		],
		[
			{ at: 1, type: "reset", sessionKey: "a\nb" },
			'sessionKey is "a\\nb"; it must not have control characters',
		],
		[{ ...run, type: "error" }, "an error needs error, a text"],
		[{ ...run, type: "error", error: 7 }, "error is 7; it must be a text"],
		[
			{ ...run, type: "end", outcome: "done" },
			'outcome is "done"; it must be one of completed, aborted, timeout',
		],
		[
			{ ...run, type: "end", generation: 0 },
			"generation is 0; it must be a whole number, 1 or more",
		],
		[
			{ ...run, type: "end", usage: { outputTokens: -1 } },
			"usage.outputTokens is -1; it must be a whole number, 0 or more",
		],
		[{ ...run, type: "end", usage: 7 }, "usage is 7; it must be an object"],
		[{ at: 1, type: "row", sessionKey: "k" }, "a row needs row, an object"],
		[
			{ at: 1, type: "row", sessionKey: "k", row: { hasActiveRun: "no" } },
			'row.hasActiveRun is "no"; it must be true or false',
		],
	])("%j is refused in a sentence", (value, problem) => {
		expect(problemOf(value)).toBe(problem);
	});
});

describe("a stream", () => {
	test("leaves bad lines out, says which, and goes on", async () => {
		const { lines, badLines } = await readAll(
			[
				'{"at":1,"type":"accepted","sessionKey":"k","runId":"r"}',
				'{"at":2,"type":"start"',
				'{"at":3,"type":"start"}',
				'{"at":4,"type":"end","runId":"r"}',
			].join("\n"),
		);
		expect(lines.map(({ line, value }) => [line, value.type])).toEqual([
			[1, "accepted"],
			[4, "end"],
		]);
		expect(badLines.map(({ line }) => line)).toEqual([2, 3]);
		expect(badLines[1]?.problem).toBe("line 3: a start needs runId, a string");
	});

	test("goes through a map, which may read ahead", async () => {
		const map: StreamMap = async function* (source) {
			const held = await collect(source);
			for (const { line, value } of held.toReversed())
				yield { line, at: line, type: "reset", sessionKey: String(value) };
		};
		const { lines } = await readAll('"a"\n\n"b"', map);
		expect(lines).toEqual([
			{ line: 3, value: { at: 3, type: "reset", sessionKey: "b" } },
			{ line: 1, value: { at: 1, type: "reset", sessionKey: "a" } },
		]);
	});

	test("what a map gives is checked, and named by the line that it says or the last that it read", async () => {
		const map = async function* (source: AsyncIterable<unknown>) {
			for await (const _ of source) {
				yield { at: 1, type: "reset" };
				yield { at: 1, type: "reset", line: 77 };
			}
		} as unknown as StreamMap;
		const { lines, badLines } = await readAll("1\nx\n3", map);
		expect(lines).toEqual([]);
		expect(badLines.map(({ line }) => line)).toEqual([1, 77, 2, 3, 77]);
	});
});

test("a report has what its line has, and nothing else", () => {
	const line = lineOf({
		...run,
		type: "end",
		outcome: "aborted",
		usage: { inputTokens: 1 },
	}) as Extract<StreamLine, { type: "end" }>;
	expect(reportOf(line)).toStrictEqual({
		runId: "r1",
		phase: "end",
		outcome: "aborted",
		usage: { inputTokens: 1 },
	});
});
