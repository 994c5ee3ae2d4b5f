/** Owns a day of chat traffic in virtual time. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { days } from "../day/day.ts";
import type { Traffic } from "../day/traffic.ts";
import type { StoreKind } from "../store.ts";
import { numberOf, type Size, type Workload } from "../workload.ts";

const shape = {
	seed: 1,
	sizeExponent: 1.2,
	mostMessages: 500,
	pauseExponent: 1.1,
	leastPauseS: 5,
	runMedianS: 8,
	runSigma: 1,
	resetPercent: 2,
} as const;

const plans: Record<Size, { sessions: number; rounds: number }> = {
	tiny: { sessions: 30, rounds: 1 },
	normal: { sessions: 1500, rounds: 3 },
	full: { sessions: 10_000, rounds: 3 },
};

const stores: Readonly<Record<string, StoreKind>> = {
	"turnkeeper, memory": "memory",
	"turnkeeper, SQLite full": "full",
	"turnkeeper, SQLite normal": "normal",
	"turnkeeper, SQLite full on a thread": "thread",
};

export const day: Workload = {
	name: "day",
	groups(size) {
		const { sessions, rounds } = plans[size];
		const traffic: Traffic = { ...shape, sessions };
		return [
			{
				name: "a day of chat traffic in virtual time",
				what: "sizes of sessions and pauses within them are Pareto, runs log-normal; idle sessions are passivated after a minute and come back",
				measures: [
					{ name: "day", unit: "real s a day", better: "less" },
					{ name: "arrivals", unit: "messages and resets", better: "more" },
					{ name: "commits", unit: "transactions", better: "less" },
					{ name: "peak", unit: "sessions in memory at most", better: "less" },
				],
				contenders: Object.keys(stores),
				job: { ...traffic },
				rounds,
				warmUp: size === "tiny" ? 0 : 1,
			},
		];
	},
	async ready(contender, job, { folder }) {
		const kind = stores[contender];
		if (!kind) throw new Error(`there is no contender ${contender}`);
		const traffic = Object.fromEntries(
			[...Object.keys(shape), "sessions"].map((name) => [
				name,
				numberOf(job, name),
			]),
		) as unknown as Traffic;
		return days(
			kind,
			(round) => {
				const own = join(folder, `day-${round}`);
				mkdirSync(own, { recursive: true });
				return own;
			},
			traffic,
		);
	},
};
