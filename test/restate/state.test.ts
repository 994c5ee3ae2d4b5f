/** How a session lies in the state of its object. */
import { expect, test } from "vitest";
import { unusedSession } from "../../src/restate/kept.ts";
import { type ObjectState, StateStore } from "../../src/restate/state.ts";
import {
	commit,
	factsOf,
	runOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";

/** State in memory that counts how often its names are listed. */
function stateOf() {
	const kept = new Map<string, unknown>();
	let lists = 0;
	const state: ObjectState = {
		get: async (name) => (kept.get(name) ?? null) as never,
		set: (name, value) => void kept.set(name, value),
		clear: (name) => void kept.delete(name),
		stateKeys: async () => {
			lists += 1;
			return [...kept.keys()];
		},
	};
	return { state, lists: () => lists };
}

test("runs of one moment come in the order in which they were recorded first, and no turn lists the names of what is kept", async () => {
	const { state, lists } = stateOf();
	let { places } = unusedSession;
	/** Each in a call of its own. */
	const record = async (runId: string, change: object = {}, read = false) => {
		const store = new StateStore(state, null, places);
		if (read) await store.runsNamed(runId);
		const run = runOf("k", runId, change);
		const reservations = run.outcome === null ? [run] : [];
		const facts = factsOf("k", { reservations });
		await commit(store, writeOf("k", 0, { facts, runs: [run] }));
		places = store.places;
		return store;
	};
	for (const runId of ["d", "a", "c"]) await record(runId);
	// One that is reserved, and then settles.
	await record("b", { driver: "host", status: "reserved", outcome: null });
	expect(Object.keys(places.of)).toHaveLength(1);
	await record("b", { driver: "host" });
	expect(places.of).toEqual({});
	expect(lists()).toBe(0);
	// One whose usage is counted after its end, for which it was read.
	const store = await record("a", { outputTokens: 5 }, true);
	const { items } = await store.runs("k", {});
	expect(items.map(({ runId, outputTokens }) => [runId, outputTokens])).toEqual(
		[
			["b", 0],
			["c", 0],
			["a", 5],
			["d", 0],
		],
	);
});
