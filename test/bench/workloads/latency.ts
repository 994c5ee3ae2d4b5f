/** Owns what waits cost: callers that wait for a commit, and an event loop that waits for a disk. */
import { eventLoopDelay } from "../latency/event-loop.ts";
import { resets, sends } from "../latency/waits.ts";
import { noPretenuring } from "../node-flags.ts";
import {
	type Group,
	type Measure,
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const plans: Record<Size, { resets: number; roundMs: number }> = {
	tiny: { resets: 50, roundMs: 200 },
	normal: { resets: 500, roundMs: 2000 },
	full: { resets: 1000, roundMs: 5000 },
};

export const inProcess = "SQLite full";
export const onThread = "SQLite full on a thread";
export const idle = "idle";

export const latencyGroups = {
	reset: "reset of an idle session",
	send: "send at half load",
	steadySend: "send at half load, without pretenuring",
	loop: "event loop at half load, fsync of 5 ms",
} as const;

const waits: readonly Measure[] = [
	{ name: "p99", unit: "ms", better: "less" },
	{ name: "fsync", unit: "ms, p99 of one fsync beside it", better: "less" },
	{ name: "median", unit: "ms", better: "less" },
	{ name: "fsyncMedian", unit: "ms, one fsync beside it", better: "less" },
];

const load: Measure = { name: "load", unit: "turns/s sent", better: "more" };

function send(name: string, roundMs: number): Group {
	return {
		name,
		what: "half of what the host takes, at a steady rate over 1,000 sessions: each send until it is accepted; the fsyncs after it",
		measures: [...waits, load],
		contenders: [inProcess, onThread],
		job: { play: "send", roundMs },
	};
}

export const latency: Workload = {
	name: "latency",
	groups(size): readonly Group[] {
		const { resets: each, roundMs } = plans[size];
		return [
			{
				name: latencyGroups.reset,
				what: "one reset at a time, until it has answered, and one fsync after each",
				measures: waits,
				contenders: [inProcess, onThread],
				warmUp: warmUpRounds[size],
				job: { play: "reset", each, roundMs },
			},
			send(latencyGroups.send, roundMs),
			{
				...send(latencyGroups.steadySend, roundMs),
				execArgv: noPretenuring,
			},
			{
				name: latencyGroups.loop,
				what: "p99 of monitorEventLoopDelay at a resolution of 1 ms, which is part of it; each commit holds up the thread that makes it for 5 ms more",
				measures: [{ name: "delay", unit: "ms, p99", better: "less" }, load],
				contenders: [idle, inProcess, onThread],
				job: { play: "loop", roundMs },
				execArgv: [
					"--import",
					new URL("../latency/slow-fsync.ts", import.meta.url).href,
				],
			},
		];
	},
	async ready(contender, job, { folder }) {
		const kind = contender === onThread ? "thread" : "full";
		switch (job.play) {
			case "reset":
				return resets(
					kind,
					folder,
					numberOf(job, "each"),
					numberOf(job, "roundMs") / 4,
				);
			case "send":
				return sends(kind, folder, numberOf(job, "roundMs"));
			case "loop":
				return eventLoopDelay(
					contender === onThread ? "slow thread" : "full",
					contender === idle,
					folder,
					numberOf(job, "roundMs"),
				);
			default:
				throw new Error(`there is nothing called ${job.play} to play`);
		}
	},
};
