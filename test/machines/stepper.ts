/** Owns the bare machine under test, stepped with XState's own `transition`: no engine, effects as data. */
import {
	type Reply,
	type RunTicket,
	type SessionEvent,
	type SessionFacts,
	sessionMachine,
	stateOf,
	ticketOf,
} from "turnkeeper/machines";
import { expect } from "vitest";
import { getInitialSnapshot, transition } from "xstate";

export const policy = {
	mode: "enqueue",
	capacity: 3,
	debounceMs: 0,
	onFull: "reject",
} as const;

/** A session of the key `k`, with the words of an engine for each event. */
export class Stepper {
	snapshot = getInitialSnapshot(sessionMachine, { sessionKey: "k" });
	at = 1000;

	step(event: Record<string, unknown> & { type: SessionEvent["type"] }) {
		this.at += 1;
		const [next, actions] = transition(sessionMachine, this.snapshot, {
			at: this.at,
			...event,
		} as SessionEvent);
		this.snapshot = next;
		// What the facts mean and where the chart stands are one thing.
		expect(next.value).toEqual(stateOf(next.context.facts));
		const effects = actions.map(({ type, params }) => ({ type, params }));
		const of = (type: string) =>
			effects.filter((effect) => effect.type === type).map((e) => e.params);
		return {
			reply: of("reply")[0] as Reply | undefined,
			effects: effects.map(({ type }) => type),
			of,
		};
	}

	get facts(): SessionFacts {
		return this.snapshot.context.facts;
	}

	message(messageId: string, more: object = {}) {
		return this.step({
			type: "message",
			messageId,
			input: messageId,
			policy,
			deadline: this.at + 5000,
			sessionId: "S1",
			grant: `run-${messageId}`,
			...more,
		});
	}

	reset(sessionId: string, more: object = {}) {
		return this.step({
			type: "reset",
			cause: "reset",
			sessionId,
			reason: null,
			deadline: this.at + 5000,
			queued: "keep",
			meta: {},
			...more,
		});
	}

	admit(runId: string, more: object = {}) {
		return this.step({
			type: "admit",
			runId,
			attempt: 1,
			reserve: false,
			givenSessionId: null,
			sessionId: "S1",
			...more,
		});
	}

	abort(more: object = {}) {
		return this.step({
			type: "abort",
			cause: "abort",
			reason: null,
			deadline: this.at + 5000,
			queued: "keep",
			...more,
		});
	}

	delete(more: object = {}) {
		return this.step({
			type: "delete",
			reason: null,
			deadline: this.at + 5000,
			queued: "drop",
			purge: false,
			...more,
		});
	}

	report(runId: string, phase: string, more: object = {}) {
		return this.step({ type: "report", report: { runId, phase, ...more } });
	}

	settled(ticket: object, outcome = "completed", more: object = {}) {
		return this.step({
			type: "settled",
			ticket,
			end: { at: this.at + 1, outcome },
			...more,
		} as never);
	}
}

/** The ticket of its live run. */
export function live(stepper: Stepper): RunTicket {
	return ticketOf(stepper.facts.run as never);
}
