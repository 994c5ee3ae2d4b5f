/**
 * Owns the short way through the session chart, for whoever steps it a million times. The chart is flat: no state within another, nothing
 * on entry or exit, no invoke, no delay. So one step is the first candidate whose guard holds, its actions in order, then whatever is
 * eventless, and needs no interpreter. Read from the machine itself; the tests hold each step against XState's own.
 */
import { type Change, changes } from "./changes.ts";
import type { Scope } from "./effects.ts";
import type { SessionEffects, SessionEvent } from "./events.ts";
import type { SessionFacts } from "./facts.ts";
import { type Guard, guards } from "./guards.ts";
import { sessionMachine, type stateOf } from "./session.ts";

export type SessionState = ReturnType<typeof stateOf>;

/** What a step left behind. */
export interface SessionStep {
	readonly state: SessionState;
	readonly facts: SessionFacts;
}

type Moving = { -readonly [Part in keyof SessionStep]: SessionStep[Part] };

/** Is told what the chart asks of its engine, in order. */
export type AskEngine = <Type extends keyof SessionEffects>(
	type: Type,
	params: SessionEffects[Type],
) => void;

interface Action {
	/** Null: it asks the engine for something. */
	readonly change: Change | null;
	readonly type: keyof SessionEffects;
	readonly params: (scope: Scope) => never;
}

interface Candidate {
	readonly guard: Guard | null;
	readonly target: SessionState | null;
	readonly actions: readonly Action[];
}

interface State {
	/** By event type; those of every state come last. */
	readonly on: ReadonlyMap<string, readonly Candidate[]>;
	readonly always: readonly Candidate[];
}

type Node = typeof sessionMachine.root;
/** A transition as XState has resolved it. */
interface Transition {
	readonly guard?: keyof typeof guards;
	readonly target?: readonly Node[];
	readonly actions: readonly (keyof typeof changes | Omit<Action, "change">)[];
}

const none: readonly Candidate[] = [];
let states: ReadonlyMap<SessionState, State> | null = null;

/**
 * What an event makes of a session, as XState's `transition` on `sessionMachine` would have it.
 *
 * @example stepSession("idle", facts, event, (type, params) => asked.push({ type, params }))
 */
export function stepSession(
	state: SessionState,
	facts: SessionFacts,
	event: SessionEvent,
	ask: AskEngine,
): SessionStep {
	states ??= readChart();
	const step: Moving = { state, facts };
	const candidates = states.get(state)?.on.get(event.type) ?? none;
	let taken = firstOf(candidates, facts, event);
	do {
		if (taken) follow(taken, step, event, ask);
		taken = firstOf(states.get(step.state)?.always ?? none, step.facts, event);
	} while (taken);
	return step;
}

function firstOf(
	candidates: readonly Candidate[],
	facts: SessionFacts,
	event: SessionEvent,
): Candidate | null {
	for (const candidate of candidates)
		if (candidate.guard === null || candidate.guard(facts, event))
			return candidate;
	return null;
}

function follow(
	{ actions, target }: Candidate,
	step: Moving,
	event: SessionEvent,
	ask: AskEngine,
): void {
	for (const { change, type, params } of actions)
		if (change) step.facts = change(step.facts, event);
		else ask(type, params({ context: { facts: step.facts }, event }));
	if (target !== null) step.state = target;
}

function readChart(): ReadonlyMap<SessionState, State> {
	const root = sessionMachine.root as Node;
	const shared = candidatesOf(root);
	return new Map(
		Object.values<Node>(root.states).map((node) => {
			const own = candidatesOf(node);
			const types = new Set([...own.keys(), ...shared.keys()]);
			const on = [...types].map(
				(type) =>
					[
						type,
						[...(own.get(type) ?? []), ...(shared.get(type) ?? [])],
					] as const,
			);
			return [
				node.key as SessionState,
				{ on: new Map(on), always: (node.always ?? []).map(candidateOf) },
			];
		}),
	);
}

function candidatesOf(node: Node): Map<string, readonly Candidate[]> {
	return new Map(
		[...node.transitions].map(([type, all]) => [type, all.map(candidateOf)]),
	);
}

function candidateOf(transition: unknown): Candidate {
	const { guard, target, actions } = transition as Transition;
	return {
		guard: guard === undefined ? null : guards[guard],
		target: (target?.[0]?.key as SessionState | undefined) ?? null,
		actions: actions.map((action) =>
			typeof action === "string"
				? { change: changes[action], type: "reply", params: unused }
				: { change: null, ...action },
		),
	};
}

const unused = () => undefined as never;
