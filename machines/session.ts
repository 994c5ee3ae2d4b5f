/**
 * Owns the lifecycle of one session key: which event may do what in which state. Every guard and action is named; every lifecycle
 * transition is guarded on the run's whole identity. Pure: no invoke, no after, no time of its own. What it wants done it asks for by
 * the named effects of `SessionEffects`, which an engine provides; stepped with XState's `transition`, they come out as data.
 */
import { assign, setup } from "xstate";
import { type Change, changes } from "./changes.ts";
import type { Scope, SessionContext } from "./effects.ts";
import * as ask from "./effects.ts";
import type { SessionEffects, SessionEvent } from "./events.ts";
import { type SessionFacts, statusOf, unusedFacts } from "./facts.ts";
import { type Guard, guards } from "./guards.ts";
import { runLogic } from "./run.ts";

// ── transitions that several states share

/** Effects that need the facts of the generation that ends come before `mint`. */
const endGeneration = [
	ask.stopAll,
	ask.keepEnded,
	ask.keepDropped,
	ask.closeEnded,
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
		take: { guard: "mayTake", actions: "touch" },
	},
} as const;

/** running, waiting, aborting: the live run may report and settle; nobody else may in its name. */
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
			guard: "isTriedAgain",
			target: "ended",
			actions: [ask.keepSettled, ask.hideDead, ask.keepTriedAgain, "requeue"],
		},
		{
			guard: "liveRunFailed",
			target: "failed",
			actions: [ask.keepSettled, ask.keepUnread, "leave"],
		},
		{
			guard: "ownsLiveRun",
			target: "ended",
			actions: [ask.keepSettled, ask.keepUnread, "leave"],
		},
	],
	// Also of a run whose stop was fired but not committed: nobody else would end it.
	overdue: {
		guard: "ownsLiveRun",
		target: "ended",
		actions: [ask.keepSettled, ask.keepUnread, "leave"],
	},
	// Repeated aborts join; the earliest deadline counts.
	abort: {
		guard: "stopsThis",
		target: "aborting",
		actions: [ask.stopLive, ask.keepDropped, "stopLive", ask.done],
	},
	message: {
		guard: "interruptsLive",
		target: "aborting",
		actions: [
			ask.stopInterrupted,
			ask.hideInterrupted,
			ask.keepDisplaced,
			ask.keepArrival,
			"interrupt",
			"accept",
			ask.done,
		],
	},
	append: {
		guard: "ownsLiveRun",
		actions: [ask.keepEntry, "append", ask.done],
	},
	alive: { guard: "ownsLiveRun", actions: "noteAlive" },
} as const;

/** running, waiting: what a run may ask for until it is told to stop. */
const acting = {
	rotate: {
		guard: "mayAct",
		actions: ["rotate", ask.showLive, ask.done],
	},
	wait: [
		{ guard: "isAnswered", actions: ask.answered },
		{
			guard: "mayAct",
			target: "waiting",
			actions: ["wait", ask.showLive, ask.done],
		},
	],
	deliver: [
		{ guard: "hasUsedName", actions: ask.usedName },
		{ guard: "hasDelivered", actions: [ask.delivered, "deliver"] },
		{ guard: "mayAct", actions: ["deliver", ask.showLive, ask.done] },
	],
	pull: [
		{ guard: "isSteered", actions: [ask.pulled, ask.keepPulled, "pull"] },
		{ guard: "mayAct", actions: ask.nothing },
	],
} as const;

type Named<Table, Made> = { readonly [Name in keyof Table]: Made };

/** Each entry of a table of functions as XState takes it. */
function each<Table extends object, Made>(
	table: Table,
	make: (one: Table[keyof Table]) => Made,
) {
	return Object.fromEntries(
		Object.entries(table).map(([name, one]) => [name, make(one)]),
	) as Named<Table, Made>;
}

const asGuard =
	(holds: Guard) =>
	({ context, event }: Scope) =>
		holds(context.facts, event);

const asAssign = (change: Change) =>
	assign<SessionContext, SessionEvent, undefined, SessionEvent, never>(
		({ context, event }) => ({ facts: change(context.facts, event) }),
	);

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
	guards: each(guards, asGuard),
	actions: {
		// What is asked of the engine.
		reply: (_, _params: SessionEffects["reply"]) => {},
		startRun: (_, _params: SessionEffects["startRun"]) => {},
		stopRuns: (_, _params: SessionEffects["stopRuns"]) => {},
		keepRuns: (_, _params: SessionEffects["keepRuns"]) => {},
		showRun: (_, _params: SessionEffects["showRun"]) => {},
		keepGeneration: (_, _params: SessionEffects["keepGeneration"]) => {},
		keepMessages: (_, _params: SessionEffects["keepMessages"]) => {},
		keepLine: (_, _params: SessionEffects["keepLine"]) => {},
		keepEntry: (_, _params: SessionEffects["keepEntry"]) => {},
		hideEntries: (_, _params: SessionEffects["hideEntries"]) => {},
		closeGenerations: (_, _params: SessionEffects["closeGenerations"]) => {},
		purge: (_, _params: SessionEffects["purge"]) => {},
		...each(changes, asAssign),
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
			{ actions: [ask.keepDisplaced, ask.keepArrival, "accept", ask.done] },
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
				actions: [
					ask.stopAll,
					ask.keepDropped,
					ask.closeSooner,
					"openByReset",
					ask.done,
				],
			},
			{ target: ".resetting", actions: endGeneration },
		],
		delete: [
			{ guard: "expectsOther", actions: ask.stale },
			{
				guard: "deletesAgain",
				target: ".resetting",
				actions: [
					ask.stopAll,
					ask.keepDropped,
					ask.closeSooner,
					"deleteAgain",
					ask.done,
				],
			},
			{ guard: "isHidden", actions: ask.nothing },
			{ target: ".resetting", actions: endGeneration },
		],
		abort: [
			{
				guard: "namesReservation",
				actions: [ask.keepCancelled, "cancelReservation", ask.done],
			},
			{
				guard: "namesWaiting",
				actions: [ask.keepDropped, "dropWaiting", ask.done],
			},
			{ guard: "stopsOther", actions: ask.stale },
			{
				guard: "dropsWaiting",
				actions: [ask.keepDropped, "dropWaiting", ask.done],
			},
			{ actions: ask.nothing },
		],
		usage: [
			{ guard: "ownsReservation", actions: [ask.keepCounted, "countUsage"] },
			{ guard: "isOfThisGeneration", actions: "countUsage" },
			{ guard: "isOfDrainingGeneration", actions: "countUsage" },
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
		append: { actions: ask.staleRun },
		wait: { actions: ask.staleRun },
		deliver: { actions: ask.staleRun },
		pull: { actions: ask.staleRun },
		delivered: { guard: "ownsUnsettledRun", actions: "noteDelivery" },
		answer: [
			{ guard: "answersWait", actions: ["answer", ask.done] },
			{ guard: "answersOther", actions: ask.staleAnswer },
			{ actions: ask.nothing },
		],
		edit: [
			{ guard: "goesBeforeOther", actions: ask.staleMessage },
			{ guard: "waitsInLine", actions: [ask.keepEdited, "edit", ask.done] },
			{ actions: ask.nothing },
		],
		remove: [
			{ guard: "waitsInLine", actions: [ask.keepRemoved, "remove", ask.done] },
			{ actions: ask.nothing },
		],
		closed: { guard: "isClosing", actions: "closed" },
	},
	states: {
		idle: free,
		running: { on: { ...live, ...acting } },
		waiting: {
			on: {
				...live,
				...acting,
				answer: {
					guard: "answersLastWait",
					target: "running",
					actions: ["answer", ask.showLive, ask.done],
				},
				unwait: [
					{
						guard: "isLastWait",
						target: "running",
						actions: ["unwait", ask.showLive],
					},
					{ guard: "ownsLiveRun", actions: "unwait" },
				],
			},
		},
		aborting: {
			on: live,
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
				postponed: { guard: "isClosingInTime", actions: "postponed" },
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
