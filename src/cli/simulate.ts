/** Owns `turnkeeper simulate`: seeds shared out over threads, how far it is, and what it came to. What a seed is, `simulate` says. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { count } from "../replay/words.ts";
import { defaultSteps } from "../testing/simulate.ts";
import {
	type Command,
	CommandError,
	readArguments,
	UsageError,
	wholeNumber,
} from "./command.ts";
import { complain, paint, print, printJson } from "./output.ts";
import { Progress } from "./progress.ts";
import type { Played, Share } from "./simulate-worker.ts";
import { loadSimulated } from "./simulated.ts";

const help = `usage: turnkeeper simulate [--seeds N] [--seed S] [--steps K] [--with MODULE] [--threads T] [--trace] [--json]

Plays seeds: random calls of the whole contract on the real runtime, with a store that fails and is slow, a clock of its own, and
processes that die and come up again. Every promise is checked while it plays and after all has come to its end. A seed plays the same
each time; the first one that breaks a promise is told, with the command that plays it again and the end of its trace.

  --seeds N       how many, default 1000; with --seed 1
  --seed S        the first one, default 1
  --steps K       moves of each seed, default ${defaultSteps}
  --with MODULE   a module that exports execute, store, input, runtime or keys, as \`simulate\` of turnkeeper/testing takes them
  --threads T     default: as many as there are processors
  --trace         print what happened, a line each; for one seed
  --json          one JSON object: {"first", "asked", "played", "steps", "calls", "runs", "commits", "crashes", "seconds",
                  "failed": null or {"seed", "promise", "step", "report"}}

The exit code is 0 if all promises were kept, 1 if one was broken, and 130 if it was interrupted, with what was played until then.`;

interface Sum {
	played: number;
	calls: number;
	runs: number;
	commits: number;
	crashes: number;
	trace: string | null;
	failed: Extract<Played, { kept: false }> | null;
	interrupted: boolean;
}

export const simulateCommand: Command = {
	summary: "play random calls against every promise",
	help,
	async run(args) {
		const { values } = readArguments(
			args,
			{
				seeds: { type: "string" },
				seed: { type: "string" },
				steps: { type: "string" },
				with: { type: "string" },
				threads: { type: "string" },
				trace: { type: "boolean", default: false },
				json: { type: "boolean", default: false },
			},
			[],
		);
		const first = wholeNumber(values.seed, "--seed", 1);
		const seeds = wholeNumber(
			values.seeds,
			"--seeds",
			values.seed === undefined ? 1000 : 1,
		);
		const steps = wholeNumber(values.steps, "--steps", defaultSteps);
		const threads = wholeNumber(
			values.threads,
			"--threads",
			availableParallelism(),
		);
		if (values.with === "") throw new UsageError("--with is empty");
		if (values.trace && seeds > 1)
			throw new UsageError(
				`--trace is for one seed, and --seeds is ${seeds}; name it by --seed`,
			);
		// Says what is wrong with it before a thread is made.
		if (values.with !== undefined) await loadSimulated(values.with);
		const began = performance.now();
		const sum = await playAll(
			{
				first,
				last: first + seeds - 1,
				stride: Math.min(threads, seeds),
				steps,
				module: values.with ?? null,
				traced: values.trace,
			},
			seeds,
		);
		const seconds = (performance.now() - began) / 1000;
		const { failed, interrupted, trace, ...counts } = sum;
		if (values.json)
			printJson({
				first,
				asked: seeds,
				...counts,
				steps,
				seconds,
				failed: failed && {
					seed: failed.seed,
					promise: failed.promise,
					step: failed.step,
					report: failed.report,
				},
			});
		else tell(sum, seeds, seconds);
		if (failed) {
			complain(
				failed.promise === null
					? `seed ${failed.seed} could not be played`
					: `seed ${failed.seed} breaks a promise: ${failed.promise}`,
			);
			return 1;
		}
		return interrupted ? 130 : 0;
	},
};

function tell(sum: Sum, seeds: number, seconds: number): void {
	const { failed, trace } = sum;
	if (trace !== null) print(trace);
	if (failed) {
		print(paint("red", failed.report));
		return;
	}
	const rate = sum.played / Math.max(seconds, 0.001);
	const of = sum.interrupted ? ` of ${seeds}, then interrupted` : "";
	print(
		`${count(sum.played, "seed")}${of}: ${count(sum.calls, "call")}, ${count(sum.runs, "run")}, ${count(sum.commits, "commit")}, ${sum.crashes === 1 ? "1 crash" : `${sum.crashes} crashes`}, every promise kept (${rate.toFixed(0)} seeds/s)`,
	);
}

/** Every thread plays its share; the first broken promise ends them all. */
async function playAll(share: Share, seeds: number): Promise<Sum> {
	const sum: Sum = {
		played: 0,
		calls: 0,
		runs: 0,
		commits: 0,
		crashes: 0,
		trace: null,
		failed: null,
		interrupted: false,
	};
	const bar = new Progress("simulate", seeds, undefined, undefined, "seeds");
	const over = Promise.withResolvers<void>();
	const workers: Worker[] = [];
	const interrupt = () => {
		sum.interrupted = true;
		over.resolve();
	};
	process.once("SIGINT", interrupt);
	const heard = (played: Played) => {
		// What other threads still say when it is over counts no more.
		if (sum.failed || sum.interrupted) return;
		sum.trace = played.trace;
		if (!played.kept) {
			sum.failed = played;
			over.resolve();
			return;
		}
		sum.played += 1;
		sum.calls += played.calls;
		sum.runs += played.runs;
		sum.commits += played.commits;
		sum.crashes += played.crashes;
		bar.advance(1);
	};
	try {
		const ended = Array.from({ length: share.stride }, (_, i) => {
			const worker = new Worker(workerUrl(), {
				workerData: { ...share, first: share.first + i } satisfies Share,
			});
			workers.push(worker);
			worker.on("message", heard);
			return new Promise<void>((resolve, reject) => {
				worker.on("error", reject);
				worker.on("exit", () => resolve());
			});
		});
		await Promise.race([Promise.all(ended), over.promise]);
		return sum;
	} catch (error) {
		throw new CommandError(`a thread broke off: ${String(error)}`, {
			cause: error,
		});
	} finally {
		process.removeListener("SIGINT", interrupt);
		bar.done();
		await Promise.all(workers.map((worker) => worker.terminate()));
	}
}

/** Beside this file, in the sources as in the package. */
function workerUrl(): URL {
	const { url } = import.meta;
	return new URL(
		url.endsWith(".ts") ? "./simulate-worker.ts" : "./simulate-worker.js",
		url,
	);
}
