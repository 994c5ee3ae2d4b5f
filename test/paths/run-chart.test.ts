/**
 * The paths of a run against its logic: each state and each step has its path, by name, or a reason why it can have none; and what the
 * generated paths of sessions make of their runs are these very steps.
 */
import {
	openWaits,
	type RunEvent,
	type RunFacts,
	runLogic,
} from "turnkeeper/machines";
import { memoryStore } from "turnkeeper/memory";
import {
	playPath,
	runPaths,
	runTransitions,
	sessionPaths,
	unreachableRunTransitions,
} from "turnkeeper/testing";
import { describe, expect, test, vi } from "vitest";
import { createActor } from "xstate";
import {
	firstWorld,
	happen,
	stimuli,
} from "../../src/testing/session-world.ts";

/** Steps that runs took, by the names of `runTransitions`. */
const taken = vi.hoisted(() => new Set<string>());

vi.mock("../../machines/run.ts", async (original) => {
	const run = await original<typeof import("../../machines/run.ts")>();
	return {
		...run,
		stepRun: (facts: RunFacts, event: RunEvent) => {
			taken.add(`${facts.status}: ${event.type}`);
			return run.stepRun(facts, event);
		},
	};
});

const paths = await runPaths();
const covered = new Set(paths.flatMap(({ covers }) => covers));
const unreachable = new Set(
	unreachableRunTransitions().map(({ name }) => name),
);
const reachable = runTransitions()
	.map(({ name }) => name)
	.filter((name) => !unreachable.has(name));

describe("every step of a run has a path that takes it", () => {
	test.each(reachable)("%s", (name) => {
		expect(covered.has(name), `no path takes ${name}`).toBe(true);
	});
});

describe("a step that is said to be out of reach is", () => {
	const names = new Set(runTransitions().map(({ name }) => name));
	test.each(unreachableRunTransitions())("$name: $why", ({ name }) => {
		expect(covered.has(name), `a path takes ${name}`).toBe(false);
		expect(names.has(name), `there is no ${name}`).toBe(true);
	});
});

test("every state of a run is on a path", () => {
	const visited = new Set(
		paths.flatMap(({ begins, steps }) => [
			begins.status,
			...steps.map(({ run }) => run.status),
		]),
	);
	expect([...visited].sort()).toEqual(
		[...new Set(runTransitions().map(({ state }) => state))].sort(),
	);
});

test.each(paths)(
	"a run's actor shows the way $name, and a stop is never undone",
	({ begins, steps }) => {
		const actor = createActor(runLogic, { input: begins });
		actor.start();
		let before = begins;
		for (const { event, run } of steps) {
			actor.send({ type: `run.${run.status}`, run });
			const shown = actor.getSnapshot();
			expect(shown.value).toBe(run.status);
			expect(shown.context).toEqual(run);
			// What a run is never changes, and what ended has an outcome.
			for (const name of ["runId", "generation", "attempt", "driver"] as const)
				expect(run[name]).toBe(begins[name]);
			expect(run.outcome !== null).toBe(
				run.status === "settled" || run.status === "abandoned",
			);
			if (before.stop) expect(run.stop?.cause).toBe(before.stop.cause);
			if (run.stop) expect(openWaits(run)).toEqual([]);
			if (before.outcome) expect(run.outcome).toBe(before.outcome);
			if (event.type === "settle" && before.stop)
				expect(run.outcome).not.toBe("completed");
			before = run;
		}
	},
);

/** Steps that no generated path of a session has its runs take, with the reason. */
const elsewhere: Readonly<Record<string, string>> = {
	"reserved: settle":
		"given up for a hundred newer ones, which no short path reserves",
	"reserved: start":
		"reported late, of the record of a reservation that a reset left behind",
	"abandoned: usage": "comes late, to the record of a run that is over",
	"abandoned: delivered": "comes late, to the record of a run that is over",
};

test("the paths of sessions take the steps of runs, all but those that are said to be taken elsewhere, and no other", async () => {
	const ofSessions = await sessionPaths();
	// Finding them took steps too.
	taken.clear();
	for (const { hasHook, steps } of ofSessions)
		steps.reduce(
			(world, { what }) => happen(world, stimuli[what]),
			firstWorld(hasHook),
		);
	// What comes after the end is the engine's to file.
	for (const path of ofSessions)
		if (path.steps.at(-1)?.what === "a run that settled has used tokens")
			await playPath(path, memoryStore());
	expect([...taken].sort()).toEqual(
		reachable.filter((name) => !(name in elsewhere)).sort(),
	);
});
