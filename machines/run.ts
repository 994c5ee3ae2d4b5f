/**
 * Owns what a run is and every step it can take: reserved → executing → settled, or told to stop → settled | abandoned.
 * Pure. The session machine steps its runs with `stepRun`; `runLogic` shows the result as an actor of the inspector's tree.
 */
import type {
	ActorLogic,
	ActorSystem,
	ActorSystemInfo,
	EventObject,
	Snapshot,
} from "xstate";
import type { RunOutcome, RunTicket, StopCause } from "./ticket.ts";

/** Totals of the run so far; the larger value counts, so a report may be said twice. */
export interface Usage {
	readonly inputTokens?: number | undefined;
	readonly outputTokens?: number | undefined;
}

export interface RunStop {
	readonly cause: StopCause;
	readonly reason: string | null;
	/** When its grace period is over. */
	readonly deadline: number;
}

/** Everything there is to know of one run; what the store keeps. */
export interface RunFacts {
	readonly sessionKey: string;
	readonly generation: number;
	readonly runId: string;
	readonly attempt: number;
	/** The session ids the run has had, oldest first; the last is current. */
	readonly sessionIds: readonly string[];
	/** Who reports its end: its executor, or the host. */
	readonly driver: "managed" | "host";
	readonly status:
		| "reserved"
		| "admitted"
		| "executing"
		| "aborting"
		| "settled"
		| "abandoned";
	readonly messageIds: readonly string[];
	/** When it became live, on the runtime's clock; null while it is reserved. */
	readonly admittedAt: number | null;
	/** As the host gave it; the runtime's clock where the host gave none. */
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	readonly runtimeMs: number | null;
	/** Whether `startedAt` is of the host's clock. */
	readonly hostStarted: boolean;
	readonly stop: RunStop | null;
	readonly outcome: RunOutcome | null;
	readonly error: string | null;
	readonly inputTokens: number;
	readonly outputTokens: number;
}

/** One run as readers see it. */
export interface RunRecord extends RunTicket {
	/** null while it has not settled. */
	readonly outcome: RunOutcome | null;
	readonly stoppedBy: StopCause | null;
	readonly error: string | null;
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	readonly inputTokens: number;
	readonly outputTokens: number;
	readonly messageIds: readonly string[];
}

export type RunEvent =
	| {
			readonly type: "start";
			readonly at: number;
			readonly startedAt?: number | undefined;
	  }
	| {
			readonly type: "usage";
			readonly inputTokens: number;
			readonly outputTokens: number;
	  }
	| { readonly type: "rotate"; readonly sessionId: string }
	| { readonly type: "stop"; readonly stop: RunStop }
	| { readonly type: "settle"; readonly end: RunEnd };

/** How a run ended, as whoever drove it said. */
export interface RunEnd {
	readonly at: number;
	readonly outcome: RunOutcome;
	readonly error?: string | null | undefined;
	readonly startedAt?: number | undefined;
	readonly endedAt?: number | undefined;
	readonly usage?: Usage | undefined;
	/** The cause of a stop that was fired but whose commit failed. */
	readonly stoppedBy?: StopCause | undefined;
}

/** Sums stay numbers that JSON and every store can hold. */
export function addTokens(a: number, b: number): number {
	return Math.min(a + b, Number.MAX_SAFE_INTEGER);
}

export function ticketOf(run: RunFacts): RunTicket {
	return {
		sessionKey: run.sessionKey,
		sessionId: run.sessionIds.at(-1) as string,
		generation: run.generation,
		runId: run.runId,
		attempt: run.attempt,
	};
}

export function runRecordOf(run: RunFacts): RunRecord {
	return {
		...ticketOf(run),
		outcome: run.outcome,
		stoppedBy: run.stop ? run.stop.cause : null,
		error: run.error,
		startedAt: run.startedAt,
		endedAt: run.endedAt,
		inputTokens: run.inputTokens,
		outputTokens: run.outputTokens,
		messageIds: run.messageIds,
	};
}

/** The fence: whether a ticket is that of this run. Any session id of the run's lineage matches. */
export function ownsRun(run: RunFacts, ticket: RunTicket): boolean {
	return (
		run.runId === ticket.runId &&
		run.generation === ticket.generation &&
		run.attempt === ticket.attempt &&
		run.sessionKey === ticket.sessionKey &&
		run.sessionIds.includes(ticket.sessionId)
	);
}

/** A stopped run's own end is discarded: the first committed of {end, stop} decides (TC-02, TC-08). */
function outcomeOfStop(cause: StopCause): RunOutcome {
	return cause === "shutdown" ? "interrupted" : "aborted";
}

function larger(known: number, said: number | undefined): number {
	return Math.max(known, addTokens(0, said ?? 0));
}

function settle(run: RunFacts, end: RunEnd): RunFacts {
	const abandoned = end.outcome === "abandoned";
	const stop =
		run.stop ??
		(end.stoppedBy
			? { cause: end.stoppedBy, reason: null, deadline: end.at }
			: null);
	// Where start and end both give a startedAt, the start's counts; if only the end gives one, the end's.
	const hostStart =
		run.hostStarted && run.startedAt !== null ? run.startedAt : end.startedAt;
	const runtimeStart = run.hostStarted
		? run.admittedAt
		: (run.startedAt ?? run.admittedAt);
	return {
		...run,
		status: abandoned ? "abandoned" : "settled",
		outcome: abandoned
			? "abandoned"
			: stop
				? outcomeOfStop(stop.cause)
				: end.outcome,
		stop,
		error: end.error ?? null,
		startedAt: hostStart ?? run.startedAt ?? run.admittedAt ?? end.at,
		endedAt: end.endedAt ?? end.at,
		// Both ends of one clock: the host's if it gave both, else the runtime's.
		runtimeMs: Math.max(
			0,
			hostStart !== undefined && end.endedAt !== undefined
				? end.endedAt - hostStart
				: end.at - (runtimeStart ?? end.at),
		),
		inputTokens: larger(run.inputTokens, end.usage?.inputTokens),
		outputTokens: larger(run.outputTokens, end.usage?.outputTokens),
	};
}

/** The one step function of a run. */
export function stepRun(run: RunFacts, event: RunEvent): RunFacts {
	switch (event.type) {
		case "start":
			return {
				...run,
				status: run.status === "admitted" ? "executing" : run.status,
				startedAt: event.startedAt ?? event.at,
				hostStarted: event.startedAt !== undefined,
			};
		case "usage":
			return {
				...run,
				inputTokens: addTokens(run.inputTokens, event.inputTokens),
				outputTokens: addTokens(run.outputTokens, event.outputTokens),
			};
		case "rotate":
			return {
				...run,
				sessionIds: [
					...run.sessionIds.filter((one) => one !== event.sessionId),
					event.sessionId,
				],
			};
		case "stop":
			return {
				...run,
				status: "aborting",
				// The first cause stays; of several grace periods the earliest counts.
				stop: run.stop
					? {
							...run.stop,
							deadline: Math.min(run.stop.deadline, event.stop.deadline),
						}
					: event.stop,
			};
		case "settle":
			return settle(run, event.end);
	}
}

/** What a run's actor is told: `run.executing`, `run.aborting` … with the run as the session decided it. */
export interface RunShown extends EventObject {
	readonly type: `run.${RunFacts["status"]}`;
	readonly run: RunFacts;
}

export type RunSnapshot = Snapshot<undefined> & {
	readonly value: RunFacts["status"];
	readonly context: RunFacts;
};

/** A run as an actor: a view of what its session decided, one child per generation, reused for that generation's runs. */
export const runLogic: ActorLogic<
	RunSnapshot,
	RunShown,
	RunFacts,
	// Named, or the type of the machine that uses it could not be written down.
	ActorSystem<ActorSystemInfo>
> = {
	getInitialSnapshot: (_scope, run) => ({
		status: "active",
		output: undefined,
		error: undefined,
		value: run.status,
		context: run,
	}),
	// XState itself sends events such as xstate.stop; they carry no run.
	transition: (snapshot, { run }) =>
		run ? { ...snapshot, value: run.status, context: run } : snapshot,
	getPersistedSnapshot: (snapshot) => snapshot,
};

export function runShown(run: RunFacts): RunShown {
	return { type: shownAs[run.status], run };
}

const shownAs = {
	reserved: "run.reserved",
	admitted: "run.admitted",
	executing: "run.executing",
	aborting: "run.aborting",
	settled: "run.settled",
	abandoned: "run.abandoned",
} as const;
