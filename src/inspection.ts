/** Owns those who look through `inspect`: they are told what was committed, and one that throws harms nobody but itself. */
import type { InspectionEvent, Observer, Subscription } from "xstate";
import { sessionMachine, stateOf } from "../machines/session.ts";
import { errorText } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { LiveSession } from "./session.ts";
import { showAll } from "./turn.ts";

type Inspector = Observer<InspectionEvent>;

export class Inspection {
	readonly #logger: Logger;
	#inspectors = new Set<Inspector>();

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	/** Whether anybody looks. */
	get isWatched(): boolean {
		return this.#inspectors.size > 0;
	}

	/** Who starts to look is told of the actors that are there. */
	add(
		observer: Inspector | ((event: InspectionEvent) => void),
		sessions: Iterable<LiveSession>,
	): Subscription {
		const own: Inspector =
			typeof observer === "function"
				? { next: observer }
				: { next: (event) => observer.next?.(event) };
		this.#inspectors.add(own);
		for (const session of sessions) this.announce(session, [own]);
		return { unsubscribe: () => this.#inspectors.delete(own) };
	}

	/** The actors of a session, as they were last committed. */
	announce(
		{ actor, committed }: LiveSession,
		to: Iterable<Inspector> = this.#inspectors,
	): void {
		if (!actor || !committed) return;
		showAll(actor, committed);
		const rootId = actor.sessionId;
		const tell = (event: object) => this.show(event as InspectionEvent, to);
		tell({ type: "@xstate.actor", rootId, actorRef: actor });
		tell({
			type: "@xstate.snapshot",
			rootId,
			actorRef: actor,
			event: { type: "xstate.init" },
			snapshot: sessionMachine.resolveState({
				value: stateOf(committed),
				context: { facts: committed },
			}),
		});
		for (const actorRef of Object.values(actor.getSnapshot().children))
			if (actorRef) tell({ type: "@xstate.actor", rootId, actorRef });
	}

	show(
		event: InspectionEvent,
		to: Iterable<Inspector> = this.#inspectors,
	): void {
		for (const inspector of [...to]) {
			try {
				inspector.next?.(event);
			} catch (error) {
				this.#logger.error(
					{ error },
					`an inspector threw (${errorText(error)}); the others are told all the same`,
				);
			}
		}
	}
}
