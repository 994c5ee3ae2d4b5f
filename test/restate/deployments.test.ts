/** A new deployment of the services beside the one before: what is under way goes on, and what comes is the new one's. */
import type { ManagedRun, SessionRuntime } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silent } from "../support/host.ts";
import { type Server, serve, startServer } from "./server.ts";

let server: Server;
let runtime: SessionRuntime<string, string>;
const endpoints: AsyncDisposable[] = [];

beforeEach(async () => {
	server = await startServer();
	runtime = connectSessions({ ingress: server.ingress, logger: silent });
}, 60_000);

afterEach(async () => {
	await runtime.close();
	for (const one of endpoints.splice(0)) await one[Symbol.asyncDispose]();
	await server[Symbol.asyncDispose]();
});

async function deploy(
	name: string,
	run: (run: ManagedRun<string>) => Promise<string>,
): Promise<AsyncDisposable> {
	const endpoint = await serve<string, string, never>(server, {
		logger: silent,
		graceMs: 500,
		run: async (one) => `${name}: ${await run(one)}`,
	});
	endpoints.push(endpoint);
	return endpoint;
}

const key = "telegram:42";

test("a run of the old deployment ends there, and its session goes on with the new one", async () => {
	const gate = Promise.withResolvers<string>();
	await deploy("old", () => gate.promise);
	await runtime.start();
	const first = await runtime.send(key, "one");
	const second = await runtime.send(key, "two");
	await deploy("new", async () => "answer");
	const third = await runtime.send(key, "three");
	expect(third.disposition).toBe("queued");
	gate.resolve("answer");
	expect((await first.settled).output).toBe("old: answer");
	expect((await second.settled).output).toBe("new: answer");
	expect((await third.settled).output).toBe("new: answer");
	expect(await runtime.get(key)).toMatchObject({
		generation: 1,
		status: "ended",
	});
}, 60_000);

test("a stop reaches a run of the old deployment", async () => {
	const begun = Promise.withResolvers<ManagedRun<string>>();
	await deploy("old", (run) => {
		begun.resolve(run);
		return new Promise((_, reject) => {
			run.signal.addEventListener("abort", () => reject(run.signal.reason));
		});
	});
	await runtime.start();
	await runtime.send(key, "one");
	const run = await begun.promise;
	await deploy("new", async () => "answer");
	expect(await runtime.reset(key)).toMatchObject({
		result: "done",
		report: { drained: [{ outcome: "aborted" }], abandoned: [] },
	});
	expect(run.signal.aborted).toBe(true);
}, 60_000);

test("an old deployment that is gone with its runs: a reset ends all the same", async () => {
	const begun = Promise.withResolvers<void>();
	const old = await deploy("old", () => {
		begun.resolve();
		return new Promise(() => {});
	});
	await runtime.start();
	await runtime.send(key, "one");
	await begun.promise;
	await deploy("new", async () => "answer");
	await old[Symbol.asyncDispose]();
	expect(await runtime.reset(key)).toMatchObject({
		result: "done",
		report: { drained: [], abandoned: [{ outcome: "abandoned" }] },
	});
	const next = await runtime.send(key, "two");
	expect((await next.settled).output).toBe("new: answer");
}, 60_000);
