/**
 * Owns the long proof, on demand: `npm run prove`. Runs each part as a program of its own, one after the other, passes on what it prints, and
 * writes the last line of each into the README with the command that made it. Exits with 1, the README as it was, if a part fails.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/** As npm runs them. The last line of each is its result. */
const parts = [
	["explore", "npm run --silent prove:explore"],
	["simulate", "npx turnkeeper simulate --seeds 100000"],
	["crash", "npm run --silent crash -- --kills 200"],
] as const;

function run(command: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = spawn(command, {
			cwd: root,
			shell: true,
			stdio: ["ignore", "pipe", "inherit"],
		});
		let said = "";
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			process.stdout.write(text);
			said += text;
		});
		child.once("error", reject).once("close", (code) => {
			if (code === 0) resolve(said);
			else reject(new Error(`"${command}" exited with ${code}`));
		});
	});
}

const results: string[] = [];
for (const [, command] of parts) {
	console.log(`\n$ ${command}`);
	results.push(`$ ${command}`, ...(await run(command)).trim().split("\n"));
}

const file = join(root, "README.md");
const before = readFileSync(file, "utf8");
const block =
	/(<!-- the last `npm run prove` -->\n+```text\n)[\s\S]*?(\n```\n+<!-- \/ -->)/;
if (!block.test(before))
	throw new Error(
		"README.md has no block between `<!-- the last `npm run prove` -->` and `<!-- / -->`, where the result belongs",
	);
const day = new Date().toISOString().slice(0, 10);
writeFileSync(
	file,
	before.replace(
		block,
		(_, head: string, tail: string) =>
			`${head}${day}, Node ${process.versions.node}\n${results.join("\n")}${tail}`,
	),
);
