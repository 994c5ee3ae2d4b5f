/** The session machine in its small world: every interleaving within bounds, every promise in each state. */
import { sessionMachine } from "turnkeeper/machines";
import { type ExploreOptions, explore, replayTrace } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
import { small } from "../prove/scenes.ts";
import { bothWays } from "../support/both-ways.ts";

type Machine = NonNullable<ExploreOptions["machine"]>;

/** The session machine with one guard that always says the same. */
function withGuard(name: string, says: boolean): Machine {
	const guards = { [name]: () => says };
	return sessionMachine.provide({ guards } as never) as Machine;
}

describe("exploration", () => {
	test.each(small)("exhausts %j", { timeout: 120_000 }, async (scene) => {
		const { violation, isExhausted, summary } = await explore({
			...scene,
			machine: bothWays(),
		});
		expect(violation?.test).toBeUndefined();
		expect(isExhausted).toBe(true);
		expect(summary).toMatch(/^exhausted at \d run.*: [\d,]+ states, /);
	});

	test("says what it came to in numbers that are the same each time", async () => {
		const options = { bounds: { runs: 1, resets: 1 } };
		const [first, second] = [await explore(options), await explore(options)];
		const { states, transitions, depth, facts, open } = first;
		expect(second).toMatchObject({ states, transitions, depth, facts, open });
		expect(first.summary).toMatch(
			/^exhausted at 1 run, 1 reset: \d+ states, \d+ transitions, depth \d+, /,
		);
	});

	test("stops after so many states, and does not say that it is exhausted", async () => {
		const stopped = await explore({
			bounds: { runs: 3, resets: 2, crashes: 2 },
			maxStates: 500,
		});
		expect(stopped).toMatchObject({ isExhausted: false, violation: null });
		expect(stopped.summary).toMatch(/^stopped at /);
	});

	test("refuses a bound that is no number of times", async () => {
		await expect(explore({ bounds: { runs: -1 } })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			text: "bounds.runs is -1; it must be a whole number, 0 or more",
		});
	});
});

describe("a machine with a fault", () => {
	test.each([
		["ownsLiveRun", true, 2],
		["mayAct", false, 1],
		["isTaken", false, 5],
		["isHidden", true, 4],
		["expectsOther", false, 2],
		["hasDrained", false, 3],
		["mayTake", false, "liveness"],
		["reserves", true, 5],
		["ownsDrainingRun", false, "liveness"],
	] as const)(
		"'%s' always %s breaks promise %s",
		async (guard, says, promise) => {
			const machine = withGuard(guard, says);
			const options = { bounds: { runs: 2, resets: 1 }, machine };
			const { violation } = await explore(options);
			expect(violation?.promise).toBe(promise);
		},
	);

	test("is found with the shortest trace, as a test that fails until it is mended", async () => {
		const bounds = { runs: 2, resets: 1 };
		const machine = withGuard("isTaken", false);
		const { violation } = await explore({ bounds, machine });
		const { trace = [], test: file = "", message = "" } = violation ?? {};
		expect(trace.length).toBeGreaterThan(0);
		expect(() => replayTrace({ bounds, machine }, trace)).toThrow(message);
		expect(() => replayTrace({ bounds }, trace)).not.toThrow();
		expect(file).toContain('import { replayTrace } from "turnkeeper/testing";');
		for (const name of trace) expect(file).toContain(JSON.stringify(name));
	});

	test("that never rests is found by what the session does when left to itself", async () => {
		const bounds = { runs: 1, resets: 1 };
		const machine = withGuard("mayTake", false);
		const { violation } = await explore({
			bounds: { ...bounds, runs: 2 },
			machine,
		});
		expect(violation).toMatchObject({
			promise: "liveness",
			message: "left to itself, this session never comes to rest",
		});
		expect(() =>
			replayTrace(
				{ bounds: { ...bounds, runs: 2 }, machine },
				violation?.trace ?? [],
			),
		).toThrow("never comes to rest");
	});
});

describe("a trace", () => {
	test("that cannot be played says which move cannot happen, and what can", () => {
		const options = { bounds: { runs: 1 }, modes: ["enqueue"] as const };
		expect(() => replayTrace(options, ["send enqueue", "reset"])).toThrow(
			'move 2 of the trace is "reset", which cannot happen there; what can: "1 of 1 committed"',
		);
	});
});
