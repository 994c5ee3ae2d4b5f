import { afterEach, describe, expect, test, vi } from "vitest";
import { paint, printable } from "../../src/cli/output.ts";
import { Progress } from "../../src/cli/progress.ts";
import { table, width } from "../../src/cli/table.ts";
import {
	count,
	duration,
	offset,
	shortId,
	when,
} from "../../src/replay/words.ts";

describe("text of others", () => {
	test.each([
		["plain, 🦉 and é", "plain, 🦉 and é"],
		["a\u001b[2Jb", "a\\u001b[2Jb"],
		["a\nb\r\tc", "a\\nb\\r\\tc"],
		["\u202eevil\u2066", "\\u202eevil\\u2066"],
		["\u0000\u007f\u009b", "\\u0000\\u007f\\u009b"],
	])("%j is shown as %s", (text, shown) => {
		expect(printable(text)).toBe(shown);
	});
});

describe("colours", () => {
	const { isTTY: before } = process.stdout;
	afterEach(() => {
		vi.unstubAllEnvs();
		process.stdout.isTTY = before;
	});

	test.each([
		[true, undefined, true],
		[true, "", true],
		[true, "1", false],
		[false, undefined, false],
	])("on a terminal: %s, NO_COLOR: %s → %s", (isTTY, noColor, painted) => {
		vi.stubEnv("NO_COLOR", noColor);
		process.stdout.isTTY = isTTY;
		expect(paint("red", "x")).toBe(painted ? "\u001b[31mx\u001b[39m" : "x");
	});
});

describe("a table", () => {
	test("has columns as wide as their widest cell, and no space at the end of a line", () => {
		expect(
			table(
				[
					["applied", 12, null],
					["x", 3, "why"],
				],
				{ head: ["verdict", "n", "reason"], right: [1], indent: "  " },
			),
		).toBe(
			["  verdict   n  reason", "  applied  12  –", "  x         3  why"].join(
				"\n",
			),
		);
	});

	test("counts the columns that a terminal gives a text", () => {
		expect(width("abc")).toBe(3);
		expect(width("é")).toBe(1);
		expect(width("e\u0301")).toBe(1);
		expect(width("🦉")).toBe(2);
		expect(width("👩‍👧")).toBe(2);
		expect(width("日本")).toBe(4);
	});

	test("keeps every cell on its line", () => {
		expect(table([["a\nb"]])).toBe("a\\nb");
	});
});

describe("a progress bar", () => {
	function bar(isTTY: boolean, unit: string | null = null) {
		const written: string[] = [];
		let now = 0;
		const screen = {
			isTTY,
			columns: unit === null ? 30 : 50,
			write: (text: string) => written.push(text),
		};
		const progress = new Progress("copy", 200, screen, () => now, unit);
		return {
			written,
			progress,
			pass: (ms: number) => {
				now += ms;
			},
		};
	}

	test("is not shown before a second is over, then at most ten times a second, and goes when it is done", () => {
		const { written, progress, pass } = bar(true);
		progress.advance(50);
		pass(999);
		progress.advance(1);
		expect(written).toEqual([]);
		pass(1);
		progress.advance(49);
		expect(written).toEqual([
			`\rcopy ${"█".repeat(9)}${"░".repeat(8)}  50 %\u001b[K`,
		]);
		pass(99);
		progress.advance(1);
		expect(written).toHaveLength(1);
		pass(1);
		progress.reach(400);
		expect(written[1]).toBe(`\rcopy ${"█".repeat(17)} 100 %\u001b[K`);
		progress.done();
		expect(written[2]).toBe("\r\u001b[K");
	});

	test("makes way for other output and comes back", () => {
		const { written, progress, pass } = bar(true);
		progress.hide();
		expect(written).toEqual([]);
		pass(1000);
		progress.advance(1);
		progress.hide();
		expect(written.at(-1)).toBe("\r\u001b[K");
		progress.advance(1);
		expect(written.at(-1)).toContain("copy");
	});

	test("of what is counted says how fast it is and what is left", () => {
		const { written, progress, pass } = bar(true, "seeds");
		pass(2000);
		progress.advance(100);
		expect(written).toEqual([
			`\rcopy ${"█".repeat(7)}${"░".repeat(6)}  50 %, 50 seeds/s, 2.0 s left\u001b[K`,
		]);
	});

	test("of what is counted is a plain line every ten seconds where there is no terminal", () => {
		const { written, progress, pass } = bar(false, "seeds");
		pass(9999);
		progress.advance(50);
		expect(written).toEqual([]);
		pass(1);
		progress.advance(50);
		progress.advance(1);
		expect(written).toEqual(["copy: 100 of 200, 10 seeds/s, 10.0 s left\n"]);
		pass(10_000);
		progress.advance(1);
		progress.hide();
		progress.done();
		expect(written).toHaveLength(2);
	});

	test("is never shown where no person looks on", () => {
		const { written, progress, pass } = bar(false);
		pass(5000);
		progress.advance(100);
		progress.done();
		expect(written).toEqual([]);
	});
});

describe("words", () => {
	test.each([
		[0, "0 ms"],
		[9, "9 ms"],
		[-5, "0 ms"],
		[30, "0.03 s"],
		[412, "0.41 s"],
		[994, "0.99 s"],
		[995, "1.0 s"],
		[21_198, "21.2 s"],
		[119_949, "119.9 s"],
		[119_950, "1 min 59 s"],
		[3_723_000, "1 h 2 min"],
		[200_000_000, "2 d 7 h"],
	])("%d ms are %s", (ms, said) => {
		expect(duration(ms)).toBe(said);
	});

	test("moments, offsets, ids and numbers", () => {
		expect(when(1795363262930)).toBe("2026-11-22 16:01:02.930Z");
		expect(when(1e300)).toBe("1e+300 ms");
		expect(offset(1079)).toBe("+1.079 s");
		expect(offset(-5)).toBe("-0.005 s");
		expect(shortId("b305f98b-7a16-487f-a5f5-dbd415f77475")).toBe("b305f98b");
		expect(shortId("run-of-my-own")).toBe("run-of-my-own");
		expect(count(1, "run")).toBe("1 run");
		expect(count(0, "run")).toBe("0 runs");
	});
});
