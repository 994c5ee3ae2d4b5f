/**
 * Owns a replay: one recorded stream through a real runtime, in its order and on its clock. A reset, abort or delete is issued and not
 * waited for, as in a live host; only its own commit is, so that the next line finds it done. Never changes what the runtime says.
 */
import type { EndedGeneration, SessionRow } from "../../machines/facts.ts";
import type { Refusal, Verdict, VerdictKind } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";
import { createSessionRuntime } from "../embedded.ts";
import { TurnkeeperError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { EmbeddedRuntime, RuntimeEvent } from "../runtime.ts";
import type { Page, PageQuery, SessionStore } from "../store.ts";
import { HostRowJudge } from "./host-rows.ts";
import type { BadLine } from "./json-lines.ts";
import { type LineStream, reportOf, type StreamLine } from "./lines.ts";
import { StreamClock } from "./stream-clock.ts";

/** What a replay found; `rows` as they stood after the last line, before anything was closed. */
export interface Replayed {
	/** Reports (start, end, error) by verdict. */
	readonly reports: Readonly<Record<VerdictKind, number>>;
	/** Sessions that the stream touched and that are not deleted, by key. */
	readonly rows: readonly SessionRow[];
	/** Rows of the runtime's own feed whose status and hasActiveRun disagree. */
	readonly rowsAtOdds: number;
	/** Rows of the recorded host whose status and hasActiveRun disagree. */
	readonly hostRowsAtOdds: number;
	/** How often each verdict was given for which reason. */
	readonly reasons: Readonly<
		Record<VerdictKind, Readonly<Record<string, number>>>
	>;
	/** Each row of the recorded host that contradicts itself or the runs, in a sentence. */
	readonly contradictions: readonly string[];
	/** Lines that were left out. */
	readonly badLines: readonly BadLine[];
	/** Lines that were replayed. */
	readonly lines: number;
	/** Rows that the recorded host published. */
	readonly hostRows: number;
	/** Those of them that contradict the runs. */
	readonly hostRowsAgainstRuns: number;
}

/** All that the stream left behind. */
export interface ReplayedHistory {
	/** Per key, newest first, those that have not settled before all others. */
	readonly runs: readonly RunRecord[];
	/** Per key, newest first. */
	readonly archive: readonly EndedGeneration[];
	/** Newest first. */
	readonly refusals: readonly Refusal[];
}

type Runtime = EmbeddedRuntime;
type Command = Extract<StreamLine, { type: "reset" | "abort" | "delete" }>;
type Report = Extract<StreamLine, { type: "start" | "end" | "error" }>;

/** Trouble comes as an error where it matters. */
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Feeds a stream through a runtime of its own on this store, and closes it.
 *
 * @example const { reports, rows } = await replay(openStream(createReadStream("events.jsonl")), memoryStore());
 * @throws STORE_FAILED, STORE_LOCKED, STORE_VERSION, STORE_CORRUPT
 */
export async function replay(
	stream: LineStream,
	store: SessionStore,
): Promise<Replayed>;
export async function replay(
	stream: LineStream,
	store: SessionStore,
	options: { readonly history: true },
): Promise<Replayed & ReplayedHistory>;
export async function replay(
	stream: LineStream,
	store: SessionStore,
	options: { readonly tell: (contradiction: string) => void },
): Promise<Replayed>;
export async function replay(
	stream: LineStream,
	store: SessionStore,
	options: {
		readonly history?: boolean;
		/** Each contradiction as it is found; of a stream without an end the last alone is kept. */
		readonly tell?: (contradiction: string) => void;
	} = {},
): Promise<Replayed & Partial<ReplayedHistory>> {
	let run: Replay | null = null;
	try {
		for await (const { line, value } of stream.lines) {
			run ??= await Replay.start(
				value.at,
				stream.begin ?? value.at,
				store,
				options.tell,
			);
			await run.apply(value, (problem) => {
				stream.badLines.push({ line, problem: `line ${line}: ${problem}` });
			});
		}
		// An empty stream opens the store all the same, so that a file that cannot be used is found.
		run ??= await Replay.start(0, 0, store);
		const found = await run.result();
		const history = options.history ? await run.history() : {};
		const badLines = stream.badLines.toSorted((a, b) => a.line - b.line);
		return { ...found, badLines, ...history };
	} finally {
		await run?.close();
	}
}

class Replay {
	#runtime: Runtime;
	#clock: StreamClock;
	#judge: HostRowJudge;
	#keys = new Set<string>();
	#reports = byVerdict(() => 0);
	#reasons = byVerdict((): Map<string, number> => new Map());
	#rowsAtOdds = 0;
	#lines = 0;
	/** Timers that had fired when a session was last known to have taken all that was asked of it. */
	#settledAt = new Map<string, number>();
	#failure: unknown = null;

	static async start(
		at: number,
		begin: number,
		store: SessionStore,
		tell?: (contradiction: string) => void,
	): Promise<Replay> {
		const clock = new StreamClock(at);
		const runtime = createSessionRuntime({ store, clock, logger: silent });
		await runtime.start();
		return new Replay(runtime, clock, new HostRowJudge(begin, tell));
	}

	constructor(runtime: Runtime, clock: StreamClock, judge: HostRowJudge) {
		this.#runtime = runtime;
		this.#clock = clock;
		this.#judge = judge;
		runtime.subscribe((event) => this.#observe(event));
	}

	/** One line, at its time. `left` is told when the runtime does not accept what it names. */
	async apply(
		line: StreamLine,
		left: (problem: string) => void,
	): Promise<void> {
		await this.#clock.advanceTo(line.at);
		try {
			await this.#take(line);
		} catch (error) {
			if (!isOfTheLine(error)) throw error;
			left(error.text);
			return;
		}
		this.#lines += 1;
		if (this.#failure) throw this.#failure;
	}

	/** What stands now. Time does not move on: a session that still drains is shown so. */
	async result(): Promise<Omit<Replayed, "badLines">> {
		const rows: SessionRow[] = [];
		for (const key of this.#sortedKeys()) {
			await this.#settled(key);
			const row = await this.#runtime.get(key);
			if (row) rows.push(row);
		}
		return {
			reports: this.#reports,
			rows,
			rowsAtOdds: this.#rowsAtOdds,
			hostRowsAtOdds: this.#judge.rowsAtOdds,
			reasons: byVerdict((verdict) =>
				Object.fromEntries(this.#reasons[verdict]),
			),
			contradictions: this.#judge.contradictions,
			lines: this.#lines,
			hostRows: this.#judge.rows,
			hostRowsAgainstRuns: this.#judge.rowsAgainstRuns,
		};
	}

	async history(): Promise<ReplayedHistory> {
		const runs: RunRecord[] = [];
		const archive: EndedGeneration[] = [];
		for (const key of this.#sortedKeys()) {
			runs.push(...(await all((page) => this.#runtime.runs(key, page))));
			archive.push(...(await all((page) => this.#runtime.archive(key, page))));
		}
		const refusals = await all((page) => this.#runtime.refusals(page));
		return { runs, archive, refusals };
	}

	async close(): Promise<void> {
		await this.#clock.runUntil(this.#runtime.close());
	}

	async #take(line: StreamLine): Promise<void> {
		switch (line.type) {
			case "accepted": {
				const { sessionKey, runId, sessionId } = line;
				await this.#runtime.admit(sessionKey, {
					runId,
					reserve: true,
					...(sessionId === undefined ? {} : { sessionId }),
				});
				this.#keys.add(sessionKey);
				this.#judge.took(line);
				return;
			}
			case "start":
			case "end":
			case "error":
				return this.#report(line);
			case "row":
				await this.#settled(line.sessionKey);
				this.#judge.judge(line.sessionKey, line.row, line.at);
				return;
			default:
				return this.#command(line);
		}
	}

	async #report(line: Report): Promise<void> {
		const verdict = await this.#runtime.report(reportOf(line));
		this.#reports[verdict.verdict] += 1;
		const reasons = this.#reasons[verdict.verdict];
		const reason = reasonOf(verdict, line.runId);
		reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
		this.#judge.took(line, verdict.verdict);
	}

	/** Issued, and waited for only until it is committed: its mailbox serves in order, so what follows is answered after it. */
	async #command(line: Command): Promise<void> {
		const { sessionKey } = line;
		const given = line.reason === undefined ? {} : { reason: line.reason };
		const answer =
			line.type === "reset"
				? this.#runtime.reset(sessionKey, {
						...given,
						...(line.sessionId === undefined
							? {}
							: { sessionId: line.sessionId }),
					})
				: line.type === "delete"
					? this.#runtime.delete(sessionKey, given)
					: this.#runtime.abort(sessionKey, {
							...given,
							...(line.runId === undefined
								? {}
								: { expect: { runId: line.runId } }),
						});
		let refused: unknown = null;
		answer.catch((error: unknown) => {
			refused = error;
			// That the replay ended before the drain did is no failure.
			if (!isClosed(error) && !isOfTheLine(error)) this.#failure ??= error;
		});
		this.#keys.add(sessionKey);
		await this.#barrier(sessionKey);
		if (refused) throw refused;
		this.#judge.took(line);
	}

	/** Makes sure that what fired timers asked of a session is committed. */
	async #settled(sessionKey: string): Promise<void> {
		if ((this.#settledAt.get(sessionKey) ?? 0) !== this.#clock.fired)
			await this.#barrier(sessionKey);
	}

	/** A patch that can never apply: its answer comes once all before it on this key is committed. */
	async #barrier(sessionKey: string): Promise<void> {
		const { fired } = this.#clock;
		await this.#runtime.patch(sessionKey, {}, { expect: { generation: 0 } });
		if (fired > 0) this.#settledAt.set(sessionKey, fired);
	}

	#observe(event: RuntimeEvent): void {
		if (event.type === "row") {
			const { row } = event;
			this.#keys.add(row.sessionKey);
			if (row.hasActiveRun !== (row.status === "running"))
				this.#rowsAtOdds += 1;
		}
		if (event.type === "trouble") this.#failure ??= event.error;
		this.#judge.observe(event, this.#clock.now());
	}

	#sortedKeys(): string[] {
		return [...this.#keys].sort();
	}
}

function byVerdict<T>(
	make: (verdict: VerdictKind) => T,
): Record<VerdictKind, T> {
	return {
		applied: make("applied"),
		archived: make("archived"),
		duplicate: make("duplicate"),
		unknown: make("unknown"),
		refused: make("refused"),
	};
}

/** A reason without the ids in it, so that equal ones count together. */
function reasonOf(verdict: Verdict, runId: string): string {
	const other = verdict.row?.activeRun?.runId;
	let reason = verdict.reason.replaceAll(` ${runId}`, "");
	if (other !== undefined && other !== runId)
		reason = reason.replaceAll(`run ${other}`, "another run");
	return reason
		.replaceAll(/\bgeneration \d+/g, "its generation")
		.replaceAll(/"(?:[^"\\]|\\.)*"/g, "…");
}

function isOfTheLine(error: unknown): error is TurnkeeperError {
	return (
		error instanceof TurnkeeperError &&
		(error.code === "INVALID_ARGUMENT" || error.code === "INVALID_INPUT")
	);
}

function isClosed(error: unknown): boolean {
	return error instanceof TurnkeeperError && error.code === "RUNTIME_CLOSED";
}

/** Every page. */
async function all<T>(
	read: (query: PageQuery) => Promise<Page<T>>,
): Promise<T[]> {
	const items: T[] = [];
	for (let cursor: string | null | undefined; cursor !== null; ) {
		const page = await read({ limit: 1000, cursor });
		items.push(...page.items);
		cursor = page.cursor;
	}
	return items;
}
