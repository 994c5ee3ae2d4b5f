/**
 * Owns the last transition of each session that somebody watches, as a runtime's inspection shows it. Looks only while somebody does. An
 * event that left a session in the state and generation where it was is no transition here.
 */
import type { InspectionEvent, Subscription } from "xstate";
import type { SeenTransition } from "./protocol.ts";

interface Seen {
	watchers: number;
	state: string | null;
	generation: number | null;
	transition: SeenTransition | null;
}

/** What an inspected snapshot of a session's own actor has. */
interface SessionSnapshot {
	readonly value?: unknown;
	readonly context?: { readonly facts?: { readonly generation?: number } };
}

export class SessionTransitions {
	readonly #inspect: (
		observer: (event: InspectionEvent) => void,
	) => Subscription;
	readonly #seen = new Map<string, Seen>();
	#looking: Subscription | null = null;

	constructor(
		inspect: (observer: (event: InspectionEvent) => void) => Subscription,
	) {
		this.#inspect = inspect;
	}

	of(sessionKey: string): SeenTransition | null {
		return this.#seen.get(sessionKey)?.transition ?? null;
	}

	watch(sessionKey: string): void {
		const seen = this.#seen.get(sessionKey);
		if (seen) seen.watchers += 1;
		else
			this.#seen.set(sessionKey, {
				watchers: 1,
				state: null,
				generation: null,
				transition: null,
			});
		// Who begins to look is told where each session in memory stands.
		if (!seen) {
			this.#looking?.unsubscribe();
			this.#looking = this.#inspect((event) => this.#see(event));
		}
	}

	unwatch(sessionKey: string): void {
		const seen = this.#seen.get(sessionKey);
		if (!seen) return;
		seen.watchers -= 1;
		if (seen.watchers === 0) this.#seen.delete(sessionKey);
		if (this.#seen.size > 0) return;
		this.#looking?.unsubscribe();
		this.#looking = null;
	}

	#see(event: InspectionEvent): void {
		if (event.type !== "@xstate.snapshot") return;
		const { actorRef, rootId } = event;
		// A run is a child of its session's actor, whatever it is called.
		if (actorRef.sessionId !== rootId) return;
		const seen = this.#seen.get((actorRef as { id?: string }).id ?? "");
		if (!seen) return;
		const { value, context } = event.snapshot as SessionSnapshot;
		const to = String(value);
		const generation = context?.facts?.generation ?? null;
		const { state: from } = seen;
		const hasMoved = from !== to || seen.generation !== generation;
		seen.state = to;
		seen.generation = generation;
		if (from !== null && hasMoved && event.event.type !== "xstate.init")
			seen.transition = { from, to, event: event.event.type, at: Date.now() };
	}
}
