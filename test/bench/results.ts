/** Owns what a run of the bench measured, and how it is asked for. */
import type { FsyncTime } from "./fsync.ts";
import { ratios } from "./statistics.ts";
import type { Job, Measure, Sample, Size } from "./workload.ts";

export interface ContenderResult {
	readonly name: string;
	/** A round each; none if it was not there. */
	readonly samples: readonly Sample[];
	/** Why it was not there. */
	readonly absent: string | null;
}

export interface GroupResult {
	readonly workload: string;
	readonly name: string;
	readonly what: string;
	readonly job: Job;
	readonly measures: readonly Measure[];
	readonly rounds: number;
	readonly fsync: FsyncTime;
	/** The first is what the others are set against. */
	readonly contenders: readonly ContenderResult[];
}

/** The machine that it was measured on. */
export interface Machine {
	readonly node: string;
	readonly cpu: string;
	readonly cores: number;
}

export class Results {
	readonly size: Size;
	readonly machine: Machine;
	readonly groups: readonly GroupResult[];

	constructor(size: Size, machine: Machine, groups: readonly GroupResult[]) {
		this.size = size;
		this.machine = machine;
		this.groups = groups;
	}

	/** What a contender measured, a round each; empty if it was not played. */
	numbers(group: string, contender: string, measure: string): number[] {
		const samples =
			this.groups
				.find(({ name }) => name === group)
				?.contenders.find(({ name }) => name === contender)?.samples ?? [];
		return samples
			.map((sample) => sample[measure])
			.filter((number) => number !== undefined);
	}

	/** One contender over another, or over itself by another measure, round by round; empty if one of them was not played. */
	ratios(
		group: string,
		over: readonly [contender: string, measure: string],
		under: readonly [contender: string, measure: string],
	): number[] {
		const [a, b] = [
			this.numbers(group, ...over),
			this.numbers(group, ...under),
		];
		return a.length === 0 || b.length === 0 ? [] : ratios(a, b);
	}
}
