/** Owns what every store must make of a record that it has already. */
import assert from "node:assert/strict";
import type { CheckGroup } from "./check.ts";
import {
	commit,
	endedOf,
	factsOf,
	messageOf,
	runOf,
	ticketOf,
	writeOf,
} from "./records.ts";

export const rewrites: CheckGroup = {
	about: "writes again",
	checks: {
		"the row, with its new version": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0));
			await commit(
				store,
				writeOf("k", 1, { facts: factsOf("k", { version: 2, meta: "new" }) }),
			);
			assert.equal(await store.version("k"), 2);
			assert.equal((await store.load("k"))?.facts.meta, "new");
		},

		"a run, by key, run id and attempt": async (trial) => {
			const store = await trial.open();
			const open = runOf("k", "r", { outcome: null, status: "reserved" });
			const again = runOf("k", "r", { attempt: 2 });
			await commit(store, writeOf("k", 0, { runs: [open, again] }));
			await commit(store, writeOf("other", 0, { runs: [runOf("other", "r")] }));
			const closed = runOf("k", "r", { outcome: "aborted" });
			await commit(store, writeOf("k", 1, { facts: null, runs: [closed] }));
			assert.deepEqual(await store.runsNamed("r", "k"), [again, closed]);
			assert.deepEqual((await store.runs("k", {})).items, [again, closed]);
			assert.deepEqual(await store.runsNamed("r"), [
				runOf("other", "r"),
				again,
				closed,
			]);
		},

		"a generation, by key and number": async (trial) => {
			const store = await trial.open();
			await commit(store, writeOf("k", 0, { generations: [endedOf("k", 1)] }));
			const completed = endedOf("k", 1, { reason: "completed" });
			await commit(
				store,
				writeOf("k", 1, { facts: null, generations: [completed] }),
			);
			assert.deepEqual((await store.generations("k", {})).items, [completed]);
		},

		"a message, by key and message id; taken, it leaves the line": async (
			trial,
		) => {
			const store = await trial.open();
			const queued = [
				messageOf("m2", { seq: 2 }),
				messageOf("m10", { seq: 10 }),
				messageOf("m1", { seq: 1 }),
			];
			await commit(store, writeOf("k", 0, { messages: queued }));
			await commit(store, writeOf("other", 0, { messages: [messageOf("m1")] }));
			const line = async (key: string) =>
				(await store.load(key))?.queue.map((one) => one.messageId);
			assert.deepEqual(await line("k"), ["m1", "m2", "m10"]);
			const taken = messageOf("m1", { fate: "taken", run: ticketOf("k") });
			await commit(store, writeOf("k", 1, { messages: [taken] }));
			assert.deepEqual(await line("k"), ["m2", "m10"]);
			assert.deepEqual(await store.message("k", "m1"), taken);
			assert.deepEqual(await line("other"), ["m1"]);
			assert.deepEqual(
				(await store.list({})).items.map((one) => one.queued),
				[2, 1],
			);
		},

		"a message that was moved in line, which stands where it was moved to":
			async (trial) => {
				const store = await trial.open();
				const line = async () =>
					(await store.load("k"))?.queue.map((one) => one.messageId);
				const moved = (messageId: string, seq: number, order = seq) =>
					messageOf(messageId, { seq, order });
				await commit(
					store,
					writeOf("k", 0, {
						messages: [moved("a", 1), moved("b", 2), moved("c", 3, -0.5)],
					}),
				);
				assert.deepEqual(await line(), ["c", "a", "b"]);
				// Of two that stand in one place, the one that arrived first.
				await commit(
					store,
					writeOf("k", 1, {
						facts: factsOf("k", { version: 2 }),
						messages: [moved("c", 3, 9), moved("a", 1, 9)],
					}),
				);
				assert.deepEqual(await line(), ["b", "a", "c"]);
			},

		"the same message twice in one batch: the last counts": async (trial) => {
			const store = await trial.open();
			const taken = messageOf("m1", { fate: "taken", run: ticketOf("k") });
			await commit(
				store,
				writeOf("k", 0, { messages: [messageOf("m1"), taken] }),
			);
			assert.deepEqual(await store.message("k", "m1"), taken);
			assert.deepEqual((await store.load("k"))?.queue, []);
		},
	},
};
