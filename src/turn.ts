/**
 * Owns one turn: what an event did to a session, and the live machine whose named effects are gathered into it. A turn is
 * speculative until the journal has committed it; nothing here acts on the world.
 */
import { type AnyActorRef, enqueueActions, type InspectionEvent } from "xstate";
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
import {
	type RunFacts,
	runRecordOf,
	runShown,
	ticketOf,
} from "../machines/run.ts";
import { sessionMachine } from "../machines/session.ts";
import { unsettledRuns } from "./reader.ts";
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

/** One child a generation, reused for its runs: a fresh id for every run would cost a third of the throughput. */
function childOf({ generation }: Pick<RunFacts, "generation">): string {
	return `generation ${generation}`;
}

export type LiveMachine = ReturnType<typeof liveMachine>;

/** Shows a run to its actor, if it has one: after a hydration the runs of before have none. */
function show(self: AnyActorRef, run: RunFacts): void {
	const child = self.getSnapshot().children[childOf(run)];
	if (child) child.send(runShown(run));
}

/** Brings the children of a session up to what was committed; while nobody looks they are left as they were. */
export function showAll(actor: AnyActorRef, facts: SessionFacts): void {
	const unsettled = unsettledRuns(facts);
	for (const run of unsettled) show(actor, run);
	const shown = new Set(unsettled.map(childOf));
	for (const [id, child] of Object.entries<AnyActorRef | undefined>(
		actor.getSnapshot().children,
	)) {
		const run: RunFacts | undefined = child?.getSnapshot().context;
		if (child && run && !shown.has(id))
			child.send(runShown({ ...run, status: "settled" }));
	}
}

/** The session machine with its effects gathered into the turn that `current` names. Run actors are kept up to date while somebody watches. */
export function liveMachine(
	current: () => Turn,
	isWatched: (sessionKey: string) => boolean,
	dueAt: (deadline: number) => number,
) {
	const showIfWatched = (self: AnyActorRef, run: RunFacts) => {
		if (isWatched(run.sessionKey)) show(self, run);
	};
	return sessionMachine.provide({
		actions: {
			reply: (_, reply) => {
				current().reply = reply;
			},
			startRun: enqueueActions(({ enqueue, self }, start) => {
				enqueue(() => {
					const turn = current();
					turn.start = start;
					if (start.messages.length > 0) noteTaken(turn, start);
					showIfWatched(self, start.run);
				});
				const id = childOf(start.run);
				if (!self.getSnapshot().children[id])
					enqueue.spawnChild("run", { id, input: start.run });
			}),
			stopRuns: ({ self }, stops) => {
				const due = stops.map((one) => ({
					...one,
					due: dueAt(one.stop.deadline),
				}));
				current().stops = [...current().stops, ...due];
				for (const { run } of stops) showIfWatched(self, run);
			},
			showRun: ({ self }, run) => showIfWatched(self, run),
			keepRuns: ({ self }, runs) => {
				const turn = current();
				turn.runs = turn.runs.length > 0 ? [...turn.runs, ...runs] : runs;
				for (const run of runs)
					if (run.outcome !== null) showIfWatched(self, run);
			},
			keepGeneration: enqueueActions(({ enqueue, self, context }, ended) => {
				enqueue(() => {
					current().generations = [...current().generations, ended];
				});
				// The child of a generation goes when nothing of that generation is live.
				const id = childOf(ended);
				const { facts } = context;
				const drains = facts.generation === ended.generation && facts.run;
				if (!drains && self.getSnapshot().children[id]) enqueue.stopChild(id);
			}),
			keepMessages: (_, fates) => {
				noteFates(current(), fates);
			},
			keepLine: (_, messages) => {
				if (messages.length > 0)
					current().line = messages.map((message) =>
						noteOf(message, "queued", null, null),
					);
			},
			keepEntry: (_, entry) => {
				current().entries = [...current().entries, entry];
			},
			hideEntries: (_, runs) => {
				if (runs.length > 0)
					current().hides = runs.map(({ generation, runId, attempt }) => ({
						generation,
						runId,
						attempt,
					}));
			},
			closeGenerations: (_, closing) => {
				current().closes = closing.map((one) => ({
					...one,
					due: dueAt(one.deadline),
				}));
			},
			purge: (_, { before }) => {
				current().purgeBefore = before;
			},
		},
	});
}
