/**
 * Owns a copy of the repository in the temporary folder and the process that tries mutants on it. One that hangs or dies is ended
 * with all that it started, and the next trial gets a new one. Never touches the repository itself.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import {
	cpSync,
	mkdtempSync,
	readdirSync,
	realpathSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./mutation.ts";
import type { Killer, Said, Trial } from "./verdict.ts";

const left = new Set(["node_modules", "dist", ".git", ".mutants", "coverage"]);
/** A file that says nothing for this long, and for so many times what it takes, hangs. */
const patienceMs = 45_000;
const patience = 6;

export type Outcome =
	| { readonly how: "passed" }
	| { readonly how: "failed"; readonly by: Killer; readonly why: string }
	| { readonly how: "hung"; readonly by: Killer };

export class Laboratory {
	readonly #place: string;
	#bench: ChildProcess | null = null;
	#msOf: (testFile: string) => number;

	constructor(msOf: (testFile: string) => number) {
		this.#msOf = msOf;
		this.#place = realpathSync(
			mkdtempSync(join(tmpdir(), "turnkeeper-mutants-")),
		);
		this.#copy();
		symlinkSync(
			realpathSync(join(root, "node_modules")),
			join(this.#place, "node_modules"),
		);
	}

	#copy(): void {
		for (const name of readdirSync(root))
			if (!left.has(name))
				cpSync(join(root, name), join(this.#place, name), { recursive: true });
	}

	/** Tries it; `ended` hears how each file went, and how many ms it took. */
	async try(
		trial: Trial,
		ended: (file: string, ms: number, passed: boolean) => void = () => {},
	): Promise<Outcome> {
		this.#bench ??= await this.#start();
		const bench = this.#bench;
		const { promise, resolve } = Promise.withResolvers<Outcome>();
		let last = trial.steps[0]?.files[0] ?? trial.file;
		let timer: NodeJS.Timeout | undefined;
		const wait = () => {
			clearTimeout(timer);
			timer = setTimeout(
				() => resolve({ how: "hung", by: { file: last, test: null } }),
				patienceMs + patience * this.#msOf(last),
			);
		};
		const hear = (said: Said) => {
			wait();
			if (said.says === "began") last = said.file;
			if (said.says === "ended") ended(said.file, said.ms, said.passed);
			if (said.says === "done")
				resolve(
					said.failed ? { how: "failed", ...said.failed } : { how: "passed" },
				);
		};
		const die = () =>
			resolve({
				how: "failed",
				by: { file: last, test: null },
				why: "the process died",
			});
		bench.on("message", hear);
		bench.once("exit", die);
		wait();
		bench.send(trial);
		const outcome = await promise;
		clearTimeout(timer);
		bench.off("message", hear);
		bench.off("exit", die);
		if (outcome.how === "hung" || bench.exitCode !== null) {
			this.#end();
			this.#copy();
		}
		return outcome;
	}

	async #start(): Promise<ChildProcess> {
		// A group of its own, so that whatever a mutant started ends with it.
		const bench = fork(
			fileURLToPath(new URL("bench.ts", import.meta.url)),
			[this.#place],
			{ detached: true, stdio: ["ignore", "ignore", "inherit", "ipc"] },
		);
		const [said] = (await Promise.race([
			once(bench, "message"),
			once(bench, "exit").then(() => {
				throw new Error("the tests could not be started");
			}),
		])) as [Said];
		if (said.says !== "ready") throw new Error(`not ready: ${said.says}`);
		return bench;
	}

	#end(): void {
		const pid = this.#bench?.pid;
		this.#bench = null;
		if (pid === undefined) return;
		try {
			process.kill(-pid, "SIGKILL");
		} catch {
			// It has ended by itself.
		}
	}

	[Symbol.dispose](): void {
		this.#end();
		rmSync(this.#place, { recursive: true, force: true });
	}
}
