/**
 * Owns the verdict on a lifecycle report: which run it is about and what it may do there. Pure; the session machine's guards ask it
 * for runs that have not settled, the engine for those that only the archive knows.
 */
import { isDraining, type SessionFacts, type SessionRow } from "./facts.ts";
import type { JsonValue } from "./json.ts";
import { type RunFacts, stepRun, type Usage } from "./run.ts";
import type { RunTicket, StopCause } from "./ticket.ts";

/** What a reporter still has of the ticket. */
export interface ReportedRun {
	readonly runId: string;
	readonly sessionKey?: string | undefined;
	readonly sessionId?: string | undefined;
	readonly generation?: number | undefined;
	readonly attempt?: number | undefined;
}

/**
 * Whatever the reporter still has of the ticket. What is given must match; the rest is looked up by run id; ambiguous is refused.
 * Without `attempt` the live one is meant, else the latest.
 *
 * @example { runId: "r9", phase: "end", endedAt: Date.now(), usage: { outputTokens: 120 } }
 */
export type LifecycleReport = ReportedRun &
	(
		| { readonly phase: "start"; readonly startedAt?: number | undefined }
		| { readonly phase: "progress"; readonly value?: JsonValue | undefined }
		| {
				readonly phase: "end";
				readonly outcome?: "completed" | "aborted" | "timeout" | undefined;
				readonly startedAt?: number | undefined;
				readonly endedAt?: number | undefined;
				readonly usage?: Usage | undefined;
		  }
		| {
				readonly phase: "error";
				readonly error: string;
				readonly startedAt?: number | undefined;
				readonly endedAt?: number | undefined;
				readonly usage?: Usage | undefined;
		  }
	);

/**
 * applied: changed the current row · archived: completed an open record of an ended generation · duplicate: the run had settled or
 * had started · unknown: never admitted · refused: malformed, ambiguous, contradictory, out of turn, or about a live managed run.
 */
export type VerdictKind =
	| "applied"
	| "archived"
	| "duplicate"
	| "unknown"
	| "refused";

/** What a report is told. */
export interface Verdict {
	readonly verdict: VerdictKind;
	/** In words, for people. */
	readonly reason: string;
	/** The run that it means; null where none was found. */
	readonly ticket: RunTicket | null;
	/** Of that run's session, after the report. */
	readonly row: SessionRow | null;
}

/** A report that was not applied. */
export interface Refusal {
	/** Epoch ms. */
	readonly at: number;
	readonly verdict: Exclude<VerdictKind, "applied">;
	readonly reason: string;
	/** As it came; its fields may be of any type if it was malformed. */
	readonly report: LifecycleReport;
	/** The run that was live on that key at the time. */
	readonly current: RunTicket | null;
}

/** A verdict, with the facts of the run that it is about. */
export interface Judgement {
	readonly verdict: VerdictKind;
	readonly reason: string;
	readonly run: RunFacts | null;
}

/** Whether everything the reporter gave is true of this run. */
export function matchesRun(run: RunFacts, reported: ReportedRun): boolean {
	return contradictionOf(run, reported) === null;
}

/** What the reporter gave that is not true of this run, or null. */
export function contradictionOf(
	run: RunFacts,
	reported: ReportedRun,
): keyof ReportedRun | null {
	if (run.runId !== reported.runId) return "runId";
	if (
		reported.sessionKey !== undefined &&
		reported.sessionKey !== run.sessionKey
	)
		return "sessionKey";
	if (
		reported.generation !== undefined &&
		reported.generation !== run.generation
	)
		return "generation";
	if (reported.attempt !== undefined && reported.attempt !== run.attempt)
		return "attempt";
	if (
		reported.sessionId !== undefined &&
		!run.sessionIds.includes(reported.sessionId)
	)
		return "sessionId";
	return null;
}

/** The unsettled run of this session that a report means: the live one, else a reservation, else the latest attempt that drains. */
export function findRun(
	facts: SessionFacts,
	reported: ReportedRun,
): RunFacts | null {
	if (facts.run && matchesRun(facts.run, reported)) return facts.run;
	const reserved = facts.reservations.find((run) => matchesRun(run, reported));
	if (reserved) return reserved;
	let latest: RunFacts | null = null;
	for (const { run } of facts.draining)
		if (matchesRun(run, reported) && (!latest || run.attempt > latest.attempt))
			latest = run;
	return latest;
}

/** The verdict on a report about a run that has not settled. */
export function judge(facts: SessionFacts, report: LifecycleReport): Judgement {
	const run = findRun(facts, report);
	if (!run)
		return {
			verdict: "unknown",
			reason: `no run ${report.runId} was admitted here`,
			run: null,
		};
	if (run.driver === "managed")
		return {
			verdict: "refused",
			reason: `run ${run.runId} is managed: only its executor or a command ends it`,
			run,
		};
	const again = report.phase === "start" && run.startedAt !== null;
	if (again)
		return {
			verdict: "duplicate",
			reason: `run ${run.runId} had started already`,
			run,
		};
	if (report.phase === "progress" && run.stop)
		return {
			verdict: "refused",
			reason: `run ${run.runId} was told to stop; nobody follows it any more`,
			run,
		};
	if (run.generation !== facts.generation)
		return {
			verdict: "archived",
			reason: `generation ${run.generation} has ended; filed in its archive`,
			run,
		};
	if (run.status !== "reserved")
		return { verdict: "applied", reason: `run ${run.runId} is live`, run };
	if (report.phase === "progress")
		return {
			verdict: "refused",
			reason: `run ${run.runId} is only reserved; report its start first`,
			run,
		};
	if (facts.run)
		return {
			verdict: "refused",
			reason: `run ${run.runId} is only reserved and run ${facts.run.runId} is live`,
			run,
		};
	if (isDraining(facts))
		return {
			verdict: "refused",
			reason: `run ${run.runId} is only reserved and the session still drains`,
			run,
		};
	return {
		verdict: "applied",
		reason: `reserved run ${run.runId} became live`,
		run,
	};
}

/** The verdict on a report about a run that only the archive or the run table knows, and the record it completes if it was open. */
export function judgeStored(
	run: RunFacts,
	report: LifecycleReport,
	at: number,
): Judgement {
	if (run.outcome !== null)
		return {
			verdict: "duplicate",
			reason: `run ${run.runId} had settled: ${run.outcome}`,
			run,
		};
	if (report.phase === "start" && run.startedAt !== null)
		return {
			verdict: "duplicate",
			reason: `run ${run.runId} had started already`,
			run,
		};
	if (report.phase === "progress")
		return {
			verdict: "refused",
			reason: `generation ${run.generation} has ended; nobody follows its runs any more`,
			run,
		};
	return {
		verdict: "archived",
		reason: `generation ${run.generation} has ended; filed in its archive`,
		run: stepReported(run, report, at),
	};
}

/** The step that a report means. */
export function stepReported(
	run: RunFacts,
	report: LifecycleReport,
	at: number,
	stoppedBy?: StopCause | undefined,
): RunFacts {
	if (report.phase === "progress") return run;
	if (report.phase === "start")
		return stepRun(run, { type: "start", at, startedAt: report.startedAt });
	const end = {
		at,
		startedAt: report.startedAt,
		endedAt: report.endedAt,
		usage: report.usage,
		stoppedBy,
	};
	return stepRun(run, {
		type: "settle",
		end:
			report.phase === "end"
				? { ...end, outcome: report.outcome ?? "completed" }
				: { ...end, outcome: "failed", error: report.error },
	});
}
