/**
 * Owns the lifecycle of one session key: which event may do what in which state. Every guard and action is named; every lifecycle
 * transition is guarded on the run's whole identity. Pure: no invoke, no after, no time of its own. What it wants done it asks for by
 * the named effects of `SessionEffects`, which an engine provides; stepped with XState's `transition`, they come out as data.
 */
import { assign, setup } from "xstate";
import type { Reply, SessionEffects, SessionEvent } from "./events.ts";
import {
	mismatchOf,
	type SessionFacts,
	statusOf,
	unusedFacts,
} from "./facts.ts";
import * as life from "./lifecycle.ts";
import { judge, type VerdictKind } from "./report.ts";
import { ownsRun, type RunFacts, runLogic, ticketOf } from "./run.ts";

/** What the chart carries: the facts, as one value. */
export interface SessionContext {
	readonly facts: SessionFacts;
}

interface Scope {
	readonly context: SessionContext;
	readonly event: SessionEvent;
}

type EventOf<Type extends SessionEvent["type"]> = life.EventOf<Type>;
type Ticketed = "settled" | "overdue" | "rotate" | "usage";

/** The chart says which events a guard or an action meets; this says so to the compiler. */
function as<Type extends SessionEvent["type"]>(event: SessionEvent) {
	return event as EventOf<Type>;
}

// ── replies

const reply = (make: (facts: SessionFacts, event: SessionEvent) => Reply) =>
	({
		type: "reply",
		params: ({ context, event }: Scope) => make(context.facts, event),
	}) as const;

const done = reply(() => ({ result: "done" }));
const nothing = reply(() => ({ result: "nothing" }));
const moved = reply(() => ({ result: "moved" }));
const stale = reply((facts, event) => ({
	result: "stale",
	mismatch: mismatchOf(facts, expectOf(event)) ?? "runId",
}));
const staleRun = reply(() => ({ result: "stale", mismatch: "runId" }));
const busy = reply(({ run }) => ({
	result: "busy",
	current: run ? ticketOf(run) : null,
}));
const full = reply((_, event) => ({
	result: "full",
	capacity: as<"message">(event).capacity,
}));
const admitted = reply((facts, event) => ({
	result: "admitted",
	run: life.admittedRun(facts, as<"admit">(event)),
}));
const sameRun = reply((facts, event) => ({
	result: "admitted",
	run: life.namedRun(facts, as<"admit">(event).runId) as RunFacts,
}));
const verdict = reply((facts, event) => {
	const { run, ...rest } = judge(facts, as<"report">(event).report);
	return { result: "verdict", ...rest, ticket: run ? ticketOf(run) : null };
});

// ── whose event it is

function expectOf(event: SessionEvent) {
	return "expect" in event ? event.expect : null;
}

/** The fence. */
function ownsLive(facts: SessionFacts, event: SessionEvent): boolean {
	return facts.run !== null && ownsRun(facts.run, as<Ticketed>(event).ticket);
}

function says(
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
const settled = remembered((facts, event): RunFacts => {
	const run = owner(facts, event);
	return event.type === "report"
		? life.reportedRun(facts, event)
		: life.settledRun(run, as<"settled" | "overdue">(event));
});

/** The run that takes the next message in line. */
const next = remembered(life.nextRun);

/** The facts with the arriving message in line. */
const accepted = remembered((facts, event) =>
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

const startAdmitted = effect("startRun", ({ run }) => ({
	run: run as RunFacts,
	messages: [],
}));
const startNext = effect("startRun", (facts, event) => ({
	run: next(facts, event),
	messages: facts.queue.slice(0, 1).map(life.messageOf),
}));
const startArriving = effect("startRun", (facts, event) => ({
	run: next(accepted(facts, event), event),
	messages: accepted(facts, event).queue.map(life.messageOf),
}));
const stopLive = effect("stopRuns", (facts, event) =>
	life.stopsOf([
		{ run: life.stopLive(facts, as<"abort">(event)).run as RunFacts },
	]),
);
const stopAll = effect("stopRuns", (facts, event) =>
	life.stopsOf(life.drainAfter(facts, as<"reset" | "delete">(event))),
);
const keepSettled = effect("keepRuns", (facts, event) => [
	settled(facts, event),
]);
const keepReserved = effect("keepRuns", (facts, event) => [
	...life.displacedRuns(facts, as<"admit">(event)),
	life.admittedRun(facts, as<"admit">(event)),
]);
const keepCancelled = effect("keepRuns", (facts, event) => [
	life.cancelledRun(facts, as<"abort">(event)),
]);
const keepCounted = effect("keepRuns", (facts, event) => {
	const counted = life.countUsage(facts, as<"usage">(event));
	return counted.reservations.filter((run) =>
		ownsRun(run, as<"usage">(event).ticket),
	);
});
const showLive = effect("showRun", ({ run }) => run as RunFacts);
const keepEnded = effect("keepGeneration", (facts, event) =>
	life.endedGeneration(facts, as<"reset" | "delete">(event)),
);
const keepCompleted = effect("keepGeneration", (facts, event) =>
	life.completeGeneration(facts, settled(facts, event)),
);
const keepQueued = effect("keepMessages", (facts, event) => [
	{
		message: life.arriving(facts, as<"message">(event)),
		fate: "queued",
		run: null,
		reason: null,
	},
]);
const keepTaken = effect("keepMessages", (facts, event) =>
	life.takenBy(facts, next(facts, event)),
);
const keepBegun = effect("keepMessages", (facts, event) => {
	const line = accepted(facts, event);
	return life.takenBy(line, next(line, event));
});
const keepDropped = effect("keepMessages", (facts, event) =>
	life.droppedBy(facts, as<"reset" | "delete" | "abort">(event)),
);
const purgeOlder = effect("purge", ({ sessionKey, purgeBefore }) => ({
	sessionKey,
	before: purgeBefore as number,
}));

// ── transitions that several states share

/** Effects that need the facts of the generation that ends come before `mint`. */
const endGeneration = [stopAll, keepEnded, keepDropped, "mint", done] as const;

const settleDraining = [keepSettled, keepCompleted, "settleDraining"] as const;

/** idle, ended, failed: the next message, in line or arriving, is taken at once. */
const free = {
	always: {
		guard: "mayTake",
		target: "running",
		actions: [startNext, keepTaken, "take"],
	},
	on: {
		message: {
			guard: "mayBegin",
			target: "running",
			actions: [startArriving, keepBegun, "begin", done],
		},
		report: [
			{
				guard: "reportStartsRun",
				target: "running",
				actions: [verdict, "startReserved", startAdmitted],
			},
			{
				guard: "reportFailsRun",
				target: "failed",
				actions: [verdict, keepSettled, "leave"],
			},
			{
				guard: "reportEndsRun",
				target: "ended",
				actions: [verdict, keepSettled, "leave"],
			},
		],
	},
} as const;

/** running, aborting: the live run may report and settle; nobody else may in its name. */
const live = {
	report: [
		{
			guard: "reportStartsRun",
			actions: [verdict, "noteStart", showLive],
		},
		{
			guard: "reportFailsRun",
			target: "failed",
			actions: [verdict, keepSettled, "leave"],
		},
		{
			guard: "reportEndsRun",
			target: "ended",
			actions: [verdict, keepSettled, "leave"],
		},
	],
	settled: [
		{
			guard: "liveRunFailed",
			target: "failed",
			actions: [keepSettled, "leave"],
		},
		{
			guard: "ownsLiveRun",
			target: "ended",
			actions: [keepSettled, "leave"],
		},
	],
	// Repeated aborts join; the earliest deadline counts.
	abort: {
		guard: "expectsThis",
		target: "aborting",
		actions: [stopLive, keepDropped, "stopLive", done],
	},
} as const;

type Test = (facts: SessionFacts, event: SessionEvent) => boolean;
const test =
	(holds: Test) =>
	({ context, event }: Scope) =>
		holds(context.facts, event);

type Step = (facts: SessionFacts, event: SessionEvent) => SessionFacts;
const change =
	(step: Step) =>
	({ context, event }: Scope) => ({ facts: step(context.facts, event) });

export const sessionMachine = setup({
	types: {
		context: {} as SessionContext,
		events: {} as SessionEvent,
		input: {} as { readonly sessionKey: string },
	},
	actors: {
		/** The engine spawns it on `startRun`, one child a generation. */
		run: runLogic,
	},
	guards: {
		expectsOther: test(
			(facts, event) => mismatchOf(facts, expectOf(event)) !== null,
		),
		expectsThis: test(
			(facts, event) => mismatchOf(facts, expectOf(event)) === null,
		),
		isHidden: test(({ hidden }) => hidden),
		isUnused: test(({ hidden, version }) => hidden && version === 0),
		// messages
		mayBegin: test(
			(facts, event) =>
				typeof event.grant === "string" &&
				facts.queue.length === 0 &&
				mismatchOf(facts, expectOf(event)) === null,
		),
		// What waits for a deleted session waits for its next use.
		mayTake: test(
			({ queue, hidden }, { grant }) =>
				queue.length > 0 && !hidden && typeof grant === "string",
		),
		refusesOverlap: test(
			({ run, draining, queue }, event) =>
				as<"message">(event).mode === "reject" &&
				(run !== null || draining.length > 0 || queue.length > 0),
		),
		queueIsFull: test(
			({ queue }, event) => queue.length >= as<"message">(event).capacity,
		),
		// admissions
		isLiveAgain: test(
			({ run }, event) =>
				run?.driver === "host" && run.runId === as<"admit">(event).runId,
		),
		isReservedAgain: test(({ reservations }, event) => {
			const { reserve, runId } = as<"admit">(event);
			return reserve && reservations.some((run) => run.runId === runId);
		}),
		reserves: test((_, event) => as<"admit">(event).reserve),
		isTaken: test(({ run, draining }) => run !== null || draining.length > 0),
		// reports
		reportStartsRun: test((facts, event) =>
			says(facts, event, "applied", true),
		),
		reportFailsRun: test(
			(facts, event) =>
				says(facts, event, "applied", false) &&
				settled(facts, event).outcome === "failed",
		),
		reportEndsRun: test((facts, event) => says(facts, event, "applied", false)),
		reportStartsDrainingRun: test((facts, event) =>
			says(facts, event, "archived", true),
		),
		reportEndsDrainingRun: test((facts, event) =>
			says(facts, event, "archived", false),
		),
		// the fence
		ownsLiveRun: test(ownsLive),
		liveRunFailed: test(
			(facts, event) =>
				ownsLive(facts, event) && settled(facts, event).outcome === "failed",
		),
		ownsDrainingRun: test(({ draining }, event) =>
			draining.some(({ run }) => ownsRun(run, as<Ticketed>(event).ticket)),
		),
		ownsReservation: test(({ reservations }, event) =>
			reservations.some((run) => ownsRun(run, as<Ticketed>(event).ticket)),
		),
		isOfThisGeneration: test(
			({ hidden, generation }, event) =>
				!hidden && as<"usage">(event).ticket.generation === generation,
		),
		// stopping
		namesReservation: test((facts, event) => {
			const { runId, ...rest } = as<"abort">(event).expect ?? {};
			return (
				facts.reservations.some((run) => run.runId === runId) &&
				mismatchOf(facts, rest) === null
			);
		}),
		dropsQueue: test(
			({ queue }, event) =>
				as<"abort">(event).queued === "drop" && queue.length > 0,
		),
		deletesAgain: test(
			({ hidden, version, draining, queue }, event) =>
				hidden &&
				version > 0 &&
				(as<"delete">(event).purge || draining.length + queue.length > 0),
		),
		hasDrained: test(({ draining }) => draining.length === 0),
		hasDrainedToPurge: test(
			({ draining, purgeBefore }) =>
				draining.length === 0 && purgeBefore !== null,
		),
		// the host's own fields
		metaMoved: test(({ meta }, event) => {
			const { seen } = as<"patch">(event);
			return (
				seen !== undefined &&
				seen !== meta &&
				JSON.stringify(seen) !== JSON.stringify(meta)
			);
		}),
	},
	actions: {
		// What is asked of the engine.
		reply: (_, _params: SessionEffects["reply"]) => {},
		startRun: (_, _params: SessionEffects["startRun"]) => {},
		stopRuns: (_, _params: SessionEffects["stopRuns"]) => {},
		keepRuns: (_, _params: SessionEffects["keepRuns"]) => {},
		showRun: (_, _params: SessionEffects["showRun"]) => {},
		keepGeneration: (_, _params: SessionEffects["keepGeneration"]) => {},
		keepMessages: (_, _params: SessionEffects["keepMessages"]) => {},
		purge: (_, _params: SessionEffects["purge"]) => {},
		// How the facts change.
		begin: assign(
			change((facts, event) => {
				const line = accepted(facts, event);
				return life.take(line, next(line, event));
			}),
		),
		accept: assign(change(accepted)),
		take: assign(
			change((facts, event) => life.take(facts, next(facts, event))),
		),
		touch: assign(change(life.touch)),
		reserve: assign(
			change((facts, event) => life.reserve(facts, as<"admit">(event))),
		),
		admit: assign(
			change((facts, event) => life.admit(facts, as<"admit">(event))),
		),
		startReserved: assign(
			change((facts, event) => life.startReserved(facts, as<"report">(event))),
		),
		noteStart: assign(
			change((facts, event) => life.noteStart(facts, as<"report">(event))),
		),
		leave: assign(
			change((facts, event) => life.leave(facts, event, settled(facts, event))),
		),
		rotate: assign(
			change((facts, event) => life.rotate(facts, as<"rotate">(event))),
		),
		countUsage: assign(
			change((facts, event) => life.countUsage(facts, as<"usage">(event))),
		),
		stopLive: assign(
			change((facts, event) => life.stopLive(facts, as<"abort">(event))),
		),
		cancelReservation: assign(
			change((facts, event) =>
				life.cancelReservation(facts, as<"abort">(event)),
			),
		),
		dropQueue: assign(
			change((facts, event) => ({
				...life.touch(facts, event),
				queue: [],
			})),
		),
		mint: assign(
			change((facts, event) => life.mint(facts, as<"reset" | "delete">(event))),
		),
		openByReset: assign(
			change((facts, event) => life.openByReset(facts, as<"reset">(event))),
		),
		deleteAgain: assign(
			change((facts, event) => life.deleteAgain(facts, as<"delete">(event))),
		),
		clearPurge: assign(change((facts) => ({ ...facts, purgeBefore: null }))),
		settleDraining: assign(
			change((facts, event) =>
				life.settleDraining(facts, event, settled(facts, event)),
			),
		),
		startDraining: assign(
			change((facts, event) => life.startDraining(facts, as<"report">(event))),
		),
		patchMeta: assign(
			change((facts, event) => life.patchMeta(facts, as<"patch">(event))),
		),
		importFacts: assign(
			change((facts, event) => life.importFacts(facts, as<"import">(event))),
		),
	},
}).createMachine({
	id: "session",
	context: ({ input }) => ({ facts: unusedFacts(input.sessionKey) }),
	initial: "idle",
	on: {
		message: [
			{ guard: "expectsOther", actions: stale },
			{ guard: "refusesOverlap", actions: busy },
			{ guard: "queueIsFull", actions: full },
			{ actions: [keepQueued, "accept", done] },
		],
		admit: [
			{ guard: "expectsOther", actions: stale },
			{ guard: "isLiveAgain", actions: sameRun },
			{ guard: "isReservedAgain", actions: sameRun },
			{ guard: "reserves", actions: [admitted, keepReserved, "reserve"] },
			{ guard: "isTaken", actions: busy },
			{ target: ".running", actions: [admitted, "admit", startAdmitted] },
		],
		report: { actions: verdict },
		reset: [
			{ guard: "expectsOther", actions: stale },
			{
				guard: "isHidden",
				actions: [stopAll, keepDropped, "openByReset", done],
			},
			{ target: ".resetting", actions: endGeneration },
		],
		delete: [
			{ guard: "expectsOther", actions: stale },
			{
				guard: "deletesAgain",
				target: ".resetting",
				actions: [stopAll, keepDropped, "deleteAgain", done],
			},
			{ guard: "isHidden", actions: nothing },
			{ target: ".resetting", actions: endGeneration },
		],
		abort: [
			{
				guard: "namesReservation",
				actions: [keepCancelled, "cancelReservation", done],
			},
			{ guard: "expectsOther", actions: stale },
			{ guard: "dropsQueue", actions: [keepDropped, "dropQueue", done] },
			{ actions: nothing },
		],
		usage: [
			{ guard: "ownsReservation", actions: [keepCounted, "countUsage"] },
			{ guard: "isOfThisGeneration", actions: "countUsage" },
			{ guard: "ownsDrainingRun", actions: "countUsage" },
		],
		patch: [
			{ guard: "expectsOther", actions: stale },
			{ guard: "isHidden", actions: nothing },
			{ guard: "metaMoved", actions: moved },
			{ actions: ["patchMeta", done] },
		],
		import: [
			{ guard: "isUnused", actions: ["importFacts", done] },
			{ actions: nothing },
		],
		rotate: { actions: staleRun },
		take: { guard: "mayTake", actions: "touch" },
	},
	states: {
		idle: free,
		running: {
			on: {
				...live,
				rotate: { guard: "ownsLiveRun", actions: ["rotate", showLive, done] },
			},
		},
		aborting: {
			on: {
				...live,
				overdue: {
					guard: "ownsLiveRun",
					target: "ended",
					actions: [keepSettled, "leave"],
				},
			},
		},
		ended: free,
		failed: free,
		resetting: {
			always: [
				{
					guard: "hasDrainedToPurge",
					target: "idle",
					actions: [purgeOlder, "clearPurge"],
				},
				{ guard: "hasDrained", target: "idle" },
			],
			on: {
				report: [
					{
						guard: "reportStartsDrainingRun",
						actions: [verdict, "startDraining"],
					},
					{
						guard: "reportEndsDrainingRun",
						actions: [verdict, ...settleDraining],
					},
				],
				settled: { guard: "ownsDrainingRun", actions: settleDraining },
				overdue: { guard: "ownsDrainingRun", actions: settleDraining },
			},
		},
	},
});

/** The state that the facts mean; a chart in any other has a bug. */
export function stateOf(facts: SessionFacts) {
	const status = statusOf(facts);
	return status === "running" && facts.run?.stop ? "aborting" : status;
}
