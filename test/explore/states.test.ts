/** What exploration takes for the same state, and what it counts of the bounds. */
import { describe, expect, test } from "vitest";
import { Budget } from "../../src/testing/explore/budget.ts";
import { States } from "../../src/testing/explore/states.ts";

describe("a state", () => {
	test("is one world with one way to have used the bounds, and is met once", () => {
		const states = new States();
		states.meet(0, 0, -1, -1);
		states.meet(0, 1, 0, 3);
		states.meet(1, 0, 0, 4);
		states.meet(0, 1, 2, 5);
		expect(states.size).toBe(3);
		expect([states.from(1), states.by(1)]).toEqual([0, 3]);
	});

	test("is known again among a hundred thousand others", () => {
		const states = new States();
		for (let world = 0; world < 10_000; world++)
			for (let used = 0; used < 10; used++) states.meet(world, used, -1, -1);
		for (let world = 0; world < 10_000; world += 7)
			states.meet(world, world % 10, -1, -1);
		expect(states.size).toBe(100_000);
		expect([states.world(54_321), states.used(54_321)]).toEqual([5432, 1]);
	});
});

describe("a budget", () => {
	const budget = new Budget({ runs: 1, resets: 2 });

	test("counts the same whatever came first", () => {
		const run = budget.expense(["runs"]);
		const reset = budget.expense(["resets"]);
		expect(run.on(reset.on(0))).toBe(reset.on(run.on(0)));
		expect(run.on(reset.on(0))).not.toBe(reset.on(0));
	});

	test("has no more than its bounds, of all that a thing takes", () => {
		const both = budget.expense(["resets", "runs"]);
		const reset = budget.expense(["resets"]);
		expect(reset.on(reset.on(reset.on(0)))).toBe(-1);
		expect(both.on(both.on(0))).toBe(-1);
		expect(budget.expense(["crashes"]).on(0)).toBe(-1);
	});

	test("is not touched by what costs nothing", () => {
		expect(budget.expense([]).on(7)).toBe(7);
	});
});
