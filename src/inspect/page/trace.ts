/**
 * Owns the trace of what is seen of a session, in the format of `turnkeeper replay`: what happened to it, in the order in which it did.
 * Replayed, it leaves the same generations, outcomes and verdicts behind. Pure.
 */
import type { SessionRow } from "../../../machines/facts.ts";
import type { Refusal } from "../../../machines/report.ts";
import type { RunRecord } from "../../../machines/run.ts";
import type { StreamLine } from "../../replay/lines.ts";
import type { WatchedSession } from "./watched.ts";

/** At one instant, of one generation: it is begun before it is ended, and what its end stopped comes to its end after that. */
const ranks = {
	begin: 0,
	end: 1,
	abort: 2,
	generation: 3,
	drained: 4,
	late: 5,
};

interface Placed {
	readonly line: StreamLine;
	readonly generation: number;
	readonly rank: number;
}

const ofGeneration: ReadonlySet<string | null> = new Set([
	"reset",
	"expiry",
	"delete",
]);

/**
 * The lines of a trace, oldest first. Generations are counted from the oldest that is seen.
 *
 * @example traceOf(session).map((line) => JSON.stringify(line)).join("\n")
 */
export function traceOf(session: WatchedSession): StreamLine[] {
	const { row, generations, runs, refusals } = session;
	const oldest = Math.min(
		row?.generation ?? Number.POSITIVE_INFINITY,
		...generations.items.map(({ generation }) => generation),
	);
	const seen = runs.items.filter(({ generation }) => generation >= oldest);
	const placed = [
		...generations.items.flatMap((ended) => endOf(ended, session)),
		...seen.flatMap((run) => linesOf(run, session)),
		...refusals.items.flatMap((refusal) => lateOf(refusal, seen, oldest)),
	];
	placed.sort(
		(a, b) =>
			a.line.at - b.line.at || a.generation - b.generation || a.rank - b.rank,
	);
	const lines = placed.map(({ line }) => line);
	if (row) lines.push(rowLine(row, lines.at(-1)?.at ?? 0));
	return lines;
}

function endOf(
	ended: WatchedSession["generations"]["items"][number],
	{ sessionKey, row, generations }: WatchedSession,
): Placed[] {
	const { generation, endedAt: at, endedBy, reason } = ended;
	const next = generations.items.find(
		(one) => one.generation === generation + 1,
	);
	const sessionId =
		next?.sessionIds[0] ??
		(row?.generation === generation + 1 ? row.sessionId : undefined);
	const because = reason === null ? {} : { reason };
	const line: StreamLine =
		endedBy === "delete"
			? { at, type: "delete", sessionKey, ...because }
			: {
					at,
					type: "reset",
					sessionKey,
					...(sessionId === undefined ? {} : { sessionId }),
					...(endedBy === "expiry" ? { reason: "expiry" } : because),
				};
	return [{ line, generation, rank: ranks.generation }];
}

function linesOf(run: RunRecord, session: WatchedSession): Placed[] {
	const { sessionKey, refusals } = session;
	const { runId, generation, sessionId, startedAt, endedAt } = run;
	const { stoppedBy, stoppedAt } = run;
	if (startedAt === null) return [];
	const place = (line: StreamLine, rank: number) => ({
		line,
		generation,
		rank,
	});
	const named = { runId, sessionKey };
	const lines = [
		place(
			{ at: startedAt, type: "accepted", sessionKey, runId, sessionId },
			ranks.begin,
		),
		place({ at: startedAt, type: "start", ...named }, ranks.begin),
	];
	// By the end of its generation it was stopped with that.
	const at = stoppedAt ?? endedAt;
	if (stoppedBy !== null && !ofGeneration.has(stoppedBy) && at !== null)
		lines.push(
			place(
				{ at, type: "abort", sessionKey, runId, reason: stoppedBy },
				ranks.abort,
			),
		);
	if (endedAt === null) return lines;
	const isFiled = refusals.items.some(
		({ verdict, report }) =>
			verdict === "archived" &&
			report.runId === runId &&
			(report.phase === "end" || report.phase === "error"),
	);
	const said = isFiled ? null : endLine(run, endedAt, named);
	if (said)
		lines.push(place(said, stoppedBy === null ? ranks.end : ranks.drained));
	return lines;
}

/** What a run said of its end; null if it said nothing. */
function endLine(
	run: RunRecord,
	at: number,
	named: { readonly runId: string; readonly sessionKey: string },
): StreamLine | null {
	const { outcome, error, inputTokens, outputTokens } = run;
	const usage = { inputTokens, outputTokens };
	if (outcome === null || outcome === "interrupted" || outcome === "abandoned")
		return null;
	if (outcome === "failed" || error !== null)
		return { at, type: "error", ...named, error: error ?? "", usage };
	return { at, type: "end", ...named, outcome, usage };
}

function lateOf(
	{ at, report, verdict }: Refusal,
	runs: readonly RunRecord[],
	oldest: number,
): Placed[] {
	// Progress has no line of its own.
	if (report.phase === "progress") return [];
	const { phase, generation, ...rest } = report;
	const owner = runs.find(({ runId }) => runId === report.runId);
	// Of a run that is no longer seen, nothing can be replayed but that it was unknown.
	if (!owner && verdict !== "unknown") return [];
	const counted =
		generation === undefined || generation < oldest
			? {}
			: { generation: generation - oldest + 1 };
	return [
		{
			line: { at, type: phase, ...rest, ...counted } as StreamLine,
			generation: owner?.generation ?? oldest,
			rank: ranks.late,
		},
	];
}

/** What the console showed of it last, for the replay to compare. */
function rowLine(row: SessionRow, notBefore: number): StreamLine {
	const { sessionKey, sessionId, status, hasActiveRun } = row;
	return {
		at: Math.max(row.updatedAt, notBefore),
		type: "row",
		sessionKey,
		row: { status, hasActiveRun, sessionId },
	};
}
