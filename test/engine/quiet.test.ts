/** The quiet window (`debounceMs`): how long input waits for more of it, and what outlives, cuts short or forgets the wait. */
import type { JsonValue } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import {
	codeOf,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const collect = { mode: "collect", debounceMs: 100 } as const;

const executed = ({ scripted }: ScriptedHost) =>
	scripted.runs.map(({ run }) =>
		run.messages.map(({ input }) => input).join("+"),
	);

/** A clock that knows which of its timers have neither fired nor been cleared, and can fire the newest out of turn. */
class WatchedClock extends VirtualClock {
	readonly open = new Set<unknown>();
	#newest: (() => void) | null = null;

	override setTimeout(f: () => void, ms: number) {
		const timer = super.setTimeout(() => {
			this.open.delete(timer);
			f();
		}, ms);
		this.#newest = f;
		this.open.add(timer);
		return timer;
	}

	/** In the middle of whatever is under way. */
	fire() {
		this.#newest?.();
	}

	override clearTimeout(timer: unknown) {
		this.open.delete(timer);
		super.clearTimeout(timer);
	}
}

for (const [kind, makeStore] of storeKinds)
	describe(`the quiet window, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), { overlap: collect, ...options });
		const send = (
			{ runtime }: ScriptedHost,
			input: string,
			how: Parameters<typeof runtime.send>[2] = {},
		) => runtime.send("k", input, how);

		test("is begun anew by every message, and is over once", async () => {
			const host = await start();
			const first = await send(host, "m1");
			expect(first).toMatchObject({
				disposition: "queued",
				ticket: null,
				row: { status: "idle", queued: 1 },
			});
			await host.clock.advance(99);
			await send(host, "m2");
			await host.clock.advance(99);
			await send(host, "m3");
			await host.clock.advance(99);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["m1+m2+m3"]);
			host.scripted.last.end();
			await host.clock.advance(1000);
			expect(executed(host)).toEqual(["m1+m2+m3"]);
			expect(await first.settled).toMatchObject({ outcome: "completed" });
		});

		test.each([0, 3])(
			"that is over while something else begins changes nothing (after %i microtasks)",
			async (delay) => {
				const clock = new WatchedClock();
				const host = await start({ clock });
				await send(host, "m1");
				const admitted = host.runtime.admit("k", { runId: "A" });
				for (let i = 0; i < delay; i++) await null;
				clock.fire();
				await admitted;
				await host.clock.advance(0);
				const rows = host.feed.filter((event) => event.type === "row");
				expect(executed(host)).toEqual([]);
				expect(rows.map(({ row }) => row.status)).toEqual(["idle", "running"]);
			},
		);

		test("is not begun anew by a duplicate, a refusal or a failed commit", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { overlap: collect });
			await send(host, "m1", { messageId: "one" });
			await host.clock.advance(60);
			await send(host, "m1", { messageId: "one" });
			await codeOf(send(host, "x", { overlap: "reject" }));
			await codeOf(send(host, "x", { expect: { generation: 7 } }));
			store.faults.push("before", "before");
			expect(await codeOf(send(host, "x"))).toBe("STORE_FAILED");
			await host.clock.advance(39);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["m1"]);
		});

		test("that is still open when a run ends is waited for", async () => {
			const host = await start({
				overlap: (row) => (row.status === "idle" ? "collect" : { ...collect }),
			});
			await send(host, "live");
			await send(host, "m1");
			await host.clock.advance(60);
			host.scripted.last.end();
			await host.clock.advance(39);
			expect(executed(host)).toEqual(["live"]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["live", "m1"]);
		});

		test("that was over before a run ends holds nobody up", async () => {
			const host = await start({
				overlap: (row) => (row.status === "idle" ? "collect" : { ...collect }),
			});
			await send(host, "live");
			await send(host, "m1");
			await host.clock.advance(100);
			host.scripted.last.end();
			await turns();
			expect(executed(host)).toEqual(["live", "m1"]);
		});

		test("is not for a message whose policy has none, if nothing else waits", async () => {
			const host = await start({
				overlap: (_, { input }) =>
					input === "now" ? "enqueue" : { ...collect },
			});
			await send(host, "m1", { messageId: "one" });
			await host.runtime.queue.remove("k", "one");
			expect(await send(host, "now")).toMatchObject({ disposition: "started" });
		});

		test("is neither begun anew nor cut short by a message whose policy has none", async () => {
			const host = await start({
				overlap: (_, { input }) =>
					input === "now" ? "enqueue" : { ...collect },
			});
			await send(host, "m1");
			await host.clock.advance(60);
			expect(await send(host, "now")).toMatchObject({ disposition: "queued" });
			await host.clock.advance(39);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["m1"]);
		});

		test("outlives a crash", async () => {
			const store = new CrashingStore(makeStore());
			const host = await startScripted(store, { overlap: collect });
			const { clock } = host;
			await send(host, "m1");
			await send(host, "m2");
			await clock.advance(40);
			await store.crash();
			const next = await startScripted(store, { overlap: collect, clock });
			await clock.advance(59);
			expect(executed(next)).toEqual([]);
			await clock.advance(1);
			expect(executed(next)).toEqual(["m1+m2"]);
			expect(executed(host)).toEqual([]);
		});

		test("outlives a clean close, goes on with the messages that come then, and leaves no timer behind", async () => {
			const clock = new WatchedClock();
			const host = await start({ clock });
			await send(host, "m1");
			await clock.advance(40);
			const closing = host.runtime.close();
			await clock.advance(0);
			await closing;
			expect(clock.open.size).toBe(0);
			const next = await startScripted(host.store, { overlap: collect, clock });
			await send(next, "m2");
			await clock.advance(99);
			expect(executed(next)).toEqual([]);
			await clock.advance(1);
			expect(executed(next)).toEqual(["m1+m2"]);
		});

		test("that was over while nobody ran is over", async () => {
			const host = await start();
			const { clock } = host;
			await send(host, "m1");
			await close(host);
			await clock.advance(1000);
			const next = await startScripted(host.store, { overlap: collect, clock });
			await turns();
			expect(executed(next)).toEqual(["m1"]);
		});

		test("outlives a reset, with the messages that it keeps", async () => {
			const host = await start();
			await send(host, "m1");
			await host.clock.advance(60);
			expect(await host.runtime.reset("k")).toMatchObject({
				result: "done",
				row: { generation: 2, status: "idle", queued: 1 },
			});
			await host.clock.advance(39);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["m1"]);
			expect(host.scripted.last.run).toMatchObject({
				ticket: { generation: 2 },
				messages: [{ generation: 1 }],
			});
		});

		test("an abort finds nothing to stop, and with drop empties it", async () => {
			const host = await start();
			const { settled } = await send(host, "m1");
			expect(await host.runtime.abort("k")).toMatchObject({
				result: "nothing",
			});
			expect(await host.runtime.abort("k", { queued: "drop" })).toMatchObject({
				result: "done",
				row: { queued: 0 },
			});
			expect(await settled).toEqual({ ticket: null, outcome: "removed" });
			await host.runtime.whenIdle();
			await host.clock.advance(1000);
			expect(executed(host)).toEqual([]);
		});

		test("a delete drops what waits in it", async () => {
			const host = await start();
			const { settled } = await send(host, "m1");
			await host.runtime.delete("k");
			expect(await settled).toMatchObject({ outcome: "removed" });
			await host.clock.advance(1000);
			expect(executed(host)).toEqual([]);
			expect(await host.runtime.get("k")).toBeNull();
		});

		test("what a delete keeps waits for the next use, and for its window", async () => {
			const host = await start();
			await send(host, "m1");
			await host.runtime.delete("k", { queued: "keep" });
			await host.clock.advance(1000);
			expect(executed(host)).toEqual([]);
			expect(await host.runtime.get("k")).toBeNull();
			await send(host, "m2");
			await host.clock.advance(99);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["m1+m2"]);
		});

		test("a message that interrupts stands first and waits like all others", async () => {
			const host = await start();
			await send(host, "m1");
			await host.clock.advance(60);
			await send(host, "i", { overlap: "interrupt" });
			await host.clock.advance(99);
			expect(executed(host)).toEqual([]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["i"]);
			host.scripted.last.end();
			await turns();
			expect(executed(host)).toEqual(["i", "m1"]);
		});

		test("a message that interrupts stops the run at once, and waits", async () => {
			const host = await start();
			await send(host, "live");
			await host.clock.advance(100);
			await send(host, "i", { overlap: "interrupt" });
			expect(host.scripted.last.run.signal.aborted).toBe(true);
			host.scripted.last.end();
			await host.clock.advance(99);
			expect(executed(host)).toEqual(["live"]);
			await host.clock.advance(1);
			expect(executed(host)).toEqual(["live", "i"]);
		});

		test("a message that comes with a reset waits too", async () => {
			const host = await start({ overlap: { ...collect, mode: "enqueue" } });
			await send(host, "m1");
			expect(await send(host, "r", { reset: true })).toMatchObject({
				disposition: "queued",
				row: { generation: 2, queued: 2 },
			});
			await host.clock.advance(100);
			expect(executed(host)).toEqual(["r"]);
		});

		test("what steers is handed over without it", async () => {
			const host = await start();
			await send(host, "live");
			await host.clock.advance(100);
			expect(await send(host, "s", { overlap: "steer" })).toMatchObject({
				disposition: "steered",
			});
			const next =
				host.scripted.last.run.steering[Symbol.asyncIterator]().next();
			expect(await next).toMatchObject({ value: { input: "s" } });
		});

		test("a reservation, an admission and a command are not held up by it", async () => {
			const host = await start();
			await send(host, "m1");
			const run = await host.runtime.admit("k");
			await run.start();
			await host.clock.advance(100);
			expect(executed(host)).toEqual([]);
			await run.end();
			await turns();
			expect(executed(host)).toEqual(["m1"]);
		});

		test("comes before the wait for a slot", async () => {
			const host = await start({ maxConcurrentRuns: 1 });
			await host.runtime.send("other", "o");
			await host.clock.advance(100);
			await send(host, "m1");
			await host.clock.advance(500);
			expect(executed(host)).toEqual(["o"]);
			host.scripted.last.end();
			await turns();
			expect(executed(host)).toEqual(["o", "m1"]);
		});

		test("keeps its session in memory, however little room there is", async () => {
			const host = await start({ passivateAfterMs: 1, maxResident: 1 });
			await send(host, "m1");
			for (let i = 0; i < 10; i++) {
				await host.runtime.patch("k", { i });
				await host.runtime.get(`other ${i}`);
				await host.runtime.reset(`other ${i}`);
				await host.clock.advance(9);
			}
			expect(executed(host)).toEqual([]);
			await host.clock.advance(10);
			expect(executed(host)).toEqual(["m1"]);
		});

		test("the end of a window whose commit fails comes again", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { overlap: collect });
			const { settled } = await send(host, "m1");
			store.faults.push("before", "before");
			await host.clock.advance(10_000);
			expect(store.faults).toEqual([]);
			expect(executed(host)).toEqual(["m1"]);
			host.scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		describe("when the clock steps back", () => {
			const hour = 3_600_000;

			test("it is over when its time has passed, whatever the clock says", async () => {
				const clock = new VirtualClock();
				const host = await start({ clock });
				await send(host, "m1");
				await clock.advance(50);
				clock.stepBack(hour);
				await clock.advance(49);
				expect(executed(host)).toEqual([]);
				await clock.advance(1);
				expect(executed(host)).toEqual(["m1"]);
			});

			test("a message begins it anew from the time that it is then", async () => {
				const clock = new VirtualClock();
				const host = await start({ clock });
				await send(host, "m1");
				await clock.advance(50);
				clock.stepBack(hour);
				await send(host, "m2");
				await clock.advance(99);
				expect(executed(host)).toEqual([]);
				await clock.advance(1);
				expect(executed(host)).toEqual(["m1+m2"]);
			});

			test("what comes after a window that was over waits for its own alone", async () => {
				const clock = new VirtualClock();
				const host = await start({ clock });
				await send(host, "m1");
				await clock.advance(100);
				clock.stepBack(hour);
				await send(host, "m2");
				host.scripted.last.end();
				await clock.advance(99);
				expect(executed(host)).toEqual(["m1"]);
				await clock.advance(1);
				expect(executed(host)).toEqual(["m1", "m2"]);
			});

			test("a run that ends later leaves it no longer than it was", async () => {
				const clock = new VirtualClock();
				const host = await start({ clock });
				await send(host, "m1");
				await clock.advance(100);
				await send(host, "m2");
				clock.stepBack(hour);
				host.scripted.last.end();
				await clock.advance(99);
				expect(executed(host)).toEqual(["m1"]);
				await clock.advance(1);
				expect(executed(host)).toEqual(["m1", "m2"]);
			});

			test("that of a message that left is no window for those who come after it", async () => {
				const clock = new VirtualClock();
				const host = await start({
					clock,
					overlap: (_, { input }) => (input === "m1" ? collect : "enqueue"),
				});
				await send(host, "m0");
				const { messageId } = await send(host, "m1");
				await host.runtime.queue.remove("k", messageId);
				await clock.advance(100);
				clock.stepBack(hour);
				await send(host, "m2");
				host.scripted.last.end();
				await clock.advance(0);
				expect(executed(host)).toEqual(["m0", "m2"]);
			});

			test("a message without one, that comes after it, leaves it no longer than it was", async () => {
				const clock = new VirtualClock();
				const host = await start({
					clock,
					overlap: (_, { input }) => (input === "m1" ? collect : "enqueue"),
				});
				await send(host, "m0");
				await send(host, "m1");
				clock.stepBack(hour);
				await send(host, "m2");
				host.scripted.last.end();
				await clock.advance(100);
				expect(executed(host)).toEqual(["m0", "m1"]);
			});

			test("between two processes, what was left of it is waited for and no more", async () => {
				const store = new CrashingStore(makeStore());
				const clock = new VirtualClock();
				await send(
					await startScripted(store, { overlap: collect, clock }),
					"m1",
				);
				await store.crash();
				clock.stepBack(hour);
				const next = await startScripted(store, { overlap: collect, clock });
				await clock.advance(99);
				expect(executed(next)).toEqual([]);
				await clock.advance(1);
				expect(executed(next)).toEqual(["m1"]);
			});

			test("a session whose window is over takes its turn for a slot", async () => {
				const clock = new VirtualClock();
				const host = await start({
					clock,
					maxConcurrentRuns: 1,
					overlap: (row) => (row.sessionKey === "k" ? collect : "enqueue"),
				});
				await host.runtime.send("busy", "b1");
				await send(host, "m1");
				clock.stepBack(hour);
				await clock.advance(100);
				await host.runtime.send("late", "l1");
				const inputs: JsonValue[] = [];
				for (let i = 0; i < 3; i++) {
					inputs.push(executed(host).at(-1) as string);
					host.scripted.last.end();
					await turns();
				}
				expect(inputs).toEqual(["b1", "m1", "l1"]);
			});
		});
	});

for (const [kind, makeStore] of storeKinds)
	test(`a message that an answer to nothing lets begin is a version of its own, on ${kind}`, async () => {
		// 1 its window is over by the clock, and the timer has not fired yet → 2 an answer for a run that nobody waits for comes → 3 the message
		// begins in that turn, which does nothing else.
		const clock = new VirtualClock();
		const host = await startScripted(makeStore(), { overlap: collect, clock });
		const { runtime, scripted } = host;
		const { row } = await runtime.send("k", "hello");
		clock.stepBack(-100);
		const nobody = { sessionKey: "k", generation: 1, runId: "nobody" };
		expect(await runtime.resume(nobody, "may I", true)).toMatchObject({
			result: "stale",
		});
		await turns();
		expect(scripted.runs).toHaveLength(1);
		expect(await runtime.get("k")).toMatchObject({
			status: "running",
			queued: 0,
			version: row.version + 1,
		});
		expect(host.feedRow("k")).toEqual(await runtime.get("k"));
	});
