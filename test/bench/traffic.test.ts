import { expect, test } from "vitest";
import { type Traffic, trafficOf } from "./day/traffic.ts";

const traffic: Traffic = {
	seed: 1,
	sessions: 2000,
	sizeExponent: 1.2,
	mostMessages: 500,
	pauseExponent: 1.1,
	leastPauseS: 5,
	runMedianS: 8,
	runSigma: 1,
	resetPercent: 2,
};
const arrivals = trafficOf(traffic);
const day = 24 * 3_600_000;

test("the same seed draws the same day, another one another", () => {
	expect(trafficOf(traffic)).toEqual(arrivals);
	expect(trafficOf({ ...traffic, seed: 2 })).not.toEqual(arrivals);
});

test("it comes in order, within the day, at whole milliseconds", () => {
	let last = 0;
	for (const { at, runMs } of arrivals) {
		expect(at).toBeGreaterThanOrEqual(last);
		expect(Number.isInteger(at) && Number.isInteger(runMs ?? 0)).toBe(true);
		last = at;
	}
	expect(last).toBeLessThan(day);
});

test("sizes are heavy-tailed: half of the sessions say little, and one in a hundred much of all", () => {
	const counts = new Map<string, number>();
	for (const { sessionKey } of arrivals)
		counts.set(sessionKey, (counts.get(sessionKey) ?? 0) + 1);
	const sorted = [...counts.values()].sort((a, b) => b - a);
	expect(sorted.length).toBe(traffic.sessions);
	expect(sorted[traffic.sessions / 2]).toBeLessThanOrEqual(2);
	const most = sorted.slice(0, traffic.sessions / 100);
	const share = most.reduce((sum, one) => sum + one, 0) / arrivals.length;
	expect(share).toBeGreaterThan(0.15);
});

test("about as many of a hundred are resets as is said", () => {
	const resets = arrivals.filter(({ runMs }) => runMs === null).length;
	expect((resets / arrivals.length) * 100).toBeGreaterThan(1);
	expect((resets / arrivals.length) * 100).toBeLessThan(3);
});
