/**
 * Owns the lifecycle of one session key: which event may do what in which state. Every guard and action is named; every lifecycle
 * transition is guarded on the run's whole identity. Pure: no invoke, no after, no time of its own. What it wants done it asks for by
 * the named effects of `SessionEffects`, which an engine provides; stepped with XState's `transition`, they come out as data.
 */
import { assign, setup } from "xstate";
import * as ask from "./effects.ts";
import {
	accepted,
	as,
	expectOf,
	next,
	ownsLive,
	type Scope,
	type SessionContext,
	says,
	settled,
	type Ticketed,
} from "./effects.ts";
import type { SessionEffects, SessionEvent } from "./events.ts";
import {
	mismatchOf,
	type SessionFacts,
	statusOf,
	unusedFacts,
} from "./facts.ts";
import * as generation from "./generation.ts";
import * as life from "./lifecycle.ts";
import { ownsRun, runLogic } from "./run.ts";

// ── transitions that several states share

/** Effects that need the facts of the generation that ends come before `mint`. */
const endGeneration = [
	ask.stopAll,
	ask.keepEnded,
	ask.keepDropped,
	"mint",
	ask.done,
] as const;

const settleDraining = [
	ask.keepSettled,
	ask.keepCompleted,
	"settleDraining",
] as const;

/** A terminal of the run that is live, or that a reservation makes live for this one step. */
const reportSettles = [
	{
		guard: "reportFailsRun",
		target: "failed",
		actions: [ask.verdict, ask.keepSettled, "leave"],
	},
	{
		guard: "reportEndsRun",
		target: "ended",
		actions: [ask.verdict, ask.keepSettled, "leave"],
	},
] as const;

/** idle, ended, failed: the next message, in line or arriving, is taken at once. */
const free = {
	always: {
		guard: "mayTake",
		target: "running",
		actions: [ask.startNext, "take"],
	},
	on: {
		message: {
			guard: "mayBegin",
			target: "running",
			actions: [ask.startArriving, "begin", ask.done],
		},
		report: [
			{
				guard: "reportStartsRun",
				target: "running",
				actions: [ask.verdict, "startReserved", ask.startAdmitted],
			},
			...reportSettles,
		],
	},
} as const;

/** running, aborting: the live run may report and settle; nobody else may in its name. */
const live = {
	report: [
		{
			guard: "reportStartsRun",
			actions: [ask.verdict, "noteStart", ask.showLive],
		},
		...reportSettles,
	],
	settled: [
		{
			guard: "liveRunFailed",
			target: "failed",
			actions: [ask.keepSettled, "leave"],
		},
		{
			guard: "ownsLiveRun",
			target: "ended",
			actions: [ask.keepSettled, "leave"],
		},
	],
	// Repeated aborts join; the earliest deadline counts.
	abort: {
		guard: "expectsThis",
		target: "aborting",
		actions: [ask.stopLive, ask.keepDropped, "stopLive", ask.done],
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
			change((facts, event) => generation.stopLive(facts, as<"abort">(event))),
		),
		cancelReservation: assign(
			change((facts, event) =>
				generation.cancelReservation(facts, as<"abort">(event)),
			),
		),
		dropQueue: assign(
			change((facts, event) => ({
				...life.touch(facts, event),
				queue: [],
			})),
		),
		mint: assign(
			change((facts, event) =>
				generation.mint(facts, as<"reset" | "delete">(event)),
			),
		),
		openByReset: assign(
			change((facts, event) =>
				generation.openByReset(facts, as<"reset">(event)),
			),
		),
		deleteAgain: assign(
			change((facts, event) =>
				generation.deleteAgain(facts, as<"delete">(event)),
			),
		),
		clearPurge: assign(change((facts) => ({ ...facts, purgeBefore: null }))),
		settleDraining: assign(
			change((facts, event) =>
				generation.settleDraining(facts, event, settled(facts, event)),
			),
		),
		startDraining: assign(
			change((facts, event) =>
				generation.startDraining(facts, as<"report">(event)),
			),
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
			{ guard: "expectsOther", actions: ask.stale },
			{ guard: "refusesOverlap", actions: ask.busy },
			{ guard: "queueIsFull", actions: ask.full },
			{ actions: [ask.keepQueued, "accept", ask.done] },
		],
		admit: [
			{ guard: "expectsOther", actions: ask.stale },
			{ guard: "isLiveAgain", actions: ask.sameRun },
			{ guard: "isReservedAgain", actions: ask.sameRun },
			{
				guard: "reserves",
				actions: [ask.admitted, ask.keepReserved, "reserve"],
			},
			{ guard: "isTaken", actions: ask.busy },
			{
				target: ".running",
				actions: [ask.admitted, "admit", ask.startAdmitted],
			},
		],
		report: { actions: ask.verdict },
		reset: [
			{ guard: "expectsOther", actions: ask.stale },
			{
				guard: "isHidden",
				actions: [ask.stopAll, ask.keepDropped, "openByReset", ask.done],
			},
			{ target: ".resetting", actions: endGeneration },
		],
		delete: [
			{ guard: "expectsOther", actions: ask.stale },
			{
				guard: "deletesAgain",
				target: ".resetting",
				actions: [ask.stopAll, ask.keepDropped, "deleteAgain", ask.done],
			},
			{ guard: "isHidden", actions: ask.nothing },
			{ target: ".resetting", actions: endGeneration },
		],
		abort: [
			{
				guard: "namesReservation",
				actions: [ask.keepCancelled, "cancelReservation", ask.done],
			},
			{ guard: "expectsOther", actions: ask.stale },
			{
				guard: "dropsQueue",
				actions: [ask.keepDropped, "dropQueue", ask.done],
			},
			{ actions: ask.nothing },
		],
		usage: [
			{ guard: "ownsReservation", actions: [ask.keepCounted, "countUsage"] },
			{ guard: "isOfThisGeneration", actions: "countUsage" },
			{ guard: "ownsDrainingRun", actions: "countUsage" },
		],
		patch: [
			{ guard: "expectsOther", actions: ask.stale },
			{ guard: "isHidden", actions: ask.nothing },
			{ guard: "metaMoved", actions: ask.moved },
			{ actions: ["patchMeta", ask.done] },
		],
		import: [
			{ guard: "isUnused", actions: ["importFacts", ask.done] },
			{ actions: ask.nothing },
		],
		rotate: { actions: ask.staleRun },
		take: { guard: "mayTake", actions: "touch" },
	},
	states: {
		idle: free,
		running: {
			on: {
				...live,
				rotate: {
					guard: "ownsLiveRun",
					actions: ["rotate", ask.showLive, ask.done],
				},
			},
		},
		aborting: {
			on: {
				...live,
				overdue: {
					guard: "ownsLiveRun",
					target: "ended",
					actions: [ask.keepSettled, "leave"],
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
					actions: [ask.purgeOlder, "clearPurge"],
				},
				{ guard: "hasDrained", target: "idle" },
			],
			on: {
				report: [
					{
						guard: "reportStartsDrainingRun",
						actions: [ask.verdict, "startDraining"],
					},
					{
						guard: "reportEndsDrainingRun",
						actions: [ask.verdict, ...settleDraining],
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
