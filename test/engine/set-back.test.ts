/** A wall clock that is set back by an hour, or forward: whatever is being measured in this process is over when its time has passed, no later and no sooner. */
import type { JsonValue, RuntimeOptions } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const hour = 3_600_000;

for (const [kind, makeStore] of storeKinds)
	for (const [how, back] of [
		["back", hour],
		["forward", -hour],
	] as const)
		describe(`a wall clock that is set ${how}, on ${kind}`, () => {
			const running = async (options: Options = {}) => {
				const host = await startScripted(makeStore(), {
					graceMs: 100,
					...options,
				});
				await host.runtime.send("k", "hello");
				await turns();
				const { run, end } = host.scripted.last;
				return { ...host, run, end };
			};

			test("moves no end of a wait", async () => {
				const { clock, run } = await running();
				const answer = codeOf(run.waitFor("ok", { timeoutMs: 1000 }));
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(await now(answer)).toBe("pending");
				await clock.advance(1);
				expect(await now(answer)).toBe("WAIT_TIMEOUT");
			});

			test("moves no end of a wait that began in another process", async () => {
				const store = new CrashingStore(makeStore());
				const first = await startHost(store);
				const run = await first.runtime.admit("k", { leaseMs: 10 * hour });
				run.waitFor("ok", { timeoutMs: 1000 }).catch(() => {});
				await turns();
				await store.crash();
				const { runtime, clock } = await startHost(store, {
					clock: new VirtualClock(first.clock.now()),
				});
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});

			test("moves no end of a lease", async () => {
				const { runtime, clock } = await startHost(makeStore());
				const run = await runtime.admit("k", { leaseMs: 1000 });
				await clock.advance(500);
				run.progress(1);
				await clock.advance(300);
				clock.stepBack(back);
				await clock.advance(699);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("keeps no sign of life from the store", async () => {
				const store = makeStore();
				const { runtime, clock } = await startHost(store);
				const run = await runtime.admit("k", { leaseMs: 60_000 });
				clock.stepBack(back);
				await clock.advance(10_000);
				run.progress(1);
				await turns();
				const reader = await store.read();
				const facts = (await reader.load("k"))?.facts;
				expect(facts?.run?.seenAt).toBe(clock.now());
				await reader[Symbol.asyncDispose]();
			});

			test("gives a run no other time than it has", async () => {
				const { runtime, clock, run } = await running({ runTimeoutMs: 1000 });
				await clock.advance(500);
				clock.stepBack(back);
				const answer = run.waitFor("ok");
				await clock.advance(5000);
				clock.stepBack(back);
				await runtime.resume(run.ticket, "ok", 1);
				await answer;
				await clock.advance(499);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
			});

			test("moves no end of a grace period", async () => {
				const { runtime, clock, run } = await running();
				const aborted = runtime.abort("k", { graceMs: 1000 });
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(run.signal.aborted).toBe(true);
				expect(await now(aborted)).toBe("pending");
				await clock.advance(1);
				expect(await now(aborted)).toMatchObject({
					report: { abandoned: [{ stoppedBy: "abort" }] },
				});
			});

			test("moves no end of what the host does on a generation that ended", async () => {
				const { runtime, clock, end } = await running({
					onGenerationEnded: () => new Promise(() => {}),
				});
				const reset = runtime.reset("k", { graceMs: 1000 });
				end();
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(await now(reset)).toBe("pending");
				await clock.advance(1);
				expect(await now(reset)).toMatchObject({ result: "done" });
			});

			test("moves no end of a quiet window", async () => {
				const { clock, scripted, runtime } = await startScripted(makeStore(), {
					overlap: { mode: "collect", debounceMs: 1000 },
				});
				await runtime.send("k", "hello");
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(scripted.runs).toHaveLength(0);
				await clock.advance(1);
				expect(scripted.runs).toHaveLength(1);
			});

			test("moves no end of a close", async () => {
				const { runtime, clock } = await running();
				const closed = runtime.close({ runs: "await", graceMs: 1000 });
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(500);
				// What has not stopped is given up then, and the last commits are waited for.
				await clock.advance(1000);
				expect(await now(closed)).toBeUndefined();
			});

			test("keeps no session in memory, and forgets none", async () => {
				const { runtime, clock, end } = await running({
					passivateAfterMs: 1000,
				});
				end();
				await turns();
				await clock.advance(500);
				clock.stepBack(back);
				await clock.advance(499);
				expect(runtime.stats().resident).toBe(1);
				await clock.advance(1);
				expect(runtime.stats().resident).toBe(0);
			});

			test("keeps what a run said for a minute after its end", async () => {
				const { runtime, clock, run, end } = await running();
				run.progress("…");
				end();
				await clock.advance(30_000);
				clock.stepBack(back);
				const followed = async () => {
					const items = [];
					for await (const item of runtime.follow(run.ticket)) items.push(item);
					return items;
				};
				await clock.advance(29_000);
				expect(await followed()).toHaveLength(1);
				await clock.advance(2000);
				expect(await followed()).toEqual([]);
			});
		});

test("a second stop with a longer grace period gives no more time, though the wall clock was set back in between", async () => {
	const { runtime, clock, scripted } = await startScripted(
		storeKinds[0]?.[1]() as never,
	);
	await runtime.send("k", "hello");
	const aborted = runtime.abort("k", { graceMs: 1000 });
	await clock.advance(500);
	clock.stepBack(hour);
	void runtime.abort("k", { graceMs: 5000 });
	await clock.advance(499);
	expect(await now(aborted)).toBe("pending");
	await clock.advance(1);
	expect(await now(aborted)).toMatchObject({
		report: { abandoned: [{ stoppedBy: "abort" }] },
	});
	expect(scripted.last.run.signal.aborted).toBe(true);
});
