/**
 * Owns one turn: what an event did to a session, and the live machine whose named effects are gathered into it. A turn is
 * speculative until the journal has committed it; nothing here acts on the world.
 */
import { enqueueActions, type InspectionEvent } from "xstate";
import type { MessageFate, Reply, SessionEffects } from "../machines/events.ts";
import {
	type ArchivedGeneration,
	type EndedGeneration,
	rowOf,
	type SessionFacts,
	type SessionRow,
} from "../machines/facts.ts";
import { type RunFacts, runRecordOf, runShown } from "../machines/run.ts";
import { sessionMachine } from "../machines/session.ts";
import type { LiveSession, Operation } from "./session.ts";
import type { StoredMessage, StoredRefusal } from "./store.ts";

export interface Turn {
	readonly session: LiveSession;
	readonly operation: Operation;
	readonly before: SessionFacts;
	after: SessionFacts;
	reply: Reply | null;
	start: SessionEffects["startRun"] | null;
	stops: SessionEffects["stopRuns"];
	runs: RunFacts[];
	generations: ArchivedGeneration[];
	messages: StoredMessage[];
	refusals: StoredRefusal[];
	purgeBefore: number | null;
	/** The runs of the generation that this turn ended, newest first. */
	endedRuns: readonly RunFacts[];
	/** The row after this turn, made when somebody asks. */
	row: SessionRow | null;
	/** What XState told its inspectors, held until the commit. */
	inspection: InspectionEvent[];
}

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
		stops: [],
		runs: [],
		generations: [],
		messages: [],
		refusals: [],
		purgeBefore: null,
		endedRuns: [],
		row: null,
		inspection: [],
	};
}

/** The public row after a turn; null while its generation is hidden. */
export function rowAfter(turn: Turn): SessionRow | null {
	if (turn.after.hidden) return null;
	turn.row ??= rowOf(turn.after);
	return turn.row;
}

/** The generation that a turn ended, with its runs, or null. */
export function endedBy(turn: Turn): EndedGeneration | null {
	if (turn.after.generation === turn.before.generation) return null;
	const ended = turn.generations.find(
		({ generation }) => generation === turn.before.generation,
	);
	return ended ? { ...ended, runs: turn.endedRuns.map(runRecordOf) } : null;
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

/** Of one message only the newest fate counts: taken at once, it was never in line. */
function noteFates(turn: Turn, fates: readonly MessageFate[]): void {
	for (const { message, ...fate } of fates) {
		const note: StoredMessage = { ...message, ...fate, kind: "message" };
		const known = turn.messages.findIndex(
			(one) => one.messageId === message.messageId,
		);
		if (known < 0) turn.messages.push(note);
		else turn.messages[known] = note;
	}
}

/** One child a generation, reused for its runs: a fresh id for every run would cost a third of the throughput. */
function childOf(run: RunFacts): string {
	return `generation ${run.generation}`;
}

export type LiveMachine = ReturnType<typeof liveMachine>;

/** The session machine with its effects gathered into the turn that `current` names. */
export function liveMachine(current: () => Turn) {
	return sessionMachine.provide({
		actions: {
			reply: (_, reply) => {
				current().reply = reply;
			},
			startRun: enqueueActions(({ enqueue, self }, start) => {
				enqueue(() => {
					current().start = start;
				});
				const id = childOf(start.run);
				if (self.getSnapshot().children[id])
					enqueue.sendTo(id, runShown(start.run));
				else enqueue.spawnChild("run", { id, input: start.run });
			}),
			stopRuns: enqueueActions(({ enqueue, self }, stops) => {
				enqueue(() => {
					current().stops = [...current().stops, ...stops];
				});
				for (const { run } of stops)
					if (self.getSnapshot().children[childOf(run)])
						enqueue.sendTo(childOf(run), runShown(run));
			}),
			showRun: enqueueActions(({ enqueue, self }, run) => {
				if (self.getSnapshot().children[childOf(run)])
					enqueue.sendTo(childOf(run), runShown(run));
			}),
			keepRuns: enqueueActions(({ enqueue, self, context }, runs) => {
				enqueue(() => {
					current().runs.push(...runs);
				});
				for (const run of runs) {
					const id = childOf(run);
					if (run.outcome === null || !self.getSnapshot().children[id])
						continue;
					if (run.generation === context.generation)
						enqueue.sendTo(id, runShown(run));
					else enqueue.stopChild(id);
				}
			}),
			keepGeneration: enqueueActions(({ enqueue, self, context }, ended) => {
				enqueue(() => {
					current().generations.push(ended);
				});
				const id = `generation ${ended.generation}`;
				if (!context.run && self.getSnapshot().children[id])
					enqueue.stopChild(id);
			}),
			keepMessages: (_, fates) => {
				noteFates(current(), fates);
			},
			purge: (_, { before }) => {
				current().purgeBefore = before;
			},
		},
	});
}
