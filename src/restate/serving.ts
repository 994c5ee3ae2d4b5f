/**
 * Owns one call of a session's object, from what Restate has kept to what it is asked to do: the embedded engine with the object's state for
 * its store and this moment for its clock. Its machines decide; what they ask for that outlives the call (runs, stops, deadlines, answers
 * to those who wait) is Restate's to carry out. Everything in the order of the calls, so that Restate can play it again.
 */
import {
	type ObjectContext,
	rpc,
	type TypedState,
} from "@restatedev/restate-sdk";
import {
	isBusy,
	type SessionFacts,
	shownRow,
	unusedFacts,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { messageOf } from "../../machines/line.ts";
import { ownsRun, type RunFacts, ticketOf } from "../../machines/run.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import { Calls } from "../calls.ts";
import { collect, type Drain, drainAnswer, isDrained } from "../drain.ts";
import type { Engine } from "../engine.ts";
import { skippedBy } from "../executor.ts";
import { unsettledRuns } from "../reader.ts";
import { keptEnd } from "../receipts.ts";
import type { Settled } from "../runtime.ts";
import type { Turn } from "../turn.ts";
import { CallClock } from "./clock.ts";
import type { ServicesConfig } from "./config.ts";
import {
	type Executing,
	type KeptSession,
	keptName,
	unusedSession,
	type Waiter,
} from "./kept.ts";
import {
	type RunStart,
	type RunsApi,
	type RunView,
	runsService,
	type SessionApi,
	sessionsService,
	signalName,
	type Timed,
} from "./protocol.ts";
import { type ObjectState, StateStore } from "./state.ts";
import { isNews, viewOf } from "./view.ts";

/** Who may wait for the next change of a session. */
const mostChanges = 100;

/** A call that changes the session cannot be answered before what it stopped has settled. */
export const draining = Symbol("draining");

export class Serving<Input, Output, Meta> {
	readonly calls: Calls<Input, Output, Meta>;
	readonly store: StateStore;
	readonly #ctx: ObjectContext<TypedState>;
	readonly #clock: CallClock;
	readonly #before: SessionFacts;
	readonly #waitFor: ServicesConfig<never, never, never>["waitFor"];
	#kept: KeptSession;
	#written: string;
	/** What others hear of this call: when they look, all of it is to be there. */
	readonly #onceWritten: (() => void)[] = [];
	readonly #starts: NonNullable<Turn["start"]>[] = [];
	readonly #turns: Turn[] = [];
	/** By ticket. */
	readonly #resting = new Set<string>();
	readonly #returned = new Set<string>();
	readonly #draining = Promise.withResolvers<typeof draining>();

	private constructor(
		ctx: ObjectContext<TypedState>,
		config: ServicesConfig<Input, Output, Meta>,
		at: number,
		kept: KeptSession,
		awakeable: string | null,
	) {
		this.#ctx = ctx;
		this.#waitFor = config.waitFor;
		this.#kept = kept;
		this.#written = JSON.stringify(kept);
		this.#before = kept.facts ?? unusedFacts(ctx.key);
		this.#clock = new CallClock(at);
		this.store = new StateStore(ctx as ObjectState, kept.facts, kept.places);
		let count = 0;
		/** Ids that rise with time, and are the same when Restate plays the call again. */
		const freshId = () => {
			count += 1;
			const prefix = at.toString(36).padStart(9, "0");
			return `${prefix}-${count.toString(36).padStart(4, "0")}-${ctx.rand.uuidv4().slice(-12)}`;
		};
		const ids = config.idsFor(ctx.key, {
			id: freshId,
			uuid: () => ctx.rand.uuidv4(),
		});
		this.calls = new Calls(
			{
				...config,
				clock: this.#clock,
				freshId,
				runId: () => ids.runId(),
				sessionId: (...of) => ids.sessionId(...of),
			},
			{
				adopts: true,
				execute: config.execute ? (_, start) => this.#starts.push(start) : null,
				concluded: (turn) => this.#turns.push(turn),
				interrupted() {},
				renewed() {},
				untilDrained: (_, drain) => {
					if (awakeable !== null)
						this.await(awakeable, {
							of: "drain",
							drain: drain as Drain<never>,
						});
					this.#draining.resolve(draining);
					return new Promise(() => {});
				},
			},
		);
		this.engine.open(this.store);
		this.engine.state = "open";
	}

	get engine(): Engine<Meta> {
		return this.calls.engine;
	}

	get key(): string {
		return this.#ctx.key;
	}

	/** As committed by now. */
	readonly facts = (): SessionFacts =>
		this.store.facts ?? unusedFacts(this.key);

	/** Serves a call, and has Restate carry out what came of it. What it stopped resolves the awakeable once that has settled. */
	static async serve<Input, Output, Meta, Value>(
		ctx: ObjectContext<TypedState>,
		config: ServicesConfig<Input, Output, Meta>,
		timed: Timed,
		act: (serving: Serving<Input, Output, Meta>) => Promise<Value>,
		awakeable: string | null = null,
	): Promise<Value | typeof draining> {
		// An older version of this may not have known of all of it.
		const kept = {
			...unusedSession,
			...(await ctx.get<KeptSession>(keptName)),
		};
		// Time goes on, whoever calls: else a deadline that a clock ahead of others has set might be far off for them.
		const at = Math.max(timed.at, kept.at);
		const serving = new Serving(ctx, config, at, kept, awakeable);
		return serving.#serve(act);
	}

	async #serve<Value>(
		act: (serving: this) => Promise<Value>,
	): Promise<Value | typeof draining> {
		await this.engine.touch(this.key);
		await this.#rest();
		const acted = act(this);
		// What it throws is told when what came of it has been seen to.
		acted.catch(() => {});
		const first = await Promise.race([acted, this.#draining.promise]).catch(
			() => null,
		);
		await this.#rest();
		// A run may look at its session as soon as it begins.
		if (this.#starts.length > 0) this.#write();
		await this.#start();
		this.#tell();
		this.#stopChildren();
		await this.#answer();
		this.#setAlarm();
		this.#write();
		for (const tell of this.#onceWritten) tell();
		this.engine.registry.clear();
		return first === draining ? draining : acted;
	}

	/** Until nothing is under way and nothing is due. */
	async #rest(): Promise<void> {
		const { directory } = this.engine;
		do await this.engine.barrier();
		while (this.#clock.runDue() || directory.busy().length > 0);
	}

	#keep(change: Partial<KeptSession>): void {
		this.#kept = { ...this.#kept, ...change };
	}

	/** A run's invocation has ended, and is told nothing more; what it returned is kept. */
	returned(ticket: RunTicket, value: JsonValue): void {
		this.#returned.add(ticketId(ticket));
		if (value === null) return;
		this.#keep({
			outputs: this.store.keepOutput(ticket, value, this.#kept.outputs),
		});
	}

	/** An awakeable is to be resolved when something has come to pass. */
	await(id: string, awaited: Waiter["for"]): void {
		this.#keep({ waiters: [...this.#kept.waiters, { id, for: awaited }] });
	}

	/** Which invocations they have is known only then, and written with the rest. */
	async #start(): Promise<void> {
		for (const { run, messages } of this.#starts) {
			const ticket = ticketOf(run);
			const view = viewOf(this.facts(), ticket);
			// It may have been stopped, and have settled, within the same call.
			if (view.isOver) continue;
			const skipped = [];
			for (const id of skippedBy(messages)) {
				const message = await this.store.message(this.key, id);
				if (message) skipped.push(messageOf(message));
			}
			const start: RunStart = { ticket, messages, skipped, view };
			const { invocationId } = this.#ctx
				.serviceSendClient<RunsApi>({ name: runsService })
				.execute(start);
			const executing = { ticket, invocation: await invocationId, told: 0 };
			this.#keep({ executing: [...this.#kept.executing, executing] });
		}
	}

	/** Runs that settled in this call. */
	get #settled(): readonly RunFacts[] {
		return this.#turns
			.flatMap(({ runs }) => runs)
			.filter(({ outcome }) => outcome !== null);
	}

	/** How a run stands that is open, or has settled in this call. */
	#viewOf(ticket: RunTicket): RunView {
		return viewOf(this.facts(), ticket, this.#settled);
	}

	/** How any run stands. To look for one that was over before is to list all names. */
	async viewOf(ticket: RunTicket): Promise<RunView> {
		const view = this.#viewOf(ticket);
		const isHere = this.#settled.some((one) => ownsRun(one, ticket));
		if (!view.isOver || isHere) return view;
		// One thing after another is asked of Restate: else they might come in another order when it plays the call again.
		await this.#rest();
		const settled = await this.store.runsNamed(ticket.runId);
		return viewOf(this.facts(), ticket, settled);
	}

	/** Tells the runs that go on what has become of them. */
	#tell(): void {
		const executing: Executing[] = [];
		for (const one of this.#kept.executing) {
			const view = this.#viewOf(one.ticket);
			const seen = viewOf(this.#before, one.ticket);
			const isNew = this.#starts.some(
				({ run }) => ticketId(run) === ticketId(one.ticket),
			);
			const hears = !isNew && !this.#returned.has(ticketId(one.ticket));
			const told = hears && isNews(seen, view) ? one.told + 1 : one.told;
			if (told > one.told)
				this.#onceWritten.push(() =>
					this.#ctx
						.invocation(one.invocation as never)
						.signal(signalName(told))
						.resolve(view),
				);
			if (!view.isOver) executing.push({ ...one, told });
		}
		this.#keep({ executing });
	}

	/** A run has spawned a message that is attached to it. */
	attach(parent: RunTicket, sessionKey: string, messageId: string): void {
		const child = { parent, sessionKey, messageId };
		this.#keep({ children: [...this.#kept.children, child] });
	}

	/** A run rests until what is attached to it has ended, which is told to. */
	rests(ticket: RunTicket): void {
		this.#resting.add(ticketId(ticket));
	}

	#stopChildren(): void {
		const children = this.#kept.children.filter((child) => {
			const { stop, isOver } = viewOf(this.facts(), child.parent);
			const rests = this.#resting.has(ticketId(child.parent));
			if (!stop && !isOver && !rests) return true;
			const run = unsettledRuns(this.facts()).find((one) =>
				ownsRun(one, child.parent),
			);
			const { graceMs } = this.engine.options;
			this.#onceWritten.push(() =>
				this.#session(child.sessionKey).stopChild({
					at: this.#clock.now(),
					messageId: child.messageId,
					deadline: run?.stop?.deadline ?? this.#clock.now() + graceMs,
				}),
			);
			return false;
		});
		this.#keep({ children });
	}

	async #answer(): Promise<void> {
		const waiters: Waiter[] = [];
		for (const waiter of this.#kept.waiters) {
			const seen = await this.#look(waiter.for);
			if ("answer" in seen)
				this.#onceWritten.push(() =>
					this.#ctx.resolveAwakeable(waiter.id, seen.answer),
				);
			else waiters.push({ id: waiter.id, for: seen });
		}
		// Who waits for any change may have gone long since; the oldest look again.
		const changes = waiters.filter((one) => one.for.of === "change");
		const tooMany = changes.slice(0, Math.max(0, changes.length - mostChanges));
		for (const { id } of tooMany)
			this.#onceWritten.push(() => this.#ctx.resolveAwakeable(id, null));
		this.#keep({ waiters: waiters.filter((one) => !tooMany.includes(one)) });
	}

	/** The answer if it has come to pass, or what is waited for still. */
	async #look(
		awaited: Waiter["for"],
	): Promise<Waiter["for"] | { readonly answer: unknown }> {
		const facts = this.facts();
		switch (awaited.of) {
			case "drain": {
				const drain = this.#turns.reduce<Drain<never>>(collect, awaited.drain);
				return isDrained(drain, facts)
					? { answer: drainAnswer(drain, shownRow<never>(facts)) }
					: { of: "drain", drain };
			}
			case "message": {
				const answer = await this.#endOf(awaited.messageId);
				return answer ? { answer } : awaited;
			}
			case "change":
				return facts.version > awaited.version ? { answer: null } : awaited;
			case "rest":
				return isBusy(facts) ? awaited : { answer: null };
			case "view": {
				const view = await this.viewOf(awaited.ticket);
				return isNews(awaited.seen, view) ? { answer: view } : awaited;
			}
		}
	}

	/** How a message ended; null: it has not. */
	async #endOf(messageId: string): Promise<Settled | null> {
		const known = await this.store.message(this.key, messageId);
		if (!known || known.fate === "removed")
			return { ticket: null, outcome: "removed" };
		const { run } = known;
		if (known.fate === "queued" || !run) return null;
		if (unsettledRuns(this.facts()).some((one) => ownsRun(one, run)))
			return null;
		// One that settled in this call is at hand; to look for others is to list all names.
		const settled = this.#settled.filter((one) => ownsRun(one, run));
		const kept =
			settled.length > 0 ? settled : await this.store.runsNamed(run.runId);
		const end = keptEnd(messageId, run, kept);
		if (end?.outcome !== "completed") return end;
		const output = await this.store.output(run);
		return output === null ? end : { ...end, output };
	}

	/** An alarm that was set for earlier sets the next one itself. */
	#setAlarm(): void {
		const { next } = this.#clock;
		const { alarm } = this.#kept;
		if (next === null || (alarm !== null && alarm <= next)) return;
		const delay = this.#waitFor(this.key, next - this.#clock.now());
		this.#onceWritten.push(() =>
			this.#session(this.key).alarm({ at: next }, rpc.sendOpts({ delay })),
		);
		this.#keep({ alarm: next });
	}

	/** The alarm that the object was set has rung. */
	rang(at: number): void {
		if (this.#kept.alarm === at) this.#keep({ alarm: null });
	}

	#session(sessionKey: string) {
		const object = { name: sessionsService };
		return this.#ctx.objectSendClient<SessionApi>(object, sessionKey);
	}

	#write(): void {
		this.#keep({ facts: this.store.facts, places: this.store.places });
		const written = JSON.stringify(this.#kept);
		if (written === this.#written) return;
		this.#written = written;
		this.#ctx.set(keptName, { ...this.#kept, at: this.#clock.now() });
	}
}
