/** The generated paths against the chart: each state and each transition has its path, by name, or a reason why it can have none. */
import {
	sessionPaths,
	sessionTransitions,
	unreachableTransitions,
} from "turnkeeper/testing";
import { describe, expect, test } from "vitest";

const paths = await sessionPaths();
const covered = new Set(paths.flatMap(({ covers }) => covers));
const unreachable = new Set(unreachableTransitions().map(({ name }) => name));
const transitions = sessionTransitions();

describe("every transition of the session chart has a path that takes it", () => {
	test.each(
		transitions
			.map(({ name }) => name)
			.filter((name) => !unreachable.has(name)),
	)("%s", (name) => {
		expect(covered.has(name), `no path takes ${name}`).toBe(true);
	});
});

describe("what is said to be out of reach is, and is in the chart", () => {
	const names = new Set(transitions.map(({ name }) => name));
	test.each(unreachableTransitions())("$name: $why", ({ name }) => {
		expect(covered.has(name), `a path takes ${name}`).toBe(false);
		expect(names.has(name), `the chart has no ${name}`).toBe(true);
	});
});

test("every state of the chart is on a path", () => {
	const visited = new Set(
		paths.flatMap(({ steps }) => steps.map(({ state }) => state)),
	);
	expect([...visited].sort()).toEqual(
		[...new Set(transitions.map(({ state }) => state))].sort(),
	);
});

test("no two transitions have one name, and no two paths", () => {
	expect(new Set(transitions.map(({ name }) => name)).size).toBe(
		transitions.length,
	);
	expect(new Set(paths.map(({ name }) => name)).size).toBe(paths.length);
});

test("each path takes the transition that it is named for with its last event", () => {
	for (const { name, steps } of paths)
		expect(
			steps
				.at(-1)
				?.takes.some((one) => name === one || name.startsWith(`${one}, `)),
			name,
		).toBe(true);
});
