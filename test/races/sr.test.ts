/** Scenarios of category SR: a process goes, and a session says for ever after that it runs. */
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { close } from "../support/restart.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
import {
	agree,
	overtake,
	scenarios,
	type WatchedHost,
	watch,
} from "./scenario.ts";

const minute = 60_000;
const hour = 60 * minute;

/** What every row says after a start: nothing is live, and nothing is open behind it. */
async function expectSettled(host: WatchedHost, key = "k"): Promise<void> {
	expect(await agree(host, key)).toMatchObject({
		hasActiveRun: false,
		activeRun: null,
		draining: 0,
		waits: [],
	});
	for (const { outcome } of (await host.runtime.runs(key)).items)
		expect(outcome).not.toBeNull();
}

scenarios(
	"SR, stuck as running after a crash or a restart",
	({ makeStore, start }) => {
		test("SR-01 a run that a restart cut off has ended at the next start, and what waited behind it runs with nobody's help", async () => {
			for (const restarts of ["by a close", "by a crash"]) {
				const store = new CrashingStore(makeStore());
				const before = await watch(store);
				await before.runtime.send("k", "patches the config");
				await before.runtime.send("k", "waits", { messageId: "waits" });
				if (restarts === "by a close") await close(before);
				else await store.crash();
				const host = await watch(store);
				await turns();
				expect(host.scripted.runs, restarts).toMatchObject([
					{ run: { messages: [{ messageId: "waits" }] } },
				]);
				host.scripted.last.end();
				await host.runtime.whenIdle();
				expect((await host.runtime.runs("k")).items).toMatchObject([
					{ messageIds: ["waits"], outcome: "completed" },
					{
						outcome: restarts === "by a close" ? "abandoned" : "interrupted",
						endedAt: expect.any(Number),
					},
				]);
				await expectSettled(host);
			}
		});

		test("SR-02 what goes on elsewhere settles what it goes on from in the same commit, and who watched the key sees the successor", async () => {
			const store = new CrashingStore(makeStore());
			const before = await watch(store);
			await before.runtime.send("k", "turn");
			await store.crash();
			const host = await watch(store, {
				recovery: { mode: "retry", maxAttempts: 3 },
			});
			const { runtime, scripted } = host;
			const atom = runtime.atom("k");
			await turns();
			// The attempt goes on as another: nothing of the first is open beside it.
			expect((await runtime.runs("k")).items).toMatchObject([
				{ attempt: 2, outcome: null },
				{ attempt: 1, outcome: "interrupted", endedAt: expect.any(Number) },
			]);
			const seen = host.feed.length;
			// The host forks: a new session id with a first message, in one commit.
			const fork = await runtime.send("k", "continue", { reset: true });
			const rows = host.feed
				.slice(seen)
				.flatMap((event) => (event.type === "row" ? [event.row] : []));
			expect(rows.length).toBeGreaterThan(0);
			for (const row of rows)
				expect(row).toMatchObject({ generation: 2, status: "resetting" });
			expect(atom.get()).toEqual(await agree(host, "k"));
			scripted.last.end();
			await turns();
			expect(atom.get()).toMatchObject({
				generation: 2,
				status: "running",
				activeRun: { generation: 2 },
			});
			expect((await runtime.archive("k")).items).toMatchObject([
				{
					row: { hasActiveRun: false, endedAt: expect.any(Number) },
					runs: [{ outcome: "aborted" }, { outcome: "interrupted" }],
				},
			]);
			scripted.last.end();
			expect(await fork.settled).toMatchObject({ outcome: "completed" });
			expect(atom.get()).toEqual(await agree(host, "k"));
			await expectSettled(host);
		});

		test("SR-04 a recovery that hangs comes to its end like any other run, over any number of restarts, and the next message runs", async () => {
			const store = new CrashingStore(makeStore());
			const clock = stillClock();
			const options = {
				clock,
				recovery: { mode: "retry", maxAttempts: 3 },
				runTimeoutMs: hour,
				graceMs: minute,
			} as const;
			let host = await watch(store, options);
			await host.runtime.send("k", "hangs", { messageId: "hangs" });
			await store.crash();
			// It hangs, and so does its process, once more.
			host = await watch(store, options);
			await turns();
			expect(host.scripted.last.run.ticket.attempt).toBe(2);
			await store.crash();
			host = await watch(store, options);
			await turns();
			expect(host.scripted.last.run.ticket.attempt).toBe(3);
			const next = await host.runtime.send("k", "next");
			expect(next.disposition).toBe("queued");
			// It does not heed its time either.
			await clock.advance(hour + minute);
			expect(host.scripted.last.run.messages).toMatchObject([
				{ input: "next" },
			]);
			host.scripted.last.end();
			expect(await next.settled).toMatchObject({ outcome: "completed" });
			await store.crash();
			host = await watch(store, options);
			await turns();
			expect(host.scripted.runs).toEqual([]);
			expect(
				(await host.runtime.runs("k")).items.map(({ attempt, outcome }) => [
					attempt,
					outcome,
				]),
			).toEqual([
				[1, "completed"],
				[3, "abandoned"],
				[2, "interrupted"],
				[1, "interrupted"],
			]);
			await expectSettled(host);
		});

		test("SR-05 a start finds what the last process left by what it owned, whichever way that process went", async () => {
			const ways: Record<
				string,
				(host: WatchedHost, store: CrashingStore) => Promise<unknown>
			> = {
				"killed as it ran": (_, store) => store.crash(),
				"killed as it drained its work": async (host, store) => {
					void codeOf(host.runtime.close({ runs: "await", graceMs: hour }));
					await host.clock.advance(5 * minute);
					await store.crash();
				},
				"killed as it stopped its work": async (host, store) => {
					void codeOf(host.runtime.close({ graceMs: hour }));
					await turns();
					await store.crash();
				},
				"closed, with the time for it over": (host) =>
					close(host, { runs: "await", graceMs: 5 * minute }),
				"killed after a stop": async (host, store) => {
					void codeOf(host.runtime.abort("k"));
					void codeOf(host.runtime.abort("host"));
					await turns();
					await store.crash();
				},
			};
			for (const [way, goes] of Object.entries(ways)) {
				const store = new CrashingStore(makeStore());
				const before = await watch(store);
				await before.runtime.send("k", "managed");
				await before.runtime.admit("host", { runId: "R" });
				await goes(before, store);
				const host = await watch(store);
				await turns();
				for (const key of ["k", "host"]) {
					await expectSettled(host, key);
					expect(await host.runtime.get(key), way).toMatchObject({
						status: "ended",
						endedAt: expect.any(Number),
					});
				}
			}
		});

		test("SR-07 what is left of a dead process is settled before anybody is served, also where no run is on record", async () => {
			const store = new CrashingStore(makeStore());
			const before = await watch(store);
			const { runtime: dead, scripted } = before;
			await dead.send("parent", "work");
			const { run } = scripted.last;
			await run.spawn("child", "task");
			await dead.admit("host", { runId: "R" });
			await dead.admit("reserved", { runId: "later", reserve: true });
			await store.crash();
			const host = await watch(store);
			// The first that is asked of it, by whoever comes first.
			for (const key of ["parent", "child", "host"])
				await expectSettled(host, key);
			expect(
				(await host.runtime.runs("child")).items.map(({ outcome }) => outcome),
			).toEqual(["interrupted"]);
			// Who was only named has held nothing, and may still come.
			expect(await agree(host, "reserved")).toMatchObject({ status: "idle" });
			for (const phase of ["start", "end"] as const)
				expect(
					await host.runtime.report({ runId: "later", phase }),
				).toMatchObject({ verdict: "applied" });
			await expectSettled(host, "reserved");
		});

		test("SR-07 an owner that comes between the plan to settle and its commit is not overwritten", async () => {
			const inner = makeStore();
			const before = new CrashingStore(inner);
			await (await watch(before)).runtime.admit("k", { runId: "R" });
			await before.crash();
			const store = new FaultyStore(inner);
			const taken = overtake(store, "k");
			const started = codeOf(watch(store));
			await taken;
			expect(await started).toBe("STORE_LOCKED");
			const reader = await inner.read();
			const loaded = await reader.load("k");
			await reader[Symbol.asyncDispose]();
			// What the other wrote stands, with nothing on top of it.
			expect(loaded?.facts).toMatchObject({
				run: null,
				last: { outcome: "interrupted" },
				version: 3,
			});
		});

		test("SR-08 a crash and a stop both leave an end on record", async () => {
			const store = new CrashingStore(makeStore());
			let host = await watch(store, { graceMs: minute });
			await host.runtime.send("stopped", "R");
			const stop = host.runtime.abort("stopped", { reason: "/stop" });
			await turns();
			host.scripted.last.end();
			await stop;
			await host.runtime.send("stopped, and hangs", "R");
			const stops = host.runtime.abort("stopped, and hangs");
			await host.clock.advance(minute);
			await stops;
			await host.runtime.send("crashed", "R");
			await host.runtime.send("stopped, and crashed", "R");
			void codeOf(host.runtime.abort("stopped, and crashed"));
			await turns();
			await store.crash();
			host = await watch(store);
			const outcomes = {
				stopped: "aborted",
				"stopped, and hangs": "abandoned",
				crashed: "interrupted",
				"stopped, and crashed": "aborted",
			};
			for (const [key, outcome] of Object.entries(outcomes)) {
				expect((await host.runtime.runs(key)).items, key).toMatchObject([
					{ outcome, endedAt: expect.any(Number) },
				]);
				await expectSettled(host, key);
				const { disposition } = await host.runtime.send(key, "next");
				expect(disposition).toBe("started");
				host.scripted.last.end();
			}
		});

		test("SR-10 an end settles whatever its run had open, and the next message waits for none of it", async () => {
			const ways = ["failed", "timeout", "killed"] as const;
			for (const way of ways) {
				const host = await start({ runTimeoutMs: hour, graceMs: minute });
				const { runtime, scripted, clock } = host;
				await runtime.send("group", "turn");
				const { run, fail } = scripted.last;
				// A reply that does not come to its end, a child, a wait, and a name for later.
				const reply = codeOf(run.deliver("reply", () => new Promise(() => {})));
				const asks = codeOf(run.waitFor("approve", { timeoutMs: 30 * minute }));
				await run.spawn("child", "task");
				await runtime.admit("group", { runId: "later", reserve: true });
				await turns();
				const visible = await runtime.send("group", "visible");
				expect(visible.disposition).toBe("queued");
				let stopped: Promise<unknown> = Promise.resolve();
				if (way === "killed") stopped = runtime.abort("group");
				else if (way === "failed") fail(new Error("broke"));
				// What it has begun is under way for as long as a run may take, without the time that it waited.
				await clock.advance(way === "killed" ? 2 * minute : 2 * hour);
				await stopped;
				expect(scripted.last.run.messages, way).toMatchObject([
					{ input: "visible" },
				]);
				expect(await asks).toBe(
					way === "killed" ? "RUN_ABORTED" : "WAIT_TIMEOUT",
				);
				expect(await now(reply)).toBe("pending");
				scripted.last.end();
				expect(await visible.settled, way).toMatchObject({
					outcome: "completed",
				});
				for (const key of ["group", "child"])
					expect(await agree(host, key)).toMatchObject({
						hasActiveRun: false,
						waits: [],
						queued: 0,
					});
			}
		});

		test("SR-11 a cancel of a run whose worker has died settles run, session and lease together", async () => {
			for (const died of ["its worker", "its worker and the host"]) {
				const store = new CrashingStore(makeStore());
				let host = await watch(store, { graceMs: minute });
				const { ticket } = await host.runtime.admit("thread", {
					runId: "R",
					leaseMs: 10 * minute,
				});
				if (died.endsWith("host")) {
					await store.crash();
					host = await watch(store, { graceMs: minute });
				}
				const { runtime, clock } = host;
				expect(await agree(host, "thread")).toMatchObject({
					activeRun: ticket,
				});
				const cancel = runtime.abort("thread", { expect: { runId: "R" } });
				await turns();
				// It is told to nobody, and the thread is busy no longer than its grace.
				expect(await now(cancel)).toBe("pending");
				await clock.advance(minute);
				expect(await cancel, died).toMatchObject({
					result: "done",
					row: { status: "ended", lastOutcome: "abandoned" },
					report: { abandoned: [{ runId: "R" }] },
				});
				const next = await runtime.admit("thread", { runId: "next" });
				const live = await agree(host, "thread");
				// The lease of the dead run does not ring in the next.
				await clock.advance(hour);
				expect(await agree(host, "thread")).toEqual(live);
				await next.end();
				await expectSettled(host, "thread");
			}
		});

		test("SR-13 a run without an owner does not turn the next tick away, and its cancel is not a success that does nothing", async () => {
			const store = new CrashingStore(makeStore());
			const reject = { overlap: "reject", graceMs: minute } as const;
			const before = await watch(store, reject);
			await before.runtime.send("cron", "tick 1");
			const { ticket } = await before.runtime.admit("ghost", {
				leaseMs: 86_400_000,
			});
			await store.crash();
			const host = await watch(store, reject);
			const { runtime, scripted, clock } = host;
			// A run of the dead process is none at all: the next tick begins.
			expect(await runtime.abort("cron")).toMatchObject({ result: "nothing" });
			expect(await runtime.send("cron", "tick 2")).toMatchObject({
				disposition: "started",
			});
			scripted.last.end();
			await runtime.whenIdle("cron");
			// One that may be alive elsewhere is busy, and says so.
			expect(await codeOf(runtime.send("ghost", "tick"))).toBe("SESSION_BUSY");
			const cancel = runtime.abort("ghost");
			await clock.advance(minute);
			expect(await cancel).toMatchObject({
				result: "done",
				report: { abandoned: [{ runId: ticket.runId }] },
			});
			expect(await runtime.send("ghost", "tick")).toMatchObject({
				disposition: "started",
			});
			scripted.last.end();
			for (const key of ["cron", "ghost"]) {
				await runtime.whenIdle(key);
				await expectSettled(host, key);
			}
		});

		test("SR-14 a session that rests has no open turn, wherever it is read after a start", async () => {
			const store = new CrashingStore(makeStore());
			const before = await watch(store);
			for (const key of ["k", "was reset"])
				await before.runtime.send(key, "turn");
			void codeOf(before.runtime.reset("was reset"));
			await turns();
			await store.crash();
			const host = await watch(store);
			await turns();
			for (const key of ["k", "was reset"]) {
				await expectSettled(host, key);
				for (const ended of (await host.runtime.archive(key)).items) {
					expect(ended.row.hasActiveRun).toBe(false);
					for (const { outcome } of ended.runs) expect(outcome).toBe("aborted");
				}
				// The client is not stuck either: it may ask for the next turn.
				const { disposition } = await host.runtime.send(key, "input");
				expect(disposition).toBe("started");
				host.scripted.last.end();
				await host.runtime.whenIdle(key);
			}
			expect(await agree(host, "k")).toMatchObject({ status: "ended" });
		});

		test("SR-16 whatever was stored when the process died, the next message after a start runs", async () => {
			/** A life with much in it, cut off at a commit. */
			const live = async (host: WatchedHost) => {
				const { runtime, scripted } = host;
				await runtime.send("k", "one");
				await scripted.last.run.append("entry");
				void codeOf(scripted.last.run.waitFor("approve"));
				await turns();
				await runtime.send("k", "two", { overlap: "collect" });
				void codeOf(runtime.reset("k"));
				await turns();
				scripted.last.end();
				await turns();
				await runtime.send("k", "three", { overlap: "interrupt" });
				for (const { end } of scripted.runs) end();
				await turns();
				for (const { end } of scripted.runs) end();
				await turns();
				await runtime.delete("k");
				await runtime.admit("k", { runId: "R" });
			};
			for (let commits = 1; ; commits++) {
				const faulty = new FaultyStore(makeStore());
				const store = new CrashingStore(faulty);
				const before = await watch(store);
				let died = false;
				faulty.beforeCommit = () => {
					if (faulty.commits <= commits) return;
					died = true;
					return new Promise<void>(() => {});
				};
				void codeOf(live(before));
				for (let i = 0; i < 5; i++) await turns();
				faulty.beforeCommit = null;
				await store.crash();
				const host = await watch(store);
				await turns();
				for (const { end } of host.scripted.runs) end();
				await turns();
				for (const { end } of host.scripted.runs) end();
				await turns();
				const next = await host.runtime.send("k", "next");
				expect(next.disposition, `dead at ${commits}`).toBe("started");
				host.scripted.last.end();
				expect(await next.settled).toMatchObject({ outcome: "completed" });
				await expectSettled(host);
				if (!died) break;
				expect(commits).toBeLessThan(50);
			}
		});

		test("SR-17 a stop works whether or not the run goes on, and needs no restart", async () => {
			for (const by of ["abort", "interrupt", "reset"] as const) {
				const host = await start({ graceMs: minute });
				const { runtime, scripted, clock } = host;
				const hangs = await runtime.send("k", "tool");
				const { run } = scripted.last;
				await run.deliver("tool", () => "result");
				// Nothing comes after it. Two stops, one soon after the other.
				const stop = () =>
					by === "interrupt"
						? runtime.send("k", "stop", { overlap: "interrupt" })
						: runtime[by]("k");
				const stops = [stop(), stop()];
				await turns();
				expect(run.signal.aborted).toBe(true);
				await clock.advance(minute);
				await Promise.all(stops);
				expect(await hangs.settled, by).toMatchObject({ outcome: "abandoned" });
				const next = await runtime.send("k", "again");
				while (runtime.stats().running > 0) {
					scripted.last.end();
					await turns();
				}
				expect(await next.settled, by).toMatchObject({ outcome: "completed" });
				expect(await agree(host, "k")).toMatchObject({
					status: "ended",
					draining: 0,
				});
			}
		});

		test("SR-19 whether a session has expired is decided before any of its runs is tried again", async () => {
			for (const down of [hour - minute, hour, 10 * hour]) {
				const store = new CrashingStore(makeStore());
				const clock = stillClock();
				const options = {
					clock,
					recovery: { mode: "retry", maxAttempts: 9 },
					expiry: { idleMs: hour },
				} as const;
				const before = await watch(store, options);
				await before.runtime.send("k", "dies", { messageId: "dies" });
				await before.scripted.last.run.append("old history");
				await store.crash();
				clock.stepBack(-down);
				const host = await watch(store, options);
				const { runtime, scripted } = host;
				await turns();
				const isDue = down >= hour;
				expect(
					scripted.runs.map(({ run }) => run.ticket.attempt),
					`${down}`,
				).toEqual(isDue ? [] : [2]);
				if (!isDue) scripted.last.end();
				const next = await runtime.send("k", "hello");
				await turns();
				expect(scripted.last.run).toMatchObject({
					ticket: { generation: isDue ? 2 : 1 },
					messages: [{ input: "hello" }],
				});
				expect(await scripted.last.run.transcript()).toEqual([]);
				scripted.last.end();
				expect(await next.settled).toMatchObject({ outcome: "completed" });
				const again = await runtime.send("k", "dies", { messageId: "dies" });
				expect(await again.settled).toMatchObject({
					outcome: isDue ? "removed" : "completed",
				});
				await expectSettled(host);
			}
		});

		test("SR-20 a restart is no activity: a session expires as if there had been none", async () => {
			const store = new CrashingStore(makeStore());
			const clock = stillClock();
			const options = { clock, expiry: { idleMs: hour } };
			let host = await watch(store, options);
			await host.runtime.send("k", "hello");
			host.scripted.last.end();
			await host.runtime.whenIdle("k");
			await host.runtime.send("dies", "hello");
			for (let life = 0; life < 4; life++) {
				await clock.advance(15 * minute);
				await store.crash();
				host = await watch(store, options);
				await turns();
				// It is looked at, and written to by nobody.
				expect(await agree(host, "k")).toMatchObject({ generation: 1 });
			}
			for (const key of ["k", "dies"]) {
				const { settled } = await host.runtime.send(key, "after an hour");
				host.scripted.last.end();
				expect(await settled, key).toMatchObject({
					outcome: "completed",
					ticket: { generation: 2 },
				});
				expect((await host.runtime.archive(key)).items).toMatchObject([
					{ endedBy: "expiry" },
				]);
				await expectSettled(host, key);
			}
		});

		test("SR-22 a lease is that of one run: its process lives on, and the session is not held for it", async () => {
			const host = await start();
			const { runtime, clock } = host;
			const lane = await runtime.admit("k", { leaseMs: minute });
			const other = await runtime.admit("other", { leaseMs: minute });
			const { ticket } = lane;
			// The lane is reaped, and nobody says so. Another of the same process is well.
			for (let i = 0; i < 2; i++) {
				await clock.advance(minute / 2);
				other.progress("well");
				await turns();
			}
			expect(await agree(host, "k")).toMatchObject({
				hasActiveRun: false,
				lastOutcome: "interrupted",
			});
			expect(await agree(host, "other")).toMatchObject({ hasActiveRun: true });
			const next = await runtime.admit("k", { leaseMs: minute });
			expect(next.ticket.runId).not.toBe(ticket.runId);
			// One that is let go of in so many words holds nothing at all.
			await next[Symbol.asyncDispose]();
			expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
			await (await runtime.admit("k")).end();
			await other.end();
			await expectSettled(host);
			await expectSettled(host, "other");
		});

		test("SR-23 a run that waits for what only it could bring about is not in the way of the calls behind it", async () => {
			const store = new CrashingStore(makeStore());
			const options = {
				recovery: { mode: "retry", maxAttempts: 3 },
				graceMs: minute,
			} as const;
			const before = await watch(store, options);
			await before.runtime.send("k", "side effect");
			const { run } = before.scripted.last;
			// Its own key, that it holds: it is refused, and not waited for.
			expect(await codeOf(run.spawn("k", "for itself"))).toBe(
				"INVALID_ARGUMENT",
			);
			let calls = 0;
			const effect = async ({ idempotencyKey }: { idempotencyKey: string }) => {
				calls += 1;
				if (calls < 2) await new Promise(() => {});
				return idempotencyKey;
			};
			void codeOf(run.deliver("effect", effect));
			void codeOf(run.waitFor("approve"));
			await turns();
			await store.crash();
			// It is taken up anew, and so is the effect that had not come to its end.
			const host = await watch(store, options);
			const { runtime, scripted, clock } = host;
			await turns();
			const again = scripted.last;
			expect(again.run.ticket.attempt).toBe(2);
			expect(await again.run.deliver("effect", effect)).toEqual(
				expect.any(String),
			);
			expect(calls).toBe(2);
			// It suspends once more, for an answer that it alone could give.
			const answer = codeOf(
				again.run.waitFor("approve", { timeoutMs: 10 * minute }),
			);
			const later = await runtime.send("k", "later call");
			await clock.advance(10 * minute);
			expect(await answer).toBe("WAIT_TIMEOUT");
			again.fail(new Error("nobody answered"));
			await turns();
			expect(scripted.last.run.messages).toMatchObject([
				{ input: "later call" },
			]);
			// The next hangs in its effect, and is stopped.
			void codeOf(
				scripted.last.run.deliver("hangs", () => new Promise(() => {})),
			);
			await turns();
			const last = await runtime.send("k", "last call");
			const stopped = runtime.abort("k");
			await clock.advance(minute);
			expect(await stopped).toMatchObject({ report: { abandoned: [{}] } });
			scripted.last.end();
			expect(await later.settled).toMatchObject({ outcome: "abandoned" });
			expect(await last.settled).toMatchObject({ outcome: "completed" });
			await expectSettled(host);
		});
	},
);
