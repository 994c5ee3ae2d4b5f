import { beforeAll, describe, expect, test } from "vitest";
import { commandProblems } from "./commands.ts";
import { typeProblems } from "./compiler.ts";
import { linkProblems, slugsOf } from "./links.ts";
import { readPage } from "./page.ts";
import { pathProblems } from "./paths.ts";
import { playProblems } from "./play.ts";
import type { Problem } from "./problem.ts";
import { commandsIn } from "./shell.ts";

const fixture = (name: string) =>
	readPage(`test/docs/fixtures/${name}.md`, true);
const right = fixture("right");
const wrong = fixture("wrong");
const lines = (problems: readonly Problem[] = []) =>
	problems.map(({ line, text }) => `${line}: ${text}`);

describe("a program", () => {
	let problems: ReturnType<typeof typeProblems>;
	beforeAll(() => {
		problems = typeProblems([right, wrong]);
	}, 180_000);

	test("alone, of several files, or part of one: compiles", () => {
		expect(lines(problems.get(right))).toEqual([]);
	});

	test("that does not compile is told with its line on the page, each once", () => {
		expect(lines(problems.get(wrong))).toEqual([
			"26: it is part of b.ts, but the page has only a.ts until here",
			"9: TS2322: Type 'string' is not assignable to type 'number'.",
			"15: TS2322: Type 'number | undefined' is not assignable to type 'number'. Type 'undefined' is not assignable to type 'number'.",
			"20: TS2322: Type 'number' is not assignable to type 'string'.",
			"32: TS2551: Property 'toFixed' does not exist on type '\"1\"'. Did you mean 'fixed'?",
		]);
	});
});

describe("a fence", () => {
	test("with a comment that nobody knows, with one that does not reach it, or in a language that nobody checks", () => {
		expect(lines(right.problems)).toEqual([]);
		expect(lines(wrong.problems)).toEqual([
			"41: <!-- flie: d.ts --> says nothing that is known of a fence; see note.ts",
			'51: a fence of "typescript" is checked by nobody; "ts" is',
			"45: the comment is for a fence, which must begin on the next line",
		]);
	});
});

describe("a link", () => {
	test("to a file, a folder, a heading, a line or an address", () => {
		expect(lines(linkProblems(right))).toEqual([]);
	});

	test("that leads nowhere is told", () => {
		expect(lines(linkProblems(wrong))).toEqual([
			"3: nowhere.md leads to test/docs/fixtures/nowhere.md, which is not there",
			"3: #right is no heading of test/docs/fixtures/wrong.md; it has #wrong, #wrong-1",
			"3: #servers is no heading of test/docs/fixtures/right.md; it has #a-page-on-which-everything-holds, #servers--what-they-say",
			"3: #L1000 is no line of test/docs/problem.ts",
			"3: a.png leads to test/docs/fixtures/a.png, which is not there",
			"4: ../../../../elsewhere leads out of the repository; a link is relative to its page",
			"4: http:// is no address",
		]);
	});

	test("to a heading is what GitHub makes of it", () => {
		const headings = [
			"Speed: `test/bench`, `npm run bench`".replaceAll("`", ""),
			"Über_uns & mehr!",
			"Twice",
			"Twice",
			"Twice-1",
		].map((text) => ({ text, line: 1 }));
		expect(slugsOf(headings)).toEqual([
			"speed-testbench-npm-run-bench",
			"über_uns--mehr",
			"twice",
			"twice-1",
			"twice-1-1",
		]);
	});

	test("and a path in a sentence: there, or made by a command", () => {
		expect(lines(pathProblems(right))).toEqual([]);
		expect(lines(pathProblems(wrong))).toEqual([
			"4: test/docs/nothing.ts is not there",
		]);
	});
});

describe("a command", () => {
	test("is read as a shell does", () => {
		expect(
			commandsIn(
				`A=1 B='a b' npm ci && npm start < in 2>&1 > "out" | grep -c "it is" 'a;b' x\\ y # all; of it`,
			),
		).toEqual([
			["npm", "ci"],
			["npm", "start"],
			["grep", "-c", "it is", "a;b", "x y"],
		]);
	});

	test("that there is", async () => {
		expect(lines(await commandProblems(right))).toEqual([]);
	});

	test("that there is not, or not with that option, is told", async () => {
		expect(lines(await commandProblems(wrong))).toEqual([
			"59: left-pad is neither this package nor one that it is tested with",
			"60: npm frobnicate is not among the commands that a page may name",
			"61: npx cowsay is a command of no package that is installed here",
			"62: vitest is given proof.test.ts, which is not there",
			"63: node is given nothing.ts, which is neither in the repository nor on the page",
			'64: there is no npm script "lnit"',
			"68: turnkeeper backup does not know --to",
			'55: there is no npm script "tset"',
			"55: npm run bench does not know --onyl",
			"55: vitest is given test/tset, which is not there",
			'55: turnkeeper has no command "wyh"',
			"55: turnkeeper why does not know --bd",
		]);
	});
});

describe("what a page prints", () => {
	test("is so", async () => {
		expect(lines(await playProblems(right))).toEqual([]);
	}, 120_000);

	test.each([
		["wrong-output", "8: what is printed is\none\ntwo\n"],
		["wrong-program", "8: what is printed is\none\n"],
		["wrong-exit", "3: it ended with exit code 3: no"],
		[
			"wrong-script",
			"2: it ended with exit code 1: npm run is not run on a page; say <!-- not run: REASON --> before its fence",
		],
		["wrong-server", "3: it ended with exit code 0: no"],
	])("%s is told", async (name, problem) => {
		expect(lines(await playProblems(fixture(name)))).toEqual([problem]);
	});
});
