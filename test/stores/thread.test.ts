/** What is particular to a SQLite store on a thread: that the host goes on meanwhile, who owns it, and that it keeps no process alive. */
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import {
	createSessionRuntime,
	type OpenStore,
	type SessionStore,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
	commit,
	factsOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFile } from "../support/stores.ts";
import { slowStore } from "../support/thread-stores.ts";

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
			text: `thread is ${JSON.stringify(thread)}; it must be true or false`,
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
			text: `the store ${path} is closed; open it again`,
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
		text: `the store ${path} is closed; open it again`,
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
