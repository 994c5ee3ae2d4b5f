/** Owns what the driver of a run is shown of it. */
import { rowOf, type SessionFacts } from "../../machines/facts.ts";
import { openWaits, ownsRun, type RunFacts } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { unsettledRuns } from "../reader.ts";
import type { RunView } from "./protocol.ts";

export function viewOf(facts: SessionFacts, ticket: RunTicket): RunView {
	const run = runsOf(facts).find((one) => ownsRun(one, ticket));
	const draining = facts.draining.find((one) => ownsRun(one.run, ticket));
	return {
		version: facts.version,
		sessionId: run?.sessionIds.at(-1) ?? ticket.sessionId,
		stop: run?.stop ? { cause: run.stop.cause, reason: run.stop.reason } : null,
		isOver: !run,
		leaseMs: run?.leaseMs ?? null,
		waits: run ? openWaits(run) : [],
		answers: run?.answers ?? [],
		steering: facts.queue.filter(({ steers }) => steers === ticket.runId)
			.length,
		row: draining?.ended.row ?? rowOf(facts),
	};
}

/** Whether a driver has to be told: its row alone is no news. */
export function isNews(
	{ row: _row, version: _version, ...seen }: RunView,
	{ row: _newRow, version: _newVersion, ...now }: RunView,
): boolean {
	return JSON.stringify(seen) !== JSON.stringify(now);
}

/** The runs that a session has not settled, and its reservations. */
function runsOf(facts: SessionFacts): readonly RunFacts[] {
	return [...unsettledRuns(facts), ...facts.reservations];
}
