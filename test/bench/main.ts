/**
 * Owns a run of the bench: which workloads are played, and where what they measured goes. `npm run bench -- --help` says what may be
 * asked.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type Args, argsOf, help, WrongArgs } from "./args.ts";
import { figures } from "./figures.ts";
import { play } from "./play.ts";
import { plotted } from "./plot.ts";
import { Progress } from "./progress.ts";
import { figuresText, readingsOf, tellReadme } from "./readme.ts";
import { type GroupResult, Results } from "./results.ts";
import { groupTable } from "./table.ts";
import { workloadNamed, workloadNames } from "./workloads/all.ts";

const machine = {
	node: process.version,
	cpu: cpus()[0]?.model ?? "unknown",
	cores: cpus().length,
};

async function measured(args: Args, folder: string): Promise<Results> {
	const only = args.only.map(
		(name) => figures.find(({ id }) => id === name)?.workload ?? name,
	);
	const chosen = await Promise.all(
		workloadNames
			.filter((name) => only.length === 0 || only.includes(name))
			.map(workloadNamed),
	);
	const all = chosen.flatMap((workload) =>
		workload.groups(args.size).map((group) => ({ workload, group })),
	);
	const progress = new Progress(all.length);
	const groups: GroupResult[] = [];
	try {
		for (const { workload, group } of all) {
			groups.push(
				await play(workload, group, { folder, rounds: args.rounds, progress }),
			);
			progress.next();
		}
	} finally {
		progress.stop();
	}
	return new Results(args.size, machine, groups);
}

/** To wherever the arguments say. */
async function tell(results: Results, args: Args): Promise<void> {
	if (args.json !== null) {
		const all = { ...results, figures: readingsOf(results) };
		const json = JSON.stringify(all, null, "\t");
		if (args.json === true) console.log(json);
		else writeFileSync(args.json, `${json}\n`);
	}
	if (args.plot !== null) writeFileSync(args.plot, await plotted(results));
	if (args.readme)
		tellReadme(
			results,
			`npm run bench -- --size ${args.size} --rounds ${args.rounds} --readme`,
		);
	if (args.json === true) return;
	if (readingsOf(results).length > 0) console.log(`${figuresText(results)}\n`);
	for (const group of results.groups)
		console.log(`${groupTable(group, machine, args.size)}\n`);
}

async function main(): Promise<void> {
	const args = argsOf(process.argv.slice(2), [
		...new Set([...workloadNames, ...figures.map(({ id }) => id)]),
	]);
	if (args.help) {
		process.stdout.write(help);
		return;
	}
	if (args.folder !== null) mkdirSync(args.folder, { recursive: true });
	const folder = mkdtempSync(
		join(args.folder ?? tmpdir(), "turnkeeper-bench-"),
	);
	const clear = () => rmSync(folder, { recursive: true, force: true });
	for (const signal of ["SIGINT", "SIGTERM"] as const)
		process.once(signal, () => {
			clear();
			process.exit(130);
		});
	try {
		const results = await measured(args, folder);
		await tell(results, args);
	} finally {
		clear();
	}
}

try {
	await main();
} catch (error) {
	if (!(error instanceof WrongArgs)) throw error;
	console.error(`bench: ${error.message}`);
	process.exitCode = 2;
}
