/** What is particular to a SQLite store on a thread: that the host goes on meanwhile, what crosses over, and what becomes of it when the thread dies. */
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import {
	createSessionRuntime,
	type OpenStore,
	type SessionStore,
	TurnkeeperError,
	UnreadableSession,
	VersionConflict,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { storeAt } from "../../src/sqlite/opening.ts";
import { onThread } from "../../src/sqlite/thread.ts";
import { carried, restored } from "../../src/sqlite/thread-error.ts";
import {
	commit,
	factsOf,
	runOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFile } from "../support/stores.ts";
import { type Death, dyingStore, slowStore } from "../support/thread-stores.ts";

async function opened(store: SessionStore): Promise<OpenStore> {
	const open = await store.open({ name: "test" });
	onTestFinished(() => open[Symbol.asyncDispose]());
	return open;
}

const onThreadAt = (path: string) => sqliteStore(path, { thread: true });

/** A gate before which commits wait. */
function closedGate() {
	const gate = new SharedArrayBuffer(4);
	const cell = new Int32Array(gate);
	const open = () => {
		Atomics.store(cell, 0, 1);
		Atomics.notify(cell, 0);
	};
	// Whatever becomes of the test, its thread can end.
	onTestFinished(open);
	return { gate, open };
}

/** As another program finds them. */
function keysIn(path: string): unknown[] {
	const db = new DatabaseSync(path, { readOnly: true });
	try {
		const found = db.prepare("SELECT session_key FROM sessions").all();
		return found.map((row) => row.session_key);
	} finally {
		db.close();
	}
}

const loopTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test.each(["yes", 1, null])("thread: %j is refused at once", (thread) => {
	expect(() => sqliteStore("x.db", { thread } as object)).toThrow(
		expect.objectContaining({
			code: "INVALID_ARGUMENT",
			message: `thread is ${JSON.stringify(thread)}; it must be true or false`,
		}),
	);
});

test("without a thread, a commit has happened when the call returns", async () => {
	const path = temporaryFile();
	const store = await opened(sqliteStore(path));
	const committed = commit(store, writeOf("k", 0));
	expect(keysIn(path)).toEqual(["k"]);
	await committed;
});

describe("while the disk is slow", () => {
	test("the host's event loop goes on, and a commit is answered only when it is durable", async () => {
		const path = temporaryFile();
		const { gate, open } = closedGate();
		const store = await opened(slowStore(path, { gate }));
		const order: string[] = [];
		const committed = commit(store, writeOf("k", 0)).then(() =>
			order.push("committed"),
		);
		for (let turn = 1; turn <= 3; turn++) {
			await loopTurn();
			order.push(`turn ${turn}`);
		}
		open();
		await committed;
		expect(order).toEqual(["turn 1", "turn 2", "turn 3", "committed"]);
		expect(keysIn(path)).toEqual(["k"]);
	});

	test("commits hold in the order in which they were asked for, and reads wait their turn", async () => {
		const { gate, open } = closedGate();
		const store = await opened(slowStore(temporaryFile(), { gate }));
		const order: string[] = [];
		const asked = [
			commit(store, writeOf("k", 0)).then(() => order.push("to 1")),
			store.version("k").then((version) => order.push(`is at ${version}`)),
			commit(store, writeOf("k", 1)).then(() => order.push("to 2")),
			commit(store, writeOf("k", 1)).catch(() => order.push("conflict")),
			store.version("k").then((version) => order.push(`is at ${version}`)),
		];
		await loopTurn();
		expect(order).toEqual([]);
		open();
		await Promise.all(asked);
		expect(order).toEqual(["to 1", "is at 1", "to 2", "conflict", "is at 2"]);
	});

	test("a runtime hears of nothing before it is durable, and answers other calls meanwhile", async () => {
		const { gate, open } = closedGate();
		const runtime = createSessionRuntime<string, string>({
			store: slowStore(temporaryFile(), { gate }),
			execute: () => "done",
		});
		onTestFinished(() => runtime.close());
		await runtime.start();
		const order: string[] = [];
		const sent = runtime.send("k", "hello").then((receipt) => {
			order.push("accepted");
			return receipt.settled;
		});
		await loopTurn();
		expect(runtime.stats()).toBeDefined();
		order.push("asked");
		open();
		expect(await sent).toMatchObject({ outcome: "completed", output: "done" });
		expect(order).toEqual(["asked", "accepted"]);
	});

	test("what the caller does to a batch after it was asked changes nothing", async () => {
		const { gate, open } = closedGate();
		const store = await opened(slowStore(temporaryFile(), { gate }));
		const meta = { text: "as given" };
		const write = writeOf("k", 0, { facts: factsOf("k", { meta }) });
		const committed = commit(store, write);
		meta.text = "changed";
		open();
		await committed;
		expect((await store.load("k"))?.facts.meta).toEqual({ text: "as given" });
	});

	test("disposed, it first does what was asked before, and nothing that is asked after", async () => {
		const path = temporaryFile();
		const { gate, open } = closedGate();
		const store = await opened(slowStore(path, { gate }));
		const before = commit(store, writeOf("before", 0));
		const disposed = store[Symbol.asyncDispose]();
		const after = commit(store, writeOf("after", 0));
		await expect(after).rejects.toMatchObject({
			code: "STORE_FAILED",
			message: `the store ${path} is closed; open it again`,
		});
		await expect(onThreadAt(path).open({ name: "x" })).rejects.toMatchObject({
			code: "STORE_LOCKED",
		});
		open();
		await before;
		await disposed;
		const next = await opened(onThreadAt(path));
		expect(await next.version("before")).toBe(1);
		expect(await next.version("after")).toBe(0);
	});
});

describe("ownership", () => {
	test.each([
		[true, true],
		[true, false],
		[false, true],
	])(
		"is one for all of a process (the first on a thread: %j, the second: %j)",
		async (first, second) => {
			const path = temporaryFile();
			const owner = await opened(sqliteStore(path, { thread: first }));
			for (let i = 0; i < 2; i++)
				await expect(
					sqliteStore(path, { thread: second }).open({ name: "second" }),
				).rejects.toMatchObject({
					code: "STORE_LOCKED",
					message: expect.stringContaining(
						`this process ${process.pid} (test, since `,
					),
				});
			await commit(owner, writeOf("k", 0));
			await owner[Symbol.asyncDispose]();
			const next = await opened(sqliteStore(path, { thread: second }));
			expect(await next.version("k")).toBe(1);
		},
	);
});

test.each([false, true])(
	"two copies of the module in one process know of each other (on a thread: %j)",
	async (thread) => {
		const path = temporaryFile();
		await opened(sqliteStore(path, { thread }));
		vi.resetModules();
		const copy = await import("turnkeeper/sqlite");
		expect(copy.sqliteStore).not.toBe(sqliteStore);
		await expect(
			copy.sqliteStore(path, { thread }).open({ name: "second copy" }),
		).rejects.toMatchObject({
			code: "STORE_LOCKED",
			message: expect.stringContaining(`this process ${process.pid} (test, `),
		});
	},
);

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
			message: 'session "k" is at version 0, the batch was made on 3',
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
			message: `the store ${path} cannot be written: no room`,
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
			message: expect.stringMatching(
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
			message: "outer",
			cause: { code: "STORE_CORRUPT", cause: { message: "text" } },
		});
		expect(back.cause).toBeInstanceOf(TurnkeeperError);
		const own = Object.assign(new SyntaxError("wrong"), { code: "E", at() {} });
		const other = restored(structuredClone(carried(own)));
		expect(String(other)).toBe("SyntaxError: wrong");
		expect(Object.entries(other)).toEqual([["code", "E"]]);
	});
});

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
				message: `the store ${path} has lost its thread (${causes[death]}); close it and open it again`,
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
				message: `the store ${path} is closed; open it again`,
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
			message: `the store ${path} has lost its thread (${causes.throws}); close it and open it again`,
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
			message: `the store ${path} cannot be opened: no such luck`,
		});
		await using store = await onThreadAt(path).open({ name: "y" });
		await commit(store, writeOf("k", 0));
		await expect(storeAt(path, 0, broken).read()).rejects.toMatchObject({
			code: "STORE_FAILED",
			message: `the store ${path} cannot be read: no such luck`,
		});
	});
});

test("a reader on a thread reads beside an owner on another, and goes without it", async () => {
	const path = temporaryFile();
	const store = await opened(onThreadAt(path));
	await commit(store, writeOf("k", 0));
	const reader = await onThreadAt(path).read();
	expect(await reader.version("k")).toBe(1);
	await commit(store, writeOf("k", 1));
	expect((await reader.list({})).items).toMatchObject([{ version: 2 }]);
	expect("commit" in reader).toBe(false);
	await store[Symbol.asyncDispose]();
	expect(await reader.version("k")).toBe(2);
	await reader[Symbol.asyncDispose]();
	await expect(reader.version("k")).rejects.toMatchObject({
		code: "STORE_FAILED",
		message: `the store ${path} is closed; open it again`,
	});
});

test.each([
	["is disposed", "dispose", "open\n"],
	["is idle, though nobody disposed it", "leave", "open\n"],
	["has answered what it was asked", "commit", "open\ncommitted\n"],
])("a process ends by itself once its store %s", async (_, ending, stdout) => {
	const host = fileURLToPath(new URL("./thread-host.ts", import.meta.url));
	const args = [temporaryFile(), ending];
	expect(await runProgram(host, { args })).toEqual({
		code: 0,
		stdout,
		stderr: "",
	});
});
