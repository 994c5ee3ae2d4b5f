/**
 * Owns what can happen next in the small world: what people, runs, hosts, clocks, the store and the process may do, each under a name that is the
 * same in every run. Never decides what an event means: that is the machine's.
 */
import type { OverlapMode, SessionEvent } from "../../../machines/events.ts";
import {
	isDraining,
	type QueuedMessage,
	type SessionFacts,
} from "../../../machines/facts.ts";
import { openWaits, type RunFacts, ticketOf } from "../../../machines/run.ts";
import type { RunTicket } from "../../../machines/ticket.ts";
import { at, unsettledOf } from "./promises.ts";
import type { Step } from "./step.ts";
import {
	type Bounded,
	type Bounds,
	close,
	commit,
	crash,
	doubt,
	factsOf,
	fail,
	isSame,
	joined,
	type Kept,
	keep,
	type LiveRun,
	open,
	pend,
	type Turn,
	turnOf,
	type World,
} from "./world.ts";

/** What is explored, beside its bounds. */
export interface Scene {
	readonly bounds: Bounds;
	/** Modes that messages are sent in. */
	readonly modes: readonly OverlapMode[];
	/** Who drives runs. */
	readonly drivers: readonly ("managed" | "host")[];
	readonly recovery: "settle" | "retry";
	/** Whether the host has work of its own on generations that end (`onGenerationEnded`). */
	readonly hook: boolean;
	/** Turns that may wait for one commit. */
	readonly batch: number;
}

export interface Move {
	readonly name: string;
	readonly to: () => World;
	/** What a world that nobody disturbs does next: the lowest there is. Null: only from outside. */
	readonly settles: number | null;
	/** What it uses up of the bounds. What settles a world uses nothing. */
	readonly spends: readonly Bounded[];
}

const deadline = 2000;
const nothing: readonly never[] = Object.freeze([]);
/** Ids that are new in any world: they are given names in order as soon as a world is known. */
const fresh = { message: "m99", run: "r99", session: "s99" } as const;

type Take = (facts: SessionFacts, event: SessionEvent) => Step;

/** All that can happen next, as far as the bounds go. */
export function movesOf(scene: Scene, world: World, take: Take): Move[] {
	const moves = new Moves(scene, world, take);
	moves.gather();
	return moves.found;
}

class Moves {
	readonly found: Move[] = [];
	readonly #scene: Scene;
	readonly #world: World;
	readonly #take: Take;
	readonly #facts: SessionFacts;
	/** What a run that may begin is called; null while none may. */
	readonly #grant: string | null;

	constructor(scene: Scene, world: World, take: Take) {
		this.#scene = scene;
		this.#world = world;
		this.#take = take;
		this.#facts = factsOf(world);
		this.#grant = world.process === "up" ? fresh.run : null;
	}

	gather(): void {
		const { process, pending } = this.#world;
		if (process === "down") {
			this.#add("a process starts", 0, (world) => ({
				...world,
				process: "starting",
			}));
			return;
		}
		this.#store();
		if (process === "starting") {
			this.#start();
			return;
		}
		if (process === "closing") this.#close();
		if (pending.length >= this.#scene.batch) return;
		for (const live of this.#world.live) this.#run(live);
		this.#reports();
		this.#keptOnes();
		this.#abort();
		if (process === "closing") return;
		this.#line();
		this.#people();
		this.#spend("closes", "the runtime closes", close);
	}

	#add(
		name: string,
		settles: number | null,
		to: (world: World) => World,
		spends: readonly Bounded[] = nothing,
	): void {
		this.found.push({ name, settles, spends, to: () => to(this.#world) });
	}

	/** Something bounded, unless it never happens. */
	#spend(
		what: Bounded | readonly Bounded[],
		name: string,
		to: (world: World) => World,
	): void {
		const spends = typeof what === "string" ? [what] : what;
		const { bounds } = this.#scene;
		if (spends.every((one) => (bounds[one] ?? 0) > 0))
			this.#add(name, null, to, spends);
	}

	/** The turn that an event makes. */
	#turn(event: SessionEvent, kept: Kept | null = null): Turn {
		return turnOf([this.#take(this.#facts, event)], kept);
	}

	// ── the store and the process

	#store(): void {
		const { pending, process } = this.#world;
		// While a process starts, its start fails with its store.
		const failed = (world: World) =>
			process === "starting" ? crash(world) : fail(world);
		for (let count = pending.length; count > 0; count--) {
			const which = `${count} of ${pending.length}`;
			this.#add(
				`${which} committed`,
				count === pending.length ? 1 : null,
				(world) => commit(world, count),
			);
			this.#spend("failedCommits", `${which} in doubt, and held`, (world) =>
				process === "starting"
					? crash(commit(world, count))
					: doubt(world, count),
			);
		}
		if (pending.length > 0)
			this.#spend("failedCommits", "the commit fails", failed);
		this.#spend("crashes", "the process dies", crash);
	}

	/** 3: before anything else is served, what the last process left is settled. */
	#start(): void {
		const { pending } = this.#world;
		const dead = unsettledOf(this.#facts).find(
			({ leaseMs, stop }) => leaseMs === null || stop !== null,
		);
		if (!dead) {
			if (pending.length === 0) this.#add("the runtime opens", 0, open);
			return;
		}
		this.#add(`${dead.runId}, which died, is settled`, 2, (world) =>
			pend(
				world,
				this.#turn({
					type: "settled",
					at,
					ticket: ticketOf(dead),
					end: { at, outcome: "interrupted" },
					recovers: true,
					retry: dead === this.#facts.run ? this.#retryOf([]) : undefined,
				}),
			),
		);
	}

	/** How a dead run is tried again, with what the store has of its messages and what it took since. */
	#retryOf(pulled: readonly QueuedMessage[]) {
		if (this.#scene.recovery === "settle") return undefined;
		const messages = joined(this.#world.taken, pulled);
		return { maxAttempts: 2, maxAgeMs: 1e6, messages };
	}

	/** The process ends when nothing of its own is left. */
	#close(): void {
		const { pending, kept, live } = this.#world;
		if (pending.length > 0 || kept.length > 0) return;
		if (live.every(({ leased }) => leased))
			this.#add("the runtime is closed", 9, crash);
	}

	// ── the line

	#line(): void {
		const { queue, hidden, run, quietUntil, takenAt } = this.#facts;
		if (queue.length === 0 || hidden || run || isDraining(this.#facts)) return;
		const event: SessionEvent = {
			type: "take",
			at,
			grant: this.#grant,
			// A quiet window is over when its timer says so.
			quietUntil: quietUntil > at ? quietUntil : undefined,
		};
		this.#add("the next in line is taken", 8, (world) =>
			pend(world, this.#turn(event)),
		);
		if (takenAt !== null)
			this.#spend(
				"expiries",
				"the session expires, the next in line is taken",
				(world) => {
					const expiry = this.#take(
						this.#facts,
						this.#resetBy("expiry", "keep"),
					);
					const next = this.#take(expiry.after, event);
					return pend(world, turnOf([expiry, next]));
				},
			);
	}

	#resetBy(cause: "reset" | "expiry", queued: "keep" | "drop"): SessionEvent {
		return {
			type: "reset",
			at,
			cause,
			grant: cause === "expiry" ? null : this.#grant,
			sessionId: fresh.session,
			reason: null,
			deadline,
			queued,
			meta: {},
			hook: this.#scene.hook,
		};
	}

	// ── people

	#people(): void {
		const { hidden, queue, version } = this.#facts;
		if (this.#scene.drivers.includes("managed"))
			for (const mode of this.#scene.modes) this.#send(mode);
		if (this.#scene.drivers.includes("host")) this.#admit();
		this.#spend("resets", "reset", (world) =>
			pend(world, this.#turn(this.#resetBy("reset", "keep"))),
		);
		if (queue.length > 0)
			this.#spend("resets", "reset, what waits is dropped", (world) =>
				pend(world, this.#turn(this.#resetBy("reset", "drop"))),
			);
		if (this.#scene.drivers.includes("managed"))
			this.#spend(["resets", "runs"], "send with a reset", (world) => {
				const reset = this.#take(this.#facts, {
					...this.#resetBy("reset", "keep"),
					grant: null,
				});
				const message = this.#message("enqueue", reset.after, true);
				return pend(world, turnOf([reset, message]));
			});
		if (!(hidden && version === 0))
			for (const purge of hidden ? [true] : [false, true])
				this.#spend("deletes", purge ? "delete and purge" : "delete", (world) =>
					pend(
						world,
						this.#turn({
							type: "delete",
							at,
							reason: null,
							deadline,
							queued: "keep",
							purge,
							hook: this.#scene.hook,
						}),
					),
				);
	}

	#abort(): void {
		const { run, queue } = this.#facts;
		if (run || queue.length > 0)
			for (const queued of ["keep", "drop"] as const) {
				if (queued === "drop" && queue.length === 0) continue;
				this.#spend(
					"aborts",
					queued === "drop" ? "abort, what waits is dropped" : "abort",
					(world) =>
						pend(
							world,
							this.#turn({
								type: "abort",
								at,
								grant: this.#grant,
								cause: "abort",
								reason: null,
								deadline,
								queued,
							}),
						),
				);
			}
	}

	#message(
		mode: OverlapMode,
		facts: SessionFacts,
		resets = false,
		slot = true,
	): Step {
		return this.#take(facts, {
			type: "message",
			at,
			grant: slot ? this.#grant : null,
			messageId: fresh.message,
			input: null,
			policy: { mode, debounceMs: 0, capacity: 50, onFull: "reject" },
			front: resets ? "reset" : null,
			deadline,
			sessionId: fresh.session,
		});
	}

	#send(mode: OverlapMode): void {
		this.#spend("runs", `send ${mode}`, (world) =>
			pend(world, turnOf([this.#message(mode, this.#facts)])),
		);
		if (!this.#facts.run && !isDraining(this.#facts))
			this.#spend(["runs", "heldUp"], `send ${mode}, no slot`, (world) =>
				pend(world, turnOf([this.#message(mode, this.#facts, false, false)])),
			);
	}

	#admit(): void {
		for (const reserve of [false, true])
			for (const leaseMs of reserve ? [null] : [null, 50])
				this.#spend(
					"runs",
					reserve ? "reserve" : leaseMs ? "admit with a lease" : "admit",
					(world) =>
						pend(
							world,
							this.#turn({
								type: "admit",
								at,
								runId: fresh.run,
								attempt: 1,
								reserve,
								givenSessionId: null,
								sessionId: fresh.session,
								leaseMs,
							}),
						),
				);
	}

	// ── runs

	/** The run as decided so far, wherever it stands. */
	#known(live: LiveRun): RunFacts | undefined {
		return unsettledOf(this.#facts).find((run) => isSame(run, live.ticket));
	}

	#run(live: LiveRun): void {
		const { ticket, told } = live;
		const { runId } = ticket;
		const run = this.#known(live);
		const own = run ? ticketOf(run) : ticket;
		if (told && !live.overdue)
			this.#add(`the grace period of ${runId} is over`, 4, (world) =>
				this.#say(
					change(world, live, { overdue: true }),
					this.#diesWithProcess(live)
						? { what: "settle", ticket, outcome: "interrupted" }
						: { what: "overdue", ticket },
				),
			);
		if (run && run === this.#facts.run) {
			for (const name of openWaits(run)) this.#waiting(own, name);
			if (!told)
				this.#spend("timeouts", `${runId} has taken too long`, (world) =>
					this.#say(world, { what: "timeout", ticket }),
				);
		}
		if (live.leased && !told)
			this.#add(`${runId} has fallen silent`, null, (world) =>
				this.#say(world, { what: "settle", ticket, outcome: "interrupted" }),
			);
		if (live.driver === "managed" && !live.returned)
			this.#executor(live, run, own);
	}

	/** What does not stop in time while the process closes is tried again as after a crash. */
	#diesWithProcess({ driver }: LiveRun): boolean {
		return (
			this.#world.process === "closing" &&
			this.#scene.recovery === "retry" &&
			driver === "managed"
		);
	}

	#waiting(ticket: RunTicket, name: string): void {
		this.#add(`${ticket.runId} is answered`, 5, (world) =>
			pend(
				world,
				this.#turn({ type: "answer", at, ticket, name, value: null }),
			),
		);
		this.#add(`the time of ${ticket.runId}'s wait is over`, null, (world) =>
			this.#say(world, { what: "unwait", ticket, name }),
		);
	}

	#executor(live: LiveRun, run: RunFacts | undefined, own: RunTicket): void {
		const { ticket, told } = live;
		const { runId } = ticket;
		const outcomes = told
			? (["aborted"] as const)
			: (["completed", "failed"] as const);
		// One that waits has not come to its end; told to stop, its wait is over.
		if (told || !run || openWaits(run).length === 0)
			for (const outcome of outcomes)
				this.#add(`${runId} ends ${outcome}`, 6, (world) =>
					this.#say(change(world, live, { returned: true }), {
						what: "settle",
						ticket,
						outcome,
					}),
				);
		if (told) return;
		this.#spend("waits", `${runId} waits`, (world) => {
			const asks = { what: "unwait", ticket, name: "w" } as const;
			const event = {
				type: "wait",
				at,
				ticket: own,
				name: "w",
				deadline: null,
			} as const;
			return pend(world, turnOf([this.#take(this.#facts, event)], null, asks));
		});
		this.#spend("rotations", `${runId} rotates`, (world) =>
			pend(
				world,
				this.#turn({
					type: "rotate",
					at,
					ticket: own,
					sessionId: fresh.session,
				}),
			),
		);
		if (run && this.#facts.queue.some(({ steers }) => steers === runId))
			this.#add(`${runId} is steered`, null, (world) => {
				const turn = this.#turn({ type: "pull", at, ticket: own });
				const pulled = joined(live.pulled, turn.takes);
				return pend(change(world, live, { pulled }), turn);
			});
	}

	/** What a host reports of its runs, live, reserved or draining. */
	#reports(): void {
		if (!this.#scene.drivers.includes("host")) return;
		const { reservations } = this.#facts;
		for (const run of [...unsettledOf(this.#facts), ...reservations]) {
			if (run.driver !== "host") continue;
			const { runId } = run;
			const about = ticketOf(run);
			const stoppedBy =
				this.#world.live.find(({ ticket }) => isSame(ticket, run))?.told ??
				undefined;
			const report = (
				name: string,
				settles: number | null,
				said:
					| { phase: "start" }
					| { phase: "end" }
					| { phase: "error"; error: string },
			) =>
				this.#add(`${runId} is reported to ${name}`, settles, (world) =>
					pend(
						world,
						this.#turn({
							type: "report",
							at,
							grant: this.#grant,
							report: { ...about, ...said },
							stoppedBy,
						}),
					),
				);
			if (run.startedAt === null) report("start", null, { phase: "start" });
			report("end", run.status === "reserved" ? null : 7, { phase: "end" });
			report("fail", null, { phase: "error", error: "broke" });
		}
	}

	// ── what nobody can repeat

	#keptOnes(): void {
		for (const one of this.#world.kept)
			this.#add(`again: ${nameOf(one)}`, 2, (world) =>
				this.#say(
					{ ...world, kept: world.kept.filter((other) => other !== one) },
					one,
				),
			);
		for (const generation of this.#world.hooks) {
			this.#add(`the host is done with generation ${generation}`, 3, (world) =>
				this.#say(
					{ ...world, hooks: world.hooks.filter((one) => one !== generation) },
					{ what: "closed", generation },
				),
			);
			const isWaitedFor = this.#facts.closing.some(
				(one) => one.generation === generation && !one.postponed,
			);
			if (isWaitedFor)
				this.#spend(
					"postponed",
					`the host cannot be told of generation ${generation} in time`,
					(world) => this.#say(world, { what: "postponed", generation }),
				);
		}
	}

	/** Its event is made of what is known now, and the one that it settles may be no longer there. */
	#say(world: World, kept: Kept): World {
		const event = this.#eventOf(kept);
		const taken = this.#take(this.#facts, event);
		const turn = turnOf([taken], kept);
		// What changes nothing needs no commit, but what is under way below it may still fail.
		return taken.after === this.#facts && world.pending.length > 0
			? keep(world, kept)
			: pend(world, turn);
	}

	#eventOf(kept: Kept): SessionEvent {
		if ("generation" in kept)
			return {
				type: kept.what,
				at,
				grant: this.#grant,
				generation: kept.generation,
			};
		const live = this.#world.live.find(({ ticket }) =>
			isSame(ticket, kept.ticket),
		);
		const run = unsettledOf(this.#facts).find((one) =>
			isSame(one, kept.ticket),
		);
		const ticket = run ? ticketOf(run) : kept.ticket;
		const common = {
			at,
			ticket,
			grant: this.#grant,
			unread: live?.pulled,
		};
		const stoppedBy = live?.told ?? undefined;
		switch (kept.what) {
			case "settle":
				return {
					...common,
					type: "settled",
					end: { at, outcome: kept.outcome, stoppedBy },
					retry:
						stoppedBy === "shutdown"
							? this.#retryOf(live?.pulled ?? [])
							: undefined,
				};
			case "overdue":
				return { ...common, type: "overdue", stoppedBy };
			case "shutdown":
				if (live?.driver === "host")
					return {
						type: "settled",
						at,
						ticket,
						end: { at, outcome: "interrupted", stoppedBy: "shutdown" },
					};
				return { ...stopOf(ticket), cause: "shutdown" };
			case "timeout":
				return { ...stopOf(ticket), cause: "timeout" };
			case "unwait":
				return { type: "unwait", at, ticket, name: kept.name };
		}
	}
}

function stopOf(ticket: RunTicket) {
	return {
		type: "abort",
		at,
		ticket,
		reason: null,
		deadline,
		queued: "keep",
	} as const;
}

function change(world: World, live: LiveRun, how: Partial<LiveRun>): World {
	return {
		...world,
		live: world.live.map((one) => (one === live ? { ...one, ...how } : one)),
	};
}

function nameOf(kept: Kept): string {
	switch (kept.what) {
		case "closed":
			return `the host is done with generation ${kept.generation}`;
		case "postponed":
			return `the host cannot be told of generation ${kept.generation} in time`;
		case "settle":
			return `${kept.ticket.runId} ends ${kept.outcome}`;
		case "overdue":
			return `the grace period of ${kept.ticket.runId} is over`;
		case "shutdown":
			return `${kept.ticket.runId} is told that the runtime closes`;
		case "timeout":
			return `${kept.ticket.runId} has taken too long`;
		case "unwait":
			return `the time of ${kept.ticket.runId}'s wait is over`;
	}
}
