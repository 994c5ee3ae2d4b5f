import { beforeAll, describe, expect, test } from "vitest";
import { typeProblems } from "./compiler.ts";
import { pages } from "./pages.ts";
import { told } from "./problem.ts";

describe("every program on a page compiles, where it stands", () => {
	let problems: ReturnType<typeof typeProblems>;
	beforeAll(() => {
		problems = typeProblems(pages);
	}, 180_000);

	test.each(pages)("$name", (page) => {
		expect(problems.get(page)?.map(told)).toEqual([]);
	});
});
