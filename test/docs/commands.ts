/** Owns whether the commands that a page names are there, with the options that it gives them. Runs nothing but `turnkeeper … --help`. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { turnkeeperHere } from "../cli/turnkeeper.ts";
import { type Page, type Piece, root } from "./page.ts";
import type { Problem } from "./problem.ts";
import { commandsIn, linesOf } from "./shell.ts";

const scripts: Readonly<Record<string, string>> = manifest.scripts;

/** What a page may tell a reader to install. */
const packages: ReadonlySet<string> = new Set([
	manifest.name,
	...Object.keys(manifest.dependencies),
	...Object.keys(manifest.peerDependencies),
	...Object.keys(manifest.devDependencies),
]);

/** Commands of npm's own. */
const npmItself = new Set(["ci", "init", "pack", "pkg", "publish", "version"]);

export async function commandProblems(page: Page): Promise<Problem[]> {
	const problems: Problem[] = [];
	for (const lines of namedOn(page)) {
		const files = filesAt(lines, page);
		for (const { text: said, line } of lines)
			for (const words of commandsIn(said)) {
				const text = await wrongWith(words, files);
				if (text !== null) problems.push({ page: page.name, line, text });
			}
	}
	return problems;
}

/** What is there to be typed: `sh`, what stands behind a `$`, and what begins like a command in the middle of a sentence. */
function namedOn({ fences, spans }: Page): Piece[][] {
	return [
		...fences.map(({ lang, code }) =>
			lang === "sh" ? linesOf(code) : typedIn(code),
		),
		spans.filter(({ text }) =>
			/^(?:[A-Z_]+=\S+ )*(?:npm|npx|node|turnkeeper) /.test(text),
		),
	];
}

/** The files that a page has beside those of the repository; null where its commands fetch some, so that nobody knows. */
type Files = readonly string[] | null;

function filesAt(lines: readonly Piece[], { fences }: Page): Files {
	const programs = lines
		.flatMap(({ text }) => commandsIn(text))
		.map(([program]) => program);
	return programs.includes("cp") || programs.includes("git")
		? null
		: fences.flatMap(({ notes }) => notes.file ?? []);
}

function typedIn({ text, line }: Piece): Piece[] {
	return text
		.split("\n")
		.flatMap((one, at) =>
			one.startsWith("$ ") ? [{ text: one.slice(2), line: line + at }] : [],
		);
}

async function wrongWith(
	[program, ...args]: readonly string[],
	files: Files,
): Promise<string | null> {
	switch (program) {
		case "npm":
			return wrongNpm(args);
		case "npx":
			return wrongNpx(args, files);
		case "node":
			return wrongFile(args.find((word) => !word.startsWith("-")) ?? "", files);
		case manifest.name:
			return wrongTurnkeeper(args);
		default:
			return null;
	}
}

function wrongNpm(args: readonly string[]): string | null {
	const end = args.indexOf("--");
	const [own, given] =
		end < 0 ? [args, []] : [args.slice(0, end), args.slice(end + 1)];
	const [command = "", ...names] = own.filter((word) => !word.startsWith("-"));
	if (["i", "install", "add"].includes(command)) return wrongPackages(names);
	if (npmItself.has(command)) return null;
	const name = command === "run" ? (names[0] ?? "") : command;
	if (command !== "run" && !["test", "start"].includes(name))
		return `npm ${command} is not among the commands that a page may name`;
	if (isPlaceholder(name)) return null;
	const script = scripts[name];
	return script === undefined
		? `there is no npm script "${name}"`
		: wrongForScript(name, script, given);
}

function wrongPackages(names: readonly string[]): string | null {
	const unknown = names
		.map((name) => name.replace(/(?<=.)@.*$/, ""))
		.filter((name) => !packages.has(name));
	return unknown.length === 0
		? null
		: `${unknown.join(", ")} is neither this package nor one that it is tested with`;
}

/** What a script of vitest is given are paths; the options of a program stand in its text. */
function wrongForScript(
	name: string,
	script: string,
	given: readonly string[],
): string | null {
	if (script.startsWith("vitest ")) return wrongTestFiles(given, []);
	const [file] = /[\w./-]+\.ts$/.exec(script) ?? [];
	if (file === undefined) return null;
	const texts = globSync(join(dirname(file), "*.ts"), { cwd: root }).map(
		(one) => readFileSync(join(root, one), "utf8"),
	);
	const unknown = optionsIn(given).filter(
		(option) => !texts.some((text) => says(text, option)),
	);
	return unknown.length === 0
		? null
		: `npm run ${name} does not know ${unknown.join(", ")}`;
}

async function wrongNpx(
	[name = "", ...args]: readonly string[],
	files: Files,
): Promise<string | null> {
	if (name === manifest.name) return wrongTurnkeeper(args);
	if (!existsSync(join(root, "node_modules", ".bin", name)))
		return `npx ${name} is a command of no package that is installed here`;
	return name === "vitest" ? wrongTestFiles(args.slice(1), files) : null;
}

function wrongTestFiles(args: readonly string[], files: Files): string | null {
	const missing = args.filter(
		(word) => !word.startsWith("-") && !isThere(word, files),
	);
	return missing.length === 0
		? null
		: `vitest is given ${missing.join(", ")}, which is not there`;
}

function wrongFile(file: string, files: Files): string | null {
	return isPlaceholder(file) || isThere(file, files)
		? null
		: `node is given ${file}, which is neither in the repository nor on the page`;
}

function isThere(path: string, files: Files): boolean {
	return (
		files === null ||
		files.includes(path.replace(/^\.\//, "")) ||
		existsSync(join(root, path))
	);
}

const helps = new Map<string, Promise<string>>();

/** What `--help` says of one command, or of all. */
function helpOf(command: readonly string[]): Promise<string> {
	const key = command.join(" ");
	const help =
		helps.get(key) ??
		turnkeeperHere([...command, "--help"]).then(({ stdout }) => stdout);
	helps.set(key, help);
	return help;
}

async function wrongTurnkeeper(
	args: readonly string[],
): Promise<string | null> {
	const [command = ""] = args;
	if (command === "" || isPlaceholder(command)) return null;
	const isCommand = !command.startsWith("-");
	if (isCommand && !(await helpOf([])).includes(`\n  ${command} `))
		return `turnkeeper has no command "${command}"`;
	const help = await helpOf(isCommand ? [command] : []);
	const unknown = optionsIn(args).filter(
		(option) => option !== "--help" && !says(help, option),
	);
	return unknown.length === 0
		? null
		: `turnkeeper ${command} does not know ${unknown.join(", ")}`;
}

/** `--option`, also as `--option=value` and, where it may be left out, `[--option`. */
function optionsIn(words: readonly string[]): string[] {
	return words.flatMap((word) => /^\[?(--[a-z][a-z-]*)/.exec(word)?.[1] ?? []);
}

function says(text: string, option: string): boolean {
	return new RegExp(`(?<![\\w-])${option}(?![\\w-])`).test(text);
}

/** `FILE.mts`, `COMMAND`: for the reader to fill in. */
function isPlaceholder(word: string): boolean {
	return /^[A-Z]+…?(?:\.\w+)?$/.test(word);
}
