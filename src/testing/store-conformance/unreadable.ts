/** Owns what a store must do about a row that it cannot read: say so, leave the others alone, and let a reset write over it. */
import assert from "node:assert/strict";
import { queuedOf, UnreadableSession } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import {
	commit,
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	writeOf,
} from "./records.ts";
import type { Trial } from "./trial.ts";

/** A store of three keys, the row of one of which, "bad", cannot be read. */
async function withSpoiled(trial: Trial) {
	const first = await trial.open("first");
	const waiting = [2, 1].map((seq) => messageOf(`m${seq}`, { seq }));
	for (const key of ["a", "bad", "c"])
		await commit(
			first,
			writeOf(key, 0, {
				facts: factsOf(key, {
					generation: 3,
					entries: 2,
					queue: waiting.map(queuedOf),
				}),
				messages: [...waiting, messageOf("gone", { seq: 3, fate: "taken" })],
				entries: [1, 2].map((seq) => entryOf(key, seq, { generation: 3 })),
			}),
		);
	await first[Symbol.asyncDispose]();
	await trial.spoil("bad");
	return trial.open("second");
}

export const unreadable: CheckGroup = {
	about: "has a row that cannot be read",
	needs: "spoil",
	checks: {
		"which is an error of its own, with what is still known": async (trial) => {
			const store = await withSpoiled(trial);
			const error = await store.load("bad").catch((thrown) => thrown);
			assert.ok(error instanceof UnreadableSession, String(error));
			const { queue, lost, raw, ...row } = error.row;
			assert.deepEqual(row, {
				sessionKey: "bad",
				generation: 3,
				version: 1,
				entries: 2,
			});
			assert.equal(typeof raw, "string");
			assert.deepEqual(
				queue.map(({ messageId }) => messageId),
				["m1", "m2"],
			);
			assert.deepEqual(lost, []);
		},

		"and stands in nobody's way": async (trial) => {
			const store = await withSpoiled(trial);
			const { items } = await store.list({});
			assert.deepEqual(
				items.map(({ sessionKey }) => sessionKey),
				["a", "c"],
			);
			assert.equal((await store.load("c"))?.facts.generation, 3);
			assert.equal(await store.version("bad"), 1);
			assert.equal((await store.message("bad", "m1"))?.fate, "queued");
			assert.equal((await store.transcript("bad", {})).items.length, 2);
			assert.deepEqual((await store.unsettled({})).items, ["a", "bad", "c"]);
		},

		"and can be written over, as a reset does": async (trial) => {
			const store = await withSpoiled(trial);
			await commit(
				store,
				writeOf("bad", 1, {
					facts: factsOf("bad", { version: 2, generation: 4, entries: 2 }),
					generations: [endedOf("bad", 3)],
				}),
			);
			const loaded = await store.load("bad");
			assert.equal(loaded?.facts.generation, 4);
			assert.equal(loaded?.queue.length, 2);
			assert.equal((await store.list({})).items.length, 3);
		},
	},
};
