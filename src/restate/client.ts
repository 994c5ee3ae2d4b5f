/**
 * Owns what a host holds in its hands where its sessions are objects of Restate: the calls of `SessionRuntime`, each taken to the object of
 * its key. Keeps no fact of its own, so any replica of a host may make any call.
 */
import { setTimeout as pause } from "node:timers/promises";
import type {
	EndedGeneration,
	Message,
	SessionRow,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type {
	LifecycleReport,
	Refusal,
	Verdict,
} from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import {
	checkCount,
	checkJson,
	checkMs,
	checkName,
	checkOptions,
	checkSignal,
	checkTicket,
	checkUrl,
	invalid,
	shown,
} from "../arguments.ts";
import { type RuntimeClock, runtimeClock, systemClock } from "../clock.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { risingId } from "../ids.ts";
import { consoleLogger, type Logger } from "../logger.ts";
import { checkList } from "../reader.ts";
import { problemOf } from "../reports.ts";
import type {
	AdmitOptions,
	AdmittedRun,
	Answer,
	ImportedSession,
	ProgressItem,
	ResetOptions,
	SendOptions,
	SendReceipt,
	SessionRuntime,
	StopOptions,
	StopReport,
} from "../runtime.ts";
import type { ListQuery, Page, PageQuery, TranscriptQuery } from "../store.ts";
import { Admin } from "./admin.ts";
import { defaultTimeoutMs, systemSource } from "./config.ts";
import { Door } from "./door.ts";
import type { RunView } from "./protocol.ts";
import { type Accepted, RemoteReceipt } from "./receipt.ts";
import { RemoteAdmittedRun, RunLife } from "./remote-run.ts";

/** Where the sessions are. */
export interface ConnectOptions {
	/** URL of Restate's ingress, such as `http://127.0.0.1:8080`. */
	readonly ingress: string;
	/** URL of its admin API, for what concerns all sessions: `list`, `whenIdle()`, a report without a session key. */
	readonly admin?: string;
	/** Sent with every call to the ingress, such as an authorization. */
	readonly headers?: Record<string, string>;
	/** How long the answer to a call may take that waits for no run, in ms. Default 30_000. */
	readonly timeoutMs?: number;
	/** pino's shape. Default: warnings and errors to the console. */
	readonly logger?: Logger;
}

/** Until a run is looked after again that could not be, in ms. */
const watchAgainMs = 1000;
/** Rows that are imported at once. */
const importsAtOnce = 64;

/**
 * The sessions that `sessionServices` serves, for a host: the same calls as those of the embedded engine.
 *
 * @example const runtime = await connectSessions({ ingress: "http://127.0.0.1:8080" }).start();
 * @throws INVALID_ARGUMENT for options that cannot work
 */
export function connectSessions<
	Input = JsonValue,
	Output = unknown,
	Meta = JsonValue,
>(options: ConnectOptions): SessionRuntime<Input, Output, Meta> {
	const {
		ingress,
		admin,
		headers,
		logger = consoleLogger,
	} = checkOptions(options);
	const timeoutMs = checkMs(
		options.timeoutMs ?? defaultTimeoutMs,
		"options.timeoutMs",
	);
	checkUrl(ingress, "options.ingress", "http://127.0.0.1:8080");
	if (admin !== undefined)
		checkUrl(admin, "options.admin", "http://127.0.0.1:9070");
	return new Connected(
		new Door(ingress as string, timeoutMs, headers, systemSource.nowFor),
		new Admin(admin ?? null, timeoutMs),
		logger,
	);
}

export class Connected<Input, Output, Meta>
	implements SessionRuntime<Input, Output, Meta>
{
	readonly #door: Door;
	readonly #admin: Admin;
	readonly #logger: Logger;
	readonly #clock: RuntimeClock;
	#state: "new" | "open" | "closed" = "new";
	/** Runs of this host's that are not over, by ticket: who admits one again gets the same. */
	readonly #admitted = new Map<string, RemoteAdmittedRun<Meta>>();
	/** Ends what waits in this process. */
	readonly #closing = new AbortController();

	constructor(
		door: Door,
		admin: Admin,
		logger: Logger,
		clock: RuntimeClock = runtimeClock(systemClock),
	) {
		this.#clock = clock;
		this.#door = door;
		this.#admin = admin;
		this.#logger = logger;
	}

	/** There is nothing to open and nothing to recover: Restate has it all. Throws where it cannot be reached, or knows nothing of the services. */
	async start(): Promise<this> {
		if (this.#state === "closed") throw this.#refusal("start");
		// Any key will do: it shows that Restate and the services are there.
		await this.#door.read("turnkeeper", "get");
		this.#state = "open";
		return this;
	}

	/** Ends what waits in this process. Runs go on where they are executed. */
	async close(): Promise<void> {
		this.#state = "closed";
		this.#closing.abort(this.#refusal("wait"));
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	#refusal(call: string): TurnkeeperError {
		return new TurnkeeperError(
			"RUNTIME_CLOSED",
			`${call}: the runtime ${this.#state === "new" ? "has not started; await start() first" : "is closed"}`,
		);
	}

	#mustBeOpen(call: string): void {
		if (this.#state !== "open") throw this.#refusal(call);
	}

	#key(call: string, sessionKey: unknown): string {
		this.#mustBeOpen(call);
		return checkName(sessionKey, "sessionKey");
	}

	async send(
		sessionKey: string,
		input: Input,
		given?: SendOptions<Meta>,
	): Promise<SendReceipt<Output>> {
		const key = this.#key("send", sessionKey);
		const options = { messageId: risingId(), ...checked(given) };
		const accepted = await this.#door.call<Accepted>(key, "send", [
			checkJson(input, "input"),
			options,
		]);
		return new RemoteReceipt(accepted, () =>
			this.#door.endOf<Output>(
				key,
				accepted.messageId,
				this.#logger,
				this.#closing.signal,
			),
		);
	}

	async #wait<Value>(
		key: string,
		awaited: Parameters<Door["wait"]>[1],
		signal?: AbortSignal,
	): Promise<Value> {
		const own = this.#closing.signal;
		return this.#door.wait<Value>(
			key,
			awaited,
			signal ? AbortSignal.any([own, signal]) : own,
		);
	}

	async admit(
		sessionKey: string,
		options?: AdmitOptions<Meta>,
	): Promise<AdmittedRun<Meta>> {
		const key = this.#key("admit", sessionKey);
		const { ticket, view } = await this.#door.call<{
			ticket: RunTicket;
			view: RunView;
		}>(key, "admit", [{ runId: risingId(), ...checked(options) }]);
		const id = ticketId(ticket);
		const known = this.#admitted.get(id);
		if (known) return known;
		const life = new RunLife(ticket, view);
		const run = new RemoteAdmittedRun<Meta>(this.#door, life, this.#logger);
		this.#admitted.set(id, run);
		void this.#watch(key, life);
		return run;
	}

	/** Brings a run of this host's what is committed of it, until it is over; then its scope is disposed. */
	async #watch(key: string, life: RunLife): Promise<void> {
		while (this.#state === "open" && !life.view.isOver)
			try {
				life.see(
					await this.#wait<RunView>(key, {
						of: "view",
						ticket: life.ticket,
						seen: life.view,
					}),
				);
			} catch (error) {
				if (this.#state !== "open") return;
				this.#logger.warn(
					{ error, ticket: life.ticket },
					`run ${life.ticket.runId} is not told just now what becomes of it: ${errorText(error)}`,
				);
				await pause(watchAgainMs);
			}
		this.#admitted.delete(ticketId(life.ticket));
		await life.dispose(this.#logger);
	}

	async report(report: LifecycleReport): Promise<Verdict> {
		this.#mustBeOpen("report");
		const given = report as LifecycleReport | null | undefined;
		const key = given?.sessionKey;
		if (typeof key === "string" && key !== "")
			return this.#report({ ...report, sessionKey: key });
		const problem = problemOf(report);
		if (problem)
			return { verdict: "refused", reason: problem, ticket: null, row: null };
		const { runId } = report;
		const keys = await this.#admin.keysOf(runId);
		const [only] = keys;
		if (keys.length === 1 && only !== undefined)
			return this.#report({ ...report, sessionKey: only });
		const id = shown(runId);
		return keys.length === 0
			? {
					verdict: "unknown",
					reason: `no run ${id} was ever admitted`,
					ticket: null,
					row: null,
				}
			: {
					verdict: "refused",
					reason: `run ${id} exists in ${keys.length} sessions (${keys.slice(0, 3).map(shown).join(", ")}${keys.length > 3 ? ", …" : ""}); say which by sessionKey`,
					ticket: null,
					row: null,
				};
	}

	/** Progress that counts is for those who follow its run. */
	async #report(
		report: LifecycleReport & { readonly sessionKey: string },
	): Promise<Verdict> {
		const verdict = await this.#door.report(report);
		const { ticket } = verdict;
		if (report.phase === "progress" && verdict.verdict === "applied" && ticket)
			await this.#door.progress(ticket, [report.value ?? null]);
		return verdict;
	}

	async reset(sessionKey: string, options?: ResetOptions<Meta>) {
		return this.#stop("reset", sessionKey, options);
	}

	async abort(sessionKey: string, options?: StopOptions) {
		return this.#stop("abort", sessionKey, options);
	}

	async delete(
		sessionKey: string,
		options?: StopOptions & { purge?: boolean },
	) {
		return this.#stop("delete", sessionKey, options);
	}

	#stop(
		name: "reset" | "abort" | "delete",
		sessionKey: string,
		given: StopOptions | undefined,
	): Promise<Answer<StopReport<Meta>, Meta>> {
		const key = this.#key(name, sessionKey);
		return this.#door.stop(key, name, [checked(given)]);
	}

	async resume(
		ticket: Pick<RunTicket, "sessionKey" | "generation" | "runId">,
		name: string,
		value: JsonValue,
	): Promise<Answer<null, Meta>> {
		this.#mustBeOpen("resume");
		checkTicket(ticket, ["sessionKey", "generation", "runId"]);
		return this.#door.call(ticket.sessionKey, "resume", [
			ticket,
			name,
			checkJson(value, "value"),
		]);
	}

	readonly queue: SessionRuntime<Input, Output, Meta>["queue"] = {
		list: async (sessionKey) =>
			this.#door.read<readonly Message<Input>[]>(
				this.#key("queue.list", sessionKey),
				"queue.list",
			),
		update: async (sessionKey, messageId, change) =>
			this.#door.call(this.#key("queue.update", sessionKey), "queue.update", [
				messageId,
				checkOptions(change, "change"),
			]),
		remove: async (sessionKey, messageId) =>
			this.#door.call(this.#key("queue.remove", sessionKey), "queue.remove", [
				messageId,
			]),
	};

	async patch(
		sessionKey: string,
		meta: JsonValue,
		options?: { expect?: object },
	): Promise<Answer<null, Meta>> {
		return this.#door.call(this.#key("patch", sessionKey), "patch", [
			checkJson(meta, "meta"),
			checkOptions(options),
		]);
	}

	async import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	): Promise<{ imported: number; skipped: readonly string[] }> {
		this.#mustBeOpen("import");
		const skipped: string[] = [];
		let imported = 0;
		let batch: Promise<{ imported: number; skipped: readonly string[] }>[] = [];
		const count = async () => {
			for (const one of await Promise.all(batch)) {
				imported += one.imported;
				skipped.push(...one.skipped);
			}
			batch = [];
		};
		for await (const row of rows) {
			const key = checkName(row?.sessionKey, "sessionKey");
			batch.push(this.#door.call(key, "import", [row]));
			if (batch.length === importsAtOnce) await count();
		}
		await count();
		return { imported, skipped };
	}

	async #row(
		sessionKey: string,
	): Promise<{ row: SessionRow<Meta> | null; version: number }> {
		return this.#door.read(sessionKey, "get");
	}

	async get(sessionKey: string): Promise<SessionRow<Meta> | null> {
		return (await this.#row(this.#key("get", sessionKey))).row;
	}

	async list(query?: ListQuery): Promise<Page<SessionRow<Meta>>> {
		this.#mustBeOpen("list");
		return this.#admin.list<Meta>(checkList(query));
	}

	async archive(
		sessionKey: string,
		query?: PageQuery,
	): Promise<Page<EndedGeneration<Meta>>> {
		return this.#door.read(this.#key("archive", sessionKey), "archive", [
			query,
		]);
	}

	async runs(
		sessionKey: string,
		query?: PageQuery & { generation?: number },
	): Promise<Page<RunRecord>> {
		return this.#door.read(this.#key("runs", sessionKey), "runs", [query]);
	}

	async transcript(sessionKey: string, query?: TranscriptQuery) {
		const key = this.#key("transcript", sessionKey);
		return this.#door.transcript(key, query ?? {});
	}

	async refusals(
		query?: PageQuery & { sessionKey?: string },
	): Promise<Page<Refusal>> {
		this.#mustBeOpen("refusals");
		const { sessionKey } = checkOptions(query, "query");
		if (sessionKey === undefined)
			throw invalid(
				"sessionKey is undefined; on Restate refusals are kept with their sessions, so a query must name one",
			);
		return this.#door.read(this.#key("refusals", sessionKey), "refusals", [
			query,
		]);
	}

	async *follow(
		ticket: RunTicket,
		given?: { from?: number; signal?: AbortSignal },
	): AsyncGenerator<ProgressItem, void, undefined> {
		this.#mustBeOpen("follow");
		checkTicket(ticket);
		const { from = 1, signal } = checkOptions(given);
		checkCount(from, "from");
		checkSignal(signal);
		const over = new AbortController();
		const signals = [this.#closing.signal, over.signal];
		const ends = AbortSignal.any(signal ? [...signals, signal] : signals);
		let failure: unknown = null;
		void this.#overAfter(ticket, ends)
			.catch((error) => {
				if (!ends.aborted) failure = error;
			})
			.finally(() => over.abort());
		let next = from;
		try {
			for (;;) {
				const page = ends.aborted
					? await this.#door.told(ticket, next)
					: await this.#door.tells(ticket, next, ends).catch((error) => {
							if (ends.aborted) return null;
							throw error;
						});
				if (signal?.aborted) return;
				if (failure !== null) throw failure;
				for (const item of page?.items ?? []) {
					if (item.seq > next) yield { gap: { from: next, to: item.seq - 1 } };
					yield item;
					next = item.seq + 1;
				}
				if (page && ends.aborted && page.items.length === 0) return;
			}
		} finally {
			over.abort();
		}
	}

	/** Resolves when a run is over. */
	async #overAfter(ticket: RunTicket, signal: AbortSignal): Promise<void> {
		for (;;) {
			// Before the run is looked at: what happens in between is a later version.
			const { version } = await this.#row(ticket.sessionKey);
			const { items } = await this.runs(ticket.sessionKey, {
				generation: ticket.generation,
				limit: 1000,
			});
			const run = items.find(
				({ runId, attempt }) =>
					runId === ticket.runId && attempt === ticket.attempt,
			);
			if (!run || run.outcome !== null) return;
			await this.#wait(ticket.sessionKey, { of: "change", version }, signal);
		}
	}

	async until(
		sessionKey: string,
		holds: (row: SessionRow<Meta> | null) => boolean,
		given?: { timeoutMs?: number; signal?: AbortSignal },
	): Promise<SessionRow<Meta> | null> {
		const key = this.#key("until", sessionKey);
		const { timeoutMs, signal } = checkOptions(given);
		checkSignal(signal);
		if (typeof holds !== "function")
			throw invalid(`holds is ${shown(holds)}; it must be a function of a row`);
		if (timeoutMs !== undefined) checkMs(timeoutMs, "timeoutMs");
		const late = new AbortController();
		const timer =
			timeoutMs === undefined
				? null
				: this.#clock.setTimeout(() => late.abort(), timeoutMs);
		const ends = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
		try {
			for (;;) {
				signal?.throwIfAborted();
				const { row, version } = await this.#row(key);
				if (holds(row)) return row;
				await this.#wait(key, { of: "change", version }, ends).catch(
					(error) => {
						signal?.throwIfAborted();
						if (!late.signal.aborted) throw error;
						throw new TurnkeeperError(
							"WAIT_TIMEOUT",
							`session ${shown(key)} had no such row within ${timeoutMs} ms`,
						);
					},
				);
			}
		} finally {
			if (timer !== null) this.#clock.clearTimeout(timer);
		}
	}

	async whenIdle(
		sessionKey?: string,
		options?: { signal?: AbortSignal },
	): Promise<void> {
		this.#mustBeOpen("whenIdle");
		if (sessionKey !== undefined) checkName(sessionKey, "sessionKey");
		const signal = checkSignal(checkOptions(options).signal);
		const rest = (key: string) => this.#wait<void>(key, { of: "rest" }, signal);
		if (sessionKey !== undefined) return rest(sessionKey);
		for (;;) {
			const busy = await this.#admin.busy();
			if (busy.length === 0) return;
			await Promise.all(busy.map(rest));
		}
	}
}

/** Options whose fields of the host's are JSON: on their way they would become it unasked. */
function checked<Options extends object>(given: Options | undefined): Options {
	const options = checkOptions(given);
	const { meta } = options as { readonly meta?: unknown };
	if (meta !== undefined) checkJson(meta, "meta");
	return options;
}
