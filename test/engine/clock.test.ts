/** What a host's own clock must offer, and what it is never asked for. */
import type { Batch, SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { memoryStore } from "../../src/memory.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";

const dayMs = 86_400_000;

/** As Node's timers: a longer delay would be over at once. */
class NarrowClock extends VirtualClock {
	readonly open = new Set<unknown>();

	override setTimeout(f: () => void, ms: number) {
		const timer = super.setTimeout(
			() => {
				this.open.delete(timer);
				f();
			},
			ms > 2 ** 31 - 1 ? 1 : ms,
		);
		this.open.add(timer);
		return timer;
	}

	override clearTimeout(timer: unknown) {
		this.open.delete(timer);
		super.clearTimeout(timer);
	}
}

test("a clock that knows parts of a ms is asked for whole ones, and what is over is seen to be over", async () => {
	const asked: number[] = [];
	const clock = new (class extends VirtualClock {
		override setTimeout(f: () => void, ms: number) {
			asked.push(ms);
			if (asked.length > 100) throw new Error("it waits again and again");
			return super.setTimeout(f, ms);
		}
	})();
	await clock.advance(0.1);
	const { runtime, scripted } = await startScripted(memoryStore(), {
		clock,
		passivateAfterMs: 1000,
	});
	for (let i = 0; i < 5; i++) {
		await runtime.send(`k${i}`, "hello");
		scripted.last.end();
		await clock.advance(0.7);
	}
	await clock.advance(2000);
	expect(runtime.stats().resident).toBe(0);
	expect(asked.length).toBeGreaterThan(0);
	for (const ms of asked) expect(ms).toBe(Math.ceil(ms));
	await runtime.close();
});

describe("a time that is longer than any timer of Node's", () => {
	const running = async () => {
		const clock = new NarrowClock();
		const host = await startScripted(memoryStore(), {
			clock,
			runTimeoutMs: 26 * dayMs,
		});
		await host.runtime.send("k", "hello");
		return { ...host, clock, ...host.scripted.last };
	};

	test("is over when it is over", async () => {
		const { clock, run } = await running();
		await clock.advance(26 * dayMs - 1);
		expect(run.signal.aborted).toBe(false);
		await clock.advance(1);
		expect(run.signal.reason).toMatchObject({ by: "timeout" });
	});

	test("leaves no timer behind when nobody waits for it any more, however much of it is left", async () => {
		for (const days of [0, 25]) {
			const { runtime, clock, end } = await running();
			await clock.advance(days * dayMs);
			end();
			await runtime.whenIdle();
			await runtime.close();
			expect(clock.open.size, `after ${days} days`).toBe(0);
		}
	});

	test("is that of a wait, too", async () => {
		const { clock, run } = await running();
		const answer = codeOf(run.waitFor("ok", { timeoutMs: 25 * dayMs }));
		await clock.advance(25 * dayMs - 1);
		expect(run.signal.aborted).toBe(false);
		await clock.advance(1);
		expect(await answer).toBe("WAIT_TIMEOUT");
	});
});

test("a clock that knows no other time than that of the wall is enough, and may be set", async () => {
	const timers = new VirtualClock();
	const { runtime, scripted } = await startScripted(memoryStore(), {
		runTimeoutMs: 1000,
		clock: {
			now: () => timers.now(),
			setTimeout: (f, ms) => timers.setTimeout(f, ms),
			clearTimeout: (timer) => timers.clearTimeout(timer),
		},
	});
	await runtime.send("k", "hello");
	const { run, end } = scripted.last;
	await timers.advance(600);
	const answer = run.waitFor("ok");
	await timers.advance(600);
	timers.stepBack(3_600_000);
	await runtime.resume(run.ticket, "ok", 1);
	await answer;
	await timers.advance(399);
	expect(run.signal.aborted).toBe(false);
	await timers.advance(1);
	expect(run.signal.aborted).toBe(true);
	end();
	await runtime.whenIdle();
});

/** A store whose commits are answered when the test says so: `next` waits for a call and answers one commit on its way. */
function answering(inner: SessionStore) {
	let answer = () => {};
	const store: SessionStore = {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			const commit = store.commit.bind(store);
			return Object.assign(store, {
				commit: async (batch: Batch) => {
					await new Promise<void>((resolve) => {
						answer = resolve;
					});
					return commit(batch);
				},
			});
		},
	};
	const next = async <T>(call: Promise<T>) => {
		await turns();
		answer();
		return call;
	};
	return { store, next, answer: () => answer() };
}

test("the time for what a host does on an ended generation is as long, also if the clock is set back before that is stored", async () => {
	const { store, next, answer } = answering(memoryStore());
	const { runtime, clock } = await startScripted(store, {
		graceMs: 1000,
		onGenerationEnded: () => new Promise(() => {}),
	});
	await next(runtime.reset("k"));
	const reset = runtime.reset("k");
	await turns();
	clock.stepBack(3_600_000);
	answer();
	await turns();
	await clock.advance(1000);
	expect(await next(reset)).toMatchObject({ result: "done" });
});

test("a grace period is as long, also if the clock is set back before the stop is stored", async () => {
	const { store, next, answer } = answering(memoryStore());
	const { runtime, clock } = await startScripted(store, { graceMs: 1000 });
	const run = await next(runtime.admit("k", { runId: "R" }));
	const reset = runtime.reset("k");
	await turns();
	clock.stepBack(3_600_000);
	answer();
	await turns();
	expect(run.signal.aborted).toBe(true);
	await clock.advance(999);
	expect(await now(reset)).toBe("pending");
	await clock.advance(1);
	expect(await next(reset)).toMatchObject({
		report: { abandoned: [{ runId: "R" }] },
	});
});

test("a clock whose monotonic is no function is refused", async () => {
	const clock = Object.assign(new VirtualClock(), { monotonic: wrong(5) });
	expect(await codeOf(startScripted(memoryStore(), { clock }))).toBe(
		"INVALID_ARGUMENT",
	);
});
