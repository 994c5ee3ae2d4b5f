/** Owns the embedded engine's public face: starting, serving and closing. Each call is carried out by the part that owns it. */
import type { InspectionEvent, Observer } from "xstate";
import type { SessionRow } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import type { LifecycleReport } from "../machines/report.ts";
import type { RunTicket } from "../machines/ticket.ts";
import {
	checkChoice,
	checkCount,
	checkMethods,
	checkMs,
	checkName,
	checkOptionalName,
	checkOptions,
	checkSignal,
	checkTicket,
	invalid,
	shown,
} from "./arguments.ts";
import { goOnWith, recover } from "./boot.ts";
import { Calls } from "./calls.ts";
import { type Config, configOf } from "./config.ts";
import type { Engine } from "./engine.ts";
import { Executor } from "./executor.ts";
import type { Queue } from "./queue.ts";
import {
	readArchive,
	readList,
	readRefusals,
	readRuns,
	readTranscript,
} from "./reader.ts";
import { Retention } from "./retention.ts";
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
import { stopRuns } from "./shutdown.ts";
import type { ListQuery, PageQuery, TranscriptQuery } from "./store.ts";

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

class Embedded<Input, Output, Meta>
	implements EmbeddedRuntime<Input, Output, Meta>
{
	readonly #config: Config<Input, Output, Meta>;
	readonly #calls: Calls<Input, Output, Meta>;
	readonly #engine: Engine<Meta>;
	readonly queue: Queue<Input, Output, Meta>;
	#retention: Retention | null = null;
	#starting: Promise<this> | null = null;
	#closing: Promise<void> | null = null;

	constructor(config: Config<Input, Output, Meta>) {
		this.#config = config;
		this.#calls = new Calls(config, {
			adopts: false,
			interrupted: () => {
				this.#calls.receipts.interrupt();
				// What is somebody else's by now is not ours to erase.
				void this.#retention?.stop();
			},
			renewed: (key, generation) => this.#retention?.ended(key, generation),
			execute: config.execute
				? (live, start) => executor.execute(live, start)
				: null,
			concluded: (turn) =>
				this.#calls.receipts.conclude(
					turn,
					(run) => this.#engine.registry.get(run)?.output,
				),
		});
		this.#engine = this.#calls.engine;
		this.queue = this.#calls.queue;
		const executor = new Executor(this.#calls.intake.doors, config);
	}

	async start(): Promise<this> {
		const { state } = this.#engine;
		if (state !== "new" && state !== "starting" && state !== "open")
			throw this.#engine.refusal("start");
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
			const left = await recover(engine, goOn, this.#calls.receipts);
			goOn();
			engine.state = "open";
			goOnWith(engine, left);
			this.#retention = new Retention(
				this.#config.retention,
				this.#config.clock,
				engine.store,
				(error) => engine.projection.trouble(error),
			);
			this.#retention.start();
			engine.projection.refresh(
				(key) => engine.committedRow(key) as Promise<SessionRow<Meta> | null>,
			);
			return this;
		} catch (error) {
			engine.retries.giveUp();
			engine.registry.clear();
			engine.directory.clear();
			await engine.release();
			if (engine.state === "starting") engine.state = "new";
			throw error;
		}
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
		const wasOpen = engine.state === "open";
		const wasStarting = engine.state === "starting";
		if (engine.state !== "lost") engine.state = "closing";
		if (wasStarting) await this.#starting?.catch(() => {});
		if (wasOpen) await stopRuns(engine, runs, graceMs);
		if (engine.state !== "lost") engine.state = "closed";
		engine.giveUp(engine.refusal("wait"));
		engine.runs.progress.close();
		await this.#retention?.stop();
		this.#calls.entrance.close(engine.refusal("send"));
		this.#calls.receipts.interrupt();
		engine.registry.clear();
		if (wasOpen) engine.journal.abandon(engine.refusal("wait"));
		engine.directory.clear();
		await engine.release();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	send(sessionKey: string, input: Input, options?: SendOptions<Meta>) {
		return this.#calls.intake.send(sessionKey, input, options);
	}

	admit(sessionKey: string, options?: AdmitOptions<Meta>) {
		return this.#calls.intake.admit(sessionKey, options);
	}

	import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	) {
		return this.#calls.importer.import(rows);
	}

	report(report: LifecycleReport) {
		return this.#calls.reports.take(report);
	}

	reset(sessionKey: string, options?: ResetOptions<Meta>) {
		return this.#calls.commands.reset(sessionKey, options);
	}

	abort(sessionKey: string, options?: StopOptions) {
		return this.#calls.commands.abort(sessionKey, options);
	}

	delete(sessionKey: string, options?: StopOptions & { purge?: boolean }) {
		return this.#calls.commands.delete(sessionKey, options);
	}

	resume(
		ticket: Pick<RunTicket, "sessionKey" | "generation" | "runId">,
		name: string,
		value: JsonValue,
	) {
		return this.#calls.commands.resume(ticket, name, value);
	}

	patch(sessionKey: string, meta: JsonValue, options?: { expect?: object }) {
		return this.#calls.commands.patch(sessionKey, meta, options);
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

	async transcript(sessionKey: string, query?: TranscriptQuery) {
		checkName(sessionKey, "sessionKey");
		this.#mustRead("transcript");
		return readTranscript(this.#engine.store, sessionKey, query);
	}

	follow(ticket: RunTicket, given?: { from?: number; signal?: AbortSignal }) {
		checkTicket(ticket);
		const { from = 1, signal } = checkOptions(given);
		checkCount(from, "from");
		checkSignal(signal);
		this.#mustRead("follow");
		return this.#engine.runs.progress.follow(ticket, from, signal);
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
		this.#engine.mustBeOpen("until");
		return (await this.#engine.waiting.row(
			sessionKey,
			() => this.#engine.committedRow(sessionKey),
			holds as (row: SessionRow | null) => boolean,
			options,
		)) as SessionRow<Meta> | null;
	}

	async whenIdle(
		sessionKey?: string,
		options?: { signal?: AbortSignal },
	): Promise<void> {
		if (sessionKey !== undefined) checkName(sessionKey, "sessionKey");
		const signal = checkSignal(checkOptions(options).signal);
		this.#engine.mustBeOpen("whenIdle");
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
			return this.#engine.isServing
				? (engine.committedRow(sessionKey) as Promise<SessionRow<Meta> | null>)
				: null;
		});
	}

	inspect(
		observer: Observer<InspectionEvent> | ((event: InspectionEvent) => void),
		options?: { sessionKey?: string },
	) {
		if (typeof observer !== "function")
			checkMethods(observer, "observer", ["next"]);
		const sessionKey = checkOptionalName(
			checkOptions(options).sessionKey,
			"sessionKey",
		);
		const { inspection, directory } = this.#engine;
		if (sessionKey === undefined)
			return inspection.add(observer, null, directory.all());
		const session = directory.find(sessionKey);
		return inspection.add(observer, sessionKey, session ? [session] : []);
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
		const counted = this.#engine.isServing
			? this.#engine.journal.stats
			: { commits: 0, rowsPerCommit: 0, commitMs: { p50: 0, p99: 0 } };
		return { resident: directory.size, running, queued, draining, ...counted };
	}

	#mustRead(call: string): void {
		if (!this.#engine.isServing) throw this.#engine.refusal(call);
	}
}
