/** The index of the catalogue is whole: every row is played or explained, and README.md says what the test files say. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
	faultsOf,
	type Index,
	readIndex,
	readmeFile,
	readmeOf,
	scenariosIn,
} from "./index.ts";

const row = {
	id: "SC-01",
	category: "SC",
	thread: "owner/name#1",
	cause: "why",
	order: "1 this → 2 that",
	outcome: "what is right",
};
const scenario = { id: "SC-01", title: "a stop stops", file: "sc.test.ts" };
const whole: Index = {
	rows: [row],
	scenarios: [scenario],
	reasons: {},
};

describe("the index of the races", () => {
	test("has a scenario or a reason for every row, and not both", () => {
		expect(faultsOf(readIndex())).toEqual([]);
	});

	test("is what README.md says; `npm run races:index` writes it", () => {
		expect(readFileSync(readmeFile, "utf8")).toBe(readmeOf(readIndex()));
	});
});

describe("a fault of an index is named", () => {
	const faulty: Record<string, [Partial<Index>, string]> = {
		"a row with nothing": [
			{ scenarios: [] },
			"SC-01 has neither a scenario nor a reason",
		],
		"a row with both": [
			{ reasons: { "SC-01": "no." } },
			"SC-01 has a scenario in sc.test.ts and a reason why it does not apply",
		],
		"a row that is there twice": [
			{ rows: [row, row] },
			"SC-01 is in the catalogue twice",
		],
		"a row of no category": [
			{ rows: [{ ...row, category: "XX" }] },
			"SC-01 is of category XX, which has no heading",
		],
		"a scenario of no row": [
			{ scenarios: [scenario, { ...scenario, id: "SC-99" }] },
			'sc.test.ts plays SC-99, which no row has: "a stop stops"',
		],
		"a reason for no row": [
			{ reasons: { "SC-99": "no." } },
			"not-applicable.ts names SC-99, which no row has",
		],
	};
	for (const [name, [change, fault]] of Object.entries(faulty))
		test(name, () => {
			expect(faultsOf({ ...whole, ...change })).toEqual([fault]);
		});

	test("and there is none in a whole one", () => {
		expect(faultsOf(whole)).toEqual([]);
	});
});

test("a scenario is a test that runs, whose title begins with an id", () => {
	const text = [
		'test("AB-01 one", () => {});',
		// biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a file
		"for (const x of []) describe(x, () => { test(`AB-02 two of ${x}, at ${y.z}`, () => {}); });",
		"test('AB-03 three', () => {});",
		'test("not AB-04", () => {});',
		'test.skip("AB-05 skipped", () => {});',
		'test.todo("AB-06 to do");',
		'// test("AB-07 a comment", () => {});',
		'other("AB-08 not a test", () => {});',
		"test(name, () => {});",
	].join("\n");
	expect(scenariosIn("ab.test.ts", text)).toEqual([
		{ id: "AB-01", title: "one", file: "ab.test.ts" },
		{ id: "AB-02", title: "two of {x}, at {y.z}", file: "ab.test.ts" },
		{ id: "AB-03", title: "three", file: "ab.test.ts" },
	]);
});
