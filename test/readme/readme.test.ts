import {
	mkdtempSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startModelServer } from "../../examples/model-server/model-server.ts";
import manifest from "../../package.json" with { type: "json" };
import { turnkeeperHere } from "../cli/turnkeeper.ts";
import { errorCodes } from "../support/error-codes.ts";
import { runProgram } from "../support/program.ts";

const root = join(import.meta.dirname, "..", "..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** An example as printed, and the output that is printed beside it. */
function exampleNamed(name: string): { code: string; output: string } {
	const pattern = new RegExp(
		`<!-- example: ${name} -->\n\`\`\`ts\n(.*?)\`\`\`\n\nIt prints:\n\n\`\`\`text\n(.*?)\`\`\`\n`,
		"s",
	);
	const [, code, output] = pattern.exec(readme) ?? [];
	if (code === undefined || output === undefined)
		throw new Error(`the README has no example ${name} with its output`);
	return { code, output };
}

describe("an embedding example of the README", () => {
	test.each([
		["managed", 20],
		["host-driven", 20],
		["owned", 30],
		["telemetry", 25],
		["race", 10],
		["explore", 10],
		["histories", 20],
	] as const)(
		"%s: runs as printed, and prints what stands beside it",
		async (name, lines) => {
			const { code, output } = exampleNamed(name);
			expect(code.trimEnd().split("\n").length).toBeLessThanOrEqual(lines);
			const folder = mkdtempSync(join(tmpdir(), "turnkeeper-readme-"));
			onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
			// What else an example imports is installed beside it.
			symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
			const file = join(folder, "example.mts");
			writeFileSync(file, code);
			expect(await runProgram(file, { cwd: folder })).toEqual({
				code: 0,
				stdout: output,
				stderr: "",
			});
		},
	);

	test("ai-sdk: runs as printed, and prints what stands beside it, with a server that answers", async () => {
		const { code, output } = exampleNamed("ai-sdk");
		expect(code.trimEnd().split("\n").length).toBeLessThanOrEqual(30);
		await using server = await startModelServer({
			models: ["llama3.2"],
			answer: (_, number) =>
				number === 0
					? [{ call: "post", input: { text: "Hello, everybody!" } }]
					: [{ say: "It is said." }],
		});
		const folder = mkdtempSync(join(tmpdir(), "turnkeeper-readme-"));
		onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
		symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
		const file = join(folder, "example.mts");
		writeFileSync(file, code);
		const env = { OPENAI_BASE_URL: server.url };
		expect(await runProgram(file, { cwd: folder, env })).toEqual({
			code: 0,
			stdout: output,
			stderr: "",
		});
		const [, last] = server.requests;
		expect(last?.body.messages.at(-1)?.content).toBe(
			"posted once: Hello, everybody!",
		);
	});
});

test("the example of an executor of one's own is a test of this repository, word for word", () => {
	const name = "test/testing/own-executor.test.ts";
	const pattern = new RegExp(
		`<!-- tested as ${name} -->\n\`\`\`ts\n(.*?)\`\`\``,
		"s",
	);
	const [, code] = pattern.exec(readme) ?? [];
	const [, ...lines] = readFileSync(join(root, name), "utf8").split("\n");
	expect(lines.join("\n")).toBe(code);
});

describe("the README names", () => {
	test.each(
		Object.keys(manifest.exports).filter((path) => path !== "./package.json"),
	)("the entry point %s", (path) => {
		expect(readme).toContain(`\`${manifest.name}${path.slice(1)}\``);
	});

	test("every error code, with its page", () => {
		expect(
			errorCodes.filter(
				(code) =>
					!readme.includes(`| [\`${code}\`](docs/errors/${code}.md) | `),
			),
		).toEqual([]);
	});

	test("every command of the command line", async () => {
		const { stdout } = await turnkeeperHere(["--help"]);
		const names = [...stdout.matchAll(/^ {2}([a-z]+) {2}/gm)].map(
			([, name]) => name,
		);
		expect(names.length).toBeGreaterThan(0);
		expect(
			names.filter((name) => !readme.includes(`\`turnkeeper ${name} `)),
		).toEqual([]);
	});
});
