/** Owns running a program as its reader would: a process of its own, that finds the package by name. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";

const ownName = new URL("./own-name.ts", import.meta.url).href;

export interface Ended {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs a TypeScript file to its end, with nothing on its standard input. */
export async function runProgram(
	file: string,
	{
		args = [],
		cwd,
		env = {},
	}: {
		readonly args?: readonly string[];
		readonly cwd?: string;
		readonly env?: NodeJS.ProcessEnv;
	} = {},
): Promise<Ended> {
	const { NODE_OPTIONS: _, FORCE_COLOR: __, ...rest } = process.env;
	const child = spawn(process.execPath, ["--import", ownName, file, ...args], {
		...(cwd === undefined ? {} : { cwd }),
		env: { ...rest, ...env },
		stdio: ["ignore", "pipe", "pipe"],
	});
	const [stdout, stderr, [code]] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
		once(child, "close") as Promise<[number | null]>,
	]);
	return { code, stdout, stderr };
}
