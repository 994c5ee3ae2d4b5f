/** Owns what every store must do to erase messages that are old. */
import assert from "node:assert/strict";
import { queuedOf } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import { known, messagesBefore, pruned } from "./pruning.ts";
import { commit, factsOf, messageOf, runOf, writeOf } from "./records.ts";

const message = (
	messageId: string,
	acceptedAt: number,
	fate: "queued" | "taken" | "removed" = "taken",
	generation = 1,
) => messageOf(messageId, { acceptedAt, fate, generation });

export const prunedMessages: CheckGroup = {
	about: "prunes messages",
	checks: {
		"erases those that were accepted before, the oldest first, over all keys":
			async (trial) => {
				const store = await trial.open();
				await commit(
					store,
					writeOf("k", 0, {
						messages: [message("a", 1), message("b", 4, "removed")],
					}),
					writeOf("l", 0, { messages: [message("c", 2), message("d", 3)] }),
				);
				const ids = ["a", "b", "c", "d"];
				assert.deepEqual(await store.prune(messagesBefore(4), 2), {
					erased: 2,
					more: true,
				});
				assert.equal(await known(store, ids), "b");
				assert.equal(await known(store, ids, "l"), "d");
				assert.deepEqual(await store.prune(messagesBefore(4), 2), {
					erased: 1,
					more: false,
				});
				assert.equal(await known(store, ids), "b");
				assert.equal(await known(store, ids, "l"), "");
				assert.equal(await store.version("k"), 1);
			},

		"says that there is no more once there is none": async (trial) => {
			const store = await trial.open();
			await commit(
				store,
				writeOf("k", 0, {
					messages: ["a", "b", "c", "d"].map((id, i) => message(id, i)),
				}),
			);
			assert.deepEqual(await pruned(store, messagesBefore(4), 2), [2, 2]);
			assert.deepEqual(await pruned(store, messagesBefore(4), 2), [0]);
		},

		"finds also one that was accepted before the one that was filed before it":
			async (trial) => {
				const store = await trial.open();
				await commit(
					store,
					writeOf("k", 0, {
						messages: [
							message("future", 900),
							message("a", 1),
							message("b", 2),
						],
					}),
				);
				assert.deepEqual(await pruned(store, messagesBefore(10), 1), [1, 1]);
				assert.equal(await known(store, ["future", "a", "b"]), "future");
			},

		"erases none that waits, and each once it does not wait any more": async (
			trial,
		) => {
			const store = await trial.open();
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
			assert.deepEqual(await pruned(store, messagesBefore(10), 1), [1]);
			assert.deepEqual(
				(await store.load("k"))?.queue.map(({ messageId }) => messageId),
				["a", "c"],
			);
			await commit(
				store,
				writeOf("k", 1, { messages: [message("a", 1), message("d", 4)] }),
			);
			assert.deepEqual(await pruned(store, messagesBefore(10), 1), [1, 1]);
			assert.equal(await known(store, ["a", "b", "c", "d"]), "c");
		},

		"erases none of a session that has a run, and each once it has none":
			async (trial) => {
				const store = await trial.open();
				const run = runOf("k", "R", {
					status: "executing",
					outcome: null,
					endedAt: null,
					messageIds: ["a"],
				});
				const live = factsOf("k", { run });
				await commit(
					store,
					writeOf("k", 0, { facts: live, messages: [message("a", 1)] }),
					writeOf("l", 0, { messages: [message("b", 2)] }),
				);
				assert.deepEqual(await pruned(store, messagesBefore(10), 1), [1]);
				assert.equal(await known(store, ["a"]), "a");
				await commit(store, writeOf("k", 1, {}));
				assert.deepEqual(await pruned(store, messagesBefore(10), 1), [1]);
				assert.equal(await known(store, ["a"]), "");
			},

		"takes an id that comes again for a new one": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0, { messages: [message("a", 1)] }));
			await store.prune(messagesBefore(2), 9);
			await commit(store, writeOf("k", 1, { messages: [message("a", 5)] }));
			assert.equal((await store.message("k", "a"))?.acceptedAt, 5);
			assert.deepEqual(await pruned(store, messagesBefore(2), 9), [0]);
			assert.deepEqual(await pruned(store, messagesBefore(6), 9), [1]);
		},

		"leaves what a purge still finds, and a purge leaves what it may": async (
			trial,
		) => {
			const store = await trial.open();
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
			assert.deepEqual(await pruned(store, messagesBefore(10), 2), [2, 1]);
			assert.equal(await known(store, ids), "adf");
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
			assert.equal(await known(store, [...ids, "g"]), "g");
		},

		"leaves no link to what is another session's next": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0, { messages: [message("a", 1)] }));
			// The newest of all is erased, so that its place is free.
			assert.deepEqual(await pruned(store, messagesBefore(10), 5), [1]);
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
			assert.equal(await known(store, ["a", "c"]), "");
			assert.equal(await known(store, ["b"], "l"), "b");
		},
	},
};
