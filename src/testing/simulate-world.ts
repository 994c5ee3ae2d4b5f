/**
 * Owns a simulated world: one store, one clock, and the lives of a process one after the other, each with the real runtime in it. Plays
 * moves on it, writes down what happens, and shows everything to the witness. Draws nothing by chance and judges nothing itself.
 */
import type { Expectation, Message, SessionRow } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import { createSessionRuntime } from "../embedded.ts";
import { type ErrorCode, TurnkeeperError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type {
	AdmittedRun,
	Answer,
	EmbeddedRuntime,
	ManagedRun,
	RuntimeOptions,
	SendReceipt,
	StopReport,
} from "../runtime.ts";
import type { SessionStore } from "../store.ts";
import type { Boot, Conduct, Deed, Expected, Move } from "./simulate-moves.ts";
import { SimulatedStore } from "./simulate-store.ts";
import { type SimulatedClock, SimulatedTime } from "./simulate-time.ts";
import {
	eventText,
	type Mark,
	problemText,
	rowText,
	Trace,
	ticketText,
} from "./simulate-trace.ts";
import { runIdOf, Witness } from "./simulate-witness.ts";

/** What an executor of somebody else's is given beside its run, so that all it does repeats. */
export interface SimulatedWorld {
	/** The clock of the simulated process. */
	readonly clock: SimulatedClock;
	/** Resolves after so many ms of simulated time; rejects with the signal's reason when that is aborted. */
	sleep(ms: number, signal?: AbortSignal): Promise<void>;
	/** A whole number from 0 on, below the one given. */
	random(below: number): number;
}

export type SimulatedExecutor = (
	run: ManagedRun<JsonValue>,
	world: SimulatedWorld,
) => Promise<unknown> | unknown;

/** What of a runtime is the caller's own to say. */
export type SimulatedOptions = Partial<
	Omit<
		RuntimeOptions<JsonValue, unknown, JsonValue>,
		"store" | "execute" | "clock" | "ids" | "logger"
	>
>;

export interface WorldOptions {
	readonly store: SessionStore;
	readonly keys: readonly string[];
	readonly execute: SimulatedExecutor | null;
	readonly input: ((n: number) => JsonValue) | null;
	readonly runtime: SimulatedOptions;
	readonly random: (below: number) => number;
	readonly logger: Logger | null;
}

type Runtime = EmbeddedRuntime<JsonValue, unknown, JsonValue>;

interface Managed {
	readonly run: ManagedRun<JsonValue>;
	finish(how: "return" | "throw" | "throw nothing"): void;
}

/** One process: its clock, its runtime, and what it holds in its hands. */
interface Life {
	readonly number: number;
	readonly clock: SimulatedClock;
	readonly runtime: Runtime;
	readonly boot: Boot;
	readonly managed: Managed[];
	readonly admitted: AdmittedRun[];
	/** Calls that have not been answered, with what they were. */
	readonly calls: Map<number, string>;
	/** Receipts whose message has not settled. */
	readonly receipts: Map<SendReceipt, string>;
	isDead: boolean;
	isClosing: boolean;
	/** The store has failed in this life. */
	failuresBefore: number;
}

interface Sent {
	readonly key: string;
	readonly messageId: string;
	readonly input: JsonValue;
}

export interface Counts {
	calls: number;
	lives: number;
	crashes: number;
	runs: number;
}

const anyCall: readonly ErrorCode[] = [
	"STORE_FAILED",
	"RUNTIME_CLOSED",
	"STORE_CORRUPT",
];
const graceMs = 40;

export class World {
	readonly time = new SimulatedTime();
	readonly trace = new Trace(this.time.now());
	readonly witness = new Witness(({ text }) => {
		this.#say("!", () => text);
		this.trace.end();
	});
	readonly counts: Counts = { calls: 0, lives: 0, crashes: 0, runs: 0 };
	readonly #options: WorldOptions;
	readonly #store: SimulatedStore;
	#life: Life | null = null;
	/** How the next process is set up, when this one has died. */
	#next: Boot | null = null;
	readonly #sent: Sent[] = [];
	readonly #tickets: RunTicket[] = [];
	readonly #waits: { ticket: RunTicket; name: string }[] = [];
	readonly #rows = new Map<string, SessionRow[]>();
	/** By how much the clock has stepped back, in ms. */
	#stepped = 0;
	#count = 0;
	#ids = 0;

	constructor(options: WorldOptions) {
		this.#options = options;
		this.#store = new SimulatedStore(options.store, this.time, {
			held: (batch) => this.witness.held(batch),
			pruned: (rule) => this.witness.pruned(rule),
			died: () => this.#die(),
		});
	}

	get commits(): number {
		return this.#store.commits;
	}

	#say(mark: Mark, say: () => string): void {
		this.trace.add(this.time.now(), mark, say);
	}

	get #live(): Life {
		return this.#life as Life;
	}

	// ── lives

	/** A process comes up on what the last one left. */
	async boot(boot: Boot): Promise<void> {
		this.counts.lives += 1;
		const clock = this.time.clock();
		this.#store.begin(clock);
		this.witness.begin(
			this.#options.runtime.maxConcurrentRuns ?? boot.maxConcurrentRuns ?? null,
		);
		const life: Life = {
			number: this.counts.lives,
			clock,
			runtime: createSessionRuntime<JsonValue>(
				this.#runtimeOptions(boot, clock, () => life),
			),
			boot,
			managed: [],
			admitted: [],
			calls: new Map(),
			receipts: new Map(),
			isDead: false,
			isClosing: false,
			failuresBefore: this.#store.failures,
		};
		this.#life = life;
		this.#say(
			"*",
			() => `process ${life.number} starts ${JSON.stringify(boot)}`,
		);
		life.runtime.subscribe((event) => {
			if (life.isDead) return;
			this.#say("~", () => eventText(event));
			this.witness.told(event);
			if (event.type === "row") this.#remember(event.row);
		});
		if (boot.watched) {
			life.runtime.inspect(() => {});
			for (const key of this.#options.keys) life.runtime.atom(key);
		}
		for (let tries = 0; !life.isDead; tries++) {
			let outcome: "open" | "failed" | null = null;
			let problem: unknown;
			life.runtime.start().then(
				() => {
					outcome = "open";
					this.#say("*", () => `process ${life.number} is open`);
					if (!life.isDead) this.witness.opened();
				},
				(error) => {
					outcome = "failed";
					problem = error;
					this.witness.startFailed();
					this.#say("*", () => `start failed: ${problemText(error)}`);
				},
			);
			for (
				let waits = 0;
				outcome === null && !life.isDead && waits < 500;
				waits++
			)
				await this.time.advance(100);
			if (outcome === "open" || life.isDead) return;
			if (outcome === null) {
				this.witness.break("running", "start never comes to an end");
				return;
			}
			if (tries > 3) {
				this.witness.break(
					"running",
					`start fails, and the store is well: ${problemText(problem)}`,
				);
				return;
			}
			// A store that does not answer is well again in the end.
			if (tries > 0) this.#store.heal();
		}
	}

	#runtimeOptions(
		boot: Boot,
		clock: SimulatedClock,
		life: () => Life,
	): RuntimeOptions<JsonValue, unknown, JsonValue> {
		const { hook, retries } = boot;
		const retention = {
			...(boot.generationsPerKey === null
				? {}
				: { generationsPerKey: boot.generationsPerKey }),
			...(boot.refusals === null ? {} : { refusals: boot.refusals }),
		};
		return {
			graceMs,
			overlap: boot.overlap,
			retention,
			maxResident: boot.maxResident,
			passivateAfterMs: boot.passivateAfterMs,
			...(boot.maxConcurrentRuns === null
				? {}
				: { maxConcurrentRuns: boot.maxConcurrentRuns }),
			...(boot.runTimeoutMs === null
				? {}
				: { runTimeoutMs: boot.runTimeoutMs }),
			...(boot.idleMs === null && !boot.daily
				? {}
				: {
						expiry: {
							...(boot.idleMs === null ? {} : { idleMs: boot.idleMs }),
							...(boot.daily
								? { daily: { hour: 4, timeZone: "Europe/Berlin" } }
								: {}),
						},
					}),
			...(retries === null
				? {}
				: { recovery: { mode: "retry" as const, maxAttempts: retries } }),
			...(boot.carryOver ? { carryOver: (meta: JsonValue) => meta } : {}),
			...(hook === null
				? {}
				: {
						onGenerationEnded: async () => {
							if (hook === "slow") await clock.sleep(15);
							if (hook === "fails") throw new Error("the hook broke");
							if (hook === "hangs") await new Promise(() => {});
						},
					}),
			...this.#options.runtime,
			store: this.#store,
			clock,
			logger: this.#options.logger ?? silent,
			ids: {
				runId: () => `m${this.#nextId()}`,
				sessionId: () => `s${this.#nextId()}`,
			},
			execute: (run) => this.#execute(life(), run),
		};
	}

	#nextId(): number {
		this.#ids += 1;
		return this.#ids;
	}

	/** The process is gone, with all that it had in its hands. */
	#die(): void {
		const life = this.#life;
		if (!life || life.isDead) return;
		life.isDead = true;
		life.clock.isOver = true;
		this.counts.crashes += 1;
		this.#say("*", () => `process ${life.number} dies`);
	}

	/** If the process has died, the next one comes up. */
	async #succeed(): Promise<void> {
		while (this.#live.isDead) {
			await this.#store.release();
			await this.boot(this.#next ?? this.#live.boot);
		}
	}

	async #close(how: {
		runs: "abort" | "await";
		graceMs: number;
	}): Promise<void> {
		const life = this.#live;
		life.isClosing = true;
		this.witness.closing();
		this.#say(">", () => `close ${JSON.stringify(how)}`);
		let isClosed = false;
		let problem: unknown;
		life.runtime.close(how).then(
			() => {
				isClosed = true;
			},
			(error) => {
				isClosed = true;
				problem = error;
			},
		);
		for (let waits = 0; !isClosed && !life.isDead && waits < 200; waits++)
			await this.time.advance(100);
		if (life.isDead) return;
		if (!isClosed || problem)
			this.witness.break(
				"released",
				isClosed
					? `close failed: ${problemText(problem)}`
					: `close({ runs: "${how.runs}", graceMs: ${how.graceMs} }) never comes to an end`,
			);
		// What is being read when the runtime closes is answered when the store answers.
		await this.time.advance(200);
		if (life.calls.size > 0)
			this.witness.break(
				"released",
				`the runtime is closed, and ${[...life.calls.values()].join(", ")} was never answered`,
			);
		life.isDead = true;
		life.clock.isOver = true;
		this.#say("*", () => `process ${life.number} is closed`);
	}

	// ── runs

	#execute(life: Life, run: ManagedRun<JsonValue>): Promise<unknown> {
		const { witness } = this;
		this.counts.runs += 1;
		const { ticket } = run;
		this.#tickets.push(ticket);
		this.#say(
			"*",
			() =>
				`executes ${ticketText(ticket)} for ${run.messages.map(({ messageId }) => messageId).join(", ")}`,
		);
		const execution = witness.executes(ticket, run.signal, run.messages);
		run.scope.defer(() => {
			execution.disposed += 1;
		});
		const theirs = this.#options.execute;
		const work = theirs
			? (async () => theirs(run, this.#worldOf(life)))()
			: this.#conduct(life, run);
		return work.finally(() => {
			if (life.isDead) return;
			execution.isReturned = true;
			const at = life.managed.findIndex((one) => one.run === run);
			if (at >= 0) life.managed.splice(at, 1);
			this.#say("*", () => `executor of ${ticketText(ticket)} is done`);
		});
	}

	#worldOf(life: Life): SimulatedWorld {
		return {
			clock: life.clock,
			random: this.#options.random,
			sleep: (ms, signal) =>
				new Promise((resolve, reject) => {
					signal?.throwIfAborted();
					const timer = life.clock.setTimeout(resolve, ms);
					signal?.addEventListener("abort", () => {
						life.clock.clearTimeout(timer);
						reject(signal.reason);
					});
				}),
		};
	}

	/** A built-in run: it does little by itself, and else what moves say. */
	#conduct(life: Life, run: ManagedRun<JsonValue>): Promise<unknown> {
		const conduct = conductOf(run.messages[0]);
		if (conduct.scope === "quick") run.scope.defer(() => {});
		if (conduct.scope === "slow") run.scope.defer(() => life.clock.sleep(20));
		if (conduct.scope === "fails")
			run.scope.defer(() => {
				throw new Error("the scope broke");
			});
		if (conduct.steered)
			void (async () => {
				for await (const message of run.steering) {
					if (life.isDead) return;
					this.#say(
						"*",
						() => `${run.ticket.runId} is steered by ${message.messageId}`,
					);
					this.witness.looked(run.ticket, message);
				}
			})().catch((error) => this.#unexpected("steering", error, []));
		return new Promise((resolve, reject) => {
			life.managed.push({
				run,
				finish: (how) => {
					if (how === "return") resolve("done");
					else reject(how === "throw" ? new Error("broke") : undefined);
				},
			});
			if (conduct.heeds)
				run.signal.addEventListener("abort", () => reject(run.signal.reason));
			if (conduct.endsAfterMs !== null)
				life.clock.setTimeout(() => resolve("done"), conduct.endsAfterMs);
		});
	}

	// ── calls

	#unexpected(
		what: string,
		error: unknown,
		allowed: readonly ErrorCode[],
	): void {
		const code = error instanceof TurnkeeperError ? error.code : null;
		if (code !== null && [...anyCall, ...allowed].includes(code)) {
			if (
				code === "STORE_FAILED" &&
				this.#store.failures === 0 &&
				!this.#live.isClosing
			)
				this.witness.break(
					"failed",
					`${what} was told STORE_FAILED, and the store has never failed: ${problemText(error)}`,
				);
			return;
		}
		const text = problemText(error);
		this.witness.break(
			"said",
			`${what} came to an error that it cannot come to: ${text}`,
		);
	}

	/** Makes a call of the contract, and sees to its answer whenever that comes. */
	#call<T>(
		what: string,
		make: (runtime: Runtime) => PromiseLike<T>,
		{
			says,
			told,
			failed,
			allowed = [],
		}: {
			readonly says: (answer: T) => string;
			readonly told?: (answer: T) => void;
			readonly failed?: (error: unknown) => void;
			readonly allowed?: readonly ErrorCode[];
		},
	): void {
		const life = this.#live;
		this.counts.calls += 1;
		const number = this.counts.calls;
		this.#say(">", () => `#${number} ${what}`);
		life.calls.set(number, what);
		let answer: PromiseLike<T>;
		try {
			answer = make(life.runtime);
		} catch (error) {
			answer = Promise.reject(error);
		}
		answer.then(
			(given) => {
				if (life.isDead) return;
				life.calls.delete(number);
				this.#say("<", () => `#${number} ${says(given)}`);
				told?.(given);
			},
			(error) => {
				if (life.isDead) return;
				life.calls.delete(number);
				this.#say("<", () => `#${number} ${problemText(error)}`);
				this.#unexpected(what, error, allowed);
				failed?.(error);
			},
		);
	}

	#key(number: number): string {
		const { keys } = this.#options;
		return keys[number % keys.length] as string;
	}

	#remember(row: SessionRow): void {
		const rows = this.#rows.get(row.sessionKey) ?? [];
		rows.push(row);
		if (rows.length > 40) rows.splice(0, 20);
		this.#rows.set(row.sessionKey, rows);
	}

	/** What a caller expects that saw the session now, before, or never. */
	#expect(key: string, expected: Expected | null): { expect?: Expectation } {
		if (expected === null) return {};
		if (expected === "unused") return { expect: { generation: 0 } };
		const rows = this.#rows.get(key) ?? [];
		const row =
			expected === "now" ? rows.at(-1) : rows[Math.floor(rows.length / 2)];
		if (expected === "never" || !row)
			return { expect: { sessionId: "nobody's", generation: 99 } };
		return {
			expect: {
				generation: row.generation,
				...(this.#count % 2 ? { sessionId: row.sessionId } : {}),
				...(this.#count % 3 === 0 && row.activeRun
					? { runId: row.activeRun.runId }
					: {}),
				...(this.#count % 5 === 0 ? { version: row.version } : {}),
			},
		};
	}

	#back(back: number): Sent | undefined {
		return this.#sent[this.#sent.length - 1 - back];
	}

	#received(key: string, receipt: SendReceipt): void {
		const { messageId } = receipt;
		this.witness.accepted(key, receipt);
		if (receipt.ticket) this.#tickets.push(receipt.ticket);
		const life = this.#live;
		life.receipts.set(receipt, `${key}/${messageId}`);
		receipt.settled.then(
			(settled) => {
				life.receipts.delete(receipt);
				if (life.isDead) return;
				this.#say(
					"<",
					() =>
						`message ${messageId} of ${key} settled: ${settled.outcome} by ${ticketText(settled.ticket)}`,
				);
				this.witness.settled(key, messageId, settled);
			},
			(error) =>
				this.witness.break("said", `a receipt rejects: ${problemText(error)}`),
		);
	}

	#send(
		{ key, messageId, input }: Sent,
		named: boolean,
		options: Parameters<Runtime["send"]>[2],
		allowed: readonly ErrorCode[],
		isKnown = false,
	): void {
		const how = { ...options, ...(named ? { messageId } : {}) };
		if (named) this.witness.sent(key, messageId, input);
		this.#call(
			`send ${key} ${JSON.stringify(input)} ${JSON.stringify(how)}`,
			(runtime) => runtime.send(key, input, how),
			{
				says: (receipt) =>
					`${receipt.messageId} ${receipt.disposition} ${ticketText(receipt.ticket)}`,
				told: (receipt) => {
					if (named) this.witness.answeredTo(key, messageId);
					this.#received(key, receipt);
				},
				failed: (error) => {
					if (named) this.witness.answeredTo(key, messageId);
					// It may hold where the store could not say so, and a known one held before.
					const text = problemText(error);
					if (named && !isKnown && !/not known/.test(text))
						this.witness.failed(key, messageId);
				},
				allowed,
			},
		);
	}

	#stopped(answer: Answer<StopReport, JsonValue>): string {
		const row = rowText(answer.row);
		if (answer.result === "stale") return `stale ${answer.mismatch}, ${row}`;
		if (answer.result === "nothing") return `nothing, ${row}`;
		const { ended, drained, abandoned, removed } = answer.report;
		return `done, ended ${ended?.generation ?? "none"}, drained ${drained.length}, abandoned ${abandoned.length}, removed ${removed.join(", ") || "none"}, ${row}`;
	}

	#commanded(
		key: string,
		{ messageId }: { readonly messageId?: string },
		answer: Answer<StopReport, JsonValue>,
	): void {
		if (answer.result === "done" && messageId !== undefined)
			this.witness.carriedOut(key, messageId);
		this.#isReset(key, answer);
	}

	/** What was done holds: nothing of before is live. */
	#isReset(key: string, answer: Answer<StopReport, JsonValue>): void {
		if (answer.result !== "done") return;
		const { ended, drained, abandoned } = answer.report;
		if (ended && answer.row.generation < ended.generation)
			this.witness.break(
				"reset",
				`session ${key} was reset out of generation ${ended.generation} into ${answer.row.generation}`,
			);
		for (const run of drained)
			if (run.outcome === null || run.outcome === "abandoned")
				this.witness.break(
					"reset",
					`a reset says that run ${runIdOf(run)} drained, and it was ${run.outcome ?? "not settled"}`,
				);
		for (const run of abandoned)
			if (run.outcome !== "abandoned")
				this.witness.break(
					"reset",
					`a reset says that run ${runIdOf(run)} was abandoned, and it was ${run.outcome ?? "not settled"}`,
				);
	}

	// ── moves

	/** Plays one move, and brings up the next process if this one has died of it. */
	async play(move: Move): Promise<void> {
		this.#count += 1;
		await this.#act(move);
		if (this.#live.isDead) await this.#succeed();
	}

	async #act(move: Move): Promise<void> {
		const n = this.#count;
		switch (move.do) {
			case "send": {
				const key = this.#key(move.key);
				const sent = {
					key,
					messageId: `msg${n}`,
					input: this.#options.input
						? this.#options.input(n)
						: ({ n, ...move.conduct } as unknown as JsonValue),
				};
				if (move.named) this.#sent.push(sent);
				this.#send(
					sent,
					move.named,
					{
						...(move.mode === null ? {} : { overlap: move.mode }),
						...(move.reset ? { reset: true } : {}),
						...(move.meta ? { meta: { sent: n } } : {}),
						...this.#expect(key, move.expect),
					},
					[
						"SESSION_BUSY",
						"MAILBOX_FULL",
						...(move.expect ? (["STALE_EXPECTATION"] as const) : []),
					],
				);
				return;
			}
			case "resend": {
				const sent = this.#back(move.back);
				if (!sent) return;
				this.#send(
					move.otherInput ? { ...sent, input: { other: n } } : sent,
					true,
					move.reset ? { reset: true } : {},
					["SESSION_BUSY", "MAILBOX_FULL", "INVALID_ARGUMENT"],
					true,
				);
				return;
			}
			case "admit": {
				const key = this.#key(move.key);
				const how = {
					runId: `h${move.run}`,
					...(move.reserve ? { reserve: true } : {}),
					...(move.leaseMs === null ? {} : { leaseMs: move.leaseMs }),
					...(move.sessionId ? { sessionId: `host${n % 4}` } : {}),
					...this.#expect(key, move.expect),
				};
				this.#call(
					`admit ${key} ${JSON.stringify(how)}`,
					(runtime) => runtime.admit(key, how),
					{
						says: ({ ticket }) => ticketText(ticket),
						told: (run) => {
							this.#live.admitted.push(run);
							this.#tickets.push(run.ticket);
						},
						allowed: ["SESSION_BUSY", "STALE_EXPECTATION", "INVALID_ARGUMENT"],
					},
				);
				return;
			}
			case "drive": {
				const { admitted } = this.#live;
				const run = admitted[move.run % Math.max(1, admitted.length)];
				if (!run) return;
				const { what } = move;
				const says = (
					verdict: { verdict: string; reason: string } | undefined,
				) => (verdict ? `${verdict.verdict}: ${verdict.reason}` : "let go");
				this.#call(
					`${what} ${ticketText(run.ticket)}`,
					() =>
						what === "start"
							? run.start()
							: what === "end"
								? run.end({ usage: { outputTokens: n % 7 } })
								: what === "fail"
									? run.fail(new Error(`broke ${n}`))
									: what === "aborted"
										? run.end({ outcome: "aborted" })
										: run[Symbol.asyncDispose](),
					{ says: says as (answer: unknown) => string },
				);
				return;
			}
			case "act": {
				const { managed, admitted } = this.#live;
				const runs = move.managed ? managed.map(({ run }) => run) : admitted;
				const run = runs[move.run % Math.max(1, runs.length)];
				if (run) this.#do(run, move.deed, move);
				return;
			}
			case "finish": {
				const { managed } = this.#live;
				const [one] = managed.splice(move.run % Math.max(1, managed.length), 1);
				if (!one) return;
				this.#say(
					">",
					() => `executor of ${ticketText(one.run.ticket)} ends: ${move.how}`,
				);
				one.finish(move.how);
				return;
			}
			case "report": {
				for (let times = move.twice ? 2 : 1; times > 0; times--)
					this.#report(move);
				return;
			}
			case "reset": {
				const key = this.#key(move.key);
				const how = {
					...(move.queued === null ? {} : { queued: move.queued }),
					...(move.id === null ? {} : { messageId: `new${move.id}` }),
					...(move.graceMs === null ? {} : { graceMs: move.graceMs }),
					...(move.sessionId ? { sessionId: `host${n % 4}` } : {}),
					...(move.meta ? { meta: { reset: n } } : {}),
					...this.#expect(key, move.expect),
				};
				this.#call(
					`reset ${key} ${JSON.stringify(how)}`,
					(runtime) => runtime.reset(key, how),
					{
						says: (answer) => this.#stopped(answer),
						told: (answer) => {
							this.#commanded(key, how, answer);
							if (answer.result === "nothing" && move.id === null)
								this.witness.break(
									"reset",
									`a reset of session ${key} had nothing to do`,
								);
							if (answer.result === "stale" && !how.expect)
								this.witness.break(
									"reset",
									`a reset of session ${key} that expected nothing was stale`,
								);
						},
					},
				);
				return;
			}
			case "abort": {
				const target = move.back === null ? undefined : this.#back(move.back);
				const key = target?.key ?? this.#key(move.key);
				const how = {
					...(move.queued === null ? {} : { queued: move.queued }),
					...(move.graceMs === null ? {} : { graceMs: move.graceMs }),
					...commandId("stop", n),
					...(target
						? { expect: { messageId: target.messageId } }
						: this.#expect(key, move.expect)),
				};
				this.#call(
					`abort ${key} ${JSON.stringify(how)}`,
					(runtime) => runtime.abort(key, how),
					{
						says: (answer) => this.#stopped(answer),
						told: (answer) => this.#commanded(key, how, answer),
					},
				);
				return;
			}
			case "delete": {
				const key = this.#key(move.key);
				const how = {
					...(move.queued === null ? {} : { queued: move.queued }),
					...(move.purge ? { purge: true } : {}),
					...commandId("erase", n),
					...this.#expect(key, move.expect),
				};
				this.#call(
					`delete ${key} ${JSON.stringify(how)}`,
					(runtime) => runtime.delete(key, how),
					{
						says: (answer) => this.#stopped(answer),
						told: (answer) => this.#commanded(key, how, answer),
					},
				);
				return;
			}
			case "patch": {
				const key = this.#key(move.key);
				const change = { [`f${move.field}`]: move.erase ? null : n };
				const how = this.#expect(key, move.expect);
				this.#call(
					`patch ${key} ${JSON.stringify(change)} ${JSON.stringify(how)}`,
					(runtime) => runtime.patch(key, change, how),
					{ says: answerText },
				);
				return;
			}
			case "resume": {
				const wait = this.#waits[this.#waits.length - 1 - move.wait];
				if (!wait) return;
				const { ticket, name } = wait;
				this.witness.answers(ticket, name, n);
				this.#call(
					`resume ${ticketText(ticket)} ${name} ${n}`,
					(runtime) => runtime.resume(ticket, name, n),
					{ says: answerText },
				);
				return;
			}
			case "queue": {
				const sent = this.#back(move.back);
				if (sent) this.#queue(move.what, sent, this.#back(move.other));
				return;
			}
			case "read":
				this.#read(move.what, this.#key(move.key), move.limit);
				return;
			case "import": {
				const sessionKey =
					move.key < this.#options.keys.length
						? this.#key(move.key)
						: `imported${move.key}`;
				this.#call(
					`import ${sessionKey}`,
					(runtime) =>
						runtime.import([
							{ sessionKey, sessionId: `old${n}`, meta: { imported: n } },
						]),
					{
						says: ({ imported, skipped }) =>
							`${imported} imported, ${skipped.length} left alone`,
					},
				);
				return;
			}
			case "until": {
				const key = this.#key(move.key);
				const holds = (row: SessionRow | null) =>
					move.rests ? row?.status === "ended" : row?.hasActiveRun === true;
				this.#call(
					`until ${key} ${move.rests ? "it has ended" : "it runs"} ${move.timeoutMs}`,
					(runtime) => runtime.until(key, holds, { timeoutMs: move.timeoutMs }),
					{
						says: rowText,
						told: (row) => {
							if (!holds(row))
								this.witness.break("truth", `until says ${rowText(row)}`);
						},
						allowed: ["WAIT_TIMEOUT"],
					},
				);
				return;
			}
			case "when idle": {
				const key = move.key === null ? undefined : this.#key(move.key);
				const over = new AbortController();
				this.#live.clock.setTimeout(
					() => over.abort(new TurnkeeperError("WAIT_TIMEOUT", "no rest")),
					100,
				);
				this.#call(
					`whenIdle ${key ?? "all"}`,
					(runtime) => runtime.whenIdle(key, { signal: over.signal }),
					{ says: () => "idle", allowed: ["WAIT_TIMEOUT"] },
				);
				return;
			}
			case "follow": {
				const ticket = this.#tickets[this.#tickets.length - 1 - move.run];
				if (ticket) this.#follow(ticket, move.from);
				return;
			}
			case "fault":
				this.#say(">", () => `the store is to fail: ${move.faults.join(", ")}`);
				this.#store.fail(...move.faults);
				return;
			case "slow":
				this.#say(">", () => `the store takes ${move.ms} ms`);
				this.#store.slow(move.ms);
				return;
			case "poison": {
				const key = move.key === null ? null : this.#key(move.key);
				this.#say(">", () => `the store refuses ${key ?? "nobody"}`);
				this.#store.poison(key);
				return;
			}
			case "lose row": {
				const key = this.#key(move.key);
				if (!this.witness.facts.has(key)) return;
				this.#say(">", () => `the row of ${key} is lost`);
				this.#store.lose(key);
				this.witness.lost(key);
				return;
			}
			case "crash":
				this.#next = move.boot;
				if (move.commit) {
					const { left, moment } = move.commit;
					this.#say(">", () => `to die ${moment} the commit after ${left}`);
					this.#store.dieAt(left, moment);
				} else this.#die();
				return;
			case "close":
				this.#next = move.boot;
				await this.#close({ runs: move.runs, graceMs: move.graceMs });
				return;
			case "steps":
				for (let left = move.count; left > 0; left--) await this.time.step();
				return;
			case "settle":
				await this.time.settle();
				return;
			case "advance": {
				// Hours of what is tried again every few seconds show nothing that a minute does not.
				const most = this.#store.isPoisoned ? 60_000 : this.#longest();
				const ms = Math.min(move.ms, most);
				this.#say(">", () => `${ms} ms pass`);
				await this.time.advance(ms);
				return;
			}
			case "step back":
				// A deadline that was decided on and is being stored is a time of before; what is left of it would be as much longer.
				await this.time.advance(200);
				this.#say(">", () => `the clock steps back ${move.ms} ms`);
				this.#stepped += move.ms;
				this.time.stepBack(move.ms);
				return;
			case "calm":
				await this.calm();
				return;
		}
	}

	/** While a run lives, the ids of its messages are not left to be erased: one of them sent anew would be another message of its name. */
	#longest(): number {
		for (const { run, retries } of this.witness.facts.values())
			if (run || retries.length > 0) return 300_000;
		return Number.POSITIVE_INFINITY;
	}

	#do(
		run: ManagedRun<JsonValue> | AdmittedRun,
		deed: Deed,
		given: { readonly key: number; readonly name: number; readonly ms: number },
	): void {
		const n = this.#count;
		const life = this.#live;
		const { ticket } = run;
		const who = `${ticket.runId}.${ticket.attempt} of ${ticket.sessionKey}`;
		const name = `n${given.name}`;
		const allowed: readonly ErrorCode[] = ["STALE_RUN"];
		switch (deed) {
			case "append":
				this.#call(
					`${who} appends ${n}`,
					() => run.append({ by: `${ticket.runId}.${ticket.attempt}`, n }),
					{ says: () => "appended", allowed },
				);
				return;
			case "deliver":
			case "deliver fails": {
				let idempotencyKey: string | null = null;
				this.#call(
					`${who} delivers ${name}`,
					() =>
						run.deliver(name, async (context) => {
							idempotencyKey = context.idempotencyKey;
							if (life.isDead) return new Promise<never>(() => {});
							this.#say("*", () => `${who} sends out ${name}`);
							this.witness.effect(run.ticket, name, context.idempotencyKey);
							if (given.ms % 2) await life.clock.sleep(given.ms);
							if (deed === "deliver fails") throw new NoNetwork();
							return n;
						}),
					{
						says: (result) => `delivered ${result}`,
						told: (result) => {
							// Of a run that the close of its process cut short nobody keeps it.
							if (idempotencyKey !== null && !life.isClosing)
								this.witness.delivered(idempotencyKey, result);
						},
						allowed: [...allowed, "INVALID_ARGUMENT", "SESSION_BUSY"],
					},
				);
				return;
			}
			case "wait":
			case "wait in time":
				this.#waits.push({ ticket, name });
				this.#call(
					`${who} waits for ${name}`,
					() =>
						run.waitFor(name, deed === "wait" ? {} : { timeoutMs: given.ms }),
					{
						says: (value) => `answered ${JSON.stringify(value)}`,
						told: (value) => this.witness.answered(ticket, name, value),
						allowed: [...allowed, "WAIT_TIMEOUT", "RUN_ABORTED"],
					},
				);
				return;
			case "spawn":
			case "spawn attached": {
				const key = this.#key(given.key);
				const input = this.#options.input
					? this.#options.input(n)
					: ({ n, child: true } as JsonValue);
				const messageId = `child${n}`;
				this.#sent.push({ key, messageId, input });
				this.witness.sent(key, messageId, input);
				this.#call(
					`${who} spawns ${messageId} on ${key}, ${deed === "spawn" ? "apart" : "attached"}`,
					() =>
						run.spawn(key, input, {
							messageId,
							attached: deed === "spawn attached",
						}),
					{
						says: (receipt) =>
							`${receipt.messageId} ${receipt.disposition} ${ticketText(receipt.ticket)}`,
						told: (receipt) => this.#received(key, receipt),
						allowed: [...allowed, "INVALID_ARGUMENT", "MAILBOX_FULL"],
					},
				);
				return;
			}
			case "rotate":
				this.#call(
					`${who} rotates`,
					() => run.rotate(given.ms % 3 ? {} : { sessionId: `host${n % 4}` }),
					{ says: ticketText, allowed },
				);
				return;
			case "progress":
				this.#say(">", () => `${who} progresses ${n}`);
				run.progress({ by: runIdOf(ticket), n });
				return;
			case "usage":
				this.#say(">", () => `${who} uses 1 + 2`);
				run.usage({ inputTokens: 1, outputTokens: 2 });
				return;
			case "transcript":
				this.#call(`${who} reads its transcript`, () => run.transcript(), {
					says: (entries) => `${entries.length} entries`,
					told: (entries) => {
						for (const entry of entries)
							if (entry.generation !== ticket.generation)
								this.witness.break(
									"fenced",
									`run ${runIdOf(ticket)} reads an entry of generation ${entry.generation}`,
								);
					},
				});
				return;
		}
	}

	#report(move: Extract<Move, { do: "report" }>): void {
		const ticket = this.#tickets[this.#tickets.length - 1 - move.run];
		if (!ticket) return;
		const mark = `report${this.counts.calls + 1}`;
		const given: Record<string, unknown> = { runId: ticket.runId };
		for (const field of move.gives) given[field] = ticket[field];
		if (move.wrong)
			Object.assign(
				given,
				[
					{ runId: "nobody's" },
					{ sessionId: "nobody's" },
					{ generation: ticket.generation + 1 },
					{ attempt: ticket.attempt + 1 },
				][this.#count % 4],
			);
		const report = {
			...given,
			phase: move.phase,
			...(move.phase === "error" ? { error: `reported ${mark}` } : {}),
			...(move.phase === "progress" ? { value: mark } : {}),
			...(move.usage === null ? {} : { usage: { outputTokens: move.usage } }),
			mark,
		};
		const isTerminal = move.phase === "end" || move.phase === "error";
		this.#call(
			`report ${JSON.stringify(report)}`,
			(runtime) => runtime.report(report as never),
			{
				says: (verdict) =>
					`${verdict.verdict}: ${verdict.reason}; ${ticketText(verdict.ticket)}`,
				told: (verdict) => this.witness.verdict(mark, isTerminal, verdict),
			},
		);
	}

	#queue(
		what: Extract<Move, { do: "queue" }>["what"],
		{ key, messageId }: Sent,
		other: Sent | undefined,
	): void {
		const n = this.#count;
		if (what === "list") {
			this.#call(`queue.list ${key}`, ({ queue }) => queue.list(key), {
				says: (messages) =>
					messages.map((message) => message.messageId).join(", ") || "empty",
			});
			return;
		}
		const change =
			what === "input"
				? { input: { n, edited: true } }
				: { before: what === "last" ? null : (other?.messageId ?? null) };
		if (what !== "remove") this.witness.edited(key, messageId);
		this.#call(
			what === "remove"
				? `queue.remove ${key} ${messageId}`
				: `queue.update ${key} ${messageId} ${JSON.stringify(change)}`,
			({ queue }) =>
				what === "remove"
					? queue.remove(key, messageId)
					: queue.update(key, messageId, change),
			{ says: answerText, allowed: ["INVALID_ARGUMENT"] },
		);
	}

	#read(
		what: Extract<Move, { do: "read" }>["what"],
		key: string,
		limit: number,
	): void {
		const { witness } = this;
		if (what === "get") {
			const told = witness.toldOf(key);
			this.#call(`get ${key}`, (runtime) => runtime.get(key), {
				says: rowText,
				told: (row) => witness.read(key, row, told),
			});
			return;
		}
		this.#call<readonly string[]>(
			`${what} ${what === "list" || what === "refusals" ? "" : key} by ${limit}`,
			async (runtime) => {
				const seen: string[] = [];
				let cursor: string | null = null;
				do {
					const query: { limit: number; cursor?: string } = {
						limit,
						...(cursor === null ? {} : { cursor }),
					};
					let page: { cursor: string | null };
					if (what === "list") {
						const rows = await runtime.list(query);
						for (const row of rows.items) witness.row(row, "list");
						seen.push(...rows.items.map((row) => row.sessionKey));
						page = rows;
					} else if (what === "archive") {
						const ended = await runtime.archive(key, query);
						seen.push(...ended.items.map((one) => String(one.generation)));
						page = ended;
					} else if (what === "runs") {
						const runs = await runtime.runs(key, query);
						seen.push(...runs.items.map(runIdOf));
						page = runs;
					} else if (what === "transcript") {
						const entries = await runtime.transcript(key, query);
						seen.push(...entries.items.map(({ seq }) => String(seq)));
						page = entries;
					} else {
						const refusals = await runtime.refusals(query);
						seen.push(
							...refusals.items.map(
								({ report }) => (report as { mark?: string }).mark ?? "",
							),
						);
						page = refusals;
					}
					cursor = page.cursor;
				} while (cursor !== null && seen.length < 500);
				return seen;
			},
			{
				says: (seen) => `${seen.length}: ${seen.join(", ")}`,
				told: (seen) => {
					// What is written while somebody pages may move runs; the rest keeps its place.
					if (what === "runs" || what === "refusals") return;
					if (new Set(seen).size !== seen.length)
						witness.break("truth", `${what} shows one thing twice: ${seen}`);
				},
			},
		);
	}

	#follow(ticket: RunTicket, from: number): void {
		this.#call(
			`follow ${ticketText(ticket)} from ${from}`,
			async (runtime) => {
				let next = from;
				const values: JsonValue[] = [];
				for await (const item of runtime.follow(ticket, { from })) {
					if ("gap" in item) {
						next = item.gap.to + 1;
						continue;
					}
					if (item.seq !== next)
						this.witness.break(
							"truth",
							`follow gives number ${item.seq}, and ${next} is next`,
						);
					next = item.seq + 1;
					const by = (item.value as { by?: string } | null)?.by;
					if (by !== undefined && by !== runIdOf(ticket))
						this.witness.break(
							"fenced",
							`who follows run ${runIdOf(ticket)} is given progress of ${by}`,
						);
					values.push(item.value);
				}
				return values;
			},
			{ says: (values) => `followed ${JSON.stringify(values)}` },
		);
	}

	// ── rest

	/** The store is well again, and what was to be tried again has been. */
	async calm(): Promise<void> {
		this.#say(">", () => "the store is well, and time passes");
		this.#store.heal();
		for (let round = 0; round < 4; round++) await this.time.advance(5100);
		if (this.#live.isDead) return;
		this.witness.calm(true);
	}

	/** All that hangs is brought to its end; what does not come to its end then, never will. */
	async end(): Promise<void> {
		const { keys } = this.#options;
		this.#say(">", () => "all is brought to its end");
		await this.calm();
		if (this.#live.isDead) await this.#succeed();
		const life = this.#live;
		for (const key of this.witness.facts.keys())
			if (this.#store.isLost(key) || this.witness.isFull(key))
				this.#call(`reset ${key}`, (runtime) => runtime.reset(key), {
					says: (answer) => this.#stopped(answer),
				});
		await this.time.advance(1000);
		// What a delete kept in line waits for the next use.
		for (const key of keys) {
			this.#count += 1;
			const input = this.#options.input?.(this.#count) ?? {
				n: this.#count,
				last: true,
			};
			this.#send(
				{ key, messageId: `last-${key}`, input },
				true,
				{ overlap: "enqueue" },
				["MAILBOX_FULL"],
			);
		}
		for (let round = 0; round < 80 && !this.#isAtRest(); round++) {
			for (const { finish } of [...life.managed]) finish("return");
			for (const run of life.admitted.splice(0))
				this.#call(
					`let go ${ticketText(run.ticket)}`,
					() => run[Symbol.asyncDispose](),
					{ says: () => "let go" },
				);
			if (round > 20)
				for (const key of keys)
					this.#call(`abort ${key}`, (runtime) => runtime.abort(key), {
						says: (answer) => this.#stopped(answer),
					});
			await this.time.advance(5100);
		}
		// What rested when the clock stepped back rests as much longer.
		await this.time.advance(70_000 + this.#stepped);
		await this.time.settle();
		if (this.witness.violation) return;
		this.witness.over();
		if (life.calls.size > 0)
			this.witness.break(
				"said",
				`${[...life.calls.values()].join("; ")} was never answered`,
			);
		const { running, queued, draining, resident } = life.runtime.stats();
		if (running + queued + draining > 0)
			this.witness.break(
				"truth",
				`stats say ${running} running, ${queued} queued, ${draining} draining, and nothing is`,
			);
		if (resident > 0 && this.#options.runtime.passivateAfterMs === undefined)
			this.witness.break(
				"bounded",
				`${resident} sessions are in memory that nobody has asked for ${70_000} ms`,
			);
		// Retention alone keeps a timer; whoever else had one has ended.
		const timers = this.time.timersOf(life.clock);
		if (timers > 1)
			this.witness.break(
				"released",
				`${timers} timers are set when all has come to its end`,
			);
		if (life.receipts.size > 0)
			this.witness.break(
				"said",
				`the receipt of ${[...life.receipts.values()].join(", ")} never settles`,
			);
		await this.#shown();
		await this.#sendAgain();
		if (!this.witness.violation)
			await this.#close({ runs: "abort", graceMs: 0 });
	}

	/** Whatever was accepted is known by its id, and how it ended. */
	async #sendAgain(): Promise<void> {
		const life = this.#live;
		for (const { key, messageId } of this.#sent) {
			const input = this.witness.inputOf(key, messageId);
			if (input === null) continue;
			this.#call(
				`send ${key} ${messageId} again`,
				(runtime) => runtime.send(key, input, { messageId }),
				{
					says: ({ disposition }) => disposition,
					told: (receipt) => {
						if (receipt.disposition !== "duplicate")
							this.witness.break(
								"durable",
								`message ${key}/${messageId} was accepted before, and is ${receipt.disposition}`,
							);
						this.#received(key, receipt);
					},
				},
			);
		}
		await this.time.settle();
		const left = [...life.calls.values(), ...life.receipts.values()];
		if (left.length > 0)
			this.witness.break("said", `${left.join("; ")} never comes to an end`);
	}

	#isAtRest(): boolean {
		const { calls, managed } = this.#live;
		const { running, queued, draining } = this.#live.runtime.stats();
		return calls.size + managed.length + running + queued + draining === 0;
	}

	/** What readers are shown in the end. */
	async #shown(): Promise<void> {
		const { runtime } = this.#live;
		for (const key of this.#options.keys) {
			const told = this.witness.toldOf(key);
			const found = runtime.get(key);
			const archived = runtime.archive(key);
			const waiting = runtime.queue.list(key);
			await this.time.settle();
			const row = await found;
			this.witness.read(key, row, told);
			for (const { generation, row: ended } of (await archived).items)
				if (
					// What drained when a row was lost is written by nobody.
					(ended.hasActiveRun && !this.witness.wasLost(key)) ||
					generation >= (this.witness.facts.get(key)?.generation ?? 0)
				)
					this.witness.break(
						"running",
						`the archive of session ${key} says of generation ${generation}: ${rowText(ended)}`,
					);
			if ((await waiting).length > 0)
				this.witness.break("said", `messages wait on session ${key}`);
			const shown = runtime.atom(key).get();
			if (shown && row && shown.version !== row.version)
				this.witness.break(
					"truth",
					`the atom of session ${key} shows version ${shown.version}, and get ${row.version}`,
				);
		}
	}
}

/** What an effect says that went wrong. */
class NoNetwork extends TurnkeeperError {
	constructor() {
		super("SESSION_BUSY", "no network");
	}
}

/** Some commands carry an id, and some of those one that was used before. */
function commandId(name: string, n: number): { readonly messageId?: string } {
	return n % 3 === 0 ? { messageId: `${name}${n % 9}` } : {};
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

function answerText(answer: {
	readonly result: string;
	readonly row: SessionRow | null;
	readonly mismatch?: string;
}): string {
	return `${answer.result}${answer.mismatch ? ` ${answer.mismatch}` : ""}, ${rowText(answer.row)}`;
}

/** What the input of a message says that its run does; children and edited messages have none. */
function conductOf(message: Message | undefined): Conduct {
	const given = (message?.input ?? {}) as Partial<Conduct>;
	return {
		heeds: given.heeds ?? true,
		steered: given.steered ?? false,
		scope: given.scope ?? "none",
		endsAfterMs: given.endsAfterMs ?? null,
	};
}
