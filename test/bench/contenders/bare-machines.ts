/**
 * Owns our own machines with nothing around them: an actor of the session machine per key, its run a promise whose end is sent back as an
 * event. No journal, no store, no child actor for the run.
 */
import { type Actor, createActor } from "xstate";
import {
	type Overlap,
	sessionMachine,
	ticketOf,
} from "../../../machines/index.ts";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

const policy: Overlap = {
	mode: "enqueue",
	debounceMs: 0,
	capacity: 1000,
	onFull: "reject",
};

/** What `execute` is for turnkeeper. */
const execute = async () => "done";

type BareSession = Actor<typeof sessionMachine>;

/** The session machine that runs its messages, and tells of each run that has settled. One for all sessions. */
function bareMachine(settled: () => void) {
	return sessionMachine.provide({
		actions: {
			startRun: ({ self }, { run }) => {
				void execute().then(() => {
					const at = Date.now();
					self.send({
						type: "settled",
						at,
						ticket: ticketOf(run),
						end: { at, outcome: "completed" },
					});
					settled();
				});
			},
		},
	});
}

/** A session each, none of which has been asked anything. */
export function bareSessions(
	keys: readonly string[],
	settled: () => void,
): BareSession[] {
	const machine = bareMachine(settled);
	return keys.map((sessionKey) =>
		createActor(machine, { id: sessionKey, input: { sessionKey } }).start(),
	);
}

let ids = 0;

export function messageTo(session: BareSession): void {
	const at = Date.now();
	ids += 1;
	session.send({
		type: "message",
		at,
		messageId: `message-${ids}`,
		input: "hi",
		policy,
		deadline: at + 5000,
		sessionId: session.id,
		grant: `run-${ids}`,
	});
}

export const bareMachines: Contender = async (keys) => {
	let said = 0;
	let waiting = 0;
	let done = () => {};
	const settled = () => {
		waiting -= 1;
		if (waiting === 0) done();
	};
	const sessions = bareSessions(keys, settled);
	return {
		async sweep() {
			await new Promise<void>((resolve) => {
				waiting = sessions.length;
				done = resolve;
				for (const session of sessions) messageTo(session);
			});
			said += sessions.length;
			return sessions.length;
		},
		async close() {
			let ended = 0;
			for (const session of sessions) {
				const { value, context } = session.getSnapshot();
				if (value !== "ended" || context.facts.run)
					throw new Error(`session ${session.id} is ${value}, not ended`);
				ended += context.facts.arrivals;
				session.stop();
			}
			mustBe("messages that were run", said, ended);
		},
	};
};
