/** Sessions as objects of a real Restate server: the calls of a host, and what comes of them. */
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
			outcome: "completed",
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
});
