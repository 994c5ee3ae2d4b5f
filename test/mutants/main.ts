/**
 * Owns a run over the mutants: one change at a time, the tests that could see it, and a table of those that nobody saw.
 *
 *     npm run mutants                        all of them
 *     npm run mutants -- --list              their names, and nothing is run
 *     npm run mutants -- --only '^guard'     those whose names match
 *     npm run mutants -- --shard 1/4         every fourth, from the first
 *     npm run mutants -- --suites machines   asks only test files of that name
 *     npm run mutants -- --again             those that survived last time
 *
 * Exits with 1 if a mutant of a guard survived, or the list of equivalents is wrong; other survivors are listed.
 */
import { parseArgs } from "node:util";
import { chartMutations } from "./chart.ts";
import { Compiler } from "./compiler.ts";
import { equivalents } from "./equivalents.ts";
import { fenceMutations } from "./fences.ts";
import { History } from "./history.ts";
import { Laboratory } from "./laboratory.ts";
import { type Mutation, mutated } from "./mutation.ts";
import { Progress } from "./progress.ts";
import { listOf, reportOf, type Tried } from "./report.ts";
import { allTestFiles, stepOf, stepsFor } from "./suites.ts";
import type { Verdict } from "./verdict.ts";

const { values: options } = parseArgs({
	options: {
		only: { type: "string" },
		shard: { type: "string" },
		list: { type: "boolean", default: false },
		suites: { type: "string", default: "." },
		again: { type: "boolean", default: false },
	},
});

const history = new History();
const asked = allTestFiles().filter((file) =>
	new RegExp(options.suites).test(file),
);
const mutations = [...chartMutations(), ...fenceMutations()];
const reasons = new Map(equivalents.map(({ id, why }) => [id, why]));
const chosen = chosenOf(mutations);

if (options.list) console.log(listOf(chosen, reasons));
else process.exitCode = await run();

function chosenOf(from: readonly Mutation[]): Mutation[] {
	const only = options.only === undefined ? null : new RegExp(options.only);
	const [index, count] = shardOf(options.shard);
	return from
		.filter(({ id }) => !only || only.test(id))
		.filter((mutation) => !options.again || history.survivedLast(mutation))
		.filter((_, at) => at % count === index - 1);
}

function shardOf(shard: string | undefined): [number, number] {
	if (shard === undefined) return [1, 1];
	const [, index, count] = /^(\d+)\/(\d+)$/.exec(shard) ?? [];
	if (!index || !count || +index < 1 || +index > +count)
		throw new Error(`--shard is ${shard}; it must be like 1/4`);
	return [+index, +count];
}

async function run(): Promise<number> {
	const unknown = [...reasons.keys()].filter(
		(id) => !mutations.some((mutation) => mutation.id === id),
	);
	for (const id of unknown)
		console.error(`Listed as equivalent, but there is no mutant ${id}`);
	using laboratory = new Laboratory((file) => history.msOf(file));
	for (const signal of ["SIGINT", "SIGTERM"] as const)
		process.once(signal, () => {
			laboratory[Symbol.dispose]();
			process.exit(130);
		});
	if (!(await isGreen(laboratory))) return 1;
	const compiler = new Compiler();
	const progress = new Progress(chosen.length);
	const tried: Tried[] = [];
	for (const mutation of chosen) {
		progress.begin(mutation);
		const verdict = await verdictOn(mutation, laboratory, compiler);
		history.noteVerdict(mutation, verdict);
		const why = reasons.get(mutation.id) ?? null;
		tried.push({ mutation, verdict, equivalent: why });
		progress.end(mutation, verdict, why !== null);
	}
	progress.stop();
	const report = reportOf(tried);
	console.log(report.text);
	return report.isGood && unknown.length === 0 ? 0 : 1;
}

/** Without a mutant everything passes, or no verdict means anything. What passed before and has not changed is not run again. */
async function isGreen(laboratory: Laboratory): Promise<boolean> {
	const files = asked.filter((file) => !history.isGreen(file));
	if (files.length === 0) return true;
	console.log(`First ${files.length} test files without a mutant …`);
	const outcome = await laboratory.try(
		{
			file: "package.json",
			text: null,
			steps: [{ files, timeoutMs: 120_000 }],
			goesOn: true,
		},
		(file, ms, passed) => history.noteTest(file, ms, passed),
	);
	if (outcome.how === "passed") return true;
	const { file, test } = outcome.by;
	console.error(`${outcome.how} without a mutant: ${file} ${test ?? ""}`);
	return false;
}

async function verdictOn(
	mutation: Mutation,
	laboratory: Laboratory,
	compiler: Compiler,
): Promise<Verdict> {
	// The chart takes a second to check and nearly all of its mutants compile, so it is checked last.
	const compilesFirst = mutation.kind === "fence";
	const refusal = () => compiler.refusalOf(mutation);
	if (compilesFirst) {
		const why = refusal();
		if (why !== null) return { fate: "does not compile", why };
	}
	const killer = history.killerOf(mutation);
	const steps = stepsFor(mutation, asked, history);
	if (killer && asked.includes(killer.file))
		steps.unshift({
			...stepOf([killer.file], history),
			...(killer.test === null ? {} : { test: killer.test }),
		});
	const { file } = mutation;
	const text = mutated(mutation);
	const outcome = await laboratory.try({ file, text, steps });
	if (outcome.how === "hung") return { fate: "hung", by: outcome.by };
	if (outcome.how === "failed")
		return /timed out in \d+ms/.test(outcome.why)
			? { fate: "hung", by: outcome.by }
			: { fate: "killed", by: outcome.by, why: outcome.why };
	const why = compilesFirst ? null : refusal();
	if (why !== null) return { fate: "does not compile", why };
	return {
		fate: "survived",
		asked: new Set(steps.flatMap((one) => one.files)).size,
	};
}
