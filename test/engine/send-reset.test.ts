/** A message that comes with a reset, a message that an abort names, and what a message expects for as long as it waits. */
import type { JsonValue, SendOptions } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

/** Sends messages that are known by their names, as id and as input, one after the other. */
async function sendAll({ runtime }: ScriptedHost, ...names: string[]) {
	const receipts = [];
	for (const name of names)
		receipts.push(await runtime.send("k", name, { messageId: name }));
	return receipts;
}

const line = async ({ runtime }: ScriptedHost) =>
	(await runtime.queue.list("k")).map(({ messageId }) => messageId);

async function runsOf({ scripted }: ScriptedHost, from = 0) {
	for (let i = 0; i < scripted.runs.length; i++) {
		scripted.runs[i]?.end();
		await turns();
	}
	return scripted.runs
		.slice(from)
		.map(
			({ run }) =>
				`${run.messages.map(({ input }) => input).join("+")} in ${run.ticket.generation}`,
		);
}

for (const [kind, makeStore] of storeKinds) {
	const start = (options?: Parameters<typeof startScripted>[1]) =>
		startScripted(makeStore(), options);

	describe(`send with a reset, on ${kind}`, () => {
		const sendNew = (
			{ runtime }: ScriptedHost,
			options: SendOptions<JsonValue> = {},
		) =>
			runtime.send("k", "new", { messageId: "new", reset: true, ...options });

		test("begins a new generation with this message first, in one commit", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store);
			await sendAll(host, "live", "a");
			const { commits } = store;
			const receipt = await sendNew(host, { meta: { topic: "new" } });
			expect(store.commits).toBe(commits + 1);
			expect(receipt).toMatchObject({
				disposition: "queued",
				ticket: null,
				row: {
					generation: 2,
					status: "resetting",
					draining: 1,
					queued: 2,
					meta: { topic: "new" },
				},
			});
			expect(host.scripted.last.run.signal.reason).toMatchObject({
				by: "reset",
			});
			expect(await runsOf(host, 1)).toEqual(["new in 2", "a in 2"]);
			expect(host.scripted.last.run.messages).toMatchObject([
				{ messageId: "a", generation: 1 },
			]);
			expect(await host.runtime.archive("k")).toMatchObject({
				items: [{ generation: 1, endedBy: "reset" }],
			});
		});

		test("starts at once where nothing runs", async () => {
			const host = await start();
			await sendAll(host, "a");
			host.scripted.last.end();
			await turns();
			expect(await sendNew(host)).toMatchObject({
				disposition: "started",
				ticket: { generation: 2 },
			});
		});

		test("opens a key that nobody has used, and one that was deleted", async () => {
			const host = await start();
			expect(await sendNew(host)).toMatchObject({
				disposition: "started",
				ticket: { generation: 1 },
			});
			host.scripted.last.end();
			await turns();
			await host.runtime.delete("k");
			expect(
				await host.runtime.send("k", "newer", { reset: true }),
			).toMatchObject({ disposition: "started", ticket: { generation: 2 } });
		});

		for (const fault of [["before", "before"], ["after"]] as const)
			test(`a commit that fails (${fault.join(", ")}) changes both or neither`, async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store);
				await sendAll(host, "live", "a");
				store.faults.push(...fault);
				const sent = await codeOf(sendNew(host));
				const holds = fault[0] === "after";
				if (!holds) expect(sent).toBe("STORE_FAILED");
				expect(await host.runtime.get("k")).toMatchObject({
					generation: holds ? 2 : 1,
					queued: holds ? 2 : 1,
				});
				expect(await line(host)).toEqual(holds ? ["new", "a"] : ["a"]);
				expect(await runsOf(host, 1)).toEqual(
					holds ? ["new in 2", "a in 2"] : ["a in 1"],
				);
				expect(await sendNew(host)).toMatchObject({
					disposition: holds ? "duplicate" : "started",
				});
			});

		test("expects of the session before it, and if that is another, changes nothing", async () => {
			const host = await start();
			const [live] = await sendAll(host, "live", "a");
			const before = await host.runtime.get("k");
			for (const stale of [
				{ generation: 2 },
				{ sessionId: "other" },
				{ runId: "other" },
				{ messageId: "a" },
				{ version: 1 },
			])
				expect(await codeOf(sendNew(host, { expect: stale }))).toBe(
					"STALE_EXPECTATION",
				);
			expect(await host.runtime.get("k")).toEqual(before);
			expect(host.scripted.last.run.signal.aborted).toBe(false);
			expect(
				await sendNew(host, {
					expect: {
						generation: 1,
						sessionId: live?.row.sessionId,
						runId: live?.ticket?.runId,
						messageId: "live",
						version: before?.version,
					},
				}),
			).toMatchObject({ disposition: "queued", row: { generation: 2 } });
			// It expected that of the session before: the next reset keeps it.
			host.runtime.reset("k").catch(() => {});
			await turns();
			expect(await line(host)).toEqual(["new", "a"]);
		});

		test("a repeated id resets nothing, waiting, running and settled", async () => {
			const host = await start();
			await sendAll(host, "live");
			const first = await sendNew(host);
			for (let i = 0; i < 3; i++) {
				expect(await sendNew(host)).toMatchObject({
					disposition: "duplicate",
					row: { generation: 2 },
				});
				host.scripted.runs[i]?.end();
				await turns();
			}
			expect(await first.settled).toMatchObject({ outcome: "completed" });
			expect(await codeOf(sendNew(host, { reset: false }))).toMatchObject({
				resolved: { disposition: "duplicate" },
			});
		});

		test("the same id twice in one tick resets once", async () => {
			const host = await start();
			await sendAll(host, "live");
			const sent = await Promise.all([sendNew(host), sendNew(host)]);
			expect(sent.map(({ disposition }) => disposition)).toEqual([
				"queued",
				"duplicate",
			]);
			expect(await host.runtime.get("k")).toMatchObject({ generation: 2 });
		});

		for (const overlap of ["reject", "latest", "steer", "interrupt"] as const)
			test(`under ${overlap} the message is accepted with its reset`, async () => {
				const host = await start();
				const [, other] = await sendAll(host, "live", "a");
				expect(await sendNew(host, { overlap })).toMatchObject({
					disposition: "queued",
					row: { generation: 2 },
				});
				expect(await runsOf(host, 1)).toEqual(
					overlap === "latest" ? ["new in 2"] : ["new in 2", "a in 2"],
				);
				expect(await other?.settled).toMatchObject({
					outcome: overlap === "latest" ? "removed" : "completed",
				});
			});

		test("overtakes messages that a schema takes its time over", async () => {
			const gate = Promise.withResolvers<void>();
			const host = await start({
				schemas: {
					input: {
						"~standard": {
							version: 1,
							vendor: "test",
							validate: async (value: unknown) => {
								if (value === "slow") await gate.promise;
								return { value: value as JsonValue };
							},
						},
					},
				},
			});
			const slow = host.runtime.send("k", "slow");
			expect(await sendNew(host)).toMatchObject({ disposition: "started" });
			expect(await now(slow)).toBe("pending");
			gate.resolve();
			expect(await slow).toMatchObject({ disposition: "queued" });
		});

		test("is refused while the runtime closes, and resets nothing", async () => {
			const host = await start();
			await sendAll(host, "live");
			const closing = host.runtime.close();
			expect(await codeOf(sendNew(host))).toBe("RUNTIME_CLOSED");
			expect(await host.runtime.get("k")).toMatchObject({ generation: 1 });
			host.scripted.last.end();
			await host.clock.advance(0);
			await closing;
		});

		test("waits for the host's own work on the generation that it ended", async () => {
			const work = Promise.withResolvers<void>();
			const host = await start({ onGenerationEnded: () => work.promise });
			await sendAll(host, "a");
			host.scripted.last.end();
			await turns();
			expect(await sendNew(host)).toMatchObject({
				disposition: "queued",
				row: { status: "resetting" },
			});
			work.resolve();
			await turns();
			expect(await runsOf(host, 1)).toEqual(["new in 2"]);
		});
	});

	describe(`an abort that names a message, on ${kind}`, () => {
		const abort = (host: ScriptedHost, expectation: object, more = {}) =>
			host.runtime.abort("k", { expect: expectation, ...more });

		test("takes one that waits out of line, and nothing else", async () => {
			const host = await start();
			const [, a] = await sendAll(host, "live", "a", "b");
			expect(await abort(host, { messageId: "a" })).toMatchObject({
				result: "done",
				row: { status: "running", queued: 1 },
				report: { ended: null, drained: [], abandoned: [], removed: ["a"] },
			});
			expect(await a?.settled).toEqual({ ticket: null, outcome: "removed" });
			expect(host.scripted.last.run.signal.aborted).toBe(false);
			expect(await runsOf(host, 1)).toEqual(["b in 1"]);
		});

		test("stops the run of one that runs, and keeps the line", async () => {
			const host = await start();
			await sendAll(host, "live", "a");
			const aborted = abort(host, { messageId: "live" });
			await turns();
			expect(host.scripted.last.run.signal.reason).toMatchObject({
				by: "abort",
			});
			expect(await runsOf(host, 1)).toEqual(["a in 1"]);
			expect(await aborted).toMatchObject({
				result: "done",
				report: { drained: [{ messageIds: ["live"] }], removed: [] },
			});
		});

		test("of one that has settled, was removed or is not known is stale", async () => {
			const host = await start();
			await sendAll(host, "first", "gone", "live");
			await host.runtime.queue.remove("k", "gone");
			host.scripted.last.end();
			await turns();
			const before = await host.runtime.get("k");
			for (const messageId of ["first", "gone", "nobody"])
				expect(await abort(host, { messageId })).toEqual({
					result: "stale",
					row: before,
					mismatch: "messageId",
				});
			expect(host.scripted.last.run.signal.aborted).toBe(false);
		});

		test("of one that steers: out of line until it is taken, then the run is stopped", async () => {
			const host = await start({ overlap: "steer" });
			const [, a] = await sendAll(host, "live", "a", "b");
			await abort(host, { messageId: "a" });
			expect(await a?.settled).toMatchObject({ outcome: "removed" });
			const { run } = host.scripted.last;
			expect(await run.steering[Symbol.asyncIterator]().next()).toMatchObject({
				value: { messageId: "b" },
			});
			const aborted = abort(host, { messageId: "b" });
			await turns();
			expect(run.signal.aborted).toBe(true);
			host.scripted.last.end();
			expect(await aborted).toMatchObject({
				report: { drained: [{ messageIds: ["live", "b"] }] },
			});
		});

		test("must meet all else that is expected", async () => {
			const host = await start();
			const [live] = await sendAll(host, "live", "a");
			const version = (await host.runtime.get("k"))?.version;
			for (const [more, mismatch] of [
				[{ generation: 2 }, "generation"],
				[{ sessionId: "other" }, "sessionId"],
				[{ runId: "other" }, "runId"],
			] as const)
				for (const messageId of ["live", "a"])
					expect(await abort(host, { messageId, ...more })).toMatchObject({
						result: "stale",
						mismatch,
					});
			expect(await line(host)).toEqual(["a"]);
			expect(
				await abort(host, {
					messageId: "a",
					generation: 1,
					sessionId: live?.row.sessionId,
					runId: live?.ticket?.runId,
					version,
				}),
			).toMatchObject({ result: "done", report: { removed: ["a"] } });
		});

		test("of one that waits while an older generation drains takes it out at once", async () => {
			const host = await start();
			await sendAll(host, "live", "a");
			host.runtime.reset("k").catch(() => {});
			await turns();
			expect(await now(abort(host, { messageId: "a" }))).toMatchObject({
				result: "done",
				report: { removed: ["a"] },
			});
			expect(await abort(host, { messageId: "live" })).toMatchObject({
				result: "stale",
			});
		});

		test("of one that a delete kept is done", async () => {
			const host = await start();
			await sendAll(host, "live", "a");
			const deleted = host.runtime.delete("k", { queued: "keep" });
			await turns();
			host.scripted.last.end();
			await deleted;
			expect(await abort(host, { messageId: "a" })).toMatchObject({
				result: "done",
				row: { sessionKey: "k", generation: 1 },
				report: { removed: ["a"] },
			});
			expect(await line(host)).toEqual([]);
		});

		test("of one that a quiet window holds, or that waits for a slot", async () => {
			const host = await start({
				overlap: { mode: "enqueue", debounceMs: 100 },
			});
			await sendAll(host, "a");
			expect(await abort(host, { messageId: "a" })).toMatchObject({
				result: "done",
			});
			await host.clock.advance(200);
			expect(host.scripted.runs).toEqual([]);
		});

		test("whose commit fails changes nothing", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store);
			await sendAll(host, "live", "a");
			store.faults.push("before", "before");
			expect(await codeOf(abort(host, { messageId: "a" }))).toBe(
				"STORE_FAILED",
			);
			expect(await runsOf(host, 1)).toEqual(["a in 1"]);
		});

		test("is served from what was stored, when the session had left memory", async () => {
			const host = await start({ passivateAfterMs: 1, maxResident: 1 });
			await sendAll(host, "a");
			host.scripted.last.end();
			await turns();
			await host.clock.advance(10);
			expect(host.runtime.stats().resident).toBe(0);
			expect(await abort(host, { messageId: "a" })).toMatchObject({
				result: "stale",
				mismatch: "messageId",
			});
		});
	});

	describe(`what a message expects while it waits, on ${kind}`, () => {
		const expectations: [what: string, of: (row: never) => object][] = [
			["generation", ({ generation }) => ({ generation })],
			["sessionId", ({ sessionId }) => ({ sessionId })],
		];
		for (const [what, of] of expectations) {
			test(`a reset removes one that expects the ${what} that ends, and says so`, async () => {
				const host = await start();
				const [live] = await sendAll(host, "live");
				const sent = await host.runtime.send("k", "a", {
					messageId: "a",
					expect: of(live?.row as never),
				});
				await sendAll(host, "b");
				const reset = host.runtime.reset("k");
				await turns();
				expect(await sent.settled).toEqual({
					ticket: null,
					outcome: "removed",
				});
				expect(host.feed).toContainEqual(
					expect.objectContaining({
						messageId: "a",
						fate: "removed",
						reason: "what it expected ended with generation 1",
					}),
				);
				expect(await runsOf(host, 1)).toEqual(["b in 2"]);
				expect(await reset).toMatchObject({ report: { removed: ["a"] } });
			});

			test(`a delete that keeps the line removes one that expects the ${what}`, async () => {
				const host = await start();
				const [live] = await sendAll(host, "live");
				const sent = await host.runtime.send("k", "a", {
					expect: of(live?.row as never),
				});
				await sendAll(host, "b");
				host.runtime.delete("k", { queued: "keep" }).catch(() => {});
				await turns();
				expect(await sent.settled).toMatchObject({ outcome: "removed" });
				expect(await line(host)).toEqual(["b"]);
			});
		}

		test("a reset that keeps the session id keeps one that expects it", async () => {
			const host = await start();
			const [live] = await sendAll(host, "live");
			const sessionId = live?.row.sessionId as string;
			await host.runtime.send("k", "a", {
				messageId: "a",
				expect: { sessionId },
			});
			host.runtime.reset("k", { sessionId }).catch(() => {});
			await turns();
			expect(await runsOf(host, 1)).toEqual(["a in 2"]);
		});

		test("what only held when it was sent is not asked again", async () => {
			const host = await start();
			const [live] = await sendAll(host, "live");
			await host.runtime.send("k", "a", {
				expect: {
					version: live?.row.version,
					runId: live?.ticket?.runId,
					messageId: "live",
				},
			});
			host.runtime.reset("k").catch(() => {});
			await turns();
			expect(await runsOf(host, 1)).toEqual(["a in 2"]);
		});

		test("a message that comes with a reset removes one that expects the generation before", async () => {
			const host = await start();
			await sendAll(host, "live");
			const sent = await host.runtime.send("k", "a", {
				expect: { generation: 1 },
			});
			await host.runtime.send("k", "new", { reset: true });
			expect(await sent.settled).toMatchObject({ outcome: "removed" });
			expect(await runsOf(host, 1)).toEqual(["new in 2"]);
		});
	});
}
