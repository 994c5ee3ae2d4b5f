/** What a second look at the interleavings of what a run owns has found. */
import type { JsonValue, OpenStore, SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const retry = { mode: "retry", maxAttempts: 3 } as const;

/** A store whose calls a test may bend, by name. */
function bent(
	inner: SessionStore,
	bend: Partial<{
		[Name in keyof OpenStore]: (
			store: OpenStore,
			...args: never[]
		) => Promise<unknown>;
	}>,
): SessionStore {
	return {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					const own = bend[name as keyof OpenStore];
					if (own) return (...args: never[]) => own(target, ...args);
					const value = Reflect.get(target, name, target);
					return typeof value === "function" ? value.bind(target) : value;
				},
			});
		},
	};
}

for (const [kind, makeStore] of storeKinds)
	describe(`second look, on ${kind}`, () => {
		test("late usage of a settled run counts also while another of its generation drains", async () => {
			const { runtime } = await startHost(makeStore());
			const a = await runtime.admit("k", { runId: "A" });
			await a.end();
			const b = await runtime.admit("k", { runId: "B" });
			const reset = runtime.reset("k");
			await turns();
			a.usage({ inputTokens: 7 });
			await turns();
			expect((await runtime.archive("k")).items[0]?.row.inputTokens).toBe(7);
			await b.end();
			await reset;
			expect((await runtime.archive("k")).items[0]?.row.inputTokens).toBe(7);
		});
		test("a late end of a reserved run counts also while another of its generation drains", async () => {
			const { runtime } = await startHost(makeStore());
			await runtime.admit("k", { runId: "A", reserve: true });
			const b = await runtime.admit("k", { runId: "B" });
			const reset = runtime.reset("k");
			await turns();
			expect(
				(
					await runtime.report({
						runId: "A",
						phase: "end",
						usage: { inputTokens: 7 },
					})
				).verdict,
			).toBe("archived");
			await b.end();
			await reset;
			expect((await runtime.archive("k")).items[0]?.row.inputTokens).toBe(7);
		});
		test("a message sent again as the run that did not look at it ends is not over with that", async () => {
			const host = await startScripted(makeStore(), { overlap: "steer" });
			const { runtime, scripted } = host;
			await runtime.send("k", "hello", { messageId: "m0" });
			const { run, end } = scripted.last;
			const first = await runtime.send("k", "left", { messageId: "left" });
			// Pulled, committed, and the executor ends before it has it in hand.
			void run.steering[Symbol.asyncIterator]().next();
			await Promise.resolve();
			await Promise.resolve();
			end("done");
			const again = runtime.send("k", "left", { messageId: "left" });
			await turns();
			await again;
			expect(scripted.runs.length).toBe(2);
			expect(await now(first.settled)).toBe("pending");
		});
		test("a message whose hand-over was not stored stands in line once after a close", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, {
				overlap: "steer",
				recovery: retry,
				graceMs: 100,
			});
			const { runtime, scripted } = host;
			await runtime.send("k", "hello", { messageId: "hello" });
			const { run, end } = scripted.last;
			await runtime.send("k", "left", { messageId: "left" });
			store.faults.push("before", "before");
			void run.steering[Symbol.asyncIterator]().next();
			for (let i = 0; i < 3; i++) await Promise.resolve();
			run.signal.addEventListener("abort", () => end("x"));
			const closing = runtime.close({ graceMs: 1000 });
			await host.clock.advance(1000);
			await closing;
			const next = await startScripted(store, {
				overlap: "steer",
				recovery: retry,
				clock: host.clock,
			});
			await turns();
			expect(
				next.scripted.runs[0]?.run.messages.map((m) => m.messageId),
			).toEqual(["hello"]);
		});
		test("a delivery that ended as its run was put in line again is not made twice", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { recovery: retry });
			const { runtime, scripted } = host;
			await runtime.send("k", "hello", { messageId: "hello" });
			const { run } = scripted.last;
			const effect = Promise.withResolvers<JsonValue>();
			void run.deliver("reply", () => effect.promise);
			await turns();
			const closing = runtime.close({ graceMs: 1000 });
			await turns();
			let seen = 0;
			store.beforeCommit = async () => {
				seen++;
				if (seen === 1) {
					effect.resolve("sent");
					await turns(2);
				}
			};
			await host.clock.advance(1000);
			await host.clock.advance(1000);
			await closing;
			store.beforeCommit = null;
			const next = await startScripted(store, {
				recovery: retry,
				clock: host.clock,
			});
			await turns();
			let calls = 0;
			const r = next.scripted.last.run;
			expect(r.ticket.attempt).toBe(2);
			const out = await r.deliver("reply", () => {
				calls++;
				return "again";
			});
			expect([calls, out]).toEqual([0, "sent"]);
		});
		test("a run whose reservation expired is a new attempt", async () => {
			const { runtime, clock } = await startHost(makeStore(), {
				expiry: { idleMs: 1000 },
			});
			await runtime.admit("k", { runId: "R", reserve: true });
			await clock.advance(1000);
			const run = await runtime.admit("k", { runId: "R" });
			expect(run.ticket).toMatchObject({ generation: 2, attempt: 2 });
		});
		test("a session that cannot be read keeps no slot from the others", async () => {
			let bad = false;
			const faulty = new FaultyStore(makeStore());
			const store = bent(faulty, {
				load: (s, key: string) => {
					if (bad && key === "b") return Promise.reject(new Error("disk"));
					return s.load(key);
				},
			});
			const { runtime, clock, scripted } = await startScripted(store, {
				maxConcurrentRuns: 1,
			});
			await runtime.send("a", "a");
			await runtime.send("b", "b");
			await runtime.send("c", "c");
			bad = true;
			faulty.faults.push("before", "before");
			await codeOf(runtime.patch("b", { x: 1 }));
			scripted.last.end();
			await turns();
			await clock.advance(60_000);
			expect(scripted.runs.map(({ run }) => run.ticket.sessionKey)).toEqual([
				"a",
				"c",
			]);
		});
		test("a wait that its run was told had failed is none, though its commit held", async () => {
			let loses = false,
				blind = 0;
			const store = bent(makeStore(), {
				commit: async (s, b) => {
					await s.commit(b);
					if (loses) {
						loses = false;
						blind = 1;
						throw new Error("lost");
					}
				},
				version: async (s, k) => {
					if (blind > 0) {
						blind--;
						throw new Error("lost");
					}
					return s.version(k);
				},
			});
			const { runtime, clock, scripted } = await startScripted(store, {
				runTimeoutMs: 10_000,
			});
			await runtime.send("k", "hello");
			const { run } = scripted.last;
			loses = true;
			expect(await codeOf(run.waitFor("ok?", { timeoutMs: 1000 }))).toBe(
				"STORE_FAILED",
			);
			await clock.advance(2000);
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				waits: [],
			});
			await clock.advance(60_000);
			expect(run.signal.aborted).toBe(true);
		});
		test("nobody answers a run with a lease after a crash: its wait is given up in time", async () => {
			const store = new CrashingStore(makeStore());
			const host = await startHost(store);
			const run = await host.runtime.admit("k", { runId: "R", leaseMs: 1000 });
			run.waitFor("ok?", { timeoutMs: 5000 }).catch(() => {});
			await turns();
			await store.crash();
			const next = await startHost(store, {
				clock: new VirtualClock(host.clock.now()),
			});
			await next.clock.advance(3_600_000);
			expect(await next.runtime.get("k")).toMatchObject({
				hasActiveRun: false,
			});
		});
		test("a clock that steps back lengthens no lease", async () => {
			// A host's own clock may know no other time than that of the wall.
			const timers = new VirtualClock();
			const clock = {
				now: () => timers.now(),
				setTimeout: (f: () => void, ms: number) => timers.setTimeout(f, ms),
				clearTimeout: (timer: unknown) => timers.clearTimeout(timer),
			};
			const { runtime } = await startHost(makeStore(), { clock });
			await runtime.admit("k", { runId: "R", leaseMs: 1000 });
			timers.stepBack(3_600_000);
			await timers.advance(3000);
			expect(await runtime.get("k")).toMatchObject({ hasActiveRun: false });
			const closing = runtime.close({ graceMs: 0 });
			await timers.advance(5000);
			await closing;
		});
	});
