/** What the mutants are, without running any: nothing of the chart is left out, and no name is lost. */
import { sessionMachine } from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { chartMutations } from "./chart.ts";
import { equivalents } from "./equivalents.ts";
import { fenceMutations } from "./fences.ts";
import { mutated, sourceOf } from "./mutation.ts";
import { reportOf } from "./report.ts";

const chart = chartMutations();
const fences = fenceMutations();
const ids = [...chart, ...fences].map(({ id }) => id);

describe("mutants", () => {
	test("there is one of each guard always true and always false, and of each place that asks it", () => {
		const guards = Object.keys(sessionMachine.implementations.guards);
		expect(guards.length).toBeGreaterThan(40);
		for (const guard of guards) {
			expect(ids).toContain(`guard ${guard} always true`);
			expect(ids).toContain(`guard ${guard} always false`);
			const asked = ids.filter(
				(id) => id.startsWith("guard unasked at ") && id.endsWith(`[${guard}]`),
			);
			expect(asked, guard).not.toEqual([]);
		}
	});

	test("each has a name of its own and changes its source", () => {
		expect(new Set(ids).size).toBe(ids.length);
		for (const mutation of [...chart, ...fences])
			expect(mutated(mutation), mutation.id).not.toBe(
				sourceOf(mutation.file).text,
			);
	});

	test("those listed as equivalent exist, once, each with a reason", () => {
		const listed = equivalents.map(({ id }) => id);
		expect(new Set(listed).size).toBe(listed.length);
		for (const { id, why } of equivalents) {
			expect(ids).toContain(id);
			expect(why.length, id).toBeGreaterThan(20);
		}
	});

	test("a survivor among the guards fails the run, and so does an equivalent that was killed", () => {
		const [guard] = chart.filter(({ kind }) => kind === "guard");
		const [fence] = fences;
		if (!guard || !fence) throw new Error("there are no mutants");
		const survived = { fate: "survived", asked: 3 } as const;
		const killed = {
			fate: "killed",
			by: { file: "a.test.ts", test: "is" },
			why: "1 is not 2",
		} as const;
		const tried = (
			mutation: typeof guard,
			verdict: typeof killed | typeof survived,
			equivalent: string | null = null,
		) => reportOf([{ mutation, verdict, equivalent }]);
		expect(tried(guard, killed).isGood).toBe(true);
		expect(tried(guard, survived).isGood).toBe(false);
		expect(tried(guard, survived, "the same").isGood).toBe(true);
		expect(tried(fence, survived).isGood).toBe(true);
		expect(tried(fence, survived).text).toContain(fence.id);
		expect(tried(fence, killed, "the same").isGood).toBe(false);
	});
});
