/**
 * Owns what the session machine asks for, and of whom: replies to callers, effects for an engine, each by its name with its parameters.
 * Pure: asked twice of the same facts and event, each gives the same.
 */
import type { Reply, SessionEffects, SessionEvent } from "./events.ts";
import { mismatchOf, type QueuedMessage, type SessionFacts } from "./facts.ts";
import * as generation from "./generation.ts";
import * as life from "./lifecycle.ts";
import * as line from "./line.ts";
import { judge, type VerdictKind } from "./report.ts";
import { triedAgain } from "./retry.ts";
import { deliveryOf, ownsRun, type RunFacts, ticketOf } from "./run.ts";

/** What the chart carries: the facts, as one value. */
export interface SessionContext {
	readonly facts: SessionFacts;
}

export interface Scope {
	readonly context: SessionContext;
	readonly event: SessionEvent;
}

type EventOf<Type extends SessionEvent["type"]> = life.EventOf<Type>;
/** Events that a run sends, or that somebody sends in its name. */
export type Ticketed =
	| "settled"
	| "overdue"
	| "rotate"
	| "usage"
	| "append"
	| "wait"
	| "unwait"
	| "deliver"
	| "delivered"
	| "pull"
	| "alive";

/** The chart says which events a guard or an action meets; this says so to the compiler. */
export function as<Type extends SessionEvent["type"]>(event: SessionEvent) {
	return event as EventOf<Type>;
}

// ── replies

const reply = (make: (facts: SessionFacts, event: SessionEvent) => Reply) =>
	({
		type: "reply",
		params: ({ context, event }: Scope) => make(context.facts, event),
	}) as const;

export const done = reply(() => ({ result: "done" }));
export const nothing = reply(() => ({ result: "nothing" }));
export const moved = reply(() => ({ result: "moved" }));
export const stale = reply((facts, event) => ({
	result: "stale",
	mismatch: mismatchOf(facts, expectOf(event)) ?? "runId",
}));
export const staleRun = reply(() => ({ result: "stale", mismatch: "runId" }));
export const busy = reply(({ run }) => ({
	result: "busy",
	current: run ? ticketOf(run) : null,
}));
export const full = reply((_, event) => ({
	result: "full",
	capacity: as<"message">(event).policy.capacity,
}));
export const staleAnswer = reply((facts, event) => ({
	result: "stale",
	mismatch:
		as<"answer">(event).ticket.generation === facts.generation
			? "runId"
			: "generation",
}));
export const staleMessage = reply(() => ({
	result: "stale",
	mismatch: "messageId",
}));
export const answered = reply((facts, event) => ({
	result: "known",
	value: answerTo(facts, event)?.value ?? null,
}));
export const delivered = reply((facts, event) => ({
	result: "known",
	value:
		deliveryOf(facts.run as RunFacts, as<"deliver">(event).name)?.result ??
		null,
}));
export const usedName = reply(() => ({ result: "used" }));
export const pulled = reply((facts, event) => ({
	result: "pulled",
	message: line.steeringFor(facts, as<"pull">(event)) as QueuedMessage,
}));
export const admitted = reply((facts, event) => ({
	result: "admitted",
	run: life.admittedRun(facts, as<"admit">(event)),
}));
export const sameRun = reply((facts, event) => ({
	result: "admitted",
	run: life.namedRun(facts, as<"admit">(event).runId) as RunFacts,
}));
export const verdict = reply((facts, event) => {
	const { run, ...rest } = judge(facts, as<"report">(event).report);
	// A reservation that becomes live may take on its session's id.
	const meant =
		run?.status === "reserved" && rest.verdict === "applied"
			? life.reportedRun(facts, as<"report">(event))
			: run;
	return {
		result: "verdict",
		...rest,
		ticket: meant ? ticketOf(meant) : null,
	};
});

// ── whose event it is

export function expectOf(event: SessionEvent) {
	return "expect" in event ? event.expect : null;
}

/** The fence. */
export function ownsLive(facts: SessionFacts, event: SessionEvent): boolean {
	return facts.run !== null && ownsRun(facts.run, as<Ticketed>(event).ticket);
}

/** Once it was told to stop, a run may not begin anything more. */
export function mayAct(facts: SessionFacts, event: SessionEvent): boolean {
	return ownsLive(facts, event) && facts.run?.stop === null;
}

/** What an answer that the live run asks for said, if it was given before. */
export function answerTo({ run }: SessionFacts, event: SessionEvent) {
	const { name } = as<"wait">(event);
	return run?.answers.find((one) => one.name === name);
}

/** Whether the verdict on a report is this, and the report a start or a terminal. Progress is neither: it changes no fact. */
export function says(
	facts: SessionFacts,
	event: SessionEvent,
	verdict: VerdictKind,
	what: "start" | "terminal",
): boolean {
	const { report } = as<"report">(event);
	if (report.phase === "progress") return false;
	return (
		(report.phase === "start") === (what === "start") &&
		judge(facts, report).verdict === verdict
	);
}

/** The run that an event settles, as it stood before. */
function owner(facts: SessionFacts, event: SessionEvent): RunFacts {
	if (event.type === "report")
		return judge(facts, event.report).run as RunFacts;
	const { ticket } = as<"settled" | "overdue">(event);
	if (ownsLive(facts, event)) return facts.run as RunFacts;
	return facts.draining.find(({ run }) => ownsRun(run, ticket))
		?.run as RunFacts;
}

/** The run that an event settles, settled. */
export const settled = remembered((facts, event): RunFacts => {
	if (event.type === "report") return life.reportedRun(facts, event);
	const ends = as<"settled" | "overdue">(event);
	return life.settledRun(owner(facts, event), ends, life.unreadOf(facts, ends));
});

/** The run that takes the next message in line. */
export const next = remembered(line.nextRun);

/** The facts with the arriving message in line. */
export const accepted = remembered((facts, event) =>
	line.accept(facts, as<"message">(event)),
);

/** Guards and actions of one transition ask the same thing of the same facts; the last answer is remembered. Pure all the same. */
function remembered<T>(
	make: (facts: SessionFacts, event: SessionEvent) => T,
): (facts: SessionFacts, event: SessionEvent) => T {
	let last: { facts: SessionFacts; event: SessionEvent; made: T } | null = null;
	return (facts, event) => {
		if (last?.facts !== facts || last.event !== event)
			last = { facts, event, made: make(facts, event) };
		return last.made;
	};
}

// ── effects

const effect = <Type extends keyof SessionEffects>(
	type: Type,
	make: (facts: SessionFacts, event: SessionEvent) => SessionEffects[Type],
) =>
	({
		type,
		params: ({ context, event }: Scope) => make(context.facts, event),
	}) as const;

export const startAdmitted = effect("startRun", ({ run }) => ({
	run: run as RunFacts,
	messages: [],
}));
export const startNext = effect("startRun", (facts, event) => ({
	run: next(facts, event),
	messages: line.headOf(facts),
}));
export const startArriving = effect("startRun", (facts, event) => ({
	run: next(accepted(facts, event), event),
	messages: accepted(facts, event).queue,
}));
export const stopLive = effect("stopRuns", (facts, event) =>
	generation.stopsOf([
		{ run: generation.stopLive(facts, as<"abort">(event)).run as RunFacts },
	]),
);
export const stopAll = effect("stopRuns", (facts, event) =>
	generation.stopsOf(
		generation.drainAfter(facts, as<"reset" | "delete">(event)),
	),
);
export const keepSettled = effect("keepRuns", (facts, event) => [
	settled(facts, event),
]);
export const keepReserved = effect("keepRuns", (facts, event) => [
	...life.displacedRuns(facts, as<"admit">(event)),
	life.admittedRun(facts, as<"admit">(event)),
]);
export const keepCancelled = effect("keepRuns", (facts, event) => [
	generation.cancelledRun(facts, as<"abort">(event)),
]);
export const keepCounted = effect("keepRuns", (facts, event) => {
	const counted = life.countUsage(facts, as<"usage">(event));
	return counted.reservations.filter((run) =>
		ownsRun(run, as<"usage">(event).ticket),
	);
});
export const showLive = effect("showRun", ({ run }) => run as RunFacts);
export const keepEnded = effect("keepGeneration", (facts, event) =>
	generation.endedGeneration(facts, as<"reset" | "delete">(event)),
);
export const keepCompleted = effect("keepGeneration", (facts, event) =>
	generation.completeGeneration(facts, settled(facts, event)),
);
export const keepArrival = effect("keepMessages", (facts, event) =>
	line.fatesOfArrival(facts, as<"message">(event)),
);
export const keepDisplaced = effect("keepLine", (facts, event) =>
	line.displaced(facts, as<"message">(event)),
);
export const stopInterrupted = effect("stopRuns", (facts, event) =>
	generation.stopsOf([
		{ run: generation.interrupt(facts, as<"message">(event)).run as RunFacts },
	]),
);
export const hideInterrupted = effect("hideEntries", ({ run }, event) =>
	run && as<"message">(event).policy.mode === "rollback" ? [run] : [],
);
export const keepEdited = effect("keepLine", (facts, event) =>
	line
		.edited(facts, as<"edit">(event))
		.filter((message) => !facts.queue.includes(message)),
);
export const keepRemoved = effect("keepMessages", (facts, event) => [
	line.removed(
		line.waitingMessage(facts, as<"remove">(event).messageId) as QueuedMessage,
		"taken back by its host",
	),
]);
export const keepPulled = effect("keepMessages", (facts, event) => {
	const pulled = as<"pull">(event);
	return [
		{
			message: line.steeringFor(facts, pulled) as QueuedMessage,
			fate: "taken",
			run: pulled.ticket,
			reason: null,
		},
	];
});
export const keepUnread = effect("keepMessages", (facts, event) =>
	line.backInLine(
		life.unreadOf(facts, as<"settled" | "overdue">(event)),
		"its run ended before it looked at it",
	),
);
export const keepTriedAgain = effect("keepMessages", ({ run }, event) =>
	line.backInLine(
		triedAgain(run as RunFacts, as<"settled">(event)),
		"its run died and is tried again",
	),
);
export const hideDead = effect("hideEntries", ({ run }) => [run as RunFacts]);
export const keepEntry = effect("keepEntry", (facts, event) =>
	life.entryOf(facts, as<"append">(event)),
);
export const closeEnded = effect("closeGenerations", (facts, event) =>
	generation.closingAfter(facts, as<"reset" | "delete">(event)),
);
export const closeSooner = effect("closeGenerations", (facts, event) =>
	generation.closingSooner(facts, as<"reset" | "delete">(event)),
);
export const keepDropped = effect("keepMessages", (facts, event) =>
	generation.droppedBy(facts, as<"reset" | "delete" | "abort">(event)),
);
export const purgeOlder = effect("purge", ({ sessionKey, purgeBefore }) => ({
	sessionKey,
	before: purgeBefore as number,
}));
