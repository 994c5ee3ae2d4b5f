/** Owns what the driver of a run is shown of it. */
import { rowOf, type SessionFacts } from "../../machines/facts.ts";
import { openWaits, ownsRun, type RunFacts } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { unsettledRuns } from "../reader.ts";
import type { RunView } from "./protocol.ts";

/** `settled`: what is known of runs that are in the facts no more. */
export function viewOf(
	facts: SessionFacts,
	ticket: RunTicket,
	settled: readonly RunFacts[] = [],
): RunView {
	const isIt = (one: RunFacts) => ownsRun(one, ticket);
	const run = openRuns(facts).find(isIt);
	const stop = run ? run.stop : stopOf(settled.find(isIt), ticket, facts);
	const draining = facts.draining.find((one) => ownsRun(one.run, ticket));
	return {
		version: facts.version,
		sessionId: run?.sessionIds.at(-1) ?? ticket.sessionId,
		stop: stop ? { cause: stop.cause, reason: stop.reason } : null,
		isOver: !run,
		leaseMs: run?.leaseMs ?? null,
		waits: run ? openWaits(run) : [],
		answers: run?.answers ?? [],
		steering: facts.queue.filter(({ steers }) => steers === ticket.runId)
			.length,
		row: draining?.ended.row ?? rowOf(facts),
	};
}

/** Why whoever still works for a run that is over may stop, if they may. */
function stopOf(
	settled: RunFacts | undefined,
	{ generation }: RunTicket,
	facts: SessionFacts,
): RunView["stop"] {
	if (settled?.stop) return settled.stop;
	if (settled?.outcome)
		return settled.outcome === "interrupted"
			? { cause: "shutdown", reason: null }
			: null;
	// A reservation goes with its generation.
	const cause = facts.hidden
		? "delete"
		: generation < facts.generation
			? "reset"
			: "shutdown";
	return { cause, reason: null };
}

/** Whether a driver has to be told: its row alone is no news. */
export function isNews(
	{ row: _row, version: _version, ...seen }: RunView,
	{ row: _newRow, version: _newVersion, ...now }: RunView,
): boolean {
	return JSON.stringify(seen) !== JSON.stringify(now);
}

/** The runs that a session has not settled, and its reservations. */
export function openRuns(facts: SessionFacts): readonly RunFacts[] {
	return [...unsettledRuns(facts), ...facts.reservations];
}
