import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StreamClock } from "../../src/replay/stream-clock.ts";

describe("the clock of a stream", () => {
	test("goes where it is told and never backwards", async () => {
		const clock = new StreamClock(100);
		await clock.advanceTo(90);
		expect(clock.now()).toBe(100);
		await clock.advanceTo(250);
		expect(clock.now()).toBe(250);
	});

	test("fires what is due in order, each at its own time", async () => {
		const clock = new StreamClock(0);
		const fired: [string, number][] = [];
		const note = (name: string) => () => fired.push([name, clock.now()]);
		clock.setTimeout(note("late"), 30);
		clock.setTimeout(note("first"), 10);
		clock.setTimeout(note("second"), 10);
		clock.setTimeout(note("after"), 31);
		await clock.advanceTo(30);
		expect(fired).toEqual([
			["first", 10],
			["second", 10],
			["late", 30],
		]);
		expect(clock.now()).toBe(30);
		expect(clock.fired).toBe(3);
	});

	test("a timer that a timer arms is due in the same stretch", async () => {
		const clock = new StreamClock(0);
		const fired: number[] = [];
		clock.setTimeout(() => {
			clock.setTimeout(() => fired.push(clock.now()), 5);
			clock.setTimeout(() => fired.push(clock.now()), -5);
		}, 10);
		await clock.advanceTo(20);
		expect(fired).toEqual([10, 15]);
	});

	test("what a timer set off stands before the next one fires", async () => {
		const clock = new StreamClock(0);
		const order: string[] = [];
		clock.setTimeout(() => {
			order.push("one");
			void Promise.resolve().then(() => order.push("after one"));
		}, 1);
		clock.setTimeout(() => order.push("two"), 1);
		await clock.advanceTo(1);
		expect(order).toEqual(["one", "after one", "two"]);
	});

	test("a cleared timer never fires", async () => {
		const clock = new StreamClock(0);
		let fired = false;
		const timer = clock.setTimeout(() => {
			fired = true;
		}, 1);
		clock.clearTimeout(timer);
		clock.clearTimeout(timer);
		clock.clearTimeout(null);
		await clock.advanceTo(10);
		expect(fired).toBe(false);
		expect(clock.fired).toBe(0);
	});

	test("lets time pass until something has settled", async () => {
		const clock = new StreamClock(0);
		const { promise, resolve } = Promise.withResolvers<void>();
		clock.setTimeout(() => clock.setTimeout(resolve, 5000), 5000);
		clock.setTimeout(() => expect.unreachable(), 10_001);
		await clock.runUntil(promise);
		expect(clock.now()).toBe(10_000);
		await expect(
			clock.runUntil(Promise.reject(new Error("no"))),
		).rejects.toThrow("no");
	});

	test("any timers, some of them cleared, fire by due time and then by order", async () => {
		await fc.assert(
			fc.asyncProperty(
				fc.array(fc.record({ ms: fc.nat(20), cleared: fc.boolean() })),
				async (timers) => {
					const clock = new StreamClock(0);
					const fired: number[] = [];
					timers.forEach(({ ms, cleared }, index) => {
						const timer = clock.setTimeout(() => fired.push(index), ms);
						if (cleared) clock.clearTimeout(timer);
					});
					await clock.advanceTo(100);
					const expected = timers
						.map(({ ms, cleared }, index) => ({ ms, cleared, index }))
						.filter(({ cleared }) => !cleared)
						.sort((a, b) => a.ms - b.ms || a.index - b.index)
						.map(({ index }) => index);
					expect(fired).toEqual(expected);
				},
			),
			{ numRuns: 50 },
		);
	});
});
