/**
 * Owns the small world around one session that exploration puts the machine in: what is decided and what is stored, the runs that live in this
 * process, and what nobody can repeat and is tried again. Plain values, never changed. What an engine makes of a commit, a failure and a crash
 * is said here once. How often what is bounded has happened is no part of it: see budget.ts.
 */
import type {
	ClosingGeneration,
	QueuedMessage,
	SessionFacts,
} from "../../../machines/facts.ts";
import { ticketOf } from "../../../machines/run.ts";
import type { RunTicket, StopCause } from "../../../machines/ticket.ts";
import { ticketId } from "../../../machines/ticket.ts";
import { Broken } from "./broken.ts";
import { unsettledOf } from "./promises.ts";
import type { Step } from "./step.ts";

/** How often each of these may happen. What is left out may not happen, but for `runs`. */
export interface Bounds {
	/** Messages that are sent and runs that a host admits, together. */
	readonly runs: number;
	readonly resets?: number;
	readonly deletes?: number;
	readonly aborts?: number;
	readonly crashes?: number;
	/** Commits that fail, or of which nobody knows whether they hold. */
	readonly failedCommits?: number;
	/** Answers that a run waits for. */
	readonly waits?: number;
	/** Session ids that a run moves on to. */
	readonly rotations?: number;
	readonly expiries?: number;
	/** Runs that take longer than they may. */
	readonly timeouts?: number;
	/** Times that a run may begin but for the want of a slot. */
	readonly heldUp?: number;
	/** Processes that close, and the next one starts. */
	readonly closes?: number;
	/** Generations that ended and that the host could not be told of in time. */
	readonly postponed?: number;
}

export type Bounded = keyof Bounds;

/** A run that lives in this process: what a registry knows of it. */
export interface LiveRun {
	readonly ticket: RunTicket;
	readonly driver: "managed" | "host";
	readonly leased: boolean;
	/** Why its signal was fired, also where the commit of that stop failed. */
	readonly told: StopCause | null;
	/** Its executor came to its end. */
	readonly returned: boolean;
	/** The end of its grace period was told. */
	readonly overdue: boolean;
	/** What it took while it ran. */
	readonly pulled: readonly QueuedMessage[];
}

/** Something that nobody can repeat. Its event is made when its turn comes. */
export type Kept =
	| {
			readonly what: "settle";
			readonly ticket: RunTicket;
			readonly outcome: "completed" | "failed" | "aborted" | "interrupted";
	  }
	| { readonly what: "overdue"; readonly ticket: RunTicket }
	| { readonly what: "timeout"; readonly ticket: RunTicket }
	| { readonly what: "shutdown"; readonly ticket: RunTicket }
	| {
			readonly what: "unwait";
			readonly ticket: RunTicket;
			readonly name: string;
	  }
	| { readonly what: "closed" | "postponed"; readonly generation: number };

/** A turn that waits for its commit. */
export interface Turn {
	readonly after: SessionFacts;
	/** Tried again if its commit fails. */
	readonly kept: Kept | null;
	/** What its commit lets begin. Managed runs execute; whoever admitted a run needs the answer. */
	readonly start: LiveRun | null;
	readonly stops: readonly {
		readonly ticket: RunTicket;
		readonly cause: StopCause;
	}[];
	/** Runs that it settles. */
	readonly ends: readonly RunTicket[];
	readonly closes: readonly ClosingGeneration[];
	/** Messages that a run takes. */
	readonly takes: readonly QueuedMessage[];
	/** The wait that a run asks for. */
	readonly asks: Kept | null;
}

export interface World {
	/** starting: what the last process left is being settled. closing: nothing new begins. */
	readonly process: "down" | "starting" | "up" | "closing";
	readonly committed: SessionFacts;
	readonly pending: readonly Turn[];
	readonly live: readonly LiveRun[];
	readonly kept: readonly Kept[];
	/** Messages of the live run as the store has them, for its next attempt. */
	readonly taken: readonly QueuedMessage[];
	/** Generations that the host works on in this process. */
	readonly hooks: readonly number[];
}

/** As decided so far. */
export function factsOf(world: World): SessionFacts {
	return world.pending.at(-1)?.after ?? world.committed;
}

const none: readonly never[] = Object.freeze([]);

export function liveOf(
	step: Step,
	{ run }: NonNullable<Step["start"]>,
): LiveRun {
	return {
		ticket: ticketOf(run),
		driver: run.driver,
		leased: run.leaseMs !== null,
		told: step.after.run?.stop?.cause ?? null,
		returned: false,
		overdue: false,
		pulled: none,
	};
}

/** The turn that steps make together. */
export function turnOf(
	steps: readonly Step[],
	kept: Kept | null = null,
	asks: Kept | null = null,
): Turn {
	const last = steps.at(-1) as Step;
	const starting = steps.find(({ start }) => start);
	return {
		after: last.after,
		kept,
		start: starting?.start ? liveOf(starting, starting.start) : null,
		stops: steps.flatMap(({ stops }) =>
			stops.map(({ run, stop }) => ({
				ticket: sameTicket(run),
				cause: stop.cause,
			})),
		),
		ends: steps.flatMap(({ runs }) =>
			runs.filter(({ outcome }) => outcome !== null).map(sameTicket),
		),
		closes: steps.flatMap(({ closes }) => closes),
		takes: steps.flatMap(({ start, replies }) => [
			...(start?.messages ?? none),
			...replies.flatMap((reply): readonly QueuedMessage[] =>
				reply.result === "pulled" ? [reply.message] : none,
			),
		]),
		asks,
	};
}

/** A ticket without the session id, which may have moved on. */
function sameTicket(run: Identity): RunTicket {
	const { sessionKey, generation, runId, attempt } = run;
	return { sessionKey, sessionId: "", generation, runId, attempt };
}

type Identity = Omit<RunTicket, "sessionId">;

export function isSame(a: Identity, b: Identity): boolean {
	return ticketId(a) === ticketId(b);
}

/** A turn was made; it is seen by nobody yet. */
export function pend(world: World, turn: Turn): World {
	// What changes nothing is answered at once as far as anybody can tell.
	if (turn.after === factsOf(world) && !turn.asks) return world;
	return { ...world, pending: [...world.pending, turn] };
}

/** Each message once, as it stood last. */
export function joined(
	messages: readonly QueuedMessage[],
	more: readonly QueuedMessage[],
): readonly QueuedMessage[] {
	const others = messages.filter(
		({ messageId }) => !more.some((one) => one.messageId === messageId),
	);
	return [...others, ...more];
}

/** Told to stop: of several causes the first stays. */
function tell(world: World, stops: Turn["stops"]): World {
	if (stops.length === 0) return world;
	return {
		...world,
		live: world.live.map((one) => {
			const stop = stops.find(({ ticket }) => isSame(ticket, one.ticket));
			return stop ? { ...one, told: one.told ?? stop.cause } : one;
		}),
	};
}

export function keep(world: World, ...kept: readonly (Kept | null)[]): World {
	const added = kept.filter(
		(one): one is Kept =>
			one !== null &&
			!world.kept.some(
				(other) => JSON.stringify(other) === JSON.stringify(one),
			),
	);
	return added.length === 0
		? world
		: { ...world, kept: [...world.kept, ...added] };
}

/** The first turns hold: what they asked for happens, in their order. */
export function commit(
	world: World,
	count: number,
	/** Their callers were told that they failed. */
	isUnsure = false,
): World {
	let next = world;
	for (const turn of world.pending.slice(0, count))
		next = carryOut(next, turn, isUnsure);
	next = { ...next, pending: next.pending.slice(count) };
	checkOwners(next);
	return next;
}

function carryOut(world: World, turn: Turn, isUnsure: boolean): World {
	const { after, start, ends, closes } = turn;
	let next: World = {
		...world,
		committed: after,
		taken: joined(world.taken, turn.takes).filter(({ messageId }) =>
			after.run?.messageIds.includes(messageId),
		),
	};
	next = {
		...next,
		live: next.live.filter(
			(one) => !ends.some((ticket) => isSame(ticket, one.ticket)),
		),
		kept: next.kept.filter(
			(one) =>
				!("ticket" in one) ||
				!ends.some((ticket) => isSame(ticket, one.ticket)),
		),
		hooks: [...next.hooks, ...closes.map(({ generation }) => generation)],
	};
	if (start && !ends.some((ticket) => isSame(ticket, start.ticket))) {
		if (next.live.length > 0)
			throw new Broken(
				5,
				`run ${start.ticket.runId} begins while ${next.live.map(({ ticket }) => ticket.runId).join(", ")} has not settled`,
			);
		// Nobody has the handle of a run whose admission was said to have failed.
		if (start.driver === "host" && isUnsure && !start.leased)
			next = keep(next, {
				what: "settle",
				ticket: start.ticket,
				outcome: "interrupted",
			});
		else next = { ...next, live: [...next.live, start] };
	}
	next = tell(next, turn.stops);
	return isUnsure ? keep(next, turn.asks) : next;
}

/** None of it holds, nor anything on top of it: the session goes on from what is stored, and live runs stay attached. */
export function fail(world: World): World {
	let next: World = { ...world, pending: none };
	for (const turn of world.pending) {
		// A stop fires its signal even if its commit fails.
		next = tell(next, turn.stops);
		next = keep(next, turn.kept, turn.asks);
	}
	// A run that the store does not know is nobody's: its start was never said to hold.
	checkOwners(next);
	return next;
}

/** The first turns hold, and their callers were told that nobody knows; what came on top of them does not. */
export function doubt(world: World, count: number): World {
	const held = commit(
		{ ...world, pending: world.pending.slice(0, count) },
		count,
		true,
	);
	return fail({ ...held, pending: world.pending.slice(count) });
}

export function crash(world: World): World {
	return {
		...world,
		process: "down",
		pending: none,
		live: none,
		kept: none,
		hooks: none,
	};
}

/** Nothing new begins; what runs is told at once, whatever the store says of it. */
export function close(world: World): World {
	const own = world.live.filter(({ leased }) => !leased);
	return keep(
		{
			...world,
			process: "closing",
			live: world.live.map((one) =>
				one.leased ? one : { ...one, told: one.told ?? "shutdown" },
			),
		},
		...own.map(({ ticket }) => ({ what: "shutdown", ticket }) as const),
	);
}

/** Nothing is served before the dead are settled; what has a lease is believed to live. */
export function open(world: World): World {
	const { committed } = world;
	const next: World = {
		...world,
		process: "up",
		live: unsettledOf(committed).map((run) => ({
			ticket: sameTicket(run),
			driver: run.driver,
			leased: run.leaseMs !== null,
			told: run.stop?.cause ?? null,
			returned: false,
			overdue: false,
			pulled: none,
		})),
		hooks: committed.closing.map(({ generation }) => generation),
	};
	checkOwners(next);
	return next;
}

/** 3 and 8: whatever the store says is running has an owner in this process, and nothing else has. */
function checkOwners(world: World): void {
	if (world.process !== "up" && world.process !== "closing") return;
	const { committed, live, kept, pending } = world;
	const unsettled = unsettledOf(committed);
	const toCome = [...kept, ...pending.map((turn) => turn.kept)];
	for (const run of unsettled) {
		const isOwned =
			live.some(({ ticket }) => isSame(ticket, run)) ||
			toCome.some((one) => one?.what === "settle" && isSame(one.ticket, run));
		if (!isOwned)
			throw new Broken(
				3,
				`the store says that run ${run.runId} (generation ${run.generation}, attempt ${run.attempt}) is not settled, and nobody in this process owns it`,
			);
	}
	for (const { ticket } of live)
		if (!unsettled.some((run) => isSame(ticket, run)))
			throw new Broken(
				8,
				`run ${ticket.runId} (generation ${ticket.generation}, attempt ${ticket.attempt}) has settled and still holds its place in this process`,
			);
}
