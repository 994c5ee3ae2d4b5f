/** The chat in the browser as a program: what it prints, what it answers over HTTP, whom it refuses, and how it ends. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Told } from "../../examples/web/told.ts";
import { runProgram } from "../support/program.ts";
import { temporaryFile } from "../support/stores.ts";

const { pathname: main } = new URL(
	"../../examples/web/main.ts",
	import.meta.url,
);
const ownName = new URL("../support/own-name.ts", import.meta.url);

/** The program, with nothing on its standard input, once it has printed its address. */
async function start(db = temporaryFile()) {
	const { OPENAI_BASE_URL: _, ...env } = process.env;
	const program = spawn(
		process.execPath,
		["--import", ownName.href, main, "--port", "0", "--db", db],
		{ env, stdio: ["ignore", "pipe", "inherit"] },
	);
	onTestFinished(() => {
		program.kill("SIGKILL");
	});
	const lines = createInterface({ input: program.stdout });
	const [line] = (await once(lines, "line")) as [string];
	const url = new URL(line.replace(/^Chat +/, ""));
	const post = (path: string, body: object) =>
		fetch(new URL(path + url.search, url), {
			method: "POST",
			headers: { "content-type": "application/json", origin: url.origin },
			body: JSON.stringify(body),
		});
	const say = (said: string, sessionKey = "web:1") =>
		post("/send", { sessionKey, text: said, messageId: crypto.randomUUID() });
	return { db, program, url, post, say };
}

interface Event {
	readonly id: string | null;
	readonly told: Told;
}

/** What the page would be told, from `lastEventId` on. */
async function* events(url: URL, lastEventId = ""): AsyncGenerator<Event> {
	const gone = new AbortController();
	const { body } = await fetch(new URL(`/events${url.search}`, url), {
		headers: { "last-event-id": lastEventId },
		signal: gone.signal,
	});
	let rest = "";
	try {
		for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
			const blocks = (rest + part).split("\n\n");
			rest = blocks.pop() ?? "";
			for (const block of blocks) {
				const data = /^data: (.*)$/m.exec(block)?.[1];
				const id = /^id: (.*)$/m.exec(block)?.[1] ?? null;
				if (data) yield { id, told: JSON.parse(data) };
			}
		}
	} finally {
		gone.abort();
	}
}

test("a message is answered, piece by piece, and kept", async () => {
	const { url, say } = await start();
	const stream = events(url);
	expect((await stream.next()).value.told).toEqual({
		type: "host",
		model: "a scripted model",
		isSlow: false,
		console: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/\?token=.+/),
	});
	expect(await (await say("hello")).json()).toEqual({
		disposition: "started",
	});
	let answer = "";
	for await (const { told } of stream) {
		if (told.type === "piece") answer += told.text;
		if (told.type === "row" && told.row.status === "ended") break;
	}
	expect(answer).toMatch(/^Hello! Ask me for a story/);
	for await (const { told } of events(url)) {
		if (told.type !== "conversation") continue;
		expect(told.entries.map(({ entry }) => entry)).toEqual([
			{ role: "user", content: "hello" },
			{ role: "assistant", content: answer },
		]);
		break;
	}
});

test("who comes back in the middle of an answer is told the rest of it", async () => {
	const { url, say } = await start();
	await say("tell me a story");
	let lastEventId = "";
	for await (const { id, told } of events(url)) {
		lastEventId = id ?? lastEventId;
		if (told.type === "piece" && told.seq === 3) break;
	}
	for await (const { told } of events(url, lastEventId)) {
		if (told.type !== "piece") continue;
		expect(told.seq).toBe(4);
		break;
	}
	// Who comes anew is told all of it.
	for await (const { told } of events(url)) {
		if (told.type !== "piece") continue;
		expect(told.seq).toBe(1);
		break;
	}
});

describe("the door", () => {
	const json = { "content-type": "application/json" };
	const body = JSON.stringify({
		sessionKey: "web:1",
		text: "hello",
		messageId: "m1",
	});

	test("refuses whom it does not know and what it cannot use, and nothing comes of it", async () => {
		const { url, post, say } = await start();
		const { origin } = url;
		const ask = async (
			method: string,
			path: string,
			headers: Record<string, string>,
			sent = "",
			token = url.search,
		) => {
			const asked = request(url, { path: path + token, method, headers });
			asked.end(sent);
			const [response] = await once(asked, "response");
			await text(response);
			return response.statusCode;
		};
		const foreign = `rebound.example:${url.port}`;
		const own = { ...json, origin };
		const answers = {
			"no token": await ask("POST", "/send", own, body, ""),
			"no token to listen": await ask("GET", "/events", {}, "", ""),
			"another token": await ask("POST", "/send", own, body, "?token=x"),
			"another host": await ask("GET", "/", { host: foreign }),
			"another host's post": await ask(
				"POST",
				"/send",
				{ ...json, host: foreign, origin: `http://${foreign}` },
				body,
			),
			"another origin": await ask(
				"POST",
				"/send",
				{ ...json, origin: "https://elsewhere.example" },
				body,
			),
			"no origin": await ask("POST", "/send", json, body),
			"a form": await ask("POST", "/send", { origin }, body),
			"too much": await ask("POST", "/send", own, "x".repeat(70_000)),
			"no JSON": await ask("POST", "/send", own, "hello"),
			"no object": await ask("POST", "/send", own, "[]"),
			"an unknown path": await ask("GET", "/../package.json", {}),
			"a post to the page": await ask("POST", "/", own, body),
			"a get of a call": await ask("GET", "/send", {}),
		};
		expect(answers).toEqual({
			"no token": 401,
			"no token to listen": 401,
			"another token": 401,
			"another host": 421,
			"another host's post": 421,
			"another origin": 403,
			"no origin": 403,
			"a form": 415,
			"too much": 413,
			"no JSON": 400,
			"no object": 400,
			"an unknown path": 404,
			"a post to the page": 405,
			"a get of a call": 405,
		});
		expect((await post("/new", { sessionKey: "terminal" })).status).toBe(400);
		expect((await say("")).status).toBe(400);
		const stream = events(url);
		await stream.next();
		// The first conversation that there is, is the one that is begun now.
		await say("hello", "web:2");
		const { told } = (await stream.next()).value;
		expect(told).toMatchObject({ row: { sessionKey: "web:2" } });
		await stream.return(undefined);
	});

	test("lets no script in but the page's own", async () => {
		const { url } = await start();
		const page = await fetch(url);
		expect(page.status).toBe(200);
		const policy = page.headers.get("content-security-policy");
		expect(policy).toContain("default-src 'none'; script-src 'self'");
		expect(policy).not.toContain("unsafe");
		expect(await page.text()).not.toMatch(/<style|style=|<script>| on[a-z]+="/);
	});
});

describe("the program", () => {
	test("ends when it is told to, with a page open and a run in the middle of its answer", async () => {
		const { program, url, say } = await start();
		const stream = events(url);
		await stream.next();
		await say("tell me a story");
		for await (const { told } of stream) if (told.type === "piece") break;
		program.kill("SIGTERM");
		expect(await once(program, "close")).toEqual([0, null]);
	});

	test("says in a sentence that somebody else has its file, or its port", async () => {
		const { db, url } = await start();
		const locked = await runProgram(main, {
			args: ["--port", "0", "--db", db],
		});
		expect(locked).toMatchObject({ code: 1, stdout: "" });
		expect(locked.stderr).toMatch(/^STORE_LOCKED: .+\n$/);
		const taken = await runProgram(main, {
			args: ["--port", url.port, "--db", temporaryFile()],
		});
		expect(taken).toEqual({
			code: 1,
			stdout: "",
			stderr: `port ${url.port} is taken; --port N names another, --port 0 takes any that is free\n`,
		});
	});

	test.each([
		[["--nope"], "Unknown option '--nope'"],
		[
			["--port", "http"],
			'--port is "http"; it must be a whole number, 0 to 65535',
		],
	])("says how it is called when it is called with %j", async (args, why) => {
		const { code, stdout, stderr } = await runProgram(main, { args });
		expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
		expect(stderr).toContain(why);
		expect(stderr).toContain("usage: npm start -- [--db FILE] [--port N]");
	});
});
