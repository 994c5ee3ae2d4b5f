/**
 * Owns the playing of a path on the real runtime: each event of it is caused by the call, the end of an executor, the time or the death of a
 * process that causes it in a host, and after each the runtime and its store are compared with what the machine said. Decides nothing.
 */
import { ok } from "node:assert/strict";
import type { Overlap, Reply, SessionEvent } from "../../machines/events.ts";
import { rowOf, shownRow } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { stateOf } from "../../machines/session.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { createSessionRuntime } from "../embedded.ts";
import type {
	AdmittedRun,
	ManagedRun,
	Run,
	RuntimeEvent,
	RuntimeOptions,
} from "../runtime.ts";
import { factsOf, type SessionStore } from "../store.ts";
import { CrashingStore } from "./crashing-store.ts";
import { FaultyStore } from "./faulty-store.ts";
import { Ledger } from "./ledger.ts";
import {
	acts,
	type EventOf,
	type Executing,
	expectOf,
	type Host,
	type Runtime,
} from "./path-acts.ts";
import type { PathStep, SessionPath } from "./paths.ts";
import { same } from "./same.ts";
import {
	graceMs,
	leaseMs,
	pathKey,
	retryBounds,
	type StimulusName,
} from "./session-world.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { WatchedStore } from "./watched-store.ts";

type Feed = Extract<RuntimeEvent, { type: "row" | "deleted" }>;

/** Transitions of which the last event is one that the engine does not send, with the reason. Their paths are played up to there. */
const unplayed: Readonly<Record<string, string>> = Object.fromEntries(
	["idle", "running", "waiting", "ended", "failed"].map((state) => [
		`${state}: pull`,
		"run.steering is over as soon as its executor has returned or its run was told to stop, so it asks its session for nothing then",
	]),
);

/** Paths that end one event early when they are played, by name, with the reason. */
export function unplayedPaths(): Readonly<Record<string, string>> {
	return unplayed;
}

/**
 * Plays a path on the real runtime and a store of yours, an empty one that can be opened again by the same process. After each event the
 * feed, the row, the stored facts and all records are compared with what the machine said.
 *
 * @throws AssertionError at the first difference, which names the path and the step
 * @example
 * for (const path of await sessionPaths()) test(path.name, () => playPath(path, sqliteStore(freshFile())));
 */
export async function playPath(
	path: SessionPath,
	store: SessionStore,
): Promise<void> {
	const steps = path.name in unplayed ? path.steps.slice(0, -1) : path.steps;
	const player = new Player({ ...path, steps }, store);
	try {
		await player.play();
	} finally {
		await player.end();
	}
}

/** What a call came to. */
export type Outcome =
	| { readonly is: "pending" }
	| { readonly is: "value"; readonly value: unknown }
	| { readonly is: "error"; readonly error: unknown };

class Player implements Host {
	readonly #path: SessionPath;
	readonly #crashing: CrashingStore;
	readonly #watched: WatchedStore;
	readonly #store: FaultyStore;
	readonly #ledger = new Ledger();
	#clock: VirtualClock;
	#runtime: Runtime | null = null;
	#unsubscribe = () => {};
	#feed: Feed[] = [];
	/** What resets, deletes and aborts of this process will be told, of those that stopped something. */
	#stops: unknown[] = [];
	/** What the runtime reported, and no step of the path meant. */
	#troubles: Error[] = [];
	#step: PathStep;
	#admitted = new Map<string, AdmittedRun>();
	#executing = new Map<string, Executing>();
	/** Runs of other sessions, which have all slots. */
	#others: Executing[] = [];
	#work = new Map<number, () => void>();
	/** Resolved when the store tells of generations that ended; null: it always did. */
	#heldGenerations: PromiseWithResolvers<void> | null = null;
	#posted = Promise.withResolvers<number>();
	#closing: Promise<void> | null = null;
	/** No commit passes while it is there. */
	#gate: PromiseWithResolvers<void> | null = null;
	/** A patch whose schema takes its time. */
	#latePatch: Promise<unknown> | null = null;
	#schema: PromiseWithResolvers<void> | null = null;

	/** Other sessions are about to take the slots. */
	#isBusyElsewhere = false;
	#spare = 0;

	constructor(path: SessionPath, store: SessionStore) {
		this.#path = path;
		this.#crashing = new CrashingStore(store);
		this.#watched = new WatchedStore(this.#crashing);
		this.#store = new FaultyStore(this.#watched);
		this.#store.beforeCommit = () => this.#gate?.promise;
		const [first] = path.steps as [PathStep];
		this.#step = first;
		this.#clock = new VirtualClock(first.event.at);
	}

	async play(): Promise<void> {
		const { steps, name } = this.#path;
		const closes = steps.some(
			({ what }) => what === "the grace period of the close is over",
		);
		await this.#start(closes);
		for (const [i, step] of steps.entries()) {
			const where = `${name}, step ${i + 1} of ${steps.length}: ${step.what}`;
			try {
				await this.#take(step, steps[i + 1], i);
				if (i === steps.length - 1) await this.#compareStops(step);
			} catch (error) {
				throw Object.assign(error as Error, {
					message: `${where}\n${(error as Error).message}`,
				});
			}
		}
	}

	async end(): Promise<void> {
		this.#heldGenerations?.resolve();
		this.#gate?.resolve();
		this.#gate = null;
		this.#unsubscribe();
		const closing = this.#closing ?? this.#runtime?.close({ graceMs: 0 });
		let isOver = false;
		const over = closing?.then(
			() => {
				isOver = true;
			},
			() => {
				isOver = true;
			},
		);
		while (over && !isOver) await this.#clock.advance(graceMs);
	}

	/** A process begins. */
	async #start(retries: boolean): Promise<void> {
		const { hasHook, steps } = this.#path;
		const hasSlowSchema = steps.some(
			({ what }) => what === "a patch whose fields have changed since",
		);
		const options: RuntimeOptions<JsonValue, JsonValue, JsonValue> = {
			store: this.#store,
			clock: this.#clock,
			logger: silent,
			graceMs,
			maxConcurrentRuns: 2,
			execute: (run) => this.#execute(run),
			overlap: () => policyOf(this.#step.event),
			ids: {
				runId: () => this.#runId(),
				sessionId: () => sessionIdOf(this.#step.event),
			},
			...(retries ? { recovery: { mode: "retry", ...retryBounds } } : {}),
			...(hasHook
				? {
						onGenerationEnded: ({ generation }) =>
							new Promise<void>((done) => {
								this.#work.set(generation, done);
							}),
					}
				: {}),
			...(hasSlowSchema ? { schemas: this.#schemas() } : {}),
		};
		const runtime = createSessionRuntime(options);
		const { unsubscribe } = runtime.subscribe((event) => {
			if (event.type === "trouble") this.#troubles.push(event.error);
			if (event.type === "row" && event.row.sessionKey === pathKey)
				this.#feed.push(event);
			if (event.type === "deleted" && event.sessionKey === pathKey)
				this.#feed.push(event);
		});
		this.#unsubscribe = () => unsubscribe();
		await runtime.start();
		this.#runtime = runtime;
	}

	get runtime(): Runtime {
		return this.#runtime as Runtime;
	}

	async #take(
		step: PathStep,
		next: PathStep | undefined,
		index: number,
	): Promise<void> {
		this.#step = step;
		if (isInOneBreath(step, next)) this.#gate ??= Promise.withResolvers();
		if (step.what === "a patch") await this.#patchLate(index);
		this.#holdGenerations(index);
		const { what, event } = step;
		if (!(what in ownTime))
			await this.#clock.advance(event.at - this.#clock.now());
		await this.#watched.rest();
		const answer = acts[what](this, event as never);
		if (what in wholly) await answer;
		const outcome = await this.#outcome(answer);
		if (isStop(step)) this.#stops.push(answer);
		this.#ledger.note(step);
		if (isInOneBreath(step, next)) return;
		this.#gate?.resolve();
		this.#gate = null;
		await this.#watched.rest();
		await this.#compare(step, outcome);
	}

	async #outcome(answer: unknown): Promise<Outcome> {
		const settled = Promise.resolve(answer).then(
			(value): Outcome => ({ is: "value", value }),
			(error): Outcome => ({ is: "error", error }),
		);
		return Promise.race([
			settled,
			this.#watched.rest().then((): Outcome => ({ is: "pending" })),
		]);
	}

	// ── what is compared

	async #compare(step: PathStep, outcome: Outcome): Promise<void> {
		const { facts, state, effects } = step;
		const [trouble] = this.#troubles;
		if (trouble) throw trouble;
		this.#compareFeed();
		const reply = effects.find(({ type }) => type === "reply");
		if (reply && !(step.what in ownAnswer))
			compareAnswer(outcome, reply.params as Reply);
		same(stateOf(facts), state, "the state of the facts");
		// A runtime that has closed answers nothing; its store does.
		if (!this.#closing) {
			const row = shownRow(facts);
			same(await this.runtime.get(pathKey), row, "the row");
		}
		await using reader = await this.#store.read();
		const loaded = await reader.load(pathKey);
		if (facts.version === 0) {
			same(loaded, null, "what is stored");
			return;
		}
		ok(loaded, "nothing is stored");
		const stored = factsOf(loaded);
		same(stored, facts, "what is stored");
		same(stateOf(stored), state, "the state");
		await this.#ledger.compare(reader, facts);
	}

	/** Whoever stopped something is told so when nothing of it is left. */
	async #compareStops({ facts, state }: PathStep): Promise<void> {
		if (facts.run || state === "resetting" || this.#closing) return;
		for (const stop of this.#stops)
			compareAnswer(await this.#outcome(stop), { result: "done" }, false);
	}

	/** Each version that readers may see, once, in order. */
	#compareFeed(): void {
		const shown: unknown[] = [];
		for (const { facts, hidden } of this.#ledger.versions.splice(0))
			if (!facts.hidden) shown.push(rowOf(facts));
			else if (!hidden)
				shown.push({
					sessionKey: pathKey,
					generation: facts.generation - 1,
					version: facts.version,
				});
		const told = this.#feed.splice(0).map((event) => {
			if (event.type === "row") return event.row;
			const { sessionKey, generation, version } = event;
			return { sessionKey, generation, version };
		});
		same(told, shown, "the feed");
	}

	// ── what happens

	#execute(run: ManagedRun<JsonValue>): Promise<JsonValue> {
		const { promise, resolve, reject } = Promise.withResolvers<JsonValue>();
		const executing = { run, end: resolve, fail: reject };
		if (run.ticket.sessionKey === pathKey)
			this.#executing.set(nameOfRun(run.ticket), executing);
		else this.#others.push(executing);
		return promise;
	}

	#runId(): string {
		const { event } = this.#step;
		const grant = "grant" in event ? event.grant : null;
		if (grant && !this.#isBusyElsewhere) return grant;
		this.#spare += 1;
		return `spare-${this.#spare}`;
	}

	#schemas() {
		const passes = { "~standard": standard((value) => ({ value })) };
		const meta = {
			"~standard": standard(async (value) => {
				// The one that began first takes its time.
				if (this.#latePatch === null && this.#schema)
					await this.#schema.promise;
				return { value };
			}),
		};
		return { input: passes, meta };
	}

	run(ticket: Pick<RunTicket, "runId" | "attempt">): Run {
		const run =
			this.#executing.get(nameOfRun(ticket))?.run ??
			this.#admitted.get(ticket.runId);
		ok(run, `nobody drives run ${ticket.runId}`);
		return run;
	}

	executing(ticket: Pick<RunTicket, "runId" | "attempt">): Executing {
		const executing = this.#executing.get(nameOfRun(ticket));
		ok(executing, `run ${ticket.runId} is not executed`);
		return executing;
	}

	async admit(event: EventOf<"admit">) {
		const run = await this.runtime.admit(pathKey, {
			runId: event.runId,
			reserve: event.reserve,
			...(event.leaseMs ? { leaseMs } : {}),
			...expectOf(event),
		});
		this.#admitted.set(event.runId, run);
		return run;
	}

	send(event: EventOf<"message">) {
		return this.runtime.send(pathKey, event.input, {
			messageId: event.messageId,
			...expectOf(event),
		});
	}

	/** All slots are taken by other sessions; then it is sent. */
	async sendInVain(event: EventOf<"message">) {
		if (this.#others.length === 0) {
			this.#isBusyElsewhere = true;
			await this.runtime.send("other-1", 1);
			await this.runtime.send("other-2", 1);
			this.#isBusyElsewhere = false;
		}
		return this.send(event);
	}

	/** The slots are free again, if others had them. */
	async freeSlots(): Promise<void> {
		for (const { end } of this.#others.splice(0)) {
			end(null);
			await this.#watched.rest();
		}
	}

	/** The process dies, and the next one starts on what it left. */
	async die(retries: boolean): Promise<void> {
		this.#unsubscribe();
		await this.#crashing.crash();
		this.#admitted.clear();
		this.#executing.clear();
		this.#stops = [];
		this.#clock = new VirtualClock(this.#step.event.at);
		await this.#start(retries);
	}

	close(): void {
		this.#closing = this.runtime.close({ graceMs });
		this.#closing.catch(() => {});
	}

	/** A stop is fired, and its commit fails; its grace period goes by. */
	async abortUnstored(event: EventOf<"overdue">): Promise<void> {
		await this.#clock.advance(event.at - graceMs - this.#clock.now());
		this.#store.poisoned = pathKey;
		const told = this.runtime.abort(pathKey);
		await told.then(
			() => ok(false, "the abort was stored"),
			() => {},
		);
		await this.#watched.rest();
		this.#store.poisoned = null;
		this.#troubles = [];
		await this.#clock.advance(event.at - this.#clock.now());
	}

	deliver(event: EventOf<"deliver">): Promise<unknown> {
		return this.run(event.ticket).deliver(
			event.name,
			() => this.#posted.promise,
		);
	}

	delivered(event: EventOf<"delivered">): void {
		this.#posted.resolve(event.result as number);
	}

	/** Whoever is to be told too late waits for the store from the end of that generation on. */
	#holdGenerations(index: number): void {
		if (this.#heldGenerations) return;
		const later = this.#path.steps.slice(index).map(({ what }) => what);
		const late = later.indexOf("the host cannot be told in time of what ended");
		const done = later.indexOf("the host has done its work on what ended");
		if (late === -1 || (done !== -1 && done < late)) return;
		this.#heldGenerations = Promise.withResolvers();
		this.#store.generationsAfter = this.#heldGenerations.promise;
	}

	async tooLate({ at }: EventOf<"postponed">): Promise<void> {
		await this.#clock.advance(at - this.#clock.now());
	}

	async workDone(generation: number): Promise<void> {
		this.#heldGenerations?.resolve();
		await this.#watched.rest();
		const done = this.#work.get(generation);
		ok(done, `the host has no work on generation ${generation}`);
		done();
	}

	/** A patch that will find its fields changed has to begin before they change. */
	async #patchLate(index: number): Promise<void> {
		const { steps } = this.#path;
		const later = steps.slice(index + 1).map(({ what }) => what);
		const moved = later.indexOf("a patch whose fields have changed since");
		if (moved === -1 || later.slice(0, moved).includes("a patch")) return;
		this.#schema = Promise.withResolvers();
		const patch = this.runtime.patch(pathKey, { title: "late" });
		patch.catch(() => {});
		await this.#watched.rest();
		this.#latePatch = patch;
	}

	/** The schema has looked; the second time that it is asked it takes its time again. */
	patchMoves(): Promise<unknown> | null {
		const patch = this.#latePatch;
		this.#latePatch = null;
		const seen = this.#schema;
		this.#schema = Promise.withResolvers();
		seen?.resolve();
		return patch;
	}
}

function isStop({ event, effects }: PathStep): boolean {
	if (!["reset", "delete", "abort"].includes(event.type)) return false;
	if (event.type === "abort" && event.cause !== "abort") return false;
	const reply = effects.find(({ type }) => type === "reply");
	return (reply?.params as Reply | undefined)?.result === "done";
}

/** Of two events the second can only come while the first is decided and not stored yet. */
function isInOneBreath(step: PathStep, next: PathStep | undefined): boolean {
	if (!next) return false;
	return (
		next.what === "a stopped run takes what steers it" ||
		(next.what === "the delivery is done" &&
			step.what === "the grace period of the close is over")
	);
}

/** What moves the clock by itself. */
const ownTime: Partial<Record<StimulusName, true>> = {
	"its process dies": true,
	"its process dies and the run is to be tried again": true,
	"the grace period of a stop that could not be stored is over": true,
	"the host cannot be told in time of what ended": true,
};

/** What takes more than one call, each of which is answered before the next. */
const wholly: Partial<Record<StimulusName, true>> = {
	"a message while others have all slots": true,
	"the line goes on": true,
	"its process dies": true,
	"its process dies and the run is to be tried again": true,
	"the host cannot be told in time of what ended": true,
	"the host has done its work on what ended": true,
	"the grace period of a stop that could not be stored is over": true,
};

/** What is asked by no call of the host's, or answered when another event comes. */
const ownAnswer: Partial<Record<StimulusName, true>> = {
	"its process closes": true,
	"a stopped run takes what steers it": true,
	"the line goes on": true,
};

// ── answers

const codes: Partial<Record<Reply["result"], readonly string[]>> = {
	stale: ["STALE_EXPECTATION", "STALE_RUN"],
	busy: ["SESSION_BUSY"],
	full: ["MAILBOX_FULL"],
	used: ["INVALID_ARGUMENT"],
};

/** Whether the caller was told what the machine replied. */
export function compareAnswer(
	outcome: Outcome,
	reply: Reply,
	mayWait = ["done", "nothing", "moved"].includes(reply.result),
): void {
	if (outcome.is === "error") {
		const { code } = outcome.error as { code?: string };
		if (codes[reply.result]?.includes(code ?? "")) return;
		throw outcome.error;
	}
	if (outcome.is === "pending") {
		// It waits: for an answer, for a drain, for an effect, for what steers it.
		ok(mayWait, `the caller waits, and should have been told ${reply.result}`);
		return;
	}
	const value = outcome.value as Record<string, unknown> | undefined;
	switch (reply.result) {
		case "done":
			ok(value?.result === undefined || value.result === "done");
			ok(value?.imported === undefined || value.imported === 1);
			return;
		case "nothing":
			if (value?.imported !== undefined) same(value.imported, 0, "the answer");
			else same(value?.result, "nothing", "the answer");
			return;
		case "stale":
			same(
				{ result: value?.result, mismatch: value?.mismatch },
				reply,
				"the answer",
			);
			return;
		case "admitted":
			same(
				(value as { ticket: RunTicket }).ticket.runId,
				reply.run.runId,
				"the answer",
			);
			return;
		case "known":
			same(outcome.value, reply.value, "the answer");
			return;
		case "pulled":
			same(
				(value as { value: { messageId: string } }).value.messageId,
				reply.message.messageId,
				"the answer",
			);
			return;
		case "verdict": {
			const { verdict, reason, ticket } = value ?? {};
			same({ result: "verdict", verdict, reason, ticket }, reply, "the answer");
			return;
		}
		default:
			ok(false, `the caller was answered, and should have been refused`);
	}
}

// ── small things

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function standard(validate: (value: unknown) => unknown): {
	readonly version: 1;
	readonly vendor: string;
	readonly validate: (value: unknown) => never;
} {
	return {
		version: 1,
		vendor: "turnkeeper",
		validate: validate as (value: unknown) => never,
	};
}

export function nameOfRun({
	runId,
	attempt,
}: Pick<RunTicket, "runId" | "attempt">) {
	return `${runId}.${attempt}`;
}

export function policyOf(event: SessionEvent): Overlap {
	return event.type === "message"
		? event.policy
		: { mode: "enqueue", debounceMs: 0, capacity: 1000, onFull: "reject" };
}

export function sessionIdOf(event: SessionEvent): string {
	return "sessionId" in event ? event.sessionId : "none";
}
