/** `maxConcurrentRuns`: how many managed runs execute at once over all sessions, and who is next. */
import { DatabaseSync } from "node:sqlite";
import type {
	JsonValue,
	ManagedRun,
	OpenStore,
	RuntimeOptions,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { Scripted, startHost } from "../support/host.ts";
import { isReplayed } from "../support/replaying.ts";
import { restart } from "../support/restart.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

/** What was executed so far, a message id each, in order. */
function order({ scripted }: Pick<ScriptedHost, "scripted">): unknown[] {
	return scripted.runs.map(({ run }) => run.messages[0]?.messageId);
}

function endOf({ scripted }: Pick<ScriptedHost, "scripted">, id: string) {
	const found = scripted.runs.findLast(
		({ run }) => run.messages[0]?.messageId === id,
	);
	if (!found) throw new Error(`${id} was not executed yet`);
	return found;
}

/** Lets the run of this message end, and all that follows from it. */
async function finish(
	host: Pick<ScriptedHost, "scripted">,
	id: string,
): Promise<void> {
	endOf(host, id).end();
	await turns();
}

/** Sends a message that is named after its session: `a1` goes to `a`. */
async function send(host: ScriptedHost, ...ids: string[]) {
	const receipts = [];
	for (const id of ids)
		receipts.push(
			await host.runtime.send(id[0] as string, id, { messageId: id }),
		);
	await turns();
	return receipts;
}

for (const [kind, makeStore] of storeKinds)
	describe(`maxConcurrentRuns, on ${kind}`, () => {
		const start = (most: number, options: Options = {}) =>
			startScripted(makeStore(), { maxConcurrentRuns: most, ...options });

		describe("the cap", () => {
			test("is never exceeded, and what has no slot stays queued until it has one", async () => {
				const host = await start(2);
				const receipts = await send(host, "a1", "b1", "c1", "d1");
				expect(receipts.map(({ disposition }) => disposition)).toEqual([
					"started",
					"started",
					"queued",
					"queued",
				]);
				expect(receipts[2]?.ticket).toBeNull();
				expect(order(host)).toEqual(["a1", "b1"]);
				expect(await host.runtime.get("c")).toMatchObject({
					status: "idle",
					hasActiveRun: false,
					queued: 1,
				});
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1", "c1"]);
				expect(await host.runtime.get("d")).toMatchObject({ queued: 1 });
				await finish(host, "b1");
				expect(order(host)).toEqual(["a1", "b1", "c1", "d1"]);
				for (const id of ["c1", "d1"]) await finish(host, id);
				expect(
					await Promise.all(
						receipts.map(async ({ settled }) => (await settled).outcome),
					),
				).toEqual(["completed", "completed", "completed", "completed"]);
			});

			test("holds for messages of one tick, whatever the order of their commits", async () => {
				let executing = 0;
				let most = 0;
				const host = await startHost(makeStore(), {
					maxConcurrentRuns: 3,
					execute: async () => {
						executing += 1;
						most = Math.max(most, executing);
						await turns(1);
						executing -= 1;
					},
				});
				const receipts = await Promise.all(
					Array.from({ length: 40 }, (_, i) =>
						host.runtime.send(`s${i % 13}`, i),
					),
				);
				const ends = await Promise.all(receipts.map(({ settled }) => settled));
				expect(ends.every(({ outcome }) => outcome === "completed")).toBe(true);
				expect(most).toBe(3);
				expect(executing).toBe(0);
			});

			test("holds while resets, aborts, deletes and failed commits come between", async () => {
				let executing = 0;
				let most = 0;
				const store = new FaultyStore(makeStore());
				const host = await startHost(store, {
					maxConcurrentRuns: 2,
					graceMs: 50,
					execute: async (run) => {
						executing += 1;
						most = Math.max(most, executing);
						for (let i = 0; i < 6 && !run.signal.aborted; i++) await turns(1);
						executing -= 1;
					},
				});
				const { runtime, clock } = host;
				const keys = ["a", "b", "c", "d", "e"];
				for (let round = 0; round < 60; round++) {
					const key = keys[(round * 7) % 5] as string;
					const sent = runtime.send(key, round, {
						messageId: `m${round}`,
						...(round % 11 === 3 ? { reset: true } : {}),
					});
					if (round % 3 === 0) store.faults.push(null, "before", "before");
					if (round % 5 === 0) store.faults.push("after");
					const others = [
						round % 4 === 0 ? runtime.reset(key) : null,
						round % 7 === 0 ? runtime.abort(key, { queued: "drop" }) : null,
						round % 13 === 0 ? runtime.delete(key) : null,
					];
					for (const one of [sent, ...others]) one?.catch(() => {});
					await turns(2);
					if (round % 6 === 0) await clock.advance(200);
				}
				store.faults.length = 0;
				await clock.advance(20_000);
				expect(most).toBe(2);
				expect(executing).toBe(0);
				expect(await now(runtime.whenIdle())).toBeUndefined();
				// No slot was lost on the way.
				const last = await Promise.all(
					keys.map((key) => runtime.send(key, "last", { messageId: "last" })),
				);
				await turns(100);
				expect(
					await now(Promise.all(last.map(({ settled }) => settled))),
				).toMatchObject(keys.map(() => ({ outcome: "completed" })));
				expect(most).toBe(2);
			});

			// The store cannot be read, and another session is served from memory.
			test.skipIf(isReplayed)(
				"holds when a start was committed although its commit is in doubt",
				async () => {
					const store = new FaultyStore(makeStore());
					const host = await startScripted(store, { maxConcurrentRuns: 1 });
					const { runtime, clock, scripted } = host;
					await runtime.reset("b");
					// From that commit on the store cannot be asked what it holds.
					let isBlind = false;
					store.beforeCommit = () => {
						isBlind ||= store.faults.length > 0;
					};
					const opened = store.opened as OpenStore;
					for (const name of ["version", "load"] as const) {
						const ask = opened[name].bind(opened);
						opened[name] = async (key: string) => {
							if (isBlind) throw new Error("connection lost");
							return ask(key) as never;
						};
					}
					store.faults.push("after");
					expect(
						await codeOf(runtime.send("a", "a1", { messageId: "a1" })),
					).toBe("STORE_FAILED");
					const b = await runtime.send("b", "b1", { messageId: "b1" });
					expect(b.disposition).toBe("queued");
					store.beforeCommit = null;
					isBlind = false;
					await clock.advance(10_000);
					expect(order(host)).toEqual(["a1"]);
					await finish(host, "a1");
					expect(order(host)).toEqual(["a1", "b1"]);
					expect(scripted.runs.length).toBe(2);
				},
			);

			test("gives a slot back whose start was in doubt and does not hold", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { maxConcurrentRuns: 1 });
				await host.runtime.reset("a");
				const opened = store.opened as OpenStore;
				const version = opened.version.bind(opened);
				let isBlind = true;
				opened.version = async (key) => {
					if (isBlind) throw new Error("connection lost");
					return version(key);
				};
				store.faults.push("before");
				expect(await codeOf(host.runtime.send("a", "a1"))).toBe("STORE_FAILED");
				isBlind = false;
				await host.clock.advance(1000);
				await send(host, "b1");
				expect(order(host)).toEqual(["b1"]);
			});

			test("gives a slot back whose start was not stored", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { maxConcurrentRuns: 1 });
				store.faults.push("before", "before");
				await expect(host.runtime.send("a", "a1")).rejects.toMatchObject({
					code: "STORE_FAILED",
				});
				await send(host, "b1");
				expect(order(host)).toEqual(["b1"]);
			});

			test("a start whose commit fails is tried again, and its session gets its turn", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { maxConcurrentRuns: 1 });
				await send(host, "a1", "b1", "c1");
				store.poisoned = "b";
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "c1"]);
				store.poisoned = null;
				await host.clock.advance(1000);
				expect(order(host)).toEqual(["a1", "c1"]);
				await finish(host, "c1");
				await host.clock.advance(1000);
				expect(order(host)).toEqual(["a1", "c1", "b1"]);
			});

			const ends: Record<string, (host: ScriptedHost) => Promise<unknown>> = {
				"that fails": async ({ scripted }) => scripted.last.fail("no"),
				"that was aborted": async ({ runtime, scripted }) => {
					void runtime.abort("a");
					await turns();
					scripted.last.end();
				},
				"that was reset": async ({ runtime, scripted }) => {
					void runtime.reset("a");
					await turns();
					scripted.last.end();
				},
				"whose session was deleted": async ({ runtime, scripted }) => {
					void runtime.delete("a");
					await turns();
					scripted.last.end();
				},
				"that was abandoned": async ({ runtime, clock }) => {
					const aborted = runtime.abort("a", { graceMs: 100 });
					await clock.advance(100);
					await aborted;
				},
				"that a message took the place of": async ({ runtime, clock }) => {
					await runtime.send("a", "a2", {
						messageId: "a2",
						overlap: "interrupt",
					});
					await clock.advance(5000);
				},
			};
			for (const [name, end] of Object.entries(ends))
				test(`a run ${name} gives its slot back, once`, async () => {
					const host = await start(1);
					await send(host, "a1", "b1", "c1");
					await end(host);
					await turns();
					expect(order(host)).toEqual(["a1", "b1"]);
					await finish(host, "b1");
					expect(order(host)).toEqual(["a1", "b1", "c1"]);
				});

			test("a run that drains holds its slot until it has settled", async () => {
				const host = await start(1);
				await send(host, "a1", "b1");
				const reset = host.runtime.reset("a");
				await turns();
				expect(order(host)).toEqual(["a1"]);
				await finish(host, "a1");
				await reset;
				expect(order(host)).toEqual(["a1", "b1"]);
			});

			test("does not count runs that the host drives", async () => {
				const host = await start(1);
				await host.runtime.admit("x", { runId: "R" });
				await host.runtime.admit("y", { runId: "Q" });
				await send(host, "a1", "b1");
				expect(order(host)).toEqual(["a1"]);
				expect((await host.runtime.admit("z")).ticket.attempt).toBe(1);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1"]);
			});

			test("a run that was abandoned does not count, however long it goes on", async () => {
				const host = await start(1);
				await send(host, "a1");
				void host.runtime.abort("a", { graceMs: 10 });
				await host.clock.advance(10);
				await send(host, "b1");
				expect(order(host)).toEqual(["a1", "b1"]);
				// Its late return gives nothing back that is not its own.
				await finish(host, "a1");
				await send(host, "c1");
				expect(order(host)).toEqual(["a1", "b1"]);
			});
		});

		describe("who is next", () => {
			test("the session that has waited longest", async () => {
				const host = await start(1);
				await send(host, "a1", "d1", "b1", "c1");
				for (const id of ["a1", "d1", "b1", "c1"]) await finish(host, id);
				expect(order(host)).toEqual(["a1", "d1", "b1", "c1"]);
			});

			test("a session with several messages does not starve the others", async () => {
				const host = await start(1);
				await send(host, "a1", "a2", "a3", "b1", "c1");
				for (let i = 0; i < 5; i++)
					await finish(host, order(host).at(-1) as string);
				expect(order(host)).toEqual(["a1", "b1", "c1", "a2", "a3"]);
			});

			test("after a restart, the session whose message arrived first, and no more than there are slots", async () => {
				const host = await start(1);
				for (const id of ["z1", "d1", "b1", "c1", "a1"]) {
					await send(host, id);
					await host.clock.advance(10);
				}
				const next = await restartScripted(host, 2);
				await turns();
				expect(order(next)).toEqual(["d1", "b1"]);
				await finish(next, "b1");
				expect(order(next)).toEqual(["d1", "b1", "c1"]);
				await finish(next, "d1");
				await finish(next, "c1");
				expect(order(next)).toEqual(["d1", "b1", "c1", "a1"]);
			});

			test("not a session that was reset while it waited, if its queue was dropped", async () => {
				const host = await start(1);
				await send(host, "a1", "b1", "c1");
				await host.runtime.reset("b", { queued: "drop" });
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "c1"]);
				await finish(host, "c1");
				await send(host, "b2");
				expect(order(host)).toEqual(["a1", "c1", "b2"]);
			});

			test("a session that was reset while it waited goes on in its new generation, at its place", async () => {
				const host = await start(1);
				await send(host, "a1", "b1", "c1");
				await host.runtime.reset("b");
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1"]);
				expect(host.scripted.last.run.ticket.generation).toBe(2);
			});

			test("not a session that was deleted while it waited", async () => {
				const host = await start(1);
				const [, b1] = await send(host, "a1", "b1", "c1");
				await host.runtime.delete("b");
				expect((await b1?.settled)?.outcome).toBe("removed");
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "c1"]);
			});

			test("not a message that was taken back while it waited", async () => {
				const host = await start(1);
				const [, b1] = await send(host, "a1", "b1", "c1");
				await host.runtime.abort("b", { expect: { messageId: "b1" } });
				expect((await b1?.settled)?.outcome).toBe("removed");
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "c1"]);
			});

			for (const command of ["reset", "delete", "abort"] as const)
				test(`a session that is told to ${command} while it holds an offer keeps no slot`, async () => {
					const host = await start(1);
					await send(host, "a1", "b1", "c1");
					endOf(host, "a1").end();
					// Wherever the offer stands by then.
					for (let i = 0; i < 3; i++)
						await host.runtime[command]("b", {
							queued: "drop",
							graceMs: 0,
						}).catch(() => {});
					await host.clock.advance(10);
					if (order(host).at(-1) === "b1") await finish(host, "b1");
					expect(order(host).at(-1)).toBe("c1");
					await finish(host, "c1");
					await send(host, "d1");
					expect(order(host).at(-1)).toBe("d1");
				});

			test("a session that a host-driven run took meanwhile gives its turn to the next", async () => {
				const host = await start(1);
				await send(host, "a1", "b1", "c1");
				const run = await host.runtime.admit("b");
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "c1"]);
				await run.end();
				await turns();
				expect(order(host)).toEqual(["a1", "c1"]);
				await finish(host, "c1");
				expect(order(host)).toEqual(["a1", "c1", "b1"]);
			});

			test("a quiet window that ends while there is no slot waits for one", async () => {
				const host = await start(1, {
					overlap: { mode: "collect", debounceMs: 100 },
				});
				await send(host, "a1");
				await host.clock.advance(100);
				await send(host, "b1");
				await host.clock.advance(50);
				await send(host, "b2");
				await host.clock.advance(500);
				expect(order(host)).toEqual(["a1"]);
				await finish(host, "a1");
				expect(
					host.scripted.last.run.messages.map(({ messageId }) => messageId),
				).toEqual(["b1", "b2"]);
			});

			test("a session that expires while it waits begins anew once, at its turn", async () => {
				const host = await start(1, { expiry: { idleMs: 1000 } });
				await send(host, "a1", "b1");
				await host.clock.advance(5000);
				expect(await host.runtime.get("b")).toMatchObject({ generation: 1 });
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1"]);
				expect(host.scripted.last.run.ticket.generation).toBe(2);
				expect(await host.runtime.get("b")).toMatchObject({
					generation: 2,
					status: "running",
				});
			});
		});

		describe("runs that wait", () => {
			/** A run of `a` waits for an answer; another session has its slot. */
			async function waiting(options: Options = {}, timeoutMs?: number) {
				const host = await start(1, options);
				await send(host, "a1");
				const { run } = endOf(host, "a1");
				const answer = run.waitFor(
					"ok",
					timeoutMs === undefined ? {} : { timeoutMs },
				);
				await turns();
				await send(host, "b1", "c1");
				expect(order(host)).toEqual(["a1", "b1"]);
				return { host, run, answer };
			}

			test("give their slot back, and come back before all others", async () => {
				const { host, run, answer } = await waiting();
				await host.runtime.resume(run.ticket, "ok", "yes");
				expect(await host.runtime.get("a")).toMatchObject({
					status: "running",
				});
				expect(await now(answer)).toBe("pending");
				await finish(host, "b1");
				expect(await now(answer)).toBe("yes");
				expect(order(host)).toEqual(["a1", "b1"]);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1", "c1"]);
			});

			test("come back in the order of their answers", async () => {
				const host = await start(2);
				await send(host, "a1", "b1");
				const answers = ["a1", "b1"].map((id) =>
					endOf(host, id).run.waitFor("ok"),
				);
				await turns();
				await send(host, "c1", "d1");
				for (const id of ["b1", "a1"])
					await host.runtime.resume(endOf(host, id).run.ticket, "ok", id);
				await finish(host, "c1");
				expect(await Promise.all(answers.map((one) => now(one)))).toEqual([
					"pending",
					"b1",
				]);
				await finish(host, "d1");
				expect(await now(answers[0] as Promise<unknown>)).toBe("a1");
			});

			test("need a slot again also when nobody answered in time", async () => {
				const { host, answer } = await waiting({}, 100);
				let seen: unknown = "pending";
				answer.catch(({ code }) => {
					seen = code;
				});
				await host.clock.advance(100);
				expect(seen).toBe("pending");
				await finish(host, "b1");
				expect(seen).toBe("WAIT_TIMEOUT");
				expect(order(host)).toEqual(["a1", "b1"]);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1", "c1"]);
			});

			test("wait for no slot once they are told to stop", async () => {
				const { host, run, answer } = await waiting();
				await host.runtime.resume(run.ticket, "ok", "yes");
				void host.runtime.abort("a", { graceMs: 1000 });
				await turns();
				expect(await now(answer.catch(({ by }) => by))).toBe("abort");
				await finish(host, "a1");
				expect(await host.runtime.get("a")).toMatchObject({
					lastOutcome: "aborted",
				});
				expect(order(host)).toEqual(["a1", "b1"]);
				await finish(host, "b1");
				expect(order(host)).toEqual(["a1", "b1", "c1"]);
				await finish(host, "c1");
				await send(host, "d1", "e1");
				expect(order(host).slice(3)).toEqual(["d1"]);
			});

			test("that are stopped before an answer leave no place behind", async () => {
				const { host, answer } = await waiting();
				void host.runtime.reset("a");
				await turns();
				expect(await now(answer.catch(({ by }) => by))).toBe("reset");
				await finish(host, "a1");
				await finish(host, "b1");
				await finish(host, "c1");
				await send(host, "d1", "e1");
				expect(order(host).slice(3)).toEqual(["d1"]);
			});

			test("keep a slot that nobody else wanted meanwhile", async () => {
				const host = await start(1);
				await send(host, "a1");
				const { run } = endOf(host, "a1");
				const answer = run.waitFor("ok");
				await turns();
				await host.runtime.resume(run.ticket, "ok", 1);
				expect(await now(answer)).toBe(1);
				await send(host, "b1");
				expect(order(host)).toEqual(["a1"]);
			});

			test("with two waits, wait until the last of them is over", async () => {
				const host = await start(1);
				await send(host, "a1");
				const { run } = endOf(host, "a1");
				const first = run.waitFor("first");
				const second = run.waitFor("second");
				await turns();
				await send(host, "b1");
				await host.runtime.resume(run.ticket, "first", 1);
				expect(await host.runtime.get("a")).toMatchObject({
					status: "waiting",
				});
				await host.runtime.resume(run.ticket, "second", 2);
				await turns();
				expect(await now(second)).toBe("pending");
				await finish(host, "b1");
				expect(await now(Promise.all([first, second]))).toEqual([1, 2]);
				// The slot is held once: neither more nor less than one runs.
				await send(host, "c1");
				await host.runtime.patch("a", { x: 1 });
				expect(order(host)).toEqual(["a1", "b1"]);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1", "c1"]);
			});
		});

		describe("a wait that held although its caller was told that it failed", () => {
			async function inDoubt() {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { maxConcurrentRuns: 1 });
				await send(host, "a1", "b1");
				const { run } = host.scripted.last;
				const doubt = async (how: () => Promise<unknown>) => {
					const opened = store.opened as OpenStore;
					const { version } = opened;
					store.faults.push("after");
					opened.version = () => Promise.reject(new Error("connection lost"));
					expect(await codeOf(how())).toBe("STORE_FAILED");
					opened.version = version;
				};
				return { host, store, run, doubt };
			}

			test("gives no slot back: its run does not wait", async () => {
				const { host, run, doubt } = await inDoubt();
				await doubt(() => run.waitFor("x"));
				await host.clock.advance(10_000);
				expect(await host.runtime.get("a")).toMatchObject({
					status: "running",
				});
				expect(order(host)).toEqual(["a1"]);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "b1"]);
			});

			test("does not let its run go on without a slot after another wait", async () => {
				const { host, store, run, doubt } = await inDoubt();
				await doubt(() => run.waitFor("x"));
				// Given up only once that can be kept.
				store.broken = true;
				await turns();
				store.broken = false;
				const answer = run.waitFor("y");
				await turns();
				expect(order(host)).toEqual(["a1", "b1"]);
				expect(await host.runtime.get("a")).toMatchObject({
					waits: ["x", "y"],
				});
				await host.runtime.resume(run.ticket, "y", "yes");
				expect(await now(answer)).toBe("pending");
				await finish(host, "b1");
				expect(await now(answer)).toBe("yes");
			});
		});

		describe("children", () => {
			/** A run that spawns down to a depth and gathers what comes back. */
			function nested(attached: boolean, seen: string[]) {
				return async (run: ManagedRun<JsonValue>): Promise<unknown> => {
					const depth = run.messages[0]?.input as number;
					seen.push(`${run.ticket.sessionKey} begins`);
					if (depth > 0) {
						const child = await run.spawn(`level ${depth - 1}`, depth - 1, {
							attached,
						});
						if (attached) await child.settled;
					}
					seen.push(`${run.ticket.sessionKey} ends`);
					return depth;
				};
			}

			test("that are attached share their parent's slot, three levels deep", async () => {
				const seen: string[] = [];
				const { runtime } = await startHost(makeStore(), {
					maxConcurrentRuns: 1,
					execute: nested(true, seen),
				});
				const { settled } = await runtime.send("level 3", 3);
				expect(await now(settled)).toMatchObject({ outcome: "completed" });
				expect(seen).toEqual([
					"level 3 begins",
					"level 2 begins",
					"level 1 begins",
					"level 0 begins",
					"level 0 ends",
					"level 1 ends",
					"level 2 ends",
					"level 3 ends",
				]);
				// The one slot is free again.
				const again = await runtime.send("level 0", 0);
				expect(await now(again.settled)).toMatchObject({
					outcome: "completed",
				});
			});

			test("that are detached need a slot of their own", async () => {
				const seen: string[] = [];
				const { runtime } = await startHost(makeStore(), {
					maxConcurrentRuns: 1,
					execute: nested(false, seen),
				});
				await runtime.send("level 2", 2);
				await runtime.whenIdle();
				expect(seen).toEqual([
					"level 2 begins",
					"level 2 ends",
					"level 1 begins",
					"level 1 ends",
					"level 0 begins",
					"level 0 ends",
				]);
			});

			test("give back no slot that is their parent's", async () => {
				const host = await start(1);
				await send(host, "a1");
				const { run } = endOf(host, "a1");
				await run.spawn("k", "child", { messageId: "child" });
				await turns();
				await send(host, "b1");
				expect(order(host)).toEqual(["a1", "child"]);
				const asked = endOf(host, "child").run.waitFor("ok");
				await turns();
				await host.runtime.resume(endOf(host, "child").run.ticket, "ok", 1);
				expect(await now(asked)).toBe(1);
				await finish(host, "child");
				expect(order(host)).toEqual(["a1", "child"]);
				await finish(host, "a1");
				expect(order(host)).toEqual(["a1", "child", "b1"]);
			});

			test("an attached one behind others in its line is not held up by the cap once it is first", async () => {
				const host = await start(2);
				await send(host, "a1", "k1", "k2");
				const { run } = endOf(host, "a1");
				const child = await run.spawn("k", "child", { messageId: "child" });
				await send(host, "b1");
				await finish(host, "k1");
				expect(order(host)).toEqual(["a1", "k1", "b1"]);
				await finish(host, "b1");
				await finish(host, "k2");
				expect(order(host)).toEqual(["a1", "k1", "b1", "k2", "child"]);
				await finish(host, "child");
				expect((await child.settled).outcome).toBe("completed");
			});
		});

		test("after a crash no slot is held by the dead", async () => {
			const store = new CrashingStore(makeStore());
			const host = await startScripted(store, { maxConcurrentRuns: 1 });
			await send(host, "a1", "b1");
			await store.crash();
			const next = await startScripted(store, { maxConcurrentRuns: 1 });
			await turns();
			expect(order(next)).toEqual(["b1"]);
			await finish(next, "b1");
			await send(next, "c1");
			expect(order(next)).toEqual(["b1", "c1"]);
		});

		for (const most of [0, -1, 1.5, Number.NaN, "2"])
			test(`${most} is no cap`, async () => {
				await expect(start(most as number)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
				});
			});
	});

// Until its commit fails, the session is served from memory.
test.skipIf(isReplayed)(
	"a run whose row can no longer be read gives its slot back when its session is reset",
	async () => {
		const file = temporaryFile();
		const store = new FaultyStore(sqliteStore(file));
		const host = await startScripted(store, { maxConcurrentRuns: 1 });
		await send(host, "a1", "b1");
		const db = new DatabaseSync(file);
		db.exec("UPDATE sessions SET body = 'rubbish' WHERE session_key = 'a'");
		db.close();
		// A commit that fails makes the session be read again.
		store.faults.push("before", "before");
		expect(await codeOf(host.runtime.patch("a", { x: 1 }))).toBe(
			"STORE_FAILED",
		);
		expect(await host.runtime.reset("a")).toMatchObject({ result: "done" });
		await turns();
		expect(endOf(host, "a1").run.signal.aborted).toBe(true);
		expect(order(host)).toEqual(["a1", "b1"]);
		await finish(host, "b1");
		await send(host, "c1");
		expect(order(host)).toEqual(["a1", "b1", "c1"]);
	},
);

async function restartScripted(
	host: ScriptedHost,
	most: number,
): Promise<ScriptedHost> {
	const scripted = new Scripted();
	const next = await restart(host, {
		execute: scripted.execute,
		maxConcurrentRuns: most,
	});
	return { ...next, scripted };
}
