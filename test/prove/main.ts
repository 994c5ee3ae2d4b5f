/**
 * Owns the whole proof on demand: `npm run prove`. Explores within large bounds, plays 100,000 seeds, kills 200 hosts, and writes the last line
 * of each into the README, with the command that made it. Stops at the first that breaks a promise, of which the README then says nothing.
 */
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const readme = new URL("README.md", root);

/** Each by the words that a reader would type, and which of its lines are its result. */
const proofs: readonly {
	readonly command: string;
	readonly result: RegExp;
}[] = [
	{ command: "npm run --silent prove:explore", result: /^exhausted|^explored/ },
	{ command: "npm run --silent crash -- --kills 200", result: /^crash:/ },
	{
		command: "npx turnkeeper simulate --seeds 100000",
		result: /^\d+ seeds:/,
	},
];

/** The installed package has a bin; the checkout runs it from its sources. */
const played = (command: string) =>
	command.replace(/^npx turnkeeper/, "node src/cli/main.ts");

/** Runs a command and shows what it prints; resolves with its lines, or null if it failed. */
function linesOf(command: string): Promise<readonly string[] | null> {
	return new Promise((resolve, reject) => {
		const [program, ...args] = played(command).split(" ") as [
			string,
			...string[],
		];
		const child = spawn(program, args, {
			cwd: fileURLToPath(root),
			stdio: ["inherit", "pipe", "inherit"],
		});
		let printed = "";
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			printed += text;
			process.stdout.write(text);
		});
		child.on("error", reject);
		child.on("close", (code) =>
			resolve(code === 0 ? printed.trimEnd().split("\n") : null),
		);
	});
}

const results: string[] = [];
for (const { command, result } of proofs) {
	console.log(`$ ${command}`);
	const lines = await linesOf(command);
	const told = lines?.filter((line) => result.test(line)) ?? [];
	if (told.length === 0) {
		console.error(`prove: ${command} did not hold; see above`);
		process.exit(1);
	}
	results.push(`$ ${command.replace(" --silent", "")}`, ...told);
	await tell(results);
}

/** Puts what was proven so far in the place of what was printed last. */
async function tell(lines: readonly string[]): Promise<void> {
	const day = new Date().toISOString().slice(0, 10);
	const text = await readFile(readme, "utf8");
	const block =
		/(<!-- what `npm run prove` printed last -->\n)[\s\S]*?(<!-- \/ -->)/;
	if (!block.test(text))
		throw new Error("the README has no place for what `npm run prove` printed");
	await writeFile(
		readme,
		text.replace(
			block,
			(_, begin, end) =>
				`${begin}\`\`\`text\n${lines.join("\n")}\n\`\`\`\n\nOn ${day}.\n${end}`,
		),
	);
}
