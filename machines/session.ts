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

type Scope = { readonly context: SessionFacts; readonly event: SessionEvent };
type EventOf<Type extends SessionEvent["type"]> = life.EventOf<Type>;

/** The chart says which event an action runs on; this says so to the compiler. */
function as<Type extends SessionEvent["type"]>(event: SessionEvent) {
	return event as EventOf<Type>;
}

const reply = (make: (scope: Scope) => Reply) =>
	({ type: "reply", params: make }) as const;

const done = reply(() => ({ result: "done" }));
const nothing = reply(() => ({ result: "nothing" }));
const stale = reply(({ context, event }) => ({
	result: "stale",
	mismatch: mismatchOf(
		context,
		"expect" in event ? event.expect : null,
	) as NonNullable<ReturnType<typeof mismatchOf>>,
}));
const staleRun = reply(() => ({ result: "stale", mismatch: "runId" }));
const busy = reply(({ context }) => ({
	result: "busy",
	current: context.run ? ticketOf(context.run) : null,
}));
const full = reply(({ event }) => ({
	result: "full",
	capacity: as<"message">(event).capacity,
}));
const moved = reply(() => ({ result: "moved" }));
const admitted = reply(({ context, event }) => ({
	result: "admitted",
	run: life.admittedRun(context, as<"admit">(event)),
}));
const sameRun = reply(({ context, event }) => ({
	result: "admitted",
	run:
		context.run?.runId === as<"admit">(event).runId
			? context.run
			: (life.reservationOf(context, as<"admit">(event).runId) as RunFacts),
}));
const verdict = reply(({ context, event }) => {
	const { run, ...rest } = judge(context, as<"report">(event).report);
	return { result: "verdict", ...rest, ticket: run ? ticketOf(run) : null };
});

/** The run that an event settles, as it stood before. */
function owner({ context, event }: Scope): RunFacts {
	if (event.type === "report")
		return judge(context, event.report).run as RunFacts;
	const { ticket } = as<"settled" | "overdue">(event);
	if (context.run && ownsRun(context.run, ticket)) return context.run;
	return context.draining.find(({ run }) => ownsRun(run, ticket))
		?.run as RunFacts;
}

/** The run that an event settles, settled. A guard and several actions ask this of one event, so the last answer is remembered. */
function settled({ context, event }: Scope): RunFacts {
	const run = owner({ context, event });
	if (memo?.run !== run || memo.event !== event)
		memo = {
			run,
			event,
			settled:
				event.type === "report"
					? life.reportedRun(context, event)
					: life.settledRun(run, as<"settled" | "overdue">(event)),
		};
	return memo.settled;
}
let memo: {
	readonly run: RunFacts;
	readonly event: SessionEvent;
	readonly settled: RunFacts;
} | null = null;

const keepSettled = {
	type: "keepRuns",
	params: (scope: Scope) => [settled(scope)],
} as const;
const keepCompleted = {
	type: "keepGeneration",
	params: (scope: Scope) =>
		life.completeGeneration(scope.context, settled(scope)),
} as const;
const keepReserved = {
	type: "keepRuns",
	params: ({ context, event }: Scope) => [
		life.admittedRun(context, as<"admit">(event)),
	],
} as const;
const show = {
	type: "showRun",
	params: ({ context }: Scope) => context.run as RunFacts,
} as const;
const startAdmitted = {
	type: "startRun",
	params: ({ context }: Scope) => ({
		run: context.run as RunFacts,
		messages: [],
	}),
} as const;
const stopLive = {
	type: "stopRuns",
	params: ({ context, event }: Scope) =>
		life.stopsOf([
			{ run: life.stopLive(context, as<"abort">(event)).run as RunFacts },
		]),
} as const;
const dropMessages = {
	type: "keepMessages",
	params: ({ context, event }: Scope) =>
		life.droppedBy(context, as<"reset" | "delete" | "abort">(event)),
} as const;

/** Effects that need the facts of the generation that ends come before `mint`. */
const endGeneration = [
	{
		type: "stopRuns",
		params: ({ context, event }: Scope) =>
			life.stopsOf(life.drainAfter(context, as<"reset" | "delete">(event))),
	},
	{
		type: "keepGeneration",
		params: ({ context, event }: Scope) =>
			life.endedGeneration(context, as<"reset" | "delete">(event)),
	},
	dropMessages,
	"mint",
	done,
] as const;

/** The fence. */
function ownsLive({ context, event }: Scope): boolean {
	return (
		context.run !== null &&
		ownsRun(
			context.run,
			as<"settled" | "overdue" | "rotate" | "usage">(event).ticket,
		)
	);
}

function says(
	{ context, event }: Scope,
	verdict: VerdictKind,
	start: boolean,
): boolean {
	const { report } = as<"report">(event);
	return (
		(report.phase === "start") === start &&
		judge(context, report).verdict === verdict
	);
}

const takeNext = {
	guard: "mayTake",
	target: "#session.running",
	actions: [
		{
			type: "startRun",
			params: ({ context, event }: Scope) => ({
				run: life.nextRun(context, event),
				messages: context.queue.slice(0, 1).map(life.messageOf),
			}),
		},
		{
			type: "keepMessages",
			params: ({ context, event }: Scope) => life.takenBy(context, event),
		},
		"take",
	],
} as const;

/** What idle, ended and failed have in common: the session is free. */
const free = {
	always: takeNext,
	on: {
		report: [
			{
				guard: "reportStartsRun",
				target: "#session.running",
				actions: [verdict, "startReserved", startAdmitted],
			},
			{
				guard: "reportFailsRun",
				target: "#session.failed",
				actions: [verdict, keepSettled, "leave"],
			},
			{
				guard: "reportEndsRun",
				target: "#session.ended",
				actions: [verdict, keepSettled, "leave"],
			},
		],
	},
} as const;

const settleDraining = [keepSettled, keepCompleted, "settleDraining"] as const;

export const sessionMachine = setup({
	types: {
		context: {} as SessionFacts,
		events: {} as SessionEvent,
		input: {} as SessionFacts | { readonly sessionKey: string },
	},
	actors: {
		/** The engine spawns it on `startRun`, one child a generation. */
		run: runLogic,
	},
	guards: {
		expectsOther: ({ context, event }) =>
			mismatchOf(context, "expect" in event ? event.expect : null) !== null,
		expectsThis: ({ context, event }) =>
			mismatchOf(context, "expect" in event ? event.expect : null) === null,
		isHidden: ({ context }) => context.hidden,
		isUnused: ({ context }) => context.hidden && context.version === 0,
		isImported: ({ context }) => !context.hidden || context.version > 0,
		// messages
		refusesOverlap: ({ context, event }) =>
			as<"message">(event).mode === "reject" &&
			(context.run !== null ||
				context.draining.length > 0 ||
				context.queue.length > 0),
		queueIsFull: ({ context, event }) =>
			context.queue.length >= as<"message">(event).capacity,
		mayTake: ({ context, event }) =>
			context.queue.length > 0 && typeof event.grant === "string",
		// admissions
		isLiveAgain: ({ context, event }) =>
			context.run?.driver === "host" &&
			context.run.runId === as<"admit">(event).runId,
		isReservedAgain: ({ context, event }) =>
			as<"admit">(event).reserve &&
			life.reservationOf(context, as<"admit">(event).runId) !== undefined,
		reserves: ({ event }) => as<"admit">(event).reserve,
		isTaken: ({ context }) =>
			context.run !== null || context.draining.length > 0,
		// reports
		reportStartsRun: (scope) => says(scope, "applied", true),
		reportFailsRun: (scope) =>
			says(scope, "applied", false) && settled(scope).outcome === "failed",
		reportEndsRun: (scope) => says(scope, "applied", false),
		reportStartsDrainingRun: (scope) => says(scope, "archived", true),
		reportEndsDrainingRun: (scope) => says(scope, "archived", false),
		// the fence
		ownsLiveRun: ownsLive,
		ownsDrainingRun: ({ context, event }) =>
			context.draining.some(({ run }) =>
				ownsRun(run, as<"settled" | "overdue" | "usage">(event).ticket),
			),
		isOfThisGeneration: ({ context, event }) =>
			!context.hidden &&
			as<"usage">(event).ticket.generation === context.generation,
		liveRunFailed: (scope) =>
			ownsLive(scope) && settled(scope).outcome === "failed",
		// stopping
		namesReservation: ({ context, event }) => {
			const { runId, ...rest } = as<"abort">(event).expect ?? {};
			return (
				runId !== undefined &&
				life.reservationOf(context, runId) !== undefined &&
				mismatchOf(context, rest) === null
			);
		},
		dropsQueue: ({ context, event }) =>
			as<"abort">(event).queued === "drop" && context.queue.length > 0,
		purgesAgain: ({ context, event }) =>
			context.hidden && context.version > 0 && as<"delete">(event).purge,
		hasDrained: ({ context }) => context.draining.length === 0,
		hasDrainedToPurge: ({ context }) =>
			context.draining.length === 0 && context.purge,
		// the host's own fields
		metaMoved: ({ context, event }) => {
			const { seen } = as<"patch">(event);
			return seen !== undefined && seen !== context.meta;
		},
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
		accept: assign(({ context, event }) =>
			life.accept(context, as<"message">(event)),
		),
		take: assign(({ context, event }) => life.take(context, event)),
		touch: assign(({ context, event }) => life.touch(context, event)),
		reserve: assign(({ context, event }) =>
			life.reserve(context, as<"admit">(event)),
		),
		admit: assign(({ context, event }) =>
			life.admit(context, as<"admit">(event)),
		),
		startReserved: assign(({ context, event }) =>
			life.startReserved(context, as<"report">(event)),
		),
		noteStart: assign(({ context, event }) =>
			life.noteStart(context, as<"report">(event)),
		),
		leave: assign(({ context, event }) =>
			life.leave(context, event, settled({ context, event })),
		),
		rotate: assign(({ context, event }) =>
			life.rotate(context, as<"rotate">(event)),
		),
		countUsage: assign(({ context, event }) =>
			life.countUsage(context, as<"usage">(event)),
		),
		stopLive: assign(({ context, event }) =>
			life.stopLive(context, as<"abort">(event)),
		),
		cancelReservation: assign(({ context, event }) => ({
			...life.touch(context, event),
			reservations: context.reservations.filter(
				(run) => run.runId !== as<"abort">(event).expect?.runId,
			),
		})),
		dropQueue: assign(({ context, event }) => ({
			...life.touch(context, event),
			queue: [],
		})),
		mint: assign(({ context, event }) =>
			life.mint(context, as<"reset" | "delete">(event)),
		),
		openByReset: assign(({ context, event }) =>
			life.openByReset(context, as<"reset">(event)),
		),
		askPurge: assign(({ context, event }) => ({
			...life.touch(context, event),
			purge: true,
		})),
		clearPurge: assign({ purge: false }),
		settleDraining: assign(({ context, event }) =>
			life.settleDraining(context, event, settled({ context, event })),
		),
		startDraining: assign(({ context, event }) =>
			life.startDraining(context, as<"report">(event)),
		),
		patchMeta: assign(({ context, event }) =>
			life.patchMeta(context, as<"patch">(event)),
		),
		importFacts: assign(({ context, event }) =>
			life.importFacts(context, as<"import">(event)),
		),
	},
}).createMachine({
	id: "session",
	context: ({ input }) =>
		"version" in input ? input : unusedFacts(input.sessionKey),
	initial: "idle",
	on: {
		message: [
			{ guard: "expectsOther", actions: stale },
			{ guard: "refusesOverlap", actions: busy },
			{ guard: "queueIsFull", actions: full },
			{
				actions: [
					{
						type: "keepMessages",
						params: ({ context, event }) => [
							{
								message: life.arriving(context, event),
								fate: "queued",
								run: null,
								reason: null,
							},
						],
					},
					"accept",
					done,
				],
			},
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
			{ guard: "isHidden", actions: ["openByReset", done] },
			{ target: ".resetting", actions: endGeneration },
		],
		delete: [
			{ guard: "expectsOther", actions: stale },
			{
				guard: "purgesAgain",
				target: ".resetting",
				actions: ["askPurge", done],
			},
			{ guard: "isHidden", actions: nothing },
			{ target: ".resetting", actions: endGeneration },
		],
		abort: [
			{
				guard: "namesReservation",
				actions: [
					{
						type: "keepRuns",
						params: ({ context, event }) => [
							life.cancelReservation(context, event),
						],
					},
					"cancelReservation",
					done,
				],
			},
			{ guard: "expectsOther", actions: stale },
			{
				guard: "dropsQueue",
				actions: [dropMessages, "dropQueue", done],
			},
			{ actions: nothing },
		],
		usage: [
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
			initial: "executing",
			on: {
				report: [
					{
						guard: "reportStartsRun",
						actions: [verdict, "noteStart", show],
					},
					{
						guard: "reportFailsRun",
						target: "#session.failed",
						actions: [verdict, keepSettled, "leave"],
					},
					{
						guard: "reportEndsRun",
						target: "#session.ended",
						actions: [verdict, keepSettled, "leave"],
					},
				],
				settled: [
					{
						guard: "liveRunFailed",
						target: "#session.failed",
						actions: [keepSettled, "leave"],
					},
					{
						guard: "ownsLiveRun",
						target: "#session.ended",
						actions: [keepSettled, "leave"],
					},
				],
			},
			states: {
				executing: {
					on: {
						abort: {
							guard: "expectsThis",
							target: "aborting",
							actions: [stopLive, dropMessages, "stopLive", done],
						},
						rotate: {
							guard: "ownsLiveRun",
							actions: ["rotate", show, done],
						},
					},
				},
				aborting: {
					on: {
						// Repeated aborts join; the earliest deadline counts.
						abort: {
							guard: "expectsThis",
							actions: [stopLive, dropMessages, "stopLive", done],
						},
						overdue: {
							guard: "ownsLiveRun",
							target: "#session.ended",
							actions: [keepSettled, "leave"],
						},
					},
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
					actions: [
						{
							type: "purge",
							params: ({ context }) => ({
								sessionKey: context.sessionKey,
								before: context.generation,
							}),
						},
						"clearPurge",
					],
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

/** The state that the facts mean; the chart in any other state has a bug. */
export function stateOf(facts: SessionFacts) {
	const status = statusOf(facts);
	if (status !== "running") return status;
	return { running: facts.run?.stop ? "aborting" : "executing" } as const;
}
