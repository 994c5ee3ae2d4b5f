/** Owns what every store must do with transcripts. */
import assert from "node:assert/strict";
import type { OpenStore, TranscriptQuery } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import {
	commit,
	endedOf,
	entryOf,
	factsOf,
	runOf,
	walk,
	writeOf,
} from "./records.ts";

/** The `seq` of all entries, page by page. */
async function shown(
	store: OpenStore,
	query: TranscriptQuery = {},
	key = "k",
): Promise<number[][]> {
	const pages = await walk((cursor) =>
		store.transcript(key, { ...query, cursor: cursor ?? query.cursor }),
	);
	return pages.map((page) => page.map(({ seq }) => seq));
}

const upTo = (count: number, from = 1) =>
	Array.from({ length: count - from + 1 }, (_, i) => from + i);

/** Generation 1 with entries 1 to 3, generation 2 with 4 and 6, and 5 from a run of the first that drained. */
async function withTwoGenerations(store: OpenStore) {
	await commit(
		store,
		writeOf("k", 0, { entries: upTo(3).map((seq) => entryOf("k", seq)) }),
		writeOf("other", 0, { entries: [entryOf("other", 1)] }),
	);
	const facts = (version: number) =>
		factsOf("k", { version, generation: 2, entries: 6 });
	const young = { generation: 2, sessionId: "s2", runId: "r2" };
	await commit(
		store,
		writeOf("k", 1, { facts: facts(2), entries: [entryOf("k", 4, young)] }),
	);
	await commit(
		store,
		writeOf("k", 2, {
			facts: facts(3),
			entries: [entryOf("k", 5), entryOf("k", 6, young)],
		}),
	);
	return facts;
}

export const transcripts: CheckGroup = {
	about: "a transcript",
	checks: {
		"is read newest generation first, the newest entry first in it": async (
			trial,
		) => {
			const store = await trial.open();
			await withTwoGenerations(store);
			assert.deepEqual(await shown(store), [[6, 4, 5, 3, 2, 1]]);
			assert.deepEqual(await shown(store, { limit: 4 }), [
				[6, 4, 5, 3],
				[2, 1],
			]);
			assert.deepEqual(await shown(store, {}, "other"), [[1]]);
		},

		"is read of one generation, or of one session id": async (trial) => {
			const store = await trial.open();
			await withTwoGenerations(store);
			assert.deepEqual(await shown(store, { generation: 1, limit: 2 }), [
				[5, 3],
				[2, 1],
			]);
			assert.deepEqual(await shown(store, { generation: 3 }), [[]]);
			assert.deepEqual(await shown(store, { sessionId: "s2", limit: 1 }), [
				[6],
				[4],
			]);
			assert.deepEqual(await shown(store, { sessionId: "s1", limit: 2 }), [
				[5, 3],
				[2, 1],
			]);
			assert.deepEqual(await shown(store, { sessionId: "s2", generation: 1 }), [
				[],
			]);
			assert.deepEqual(await shown(store, { sessionId: "" }), [[]]);
		},

		"pages on from where it was, whatever is appended or hidden in between":
			async (trial) => {
				const store = await trial.open();
				const facts = await withTwoGenerations(store);
				const first = await store.transcript("k", { limit: 2 });
				await commit(
					store,
					writeOf("k", 3, {
						facts: facts(4),
						entries: [entryOf("k", 7, { generation: 2, runId: "r2" })],
						hides: [{ generation: 2, runId: "r2", attempt: 1 }],
					}),
				);
				assert.deepEqual(
					await shown(store, { cursor: first.cursor as string }),
					[[5, 3, 2, 1]],
				);
				assert.deepEqual(await shown(store), [[5, 3, 2, 1]]);
			},

		"has an entry once, however often its batch is tried": async (trial) => {
			const first = await trial.open("first");
			const write = writeOf("k", 1, {
				facts: null,
				entries: [entryOf("k", 1), entryOf("k", 2)],
			});
			await commit(first, writeOf("k", 0));
			await commit(first, write);
			await commit(first, write);
			assert.deepEqual(await shown(first), [[2, 1]]);
			await first[Symbol.asyncDispose]();
			const second = await trial.open("second");
			await commit(second, { ...write, entries: [entryOf("k", 2)] });
			await commit(second, {
				...write,
				entries: [entryOf("k", 2), entryOf("k", 3)],
			});
			assert.deepEqual(await shown(second), [[3, 2, 1]]);
		},

		"has an entry once, also where a younger generation has the newest": async (
			trial,
		) => {
			const first = await trial.open("first");
			await withTwoGenerations(first);
			await first[Symbol.asyncDispose]();
			const store = await trial.open("second");
			await commit(
				store,
				writeOf("k", 3, { facts: null, entries: [entryOf("k", 5)] }),
			);
			assert.deepEqual(await shown(store, { generation: 1 }), [[5, 3, 2, 1]]);
		},

		"goes on in a new generation although the count of entries was lost":
			async (trial) => {
				const store = await trial.open();
				await withTwoGenerations(store);
				// As after the reset of a row that could not be read.
				await commit(
					store,
					writeOf("k", 3, {
						facts: factsOf("k", { version: 4, generation: 3, entries: 1 }),
						entries: [entryOf("k", 1, { generation: 3, runId: "r3" })],
					}),
				);
				assert.deepEqual(await shown(store), [[1, 6, 4, 5, 3, 2, 1]]);
			},

		"is of the last commit that held": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0, { entries: [entryOf("k", 1)] }));
			const lost = writeOf("k", 7, { entries: [entryOf("k", 2)] });
			await assert.rejects(commit(store, lost), { message: /version/ });
			await commit(
				store,
				writeOf("k", 1, {
					entries: [entryOf("k", 2, { entry: "the second try" })],
				}),
			);
			const { items } = await store.transcript("k", {});
			assert.deepEqual(
				items.map(({ entry }) => entry),
				["the second try", { said: 1 }],
			);
		},

		"shows nothing of a run that is hidden, also of what came in the same batch":
			async (trial) => {
				const store = await trial.open();
				await commit(
					store,
					writeOf("k", 0, {
						entries: [
							entryOf("k", 1, { runId: "before" }),
							entryOf("k", 2, { runId: "r", attempt: 1 }),
							entryOf("k", 3, { runId: "r", attempt: 2 }),
						],
					}),
				);
				const hidden = { generation: 1, runId: "r", attempt: 2 };
				await commit(
					store,
					writeOf("k", 1, {
						entries: [entryOf("k", 4, { runId: "r", attempt: 2 })],
						hides: [hidden],
					}),
				);
				assert.deepEqual(await shown(store), [[2, 1]]);
				// Entries that come later say themselves that they are hidden; to hide twice changes nothing.
				await commit(
					store,
					writeOf("k", 2, {
						entries: [
							entryOf("k", 5, { runId: "r", attempt: 2, hidden: true }),
							entryOf("k", 6, { runId: "after" }),
						],
						hides: [hidden, { generation: 1, runId: "nobody", attempt: 1 }],
					}),
				);
				assert.deepEqual(await shown(store), [[6, 2, 1]]);
				assert.deepEqual(await shown(store, { limit: 1 }), [[6], [2], [1]]);
			},

		"hides a run of a generation that has ended": async (trial) => {
			const store = await trial.open();
			const facts = await withTwoGenerations(store);
			await commit(
				store,
				writeOf("k", 3, {
					facts: facts(4),
					hides: [{ generation: 1, runId: "r1", attempt: 1 }],
				}),
			);
			assert.deepEqual(await shown(store), [[6, 4]]);
		},

		"has full pages, however many hidden entries are between": async (
			trial,
		) => {
			const store = await trial.open();
			await commit(
				store,
				writeOf("k", 0, {
					entries: upTo(2000).map((seq) =>
						entryOf("k", seq, { hidden: seq % 500 !== 0 }),
					),
				}),
			);
			assert.deepEqual(await shown(store, { limit: 3 }), [
				[2000, 1500, 1000],
				[500],
			]);
			assert.deepEqual(await shown(store, { limit: 4 }), [
				[2000, 1500, 1000, 500],
			]);
		},

		"of ten thousand entries is read to its end": async (trial) => {
			const store = await trial.open();
			await commit(
				store,
				writeOf("k", 0, {
					entries: upTo(10_000).map((seq) => entryOf("k", seq)),
				}),
			);
			const pages = await shown(store, { limit: 1000 });
			assert.equal(pages.length, 10);
			assert.deepEqual(pages.flat(), upTo(10_000).reverse());
		},

		"goes with the generations that are erased": async (trial) => {
			const store = await trial.open();
			const facts = await withTwoGenerations(store);
			await commit(
				store,
				writeOf("k", 3, {
					facts: facts(4),
					entries: [entryOf("k", 7)],
					purgeBefore: 2,
				}),
			);
			assert.deepEqual(await shown(store), [[6, 4]]);
			await commit(store, writeOf("k", 4, { facts: facts(5), purgeBefore: 3 }));
			assert.deepEqual(await shown(store), [[]]);
			assert.deepEqual(await shown(store, {}, "other"), [[1]]);
			await commit(
				store,
				writeOf("k", 5, {
					facts: facts(6),
					entries: [entryOf("k", 8, { generation: 2 })],
				}),
			);
			assert.deepEqual(await shown(store), [[8]]);
		},

		"stands beside the runs and messages of its generation": async (trial) => {
			const store = await trial.open();
			await commit(
				store,
				writeOf("k", 0, {
					runs: [runOf("k", "r1")],
					entries: [entryOf("k", 1)],
				}),
			);
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2, generation: 2 }),
					generations: [endedOf("k", 1)],
				}),
			);
			await commit(
				store,
				writeOf("k", 2, { facts: null, entries: [entryOf("k", 2)] }),
			);
			assert.deepEqual(await shown(store, { generation: 1 }), [[2, 1]]);
			assert.equal((await store.runs("k", {})).items.length, 1);
			assert.equal((await store.generations("k", {})).items.length, 1);
		},
	},
};
