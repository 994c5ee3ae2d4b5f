/** The console of a runtime: what its page is told and may do, over a real socket. */
import {
	createSessionRuntime,
	type EmbeddedRuntime,
	type JsonValue,
} from "turnkeeper";
import {
	type ConsoleOptions,
	type ConsoleRuntime,
	createConsole,
} from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { sessionChart } from "../../machines/chart.ts";
import { Scripted, silent } from "../support/host.ts";
import { codeOf } from "../support/scripted-host.ts";
import { temporaryFile } from "../support/stores.ts";
import { openConsole, PageClient, until } from "./console-client.ts";

const hostile = [
	"<img src=x onerror=alert(1)>",
	"__proto__",
	'🧑‍🚀 ‮ "quoted" \\',
	"x".repeat(4096),
];

/** A runtime whose runs end when the test says so; on the system's clock. */
async function start(store = memoryStore()) {
	const scripted = new Scripted();
	const runtime = createSessionRuntime<JsonValue>({
		store,
		logger: silent,
		execute: scripted.execute,
	});
	onTestFinished(() => runtime.close({ graceMs: 0 }));
	await runtime.start();
	return { runtime, scripted };
}

/** With a console and one page. */
async function open(store = memoryStore()) {
	const { runtime, scripted } = await start(store);
	const { url, close } = await openConsole(runtime);
	const page = await PageClient.open(url);
	return { runtime, scripted, page, url, close };
}

test("a page is told at once what it looks at, and how a session's chart is drawn", async () => {
	const { page } = await open();
	await until(() =>
		expect(page.said).toEqual([
			{
				say: "hello",
				host: {
					name: `the runtime of process ${process.pid}`,
					readOnly: null,
					tellsAll: true,
					chart: sessionChart(),
				},
			},
		]),
	);
});

describe("rows", () => {
	test("come in pages of a thousand by key, and changes of them come by themselves", async () => {
		const { page, runtime, scripted } = await open();
		await runtime.import(
			Array.from({ length: 2500 }, (_, i) => ({
				sessionKey: `s:${String(i).padStart(4, "0")}`,
				sessionId: `id:${i}`,
			})),
		);
		expect(await page.readRows()).toBe(3);
		expect(page.lines.size).toBe(2500);
		const { settled } = await runtime.send("s:0001", "hi");
		await until(() =>
			expect(page.lines.get("s:0001")).toMatchObject({
				status: "running",
				generation: 1,
				sessionId: "id:1",
				runId: scripted.last.run.ticket.runId,
			}),
		);
		scripted.last.run.usage({ inputTokens: 7 });
		scripted.last.end();
		await settled;
		await runtime.send("new", "hi");
		await runtime.delete("s:0002");
		await until(() => {
			expect(page.lines.get("s:0001")).toMatchObject({
				status: "ended",
				runId: null,
				tokens: 7,
			});
			expect(page.lines.get("new")?.status).toBe("running");
			expect(page.lines.has("s:0002")).toBe(false);
		});
	});

	test("what changed often since it was last told is told once, as it is now", async () => {
		const { page, runtime } = await open();
		for (let i = 0; i < 200; i++) await runtime.patch("k", { i });
		await runtime.reset("k");
		for (let i = 0; i < 200; i++) await runtime.patch("k", { i });
		const row = await runtime.get("k");
		await until(() => expect(page.lines.get("k")?.version).toBe(row?.version));
		expect(page.said.filter(({ say }) => say === "rows").length).toBeLessThan(
			100,
		);
	});

	test("keys of any kind come as they are", async () => {
		const { page, runtime } = await open();
		for (const key of hostile) await runtime.reset(key);
		await page.readRows();
		expect([...page.lines.keys()].sort()).toEqual([...hostile].sort());
		for (const key of hostile) {
			await page.watch(key);
			expect(page.parts.row?.sessionKey).toBe(key);
			expect(
				await page.command({
					ask: "delete",
					sessionKey: key,
					expect: { generation: 1 },
				}),
			).toMatchObject({ result: "done" });
		}
		await until(() => expect(page.lines.size).toBe(0));
	});
});

describe.each([
	["memory", () => memoryStore()],
	["sqlite", () => sqliteStore(temporaryFile())],
])("a watched session, on %s", (_, store) => {
	test("a reset in the middle of a run, and the late report of that run, are seen in every part", async () => {
		const { page, runtime } = await open(store());
		await page.watch("k");
		expect(page.parts).toMatchObject({ row: null, state: null });
		const run = await runtime.admit("k", { runId: "r1" });
		await run.start();
		await run.append({ said: "hello" });
		await until(() =>
			expect(page.parts).toMatchObject({
				row: { status: "running" },
				state: "running",
				transition: { from: "idle", to: "running", event: "admit" },
				runs: { items: [{ runId: "r1", outcome: null }], more: false },
				transcript: { items: [{ seq: 1, entry: '{"said":"hello"}' }] },
			}),
		);
		const reset = page.command({
			ask: "reset",
			sessionKey: "k",
			expect: { generation: 1, runId: "r1" },
		});
		await until(() =>
			expect(page.parts).toMatchObject({
				row: { status: "resetting", generation: 2 },
				state: "resetting",
				transition: { from: "running", to: "resetting", event: "reset" },
				generations: {
					items: [{ generation: 1, endedBy: "reset", reason: "console" }],
				},
				runs: { items: [{ runId: "r1", stoppedBy: "reset", outcome: null }] },
			}),
		);
		await runtime.report({
			runId: "r1",
			phase: "error",
			error: "socket hang up",
		});
		expect(await reset).toEqual({ result: "done", generation: 2 });
		await until(() =>
			expect(page.parts).toMatchObject({
				row: { status: "idle", generation: 2 },
				state: "idle",
				transition: { from: "resetting", to: "idle", event: "report" },
				runs: {
					items: [{ runId: "r1", outcome: "aborted", error: "socket hang up" }],
				},
				refusals: { items: [{ verdict: "archived" }], more: false },
			}),
		);
		expect(page.parts.generations?.items[0]).not.toHaveProperty("runs");
		// A report that moves no version is seen too.
		await runtime.report({ runId: "r1", phase: "end" });
		await until(() =>
			expect(page.parts.refusals?.items).toMatchObject([
				{ verdict: "duplicate" },
				{ verdict: "archived" },
			]),
		);
	});

	test("the queue is shown in its order, and who was told to stop is aborting", async () => {
		const { page, runtime, scripted } = await open(store());
		const long = "é".repeat(5000);
		await runtime.send("k", "first");
		await runtime.send("k", { a: [1] }, { messageId: "m2" });
		await runtime.send("k", long, { messageId: "m3" });
		await page.watch("k");
		expect(page.parts.queue).toMatchObject({
			items: [
				{ messageId: "m2", input: '{"a":[1]}', generation: 1 },
				{ messageId: "m3", input: `${"é".repeat(3999)}…` },
			],
			more: false,
		});
		expect(
			await page.command({ ask: "remove", sessionKey: "k", messageId: "m2" }),
		).toMatchObject({ result: "done" });
		await until(() => expect(page.parts.queue?.items).toHaveLength(1));
		const { runId } = scripted.last.run.ticket;
		const aborted = page.command({
			ask: "abort",
			sessionKey: "k",
			expect: { generation: 1, runId },
		});
		await until(() =>
			expect(page.parts).toMatchObject({
				state: "aborting",
				transition: { from: "running", to: "aborting", event: "abort" },
			}),
		);
		scripted.last.fail(scripted.last.run.signal.reason);
		expect(await aborted).toEqual({ result: "done", generation: 1 });
	});
});

test("parts that stay the same are not said again, and another session's changes are not said at all", async () => {
	const { page, runtime } = await open();
	await runtime.reset("k");
	await page.watch("k");
	await runtime.patch("other", { seen: false });
	await runtime.reset("other");
	await runtime.patch("k", { seen: true });
	await until(() => expect(page.parts.row?.meta).toEqual({ seen: true }));
	const told = page.said.flatMap((said) =>
		said.say === "session" ? [Object.keys(said.parts)] : [],
	);
	expect(told).toEqual([expect.arrayContaining(["runs", "queue"]), ["row"]]);
});

test("the newest are shown, and that there are more", async () => {
	const { page, runtime } = await open();
	for (let i = 1; i <= 60; i++) await runtime.reset("k");
	const run = await runtime.admit("k");
	for (let i = 1; i <= 101; i++) await run.append(i);
	await page.watch("k");
	const { generations, transcript } = page.parts;
	expect(generations?.more).toBe(true);
	expect(generations?.items.map(({ generation }) => generation)).toEqual(
		Array.from({ length: 50 }, (_, i) => 59 - i),
	);
	expect(transcript?.more).toBe(true);
	expect(transcript?.items[0]).toMatchObject({ seq: 101, entry: "101" });
});

test("who watches another session is told nothing more of the one before", async () => {
	const { runtime } = await start();
	await runtime.reset("a");
	await runtime.reset("b");
	const reading = Promise.withResolvers<void>();
	const slow = Promise.withResolvers<void>();
	const watched: ConsoleRuntime = wrapped(runtime, {
		get: async (key) => {
			if (key === "a") {
				reading.resolve();
				await slow.promise;
			}
			return runtime.get(key);
		},
	});
	const { url } = await openConsole(watched);
	const page = await PageClient.open(url);
	const first = page.ask({ ask: "watch", sessionKey: "a" });
	await reading.promise;
	await page.watch("b");
	slow.resolve();
	expect(await first).toBe(null);
	await runtime.patch("a", { changed: true });
	await runtime.patch("b", { changed: true });
	await until(() => expect(page.parts.row?.version).toBe(2));
	expect(
		page.said.flatMap((said) =>
			said.say === "session" ? said.sessionKey : [],
		),
	).not.toContain("a");
	expect(await page.ask({ ask: "watch", sessionKey: null })).toBe(null);
});

describe("commands", () => {
	test("of a page that shows an older generation do no harm, and say so", async () => {
		const { page, runtime, scripted } = await open();
		await runtime.reset("k");
		await runtime.reset("k");
		await runtime.send("k", "hi");
		for (const ask of ["reset", "abort", "delete"] as const)
			expect(
				await page.command({ ask, sessionKey: "k", expect: { generation: 1 } }),
			).toEqual({ result: "stale", mismatch: "generation" });
		expect(scripted.last.run.signal.aborted).toBe(false);
		expect((await runtime.get("k"))?.generation).toBe(2);
	});

	test("find nothing to do, and say so", async () => {
		const { page, runtime } = await open();
		await runtime.reset("k");
		const nothing = { result: "nothing" };
		expect(
			await page.command({
				ask: "abort",
				sessionKey: "k",
				expect: { generation: 1 },
			}),
		).toEqual(nothing);
		expect(
			await page.command({ ask: "remove", sessionKey: "k", messageId: "m" }),
		).toEqual(nothing);
	});

	test("that stop a run say why in its archive", async () => {
		const { page, runtime, scripted } = await open();
		await runtime.send("k", "hi");
		const deleted = page.command({
			ask: "delete",
			sessionKey: "k",
			expect: { generation: 1 },
		});
		await until(() => expect(scripted.last.run.signal.aborted).toBe(true));
		scripted.last.end();
		expect(await deleted).toMatchObject({ result: "done" });
		expect((await runtime.archive("k")).items).toMatchObject([
			{ endedBy: "delete", reason: "console" },
		]);
	});
});

test("a runtime that has not started, or is closed, is said to be so; in between all works", async () => {
	const runtime = createSessionRuntime({
		store: memoryStore(),
		logger: silent,
	});
	const { url } = await openConsole(runtime);
	const page = await PageClient.open(url);
	await expect(page.readRows()).rejects.toThrow("the runtime has not started");
	await expect(page.watch("k")).rejects.toThrow("the runtime has not started");
	await runtime.start();
	await runtime.reset("k");
	await until(() => expect(page.parts.row?.generation).toBe(1));
	expect(await page.readRows()).toBe(1);
	await runtime.close();
	await expect(page.readRows()).rejects.toThrow("the runtime is closed");
});

test("a session that cannot be read is named, and the others are shown", async () => {
	const { runtime } = await start();
	await runtime.reset("well");
	const broken = wrapped(runtime, {
		get: async (key) => {
			if (key === "ill")
				throw new Error('the stored row of session "ill" cannot be read');
			return runtime.get(key);
		},
	});
	const { url } = await openConsole(broken);
	const page = await PageClient.open(url);
	await expect(page.watch("ill")).rejects.toThrow('"ill" cannot be read');
	// It is still watched: what cannot be read after a change is said, once.
	for (const reset of [1, 2]) {
		await runtime.reset("ill");
		await until(() => expect(page.lines.get("ill")?.generation).toBe(reset));
	}
	await until(() =>
		expect(page.said.filter(({ say }) => say === "error")).toHaveLength(2),
	);
	await page.watch("well");
	expect(page.parts.row?.sessionKey).toBe("well");
});

describe("what no page says", () => {
	test("is refused under its id, or ignored without one, and changes nothing", async () => {
		const { page, runtime } = await open();
		await runtime.reset("k");
		const bad: [object, RegExp][] = [
			[{}, /^ask is undefined; it must be one of /],
			[{ ask: "constructor" }, /^ask is "constructor"/],
			[{ ask: "rows" }, /^cursor is undefined/],
			[{ ask: "rows", cursor: 7 }, /^cursor is 7/],
			[{ ask: "rows", cursor: "x".repeat(20_000) }, /^cursor is "xxx/],
			[{ ask: "watch" }, /^sessionKey is undefined/],
			[{ ask: "watch", sessionKey: "" }, /^sessionKey is empty/],
			[{ ask: "watch", sessionKey: "x".repeat(4097) }, /4097 bytes/],
			[{ ask: "watch", sessionKey: "a\u0000" }, /control characters/],
			[{ ask: "reset", sessionKey: "k" }, /^expect is null/],
			[{ ask: "reset", sessionKey: "k", expect: {} }, /^expect is empty/],
			[{ ask: "reset", sessionKey: "k", expect: [] }, /^expect is empty/],
			[{ ask: "abort", sessionKey: "k", expect: "x" }, /^expect is "x"/],
			[
				{ ask: "delete", sessionKey: "k", expect: { generation: "1" } },
				/^expect.generation is "1"/,
			],
			[
				{ ask: "delete", sessionKey: "k", expect: { purge: true } },
				/^expect.purge is not known/,
			],
			[{ ask: "remove", sessionKey: "k" }, /^messageId is undefined/],
		];
		let id = 1000;
		for (const [question, message] of bad) {
			id += 1;
			await expect(page.askAs(id, question)).rejects.toThrow(message);
		}
		const before = page.said.length;
		for (const text of ["", "{", "null", "7", "[]", '{"ask":"rows"}'])
			page.socket.send(text);
		page.socket.send('{"id":"1","ask":"rows","cursor":null}');
		page.socket.send(new Uint8Array([1, 2]));
		expect(await page.readRows()).toBe(1);
		expect(page.said.length).toBe(before + 1);
		expect((await runtime.get("k"))?.version).toBe(1);
	});

	test("too much at once is refused beyond 64, and then all goes on", async () => {
		const { runtime } = await start();
		const released = Promise.withResolvers<void>();
		const { url } = await openConsole(
			wrapped(runtime, {
				list: async (query) => {
					await released.promise;
					return runtime.list(query);
				},
			}),
		);
		const page = await PageClient.open(url);
		const asked = Array.from({ length: 200 }, () =>
			page.ask({ ask: "rows", cursor: null }).then(
				() => "answered",
				(error: Error) => error.message,
			),
		);
		await until(() =>
			expect(page.said.filter(({ say }) => say === "error")).toHaveLength(136),
		);
		released.resolve();
		const told = await Promise.all(asked);
		expect(told.filter((one) => one === "answered")).toHaveLength(64);
		expect(told[100]).toMatch(/^64 requests of this page wait /);
		expect(await page.readRows()).toBe(1);
	});

	test("a frame that is too large ends its socket and no other", async () => {
		const { page, url } = await open();
		const large = await PageClient.open(url);
		large.socket.on("error", () => {});
		large.socket.send("x".repeat(5_000_000));
		await large.closed;
		expect(await page.readRows()).toBe(1);
	});
});

test("another name, another site and a guess at the token are not let in", async () => {
	const { url } = await open();
	const socketUrl = url.replace(/^http/, "ws");
	const { port } = new URL(url);
	const { WebSocket } = await import("ws");
	const answered = (to: string, headers: Record<string, string> = {}) =>
		new Promise<number | undefined>((resolve) => {
			const socket = new WebSocket(to, { headers });
			socket.on("error", () => {});
			socket.on("open", () => {
				socket.close();
				resolve(101);
			});
			socket.on("unexpected-response", (_, { statusCode }) =>
				resolve(statusCode),
			);
		});
	expect(await answered(socketUrl)).toBe(101);
	expect(await answered(`ws://127.0.0.1:${port}/`)).toBe(401);
	expect(await answered(socketUrl.replace(/.$/, "!"))).toBe(401);
	expect(await answered(socketUrl, { origin: "http://evil.example" })).toBe(
		403,
	);
	expect(await answered(socketUrl, { host: `evil.example:${port}` })).toBe(421);
	const { origin } = new URL(url);
	const page = await fetch(url);
	expect(page.headers.get("content-security-policy")).toContain(
		"default-src 'none'",
	);
	expect(await page.text()).toContain("<title>console</title>");
	expect(
		(await fetch(`${origin}/console.js`)).headers.get("content-type"),
	).toContain("text/javascript");
	expect((await fetch(`${origin}/console.css`)).status).toBe(200);
	// What is no part of a page is not served.
	expect((await fetch(`${origin}/console.js.map`)).status).toBe(404);
	expect((await fetch(`${origin}/..%2fpackage.json`)).status).toBe(404);
});

test("two hundred idle pages keep nobody out", async () => {
	const { page, url, runtime } = await open();
	const idle = await Promise.all(
		Array.from({ length: 200 }, () => PageClient.open(url)),
	);
	await runtime.reset("k");
	await page.readRows();
	expect(page.lines.size).toBe(1);
	await until(() =>
		expect(idle.every(({ lines }) => lines.has("k"))).toBe(true),
	);
});

test("a page that does not read makes nothing grow, and sees the newest when it reads again", async () => {
	const { runtime, page, url } = await open();
	const slow = await PageClient.open(url);
	await runtime.reset("k");
	await slow.watch("k");
	await page.watch("k");
	slow.socket.pause();
	const changes = 10;
	// The number alone: what is said of two texts of this size that differ takes seconds.
	const seen = ({ parts }: PageClient) =>
		(parts.row?.meta as { i?: number } | undefined)?.i;
	// More than what the system keeps for a socket, and more than a slow reader may let wait.
	for (let i = 1; i <= changes; i++) {
		await runtime.patch("k", { i, text: "x".repeat(3_000_000) });
		await until(() => expect(seen(page)).toBe(i));
	}
	slow.socket.resume();
	await until(() => expect(seen(slow)).toBe(changes));
	const told = slow.said.filter(({ say }) => say === "session");
	expect(told.length).toBeLessThan(changes);
	// Texts of this size take seconds each on a busy machine.
}, 180_000);

describe("while no page is open", () => {
	test("nothing is followed, inspected or read", async () => {
		const { runtime } = await start();
		let feeds = 0;
		let inspectors = 0;
		const counted = wrapped(runtime, {
			subscribe: (listener) => {
				feeds += 1;
				const { unsubscribe } = runtime.subscribe(listener);
				return {
					unsubscribe: () => {
						feeds -= 1;
						unsubscribe();
					},
				};
			},
			inspect: (observer) => {
				inspectors += 1;
				const { unsubscribe } = runtime.inspect(observer);
				return {
					unsubscribe: () => {
						inspectors -= 1;
						unsubscribe();
					},
				};
			},
		});
		const { url } = await openConsole(counted);
		const now = () => ({ feeds, inspectors });
		expect(now()).toEqual({ feeds: 0, inspectors: 0 });
		const pages = [await PageClient.open(url), await PageClient.open(url)];
		expect(now()).toEqual({ feeds: 1, inspectors: 0 });
		for (const page of pages) await page.watch("k");
		await pages[0]?.watch("l");
		expect(now()).toEqual({ feeds: 1, inspectors: 2 });
		await pages[0]?.ask({ ask: "watch", sessionKey: null });
		expect(now()).toEqual({ feeds: 1, inspectors: 1 });
		pages[1]?.socket.terminate();
		await until(() => expect(now()).toEqual({ feeds: 1, inspectors: 0 }));
		pages[0]?.socket.close();
		await until(() => expect(now()).toEqual({ feeds: 0, inspectors: 0 }));
	});

	test("a closed console has let its pages go, and the runtime goes on", async () => {
		const { page, url, close, runtime } = await open();
		await page.watch("k");
		await close();
		await close();
		await page.closed;
		await expect(PageClient.open(url)).rejects.toThrow("ECONNREFUSED");
		expect(await runtime.reset("k")).toMatchObject({ result: "done" });
	});
});

test("what cannot be served is said, and any runtime is taken", async () => {
	const { runtime } = await start();
	const typed: EmbeddedRuntime<{ text: string }, Date, { title: string }> =
		createSessionRuntime({ store: memoryStore(), logger: silent });
	const wrong: [ConsoleRuntime, ConsoleOptions][] = [
		[{} as never, {}],
		[null as never, {}],
		[runtime, null as never],
		[runtime, 7 as never],
	];
	for (const [given, options] of wrong)
		expect(await codeOf(createConsole(given, options))).toBe(
			"INVALID_ARGUMENT",
		);
	const { url } = await openConsole(typed);
	const page = await PageClient.open(url);
	await typed.start();
	expect(await page.readRows()).toBe(1);
	await typed.close();
});

/** The runtime with other calls in the place of some of its own. */
function wrapped(
	runtime: ConsoleRuntime,
	calls: Partial<ConsoleRuntime>,
): ConsoleRuntime {
	return new Proxy(runtime, {
		get: (target, name) => {
			const own = Reflect.get(name in calls ? calls : target, name);
			return typeof own === "function" && !(name in calls)
				? own.bind(target)
				: own;
		},
	});
}
