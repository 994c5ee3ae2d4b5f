/** Which message is next: modes that are mixed on one key, what stands before what, and what a run that is interrupted leaves. */
import type {
	Batch,
	JsonValue,
	Message,
	OverlapMode,
	SendOptions,
} from "turnkeeper";
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

type Sent = [name: string, how: OverlapMode | "reset" | SendOptions<JsonValue>];

/** Sends to one key, one after the other; each message is known by its name, as id and as input. */
async function sendAll({ runtime }: ScriptedHost, ...sent: Sent[]) {
	const receipts = [];
	for (const [name, how] of sent)
		receipts.push(
			await runtime.send("k", name, {
				messageId: name,
				...(how === "reset"
					? { reset: true }
					: typeof how === "string"
						? { overlap: how }
						: how),
			}),
		);
	return receipts;
}

/** Ends one run after the other; answers with the messages that each was given, from `from` on. */
async function runsOf({ scripted }: ScriptedHost, from = 0) {
	for (let i = 0; i < scripted.runs.length; i++) {
		scripted.runs[i]?.end();
		await turns();
	}
	return scripted.runs
		.slice(from)
		.map(({ run }) => run.messages.map(({ input }) => input).join("+"));
}

const line = async ({ runtime }: ScriptedHost) =>
	(await runtime.queue.list("k")).map(({ messageId }) => messageId);

for (const [kind, makeStore] of storeKinds)
	describe(`the order of messages, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		describe("with mixed modes", () => {
			test("a message to collect joins the last in line only if that is to be collected too", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["e1", "enqueue"],
					["c1", "collect"],
					["c2", "collect"],
					["e2", "enqueue"],
					["c3", "collect"],
				);
				expect(await runsOf(host, 1)).toEqual(["e1", "c1+c2", "e2", "c3"]);
			});

			test("latest removes all that waits, whatever its mode was", async () => {
				const host = await start();
				const [, ...older] = await sendAll(
					host,
					["live", "enqueue"],
					["e", "enqueue"],
					["c", "collect"],
					["s", "steer"],
					["l", "latest"],
				);
				const newest = older.pop();
				expect(await line(host)).toEqual(["l"]);
				for (const { settled } of older)
					expect(await settled).toEqual({ ticket: null, outcome: "removed" });
				expect(await runsOf(host, 1)).toEqual(["l"]);
				expect(
					host.scripted.last.run.skipped.map(({ input }) => input),
				).toEqual(["e", "c", "s"]);
				expect(await newest?.settled).toMatchObject({ outcome: "completed" });
			});

			test("latest removes a message that interrupted, and one that came with a reset", async () => {
				const host = await start();
				const [, ...older] = await sendAll(
					host,
					["live", "enqueue"],
					["i", "interrupt"],
					["r", "reset"],
					["l", "latest"],
				);
				older.pop();
				for (const { settled } of older)
					expect(await settled).toMatchObject({ outcome: "removed" });
				expect(await runsOf(host, 1)).toEqual(["l"]);
			});

			test("what is to be collected waits behind a message that only waits", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["c1", "collect"],
					["e", "enqueue"],
					["c2", "collect"],
				);
				expect(await runsOf(host, 1)).toEqual(["c1", "e", "c2"]);
			});

			test("reject is refused by anything that waits, and changes nothing of it", async () => {
				const host = await start({
					overlap: { mode: "enqueue", debounceMs: 100 },
				});
				await sendAll(host, ["e", "enqueue"]);
				const before = await host.runtime.get("k");
				expect(
					await codeOf(host.runtime.send("k", "r", { overlap: "reject" })),
				).toBe("SESSION_BUSY");
				expect(await host.runtime.get("k")).toEqual(before);
			});

			for (const mode of ["enqueue", "collect", "latest", "interrupt"] as const)
				test(`a message with ${mode} is ordinary for the steering of a run`, async () => {
					const host = await start();
					const [, other] = await sendAll(
						host,
						["live", "enqueue"],
						["m", mode],
						["s", "steer"],
					);
					expect(other?.disposition).toBe("queued");
					const steering =
						host.scripted.runs[0]?.run.steering[Symbol.asyncIterator]();
					if (mode === "interrupt")
						// It was told to stop before the message came.
						expect(await steering?.next()).toEqual({
							done: true,
							value: undefined,
						});
					else
						expect(await steering?.next()).toMatchObject({
							value: { input: "s" },
						});
				});
		});

		describe("what stands before what", () => {
			test("the newest that came with a reset, then the newest that interrupts, then all by arrival", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["e1", "enqueue"],
					["i1", "interrupt"],
					["r1", "reset"],
					["e2", "enqueue"],
					["i2", "rollback"],
					["e3", "enqueue"],
					["r2", "reset"],
				);
				const order = ["r2", "i2", "e1", "i1", "r1", "e2", "e3"];
				expect(await line(host)).toEqual(order);
				expect(await runsOf(host, 1)).toEqual(order);
			});

			test("of three that interrupt, the two older ones stand by arrival", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["e1", "enqueue"],
					["i1", "interrupt"],
					["e2", "enqueue"],
					["i2", "rollback"],
					["e3", "enqueue"],
					["i3", "interrupt"],
				);
				expect(await line(host)).toEqual(["i3", "e1", "i1", "e2", "i2", "e3"]);
			});

			test("nothing is overtaken by a message that is collected with one before it", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["c1", "collect"],
					["i1", "interrupt"],
					["c2", "collect"],
					["i2", "interrupt"],
				);
				expect(await line(host)).toEqual(["i2", "c1", "i1", "c2"]);
				expect(await runsOf(host, 1)).toEqual(["i2", "c1", "i1", "c2"]);
			});

			test("a message that comes with a reset takes no other to the front", async () => {
				const host = await start({ overlap: "collect" });
				await sendAll(
					host,
					["live", "collect"],
					["e", "enqueue"],
					["c", "collect"],
					["r", { reset: true }],
				);
				expect(await runsOf(host, 1)).toEqual(["r", "e", "c"]);
			});

			test("what steers and is not taken keeps its place among the others", async () => {
				const host = await start();
				await sendAll(
					host,
					["live", "enqueue"],
					["e1", "enqueue"],
					["s1", "steer"],
					["e2", "enqueue"],
					["s2", "steer"],
				);
				expect(await runsOf(host, 1)).toEqual(["e1", "s1", "e2", "s2"]);
			});

			test("during any drain reject is refused, and the rest wait", async () => {
				const host = await start();
				await sendAll(host, ["live", "enqueue"]);
				const reset = host.runtime.reset("k");
				await host.runtime.until("k", (row) => row?.status === "resetting");
				for (const mode of ["enqueue", "collect", "steer", "latest"] as const)
					expect(
						await host.runtime.send("k", mode, { overlap: mode }),
					).toMatchObject({ disposition: "queued" });
				const refused = host.runtime.send("k", "x", { overlap: "reject" });
				expect(await codeOf(refused)).toBe("SESSION_BUSY");
				host.scripted.last.end();
				await reset;
			});
		});

		describe("a run that is interrupted", () => {
			for (const mode of ["interrupt", "rollback"] as const) {
				test(`${mode} leaves all others in line (RQ-11)`, async () => {
					const host = await start();
					const [, ...waiting] = await sendAll(
						host,
						["live", "enqueue"],
						["e1", "enqueue"],
						["e2", "enqueue"],
						["i", mode],
					);
					expect(await runsOf(host, 1)).toEqual(["i", "e1", "e2"]);
					for (const { settled } of waiting)
						expect(await settled).toMatchObject({ outcome: "completed" });
				});

				test(`${mode} stops the live run, and says by what`, async () => {
					const host = await start();
					const [{ settled } = { settled: null }] = await sendAll(
						host,
						["live", "enqueue"],
						["i", mode],
					);
					const { run } = host.scripted.runs[0] ?? {};
					expect(run?.signal.reason).toMatchObject({
						code: "RUN_ABORTED",
						by: "interrupt",
					});
					expect(await host.runtime.get("k")).toMatchObject({
						status: "running",
						hasActiveRun: true,
						activeRun: run?.ticket,
						queued: 1,
					});
					await runsOf(host);
					expect(await settled).toMatchObject({ outcome: "aborted" });
					const { items } = await host.runtime.runs("k");
					expect(items.at(-1)).toMatchObject({
						outcome: "aborted",
						stoppedBy: "interrupt",
					});
				});

				test(`${mode} of a run that was told to stop before joins, and only shortens its grace period`, async () => {
					const host = await start({ graceMs: 1000 });
					await sendAll(host, ["live", "enqueue"], ["e", "enqueue"]);
					const aborted = host.runtime.abort("k", { graceMs: 300 });
					await turns();
					await sendAll(host, ["i", mode]);
					await host.clock.advance(299);
					expect(await now(aborted)).toBe("pending");
					await host.clock.advance(1);
					expect(await aborted).toMatchObject({
						result: "done",
						report: {
							abandoned: [{ stoppedBy: "abort", outcome: "abandoned" }],
						},
					});
					expect(await runsOf(host, 1)).toEqual(["i", "e"]);
				});

				test(`${mode} ends a run that waits for an answer`, async () => {
					const seen: unknown[] = [];
					const host = await start({
						execute: async (run) => {
							const name = run.messages[0]?.input;
							seen.push(name);
							if (name === "live")
								await run
									.waitFor("ok?")
									.catch((error) => seen.push(error.code));
						},
					});
					await sendAll(host, ["live", "enqueue"], ["e", "enqueue"]);
					await host.runtime.until("k", (row) => row?.status === "waiting");
					const [interrupted] = await sendAll(host, ["i", mode]);
					expect(interrupted?.row).toMatchObject({
						status: "running",
						waits: [],
					});
					await host.runtime.whenIdle("k");
					expect(seen).toEqual(["live", "RUN_ABORTED", "i", "e"]);
				});

				test(`${mode} while an older generation drains stops nothing more and stands first`, async () => {
					const host = await start({ graceMs: 500 });
					await sendAll(host, ["live", "enqueue"], ["e", "enqueue"]);
					const reset = host.runtime.reset("k");
					await turns();
					const [interrupted] = await sendAll(host, ["i", mode]);
					expect(interrupted).toMatchObject({
						disposition: "queued",
						row: { status: "resetting", draining: 1, queued: 2 },
					});
					await host.clock.advance(500);
					expect(await reset).toMatchObject({
						report: { abandoned: [{ stoppedBy: "reset" }] },
					});
					expect(await runsOf(host, 1)).toEqual(["i", "e"]);
				});

				test(`${mode} of a run that ignores its signal abandons it after the grace period`, async () => {
					const host = await start({ graceMs: 200 });
					const [first] = await sendAll(host, ["live", "enqueue"], ["i", mode]);
					await host.clock.advance(199);
					expect(host.scripted.runs).toHaveLength(1);
					await host.clock.advance(1);
					expect(host.scripted.runs).toHaveLength(2);
					expect(await first?.settled).toMatchObject({ outcome: "abandoned" });
				});

				test(`${mode} stops a run that its host drives`, async () => {
					const host = await start();
					const run = await host.runtime.admit("k");
					await run.start();
					const [sent] = await sendAll(host, ["i", mode]);
					expect(sent?.disposition).toBe("queued");
					expect(run.signal.reason).toMatchObject({ by: "interrupt" });
					expect(await run.end()).toMatchObject({ verdict: "applied" });
					expect(await runsOf(host)).toEqual(["i"]);
				});

				test(`${mode} that is refused stops nothing`, async () => {
					const host = await start({
						overlap: { mode: "enqueue", capacity: 1 },
					});
					await sendAll(host, ["live", "enqueue"], ["e", "enqueue"]);
					const before = await host.runtime.get("k");
					expect(await codeOf(sendAll(host, ["i", mode]))).toBe("MAILBOX_FULL");
					expect(
						await codeOf(
							sendAll(host, ["j", { overlap: mode, expect: { version: 1 } }]),
						),
					).toBe("STALE_EXPECTATION");
					expect(host.scripted.last.run.signal.aborted).toBe(false);
					expect(await host.runtime.get("k")).toEqual(before);
				});

				test(`${mode} whose commit fails is refused, and stays out of line`, async () => {
					const store = new FaultyStore(makeStore());
					const host = await startScripted(store);
					await sendAll(host, ["live", "enqueue"], ["e", "enqueue"]);
					await host.scripted.last.run.append("said");
					store.faults.push("before", "before");
					expect(await codeOf(sendAll(host, ["i", mode]))).toBe("STORE_FAILED");
					// A signal that was fired stays fired (decision 4); nothing else of it holds.
					expect(host.scripted.last.run.signal.reason).toMatchObject({
						by: "interrupt",
					});
					expect(await line(host)).toEqual(["e"]);
					expect(await runsOf(host, 1)).toEqual(["e"]);
					const { items } = await host.runtime.transcript("k");
					expect(items.map(({ entry }) => entry)).toEqual(["said"]);
					// The id was never used.
					const [again] = await sendAll(host, ["i", mode]);
					expect(again?.disposition).toBe("started");
				});

				test(`${mode} whose commit held although the store said that it failed is accepted`, async () => {
					const store = new FaultyStore(makeStore());
					const host = await startScripted(store);
					await sendAll(host, ["live", "enqueue"]);
					store.faults.push("after");
					const [sent] = await sendAll(host, ["i", mode]);
					expect(sent?.disposition).toBe("queued");
					expect(await runsOf(host, 1)).toEqual(["i"]);
				});
			}
		});

		describe("rollback", () => {
			const entries = async ({ runtime }: ScriptedHost) =>
				(await runtime.transcript("k")).items
					.map(({ seq, entry }) => `${seq} ${entry}`)
					.reverse();

			test("hides what the stopped run appended, before its stop and after it, and nothing else", async () => {
				const store = new FaultyStore(makeStore());
				const batches: Batch[] = [];
				const host = await startScripted(store);
				await sendAll(host, ["first", "enqueue"]);
				await host.scripted.last.run.append("kept");
				host.scripted.last.end();
				await turns();
				await sendAll(host, ["live", "enqueue"]);
				const { run } = host.scripted.last;
				await run.append("before");
				run.usage({ inputTokens: 3, outputTokens: 4 });
				store.beforeCommit = (batch) => {
					batches.push(batch);
				};
				await sendAll(host, ["i", "rollback"]);
				expect(await entries(host)).toEqual(["1 kept"]);
				await run.append("after");
				expect(await entries(host)).toEqual(["1 kept"]);
				expect(await run.transcript()).toMatchObject([{ entry: "kept" }]);
				host.scripted.last.end();
				await turns();
				await host.scripted.last.run.append("next");
				// Hidden, not erased: no number comes twice, and what was said after the stop is kept.
				expect(await entries(host)).toEqual(["1 kept", "4 next"]);
				expect(
					batches
						.flatMap(({ sessions }) => sessions)
						.flatMap((write) => write.entries)
						.map(({ entry, hidden }) => ({ entry, hidden })),
				).toEqual([
					{ entry: "after", hidden: true },
					{ entry: "next", hidden: false },
				]);
				// What it has used stays used.
				expect(await host.runtime.get("k")).toMatchObject({
					inputTokens: 3,
					outputTokens: 4,
				});
			});

			test("of a run that was interrupted or aborted before takes back what it said all the same", async () => {
				for (const stop of ["interrupt", "abort"] as const) {
					const host = await start();
					await sendAll(host, ["live", "enqueue"]);
					const { run } = host.scripted.last;
					await run.append("before");
					if (stop === "abort") void host.runtime.abort("k");
					else await sendAll(host, ["i", "interrupt"]);
					await run.append("between");
					expect(await entries(host)).toEqual(["1 before", "2 between"]);
					await sendAll(host, ["r", "rollback"]);
					await run.append("after");
					expect(await entries(host)).toEqual([]);
					host.scripted.last.end();
					await turns();
					await host.scripted.last.run.append("next");
					expect(await entries(host)).toEqual(["4 next"]);
				}
			});

			test("an interrupt takes nothing back", async () => {
				const host = await start();
				await sendAll(host, ["live", "enqueue"]);
				const { run } = host.scripted.last;
				await run.append("before");
				await sendAll(host, ["i", "interrupt"]);
				await run.append("after");
				expect(await entries(host)).toEqual(["1 before", "2 after"]);
			});

			test("an interrupt after a rollback gives nothing back", async () => {
				const host = await start();
				await sendAll(host, ["live", "enqueue"]);
				const { run } = host.scripted.last;
				await run.append("before");
				await sendAll(host, ["r", "rollback"], ["i", "interrupt"]);
				await run.append("after");
				expect(await entries(host)).toEqual([]);
			});

			test("without a run to stop takes nothing back", async () => {
				const host = await start();
				await sendAll(host, ["live", "enqueue"]);
				await host.scripted.last.run.append("said");
				host.scripted.last.end();
				await turns();
				const [sent] = await sendAll(host, ["r", "rollback"]);
				expect(sent?.disposition).toBe("started");
				expect(await entries(host)).toEqual(["1 said"]);
			});
		});

		describe("steering", () => {
			/** An executor that takes all that steers its first run, and is told when to return. */
			const steered = async (options: { store?: FaultyStore } = {}) => {
				const taken: Message<JsonValue>[] = [];
				let isOver = false;
				const host = await startScripted(options.store ?? makeStore(), {});
				const [first] = await sendAll(host, ["live", "enqueue"]);
				const { run } = host.scripted.last;
				const reading = (async () => {
					for await (const message of run.steering) taken.push(message);
					isOver = true;
				})();
				return {
					host,
					first,
					taken: () => taken.map(({ input }) => input),
					isOver: () => isOver,
					reading,
				};
			};

			test("hands messages to the live run in order, each taken before it is seen", async () => {
				const { host, first, taken } = await steered();
				const sent = await sendAll(
					host,
					["e", "enqueue"],
					["s1", "steer"],
					["s2", "steer"],
				);
				expect(sent.map(({ disposition }) => disposition)).toEqual([
					"queued",
					"steered",
					"steered",
				]);
				await turns();
				expect(taken()).toEqual(["s1", "s2"]);
				expect(await line(host)).toEqual(["e"]);
				expect(await runsOf(host, 1)).toEqual(["e"]);
				const { items } = await host.runtime.runs("k");
				expect(items.at(-1)?.messageIds).toEqual(["live", "s1", "s2"]);
				for (const { settled } of sent.slice(1))
					expect(await settled).toMatchObject({
						ticket: first?.ticket,
						outcome: "completed",
					});
			});

			test("reaches a run that waits for an answer", async () => {
				const { host, taken } = await steered();
				void host.scripted.last.run.waitFor("ok?").catch(() => {});
				await host.runtime.until("k", (row) => row?.status === "waiting");
				const [sent] = await sendAll(host, ["s", "steer"]);
				await turns();
				expect(sent?.disposition).toBe("steered");
				expect(taken()).toEqual(["s"]);
			});

			for (const how of ["abort", "reset", "interrupt"] as const)
				test(`ends when the run is told to stop by ${how}`, async () => {
					const { host, taken, isOver, reading } = await steered();
					if (how === "interrupt") await sendAll(host, ["i", "interrupt"]);
					else void host.runtime[how]("k");
					await turns();
					const [late] = await sendAll(host, ["s", "steer"]);
					await reading;
					expect(isOver()).toBe(true);
					expect(taken()).toEqual([]);
					expect(late?.disposition).toBe("queued");
					const next = await runsOf(host, 1);
					expect(next).toEqual(how === "interrupt" ? ["i", "s"] : ["s"]);
				});

			test("a message whose taking could not be committed is given to a run once", async () => {
				const store = new FaultyStore(makeStore());
				const { host, taken } = await steered({ store });
				const { promise, resolve } = Promise.withResolvers<void>();
				store.beforeCommit = (batch) => {
					const takes = batch.sessions.some(({ messages }) =>
						messages.some(({ fate }) => fate === "taken"),
					);
					if (!takes) return;
					store.beforeCommit = null;
					store.faults.push("before", "before");
					resolve();
				};
				const [sent] = await sendAll(host, ["s", "steer"]);
				await promise;
				await turns();
				await host.clock.advance(10_000);
				expect(taken()).toEqual(["s"]);
				expect(await runsOf(host, 1)).toEqual([]);
				expect(await sent?.settled).toMatchObject({ outcome: "completed" });
			});

			/** Takes a message for a run whose executor has returned by the time that this is committed; `meanwhile` comes before its end. */
			const untaken = async (meanwhile: (host: ScriptedHost) => unknown) => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store);
				await sendAll(host, ["live", "enqueue"], ["e1", "enqueue"]);
				const [sent] = await sendAll(host, ["s", "steer"]);
				await sendAll(host, ["e2", "enqueue"]);
				const { run, end: finish } = host.scripted.last;
				const taking = Promise.withResolvers<void>();
				const held = Promise.withResolvers<void>();
				const disposed = Promise.withResolvers<void>();
				run.scope.defer(() => disposed.promise);
				store.beforeCommit = () => {
					taking.resolve();
					return held.promise;
				};
				const pulled = run.steering[Symbol.asyncIterator]().next();
				await taking.promise;
				store.beforeCommit = null;
				finish();
				await turns();
				held.resolve();
				expect(await pulled).toEqual({ done: true, value: undefined });
				meanwhile(host);
				await turns();
				disposed.resolve();
				await turns();
				return { host, sent };
			};

			test("what was taken for a run that ended before it looked returns to its own place", async () => {
				const { host, sent } = await untaken(() => {});
				expect(await runsOf(host, 1)).toEqual(["e1", "s", "e2"]);
				expect(await sent?.settled).toMatchObject({ outcome: "completed" });
				const { items } = await host.runtime.runs("k");
				expect(items.map(({ messageIds }) => messageIds)).toEqual([
					["e2"],
					["s"],
					["e1"],
					["live"],
				]);
			});

			for (const how of ["abort", "interrupt"] as const)
				test(`what was taken for a run that was told to stop by ${how} before it looked returns too`, async () => {
					const { host, sent } = await untaken((host) =>
						how === "abort"
							? host.runtime.abort("k")
							: sendAll(host, ["i", "interrupt"]),
					);
					expect(await runsOf(host, 1)).toEqual([
						...(how === "interrupt" ? ["i"] : []),
						"e1",
						"s",
						"e2",
					]);
					expect(await sent?.settled).toMatchObject({ outcome: "completed" });
				});

			for (const how of ["reset", "delete"] as const)
				test(`what was taken for a run that a ${how} stopped before it looked ends with that run`, async () => {
					const { host, sent } = await untaken(({ runtime }) =>
						runtime[how]("k"),
					);
					expect(await runsOf(host, 1)).toEqual(
						how === "reset" ? ["e1", "e2"] : [],
					);
					expect(await now(sent?.settled as Promise<unknown>)).toMatchObject({
						ticket: { generation: 1 },
						outcome: "aborted",
					});
					const { items } = await host.runtime.runs("k", { generation: 1 });
					expect(items).toMatchObject([{ messageIds: ["live", "s"] }]);
				});
		});
	});
