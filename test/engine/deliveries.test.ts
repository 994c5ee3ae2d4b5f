/** Outward effects of a run: the intent is kept before, the result after, the session is busy in between, and nothing of it gets lost. */
import type { JsonValue, OpenStore, SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import type { Delivery } from "../../machines/run.ts";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
	wrong,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

/** What the store holds of the deliveries of a run, wherever that stands. */
async function deliveriesOf(
	store: SessionStore,
	sessionKey: string,
	runId: string,
): Promise<readonly Delivery[] | undefined> {
	const reader = await store.read();
	try {
		const facts = (await reader.load(sessionKey))?.facts;
		const runs = [
			...(facts?.run ? [facts.run] : []),
			...(facts?.draining ?? []).map(({ run }) => run),
			...(await reader.runs(sessionKey, {})).items,
		];
		return runs.find((run) => run.runId === runId)?.deliveries;
	} finally {
		await reader[Symbol.asyncDispose]();
	}
}

/** An effect that ends when the test says so. */
function scriptedEffect() {
	const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
	const calls: { signal: AbortSignal; idempotencyKey: string }[] = [];
	return {
		calls,
		resolve,
		reject,
		act: (context: { signal: AbortSignal; idempotencyKey: string }) => {
			calls.push(context);
			return promise;
		},
	};
}

const stops: Record<string, (host: ScriptedHost) => Promise<unknown>> = {
	abort: ({ runtime }) => runtime.abort("k"),
	reset: ({ runtime }) => runtime.reset("k"),
	delete: ({ runtime }) => runtime.delete("k"),
	interrupt: ({ runtime }) =>
		runtime.send("k", "newer", { overlap: "interrupt" }),
	rollback: ({ runtime }) =>
		runtime.send("k", "newer", { overlap: "rollback" }),
	shutdown: ({ runtime }) => runtime.close({ graceMs: 100 }),
};

for (const [kind, makeStore] of storeKinds)
	describe(`a delivery, on ${kind}`, () => {
		type Options = Parameters<typeof startScripted>[1];

		async function running(options: Options = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { graceMs: 100, ...options });
			const { settled } = await host.runtime.send("k", "hello");
			const { run, end } = host.scripted.last;
			const { runId } = run.ticket;
			return {
				...host,
				store,
				settled,
				run,
				end,
				deliveries: () => deliveriesOf(store, "k", runId),
			};
		}

		test("is kept as begun before its effect starts, and as done with its result before it resolves", async () => {
			const { run, deliveries } = await running();
			let during: unknown;
			const given = await run.deliver("reply", async () => {
				during = await deliveries();
				return { id: 7 };
			});
			expect(during).toEqual([
				{ name: "reply", attempt: 1, status: "begun", result: null },
			]);
			expect(given).toEqual({ id: 7 });
			expect(await deliveries()).toEqual([
				{ name: "reply", attempt: 1, status: "done", result: { id: 7 } },
			]);
		});

		test("does not start while its intent waits for the store", async () => {
			const { run, store } = await running();
			const held = Promise.withResolvers<void>();
			store.beforeCommit = () => held.promise;
			const { calls, act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			expect(calls).toEqual([]);
			held.resolve();
			await turns();
			expect(calls).toHaveLength(1);
			resolve("sent");
			expect(await delivered).toBe("sent");
		});

		test("that returns nothing resolves with nothing, and is kept as null", async () => {
			const { run, deliveries } = await running();
			expect(await run.deliver("reply", () => {})).toBeUndefined();
			expect(await deliveries()).toMatchObject([
				{ status: "done", result: null },
			]);
		});

		test("gives its effect the run's signal, and a key of its own in this run", async () => {
			const { run, runtime, scripted, end, settled } = await running();
			const keys: string[] = [];
			const note = ({ idempotencyKey }: { idempotencyKey: string }) => {
				keys.push(idempotencyKey);
			};
			await run.deliver("a", (context) => {
				expect(context.signal).toBe(run.signal);
				note(context);
			});
			await run.deliver("b", note);
			end();
			await settled;
			await runtime.send("k", "again");
			await scripted.last.run.deliver("a", note);
			expect(new Set(keys).size).toBe(3);
			for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
		});

		test("has a key that is of the run and the name alone, whatever session id the run has", async () => {
			const keys: string[] = [];
			for (const sessionId of [null, "elsewhere"]) {
				const { run } = await running({ ids: { runId: () => "r1" } });
				if (sessionId) await run.rotate({ sessionId });
				await run.deliver("reply", ({ idempotencyKey }) => {
					keys.push(idempotencyKey);
				});
			}
			expect(keys[0]).toBe(keys[1]);
		});

		for (const when of ["while the first is under way", "afterwards"])
			test(`under a name that its run has used is refused ${when}`, async () => {
				const { run, deliveries } = await running();
				const first = scriptedEffect();
				const second = scriptedEffect();
				const delivered = run.deliver("reply", first.act);
				if (when === "afterwards") {
					first.resolve("sent");
					await delivered;
				}
				await expect(run.deliver("reply", second.act)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining('"reply"'),
				});
				first.resolve("sent");
				await delivered;
				expect(second.calls).toEqual([]);
				expect(await deliveries()).toMatchObject([
					{ status: "done", result: "sent" },
				]);
			});

		test("under a name whose effect failed is refused too", async () => {
			const { run } = await running();
			const failed = run.deliver("reply", () =>
				Promise.reject(new Error("no")),
			);
			expect(await codeOf(failed)).toEqual(new Error("no"));
			expect(await codeOf(run.deliver("reply", () => {}))).toBe(
				"INVALID_ARGUMENT",
			);
		});

		test("under the name that another run has used is another delivery", async () => {
			const { run, runtime, scripted, end, settled } = await running();
			await run.deliver("reply", () => "first");
			end();
			await settled;
			await runtime.send("k", "again");
			expect(await scripted.last.run.deliver("reply", () => "second")).toBe(
				"second",
			);
		});

		test("of something that is no name, or no effect, is refused", async () => {
			const { run, deliveries } = await running();
			for (const name of ["", "a\nb", 5, null])
				expect(await codeOf(run.deliver(wrong(name), () => {}))).toBe(
					"INVALID_ARGUMENT",
				);
			for (const act of [null, "post", {}])
				expect(await codeOf(run.deliver("reply", wrong(act)))).toBe(
					"INVALID_ARGUMENT",
				);
			expect(await deliveries()).toEqual([]);
		});

		for (const [cause, stop] of Object.entries(stops)) {
			test(`is refused once ${cause} has told its run to stop`, async () => {
				const host = await running();
				const { run, clock, end } = host;
				const stopped = stop(host);
				await turns();
				expect(run.signal.reason).toMatchObject({
					by: cause === "rollback" ? "interrupt" : cause,
				});
				const { calls, act } = scriptedEffect();
				await expect(run.deliver("reply", act)).rejects.toMatchObject({
					code: "STALE_RUN",
					message: expect.stringContaining(run.ticket.runId),
				});
				end();
				await clock.advance(100);
				await stopped;
				expect(await codeOf(run.deliver("later", act))).toBe("STALE_RUN");
				expect(calls).toEqual([]);
			});

			test(`that is under way when ${cause} comes sees its signal fire, and its result is kept`, async () => {
				const host = await running();
				const { calls, act, resolve } = scriptedEffect();
				const delivered = host.run.deliver("reply", act);
				await turns();
				const stopped = stop(host);
				await turns();
				expect(calls[0]?.signal.aborted).toBe(true);
				host.end();
				expect(await now(host.settled)).toBe("pending");
				expect(await host.deliveries()).toMatchObject([{ status: "begun" }]);
				resolve("sent all the same");
				expect(await delivered).toBe("sent all the same");
				expect(await host.settled).toMatchObject({
					outcome: cause === "shutdown" ? "interrupted" : "aborted",
				});
				await host.clock.advance(100);
				await stopped;
				expect(await host.deliveries()).toMatchObject([
					{ status: "done", result: "sent all the same" },
				]);
			});
		}

		test("is refused once its run took too long", async () => {
			const { run, clock } = await running({ runTimeoutMs: 50 });
			await clock.advance(50);
			expect(run.signal.reason).toMatchObject({ by: "timeout" });
			expect(await codeOf(run.deliver("reply", () => {}))).toBe("STALE_RUN");
		});

		test("is refused once its run has settled", async () => {
			const { run, end, settled } = await running();
			end();
			await settled;
			const { calls, act } = scriptedEffect();
			expect(await codeOf(run.deliver("reply", act))).toBe("STALE_RUN");
			expect(calls).toEqual([]);
		});

		test("whose run is told to stop while the intent is on its way does not start", async () => {
			const { run, runtime, end } = await running();
			const { calls, act } = scriptedEffect();
			const delivered = codeOf(run.deliver("reply", act));
			const aborted = runtime.abort("k");
			expect(await delivered).toBe("STALE_RUN");
			expect(calls).toEqual([]);
			end();
			await aborted;
		});

		test("that comes in one tick with a reset before it does not start", async () => {
			const { run, runtime, end, deliveries } = await running();
			const { calls, act } = scriptedEffect();
			const reset = runtime.reset("k");
			expect(await codeOf(run.deliver("reply", act))).toBe("STALE_RUN");
			expect(calls).toEqual([]);
			end();
			await reset;
			expect(await deliveries()).toEqual([]);
		});

		test("keeps the session busy until it ends, though the executor returned without waiting for it", async () => {
			const { run, runtime, end, settled, scripted } = await running();
			const next = await runtime.send("k", "next");
			const { act, resolve } = scriptedEffect();
			void run.deliver("reply", act);
			await turns();
			end("done");
			expect(await now(settled)).toBe("pending");
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				queued: 1,
			});
			expect(scripted.runs).toHaveLength(1);
			resolve(null);
			expect(await settled).toMatchObject({ output: "done" });
			await turns();
			expect(scripted.runs).toHaveLength(2);
			scripted.last.end();
			await next.settled;
		});

		test("that the executor begins with its last breath keeps the session busy too", async () => {
			const { calls, act, resolve } = scriptedEffect();
			const { runtime } = await startScripted(makeStore(), {
				execute: (run) => {
					void run.deliver("reply", act);
					return "done";
				},
			});
			const { settled } = await runtime.send("k", "hello");
			expect(await now(settled)).toBe("pending");
			expect(calls).toHaveLength(1);
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			resolve("sent");
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		test("that is made while the run's scope is disposed keeps the session busy too", async () => {
			const { calls, act, resolve } = scriptedEffect();
			const { runtime } = await startScripted(makeStore(), {
				execute: (run) => {
					run.scope.defer(() => {
						void run.deliver("goodbye", act);
					});
				},
			});
			const { settled } = await runtime.send("k", "hello");
			expect(await now(settled)).toBe("pending");
			expect(calls).toHaveLength(1);
			resolve("sent");
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		test("passes the very error of its effect on, and is kept as failed", async () => {
			const { run, deliveries, end, settled } = await running();
			const error = new TypeError("the channel is gone");
			await expect(
				run.deliver("reply", () => Promise.reject(error)),
			).rejects.toBe(error);
			expect(await deliveries()).toEqual([
				{ name: "reply", attempt: 1, status: "failed", result: null },
			]);
			end("went on");
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		test("whose effect throws at once, or something that is no Error, passes that on", async () => {
			const { run, deliveries } = await running();
			const thrown = [new Error("at once"), "a string", undefined, null, 0];
			for (const [at, error] of thrown.entries()) {
				const delivered = run.deliver(`d${at}`, () => {
					throw error;
				});
				const given = await delivered.then(
					() => "resolved",
					(rejected) => [rejected],
				);
				expect(given).toEqual([error]);
			}
			expect(await deliveries()).toMatchObject(
				thrown.map((_, at) => ({ name: `d${at}`, status: "failed" })),
			);
		});

		test("whose result is not JSON is INVALID_INPUT, and kept as failed", async () => {
			const { run, deliveries } = await running();
			const bad = [() => {}, 1n, Number.NaN, new Map(), Symbol("no")];
			for (const [at, result] of bad.entries())
				expect(await codeOf(run.deliver(`d${at}`, () => wrong(result)))).toBe(
					"INVALID_INPUT",
				);
			expect(await deliveries()).toMatchObject(
				bad.map(() => ({ status: "failed", result: null })),
			);
		});

		test("keeps its result as it was when the effect ended", async () => {
			const { run, deliveries } = await running();
			const result = { id: 1 };
			const delivered = run.deliver("reply", () => result);
			await delivered;
			result.id = 2;
			expect(await deliveries()).toMatchObject([{ result: { id: 1 } }]);
		});

		test("that fails after its run was abandoned is no death of the process, though nobody looks", async () => {
			const { run, end, clock, runtime } = await running();
			const { act, reject } = scriptedEffect();
			const deaths = await deathsOf(async () => {
				void run.deliver("reply", act);
				await turns();
				end();
				const aborted = runtime.abort("k");
				await clock.advance(100);
				await aborted;
				reject(new Error("late"));
			});
			expect(deaths).toEqual([]);
		});

		test("that never ends gives its run up after the grace period, and the next one runs", async () => {
			const { run, runtime, clock, end, settled, deliveries, scripted } =
				await running();
			await runtime.send("k", "next");
			void run.deliver("reply", scriptedEffect().act);
			await turns();
			end();
			await clock.advance(10_000);
			expect(await now(settled)).toBe("pending");
			const aborted = runtime.abort("k");
			await clock.advance(99);
			expect(await now(settled)).toBe("pending");
			await clock.advance(1);
			expect(await settled).toMatchObject({ outcome: "abandoned" });
			expect(await aborted).toMatchObject({
				report: { drained: [], abandoned: [{ outcome: "abandoned" }] },
			});
			expect(await deliveries()).toMatchObject([{ status: "begun" }]);
			await turns();
			expect(scripted.runs).toHaveLength(2);
		});

		test("whose result comes after its run was abandoned is noted in the record, and changes no row", async () => {
			const { run, runtime, clock, deliveries, feed } = await running();
			const { act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			const aborted = runtime.abort("k");
			await clock.advance(100);
			await aborted;
			const before = await runtime.get("k");
			const told = feed.filter(({ type }) => type === "row").length;
			resolve("late");
			expect(await delivered).toBe("late");
			expect(await deliveries()).toMatchObject([
				{ status: "done", result: "late" },
			]);
			expect(await runtime.get("k")).toEqual(before);
			expect(feed.filter(({ type }) => type === "row")).toHaveLength(told);
			expect((await runtime.runs("k")).items).toMatchObject([
				{ outcome: "abandoned", stoppedBy: "abort" },
			]);
		});

		test("whose end comes after its generation has ended is noted in the record, and changes no row", async () => {
			const { run, runtime, clock, deliveries } = await running();
			const { act, reject } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			const reset = runtime.reset("k");
			await clock.advance(100);
			await reset;
			const archive = await runtime.archive("k");
			const before = await runtime.get("k");
			const error = new Error("too late");
			reject(error);
			await expect(delivered).rejects.toBe(error);
			expect(await deliveries()).toMatchObject([{ status: "failed" }]);
			expect(await runtime.get("k")).toEqual(before);
			expect(await runtime.archive("k")).toEqual(archive);
		});

		test("whose result comes while its run drains is noted there", async () => {
			const { run, runtime, end, deliveries } = await running();
			const { act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			const reset = runtime.reset("k");
			await turns();
			resolve("in time");
			await delivered;
			expect(await deliveries()).toMatchObject([
				{ status: "done", result: "in time" },
			]);
			end();
			expect(await reset).toMatchObject({
				report: { drained: [{ outcome: "aborted" }], abandoned: [] },
			});
			expect(await deliveries()).toMatchObject([{ result: "in time" }]);
		});

		test("whose result comes late is no second end of its run to whoever waits for a reset", async () => {
			const hook = Promise.withResolvers<void>();
			const { run, runtime, clock } = await running({
				onGenerationEnded: () => hook.promise,
			});
			const { act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			const aborted = runtime.abort("k", { graceMs: 0 });
			const reset = runtime.reset("k");
			await clock.advance(0);
			await aborted;
			resolve("late");
			run.usage({ inputTokens: 5 });
			await delivered;
			await turns();
			hook.resolve();
			expect(await reset).toMatchObject({
				report: {
					drained: [],
					abandoned: [{ outcome: "abandoned", inputTokens: 5 }],
				},
			});
		});

		test("of a run that was purged meanwhile resolves, and brings nothing back", async () => {
			const { run, runtime, clock } = await running();
			const { act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			const deleted = runtime.delete("k", { purge: true });
			await clock.advance(100);
			await deleted;
			resolve("late");
			expect(await delivered).toBe("late");
			expect((await runtime.runs("k")).items).toEqual([]);
			expect(await runtime.get("k")).toBeNull();
		});

		test("whose result comes after the runtime closed resolves all the same", async () => {
			const host = await running();
			const { act, resolve } = scriptedEffect();
			const delivered = host.run.deliver("reply", act);
			await turns();
			await close(host, { graceMs: 100 });
			resolve("late");
			expect(await delivered).toBe("late");
			expect(await host.deliveries()).toMatchObject([{ status: "begun" }]);
		});

		test("whose intent cannot be kept is STORE_FAILED, and its effect does not start", async () => {
			const { run, store, deliveries, end, settled } = await running();
			const { calls, act } = scriptedEffect();
			store.faults.push("before", "before");
			expect(await codeOf(run.deliver("reply", act))).toBe("STORE_FAILED");
			expect(calls).toEqual([]);
			expect(await deliveries()).toEqual([]);
			// The name was not used.
			expect(await run.deliver("reply", () => "now")).toBe("now");
			end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		test("whose intent held although its commit failed starts, once", async () => {
			const { run, store } = await running();
			store.faults.push("after");
			const { calls, act, resolve } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			resolve("sent");
			expect(await delivered).toBe("sent");
			expect(calls).toHaveLength(1);
		});

		describe("whose intent held although its caller was told that it failed,", () => {
			/** The commit holds, and nobody can be asked whether it does. */
			async function inDoubt(how: () => Promise<unknown>, store: FaultyStore) {
				const opened = store.opened as OpenStore;
				const { version } = opened;
				store.faults.push("after");
				opened.version = () => Promise.reject(new Error("connection lost"));
				expect(await codeOf(how())).toBe("STORE_FAILED");
				opened.version = version;
			}

			test("may be asked for again by the same attempt, once", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, scripted } = await startScripted(store);
				await runtime.send("k", "hello");
				const { run } = scripted.last;
				const effect = scriptedEffect();
				await inDoubt(() => run.deliver("mail", effect.act), store);
				await turns();
				const sent = run.deliver("mail", effect.act);
				expect(await codeOf(run.deliver("mail", effect.act))).toBe(
					"INVALID_ARGUMENT",
				);
				effect.resolve("sent");
				expect(await sent).toBe("sent");
				expect(effect.calls).toHaveLength(1);
				expect(await deliveriesOf(store, "k", run.ticket.runId)).toEqual([
					{ name: "mail", attempt: 1, status: "done", result: "sent" },
				]);
				expect(await codeOf(run.deliver("mail", effect.act))).toBe(
					"INVALID_ARGUMENT",
				);
			});

			test("and that an earlier attempt has done, is not done again", async () => {
				const crashing = new CrashingStore(makeStore());
				const recovery = { mode: "retry", maxAttempts: 2 } as const;
				const first = await startScripted(crashing, { recovery });
				await first.runtime.send("k", "hello");
				await first.scripted.last.run.deliver("mail", () => "sent");
				await crashing.crash();
				const store = new FaultyStore(crashing);
				const { scripted } = await startScripted(store, { recovery });
				await turns();
				const { run } = scripted.last;
				const effect = scriptedEffect();
				await inDoubt(() => run.deliver("mail", effect.act), store);
				await turns();
				expect(await run.deliver("mail", effect.act)).toBe("sent");
				expect(effect.calls).toEqual([]);
			});
		});

		test("whose result cannot be kept is tried again until it is, and its session stays busy", async () => {
			const { run, store, clock, end, settled, deliveries } = await running();
			const { act, resolve, calls } = scriptedEffect();
			const delivered = run.deliver("reply", act);
			await turns();
			store.broken = true;
			resolve("sent");
			end();
			expect(await now(delivered)).toBe("pending");
			await clock.advance(1000);
			expect(await now(settled)).toBe("pending");
			store.broken = false;
			await clock.advance(5000);
			expect(await delivered).toBe("sent");
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(calls).toHaveLength(1);
			expect(await deliveries()).toMatchObject([
				{ status: "done", result: "sent" },
			]);
		});

		describe("of a run that the host drives", () => {
			test("is kept as those of other runs are", async () => {
				const { runtime, store } = await startScripted(makeStore());
				const run = await runtime.admit("k", { runId: "r1" });
				let during: unknown;
				const given = await run.deliver("reply", async () => {
					during = await deliveriesOf(store, "k", "r1");
					return 5;
				});
				expect(given).toBe(5);
				expect(during).toMatchObject([{ status: "begun" }]);
				await run.end();
				expect(await deliveriesOf(store, "k", "r1")).toMatchObject([
					{ status: "done", result: 5 },
				]);
			});

			test("is refused for a reservation, after its end, and once it was told to stop", async () => {
				const { runtime } = await startScripted(makeStore());
				const run = await runtime.admit("k", { reserve: true });
				expect(await codeOf(run.deliver("a", () => {}))).toBe("STALE_RUN");
				await run.start();
				expect(await run.deliver("a", () => "live")).toBe("live");
				await run.end();
				expect(await codeOf(run.deliver("b", () => {}))).toBe("STALE_RUN");
				const other = await runtime.admit("k");
				const aborted = runtime.abort("k");
				await turns();
				expect(await codeOf(other.deliver("a", () => {}))).toBe("STALE_RUN");
				await other.end();
				await aborted;
			});

			test("does not start if the end of its run came with its intent", async () => {
				const { runtime } = await startScripted(makeStore());
				const run = await runtime.admit("k");
				const { calls, act } = scriptedEffect();
				const delivered = codeOf(run.deliver("reply", act));
				await run.end();
				expect(await now(delivered)).toBe("STALE_RUN");
				expect(calls).toEqual([]);
			});

			test("whose result comes after the end is noted in its record", async () => {
				const { runtime, store } = await startScripted(makeStore());
				const run = await runtime.admit("k", { runId: "r1" });
				const { act, resolve } = scriptedEffect();
				const delivered = run.deliver("reply", act);
				await turns();
				await run.end();
				const before = await runtime.get("k");
				resolve("late");
				await delivered;
				expect(await deliveriesOf(store, "k", "r1")).toMatchObject([
					{ status: "done", result: "late" },
				]);
				expect(await runtime.get("k")).toEqual(before);
			});
		});
	});
