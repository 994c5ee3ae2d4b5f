/** `runTimeoutMs`: how long a run may live before it is told to stop. */
import type { AdmittedRun, JsonValue, RuntimeOptions } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const runTimeoutMs = 10_000;

for (const [kind, makeStore] of storeKinds)
	describe(`runTimeoutMs, on ${kind}`, () => {
		const start = (options: Options = {}) =>
			startScripted(makeStore(), { runTimeoutMs, ...options });
		/** A run of `k` that has just begun. */
		const running = async (options: Options = {}) => {
			const host = await start(options);
			const receipt = await host.runtime.send("k", "hello");
			await turns();
			const { run, end, fail } = host.scripted.last;
			return { ...host, receipt, run, end, fail };
		};

		describe("a run that takes longer", () => {
			test("is told to stop, no sooner, and its outcome is 'timeout' whatever it says", async () => {
				const { runtime, clock, run, end, receipt } = await running();
				await clock.advance(runTimeoutMs - 1);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.aborted).toBe(true);
				expect(run.signal.reason).toMatchObject({
					code: "RUN_ABORTED",
					by: "timeout",
				});
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				end("a fine answer");
				expect(await receipt.settled).toEqual({
					ticket: run.ticket,
					outcome: "timeout",
				});
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "timeout",
					lastError: null,
				});
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "timeout", stoppedBy: "timeout" },
				]);
			});

			test("and fails on being told so, has timed out all the same", async () => {
				const { runtime, clock, run, fail } = await running();
				await clock.advance(runTimeoutMs);
				fail(run.signal.reason);
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "timeout",
				});
			});

			test("and ignores it is abandoned after its grace period, by 'timeout'", async () => {
				const { runtime, clock, receipt } = await running({ graceMs: 500 });
				await clock.advance(runTimeoutMs + 499);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await receipt.settled).toMatchObject({ outcome: "abandoned" });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "abandoned", stoppedBy: "timeout" },
				]);
			});

			test("may do nothing new, but append", async () => {
				const { runtime, clock, run, end } = await running();
				await clock.advance(runTimeoutMs);
				expect(await codeOf(run.rotate())).toBe("STALE_RUN");
				await run.append("last words");
				end();
				await turns();
				expect((await runtime.transcript("k")).items).toMatchObject([
					{ entry: "last words" },
				]);
			});

			test("takes its attached children with it", async () => {
				const { clock, run, end, scripted } = await running();
				await clock.advance(5000);
				const child = await run.spawn("child", 1);
				await turns();
				const { run: childRun, end: endChild } = scripted.last;
				await clock.advance(5000);
				expect(childRun.signal.reason).toMatchObject({ by: "parent" });
				endChild();
				end();
				expect(await child.settled).toMatchObject({ outcome: "aborted" });
			});

			test("lets the line go on once it has settled", async () => {
				const { runtime, clock, end, scripted } = await running();
				await runtime.send("k", "next");
				await clock.advance(runTimeoutMs);
				expect(scripted.runs.length).toBe(1);
				end();
				await turns();
				expect(scripted.runs.length).toBe(2);
			});
		});

		describe("of an end and a timeout in one moment", () => {
			test("the end counts that came first", async () => {
				const { runtime, clock, end, receipt, run } = await running();
				await clock.advance(runTimeoutMs - 1);
				end("done");
				await clock.advance(1);
				expect(await receipt.settled).toMatchObject({
					outcome: "completed",
					output: "done",
				});
				expect(run.signal.aborted).toBe(false);
				await clock.advance(10 * runTimeoutMs);
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "completed", stoppedBy: null },
				]);
			});

			test("an end whose commit is under way when the time is over counts", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { runTimeoutMs });
				const { runtime, clock, scripted } = host;
				const { settled } = await runtime.send("k", "hello");
				await turns();
				const gate = Promise.withResolvers<void>();
				store.beforeCommit = () => gate.promise;
				scripted.last.end("done");
				await turns();
				await clock.advance(runTimeoutMs);
				expect(scripted.last.run.signal.aborted).toBe(false);
				gate.resolve();
				expect(await settled).toMatchObject({ outcome: "completed" });
			});

			test("an end after the time was over does not, though the stop is not committed yet", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { runTimeoutMs });
				const { runtime, clock, scripted } = host;
				const { settled } = await runtime.send("k", "hello");
				await turns();
				const gate = Promise.withResolvers<void>();
				store.beforeCommit = () => gate.promise;
				await clock.advance(runTimeoutMs);
				scripted.last.end("late");
				await turns();
				gate.resolve();
				expect(await settled).toMatchObject({ outcome: "timeout" });
			});

			test("an abort that came first keeps its word", async () => {
				const { runtime, clock, end, receipt } = await running();
				const aborted = runtime.abort("k", { graceMs: 60_000 });
				await clock.advance(2 * runTimeoutMs);
				// Its own grace period is not cut short by a time that no longer runs.
				expect(await now(aborted)).toBe("pending");
				end();
				expect(await receipt.settled).toMatchObject({ outcome: "aborted" });
			});

			test("nor by what it still appends", async () => {
				const { runtime, clock, run, end, receipt } = await running();
				const aborted = runtime.abort("k", { graceMs: 60_000 });
				await turns();
				await run.append("one more");
				await clock.advance(2 * runTimeoutMs);
				expect(await now(aborted)).toBe("pending");
				end();
				expect(await receipt.settled).toMatchObject({ outcome: "aborted" });
			});
		});

		describe("time that does not count", () => {
			test("that of a message in line", async () => {
				const { runtime, clock, end, scripted } = await running();
				const second = await runtime.send("k", "second");
				await clock.advance(runTimeoutMs - 1);
				end();
				await clock.advance(runTimeoutMs - 1);
				expect(scripted.last.run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(scripted.last.run.signal.aborted).toBe(true);
				scripted.last.end();
				expect(await second.settled).toMatchObject({ outcome: "timeout" });
			});

			test("that in which the run waits", async () => {
				const { runtime, clock, run } = await running();
				await clock.advance(4000);
				const answer = run.waitFor("ok");
				await clock.advance(10 * runTimeoutMs);
				await runtime.resume(run.ticket, "ok", 1);
				expect(await answer).toBe(1);
				await clock.advance(5999);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});

			test("nor that of two waits at once, counted once", async () => {
				const { runtime, clock, run } = await running();
				await clock.advance(4000);
				void run.waitFor("first");
				await clock.advance(1000);
				void run.waitFor("second");
				await clock.advance(50_000);
				await runtime.resume(run.ticket, "first", 1);
				await clock.advance(50_000);
				await runtime.resume(run.ticket, "second", 1);
				await clock.advance(5999);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.aborted).toBe(true);
			});

			test("a wait that nobody answered in time", async () => {
				const { clock, run } = await running();
				await clock.advance(9999);
				void run.waitFor("ok", { timeoutMs: 50_000 });
				await clock.advance(50_000);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.aborted).toBe(true);
			});

			test("that in which an answered run has no slot to go on", async () => {
				const host = await running({ maxConcurrentRuns: 1 });
				const { runtime, clock, run, scripted } = host;
				const answer = run.waitFor("ok");
				await turns();
				await runtime.send("other", 1);
				await turns();
				const { end } = scripted.last;
				await clock.advance(5000);
				await runtime.resume(run.ticket, "ok", "yes");
				await clock.advance(4999);
				await runtime.patch("k", { a: 1 });
				end();
				expect(await now(answer)).toBe("yes");
				await clock.advance(runTimeoutMs - 1);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.aborted).toBe(true);
			});

			test("that of a run before it, of the generation before", async () => {
				const { runtime, clock, end, scripted } = await running();
				await clock.advance(9000);
				const reset = runtime.reset("k");
				await turns();
				end();
				await reset;
				await runtime.send("k", "fresh");
				await clock.advance(9999);
				expect(scripted.runs.length).toBe(2);
				expect(scripted.last.run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(scripted.last.run.signal.aborted).toBe(true);
			});

			test("a reset's drain is not shortened by it", async () => {
				const { runtime, clock, end } = await running();
				await clock.advance(9000);
				const reset = runtime.reset("k", { graceMs: 60_000 });
				await clock.advance(5000);
				expect(await now(reset)).toBe("pending");
				end();
				expect(await reset).toMatchObject({
					report: { drained: [{ outcome: "aborted", stoppedBy: "reset" }] },
				});
			});
		});

		describe("runs that the host drives", () => {
			test("are told to stop, and say what they have used", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k", { runId: "R" });
				await clock.advance(runTimeoutMs);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
				await run.end({ usage: { outputTokens: 3 } });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "timeout", stoppedBy: "timeout", outputTokens: 3 },
				]);
			});

			test("are abandoned if they say nothing", async () => {
				const { runtime, clock } = await start();
				await runtime.admit("k", { runId: "R" });
				await clock.advance(runTimeoutMs + 5000);
				expect(await runtime.get("k")).toMatchObject({
					hasActiveRun: false,
					lastOutcome: "abandoned",
				});
			});

			test("have their time from their start, if they were reserved", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k", { reserve: true });
				await clock.advance(5 * runTimeoutMs);
				await run.start();
				await clock.advance(runTimeoutMs - 1);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.aborted).toBe(true);
			});

			test("with a lease go on with the time that is left after a restart", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startHost(store, { runTimeoutMs });
				await host.runtime.admit("k", { runId: "R", leaseMs: 60_000 });
				await host.clock.advance(6000);
				await store.crash();
				const next = await startHost(store, {
					runTimeoutMs,
					clock: new VirtualClock(host.clock.now()),
				});
				const run = await next.runtime.admit("k", { runId: "R" });
				await next.clock.advance(3999);
				expect(run.signal.aborted).toBe(false);
				await next.clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});
		});

		describe("a run with a lease that waits, after a restart,", () => {
			/** The next process, and the run in it. */
			async function restarted(
				before: (
					run: AdmittedRun,
					host: Awaited<ReturnType<typeof startHost>>,
				) => Promise<void>,
			) {
				const store = new CrashingStore(makeStore());
				const host = await startHost(store, { runTimeoutMs });
				const first = await host.runtime.admit("k", {
					runId: "R",
					leaseMs: 3_600_000,
				});
				await before(first, host);
				await store.crash();
				const next = await startHost(store, {
					runTimeoutMs,
					clock: new VirtualClock(host.clock.now()),
				});
				const run = await next.runtime.admit("k", { runId: "R" });
				return { ...next, run };
			}

			test("has the time that it had left when it began to", async () => {
				const { runtime, clock, run } = await restarted(
					async (first, { clock }) => {
						await clock.advance(4000);
						first.waitFor("ok").catch(() => {});
						await clock.advance(50_000);
					},
				);
				await clock.advance(50_000);
				expect(run.signal.aborted).toBe(false);
				await runtime.resume(run.ticket, "ok", 1);
				await clock.advance(5999);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});

			test("or had before is not charged for that", async () => {
				const { clock, run } = await restarted(
					async (first, { clock, runtime }) => {
						for (const name of ["one", "two"]) {
							await clock.advance(2000);
							const answer = first.waitFor(name);
							await clock.advance(50_000);
							await runtime.resume(first.ticket, name, 1);
							await answer;
						}
						const silence = first.waitFor("three", { timeoutMs: 50_000 });
						silence.catch(() => {});
						await clock.advance(50_000);
						expect(await codeOf(silence)).toBe("WAIT_TIMEOUT");
					},
				);
				await clock.advance(5999);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});

			test("for two answers at once, is not charged for either", async () => {
				const { runtime, clock, run } = await restarted(
					async (first, { clock, runtime }) => {
						first.waitFor("one").catch(() => {});
						await clock.advance(1000);
						first.waitFor("two").catch(() => {});
						await clock.advance(50_000);
						await runtime.resume(first.ticket, "one", 1);
						await clock.advance(50_000);
					},
				);
				await runtime.resume(run.ticket, "two", 1);
				await clock.advance(9999);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});
		});

		describe("a stop that cannot be stored", () => {
			test("is told to the run all the same, and counts when it can", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { runTimeoutMs });
				const { runtime, clock, scripted } = host;
				const { settled } = await runtime.send("k", "hello");
				await turns();
				store.broken = true;
				await clock.advance(runTimeoutMs);
				expect(scripted.last.run.signal.reason).toMatchObject({
					by: "timeout",
				});
				store.broken = false;
				scripted.last.end("late");
				await clock.advance(10_000);
				expect(await settled).toMatchObject({ outcome: "timeout" });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "timeout", stoppedBy: "timeout" },
				]);
			});

			test("of a host-driven run is what its end is filed under", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, clock } = await startHost(store, { runTimeoutMs });
				const run = await runtime.admit("k", { runId: "R" });
				store.poisoned = "k";
				await clock.advance(runTimeoutMs);
				expect(run.signal.aborted).toBe(true);
				store.poisoned = null;
				await run.end();
				expect((await runtime.runs("k")).items).toMatchObject([
					{ outcome: "timeout", stoppedBy: "timeout" },
				]);
			});
		});

		test("a late timer of a run that is over stops nobody", async () => {
			const { runtime, clock, end, scripted } = await running();
			await clock.advance(runTimeoutMs - 1);
			end();
			await turns();
			await runtime.send("k", "next");
			await clock.advance(1);
			expect(scripted.runs.length).toBe(2);
			expect(scripted.last.run.signal.aborted).toBe(false);
		});

		test("closing has its own cause, and leaves no timer behind", async () => {
			const { runtime, clock, end, receipt, run } = await running();
			await clock.advance(runTimeoutMs - 1);
			const closing = runtime.close();
			await turns();
			expect(run.signal.reason).toMatchObject({ by: "shutdown" });
			await clock.advance(1);
			end();
			await closing;
			expect(await receipt.settled).toMatchObject({ outcome: "interrupted" });
		});

		test("without it a run may take for ever", async () => {
			const host = await startScripted(makeStore());
			await host.runtime.send("k", "hello");
			await host.clock.advance(1e6);
			expect(host.scripted.last.run.signal.aborted).toBe(false);
		});

		for (const bad of [-1, Number.NaN, "5", Number.POSITIVE_INFINITY])
			test(`${bad} is no time`, async () => {
				expect(await codeOf(start({ runTimeoutMs: bad as number }))).toBe(
					"INVALID_ARGUMENT",
				);
			});
	});
