/** Owns what every store must do to erase generations that are old. */
import assert from "node:assert/strict";
import { type OpenStore, queuedOf } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import { generationsBefore, known, messagesBefore, pruned } from "./pruning.ts";
import {
	commit,
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	runOf,
	writeOf,
} from "./records.ts";

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

export const prunedGenerations: CheckGroup = {
	about: "prunes generations",
	checks: {
		"erases those that ended before, with their runs and transcripts": async (
			trial,
		) => {
			const store = await trial.open();
			await withGenerations(store);
			await withGenerations(store, "l");
			assert.deepEqual(await pruned(store, generationsBefore(3), 100), [20]);
			for (const key of ["k", "l"])
				assert.deepEqual(await left(store, key), {
					archived: "3",
					runs: "4433",
					entries: "4433",
					messages: "1234",
				});
			assert.deepEqual(await store.runsNamed("k 1a"), []);
			assert.equal(await store.version("k"), 4);
		},

		"goes in steps, and leaves the archive record for the last": async (
			trial,
		) => {
			const store = await trial.open();
			await withGenerations(store);
			const rule = generationsBefore(3);
			assert.deepEqual(await store.prune(rule, 3), { erased: 3, more: true });
			assert.partialDeepStrictEqual(await left(store), {
				archived: "321",
				runs: "4433221",
				entries: "443322",
			});
			assert.deepEqual(await store.prune(rule, 1), { erased: 1, more: true });
			assert.partialDeepStrictEqual(await left(store), { archived: "321" });
			assert.deepEqual(await store.prune(rule, 1), { erased: 1, more: true });
			assert.partialDeepStrictEqual(await left(store), { archived: "32" });
			assert.deepEqual(await store.prune(rule, 5), { erased: 5, more: false });
			assert.partialDeepStrictEqual(await left(store), { archived: "3" });
		},

		"of one key erases those before one, whenever they ended": async (
			trial,
		) => {
			const store = await trial.open();
			await withGenerations(store);
			await withGenerations(store, "l");
			const rule = {
				of: "generations",
				sessionKey: "k",
				before: 3,
			} as const;
			assert.deepEqual(await pruned(store, rule, 4), [4, 4, 2]);
			assert.deepEqual(await left(store), {
				archived: "3",
				runs: "4433",
				entries: "4433",
				messages: "1234",
			});
			assert.equal((await left(store, "l")).archived, "321");
			assert.deepEqual(
				await pruned(store, { ...rule, sessionKey: "m" }, 4),
				[0],
			);
			assert.deepEqual(
				await pruned(store, { ...rule, sessionKey: "\ud83e" }, 4),
				[0],
			);
		},

		"erases neither the current one nor one that drains": async (trial) => {
			const store = await trial.open();
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
			for (const rule of [generationsBefore(9e15), ofKey]) {
				await pruned(store, rule, 1);
				assert.deepEqual(await left(store), {
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
			assert.deepEqual(await pruned(store, generationsBefore(9e15), 7), [7, 3]);
			assert.partialDeepStrictEqual(await left(store), {
				archived: "4",
				runs: "44",
			});
		},

		"leaves a message that waits where it is": async (trial) => {
			const store = await trial.open();
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
			assert.deepEqual(await pruned(store, generationsBefore(5), 5), [1]);
			assert.equal((await store.load("k"))?.queue.length, 1);
			assert.deepEqual((await store.unsettled({})).items, ["k"]);
		},

		"lets pages that were begun before go on with what is left": async (
			trial,
		) => {
			const store = await trial.open();
			await withGenerations(store);
			const runs = await store.runs("k", { limit: 7 });
			const entries = await store.transcript("k", { limit: 5 });
			const archived = await store.generations("k", { limit: 1 });
			// The last run of the page is that of generation 1 that goes first.
			await store.prune(generationsBefore(3), 3);
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
			assert.deepEqual(await next(), [["k 1a"], [3], [2, 1]]);
			await pruned(store, generationsBefore(3), 1);
			assert.deepEqual(await next(), [[], [], []]);
		},

		"leaves what a purge still finds": async (trial) => {
			const store = await trial.open();
			await withGenerations(store);
			await pruned(store, messagesBefore(9e15), 3);
			await store.prune(generationsBefore(3), 7);
			await commit(
				store,
				writeOf("k", 4, {
					facts: factsOf("k", { version: 5, generation: 4 }),
					purgeBefore: 4,
				}),
			);
			assert.deepEqual(await left(store), {
				archived: "",
				runs: "44",
				entries: "44",
				messages: "",
			});
		},
	},
};
