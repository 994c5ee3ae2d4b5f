import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram } from "../support/program.ts";

const main = join(
	import.meta.dirname,
	"..",
	"..",
	"examples",
	"terminal",
	"main.ts",
);

test("the terminal example plays its conversation where no terminal is", async () => {
	const { code, stdout, stderr } = await runProgram(main);
	expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	const lines = stdout.split("\n");
	const inOrder = [
		// The row before and after the reset in mid-run.
		"  row     generation 1 · running · run r2 is live · 18 tokens",
		"  you     /new",
		"  row     generation 2 · resetting · no run yet · 1 draining · 0 tokens",
		// The late error, and what it was not allowed to do.
		"  report  run r2 failed: socket hang up",
		"  verdict archived: generation 1 has ended; filed in its archive",
		"  row     generation 2 · idle · no run yet · 0 tokens",
		expect.stringMatching(
			/^ {2}archive generation 1: run r2 aborted by reset after \d+\.\d s: socket hang up$/,
		),
		"  verdict duplicate: run r2 had settled: aborted",
		"  late error  s2 failed: socket hang up   s2 idle, report archived",
		// A queued message, and /stop.
		'  queue   "hello again" is queued, the poem comes first',
		"  stop    done; the run is aborted",
		"  row     generation 2 · ended · last run aborted · 91 tokens",
		// What /why tells.
		"  generation 1 · session s1 · ended by reset: /new",
		"  reports that did not touch the current row",
	];
	const wanted = (line: string) =>
		inOrder.some((one) =>
			typeof one === "string" ? one === line : one.asymmetricMatch(line),
		);
	expect(lines.filter(wanted)).toEqual(inOrder);
	expect(lines.filter((line) => line.length > 80)).toEqual([]);
	expect(stdout).not.toContain("\u001b");
});

test("the terminal example says how it is called when it is called otherwise", async () => {
	const { code, stdout, stderr } = await runProgram(main, { args: ["--nope"] });
	expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
	expect(stderr).toContain(
		"usage: npm run start:terminal -- [--db FILE] [--key KEY]",
	);
});
