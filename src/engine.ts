/**
 * Owns how the parts of the embedded engine work together: calls go to their sessions, turns to the journal, and what is committed is
 * published, answered and carried out, in that order. Each part owns its own facts; none of them is kept here.
 */
import type { SessionEvent } from "../machines/events.ts";
import {
	type SessionFacts,
	type SessionRow,
	shownRow,
} from "../machines/facts.ts";
import { type RunFacts, stepRun, ticketOf } from "../machines/run.ts";
import { type RunTicket, ticketId } from "../machines/ticket.ts";
import { SessionActors } from "./actor.ts";
import { dueAt, type RuntimeClock } from "./clock.ts";
import { Closing } from "./closing.ts";
import type { Config } from "./config.ts";
import { Directory } from "./directory.ts";
import { errorText, RunAborted, TurnkeeperError } from "./errors.ts";
import { Inspection } from "./inspection.ts";
import { Journal, type JournalHost } from "./journal.ts";
import { Projection } from "./projection.ts";
import { refusalOf, unsettledRuns } from "./reader.ts";
import { type LiveRun, Registry } from "./registry.ts";
import { Renewal } from "./renewal.ts";
import { Retries } from "./retries.ts";
import { Runs, type RunsHost } from "./runs.ts";
import type { Doubt, LiveSession, Operation, SessionHost } from "./session.ts";
import { factsOf, type OpenStore, type StoredRefusal } from "./store.ts";
import { Taking, type TakingHost } from "./taking.ts";
import { endedBy, rowAfter, type Turn } from "./turn.ts";
import { Waiting } from "./waiting.ts";

/** new → starting → open → closing → closed; lost: somebody else took the store. */
export type EngineState =
	| "new"
	| "starting"
	| "open"
	| "closing"
	| "closed"
	| "lost";

/** What the parts of the engine need of the configuration, and what they tell those around it. */
export interface EngineOptions<Meta>
	extends Pick<
		Config<never, never, Meta>,
		| "clock"
		| "logger"
		| "graceMs"
		| "runTimeoutMs"
		| "maxConcurrentRuns"
		| "retry"
		| "expiry"
		| "onGenerationEnded"
		| "carryOver"
		| "passivateAfterMs"
		| "maxResident"
		| "runId"
		| "freshId"
		| "sessionId"
	> {
	/** Executes a managed run to its end. Never rejects. Null if the host runs its agent itself. */
	readonly execute:
		| ((live: LiveRun, start: NonNullable<Turn["start"]>) => void)
		| null;
	/** A message's run settled, or it left without one. */
	readonly concluded: (turn: Turn) => void;
	/** Nothing that waits will be concluded any more. */
	readonly interrupted: () => void;
	/** Whether runs that are live in the store are driven elsewhere, and this engine only decides on them. */
	readonly adopts: boolean;
	/** A session has begun a new generation. */
	readonly renewed: (sessionKey: string, generation: number) => void;
}

/** Operations that may wait on one session. */
const mailboxCapacity = 10_000;

export class Engine<Meta>
	implements SessionHost, JournalHost, TakingHost, RunsHost
{
	readonly options: EngineOptions<Meta>;
	readonly directory: Directory;
	readonly registry: Registry;
	readonly projection: Projection<Meta>;
	readonly waiting: Waiting;
	readonly inspection: Inspection;
	readonly retries: Retries;
	readonly renewal: Renewal;
	readonly taking: Taking;
	readonly runs: Runs;
	readonly closing: Closing<Meta> | null;
	readonly actors: SessionActors;
	state: EngineState = "new";
	#store: OpenStore | null = null;
	#journal: Journal | null = null;
	#gathering: Turn | null = null;
	#lost: TurnkeeperError | null = null;
	/** Runs that nobody drives and that are about to be settled. */
	readonly #orphans = new Set<string>();
	readonly #readsAgain = new WeakSet<Operation>();
	/** Called with every run that becomes live while the runtime closes. */
	whileClosing: (live: LiveRun) => void = () => {};

	constructor(options: EngineOptions<Meta>) {
		this.options = options;
		const { clock, logger } = options;
		this.projection = new Projection(logger);
		this.waiting = new Waiting(clock);
		this.inspection = new Inspection(logger);
		this.retries = new Retries(clock, (key, operation) =>
			this.post(key, operation),
		);
		this.registry = new Registry(clock, (live) => this.runs.overdue(live));
		this.renewal = new Renewal(options);
		this.taking = new Taking(this, this.renewal, options);
		this.runs = new Runs(this);
		this.closing = options.onGenerationEnded
			? new Closing(this, options.onGenerationEnded)
			: null;
		this.directory = new Directory(this, clock, options);
		this.actors = new SessionActors(
			() => this.#gathering as Turn,
			(sessionKey) => this.inspection.watches(sessionKey),
			(deadline) => dueAt(clock, deadline),
		);
	}

	get store(): OpenStore {
		if (!this.#store) throw this.refusal("read");
		return this.#store;
	}

	/** Whether managed runs may begin. */
	get mayExecute(): boolean {
		return this.state === "open" && this.options.execute !== null;
	}

	get isServing(): boolean {
		return this.state === "open" || this.state === "closing";
	}

	get journal(): Journal {
		return this.#journal as Journal;
	}

	get clock(): RuntimeClock {
		return this.options.clock;
	}

	now(): number {
		return this.options.clock.now();
	}

	open(store: OpenStore): void {
		this.#store = store;
		this.#journal = new Journal(store, this);
	}

	/** Gives the store back. */
	async release(): Promise<void> {
		const store = this.#store;
		this.#store = null;
		await store?.[Symbol.asyncDispose]();
	}

	/** Asked at the call, and again when its turn has come: the runtime may close in between. */
	mustBeOpen(call: string): void {
		if (this.state !== "open") throw this.refusal(call);
	}

	/** What a call is told that comes when it cannot be served. */
	refusal(call: string): TurnkeeperError {
		if (this.#lost) return this.#lost;
		const why =
			this.state === "new" || this.state === "starting"
				? "has not started; await start() first"
				: this.state === "closing"
					? "is closing"
					: "is closed";
		return new TurnkeeperError("RUNTIME_CLOSED", `${call}: the runtime ${why}`);
	}

	/** Serves an operation on a session, or fails it: work is refused when too many calls wait, and all is once the store is lost. */
	post(key: string, operation: Operation): void {
		if (this.#lost) {
			operation.failed(this.#lost);
			return;
		}
		const session = this.directory.wake(key);
		if (operation.intake && session.waiting >= mailboxCapacity) {
			operation.failed(
				new TurnkeeperError(
					"MAILBOX_FULL",
					`${mailboxCapacity} calls wait on session ${JSON.stringify(key)}; wait for some of them to be answered`,
				),
			);
			return;
		}
		session.post(operation);
	}

	/**
	 * Posts an operation that nobody can repeat: it is tried until it is committed. `givenUp` is called if the runtime ends before that.
	 */
	keep(
		key: string,
		kept: Omit<Operation, "failed" | "kept" | "intake">,
		givenUp?: () => void,
		/** Told each time that it has to be tried again. */
		later?: () => void,
	): void {
		const operation: Operation = {
			...kept,
			kept: true,
			failed: (error) => {
				if (this.isOver) {
					givenUp?.();
					return;
				}
				this.projection.trouble(error);
				this.retries.again(key, operation, givenUp);
				later?.();
			},
		};
		if (this.isOver) givenUp?.();
		else this.post(key, operation);
	}

	/** Resolves when every call that was made before this one has been served and committed. */
	async barrier(): Promise<void> {
		await Promise.all(
			this.directory.busy().map(
				({ key }) =>
					new Promise<void>((resolve) => {
						this.post(key, {
							event: () => null,
							committed: () => resolve(),
							failed: () => resolve(),
						});
					}),
			),
		);
	}

	/** Whether nothing is asked, running, draining, queued or to be tried again, in a session or in all. */
	isIdle(key?: string): boolean {
		if (this.retries.waits(key)) return false;
		if (key === undefined) return this.directory.isIdle;
		return this.directory.find(key)?.isIdle ?? true;
	}

	/** Resolves when a session has been read and all that was asked of it before is committed. */
	touch(key: string): Promise<void> {
		return new Promise((resolve, reject) => {
			this.post(key, {
				event: () => null,
				committed: () => resolve(),
				failed: reject,
			});
		});
	}

	/** The host's own work on a generation that ended is over. */
	closed(key: string, generation: number, done: () => void = () => {}): void {
		this.keep(
			key,
			{
				event: ({ facts }) => ({
					type: "closed",
					at: this.now(),
					grant: this.taking.grant(facts),
					generation,
				}),
				committed: done,
			},
			done,
		);
	}

	/** The host could not be called for a generation that ended. */
	postponed(key: string, generation: number): void {
		this.keep(key, {
			event: ({ facts }) => ({
				type: "postponed",
				at: this.now(),
				grant: this.taking.grant(facts),
				generation,
			}),
			committed() {},
		});
	}

	/** Keeps and publishes the refusal of a report that no session was asked about. */
	async refuse(refusal: StoredRefusal): Promise<void> {
		await this.journal.refuse(refusal);
		this.#logRefusal(refusal, null);
		this.projection.refusal(refusalOf(refusal));
	}

	#logRefusal(refusal: StoredRefusal, ticket: RunTicket | null): void {
		const { sessionKey, verdict, reason, report, current } = refusal;
		this.options.logger.info(
			{ ticket, sessionKey, verdict, reason, report, current },
			`a report was not applied (${verdict}): ${reason}`,
		);
	}

	/**
	 * As last committed. A session that comes into memory while the store is asked has the word: the store may answer with a commit that
	 * its session does not know of yet, and whoever asked next would see less.
	 */
	async committedFacts(key: string): Promise<SessionFacts | null> {
		const known = () => this.directory.find(key)?.committed ?? null;
		const facts = known();
		if (facts) return facts;
		const loaded = await this.store.load(key);
		return known() ?? (loaded && factsOf(loaded));
	}

	async committedRow(key: string): Promise<SessionRow | null> {
		const facts = await this.committedFacts(key);
		return facts && shownRow(facts);
	}

	// ── what a session needs

	inspects(sessionKey: string): boolean {
		return this.inspection.watches(sessionKey);
	}

	expiry(facts: SessionFacts): SessionEvent | null {
		return this.renewal.expiry(facts);
	}

	gather(turn: Turn, act: () => void): void {
		this.#gathering = turn;
		try {
			act();
		} finally {
			this.#gathering = null;
		}
	}

	settled(session: LiveSession): Promise<void> {
		return this.journal.settled(session);
	}

	cleared({ turns, error }: Doubt, holds: boolean): void {
		// Callers were told that it failed; that it holds all the same is seen by everybody else.
		const told = { event: () => null, committed() {}, failed() {} };
		// Nobody has the handle of a run whose admission was said to have failed.
		const isOrphaned = ({ reply, start }: Turn) =>
			reply?.result === "admitted" && start?.run.driver === "host";
		if (holds)
			this.committed(
				turns.map((turn) =>
					turn.operation.kept
						? turn
						: {
								...turn,
								operation: told,
								start: isOrphaned(turn) ? null : turn.start,
							},
				),
			);
		else
			for (const { operation, start } of turns) {
				if (start) this.taking.slots.release(start.run);
				if (operation.kept) operation.failed(error);
			}
	}

	hydrated(session: LiveSession): void {
		if (this.isServing) this.#settleOrphans(session);
		if (this.inspects(session.key)) this.inspection.announce(session);
	}

	/** A committed run that nobody in this process drives: its admission held although its caller was told that it failed. */
	#settleOrphans({ key, committed }: LiveSession): void {
		if (!committed) return;
		for (const run of unsettledRuns(committed)) {
			if (this.registry.get(run)) continue;
			if (this.options.adopts) {
				this.runs.adopt(run, committed);
				continue;
			}
			// Its host may have it after all.
			if (run.leaseMs !== null && run.stop === null) {
				this.runs.enter(run).facts = committed;
				continue;
			}
			this.#settleOrphan(key, ticketOf(run));
		}
	}

	/** However often its session is read until that is stored, it is settled once. */
	#settleOrphan(key: string, ticket: RunTicket): void {
		const id = ticketId(ticket);
		if (this.#orphans.has(id)) return;
		this.#orphans.add(id);
		const done = () => {
			this.#orphans.delete(id);
		};
		this.keep(
			key,
			{
				event: ({ facts }) => {
					const at = this.now();
					const end = { at, outcome: "interrupted" } as const;
					return {
						type: "settled",
						at,
						grant: this.taking.grant(facts),
						ticket,
						end,
					};
				},
				committed: done,
			},
			done,
		);
	}

	/** Reads a session whose turns were thrown away: what is live in it must not be out of sight. */
	#readAgain(key: string): void {
		const operation: Operation = {
			kept: true,
			event: () => null,
			committed() {},
			failed: (error) => {
				if (this.isOver) return;
				// It could not be read; what fails after it was read brings another one of these.
				this.projection.trouble(error);
				this.retries.again(key, operation);
			},
		};
		this.#readsAgain.add(operation);
		this.post(key, operation);
	}

	made(turn: Turn): void {
		if (turn.healed) turn.runs = [...turn.runs, ...this.#abandoned(turn)];
		if (turn.start?.run.driver === "managed")
			this.taking.slots.hold(turn.start.run);
		this.journal.add(turn);
	}

	/** What an unreadable row had live is known to the registry alone; it ends with its row. */
	#abandoned({ after }: Turn): readonly RunFacts[] {
		const at = this.now();
		return this.registry
			.all()
			.map(({ run }) => run)
			.filter(
				({ sessionKey, generation }) =>
					sessionKey === after.sessionKey && generation < after.generation,
			)
			.map((run) =>
				stepRun(run, {
					type: "settle",
					end: {
						at,
						outcome: "abandoned",
						error: "the row of its session could not be read",
						stoppedBy: after.hidden ? "delete" : "reset",
					},
				}),
			);
	}

	rested(session: LiveSession): void {
		this.directory.settle(session);
		this.waiting.rest();
	}

	// ── what the journal says

	committed(turns: readonly Turn[]): void {
		for (const turn of turns) {
			// Decided before anybody looked: who looks now is shown what came of it.
			if (
				this.inspects(turn.session.key) &&
				turn.inspection.length === 0 &&
				turn.after !== turn.before
			)
				this.inspection.announce(turn.session);
			this.#publish(turn);
		}
		for (const turn of turns) {
			this.#follow(turn);
			try {
				turn.operation.committed(turn);
				this.options.concluded(turn);
				this.waiting.see(turn);
			} catch (error) {
				// What is committed is committed: one answer that fails must not cost the others theirs.
				this.options.logger.error(
					{ error, sessionKey: turn.session.key },
					`a caller could not be answered: ${errorText(error)}`,
				);
			}
		}
		this.#carryOut(turns);
		for (const { session, after } of turns) {
			if (session.committed === after) this.taking.pump(after);
			this.directory.settle(session);
		}
		this.waiting.rest();
	}

	failed(
		session: LiveSession,
		turns: readonly Turn[],
		error: TurnkeeperError,
	): void {
		this.projection.trouble(error);
		for (const turn of turns) {
			// A stop fires its signal even if its commit fails.
			for (const stopped of turn.stops) this.runs.stop(stopped);
			// What may hold already keeps its slot, and must not be made again before that is known.
			const isInDoubt = session.doubt?.turns.includes(turn) === true;
			if (turn.start && !isInDoubt) this.taking.slots.release(turn.start.run);
			if (turn.operation.kept && isInDoubt) continue;
			if (!this.#readsAgain.has(turn.operation)) turn.operation.failed(error);
		}
		// At once. While the runtime starts, the start itself fails.
		if (this.isServing) this.#readAgain(session.key);
		this.directory.settle(session);
		this.waiting.rest();
	}

	lost(error: TurnkeeperError): void {
		if (this.#lost) return;
		this.#lost = error;
		this.state = "lost";
		this.projection.trouble(error);
		this.journal.stop(error);
		const stop = new RunAborted("shutdown", error.text);
		for (const live of this.registry.all()) live.abort(stop);
		this.registry.clear();
		this.runs.progress.close();
		this.giveUp(error);
		this.options.interrupted();
	}

	/** Whether anything that nobody can repeat waits for its next try, or is in doubt. */
	get hasUnfinished(): boolean {
		if (this.retries.waits()) return true;
		for (const { doubt } of this.directory.all()) if (doubt) return true;
		return false;
	}

	/** Nothing that waits will come to pass any more; whoever waits is told. */
	giveUp(error: TurnkeeperError): void {
		this.retries.giveUp();
		this.taking.close();
		for (const { doubt } of this.directory.all())
			for (const { operation } of doubt?.turns ?? [])
				if (operation.kept) operation.failed(error);
		this.waiting.failAll(error);
	}

	get isOver(): boolean {
		return this.state === "closed" || this.state === "lost";
	}

	#publish(turn: Turn): void {
		const { before, after, session } = turn;
		for (const event of turn.inspection)
			this.inspection.show(session.key, event);
		for (const refusal of turn.refusals) {
			const { reply } = turn;
			const ticket = reply?.result === "verdict" ? reply.ticket : null;
			this.#logRefusal(refusal, ticket);
		}
		if (this.projection.isFollowed) this.#tell(turn);
		if (after.version === before.version) return;
		if (!this.projection.shows(session.key)) return;
		const row = rowAfter<Meta>(turn);
		if (row) this.projection.row(row);
		else if (!before.hidden)
			this.projection.deleted(session.key, before.generation, after.version);
	}

	#tell(turn: Turn): void {
		const { projection } = this;
		for (const message of turn.messages)
			if (message.kind === "message")
				projection.tell({
					type: "message",
					sessionKey: turn.session.key,
					messageId: message.messageId,
					fate: message.fate,
					reason: message.reason,
				});
		for (const run of turn.runs) if (run.outcome !== null) projection.run(run);
		const ended = endedBy<Meta>(turn);
		if (ended) projection.generation(ended);
		for (const refusal of turn.refusals) projection.refusal(refusalOf(refusal));
	}

	/** The live runs of a session see its committed facts, those of older generations their last ones. */
	#follow({ after }: Turn): void {
		if (after.run) {
			const live = this.registry.get(after.run);
			if (!live) return;
			live.facts = after;
			live.see(after.run, after);
			if (live.isSuspended) this.taking.slots.release(after.run);
		}
	}

	#carryOut(turns: readonly Turn[]): void {
		const starts: { live: LiveRun; start: NonNullable<Turn["start"]> }[] = [];
		for (const turn of turns) {
			const { before, after } = turn;
			if (turn.start) {
				const { run, messages } = turn.start;
				const live = this.runs.enter(run);
				live.facts = after;
				live.messages = messages;
				// A commit that was in doubt has given the slot back.
				if (run.driver === "managed") this.taking.slots.hold(run);
				if (this.state !== "open") this.whileClosing(live);
				if (turn.start.run.driver === "managed")
					starts.push({ live, start: turn.start });
			}
			for (const stopped of turn.stops) this.runs.stop(stopped);
			for (const { generation, due } of turn.closes)
				this.closing?.begin(after.sessionKey, generation, due);
			if (after.generation !== before.generation)
				this.options.renewed(after.sessionKey, after.generation);
			if (after.generation !== before.generation)
				for (const run of before.reservations) {
					const live = this.registry.get(run);
					if (live) this.runs.letGo(live, after.hidden ? "delete" : "reset");
				}
			for (const run of turn.runs) this.runs.leave(run, after);
		}
		for (const { live, start } of starts) {
			// It may have settled within the same commit.
			if (this.registry.get(live.ticket) !== live) continue;
			if (live.isAborted) this.runs.settle(live, { outcome: "aborted" });
			else this.options.execute?.(live, start);
		}
	}
}
