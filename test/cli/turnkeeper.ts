/** Owns running the command line as users do: a process of its own, with what it wrote and how it ended. */
import {
	type ChildProcessWithoutNullStreams,
	type SpawnOptionsWithoutStdio,
	spawn,
} from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { vi } from "vitest";
import { runCommandLine } from "../../src/cli/run.ts";

const main = join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

export interface Ended {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** Environment variables that change what Node or a terminal program prints have no part in the tests. */
function environment(): NodeJS.ProcessEnv {
	const {
		NODE_OPTIONS: _,
		FORCE_COLOR: __,
		NO_COLOR: ___,
		...rest
	} = process.env;
	return rest;
}

export function start(
	args: readonly string[],
	options: SpawnOptionsWithoutStdio & {
		readonly node?: readonly string[];
	} = {},
): ChildProcessWithoutNullStreams {
	const { node = [], ...rest } = options;
	return spawn(process.execPath, [...node, main, ...args], {
		env: environment(),
		...rest,
	});
}

/** Runs one call to its end. */
export async function turnkeeper(
	args: readonly string[],
	options: Parameters<typeof start>[1] = {},
): Promise<Ended> {
	const child = start(args, options);
	child.stdin.end();
	const [stdout, stderr, [code]] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
		once(child, "close") as Promise<[number | null]>,
	]);
	return { code, stdout, stderr };
}

/** Runs one call that must succeed without a word on standard error, and reads its JSON. */
export async function turnkeeperJson<Answer>(
	args: readonly string[],
): Promise<Answer> {
	const { code, stdout, stderr } = await turnkeeper([...args, "--json"]);
	if (code !== 0 || stderr !== "")
		throw new Error(`exit code ${code}: ${stderr}`);
	return JSON.parse(stdout) as Answer;
}

/** A call inside this process, for what needs no process of its own. */
export async function turnkeeperHere(args: readonly string[]): Promise<Ended> {
	const [stdout, stderr] = [process.stdout, process.stderr].map((stream) =>
		vi.spyOn(stream, "write").mockReturnValue(true),
	);
	const said = (spy: typeof stdout) =>
		spy?.mock.calls.map(([written]) => String(written)).join("") ?? "";
	try {
		const code = await runCommandLine(args);
		return { code, stdout: said(stdout), stderr: said(stderr) };
	} finally {
		vi.restoreAllMocks();
	}
}

/** What every failed call must look like: one line on standard error, nothing on standard output. */
export function failure(code: 1 | 2, message: string | RegExp) {
	return { code, stdout: "", stderr: new OneLine(message) };
}

class OneLine {
	readonly #message: string | RegExp;

	constructor(message: string | RegExp) {
		this.#message = message;
	}

	asymmetricMatch(text: unknown): boolean {
		if (typeof text !== "string") return false;
		const line = /^turnkeeper: (.*)\n$/.exec(text)?.[1];
		if (line === undefined) return false;
		return typeof this.#message === "string"
			? line === this.#message
			: this.#message.test(line);
	}

	toString(): string {
		return "OneLine";
	}

	toAsymmetricMatcher(): string {
		return `one line: turnkeeper: ${this.#message}`;
	}
}
