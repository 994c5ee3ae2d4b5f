/**
 * Owns the paths through the session machine: short ways, found with @xstate/graph, that together take every transition that can be taken.
 * Never runs anything but the bare machine; play-path.ts plays them on a runtime.
 */
import type { SessionEvent } from "../../machines/events.ts";
import { isDraining, type SessionFacts } from "../../machines/facts.ts";
import { openWaits, type RunFacts } from "../../machines/run.ts";
import { loaded } from "./optional.ts";
import {
	type AskedEffect,
	firstWorld,
	happen,
	type StimulusName,
	stimuli,
	type World,
} from "./session-world.ts";

/** One event of a path, and what the machine makes of it. */
export interface PathStep {
	/** What happens, in words: `a run is admitted`. */
	readonly what: StimulusName;
	readonly event: SessionEvent;
	/** Names of the transitions that it takes, the one of the event first. */
	readonly takes: readonly string[];
	/** The state of the chart after it. */
	readonly state: string;
	readonly facts: SessionFacts;
	/** What the machine asked of its engine, in order. */
	readonly effects: readonly AskedEffect[];
	/** No run may begin after this step: other sessions have all slots. */
	readonly isHeldUp: boolean;
}

/** A way through the session machine, from a key that nobody has used. */
export interface SessionPath {
	/** The transition that it was made for; with the mode of the message, or the state of the run, where it was made for that too. */
	readonly name: string;
	/** Names of all transitions that it takes. */
	readonly covers: readonly string[];
	/** Whether the host has work of its own to do on every generation that ends (`onGenerationEnded`). */
	readonly hasHook: boolean;
	readonly steps: readonly PathStep[];
}

/** A part of what may happen, small enough to be walked through in all its combinations. */
interface Chapter {
	readonly hasHook?: boolean;
	/** Events from the start at most. */
	readonly depth: number;
	readonly what: readonly StimulusName[];
}

/** Every state can be reached by these. */
const basics = [
	"a message",
	"the run completes",
	"the run fails",
	"it waits for a",
	"an abort",
	"a reset",
] as const satisfies readonly StimulusName[];

const hosts = [
	"a run is admitted",
	"the host's run ends",
	"the host's run fails",
	"it waits for a",
	"an abort",
	"a reset",
] as const satisfies readonly StimulusName[];

const chapters: readonly Chapter[] = [
	{
		// messages that find nobody else
		depth: 5,
		what: [
			...basics,
			"a message that overlaps nothing",
			"a message for a full line",
			"the latest message",
			"a message to collect",
			"a message that interrupts",
			"a message that rolls back",
			"a message that steers",
			"a message for another generation",
			"it takes what steers it",
			"a stopped run takes what steers it",
			"the grace period is over",
			"the grace period of a stop that could not be stored is over",
			"a draining run completes",
			"something is answered that no run here asked",
			"it has used tokens",
			"it appends",
			"a managed run is reported",
		],
	},
	{
		// a line that cannot go on
		depth: 4,
		what: [
			...hosts,
			"a message while others have all slots",
			"a message for a full line",
			"a message that overlaps nothing",
			"the line goes on",
			"a waiting message is edited",
			"a waiting message is put before one that does not wait",
			"a message that does not wait is edited",
			"a waiting message is removed",
			"a message that does not wait is removed",
			"an abort of a waiting message",
			"an abort that drops the line",
			"an abort of another generation",
			"a delete that keeps the line",
		],
	},
	{
		// reservations and reports
		depth: 5,
		what: [
			...hosts,
			"a run is admitted to another generation",
			"the live run is admitted again",
			"a run is reserved",
			"a reserved run is reserved again",
			"a reserved run is given up",
			"a reserved run starts",
			"a reserved run makes progress",
			"a reserved run ends",
			"a reserved run fails",
			"a reserved run has used tokens",
			"the host's run starts",
			"the host's run makes progress",
			"a draining run starts",
			"a draining run makes progress",
			"a draining run ends",
			"a draining run has used tokens",
			"a run that settled has used tokens",
		],
	},
	{
		// what comes after the end of its run
		depth: 5,
		what: [
			...hosts,
			"a settled run moves on to another session id",
			"a settled run appends",
			"a settled run waits",
			"a settled run begins a delivery",
			"a run that settled has used tokens",
		],
	},
	{
		// what a run owns
		depth: 4,
		what: [
			...basics,
			"it waits for b",
			"it waits for a while",
			"it waits for what was answered",
			"a is answered",
			"b is answered",
			"something is answered that nobody asked",
			"nobody answers for a while",
			"it begins a delivery",
			"the delivery is done",
			"it moves on to another session id",
			"it has used tokens",
		],
	},
	{
		// what a run of the host's owns
		depth: 4,
		what: [
			...hosts,
			"the host's run starts",
			"it waits for a while",
			"it waits for what was answered",
			"a is answered",
			"nobody answers for a while",
			"it begins a delivery",
			"the delivery is done",
			"it moves on to another session id",
			"it has used tokens",
			"it appends",
		],
	},
	{
		// a lease
		depth: 3,
		what: [
			...hosts,
			"a run with a lease is admitted",
			"the host's run starts",
			"it lives",
		],
	},
	{
		// commands
		depth: 4,
		what: [
			...basics,
			"a reset of another generation",
			"a delete",
			"a delete that erases",
			"a delete of another generation",
			"a patch",
			"a patch for another generation",
			"a patch whose fields have changed since",
			"an import",
		],
	},
	{
		// the host's own work on what ended
		hasHook: true,
		depth: 3,
		what: [
			"a message",
			"the run completes",
			"a reset",
			"a delete",
			"a delete that erases",
			"a draining run completes",
			"the host has done its work on what ended",
		],
	},
	{
		// … that it could not be told of in time
		hasHook: true,
		depth: 6,
		what: [
			"a message",
			"it waits for a",
			"the run completes",
			"the run fails",
			"an abort",
			"a reset",
			"the host cannot be told in time of what ended",
			"the host has done its work on what ended",
		],
	},
	{
		// processes that die, and what was asked of them
		depth: 7,
		what: [
			"a message",
			"a message after which it shall be quiet",
			"it waits for a",
			"it waits for b",
			"it waits for what was answered",
			"a is answered",
			"a is answered for the next attempt",
			"something is answered that nobody asked",
			"its process dies",
			"its process dies and the run is to be tried again",
			"the line goes on",
			"a run is admitted",
			"the host's run fails",
		],
	},
	{
		// processes that die, and what they have done
		depth: 8,
		what: [
			"a message",
			"a message after which it shall be quiet",
			"it begins a delivery",
			"the delivery is done",
			"its process dies and the run is to be tried again",
			"the line goes on",
			"it waits for b",
		],
	},
	{
		// processes that close
		depth: 6,
		what: [
			"a message",
			"it waits for a",
			"a is answered",
			"it begins a delivery",
			"the delivery is done",
			"its process closes",
			"the grace period of the close is over",
		],
	},
];

/** What the two runs of one path that behave alike have in common: ids, times and counters apart. */
function shapeOfRun(run: RunFacts): unknown {
	return [
		run.driver,
		run.status,
		run.startedAt !== null,
		run.stop?.cause === "shutdown",
		run.leaseMs !== null,
		run.waits.map(({ name }) => name).sort(),
		run.stop ? [] : [...openWaits(run)].sort(),
		run.answers.map(({ name }) => name),
		run.deliveries.map(({ name, status, attempt }) => [
			name,
			status,
			attempt === run.attempt,
		]),
	];
}

/** Two worlds of one shape can go on alike. */
function shapeOf(world: World): string {
	const { facts } = world;
	return JSON.stringify([
		world.state,
		world.isHeldUp,
		world.isClosing,
		world.late !== null,
		world.settled && world.settled.generation === facts.generation,
		facts.hidden,
		facts.version > 0,
		facts.purgeBefore !== null,
		facts.run && shapeOfRun(facts.run),
		facts.reservations.length,
		facts.draining.map(({ run }) => shapeOfRun(run)),
		facts.closing.length,
		facts.retries.map(shapeOfRun),
		facts.queue.map(({ front, steers, group }) => [
			front,
			steers !== null,
			group !== null,
		]),
		facts.quietUntil > world.at,
		"title" in (facts.meta as object),
	]);
}

/** What @xstate/graph walks: as an event only what happens is named; the event itself is made from the facts as they are then. */
interface Happening {
	readonly type: StimulusName;
}

interface GraphPath {
	readonly state: World;
	readonly steps: readonly { readonly event: { readonly type: string } }[];
}

/** @xstate/graph, as far as it is used. */
interface Graph {
	getShortestPaths(logic: unknown, options: object): readonly GraphPath[];
}

function mayHappen(world: World, { what }: Chapter): readonly StimulusName[] {
	return what.filter((one) => stimuli[one].may(world));
}

/** The shortest ways to all shapes that a chapter has. */
function waysOf(chapter: Chapter, { getShortestPaths }: Graph) {
	const logic = {
		transition: (world: World, { type }: Happening) =>
			happen(world, stimuli[type]),
		getInitialSnapshot: () => firstWorld(chapter.hasHook === true),
		getPersistedSnapshot: (world: World) => world,
	};
	return getShortestPaths(logic, {
		events: (world: World) =>
			mayHappen(world, chapter).map((type) => ({ type })),
		serializeState: shapeOf,
		serializeEvent: ({ type }: Happening) => type,
		stopWhen: ({ steps }: World) => steps >= chapter.depth - 1,
	});
}

interface Way {
	readonly hasHook: boolean;
	readonly what: readonly StimulusName[];
}

/** The worlds that a way leads through, after each step. */
function walk({ hasHook, what }: Way): readonly World[] {
	let world = firstWorld(hasHook);
	return what.map((one) => {
		world = happen(world, stimuli[one]);
		return world;
	});
}

let found: Promise<readonly SessionPath[]> | null = null;

/**
 * Short paths from an unused key that together take every transition of the session chart that can be taken (`sessionTransitions`,
 * `unreachableTransitions`). Found once a process with @xstate/graph, the same each time; plain data, times and ids included.
 *
 * @throws INVALID_ARGUMENT if @xstate/graph is not installed
 * @example
 * for (const path of await sessionPaths())
 *   test(path.name, () => playPath(path, myStore())); // the real runtime, on a store of your own
 */
export function sessionPaths(): Promise<readonly SessionPath[]> {
	found ??= find();
	return found;
}

async function find(): Promise<readonly SessionPath[]> {
	const graph: Graph = await loaded("@xstate/graph", "sessionPaths");
	const shortest = new Map<string, Way>();
	for (const chapter of chapters) {
		const hasHook = chapter.hasHook === true;
		for (const { state, steps } of waysOf(chapter, graph)) {
			// The first step is XState's own, which only says where it begins.
			const way = steps.slice(1).map(({ event }) => event.type as StimulusName);
			for (const last of mayHappen(state, chapter)) {
				const what = [...way, last];
				for (const name of goalsOf(state, happen(state, stimuli[last]))) {
					const known = shortest.get(name);
					if (known && known.what.length <= what.length) continue;
					shortest.set(name, { hasHook, what });
				}
			}
		}
	}
	return covering(shortest);
}

/** What a run asks for in its own name. */
const ofRuns: readonly string[] = [
	"alive",
	"answer",
	"append",
	"deliver",
	"delivered",
	"rotate",
	"unwait",
	"usage",
	"wait",
];

/** What deserves a path: each transition, for messages in each mode, for what a run asks in each state of the run. */
function goalsOf({ facts }: World, { takes, event }: World): readonly string[] {
	const [first, ...others] = takes;
	if (first === undefined || event === null) return takes;
	const { run } = facts;
	const isOwn =
		ofRuns.includes(event.type) &&
		"ticket" in event &&
		event.ticket?.runId === run?.runId;
	const isBusy = run !== null || isDraining(facts);
	const detail =
		event.type === "message" && isBusy
			? event.policy.mode
			: run && isOwn
				? `a run that is ${run.status}`
				: null;
	return detail === null ? takes : [first, `${first}, ${detail}`, ...others];
}

/** The longest first: what it takes on its way needs no path of its own. */
function covering(shortest: ReadonlyMap<string, Way>): readonly SessionPath[] {
	const covered = new Set<string>();
	const paths: SessionPath[] = [];
	const ways = [...shortest].sort(
		([, a], [, b]) => b.what.length - a.what.length,
	);
	for (const [name, way] of ways) {
		if (covered.has(name)) continue;
		const worlds = walk(way);
		const covers = new Set(worlds.flatMap(({ takes }) => takes));
		const goals = worlds.flatMap((world, i) =>
			goalsOf(worlds[i - 1] ?? firstWorld(way.hasHook), world),
		);
		if (!goals.includes(name))
			throw new Error(
				`no path takes ${name}: what is alike by shape does not go on alike`,
			);
		for (const one of goals) covered.add(one);
		paths.push({
			name,
			covers: [...covers],
			hasHook: way.hasHook,
			steps: worlds.map((world, i) =>
				stepOf(way.what[i] as StimulusName, world),
			),
		});
	}
	return paths;
}

function stepOf(what: StimulusName, world: World): PathStep {
	const { event, takes, state, facts, effects, isHeldUp } = world;
	return {
		what,
		event: event as SessionEvent,
		takes,
		state,
		facts,
		effects,
		isHeldUp,
	};
}
