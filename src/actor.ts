/**
 * Owns the actor of a session: the session machine, whose effects are gathered into the turn that is being made. While nobody looks at a
 * session it goes the short way through the chart, and has no actors for its runs; who looks sees XState's own steps, and the tree.
 */
import { type AnyActorRef, createActor, enqueueActions } from "xstate";
import type { SessionEvent } from "../machines/events.ts";
import type { SessionFacts } from "../machines/facts.ts";
import { type RunFacts, runLogic, runShown } from "../machines/run.ts";
import { sessionMachine, stateOf } from "../machines/session.ts";
import {
	type AskEngine,
	type SessionState,
	stepSession,
} from "../machines/step.ts";
import { unsettledRuns } from "./reader.ts";
import { type Gathering, gathering, type Turn } from "./turn.ts";

type Machine = typeof sessionMachine;
type Snapshot = ReturnType<Machine["resolveState"]>;
export type SessionActor = ReturnType<SessionActors["create"]>;

/** What an actor is made of. */
interface Origin {
	readonly facts: SessionFacts;
	/** The runs that those who look see as its children. */
	readonly runs: readonly RunFacts[];
}

export class SessionActors {
	readonly #isWatched: (sessionKey: string) => boolean;
	readonly #logic: Machine;
	/** A snapshot of each state; with other facts it is any of that state. */
	#shapes = new Map<SessionState, Snapshot>();

	/** `current` is the turn that is being made. */
	constructor(
		current: () => Turn,
		isWatched: (sessionKey: string) => boolean,
		dueAt: (deadline: number) => number,
	) {
		this.#isWatched = isWatched;
		const gather = gathering(dueAt);
		const watched = watchedMachine(gather, current);
		const ask: AskEngine = (type, params) => gather[type](current(), params);
		const transition: Machine["transition"] = (before, event, scope) =>
			isWatched(before.context.facts.sessionKey) || !isOurs(event)
				? watched.transition(before, event, scope)
				: this.#step(before, event, ask);
		const initial = (scope: { self: AnyActorRef }, { facts, runs }: Origin) =>
			this.#snapshot(stateOf(facts), facts, childrenOf(scope.self, runs));
		this.#logic = Object.create(watched, {
			transition: { value: transition },
			getInitialSnapshot: { value: initial },
		});
	}

	/** An actor made of nothing but these facts; `committed` is what those who look may see of its runs. */
	create(
		facts: SessionFacts,
		committed: SessionFacts | null,
		failed: (error: unknown) => void,
	) {
		const { sessionKey } = facts;
		const origin: Origin = {
			facts,
			runs:
				committed && this.#isWatched(sessionKey)
					? unsettledRuns(committed)
					: [],
		};
		const actor = createActor(this.#logic, {
			id: sessionKey,
			input: origin as never,
		});
		// Without an observer of errors XState reports them to the process.
		actor.subscribe({ error: failed });
		return actor.start();
	}

	#step(before: Snapshot, event: SessionEvent, ask: AskEngine): Snapshot {
		const { facts } = before.context;
		const step = stepSession(before.value, facts, event, ask);
		return step.state === before.value && step.facts === facts
			? before
			: this.#snapshot(step.state, step.facts, before.children);
	}

	#snapshot(
		state: SessionState,
		facts: SessionFacts,
		children: Snapshot["children"],
	): Snapshot {
		const context = { facts };
		let shape = this.#shapes.get(state);
		if (!shape) {
			shape = this.#logic.resolveState({ value: state, context });
			this.#shapes.set(state, shape);
		}
		return { ...shape, context, children };
	}
}

/** What XState itself sends, such as xstate.init, is its own. */
function isOurs({ type }: { readonly type: string }): boolean {
	return !type.startsWith("xstate.");
}

/** One child a generation, reused for its runs. */
function childOf({ generation }: Pick<RunFacts, "generation">): string {
	return `generation ${generation}`;
}

const none = Object.freeze({});

function childrenOf(
	parent: AnyActorRef,
	runs: readonly RunFacts[],
): Snapshot["children"] {
	if (runs.length === 0) return none;
	return Object.fromEntries(
		runs.map((run) => {
			const id = childOf(run);
			return [id, createActor(runLogic, { id, parent, input: run })];
		}),
	);
}

/** Whether a run that was committed has no actor, or one of an ended generation still has: nobody looked when it began, or went. */
export function isOutdated(actor: SessionActor, facts: SessionFacts): boolean {
	const { children } = actor.getSnapshot();
	const unsettled = unsettledRuns(facts).map(childOf);
	const known = new Set([childOf(facts), ...unsettled]);
	return (
		unsettled.some((id) => !children[id]) ||
		Object.keys(children).some((id) => !known.has(id))
	);
}

function show(self: AnyActorRef, run: RunFacts): void {
	const child = self.getSnapshot().children[childOf(run)];
	if (child) child.send(runShown(run));
}

/** Brings the run actors of a session up to what was committed; while nobody looks they are left as they were. */
export function showRuns(actor: SessionActor, facts: SessionFacts): void {
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

/** The session machine as XState steps it, with its effects gathered into the turn that `current` names and its runs shown as children. */
function watchedMachine(gather: Gathering, current: () => Turn) {
	const gathered = Object.fromEntries(
		Object.keys(gather).map((type) => [
			type,
			(_: unknown, asked: never) =>
				gather[type as keyof Gathering](current(), asked),
		]),
	);
	return sessionMachine.provide({
		actions: {
			...gathered,
			startRun: enqueueActions(({ enqueue, self }, start) => {
				enqueue(() => {
					gather.startRun(current(), start);
					show(self, start.run);
				});
				const id = childOf(start.run);
				if (!self.getSnapshot().children[id])
					enqueue.spawnChild("run", { id, input: start.run });
			}),
			stopRuns: ({ self }, stops) => {
				gather.stopRuns(current(), stops);
				for (const { run } of stops) show(self, run);
			},
			showRun: ({ self }, run) => show(self, run),
			keepRuns: ({ self }, runs) => {
				gather.keepRuns(current(), runs);
				for (const run of runs) if (run.outcome !== null) show(self, run);
			},
			keepGeneration: enqueueActions(({ enqueue, self, context }, ended) => {
				enqueue(() => gather.keepGeneration(current(), ended));
				// The child of a generation goes when nothing of that generation is live.
				const id = childOf(ended);
				const { facts } = context;
				const drains = facts.generation === ended.generation && facts.run;
				if (!drains && self.getSnapshot().children[id]) enqueue.stopChild(id);
			}),
		},
	});
}
