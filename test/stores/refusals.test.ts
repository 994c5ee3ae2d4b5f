/** What the stores that come with the package say when they refuse something: the value, and what would have been right. */
import { UnreadableSession, VersionConflict } from "turnkeeper";
import { expect, onTestFinished, test } from "vitest";
import {
	commit,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { storeKinds } from "../support/stores.ts";

test.each(storeKinds)("a %s store names what it refuses", async (_, fresh) => {
	const store = await fresh().open({ name: "test" });
	onTestFinished(() => store[Symbol.asyncDispose]());
	const says = (call: Promise<unknown>, text: string) =>
		expect(call).rejects.toThrow(text);
	await says(store.list({ limit: 0 }), "limit is 0; it must be a whole number");
	await says(store.runs("k", { limit: 1001 }), "limit is 1001");
	await says(store.refusals({ cursor: "nonsense" }), 'cursor is "nonsense"');
	await says(store.prune({ of: "refusals", keep: 1 }, 1.5), "limit is 1.5");
	await commit(store, writeOf("seen", 0));
	const conflict = commit(store, writeOf("seen", 7));
	await says(
		conflict,
		'session "seen" is at version 1, the batch was made on 7',
	);
	await expect(conflict).rejects.toBeInstanceOf(VersionConflict);
	await store[Symbol.asyncDispose]();
	await says(store.load("k"), "closed");
	await says(commit(store, writeOf("k", 0)), "closed");
});

test("an unreadable session is an error of its own, which carries the row", () => {
	const row = {
		sessionKey: "k",
		generation: 1,
		version: 2,
		raw: "x",
		queue: [],
		lost: [],
		entries: 0,
	};
	const error = new UnreadableSession(row, new Error("why"));
	expect(error).toMatchObject({ code: "STORE_CORRUPT", row });
});
