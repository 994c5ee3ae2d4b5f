/** What `simulate` is: the same for the same seed, and loud when a promise is broken. */
import { join } from "node:path";
import type { OpenStore, SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { PromiseBroken, simulate } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
import { runProgram } from "../support/program.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";
import { compared, digests } from "./simulate-digests.ts";

/** A store in memory with one method that is not as it should be. */
function broken(change: (store: OpenStore) => Partial<OpenStore>) {
	return (): SessionStore => {
		const inner = memoryStore();
		return {
			read: () => inner.read(),
			open: async (owner) => {
				const store = await inner.open(owner);
				return Object.assign(store, change(store));
			},
		};
	};
}

/** Forgets what waits whenever it is read. */
const forgetful = broken((store) => {
	const load = store.load.bind(store);
	return {
		load: async (sessionKey) => {
			const loaded = await load(sessionKey);
			return loaded && { ...loaded, queue: [] };
		},
	};
});

async function firstBroken(
	options: Omit<Parameters<typeof simulate>[0], "seed">,
): Promise<PromiseBroken> {
	for (let seed = 1; seed <= 50; seed++)
		try {
			await simulate({ ...options, seed });
		} catch (error) {
			return error as PromiseBroken;
		}
	throw new Error("no promise was broken");
}

/** A closed store says which one it is; nothing else may tell them apart. */
function unnamed(trace: string): string {
	return trace.replaceAll(
		/(this memoryStore|the store \S+) is closed/g,
		"closed",
	);
}

describe("simulate", () => {
	test("plays a seed the same, byte for byte, twice in one process and in two", async () => {
		const here = await digests();
		expect(await digests()).toBe(here);
		const file = join(import.meta.dirname, "simulate-digests.ts");
		expect(await runProgram(file)).toEqual({
			code: 0,
			stdout: here,
			stderr: "",
		});
		expect(new Set(here.split("\n")).size).toBe(compared.length);
	});

	test("plays other seeds differently, and says what was played", async () => {
		const played = await simulate({ seed: 4, steps: 200 });
		expect(played).toMatchObject({ seed: 4, steps: 200 });
		expect(played.calls).toBeGreaterThan(20);
		expect(played.runs).toBeGreaterThan(0);
		expect(played.commits).toBeGreaterThan(20);
		expect(played.trace).toContain(" > #1 ");
		expect(played.trace).toMatch(/^ +0 +0 \* process 1 starts/);
	});

	test("leaves nothing behind that the process would die of", async () => {
		expect(
			await deathsOf(async () => {
				for (let seed = 1; seed <= 10; seed++) await simulate({ seed });
			}),
		).toEqual([]);
	});

	test.each(storeKinds)("plays on %s", async (_, store) => {
		for (let seed = 1; seed <= 5; seed++) await simulate({ seed, store });
	});

	test("plays the same on SQLite as in memory", async () => {
		const [memory, sqlite] = storeKinds.map(([, store]) => store);
		for (let seed = 1; seed <= 15; seed++) {
			const one = await simulate({ seed, store: memory as never });
			const other = await simulate({ seed, store: sqlite as never });
			expect(unnamed(other.trace)).toBe(unnamed(one.trace));
		}
	});

	test("waits for a store that takes its time outside of the simulation", async () => {
		const slow = broken((store) => {
			const commit = store.commit.bind(store);
			return {
				commit: async (batch) => {
					await new Promise<void>((next) => setImmediate(next));
					return commit(batch);
				},
			};
		});
		const { trace } = await simulate({ seed: 6, steps: 60 });
		const other = await simulate({ seed: 6, steps: 60, store: slow });
		expect(other.trace).toBe(trace);
	});

	test("tells how far it is", async () => {
		const told: number[] = [];
		await simulate({ seed: 1, steps: 5, onProgress: (n) => told.push(n) });
		expect(told).toEqual([1, 2, 3, 4, 5]);
	});

	test("without faults and crashes the store never fails and nobody dies", async () => {
		for (let seed = 1; seed <= 5; seed++) {
			const played = await simulate({ seed, faults: false, crashes: false });
			expect(played).toMatchObject({ lives: 1, crashes: 0 });
			expect(played.trace).not.toContain("STORE_FAILED");
		}
	});

	describe("a broken promise", () => {
		test("says which one, where it was seen, and how to see it again", async () => {
			const error = await firstBroken({ store: forgetful });
			expect(error).toBeInstanceOf(PromiseBroken);
			const { message, seed, step, promise, trace } = error;
			expect(promise).toBe("accepted is durable");
			expect(message).toMatch(
				/^a promise is broken \(accepted is durable\): message \S+ was accepted and waits, and session .* has lost it from its line\n/,
			);
			expect(message).toContain(
				`seen in step ${step} of seed ${seed}; play it again: simulate({ seed: ${seed}, steps: 150, store })`,
			);
			expect(message.endsWith(trace.split("\n").at(-1) as string)).toBe(true);
			const again = await simulate({
				seed: seed as number,
				store: forgetful,
			}).catch((error) => error);
			expect(again.message).toBe(message);
		});

		test("is that a runtime never starts", async () => {
			const refused = broken(() => ({
				unsettled: () => Promise.reject(new Error("out of luck")),
			}));
			const { message } = await firstBroken({ store: refused });
			expect(message).toContain(
				"start fails, and the store is well: out of luck",
			);
		});

		test.each<[string, string, Parameters<typeof broken>[0]]>([
			[
				"a store that says yes and writes nothing",
				"truth",
				() => ({ commit: async () => {} }),
			],
			[
				"a store that loses the ids of messages",
				"durable",
				() => ({ message: async () => null }),
			],
			[
				"a store that finds nothing to recover",
				"running",
				() => ({ unsettled: async () => ({ items: [], cursor: null }) }),
			],
			[
				"a store that knows no run by its id",
				"fenced",
				() => ({ runsNamed: async () => [] }),
			],
		])("is found in %s", async (_, __, change) => {
			const error = await firstBroken({ store: broken(change) });
			expect(error).toBeInstanceOf(PromiseBroken);
		});
	});

	test.each([
		[{}, "seed is undefined; it must be a whole number, 1 or more"],
		[{ seed: 0 }, "seed is 0; it must be a whole number, 1 or more"],
		[{ seed: 1, steps: 1.5 }, "steps is 1.5; it must be a whole number"],
		[{ seed: 1, keys: 0 }, "keys is 0; it must be a whole number"],
		[{ seed: 1, execute: "x" }, 'execute is "x"; it must be a function'],
		[{ seed: 1, store: {} }, "store is {}; it must be a function"],
		[{ seed: 1, runtime: 1 }, "runtime is 1; it must be an object"],
	])("%j is refused", async (options, message) => {
		await expect(simulate(options as never)).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining(message),
		});
	});
});
