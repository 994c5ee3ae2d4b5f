/**
 * Owns what earlier runs have learned: how long test files take and what killed which mutant. It only decides who is asked first; no
 * verdict is ever taken from it. Lines of JSON in a folder that git ignores, appended, so that several runs may share it.
 */
import { createHash } from "node:crypto";
import { appendFileSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Mutation, root } from "./mutation.ts";
import type { Experience } from "./suites.ts";
import type { Killer, Verdict } from "./verdict.ts";

const path = join(root, ".mutants/history.jsonl");

type Line =
	| {
			readonly test: string;
			readonly ms: number;
			readonly green: string | null;
	  }
	| { readonly id: string; readonly file: string; readonly verdict: Verdict };

export class History implements Experience {
	readonly #ms = new Map<string, number>();
	readonly #verdicts = new Map<string, Verdict>();
	readonly #contents = new Contents();
	readonly #kills = new Map<string, number>();
	readonly #green = new Map<string, string | null>();

	constructor() {
		mkdirSync(dirname(path), { recursive: true });
		for (const line of linesOf(path)) this.#learn(line);
	}

	msOf(testFile: string): number {
		return this.#ms.get(testFile) ?? 0;
	}

	killsOf(testFile: string, file: string): number {
		return this.#kills.get(`${file} ${testFile}`) ?? 0;
	}

	killerOf({ id }: Mutation): Killer | null {
		const last = this.#verdicts.get(id);
		return last && "by" in last ? last.by : null;
	}

	survivedLast({ id }: Mutation): boolean {
		return this.#verdicts.get(id)?.fate === "survived";
	}

	/** Whether a test file passed when it and all that it runs against were as they are. */
	isGreen(testFile: string): boolean {
		return this.#green.get(testFile) === this.#contents.of(testFile);
	}

	noteTest(test: string, ms: number, passed: boolean): void {
		this.#note({ test, ms, green: passed ? this.#contents.of(test) : null });
	}

	noteVerdict({ id, file }: Mutation, verdict: Verdict): void {
		this.#note({ id, file, verdict });
	}

	#note(line: Line): void {
		this.#learn(line);
		appendFileSync(path, `${JSON.stringify(line)}\n`);
	}

	#learn(line: Line): void {
		if ("test" in line) {
			this.#ms.set(line.test, line.ms);
			this.#green.set(line.test, line.green);
		} else {
			this.#verdicts.set(line.id, line.verdict);
			if (!("by" in line.verdict)) return;
			const pair = `${line.file} ${line.verdict.by.file}`;
			this.#kills.set(pair, (this.#kills.get(pair) ?? 0) + 1);
		}
	}
}

/** One name for a test file and all that it runs against, as they stand. */
class Contents {
	readonly #shared: string;

	constructor() {
		const hash = createHash("sha256");
		for (const file of globSync(
			["{machines,src,test}/**/*.ts", "*.{json,ts}"],
			{
				cwd: root,
			},
		).sort())
			if (!/\.test\.ts$|^test\/mutants\/|^package/.test(file))
				hash.update(`${file}\n`).update(readFileSync(join(root, file)));
		this.#shared = hash.digest("hex");
	}

	of(testFile: string): string {
		return createHash("sha256")
			.update(this.#shared)
			.update(readFileSync(join(root, testFile)))
			.digest("hex");
	}
}

function linesOf(file: string): Line[] {
	try {
		return readFileSync(file, "utf8")
			.split("\n")
			.filter((line) => line !== "")
			.map((line) => JSON.parse(line));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
		throw error;
	}
}
