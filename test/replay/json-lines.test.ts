import { describe, expect, test } from "vitest";
import {
	type BadLine,
	jsonLines,
	textLines,
} from "../../src/replay/json-lines.ts";
import { collect } from "./collect.ts";

async function read(...chunks: (string | Uint8Array)[]) {
	const bad: BadLine[] = [];
	const good = await collect(jsonLines(chunks, (one) => bad.push(one)));
	return { good, bad };
}

describe("JSON lines", () => {
	test("come with their numbers, whatever the chunks are", async () => {
		const { good, bad } = await read('{"a"', ":1}\n", "\n{", '"a":2}\r\n', "3");
		expect(good).toEqual([
			{ line: 1, value: { a: 1 } },
			{ line: 3, value: { a: 2 } },
			{ line: 4, value: 3 },
		]);
		expect(bad).toEqual([]);
	});

	test("a character that is cut by a chunk stays whole", async () => {
		const bytes = new TextEncoder().encode('"🦉"\n"é"');
		for (let at = 1; at < bytes.length; at += 1) {
			const { good } = await read(bytes.slice(0, at), bytes.slice(at));
			expect(good.map(({ value }) => value)).toEqual(["🦉", "é"]);
		}
	});

	test("the separators that JSON allows inside strings do not end a line", async () => {
		const { good, bad } = await read('{"a":"x\u2028y\u2029z"}\n');
		expect(good).toEqual([{ line: 1, value: { a: "x\u2028y\u2029z" } }]);
		expect(bad).toEqual([]);
	});

	test("a byte order mark is no part of the first line", async () => {
		expect((await read("\ufeff1\n2")).good).toHaveLength(2);
		const marked = new TextEncoder().encode("\ufeff1");
		expect((await read(marked)).good).toEqual([{ line: 1, value: 1 }]);
	});

	test("a half-written line is said with its number and loses nothing else", async () => {
		const { good, bad } = await read(
			'{"at":1}\n{"at":2,"ty\n{"at":3}\n{"at":4',
		);
		expect(good.map(({ line }) => line)).toEqual([1, 3]);
		expect(bad.map(({ line }) => line)).toEqual([2, 4]);
		expect(bad[0]?.problem).toMatch(
			/^line 2 is not JSON \(.+\): {"at":2,"ty; each line must be one whole JSON object$/,
		);
	});

	test("a long bad line is shown by its beginning, on one line", async () => {
		const { bad } = await read(`\u0000${"x".repeat(10_000)}`);
		expect(bad[0]?.problem.length).toBeLessThan(200);
		expect(bad[0]?.problem).toContain("\\u0000xxx");
		expect(bad[0]?.problem).toContain("…");
	});

	test("nothing at all is no line", async () => {
		expect(await collect(textLines([]))).toEqual([]);
		expect(await collect(textLines([""]))).toEqual([]);
		expect((await read("\n\n  \n")).good).toEqual([]);
	});
});
