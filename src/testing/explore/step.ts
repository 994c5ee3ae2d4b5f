/**
 * Owns one step of the session machine, as the exploration takes it: from facts, by an event, to facts and what was asked of the engine. Every
 * snapshot is made anew from its facts, so whatever is explored is hydrated before each event. Never keeps anything.
 */
import { transition } from "xstate";
import type {
	MessageFate,
	Reply,
	SessionEffects,
	SessionEvent,
} from "../../../machines/events.ts";
import type {
	ArchivedGeneration,
	ClosingGeneration,
	SessionFacts,
} from "../../../machines/facts.ts";
import type { RunFacts } from "../../../machines/run.ts";
import { type sessionMachine, stateOf } from "../../../machines/session.ts";
import { errorText } from "../../errors.ts";
import { Broken } from "./broken.ts";

/** The session machine, or one that differs from it in a guard or an action. */
export type SessionMachine = typeof sessionMachine;

/** What an event did. */
export interface Step {
	readonly event: SessionEvent;
	readonly before: SessionFacts;
	readonly after: SessionFacts;
	/** The state of the chart after it. */
	readonly value: string;
	/** None, or the one answer; more than one is a fault of the machine. */
	readonly replies: readonly Reply[];
	readonly start: SessionEffects["startRun"] | null;
	readonly stops: SessionEffects["stopRuns"];
	readonly runs: readonly RunFacts[];
	readonly generations: readonly ArchivedGeneration[];
	readonly fates: readonly MessageFate[];
	readonly closes: readonly ClosingGeneration[];
}

type Snapshot = Parameters<typeof transition<SessionMachine>>[1];

/** A machine that throws has lost its session. */
function taken(
	machine: SessionMachine,
	snapshot: Snapshot,
	event: SessionEvent,
) {
	try {
		return transition(machine, snapshot, event);
	} catch (error) {
		throw new Broken(
			2,
			`${event.type} in ${String(snapshot.value)} made the machine throw: ${errorText(error)}`,
		);
	}
}

export function step(
	machine: SessionMachine,
	before: SessionFacts,
	event: SessionEvent,
): Step {
	const snapshot = machine.resolveState({
		value: stateOf(before),
		context: { facts: before },
	}) as Snapshot;
	const [after, asked] = taken(machine, snapshot, event);
	const of = <Type extends keyof SessionEffects>(type: Type) =>
		asked
			.filter((one) => one.type === type)
			.map(({ params }) => params as unknown as SessionEffects[Type]);
	return {
		event,
		before,
		after: after.context.facts,
		value: String(after.value),
		replies: of("reply"),
		start: of("startRun")[0] ?? null,
		stops: of("stopRuns").flat(),
		runs: of("keepRuns").flat(),
		generations: of("keepGeneration"),
		fates: of("keepMessages").flat(),
		closes: of("closeGenerations").flat(),
	};
}
