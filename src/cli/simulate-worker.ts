/** Owns one thread of `turnkeeper simulate`: plays the seeds that it is given, one after the other, and says what each came to. */
import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../errors.ts";
import {
	PromiseBroken,
	type SimulateOptions,
	simulate,
} from "../testing/simulate.ts";
import { loadSimulated } from "./simulated.ts";

/** What a thread is to play: from the first seed on, each `stride`-th. */
export interface Share {
	readonly first: number;
	readonly last: number;
	readonly stride: number;
	readonly steps: number;
	readonly module: string | null;
	/** Whether the trace is asked for. */
	readonly traced: boolean;
}

/** What a seed came to. */
export type Played =
	| {
			readonly seed: number;
			readonly kept: true;
			readonly calls: number;
			readonly runs: number;
			readonly commits: number;
			readonly crashes: number;
			readonly trace: string | null;
	  }
	| {
			readonly seed: number;
			readonly kept: false;
			/** Null: it is not a promise that is broken, but the play itself. */
			readonly promise: string | null;
			readonly step: number | null;
			readonly report: string;
			readonly trace: string | null;
	  };

async function play(
	share: Share,
	told: (played: Played) => void,
): Promise<void> {
	const given: Partial<SimulateOptions> = share.module
		? await loadSimulated(share.module)
		: {};
	for (let seed = share.first; seed <= share.last; seed += share.stride)
		try {
			const { steps } = share;
			const { calls, runs, commits, crashes, ...rest } = await simulate({
				...given,
				seed,
				steps,
			});
			const trace = share.traced ? rest.trace : null;
			told({ seed, kept: true, calls, runs, commits, crashes, trace });
		} catch (error) {
			const broken = error instanceof PromiseBroken ? error : null;
			told({
				seed,
				kept: false,
				promise: broken?.promise ?? null,
				step: broken?.step ?? null,
				report: errorText(error),
				trace: share.traced ? (broken?.trace ?? null) : null,
			});
			return;
		}
}

if (parentPort) {
	const port = parentPort;
	void play(workerData as Share, (played) => port.postMessage(played)).catch(
		(error) =>
			port.postMessage({
				seed: (workerData as Share).first,
				kept: false,
				promise: null,
				step: null,
				report: errorText(error),
				trace: null,
			} satisfies Played),
	);
}
