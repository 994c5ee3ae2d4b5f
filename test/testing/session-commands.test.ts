/** The simulation as commands of fast-check, and how short a broken promise becomes. */
import fc from "fast-check";
import type { SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sessionCommands } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";

/** A store that forgets what waits whenever it is read. */
function forgetful(): SessionStore {
	const inner = memoryStore();
	return {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			const load = store.load.bind(store);
			return Object.assign(store, {
				load: async (sessionKey: string) => {
					const loaded = await load(sessionKey);
					return loaded && { ...loaded, queue: [] };
				},
			});
		},
	};
}

describe("session commands", () => {
	test("break no promise", async () => {
		const { commands, run } = sessionCommands(fc);
		await fc.assert(fc.asyncProperty(commands, run), { seed: 1, numRuns: 60 });
	});

	test("break none with somebody's own executor", async () => {
		const { commands, run } = sessionCommands(fc, {
			execute: async ({ signal }, { sleep }) => sleep(20, signal),
		});
		await fc.assert(fc.asyncProperty(commands, run), { seed: 1, numRuns: 30 });
	});

	test("shrink what a broken store does to a few calls", async () => {
		const { commands, run } = sessionCommands(fc, {
			store: forgetful,
			maxCommands: 40,
		});
		const found = await fc.check(fc.asyncProperty(commands, run), {
			seed: 1,
			numRuns: 300,
		});
		expect(found.failed).toBe(true);
		const [counterexample] = found.counterexample ?? [];
		const calls = String(counterexample).split("},{");
		expect(calls.length).toBeLessThanOrEqual(5);
		expect(String(counterexample)).toContain('"do":"send"');
		expect(String(found.errorInstance)).toContain("accepted is durable");
	});

	test("need fast-check", () => {
		expect(() => sessionCommands({} as never)).toThrow(
			expect.objectContaining({ code: "INVALID_ARGUMENT" }),
		);
	});
});
