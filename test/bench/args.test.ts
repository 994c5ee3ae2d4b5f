import { describe, expect, test } from "vitest";
import { argsOf, WrongArgs } from "./args.ts";

const known = ["turns", "boot"];
const of = (text: string) => argsOf(text.split(" ").filter(Boolean), known);

test("nothing asked is all of it in the normal size, as tables", () => {
	expect(of("")).toEqual({
		only: [],
		size: "normal",
		rounds: 7,
		json: null,
		plot: null,
		readme: false,
		folder: null,
		help: false,
	});
});

test("what is asked is taken", () => {
	expect(
		of(
			"--only turns --only boot --size full --rounds 3 --plot a.svg --folder x",
		),
	).toMatchObject({
		only: ["turns", "boot"],
		size: "full",
		rounds: 3,
		plot: "a.svg",
		folder: "x",
	});
});

test("JSON goes to a file, or where none is named to the standard output", () => {
	expect(of("--json all.json").json).toBe("all.json");
	expect(of("--json").json).toBe(true);
	expect(of("--json --size tiny")).toMatchObject({ json: true, size: "tiny" });
});

describe("what is wrong is told with what would be right", () => {
	test.each([
		["--size huge", "--size is huge; it must be tiny, normal, full"],
		["--only speed", "--only is speed; it must be one of turns, boot"],
		["--rounds 0", "--rounds is 0; it must be a number from 1 on"],
		["--rounds many", "--rounds is many; it must be a number from 1 on"],
		["--plot a.png", "--plot is a.png; it must be a file that ends in .svg"],
		["--readme --size tiny", "proves nothing"],
		["--readme --only turns", "does not go with --only"],
		["turns", "a workload is chosen by --only turns"],
		["--fast", "--help says what there is"],
	])("%s", (text, told) => {
		expect(() => of(text)).toThrow(told);
		expect(() => of(text)).toThrow(WrongArgs);
	});
});
