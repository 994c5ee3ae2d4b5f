/**
 * Owns what may happen to one session, an event at a time: the machine itself with what stands around it (the clock, whether there is a
 * slot, whether the process closes, who reported last), and the makers of the events that its host, its runs and its engine can cause.
 * Every event is made from the facts, as the engine makes it. Never decides anything: that is the machine's.
 */
import type { AnyActorScope } from "xstate";
import { createEmptyActor, getMicrosteps } from "xstate";
import type { Overlap, SessionEvent } from "../../machines/events.ts";
import type { QueuedMessage, SessionFacts } from "../../machines/facts.ts";
import { isDraining, unusedFacts } from "../../machines/facts.ts";
import type { RunFacts } from "../../machines/run.ts";
import { openWaits, ticketOf } from "../../machines/run.ts";
import { sessionMachine } from "../../machines/session.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { nameOf } from "./chart.ts";

/** Something that the machine asked for, by the names of `SessionEffects`. */
export interface AskedEffect {
	readonly type: string;
	readonly params: unknown;
}

/** One session at one moment, and how it came there. */
export interface World {
	readonly state: string;
	readonly facts: SessionFacts;
	/** Epoch ms. */
	readonly at: number;
	readonly steps: number;
	/** Names of the transitions that the last event took; none at the start. */
	readonly takes: readonly string[];
	readonly event: SessionEvent | null;
	readonly effects: readonly AskedEffect[];
	/** No run may begin here: others have all slots. */
	readonly isHeldUp: boolean;
	readonly isClosing: boolean;
	/** Whether the host has work of its own to do on what ends. */
	readonly hasHook: boolean;
	/** A run of the host's that ended without being told to: what it does from now on comes late. */
	readonly late: RunTicket | null;
	/** The run that settled last. */
	readonly settled: RunTicket | null;
	/** What runs were given, by message id. */
	readonly given: ReadonlyMap<string, QueuedMessage>;
}

/** One thing that may happen. */
export interface Stimulus {
	may(world: World): boolean;
	make(world: World): SessionEvent;
	/** What it does to what stands around the machine. */
	readonly around?: (
		world: World,
	) => Partial<Pick<World, "isHeldUp" | "isClosing">>;
}

export const pathKey = "path";
export const graceMs = 60_000;
/** From one event to the next. */
const stepMs = 10;
const quietMs = 5000;
export const waitMs = 5000;
export const leaseMs = 600_000;
export const retryBounds = { maxAttempts: 3, maxAgeMs: 1e9 } as const;
const start = Date.UTC(2026, 0, 1);

type Snapshot = ReturnType<typeof snapshotOf>;

const self = createEmptyActor();
/** For stepping the machine without an actor. */
const scope: AnyActorScope = {
	self,
	system: self.system,
	logger: () => {},
	id: "",
	sessionId: "",
	defer: () => {},
	stopChild: () => {},
	emit: () => {},
	actionExecutor: () => {},
};

function snapshotOf(state: string, facts: SessionFacts) {
	return sessionMachine.resolveState({
		value: state as never,
		context: { facts },
	});
}

/** A key that nobody has used. */
export function firstWorld(hasHook: boolean): World {
	const facts = unusedFacts(pathKey);
	const { value } = sessionMachine.getInitialSnapshot(scope as never, {
		sessionKey: pathKey,
	});
	return {
		state: String(value),
		facts,
		at: start,
		steps: 0,
		takes: [],
		event: null,
		effects: [],
		isHeldUp: false,
		isClosing: false,
		hasHook,
		late: null,
		settled: null,
		given: new Map(),
	};
}

/** Lets something happen. */
export function happen(world: World, stimulus: Stimulus): World {
	const made = stimulus.make(world);
	const event = { ...made, version: world.facts.version } as SessionEvent;
	const before = snapshotOf(world.state, world.facts);
	const [candidate] = sessionMachine.getTransitionData(before, event) ?? [];
	const takes: string[] = [];
	const effects: AskedEffect[] = [];
	let snapshot: Snapshot = before;
	if (candidate) {
		takes.push(nameOf(world.state, candidate));
		getMicrosteps(sessionMachine, before, event).forEach(
			([after, actions], i) => {
				if (i > 0) takes.push(alwaysTaken(snapshot, event));
				snapshot = after as Snapshot;
				effects.push(...(actions as unknown as AskedEffect[]));
			},
		);
	}
	const { facts } = snapshot.context;
	return {
		...world,
		...stimulus.around?.(world),
		...remembered(world, event, effects),
		state: String(snapshot.value),
		facts,
		at: event.at,
		steps: world.steps + 1,
		takes,
		event,
		effects,
	};
}

/** Which of the candidates that wait for no event was taken: the first whose guard holds. */
function alwaysTaken(snapshot: Snapshot, event: SessionEvent): string {
	const state = String(snapshot.value);
	const node = sessionMachine.root.states[state as never] as unknown as {
		readonly always?: readonly { readonly guard?: string }[];
	};
	const guards = sessionMachine.implementations.guards as unknown as Record<
		string,
		(scope: { context: Snapshot["context"]; event: SessionEvent }) => boolean
	>;
	const { context } = snapshot;
	const taken = node.always?.find(
		({ guard }) => guard === undefined || guards[guard]?.({ context, event }),
	);
	if (!taken) throw new Error(`nothing leads on from ${state} by itself`);
	return nameOf(state, taken);
}

function remembered(
	world: World,
	event: SessionEvent,
	effects: readonly AskedEffect[],
): Partial<World> {
	let { late, settled, given } = world;
	for (const { type, params } of effects) {
		if (type === "keepRuns")
			for (const run of params as readonly RunFacts[]) {
				if (run.outcome === null) continue;
				settled = ticketOf(run);
				if (run.driver === "host" && run.stop === null && !isDead(event))
					late = settled;
			}
		if (type === "startRun") {
			const { messages } = params as {
				readonly messages: readonly QueuedMessage[];
			};
			given = new Map([
				...given,
				...messages.map((one) => [one.messageId, one] as const),
			]);
		}
		if (type === "reply") {
			const { message } = params as { readonly message?: QueuedMessage };
			if (message) given = new Map([...given, [message.messageId, message]]);
		}
	}
	// Its process died with it: nobody is left who could come late.
	if (isDead(event)) late = null;
	return { late, settled, given };
}

function isDead(event: SessionEvent): boolean {
	return event.type === "settled" && event.recovers === true;
}

// ── what may happen

const gone = "gone";
const plain: Overlap = {
	mode: "enqueue",
	debounceMs: 0,
	capacity: 1000,
	onFull: "reject",
};

function next(world: World): { readonly at: number } {
	return { at: world.at + stepMs };
}

/** A fresh id, a name each. */
function id(world: World, what: string): string {
	return `${what}-${world.steps + 1}`;
}

function turn(world: World) {
	const isGranted = !world.isHeldUp && !world.isClosing;
	return { ...next(world), grant: isGranted ? id(world, "run") : null };
}

function stop(world: World) {
	const { at } = next(world);
	return { at, reason: null, deadline: at + graceMs, queued: "keep" } as const;
}

const stale = { expect: { generation: 99 } } as const;

function isFree({ facts }: World): boolean {
	return facts.run === null && !isDraining(facts);
}

/** A process that closes takes nothing new. */
const isOpen = ({ isClosing }: World) => !isClosing;
const isLive = ({ facts }: World) => facts.run !== null;
const isManaged = ({ facts: { run } }: World) => run?.driver === "managed";
const isHosts = ({ facts: { run } }: World) => run?.driver === "host";
const mayAct = ({ facts: { run } }: World) => run !== null && run.stop === null;
const always = () => true;

function live({ facts: { run } }: World): RunTicket {
	return ticketOf(run as RunFacts);
}

function message(
	how: Partial<Overlap>,
	may: Stimulus["may"] = always,
	rest: object = {},
): Stimulus {
	return {
		may: (world) => isOpen(world) && world.facts.queue.length < 2 && may(world),
		make: (world) => ({
			...turn(world),
			type: "message",
			messageId: id(world, "message"),
			input: world.steps,
			policy: { ...plain, ...how },
			front: null,
			parent: null,
			deadline: next(world).at + graceMs,
			sessionId: id(world, "session"),
			...rest,
		}),
	};
}

function admit(
	how: {
		reserve?: boolean;
		leaseMs?: number;
		expect?: object;
		runId?: (world: World) => string;
	},
	may: Stimulus["may"],
): Stimulus {
	const { runId, ...rest } = how;
	return {
		may: (world) => isOpen(world) && may(world),
		make: (world) => ({
			...turn(world),
			type: "admit",
			runId: runId?.(world) ?? id(world, "run"),
			attempt: 1,
			reserve: false,
			givenSessionId: null,
			sessionId: id(world, "session"),
			leaseMs: null,
			...rest,
		}),
	};
}

function reportOf(
	run: (world: World) => RunTicket | undefined,
	phase: "start" | "progress" | "end" | "error",
	may: Stimulus["may"] = always,
): Stimulus {
	return {
		may: (world) => run(world) !== undefined && may(world),
		make: (world) => {
			const { sessionKey, generation, runId, attempt } = run(
				world,
			) as RunTicket;
			const named = { sessionKey, generation, runId, attempt };
			return {
				...turn(world),
				type: "report",
				report:
					phase === "error"
						? { ...named, phase, error: "it broke" }
						: { ...named, phase },
			};
		},
	};
}

const hostRun = (world: World) => (isHosts(world) ? live(world) : undefined);
const reservation = ({ facts: { reservations } }: World) =>
	reservations[0] && ticketOf(reservations[0]);
const draining = ({ facts }: World) =>
	facts.draining[0] && ticketOf(facts.draining[0].run);
const drainingHostRun = (world: World) =>
	world.facts.draining[0]?.run.driver === "host" ? draining(world) : undefined;

function reset(rest: object = {}): Stimulus {
	return {
		may: isOpen,
		make: (world) => ({
			...turn(world),
			...stop(world),
			type: "reset",
			cause: "reset",
			sessionId: id(world, "session"),
			meta: {},
			hook: world.hasHook,
			...rest,
		}),
	};
}

function remove(rest: object = {}, may: Stimulus["may"] = always): Stimulus {
	return {
		may: (world) => isOpen(world) && may(world),
		make: (world) => ({
			...stop(world),
			type: "delete",
			queued: "drop",
			purge: false,
			hook: world.hasHook,
			...rest,
		}),
	};
}

function abort(
	rest: (world: World) => object,
	may: Stimulus["may"] = always,
): Stimulus {
	return {
		may,
		make: (world) => ({
			...stop(world),
			type: "abort",
			cause: "abort",
			...rest(world),
		}),
	};
}

function settles(
	ticket: (world: World) => RunTicket | undefined,
	outcome: "completed" | "failed",
	may: Stimulus["may"],
): Stimulus {
	return {
		may: (world) => ticket(world) !== undefined && may(world),
		make: (world) => {
			const { at } = next(world);
			const { run } = world.facts;
			const owner = run ?? world.facts.draining[0]?.run;
			return {
				...turn(world),
				type: "settled",
				ticket: ticket(world) as RunTicket,
				end: {
					at,
					stoppedBy: owner?.stop?.cause,
					outcome,
					...(outcome === "failed" ? { error: "it broke" } : {}),
				},
			};
		},
	};
}

/** What was given to the run that dies, if all of it is known. */
function retryOf({ facts: { run }, given }: World) {
	const messages = (run?.messageIds ?? []).map(
		(messageId) => given.get(messageId) as QueuedMessage,
	);
	return { ...retryBounds, messages };
}

function inName(
	ticket: (world: World) => RunTicket | null,
	rest: (world: World) => Partial<SessionEvent> & Pick<SessionEvent, "type">,
	may: Stimulus["may"] = always,
): Stimulus {
	return {
		may: (world) => ticket(world) !== null && may(world),
		make: (world) =>
			({
				...next(world),
				ticket: ticket(world),
				...rest(world),
			}) as SessionEvent,
	};
}

const own = (world: World) => (isLive(world) ? live(world) : null);
const late = ({ late }: World) => late;

const waitsFor = (world: World, name: string) =>
	world.facts.run !== null && openWaits(world.facts.run).includes(name);
const isAnswered = (world: World, name: string) =>
	world.facts.run?.answers.some((one) => one.name === name) === true;

function wait(name: string, ms: number | null = null): Stimulus {
	return inName(
		own,
		(world) => ({
			type: "wait",
			name,
			deadline: ms === null ? null : next(world).at + ms,
		}),
		(world) => mayAct(world) && !waitsFor(world, name),
	);
}

function answer(
	name: string,
	run: (world: World) => RunFacts | null | undefined,
	may: (world: World, run: RunFacts) => boolean = always,
): Stimulus {
	return {
		may: (world) => {
			const asked = run(world);
			return asked != null && may(world, asked);
		},
		make: (world) => {
			const { generation, runId } = run(world) as RunFacts;
			return {
				...turn(world),
				type: "answer",
				ticket: { generation, runId },
				name,
				value: true,
			};
		},
	};
}

const asks = (name: string) => (_: World, run: RunFacts) =>
	run.waits.some((one) => one.name === name);
const asksNot = (name: string) => (_: World, run: RunFacts) =>
	!run.waits.some((one) => one.name === name);

/** The run that owns the one delivery of a path, wherever that run is by now. */
function deliverer({ facts }: World): RunFacts | undefined {
	return [
		...(facts.run ? [facts.run] : []),
		...facts.retries,
		...facts.draining.map(({ run }) => run),
	].find(({ deliveries }) =>
		deliveries.some(({ status }) => status === "begun"),
	);
}

function edit(messageId: (world: World) => string, rest: object): Stimulus {
	return {
		may: (world) => messageId(world) === gone || world.facts.queue.length > 0,
		make: (world) => ({
			...next(world),
			type: "edit",
			messageId: messageId(world),
			...rest,
		}),
	};
}

const waiting = ({ facts: { queue } }: World) => queue[0]?.messageId ?? gone;
const hasWaiting = ({ facts: { queue } }: World) => queue.length > 0;

/** Whether the line would go on by itself if nothing stood against it: what happens next is that it does. */
function goesOn(world: World): boolean {
	return isFree(world) && !world.facts.hidden && hasWaiting(world);
}

/** Everything that may happen, by what it is called in the steps of a path. */
export const stimuli = {
	// messages
	"a message": message({}),
	"a message after which it shall be quiet": message({ debounceMs: quietMs }),
	"a message while others have all slots": {
		...message({}, isFree, {
			grant: null,
		}),
		around: () => ({ isHeldUp: true }),
	},
	"a message that overlaps nothing": message({ mode: "reject" }),
	"a message for a full line": message({ capacity: 1 }, hasWaiting),
	"the latest message": message({ mode: "latest" }),
	"a message to collect": message({ mode: "collect" }),
	"a message that steers": message({ mode: "steer" }),
	"a message that interrupts": message({ mode: "interrupt" }),
	"a message that rolls back": message({ mode: "rollback" }),
	"a message for another generation": message({}, always, stale),
	"the line goes on": {
		may: (world) =>
			hasWaiting(world) &&
			!world.facts.hidden &&
			!world.isClosing &&
			(world.isHeldUp || goesOn(world)),
		make: (world) => {
			const quietUntil = world.facts.quietUntil;
			const { at } = next(world);
			return {
				type: "take",
				at: Math.max(at, quietUntil),
				grant: id(world, "run"),
				quietUntil: quietUntil > at ? quietUntil : undefined,
			};
		},
		around: () => ({ isHeldUp: false }),
	},
	// the line
	"a waiting message is edited": edit(waiting, { input: "edited" }),
	"a waiting message is put before one that does not wait": edit(waiting, {
		before: gone,
	}),
	"a message that does not wait is edited": edit(() => gone, { input: 1 }),
	"a waiting message is removed": {
		may: hasWaiting,
		make: (world) => ({
			...next(world),
			type: "remove",
			messageId: waiting(world),
		}),
	},
	"a message that does not wait is removed": {
		may: always,
		make: (world) => ({ ...next(world), type: "remove", messageId: gone }),
	},
	// runs of the host's
	"a run is admitted": admit({}, always),
	"a run with a lease is admitted": admit({ leaseMs }, isFree),
	"a run is admitted to another generation": admit(stale, always),
	"the live run is admitted again": admit(
		{ runId: (world) => live(world).runId },
		isHosts,
	),
	"a run is reserved": admit(
		{ reserve: true },
		({ facts }) => facts.reservations.length === 0,
	),
	"a reserved run is reserved again": admit(
		{
			reserve: true,
			runId: (world) => (reservation(world) as RunTicket).runId,
		},
		(world) => reservation(world) !== undefined,
	),
	"a reserved run is given up": abort(
		(world) => ({ expect: { runId: reservation(world)?.runId } }),
		(world) => reservation(world) !== undefined,
	),
	"the host's run starts": reportOf(hostRun, "start"),
	"the host's run makes progress": reportOf(hostRun, "progress"),
	"the host's run ends": reportOf(hostRun, "end"),
	"the host's run fails": reportOf(hostRun, "error"),
	"a reserved run starts": reportOf(reservation, "start"),
	"a reserved run makes progress": reportOf(reservation, "progress"),
	"a reserved run ends": reportOf(reservation, "end"),
	"a reserved run fails": reportOf(reservation, "error"),
	"a draining run starts": reportOf(drainingHostRun, "start"),
	"a draining run makes progress": reportOf(drainingHostRun, "progress"),
	"a draining run ends": reportOf(drainingHostRun, "end"),
	"a managed run is reported": reportOf(
		(world) => (isManaged(world) ? live(world) : undefined),
		"end",
	),
	// runs of the executor's
	"the run completes": settles(
		(world) => (isManaged(world) ? live(world) : undefined),
		"completed",
		isOpen,
	),
	"the run fails": settles(
		(world) => (isManaged(world) ? live(world) : undefined),
		"failed",
		isOpen,
	),
	"a draining run completes": settles(
		(world) =>
			world.facts.draining[0]?.run.driver === "managed"
				? draining(world)
				: undefined,
		"completed",
		always,
	),
	"the grace period is over": {
		may: ({ facts, isClosing }) =>
			!isClosing && (facts.run?.stop ?? facts.draining[0]?.run.stop) != null,
		make: (world) => {
			const { run, draining } = world.facts;
			const owner = (run?.stop ? run : draining[0]?.run) as RunFacts;
			return {
				...turn(world),
				type: "overdue",
				at: owner.stop?.deadline ?? 0,
				ticket: ticketOf(owner),
				stoppedBy: owner.stop?.cause,
			};
		},
	},
	"the grace period of a stop that could not be stored is over": {
		may: (world) => mayAct(world) && !world.isClosing,
		make: (world) => ({
			...turn(world),
			type: "overdue",
			at: next(world).at + graceMs,
			ticket: live(world),
			stoppedBy: "abort",
		}),
	},
	// processes
	"its process dies": {
		may: (world) =>
			isLive(world) && !hasWaiting(world) && !world.isClosing && mayAct(world),
		make: (world) => {
			const { at } = next(world);
			return {
				type: "settled",
				at,
				ticket: live(world),
				end: { at, outcome: "interrupted", error: null },
				recovers: true,
			};
		},
	},
	"its process dies and the run is to be tried again": {
		may: (world) =>
			isManaged(world) &&
			mayAct(world) &&
			!world.isClosing &&
			world.facts.quietUntil > world.at + 20 * stepMs,
		make: (world) => {
			const { at } = next(world);
			return {
				type: "settled",
				at,
				ticket: live(world),
				end: { at, outcome: "interrupted", error: null },
				recovers: true,
				retry: retryOf(world),
			};
		},
	},
	"its process closes": {
		...abort(
			() => ({ cause: "shutdown", reason: "the runtime is closing" }),
			(world) => isManaged(world) && mayAct(world) && !world.isClosing,
		),
		around: () => ({ isClosing: true }),
	},
	"the grace period of the close is over": {
		may: (world) => world.isClosing && isManaged(world),
		make: (world) => {
			const at = world.facts.run?.stop?.deadline as number;
			return {
				...turn(world),
				type: "settled",
				at,
				ticket: live(world),
				end: { at, stoppedBy: "shutdown", outcome: "interrupted" },
				retry: retryOf(world),
			};
		},
	},
	// what a run owns
	"it waits for a": wait("a"),
	"it waits for b": wait("b"),
	"it waits for a while": wait("while", waitMs),
	"it waits for what was answered": inName(
		own,
		() => ({ type: "wait", name: "a" }),
		(world) => mayAct(world) && isAnswered(world, "a"),
	),
	"a is answered": answer("a", ({ facts }) => facts.run, asks("a")),
	"b is answered": answer("b", ({ facts }) => facts.run, asks("b")),
	"a is answered for the next attempt": answer(
		"a",
		({ facts }) => facts.retries[0],
		asks("a"),
	),
	"something is answered that nobody asked": answer(
		"nothing",
		({ facts }) => facts.run ?? facts.retries[0],
		asksNot("nothing"),
	),
	"something is answered that no run here asked": {
		may: always,
		make: (world) => ({
			...turn(world),
			type: "answer",
			ticket: { generation: world.facts.generation, runId: gone },
			name: "a",
			value: true,
		}),
	},
	"nobody answers for a while": {
		may: (world) => waitsFor(world, "while"),
		make: (world) => ({
			type: "unwait",
			at: world.facts.run?.waits.find(({ name }) => name === "while")
				?.deadline as number,
			ticket: live(world),
			name: "while",
		}),
	},
	"it begins a delivery": inName(
		own,
		() => ({ type: "deliver", name: "post" }),
		mayAct,
	),
	"the delivery is done": inName(
		(world) => {
			const owner = deliverer(world);
			return owner ? ticketOf(owner) : null;
		},
		() => ({ type: "delivered", name: "post", status: "done", result: 1 }),
		({ isClosing, facts }) => isClosing || facts.retries.length === 0,
	),
	"it takes what steers it": inName(
		own,
		() => ({ type: "pull" }),
		(world) => isManaged(world) && mayAct(world),
	),
	"it appends": inName(own, () => ({ type: "append", entry: "words" }), isLive),
	"it moves on to another session id": inName(
		own,
		(world) => ({ type: "rotate", sessionId: id(world, "session") }),
		mayAct,
	),
	"it lives": {
		may: (world) => world.facts.run?.leaseMs != null,
		make: (world) => ({
			type: "alive",
			at: (world.facts.run?.seenAt ?? 0) + leaseMs / 10,
			ticket: live(world),
		}),
	},
	"it has used tokens": inName(own, () => ({ ...tokens, type: "usage" })),
	"a reserved run has used tokens": inName(
		(world) => reservation(world) ?? null,
		() => ({ ...tokens, type: "usage" }),
	),
	"a draining run has used tokens": inName(
		(world) => draining(world) ?? null,
		() => ({ ...tokens, type: "usage" }),
	),
	"a run that settled has used tokens": inName(
		({ settled }) => settled,
		() => ({ ...tokens, type: "usage" }),
		({ settled, facts, isClosing }) =>
			settled?.generation === facts.generation && !isClosing,
	),
	// what comes late
	"a settled run moves on to another session id": inName(late, (world) => ({
		type: "rotate",
		sessionId: id(world, "session"),
	})),
	"a settled run appends": inName(late, () => ({ type: "append", entry: "" })),
	"a settled run waits": inName(late, () => ({
		type: "wait",
		name: "late",
		deadline: null,
	})),
	"a settled run begins a delivery": inName(late, () => ({
		type: "deliver",
		name: "late",
	})),
	"a stopped run takes what steers it": inName(
		({ facts, settled }) => {
			const run = facts.run?.stop ? facts.run : facts.draining[0]?.run;
			return run?.driver === "managed" ? ticketOf(run) : settled;
		},
		() => ({ type: "pull" }),
	),
	// commands
	"a reset": reset(),
	"a reset of another generation": reset(stale),
	"a delete": remove(),
	"a delete that keeps the line": remove({ queued: "keep" }, hasWaiting),
	"a delete that erases": remove({ purge: true }),
	"a delete of another generation": remove(stale),
	"the host has done its work on what ended": {
		may: ({ facts }) => facts.closing.length > 0,
		make: (world) => ({
			...turn(world),
			type: "closed",
			generation: world.facts.closing[0]?.generation ?? 0,
		}),
	},
	"the host cannot be told in time of what ended": {
		may: ({ facts, isClosing }) =>
			facts.draining.length === 0 &&
			!isClosing &&
			facts.closing.some(({ postponed }) => !postponed),
		make: (world) => {
			const late = world.facts.closing.find(({ postponed }) => !postponed);
			return {
				...turn(world),
				type: "postponed",
				at: late?.deadline ?? 0,
				generation: late?.generation ?? 0,
			};
		},
	},
	"an abort": abort(() => ({})),
	"an abort of a waiting message": abort(
		(world) => ({ expect: { messageId: waiting(world) } }),
		hasWaiting,
	),
	"an abort of another generation": abort(() => stale),
	"an abort that drops the line": abort(() => ({ queued: "drop" }), hasWaiting),
	"a patch": {
		may: always,
		make: (world) => ({
			...next(world),
			type: "patch",
			patch: { title: world.steps },
			expect: undefined,
			seen: world.facts.meta,
		}),
	},
	"a patch for another generation": {
		may: always,
		make: (world) => ({
			...next(world),
			type: "patch",
			patch: { title: "other" },
			...stale,
			seen: world.facts.meta,
		}),
	},
	"a patch whose fields have changed since": {
		may: ({ facts }) => "title" in (facts.meta as object),
		make: (world) => ({
			...next(world),
			type: "patch",
			patch: { title: "late" },
			expect: undefined,
			seen: {},
		}),
	},
	"an import": {
		may: always,
		make: (world) => {
			const { at } = next(world);
			return {
				type: "import",
				at,
				sessionId: id(world, "session"),
				meta: {},
				inputTokens: 0,
				outputTokens: 0,
				createdAt: at,
				updatedAt: at,
			};
		},
	},
} satisfies Record<string, Stimulus>;

const tokens = { inputTokens: 3, outputTokens: 5 };

/** What something that may happen is called. */
export type StimulusName = keyof typeof stimuli;
