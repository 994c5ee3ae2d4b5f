/** Owns how sessions, runs and refusals are told to a person, in lines of at most 80 columns. Reads the runtime, prints nothing. */
import type { Refusal, RunRecord, SessionRow, StopCause } from "turnkeeper";
import type { ChatRuntime } from "../chat/host.ts";

/** An id as people compare them: without the random part that makes it unique in the world. */
export function shortId(id: string): string {
	return /^[0-9a-f]{8}-[0-9a-f]{4}-/.test(id)
		? id.slice(0, 8)
		: id.replace(/-[0-9a-f]{12}$/, "");
}

export function counted(count: number, thing: string): string {
	return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/** Text of others on one line, with nothing in it that a terminal would obey. */
export function plain(text: string, columns = 60): string {
	const line = text.replace(
		/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu,
		" ",
	);
	return line.length > columns ? `${line.slice(0, columns - 1)}…` : line;
}

/** @example "generation 2 · idle · no run, no error · 0 tokens" */
export function rowLine(row: SessionRow<unknown>): string {
	const run = row.activeRun
		? `run ${shortId(row.activeRun.runId)} is live`
		: row.lastOutcome
			? `last run ${row.lastOutcome}`
			: "no run yet";
	return [
		`generation ${row.generation}`,
		row.status,
		row.lastError ? `error: ${plain(row.lastError, 30)}` : run,
		...(row.queued > 0 ? [`${row.queued} queued`] : []),
		...(row.draining > 0 ? [`${row.draining} draining`] : []),
		counted(row.totalTokens, "token"),
	].join(" · ");
}

const stops = {
	abort: "on request",
	reset: "by reset",
	expiry: "because it had rested too long",
	delete: "by delete",
	interrupt: "by a newer message",
	timeout: "because it took too long",
	parent: "with the run that it belonged to",
	shutdown: "by shutdown",
} as const satisfies Record<StopCause, string>;

/** @example "run 0mwsy3xz2-0000004 aborted by reset after 0.6 s: socket hang up" */
export function runLine(run: RunRecord): string {
	const id = `run ${shortId(run.runId)}`;
	if (run.outcome === null)
		return run.stoppedBy
			? `${id} was told to stop by ${run.stoppedBy} and has not settled yet`
			: `${id} is live`;
	const took =
		run.startedAt !== null && run.endedAt !== null
			? ` after ${(Math.max(0, run.endedAt - run.startedAt) / 1000).toFixed(1)} s`
			: "";
	const by = run.stoppedBy ? ` ${stops[run.stoppedBy]}` : "";
	const why = run.error ? `: ${plain(run.error, 44)}` : "";
	return `${id} ${run.outcome}${by}${took}${why}`;
}

export function refusalLine({ verdict, reason, report }: Refusal): string {
	return `${report.phase} of run ${shortId(String(report.runId))}: ${verdict}, ${plain(reason, 50)}`;
}

/** What happened to a session, newest first. */
export async function tellWhy(
	runtime: ChatRuntime,
	sessionKey: string,
): Promise<readonly string[]> {
	const row = await runtime.get(sessionKey);
	if (!row) return [`nothing is known of ${plain(sessionKey)} yet`];
	const lines: string[] = [];
	const tell = (runs: readonly RunRecord[]) => {
		for (const run of runs) lines.push(`  ${runLine(run)}`);
		if (runs.length === 0) lines.push("  no run");
	};
	lines.push(
		`generation ${row.generation} · session ${shortId(row.sessionId)} · ${row.status}`,
	);
	const { items: runs } = await runtime.runs(sessionKey, {
		generation: row.generation,
		limit: 10,
	});
	tell(runs);
	const archive = await runtime.archive(sessionKey, { limit: 5 });
	for (const ended of archive.items) {
		const session = shortId(ended.sessionIds.at(-1) ?? "");
		const reason = ended.reason ? `: ${plain(ended.reason, 24)}` : "";
		lines.push(
			`generation ${ended.generation} · session ${session} · ended by ${ended.endedBy}${reason}`,
		);
		tell(ended.runs.slice(0, 10));
	}
	if (archive.cursor) lines.push("  and older ones");
	const refusals = await runtime.refusals({ sessionKey, limit: 10 });
	if (refusals.items.length > 0) {
		lines.push("reports that did not touch the current row");
		for (const refusal of refusals.items)
			lines.push(`  ${refusalLine(refusal)}`);
	}
	return lines;
}
