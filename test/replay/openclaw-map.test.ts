import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { map } from "turnkeeper/maps/openclaw";
import { describe, expect, test } from "vitest";
import { openStream } from "../../src/replay/lines.ts";
import { collect } from "./collect.ts";

const folder = join(import.meta.dirname, "..", "recorded", "openclaw");

async function mapped(frames: readonly object[]) {
	const text = frames.map((frame) => JSON.stringify(frame)).join("\n");
	const stream = openStream([text], map);
	const lines = await collect(stream.lines);
	expect(stream.badLines).toEqual([]);
	return lines.map(({ value }) => value);
}

const command = (at: number, id: string, method: string, params: object) => ({
	at,
	kind: "command",
	id,
	method,
	params,
});
const answer = (at: number, id: string, rest: object) => ({
	at,
	kind: "answer",
	id,
	ok: true,
	...rest,
});
const lifecycle = (at: number, runId: string, rest: object) => ({
	at,
	kind: "lifecycle",
	runId,
	sessionKey: "k",
	...rest,
});

describe("the map for OpenClaw recordings", () => {
	test("a send is accepted at its command, though a report comes before its answer", async () => {
		const lines = await mapped([
			command(1, "c1", "sessions.create", { key: "k" }),
			answer(2, "c1", { sessionId: "s1" }),
			command(3, "c2", "sessions.send", { key: "k", message: "hello" }),
			lifecycle(4, "r1", { phase: "start", startedAt: 4 }),
			answer(5, "c2", { runId: "r1" }),
			lifecycle(6, "r1", { phase: "end", endedAt: 6, aborted: false }),
		]);
		expect(lines).toStrictEqual([
			{
				at: 3,
				type: "accepted",
				sessionKey: "k",
				runId: "r1",
				sessionId: "s1",
			},
			{ at: 4, type: "start", runId: "r1", sessionKey: "k", startedAt: 4 },
			{ at: 6, type: "end", runId: "r1", sessionKey: "k", endedAt: 6 },
		]);
	});

	test("a steer and a chat send are accepted too; one without a run or with a failed answer is not", async () => {
		const lines = await mapped([
			command(1, "c1", "sessions.steer", { key: "k" }),
			answer(1, "c1", { runId: "r1" }),
			command(2, "c2", "chat.send", { sessionKey: "k" }),
			answer(2, "c2", { runId: "r2" }),
			command(3, "c3", "sessions.send", { key: "k" }),
			answer(3, "c3", { status: "steered" }),
			command(4, "c4", "sessions.send", { key: "k" }),
			answer(4, "c4", { ok: false, runId: "r4", error: "busy" }),
			command(5, "c5", "sessions.send", { key: "k" }),
		]);
		expect(lines).toStrictEqual([
			{ at: 1, type: "accepted", sessionKey: "k", runId: "r1" },
			{ at: 2, type: "accepted", sessionKey: "k", runId: "r2" },
		]);
	});

	test("a reset's session id counts from its command on", async () => {
		const lines = await mapped([
			command(1, "c1", "sessions.create", { key: "k" }),
			command(2, "c2", "sessions.send", { key: "k" }),
			command(3, "c3", "sessions.reset", { key: "k", reason: "new" }),
			command(4, "c4", "sessions.send", { key: "k" }),
			answer(5, "c4", { runId: "r2" }),
			answer(6, "c3", { row: { sessionId: "s2" } }),
			answer(7, "c2", { runId: "r1" }),
			answer(8, "c1", { sessionId: "s1" }),
		]);
		expect(lines).toStrictEqual([
			{
				at: 2,
				type: "accepted",
				sessionKey: "k",
				runId: "r1",
				sessionId: "s1",
			},
			{ at: 3, type: "reset", sessionKey: "k", sessionId: "s2", reason: "new" },
			{
				at: 4,
				type: "accepted",
				sessionKey: "k",
				runId: "r2",
				sessionId: "s2",
			},
		]);
	});

	test("an abort and a delete are lines of their own; after a delete no session id is known", async () => {
		const lines = await mapped([
			command(1, "c1", "sessions.create", { key: "k" }),
			answer(1, "c1", { sessionId: "s1" }),
			command(2, "c2", "sessions.abort", { key: "k" }),
			answer(2, "c2", {}),
			command(3, "c3", "sessions.delete", { key: "k" }),
			answer(3, "c3", {}),
			command(4, "c4", "sessions.send", { key: "k" }),
			answer(4, "c4", { runId: "r" }),
		]);
		expect(lines).toStrictEqual([
			{ at: 2, type: "abort", sessionKey: "k" },
			{ at: 3, type: "delete", sessionKey: "k" },
			{ at: 4, type: "accepted", sessionKey: "k", runId: "r" },
		]);
	});

	test("an aborted terminal is an aborted end, whichever phase it has; other phases are progress", async () => {
		const lines = await mapped([
			lifecycle(1, "r", { phase: "end", aborted: true, endedAt: 1 }),
			lifecycle(2, "r", { phase: "error", aborted: true, error: "x" }),
			lifecycle(3, "r", { phase: "error", aborted: false, error: "x" }),
			lifecycle(4, "r", { phase: "finishing" }),
			{ at: 5, kind: "mark", note: "now" },
			{ at: 6, kind: "chat", runId: "r", state: "final" },
			{ at: 7, kind: "row", reason: "delete", row: {} },
		]);
		const own = { runId: "r", sessionKey: "k" };
		expect(lines).toStrictEqual([
			{ at: 1, type: "end", ...own, outcome: "aborted", endedAt: 1 },
			{ at: 2, type: "end", ...own, outcome: "aborted" },
			{ at: 3, type: "error", ...own, error: "x" },
		]);
	});

	test("a lost answer does not hold the stream back for ever", async () => {
		const frames = [
			command(0, "lost", "sessions.send", { key: "k" }),
			...Array.from({ length: 12_000 }, (_, at) =>
				lifecycle(at, "r", { phase: "start" }),
			),
		];
		let given = 0;
		let firstAfter = 0;
		const source = async function* () {
			for (const value of frames) {
				given += 1;
				yield { line: given, value };
			}
		};
		let count = 0;
		for await (const _ of map(source())) {
			firstAfter ||= given;
			count += 1;
		}
		expect(count).toBe(12_000);
		expect(firstAfter).toBeLessThan(11_000);
	});

	test("a frame that misses what it needs is a bad line of its own number", async () => {
		const frames = [
			7,
			{ at: 1, kind: "lifecycle", phase: "start" },
			lifecycle(2, "r", { phase: "start" }),
		];
		const stream = openStream(
			[frames.map((frame) => JSON.stringify(frame)).join("\n")],
			map,
		);
		expect(await collect(stream.lines)).toHaveLength(1);
		expect(stream.badLines).toEqual([
			{ line: 2, problem: "line 2: a start needs runId, a string" },
		]);
	});

	test.each(readdirSync(folder))("%s maps without a bad line", async (name) => {
		const stream = openStream([readFileSync(join(folder, name))], map);
		const lines = await collect(stream.lines);
		expect(stream.badLines).toEqual([]);
		expect(lines.length).toBeGreaterThan(5);
		const numbers = lines.map(({ line }) => line);
		expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
	});
});
