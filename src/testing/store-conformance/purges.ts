/** Owns what a purge must erase, and what it must leave. */
import assert from "node:assert/strict";
import type { CheckGroup } from "./check.ts";
import {
	commit,
	endedOf,
	factsOf,
	messageOf,
	refusalOf,
	runOf,
	ticketOf,
	writeOf,
} from "./records.ts";

export const purges: CheckGroup = {
	about: "erases",
	checks: {
		"what is older than a generation, and the key's refusals; nothing else":
			async (trial) => {
				const store = await trial.open();
				for (const key of ["k", "other"]) {
					const file = (generation: number) => ({
						runs: [
							runOf(key, `${key} run ${generation}a`, { generation }),
							runOf(key, `${key} run ${generation}b`, { generation }),
						],
						messages: [
							messageOf(`${key} taken ${generation}`, {
								generation,
								fate: "taken",
							}),
							messageOf(`${key} gone ${generation}`, {
								generation,
								fate: "removed",
							}),
						],
					});
					await commit(store, writeOf(key, 0, file(1)));
					for (const generation of [2, 3])
						await commit(
							store,
							writeOf(key, generation - 1, {
								...file(generation),
								facts: factsOf(key, { version: generation, generation }),
								generations: [endedOf(key, generation - 1)],
							}),
						);
					await store.commit({
						sessions: [],
						refusals: [refusalOf(key, key), refusalOf(null, "nobody's")],
					});
				}
				await commit(
					store,
					writeOf("k", 3, {
						facts: factsOf("k", { version: 4, generation: 3 }),
						runs: [runOf("k", "late", { generation: 2 })],
						purgeBefore: 3,
					}),
				);
				const names = async (key: string) =>
					(await store.runs(key, {})).items.map((one) => one.runId);
				assert.deepEqual(await names("k"), ["k run 3b", "k run 3a"]);
				assert.equal((await names("other")).length, 6);
				assert.deepEqual(await store.runsNamed("late"), []);
				assert.deepEqual(await store.runsNamed("k run 1a"), []);
				assert.deepEqual((await store.generations("k", {})).items, []);
				assert.equal((await store.generations("other", {})).items.length, 2);
				for (const generation of [1, 2, 3])
					for (const fate of ["taken", "gone"]) {
						const found = await store.message("k", `k ${fate} ${generation}`);
						assert.equal(found === null, generation < 3);
					}
				assert.notEqual(await store.message("other", "other gone 1"), null);
				const reasons = (await store.refusals({})).items.map(
					(one) => one.reason,
				);
				assert.deepEqual(reasons, ["nobody's", "other", "nobody's"]);
				// An id that was erased can come again.
				await commit(
					store,
					writeOf("k", 4, {
						facts: factsOf("k", { version: 5, generation: 3 }),
						runs: [runOf("k", "k run 1a", { generation: 3 })],
					}),
				);
				assert.deepEqual(await names("k"), [
					"k run 1a",
					"k run 3b",
					"k run 3a",
				]);
			},

		"no message that waits, until it has been taken": async (trial) => {
			const store = await trial.open();
			const waiting = ["a", "b"].map((id, i) => messageOf(id, { seq: i + 1 }));
			await commit(
				store,
				writeOf("k", 0, {
					messages: [
						messageOf("first", { fate: "taken" }),
						...waiting,
						messageOf("last", { fate: "removed" }),
					],
				}),
			);
			const hidden = (version: number) =>
				factsOf("k", { version, generation: 2, hidden: true });
			await commit(
				store,
				writeOf("k", 1, { facts: hidden(2), purgeBefore: 2 }),
			);
			assert.deepEqual(
				(await store.load("k"))?.queue.map((one) => one.messageId),
				["a", "b"],
			);
			assert.equal(await store.message("k", "first"), null);
			assert.equal(await store.message("k", "last"), null);
			await commit(
				store,
				writeOf("k", 2, {
					facts: hidden(3),
					messages: [messageOf("a", { fate: "taken", seq: 1 })],
				}),
			);
			await commit(
				store,
				writeOf("k", 3, { facts: hidden(4), purgeBefore: 2 }),
			);
			assert.equal(await store.message("k", "a"), null);
			assert.notEqual(await store.message("k", "b"), null);
		},

		"no message that waited and was taken by a newer run, in the same commit or before":
			async (trial) => {
				const store = await trial.open();
				const ids = ["a", "b", "c", "d"];
				await commit(
					store,
					writeOf("k", 0, {
						messages: ids.map((id, i) => messageOf(id, { seq: i + 1 })),
					}),
				);
				const row = (version: number, generation: number) =>
					factsOf("k", { version, generation });
				const taken = (id: string, generation: number) =>
					messageOf(id, {
						fate: "taken",
						seq: ids.indexOf(id) + 1,
						run: { ...ticketOf("k", `of ${id}`), generation },
					});
				await commit(
					store,
					writeOf("k", 1, { facts: row(2, 2), messages: [taken("b", 2)] }),
				);
				await commit(
					store,
					writeOf("k", 2, {
						facts: row(3, 2),
						messages: [taken("a", 1), taken("c", 2)],
						purgeBefore: 2,
					}),
				);
				assert.equal(await store.message("k", "a"), null);
				for (const id of ["b", "c", "d"])
					assert.notEqual(await store.message("k", id), null, id);
				assert.deepEqual(
					(await store.load("k"))?.queue.map((one) => one.messageId),
					["d"],
				);
				// What took them is older than this.
				await commit(
					store,
					writeOf("k", 3, { facts: row(4, 3), purgeBefore: 3 }),
				);
				for (const id of ["b", "c"])
					assert.equal(await store.message("k", id), null, id);
				assert.notEqual(await store.message("k", "d"), null);
			},

		"pages that were begun before go on with what is left": async (trial) => {
			const store = await trial.open();
			const run = (runId: string, generation: number) =>
				runOf("k", runId, { generation });
			await commit(
				store,
				writeOf("k", 0, { runs: ["a", "b", "c"].map((id) => run(id, 1)) }),
			);
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2, generation: 2 }),
					runs: ["d", "e"].map((id) => run(id, 2)),
				}),
			);
			const inNew = await store.runs("k", { limit: 1 });
			const inOld = await store.runs("k", { limit: 3 });
			assert.equal(inOld.items.at(-1)?.runId, "c");
			await commit(
				store,
				writeOf("k", 2, {
					facts: factsOf("k", { version: 3, generation: 2 }),
					purgeBefore: 2,
				}),
			);
			const next = async (cursor: string | null) =>
				(await store.runs("k", { cursor: cursor as string })).items.map(
					(one) => one.runId,
				);
			assert.deepEqual(await next(inNew.cursor), ["d"]);
			assert.deepEqual(await next(inOld.cursor), []);
		},
	},
};
