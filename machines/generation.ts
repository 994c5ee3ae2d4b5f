/**
 * Owns how a generation ends: what is told to stop, what goes into the archive, what drains, and what the next one starts with. Pure, as
 * lifecycle.ts.
 */
import type { MessageFate, SessionEffects } from "./events.ts";
import {
	type ArchivedGeneration,
	type ClosingGeneration,
	type DrainingRun,
	mismatchOf,
	type QueuedMessage,
	rowOf,
	type SessionFacts,
} from "./facts.ts";
import {
	addUsage,
	type EventOf,
	open,
	reportedRun,
	reservationOf,
	touch,
} from "./lifecycle.ts";
import { removed, retryOf, without } from "./line.ts";
import {
	ownsRun,
	type RunFacts,
	type RunStop,
	stepRun,
	ticketOf,
} from "./run.ts";

// ── stopping

function stopOf(event: EventOf<"reset" | "delete" | "abort">): RunStop {
	return {
		cause: event.type === "delete" ? "delete" : event.cause,
		reason: event.reason,
		deadline: event.deadline,
		at: event.at,
	};
}

export function stopLive(
	facts: SessionFacts,
	event: EventOf<"abort">,
): SessionFacts {
	return {
		...dropWaiting(facts, event),
		run: stepRun(facts.run as RunFacts, { type: "stop", stop: stopOf(event) }),
	};
}

/** The live run told to stop by a newer message; with `rollback` what it appended is taken back. */
export function interrupt(
	facts: SessionFacts,
	event: EventOf<"message">,
): SessionFacts {
	const run = stepRun(facts.run as RunFacts, {
		type: "stop",
		stop: {
			cause: "interrupt",
			reason: `message ${event.messageId} took its place`,
			deadline: event.deadline,
			at: event.at,
		},
	});
	return {
		...facts,
		run:
			event.policy.mode === "rollback"
				? stepRun(run, { type: "takeBack" })
				: run,
	};
}

/** All that a new generation leaves to drain. */
export function drainAfter(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete">,
): readonly DrainingRun[] {
	const stop = stopOf(event);
	const step = (run: RunFacts) => stepRun(run, { type: "stop", stop });
	const older = facts.draining.map((one) => ({ ...one, run: step(one.run) }));
	return facts.run
		? [...older, { run: step(facts.run), ended: endedGeneration(facts, event) }]
		: older;
}

export function stopsOf(
	drain: readonly { readonly run: RunFacts }[],
): SessionEffects["stopRuns"] {
	return drain.map(({ run }) => ({ run, stop: run.stop as RunStop }));
}

/** A new generation: the older ones' tickets are stale from this commit on. */
export function mint(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete">,
): SessionFacts {
	const isReset = event.type === "reset";
	return {
		...touch(facts, event),
		generation: facts.generation + 1,
		sessionIds: isReset ? [event.sessionId] : [],
		hidden: !isReset,
		meta: isReset ? event.meta : {},
		purgeBefore:
			!isReset && event.purge ? facts.generation + 1 : facts.purgeBefore,
		run: null,
		reservations: [],
		draining: drainAfter(facts, event),
		closing: closingAfter(facts, event),
		last: null,
		inputTokens: 0,
		outputTokens: 0,
		queue: facts.queue.filter((message) => keeps(facts, event, message)),
		retries: [],
		activeAt: event.at,
		takenAt: isReset && event.cause === "expiry" ? null : event.at,
	};
}

/** What the host still has to do on older generations, in the time that a stop leaves it. */
export function closingSooner(
	{ closing }: SessionFacts,
	{ deadline }: EventOf<"reset" | "delete">,
): readonly ClosingGeneration[] {
	return closing.map((one) => ({
		...one,
		// Nothing waits for one that was postponed: it is tried anew.
		deadline: one.postponed ? deadline : Math.min(one.deadline, deadline),
	}));
}

/** As `closingSooner`, with this one, which ends. */
export function closingAfter(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete">,
): readonly ClosingGeneration[] {
	const older = closingSooner(facts, event);
	return event.hook ? [...older, closingGeneration(facts, event)] : older;
}

function closingGeneration(
	{ generation }: SessionFacts,
	{ deadline }: EventOf<"reset" | "delete">,
): ClosingGeneration {
	return { generation, deadline, postponed: false };
}

export function closed(
	facts: SessionFacts,
	event: EventOf<"closed">,
): SessionFacts {
	return {
		...touch(facts, event),
		closing: facts.closing.filter(
			({ generation }) => generation !== event.generation,
		),
	};
}

export function postponed(
	facts: SessionFacts,
	event: EventOf<"postponed">,
): SessionFacts {
	return {
		...touch(facts, event),
		closing: facts.closing.map((one) =>
			one.generation === event.generation ? { ...one, postponed: true } : one,
		),
	};
}

/** What older generations left is gone; there is nothing left that the host could work on. */
export function purged(facts: SessionFacts): SessionFacts {
	return {
		...facts,
		purgeBefore: null,
		closing: facts.closing.filter(
			({ generation }) => generation >= (facts.purgeBefore ?? 0),
		),
	};
}

/** Whether a message stays in line for the new generation: it was to be kept, and what it expects still holds there. */
function keeps(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete">,
	message: QueuedMessage,
): boolean {
	if (event.queued === "drop") return false;
	// The next attempt of a run would be of its generation.
	if (!facts.hidden && retryOf(facts, message.messageId)) return false;
	const { generation, sessionId } = message.expect ?? {};
	// A hidden generation is used as it is; every other gives way to the next.
	const next = {
		...facts,
		hidden: false,
		generation: facts.hidden ? facts.generation : facts.generation + 1,
		sessionIds: event.type === "reset" ? [event.sessionId] : [],
	};
	return mismatchOf(next, { generation, sessionId }) === null;
}

export function droppedBy(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete" | "abort">,
): readonly MessageFate[] {
	const gone =
		event.type === "abort"
			? facts.queue.filter((message) => abortDrops(facts, event, message))
			: facts.queue.filter((message) => !keeps(facts, event, message));
	return gone.map((message) =>
		removed(
			message,
			event.queued === "drop"
				? `dropped by ${event.type}`
				: event.type === "abort"
					? `taken back by ${event.cause}${event.reason ? `: ${event.reason}` : ""}`
					: `${whatEnded(facts, message)} ended with generation ${facts.generation}`,
		),
	);
}

/** For what of it a generation takes a message along that was to be kept. */
function whatEnded(facts: SessionFacts, { messageId }: QueuedMessage): string {
	return !facts.hidden && retryOf(facts, messageId)
		? "its run, which was to be tried again,"
		: "what it expected";
}

/** What an abort takes out of the line: all, the message that it names, or where it names none those of a run that was to be tried again. */
function abortDrops(
	facts: SessionFacts,
	event: EventOf<"abort">,
	{ messageId }: QueuedMessage,
): boolean {
	if (event.queued === "drop") return true;
	const named = event.expect?.messageId;
	if (named !== undefined) return named === messageId;
	return facts.run === null && retryOf(facts, messageId) !== undefined;
}

export function dropWaiting(
	facts: SessionFacts,
	event: EventOf<"abort">,
): SessionFacts {
	return without(touch(facts, event), (message) =>
		abortDrops(facts, event, message),
	);
}

/** A reset of a key that nobody uses opens it. */
export function openByReset(
	facts: SessionFacts,
	event: EventOf<"reset">,
): SessionFacts {
	return {
		...open(facts, event),
		draining: drainAfter(facts, event),
		closing: closingSooner(facts, event),
		queue: facts.queue.filter((message) => keeps(facts, event, message)),
	};
}

/** A delete of what was deleted already: what drains may be brought to its end sooner, and what is left may be erased. */
export function deleteAgain(
	facts: SessionFacts,
	event: EventOf<"delete">,
): SessionFacts {
	return {
		...touch(facts, event),
		draining: drainAfter(facts, event),
		closing: closingSooner(facts, event),
		queue: facts.queue.filter((message) => keeps(facts, event, message)),
		purgeBefore: event.purge ? facts.generation : facts.purgeBefore,
	};
}

export function endedGeneration(
	facts: SessionFacts,
	event: EventOf<"reset" | "delete">,
): ArchivedGeneration {
	return {
		sessionKey: facts.sessionKey,
		generation: facts.generation,
		sessionIds: facts.sessionIds,
		endedBy: event.type === "delete" ? "delete" : event.cause,
		reason: event.reason,
		endedAt: event.at,
		// What older generations still drain is theirs.
		row: rowOf({ ...facts, draining: [], closing: [] }),
	};
}

// ── reservations that are given up

/** A reservation given up before it started: its start is consumed here (AB-16). */
export function cancelledRun(
	facts: SessionFacts,
	event: EventOf<"abort">,
): RunFacts {
	const run = reservationOf(facts, event.expect?.runId as string) as RunFacts;
	return stepRun(stepRun(run, { type: "stop", stop: stopOf(event) }), {
		type: "settle",
		end: { at: event.at, outcome: "aborted" },
	});
}

export function cancelReservation(
	facts: SessionFacts,
	event: EventOf<"abort">,
): SessionFacts {
	return {
		...touch(facts, event),
		reservations: facts.reservations.filter(
			(run) => run.runId !== event.expect?.runId,
		),
	};
}

// ── what drains

/** The archived generation once the run that it left to drain has settled. */
export function completeGeneration(
	facts: SessionFacts,
	run: RunFacts,
): ArchivedGeneration {
	const ticket = ticketOf(run);
	const before = facts.draining.find((one) =>
		ownsRun(one.run, ticket),
	) as DrainingRun;
	const row = addUsage(before.ended.row, {
		inputTokens: run.inputTokens - before.run.inputTokens,
		outputTokens: run.outputTokens - before.run.outputTokens,
	});
	return {
		...before.ended,
		row: {
			...row,
			status: run.outcome === "failed" ? "failed" : "ended",
			hasActiveRun: false,
			activeRun: null,
			waits: [],
			lastOutcome: run.outcome,
			lastError: run.outcome === "failed" ? run.error : null,
			startedAt: run.startedAt,
			endedAt: run.endedAt,
			runtimeMs: run.runtimeMs,
		},
	};
}

export function settleDraining(
	facts: SessionFacts,
	event: { readonly at: number },
	run: RunFacts,
): SessionFacts {
	return {
		...touch(facts, event),
		draining: facts.draining.filter((one) => !ownsRun(one.run, ticketOf(run))),
	};
}

export function startDraining(
	facts: SessionFacts,
	event: EventOf<"report">,
): SessionFacts {
	const run = reportedRun(facts, event);
	return {
		...touch(facts, event),
		draining: facts.draining.map((one) =>
			ownsRun(one.run, ticketOf(run)) ? { ...one, run } : one,
		),
	};
}
