/** Owns how records are found that a session does not hold itself: of a run that settled, which late words are for, and of a message. */
import type { ArchivedGeneration, SessionFacts } from "../machines/facts.ts";
import { addUsage } from "../machines/lifecycle.ts";
import { ownsRun, type RunFacts, stepRun } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import type { Engine } from "./engine.ts";
import type { LiveSession } from "./session.ts";
import { isPurged, type StoredMessage } from "./store.ts";

/** Usage always counts: to the live run, to one that drains, or in the record of one that settled. */
export function countUsage<Meta>(
	engine: Engine<Meta>,
	ticket: RunTicket,
	used: { readonly inputTokens: number; readonly outputTokens: number },
): void {
	let settled: RunFacts | null = null;
	let archived: ArchivedGeneration | null = null;
	engine.keep(ticket.sessionKey, {
		prepare: (session) => {
			settled = null;
			archived = null;
			if (holdsRun(session, ticket)) return undefined;
			return (async () => {
				const { sessionKey, generation } = ticket;
				settled = await keptRun(engine, session, ticket);
				if (generation !== session.facts.generation)
					archived = await engine.store.generation(sessionKey, generation);
			})();
		},
		event: ({ facts }) =>
			(archived || (settled && settled.generation !== facts.generation)) &&
			!(settled && drains(facts, ticket.generation))
				? null
				: { type: "usage", at: engine.now(), ticket, ...used },
		amend: (turn) => {
			if (!settled) return;
			turn.runs = [stepRun(settled, { type: "usage", ...used })];
			if (archived)
				turn.generations = [{ ...archived, row: addUsage(archived.row, used) }];
		},
		committed: () => {},
	});
}

/** The record of a run that is not among its session's unsettled ones. */
export async function keptRun<Meta>(
	engine: Engine<Meta>,
	session: LiveSession,
	{ sessionKey, generation, runId, attempt }: RunTicket,
): Promise<RunFacts | null> {
	await engine.settled(session);
	const kept = await engine.store.runsNamed(runId, sessionKey);
	return (
		kept.find(
			(run) => run.generation === generation && run.attempt === attempt,
		) ?? null
	);
}

/** What has become of a message id on a session, committed or not; null if it is not known, also where a purge is on its way to the store. */
export async function knownMessage<Meta>(
	engine: Engine<Meta>,
	session: LiveSession,
	messageId: string,
): Promise<StoredMessage | null> {
	// It may be committed while the store is asked, which read what was there before.
	const { purging } = session;
	const uncommitted = session.uncommittedMessages.get(messageId);
	if (uncommitted)
		return purging?.messageIds.has(messageId) ? null : uncommitted;
	const stored = await engine.store.message(session.key, messageId);
	return stored && purging && isPurged(stored, purging.before) ? null : stored;
}

/** What is kept of an id that has no message, or none that anybody may have any more. */
export function idAlone(
	messageId: string,
	acceptedAt: number,
	generation: number,
): StoredMessage {
	return {
		messageId,
		input: null,
		acceptedAt,
		generation,
		seq: 0,
		expect: null,
		fate: "removed",
		run: null,
		reason: null,
		kind: "message",
		order: 0,
		front: null,
		group: null,
		steers: null,
		skipped: [],
		parent: null,
		edited: false,
	};
}

/** What an id was used for, in words. */
export function usedFor({ kind }: Pick<StoredMessage, "kind">): string {
	return `${kind === "abort" ? "an" : "a"} ${kind}`;
}

/** Whether the archived row of a generation is written once more, when a run of it has settled. */
export function drains(
	{ draining }: SessionFacts,
	generation: number,
): boolean {
	return draining.some(({ run }) => run.generation === generation);
}

export function isReserved(facts: SessionFacts, ticket: RunTicket): boolean {
	return facts.reservations.some((run) => ownsRun(run, ticket));
}

/** Whether a session has this run itself: live, reserved or draining. Else its record has it. */
export function holdsRun({ facts }: LiveSession, ticket: RunTicket): boolean {
	return (
		(facts.run !== null && ownsRun(facts.run, ticket)) ||
		isReserved(facts, ticket) ||
		facts.draining.some(({ run }) => ownsRun(run, ticket))
	);
}
