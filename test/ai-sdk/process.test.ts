/** What an aborted answer does to the process that it runs in: nothing. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runProgram } from "../support/program.ts";
import { versions } from "./versions.ts";

const file = join(import.meta.dirname, "aborts.ts");

describe.each(versions)("a process of ai %s", (version) => {
	test("outlives the abort of a run whose answer streams, and has nothing left to wait for", async () => {
		expect(await runProgram(file, { args: [`${version}`, "run"] })).toEqual({
			code: 0,
			stdout: "aborted true\n",
			stderr: "",
		});
	});
});

test("without a runtime, a reason that is no AbortError is thrown by ai 6, and by 7 not", async () => {
	const codes = versions.map(async (version) => {
		const args = [`${version}`, "bare"];
		return (await runProgram(file, { args })).code;
	});
	expect(await Promise.all(codes)).toEqual([1, 0]);
});
