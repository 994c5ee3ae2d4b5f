import { expect, test } from "vitest";
import { median, quantile, ratios } from "./statistics.ts";

test("a median is the middle, and of an even count the mean of the two there", () => {
	expect(median([9, 1, 5])).toBe(5);
	expect(median([9, 1, 5, 6])).toBe(5.5);
	expect(median([])).toBeNaN();
});

test("numbers are sorted as numbers", () => {
	expect(median([10, 9, 100])).toBe(10);
});

test("a quantile is one of the numbers, the greatest for a share near one", () => {
	const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
	expect(quantile(hundred, 0.99)).toBe(99);
	expect(quantile(hundred, 0.5)).toBe(50);
	expect(quantile(hundred, 1)).toBe(100);
	expect(quantile([7], 0.99)).toBe(7);
});

test("ratios are of the same rounds, so drift cancels out", () => {
	expect(ratios([10, 20, 40], [5, 10, 20])).toEqual([2, 2, 2]);
	expect(() => ratios([1], [1, 2])).toThrow("the same rounds");
});
