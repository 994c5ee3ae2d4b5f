/** Owns a chain of batches, each on the one before, of which it is easy to tell how many a store holds and whether it holds a part of one. */
import assert from "node:assert/strict";
import {
	type Batch,
	type LoadedSession,
	queuedOf,
	type SessionWrite,
	type StoredRefusal,
	type StoreReader,
} from "../../store.ts";
import {
	at,
	entryOf,
	factsOf,
	messageOf,
	runOf,
	walk,
	writeOf,
} from "./records.ts";

/** The sessions that every batch of `link` writes. */
export const chainKeys = ["a", "b", "c"];

/** So that a batch is written in more than one piece. */
const long = "long ".repeat(2000);

/** The batch number `n`, from 0 on: it moves all keys from version n to n + 1, takes the message of the batch before and gives each key one more of everything. */
export function link(n: number): Batch {
	return {
		sessions: chainKeys.map((key) => part(key, n)),
		refusals: [refusal(n)],
	};
}

const refusal = (n: number): StoredRefusal => ({
	refusalId: `f${n}`,
	sessionKey: null,
	at,
	verdict: "unknown",
	reason: `f${n}`,
	report: { runId: `r${n}`, phase: "end" },
	current: null,
});

function part(key: string, n: number): SessionWrite {
	const waits = messageOf(`m${n}`, { seq: n + 1 });
	const taken = messageOf(`m${n - 1}`, { seq: n, fate: "taken" });
	return writeOf(key, n, {
		facts: factsOf(key, {
			version: n + 1,
			entries: n + 1,
			meta: { n, long },
			queue: [queuedOf(waits)],
		}),
		messages: n === 0 ? [waits] : [taken, waits],
		runs: [runOf(key, `r${n}`)],
		entries: [entryOf(key, n + 1, { entry: { n, long } })],
	});
}

/** Throws unless a session is as link number `n` left it. */
export function assertLinked(loaded: LoadedSession, n: number): void {
	assert.equal(loaded.facts.version, n + 1);
	assert.deepEqual(loaded.facts.meta, { n, long });
	assert.equal(loaded.facts.queued, 1);
	assert.deepEqual(
		loaded.queue.map(({ messageId }) => messageId),
		[`m${n}`],
		"the line is of the row's version",
	);
}

/** How many batches of the chain a store holds. Throws where it holds a part of one. */
export async function linksHeld(store: StoreReader): Promise<number> {
	const versions = await Promise.all(
		chainKeys.map((key) => store.version(key)),
	);
	const [held = 0] = versions;
	assert.deepEqual(
		versions,
		chainKeys.map(() => held),
		"all sessions of a batch hold, or none",
	);
	const upTo = Array.from({ length: held }, (_, n) => n);
	const newest = upTo.toReversed();
	for (const key of chainKeys) {
		const loaded = await store.load(key);
		if (loaded) assertLinked(loaded, held - 1);
		for (const n of upTo)
			assert.equal(
				(await store.message(key, `m${n}`))?.fate,
				n === held - 1 ? "queued" : "taken",
			);
		const runs = await walk((cursor) => store.runs(key, { cursor }));
		assert.deepEqual(
			runs.flat().map(({ runId }) => runId),
			newest.map((n) => `r${n}`),
		);
		const entries = await walk((cursor) => store.transcript(key, { cursor }));
		assert.deepEqual(
			entries.flat().map(({ entry }) => entry),
			newest.map((n) => ({ n, long })),
		);
		assert.equal(await store.message(key, `m${held}`), null);
	}
	const refusals = await walk((cursor) => store.refusals({ cursor }));
	assert.deepEqual(
		refusals.flat().map(({ reason }) => reason),
		newest.map((n) => `f${n}`),
	);
	return held;
}
