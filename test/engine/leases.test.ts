/** `leaseMs`: host-driven runs that outlive this process, until they are silent for too long. */
import type {
	AdmittedRun,
	JsonValue,
	RuntimeOptions,
	SessionStore,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { type Host, startHost } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const R = { runId: "R" };
const leaseMs = 10_000;

/** What the store holds of the live run. */
async function stored(store: SessionStore, key = "k") {
	const reader = await store.read();
	const loaded = await reader.load(key);
	await reader[Symbol.asyncDispose]();
	return loaded?.facts.run ?? null;
}

/** A process that dies, and the next one, which begins `laterMs` after that. */
async function crash(
	host: Host,
	laterMs: number,
	options: Options = {},
): Promise<Host> {
	await (host.store as CrashingStore).crash();
	return startHost(host.store, {
		clock: new VirtualClock(host.clock.now() + laterMs),
		...options,
	});
}

for (const [kind, makeStore] of storeKinds)
	describe(`leases, on ${kind}`, () => {
		const start = (options?: Options): Promise<Host> =>
			startHost(new CrashingStore(makeStore()), options);
		const admit = async (options?: Options) => {
			const host = await start(options);
			const run = await host.runtime.admit("k", { ...R, leaseMs });
			return { ...host, run };
		};
		const isLive = async ({ runtime }: Pick<Host, "runtime">) =>
			(await runtime.get("k"))?.hasActiveRun;

		describe("silence", () => {
			test("settles a run 'interrupted', and not a moment before its lease is over", async () => {
				const { runtime, clock, run } = await admit();
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					hasActiveRun: false,
					lastOutcome: "interrupted",
				});
				expect((await runtime.runs("k")).items).toMatchObject([
					{
						...R,
						outcome: "interrupted",
						stoppedBy: null,
						error: expect.stringContaining(`${leaseMs} ms`),
						endedAt: clock.now(),
					},
				]);
				// Whoever still drives it is told.
				expect(run.signal.aborted).toBe(true);
				expect(await run.end()).toMatchObject({ verdict: "duplicate" });
			});

			test("lets the line go on", async () => {
				const { runtime, clock, scripted } = await startScripted(makeStore());
				await runtime.admit("k", { ...R, leaseMs });
				await runtime.send("k", "hello");
				await clock.advance(leaseMs);
				expect(scripted.last.run.messages).toMatchObject([{ input: "hello" }]);
			});

			test("of one run is not that of another", async () => {
				const { runtime, clock } = await admit();
				const other = await runtime.admit("other", { leaseMs: 3 * leaseMs });
				await clock.advance(leaseMs);
				expect(await runtime.get("k")).toMatchObject({ status: "ended" });
				expect(await runtime.get("other")).toMatchObject({ status: "running" });
				await other.end();
				await clock.advance(5 * leaseMs);
				expect(await runtime.get("other")).toMatchObject({
					lastOutcome: "completed",
				});
			});

			test("does not count while the run waits, and begins anew with the answer", async () => {
				const { runtime, clock, run } = await admit();
				await clock.advance(leaseMs - 1);
				const answer = run.waitFor("ok");
				await clock.advance(20 * leaseMs);
				expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
				await runtime.resume(run.ticket, "ok", 1);
				expect(await answer).toBe(1);
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("that cannot be stored is tried again until it is", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, clock } = await startHost(store);
				await runtime.admit("k", { ...R, leaseMs });
				store.broken = true;
				await clock.advance(leaseMs + 1000);
				store.broken = false;
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(10_000);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("is over for a run that gave a sign of life while its end could not be stored", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, clock } = await startHost(store);
				const run = await runtime.admit("k", { ...R, leaseMs });
				store.broken = true;
				await clock.advance(leaseMs);
				run.progress("here");
				await turns();
				store.broken = false;
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("a clock that steps back ends nothing early", async () => {
				const { runtime, clock, run } = await admit();
				await clock.advance(leaseMs / 2);
				clock.stepBack(leaseMs * 10);
				run.progress(1);
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});
		});

		const signs: Record<
			string,
			(run: AdmittedRun, host: Host) => Promise<unknown> | unknown
		> = {
			start: (run) => run.start(),
			progress: (run) => run.progress("…"),
			usage: (run) => run.usage({ outputTokens: 1 }),
			"usage of nothing": (run) => run.usage({}),
			append: (run) => run.append("line"),
			rotate: (run) => run.rotate(),
			deliver: (run) => run.deliver("reply", () => {}),
			"a report of progress": (run, { runtime }) =>
				runtime.report({ ...run.ticket, phase: "progress" }),
			"a report of its start": (run, { runtime }) =>
				runtime.report({ runId: run.ticket.runId, phase: "start" }),
			"to be admitted again": (_, { runtime }) => runtime.admit("k", R),
		};
		for (const [name, sign] of Object.entries(signs))
			describe(`${name}, as a sign of life,`, () => {
				test("begins the time anew", async () => {
					const host = await admit();
					await host.clock.advance(leaseMs - 1);
					await sign(host.run, host);
					await host.clock.advance(leaseMs - 1);
					expect(await isLive(host)).toBe(true);
					await host.clock.advance(1);
					expect(await host.runtime.get("k")).toMatchObject({
						hasActiveRun: false,
						lastOutcome: "interrupted",
					});
				});

				test("is known after a crash", async () => {
					const host = await admit();
					await host.clock.advance(leaseMs - 1);
					await sign(host.run, host);
					await turns();
					const next = await crash(host, leaseMs - 1);
					expect(await isLive(next)).toBe(true);
					await next.clock.advance(1);
					expect(await isLive(next)).toBe(false);
				});
			});

		test("what does not count is no sign of life: reads, refused reports, reports of others", async () => {
			const host = await admit();
			const { runtime, clock, run } = host;
			await clock.advance(leaseMs - 1);
			await runtime.get("k");
			await runtime.patch("k", { a: 1 });
			await runtime.report({ ...run.ticket, attempt: 2, phase: "progress" });
			await runtime.report({ runId: "Q", phase: "progress" });
			await runtime.admit("k", { runId: "Q" }).catch(() => {});
			await clock.advance(1);
			expect(await isLive(host)).toBe(false);
		});

		describe("what is kept of signs of life", () => {
			test("is written once a second at most, and costs no version otherwise", async () => {
				const { runtime, clock, store, run } = await admit();
				const before = (await runtime.get("k"))?.version as number;
				for (let i = 0; i < 50; i++) {
					run.progress(i);
					await clock.advance(100);
				}
				await turns();
				const after = (await runtime.get("k"))?.version as number;
				expect(after - before).toBeGreaterThanOrEqual(4);
				expect(after - before).toBeLessThanOrEqual(5);
				const seenAt = (await stored(store))?.seenAt as number;
				expect(clock.now() - seenAt).toBeLessThanOrEqual(1100);
			});

			test("many in one moment are one", async () => {
				const { runtime, clock, run } = await admit();
				await clock.advance(5000);
				const before = (await runtime.get("k"))?.version as number;
				for (let i = 0; i < 50; i++) run.progress(i);
				await turns();
				expect((await runtime.get("k"))?.version).toBe(before + 1);
			});

			test("nothing, of a run without a lease", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k", R);
				await clock.advance(5000);
				run.progress(1);
				await turns();
				expect(await runtime.get("k")).toMatchObject({ version: 1 });
				await clock.advance(1e6);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});

			test("one that cannot be written costs nobody anything", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, clock } = await startHost(store);
				const run = await runtime.admit("k", { ...R, leaseMs });
				await clock.advance(5000);
				store.broken = true;
				run.progress(1);
				await turns();
				store.broken = false;
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				expect(await run.end()).toMatchObject({ verdict: "applied" });
			});
		});

		describe("a reservation", () => {
			test("has no time to lose until it starts", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k", { ...R, reserve: true, leaseMs });
				await clock.advance(5 * leaseMs);
				expect(await run.start()).toMatchObject({ verdict: "applied" });
				await clock.advance(leaseMs - 1);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				await clock.advance(1);
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("keeps its lease over a restart", async () => {
				const host = await start();
				await host.runtime.admit("k", { ...R, reserve: true, leaseMs });
				const next = await crash(host, 5 * leaseMs);
				expect(
					await next.runtime.report({ ...R, phase: "start" }),
				).toMatchObject({ verdict: "applied" });
				const third = await crash(next, leaseMs - 1);
				expect(await isLive(third)).toBe(true);
			});
		});

		for (const [way, goDown] of [
			["a crash", (host: Host) => crash(host, 0)],
			[
				"a close",
				async (host: Host) => {
					await close(host);
					return startHost(host.store, {
						clock: new VirtualClock(host.clock.now()),
					});
				},
			],
		] as const)
			describe(`over ${way}`, () => {
				test("a run with a lease lives on, and ends by its report", async () => {
					const host = await admit();
					const next = await goDown(host);
					expect(await next.runtime.get("k")).toMatchObject({
						status: "running",
						activeRun: { ...R, attempt: 1, generation: 1 },
					});
					expect(
						await next.runtime.report({ ...R, phase: "end" }),
					).toMatchObject({ verdict: "applied", row: { status: "ended" } });
					await next.clock.advance(5 * leaseMs);
					expect((await next.runtime.runs("k")).items).toMatchObject([
						{ outcome: "completed" },
					]);
				});

				test("it ends by silence, measured from the last sign of life that was kept", async () => {
					const host = await admit();
					await host.clock.advance(3000);
					host.run.progress(1);
					await turns();
					const { clock } = host;
					const before = clock.now();
					const next = await goDown(host);
					const gone = next.clock.now() - before;
					await next.clock.advance(leaseMs - gone - 1);
					expect(await isLive(next)).toBe(true);
					await next.clock.advance(1);
					expect(await next.runtime.get("k")).toMatchObject({
						lastOutcome: "interrupted",
						hasActiveRun: false,
					});
				});

				test("it keeps its session, and what waits behind it", async () => {
					const host = await startScripted(new CrashingStore(makeStore()));
					await host.runtime.admit("k", { ...R, leaseMs: 60_000 });
					await host.runtime.send("k", "hello");
					if (way === "a crash") await (host.store as CrashingStore).crash();
					else await close(host);
					const next = await startScripted(host.store);
					await turns();
					expect(await next.runtime.get("k")).toMatchObject({
						status: "running",
						queued: 1,
					});
					expect(await codeOf(next.runtime.admit("k"))).toBe("SESSION_BUSY");
					await next.runtime.report({ ...R, phase: "end" });
					await turns();
					expect(next.scripted.last.run.messages).toMatchObject([
						{ input: "hello" },
					]);
				});

				test("whoever drives it can have it in hand again", async () => {
					const host = await admit();
					const next = await goDown(host);
					const run = await next.runtime.admit("k", R);
					expect(run.ticket).toEqual(host.run.ticket);
					expect(run.signal.aborted).toBe(false);
					await run.append("more");
					expect(await run.end()).toMatchObject({ verdict: "applied" });
				});

				test("it can be stopped, and what it says then is no longer counted", async () => {
					const host = await admit();
					const next = await goDown(host);
					const run = await next.runtime.admit("k", R);
					const aborted = next.runtime.abort("k");
					await turns();
					expect(run.signal.aborted).toBe(true);
					await run.end();
					expect(await aborted).toMatchObject({
						result: "done",
						report: { drained: [{ outcome: "aborted", stoppedBy: "abort" }] },
					});
				});

				test("a host-driven run without a lease is interrupted", async () => {
					const host = await start();
					await host.runtime.admit("k", R);
					const next = await goDown(host);
					expect(await next.runtime.get("k")).toMatchObject({
						lastOutcome: "interrupted",
					});
				});

				test("one that waits is not interrupted for its silence", async () => {
					const host = await admit();
					await host.clock.advance(leaseMs - 1);
					void host.run.waitFor("ok");
					await host.clock.advance(5 * leaseMs);
					const next = await goDown(host);
					expect(await next.runtime.get("k")).toMatchObject({
						status: "waiting",
						waits: ["ok"],
					});
					await next.clock.advance(5 * leaseMs);
					expect(
						await next.runtime.resume(host.run.ticket, "ok", "yes"),
					).toMatchObject({ result: "done", row: { status: "running" } });
					const run = await next.runtime.admit("k", R);
					expect(await run.waitFor("ok")).toBe("yes");
					await next.clock.advance(leaseMs);
					expect(await next.runtime.get("k")).toMatchObject({
						lastOutcome: "interrupted",
					});
				});
			});

		test("an answer is a sign of life that a crash does not undo", async () => {
			const host = await admit();
			void host.run.waitFor("ok");
			await host.clock.advance(5 * leaseMs);
			await host.runtime.resume(host.run.ticket, "ok", 1);
			await turns();
			const next = await crash(host, leaseMs - 1);
			expect(await isLive(next)).toBe(true);
		});

		test("a lease that was over while nobody was there settles its run at the start", async () => {
			const host = await admit();
			const next = await crash(host, leaseMs);
			expect((await next.runtime.runs("k")).items).toMatchObject([
				{
					outcome: "interrupted",
					error: expect.stringContaining(`${leaseMs} ms`),
				},
			]);
			expect(await next.runtime.report({ ...R, phase: "end" })).toMatchObject({
				verdict: "duplicate",
			});
			expect((await next.runtime.admit("k", R)).ticket).toMatchObject({
				attempt: 2,
			});
		});

		test("a run that had been told to stop does not live on", async () => {
			const host = await admit();
			void host.runtime.abort("k").catch(() => {});
			await turns();
			const next = await crash(host, 0);
			expect(await next.runtime.get("k")).toMatchObject({
				lastOutcome: "aborted",
				hasActiveRun: false,
			});
		});

		test("a reset leaves a crashed run with a lease behind, settled", async () => {
			const host = await admit();
			void host.runtime.reset("k").catch(() => {});
			await turns();
			const next = await crash(host, 0);
			expect(await next.runtime.get("k")).toMatchObject({
				generation: 2,
				status: "idle",
				draining: 0,
			});
			expect((await next.runtime.archive("k")).items).toMatchObject([
				{ runs: [{ outcome: "aborted", stoppedBy: "reset" }] },
			]);
		});

		describe("stopping", () => {
			test("a reset drains it for its grace period, as any other, and abandons it", async () => {
				const { runtime, clock, run } = await admit({ graceMs: 100 });
				const reset = runtime.reset("k");
				await turns();
				expect(run.signal.aborted).toBe(true);
				expect(await runtime.get("k")).toMatchObject({ status: "resetting" });
				await clock.advance(100);
				expect(await reset).toMatchObject({
					report: { abandoned: [{ outcome: "abandoned" }] },
				});
				await clock.advance(2 * leaseMs);
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					status: "idle",
				});
			});

			test("a silent one that drains under a long grace is settled by its lease, as aborted", async () => {
				const { runtime, clock } = await admit();
				const reset = runtime.reset("k", { graceMs: 10 * leaseMs });
				await clock.advance(leaseMs);
				expect(await now(reset)).toMatchObject({
					report: { drained: [{ outcome: "aborted", stoppedBy: "reset" }] },
				});
			});
		});

		describe("closing", () => {
			test("does not wait for it, nor stop it, nor settle it", async () => {
				for (const runs of ["abort", "await"] as const) {
					const { runtime, store, run } = await admit();
					expect(await now(runtime.close({ runs }))).toBeUndefined();
					expect(run.signal.aborted).toBe(false);
					expect(await stored(store)).toMatchObject({
						...R,
						status: "admitted",
						stop: null,
						outcome: null,
					});
				}
			});

			test("takes a report on it while it lasts", async () => {
				const { runtime, clock } = await startScripted(makeStore());
				await runtime.admit("k", { ...R, leaseMs });
				await runtime.send("other", "hello");
				const closing = runtime.close({ graceMs: 1000 });
				await turns();
				expect(await runtime.report({ ...R, phase: "end" })).toMatchObject({
					verdict: "applied",
				});
				await clock.advance(1000);
				await closing;
			});

			test("leaves its handle harmless", async () => {
				const { runtime, run } = await admit();
				await runtime.close();
				run.progress(1);
				run.usage({ inputTokens: 1 });
				expect(await codeOf(run.append("x"))).toBe("RUNTIME_CLOSED");
				expect(await codeOf(run.end())).toBe("RUNTIME_CLOSED");
			});

			test("interrupts a host-driven run without one", async () => {
				const { runtime, store } = await start();
				const run = await runtime.admit("k", R);
				await runtime.close();
				expect(run.signal.aborted).toBe(true);
				expect(await stored(store)).toBeNull();
			});
		});

		test("an admission that holds although it was said to have failed loses its lease by silence", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime, clock } = await startHost(store);
			await runtime.reset("k");
			const opened = store.opened as { version(key: string): Promise<number> };
			const version = opened.version.bind(opened);
			let isBlind = true;
			opened.version = async (key) => {
				if (isBlind) throw new Error("connection lost");
				return version(key);
			};
			store.faults.push("after");
			expect(await codeOf(runtime.admit("k", { ...R, leaseMs }))).toBe(
				"STORE_FAILED",
			);
			isBlind = false;
			await clock.advance(1000);
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			// Its host may have it after all, if it asks again.
			expect((await runtime.admit("k", R)).ticket).toMatchObject(R);
			await clock.advance(leaseMs);
			expect(await runtime.get("k")).toMatchObject({
				lastOutcome: "interrupted",
			});
		});

		for (const bad of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "9"])
			test(`${bad} is no lease`, async () => {
				const { runtime } = await start();
				expect(
					await codeOf(runtime.admit("k", { leaseMs: bad as number })),
				).toBe("INVALID_ARGUMENT");
				expect(await runtime.get("k")).toBeNull();
			});
	});
