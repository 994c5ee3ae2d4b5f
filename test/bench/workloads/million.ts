/** Owns what is measured where a file knows very many sessions: a turn, memory, a start, the first touch. */

import { boots } from "../million/boot.ts";
import { maker } from "../million/file.ts";
import { knownTurns } from "../million/known.ts";
import { residentMemory } from "../million/memory.ts";
import { touches } from "../million/touch.ts";
import { smallHeap } from "../node-flags.ts";
import {
	type Group,
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

interface Plan {
	readonly known: number;
	readonly few: number;
	readonly active: number;
	readonly resident: number;
	readonly unsettled: number;
	readonly touches: number;
	readonly roundMs: number;
}

const plans: Record<Size, Plan> = {
	tiny: {
		known: 3000,
		few: 500,
		active: 100,
		resident: 500,
		unsettled: 20,
		touches: 20,
		roundMs: 50,
	},
	normal: {
		known: 100_000,
		few: 1000,
		active: 1000,
		resident: 10_000,
		unsettled: 100,
		touches: 200,
		roundMs: 1000,
	},
	full: {
		known: 1_000_000,
		few: 1000,
		active: 1000,
		resident: 10_000,
		unsettled: 100,
		touches: 400,
		roundMs: 1500,
	},
};

const shown = (count: number) => count.toLocaleString("en");

/** Contenders are files, by how many sessions they know. */
const knows = (count: number) => `${shown(count)} known sessions`;

/** The names under which figures find them. */
export const millionGroups = {
	made: "known sessions, written",
	turns: "known sessions, turns",
	memory: "known sessions, memory",
	smallMemory: "known sessions, memory with a small heap",
	boot: "known sessions, start",
	touch: "known sessions, first touch",
} as const;

/** What a file that knows few is called, and one that knows many. */
export function knownFiles(size: Size): { few: string; many: string } {
	const { few, known } = plans[size];
	return { few: knows(few), many: knows(known) };
}

/** The numbers that figures are named by. */
export function knownCounts(size: Size): Record<keyof Plan, string> {
	const entries = Object.entries(plans[size]);
	return Object.fromEntries(
		entries.map(([name, count]) => [name, shown(count)]),
	) as Record<keyof Plan, string>;
}

function memoryGroup(name: string, many: string, plan: Plan): Group {
	return {
		name,
		what: "a process after turns on so many more sessions a round, of which as many stay resident; nothing forces a collection",
		measures: [
			{ name: "rss", unit: "MB", better: "less" },
			{
				name: "before",
				unit: "MB before the file was opened",
				better: "less",
			},
		],
		contenders: [many],
		job: { play: "memory", known: plan.known, resident: plan.resident },
	};
}

export const million: Workload = {
	name: "million",
	groups(size): readonly Group[] {
		const plan = plans[size];
		const { few, many } = knownFiles(size);
		return [
			{
				name: millionGroups.made,
				what: "the files that the groups below use: session, run and message, in batches of 5000",
				measures: [{ name: "made", unit: "sessions/s", better: "more" }],
				contenders: [many],
				job: { play: "make", known: plan.known, few: plan.few },
				rounds: 1,
				warmUp: 0,
			},
			{
				name: millionGroups.turns,
				what: "message → run → end on as many active sessions, SQLite full",
				measures: [{ name: "cost", unit: "µs a turn", better: "less" }],
				warmUp: warmUpRounds[size],
				contenders: [few, many],
				job: {
					play: "turns",
					known: plan.known,
					few: plan.few,
					active: plan.active,
					roundMs: plan.roundMs,
				},
			},
			memoryGroup(millionGroups.memory, many, plan),
			{
				...memoryGroup(millionGroups.smallMemory, many, plan),
				execArgv: smallHeap,
			},
			{
				name: millionGroups.boot,
				what: "start() on a file with sessions whose runs died",
				measures: [{ name: "boot", unit: "ms", better: "less" }],
				warmUp: warmUpRounds[size],
				contenders: [few, many],
				job: {
					play: "boot",
					known: plan.known,
					few: plan.few,
					unsettled: plan.unsettled,
				},
			},
			{
				name: millionGroups.touch,
				what: "one at a time, on sessions that are not in memory and on some that are: send until it is accepted, get; medians of each round",
				measures: [
					{ name: "first", unit: "ms, send, passivated", better: "less" },
					{ name: "again", unit: "ms, send, resident", better: "less" },
					{ name: "readFirst", unit: "µs, get, passivated", better: "less" },
					{ name: "readAgain", unit: "µs, get, resident", better: "less" },
				],
				contenders: [many],
				warmUp: warmUpRounds[size],
				job: { play: "touch", known: plan.known, each: plan.touches },
			},
		];
	},
	async ready(contender, job, { shared }) {
		const many = numberOf(job, "known");
		const known = contender === knows(many) ? many : numberOf(job, "few");
		switch (job.play) {
			case "make":
				return maker(shared, [numberOf(job, "few"), many]);
			case "turns":
				return knownTurns(
					shared,
					known,
					numberOf(job, "active"),
					numberOf(job, "roundMs"),
				);
			case "memory":
				return residentMemory(shared, known, numberOf(job, "resident"));
			case "boot":
				return boots(shared, known, numberOf(job, "unsettled"));
			case "touch":
				return touches(shared, known, numberOf(job, "each"));
			default:
				throw new Error(`there is nothing called ${job.play} to play`);
		}
	},
};
