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

/** What came when the generation that it is about had ended, or about no run that was live. */
export interface LateEvent {
	/** Its place in `refusals`; null: it is the end of a run that the runtime executes, and so was no report. */
	readonly index: number | null;
	readonly at: number;
	readonly verdict: Refusal["verdict"];
	/** What it was, and what became of it. */
	readonly text: string;
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
	const events = [
		...refusals.items.map((refusal, index) =>
			reportOf(refusal, index, session),
		),
		...lateEnds(session),
	].filter(({ at, cameIn }) => {
		const isShown = shown.some(({ generation }) => generation === cameIn);
		return isShown && at >= first;
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
		instants: [...instants, ...events.map(({ at }) => at)].sort(
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

function reportOf(
	{ at, report, verdict, reason, current }: Refusal,
	index: number,
	session: WatchedSession,
): LateEvent {
	const own = session.runs.items.find(
		(run) =>
			run.runId === report.runId &&
			(report.generation === undefined ||
				run.generation === report.generation) &&
			(report.attempt === undefined || run.attempt === report.attempt),
	);
	const owner = own?.generation ?? null;
	return {
		index,
		at,
		verdict,
		text: `${report.phase} of run ${report.runId}: ${verdict}, ${reason}`,
		cameIn: current?.generation ?? currentAt(at, session) ?? owner ?? 0,
		owner,
	};
}

/** Ends of runs that the runtime executes: nobody reports them, and they are filed just so. */
function lateEnds(session: WatchedSession): LateEvent[] {
	const { runs, refusals, generations } = session;
	const reported = new Set(
		refusals.items.map(({ report }) => String(report.runId)),
	);
	return runs.items.flatMap((run) => {
		const { runId, generation, endedAt: at, outcome, error } = run;
		const ended = generations.items.find(
			(one) => one.generation === generation,
		);
		if (at === null || !ended || reported.has(runId)) return [];
		// Told to stop by what ended its generation, it came to its end after that, whatever its host's clock says.
		const isLate =
			ofGeneration.has(run.stoppedBy) ||
			(run.stoppedBy !== null && at > ended.endedAt);
		// Of one that was abandoned nothing came.
		if (!isLate || outcome === "abandoned") return [];
		return [
			{
				index: null,
				at,
				verdict: "archived",
				text: `${error === null ? "end" : "error"} of run ${runId}: archived, generation ${generation} has ended`,
				cameIn: currentAt(at, session) ?? generation,
				owner: generation,
			} as const,
		];
	});
}

const ofGeneration: ReadonlySet<RunRecord["stoppedBy"]> = new Set([
	"reset",
	"expiry",
	"delete",
] as const);

/** The oldest generation that had not ended then; where in the drawing something stands, and nothing else, hangs on it. */
function currentAt(
	at: number,
	{ row, generations }: WatchedSession,
): number | undefined {
	const then = generations.items.findLast(({ endedAt }) => endedAt > at);
	return then?.generation ?? row?.generation;
}
