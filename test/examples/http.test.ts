/** The host of `examples/http`, over HTTP. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test } from "vitest";
import { createChatHost } from "../../examples/chat/host.ts";
import type { Model } from "../../examples/chat/model.ts";
import { serverOf } from "../../examples/http/server.ts";

/** A model that says a word each time that it is told to go on. */
function steppedModel(words: readonly string[]) {
	const steps = words.map(() => Promise.withResolvers<void>());
	let said = 0;
	const model: Model = {
		name: "stepped",
		async *answer(_turns, { signal }) {
			for (const [i, word] of words.entries()) {
				await Promise.race([
					steps[i]?.promise,
					new Promise((_, stop) =>
						signal.addEventListener("abort", () => stop(signal.reason)),
					),
				]);
				yield word;
			}
		},
	};
	const step = (count: number) => {
		for (const one of steps.slice(said, said + count)) one.resolve();
		said += count;
	};
	return { model, step };
}

async function start(model: Model) {
	const runtime = createChatHost({ store: memoryStore(), model });
	await runtime.start();
	const server = serverOf(runtime).listen(0, "127.0.0.1");
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	onTestFinished(async () => {
		server.closeAllConnections();
		server.close();
		await runtime.close({ graceMs: 100 });
	});
	const call = async (
		method: string,
		path: string,
		body?: unknown,
	): Promise<[status: number, body: { run?: string }]> => {
		const response = await fetch(`${url}${path}`, {
			method,
			...(body === undefined
				? {}
				: { body: typeof body === "string" ? body : JSON.stringify(body) }),
		});
		return [response.status, (await response.json()) as { run?: string }];
	};
	return { runtime, url, call };
}

/** Reads server-sent events until it has so many, or until the stream ends. */
async function read(
	url: string,
	count: number,
	headers: Record<string, string> = {},
) {
	const leaving = new AbortController();
	const { body } = await fetch(url, { headers, signal: leaving.signal });
	let text = "";
	const eventsIn = () => text.split("\n\n").slice(0, -1);
	for await (const chunk of (body as ReadableStream<Uint8Array>).pipeThrough(
		new TextDecoderStream(),
	)) {
		text += chunk;
		if (eventsIn().length >= count) break;
	}
	leaving.abort();
	return eventsIn();
}

test("a reader leaves in mid-answer, comes back, and misses nothing", async () => {
	const { model, step } = steppedModel(["one ", "two ", "three ", "four"]);
	const { runtime, url, call } = await start(model);
	const message = { text: "count", messageId: "m1" };
	const [status, started] = await call(
		"POST",
		"/sessions/ada/messages",
		message,
	);
	expect([status, started]).toMatchObject([202, { disposition: "started" }]);
	const events = `${url}/sessions/ada/runs/${started.run}/events`;
	step(2);
	expect(await read(events, 2)).toEqual([
		'id: 1\ndata: "one "',
		'id: 2\ndata: "two "',
	]);
	step(2);
	expect(await read(events, 9, { "last-event-id": "2" })).toEqual([
		'id: 3\ndata: "three "',
		'id: 4\ndata: "four"',
		'event: end\ndata: {"outcome":"completed"}',
	]);
	expect(await call("POST", "/sessions/ada/messages", message)).toMatchObject([
		202,
		{ disposition: "duplicate", run: started.run },
	]);
	expect(await call("GET", "/sessions/ada/transcript")).toEqual([
		200,
		[
			{ role: "user", content: "count" },
			{ role: "assistant", content: "one two three four" },
		],
	]);
	expect((await runtime.runs("ada")).items).toHaveLength(1);
});

test("a reset in mid-answer ends the stream of the old run, and the row is fresh", async () => {
	const { model, step } = steppedModel(["one ", "never"]);
	const { url, call } = await start(model);
	const [, { run }] = await call("POST", "/sessions/ada/messages", {
		text: "count",
	});
	step(1);
	const reading = read(`${url}/sessions/ada/runs/${run}/events`, 9);
	expect(await call("POST", "/sessions/ada/reset")).toMatchObject([
		200,
		{ result: "done", row: { generation: 2, status: "idle" } },
	]);
	expect((await reading).at(-1)).toBe(
		'event: end\ndata: {"outcome":"aborted"}',
	);
	expect(await call("POST", "/sessions/ada/abort")).toMatchObject([
		200,
		{ result: "nothing" },
	]);
	expect(await call("GET", "/sessions/ada")).toMatchObject([
		200,
		{ status: "idle", lastError: null },
	]);
});

test("what cannot be served is told so, and the host lives", async () => {
	const { model } = steppedModel([]);
	const { runtime, call } = await start(model);
	const path = "/sessions/ada/messages";
	const refusals: [string, string, unknown, number, string][] = [
		["POST", path, "{", 400, "the body must be JSON"],
		["POST", path, "[]", 400, "the body must be a JSON object"],
		["POST", path, {}, 400, '"text" must be what is said, a string'],
		[
			"POST",
			path,
			{ text: "x", messageId: 1 },
			400,
			'"messageId" must be a string, if it is given',
		],
		[
			"POST",
			path,
			{ text: "x".repeat(70_000) },
			413,
			"a body has at most 65536 bytes",
		],
		[
			"POST",
			"/sessions/%00/messages",
			{ text: "x" },
			400,
			'sessionKey is "\\u0000"; it must not have control characters',
		],
		["GET", "/sessions/%", undefined, 400, "% is not percent-encoded UTF-8"],
		["GET", path, undefined, 405, `${path} takes POST`],
		["GET", "/nowhere", undefined, 404, "there is nothing at /nowhere"],
		["GET", "/sessions/ada", undefined, 404, "there is no session ada"],
		[
			"GET",
			"/sessions/ada/runs/r/events",
			undefined,
			404,
			"session ada has no run r",
		],
	];
	for (const [method, at, body, status, error] of refusals)
		expect(await call(method, at, body)).toMatchObject([status, { error }]);
	await runtime.close();
	expect(await call("POST", path, { text: "x" })).toMatchObject([
		503,
		{ code: "RUNTIME_CLOSED" },
	]);
});
