/** Owns what every store must give back: what it was given, whatever that is. */
import assert from "node:assert/strict";
import type { CheckGroup } from "./check.ts";
import {
	at,
	awkward,
	awkwardKeys,
	byCodePoint,
	commit,
	endedOf,
	entryOf,
	factsOf,
	failedRun,
	fullFacts,
	fullGeneration,
	fullMessage,
	fullRefusal,
	messageOf,
	refusalOf,
	runOf,
	writeOf,
} from "./records.ts";

export const values: CheckGroup = {
	about: "keeps what it is given",
	checks: {
		"every field of a row comes back": async (trial) => {
			const store = await trial.open();
			const facts = fullFacts("k");
			await commit(store, writeOf("k", 0, { facts }));
			const { queue: _, ...row } = facts;
			assert.deepEqual(await store.load("k"), {
				facts: { ...row, queued: 0 },
				queue: [],
			});
			assert.deepEqual((await store.list({})).items, [{ ...row, queued: 0 }]);
		},

		"every field of a run comes back": async (trial) => {
			const store = await trial.open();
			const run = failedRun("k");
			await commit(store, writeOf("k", 0, { runs: [run] }));
			assert.deepEqual((await store.runs("k", {})).items, [run]);
			assert.deepEqual(await store.runsNamed("failed"), [run]);
			assert.deepEqual(await store.runsNamed("failed", "k"), [run]);
		},

		"every field of an ended generation comes back": async (trial) => {
			const store = await trial.open();
			const ended = fullGeneration("k");
			await commit(store, writeOf("k", 0, { generations: [ended] }));
			assert.deepEqual(await store.generation("k", 2), ended);
			assert.deepEqual((await store.generations("k", {})).items, [ended]);
		},

		"every field of a message comes back": async (trial) => {
			const store = await trial.open();
			const messages = [
				fullMessage("k"),
				...(["reset", "abort", "delete"] as const).map((kind) =>
					messageOf(`${kind}-1`, { input: null, seq: 0, fate: "taken", kind }),
				),
			];
			await commit(store, writeOf("k", 0, { messages }));
			for (const message of messages)
				assert.deepEqual(await store.message("k", message.messageId), message);
		},

		"every field of a transcript entry comes back, but not what it is kept by":
			async (trial) => {
				const store = await trial.open();
				const entry = entryOf("k", 7, {
					generation: 2,
					sessionId: "s2",
					runId: "live",
					attempt: 3,
					at: at + 0.5,
					entry: awkward,
				});
				await commit(store, writeOf("k", 0, { entries: [entry] }));
				const { attempt: _, hidden: __, ...shown } = entry;
				assert.deepEqual((await store.transcript("k", {})).items, [shown]);
			},

		"an expectation comes back with the fields it had, and no others": async (
			trial,
		) => {
			const store = await trial.open();
			const messages = [
				messageOf("none", { seq: 1, expect: {} }),
				messageOf("one", { seq: 2, expect: { generation: 0 } }),
				messageOf("other", { seq: 3, expect: { runId: "", messageId: "m" } }),
			];
			await commit(store, writeOf("k", 0, { messages }));
			assert.deepEqual(
				(await store.load("k"))?.queue.map((one) => one.expect),
				[{}, { generation: 0 }, { runId: "", messageId: "m" }],
			);
		},

		"every field of a refusal comes back": async (trial) => {
			const store = await trial.open();
			const refusals = [fullRefusal("k"), refusalOf(null, "nobody's")];
			await store.commit({ sessions: [], refusals });
			assert.deepEqual((await store.refusals({})).items, [
				refusals[1],
				refusals[0],
			]);
		},

		"a name that JavaScript has a meaning for is a field like any other":
			async (trial) => {
				const store = await trial.open();
				await commit(
					store,
					writeOf("k", 0, { facts: factsOf("k", { meta: awkward }) }),
				);
				const meta = (await store.load("k"))?.facts.meta as object;
				assert.ok(Object.keys(meta).includes("__proto__"));
				assert.ok(!("polluted" in meta));
				assert.equal(JSON.stringify(meta), JSON.stringify(awkward));
			},

		"any key and any id is an ordinary one": async (trial) => {
			const store = await trial.open();
			for (const key of awkwardKeys)
				await commit(
					store,
					writeOf(key, 0, {
						messages: [messageOf(key)],
						runs: [runOf(key, key)],
						generations: [endedOf(key, 1)],
					}),
				);
			for (const key of awkwardKeys) {
				const loaded = await store.load(key);
				assert.equal(loaded?.facts.sessionKey, key);
				assert.deepEqual(
					loaded?.queue.map((one) => one.messageId),
					[key],
				);
				assert.deepEqual(await store.runsNamed(key), [runOf(key, key)]);
				assert.deepEqual(await store.generation(key, 1), endedOf(key, 1));
			}
			const { items } = await store.list({});
			assert.deepEqual(
				items.map((one) => one.sessionKey),
				[...awkwardKeys].sort(byCodePoint),
			);
		},

		"half a character is refused as a key or an id, and finds nothing": async (
			trial,
		) => {
			const store = await trial.open();
			await commit(store, writeOf("\ufffd", 0));
			const half = "\ud83e";
			const writes = [
				writeOf(half, 0),
				writeOf("k", 0, { runs: [runOf("k", half)] }),
				writeOf("k", 0, { messages: [messageOf(half)] }),
				writeOf("k", 0, { entries: [entryOf("k", 1, { runId: half })] }),
				writeOf("k", 0, { entries: [entryOf("k", 1, { sessionId: half })] }),
			];
			for (const write of writes)
				await assert.rejects(commit(store, write), {
					code: "INVALID_ARGUMENT",
				});
			assert.equal(await store.load(half), null);
			assert.equal(await store.version(half), 0);
			assert.deepEqual(await store.runsNamed(half), []);
			assert.equal(await store.message("\ufffd", half), null);
			assert.deepEqual((await store.list({ prefix: half })).items, []);
			assert.deepEqual((await store.transcript(half, {})).items, []);
			assert.equal(await store.load("k"), null);
		},

		"what is not there is null, empty or 0": async (trial) => {
			const store = await trial.open();
			assert.equal(await store.load("k"), null);
			assert.equal(await store.version("k"), 0);
			assert.equal(await store.message("k", "m"), null);
			assert.equal(await store.generation("k", 1), null);
			assert.deepEqual(await store.runsNamed("r"), []);
			const nothing = { items: [], cursor: null };
			assert.deepEqual(await store.list({}), nothing);
			assert.deepEqual(await store.runs("k", {}), nothing);
			assert.deepEqual(await store.transcript("k", {}), nothing);
			assert.deepEqual(await store.generations("k", {}), nothing);
			assert.deepEqual(await store.refusals({}), nothing);
			assert.deepEqual(await store.unsettled({}), nothing);
		},
	},
};
