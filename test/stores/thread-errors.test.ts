/** What errors are once they have come from a store's thread to its host: what they were there. */
import { DatabaseSync } from "node:sqlite";
import {
	type OpenStore,
	type SessionStore,
	TurnkeeperError,
	UnreadableSession,
	VersionConflict,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { carried, restored } from "../../src/sqlite/thread-error.ts";
import {
	commit,
	factsOf,
	runOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";

async function opened(store: SessionStore): Promise<OpenStore> {
	const open = await store.open({ name: "test" });
	onTestFinished(() => open[Symbol.asyncDispose]());
	return open;
}

const onThreadAt = (path: string) => sqliteStore(path, { thread: true });

describe("an error", () => {
	test("of a row that cannot be read is an UnreadableSession with its row and cause", async () => {
		const path = temporaryFile();
		const store = await opened(onThreadAt(path));
		await commit(store, writeOf("k", 0));
		const db = new DatabaseSync(path);
		db.exec("UPDATE sessions SET body = '?'");
		db.close();
		await using inProcess = await sqliteStore(path).read();
		const there = await inProcess.load("k").catch((error) => error);
		const here = await store.load("k").catch((error) => error);
		expect(here).toBeInstanceOf(UnreadableSession);
		expect(here.row).toEqual(there.row);
		expect(here.row.raw).toBe("?");
		expect(here.message).toBe(there.message);
		expect(String(here.cause)).toBe(String(there.cause));
		expect(here.stack).toContain("reader.ts");
	});

	test("of a version that is not there is a VersionConflict", async () => {
		const store = await opened(onThreadAt(temporaryFile()));
		const conflict = await commit(store, writeOf("k", 3)).catch(
			(error) => error,
		);
		expect(conflict).toBeInstanceOf(VersionConflict);
		expect(conflict).toMatchObject({
			code: "STORE_FAILED",
			text: 'session "k" is at version 0, the batch was made on 3',
			sessionKey: "k",
			expected: 3,
			found: 0,
		});
		expect("cause" in conflict).toBe(false);
	});

	test("of SQLite comes with SQLite's own as its cause", async () => {
		const path = temporaryFile();
		const store = await opened(onThreadAt(path));
		const db = new DatabaseSync(path);
		db.exec(
			"CREATE TRIGGER no_room BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no room'); END",
		);
		db.close();
		const failed = await commit(
			store,
			writeOf("k", 0, { runs: [runOf("k", "r")] }),
		).catch((error) => error);
		expect(failed).toBeInstanceOf(TurnkeeperError);
		expect(failed).toMatchObject({
			code: "STORE_FAILED",
			message: `the store ${path} cannot be written: no room (docs/errors/STORE_FAILED.md)`,
			cause: { message: "no room", code: "ERR_SQLITE_ERROR", errcode: 1811 },
		});
	});

	test("of what is no data at all is INVALID_ARGUMENT, and the store goes on", async () => {
		const store = await opened(onThreadAt(temporaryFile()));
		const meta = (() => {}) as never;
		await expect(
			commit(store, writeOf("k", 0, { facts: factsOf("k", { meta }) })),
		).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			text: expect.stringMatching(
				/^commit was given what no thread can be handed \(.*could not be cloned\.\); it must be plain data$/s,
			),
		});
		await commit(store, writeOf("k", 0));
	});

	test("crosses over with causes of causes, and whatever was thrown", () => {
		const thrown = new TurnkeeperError("STORE_FAILED", "outer", {
			cause: new TurnkeeperError("STORE_CORRUPT", "inner", { cause: "text" }),
		});
		const back = restored(structuredClone(carried(thrown)));
		expect(back).toBeInstanceOf(TurnkeeperError);
		expect(back.stack).toBe(thrown.stack);
		expect(back).toMatchObject({
			code: "STORE_FAILED",
			message: "outer (docs/errors/STORE_FAILED.md)",
			text: "outer",
			cause: { code: "STORE_CORRUPT", cause: { message: "text" } },
		});
		expect(back.cause).toBeInstanceOf(TurnkeeperError);
		const own = Object.assign(new SyntaxError("wrong"), { code: "E", at() {} });
		const other = restored(structuredClone(carried(own)));
		expect(String(other)).toBe("SyntaxError: wrong");
		expect(Object.entries(other)).toEqual([["code", "E"]]);
	});
});
