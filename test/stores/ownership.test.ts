/** Who may write to a file: one owner over all processes, whatever the file is called, and as many readers as there are. */
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { OpenStore } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, onTestFinished, test } from "vitest";
import {
	at,
	commit,
	endedOf,
	entryOf,
	factsOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";
import { startRemote } from "./remote.ts";

function closeLater(store: OpenStore): OpenStore {
	onTestFinished(() => store[Symbol.asyncDispose]());
	return store;
}

const lockedBy = (text: string) => ({
	code: "STORE_LOCKED",
	message: expect.stringContaining(text),
});

test("a second open in the same process is refused, and takes nothing from the first", async () => {
	const path = temporaryFile();
	const store = closeLater(await sqliteStore(path).open({ name: "the bot" }));
	for (let i = 0; i < 3; i++) {
		const refused = sqliteStore(path).open({ name: "second" });
		await expect(refused).rejects.toMatchObject(
			lockedBy(`this process ${process.pid} (the bot, since `),
		);
		await expect(refused).rejects.toMatchObject(lockedBy(path));
	}
	// The kernel still holds the lock against others.
	const remote = await startRemote();
	await expect(remote.call("open", path)).rejects.toMatchObject(
		lockedBy(`process ${process.pid} (the bot, since `),
	);
	await commit(store, writeOf("k", 0));
});

test("a thread of the owner's process is refused like anybody else", async () => {
	const path = temporaryFile();
	closeLater(await sqliteStore(path).open({ name: "main thread" }));
	const module = new URL("../../src/sqlite.ts", import.meta.url).href;
	const worker = new Worker(
		`import(${JSON.stringify(module)})
			.then(({ sqliteStore }) => sqliteStore(${JSON.stringify(path)}).open({ name: "thread" }))
			.then(() => "open", ({ code }) => code)
			.then((outcome) => require("node:worker_threads").parentPort.postMessage(outcome));`,
		{ eval: true, execArgv: [] },
	);
	onTestFinished(async () => {
		await worker.terminate();
	});
	const outcome = await new Promise((resolve, reject) => {
		worker.once("message", resolve);
		worker.once("error", reject);
	});
	expect(outcome).toBe("STORE_LOCKED");
	const remote = await startRemote();
	await expect(remote.call("open", path)).rejects.toMatchObject({
		code: "STORE_LOCKED",
	});
});

test("another process is told the owner's pid and name", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	await expect(sqliteStore(path).open({ name: "x" })).rejects.toMatchObject(
		lockedBy(`process ${remote.pid} (remote, since `),
	);
});

test("an owner file that says nothing leaves the refusal as it is", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	writeFileSync(`${path}.owner`, '{"pid": 1');
	await expect(sqliteStore(path).open({ name: "x" })).rejects.toMatchObject(
		lockedBy("another process"),
	);
});

test("kill -9 frees the file, whose commits are all there", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	await remote.call("commit", { sessions: [writeOf("k", 0)], refusals: [] });
	await remote.kill();
	expect(existsSync(`${path}.owner`)).toBe(true);
	const store = closeLater(await sqliteStore(path).open({ name: "heir" }));
	expect(await store.version("k")).toBe(1);
	expect(JSON.parse(readFileSync(`${path}.owner`, "utf8"))).toMatchObject({
		pid: process.pid,
		name: "heir",
	});
});

test("with lockTimeoutMs, open waits for the owner in another process to leave", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	const waiting = sqliteStore(path, { lockTimeoutMs: 15_000 }).open({
		name: "next",
	});
	await remote.call("dispose");
	closeLater(await waiting);
});

test("with lockTimeoutMs, open waits for a process to die", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	const waiting = sqliteStore(path, { lockTimeoutMs: 15_000 }).open({
		name: "next",
	});
	await remote.kill();
	closeLater(await waiting);
});

test("with lockTimeoutMs, open waits for an owner in the same process to leave", async () => {
	const path = temporaryFile();
	const first = closeLater(await sqliteStore(path).open({ name: "first" }));
	const waiting = sqliteStore(path, { lockTimeoutMs: 15_000 }).open({
		name: "next",
	});
	await first[Symbol.asyncDispose]();
	closeLater(await waiting);
});

test("lockTimeoutMs over, it is refused", async () => {
	const path = temporaryFile();
	closeLater(await sqliteStore(path).open({ name: "stays" }));
	await expect(
		sqliteStore(path, { lockTimeoutMs: 30 }).open({ name: "next" }),
	).rejects.toMatchObject(lockedBy("stays"));
});

test("every name of a file is the same file", async () => {
	const path = temporaryFile();
	const folder = dirname(path);
	mkdirSync(join(folder, "real"));
	symlinkSync(join(folder, "real"), join(folder, "linked"));
	symlinkSync("real/a.db", join(folder, "ahead.db"));
	symlinkSync("ahead.db", join(folder, "far-ahead.db"));
	const names = [
		join(folder, "real/a.db"),
		join(folder, "linked/a.db"),
		join(folder, "linked/../real/./a.db"),
		join(folder, "ahead.db"),
		join(folder, "far-ahead.db"),
	];
	// First while there is no file yet, then on the file that the first made.
	for (const own of names) {
		const store = await sqliteStore(own).open({ name: own });
		for (const other of names)
			await expect(
				sqliteStore(other).open({ name: other }),
			).rejects.toMatchObject({ code: "STORE_LOCKED" });
		await store[Symbol.asyncDispose]();
	}
	expect(readdirSync(folder).sort()).toEqual([
		"ahead.db",
		"far-ahead.db",
		"linked",
		"real",
	]);
	expect(readdirSync(join(folder, "real")).sort()).toEqual([
		"a.db",
		"a.db.lock",
	]);
});

test("closed, it leaves the file and the lock's name, and no more", async () => {
	const path = temporaryFile();
	const store = await sqliteStore(path).open({ name: "owner" });
	await commit(store, writeOf("k", 0));
	await store[Symbol.asyncDispose]();
	const name = basename(path);
	expect(readdirSync(dirname(path)).sort()).toEqual([name, `${name}.lock`]);
	expect(readFileSync(`${path}.lock`)).toHaveLength(0);
});

test("an open that fails gives the file back", async () => {
	const path = temporaryFile();
	writeFileSync(path, "this is not a database, but a text of some length");
	for (let i = 0; i < 2; i++)
		await expect(sqliteStore(path).open({ name: "x" })).rejects.toMatchObject({
			code: "STORE_CORRUPT",
		});
	expect(existsSync(`${path}.owner`)).toBe(false);
	const remote = await startRemote();
	await expect(remote.call("open", path)).rejects.toMatchObject({
		code: "STORE_CORRUPT",
	});
});

test("what another process appended and pruned is so for readers, and after kill -9", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	await remote.call("commit", {
		sessions: [writeOf("k", 0, { entries: [entryOf("k", 1)] })],
		refusals: [],
	});
	await remote.call("commit", {
		sessions: [
			writeOf("k", 1, {
				facts: factsOf("k", { version: 2, generation: 2 }),
				generations: [endedOf("k", 1)],
				entries: [entryOf("k", 2, { generation: 2 })],
			}),
		],
		refusals: [],
	});
	await using reader = await sqliteStore(path).read();
	const seen = async () =>
		(await reader.transcript("k", {})).items.map(({ seq }) => seq);
	expect(await seen()).toEqual([2, 1]);
	expect(await remote.call("transcript", "k", { limit: 1 })).toEqual(
		await reader.transcript("k", { limit: 1 }),
	);
	const rule = { of: "generations", endedBefore: at + 1 } as const;
	expect(await remote.call("prune", rule, 1)).toEqual({
		erased: 1,
		more: true,
	});
	expect(await seen()).toEqual([2]);
	await remote.kill();
	const owner = closeLater(await sqliteStore(path).open({ name: "next" }));
	expect(await owner.prune(rule, 1)).toEqual({ erased: 1, more: false });
	expect(await seen()).toEqual([2]);
});

test("readers of the owner's process come and go without a change to the lock", async () => {
	const path = temporaryFile();
	closeLater(await sqliteStore(path).open({ name: "owner" }));
	const reader = await sqliteStore(path).read();
	await reader[Symbol.asyncDispose]();
	const remote = await startRemote();
	await expect(remote.call("open", path)).rejects.toMatchObject({
		code: "STORE_LOCKED",
	});
});

test("a reader is let in where nobody owns the file, also after a crash", async () => {
	const path = temporaryFile();
	const remote = await startRemote();
	await remote.call("open", path);
	await remote.call("commit", { sessions: [writeOf("k", 0)], refusals: [] });
	await remote.kill();
	await using afterCrash = await sqliteStore(path).read();
	expect(await afterCrash.version("k")).toBe(1);
	const owner = await sqliteStore(path).open({ name: "owner" });
	await owner[Symbol.asyncDispose]();
	await using afterClose = await sqliteStore(path).read();
	expect(await afterClose.version("k")).toBe(1);
});
