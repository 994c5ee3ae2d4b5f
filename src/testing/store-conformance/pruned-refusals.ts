/** Owns what every store must do to erase refusals. */
import assert from "node:assert/strict";
import type { CheckGroup } from "./check.ts";
import { pruned, refusalsBut } from "./pruning.ts";
import { refusalOf } from "./records.ts";

export const prunedRefusals: CheckGroup = {
	about: "prunes refusals",
	checks: {
		"keeps the newest so many of all keys": async (trial) => {
			const store = await trial.open();
			const reasons = async () =>
				(await store.refusals({})).items.map(({ reason }) => reason).join("");
			await store.commit({
				sessions: [],
				refusals: ["k", null, "l", "k", "k"].map((key, i) =>
					refusalOf(key, String(i)),
				),
			});
			assert.deepEqual(await pruned(store, refusalsBut(5), 1), [0]);
			assert.deepEqual(await store.prune(refusalsBut(2), 2), {
				erased: 2,
				more: true,
			});
			assert.equal(await reasons(), "432");
			assert.deepEqual(await store.prune(refusalsBut(2), 1), {
				erased: 1,
				more: false,
			});
			assert.equal(await reasons(), "43");
			assert.deepEqual(await pruned(store, refusalsBut(0), 9), [2]);
			assert.equal(await reasons(), "");
		},
	},
};
