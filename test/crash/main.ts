/**
 * The crash harness: lives of a loaded host on real files, each ended by kill -9, and the promises after each.
 * `npm run crash -- --kills N [--seed S] [--thread]`: N kills (default 50), ten on a file; S is the seed of the first file (default: a new
 * one); with --thread the hosts have their database on a thread.
 * The same seed plays the same load and chooses the same deaths; where in its work a process then is, no seed says.
 */
import { parseArgs } from "node:util";
import { Progress } from "../../src/cli/progress.ts";
import { PromiseBroken, playLives, type Tally } from "./lives.ts";

/** After so many lives a file has seen enough, and a fresh one begins. */
const killsPerFile = 10;

const usage = "usage: npm run crash -- --kills N [--seed S] [--thread]";

interface Asked {
	readonly kills: number;
	readonly seed: number;
	readonly thread: boolean;
}

function asked(): Asked {
	const { values } = parseArgs({
		options: {
			kills: { type: "string" },
			seed: { type: "string" },
			thread: { type: "boolean", default: false },
		},
	});
	const kills = Number(values.kills ?? 50);
	const seed = Number(values.seed ?? 1 + (Date.now() % 1_000_000));
	for (const [name, value] of Object.entries({ kills, seed }))
		if (!Number.isSafeInteger(value) || value < 1)
			throw new TypeError(`--${name} must be a whole number, 1 or more`);
	return { kills, seed, thread: values.thread };
}

async function main(): Promise<void> {
	const { kills, seed, thread } = asked();
	const began = performance.now();
	const sum: Record<string, number> = {};
	const bar = new Progress(`crash, seed ${seed}`, kills);
	let files = 0;
	try {
		for (let done = 0; done < kills; done += killsPerFile) {
			const some = Math.min(killsPerFile, kills - done);
			const tally: Tally = await playLives(seed + files, some, thread, (life) =>
				bar.reach(done + life),
			);
			for (const [what, count] of Object.entries(tally))
				sum[what] = (sum[what] ?? 0) + count;
			files += 1;
		}
	} finally {
		bar.done();
	}
	const { kills: killed, ...answered } = sum;
	const counts = Object.entries(answered).map(([what, n]) => `${n} ${what}`);
	const seconds = Math.round((performance.now() - began) / 1000);
	console.log(
		`crash: ${killed} kills on ${files} files${thread ? " on threads" : ""} from seed ${seed} in ${seconds} s; ${counts.join(", ")}; 0 violations`,
	);
}

try {
	await main();
} catch (error) {
	if (error instanceof PromiseBroken) console.error(`crash: ${error.message}`);
	else if (error instanceof TypeError)
		console.error(`${error.message}\n${usage}`);
	else throw error;
	process.exitCode = error instanceof PromiseBroken ? 1 : 2;
}
