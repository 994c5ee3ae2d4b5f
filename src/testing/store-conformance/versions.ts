/** Owns what every store must compare before it writes, and that a batch holds wholly or not at all. */
import assert from "node:assert/strict";
import {
	type OpenStore,
	type SessionWrite,
	VersionConflict,
} from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import {
	commit,
	endedOf,
	entryOf,
	messageOf,
	refusalOf,
	runOf,
	writeOf,
} from "./records.ts";

async function assertConflict(store: OpenStore, write: SessionWrite) {
	await assert.rejects(commit(store, write), VersionConflict);
}

export const versions: CheckGroup = {
	about: "compares and sets",
	checks: {
		"a row at another version: nothing of the batch holds": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("seen", 0));
			const late = {
				sessions: [
					writeOf("first", 0, {
						messages: [messageOf("m")],
						runs: [runOf("first", "r")],
						generations: [endedOf("first", 1)],
						entries: [entryOf("first", 1)],
					}),
					writeOf("seen", 7),
					writeOf("last", 0),
				],
				refusals: [refusalOf(null, "r")],
			};
			await assert.rejects(store.commit(late), VersionConflict);
			assert.equal(await store.load("first"), null);
			assert.deepEqual(await store.runsNamed("r"), []);
			assert.equal(await store.message("first", "m"), null);
			assert.equal(await store.generation("first", 1), null);
			assert.deepEqual((await store.transcript("first", {})).items, []);
			assert.equal(await store.load("last"), null);
			assert.deepEqual((await store.refusals({})).items, []);
			assert.equal(await store.version("seen"), 1);
		},

		"a row that is not there is a conflict": async (trial) => {
			const store = await trial.open();
			await assertConflict(store, writeOf("new", 1));
		},

		"a row where none was expected is a conflict": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("seen", 0));
			await assertConflict(store, writeOf("seen", 0));
		},

		"a row that stays as it is is compared too": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("seen", 0));
			const runs = [runOf("seen", "r")];
			await assertConflict(store, writeOf("seen", 2, { facts: null, runs }));
			assert.deepEqual(await store.runsNamed("r"), []);
		},

		"after a conflict the store goes on from its last commit": async (
			trial,
		) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0, { runs: [runOf("k", "r1")] }));
			await assert.rejects(
				commit(
					store,
					writeOf("k", 1, { runs: [runOf("k", "lost")] }),
					writeOf("k2", 1),
				),
				VersionConflict,
			);
			await commit(store, writeOf("k", 1, { runs: [runOf("k", "r2")] }));
			assert.deepEqual(
				(await store.runs("k", {})).items.map((one) => one.runId),
				["r2", "r1"],
			);
		},

		"one key twice in a batch: the second write sees the first": async (
			trial,
		) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0), writeOf("k", 1), writeOf("k", 2));
			assert.equal(await store.version("k"), 3);
			await assert.rejects(
				commit(store, writeOf("k", 3), writeOf("k", 3)),
				VersionConflict,
			);
			assert.equal(await store.version("k"), 3);
		},

		"a key without a row has nothing filed under it": async (trial) => {
			const store = await trial.open();
			await assert.rejects(
				commit(
					store,
					writeOf("k", 0, { facts: null, runs: [runOf("k", "r")] }),
				),
				{ code: "INVALID_ARGUMENT" },
			);
			assert.deepEqual(await store.runsNamed("r"), []);
		},

		"a batch that is tried again although it held changes nothing": async (
			trial,
		) => {
			const store = await trial.open();
			const batch = {
				sessions: [
					writeOf("k", 0, {
						runs: [runOf("k", "r")],
						messages: [messageOf("m")],
						entries: [entryOf("k", 1)],
					}),
				],
				refusals: [refusalOf("k", "once")],
			};
			await store.commit(batch);
			await assert.rejects(store.commit(batch), VersionConflict);
			assert.equal(await store.version("k"), 1);
			assert.equal((await store.runs("k", {})).items.length, 1);
			assert.equal((await store.load("k"))?.queue.length, 1);
			assert.equal((await store.transcript("k", {})).items.length, 1);
			assert.equal((await store.refusals({})).items.length, 1);
		},

		"what is in two batches is there once": async (trial) => {
			const store = await trial.open();
			const refusals = [refusalOf("k", "once"), refusalOf(null, "nobody's")];
			const records = {
				runs: [runOf("k", "r")],
				messages: [messageOf("m")],
				generations: [endedOf("k", 1)],
				entries: [entryOf("k", 1)],
			};
			for (const version of [0, 1])
				await store.commit({
					sessions: [writeOf("k", version, records)],
					refusals,
				});
			await store.commit({
				sessions: [],
				refusals: [...refusals, ...refusals],
			});
			assert.deepEqual((await store.runs("k", {})).items, records.runs);
			assert.deepEqual(await store.runsNamed("r"), records.runs);
			assert.deepEqual(
				(await store.generations("k", {})).items,
				records.generations,
			);
			assert.equal((await store.load("k"))?.queue.length, 1);
			assert.equal((await store.transcript("k", {})).items.length, 1);
			assert.deepEqual((await store.refusals({})).items, refusals.toReversed());
			assert.deepEqual((await store.refusals({ sessionKey: "k" })).items, [
				refusals[0],
			]);
		},

		"an empty batch holds": async (trial) => {
			const store = await trial.open();
			await store.commit({ sessions: [], refusals: [] });
		},
	},
};
