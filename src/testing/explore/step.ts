/**
 * Owns one step of the session machine, as the exploration takes it: from facts, by an event, to facts and what was asked of the engine. Every
 * snapshot is made of its facts alone, so whatever is explored is hydrated before each event. Never decides what happens.
 */
import { type ActorScope, createActor, type SnapshotFrom } from "xstate";
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

type Snapshot = SnapshotFrom<SessionMachine>;

interface Asked {
	readonly type: string;
	readonly params: unknown;
}

/** A machine that can be stepped without an actor. Actors are dear, and one scope serves for all steps: `transition` makes one each. */
class Stepper {
	readonly #machine: SessionMachine;
	readonly #scope: ActorScope<Snapshot, SessionEvent>;
	#asked: Asked[] = [];
	/** The same facts are asked many things in a row. A snapshot is a value: nobody changes it. */
	#hydrated: {
		readonly facts: SessionFacts;
		readonly snapshot: Snapshot;
	} | null = null;

	constructor(machine: SessionMachine) {
		this.#machine = machine;
		const self = createActor(machine, { input: { sessionKey: "" } });
		this.#scope = {
			self,
			id: "",
			sessionId: "",
			logger: () => {},
			defer: () => {},
			emit: () => {},
			stopChild: () => {},
			system: self.system,
			actionExecutor: ({ type, params }) => {
				this.#asked.push({ type, params });
			},
		} as ActorScope<Snapshot, SessionEvent>;
	}

	/** A machine that throws has lost its session. */
	take(
		before: SessionFacts,
		event: SessionEvent,
	): readonly [Snapshot, readonly Asked[]] {
		this.#asked = [];
		const snapshot = this.#hydrate(before);
		try {
			const after = this.#machine.transition(
				snapshot,
				event,
				this.#scope as never,
			) as Snapshot;
			return [after, this.#asked];
		} catch (error) {
			throw new Broken(
				2,
				`${event.type} in ${String(snapshot.value)} made the machine throw: ${errorText(error)}`,
			);
		}
	}

	#hydrate(facts: SessionFacts): Snapshot {
		if (this.#hydrated?.facts !== facts) {
			const snapshot = this.#machine.resolveState({
				value: stateOf(facts),
				context: { facts },
			}) as Snapshot;
			this.#hydrated = { facts, snapshot };
		}
		return this.#hydrated.snapshot;
	}
}

const steppers = new WeakMap<SessionMachine, Stepper>();

function stepperOf(machine: SessionMachine): Stepper {
	let stepper = steppers.get(machine);
	if (!stepper) {
		stepper = new Stepper(machine);
		steppers.set(machine, stepper);
	}
	return stepper;
}

export function step(
	machine: SessionMachine,
	before: SessionFacts,
	event: SessionEvent,
): Step {
	const [after, asked] = stepperOf(machine).take(before, event);
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
