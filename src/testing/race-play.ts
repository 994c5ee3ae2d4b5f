/** Owns how a race is played, one step after another, on a runtime of its own, and what is known of it in the end. */
import type { SessionRow } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { RunRecord } from "../../machines/run.ts";
import { shown } from "../arguments.ts";
import { createSessionRuntime } from "../embedded.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { memoryStore } from "../memory.ts";
import type { ManagedRun, RuntimeOptions } from "../runtime.ts";
import { CrashingStore } from "./crashing-store.ts";
import {
	Course,
	type Gate,
	HeldStore,
	onCourse,
	type RunPoint,
	type Side,
} from "./race-points.ts";
import {
	anchorOf,
	begun,
	does,
	isAtCommit,
	isOfScript,
	isRunPoint,
	type Named,
	type Planned,
	type RacePoint,
	type RaceRun,
	type RaceStage,
	unknownRun,
	wrongScript,
} from "./race-step.ts";
import { Recorder } from "./recorder.ts";
import { Trace, type TraceData } from "./trace.ts";
import { turns, VirtualClock } from "./virtual-clock.ts";

/**
 * What a race is run on: the options of a runtime, each with a default. `store` is a fresh one in memory; `execute` does what the
 * script asks of each run and ends when the script says so; `clock`, if given, must be a `virtualClock()`; nothing is logged.
 */
export type RaceHost = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

/** What one step of a race was told. */
export interface RaceAnswer {
	/** The step, in words: `reset during deliver`. */
	readonly step: string;
	/**
	 * In a word: the disposition of a message, the result of a command, the verdict on a report, the outcome of a run whose executor
	 * ended, the code of an error, `done`, or `pending` if it had not been answered when the race was over.
	 */
	readonly told: string;
	/** The answer itself, or the error. */
	readonly answer: unknown;
}

/**
 * What came of a race. Everything that a test may want to hold it to, and the swim-lanes to look at: `text()`, `svg()`.
 *
 * @example expect(trace.told).toEqual(["started", "done", "aborted"]);
 */
export class RaceTrace extends Trace {
	/** One for each step, in the order of the script. */
	readonly answers: readonly RaceAnswer[];
	/** Every row that was committed, in order. */
	readonly rows: readonly SessionRow[];
	readonly #final: ReadonlyMap<string, SessionRow | null>;
	readonly #runs: ReadonlyMap<string, RunRecord | null>;

	constructor(
		data: TraceData,
		end: {
			answers: readonly RaceAnswer[];
			rows: readonly SessionRow[];
			final: ReadonlyMap<string, SessionRow | null>;
			runs: ReadonlyMap<string, RunRecord | null>;
		},
	) {
		super(data);
		this.answers = end.answers;
		this.rows = end.rows;
		this.#final = end.final;
		this.#runs = end.runs;
	}

	/** What each step was told, in a word. */
	get told(): readonly string[] {
		return this.answers.map(({ told }) => told);
	}

	/** The row of a session as it was in the end; null if it does not exist. */
	row(key = "k"): SessionRow | null {
		return this.#final.get(key) ?? null;
	}

	/** The record of a named run, its newest attempt; null if it never began. */
	run(name: string): RunRecord | null {
		const known = this.#runs.get(name);
		if (known === undefined) throw unknownRun(name, [...this.#runs.keys()]);
		return known;
	}
}

export class Play implements RaceStage {
	readonly #host: RaceHost;
	readonly #planned: readonly Planned[];
	readonly #recorder = new Recorder();
	readonly #named = new Map<string, Named>();
	readonly #answers: { step: string; promise: Promise<unknown> }[] = [];
	readonly #rows: SessionRow[] = [];
	readonly #crashing: CrashingStore;
	readonly store: HeldStore;
	readonly clock: VirtualClock;
	/** Said by a script that cannot be played. */
	#fault: unknown = null;
	runtime: RaceStage["runtime"];

	constructor(host: RaceHost, planned: readonly Planned[]) {
		this.#host = host;
		this.#planned = planned;
		this.clock =
			host.clock instanceof VirtualClock ? host.clock : new VirtualClock();
		this.store = new HeldStore(host.store ?? memoryStore());
		this.#crashing = new CrashingStore(this.store);
		this.#crashing.onCrash = () => this.#recorder.died();
		for (const { begins } of planned)
			if (begins) this.#name(begins.name, begins.options);
		for (const named of this.#named.values()) this.#prepare(named);
		for (const { label, moment } of planned)
			if (moment.of !== undefined && !this.#named.has(moment.of))
				throw unknownRun(moment.of, [...this.#named.keys()], label);
		this.runtime = this.#create();
	}

	async play(): Promise<RaceTrace> {
		await this.runtime.start();
		try {
			for (let i = 0; i < this.#planned.length; i++) {
				i += await this.#step(i);
				if (this.#fault) throw this.#fault;
			}
			await this.#rest();
			return await this.#traced();
		} finally {
			this.store.release();
			for (const { course } of this.#named.values()) course.openAll();
			await this.#close();
		}
	}

	/** Plays a step, and with it those that are tied to the commit that it sets off; how many of them. */
	async #step(i: number): Promise<number> {
		const one = this.#planned[i] as Planned;
		const next = this.#planned[i + 1];
		const [side, point] = anchorOf(one.moment);
		const act = () => this.#act(one);
		const isOfRun = point !== null && isRunPoint(point);
		if (isOfRun && side) await this.#at(i, point, side, act);
		else {
			this.#check(i, side, point);
			if (point === "drain" && side === "after") await this.#drained();
			const follower = next ? anchorOf(next.moment) : ([null, null] as const);
			if (next && isAtCommit(follower[1]) && follower[0] !== "after") {
				this.#check(i + 1, follower[0], follower[1]);
				if (follower[0] === "before") {
					act();
					this.#act(next);
				} else await this.#whileCommitted(act, () => this.#act(next), next);
				await turns();
				return 1;
			}
			const told = act();
			// Nothing comes before the next process is there, or the time has passed.
			if (one.kind === "crash" || one.kind === "later")
				await told.catch(() => {});
		}
		await turns();
		return 0;
	}

	#act(one: Planned): Promise<unknown> {
		const [side, point] = anchorOf(one.moment);
		const step = side ? `${one.label} ${side} ${point}` : one.label;
		let promise: Promise<unknown>;
		try {
			promise = one.act(this);
		} catch (error) {
			promise = Promise.reject(error);
		}
		promise.catch((error) => {
			// A script that is wrong is nothing that the runtime has told.
			if (isOfScript(error)) this.#fault ??= error;
		});
		this.#answers.push({ step, promise });
		return promise;
	}

	/** Brings a run to a point, and acts there. */
	async #at(
		i: number,
		point: RunPoint,
		side: Side,
		act: () => void,
	): Promise<void> {
		const one = this.#planned[i] as Planned;
		const of = this.#targetOf(i);
		if (of === null)
			throw wrongScript(
				`${one.label} ${side} ${point}: no run comes before it; begin with run(…)`,
			);
		const named = this.named(of);
		const { course } = named;
		const gate = course.next(
			point,
			side === "during" && point !== "deliver" ? "before" : side,
		);
		if (gate) await this.#reached(gate, named, point, one, side);
		if (point === "end") this.#endsAt(named, one);
		if (side === "during" && point !== "deliver" && point !== "wait") {
			await this.#whileCommitted(
				() => {
					if (gate) course.done(gate);
					if (point === "end") this.#end(named);
				},
				act,
				one,
			);
			return;
		}
		if (side === "during" && point === "wait" && gate) {
			course.done(gate);
			await turns();
		}
		if (side === "after" && point === "end") {
			this.#end(named);
			await turns();
		}
		if (side === "after" && point === "wait" && named.ticket) {
			const row = await this.runtime.get(named.key);
			for (const name of row?.waits ?? [])
				await this.runtime.resume(named.ticket, name, true);
			await turns();
		}
		act();
		if (side === "before" && point === "end") this.#end(named);
		await turns();
		if (gate) course.done(gate);
	}

	async #reached(
		gate: Gate,
		named: Named,
		point: RunPoint,
		{ label }: Planned,
		side: Side,
	): Promise<void> {
		if (side === "after" && point === "wait") return;
		await turns();
		if (gate.isReached) return;
		const { name, course, run } = named;
		const been =
			course.visited.length > 0
				? `it came to: ${course.visited.join(", ")}`
				: "it came to none";
		throw wrongScript(
			`${label} ${side} ${point}: run ${shown(name)} ${run ? `never comes to ${point}; ${been}` : `has not begun by then; what is before it in line has to end first`}`,
		);
	}

	/** Sets something off, and acts while the commit of that is under way. */
	async #whileCommitted(
		sets: () => void,
		act: () => void,
		{ label, moment }: Planned,
	): Promise<void> {
		const gate = this.store.hold();
		sets();
		await turns();
		const [side, point] = anchorOf(moment);
		if (!gate.isReached) {
			this.store.release();
			throw wrongScript(
				`${label} ${side} ${point}: nothing is committed there; tie it to a step that changes something`,
			);
		}
		act();
		await turns(2);
		this.store.release();
		await turns();
	}

	/** Whether a step can come where it is said to. */
	#check(i: number, side: Side | null, point: RacePoint | null): void {
		if (!side || !point || isRunPoint(point)) return;
		const { label } = this.#planned[i] as Planned;
		const last = this.#planned[i - 1];
		const at = `${label} ${side} ${point}`;
		if (point === "start" && last?.kind !== "run")
			throw wrongScript(
				`${at}: ${last ? `${last.label} comes before it, which starts nothing` : "nothing comes before it"}; put it right after a run(…)`,
			);
		if (point === "boot" && last?.kind !== "crash")
			throw wrongScript(`${at}: put it right after a crash()`);
		if (point === "commit" && !last)
			throw wrongScript(`${at}: put it after the step whose commit is meant`);
		if (point !== "drain") return;
		if (side === "before")
			throw wrongScript(
				`${at}: tie it to what stops the run, before: "commit", or leave it out`,
			);
		if (!this.#isDraining)
			throw wrongScript(
				`${at}: nothing drains by then; a reset, abort or delete of a run that has not ended would have begun a drain`,
			);
	}

	/** Whether anything that was told to stop may still come to its end. */
	get #isDraining(): boolean {
		return (
			this.runtime.stats().draining > 0 ||
			[...this.#named.values()].some(
				({ run, isOver }) => run?.signal.aborted && !isOver,
			)
		);
	}

	/** What drains gets its grace period. */
	async #drained(): Promise<void> {
		await this.clock.advance(this.#host.graceMs ?? 5000);
	}

	/** Nothing of the script may come after this. */
	async #rest(): Promise<void> {
		await turns();
		if (this.#isDraining) await this.#drained();
		await turns();
	}

	#name(name: string, options: RaceRun): void {
		const { key = "k", driver = "executor" } = options;
		this.#named.set(name, {
			name,
			key,
			driver,
			course: new Course([]),
			run: null,
			ticket: null,
			end: Promise.withResolvers(),
			isOver: false,
			attempts: 0,
		});
		this.#recorder.names.set(name, name);
	}

	/** Lays out where the script means to hold a run up. */
	#prepare(named: Named): void {
		const stops: { point: RunPoint; side: Side }[] = [];
		this.#planned.forEach((one, i) => {
			const [side, point] = anchorOf(one.moment);
			if (!side || !point || !isRunPoint(point) || point === "end") return;
			if (this.#targetOf(i) !== named.name) return;
			stops.push({
				point,
				side: side === "during" && point !== "deliver" ? "before" : side,
			});
		});
		named.course = new Course(stops);
	}

	/** The run whose point a step is tied to: the one that it says, or the one that was named last before it. */
	#targetOf(i: number): string | null {
		const { of } = this.#planned[i]?.moment ?? {};
		if (of !== undefined) return of;
		const before = this.#planned.slice(0, i);
		return before.findLast(({ begins }) => begins)?.begins?.name ?? null;
	}

	/** By name, or the first that has begun and has not ended. */
	named(name: string | undefined): Named {
		if (name !== undefined) {
			const named = this.#named.get(name);
			if (!named) throw unknownRun(name, [...this.#named.keys()]);
			return named;
		}
		const begun = [...this.#named.values()].filter(({ run }) => run !== null);
		const found = begun.find(({ isOver }) => !isOver) ?? begun.at(-1);
		if (!found)
			throw wrongScript("no run has begun by then; begin with run(…)");
		return found;
	}

	async outcomeOf(named: Named): Promise<string> {
		const record = await this.#recordOf(named);
		return record?.outcome ?? "running";
	}

	async restart(): Promise<void> {
		await this.#crashing.crash();
		this.runtime = this.#create();
		await this.runtime.start();
	}

	#create(): RaceStage["runtime"] {
		this.#recorder.begins(this.clock);
		const { execute } = this.#host;
		const raw = createSessionRuntime<JsonValue, unknown, JsonValue>({
			logger: silent,
			...this.#host,
			clock: this.clock,
			store: this.#recorder.store(this.#crashing),
			execute: this.#recorder.execute((run) => this.#execute(run, execute)),
		});
		raw.subscribe((event) => {
			if (event.type === "row") this.#rows.push(event.row);
		});
		return this.#recorder.runtime(raw);
	}

	/** Runs a message by the executor of the host, or by the script. */
	async #execute(
		run: ManagedRun<JsonValue>,
		execute: RaceHost["execute"],
	): Promise<unknown> {
		const found = run.messages
			.map(({ messageId }) => this.#named.get(messageId))
			.filter((named) => named !== undefined);
		for (const named of found) {
			named.run = run;
			named.ticket = run.ticket;
			named.attempts += 1;
			if (named.attempts > 1) {
				// The attempt before may still come to its end, for nobody.
				named.isOver = false;
				named.end = Promise.withResolvers();
				named.course = new Course([]);
			}
			named.end.promise.catch(() => {});
		}
		const [named, ...others] = found;
		if (!named) return execute?.(run);
		// Messages that one run has taken are held up, and end, with it.
		for (const other of others) {
			other.course = named.course;
			other.end = named.end;
		}
		const { course, end } = named;
		const held = onCourse(run, course);
		if (!execute) {
			await does(held, course).catch(() => {});
			return end.promise;
		}
		const output = await execute(held);
		course.visited.push("end");
		if (this.#endedByScript().has(named.name)) await end.promise;
		for (const one of found) one.isOver = true;
		return output;
	}

	/** The runs whose end is up to the script. */
	#endedByScript(): ReadonlySet<string> {
		const ended = new Set<string>();
		const names: string[] = [];
		this.#planned.forEach((one, i) => {
			if (one.begins) names.push(one.begins.name);
			const [, point] = anchorOf(one.moment);
			const of =
				point === "end"
					? this.#targetOf(i)
					: one.ends
						? (one.moment.of ?? names.find((name) => !ended.has(name)))
						: null;
			if (of) ended.add(of);
		});
		return ended;
	}

	#endsAt(named: Named, { label, moment }: Planned): void {
		if (named.isOver)
			throw wrongScript(
				`${label} ${anchorOf(moment).join(" ")}: run ${shown(named.name)} has ended before that`,
			);
		begun(named, label);
	}

	#end(named: Named): void {
		named.isOver = true;
		if (named.driver === "executor") named.end.resolve(named.name);
		else if (named.ticket)
			void this.runtime
				.report({ runId: named.ticket.runId, phase: "end" })
				.catch(() => {});
	}

	async #recordOf({ key, ticket }: Named): Promise<RunRecord | null> {
		if (!ticket) return null;
		const { items } = await this.runtime.runs(key, { limit: 1000 });
		const own = items
			.filter(({ runId }) => runId === ticket.runId)
			.toSorted((a, b) => b.attempt - a.attempt);
		return own[0] ?? null;
	}

	async #traced(): Promise<RaceTrace> {
		const answers: RaceAnswer[] = [];
		for (const { step, promise } of this.#answers) {
			const [told, answer] = await Promise.race([
				promise.then(
					(value) => [wordOf(value), value] as const,
					(error) => [codeOf(error), error] as const,
				),
				turns(2).then(() => ["pending", null] as const),
			]);
			answers.push({ step, told, answer });
		}
		const keys = new Set(["k", ...this.#rows.map((row) => row.sessionKey)]);
		const final = new Map<string, SessionRow | null>();
		for (const key of keys) final.set(key, await this.runtime.get(key));
		const runs = new Map<string, RunRecord | null>();
		for (const named of this.#named.values())
			runs.set(named.name, await this.#recordOf(named));
		return new RaceTrace(this.#recorder.trace, {
			answers,
			rows: this.#rows,
			final,
			runs,
		});
	}

	/** Not part of what is recorded. */
	async #close(): Promise<void> {
		let isClosed = false;
		for (const { end } of this.#named.values()) end.resolve(null);
		const closing = this.runtime.close({ graceMs: 0 }).finally(() => {
			isClosed = true;
		});
		while (!isClosed) await this.clock.advance(1000);
		await closing;
	}
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

function wordOf(value: unknown): string {
	if (typeof value === "string") return value;
	if (typeof value !== "object" || value === null) return "done";
	for (const name of ["verdict", "disposition", "result"])
		if (name in value) return String(value[name as keyof typeof value]);
	if ("signal" in value) return "live";
	return "done";
}

function codeOf(error: unknown): string {
	return error instanceof TurnkeeperError ? error.code : errorText(error);
}
