/** What the host of a store sees when its thread dies, or never comes to life. */
import { writeFileSync } from "node:fs";
import type { OpenStore, SessionStore } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { storeAt } from "../../src/sqlite/opening.ts";
import { onThread } from "../../src/sqlite/thread.ts";
import {
	commit,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";
import { type Death, dyingStore } from "../support/thread-stores.ts";

async function opened(store: SessionStore): Promise<OpenStore> {
	const open = await store.open({ name: "test" });
	onTestFinished(() => open[Symbol.asyncDispose]());
	return open;
}

const onThreadAt = (path: string) => sqliteStore(path, { thread: true });

describe("a thread that dies", () => {
	const causes: Record<Death, string> = {
		exits: "it ended with exit code 3",
		throws: "out of luck",
		"runs out of memory":
			"Worker terminated due to reaching memory limit: JS heap out of memory",
	};

	test.each(["exits", "runs out of memory"] as const)(
		"because it %s fails all that waits and all that comes, and gives the file back when it is disposed",
		async (death) => {
			const path = temporaryFile();
			const store = await opened(dyingStore(path, death));
			const lost = {
				code: "STORE_FAILED",
				text: `the store ${path} has lost its thread (${causes[death]}); close it and open it again`,
				cause: expect.any(Error),
			};
			const asked = [
				store.version("k"),
				commit(store, writeOf("k", 0)),
				commit(store, writeOf("k", 0)),
				store.load("k"),
			];
			const ended = await Promise.allSettled(asked);
			expect(ended[0]).toEqual({ status: "fulfilled", value: 0 });
			for (const one of ended.slice(1))
				expect(one).toMatchObject({ status: "rejected", reason: lost });
			await expect(store.version("k")).rejects.toMatchObject(lost);
			await expect(
				sqliteStore(path).open({ name: "too early" }),
			).rejects.toMatchObject({ code: "STORE_LOCKED" });
			await store[Symbol.asyncDispose]();
			await store[Symbol.asyncDispose]();
			await expect(store.version("k")).rejects.toMatchObject({
				text: `the store ${path} is closed; open it again`,
			});
			// Nothing of the transaction that it died in holds, or holds anybody up.
			const next = await opened(sqliteStore(path));
			expect(await next.version("k")).toBe(0);
			await commit(next, writeOf("k", 0));
		},
	);

	test("because it throws outside of a call fails what comes after the answer", async () => {
		const path = temporaryFile();
		const store = await opened(dyingStore(path, "throws"));
		await commit(store, writeOf("k", 0));
		const lost = await untilLost(store);
		expect(lost).toMatchObject({
			code: "STORE_FAILED",
			text: `the store ${path} has lost its thread (${causes.throws}); close it and open it again`,
			cause: { name: "RangeError" },
		});
		await store[Symbol.asyncDispose]();
		const next = await opened(onThreadAt(path));
		expect(await next.version("k")).toBe(1);
	});

	/** Asks until the thread has died. */
	async function untilLost(store: OpenStore): Promise<unknown> {
		for (;;)
			try {
				await store.version("k");
			} catch (error) {
				return error;
			}
	}
});

describe("an open that fails", () => {
	test("tells what the thread found, and gives the file back", async () => {
		const path = temporaryFile();
		writeFileSync(path, "this is not a database, but a text of some length");
		for (let i = 0; i < 2; i++)
			await expect(onThreadAt(path).open({ name: "x" })).rejects.toMatchObject({
				code: "STORE_CORRUPT",
				message: expect.stringContaining("is no SQLite database"),
			});
		await expect(onThreadAt(path).read()).rejects.toMatchObject({
			code: "STORE_CORRUPT",
		});
	});

	test("because the thread cannot live says so, and gives the file back", async () => {
		const path = temporaryFile();
		const broken = onThread("full", {
			module: new URL("data:text/javascript,throw new Error('no such luck')"),
		});
		await expect(
			storeAt(path, 0, broken).open({ name: "x" }),
		).rejects.toMatchObject({
			code: "STORE_FAILED",
			text: `the store ${path} cannot be opened: no such luck`,
		});
		await using store = await onThreadAt(path).open({ name: "y" });
		await commit(store, writeOf("k", 0));
		await expect(storeAt(path, 0, broken).read()).rejects.toMatchObject({
			code: "STORE_FAILED",
			text: `the store ${path} cannot be read: no such luck`,
		});
	});
});
