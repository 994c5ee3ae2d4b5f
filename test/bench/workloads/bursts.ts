/** Owns bursts of messages under each overlap mode. */
import type { OverlapMode } from "turnkeeper";
import { bursts } from "../storms/burst.ts";
import {
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const plans: Record<
	Size,
	{ sessions: number; burst: number; roundMs: number }
> = {
	tiny: { sessions: 20, burst: 5, roundMs: 30 },
	normal: { sessions: 200, burst: 10, roundMs: 1000 },
	full: { sessions: 200, burst: 10, roundMs: 1500 },
};

/** Each mode is a contender. */
const modes: Readonly<Record<OverlapMode, true>> = {
	enqueue: true,
	reject: true,
	latest: true,
	collect: true,
	steer: true,
	interrupt: true,
	rollback: true,
};

const isMode = (name: string): name is OverlapMode => name in modes;

export const burstsByMode: Workload = {
	name: "bursts",
	groups: (size) => [
		{
			name: "bursts by overlap mode",
			what: "so many messages at once to every session, SQLite full, until each has its outcome; a run lasts one turn of the event loop",
			measures: [
				{ name: "messages", unit: "messages/s", better: "more" },
				{ name: "runs", unit: "runs a message", better: "less" },
			],
			contenders: Object.keys(modes),
			job: plans[size],
			warmUp: warmUpRounds[size],
		},
	],
	async ready(contender, job, { folder }) {
		if (!isMode(contender)) throw new Error(`there is no mode ${contender}`);
		return bursts(contender, folder, {
			sessions: numberOf(job, "sessions"),
			burst: numberOf(job, "burst"),
			roundMs: numberOf(job, "roundMs"),
		});
	},
};
