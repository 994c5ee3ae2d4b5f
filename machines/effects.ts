/**
 * Owns what the session machine asks for, and of whom: replies to callers, effects for an engine, each by its name with its parameters.
 * Pure: asked twice of the same facts and event, each gives the same.
 */
import type { Reply, SessionEffects, SessionEvent } from "./events.ts";
import { mismatchOf, type SessionFacts } from "./facts.ts";
import * as generation from "./generation.ts";
import * as life from "./lifecycle.ts";
import { judge, type VerdictKind } from "./report.ts";
import { ownsRun, type RunFacts, ticketOf } from "./run.ts";

/** What the chart carries: the facts, as one value. */
export interface SessionContext {
	readonly facts: SessionFacts;
}

export interface Scope {
	readonly context: SessionContext;
	readonly event: SessionEvent;
}

type EventOf<Type extends SessionEvent["type"]> = life.EventOf<Type>;
export type Ticketed = "settled" | "overdue" | "rotate" | "usage";

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
	capacity: as<"message">(event).capacity,
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
	return { result: "verdict", ...rest, ticket: run ? ticketOf(run) : null };
});

// ── whose event it is

export function expectOf(event: SessionEvent) {
	return "expect" in event ? event.expect : null;
}

/** The fence. */
export function ownsLive(facts: SessionFacts, event: SessionEvent): boolean {
	return facts.run !== null && ownsRun(facts.run, as<Ticketed>(event).ticket);
}

export function says(
	facts: SessionFacts,
	event: SessionEvent,
	verdict: VerdictKind,
	start: boolean,
): boolean {
	const { report } = as<"report">(event);
	return (
		(report.phase === "start") === start &&
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
	const run = owner(facts, event);
	return event.type === "report"
		? life.reportedRun(facts, event)
		: life.settledRun(run, as<"settled" | "overdue">(event));
});

/** The run that takes the next message in line. */
export const next = remembered(life.nextRun);

/** The facts with the arriving message in line. */
export const accepted = remembered((facts, event) =>
	life.accept(facts, as<"message">(event)),
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
	messages: facts.queue.slice(0, 1),
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
export const keepQueued = effect("keepMessages", (facts, event) => [
	{
		message: life.arriving(facts, as<"message">(event)),
		fate: "queued",
		run: null,
		reason: null,
	},
]);
export const keepDropped = effect("keepMessages", (facts, event) =>
	generation.droppedBy(facts, as<"reset" | "delete" | "abort">(event)),
);
export const purgeOlder = effect("purge", ({ sessionKey, purgeBefore }) => ({
	sessionKey,
	before: purgeBefore as number,
}));
