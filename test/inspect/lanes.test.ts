/** What the console's swim-lanes show: where runs drain, and where a late report came in and was filed. */
import type { EmbeddedRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { lanesOf } from "../../src/inspect/page/lanes.ts";
import { axisOf } from "../../src/inspect/page/scale.ts";
import type { WatchedSession } from "../../src/inspect/page/watched.ts";
import { startHost } from "../support/host.ts";

async function shown(
	runtime: EmbeddedRuntime,
	sessionKey: string,
): Promise<WatchedSession> {
	const all = ({ items }: { items: readonly unknown[] }) => ({
		items: items as never[],
		more: false,
	});
	return {
		sessionKey,
		row: await runtime.get(sessionKey),
		state: null,
		transition: null,
		generations: all(await runtime.archive(sessionKey)),
		runs: all(await runtime.runs(sessionKey)),
		refusals: all(await runtime.refusals({ sessionKey })),
		queue: all({ items: [] }),
		transcript: all({ items: [] }),
		waits: [],
	};
}

test("a late error of a run that a reset stopped came in where the new generation was, and is filed with the old one", async () => {
	const { runtime, clock } = await startHost(memoryStore());
	const begin = clock.now();
	const run = await runtime.admit("k", { runId: "r1" });
	await run.start();
	await clock.advance(1000);
	const reset = runtime.reset("k", { reason: "/new" });
	await clock.advance(1000);
	await runtime.report({ runId: "r1", phase: "error", error: "hang up" });
	await reset;
	await clock.advance(1000);
	await runtime.report({ runId: "r1", phase: "error", error: "hang up" });
	const { lanes, events, instants } = lanesOf(
		await shown(runtime, "k"),
		10,
		clock.now(),
	);
	expect(lanes).toMatchObject([
		{ generation: 2, from: begin + 1000, to: null, bars: [] },
		{
			generation: 1,
			from: begin,
			to: begin + 1000,
			endedBy: "reset",
			reason: "/new",
			bars: [
				{
					run: { runId: "r1", outcome: "aborted" },
					from: begin,
					to: begin + 2000,
					drainsFrom: begin + 1000,
				},
			],
		},
	]);
	expect(events).toMatchObject([
		{ verdict: "duplicate", cameIn: 2, owner: 1 },
		{ verdict: "archived", cameIn: 2, owner: 1 },
	]);
	expect(instants).toEqual(instants.toSorted((a, b) => a - b));
	expect([instants[0], instants.at(-1)]).toEqual([begin, begin + 3000]);
});

test("the late end of a run that the runtime executes is drawn as a report would be", async () => {
	const { promise, reject } = Promise.withResolvers<string>();
	const { runtime, clock } = await startHost(memoryStore(), {
		execute: () => promise,
	});
	const { ticket } = await runtime.send("k", "hello");
	await clock.advance(1000);
	const reset = runtime.reset("k");
	await clock.advance(1000);
	expect(lanesOf(await shown(runtime, "k"), 10, clock.now()).events).toEqual(
		[],
	);
	reject(new Error("hang up"));
	await reset;
	const { events } = lanesOf(await shown(runtime, "k"), 10, clock.now());
	expect(events).toMatchObject([
		{
			at: clock.now(),
			verdict: "archived",
			text: `error of run ${ticket?.runId}: archived, generation 1 has ended`,
			cameIn: 2,
			owner: 1,
		},
	]);
});

test("a run that ended in time is no late event, however far ahead its host's clock is", async () => {
	const { runtime, clock } = await startHost(memoryStore());
	const run = await runtime.admit("k", { runId: "r1" });
	await run.start();
	await run.end({ endedAt: clock.now() + 60_000 });
	await clock.advance(1000);
	await runtime.reset("k");
	const { events } = lanesOf(await shown(runtime, "k"), 10, clock.now());
	expect(events).toEqual([]);
});

test("a report of a run that nobody knows came in, and is filed nowhere", async () => {
	const { runtime, clock } = await startHost(memoryStore());
	await runtime.reset("k");
	await clock.advance(10);
	await runtime.report({ runId: "?", sessionKey: "k", phase: "end" });
	const { events } = lanesOf(await shown(runtime, "k"), 10, clock.now());
	expect(events).toMatchObject([
		{ verdict: "unknown", cameIn: 1, owner: null },
	]);
});

test("only the newest lanes are shown, and no event that came in before them", async () => {
	const { runtime, clock } = await startHost(memoryStore());
	await runtime.reset("k");
	await runtime.report({ runId: "?", sessionKey: "k", phase: "end" });
	for (let times = 0; times < 4; times++) {
		await clock.advance(100);
		await runtime.reset("k");
	}
	const session = await shown(runtime, "k");
	const { lanes, events } = lanesOf(session, 2, clock.now());
	expect(lanes.map(({ generation }) => generation)).toEqual([5, 4]);
	expect(events).toEqual([]);
});

describe("the time axis", () => {
	const hour = 3_600_000;

	test("draws what happens to scale and cuts a long pause short", () => {
		const { x, cuts, width } = axisOf(
			[0, 1000, hour, hour + 2000],
			[
				{ from: 0, to: 1000 },
				{ from: hour, to: hour + 2000 },
			],
			1000,
		);
		expect(width).toBe(1000);
		expect(cuts).toMatchObject([{ from: 1000, to: hour }]);
		expect(x(0)).toBe(0);
		expect(x(hour + 2000)).toBeCloseTo(1000);
		// The second run is twice as long.
		expect((x(hour + 2000) - x(hour)) / (x(1000) - x(0))).toBeCloseTo(2);
	});

	test("does not cut a pause that is no longer than what happens around it", () => {
		const { cuts } = axisOf(
			[0, 2000, 3000, 5000],
			[
				{ from: 0, to: 2000 },
				{ from: 3000, to: 5000 },
			],
			1000,
		);
		expect(cuts).toEqual([]);
	});

	test("is wide enough for all that happens", () => {
		const instants = Array.from({ length: 1000 }, (_, at) => at * 10);
		expect(axisOf(instants, [], 100).width).toBeGreaterThan(5000);
	});

	test("holds where nothing has happened, or all at once", () => {
		expect(axisOf([], [], 500).width).toBe(500);
		expect(axisOf([5, 5], [{ from: 5, to: 5 }], 500).x(5)).toBe(0);
	});

	test("names times that lie within what is drawn, in their order", () => {
		const { ticks, width } = axisOf(
			[0, 60_000],
			[{ from: 0, to: 60_000 }],
			900,
		);
		expect(ticks.length).toBeGreaterThan(3);
		const places = ticks.map(({ x }) => x);
		expect(places).toEqual(places.toSorted((a, b) => a - b));
		expect(places.every((place) => place >= 0 && place <= width)).toBe(true);
	});
});
