/** What every store must do to erase what is old, asked of each store that comes with the package. */
import type { OpenStore } from "turnkeeper";
import { describe, expect, onTestFinished, test } from "vitest";
import { type PruneRule, queuedOf } from "../../src/store.ts";
import { storeKinds } from "../support/stores.ts";
import {
	commit,
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	refusalOf,
	runOf,
	writeOf,
} from "./records.ts";

const messages = (acceptedBefore: number) =>
	({ of: "messages", acceptedBefore }) as const;
const generations = (endedBefore: number) =>
	({ of: "generations", endedBefore }) as const;

/** What each call erased, until there is no more. */
async function pruned(
	store: OpenStore,
	rule: PruneRule,
	limit: number,
): Promise<number[]> {
	const erased: number[] = [];
	for (;;) {
		const step = await store.prune(rule, limit);
		erased.push(step.erased);
		if (!step.more) return erased;
		expect(step.erased).toBe(limit);
	}
}

describe.each(storeKinds)("prune in a %s store", (_kind, fresh) => {
	async function opened() {
		const store = await fresh().open({ name: "test" });
		onTestFinished(() => store[Symbol.asyncDispose]());
		return store;
	}

	/** Which of these message ids the store knows. */
	async function known(store: OpenStore, ids: readonly string[], key = "k") {
		const found: string[] = [];
		for (const id of ids) if (await store.message(key, id)) found.push(id);
		return found.join("");
	}

	test.each([0, -1, 1.5, Number.NaN])(
		"does not take %s steps",
		async (limit) => {
			const store = await opened();
			for (const rule of [
				messages(1),
				generations(1),
				{ of: "generations", sessionKey: "k", before: 1 } as const,
				{ of: "refusals", keep: 1 } as const,
			])
				await expect(store.prune(rule, limit)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining(`limit is ${limit}`),
				});
		},
	);

	test("of an empty store erases nothing", async () => {
		const store = await opened();
		for (const rule of [
			messages(9e15),
			generations(9e15),
			{ of: "generations", sessionKey: "k", before: 9 } as const,
			{ of: "refusals", keep: 0 } as const,
		])
			expect(await store.prune(rule, 10)).toEqual({ erased: 0, more: false });
	});

	describe("of messages", () => {
		const message = (
			messageId: string,
			acceptedAt: number,
			fate: "queued" | "taken" | "removed" = "taken",
			generation = 1,
		) => messageOf(messageId, { acceptedAt, fate, generation });

		test("erases those that were accepted before, the oldest first, over all keys", async () => {
			const store = await opened();
			await commit(
				store,
				writeOf("k", 0, {
					messages: [message("a", 1), message("b", 4, "removed")],
				}),
				writeOf("l", 0, { messages: [message("c", 2), message("d", 3)] }),
			);
			const ids = ["a", "b", "c", "d"];
			expect(await store.prune(messages(4), 2)).toEqual({
				erased: 2,
				more: true,
			});
			expect(await known(store, ids)).toBe("b");
			expect(await known(store, ids, "l")).toBe("d");
			expect(await store.prune(messages(4), 2)).toEqual({
				erased: 1,
				more: false,
			});
			expect(await known(store, ids)).toBe("b");
			expect(await known(store, ids, "l")).toBe("");
			expect(await store.version("k")).toBe(1);
		});

		test("says that there is no more once there is none", async () => {
			const store = await opened();
			await commit(
				store,
				writeOf("k", 0, {
					messages: ["a", "b", "c", "d"].map((id, i) => message(id, i)),
				}),
			);
			expect(await pruned(store, messages(4), 2)).toEqual([2, 2]);
			expect(await pruned(store, messages(4), 2)).toEqual([0]);
		});

		test("finds also one that was accepted before the one that was filed before it", async () => {
			const store = await opened();
			await commit(
				store,
				writeOf("k", 0, {
					messages: [message("future", 900), message("a", 1), message("b", 2)],
				}),
			);
			expect(await pruned(store, messages(10), 1)).toEqual([1, 1]);
			expect(await known(store, ["future", "a", "b"])).toBe("future");
		});

		test("erases none that waits, and each once it does not wait any more", async () => {
			const store = await opened();
			const waiting = [message("a", 1, "queued"), message("c", 3, "queued")];
			await commit(
				store,
				writeOf("k", 0, {
					facts: factsOf("k", { queue: waiting.map(queuedOf) }),
					messages: [waiting[0], message("b", 2), waiting[1]].map(
						(one) => one as (typeof waiting)[number],
					),
				}),
			);
			expect(await pruned(store, messages(10), 1)).toEqual([1]);
			expect(
				(await store.load("k"))?.queue.map(({ messageId }) => messageId),
			).toEqual(["a", "c"]);
			await commit(
				store,
				writeOf("k", 1, { messages: [message("a", 1), message("d", 4)] }),
			);
			expect(await pruned(store, messages(10), 1)).toEqual([1, 1]);
			expect(await known(store, ["a", "b", "c", "d"])).toBe("c");
		});

		test("takes an id that comes again for a new one", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0, { messages: [message("a", 1)] }));
			await store.prune(messages(2), 9);
			await commit(store, writeOf("k", 1, { messages: [message("a", 5)] }));
			expect((await store.message("k", "a"))?.acceptedAt).toBe(5);
			expect(await pruned(store, messages(2), 9)).toEqual([0]);
			expect(await pruned(store, messages(6), 9)).toEqual([1]);
		});

		test("leaves what a purge still finds, and a purge leaves what it may", async () => {
			const store = await opened();
			const ids = ["a", "b", "c", "d", "e", "f"];
			// In the chain, from its tail: waits, old, old, waits, old, young.
			await commit(
				store,
				writeOf("k", 0, {
					messages: [
						message("a", 1, "queued"),
						message("b", 2),
						message("c", 3),
						message("d", 4, "queued"),
						message("e", 5),
						message("f", 90),
					],
				}),
			);
			expect(await pruned(store, messages(10), 2)).toEqual([2, 1]);
			expect(await known(store, ids)).toBe("adf");
			// Taken now, and to be erased by the purge although all around them was erased before.
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2, generation: 2 }),
					messages: [
						message("a", 1),
						message("d", 4),
						message("g", 91, "taken", 2),
					],
					purgeBefore: 2,
				}),
			);
			expect(await known(store, [...ids, "g"])).toBe("g");
		});

		test("leaves no link to what is another session's next", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0, { messages: [message("a", 1)] }));
			// The newest of all is erased, so that its place is free.
			expect(await pruned(store, messages(10), 5)).toEqual([1]);
			await commit(store, writeOf("l", 0, { messages: [message("b", 20)] }));
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2, generation: 2 }),
					messages: [message("c", 21)],
				}),
			);
			await commit(
				store,
				writeOf("k", 2, {
					facts: factsOf("k", { version: 3, generation: 2 }),
					purgeBefore: 2,
				}),
			);
			expect(await known(store, ["a", "c"])).toBe("");
			expect(await known(store, ["b"], "l")).toBe("b");
		});
	});

	describe("of generations", () => {
		/** Generations 1 to 3, each with two runs, two entries and a message, and 4 to go on in. */
		async function withGenerations(store: OpenStore, key = "k") {
			const parts = (generation: number) => ({
				runs: ["a", "b"].map((name) =>
					runOf(key, `${key} ${generation}${name}`, { generation }),
				),
				entries: [1, 2].map((i) =>
					entryOf(key, 2 * (generation - 1) + i, { generation }),
				),
				messages: [messageOf(`${generation}`, { generation, fate: "taken" })],
			});
			await commit(store, writeOf(key, 0, parts(1)));
			for (const generation of [2, 3, 4])
				await commit(
					store,
					writeOf(key, generation - 1, {
						...parts(generation),
						facts: factsOf(key, { version: generation, generation }),
						generations: [
							endedOf(key, generation - 1, { endedAt: generation - 1 }),
						],
					}),
				);
		}

		/** The generations of which there is anything, by what it is. */
		async function left(store: OpenStore, key = "k") {
			const of = (items: readonly { readonly generation: number }[]) =>
				items.map(({ generation }) => generation).join("");
			return {
				archived: of((await store.generations(key, {})).items),
				runs: of((await store.runs(key, {})).items),
				entries: of((await store.transcript(key, {})).items),
				messages: await known(store, ["1", "2", "3", "4"], key),
			};
		}

		test("erases those that ended before, with their runs and transcripts", async () => {
			const store = await opened();
			await withGenerations(store);
			await withGenerations(store, "l");
			expect(await pruned(store, generations(3), 100)).toEqual([20]);
			for (const key of ["k", "l"])
				expect(await left(store, key)).toEqual({
					archived: "3",
					runs: "4433",
					entries: "4433",
					messages: "1234",
				});
			expect(await store.runsNamed("k 1a")).toEqual([]);
			expect(await store.version("k")).toBe(4);
		});

		test("goes in steps, and leaves the archive record for the last", async () => {
			const store = await opened();
			await withGenerations(store);
			const rule = generations(3);
			expect(await store.prune(rule, 3)).toEqual({ erased: 3, more: true });
			expect(await left(store)).toMatchObject({
				archived: "321",
				runs: "4433221",
				entries: "443322",
			});
			expect(await store.prune(rule, 1)).toEqual({ erased: 1, more: true });
			expect(await left(store)).toMatchObject({ archived: "321" });
			expect(await store.prune(rule, 1)).toEqual({ erased: 1, more: true });
			expect(await left(store)).toMatchObject({ archived: "32" });
			expect(await store.prune(rule, 5)).toEqual({ erased: 5, more: false });
			expect(await left(store)).toMatchObject({ archived: "3" });
		});

		test("of one key erases those before one, whenever they ended", async () => {
			const store = await opened();
			await withGenerations(store);
			await withGenerations(store, "l");
			const rule = {
				of: "generations",
				sessionKey: "k",
				before: 3,
			} as const;
			expect(await pruned(store, rule, 4)).toEqual([4, 4, 2]);
			expect(await left(store)).toEqual({
				archived: "3",
				runs: "4433",
				entries: "4433",
				messages: "1234",
			});
			expect((await left(store, "l")).archived).toBe("321");
			expect(await pruned(store, { ...rule, sessionKey: "m" }, 4)).toEqual([0]);
			expect(await pruned(store, { ...rule, sessionKey: "\ud83e" }, 4)).toEqual(
				[0],
			);
		});

		test("erases neither the current one nor one that drains", async () => {
			const store = await opened();
			await withGenerations(store);
			const run = runOf("k", "drains", { generation: 1, outcome: null });
			const facts = factsOf("k", {
				version: 5,
				generation: 4,
				draining: [{ run, ended: endedOf("k", 1, { endedAt: 1 }) }],
				closing: [{ generation: 2, deadline: 9, postponed: true }],
			});
			await commit(
				store,
				writeOf("k", 4, { facts, generations: [endedOf("k", 4)] }),
			);
			const ofKey = { of: "generations", sessionKey: "k", before: 9 } as const;
			for (const rule of [generations(9e15), ofKey]) {
				await pruned(store, rule, 1);
				expect(await left(store)).toEqual({
					archived: "421",
					runs: "442211",
					entries: "442211",
					messages: "1234",
				});
			}
			await commit(
				store,
				writeOf("k", 5, {
					facts: { ...facts, version: 6, draining: [], closing: [] },
				}),
			);
			expect(await pruned(store, generations(9e15), 7)).toEqual([7, 3]);
			expect(await left(store)).toMatchObject({ archived: "4", runs: "44" });
		});

		test("leaves a message that waits where it is", async () => {
			const store = await opened();
			const waiting = messageOf("w", { generation: 1 });
			await commit(store, writeOf("k", 0, { messages: [waiting] }));
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", {
						version: 2,
						generation: 2,
						queue: [queuedOf(waiting)],
					}),
					generations: [endedOf("k", 1, { endedAt: 1 })],
				}),
			);
			expect(await pruned(store, generations(5), 5)).toEqual([1]);
			expect((await store.load("k"))?.queue).toHaveLength(1);
			expect((await store.unsettled({})).items).toEqual(["k"]);
		});

		test("lets pages that were begun before go on with what is left", async () => {
			const store = await opened();
			await withGenerations(store);
			const runs = await store.runs("k", { limit: 7 });
			const entries = await store.transcript("k", { limit: 5 });
			const archived = await store.generations("k", { limit: 1 });
			// The last run of the page is that of generation 1 that goes first.
			await store.prune(generations(3), 3);
			const next = async () => [
				(await store.runs("k", { cursor: runs.cursor as string })).items.map(
					({ runId }) => runId,
				),
				(
					await store.transcript("k", { cursor: entries.cursor as string })
				).items.map(({ seq }) => seq),
				(
					await store.generations("k", { cursor: archived.cursor as string })
				).items.map(({ generation }) => generation),
			];
			expect(await next()).toEqual([["k 1a"], [3], [2, 1]]);
			await pruned(store, generations(3), 1);
			expect(await next()).toEqual([[], [], []]);
		});

		test("leaves what a purge still finds", async () => {
			const store = await opened();
			await withGenerations(store);
			await pruned(store, messages(9e15), 3);
			await store.prune(generations(3), 7);
			await commit(
				store,
				writeOf("k", 4, {
					facts: factsOf("k", { version: 5, generation: 4 }),
					purgeBefore: 4,
				}),
			);
			expect(await left(store)).toEqual({
				archived: "",
				runs: "44",
				entries: "44",
				messages: "",
			});
		});
	});

	describe("of refusals", () => {
		test("keeps the newest so many of all keys", async () => {
			const store = await opened();
			const reasons = async () =>
				(await store.refusals({})).items.map(({ reason }) => reason).join("");
			await store.commit({
				sessions: [],
				refusals: ["k", null, "l", "k", "k"].map((key, i) =>
					refusalOf(key, String(i)),
				),
			});
			const keep = (count: number) =>
				({ of: "refusals", keep: count }) as const;
			expect(await pruned(store, keep(5), 1)).toEqual([0]);
			expect(await store.prune(keep(2), 2)).toEqual({ erased: 2, more: true });
			expect(await reasons()).toBe("432");
			expect(await store.prune(keep(2), 1)).toEqual({ erased: 1, more: false });
			expect(await reasons()).toBe("43");
			expect(await pruned(store, keep(0), 9)).toEqual([2]);
			expect(await reasons()).toBe("");
		});
	});
});
