/**
 * Owns how the facts of a session change: one pure function a decision. Never asks for the time, mints an id or does I/O;
 * whatever it needs from outside stands in the event. The chart in session.ts says when each of them applies.
 */
import type { SessionEvent } from "./events.ts";
import type {
	QueuedMessage,
	SessionFacts,
	SessionRow,
	StoredEntry,
} from "./facts.ts";
import { type JsonValue, mergePatch } from "./json.ts";
import { judge, stepReported } from "./report.ts";
import {
	addTokens,
	ownsRun,
	type RunEvent,
	type RunFacts,
	stepRun,
} from "./run.ts";
import type { RunOutcome } from "./ticket.ts";

export type EventOf<Type extends SessionEvent["type"]> = Extract<
	SessionEvent,
	{ type: Type }
>;

/** Every event that changes anything is one version. */
export function touch(
	facts: SessionFacts,
	event: { readonly at: number },
): SessionFacts {
	return { ...facts, version: facts.version + 1, updatedAt: event.at };
}

/** A hidden generation comes to light with its first use; fields that the host gave replace its own. */
export function open(
	facts: SessionFacts,
	event: {
		readonly at: number;
		readonly sessionId: string;
		readonly meta?: JsonValue | undefined;
	},
): SessionFacts {
	const touched = touch(facts, event);
	const next =
		event.meta === undefined ? touched : { ...touched, meta: event.meta };
	if (!facts.hidden) return next;
	return {
		...next,
		hidden: false,
		sessionIds: [event.sessionId],
		createdAt: event.at,
		activeAt: event.at,
		takenAt: event.at,
	};
}

// ── runs

export function newRun(
	facts: SessionFacts,
	runId: string,
	attempt: number,
	driver: RunFacts["driver"],
): RunFacts {
	return {
		sessionKey: facts.sessionKey,
		generation: facts.generation,
		runId,
		attempt,
		sessionIds: [facts.sessionIds.at(-1) as string],
		driver,
		status: "reserved",
		messageIds: [],
		admittedAt: null,
		startedAt: null,
		endedAt: null,
		runtimeMs: null,
		hostStarted: false,
		followsSession: false,
		stop: null,
		outcome: null,
		error: null,
		inputTokens: 0,
		outputTokens: 0,
		parent: null,
		ancestors: [],
		waits: [],
		waitedMs: 0,
		waitingSince: null,
		answers: [],
		deliveries: [],
		takenBack: false,
		leaseMs: null,
		seenAt: null,
	};
}

// ── runs that the host drives

export function reservationOf(
	facts: SessionFacts,
	runId: string,
): RunFacts | undefined {
	return facts.reservations.find((run) => run.runId === runId);
}

/** The live run or reservation of this name. */
export function namedRun(
	facts: SessionFacts,
	runId: string,
): RunFacts | undefined {
	return facts.run?.runId === runId ? facts.run : reservationOf(facts, runId);
}

/** The run that an admission names, as it will stand: live, or reserved. */
export function admittedRun(
	facts: SessionFacts,
	event: EventOf<"admit">,
): RunFacts {
	const opened = open(facts, event);
	const reserved = reservationOf(facts, event.runId);
	const given = event.givenSessionId;
	const run = reserved ?? newRun(opened, event.runId, event.attempt, "host");
	const named = {
		...run,
		sessionIds: sessionIdsOf(run, given, reserved !== undefined),
		leaseMs: event.leaseMs ?? run.leaseMs,
		followsSession: given === null && (reserved?.followsSession ?? true),
	};
	return event.reserve ? named : admittedNow(opened, named, event.at);
}

/** The ticket of a reservation was told: an id that it is given since is one more of its lineage. */
function sessionIdsOf(
	run: RunFacts,
	given: string | null,
	isReserved: boolean,
): readonly string[] {
	if (given === null) return run.sessionIds;
	return isReserved
		? stepRun(run, { type: "rotate", sessionId: given }).sessionIds
		: [given];
}

/** A run becomes live; one that was not given a session id takes its session's, which may have moved on since it was reserved (CR-02). */
function admittedNow(
	{ sessionIds }: SessionFacts,
	run: RunFacts,
	at: number,
): RunFacts {
	const sessionId = sessionIds.at(-1);
	const here =
		run.followsSession && sessionId !== undefined
			? stepRun(run, { type: "rotate", sessionId })
			: run;
	return {
		...here,
		status: "admitted",
		admittedAt: at,
		seenAt: run.leaseMs === null ? null : at,
	};
}

export function reserve(
	facts: SessionFacts,
	event: EventOf<"admit">,
): SessionFacts {
	const run = admittedRun(facts, event);
	const opened = open(facts, event);
	return {
		...opened,
		// The first session id of a fresh generation is the host's, if it gave one.
		sessionIds: facts.hidden ? run.sessionIds : opened.sessionIds,
		reservations: [...facts.reservations, run].slice(-mostReservations),
	};
}

/** Reservations of one session; the oldest beyond them is given up, or a host that never uses its own would fill the row. */
const mostReservations = 100;

/** The reservation that a new one displaces, given up; none while there is room. */
export function displacedRuns(
	facts: SessionFacts,
	event: EventOf<"admit">,
): readonly RunFacts[] {
	return facts.reservations
		.slice(0, Math.max(0, facts.reservations.length + 1 - mostReservations))
		.map((run) =>
			stepRun(run, {
				type: "settle",
				end: {
					at: event.at,
					outcome: "interrupted",
					error: `given up: ${mostReservations} newer runs were reserved`,
				},
			}),
		);
}

export function admit(
	facts: SessionFacts,
	event: EventOf<"admit">,
): SessionFacts {
	return enter(open(facts, event), admittedRun(facts, event));
}

/** A run becomes the live one, and its session takes on its session id. */
function enter(facts: SessionFacts, run: RunFacts): SessionFacts {
	const sessionId = run.sessionIds.at(-1) as string;
	const known = facts.sessionIds;
	return {
		...facts,
		run,
		takenAt: run.admittedAt ?? facts.takenAt,
		reservations: facts.reservations.filter((one) => one.runId !== run.runId),
		// Each id once, however often hosts go back and forth between them.
		sessionIds:
			known.at(-1) === sessionId
				? known
				: [...known.filter((one) => one !== sessionId), sessionId],
	};
}

/** What a report makes of the reserved run it names: live, if that is a start. */
export function reportedRun(
	facts: SessionFacts,
	event: EventOf<"report">,
): RunFacts {
	const run = judge(facts, event.report).run as RunFacts;
	return stepReported(
		run.status === "reserved" ? admittedNow(facts, run, event.at) : run,
		event.report,
		event.at,
		event.stoppedBy,
	);
}

export function startReserved(
	facts: SessionFacts,
	event: EventOf<"report">,
): SessionFacts {
	return enter(touch(facts, event), reportedRun(facts, event));
}

export function noteStart(
	facts: SessionFacts,
	event: EventOf<"report">,
): SessionFacts {
	return { ...touch(facts, event), run: reportedRun(facts, event) };
}

/** A run of this generation settled: its place is free, its usage counted. What settles the dead is no activity (SR-20). */
export function leave(
	facts: SessionFacts,
	event: { readonly at: number; readonly recovers?: boolean | undefined },
	run: RunFacts,
): SessionFacts {
	// A reservation that a terminal settles at once was never entered.
	const before = (facts.run ?? reservationOf(facts, run.runId)) as RunFacts;
	const next = touch(facts.run ? facts : enter(facts, run), event);
	return {
		...next,
		run: null,
		activeAt: event.recovers ? facts.activeAt : event.at,
		last: {
			outcome: run.outcome as RunOutcome,
			error: run.error,
			startedAt: run.startedAt,
			endedAt: run.endedAt,
			runtimeMs: run.runtimeMs,
		},
		inputTokens: addTokens(
			facts.inputTokens,
			run.inputTokens - before.inputTokens,
		),
		outputTokens: addTokens(
			facts.outputTokens,
			run.outputTokens - before.outputTokens,
		),
	};
}

/**
 * What the live run took while it ran and never looked at, as far as it did take it: that goes back into line. A run of an older
 * generation has no line to give anything back to; what it took ends with it.
 */
export function unreadOf(
	{ run }: SessionFacts,
	event: EventOf<"settled" | "overdue">,
): readonly QueuedMessage[] {
	const { unread, ticket } = event;
	if (!unread || unread.length === 0) return none;
	if (!run || !ownsRun(run, ticket)) return none;
	return unread.filter(({ messageId }) => run.messageIds.includes(messageId));
}

const none: readonly never[] = Object.freeze([]);

/** The run that an event settles, settled; what it never looked at is none of its messages. */
export function settledRun(
	run: RunFacts,
	event: EventOf<"settled" | "overdue">,
	unread: readonly QueuedMessage[],
): RunFacts {
	const looked =
		unread.length === 0
			? run
			: {
					...run,
					messageIds: run.messageIds.filter(
						(id) => !unread.some(({ messageId }) => messageId === id),
					),
				};
	return stepRun(looked, {
		type: "settle",
		end:
			event.type === "overdue"
				? { at: event.at, outcome: "abandoned", stoppedBy: event.stoppedBy }
				: event.end,
	});
}

export function rotate(
	facts: SessionFacts,
	event: EventOf<"rotate">,
): SessionFacts {
	return {
		...touch(facts, event),
		run: stepRun(facts.run as RunFacts, {
			type: "rotate",
			sessionId: event.sessionId,
		}),
		sessionIds: [
			...facts.sessionIds.filter((one) => one !== event.sessionId),
			event.sessionId,
		],
	};
}

/** Usage goes to the generation that owns the run, whether the run is reserved, live, draining, to be tried again or settled. */
export function countUsage(
	facts: SessionFacts,
	event: EventOf<"usage">,
): SessionFacts {
	const counted = (run: RunFacts) =>
		ownsRun(run, event.ticket) ? stepRun(run, event) : run;
	if (event.ticket.generation === facts.generation)
		return {
			...touch(facts, event),
			run: facts.run && counted(facts.run),
			reservations: facts.reservations.map(counted),
			retries: facts.retries.map(counted),
			inputTokens: addTokens(facts.inputTokens, event.inputTokens),
			outputTokens: addTokens(facts.outputTokens, event.outputTokens),
		};
	return {
		...touch(facts, event),
		draining: facts.draining.map((one) =>
			one.run.generation === event.ticket.generation
				? {
						run: counted(one.run),
						ended: { ...one.ended, row: addUsage(one.ended.row, event) },
					}
				: one,
		),
	};
}

/** A row of an ended generation with usage that came late. */
export function addUsage(
	row: SessionRow,
	used: { readonly inputTokens: number; readonly outputTokens: number },
): SessionRow {
	const inputTokens = addTokens(row.inputTokens, used.inputTokens);
	const outputTokens = addTokens(row.outputTokens, used.outputTokens);
	return {
		...row,
		inputTokens,
		outputTokens,
		totalTokens: addTokens(inputTokens, outputTokens),
	};
}

// ── what a run owns

/** A step of the live run that changes neither its place nor its owner. */
export function stepLive(
	facts: SessionFacts,
	event: { readonly at: number },
	step: RunEvent,
): SessionFacts {
	return {
		...touch(facts, event),
		run: stepRun(facts.run as RunFacts, step),
	};
}

/** The entry that an append adds. */
export function entryOf(
	facts: SessionFacts,
	event: EventOf<"append">,
): StoredEntry {
	const run = facts.run as RunFacts;
	return {
		seq: facts.entries + 1,
		sessionKey: facts.sessionKey,
		generation: facts.generation,
		sessionId: run.sessionIds.at(-1) as string,
		runId: run.runId,
		attempt: run.attempt,
		at: event.at,
		entry: event.entry,
		hidden: run.takenBack,
	};
}

export function append(
	facts: SessionFacts,
	event: EventOf<"append">,
): SessionFacts {
	return { ...touch(facts, event), entries: facts.entries + 1 };
}

/** The run that an answer names: the live one, or one that died and is to be tried again. */
export function askedRun(
	{ run, retries }: SessionFacts,
	{ ticket }: EventOf<"answer">,
): RunFacts | undefined {
	return [...(run ? [run] : none), ...retries].find(
		({ runId, generation }) =>
			runId === ticket.runId && generation === ticket.generation,
	);
}

/** The run whose wait an answer is for: the live one, or one that died and is to be tried again. */
export function answeredRun(
	facts: SessionFacts,
	event: EventOf<"answer">,
): RunFacts | null {
	const run = askedRun(facts, event);
	if (!run) return null;
	// What was told to stop needs no answer; a process that closes keeps it for the next attempt.
	if (run.stop && run.stop.cause !== "shutdown") return null;
	return run.waits.some(({ name }) => name === event.name) ? run : null;
}

export function answer(
	facts: SessionFacts,
	event: EventOf<"answer">,
): SessionFacts {
	const asked = answeredRun(facts, event) as RunFacts;
	const run = stepRun(asked, event);
	return asked === facts.run
		? { ...touch(facts, event), run }
		: {
				...touch(facts, event),
				retries: facts.retries.map((one) => (one === asked ? run : one)),
			};
}

/** How a delivery ended, in the record of the run that owns it. */
export function noteDelivery(
	facts: SessionFacts,
	event: EventOf<"delivered">,
): SessionFacts {
	const noted = (run: RunFacts) =>
		ownsRun(run, event.ticket) ? stepRun(run, event) : run;
	return {
		...touch(facts, event),
		run: facts.run && noted(facts.run),
		draining: facts.draining.map((one) => ({ ...one, run: noted(one.run) })),
		// Its next attempt is to know of it.
		retries: facts.retries.map(noted),
	};
}

// ── the host's own fields

export function patchMeta(
	facts: SessionFacts,
	event: EventOf<"patch">,
): SessionFacts {
	return { ...touch(facts, event), meta: mergePatch(facts.meta, event.patch) };
}

export function importFacts(
	facts: SessionFacts,
	event: EventOf<"import">,
): SessionFacts {
	return {
		...touch(facts, event),
		hidden: false,
		sessionIds: [event.sessionId],
		meta: event.meta,
		inputTokens: event.inputTokens,
		outputTokens: event.outputTokens,
		createdAt: event.createdAt,
		updatedAt: event.updatedAt,
		activeAt: event.updatedAt,
		takenAt: event.updatedAt,
	};
}
