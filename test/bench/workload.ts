/**
 * Owns the words of the bench. A workload has groups; a group is what is measured together: contenders, each in a process of its own,
 * in turn within every round.
 */

export const sizes = ["tiny", "normal", "full"] as const;
export type Size = (typeof sizes)[number];

/** What a round measured, by the name of the measure. */
export type Sample = Readonly<Record<string, number>>;

export interface Measure {
	readonly name: string;
	readonly unit: string;
	/** Which of two is better. */
	readonly better: "more" | "less";
}

/** What a contender is told; plain data, for it goes to another process. */
export type Job = Readonly<Record<string, number | string>>;

export interface Group {
	/** One of its kind within the workload. */
	readonly name: string;
	/** What is done, in a sentence, for who reads the table. */
	readonly what: string;
	readonly measures: readonly Measure[];
	/** By name; the first is what the others are set against. */
	readonly contenders: readonly string[];
	readonly job: Job;
	/** Rounds that count, where it is not for whoever runs the bench to say. */
	readonly rounds?: number;
	/** Rounds before those; 1 unless said. */
	readonly warmUp?: number;
	/** For `node`, in each contender's process. */
	readonly execArgv?: readonly string[];
}

/** Rounds until the compiler has seen all of a contender's code often enough; turnkeeper's takes some seconds. */
export const warmUpRounds: Readonly<Record<Size, number>> = {
	tiny: 1,
	normal: 5,
	full: 5,
};

/** A contender that is ready to play, in its own process. */
export interface Player {
	round(): Promise<Sample>;
	/** Checks that what it says it did is really there, and lets go of all it has. */
	close(): Promise<void>;
}

export interface Place {
	/** For its files; nobody else's. */
	readonly folder: string;
	/** For the files of the whole workload. */
	readonly shared: string;
}

export interface Workload {
	readonly name: string;
	groups(size: Size): readonly Group[];
	/** In the contender's process: gets it ready to play. Throws `Absent` where there is no such contender here. */
	ready(contender: string, job: Job, place: Place): Promise<Player>;
}

/** There is no such contender here, and why; the others are played without it. */
export class Absent extends Error {}

/** A number of a job. */
export function numberOf(job: Job, name: string): number {
	const value = job[name];
	if (typeof value !== "number")
		throw new Error(`the job has ${name} = ${value}; it must be a number`);
	return value;
}

/** What a contender says it did and what is there must be the same. */
export function mustBe(what: string, said: number, found: number): void {
	if (said !== found)
		throw new Error(
			`${what}: ${said} were said to be done, ${found} are there`,
		);
}
