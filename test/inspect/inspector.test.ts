/** `createInspectorServer`: what Stately's own packages see of a runtime through it, and who is not let in. */
import {
	createWebSocketInspector,
	createWebSocketReceiver,
	type StatelyInspectionEvent,
} from "@statelyai/inspect";
import { createSessionRuntime, type JsonValue } from "turnkeeper";
import {
	createInspectorServer,
	type InspectorServerOptions,
	withoutContents,
} from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket as Client } from "ws";
import { silent } from "../support/host.ts";
import { codeOf } from "../support/scripted-host.ts";

const secret = "what was said";

async function serve(options: InspectorServerOptions = {}) {
	const server = await createInspectorServer({ port: 0, ...options });
	onTestFinished(() => server.close());
	return server;
}

/** A runtime that is used in every way that brings contents with it, and stays open. */
async function start() {
	const runtime = createSessionRuntime<JsonValue>({
		store: memoryStore(),
		logger: silent,
		execute: async (run) => {
			await run.append({ secret });
			await run.deliver("reply", () => secret);
			await run.waitFor("answer");
			if (run.messages.length > 1) throw new Error(secret);
			return secret;
		},
	});
	onTestFinished(() => runtime.close({ graceMs: 0 }));
	await runtime.start();
	return runtime;
}

type Runtime = Awaited<ReturnType<typeof start>>;

async function converse(runtime: Runtime) {
	const { settled, ticket } = await runtime.send(
		"k",
		{ secret },
		{
			messageId: "m1",
			meta: { secret },
		},
	);
	await runtime.send("k", { secret }, { messageId: "m2" });
	await runtime.queue.update("k", "m2", { input: [secret] });
	await runtime.until("k", (row) => row?.status === "waiting");
	if (ticket) await runtime.resume(ticket, "answer", secret);
	await settled;
	await runtime.patch("k", { secret });
	await runtime.reset("k", { meta: { secret } });
}

/** What a receiver of Stately's sees of it, until `isAll`. */
async function seen(
	socket: string,
	isAll: (events: readonly StatelyInspectionEvent[]) => boolean,
) {
	const events: StatelyInspectionEvent[] = [];
	const { promise, resolve } = Promise.withResolvers<void>();
	createWebSocketReceiver({ server: socket }).subscribe((event) => {
		events.push(event);
		if (isAll(events)) resolve();
	});
	await promise;
	return events;
}

const actorOf = (event: StatelyInspectionEvent) =>
	event.type === "@xstate.actor" ? [[event.name, event.parentId]] : [];
const isReset = (event: StatelyInspectionEvent) =>
	event.type === "@xstate.snapshot" && event.event.type === "reset";

test("Stately's receiver sees sessions and runs with their tree, events and snapshots; who comes later sees the actors too", async () => {
	const server = await serve();
	const runtime = await start();
	const inspector = createWebSocketInspector({
		url: server.socket,
		...withoutContents,
	});
	onTestFinished(() => inspector.stop());
	runtime.inspect(inspector.inspect);
	const first = seen(server.socket, (events) => events.some(isReset));
	await converse(runtime);
	const events = await first;
	const session = events.find(
		(event) => event.type === "@xstate.actor" && event.name === "k",
	);
	expect(session).toBeDefined();
	expect(events.flatMap(actorOf)).toContainEqual([
		"generation 1",
		session?.sessionId,
	]);
	expect(
		new Set(
			events.flatMap((event) =>
				event.type === "@xstate.snapshot" ? [event.event.type] : [],
			),
		),
	).toContain("answer");
	// The statechart comes with its session, so that it can be drawn.
	const { definition } = session as { definition?: string };
	expect(Object.keys(JSON.parse(definition ?? "{}").states)).toContain(
		"resetting",
	);

	const later = await seen(server.socket, (all) =>
		all.some(
			(event) =>
				event.type === "@xstate.snapshot" &&
				event.sessionId === session?.sessionId,
		),
	);
	expect(later.flatMap(actorOf).map(([name]) => name)).toContain("k");
});

test("contents are left out, what happened is not; without that an inspector sees everything", async () => {
	for (const isAsked of [true, false]) {
		const server = await serve();
		const runtime = await start();
		const inspector = createWebSocketInspector({
			url: server.socket,
			...(isAsked ? withoutContents : {}),
		});
		onTestFinished(() => inspector.stop());
		runtime.inspect(inspector.inspect);
		const all = seen(server.socket, (events) => events.some(isReset));
		await converse(runtime);
		const text = JSON.stringify(await all);
		expect(text.includes(secret)).toBe(!isAsked);
		for (const told of ["m1", "m2", "reply", "completed"])
			expect(text).toContain(told);
	}
});

test("a page of another name, another site and a guess at the token are refused, and harm nobody", async () => {
	const server = await serve();
	const { port } = new URL(server.url);
	const refused = (socket: string, headers: Record<string, string> = {}) =>
		new Promise<number | string>((resolve) => {
			const client = new Client(socket, { headers });
			client.on("open", () => {
				client.close();
				resolve("open");
			});
			client.on("unexpected-response", (_, { statusCode }) =>
				resolve(statusCode ?? "no status"),
			);
		});
	expect(await refused(server.socket)).toBe("open");
	expect(await refused(`ws://127.0.0.1:${port}/`)).toBe(401);
	expect(await refused(server.socket.replace(/.$/, "!"))).toBe(401);
	expect(await refused(server.socket, { origin: "http://evil.example" })).toBe(
		403,
	);
	expect(await refused(server.socket, { host: `evil.example:${port}` })).toBe(
		421,
	);
	expect(await refused(server.socket)).toBe("open");
});

test("the page frames the inspector, allows nothing else, and tells nothing of a session", async () => {
	const server = await serve({ inspector: "http://127.0.0.1:9/own" });
	const page = await fetch(server.url);
	expect(await page.text()).toContain('src="http://127.0.0.1:9/own"');
	const policy = page.headers.get("content-security-policy");
	expect(policy).toContain("default-src 'none'");
	expect(policy).toContain("frame-src http://127.0.0.1:9;");
	expect(policy).not.toContain("unsafe");
	const { origin } = new URL(server.url);
	expect((await fetch(`${origin}/bridge.js`)).status).toBe(200);
	expect((await fetch(`${origin}/other`)).status).toBe(404);
	expect((await fetch(server.url, { method: "POST" })).status).toBe(405);
});

test("what is no inspection event, too large or binary reaches nobody, and two hundred idle sockets keep nobody out", async () => {
	const server = await serve();
	const open = async () => {
		const socket = new WebSocket(server.socket);
		await new Promise((resolve) => socket.addEventListener("open", resolve));
		onTestFinished(() => socket.close());
		return socket;
	};
	for (let i = 0; i < 200; i++) await open();
	const reader = await open();
	const got: unknown[] = [];
	const arrived = new Promise<void>((resolve) =>
		reader.addEventListener("message", ({ data }) => {
			got.push(data);
			resolve();
		}),
	);
	const writer = await open();
	const large = await open();
	const closed = new Promise((resolve) =>
		large.addEventListener("close", resolve),
	);
	large.send("x".repeat(5_000_000));
	await closed;
	for (const bad of ["{", "null", "[]", "7", '{"type":"@xstate.actor"}'])
		writer.send(bad);
	writer.send(new Uint8Array([1]));
	const good = '{"type":"@xstate.event","sessionId":"x:0","event":{}}';
	writer.send(good);
	await arrived;
	expect(got).toEqual([good]);
});

test("who comes late is handed the newest, never more than may wait for a slow reader", async () => {
	const server = await serve();
	const writer = new Client(server.socket);
	onTestFinished(() => writer.close());
	await new Promise((resolve) => writer.once("open", resolve));
	const reader = new Client(server.socket);
	onTestFinished(() => reader.close());
	await new Promise((resolve) => reader.once("open", resolve));
	let count = 0;
	const relayed = new Promise<void>((resolve) =>
		reader.on("message", () => {
			count += 1;
			if (count === 30) resolve();
		}),
	);
	const large = "x".repeat(1_000_000);
	for (let i = 0; i < 10; i++)
		for (const type of ["actor", "snapshot", "event"])
			writer.send(
				JSON.stringify({ type: `@xstate.${type}`, sessionId: `x:${i}`, large }),
			);
	await relayed;
	const late = new Client(server.socket);
	onTestFinished(() => late.close());
	const got: string[] = [];
	await new Promise<void>((resolve) =>
		late.on("message", (data) => {
			const { type, sessionId } = JSON.parse(String(data));
			got.push(`${type} ${sessionId}`);
			if (type === "@xstate.event") resolve();
		}),
	);
	expect(got).toEqual([
		...["x:6", "x:7", "x:8", "x:9"].map((id) => `@xstate.actor ${id}`),
		...["x:6", "x:7", "x:8", "x:9"].map((id) => `@xstate.snapshot ${id}`),
		"@xstate.event x:9",
	]);
});

test("what cannot be served is said", async () => {
	const wrong = [
		{ port: -1 },
		{ port: 70_000 },
		{ port: "8080" as never },
		{ host: "" },
		{ inspector: "stately" },
		{ inspector: "javascript:1" },
	];
	for (const options of wrong)
		expect(await codeOf(createInspectorServer(options))).toBe(
			"INVALID_ARGUMENT",
		);
	const { port } = new URL((await serve()).url);
	expect(await codeOf(createInspectorServer({ port: Number(port) }))).toBe(
		"EADDRINUSE",
	);
});
