/**
 * Owns which test files are asked about a mutant, and in which order: those first that are likeliest to kill it soon. A new suite that can kill
 * mutants of the chart or the engine is added here, if no pattern below meets it yet.
 */
import { globSync } from "node:fs";
import { basename } from "node:path";
import { type Mutation, root } from "./mutation.ts";
import type { Step } from "./verdict.ts";

interface Suite {
	/** What its files cost, against others that take as long: decisions are nearest to what only asks the machines. */
	readonly cost?: number;
	/** From the root of the repository. */
	readonly files: string;
	/** Whether it is asked about a mutation of this file. */
	readonly about: (file: string) => boolean;
}

const all = () => true;
const machine = (file: string) => /^machines\//.test(file);
const store = (file: string) => /^src\/(sqlite|memory|store)/.test(file);

const suites: readonly Suite[] = [
	{ files: "test/machines/*.test.ts", about: machine, cost: 0.05 },
	{ files: "test/explore/*.test.ts", about: machine },
	{ files: "test/paths/session-paths.test.ts", about: machine },
	{ files: "test/stores/*.test.ts", about: store },
	{ files: "test/engine/*.test.ts", about: all },
	{ files: "test/races/*.test.ts", about: all },
	{ files: "test/replay/*.test.ts", about: (file) => !store(file) },
];

/** Slow, and about nothing that the others are not about. */
const skipped = new Set(["test/races/index.test.ts"]);

/** What is known from earlier runs. */
export interface Experience {
	/** How long a file takes if nothing fails, in ms; 0 if that is not known. */
	msOf(testFile: string): number;
	/** How many mutants of a source file it has killed. */
	killsOf(testFile: string, file: string): number;
}

/** Files that take longer than this are asked when all others have let a mutant live, and their tests have longer time-outs. */
const slowMs = 8_000;
/** How long a test may take, for so many times what its whole file takes. */
const patience = 3;
const leastTimeoutMs = 15_000;

/** All test files that may be asked at all. */
export function allTestFiles(): string[] {
	return [...new Set(suites.flatMap(({ files }) => filesOf(files)))];
}

/** Which of the test files to ask about a mutation, those first that are likeliest to answer soon. */
export function stepsFor(
	mutation: Mutation,
	testFiles: readonly string[],
	experience: Experience,
): Step[] {
	const words = wordsOf(mutation.id);
	const rank = (testFile: string, cost: number) => {
		const isNamed = wordsOf(basename(testFile, ".test.ts")).some((word) =>
			words.includes(word),
		);
		const kills = experience.killsOf(testFile, mutation.file);
		return (
			(cost * (100 + experience.msOf(testFile))) /
			((isNamed ? 10 : 1) * (1 + kills))
		);
	};
	const files = suites
		.filter(({ about }) => about(mutation.file))
		.flatMap(({ files, cost = 1 }) =>
			filesOf(files).map((file) => ({ file, rank: rank(file, cost) })),
		)
		.sort((one, other) => one.rank - other.rank)
		.map(({ file }) => file)
		.filter((file) => testFiles.includes(file));
	const isSlow = (testFile: string) => experience.msOf(testFile) > slowMs;
	return [
		files.filter((file) => !isSlow(file)),
		...files.filter(isSlow).map((file) => [file]),
	]
		.filter((files) => files.length > 0)
		.map((files) => stepOf(files, experience));
}

export function stepOf(files: readonly string[], experience: Experience): Step {
	const ms = Math.max(0, ...files.map((file) => experience.msOf(file)));
	return { files, timeoutMs: Math.max(leastTimeoutMs, patience * ms) };
}

function filesOf(pattern: string): string[] {
	return globSync(pattern, { cwd: root })
		.filter((file) => !skipped.has(file))
		.sort();
}

/** `live.settled[ownsLiveRun]` speaks of a live run that settled; `waits.test.ts` of what waits. */
function wordsOf(name: string): string[] {
	return name
		.replace(/([a-z])([A-Z])/g, "$1 $2")
		.toLowerCase()
		.split(/[^a-z]+/)
		.filter((word) => word.length > 3)
		.map((word) => word.replace(/(ies|y|s)$/, "").slice(0, 6));
}
