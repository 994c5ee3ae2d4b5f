import { describe, expect, test } from "vitest";
import { commandProblems } from "./commands.ts";
import { linkProblems } from "./links.ts";
import { pages } from "./pages.ts";
import { pathProblems } from "./paths.ts";
import { playProblems } from "./play.ts";
import { told } from "./problem.ts";

describe("what a page links, names and prints is so", () => {
	test.each(pages)(
		"$name",
		async (page) => {
			const problems = [
				...page.problems,
				...linkProblems(page),
				...pathProblems(page),
				...(await commandProblems(page)),
				...(await playProblems(page)),
			];
			expect(problems.map(told)).toEqual([]);
		},
		180_000,
	);
});
