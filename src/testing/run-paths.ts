/**
 * Owns the paths of a run: short ways, found with @xstate/graph, through every state of the run logic and every step of `stepRun` that a run
 * can take there, and the list of the steps that it cannot, with the reasons. Never decides what a step does.
 */
import {
	openWaits,
	type RunEvent,
	type RunFacts,
	stepRun,
} from "../../machines/run.ts";
import type { StopCause } from "../../machines/ticket.ts";
import { loaded } from "./optional.ts";
import { firstWorld, happen, stimuli } from "./session-world.ts";
import type { UnreachableTransition } from "./unreachable.ts";

/** One step of a run in one state. */
export interface RunTransition {
	/** `executing: stop` */
	readonly name: string;
	readonly state: RunFacts["status"];
	readonly step: RunEvent["type"];
}

/** A way of a run, from one of the three states in which runs begin. */
export interface RunPath {
	/** The transition that it was made for. */
	readonly name: string;
	/** Names of all transitions that it takes. */
	readonly covers: readonly string[];
	/** As its session made it: reserved, admitted, or executing. */
	readonly begins: RunFacts;
	readonly steps: readonly {
		readonly event: RunEvent;
		/** The run after it. */
		readonly run: RunFacts;
	}[];
}

/** The compiler sees to it that no state is left out. */
const states: Record<RunFacts["status"], true> = {
	reserved: true,
	admitted: true,
	executing: true,
	aborting: true,
	settled: true,
	abandoned: true,
};

const isLive = ({ status }: RunFacts) =>
	status === "admitted" || status === "executing";
const isOver = ({ outcome }: RunFacts) => outcome !== null;
/** A dead attempt's, or a live one's: whose answer may still be given. */
const mayBeAnswered = (run: RunFacts) =>
	run.waits.length > 0 &&
	(run.stop === null || run.stop.cause === "shutdown") &&
	(run.outcome === null || run.outcome === "interrupted");

interface Step<Type extends RunEvent["type"]> {
	may(run: RunFacts): boolean;
	make(run: RunFacts): readonly Extract<RunEvent, { type: Type }>[];
}

const at = Date.UTC(2026, 0, 2);
const stop = (cause: StopCause) => ({
	type: "stop" as const,
	stop: { cause, reason: null, deadline: at, at },
});
const settle = (outcome: "completed" | "failed" | "interrupted") => ({
	type: "settle" as const,
	end: { at, outcome },
});

/** What each step is made of, and when a session has its run take it. The compiler sees to it that none is left out. */
const steps: { readonly [Type in RunEvent["type"]]: Step<Type> } = {
	start: {
		may: (run) => !isOver(run) && run.startedAt === null,
		make: () => [{ type: "start", at }],
	},
	usage: {
		may: () => true,
		make: () => [{ type: "usage", inputTokens: 3, outputTokens: 5 }],
	},
	rotate: {
		may: (run) => isLive(run) || run.status === "reserved",
		make: () => [{ type: "rotate", sessionId: "session-2" }],
	},
	wait: {
		may: isLive,
		make: () => [{ type: "wait", at: 3, name: "a", deadline: null }],
	},
	answer: {
		may: mayBeAnswered,
		make: () => [{ type: "answer", at: 3, name: "a", value: true }],
	},
	unwait: {
		may: (run) => isLive(run) && openWaits(run).length > 0,
		make: () => [{ type: "unwait", at: 3, name: "a" }],
	},
	deliver: {
		may: isLive,
		make: () => [{ type: "deliver", name: "post" }],
	},
	delivered: {
		may: ({ deliveries }) => deliveries.length > 0,
		make: () => [
			{ type: "delivered", name: "post", status: "done", result: 1 },
			{ type: "delivered", name: "post", status: "failed", result: null },
		],
	},
	alive: {
		may: (run) => isLive(run) || run.status === "aborting",
		make: () => [{ type: "alive", at }],
	},
	takeBack: {
		may: ({ status }) => status === "aborting",
		make: () => [{ type: "takeBack" }],
	},
	stop: {
		may: (run) => !isOver(run),
		make: () => [stop("reset"), stop("shutdown")],
	},
	settle: {
		may: (run) => !isOver(run),
		make: ({ status }) => [
			settle("completed"),
			settle("failed"),
			settle("interrupted"),
			...(status === "aborting"
				? [
						{
							type: "settle" as const,
							end: { at, outcome: "abandoned" } as const,
						},
					]
				: []),
		],
	},
};

function nameOf(state: RunFacts["status"], step: RunEvent["type"]): string {
	return `${state}: ${step}`;
}

/**
 * Every step of `stepRun` in every state of a run.
 *
 * @example runTransitions().map(({ name }) => name) // "reserved: start", …
 */
export function runTransitions(): readonly RunTransition[] {
	return Object.keys(states).flatMap((key) =>
		Object.keys(steps).map((type) => {
			const state = key as RunFacts["status"];
			const step = type as RunEvent["type"];
			return { name: nameOf(state, step), state, step };
		}),
	);
}

const over = "a run that is over begins nothing, and ends once";

/** By the state, what a run cannot do there. */
const reasons: readonly {
	readonly why: string;
	readonly states: readonly RunFacts["status"][];
	readonly steps: readonly RunEvent["type"][];
}[] = [
	{
		why: over,
		states: ["settled", "abandoned"],
		steps: [
			"start",
			"rotate",
			"wait",
			"unwait",
			"deliver",
			"alive",
			"takeBack",
			"stop",
			"settle",
		],
	},
	{
		why: "what was told to stop and did not is not tried again, so nobody answers it",
		states: ["abandoned"],
		steps: ["answer"],
	},
	{
		why: "a reservation has begun nothing",
		states: ["reserved"],
		steps: [
			"wait",
			"answer",
			"unwait",
			"deliver",
			"delivered",
			"alive",
			"takeBack",
		],
	},
	{
		why: "it has started",
		states: ["executing"],
		steps: ["start"],
	},
	{
		why: "only what was told to stop is taken back",
		states: ["admitted", "executing"],
		steps: ["takeBack"],
	},
	{
		why: "what was told to stop begins nothing more, and its waits are over",
		states: ["aborting"],
		steps: ["rotate", "wait", "unwait", "deliver"],
	},
];

/** Steps of `runTransitions` that no run takes, by design, each with the reason. */
export function unreachableRunTransitions(): readonly UnreachableTransition[] {
	return reasons.flatMap(({ why, states, steps }) =>
		states.flatMap((state) =>
			steps.map((step) => ({ name: nameOf(state, step), why })),
		),
	);
}

/** What two runs that can go on alike have in common. */
function shapeOf(run: RunFacts): string {
	return JSON.stringify([
		run.status,
		run.outcome === "interrupted",
		run.startedAt !== null,
		run.stop?.cause ?? null,
		run.takenBack,
		run.waits.length,
		run.answers.length > 0,
		run.deliveries.map(({ status }) => status),
		run.sessionIds.length > 1,
	]);
}

/** As a session makes them. */
function beginnings(): readonly RunFacts[] {
	const first = firstWorld(false);
	const reserved = happen(first, stimuli["a run is reserved"]).facts;
	const admitted = happen(first, stimuli["a run is admitted"]).facts;
	const executing = happen(first, stimuli["a message"]).facts;
	return [...reserved.reservations, admitted.run, executing.run].filter(
		(run) => run !== null && run !== undefined,
	);
}

function mayTake(run: RunFacts): readonly RunEvent[] {
	return Object.values(steps).flatMap(({ may, make }): readonly RunEvent[] =>
		may(run) ? make(run) : [],
	);
}

/** @xstate/graph, as far as it is used. */
interface Graph {
	getShortestPaths(
		logic: unknown,
		options: object,
	): readonly { readonly steps: readonly { readonly event: RunEvent }[] }[];
}

/**
 * Short paths that together take every step of a run that can be taken (`runTransitions`, `unreachableRunTransitions`). Plain data.
 *
 * @throws INVALID_ARGUMENT if @xstate/graph is not installed
 * @example
 * for (const { begins, steps } of await runPaths())
 *   steps.reduce((run, { event }) => stepRun(run, event), begins);
 */
export async function runPaths(): Promise<readonly RunPath[]> {
	const graph: Graph = await loaded("@xstate/graph", "runPaths");
	const shortest = new Map<string, RunPath>();
	for (const begins of beginnings()) {
		const logic = {
			transition: (run: RunFacts, event: RunEvent) => stepRun(run, event),
			getInitialSnapshot: () => begins,
			getPersistedSnapshot: (run: RunFacts) => run,
		};
		const ways = graph.getShortestPaths(logic, {
			events: mayTake,
			serializeState: shapeOf,
		});
		for (const { steps } of ways) {
			// The first step is XState's own, which only says where it begins.
			const events = steps.slice(1).map(({ event }) => event);
			const last = walk(begins, events).at(-1)?.run ?? begins;
			for (const event of mayTake(last)) {
				const name = nameOf(last.status, event.type);
				const known = shortest.get(name);
				if (known && known.steps.length <= events.length + 1) continue;
				shortest.set(name, pathOf(name, begins, [...events, event]));
			}
		}
	}
	return covering([...shortest.values()]);
}

function walk(begins: RunFacts, events: readonly RunEvent[]): RunPath["steps"] {
	let run = begins;
	return events.map((event) => {
		run = stepRun(run, event);
		return { event, run };
	});
}

function pathOf(
	name: string,
	begins: RunFacts,
	events: readonly RunEvent[],
): RunPath {
	const steps = walk(begins, events);
	const before = [begins, ...steps.map(({ run }) => run)];
	const covers = events.map(({ type }, i) =>
		nameOf((before[i] as RunFacts).status, type),
	);
	return { name, covers: [...new Set(covers)], begins, steps };
}

/** The longest first: what it takes on its way needs no path of its own. */
function covering(paths: readonly RunPath[]): readonly RunPath[] {
	const covered = new Set<string>();
	return paths
		.toSorted((a, b) => b.steps.length - a.steps.length)
		.filter(({ name, covers }) => {
			if (covered.has(name)) return false;
			for (const one of covers) covered.add(one);
			return true;
		});
}
