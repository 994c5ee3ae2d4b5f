/** Owns how something is asked of a session in the name of one of its runs, and what a run is told that may not ask any more. */
import type { SessionEvent } from "../machines/events.ts";
import type { RunTicket } from "../machines/ticket.ts";
import { shown } from "./arguments.ts";
import type { Engine } from "./engine.ts";
import { TurnkeeperError } from "./errors.ts";
import type { LiveRun } from "./registry.ts";
import type { Turn } from "./turn.ts";

/** Asks a run's session something in the run's name. */
export function ask<Meta>(
	engine: Engine<Meta>,
	live: Pick<LiveRun, "ticket">,
	event: () => SessionEvent,
	/** Told before anything that is committed after it. */
	seen: (turn: Turn) => void = () => {},
): Promise<Turn> {
	return new Promise((resolve, failed) => {
		engine.post(live.ticket.sessionKey, {
			event,
			committed: (turn) => {
				seen(turn);
				resolve(turn);
			},
			failed,
		});
	});
}

export function staleRun(ticket: RunTicket): TurnkeeperError {
	return new TurnkeeperError(
		"STALE_RUN",
		`run ${shown(ticket.runId)} of session ${shown(ticket.sessionKey)} (generation ${ticket.generation}) is not live any more; only a live run that was not told to stop may do this`,
	);
}
