/** `start` and `close`: what a runtime settles before it serves, and what it leaves behind. */
import {
	createSessionRuntime,
	type JsonValue,
	type SessionStore,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test, vi } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Scripted, silent, startHost } from "../support/host.ts";
import { close, restart } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

/** A runtime that nobody has started. */
function created(store: SessionStore, execute = new Scripted().execute) {
	const clock = new VirtualClock();
	const runtime = createSessionRuntime<JsonValue>({
		store,
		clock,
		execute,
		logger: silent,
	});
	return { runtime, clock };
}

type Runtime = ReturnType<typeof created>["runtime"];

/** Every call that needs the store. */
const calls: Record<string, (runtime: Runtime) => Promise<unknown>> = {
	send: (runtime) => runtime.send("k", 1),
	admit: (runtime) => runtime.admit("k"),
	report: (runtime) => runtime.report({ runId: "R", phase: "end" }),
	reset: (runtime) => runtime.reset("k"),
	abort: (runtime) => runtime.abort("k"),
	delete: (runtime) => runtime.delete("k"),
	patch: (runtime) => runtime.patch("k", {}),
	import: (runtime) => runtime.import([{ sessionKey: "k", sessionId: "S" }]),
	get: (runtime) => runtime.get("k"),
	list: (runtime) => runtime.list(),
	archive: (runtime) => runtime.archive("k"),
	runs: (runtime) => runtime.runs("k"),
	refusals: (runtime) => runtime.refusals(),
	until: (runtime) => runtime.until("k", () => true),
	whenIdle: (runtime) => runtime.whenIdle(),
};

for (const [kind, makeStore] of storeKinds)
	describe(`the life of a runtime, on ${kind}`, () => {
		describe("before start", () => {
			for (const [name, call] of Object.entries(calls))
				test(`${name} says that it has not started`, async () => {
					const { runtime } = created(makeStore());
					await expect(call(runtime)).rejects.toMatchObject({
						name: "TurnkeeperError",
						code: "RUNTIME_CLOSED",
						message: expect.stringContaining("await start()"),
					});
				});

			test("those who look may come already", async () => {
				const { runtime } = created(makeStore());
				const seen: string[] = [];
				runtime.subscribe(({ type }) => seen.push(type));
				runtime.inspect(({ type }) => seen.push(type));
				expect(runtime.atom("k").get()).toBeNull();
				expect(runtime.stats()).toMatchObject({ resident: 0, commits: 0 });
				await runtime.start();
				await runtime.reset("k");
				expect(seen).toEqual(
					expect.arrayContaining(["row", "@xstate.actor", "@xstate.snapshot"]),
				);
				await runtime.close();
			});

			test("closing it is fine, and then it does not start", async () => {
				const store = makeStore();
				const { runtime } = created(store);
				await runtime.close();
				expect(await codeOf(runtime.start())).toBe("RUNTIME_CLOSED");
				const next = created(store);
				await next.runtime.start();
				await next.runtime.close();
			});
		});

		describe("start", () => {
			test("answers with the runtime, and a second one changes nothing", async () => {
				const { runtime, clock } = created(makeStore());
				expect(await runtime.start()).toBe(runtime);
				await runtime.send("k", 1);
				expect(await runtime.start()).toBe(runtime);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				const closing = runtime.close({ graceMs: 0 });
				await clock.advance(0);
				await closing;
			});

			test("that fails can be tried again", async () => {
				const inner = makeStore();
				let works = false;
				const store: SessionStore = {
					read: () => inner.read(),
					open: async (owner) => {
						if (!works) throw new Error("disk is away");
						return inner.open(owner);
					},
				};
				const { runtime } = created(store);
				await expect(runtime.start()).rejects.toThrow("disk is away");
				expect(await codeOf(runtime.send("k", 1))).toBe("RUNTIME_CLOSED");
				works = true;
				await runtime.start();
				expect(await runtime.reset("k")).toMatchObject({ result: "done" });
				await runtime.close();
			});

			test("that fails in the middle of recovery gives the store back, and can be tried again", async () => {
				const crashing = new CrashingStore(makeStore());
				const dead = await startScripted(crashing);
				await dead.runtime.send("k", 1);
				await crashing.crash();
				const store = new FaultyStore(crashing);
				store.broken = true;
				const { runtime } = created(store);
				expect(await codeOf(runtime.start())).toBe("STORE_FAILED");
				// It does not hold the store.
				await (await crashing.open({ name: "x" }))[Symbol.asyncDispose]();
				store.broken = false;
				await runtime.start();
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "interrupted",
				});
				await runtime.close();
			});

			test("that fails in the middle of recovery leaves no timer and no live run behind", async () => {
				const crashing = new CrashingStore(makeStore());
				const dead = await startScripted(crashing);
				await dead.runtime.admit("a", { runId: "R", leaseMs: 1000 });
				await dead.runtime.send("b", 1);
				await crashing.crash();
				const store = new FaultyStore(crashing);
				store.poisoned = "b";
				const { runtime, clock } = created(store);
				expect(await codeOf(runtime.start())).toBe("STORE_FAILED");
				const timers = vi.spyOn(clock, "setTimeout");
				// The lease of what the first try took for alive is over.
				await clock.advance(5000);
				expect(timers).not.toHaveBeenCalled();
				store.poisoned = null;
				clock.stepBack(5000);
				await runtime.start();
				expect(await runtime.get("a")).toMatchObject({ status: "running" });
				await clock.advance(1000);
				expect(await runtime.get("a")).toMatchObject({
					lastOutcome: "interrupted",
				});
				await runtime.close();
			});

			test("of a store that somebody owns says who (MP-02)", async () => {
				const store = makeStore();
				const first = created(store);
				await first.runtime.start();
				const second = created(store);
				await expect(second.runtime.start()).rejects.toMatchObject({
					code: "STORE_LOCKED",
					message: expect.stringMatching(/turnkeeper|pid|own/),
				});
				expect(await first.runtime.reset("k")).toMatchObject({
					result: "done",
				});
				await first.runtime.close();
				await second.runtime.start();
				expect(await second.runtime.get("k")).toMatchObject({ generation: 1 });
				await second.runtime.close();
			});

			test("settles what died with the last process, before anything else is served (SR-01, SR-07)", async () => {
				const store = new CrashingStore(makeStore());
				const { runtime: dead } = await startScripted(store);
				await dead.send("managed", 1, { messageId: "m1" });
				await dead.send("managed", 2, { messageId: "m2" });
				await dead.admit("host", { runId: "R" });
				await dead.send("aborting", 1);
				void dead.abort("aborting").catch(() => {});
				await dead.send("resetting", 1);
				void dead.reset("resetting").catch(() => {});
				await dead.send("deleted", 1);
				void dead.delete("deleted").catch(() => {});
				await dead.reset("idle");
				await dead.admit("reserved", { runId: "Q", reserve: true });
				await turns();
				const before = {
					idle: await dead.get("idle"),
					reserved: await dead.get("reserved"),
				};
				await store.crash();

				const { runtime, scripted } = await startScripted(store);
				expect((await runtime.list({ status: "resetting" })).items).toEqual([]);
				expect(await runtime.get("host")).toMatchObject({
					status: "ended",
					hasActiveRun: false,
					lastOutcome: "interrupted",
				});
				// The first committed of end and stop decides, also across a crash.
				expect(await runtime.get("aborting")).toMatchObject({
					status: "ended",
					lastOutcome: "aborted",
				});
				expect(await runtime.get("resetting")).toMatchObject({
					generation: 2,
					status: "idle",
					draining: 0,
				});
				expect(await runtime.get("deleted")).toBeNull();
				expect((await runtime.runs("deleted")).items).toMatchObject([
					{ outcome: "aborted", stoppedBy: "delete" },
				]);
				expect(await runtime.get("idle")).toEqual(before.idle);
				expect(await runtime.get("reserved")).toEqual(before.reserved);
				// Only then the queues go on.
				await turns();
				expect(scripted.runs).toHaveLength(1);
				expect(scripted.last.run.messages).toMatchObject([{ messageId: "m2" }]);
				expect((await runtime.runs("managed")).items).toMatchObject([
					{ outcome: null, messageIds: ["m2"] },
					{ outcome: "interrupted", messageIds: ["m1"] },
				]);
				expect(runtime.stats()).toMatchObject({ running: 1, draining: 0 });
			});

			test("settles hundreds of dead runs, and keeps none of them in memory for long", async () => {
				const store = new CrashingStore(makeStore());
				const { runtime: dead } = await startScripted(store);
				await Promise.all(
					Array.from({ length: 300 }, (_, i) => dead.send(`k${i}`, i)),
				);
				await store.crash();
				const { runtime, clock } = await startScripted(store);
				for (const status of ["running", "resetting"] as const)
					expect((await runtime.list({ status })).items).toEqual([]);
				expect(
					(await runtime.list({ status: "ended", limit: 1000 })).items,
				).toHaveLength(300);
				await clock.advance(60_000);
				expect(runtime.stats().resident).toBe(0);
			});

			test("leaves queued messages alone where nobody executes them, for a process that does", async () => {
				const store = new CrashingStore(makeStore());
				const { runtime: dead } = await startScripted(store);
				await dead.send("k", 1);
				await dead.send("k", 2);
				await store.crash();
				const host = await startHost(store);
				await turns();
				expect(await host.runtime.get("k")).toMatchObject({
					status: "ended",
					queued: 1,
				});
				const { scripted } = await close(host).then(() => startScripted(store));
				await turns();
				expect(scripted.last.run.messages).toMatchObject([{ input: 2 }]);
			});

			test("does not touch the time of last activity of what it leaves alone (SR-20)", async () => {
				const host = await startScripted(makeStore());
				const { row } = await host.runtime.reset("k");
				await host.clock.advance(1000);
				const { runtime } = await restart(host);
				expect(await runtime.get("k")).toEqual(row);
			});
		});

		describe("close", () => {
			test("can be called any number of times, at once or later", async () => {
				const { runtime } = created(makeStore());
				await runtime.start();
				await Promise.all([runtime.close(), runtime.close()]);
				await runtime.close();
				await runtime[Symbol.asyncDispose]();
			});

			test("is what `await using` does", async () => {
				const store = makeStore();
				let kept: Runtime;
				{
					await using runtime = created(store).runtime;
					await runtime.start();
					kept = runtime;
					await runtime.reset("k");
				}
				expect(await codeOf(kept.get("k"))).toBe("RUNTIME_CLOSED");
				const next = created(store);
				await next.runtime.start();
				await next.runtime.close();
			});

			for (const [name, call] of Object.entries(calls))
				test(`after it, ${name} says that the runtime is closed`, async () => {
					const { runtime } = created(makeStore());
					await runtime.start();
					await runtime.reset("k");
					await runtime.close();
					await expect(call(runtime)).rejects.toMatchObject({
						code: "RUNTIME_CLOSED",
						message: expect.stringContaining("closed"),
					});
				});

			for (const name of [
				"send",
				"admit",
				"reset",
				"delete",
				"patch",
				"import",
				"until",
				"whenIdle",
			])
				test(`while it lasts, ${name} is refused`, async () => {
					const { runtime } = await startScripted(makeStore());
					await runtime.send("busy", 1);
					void runtime.close({ graceMs: 10 });
					await expect(calls[name]?.(runtime)).rejects.toMatchObject({
						code: "RUNTIME_CLOSED",
						message: expect.stringContaining("closing"),
					});
				});

			test("stops what runs, and settles it 'interrupted'", async () => {
				const host = await startScripted(makeStore());
				const { runtime, scripted, clock } = host;
				await runtime.send("k", 1);
				const { signal } = scripted.last.run;
				const closing = runtime.close();
				expect(signal.aborted).toBe(true);
				expect(signal.reason).toMatchObject({
					name: "AbortError",
					by: "shutdown",
				});
				await clock.advance(10);
				expect(await now(closing)).toBe("pending");
				scripted.last.end("partial");
				await closing;
				const next = await startHost(host.store);
				expect(await next.runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "interrupted",
				});
				expect((await next.runtime.runs("k")).items).toMatchObject([
					{ outcome: "interrupted", stoppedBy: "shutdown" },
				]);
			});

			test("that awaits lets what runs come to its end, and starts nothing new", async () => {
				const host = await startScripted(makeStore());
				const { runtime, scripted } = host;
				const first = await runtime.send("k", 1);
				const second = await runtime.send("k", 2);
				const closing = runtime.close({ runs: "await" });
				await turns();
				expect(scripted.last.run.signal.aborted).toBe(false);
				scripted.last.end("done");
				await closing;
				expect(await first.settled).toMatchObject({
					outcome: "completed",
					output: "done",
				});
				expect(await second.settled).toEqual({
					ticket: null,
					outcome: "interrupted",
				});
				expect(scripted.runs).toHaveLength(1);
				const next = await startScripted(host.store);
				await turns();
				expect(next.scripted.last.run.messages).toMatchObject([{ input: 2 }]);
			});

			for (const runs of ["abort", "await"] as const)
				test(`(${runs}) does not wait longer than its grace period for a run that never settles`, async () => {
					const host = await startScripted(makeStore());
					const { runtime, clock, scripted } = host;
					const { settled } = await runtime.send("k", 1);
					const closing = runtime.close({ runs, graceMs: 100 });
					await clock.advance(99);
					expect(await now(closing)).toBe("pending");
					await clock.advance(1);
					await closing;
					expect(scripted.last.run.signal.aborted).toBe(true);
					expect(await settled).toMatchObject({ outcome: "abandoned" });
					const dead = await deathsOf(async () => {
						scripted.last.fail(new Error("far too late"));
						await turns();
					});
					expect(dead).toEqual([]);
					const next = await startHost(host.store);
					expect((await next.runtime.runs("k")).items).toMatchObject([
						{ outcome: "abandoned", stoppedBy: "shutdown" },
					]);
				});

			test("settles runs that the host drives 'interrupted' at once, and fires their signals", async () => {
				const host = await startHost(makeStore());
				const run = await host.runtime.admit("k", { runId: "R" });
				await host.runtime.close();
				expect(run.signal.reason).toMatchObject({ by: "shutdown" });
				expect(await codeOf(run.end())).toBe("RUNTIME_CLOSED");
				expect(await codeOf(run.rotate())).toBe("STALE_RUN");
				const { runtime } = await startHost(host.store);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "duplicate" });
			});

			test("during a reset waits for its drain, and the reset is done", async () => {
				const host = await startScripted(makeStore());
				const { runtime, scripted } = host;
				await runtime.send("k", 1);
				const reset = runtime.reset("k", { graceMs: 60_000 });
				await turns();
				const closing = runtime.close();
				await turns();
				scripted.last.end();
				await closing;
				expect(await reset).toMatchObject({
					result: "done",
					report: { drained: [{ stoppedBy: "reset" }] },
				});
			});

			test("during a reset that does not end abandons what drains, and the reset is done", async () => {
				const host = await startScripted(makeStore());
				const { runtime, clock } = host;
				await runtime.send("k", 1);
				const reset = runtime.reset("k", { graceMs: 60_000 });
				await turns();
				const closing = runtime.close({ graceMs: 10 });
				await clock.advance(10);
				await closing;
				expect(await reset).toMatchObject({
					report: { abandoned: [{ stoppedBy: "reset" }] },
				});
			});

			test("whose commits fail still ends, gives the store back, and tells those who wait", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store);
				const { runtime, clock } = host;
				const { settled } = await runtime.send("k", 1);
				const waiting = codeOf(runtime.until("k", () => false));
				await turns();
				store.broken = true;
				const closing = runtime.close({ graceMs: 100 });
				// The grace period, and a second for the last commits.
				await clock.advance(1100);
				expect(await now(closing)).toBeUndefined();
				expect(await settled).toMatchObject({ outcome: "interrupted" });
				expect(await waiting).toBe("RUNTIME_CLOSED");
				store.broken = false;
				const next = await startScripted(store);
				expect(await next.runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "interrupted",
				});
			});

			test("leaves no timer behind", async () => {
				const timers = new Set<unknown>();
				const clock = new VirtualClock();
				const runtime = createSessionRuntime<JsonValue>({
					store: makeStore(),
					logger: silent,
					execute: (run) =>
						new Promise((resolve) =>
							run.signal.addEventListener("abort", () => resolve(null)),
						),
					clock: {
						now: () => clock.now(),
						setTimeout: (f, ms) => {
							const id = clock.setTimeout(() => {
								timers.delete(id);
								f();
							}, ms);
							timers.add(id);
							return id;
						},
						clearTimeout: (id) => {
							timers.delete(id);
							clock.clearTimeout(id);
						},
					},
				});
				await runtime.start();
				await runtime.send("a", 1);
				await runtime.send("b", 1);
				await runtime.reset("b");
				await runtime.reset("c");
				const waited = codeOf(
					runtime.until("c", () => false, { timeoutMs: 5000 }),
				);
				await runtime.close();
				expect(await waited).toBe("RUNTIME_CLOSED");
				expect(timers.size).toBe(0);
			});

			test("is refused what it cannot do", async () => {
				const { runtime } = created(makeStore());
				await runtime.start();
				for (const graceMs of [-1, "5", Number.NaN])
					expect(
						await codeOf(
							(async () => runtime.close({ graceMs: wrong(graceMs) }))(),
						),
					).toBe("INVALID_ARGUMENT");
				// It goes on.
				expect(await runtime.reset("k")).toMatchObject({ result: "done" });
				await runtime.close();
			});
		});
	});

describe("a store", () => {
	test("in one memoryStore object is one store, and in two are two", async () => {
		const store = memoryStore();
		const host = await startHost(store);
		await host.runtime.reset("k");
		const other = await startHost(memoryStore());
		expect(await other.runtime.get("k")).toBeNull();
	});

	test("in one file is one store, whatever object opens it", async () => {
		const file = temporaryFile();
		const first = created(sqliteStore(file));
		await first.runtime.start();
		const second = created(sqliteStore(file));
		await expect(second.runtime.start()).rejects.toMatchObject({
			code: "STORE_LOCKED",
			message: expect.stringContaining(String(process.pid)),
		});
		await first.runtime.close();
		await second.runtime.start();
		await second.runtime.close();
	});
});

describe("options", () => {
	const bad: Record<string, unknown> = {
		nothing: undefined,
		null: null,
		"a text": "sessions.db",
		"no store": {},
		"a store that is none": { store: {} },
		"a path as store": { store: "sessions.db" },
		"an executor that is no function": { execute: {} },
		"a mode that is none": { overlap: "newest" },
		"a policy without a mode": { overlap: { capacity: 5 } },
		"no capacity": { overlap: { mode: "enqueue", capacity: 0 } },
		"half a capacity": { overlap: { mode: "enqueue", capacity: 1.5 } },
		"a negative grace period": { graceMs: -1 },
		"a grace period of text": { graceMs: "5s" },
		"a grace period that is no number": { graceMs: Number.NaN },
		"a negative rest": { passivateAfterMs: -1 },
		"nobody resident": { maxResident: 0 },
		"a negative quiet window": {
			overlap: { mode: "collect", debounceMs: -1 },
		},
		"a full line that does neither": {
			overlap: { mode: "enqueue", onFull: "drop" },
		},
		"a negative run time": { runTimeoutMs: -1 },
		"no slot": { maxConcurrentRuns: 0 },
		"half a slot": { maxConcurrentRuns: 0.5 },
		"a recovery that is none": { recovery: { mode: "resume" } },
		"no attempt": { recovery: { mode: "retry", maxAttempts: 0 } },
		"a negative age": {
			recovery: { mode: "retry", maxAttempts: 2, maxAgeMs: -1 },
		},
		"no rest before expiry": { expiry: { idleMs: 0 } },
		"an hour that no day has": {
			expiry: { daily: { hour: 24, timeZone: "UTC" } },
		},
		"a time zone that is none": {
			expiry: { daily: { hour: 4, timeZone: "Middle/Earth" } },
		},
		"a carryOver that is no function": { carryOver: {} },
		"an onGenerationEnded that is no function": { onGenerationEnded: true },
		"no generation kept": { retention: { generationsPerKey: 0 } },
		"a negative age of records": { retention: { maxAgeMs: -1 } },
		"ids kept for text": { retention: { messageIdsMs: "1d" } },
	};
	for (const [name, options] of Object.entries(bad))
		test(`with ${name} are refused at once`, () => {
			const given =
				typeof options === "object" && options !== null && name !== "no store"
					? { store: memoryStore(), ...options }
					: options;
			expect(() => createSessionRuntime(wrong(given))).toThrow(
				expect.objectContaining({
					name: "TurnkeeperError",
					code: "INVALID_ARGUMENT",
				}),
			);
		});

	test("an executor is given the input, and the types that the host says", async () => {
		const runtime = createSessionRuntime<{ text: string }, number>({
			store: memoryStore(),
			logger: silent,
			execute: (run) => run.messages[0]?.input.text.length ?? 0,
		});
		await using started = await runtime.start();
		const { settled } = await started.send("k", { text: "hello" });
		const { output } = await settled;
		const length: number | undefined = output;
		expect(length).toBe(5);
	});
});
