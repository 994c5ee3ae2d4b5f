/**
 * Owns one session in memory: its mailbox, its actor, and what it did since its last commit. Operations are served one at a time, in
 * order; one that must look something up holds up the ones behind it, of this key alone. Never commits, never publishes.
 */
import type { InspectionEvent } from "xstate";
import type { SessionEvent } from "../machines/events.ts";
import {
	isBusy,
	type SessionFacts,
	type SessionRow,
	shownRow,
	unusedFacts,
} from "../machines/facts.ts";
import {
	isOutdated,
	type SessionActor,
	type SessionActors,
	showRuns,
} from "./actor.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import {
	factsOf,
	isPurged,
	type OpenStore,
	type StoredMessage,
	UnreadableSession,
} from "./store.ts";
import { emptyTurn, notesOf, type Turn } from "./turn.ts";
import { TurnoverMap } from "./turnover.ts";

/** One thing asked of a session, from the first look to the answer. */
export interface Operation {
	/** Nobody can ask again, so no failure ends it: it is tried until it is committed. */
	readonly kept?: boolean;
	/** Brings work in: refused when too many calls wait. */
	readonly intake?: boolean;
	/** Also for a session whose stored row cannot be read. */
	readonly heals?: boolean;
	/** Whether a session that has expired begins anew before it. */
	expires?(): boolean;
	/** An event before its own, in the same commit. If that is not done, its own is not asked. */
	first?(session: LiveSession): SessionEvent | null;
	/** Looks up what the event needs. May be called again if the session lost its uncommitted turns meanwhile. */
	prepare?(session: LiveSession): Promise<void> | undefined;
	/** The event, made when its turn has come; null if the machine need not be asked. */
	event(session: LiveSession): SessionEvent | null;
	/** What the machine does not know of: refusals, ids to remember. */
	amend?(turn: Turn): void;
	committed(turn: Turn): void;
	failed(error: TurnkeeperError): void;
}

/** Turns of which nobody knows whether they hold: their commit failed, and the store could not be asked. */
export interface Doubt {
	readonly turns: readonly Turn[];
	readonly error: TurnkeeperError;
}

/** What a live session needs from the engine that holds it. */
export interface SessionHost {
	readonly store: OpenStore;
	readonly actors: SessionActors;
	/** Whether anybody looks at a session through `inspect`. */
	inspects(sessionKey: string): boolean;
	/** What ends the generation of a session that has expired, or null. */
	expiry(facts: SessionFacts): SessionEvent | null;
	/** Makes the turn the one that effects are gathered into, for as long as `act` runs. */
	gather(turn: Turn, act: () => void): void;
	/** Resolves when nothing of this session waits for a commit. */
	settled(session: LiveSession): Promise<void>;
	/** A doubt is over: the turns hold, or they do not. */
	cleared(doubt: Doubt, holds: boolean): void;
	/** Its actor was created. */
	hydrated(session: LiveSession): void;
	/** A turn was made. */
	made(turn: Turn): void;
	/** The mailbox ran empty. */
	rested(session: LiveSession): void;
}

/** What a purge erases that the store still has. */
interface Purging {
	readonly turn: Turn;
	/** Generations before this one. */
	readonly before: number;
	/** The messages among those that are not committed themselves. */
	readonly messageIds: Set<string>;
}

export class LiveSession {
	readonly key: string;
	/** As last committed; null until it was read. */
	committed: SessionFacts | null = null;
	/** Turns that wait for their commit. */
	pending = 0;
	/** Set until the session has been read again. */
	doubt: Doubt | null = null;
	/** Messages that the store does not know yet, or not as they are now. */
	readonly uncommittedMessages = new TurnoverMap<string, StoredMessage>();
	/** The newest purge that is not committed yet. */
	purging: Purging | null = null;
	#host: SessionHost;
	#actor: SessionActor | null = null;
	#mailbox: Operation[] = [];
	#busy = false;
	/** +1 whenever uncommitted turns were thrown away. */
	#epoch = 0;
	#broken: unknown;
	/** While the stored row is unreadable: its messages that are too. Only what ends that generation may be committed. */
	#lost: readonly StoredMessage[] | null = null;

	constructor(key: string, host: SessionHost) {
		this.key = key;
		this.#host = host;
	}

	/** As decided so far, committed or not. */
	get facts(): SessionFacts {
		return (this.#actor as SessionActor).getSnapshot().context.facts;
	}

	/** The same, also where its actor is not in memory; null if that is known only once it has been read again. */
	get decided(): SessionFacts | null {
		if (this.#actor) return this.facts;
		return this.pending === 0 ? this.committed : null;
	}

	get actor(): SessionActor | null {
		return this.#actor;
	}

	/** The committed row as readers see it. */
	get row(): SessionRow | null {
		return this.committed && shownRow(this.committed);
	}

	get waiting(): number {
		return this.#mailbox.length;
	}

	/** Whether a call is being served or waits, or a turn waits for its commit. */
	get isBusy(): boolean {
		return this.#busy || this.#mailbox.length > 0 || this.pending > 0;
	}

	/** Nothing to do. */
	get isIdle(): boolean {
		if (this.isBusy || this.doubt) return false;
		return !this.committed || !isBusy(this.committed);
	}

	/** Nothing to do, nothing to lose: the actor may leave memory. */
	get atRest(): boolean {
		return this.isIdle && !this.committed?.queue.length;
	}

	post(operation: Operation): void {
		if (this.#busy || !this.#actor || operation.prepare) {
			this.#mailbox.push(operation);
			if (!this.#busy) void this.#serve();
			return;
		}
		// What a host's function asks for while the turn is made waits behind it.
		this.#busy = true;
		this.#turn(operation);
		this.#busy = false;
		if (this.#mailbox.length > 0) void this.#serve();
		else this.#host.rested(this);
	}

	/** Throws away all that was not committed; the next operation reads the session again, and tells what became of a doubt. */
	drop(doubt: Doubt | null = null): void {
		this.doubt = doubt;
		this.#epoch += 1;
		this.#actor?.stop();
		this.#actor = null;
		this.committed = null;
		this.pending = 0;
		this.uncommittedMessages.clear();
		this.purging = null;
	}

	/** Another actor in the place of the one that is, made of nothing but these facts. */
	renew(facts: SessionFacts): void {
		this.#actor?.stop();
		this.#actor = this.#host.actors.create(facts, this.committed, (error) => {
			this.#broken = error;
		});
	}

	/** For somebody who looks: the runs that were committed, each with an actor that is up to date. */
	showRuns(): void {
		if (!this.#actor || !this.committed) return;
		if (isOutdated(this.#actor, this.committed)) this.renew(this.facts);
		showRuns(this.#actor, this.committed);
	}

	/** Leaves memory. */
	passivate(): void {
		this.#epoch += 1;
		this.#actor?.stop();
		this.#actor = null;
	}

	async #serve(): Promise<void> {
		this.#busy = true;
		for (
			let operation = this.#mailbox.shift();
			operation;
			operation = this.#mailbox.shift()
		)
			await this.#attempt(operation);
		this.#busy = false;
		this.#host.rested(this);
	}

	async #attempt(operation: Operation): Promise<void> {
		for (;;) {
			const epoch = this.#epoch;
			try {
				if (!this.#actor) await this.#hydrate(operation.heals === true);
				const wait = this.#actor && operation.prepare?.(this);
				if (wait) await wait;
			} catch (error) {
				// What it looked at may have been thrown away meanwhile; then it looks again.
				if (epoch !== this.#epoch) continue;
				operation.failed(asTurnkeeperError(error, this.key));
				return;
			}
			// The check and the act are one step: between them nothing may throw uncommitted turns away.
			if (epoch !== this.#epoch || !this.#actor) continue;
			this.#turn(operation);
			return;
		}
	}

	async #hydrate(heals: boolean): Promise<void> {
		await this.#host.settled(this);
		const { facts, lost } = await this.#load(heals);
		// What stands in the place of a row that cannot be read was never committed: readers are told what the store tells them.
		this.committed = lost ? null : facts;
		this.#lost = lost;
		this.renew(facts);
		const { doubt } = this;
		this.doubt = null;
		if (doubt)
			this.#host.cleared(
				doubt,
				facts.version === doubt.turns.at(-1)?.after.version,
			);
		this.#host.hydrated(this);
	}

	async #load(heals: boolean): Promise<{
		facts: SessionFacts;
		lost: readonly StoredMessage[] | null;
	}> {
		try {
			const loaded = await this.#host.store.load(this.key);
			if (!loaded) return { facts: unusedFacts(this.key), lost: null };
			return { facts: factsOf(loaded), lost: null };
		} catch (error) {
			if (!(heals && error instanceof UnreadableSession)) throw error;
			// What its columns tell is enough to end that generation; the raw row goes into its archive.
			const { generation, version, raw, queue, lost, entries } = error.row;
			const facts = {
				...unusedFacts(this.key),
				generation,
				version,
				hidden: false,
				queue,
				arrivals: queue.reduce((most, { seq }) => Math.max(most, seq), 0),
				entries,
				meta: { unreadable: raw },
			};
			return { facts, lost };
		}
	}

	/** A turn on a row that cannot be read counts only if it ends that generation; else nothing is known of the session. */
	#heal(turn: Turn): boolean {
		const lost = this.#lost ?? [];
		this.#lost = null;
		if (turn.after.generation !== turn.before.generation) {
			turn.healed = true;
			turn.messages = [...turn.messages, ...lost];
			return true;
		}
		this.drop();
		turn.operation.failed(
			new TurnkeeperError(
				"STORE_CORRUPT",
				`the stored row of session ${JSON.stringify(this.key)} cannot be read; reset the session to archive it and go on`,
			),
		);
		return false;
	}

	#turn(operation: Operation): void {
		try {
			const expiry = operation.expires?.()
				? this.#host.expiry(this.facts)
				: null;
			if (expiry && !this.#opens(operation, expiry)) return;
			const first = operation.first?.(this);
			if (first && !this.#opens(operation, first)) return;
			this.#make(operation, operation.event(this));
		} catch (error) {
			operation.failed(asTurnkeeperError(error, this.key));
		}
	}

	/** Makes a turn before an operation's own, which is of the same commit. False: it was not done, and the operation is told by it. */
	#opens(operation: Operation, event: SessionEvent): boolean {
		let isDone = false;
		const turn = this.#make(
			{
				event: () => event,
				committed: (made) => {
					if (!isDone) operation.committed(made);
				},
				failed: (error) => {
					if (!isDone) operation.failed(error);
				},
			},
			event,
		);
		isDone = turn?.reply?.result === "done";
		return isDone;
	}

	/** The turn that an event makes; null if it makes none, which its operation was told. */
	#make(operation: Operation, event: SessionEvent | null): Turn | null {
		const actor = this.#actor as SessionActor;
		const before = actor.getSnapshot().context.facts;
		const turn = emptyTurn(this, operation, before);
		if (event) {
			const watch = this.#host.inspects(this.key)
				? actor.system.inspect((seen: InspectionEvent) => {
						turn.inspection = [...turn.inspection, seen];
					})
				: null;
			const made = Object.assign(event, { version: before.version });
			this.#host.gather(turn, () => actor.send(made));
			watch?.unsubscribe();
			const snapshot = actor.getSnapshot();
			if (snapshot.status !== "active") {
				this.#actor = null;
				operation.failed(
					new TurnkeeperError(
						"STORE_CORRUPT",
						`session ${JSON.stringify(this.key)} could not take ${event.type}: ${errorText(this.#broken)}; it goes on from its last commit`,
						{ cause: this.#broken },
					),
				);
				return null;
			}
			turn.after = snapshot.context.facts;
		}
		if (this.#lost && !this.#heal(turn)) return null;
		operation.amend?.(turn);
		for (const message of notesOf(turn)) {
			this.uncommittedMessages.set(message.messageId, message);
			this.purging?.messageIds.delete(message.messageId);
		}
		if (turn.purgeBefore !== null) this.#purge(turn, turn.purgeBefore);
		this.#host.made(turn);
		return turn;
	}

	#purge(turn: Turn, before: number): void {
		const messageIds = new Set(this.purging?.messageIds);
		for (const message of this.uncommittedMessages.values())
			if (isPurged(message, before)) messageIds.add(message.messageId);
		this.purging = { turn, before, messageIds };
	}
}

function asTurnkeeperError(error: unknown, key: string): TurnkeeperError {
	return error instanceof TurnkeeperError
		? error
		: new TurnkeeperError(
				"STORE_FAILED",
				`session ${JSON.stringify(key)} could not be read: ${errorText(error)}`,
				{ cause: error },
			);
}
