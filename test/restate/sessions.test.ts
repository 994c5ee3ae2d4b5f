/** Sessions as objects of a real Restate server: the calls of a host, and what comes of them. */
import { once } from "node:events";
import { createServer as createNetServer } from "node:net";
import type { ManagedRun, SessionRuntime } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silent } from "../support/host.ts";
import { type Server, serve, startServer } from "./server.ts";

let server: Server;
let endpoint: AsyncDisposable;
let runtime: SessionRuntime<string, string>;
const executors = new Map<
	string,
	(run: ManagedRun<string>) => Promise<string>
>();
let count = 0;

beforeAll(async () => {
	server = await startServer();
	endpoint = await serve<string, string, never>(server, {
		logger: silent,
		graceMs: 500,
		run: (run) => {
			const [first] = run.messages;
			const execute = executors.get(run.ticket.sessionKey);
			return execute ? execute(run) : Promise.resolve(`re: ${first?.input}`);
		},
	});
	runtime = connectSessions<string, string>({
		ingress: server.ingress,
		admin: server.admin,
		logger: silent,
	});
	await runtime.start();
}, 60_000);

afterAll(async () => {
	await runtime?.close();
	await endpoint?.[Symbol.asyncDispose]();
	await server?.[Symbol.asyncDispose]();
});

/** A key that no other test uses. */
function fresh(execute?: (run: ManagedRun<string>) => Promise<string>): string {
	count += 1;
	const key = `telegram:${count}`;
	if (execute) executors.set(key, execute);
	return key;
}

/** An executor that goes on until it is told to stop, or forever. */
function lasting(stubborn = false) {
	const begun = Promise.withResolvers<ManagedRun<string>>();
	const execute = (run: ManagedRun<string>) => {
		begun.resolve(run);
		return new Promise<string>((_, reject) => {
			if (!stubborn)
				run.signal.addEventListener("abort", () => reject(run.signal.reason));
		});
	};
	return { begun: begun.promise, execute };
}

describe("a session on Restate", () => {
	test("answers a message, and tells how it ended with its output", async () => {
		const key = fresh();
		const receipt = await runtime.send(key, "hello");
		expect(receipt.disposition).toBe("started");
		expect(receipt.row.status).toBe("running");
		expect(await receipt.settled).toEqual({
			ticket: receipt.ticket,
			outcome: "completed",
			output: "re: hello",
		});
		expect(await runtime.get(key)).toMatchObject({
			status: "ended",
			generation: 1,
			lastOutcome: "completed",
		});
	});

	test("reset in mid-run: the old run is told, drains, and the fresh session is idle and answers", async () => {
		const { begun, execute } = lasting();
		const key = fresh(execute);
		const first = await runtime.send(key, "hello");
		const run = await begun;
		const answer = await runtime.reset(key, { reason: "/new" });
		expect(run.signal.aborted).toBe(true);
		expect(answer).toMatchObject({
			result: "done",
			row: { generation: 2, status: "idle" },
			report: {
				drained: [
					{ runId: run.ticket.runId, outcome: "aborted", stoppedBy: "reset" },
				],
				abandoned: [],
			},
		});
		expect((await first.settled).outcome).toBe("aborted");
		executors.delete(key);
		expect((await (await runtime.send(key, "again")).settled).output).toBe(
			"re: again",
		);
	});

	test("reset of a run that does not stop: abandoned after its grace period, and its late end changes nothing", async () => {
		const { begun, execute } = lasting(true);
		const key = fresh(execute);
		await runtime.send(key, "hello");
		const run = await begun;
		const answer = await runtime.reset(key);
		expect(answer).toMatchObject({
			result: "done",
			report: { drained: [], abandoned: [{ outcome: "abandoned" }] },
		});
		const verdict = await runtime.report({
			...run.ticket,
			phase: "error",
			error: "socket hang up",
		});
		expect(verdict.verdict).toBe("duplicate");
		expect(await runtime.get(key)).toMatchObject({
			generation: 2,
			status: "idle",
			activeRun: null,
		});
	});

	test("a run that has no time to stop is told all the same", async () => {
		const { begun, execute } = lasting(true);
		const key = fresh(execute);
		await runtime.send(key, "hello");
		const run = await begun;
		const told = new Promise((resolve) =>
			run.signal.addEventListener("abort", resolve),
		);
		expect(await runtime.abort(key, { graceMs: 0 })).toMatchObject({
			report: { abandoned: [{ outcome: "abandoned" }] },
		});
		await told;
		expect(run.signal.reason).toMatchObject({ code: "RUN_ABORTED" });
	});

	test("a lease lasts for as long as its run gives signs of life, of whatever kind", async () => {
		const key = fresh();
		const run = await runtime.admit(key, { leaseMs: 900 });
		await run.start();
		for (let i = 0; i < 20; i++) {
			await new Promise((resolve) => setTimeout(resolve, 100));
			if (i % 2) run.progress(i);
			else run.usage({ outputTokens: 1 });
		}
		expect((await runtime.get(key))?.status).toBe("running");
		const told = new Promise((resolve) =>
			run.signal.addEventListener("abort", resolve),
		);
		const row = await runtime.until(key, (one) => one?.status !== "running");
		expect(row).toMatchObject({ lastOutcome: "interrupted", outputTokens: 10 });
		await told;
	});

	test("a child that comes after its parent was stopped is not run", async () => {
		const child = fresh(async () => "never");
		const begun = Promise.withResolvers<ManagedRun<string>>();
		const key = fresh(async (run) => {
			begun.resolve(run);
			return lasting().execute(run);
		});
		await runtime.send(key, "go");
		const { ticket } = await begun.promise;
		// The parent's word, and then nothing for a while.
		const call = (session: string, handler: string, body: object) =>
			fetch(
				`${server.ingress}/TurnkeeperSession/${encodeURIComponent(session)}/${handler}`,
				{
					method: "POST",
					headers: { "content-type": "application/json" },
					body: JSON.stringify({ protocol: 1, at: Date.now(), ...body }),
				},
			).then(
				(response) => response.json() as Promise<{ value: { value: unknown } }>,
			);
		const word = await call(key, "act", {
			ticket,
			name: "spawn",
			args: [child, "late", true],
		});
		await runtime.reset(key);
		const answer = await call(child, "call", {
			name: "receive",
			args: ["help", "late", word.value.value],
		});
		expect(answer.value).toMatchObject({ disposition: "duplicate" });
		expect(await runtime.get(child)).toBeNull();
		expect((await runtime.runs(child)).items).toEqual([]);
	});

	test("messages wait in line, and the same message id runs once", async () => {
		const gate = Promise.withResolvers<void>();
		const said: string[] = [];
		const key = fresh(async (run) => {
			said.push(...run.messages.map(({ input }) => input));
			await gate.promise;
			return "done";
		});
		await runtime.send(key, "one", { messageId: "m1" });
		const second = await runtime.send(key, "two", { messageId: "m2" });
		expect(second.disposition).toBe("queued");
		expect(
			(await runtime.send(key, "two", { messageId: "m2" })).disposition,
		).toBe("duplicate");
		expect((await runtime.queue.list(key)).map(({ input }) => input)).toEqual([
			"two",
		]);
		gate.resolve();
		await second.settled;
		await runtime.whenIdle(key);
		expect(said).toEqual(["one", "two"]);
	});

	test("steers a run: what it takes is handed over once, the rest becomes a later message", async () => {
		const taken: string[] = [];
		const begun = Promise.withResolvers<void>();
		let runs = 0;
		const key = fresh(async (run) => {
			runs += 1;
			if (runs > 1) return `later: ${run.messages.map(({ input }) => input)}`;
			begun.resolve();
			for await (const { input } of run.steering) {
				taken.push(input);
				if (taken.length === 2) break;
			}
			return "steered";
		});
		await runtime.send(key, "go");
		await begun.promise;
		const dispositions = [];
		for (const input of ["left", "right"])
			dispositions.push(
				(await runtime.send(key, input, { overlap: "steer" })).disposition,
			);
		await runtime.whenIdle(key);
		expect(dispositions).toEqual(["steered", "steered"]);
		expect(taken).toEqual(["left", "right"]);
		expect(runs).toBe(1);
	});

	test("waits for an answer: the row says so, the first answer counts, a wait may time out", async () => {
		const key = fresh(async (run) => {
			const { ok } = await run.waitFor<{ ok: boolean }>("approve");
			const late = await run
				.waitFor("never", { timeoutMs: 50 })
				.catch(({ code }) => code);
			return `${ok} ${late}`;
		});
		const receipt = await runtime.send(key, "delete it?");
		await runtime.until(key, (row) => row?.status === "waiting");
		const ticket = receipt.ticket as never;
		expect(await runtime.resume(ticket, "approve", { ok: true })).toMatchObject(
			{
				result: "done",
			},
		);
		expect(
			(await runtime.resume(ticket, "approve", { ok: false })).result,
		).toBe("nothing");
		expect((await receipt.settled).output).toBe("true WAIT_TIMEOUT");
	});

	test("delivers once under a name, appends to the transcript, counts usage, rotates", async () => {
		let calls = 0;
		const key = fresh(async (run) => {
			const first = await run.deliver("reply", ({ idempotencyKey }) => {
				calls += 1;
				return idempotencyKey.length;
			});
			const again = await run
				.deliver("reply", () => 0)
				.catch(({ code }) => code);
			await run.append({ said: run.messages[0]?.input ?? "" });
			run.usage({ inputTokens: 3, outputTokens: 4 });
			const { sessionId } = await run.rotate({ sessionId: "compacted" });
			const own = await run.transcript();
			return `${first} ${again} ${sessionId} ${own.length} ${run.row.status}`;
		});
		const receipt = await runtime.send(key, "hello");
		expect((await receipt.settled).output).toBe(
			"32 INVALID_ARGUMENT compacted 0 running",
		);
		expect(calls).toBe(1);
		const { items } = await runtime.transcript(key);
		expect(items.map(({ entry }) => entry)).toEqual([{ said: "hello" }]);
		expect(await runtime.get(key)).toMatchObject({
			sessionId: "compacted",
			inputTokens: 3,
			outputTokens: 4,
		});
	});

	test("spawns messages of other sessions; what is attached ends with it", async () => {
		const child = fresh(async (run) => `child of ${run.row.sessionKey}`);
		const { begun, execute } = lasting();
		const stopped = fresh(execute);
		const key = fresh(async (run) => {
			const { settled } = await run.spawn(child, "help");
			const own = await run.spawn(key, "me").catch(({ code }) => code);
			// Nobody waits for this one: it is stopped when its parent ends.
			await run.spawn(stopped, "go on", { messageId: "attached" });
			await begun;
			return `${(await settled).outcome} ${own}`;
		});
		const receipt = await runtime.send(key, "go");
		expect((await receipt.settled).output).toBe("completed INVALID_ARGUMENT");
		const [run] = (await runtime.runs(stopped)).items;
		expect(run).toMatchObject({
			outcome: "aborted",
			stoppedBy: "parent",
			parent: { sessionKey: key },
		});
		expect((await runtime.runs(child)).items[0]).toMatchObject({
			outcome: "completed",
			parent: { sessionKey: key },
		});
	});

	test("a reset stops what is attached to the run that it stops", async () => {
		const { begun, execute } = lasting();
		const child = fresh(execute);
		const key = fresh(async (run) => {
			await run.spawn(child, "help");
			return lasting().execute(run);
		});
		await runtime.send(key, "go");
		const run = await begun;
		expect((await runtime.reset(key)).result).toBe("done");
		expect(run.signal.reason).toMatchObject({ by: "parent" });
		await runtime.whenIdle(child);
		expect((await runtime.get(child))?.lastOutcome).toBe("aborted");
	});

	test("tells its progress to those who follow, also to one who comes late", async () => {
		const gate = Promise.withResolvers<void>();
		const key = fresh(async (run) => {
			run.progress("one");
			run.progress("two");
			await gate.promise;
			run.progress("three");
			return "done";
		});
		const { ticket } = await runtime.send(key, "hello");
		const seen: unknown[] = [];
		for await (const item of runtime.follow(ticket as never)) {
			seen.push("value" in item ? item.value : item.gap);
			if (seen.length === 2) gate.resolve();
		}
		expect(seen).toEqual(["one", "two", "three"]);
		const late: unknown[] = [];
		for await (const item of runtime.follow(ticket as never, { from: 3 }))
			late.push(item);
		expect(late).toEqual([{ seq: 3, value: "three" }]);
	});

	test("a run of the host's is told of a stop, its late report is archived, whoever's it is", async () => {
		const key = fresh();
		const run = await runtime.admit(key, { runId: `r of ${key}` });
		expect(await runtime.admit(key).catch(({ code }) => code)).toBe(
			"SESSION_BUSY",
		);
		expect((await run.start()).verdict).toBe("applied");
		const stop = runtime.reset(key);
		await new Promise((resolve) =>
			run.signal.addEventListener("abort", resolve),
		);
		expect(run.signal.reason).toMatchObject({ by: "reset" });
		expect((await run.fail("aborted")).verdict).toBe("archived");
		expect((await stop).result).toBe("done");
		// By its run id alone.
		const late = {
			runId: `r of ${key}`,
			phase: "error",
			error: "late",
		} as const;
		const verdict = await runtime.report(late);
		expect(["duplicate", "refused", "archived"]).toContain(verdict.verdict);
		expect(verdict.ticket?.sessionKey).toBe(key);
		expect((await runtime.report({ ...late, runId: "nobody's" })).verdict).toBe(
			"unknown",
		);
		expect(await runtime.report({} as never)).toMatchObject({
			verdict: "refused",
			reason: "runId is undefined; it must be the id of a run",
		});
		expect(
			(await runtime.refusals({ sessionKey: key })).items.length,
		).toBeGreaterThan(0);
		expect(await runtime.get(key)).toMatchObject({
			generation: 2,
			status: "idle",
		});
	});

	test("an answer may be null", async () => {
		const key = fresh(async (run) => String(await run.waitFor("approve")));
		const { settled, ticket } = await runtime.send(key, "hello");
		await runtime.until(key, (row) => row?.status === "waiting");
		await runtime.resume(ticket as NonNullable<typeof ticket>, "approve", null);
		expect(await settled).toMatchObject({ output: "null" });
	});

	test("who admits a run again that is live gets the same, and what throws in its scope harms nobody", async () => {
		const key = fresh();
		const run = await runtime.admit(key, { runId: "R" });
		expect(await runtime.admit(key, { runId: "R" })).toBe(run);
		run.scope.defer(() => {
			throw new Error("cannot be given back");
		});
		expect(await run.end()).toMatchObject({ verdict: "applied" });
		const next = await runtime.admit(key, { runId: "R" });
		expect(next.ticket.attempt).toBe(2);
		await next.end();
	});

	test("lists, archives, patches, deletes and imports", async () => {
		const keys = ["b", "a", "c"].map((name) => `list%_'${count}:${name}`);
		const rows = keys.map((sessionKey) => ({
			sessionKey,
			sessionId: "old",
			meta: { title: sessionKey },
		}));
		expect(await runtime.import(rows as never)).toEqual({
			imported: 3,
			skipped: [],
		});
		expect((await runtime.import(rows as never)).skipped).toEqual(keys);
		const prefix = `list%_'${count}:`;
		const first = await runtime.list({ prefix, limit: 2 });
		expect(first.items.map(({ sessionKey }) => sessionKey.slice(-1))).toEqual([
			"a",
			"b",
		]);
		const second = await runtime.list({
			prefix,
			limit: 2,
			cursor: first.cursor as string,
		});
		expect(second.items.map(({ sessionKey }) => sessionKey.slice(-1))).toEqual([
			"c",
		]);
		const [key] = keys as [string];
		expect(await runtime.patch(key, { title: "new", draft: 1 })).toMatchObject({
			result: "done",
			row: { meta: { title: "new", draft: 1 } },
		});
		await runtime.reset(key, { reason: "/new" });
		const { items } = await runtime.archive(key);
		expect(items).toMatchObject([
			{ generation: 1, endedBy: "reset", reason: "/new" },
		]);
		expect((await runtime.delete(key, { purge: true })).result).toBe("done");
		expect(await runtime.get(key)).toBeNull();
		expect((await runtime.archive(key)).items).toEqual([]);
		expect((await runtime.list({ prefix })).items).toHaveLength(2);
		// The counter goes on.
		await (await runtime.send(key, "again")).settled;
		expect((await runtime.get(key))?.generation).toBe(3);
	});

	test("a command that is delivered again does nothing, and a stale expectation is told", async () => {
		const key = fresh();
		await (await runtime.send(key, "hello")).settled;
		expect((await runtime.reset(key, { messageId: "/new 1" })).result).toBe(
			"done",
		);
		expect((await runtime.reset(key, { messageId: "/new 1" })).result).toBe(
			"nothing",
		);
		expect(
			await runtime.abort(key, { expect: { generation: 1 } }),
		).toMatchObject({ result: "stale", mismatch: "generation" });
		expect(
			await runtime
				.send(key, "late", { expect: { generation: 1 } })
				.catch(({ code }) => code),
		).toBe("STALE_EXPECTATION");
		expect(
			await runtime.send(key, undefined as never).catch(({ code }) => code),
		).toBe("INVALID_INPUT");
		expect(await runtime.send("", "x").catch(({ code }) => code)).toBe(
			"INVALID_ARGUMENT",
		);
	});

	test("a row that is waited for may not come", async () => {
		await expect(
			runtime.until(fresh(), (row) => row !== null, { timeoutMs: 50 }),
		).rejects.toMatchObject({ code: "WAIT_TIMEOUT" });
	});
});

describe("what is wrong is told", () => {
	const told = (options: object, call = "start") =>
		(async () => {
			const one = connectSessions({
				logger: silent,
				timeoutMs: 2000,
				...options,
			} as never);
			await one.start();
			await (one as never as Record<string, () => Promise<unknown>>)[call]?.();
		})().then(
			() => null,
			({ code, text }) => `${code}: ${text}`,
		);

	test("a server that is down, an address that is none", async () => {
		expect(await told({ ingress: "http://127.0.0.1:1" })).toMatch(
			/^ENGINE_FAILED: get: Restate at http:\/\/127.0.0.1:1 cannot be reached/,
		);
		expect(await told({ ingress: "localhost" })).toBe(
			'INVALID_ARGUMENT: options.ingress is "localhost"; it must be a URL, such as http://127.0.0.1:8080',
		);
	});

	test("a server that does not answer in time", async () => {
		const mute = createNetServer(() => {}).listen(0, "127.0.0.1");
		await once(mute, "listening");
		const { port } = mute.address() as { port: number };
		expect(
			await told({ ingress: `http://127.0.0.1:${port}`, timeoutMs: 200 }),
		).toBe(
			`ENGINE_FAILED: get: Restate at http://127.0.0.1:${port} gave no answer within 200 ms; whether the call took effect is not known`,
		);
		mute.close();
	});

	test("services that nobody has registered", async () => {
		await using empty = await startServer();
		expect(await told({ ingress: empty.ingress })).toMatch(
			/^ENGINE_MISMATCH: get: Restate at .* knows no TurnkeeperSession; register/,
		);
	}, 30_000);

	test("a host of another version", async () => {
		const response = await fetch(`${server.ingress}/TurnkeeperSession/k/call`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({
				protocol: 2,
				at: 1,
				name: "send",
				args: ["hello"],
			}),
		});
		expect(await response.json()).toMatchObject({
			error: {
				code: "ENGINE_MISMATCH",
				text: expect.stringContaining("protocol 2"),
			},
		});
	});

	test("what concerns all sessions, without the admin API", async () => {
		expect(await told({ ingress: server.ingress }, "list")).toBe(
			"INVALID_ARGUMENT: list over all sessions needs the admin API of Restate; give connectSessions its URL as `admin`",
		);
		expect(
			await told(
				{ ingress: server.ingress, admin: "http://127.0.0.1:1" },
				"list",
			),
		).toMatch(
			/^ENGINE_FAILED: list: the admin API of Restate at .* cannot be reached/,
		);
	});

	test("a call before the start, and after the end", async () => {
		const one = connectSessions({ ingress: server.ingress });
		await expect(one.get("k")).rejects.toMatchObject({
			code: "RUNTIME_CLOSED",
		});
		await one.start();
		await one.close();
		await expect(one.get("k")).rejects.toThrow("get: the runtime is closed");
	});
});
