/**
 * Owns the lifecycle of one session key: which event may do what in which state. Every guard and action is named; every lifecycle
 * transition is guarded on the run's whole identity. Pure: no invoke, no after, no time of its own. What it wants done it asks for by
 * the named effects of `SessionEffects`, which an engine provides; stepped with XState's `transition`, they come out as data.
 */
import { assign, setup } from "xstate";
import * as ask from "./effects.ts";
import {
	accepted,
	answerTo,
	as,
	expectOf,
	mayAct,
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
	isDraining,
	mismatchOf,
	type SessionFacts,
	statusOf,
	unusedFacts,
} from "./facts.ts";
import * as generation from "./generation.ts";
import * as life from "./lifecycle.ts";
import * as line from "./line.ts";
import { isTriedAgain, requeue } from "./retry.ts";
import {
	deliveryOf,
	openWaits,
	ownsRun,
	type RunFacts,
	runLogic,
} from "./run.ts";

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

type Test = (facts: SessionFacts, event: SessionEvent) => boolean;
const test =
	(holds: Test) =>
	({ context, event }: Scope) =>
		holds(context.facts, event);

type Step = (facts: SessionFacts, event: SessionEvent) => SessionFacts;
const change =
	(step: Step) =>
	({ context, event }: Scope) => ({ facts: step(context.facts, event) });

/** An event that is itself a step of the live run. */
const liveStep =
	<Type extends "wait" | "unwait" | "deliver" | "alive">(): Step =>
	(facts, event) =>
		life.stepLive(facts, event, as<Type>(event));

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
		isHidden: test(({ hidden }) => hidden),
		isUnused: test(({ hidden, version }) => hidden && version === 0),
		// messages
		mayBegin: test(
			(facts, event) =>
				typeof event.grant === "string" &&
				facts.queue.length === 0 &&
				as<"message">(event).policy.debounceMs === 0 &&
				mismatchOf(facts, expectOf(event)) === null,
		),
		// What waits for a deleted session waits for its next use.
		mayTake: test(
			({ queue, hidden, quietUntil }, event) =>
				queue.length > 0 &&
				!hidden &&
				typeof event.grant === "string" &&
				(event.at >= quietUntil || as<"take">(event).quietUntil === quietUntil),
		),
		// One that comes with a reset is never refused: the reset is of the same commit.
		refusesOverlap: test(
			(facts, event) =>
				as<"message">(event).policy.mode === "reject" &&
				as<"message">(event).front !== "reset" &&
				(facts.run !== null || isDraining(facts) || facts.queue.length > 0),
		),
		queueIsFull: test((facts, event) =>
			line.isFull(facts, as<"message">(event)),
		),
		interruptsLive: test(
			(facts, event) =>
				line.interrupts(as<"message">(event)) &&
				!line.isFull(facts, as<"message">(event)) &&
				mismatchOf(facts, expectOf(event)) === null,
		),
		isSteered: test(
			(facts, event) => line.steeringFor(facts, as<"pull">(event)) !== null,
		),
		waitsInLine: test(
			(facts, event) =>
				line.waitingMessage(facts, as<"edit" | "remove">(event).messageId) !==
				undefined,
		),
		goesBeforeOther: test((facts, event) => {
			const { messageId, before } = as<"edit">(event);
			return (
				typeof before === "string" &&
				line.waitingMessage(facts, messageId) !== undefined &&
				line.waitingMessage(facts, before) === undefined
			);
		}),
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
		isTaken: test((facts) => facts.run !== null || isDraining(facts)),
		// reports
		reportStartsRun: test((facts, event) =>
			says(facts, event, "applied", "start"),
		),
		reportFailsRun: test(
			(facts, event) =>
				says(facts, event, "applied", "terminal") &&
				settled(facts, event).outcome === "failed",
		),
		reportEndsRun: test((facts, event) =>
			says(facts, event, "applied", "terminal"),
		),
		reportStartsDrainingRun: test((facts, event) =>
			says(facts, event, "archived", "start"),
		),
		reportEndsDrainingRun: test((facts, event) =>
			says(facts, event, "archived", "terminal"),
		),
		// the fence
		ownsLiveRun: test(ownsLive),
		mayAct: test(mayAct),
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
		ownsUnsettledRun: test(
			(facts, event) =>
				ownsLive(facts, event) ||
				facts.retries.some((run) => ownsRun(run, as<Ticketed>(event).ticket)) ||
				facts.draining.some(({ run }) =>
					ownsRun(run, as<Ticketed>(event).ticket),
				),
		),
		isOfThisGeneration: test(
			({ hidden, generation }, event) =>
				!hidden && as<"usage">(event).ticket.generation === generation,
		),
		// Its archived row is written again when what drains has settled.
		isOfDrainingGeneration: test(({ draining }, event) =>
			draining.some(
				({ run }) => run.generation === as<"usage">(event).ticket.generation,
			),
		),
		// what a run owns
		isAnswered: test(
			(facts, event) =>
				mayAct(facts, event) && answerTo(facts, event) !== undefined,
		),
		answersLastWait: test((facts, event) => {
			const run = life.answeredRun(facts, as<"answer">(event));
			return (
				run !== null &&
				run === facts.run &&
				openWaits(run).every((name) => name === as<"answer">(event).name)
			);
		}),
		answersWait: test(
			(facts, event) => life.answeredRun(facts, as<"answer">(event)) !== null,
		),
		answersOther: test(
			(facts, event) => life.askedRun(facts, as<"answer">(event)) === undefined,
		),
		isLastWait: test(
			(facts, event) =>
				ownsLive(facts, event) &&
				openWaits(facts.run as RunFacts).every(
					(name) => name === as<"unwait">(event).name,
				),
		),
		hasUsedName: test((facts, event) => {
			if (!mayAct(facts, event)) return false;
			const run = facts.run as RunFacts;
			const { name, unbegun } = as<"deliver">(event);
			return !unbegun && deliveryOf(run, name)?.attempt === run.attempt;
		}),
		hasDelivered: test(
			(facts, event) =>
				mayAct(facts, event) &&
				deliveryOf(facts.run as RunFacts, as<"deliver">(event).name)?.status ===
					"done",
		),
		isTriedAgain: test(
			(facts, event) =>
				ownsLive(facts, event) &&
				isTriedAgain(settled(facts, event), as<"settled">(event)),
		),
		isClosing: test(({ closing }, event) =>
			closing.some(
				({ generation }) => generation === as<"closed">(event).generation,
			),
		),
		isClosingInTime: test(({ closing }, event) =>
			closing.some(
				({ generation, postponed }) =>
					!postponed && generation === as<"postponed">(event).generation,
			),
		),
		// stopping
		stopsThis: test((facts, event) => {
			const { ticket, expect } = as<"abort">(event);
			return (
				(!ticket || (facts.run !== null && ownsRun(facts.run, ticket))) &&
				mismatchOf(facts, expect) === null
			);
		}),
		stopsOther: test((facts, event) => {
			const { ticket, expect } = as<"abort">(event);
			return ticket !== undefined || mismatchOf(facts, expect) !== null;
		}),
		namesWaiting: test((facts, event) => {
			const { messageId, ...rest } = as<"abort">(event).expect ?? {};
			return (
				messageId !== undefined &&
				line.waitingMessage(facts, messageId) !== undefined &&
				mismatchOf(facts, rest) === null
			);
		}),
		namesReservation: test((facts, event) => {
			const { runId, ...rest } = as<"abort">(event).expect ?? {};
			return (
				facts.reservations.some((run) => run.runId === runId) &&
				mismatchOf(facts, rest) === null
			);
		}),
		dropsWaiting: test(
			({ queue, retries }, event) =>
				retries.length > 0 ||
				(as<"abort">(event).queued === "drop" && queue.length > 0),
		),
		deletesAgain: test(
			(facts, event) =>
				facts.hidden &&
				facts.version > 0 &&
				(as<"delete">(event).purge ||
					isDraining(facts) ||
					facts.queue.length > 0),
		),
		hasDrained: test((facts) => !isDraining(facts)),
		hasDrainedToPurge: test(
			(facts) => !isDraining(facts) && facts.purgeBefore !== null,
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
		keepLine: (_, _params: SessionEffects["keepLine"]) => {},
		keepEntry: (_, _params: SessionEffects["keepEntry"]) => {},
		hideEntries: (_, _params: SessionEffects["hideEntries"]) => {},
		closeGenerations: (_, _params: SessionEffects["closeGenerations"]) => {},
		purge: (_, _params: SessionEffects["purge"]) => {},
		// How the facts change.
		begin: assign(
			change((facts, event) => {
				const lined = accepted(facts, event);
				return line.take(lined, next(lined, event), event);
			}),
		),
		accept: assign(change(accepted)),
		take: assign(
			change((facts, event) => line.take(facts, next(facts, event), event)),
		),
		interrupt: assign(
			change((facts, event) =>
				generation.interrupt(facts, as<"message">(event)),
			),
		),
		pull: assign(change((facts, event) => line.pull(facts, as<"pull">(event)))),
		edit: assign(change((facts, event) => line.edit(facts, as<"edit">(event)))),
		remove: assign(
			change((facts, event) =>
				line.without(
					life.touch(facts, event),
					({ messageId }) => messageId === as<"remove">(event).messageId,
				),
			),
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
			change((facts, event) =>
				line.putBack(
					life.leave(facts, as<"settled">(event), settled(facts, event)),
					life.unreadOf(facts, as<"settled" | "overdue">(event)),
				),
			),
		),
		requeue: assign(
			change((facts, event) =>
				requeue(facts, as<"settled">(event), settled(facts, event)),
			),
		),
		append: assign(
			change((facts, event) => life.append(facts, as<"append">(event))),
		),
		wait: assign(change(liveStep<"wait">())),
		unwait: assign(change(liveStep<"unwait">())),
		deliver: assign(change(liveStep<"deliver">())),
		noteAlive: assign(change(liveStep<"alive">())),
		answer: assign(
			change((facts, event) => life.answer(facts, as<"answer">(event))),
		),
		noteDelivery: assign(
			change((facts, event) =>
				life.noteDelivery(facts, as<"delivered">(event)),
			),
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
		dropWaiting: assign(
			change((facts, event) =>
				generation.dropWaiting(facts, as<"abort">(event)),
			),
		),
		closed: assign(
			change((facts, event) => generation.closed(facts, as<"closed">(event))),
		),
		postponed: assign(
			change((facts, event) =>
				generation.postponed(facts, as<"postponed">(event)),
			),
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
		clearPurge: assign(change(generation.purged)),
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
