/**
 * Owns one turn: what an event did to a session, with all that its machine asked for gathered into it. A turn is speculative until the
 * journal has committed it; nothing here acts on the world.
 */
import type { InspectionEvent } from "xstate";
import type { MessageFate, Reply, SessionEffects } from "../machines/events.ts";
import {
	type ArchivedGeneration,
	type ClosingGeneration,
	type EndedGeneration,
	type QueuedMessage,
	rowOf,
	type SessionFacts,
	type SessionRow,
	type StoredEntry,
} from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import { type RunFacts, runRecordOf, ticketOf } from "../machines/run.ts";
import type { LiveSession, Operation } from "./session.ts";
import type { HiddenRun, StoredMessage, StoredRefusal } from "./store.ts";

/** With when its time is over, on the monotonic clock. */
export type Due<Effect> = Effect & { readonly due: number };

export interface Turn {
	readonly session: LiveSession;
	readonly operation: Operation;
	readonly before: SessionFacts;
	after: SessionFacts;
	reply: Reply | null;
	start: SessionEffects["startRun"] | null;
	stops: readonly Due<SessionEffects["stopRuns"][number]>[];
	runs: readonly RunFacts[];
	generations: readonly ArchivedGeneration[];
	messages: readonly StoredMessage[];
	/** Messages that wait as before, at another place or with another input. */
	line: readonly StoredMessage[];
	entries: readonly StoredEntry[];
	hides: readonly HiddenRun[];
	/** Generations that ended and that the host has its own work to do on. */
	closes: readonly Due<ClosingGeneration>[];
	refusals: readonly StoredRefusal[];
	purgeBefore: number | null;
	/** It ended a generation whose row could not be read. */
	healed: boolean;
	/** The runs of the generation that this turn ended, newest first. */
	endedRuns: readonly RunFacts[];
	/** The row after this turn, made when somebody asks. */
	row: SessionRow | null;
	/** What XState told its inspectors, held until the commit. */
	inspection: readonly InspectionEvent[];
}

/** Shared by all turns that have none; lists of a turn are replaced, never changed. */
const none: readonly never[] = [];

export function emptyTurn(
	session: LiveSession,
	operation: Operation,
	before: SessionFacts,
): Turn {
	return {
		session,
		operation,
		before,
		after: before,
		reply: null,
		start: null,
		stops: none,
		runs: none,
		generations: none,
		messages: none,
		line: none,
		entries: none,
		hides: none,
		closes: none,
		refusals: none,
		purgeBefore: null,
		healed: false,
		endedRuns: none,
		row: null,
		inspection: none,
	};
}

/** The public row after a turn; null while its generation is hidden. */
export function rowAfter<Meta = JsonValue>(
	turn: Turn,
): SessionRow<Meta> | null {
	if (turn.after.hidden) return null;
	turn.row ??= rowOf(turn.after);
	return turn.row as SessionRow<Meta>;
}

/** The generation that a turn ended, with its runs, or null. */
export function endedBy<Meta = JsonValue>(
	turn: Turn,
): EndedGeneration<Meta> | null {
	if (turn.after.generation === turn.before.generation) return null;
	const ended = turn.generations.find(
		({ generation }) => generation === turn.before.generation,
	);
	if (!ended) return null;
	const runs = turn.endedRuns.map(runRecordOf);
	return { ...(ended as ArchivedGeneration<Meta>), runs };
}

/** What a turn writes of messages. */
export function notesOf({ line, messages }: Turn): readonly StoredMessage[] {
	return line.length === 0 ? messages : [...line, ...messages];
}

/** Whether a turn writes anything of its session. */
export function changesSession(turn: Turn): boolean {
	return (
		turn.after !== turn.before ||
		turn.runs.length > 0 ||
		turn.generations.length > 0 ||
		turn.messages.length > 0
	);
}

function noteOf(
	message: QueuedMessage,
	fate: StoredMessage["fate"],
	run: StoredMessage["run"],
	reason: string | null,
): StoredMessage {
	return { ...message, fate, run, reason, kind: "message" };
}

/** Of one message only the newest fate counts: taken at once, it was never in line. */
function noteFates(turn: Turn, fates: readonly MessageFate[]): void {
	for (const { message, fate, run, reason } of fates) {
		const note = noteOf(message, fate, run, reason);
		const others =
			turn.messages.length === 0
				? none
				: turn.messages.filter((one) => one.messageId !== message.messageId);
		turn.messages = others.length === 0 ? [note] : [...others, note];
	}
}

function noteTaken(
	turn: Turn,
	{ run, messages }: SessionEffects["startRun"],
): void {
	const ticket = ticketOf(run);
	noteFates(
		turn,
		messages.map((message) => ({
			message,
			fate: "taken",
			run: ticket,
			reason: null,
		})),
	);
}

/** How each thing that the machine asks for gets into a turn. */
export type Gathering = {
	readonly [Type in keyof SessionEffects]: (
		turn: Turn,
		asked: SessionEffects[Type],
	) => void;
};

export function gathering(dueAt: (deadline: number) => number): Gathering {
	return {
		reply(turn, reply) {
			turn.reply = reply;
		},
		startRun(turn, start) {
			turn.start = start;
			if (start.messages.length > 0) noteTaken(turn, start);
		},
		stopRuns(turn, stops) {
			const due = stops.map((one) => ({
				...one,
				due: dueAt(one.stop.deadline),
			}));
			turn.stops = [...turn.stops, ...due];
		},
		showRun() {},
		keepRuns(turn, runs) {
			turn.runs = turn.runs.length > 0 ? [...turn.runs, ...runs] : runs;
		},
		keepGeneration(turn, ended) {
			turn.generations = [...turn.generations, ended];
		},
		keepMessages: noteFates,
		keepLine(turn, messages) {
			if (messages.length > 0)
				turn.line = messages.map((message) =>
					noteOf(message, "queued", null, null),
				);
		},
		keepEntry(turn, entry) {
			turn.entries = [...turn.entries, entry];
		},
		hideEntries(turn, runs) {
			if (runs.length > 0)
				turn.hides = runs.map(({ generation, runId, attempt }) => ({
					generation,
					runId,
					attempt,
				}));
		},
		closeGenerations(turn, closing) {
			turn.closes = closing.map((one) => ({
				...one,
				due: dueAt(one.deadline),
			}));
		},
		purge(turn, { before }) {
			turn.purgeBefore = before;
		},
	};
}
