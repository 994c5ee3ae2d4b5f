/**
 * Owns the live things of runs, by ticket: signal, scope, grace timer, and whatever is tied to a run and released with it. A run stays
 * here until the commit that settled it, whatever becomes of its session's actor. Never decides how a run ends.
 */
import type { QueuedMessage, SessionFacts } from "../machines/facts.ts";
import {
	openWaits,
	type RunFacts,
	type RunStop,
	ticketOf,
} from "../machines/run.ts";
import {
	type RunTicket,
	type StopCause,
	ticketId,
} from "../machines/ticket.ts";
import type { RuntimeClock } from "./clock.ts";
import { RunAborted } from "./errors.ts";
import { TurnoverMap } from "./turnover.ts";

/** Something that lives with a run. Told of it in this order; all of it is optional. */
export interface Owned {
	/** What was committed of the run and its session since. */
	see?(run: RunFacts, facts: SessionFacts): void;
	/** The run was told to stop. */
	stop?(reason: Error): void;
	/** Its executor came to its end. */
	returned?(): void;
	/** The run is over, or out of this process's hands. */
	release?(): void;
}

/** What lives of one run: its signal, its timer, the facts it last saw, and all that it owns in this process. */
export class LiveRun {
	readonly driver: RunFacts["driver"];
	/** As last committed; its session id may have moved on. */
	run: RunFacts;
	ticket: RunTicket;
	/** Why its signal was fired, also where the commit of that stop failed. */
	stoppedBy: StopCause | null = null;
	/** What its executor returned. */
	output: unknown = undefined;
	/** The committed facts of its own generation, as last seen. */
	facts: SessionFacts | null = null;
	timer: unknown = null;
	/** When its grace period is over, on the monotonic clock. */
	deadline = Number.POSITIVE_INFINITY;
	/** Its times run. */
	isEntered = false;
	/** It has waited, and has no slot yet to go on. */
	isHeldUp = false;
	/** Its executor came to its end: it takes no further message. */
	isReturned = false;
	/** What it has been given to work on. */
	messages: readonly QueuedMessage[] = none;
	/** What it waits for in this process, a name each time. */
	awaited: readonly string[] = none;
	/** What it took while it ran and may not have looked at. */
	unread: readonly QueuedMessage[] = none;
	/** Its last sign of life, on the monotonic clock, if it has a lease. */
	heardAt = Number.NEGATIVE_INFINITY;
	#reason: Error | null = null;
	#pending: Set<Promise<unknown>> | null = null;
	#begun: Set<string> | null = null;
	#owned: Set<Owned> | null = null;
	#scope: AsyncDisposableStack | null = null;
	#isDisposed = false;
	#isReleased = false;
	/** Made when somebody asks: most runs never look at their signal. */
	#controller: AbortController | null = null;

	constructor(run: RunFacts) {
		this.driver = run.driver;
		this.run = run;
		this.ticket = ticketOf(run);
	}

	/** What its end waits for. */
	get pending(): Set<Promise<unknown>> {
		this.#pending ??= new Set();
		return this.#pending;
	}

	get hasPending(): boolean {
		return this.#pending !== null && this.#pending.size > 0;
	}

	/** Names of deliveries that it has begun in this process, or is about to: what is committed of them may hold though it was said to have failed. */
	get begun(): Set<string> {
		this.#begun ??= new Set();
		return this.#begun;
	}

	/** Whether it does not execute until an answer comes: a wait that is open holds up nobody who does not wait for it. */
	get isSuspended(): boolean {
		return openWaits(this.run).some((name) => this.awaited.includes(name));
	}

	/** What was committed of it since. */
	see(run: RunFacts, facts?: SessionFacts): void {
		if (run !== this.run) {
			this.run = run;
			if (run.sessionIds.at(-1) !== this.ticket.sessionId)
				this.ticket = ticketOf(run);
		}
		if (facts && this.#owned)
			for (const one of [...this.#owned]) one.see?.(run, facts);
	}

	/** It waits for its slot, after an answer. */
	holdUp(isHeldUp: boolean): void {
		this.isHeldUp = isHeldUp;
		for (const one of [...(this.#owned ?? [])])
			if (this.facts) one.see?.(this.run, this.facts);
	}

	/** Ties something to this run: it is stopped and released with it, at once if that has been. */
	own(thing: Owned): void {
		if (this.#reason) thing.stop?.(this.#reason);
		if (this.#isReleased) {
			thing.release?.();
			return;
		}
		this.#owned ??= new Set();
		this.#owned.add(thing);
	}

	disown(thing: Owned): void {
		this.#owned?.delete(thing);
	}

	/** Ends what it owns in this process. */
	release(): void {
		if (this.#isReleased) return;
		this.#isReleased = true;
		for (const one of this.#owned ?? []) one.release?.();
		this.#owned = null;
	}

	/** Its executor came to its end. */
	return(): void {
		this.isReturned = true;
		if (this.#owned) for (const one of [...this.#owned]) one.returned?.();
	}

	get scope(): AsyncDisposableStack {
		if (!this.#scope) {
			this.#scope = new AsyncDisposableStack();
			// What comes after the end is told so by the stack itself.
			if (this.#isReleased) void this.dispose();
		}
		return this.#scope;
	}

	/** Null if nobody has looked at its scope, or it was disposed before. */
	dispose(): Promise<void> | null {
		if (!this.#scope || this.#isDisposed) return null;
		this.#isDisposed = true;
		return this.#scope.disposeAsync();
	}

	get signal(): AbortSignal {
		if (!this.#controller) {
			this.#controller = new AbortController();
			if (this.isAborted) this.#controller.abort(this.#reason);
		}
		return this.#controller.signal;
	}

	get isAborted(): boolean {
		return this.#reason !== null;
	}

	/** It is over, or out of this process's hands. */
	get isReleased(): boolean {
		return this.#isReleased;
	}

	/** Once; the first reason stays. */
	abort(reason: Error): void {
		if (this.isAborted) return;
		this.#reason = reason;
		this.#controller?.abort(reason);
		for (const one of [...(this.#owned ?? [])]) one.stop?.(reason);
	}

	is(ticket: Identity): boolean {
		const own = this.ticket;
		return (
			own.runId === ticket.runId &&
			own.attempt === ticket.attempt &&
			own.generation === ticket.generation &&
			own.sessionKey === ticket.sessionKey
		);
	}
}

const none: readonly never[] = Object.freeze([]);

type Identity = Pick<
	RunTicket,
	"sessionKey" | "generation" | "runId" | "attempt"
>;

export class Registry {
	#clock: RuntimeClock;
	#overdue: (run: LiveRun) => void;
	/** Live and draining runs by run id; different sessions may use the same one. */
	#runs = new TurnoverMap<string, readonly LiveRun[]>();
	#size = 0;
	/** Handles of reservations: they hold nothing, so a host may forget them. */
	#reserved = new Map<string, WeakRef<LiveRun>>();
	#forget = new FinalizationRegistry<string>((id) => {
		if (!this.#reserved.get(id)?.deref()) this.#reserved.delete(id);
	});

	constructor(clock: RuntimeClock, overdue: (run: LiveRun) => void) {
		this.#clock = clock;
		this.#overdue = overdue;
	}

	get size(): number {
		return this.#size;
	}

	all(): readonly LiveRun[] {
		return [...this.#runs.values()].flat();
	}

	get(ticket: Identity): LiveRun | undefined {
		const live = this.#runs.get(ticket.runId)?.find((run) => run.is(ticket));
		if (live || this.#reserved.size === 0) return live;
		return this.#reserved.get(ticketId(ticket))?.deref();
	}

	/** The live and draining runs of this id. */
	named(runId: string): readonly RunFacts[] {
		return (this.#runs.get(runId) ?? []).map(({ run }) => run);
	}

	/** The entry of a run that was admitted or reserved, made if need be. */
	enter(run: RunFacts): LiveRun {
		const known = this.get(run);
		const live = known ?? new LiveRun(run);
		known?.see(run);
		const { runId } = run;
		const named = this.#runs.get(runId);
		if (run.status !== "reserved") {
			if (named?.includes(live)) return live;
			this.#runs.set(runId, named ? [...named, live] : [live]);
			this.#size += 1;
			if (this.#reserved.size > 0) this.#reserved.delete(ticketId(run));
		} else if (!known) {
			const id = ticketId(run);
			this.#reserved.set(id, new WeakRef(live));
			this.#forget.register(live, id);
		}
		return live;
	}

	/**
	 * Fires a run's signal once and arms the end of its grace period, on the monotonic clock; a later stop can only bring it nearer.
	 */
	stop(run: RunFacts, stop: RunStop, due: number): void {
		const live = this.get(run);
		if (!live) return;
		live.stoppedBy ??= stop.cause;
		if (due < live.deadline) {
			live.deadline = due;
			this.#clock.clearTimeout(live.timer);
			const left = Math.max(0, due - this.#clock.monotonic());
			live.timer = this.#clock.setTimeout(() => {
				live.deadline = Number.POSITIVE_INFINITY;
				this.#overdue(live);
			}, left);
		}
		live.abort(new RunAborted(stop.cause, stop.reason));
	}

	/** A run that settled, or a reservation that its generation left behind. */
	leave(live: LiveRun, cause: StopCause | null): void {
		const { runId } = live.ticket;
		if (live.timer !== null) this.#clock.clearTimeout(live.timer);
		const named = this.#runs.get(runId);
		if (named?.includes(live)) {
			this.#size -= 1;
			if (named.length === 1) this.#runs.delete(runId);
			else
				this.#runs.set(
					runId,
					named.filter((one) => one !== live),
				);
		}
		if (this.#reserved.size > 0) this.#reserved.delete(ticketId(live.ticket));
		if (cause) live.abort(new RunAborted(cause, null));
		live.release();
	}

	clear(): void {
		for (const live of this.all()) {
			this.#clock.clearTimeout(live.timer);
			live.release();
		}
		this.#runs.clear();
		this.#size = 0;
		this.#reserved.clear();
	}
}
