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
import type { JsonValue } from "./json.ts";
import type { RunOutcome, RunTicket, StopCause } from "./ticket.ts";

/** Totals of the run so far; the larger value counts, so a report may be said twice. */
export interface Usage {
	readonly inputTokens?: number | undefined;
	readonly outputTokens?: number | undefined;
}

/** That a run was told to stop. */
export interface RunStop {
	readonly cause: StopCause;
	readonly reason: string | null;
	/** When its grace period is over. */
	readonly deadline: number;
	/** When it was told; null: by a version that did not keep that. */
	readonly at: number | null;
}

/** An answer that a run waits for, or that a dead attempt of it waited for. */
export interface RunWait {
	readonly name: string;
	/** When it is given up; null: never. The same for every attempt. */
	readonly deadline: number | null;
	/** The attempt that asked for it last. */
	readonly attempt: number;
}

/** What `resume` answered. */
export interface WaitAnswer {
	readonly name: string;
	readonly value: JsonValue;
}

/** An outward effect of a run. `begun`: whether it took effect is not known; `failed`: the effect itself said so. */
export interface Delivery {
	readonly name: string;
	/** The attempt that began it last. */
	readonly attempt: number;
	readonly status: "begun" | "done" | "failed";
	/** null where there is none. */
	readonly result: JsonValue;
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
	/** The run that sent its message, if a run did. */
	readonly parent: RunTicket | null;
	/** Session keys of the runs that it is attached to, the nearest last. */
	readonly ancestors: readonly string[];
	readonly waits: readonly RunWait[];
	/** How long it has waited for answers so far, in ms, without the time since `waitingSince`. */
	readonly waitedMs: number;
	/** When it last began to wait, if it has not gone on since. */
	readonly waitingSince: number | null;
	/** Kept for later attempts, as deliveries are. */
	readonly answers: readonly WaitAnswer[];
	readonly deliveries: readonly Delivery[];
	/** Its transcript entries are hidden, also those that it still appends. */
	readonly takenBack: boolean;
	/** Silence for this long, in ms, settles it 'interrupted'; null: it has no lease. */
	readonly leaseMs: number | null;
	/** Reserved without a session id: it takes its session's when it becomes live. */
	readonly followsSession: boolean;
	/** Its last sign of life that was committed; null without a lease. */
	readonly seenAt: number | null;
}

/** One run as readers see it. */
export interface RunRecord extends RunTicket {
	/** null while it has not settled. */
	readonly outcome: RunOutcome | null;
	/** Why it was told to stop; null if it was not. */
	readonly stoppedBy: StopCause | null;
	/** When it was told to stop, on the runtime's clock; null also where the version that stopped it did not keep that. */
	readonly stoppedAt: number | null;
	/** Error text, whatever the outcome. */
	readonly error: string | null;
	/** Epoch ms; null while it has not started. */
	readonly startedAt: number | null;
	readonly endedAt: number | null;
	/** When it began to wait for the answers that it waits for now; null while it waits for none. */
	readonly waitingSince: number | null;
	readonly inputTokens: number;
	readonly outputTokens: number;
	/** What it took, also what steered it; none if the host drives it. */
	readonly messageIds: readonly string[];
	/** The run that spawned it, or null. */
	readonly parent: RunTicket | null;
}

/** A step of a run, for `stepRun`. */
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
	| {
			readonly type: "wait";
			readonly at: number;
			readonly name: string;
			readonly deadline: number | null;
	  }
	| {
			readonly type: "answer";
			readonly at: number;
			readonly name: string;
			readonly value: JsonValue;
	  }
	/** Nobody answered in time. */
	| { readonly type: "unwait"; readonly at: number; readonly name: string }
	| { readonly type: "deliver"; readonly name: string }
	| {
			readonly type: "delivered";
			readonly name: string;
			readonly status: "done" | "failed";
			readonly result: JsonValue;
	  }
	| { readonly type: "alive"; readonly at: number }
	| { readonly type: "takeBack" }
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

/** Names of what the run waits for now; once it was told to stop, nothing. */
export function openWaits(run: RunFacts): readonly string[] {
	return run.waits.length === 0 || run.stop
		? none
		: run.waits
				.filter(({ attempt }) => attempt === run.attempt)
				.map(({ name }) => name);
}

const none: readonly never[] = Object.freeze([]);

/** The time that it has had so far to work in, in ms: since it became live, without the time in which it waited. */
export function workedMs(run: RunFacts, now: number): number {
	const { admittedAt, waitedMs, waitingSince } = run;
	if (admittedAt === null) return 0;
	const until =
		waitingSince !== null && openWaits(run).length > 0 ? waitingSince : now;
	return Math.max(0, until - admittedAt - waitedMs);
}

function otherWaits(
	{ waits }: RunFacts,
	event: { readonly name: string },
): readonly RunWait[] {
	return waits.filter(({ name }) => name !== event.name);
}

/** With other waits than before, which it may begin or end to wait with. */
function withWaits(
	run: RunFacts,
	at: number,
	waits: readonly RunWait[],
): RunFacts {
	const next = { ...run, waits };
	const hasWaited = openWaits(run).length > 0;
	const isWaiting = openWaits(next).length > 0;
	if (hasWaited === isWaiting) return next;
	if (isWaiting) return { ...next, waitingSince: at };
	return {
		...next,
		waitingSince: null,
		waitedMs: run.waitedMs + Math.max(0, at - (run.waitingSince ?? at)),
	};
}

export function runRecordOf(run: RunFacts): RunRecord {
	return {
		...ticketOf(run),
		outcome: run.outcome,
		stoppedBy: run.stop ? run.stop.cause : null,
		stoppedAt: run.stop ? run.stop.at : null,
		error: run.error,
		startedAt: run.startedAt,
		endedAt: run.endedAt,
		waitingSince: openWaits(run).length > 0 ? run.waitingSince : null,
		inputTokens: run.inputTokens,
		outputTokens: run.outputTokens,
		messageIds: run.messageIds,
		parent: run.parent,
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
	if (cause === "timeout") return "timeout";
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
			? {
					cause: end.stoppedBy,
					reason: null,
					deadline: end.at,
					at: end.at,
				}
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

/** What is known of a delivery of this name, in this attempt or an earlier one. */
export function deliveryOf(run: RunFacts, name: string): Delivery | undefined {
	return run.deliveries.find((one) => one.name === name);
}

function withDelivery(run: RunFacts, delivery: Delivery): RunFacts {
	return {
		...run,
		deliveries: [
			...run.deliveries.filter(({ name }) => name !== delivery.name),
			delivery,
		],
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
		case "wait":
			return withWaits(run, event.at, [
				...otherWaits(run, event),
				{
					name: event.name,
					attempt: run.attempt,
					// An attempt before this one may have asked first: the time runs from then.
					deadline:
						run.waits.find(({ name }) => name === event.name)?.deadline ??
						event.deadline,
				},
			]);
		case "answer":
			return {
				...withWaits(run, event.at, otherWaits(run, event)),
				answers: [...run.answers, { name: event.name, value: event.value }],
			};
		case "unwait":
			return withWaits(run, event.at, otherWaits(run, event));
		case "deliver": {
			const known = deliveryOf(run, event.name);
			return withDelivery(run, {
				name: event.name,
				attempt: run.attempt,
				status: known?.status === "done" ? "done" : "begun",
				result: known?.status === "done" ? known.result : null,
			});
		}
		case "delivered": {
			const { name, status, result } = event;
			const known = deliveryOf(run, name);
			return known ? withDelivery(run, { ...known, status, result }) : run;
		}
		case "alive":
			return { ...run, seenAt: event.at };
		case "takeBack":
			return { ...run, takenBack: true };
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
