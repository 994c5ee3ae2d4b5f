/** `recovery`: what becomes of managed runs that were live when the last process died or closed. */
import type { JsonValue, RuntimeOptions, SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { close } from "../support/restart.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const retry = { mode: "retry", maxAttempts: 3 } as const;

function order({ scripted }: Pick<ScriptedHost, "scripted">) {
	return scripted.runs.map(({ run }) =>
		run.messages.map(({ messageId }) => messageId).join("+"),
	);
}

async function finish({ scripted }: Pick<ScriptedHost, "scripted">) {
	scripted.last.end("out");
	await turns();
}

async function runsOf({ runtime }: ScriptedHost, key = "k") {
	return (await runtime.runs(key)).items.map(
		({ runId, attempt, outcome, stoppedBy }) => ({
			runId,
			attempt,
			outcome,
			stoppedBy,
		}),
	);
}

for (const [kind, makeStore] of storeKinds) {
	const start = (options: Options = {}) =>
		startScripted(new CrashingStore(makeStore()), {
			recovery: retry,
			...options,
		});
	/** The process dies; the next one begins at once, or later. */
	const crash = async (
		host: ScriptedHost,
		options: Options = {},
		laterMs = 0,
	): Promise<ScriptedHost> => {
		await (host.store as CrashingStore).crash();
		const next = await startScripted(host.store, {
			recovery: retry,
			clock: new VirtualClock(host.clock.now() + laterMs),
			...options,
		});
		await turns();
		return next;
	};
	const shut = async (
		host: ScriptedHost,
		options: Options = {},
	): Promise<ScriptedHost> => {
		await close(host);
		const next = await startScripted(host.store, {
			recovery: retry,
			clock: new VirtualClock(host.clock.now()),
			...options,
		});
		await turns();
		return next;
	};
	const running = async (options: Options = {}) => {
		const host = await start(options);
		const receipt = await host.runtime.send("k", "hello", { messageId: "m" });
		await turns();
		return { ...host, receipt, run: host.scripted.last.run };
	};

	describe(`recovery, on ${kind}`, () => {
		describe("settle, the default", () => {
			for (const recovery of [undefined, { mode: "settle" }] as const)
				test(`reports a dead run and repeats nothing (${recovery?.mode})`, async () => {
					const settle = (recovery ? { recovery } : {}) as Options;
					const store = new CrashingStore(makeStore());
					const host = await startScripted(store, settle);
					await host.runtime.send("k", "hello", { messageId: "m" });
					await host.runtime.send("k", "next", { messageId: "n" });
					await turns();
					await store.crash();
					const next = await startScripted(store, settle);
					await turns();
					expect(order(next)).toEqual(["n"]);
					const again = await next.runtime.send("k", "hello", {
						messageId: "m",
					});
					expect(await again.settled).toMatchObject({ outcome: "interrupted" });
					expect(await runsOf(next)).toMatchObject([
						{ outcome: null },
						{ outcome: "interrupted", attempt: 1, stoppedBy: null },
					]);
				});
		});

		for (const [way, goDown] of [
			["a crash", crash],
			["a close", shut],
		] as const)
			describe(`retry, after ${way}`, () => {
				test("the same run again, as its next attempt", async () => {
					const host = await running();
					const next = await goDown(host);
					const { run } = next.scripted.last;
					expect(run.ticket).toEqual({ ...host.run.ticket, attempt: 2 });
					expect(run.messages).toMatchObject([
						{ messageId: "m", input: "hello", generation: 1 },
					]);
					expect(await next.runtime.get("k")).toMatchObject({
						status: "running",
						queued: 0,
					});
					await finish(next);
					expect(await runsOf(next)).toMatchObject([
						{ attempt: 2, outcome: "completed" },
						{ attempt: 1, outcome: "interrupted" },
					]);
				});

				test("a repeated message is a duplicate, and its end that of the new attempt", async () => {
					const host = await running();
					const next = await goDown(host);
					const again = await next.runtime.send("k", "hello", {
						messageId: "m",
					});
					expect(again).toMatchObject({
						disposition: "duplicate",
						ticket: { attempt: 2 },
					});
					expect(await now(again.settled)).toBe("pending");
					await finish(next);
					expect(await again.settled).toEqual({
						ticket: next.scripted.last.run.ticket,
						outcome: "completed",
						output: "out",
					});
				});

				test("no more often than maxAttempts, the first of which counts", async () => {
					let host: ScriptedHost = await running();
					for (const attempt of [2, 3]) {
						host = await goDown(host);
						expect(host.scripted.last.run.ticket.attempt).toBe(attempt);
					}
					host = await goDown(host);
					expect(host.scripted.runs).toEqual([]);
					expect(await runsOf(host)).toMatchObject([
						{ attempt: 3, outcome: "interrupted" },
						{ attempt: 2, outcome: "interrupted" },
						{ attempt: 1, outcome: "interrupted" },
					]);
					const again = await host.runtime.send("k", "hello", {
						messageId: "m",
					});
					expect(await again.settled).toMatchObject({
						outcome: "interrupted",
						ticket: { attempt: 3 },
					});
				});

				test("not at all with maxAttempts 1", async () => {
					const recovery = { ...retry, maxAttempts: 1 };
					const host = await running({ recovery });
					const next = await goDown(host, { recovery });
					expect(next.scripted.runs).toEqual([]);
				});

				test("the transcript of the dead attempt is hidden", async () => {
					const host = await running();
					await host.run.append("half a thought");
					const next = await goDown(host);
					const { run } = next.scripted.last;
					expect(await run.transcript()).toEqual([]);
					await run.append("a whole one");
					await finish(next);
					expect((await next.runtime.transcript("k")).items).toMatchObject([
						{ entry: "a whole one" },
					]);
				});

				test("what earlier runs appended stays", async () => {
					const host = await running();
					await host.run.append("before");
					await finish(host);
					await host.runtime.send("k", "second");
					await turns();
					await host.scripted.last.run.append("half");
					const next = await goDown(host);
					expect(await next.scripted.last.run.transcript()).toMatchObject([
						{ entry: "before" },
					]);
				});

				test("a delivery that was done is not done again, and gives its result", async () => {
					const host = await running();
					await host.run.deliver("reply", () => ({ id: 7 }));
					const next = await goDown(host);
					const again = next.scripted.last.run.deliver("reply", () => {
						throw new Error("twice");
					});
					expect(await now(again)).toEqual({ id: 7 });
				});

				test("answers are kept", async () => {
					const host = await running();
					const answer = host.run.waitFor("ok");
					await turns();
					await host.runtime.resume(host.run.ticket, "ok", "yes");
					await answer;
					const next = await goDown(host);
					expect(await next.runtime.get("k")).toMatchObject({
						status: "running",
						waits: [],
					});
					expect(await now(next.scripted.last.run.waitFor("ok"))).toBe("yes");
				});

				test("a wait is open again once the new attempt waits, and not before", async () => {
					const host = await running();
					void host.run.waitFor("ok", { timeoutMs: 60_000 });
					await turns();
					const next = await goDown(host);
					const { run } = next.scripted.last;
					expect(await next.runtime.get("k")).toMatchObject({
						status: "running",
						waits: [],
					});
					const answer = run.waitFor("ok", { timeoutMs: 60_000 });
					await turns();
					expect(await next.runtime.get("k")).toMatchObject({
						status: "waiting",
						waits: ["ok"],
					});
					await next.runtime.resume(run.ticket, "ok", 1);
					expect(await answer).toBe(1);
				});

				test("an answer that comes before the new attempt waits is kept for it", async () => {
					const host = await running();
					void host.run.waitFor("ok");
					await turns();
					const next = await goDown(host);
					const { run } = next.scripted.last;
					expect(
						await next.runtime.resume(run.ticket, "ok", "early"),
					).toMatchObject({ result: "done" });
					expect(
						await next.runtime.resume(run.ticket, "ok", "again"),
					).toMatchObject({ result: "nothing" });
					expect(await now(run.waitFor("ok"))).toBe("early");
				});

				test("an answer that comes while the new attempt is in line is kept too", async () => {
					const cap: Options = { maxConcurrentRuns: 1 };
					const host = await start(cap);
					await host.runtime.send("b", "b", { messageId: "b" });
					await turns();
					void host.scripted.last.run.waitFor("never");
					await turns();
					await host.runtime.send("k", "k", { messageId: "k" });
					await turns();
					const { ticket } = host.scripted.last.run;
					void host.scripted.last.run.waitFor("ok");
					await turns();
					const next = await goDown(host, cap);
					expect(order(next)).toEqual(["b"]);
					expect(
						await next.runtime.resume(ticket, "ok", "early"),
					).toMatchObject({ result: "done" });
					await finish(next);
					expect(order(next)).toEqual(["b", "k"]);
					expect(await now(next.scripted.last.run.waitFor("ok"))).toBe("early");
				});

				test("what was collected comes back together", async () => {
					const host = await start({ overlap: "collect" });
					for (const id of ["a", "b", "c"])
						await host.runtime.send("k", id, { messageId: id });
					await turns();
					await finish(host);
					expect(order(host)).toEqual(["a", "b+c"]);
					const next = await goDown(host, { overlap: "collect" });
					expect(order(next)).toEqual(["b+c"]);
				});

				test("what arrives meanwhile is not collected into it", async () => {
					const cap: Options = { overlap: "collect", maxConcurrentRuns: 1 };
					const host = await start(cap);
					await host.runtime.send("a", "a", { messageId: "a" });
					await turns();
					void host.scripted.last.run.waitFor("never");
					await turns();
					await host.runtime.send("k", "k", { messageId: "k" });
					await turns();
					const next = await goDown(host, cap);
					expect(order(next)).toEqual(["a"]);
					await next.runtime.send("k", "new", { messageId: "new" });
					await finish(next);
					await finish(next);
					expect(order(next)).toEqual(["a", "k", "new"]);
				});

				test("what steered it comes back with it; what it never took, after it", async () => {
					const host = await running({ overlap: "steer" });
					const steering = host.run.steering[Symbol.asyncIterator]();
					await host.runtime.send("k", "s1", { messageId: "s1" });
					expect((await steering.next()).value).toMatchObject({
						messageId: "s1",
					});
					await host.runtime.send("k", "s2", { messageId: "s2" });
					const next = await goDown(host);
					expect(order(next)).toEqual(["m+s1"]);
					await finish(next);
					expect(order(next)).toEqual(["m+s1", "s2"]);
				});

				test("before all others that wait in its session", async () => {
					const host = await running();
					for (const id of ["n", "o"])
						await host.runtime.send("k", id, { messageId: id });
					const next = await goDown(host);
					await finish(next);
					await finish(next);
					expect(order(next)).toEqual(["m", "n", "o"]);
					expect(next.scripted.last.run.ticket.attempt).toBe(1);
				});

				test("not what had been aborted", async () => {
					const host = await running();
					void host.runtime.abort("k").catch(() => {});
					await turns();
					const next = await goDown(host);
					expect(next.scripted.runs).toEqual([]);
					expect((await runsOf(next))[0]).toMatchObject({
						stoppedBy: "abort",
					});
				});

				test("not what a reset had stopped", async () => {
					const host = await running();
					void host.runtime.reset("k").catch(() => {});
					await turns();
					const next = await goDown(host);
					expect(next.scripted.runs).toEqual([]);
					expect(await next.runtime.get("k")).toMatchObject({
						generation: 2,
						status: "idle",
						draining: 0,
					});
				});

				test("not what a delete had stopped", async () => {
					const host = await running();
					void host.runtime.delete("k").catch(() => {});
					await turns();
					const next = await goDown(host);
					expect(next.scripted.runs).toEqual([]);
					expect(await next.runtime.get("k")).toBeNull();
				});

				test("not what a newer message had interrupted, which takes its place", async () => {
					const host = await running();
					await host.runtime.send("k", "stop it", {
						messageId: "i",
						overlap: "interrupt",
					});
					const next = await goDown(host);
					expect(order(next)).toEqual(["i"]);
				});

				test("not what had timed out", async () => {
					const host = await running({ runTimeoutMs: 1000 });
					await host.clock.advance(1000);
					const next = await goDown(host);
					expect(next.scripted.runs).toEqual([]);
				});

				test("not what the host drives itself", async () => {
					const host = await start();
					await host.runtime.admit("k", { runId: "R" });
					const next = await goDown(host);
					expect(next.scripted.runs).toEqual([]);
					expect(await runsOf(next)).toMatchObject([
						{ runId: "R", outcome: "interrupted" },
					]);
				});

				test("not what is attached to a dead run; that one spawns it anew", async () => {
					const host = await running();
					await host.run.spawn("child", "c", { messageId: "c" });
					await turns();
					expect(order(host)).toEqual(["m", "c"]);
					const next = await goDown(host);
					expect(order(next)).toEqual(["m"]);
					expect(await next.runtime.get("child")).toMatchObject({
						hasActiveRun: false,
						queued: 0,
					});
					const [child] = await runsOf(next, "child");
					expect(child?.outcome).not.toBe("completed");
					expect(child?.attempt).toBe(1);
				});

				test("nor what waits in line, attached to a dead run", async () => {
					const host = await running();
					await host.runtime.send("child", "busy", { messageId: "busy" });
					await host.run.spawn("child", "c", { messageId: "c" });
					await turns();
					const next = await goDown(host);
					expect([...order(next)].sort()).toEqual(["busy", "m"]);
					expect(await next.runtime.get("child")).toMatchObject({ queued: 0 });
				});

				test("a detached child on its own account", async () => {
					const host = await running();
					await host.run.spawn("child", "c", {
						messageId: "c",
						attached: false,
					});
					await turns();
					const next = await goDown(host);
					expect([...order(next)].sort()).toEqual(["c", "m"]);
				});

				test("no more of them than there are slots, by arrival", async () => {
					const host = await start();
					for (const id of ["d", "b", "c", "a"]) {
						await host.runtime.send(id, id, { messageId: id });
						await turns();
						await host.clock.advance(10);
					}
					const next = await goDown(host, { maxConcurrentRuns: 2 });
					expect(order(next)).toEqual(["d", "b"]);
					await finish(next);
					expect(order(next)).toEqual(["d", "b", "c"]);
				});

				test("whose message no longer fits the schema fails, and is not tried for ever", async () => {
					const host = await running();
					const next = await goDown(host, {
						schemas: {
							input: {
								"~standard": {
									version: 1,
									vendor: "test",
									validate: () => ({ issues: [{ message: "too old" }] }),
								},
							},
						},
					});
					expect(next.scripted.runs).toEqual([]);
					expect(await next.runtime.get("k")).toMatchObject({
						status: "failed",
						lastError: expect.stringContaining("too old"),
						queued: 0,
					});
				});

				describe("while the new attempt is in line", () => {
					const held: Options = { maxConcurrentRuns: 1 };
					/** The message of `k` waits to be tried again; a run of `a` has the slot. */
					const inLine = async () => {
						const host = await start(held);
						await host.runtime.send("a", "a", { messageId: "a" });
						await turns();
						void host.scripted.last.run.waitFor("never");
						await host.clock.advance(1);
						await host.runtime.send("k", "hello", { messageId: "m" });
						await turns();
						const { run } = host.scripted.last;
						const next = await goDown(host, held);
						expect(order(next)).toEqual(["a"]);
						return { host: next, ticket: run.ticket };
					};

					test("the row says that it is queued", async () => {
						const { host } = await inLine();
						expect(await host.runtime.get("k")).toMatchObject({
							status: "ended",
							lastOutcome: "interrupted",
							hasActiveRun: false,
							queued: 1,
						});
					});

					test("an abort takes it back", async () => {
						const { host } = await inLine();
						const again = await host.runtime.send("k", "hello", {
							messageId: "m",
						});
						expect(await now(again.settled)).toBe("pending");
						expect(await host.runtime.abort("k")).toMatchObject({
							result: "done",
							report: { removed: ["m"] },
						});
						expect(await now(again.settled)).toMatchObject({
							outcome: "removed",
						});
						await finish(host);
						expect(order(host)).toEqual(["a"]);
					});

					test("an abort of another message leaves it", async () => {
						const { host } = await inLine();
						await host.runtime.send("k", "next", { messageId: "n" });
						expect(
							await host.runtime.abort("k", { expect: { messageId: "n" } }),
						).toMatchObject({ result: "done", report: { removed: ["n"] } });
						await finish(host);
						expect(order(host)).toEqual(["a", "m"]);
					});

					test("an abort by its message takes it back", async () => {
						const { host } = await inLine();
						expect(
							await host.runtime.abort("k", { expect: { messageId: "m" } }),
						).toMatchObject({ result: "done", report: { removed: ["m"] } });
						await finish(host);
						expect(order(host)).toEqual(["a"]);
					});

					test("its host may take it out of the line", async () => {
						const { host, ticket } = await inLine();
						expect(await host.runtime.queue.remove("k", "m")).toMatchObject({
							result: "done",
						});
						expect(await host.runtime.resume(ticket, "ok", 1)).toMatchObject({
							result: "stale",
						});
						await host.runtime.send("k", "new", { messageId: "n" });
						await finish(host);
						expect(order(host)).toEqual(["a", "n"]);
						expect(host.scripted.last.run.ticket.attempt).toBe(1);
					});

					test("a reset drops it: it was of the generation before", async () => {
						const { host } = await inLine();
						await host.runtime.send("k", "next", { messageId: "n" });
						await host.runtime.reset("k");
						// Not for what it expected: it expected nothing.
						expect(host.feed).toContainEqual(
							expect.objectContaining({
								messageId: "m",
								fate: "removed",
								reason:
									"its run, which was to be tried again, ended with generation 1",
							}),
						);
						await finish(host);
						expect(order(host)).toEqual(["a", "n"]);
						expect(host.scripted.last.run.ticket).toMatchObject({
							generation: 2,
							attempt: 1,
						});
					});

					test("a run that goes before it and dies too costs it nothing: both are tried again", async () => {
						const { host, ticket } = await inLine();
						await host.runtime.send("k", "first", {
							messageId: "i",
							overlap: "interrupt",
						});
						await finish(host);
						expect(order(host)).toEqual(["a", "i"]);
						expect(await host.runtime.resume(ticket, "ok", 1)).toMatchObject({
							result: "nothing",
						});
						const { ticket: other } = host.scripted.last.run;
						const next = await goDown(host, held);
						expect(order(next)).toEqual(["m"]);
						await finish(next);
						expect(order(next)).toEqual(["m", "i"]);
						expect(next.scripted.runs.map(({ run }) => run.ticket)).toEqual([
							{ ...ticket, attempt: 2 },
							{ ...other, attempt: 2 },
						]);
						await finish(next);
						expect(await next.runtime.get("k")).toMatchObject({ queued: 0 });
					});

					test("another death changes nothing: it is still its second attempt", async () => {
						const { host, ticket } = await inLine();
						const next = await goDown(host, held);
						await finish(next);
						expect(order(next)).toEqual(["a", "m"]);
						expect(next.scripted.last.run.ticket).toEqual({
							...ticket,
							attempt: 2,
						});
					});
				});
			});

		describe("retry", () => {
			test("not of a message older than maxAgeMs", async () => {
				for (const [age, runs] of [
					[1000, 1],
					[1001, 0],
				] as const) {
					const recovery = { ...retry, maxAgeMs: 1000 };
					const host = await running({ recovery });
					const next = await crash(host, { recovery }, age);
					expect(next.scripted.runs.length).toBe(runs);
				}
			});

			test("counts attempts and age over all processes", async () => {
				const recovery = { ...retry, maxAgeMs: 1000 };
				const host = await running({ recovery });
				const second = await crash(host, { recovery }, 600);
				expect(second.scripted.runs.length).toBe(1);
				const third = await crash(second, { recovery }, 600);
				expect(third.scripted.runs.length).toBe(0);
			});

			test("a delivery whose end is not known is done again, under the same key", async () => {
				const host = await running();
				const keys: string[] = [];
				const effect = ({ idempotencyKey }: { idempotencyKey: string }) => {
					keys.push(idempotencyKey);
					return new Promise<void>(() => {});
				};
				void host.run.deliver("reply", effect);
				await turns();
				const next = await crash(host);
				void next.scripted.last.run.deliver("reply", effect);
				await turns();
				expect(keys.length).toBe(2);
				expect(keys[0]).toBe(keys[1]);
			});

			test("the time of a wait runs from when it was first asked", async () => {
				const host = await running();
				void host.run.waitFor("ok", { timeoutMs: 10_000 });
				await turns();
				const next = await crash(host, {}, 6000);
				const answer = codeOf(
					next.scripted.last.run.waitFor("ok", { timeoutMs: 10_000 }),
				);
				await next.clock.advance(3999);
				expect(await now(answer)).toBe("pending");
				await next.clock.advance(1);
				expect(await now(answer)).toBe("WAIT_TIMEOUT");
			});

			test("of what ignores its abort for the whole of a close", async () => {
				const host = await running({ graceMs: 100 });
				const next = await shut(host);
				expect(next.scripted.last.run.ticket.attempt).toBe(2);
				expect((await runsOf(next))[1]).toMatchObject({
					outcome: "interrupted",
					stoppedBy: "shutdown",
				});
			});

			test("of what heeds its abort, or even ends, while the runtime closes", async () => {
				for (const heeds of [true, false]) {
					const host = await running();
					const closing = host.runtime.close();
					await turns();
					if (heeds) host.scripted.last.fail(host.run.signal.reason);
					else host.scripted.last.end("too late");
					await closing;
					const next = await startScripted(host.store, { recovery: retry });
					await turns();
					expect(next.scripted.last.run.ticket.attempt).toBe(2);
				}
			});

			test("not of what ended before the close asked for it", async () => {
				const host = await running();
				const closing = host.runtime.close({ runs: "await" });
				await turns();
				host.scripted.last.end("in time");
				await closing;
				expect(await host.receipt.settled).toMatchObject({
					outcome: "completed",
				});
				const next = await startScripted(host.store, { recovery: retry });
				await turns();
				expect(next.scripted.runs).toEqual([]);
			});

			test("whose message is not kept any more settles instead", async () => {
				const host = await running();
				const inner = host.store as CrashingStore;
				await inner.crash();
				const store: SessionStore = {
					read: () => inner.read(),
					open: async (owner) =>
						Object.assign(await inner.open(owner), {
							message: async () => null,
						}),
				};
				const next = await startScripted(store, { recovery: retry });
				await turns();
				expect(next.scripted.runs).toEqual([]);
				expect(await runsOf(next)).toMatchObject([{ outcome: "interrupted" }]);
			});

			test("to which the executor has fallen silent: a runtime without execute keeps it in line", async () => {
				const host = await running();
				await (host.store as CrashingStore).crash();
				const next = await startHost(host.store, { recovery: retry });
				await turns();
				expect(await next.runtime.get("k")).toMatchObject({ queued: 1 });
			});

			test("a crash at any commit of a session's life leaves one run per message, and none lost", async () => {
				for (let at = 1; at <= 8; at++) {
					const inner = new CrashingStore(makeStore());
					const host = await startScripted(dyingAfter(inner, at), {
						recovery: retry,
					});
					const { runtime } = host;
					const life = async () => {
						await runtime.send("k", "a", { messageId: "a" });
						await runtime.send("k", "b", { messageId: "b" });
						await turns();
						host.scripted.runs[0]?.end();
						await turns();
						await runtime.patch("k", { x: 1 });
						host.scripted.runs[1]?.end();
						await turns();
					};
					await life().catch(() => {});
					await turns();
					const reader = await inner.read();
					const accepted = await Promise.all(
						["a", "b"].map(async (id) => (await reader.message("k", id)) && id),
					);
					await reader[Symbol.asyncDispose]();
					await inner.crash().catch(() => {});
					const next = await startScripted(inner, { recovery: retry });
					await turns();
					while (next.scripted.runs.length > 0) {
						const { length } = next.scripted.runs;
						await finish(next);
						if (next.scripted.runs.length === length) break;
					}
					const completed = (await next.runtime.runs("k")).items
						.filter(({ outcome }) => outcome === "completed")
						.flatMap(({ messageIds }) => messageIds);
					expect([...completed].sort()).toEqual(accepted.filter(Boolean));
				}
			});
		});

		describe("a crash in the middle of a reset", () => {
			test("ends the reset: the old run is settled, the hook is called again, the line goes on", async () => {
				const ended: unknown[] = [];
				const hook: Options = {
					onGenerationEnded: ({ generation }) => {
						ended.push(generation);
						return new Promise<void>(() => {});
					},
				};
				const host = await running(hook);
				await host.runtime.send("k", "next", { messageId: "n" });
				void host.runtime.reset("k").catch(() => {});
				await turns();
				expect(ended).toEqual([1]);
				const next = await crash(host, {
					onGenerationEnded: ({ generation, runs }) => {
						ended.push([generation, runs.map(({ outcome }) => outcome)]);
					},
				});
				expect(ended).toEqual([1, [1, ["aborted"]]]);
				expect(order(next)).toEqual(["n"]);
				expect(next.scripted.last.run.ticket.generation).toBe(2);
			});

			test("with a runtime that has no hook any more", async () => {
				const host = await running({
					onGenerationEnded: () => new Promise<void>(() => {}),
				});
				void host.runtime.reset("k").catch(() => {});
				await turns();
				const next = await crash(host);
				expect(await next.runtime.get("k")).toMatchObject({ status: "idle" });
			});
		});

		const bad: Record<string, unknown> = {
			"no mode": {},
			"another mode": { mode: "again" },
			"retry without bounds": { mode: "retry" },
			"maxAttempts 0": { mode: "retry", maxAttempts: 0 },
			"maxAgeMs -1": { mode: "retry", maxAttempts: 1, maxAgeMs: -1 },
			"another type": "retry",
		};
		for (const [name, recovery] of Object.entries(bad))
			test(`${name} is refused`, async () => {
				expect(await codeOf(start({ recovery } as Options))).toBe(
					"INVALID_ARGUMENT",
				);
			});
	});
}

/** The owner of this store dies after so many commits. */
function dyingAfter(inner: CrashingStore, commits: number): SessionStore {
	let left = commits;
	return {
		read: () => inner.read(),
		async open(owner) {
			const store = await inner.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					const value = Reflect.get(target, name, target);
					if (typeof value !== "function") return value;
					return async (...args: unknown[]) => {
						const result = await value.apply(target, args);
						if (name === "commit") {
							left -= 1;
							if (left === 0) await inner.crash();
						}
						return result;
					};
				},
			});
		},
	};
}
