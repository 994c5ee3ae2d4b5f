/** Owns the embedded engine's public face: starting, serving and closing. Each call is carried out by the part that owns it. */
import type { InspectionEvent, Observer } from "xstate";
import type { SessionRow } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import type { LifecycleReport } from "../machines/report.ts";
import { ticketOf } from "../machines/run.ts";
import {
	checkChoice,
	checkMethods,
	checkMs,
	checkName,
	checkOptions,
	checkSignal,
	invalid,
	shown,
} from "./arguments.ts";
import { Commands } from "./commands.ts";
import { type Config, configOf } from "./config.ts";
import { Engine } from "./engine.ts";
import { Entrance } from "./entrance.ts";
import { RunAborted } from "./errors.ts";
import { Intake } from "./intake.ts";
import {
	readArchive,
	readList,
	readRefusals,
	readRuns,
	unsettledRuns,
} from "./reader.ts";
import type { LiveRun } from "./registry.ts";
import { Reports } from "./reports.ts";
import type {
	AdmitOptions,
	EmbeddedRuntime,
	ImportedSession,
	ResetOptions,
	RuntimeEvent,
	RuntimeOptions,
	RuntimeStats,
	SendOptions,
	StopOptions,
} from "./runtime.ts";
import { type ListQuery, type PageQuery, UnreadableSession } from "./store.ts";
import { rowAfter } from "./turn.ts";

/**
 * A runtime for the sessions of this process. Synchronous, like XState's createActor: subscribe first, then `await start()`.
 *
 * @example
 * const runtime = createSessionRuntime({
 *   store: sqliteStore("sessions.db"),
 *   execute: async (run) => reply(run.messages[0].input, run.signal),
 * });
 * await runtime.start();
 * @throws INVALID_ARGUMENT for options that cannot work
 */
export function createSessionRuntime<
	Input = JsonValue,
	Output = unknown,
	Meta = JsonValue,
>(
	options: RuntimeOptions<Input, Output, Meta>,
): EmbeddedRuntime<Input, Output, Meta> {
	return new Embedded(configOf(options));
}

/** How long `close` waits for the last commits once the grace period is over, in ms. */
const lastCommitMs = 1000;

class Embedded<Input, Output, Meta>
	implements EmbeddedRuntime<Input, Output, Meta>
{
	readonly #config: Config<Input, Output, Meta>;
	readonly #engine: Engine<Meta>;
	readonly #intake: Intake<Input, Output, Meta>;
	readonly #reports: Reports<Meta>;
	readonly #commands: Commands<Input, Output, Meta>;
	#starting: Promise<this> | null = null;
	#closing: Promise<void> | null = null;

	constructor(config: Config<Input, Output, Meta>) {
		this.#config = config;
		this.#engine = new Engine<Meta>({
			...config,
			interrupted: () => this.#intake.interrupt(),
			execute: config.execute
				? (live, start) => this.#intake.execute(live, start)
				: null,
			concluded: (turn) => this.#intake.conclude(turn),
		});
		this.#reports = new Reports(this.#engine);
		const entrance = new Entrance();
		this.#intake = new Intake(this.#engine, config, this.#reports, entrance);
		this.#commands = new Commands(this.#engine, config, entrance);
	}

	start(): Promise<this> {
		this.#starting ??= this.#start().catch((error) => {
			// It may be tried again.
			this.#starting = null;
			throw error;
		});
		return this.#starting;
	}

	async #start(): Promise<this> {
		const engine = this.#engine;
		if (engine.state !== "new") throw engine.refusal("start");
		engine.state = "starting";
		/** Somebody may close the runtime while it waits for the store. */
		const goOn = () => {
			if (engine.state !== "starting") throw engine.refusal("start");
		};
		try {
			engine.open(await this.#config.store.open({ name: "turnkeeper" }));
			goOn();
			const waiting = await this.#recover(goOn);
			engine.state = "open";
			for (const key of waiting) this.#takeNext(key);
			engine.projection.refresh(
				(key) => engine.committedRow(key) as Promise<SessionRow<Meta> | null>,
			);
			return this;
		} catch (error) {
			engine.directory.clear();
			await engine.release();
			if (engine.state === "starting") engine.state = "new";
			throw error;
		}
	}

	/** Settles what the last process left, and answers with the keys on which messages wait. */
	async #recover(goOn: () => void): Promise<readonly string[]> {
		const { store } = this.#engine;
		const waiting: string[] = [];
		let cursor: string | null = null;
		do {
			const page: Awaited<ReturnType<typeof store.unsettled>> =
				await store.unsettled(cursor === null ? {} : { cursor });
			await Promise.all(
				page.items.map(async (key) => {
					if (await this.#settleDead(key)) waiting.push(key);
				}),
			);
			goOn();
			cursor = page.cursor;
		} while (cursor !== null);
		return waiting;
	}

	/** Its runs died with their process. True: messages wait. */
	async #settleDead(key: string): Promise<boolean> {
		const engine = this.#engine;
		for (;;) {
			const { promise, resolve, reject } = Promise.withResolvers<{
				left: boolean;
				queued: boolean;
			}>();
			engine.post(key, {
				event: ({ facts }) => {
					const [dead] = unsettledRuns(facts);
					const at = engine.now();
					return dead
						? {
								type: "settled",
								at,
								ticket: ticketOf(dead),
								end: { at, outcome: "interrupted" },
							}
						: null;
				},
				committed: ({ after }) =>
					resolve({
						left: unsettledRuns(after).length > 0,
						queued: after.queue.length > 0,
					}),
				failed: reject,
			});
			try {
				const { left, queued } = await promise;
				if (!left) return queued;
			} catch (error) {
				// One row that cannot be read is no reason to serve nobody: it can be reset.
				if (!(error instanceof UnreadableSession)) throw error;
				engine.projection.trouble(error);
				return false;
			}
		}
	}

	#takeNext(key: string): void {
		const engine = this.#engine;
		if (!this.#config.execute) return;
		engine.keep(key, {
			event: ({ facts }) => ({
				type: "take",
				at: engine.now(),
				grant: engine.grant(facts),
			}),
			committed: () => {},
		});
	}

	async close(options?: {
		runs?: "abort" | "await";
		graceMs?: number;
	}): Promise<void> {
		const { runs = "abort", graceMs = this.#config.graceMs } =
			checkOptions(options);
		checkChoice(runs, "runs", ["abort", "await"]);
		checkMs(graceMs, "graceMs");
		this.#closing ??= this.#close(runs, graceMs);
		return this.#closing;
	}

	async #close(runs: "abort" | "await", graceMs: number): Promise<void> {
		const engine = this.#engine;
		const { registry, waiting } = engine;
		const wasOpen = engine.state === "open";
		const wasStarting = engine.state === "starting";
		if (engine.state !== "lost") engine.state = "closing";
		if (wasStarting) await this.#starting?.catch(() => {});
		if (wasOpen) {
			const end = engine.now() + graceMs;
			const isOver = () =>
				registry.size === 0 && engine.directory.busy().length === 0;
			if (runs === "await") await this.#within(end, isOver);
			// What is about to begin is stopped as soon as it has.
			engine.whileClosing = (live) => this.#stopOne(live, end);
			for (const live of registry.all()) this.#stopOne(live, end);
			await this.#within(end, isOver);
			// Whoever has not stopped by now is abandoned; a store that does not answer is not waited for.
			for (const live of registry.all()) engine.overdue(live);
			await this.#within(engine.now() + lastCommitMs, isOver);
		}
		if (engine.state !== "lost") engine.state = "closed";
		engine.giveUp();
		waiting.failAll(engine.refusal("wait"));
		this.#intake.interrupt();
		registry.clear();
		engine.directory.clear();
		await engine.release();
	}

	/** Resolves when it holds, or when the time is up. */
	async #within(end: number, holds: () => boolean): Promise<void> {
		const over = new AbortController();
		const { clock } = this.#config;
		const timer = clock.setTimeout(
			() => over.abort(),
			Math.max(0, end - this.#engine.now()),
		);
		await this.#engine.waiting.idle(holds, over.signal).catch(() => {});
		clock.clearTimeout(timer);
	}

	#stopOne(live: LiveRun, deadline: number): void {
		const engine = this.#engine;
		const { ticket } = live;
		const reason = "the runtime is closing";
		live.stoppedBy ??= "shutdown";
		engine.keep(ticket.sessionKey, {
			event: ({ facts }) => {
				const at = engine.now();
				const end = { at, outcome: "interrupted" } as const;
				if (live.driver === "host")
					return {
						type: "settled",
						at,
						ticket: live.ticket,
						end: { ...end, stoppedBy: "shutdown" },
					};
				return facts.run && live.is(facts.run)
					? {
							type: "abort",
							at,
							cause: "shutdown",
							reason,
							deadline,
							queued: "keep",
						}
					: null;
			},
			committed: () => {},
		});
		// The run itself is told at once, whatever the store says.
		live.abort(new RunAborted("shutdown", reason));
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	send(sessionKey: string, input: Input, options?: SendOptions<Meta>) {
		return this.#intake.send(sessionKey, input, options);
	}

	admit(sessionKey: string, options?: AdmitOptions<Meta>) {
		return this.#intake.admit(sessionKey, options);
	}

	import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	) {
		return this.#intake.import(rows);
	}

	report(report: LifecycleReport) {
		return this.#reports.take(report);
	}

	reset(sessionKey: string, options?: ResetOptions<Meta>) {
		return this.#commands.reset(sessionKey, options);
	}

	abort(sessionKey: string, options?: StopOptions) {
		return this.#commands.abort(sessionKey, options);
	}

	delete(sessionKey: string, options?: StopOptions & { purge?: boolean }) {
		return this.#commands.delete(sessionKey, options);
	}

	patch(sessionKey: string, meta: JsonValue, options?: { expect?: object }) {
		return this.#commands.patch(sessionKey, meta, options);
	}

	async get(sessionKey: string): Promise<SessionRow<Meta> | null> {
		checkName(sessionKey, "sessionKey");
		this.#mustRead("get");
		return (await this.#engine.committedRow(
			sessionKey,
		)) as SessionRow<Meta> | null;
	}

	async list(query?: ListQuery) {
		this.#mustRead("list");
		return readList<Meta>(this.#engine.store, query);
	}

	async archive(sessionKey: string, query?: PageQuery) {
		checkName(sessionKey, "sessionKey");
		this.#mustRead("archive");
		return readArchive<Meta>(this.#engine.store, sessionKey, query);
	}

	async runs(sessionKey: string, query?: PageQuery & { generation?: number }) {
		checkName(sessionKey, "sessionKey");
		this.#mustRead("runs");
		return readRuns(this.#engine.store, sessionKey, query);
	}

	async refusals(query?: PageQuery & { sessionKey?: string }) {
		this.#mustRead("refusals");
		return readRefusals(this.#engine.store, query);
	}

	async until(
		sessionKey: string,
		holds: (row: SessionRow<Meta> | null) => boolean,
		given?: { timeoutMs?: number; signal?: AbortSignal },
	): Promise<SessionRow<Meta> | null> {
		checkName(sessionKey, "sessionKey");
		const options = checkOptions(given);
		checkSignal(options.signal);
		if (typeof holds !== "function")
			throw invalid(`holds is ${shown(holds)}; it must be a function of a row`);
		if (options.timeoutMs !== undefined)
			checkMs(options.timeoutMs, "timeoutMs");
		this.#mustServe("until");
		return (await this.#engine.waiting.row(
			sessionKey,
			() => this.#engine.committedRow(sessionKey),
			holds as (row: SessionRow | null) => boolean,
			rowAfter,
			options,
		)) as SessionRow<Meta> | null;
	}

	async whenIdle(
		sessionKey?: string,
		options?: { signal?: AbortSignal },
	): Promise<void> {
		if (sessionKey !== undefined) checkName(sessionKey, "sessionKey");
		const signal = checkSignal(checkOptions(options).signal);
		this.#mustServe("whenIdle");
		const engine = this.#engine;
		return engine.waiting.idle(() => engine.isIdle(sessionKey), signal);
	}

	subscribe(listener: (event: RuntimeEvent<Meta>) => void) {
		if (typeof listener !== "function")
			throw invalid(`listener is ${shown(listener)}; it must be a function`);
		return this.#engine.projection.subscribe(listener);
	}

	atom(sessionKey: string) {
		checkName(sessionKey, "sessionKey");
		const engine = this.#engine;
		return engine.projection.atom(sessionKey, () => {
			const session = engine.directory.find(sessionKey);
			if (session?.committed) return session.row as SessionRow<Meta> | null;
			return this.#isServing
				? (engine.committedRow(sessionKey) as Promise<SessionRow<Meta> | null>)
				: null;
		});
	}

	inspect(
		observer: Observer<InspectionEvent> | ((event: InspectionEvent) => void),
	) {
		if (typeof observer !== "function")
			checkMethods(observer, "observer", ["next"]);
		return this.#engine.inspect(observer);
	}

	stats(): RuntimeStats {
		const { directory } = this.#engine;
		let running = 0;
		let queued = 0;
		let draining = 0;
		for (const { committed } of directory.all()) {
			if (!committed) continue;
			if (committed.run) running += 1;
			queued += committed.queue.length;
			draining += committed.draining.length;
		}
		const counted = this.#isServing
			? this.#engine.journal.stats
			: { commits: 0, rowsPerCommit: 0, commitMs: { p50: 0, p99: 0 } };
		return { resident: directory.size, running, queued, draining, ...counted };
	}

	get #isServing(): boolean {
		const { state } = this.#engine;
		return state === "open" || state === "closing";
	}

	#mustRead(call: string): void {
		if (!this.#isServing) throw this.#engine.refusal(call);
	}

	#mustServe(call: string): void {
		if (this.#engine.state !== "open") throw this.#engine.refusal(call);
	}
}
