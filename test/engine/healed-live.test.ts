/** A row that becomes unreadable while its run is live: the reset that heals it ends that run for all who wait for it. */
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { temporaryFile } from "../support/stores.ts";

test("a message whose run was live in a row that could not be read settles when that row is healed", async () => {
	const file = temporaryFile();
	const store = new FaultyStore(sqliteStore(file));
	const { runtime, scripted, clock } = await startScripted(store);
	const { settled } = await runtime.send("k", "hello");
	const db = new DatabaseSync(file);
	const before = db.prepare("SELECT count(*) n FROM sessions").get();
	expect(before).toMatchObject({ n: 1 });
	store.faults.push("before", "before");
	store.beforeCommit = () => {
		db.exec("UPDATE sessions SET body = 'rubbish'");
		store.beforeCommit = null;
	};
	await codeOf(runtime.patch("k", { a: 1 }));
	await turns();
	expect(await codeOf(runtime.patch("k", { a: 1 }))).toBe("STORE_CORRUPT");
	db.close();
	expect(await runtime.reset("k")).toMatchObject({ result: "done" });
	scripted.last.end("late");
	await turns(30);
	await clock.advance(20_000);
	expect(await now(settled)).not.toBe("pending");
});

test("a parent whose child's row was healed comes to its end", async () => {
	const file = temporaryFile();
	const store = new FaultyStore(sqliteStore(file));
	const { runtime, scripted, clock } = await startScripted(store);
	const { settled } = await runtime.send("parent", "hello");
	const parent = scripted.last;
	await parent.run.spawn("child", "work");
	await turns();
	const db = new DatabaseSync(file);
	store.faults.push("before", "before");
	store.beforeCommit = () => {
		db.exec("UPDATE sessions SET body = 'rubbish' WHERE session_key = 'child'");
		store.beforeCommit = null;
	};
	await codeOf(runtime.patch("child", { a: 1 }));
	await turns();
	db.close();
	expect(await runtime.reset("child")).toMatchObject({ result: "done" });
	parent.end("hi");
	await turns(30);
	await clock.advance(60_000);
	expect(await now(settled)).toMatchObject({ outcome: "completed" });
});
