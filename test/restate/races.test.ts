/**
 * Races of the catalogue on a real Restate server, where calls, runs and signals take their own ways over the network. What the catalogue plays
 * step by step on the embedded engine is here left to real time; the generated paths are played step by step (`paths.test.ts`).
 */
import type { LifecycleReport, ManagedRun, SessionRuntime } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	identities,
	phases,
	sessionIds,
	times,
} from "../races/late-reports.ts";
import { silent } from "../support/host.ts";
import { type Server, serve, startServer } from "./server.ts";

let server: Server;
let endpoint: AsyncDisposable;
let runtime: SessionRuntime<string, string>;
/** What was executed, in order. */
const runs: ManagedRun<string>[] = [];
const stubborn = new Map<string, PromiseWithResolvers<string>>();

beforeAll(async () => {
	server = await startServer();
	endpoint = await serve<string, string, never>(server, {
		logger: silent,
		graceMs: 200,
		run: (run) => {
			runs.push(run);
			const held = stubborn.get(run.ticket.sessionKey);
			if (held) return held.promise;
			return new Promise((resolve, reject) => {
				const timer = setTimeout(() => resolve("done"), 30);
				run.signal.addEventListener("abort", () => {
					clearTimeout(timer);
					reject(run.signal.reason);
				});
			});
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

let count = 0;
const fresh = () => {
	count += 1;
	return `agent:main:telegram:${count}`;
};
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const executed = (key: string) =>
	runs.filter(({ ticket }) => ticket.sessionKey === key);

const all = Object.entries(identities).flatMap(([says, identify]) =>
	Object.entries(sessionIds).flatMap(([idCase, sessionId]) =>
		Object.entries(times).flatMap(([when, timesAt]) =>
			Object.entries(phases).map(([phase, body]) => ({
				name: `${phase} with ${says}, ${idCase}, ${when}`,
				identify,
				sessionId,
				timesAt,
				body,
			})),
		),
	),
);

test(`SE-01 a late report after a reset leaves the fresh session alone, in all ${all.length} ways`, async () => {
	expect(all).toHaveLength(72);
	await Promise.all(
		all.map(async ({ name, identify, sessionId, timesAt, body }, i) => {
			const key = fresh();
			const run = await runtime.admit(key, {
				runId: `R${i}`,
				sessionId: "S1",
			});
			const late = {
				...identify(run.ticket),
				...body,
				...timesAt(Date.now()),
			} as LifecycleReport;
			expect(await runtime.reset(key, { sessionId }), name).toMatchObject({
				result: "done",
				report: { abandoned: [{ runId: `R${i}`, outcome: "abandoned" }] },
			});
			const before = await runtime.get(key);
			expect(before, name).toMatchObject({
				sessionId,
				generation: 2,
				status: "idle",
				activeRun: null,
				lastOutcome: null,
				totalTokens: 0,
			});
			expect((await runtime.report(late)).verdict, name).toBe("duplicate");
			expect(await runtime.get(key), name).toEqual(before);
			expect(
				(await runtime.refusals({ sessionKey: key })).items,
				name,
			).toMatchObject([{ verdict: "duplicate", report: { runId: `R${i}` } }]);
		}),
	);
}, 60_000);

describe("in real time", () => {
	test("SE-01 no reset sent 0 to 200 ms after a message is undone", async () => {
		await Promise.all(
			Array.from({ length: 21 }, async (_, i) => {
				const key = fresh();
				const held = Promise.withResolvers<string>();
				held.promise.catch(() => {});
				stubborn.set(key, held);
				const sent = runtime.send(key, "hello");
				if (i > 0) {
					await sent;
					await pause(i * 10);
				}
				const reset = runtime.reset(key, { sessionId: "fresh" });
				await pause(100);
				if (i % 2) held.resolve("too late");
				else held.reject(new Error("too late"));
				expect((await reset).result).toBe("done");
				await (await sent).settled;
				await runtime.whenIdle(key);
				const row = await runtime.get(key);
				// Who came first is Restate's to say; that the reset holds is not.
				if (i > 0)
					expect(row).toMatchObject({
						sessionId: "fresh",
						generation: 2,
						status: "idle",
						startedAt: null,
						endedAt: null,
					});
				else expect([1, 2]).toContain(row?.generation);
			}),
		);
	}, 60_000);

	test("DP the same message from ten replicas at once runs once", async () => {
		const key = fresh();
		const receipts = await Promise.all(
			Array.from({ length: 10 }, () =>
				runtime.send(key, "hello", { messageId: "update 7" }),
			),
		);
		const dispositions = receipts.map(({ disposition }) => disposition);
		expect(dispositions.filter((one) => one !== "duplicate")).toEqual([
			"started",
		]);
		const ends = await Promise.all(receipts.map(({ settled }) => settled));
		expect(new Set(ends.map((one) => JSON.stringify(one))).size).toBe(1);
		expect(executed(key)).toHaveLength(1);
	});

	test("RQ ten resets at once are ten generations, and the last is idle", async () => {
		const key = fresh();
		await runtime.send(key, "hello");
		const answers = await Promise.all(
			Array.from({ length: 10 }, () => runtime.reset(key)),
		);
		expect(answers.every(({ result }) => result === "done")).toBe(true);
		expect(await runtime.get(key)).toMatchObject({
			generation: 11,
			status: "idle",
			draining: 0,
		});
		const { items } = await runtime.archive(key);
		expect(items.map(({ generation }) => generation)).toEqual(
			Array.from({ length: 10 }, (_, i) => 10 - i),
		);
	});

	test("QM what waits through a reset runs in the new generation, in order, once", async () => {
		const key = fresh();
		const texts = Array.from({ length: 8 }, (_, i) => `message ${i}`);
		for (const text of texts) await runtime.send(key, text);
		const [first] = executed(key);
		await runtime.reset(key);
		await runtime.whenIdle(key);
		const said = executed(key).flatMap(({ messages }) =>
			messages.map(({ input }) => input),
		);
		expect(said).toEqual(texts);
		expect(first?.messages[0]?.input).toBe("message 0");
		expect((await runtime.get(key))?.generation).toBe(2);
	});

	test("AB an abort and the end of its run, whichever comes first, leave one end", async () => {
		await Promise.all(
			Array.from({ length: 20 }, async (_, i) => {
				const key = fresh();
				const receipt = await runtime.send(key, "hello");
				await pause(20 + i);
				const answer = await runtime.abort(key, { graceMs: 10_000 });
				const { outcome } = await receipt.settled;
				expect(["completed", "aborted"]).toContain(outcome);
				if (answer.result === "nothing") expect(outcome).toBe("completed");
				const { items } = await runtime.runs(key);
				expect(items).toMatchObject([{ outcome }]);
				expect(await runtime.get(key)).toMatchObject({
					status: "ended",
					lastOutcome: outcome,
					activeRun: null,
				});
			}),
		);
	});

	test("CH every overlap mode under a burst comes to rest, with each message run once or said to be removed", async () => {
		await Promise.all(
			(
				[
					"enqueue",
					"latest",
					"collect",
					"interrupt",
					"rollback",
					"steer",
				] as const
			).map(async (overlap) => {
				const key = fresh();
				const receipts = await Promise.all(
					Array.from({ length: 12 }, (_, i) =>
						runtime.send(key, `${i}`, { overlap }),
					),
				);
				const ends = await Promise.all(receipts.map(({ settled }) => settled));
				await runtime.whenIdle(key);
				expect(ends, overlap).toHaveLength(12);
				const said = executed(key).flatMap(({ messages }) =>
					messages.map(({ messageId }) => messageId),
				);
				expect(new Set(said).size, overlap).toBe(said.length);
				expect(await runtime.get(key), overlap).toMatchObject({
					activeRun: null,
					queued: 0,
					draining: 0,
				});
			}),
		);
	}, 60_000);
});
