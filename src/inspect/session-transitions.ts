/**
 * Owns the last transition of each session that somebody watches, as a runtime's inspection shows it. Looks only while somebody does. An
 * event that left a session in the state and generation where it was is no transition here.
 */
import type { InspectionEvent, Subscription } from "xstate";
import type { EmbeddedRuntime } from "../runtime.ts";
import type { SeenTransition } from "./protocol.ts";

interface Seen {
	watchers: number;
	looking: Subscription | null;
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
	readonly #runtime: Pick<EmbeddedRuntime, "inspect">;
	readonly #seen = new Map<string, Seen>();

	constructor(runtime: Pick<EmbeddedRuntime, "inspect">) {
		this.#runtime = runtime;
	}

	of(sessionKey: string): SeenTransition | null {
		return this.#seen.get(sessionKey)?.transition ?? null;
	}

	watch(sessionKey: string): void {
		const known = this.#seen.get(sessionKey);
		if (known) {
			known.watchers += 1;
			return;
		}
		const seen: Seen = {
			watchers: 1,
			looking: null,
			state: null,
			generation: null,
			transition: null,
		};
		this.#seen.set(sessionKey, seen);
		// It is told at once where the session stands, if that is in memory.
		seen.looking = this.#runtime.inspect(
			(event) => {
				if (isOf(sessionKey, event)) see(seen, event);
			},
			{ sessionKey },
		);
	}

	unwatch(sessionKey: string): void {
		const seen = this.#seen.get(sessionKey);
		if (!seen) return;
		seen.watchers -= 1;
		if (seen.watchers > 0) return;
		seen.looking?.unsubscribe();
		this.#seen.delete(sessionKey);
	}
}

/** Of the session itself: its runs are children of its actor. */
function isOf(sessionKey: string, { actorRef, rootId }: InspectionEvent) {
	const { id } = actorRef as { readonly id?: string };
	return actorRef.sessionId === rootId && id === sessionKey;
}

function see(seen: Seen, event: InspectionEvent): void {
	if (event.type !== "@xstate.snapshot") return;
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
