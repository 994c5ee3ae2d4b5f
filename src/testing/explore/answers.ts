/**
 * Owns what any facts are asked beside the fence: that there is a way out of them, and that each command is answered by what is there.
 */
import type { Overlap, SessionEvent } from "../../../machines/events.ts";
import {
	isDraining,
	type SessionFacts,
	statusOf,
} from "../../../machines/facts.ts";
import { ticketOf } from "../../../machines/run.ts";
import { stateOf } from "../../../machines/session.ts";
import { endOf } from "./fence.ts";
import { at, hold } from "./promises.ts";
import { type SessionMachine, type Step, step } from "./step.ts";

/** 4 and 8: whatever the state, a reset or a delete is done and comes to rest, and a run that nothing else ends is got rid of. */
export function checkWaysOut(
	machine: SessionMachine,
	facts: SessionFacts,
): void {
	const stop = {
		at,
		reason: null,
		deadline: at,
		queued: "keep",
		hook: true,
	} as const;
	const reset = step(machine, facts, {
		...stop,
		type: "reset",
		cause: "reset",
		sessionId: "s98",
		meta: {},
	});
	hold(4, reset.replies[0]?.result === "done", () => {
		return `a reset in ${stateOf(facts)} was answered '${reset.replies[0]?.result}'`;
	});
	hold(4, reset.after.run === null && !reset.after.hidden, () => {
		return `a reset in ${stateOf(facts)} left a run live, or no session`;
	});
	// A hidden generation is one that nobody has used yet.
	hold(
		4,
		reset.after.generation === facts.generation + (facts.hidden ? 0 : 1),
		() =>
			`a reset in ${stateOf(facts)} went from generation ${facts.generation} to ${reset.after.generation}`,
	);
	comesToRest(machine, reset.after);
	if (!facts.hidden)
		comesToRest(
			machine,
			step(machine, facts, { ...stop, type: "delete", purge: true }).after,
		);
	if (!facts.run) return;
	// A stop that was stored, and one whose commit failed.
	const stopped = step(machine, facts, {
		...stop,
		type: "abort",
		cause: "abort",
	});
	hold(8, stopped.replies[0]?.result === "done", () => {
		return `an abort in ${stateOf(facts)} was answered '${stopped.replies[0]?.result}'`;
	});
	const ticket = ticketOf(facts.run);
	for (const before of [stopped.after, facts]) {
		const { after } = step(machine, before, {
			...endOf("overdue", ticket),
			stoppedBy: "abort",
		} as SessionEvent);
		hold(
			"liveness",
			after.run === null && after.last?.outcome === "abandoned",
			() => {
				return `a run whose grace period is over stays live in ${stateOf(before)}`;
			},
		);
	}
}

function comesToRest(machine: SessionMachine, facts: SessionFacts): void {
	let now = facts;
	for (const { run } of facts.draining)
		now = step(machine, now, endOf("overdue", ticketOf(run))).after;
	for (const [count, { generation }] of facts.closing.entries())
		now = step(machine, now, {
			// What the host could not be told of in time holds nobody up.
			type: count % 2 === 0 ? "closed" : "postponed",
			at,
			generation,
		}).after;
	hold("liveness", !isDraining(now) && now.purgeBefore === null, () => {
		return `a generation ended in ${stateOf(facts)}, all of it settled, and the session is still ${statusOf(now)}`;
	});
}

// ── the answers

/** 2: who expects another session is told so and changes nothing, who expects this one is never told so; what there is no room for is refused. */
export function checkAnswers(
	machine: SessionMachine,
	facts: SessionFacts,
): void {
	const here = facts.hidden ? 0 : facts.generation;
	const asked = commandsOf(facts);
	for (const event of asked) {
		const told = (generation: number) =>
			step(machine, facts, {
				...event,
				expect: { generation },
			} as SessionEvent);
		const other = told(here + 7);
		hold(2, isStale(other) && other.after === facts, () => {
			return `${event.type} in ${stateOf(facts)} expected another generation, and was answered '${other.replies[0]?.result}'`;
		});
		hold(2, !isStale(told(here)), () => {
			return `${event.type} in ${stateOf(facts)} expected this generation, and was told that it is another`;
		});
	}
	const isFree =
		facts.run === null && !isDraining(facts) && facts.queue.length === 0;
	const answer = (policy: Partial<Overlap>) =>
		step(machine, facts, messageOf(policy)).replies[0]?.result;
	hold(2, answer({ mode: "reject" }) === (isFree ? "done" : "busy"), () => {
		return `a message that is to be refused where it overlaps was answered '${answer({ mode: "reject" })}' in ${stateOf(facts)}`;
	});
	const isFull = facts.queue.length > 0;
	hold(2, answer({ capacity: 1 }) === (isFull ? "full" : "done"), () => {
		return `a message to a line with room for one was answered '${answer({ capacity: 1 })}' where ${facts.queue.length} wait`;
	});
	hold(2, answer({ capacity: 1, onFull: "drop-oldest" }) === "done", () => {
		return `a message that takes the place of the oldest was not accepted in ${stateOf(facts)}`;
	});
}

/** 5 and 13: an interrupting message stops what is live and stands before what waits; any other leaves it alone. */
export function checkArrivals(
	machine: SessionMachine,
	facts: SessionFacts,
): void {
	for (const mode of ["enqueue", "collect", "interrupt", "rollback"] as const) {
		const { after } = step(machine, facts, {
			...messageOf({ mode }),
			grant: null,
		});
		const stops = mode === "interrupt" || mode === "rollback";
		const [first] = after.queue.filter(({ front }) => front !== "reset");
		hold(5, !stops || first?.messageId === "m98", () => {
			return `a message with '${mode}' does not stand first in line in ${stateOf(facts)}`;
		});
		if (!facts.run) continue;
		const isTold = after.run?.stop != null;
		hold(5, isTold === (stops || facts.run.stop !== null), () => {
			return `a message with '${mode}' ${isTold ? "stopped" : "did not stop"} the live run in ${stateOf(facts)}`;
		});
	}
	const admitted = (runId: string, reserve: boolean) =>
		step(machine, facts, admissionOf(runId, reserve));
	const isTaken = facts.run !== null || isDraining(facts);
	const admission = admitted("r98", false);
	hold(
		5,
		admission.replies[0]?.result === (isTaken ? "busy" : "admitted"),
		() => {
			return `an admission in ${stateOf(facts)} was answered '${admission.replies[0]?.result}'`;
		},
	);
	hold(5, isTaken || admission.after.run?.runId === "r98", () => {
		return `an admission in ${stateOf(facts)} made no run live`;
	});
	hold(5, admitted("r98", true).after.run === facts.run, () => {
		return `a reservation in ${stateOf(facts)} changed which run is live`;
	});
	// Whoever asks twice means the same run.
	for (const { runId } of [
		...(facts.run?.driver === "host" ? [facts.run] : []),
		...facts.reservations,
	]) {
		const again = admitted(runId, facts.run?.runId !== runId);
		hold(
			5,
			again.after === facts && again.replies[0]?.result === "admitted",
			() => {
				return `the same run admitted again in ${stateOf(facts)} was answered '${again.replies[0]?.result}'`;
			},
		);
	}
	for (const { runId } of facts.reservations) {
		const { after } = step(machine, facts, {
			type: "abort",
			at,
			cause: "abort",
			reason: null,
			deadline: at,
			queued: "keep",
			expect: { runId },
		});
		hold(
			2,
			after.reservations.every((run) => run.runId !== runId),
			() => {
				return `an abort that names reservation ${runId} left it`;
			},
		);
	}
}

function admissionOf(runId: string, reserve: boolean) {
	return {
		type: "admit",
		at,
		runId,
		attempt: 1,
		reserve,
		givenSessionId: null,
		sessionId: "s98",
	} as const;
}

function isStale({ replies }: Step): boolean {
	return replies[0]?.result === "stale";
}

function messageOf(policy: Partial<Overlap>) {
	const whole = {
		mode: "enqueue",
		debounceMs: 0,
		capacity: 50,
		onFull: "reject",
	};
	return {
		type: "message",
		at,
		messageId: "m98",
		input: null,
		policy: { ...whole, ...policy } as Overlap,
		deadline: at,
		sessionId: "s98",
	} as const;
}

/** What is asked with an expectation. */
function commandsOf({ hidden }: SessionFacts): readonly SessionEvent[] {
	const stop = { at, reason: null, deadline: at, queued: "keep" } as const;
	return [
		messageOf({}),
		admissionOf("r98", false),
		{ ...stop, type: "reset", cause: "reset", sessionId: "s98", meta: {} },
		{ ...stop, type: "delete", purge: false },
		...(hidden ? [] : [{ ...stop, type: "abort", cause: "abort" } as const]),
		{ type: "patch", at, patch: {} },
	];
}
