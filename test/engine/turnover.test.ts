/** A Map that is left behind now and then holds what any Map would. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { TurnoverMap } from "../../src/turnover.ts";

test("whatever comes and goes, it holds what a Map holds, in the same order", () => {
	const key = fc.integer({ min: 0, max: 40 });
	const acts = fc.array(
		fc.oneof(
			{ weight: 8, arbitrary: fc.tuple(fc.constant("set" as const), key) },
			{ weight: 8, arbitrary: fc.tuple(fc.constant("delete" as const), key) },
			{ weight: 1, arbitrary: fc.tuple(fc.constant("clear" as const), key) },
		),
		{ maxLength: 400 },
	);
	fc.assert(
		fc.property(acts, (all) => {
			const plain = new Map<number, number>();
			const turning = new TurnoverMap<number, number>();
			for (const [i, [act, at]] of all.entries()) {
				if (act === "set") {
					plain.set(at, i);
					turning.set(at, i);
				} else if (act === "delete") {
					plain.delete(at);
					turning.delete(at);
				} else {
					plain.clear();
					turning.clear();
				}
				expect(turning.size).toBe(plain.size);
				expect(turning.get(at)).toBe(plain.get(at));
			}
			expect([...turning.values()]).toEqual([...plain.values()]);
		}),
	);
});

test("a Map that is left behind is given to nobody who goes through it: what is deleted meanwhile costs no other", () => {
	const turning = new TurnoverMap<number, number>();
	for (let i = 0; i < 100; i++) turning.set(i, i);
	const seen: number[] = [];
	for (const value of turning.values()) {
		seen.push(value);
		turning.delete(value);
	}
	expect(seen).toHaveLength(100);
	expect(turning.size).toBe(0);
});
