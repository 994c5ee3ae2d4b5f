/**
 * Owns the live things of runs: signal, executor, grace timer, and the handle that the host holds, by ticket. A run stays here until
 * the commit that settled it, whatever becomes of its session's actor. Never decides how a run ends.
 */
import type { SessionFacts } from "../machines/facts.ts";
import { type RunFacts, type RunStop, ticketOf } from "../machines/run.ts";
import {
	type RunTicket,
	type StopCause,
	ticketId,
} from "../machines/ticket.ts";
import type { Clock } from "./clock.ts";
import { RunAborted } from "./errors.ts";

/** What lives of one run: its signal, its timer, the facts it last saw. */
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
	deadline = Number.POSITIVE_INFINITY;
	#reason: unknown = null;
	/** Made when somebody asks: most runs never look at their signal. */
	#controller: AbortController | null = null;

	constructor(run: RunFacts) {
		this.driver = run.driver;
		this.run = run;
		this.ticket = ticketOf(run);
	}

	/** What was committed of it since. */
	see(run: RunFacts): void {
		if (run === this.run) return;
		this.run = run;
		if (run.sessionIds.at(-1) !== this.ticket.sessionId)
			this.ticket = ticketOf(run);
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

	/** Once; the first reason stays. */
	abort(reason: Error): void {
		if (this.isAborted) return;
		this.#reason = reason;
		this.#controller?.abort(reason);
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

type Identity = Pick<
	RunTicket,
	"sessionKey" | "generation" | "runId" | "attempt"
>;

export class Registry {
	#clock: Clock;
	#overdue: (run: LiveRun) => void;
	/** Live and draining runs by run id; different sessions may use the same one. */
	#runs = new Map<string, readonly LiveRun[]>();
	#size = 0;
	/** Handles of reservations: they hold nothing, so a host may forget them. */
	#reserved = new Map<string, WeakRef<LiveRun>>();
	#forget = new FinalizationRegistry<string>((id) => {
		if (!this.#reserved.get(id)?.deref()) this.#reserved.delete(id);
	});

	constructor(clock: Clock, overdue: (run: LiveRun) => void) {
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

	/** Fires a run's signal once and arms the end of its grace period; a later stop can only bring it nearer. */
	stop(run: RunFacts, stop: RunStop): void {
		const live = this.get(run);
		if (!live) return;
		live.stoppedBy ??= stop.cause;
		if (stop.deadline < live.deadline) {
			live.deadline = stop.deadline;
			this.#clock.clearTimeout(live.timer);
			live.timer = this.#clock.setTimeout(
				() => {
					live.deadline = Number.POSITIVE_INFINITY;
					this.#overdue(live);
				},
				Math.max(0, stop.deadline - this.#clock.now()),
			);
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
	}

	clear(): void {
		for (const live of this.all()) this.#clock.clearTimeout(live.timer);
		this.#runs.clear();
		this.#size = 0;
		this.#reserved.clear();
	}
}
