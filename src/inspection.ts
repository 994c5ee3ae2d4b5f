/**
 * Owns those who look through `inspect`, at all sessions or at one: they are told what was committed, and one that throws harms nobody but
 * itself. A session that nobody looks at pays nothing for those who look at others.
 */
import type { InspectionEvent, Observer, Subscription } from "xstate";
import { sessionMachine, stateOf } from "../machines/session.ts";
import { errorText } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { LiveSession } from "./session.ts";

interface Inspector extends Observer<InspectionEvent> {
	/** Null: it looks at all. */
	readonly sessionKey: string | null;
}

export class Inspection {
	readonly #logger: Logger;
	#inspectors = new Set<Inspector>();
	/** The sessions that they look at; null is all. */
	#watched = new Set<string | null>();

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	/** Whether anybody looks at a session. */
	watches(sessionKey: string): boolean {
		const watched = this.#watched;
		return watched.size > 0 && (watched.has(null) || watched.has(sessionKey));
	}

	/** Who starts to look, at one session or (null) at all, is told of the actors that are there. */
	add(
		observer: Observer<InspectionEvent> | ((event: InspectionEvent) => void),
		sessionKey: string | null,
		sessions: Iterable<LiveSession>,
	): Subscription {
		const own: Inspector = {
			sessionKey,
			next:
				typeof observer === "function"
					? observer
					: (event) => observer.next?.(event),
		};
		this.#inspectors.add(own);
		this.#count();
		for (const session of sessions) this.announce(session, [own]);
		return {
			unsubscribe: () => {
				this.#inspectors.delete(own);
				this.#count();
			},
		};
	}

	/** The actors of a session, as they were last committed. */
	announce(
		session: LiveSession,
		to: Iterable<Inspector> = this.#inspectors,
	): void {
		session.showRuns();
		const { key, actor, committed } = session;
		if (!actor || !committed) return;
		const rootId = actor.sessionId;
		const tell = (event: object) =>
			this.show(key, event as InspectionEvent, to);
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
		sessionKey: string,
		event: InspectionEvent,
		to: Iterable<Inspector> = this.#inspectors,
	): void {
		for (const inspector of [...to]) {
			if (inspector.sessionKey !== null && inspector.sessionKey !== sessionKey)
				continue;
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

	#count(): void {
		this.#watched = new Set(
			[...this.#inspectors].map(({ sessionKey }) => sessionKey),
		);
	}
}
