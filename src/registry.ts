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

export interface LiveRun {
	readonly id: string;
	readonly driver: RunFacts["driver"];
	readonly controller: AbortController;
	/** Its session id may have moved on. */
	ticket: RunTicket;
	/** Why its signal was fired, also where the commit of that stop failed. */
	stoppedBy: StopCause | null;
	/** What its executor returned. */
	output: unknown;
	/** The committed facts of its own generation, as last seen. */
	facts: SessionFacts | null;
	timer: unknown;
	deadline: number;
}

export class Registry {
	#clock: Clock;
	#overdue: (run: LiveRun) => void;
	#runs = new Map<string, LiveRun>();
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
		return this.#runs.size;
	}

	all(): readonly LiveRun[] {
		return [...this.#runs.values()];
	}

	get(ticket: RunTicket): LiveRun | undefined {
		const id = ticketId(ticket);
		return this.#runs.get(id) ?? this.#reserved.get(id)?.deref();
	}

	/** Keys on which a run of this id is live or draining. */
	keysOf(runId: string): readonly string[] {
		const keys = new Set<string>();
		for (const { ticket } of this.#runs.values())
			if (ticket.runId === runId) keys.add(ticket.sessionKey);
		return [...keys];
	}

	/** The entry of a run that was admitted or reserved, made if need be. */
	enter(run: RunFacts): LiveRun {
		const ticket = ticketOf(run);
		const known = this.get(ticket);
		const live = known ?? {
			id: ticketId(ticket),
			driver: run.driver,
			controller: new AbortController(),
			ticket,
			stoppedBy: null,
			output: undefined,
			facts: null,
			timer: null,
			deadline: Number.POSITIVE_INFINITY,
		};
		live.ticket = ticket;
		if (run.status !== "reserved") {
			this.#reserved.delete(live.id);
			this.#runs.set(live.id, live);
		} else if (!known) {
			this.#reserved.set(live.id, new WeakRef(live));
			this.#forget.register(live, live.id);
		}
		return live;
	}

	/** Fires a run's signal once and arms the end of its grace period; a later stop can only bring it nearer. */
	stop(run: RunFacts, stop: RunStop): void {
		const live = this.get(ticketOf(run));
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
		if (!live.controller.signal.aborted)
			live.controller.abort(new RunAborted(stop.cause, stop.reason));
	}

	/** A run that settled, or a reservation that its generation left behind. */
	leave(run: RunFacts, cause: StopCause | null): LiveRun | undefined {
		const live = this.get(ticketOf(run));
		if (!live) return undefined;
		this.#clock.clearTimeout(live.timer);
		this.#runs.delete(live.id);
		this.#reserved.delete(live.id);
		if (cause && !live.controller.signal.aborted)
			live.controller.abort(new RunAborted(cause, null));
		return live;
	}

	clear(): void {
		for (const live of this.#runs.values())
			this.#clock.clearTimeout(live.timer);
		this.#runs.clear();
		this.#reserved.clear();
	}
}
