/** Owns the figures that turnkeeper is held to: what each is, how it is computed of what was measured, and whether its goal is met. */
import { names } from "./contender.ts";
import { noPretenuring, smallHeap, withNode } from "./node-flags.ts";
import type { Results } from "./results.ts";
import { median } from "./statistics.ts";
import type { Size } from "./workload.ts";
import { bareActor, heapGroup, residentSession } from "./workloads/heap.ts";
import { builtOn, importGroup, wholePackage } from "./workloads/import.ts";
import {
	idle,
	inProcess,
	latencyGroups,
	onThread,
} from "./workloads/latency.ts";
import { knownCounts, knownFiles, millionGroups } from "./workloads/million.ts";
import { plainTurns, reportsFull, reportsGroup } from "./workloads/reports.ts";
import { steadyTurns, turnsGroup } from "./workloads/turns.ts";

/** One number that a figure is made of. */
interface Part {
	/** Of more than one part, which this is. */
	readonly label?: string;
	readonly unit?: string;
	readonly atLeast?: number;
	readonly atMost?: number;
	/** A round each; empty if it was not measured. */
	rounds(results: Results): readonly number[];
}

export interface Figure {
	/** For `--only`. */
	readonly id: string;
	/** The workload that measures it. */
	readonly workload: string;
	name(size: Size): string;
	readonly goal: string;
	readonly parts: readonly Part[];
}

export interface Reading {
	readonly figure: string;
	readonly goal: string;
	/** In words, by parts; what was not measured is said to be so. */
	readonly measured: string;
	/** Null: not all of it was measured. */
	readonly isMet: boolean | null;
}

const thousand = turnsGroup(1000);

/** Turns per second of turnkeeper over those of another, on 1,000 sessions. */
const turnsOver =
	(under: string, over: string = names.full, group = thousand) =>
	(results: Results) =>
		results.ratios(group, [over, "turns"], [under, "turns"]);

/** The 99th percentile of a wait over that of one fsync. */
const overFsync = (group: string) => (results: Results) =>
	results.ratios(group, [inProcess, "p99"], [inProcess, "fsync"]);

/** What a process weighs that has used many of the sessions of a file. */
const rssIn = (group: string) => (results: Results) =>
	results.numbers(group, knownFiles(results.size).many, "rss");

/** A file of many sessions over one of few. */
const manyOverFew = (group: string, measure: string) => (results: Results) => {
	const { few, many } = knownFiles(results.size);
	return results.ratios(group, [many, measure], [few, measure]);
};

export const figures: readonly Figure[] = [
	{
		id: "durable",
		workload: "turns",
		name: () =>
			"durable turns/s, 1,000 sessions, SQLite full, against plain XState",
		goal: "≥ 0.6, aim 0.8",
		parts: [{ atLeast: 0.6, rounds: turnsOver(names.plain) }],
	},
	{
		id: "steady",
		workload: "turns",
		name: () => `the same, both ${withNode(noPretenuring)}`,
		goal: "≥ 0.6, aim 0.8",
		parts: [
			{
				atLeast: 0.6,
				rounds: turnsOver(names.plain, names.full, steadyTurns),
			},
		],
	},
	{
		id: "bare",
		workload: "turns",
		name: () => "the same against our own machines, no journal and no store",
		goal: "≥ 0.8",
		parts: [{ atLeast: 0.8, rounds: turnsOver(names.bare) }],
	},
	{
		id: "chat-sdk",
		workload: "turns",
		name: () => "the same against Chat SDK's in-memory queue",
		goal: "≥ 0.8, aim 1",
		parts: [{ atLeast: 0.8, rounds: turnsOver(names.chatSdk) }],
	},
	{
		id: "chain",
		workload: "turns",
		name: () =>
			"the same against the hand-written keyed chain, one commit an event; with group commit",
		goal: "≥ 5; ≥ 0.8",
		parts: [
			{ atLeast: 5, rounds: turnsOver(names.chainEach) },
			{ atLeast: 0.8, rounds: turnsOver(names.chainGrouped) },
		],
	},
	{
		id: "memory",
		workload: "turns",
		name: () => "memory store, against plain XState",
		goal: "≥ 0.6",
		parts: [{ atLeast: 0.6, rounds: turnsOver(names.plain, names.memory) }],
	},
	{
		id: "reports",
		workload: "reports",
		name: () =>
			"reports/s (host-run), SQLite full, against plain XState events/s over as many actors",
		goal: "≥ 0.4",
		parts: [
			{
				atLeast: 0.4,
				rounds: (results) =>
					results.ratios(
						reportsGroup,
						[reportsFull, "events"],
						[plainTurns, "events"],
					),
			},
		],
	},
	{
		id: "known",
		workload: "million",
		name(size) {
			const { known, few } = knownCounts(size);
			return `per-turn cost at ${known} known sessions against ${few}`;
		},
		goal: "≤ 1.15",
		parts: [{ atMost: 1.15, rounds: manyOverFew(millionGroups.turns, "cost") }],
	},
	{
		id: "heap",
		workload: "heap",
		name: () =>
			"heap per resident idle session, against a bare XState actor of the same chart",
		goal: "≤ 1.5",
		parts: [
			{
				atMost: 1.5,
				rounds: (results) =>
					results.ratios(
						heapGroup,
						[residentSession, "heap"],
						[bareActor, "heap"],
					),
			},
		],
	},
	{
		id: "rss",
		workload: "million",
		name(size) {
			const { known, resident } = knownCounts(size);
			return `RSS with ${known} sessions on disk, ${resident} resident`;
		},
		goal: "≤ 350 MB",
		parts: [
			{
				unit: "MB",
				atMost: 350,
				rounds: rssIn(millionGroups.memory),
			},
			{
				label: withNode(smallHeap),
				unit: "MB",
				atMost: 350,
				rounds: rssIn(millionGroups.smallMemory),
			},
		],
	},
	{
		id: "boot",
		workload: "million",
		name(size) {
			const { known, few, unsettled } = knownCounts(size);
			return `boot on a file with ${known} sessions, ${unsettled} unsettled, against ${few} sessions, ${unsettled} unsettled`;
		},
		goal: "≤ 1.3",
		parts: [{ atMost: 1.3, rounds: manyOverFew(millionGroups.boot, "boot") }],
	},
	{
		id: "touch",
		workload: "million",
		name: () =>
			"first touch of a passivated session, against a touch of a resident one, medians",
		goal: "≤ 4",
		parts: [
			{
				atMost: 4,
				rounds(results) {
					const { many } = knownFiles(results.size);
					return results.ratios(
						millionGroups.touch,
						[many, "first"],
						[many, "again"],
					);
				},
			},
		],
	},
	{
		id: "event-loop",
		workload: "latency",
		name: () =>
			"event-loop delay p99 at half load with a 5 ms fsync, store on a thread, against idle",
		goal: "≤ 3",
		parts: [
			{
				atMost: 3,
				rounds: (results) =>
					results.ratios(
						latencyGroups.loop,
						[onThread, "delay"],
						[idle, "delay"],
					),
			},
		],
	},
	{
		id: "waits",
		workload: "latency",
		name: () =>
			"reset of an idle session p99 over its commit; `send` accepted p99 at half load; both over one fsync p99",
		goal: "≤ 2; ≤ 2",
		parts: [
			{ label: "reset", atMost: 2, rounds: overFsync(latencyGroups.reset) },
			{ label: "send", atMost: 2, rounds: overFsync(latencyGroups.send) },
			{
				label: `send ${withNode(noPretenuring)}`,
				atMost: 2,
				rounds: overFsync(latencyGroups.steadySend),
			},
		],
	},
	{
		id: "import",
		workload: "import",
		name: () =>
			"import of the package, against import of `xstate` and `@xstate/store` alone; timers and handles left",
		goal: "≤ 1.5; 0",
		parts: [
			{
				atMost: 1.5,
				rounds: (results) =>
					results.ratios(
						importGroup,
						[wholePackage, "import"],
						[builtOn, "import"],
					),
			},
			{
				label: "left",
				atMost: 0,
				rounds: (results) => results.numbers(importGroup, wholePackage, "left"),
			},
		],
	},
];

/** What a figure came to. */
export function readingOf(figure: Figure, results: Results): Reading {
	const seen = figure.parts.map((part) => {
		const value = median(part.rounds(results));
		const isKnown = !Number.isNaN(value);
		return {
			text: `${part.label ? `${part.label} ` : ""}${isKnown ? shownValue(value, part) : "not measured"}`,
			isKnown,
			holds: holds(value, part),
		};
	});
	return {
		figure: figure.name(results.size),
		goal: figure.goal,
		measured: seen.map(({ text }) => text).join("; "),
		isMet: seen.every(({ isKnown }) => isKnown)
			? seen.every((one) => one.holds)
			: null,
	};
}

/** As it is shown is as it is judged: two digits, whole megabytes. */
function rounded(value: number, { unit }: Part): number {
	return Number(value.toFixed(unit ? 0 : 2));
}

function shownValue(value: number, part: Part): string {
	if (part.unit) return `${rounded(value, part)} ${part.unit}`;
	return part.atMost === 0 ? String(value) : rounded(value, part).toFixed(2);
}

function holds(value: number, part: Part): boolean {
	const { atLeast = -Infinity, atMost = Infinity } = part;
	const judged = rounded(value, part);
	return judged >= atLeast && judged <= atMost;
}
