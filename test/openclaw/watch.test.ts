/** `turnkeeper/openclaw`: what a bystander sees of a gateway, live and recorded, and which of its rows contradict its runs. */

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { createSessionRuntime } from "turnkeeper";
import { map } from "turnkeeper/maps/openclaw";
import { memoryStore } from "turnkeeper/memory";
import {
	type Frame,
	gatewayFrames,
	reportsOf,
	watchDrift,
} from "turnkeeper/openclaw";
import { describe, expect, onTestFinished, test } from "vitest";
import { openStream } from "../../src/replay/lines.ts";
import { replay } from "../../src/replay/replay.ts";
import { failure, start, turnkeeperHere } from "../cli/turnkeeper.ts";
import { collect } from "../replay/collect.ts";
import { silent } from "../support/host.ts";
import { wrong } from "../support/scripted-host.ts";
import { eventOf, recordingOf, startGateway } from "./gateway-server.ts";

const names = readdirSync(
	join(import.meta.dirname, "..", "recorded", "openclaw"),
).map((file) => file.replace(/\.jsonl$/, ""));

async function* each(items: readonly unknown[]): AsyncGenerator<Frame> {
	yield* items as readonly Frame[];
}

async function drift(lines: readonly object[]) {
	const told: string[] = [];
	const seen = await watchDrift(each(lines), (one) => told.push(one));
	return { ...seen, told };
}

const key = "agent:main:chat";
const lifecycle = (at: number, runId: string, rest: object) => ({
	at,
	kind: "lifecycle",
	runId,
	sessionKey: key,
	...rest,
});
const row = (at: number, row: object, reason?: string) => ({
	at,
	kind: "row",
	sessionKey: key,
	reason,
	row,
});

describe("a bystander of a recorded gateway", () => {
	test.each(names)(
		"finds in %s no row at odds that the replay of all of it does not",
		async (name) => {
			const lines = recordingOf(name);
			const text = lines.map((line) => JSON.stringify(line)).join("\n");
			const all = await replay(openStream([text], map), memoryStore());
			const seen = await drift(lines);
			expect(seen.hostRowsAtOdds).toBe(all.hostRowsAtOdds);
			// Of rows that are not at odds with themselves, none is blamed that the commands would excuse.
			const blamed = (sentences: readonly string[]) =>
				sentences.filter((one) => !one.includes("contradicts itself")).length;
			expect(blamed(seen.told)).toBeLessThanOrEqual(blamed(all.contradictions));
		},
	);

	test("sees the late event that leaves a fresh session failed, in both generations of the protocol", async () => {
		for (const generation of ["old", "new"]) {
			const { told } = await drift(
				recordingOf(`${generation}-plugin-late-harness-event`),
			);
			expect(
				told.filter((one) =>
					/says failed, but no run has ended since the reset/.test(one),
				).length,
			).toBeGreaterThan(0);
		}
	});
});

describe("a bystander", () => {
	test("judges no session before it has seen something of its runs", async () => {
		const running = { status: "running", hasActiveRun: true };
		const { told, hostRows } = await drift([
			row(1, running),
			row(2, running, "send"),
			lifecycle(3, "R", { phase: "end" }),
			row(4, { status: "done", hasActiveRun: false }),
		]);
		expect({ told, hostRows }).toEqual({ told: [], hostRows: 1 });
	});

	test("knows a run by its first report, and a row that promised it was right", async () => {
		const { told, reports } = await drift([
			row(1, { hasActiveRun: false }, "create"),
			row(2, { status: "running", hasActiveRun: true }, "send"),
			row(3, { status: "running", hasActiveRun: true }),
			lifecycle(4000, "R", { phase: "start" }),
			row(4001, { status: "running", hasActiveRun: true }),
			lifecycle(5000, "R", { phase: "end" }),
			row(5001, { status: "done", hasActiveRun: false }),
		]);
		expect(told).toEqual([]);
		expect(reports).toMatchObject({ applied: 2, unknown: 0 });
	});

	test("loses its patience with a promise that no report keeps", async () => {
		const { told } = await drift([
			row(0, { hasActiveRun: false }, "create"),
			row(1000, { status: "running", hasActiveRun: true }, "send"),
			lifecycle(40_000, "other", { phase: "start", sessionKey: "another" }),
		]);
		expect(told).toEqual([
			`+1.000 s  ${key}: says running, but no run has been accepted for it`,
		]);
	});

	test("takes an end for one of a promised run, though its start was never told", async () => {
		const { told } = await drift([
			row(0, { hasActiveRun: false }, "create"),
			row(1, { status: "running", hasActiveRun: true }, "send"),
			lifecycle(2, "R", { phase: "error", error: "no model" }),
			row(3, { status: "done", hasActiveRun: false }),
		]);
		expect(told).toEqual([
			`+0.003 s  ${key}: says done, but run R had failed 1 ms before`,
		]);
	});

	test("starts anew where something was left out", async () => {
		const { told } = await drift([
			lifecycle(1, "R", { phase: "start" }),
			{ at: 2, kind: "gap" },
			row(3, { status: "done", hasActiveRun: false }),
		]);
		expect(told).toEqual([]);
	});

	test("a deleted session is a new one", async () => {
		const { told } = await drift([
			lifecycle(1, "R", { phase: "start" }),
			lifecycle(2, "R", { phase: "end" }),
			row(3, {}, "delete"),
			row(4, { status: "done", hasActiveRun: false }, "create"),
		]);
		expect(told).toEqual([
			`+0.003 s  ${key}: says done, but no run has ended since the delete 1 ms before`,
		]);
	});
});

describe("reports of a gateway", () => {
	test("go into a runtime of one's own", async () => {
		const runtime = createSessionRuntime({
			store: memoryStore(),
			logger: silent,
		});
		await runtime.start();
		await runtime.admit(key, { runId: "R", reserve: true });
		const verdicts: string[] = [];
		const frames = [
			lifecycle(1, "R", { phase: "start" }),
			lifecycle(2, "R", { phase: "model" }),
			lifecycle(3, "R", { phase: "end", aborted: true }),
			lifecycle(4, "R", { phase: "error", error: "late" }),
			{ at: 5, kind: "lifecycle", phase: "end" },
			row(6, { status: "failed" }),
			7,
		];
		for await (const report of reportsOf(each(frames)))
			verdicts.push((await runtime.report(report)).verdict);
		expect(verdicts).toEqual(["applied", "applied", "duplicate"]);
		expect(await runtime.get(key)).toMatchObject({ lastOutcome: "aborted" });
		await runtime.close();
	});
});

describe("a live gateway", () => {
	test.each(["old", "new"])(
		"of the %s generation says what its recording says",
		async (generation) => {
			const name = `${generation}-reset-then-long-run`;
			const gateway = await startGateway({ token: "t" });
			const enough = new AbortController();
			const told: string[] = [];
			const watching = watchDrift(
				gatewayFrames(gateway.url, { token: "t", signal: enough.signal }),
				(one) => told.push(one),
			);
			await gateway.subscribed;
			const lines = recordingOf(name);
			for (const line of lines) {
				const said = eventOf(line);
				if (said) gateway.emit(said.event, said.payload);
			}
			gateway.emit("tick", {});
			gateway.end();
			await expect(watching).rejects.toMatchObject({ code: "GATEWAY_FAILED" });
			const timeless = (one: string) => one.replace(/^\S+ s {2}/, "");
			expect(told.map(timeless)).toEqual(
				(await drift(lines)).told.map(timeless),
			);
			expect(gateway.asked).toMatchObject([
				{
					type: "req",
					method: "connect",
					params: {
						role: "operator",
						scopes: ["operator.read"],
						auth: { token: "t" },
					},
				},
				{ type: "req", method: "sessions.subscribe" },
			]);
		},
	);

	test("gives its frames until the signal, without an error, and says where something was left out", async () => {
		const gateway = await startGateway();
		const enough = new AbortController();
		const got: unknown[] = [];
		const reading = (async () => {
			const { signal } = enough;
			for await (const frame of gatewayFrames(gateway.url, { signal })) {
				got.push(frame.kind);
				if (got.length === 4) enough.abort();
			}
		})();
		await gateway.subscribed;
		const data = { phase: "start" };
		const payload = { stream: "lifecycle", runId: "R", data };
		gateway.emit("agent", payload, 1);
		gateway.send("no JSON");
		gateway.emit("agent", { ...payload, stream: "assistant" }, 2);
		gateway.emit("agent", payload, 9);
		gateway.emit("sessions.changed", { sessionKey: key, reason: "send" });
		await reading;
		expect(got).toEqual(["lifecycle", "gap", "lifecycle", "row"]);
		const again = gatewayFrames(gateway.url, { signal: enough.signal });
		expect(await collect(again)).toEqual([]);
	});

	test("that ends the connection is an error that says why", async () => {
		const gateway = await startGateway();
		const frames = collect(gatewayFrames(gateway.url));
		await gateway.subscribed;
		gateway.end();
		await expect(frames).rejects.toMatchObject({
			code: "GATEWAY_FAILED",
			text: `the gateway at ${gateway.url} ended the connection (1012, service restart)`,
		});
	});

	test.each([
		[
			"refuses the token",
			{ token: "right" },
			/refused connect: INVALID_REQUEST, unauthorized; it must speak protocol 3 or 4/,
		],
		["says nothing", { silent: true }, /did not let in within 50 ms/],
	])("that %s is an error that says so", async (_, answers, message) => {
		const gateway = await startGateway(answers);
		const frames = gatewayFrames(gateway.url, {
			token: "wrong",
			timeoutMs: 50,
		});
		await expect(collect(frames)).rejects.toMatchObject({
			code: "GATEWAY_FAILED",
			message: expect.stringMatching(message),
		});
	});

	test("that is none is an error that says so", async () => {
		const server = createServer((_, response) => response.writeHead(404).end());
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		onTestFinished(() => void server.close());
		const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
		await expect(collect(gatewayFrames(url))).rejects.toMatchObject({
			code: "GATEWAY_FAILED",
			message: expect.stringContaining("could not be reached"),
		});
	});

	test("may be given up while it is connected to", async () => {
		const server = createTcpServer((socket) => void socket.resume());
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		onTestFinished(() => void server.close());
		const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
		const enough = new AbortController();
		const connected = once(server, "connection");
		const frames = collect(gatewayFrames(url, { signal: enough.signal }));
		await connected;
		enough.abort();
		expect(await frames).toEqual([]);
	});

	test("needs an address, and a watch a function", async () => {
		expect(() => gatewayFrames("http://127.0.0.1")).toThrow(
			expect.objectContaining({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("such as ws://127.0.0.1:18789"),
			}),
		);
		await expect(watchDrift(each([]), wrong(null))).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
	});
});

describe("turnkeeper replay --watch", () => {
	test("tells each contradiction of a live gateway as it comes, and at Ctrl-C what was seen", async () => {
		const gateway = await startGateway({ token: "t" });
		const child = start(["replay", "--watch", gateway.url, "--json"], {
			env: { ...process.env, OPENCLAW_GATEWAY_TOKEN: "t" },
		});
		onTestFinished(() => void child.kill("SIGKILL"));
		await gateway.subscribed;
		const told = once(child.stdout, "data");
		const say = (line: Parameters<typeof eventOf>[0]) => {
			const said = eventOf(line);
			if (said) gateway.emit(said.event, said.payload);
		};
		say(lifecycle(1, "R", { phase: "start" }));
		say(row(2, { key, status: "done", hasActiveRun: false }));
		const [first] = await told;
		expect(JSON.parse(String(first)).contradiction).toContain(
			`${key}: says done, but run R has been running for`,
		);
		const rest = once(child.stdout, "data");
		const closed = once(child, "close");
		child.kill("SIGINT");
		expect(JSON.parse(String((await rest)[0]))).toMatchObject({
			hostRows: 1,
			hostRowsAgainstRuns: 1,
		});
		expect((await closed)[0]).toBe(0);
	});

	test.each([
		[
			["ws://127.0.0.1:1", "ws://127.0.0.1:2"],
			/"ws:\/\/127.0.0.1:2" is one argument too many; --watch looks at one gateway/,
		],
		[
			["monday.jsonl"],
			/"monday.jsonl" is no gateway; --watch needs its address, such as ws:\/\/127.0.0.1:18789/,
		],
		[
			["ws://127.0.0.1:1", "--db", "x.db"],
			/--map and --db do not go with --watch/,
		],
	])(
		"called with %j says what would have been right",
		async (args, message) => {
			expect(await turnkeeperHere(["replay", "--watch", ...args])).toEqual(
				failure(2, message),
			);
		},
	);

	test("a token is for a gateway alone", async () => {
		expect(
			await turnkeeperHere(["replay", "monday.jsonl", "--token", "t"]),
		).toEqual(failure(2, /--token goes with --watch/));
	});

	test("a gateway that does not let in ends it with a sentence", async () => {
		const gateway = await startGateway({ token: "t" });
		const { code, stdout, stderr } = await turnkeeperHere([
			"replay",
			"--watch",
			gateway.url,
			"--token",
			"wrong",
		]);
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		expect(stderr).toContain(
			`turnkeeper: the gateway at ${gateway.url} refused connect: INVALID_REQUEST, unauthorized`,
		);
	});
});
