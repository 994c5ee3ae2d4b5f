/**
 * Owns what a stop is waited for: that all it stopped has settled, and what its caller is told then. Plain data, so that whoever waits may
 * keep it anywhere until a later turn has the end.
 */
import type {
	ArchivedGeneration,
	EndedGeneration,
	SessionFacts,
	SessionRow,
} from "../machines/facts.ts";
import { type RunRecord, runRecordOf } from "../machines/run.ts";
import { ticketId } from "../machines/ticket.ts";
import type { Answer, StopReport } from "./runtime.ts";
import { endedBy, rowAfter, type Turn } from "./turn.ts";

export interface Drain<Meta> {
	/** By ticket: what this stopped, and a reservation that it gave up. */
	readonly stopped: readonly string[];
	/** A reset waits for all that is olderThan than what it opened; 0: an abort, which waits for what it stopped. */
	readonly olderThan: number;
	/** As far as they have settled. */
	readonly settled: readonly RunRecord[];
	readonly ended: EndedGeneration<Meta> | null;
	/** Of a key that was deleted before: the row that its last generation ended with. */
	readonly lastRow: SessionRow<Meta> | null;
	/** As the stop left it; null: hidden. */
	readonly row: SessionRow<Meta> | null;
	readonly removed: readonly string[];
}

/** What the turn of a stop leaves to wait for. */
export function drainOf<Meta>(
	turn: Turn,
	lastRow: SessionRow<Meta> | null,
): Drain<Meta> {
	const { before, after } = turn;
	const stopped = [...turn.stops.map(({ run }) => run), ...turn.runs];
	return collect(
		{
			stopped: [...new Set(stopped.map((run) => ticketId(run)))],
			olderThan:
				after.generation === before.generation && !before.hidden
					? 0
					: after.generation,
			settled: [],
			ended: endedBy<Meta>(turn),
			lastRow,
			row: rowAfter<Meta>(turn),
			removed: turn.messages
				.filter(({ fate }) => fate === "removed")
				.map(({ messageId }) => messageId),
		},
		turn,
	);
}

/** What a turn adds. A record may be completed after its run has settled. */
export function collect<Meta>(
	drain: Drain<Meta>,
	{ runs, generations }: Turn,
): Drain<Meta> {
	let { settled, ended, lastRow } = drain;
	for (const run of runs) {
		if (run.outcome === null || !drain.stopped.includes(ticketId(run)))
			continue;
		const record = runRecordOf(run);
		settled = [...settled.filter((one) => !isSame(one, record)), record];
		ended &&= {
			...ended,
			runs: ended.runs.map((one) => (isSame(one, record) ? record : one)),
		};
	}
	for (const completed of generations as ArchivedGeneration<Meta>[]) {
		if (completed.generation === ended?.generation)
			ended = { ...ended, ...completed };
		if (completed.generation === lastRow?.generation) lastRow = completed.row;
	}
	return { ...drain, settled, ended, lastRow };
}

export function isDrained<Meta>(
	{ olderThan, stopped }: Drain<Meta>,
	{ closing, draining, run }: SessionFacts,
): boolean {
	return (
		!closing.some(
			({ generation, postponed }) => !postponed && generation < olderThan,
		) &&
		!draining.some(
			({ run }) =>
				run.generation < olderThan || stopped.includes(ticketId(run)),
		) &&
		(run === null || !stopped.includes(ticketId(run)))
	);
}

/** What the caller of the stop is told; `row` is the newest. */
export function drainAnswer<Meta>(
	{ ended, lastRow, removed, settled, row: stoppedRow }: Drain<Meta>,
	newest: SessionRow<Meta> | null,
): Answer<StopReport<Meta>, Meta> {
	const row = stoppedRow ? (newest ?? stoppedRow) : (ended?.row ?? lastRow);
	if (!row) return { result: "nothing", row: null };
	return {
		result: "done",
		row,
		report: {
			ended,
			drained: settled.filter(({ outcome }) => outcome !== "abandoned"),
			abandoned: settled.filter(({ outcome }) => outcome === "abandoned"),
			removed,
		},
	};
}

function isSame(one: RunRecord, other: RunRecord): boolean {
	return ticketId(one) === ticketId(other);
}
