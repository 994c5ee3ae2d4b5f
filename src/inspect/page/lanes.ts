/**
 * Owns what the swim-lanes show of a session: a lane a generation, in it its runs, and of each report that was not applied where it came in
 * and whose it was. Pure; where on the page it stands is drawn in lanes-view.tsx.
 */

import type {
	ArchivedGeneration,
	SessionRow,
} from "../../../machines/facts.ts";
import type { Refusal } from "../../../machines/report.ts";
import type { RunRecord } from "../../../machines/run.ts";
import type { SeenWait, WatchedSession } from "./watched.ts";

export interface Lane {
	readonly generation: number;
	readonly from: number;
	/** Null: it is the current one. */
	readonly to: number | null;
	readonly endedBy: "reset" | "expiry" | "delete" | null;
	readonly reason: string | null;
	readonly bars: readonly Bar[];
}

/** A run, from its start to its end or until now. */
export interface Bar {
	readonly run: RunRecord;
	readonly from: number;
	/** Null: it has not settled. */
	readonly to: number | null;
	/** From when on it drains, told to stop; null if it was not, or nobody knows when. */
	readonly drainsFrom: number | null;
	readonly waits: readonly SeenWait[];
}

/** A report that was not applied. */
export interface LateEvent {
	/** Its place in `refusals`. */
	readonly index: number;
	readonly refusal: Refusal;
	/** The generation that was current when it came. */
	readonly cameIn: number;
	/** The generation of the run that it is about; null if there is no such run. */
	readonly owner: number | null;
}

export interface Lanes {
	/** Newest first. */
	readonly lanes: readonly Lane[];
	readonly events: readonly LateEvent[];
	/** Where anything begins, ends or comes in, sorted; what time is shown between them is the scale's. */
	readonly instants: readonly number[];
}

/** The lanes of the newest `most` generations, up to `now`. */
export function lanesOf(
	session: WatchedSession,
	most: number,
	now: number,
): Lanes {
	const { row, generations, runs, refusals, waits } = session;
	const barsOf = (generation: number): Bar[] =>
		runs.items
			.filter((run) => run.generation === generation && run.startedAt !== null)
			.map((run) => barOf(run, waits))
			.reverse();
	const lanes: Lane[] = [];
	if (row)
		lanes.push({
			generation: row.generation,
			from: beginOf(row, generations.items, row.updatedAt),
			to: null,
			endedBy: null,
			reason: null,
			bars: barsOf(row.generation),
		});
	for (const { generation, row, endedAt, endedBy, reason } of generations.items)
		lanes.push({
			generation,
			from: beginOf(row, generations.items, endedAt),
			to: endedAt,
			endedBy,
			reason,
			bars: barsOf(generation),
		});
	const shown = lanes.slice(0, most).map(fromItsFirstRun);
	const first = Math.min(...shown.map(({ from }) => from));
	const events = refusals.items
		.map((refusal, index) => eventOf(refusal, index, session))
		.filter(({ refusal, cameIn }) => {
			const isShown = shown.some(({ generation }) => generation === cameIn);
			return isShown && refusal.at >= first;
		});
	const instants = shown.flatMap(({ from, to, bars }) => [
		from,
		...(to === null ? [] : [to]),
		...bars.flatMap((bar) => [
			bar.from,
			bar.drainsFrom ?? bar.from,
			bar.to ?? now,
		]),
	]);
	return {
		lanes: shown,
		events,
		instants: [...instants, ...events.map(({ refusal }) => refusal.at)].sort(
			(a, b) => a - b,
		),
	};
}

/** Where the one before it ended, or, after a delete, where it was used again; of the oldest that is known, at the latest at `last`. */
function beginOf(
	{ generation, createdAt }: SessionRow,
	ended: readonly ArchivedGeneration[],
	last: number,
): number {
	const before = ended.find((one) => one.generation === generation - 1);
	if (before) return Math.max(before.endedAt, createdAt);
	return generation === 1 ? createdAt : last;
}

/** Clocks of hosts differ: a run may have started, by its host's clock, before its generation began. */
function fromItsFirstRun(lane: Lane): Lane {
	return {
		...lane,
		from: Math.min(lane.from, ...lane.bars.map(({ from }) => from)),
	};
}

function barOf(run: RunRecord, waits: readonly SeenWait[]): Bar {
	const from = run.startedAt as number;
	const to = run.endedAt === null ? null : Math.max(from, run.endedAt);
	const { stoppedAt } = run;
	return {
		run,
		from,
		to,
		drainsFrom:
			stoppedAt === null
				? null
				: Math.min(Math.max(from, stoppedAt), to ?? stoppedAt),
		waits: waits.filter(({ runId }) => runId === run.runId),
	};
}

function eventOf(
	refusal: Refusal,
	index: number,
	{ row, generations, runs }: WatchedSession,
): LateEvent {
	const { report, current, at } = refusal;
	const own = runs.items.find(
		(run) =>
			run.runId === report.runId &&
			(report.generation === undefined ||
				run.generation === report.generation) &&
			(report.attempt === undefined || run.attempt === report.attempt),
	);
	// The oldest that had not ended then.
	const then = generations.items.findLast(({ endedAt }) => endedAt > at);
	return {
		index,
		refusal,
		cameIn:
			current?.generation ??
			then?.generation ??
			row?.generation ??
			own?.generation ??
			0,
		owner: own?.generation ?? null,
	};
}
