/**
 * Owns the folder in which a page is played, as a reader would have it: the packages installed, `npx` and `npm` at hand, the package found
 * by its name, a free port in PORT. Runs one command after another; what was started beside them ends with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { Ended } from "../support/program.ts";
import { root } from "./page.ts";

/** After that long a command hangs. */
const patienceMs = 60_000;

const ownName = new URL("../support/own-name.ts", import.meta.url).href;
const cli = join(root, "src", "cli", "main.ts");
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const vitestConfig = join(import.meta.dirname, "vitest.page.config.ts");

/** The commands of a page that are not what they are called. */
const stand = {
	turnkeeper: `exec node "${cli}" "$@"`,
	npx: `name=$1; shift
case "$name" in
turnkeeper) exec node "${cli}" "$@" ;;
vitest) exec node "${vitest}" "$@" --root "$PWD" --config "${vitestConfig}" ;;
*) echo "npx $name: a page may run turnkeeper and vitest" >&2; exit 1 ;;
esac`,
	npm: `case "$1" in
i | install | add | init | ci) ;;
*) echo "npm $1 is not run on a page; say <!-- not run: REASON --> before its fence" >&2; exit 1 ;;
esac`,
};

export interface Served extends Ended {
	readonly isUp: boolean;
}

export class Place implements AsyncDisposable {
	readonly #folder = mkdtempSync(join(tmpdir(), "turnkeeper-page-"));
	readonly #own = join(this.#folder, "page");
	readonly #env: NodeJS.ProcessEnv;
	readonly #servers: ChildProcess[] = [];

	private constructor(port: number) {
		const commands = join(this.#folder, "commands");
		mkdirSync(commands);
		for (const [name, script] of Object.entries(stand))
			writeFileSync(join(commands, name), `#!/bin/sh\n${script}\n`, {
				mode: 0o755,
			});
		mkdirSync(this.#own);
		symlinkSync(join(root, "node_modules"), join(this.#own, "node_modules"));
		this.write("package.json", '{ "private": true, "type": "module" }');
		const { PATH = "", HOME, LANG, TMPDIR, NODE_COMPILE_CACHE } = process.env;
		// Nothing of a test runner's environment is a reader's.
		this.#env = {
			...{ HOME, LANG, TMPDIR, NODE_COMPILE_CACHE },
			PATH: [commands, dirname(process.execPath), PATH].join(delimiter),
			NODE_OPTIONS: `--import ${ownName}`,
			PORT: String(port),
		};
	}

	static async make(): Promise<Place> {
		const server = createServer().listen(0, "127.0.0.1");
		await once(server, "listening");
		const address = server.address();
		server.close();
		await once(server, "close");
		if (address === null || typeof address === "string")
			throw new Error("a server on port 0 has no port");
		return new Place(address.port);
	}

	write(name: string, text: string): void {
		const file = join(this.#own, name);
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(file, `${text}\n`);
	}

	/** Runs one line of shell to its end. */
	async run(line: string): Promise<Ended> {
		const child = this.#start(line);
		const timer = setTimeout(() => signal(child, "SIGKILL"), patienceMs);
		try {
			const [stdout, stderr, [code]] = await Promise.all([
				text(child.stdout),
				text(child.stderr),
				once(child, "close") as Promise<[number | null]>,
			]);
			return { code, stdout, stderr };
		} finally {
			clearTimeout(timer);
		}
	}

	/** Starts a server, and waits for so many lines on its standard output; `isUp` says whether they came. */
	async serve(line: string, lines: number): Promise<Served> {
		const child = this.#start(line);
		this.#servers.push(child);
		let [stdout, stderr] = ["", ""];
		child.stderr.setEncoding("utf8").on("data", (said) => {
			stderr += said;
		});
		const told = new Promise<void>((resolve) => {
			child.stdout.setEncoding("utf8").on("data", (said) => {
				stdout += said;
				if (stdout.split("\n").length > lines) resolve();
			});
			child.once("close", () => resolve());
		});
		const timer = setTimeout(() => signal(child, "SIGKILL"), patienceMs);
		await told;
		clearTimeout(timer);
		const all = stdout.split("\n");
		return {
			isUp: all.length > lines && child.exitCode === null,
			code: child.exitCode,
			stdout: all
				.slice(0, lines)
				.map((one) => `${one}\n`)
				.join(""),
			stderr,
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(
			this.#servers.map(async (child) => {
				if (child.exitCode !== null || child.signalCode !== null) return;
				const gone = once(child, "close");
				signal(child, "SIGTERM");
				const timer = setTimeout(() => signal(child, "SIGKILL"), patienceMs);
				await gone;
				clearTimeout(timer);
			}),
		);
		await rm(this.#folder, { recursive: true, force: true });
	}

	/** As a process group of its own, so that what the shell started ends with it. */
	#start(line: string) {
		return spawn("sh", ["-c", line], {
			cwd: this.#own,
			env: this.#env,
			stdio: ["ignore", "pipe", "pipe"],
			detached: true,
		});
	}
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
	try {
		if (pid !== undefined) process.kill(-pid, name);
	} catch {
		// It is gone already.
	}
}
