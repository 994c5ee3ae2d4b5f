/** Owns what brings work in: `send`, `admit`, `import`. What it refuses it throws, because an unread refusal would be lost work. */
import { isDeepStrictEqual } from "node:util";
import type { OverlapMode } from "../machines/events.ts";
import type { Expectation, Message } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import { reservationOf } from "../machines/lifecycle.ts";
import { type RunFacts, ticketOf } from "../machines/run.ts";
import {
	checkChoice,
	checkExpectation,
	checkFlag,
	checkJson,
	checkMs,
	checkName,
	checkOptionalName,
	checkOptions,
	checkSchema,
	checkTokens,
	copied,
	invalid,
	shown,
} from "./arguments.ts";
import { type Config, overlapModes } from "./config.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import { errorText, isAbort, TurnkeeperError } from "./errors.ts";
import { AdmittedHandle, ManagedHandle } from "./handles.ts";
import { risingId } from "./ids.ts";
import { unsettledRuns } from "./reader.ts";
import type { LiveRun } from "./registry.ts";
import type { Reports } from "./reports.ts";
import type {
	AdmitOptions,
	AdmittedRun,
	ImportedSession,
	SendOptions,
	SendReceipt,
	Settled,
} from "./runtime.ts";
import type { LiveSession } from "./session.ts";
import type { StoredMessage } from "./store.ts";
import { rowAfter, type Turn } from "./turn.ts";

interface Settling<Output> {
	readonly key: string;
	readonly settled: PromiseWithResolvers<Settled<Output>>;
}

export class Intake<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #reports: Reports<Meta>;
	readonly #entrance: Entrance;
	/** How the messages of this process end, by message id, until they have; different sessions may use the same one. */
	#settling = new Map<string, readonly Settling<Output>[]>();
	#handles = new WeakMap<LiveRun, AdmittedHandle<Meta>>();

	constructor(
		engine: Engine<Meta>,
		config: Config<Input, Output, Meta>,
		reports: Reports<Meta>,
		entrance: Entrance,
	) {
		this.#engine = engine;
		this.#config = config;
		this.#reports = reports;
		this.#entrance = entrance;
	}

	async send(
		sessionKey: string,
		given: Input,
		how?: SendOptions<Meta>,
	): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		const { schemas, execute, capacity } = this.#config;
		if (engine.state !== "open") throw engine.refusal("send");
		checkName(sessionKey, "sessionKey");
		const options = checkOptions(how);
		if (!execute)
			throw invalid(
				"send needs a runtime with `execute`; a host that runs its agent itself uses admit",
			);
		const named = checkOptionalName(options.messageId, "messageId");
		const mode =
			options.overlap === undefined
				? this.#config.overlap
				: checkChoice(options.overlap, "overlap", overlapModes);
		const expect = checkExpectation(options.expect);
		const input = checkJson(given, "input");
		const seen = schemas && checkSchema(schemas.input, input, "input");
		const fields =
			options.meta === undefined ? undefined : this.#config.meta(options.meta);
		const checked = seen instanceof Promise ? seen.then(() => fields) : fields;
		return this.#entrance.pass(sessionKey, checked, (meta) =>
			this.#accept(sessionKey, {
				named,
				input,
				mode,
				capacity,
				meta,
				expect,
			}),
		);
	}

	#accept(
		sessionKey: string,
		message: {
			readonly named: string | undefined;
			readonly input: JsonValue;
			readonly mode: OverlapMode;
			readonly capacity: number;
			readonly meta: JsonValue | undefined;
			readonly expect: Expectation | undefined;
		},
	): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		const { named, input, ...parts } = message;
		const messageId = named ?? risingId();
		let known: StoredMessage | null = null;
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				intake: true,
				...(named === undefined
					? {}
					: {
							prepare: (session: LiveSession) => {
								known = session.uncommittedMessages.get(messageId) ?? null;
								if (known) return undefined;
								return engine.store
									.message(sessionKey, messageId)
									.then((found) => {
										known = found;
									});
							},
						}),
				event: ({ facts }) => {
					if (known) return null;
					// Whatever came in between: a closing runtime takes no further message.
					if (engine.state !== "open") throw engine.refusal("send");
					return {
						type: "message",
						at: engine.now(),
						grant: engine.grant(facts, true),
						messageId,
						input,
						sessionId: this.#firstSessionId(facts),
						...parts,
					};
				},
				committed: (turn) => {
					if (known) {
						this.#repeat(turn, known, input).then(resolve, reject);
						return;
					}
					const refused = refusalOf(turn, `message ${shown(messageId)}`);
					if (refused) reject(refused);
					else resolve(this.#receipt(turn, messageId));
				},
				failed: reject,
			});
		});
	}

	async admit(
		sessionKey: string,
		given?: AdmitOptions<Meta>,
	): Promise<AdmittedRun<Meta>> {
		if (this.#engine.state !== "open") throw this.#engine.refusal("admit");
		checkName(sessionKey, "sessionKey");
		const options = checkOptions(given);
		const reserve = checkFlag(options.reserve, "reserve");
		const named = checkOptionalName(options.runId, "runId");
		const givenSessionId =
			checkOptionalName(options.sessionId, "sessionId") ?? null;
		const expect = checkExpectation(options.expect);
		const checked =
			options.meta === undefined ? undefined : this.#config.meta(options.meta);
		return this.#entrance.pass(sessionKey, checked, (meta) =>
			this.#admit(sessionKey, { named, givenSessionId, reserve, meta, expect }),
		);
	}

	#admit(
		sessionKey: string,
		run: {
			readonly named: string | undefined;
			readonly givenSessionId: string | null;
			readonly reserve: boolean;
			readonly meta: JsonValue | undefined;
			readonly expect: Expectation | undefined;
		},
	): Promise<AdmittedRun<Meta>> {
		const engine = this.#engine;
		const { named, ...parts } = run;
		const runId = named ?? this.#config.runId();
		let attempt = 1;
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				intake: true,
				...(named === undefined
					? {}
					: {
							prepare: (session: LiveSession) =>
								this.#nextAttempt(session, runId)?.then((next) => {
									attempt = next;
								}),
						}),
				event: ({ facts }) => {
					if (engine.state !== "open") throw engine.refusal("admit");
					return {
						type: "admit",
						at: engine.now(),
						runId,
						attempt,
						sessionId: parts.givenSessionId ?? this.#firstSessionId(facts),
						...parts,
					};
				},
				committed: (turn) => {
					const { reply } = turn;
					if (reply?.result === "admitted")
						resolve(this.#handle(reply.run, turn));
					else
						reject(
							refusalOf(turn, `run ${shown(runId)}`) ??
								invalid(`run ${shown(runId)} was not admitted`),
						);
				},
				failed: reject,
			});
		});
	}

	async import(
		rows:
			| Iterable<ImportedSession<Meta>>
			| AsyncIterable<ImportedSession<Meta>>,
	): Promise<{ imported: number; skipped: readonly string[] }> {
		if (this.#engine.state !== "open") throw this.#engine.refusal("import");
		if (
			typeof rows !== "object" ||
			rows === null ||
			!(Symbol.iterator in rows || Symbol.asyncIterator in rows)
		)
			throw invalid(
				`rows is ${shown(rows)}; it must be an iterable of { sessionKey, sessionId, … }`,
			);
		const skipped: string[] = [];
		const failures: unknown[] = [];
		let imported = 0;
		let batch: Promise<void>[] = [];
		for await (const row of rows) {
			batch.push(
				this.#import(row).then(
					(done) => {
						if (done) imported += 1;
						else skipped.push(row.sessionKey);
					},
					(error) => {
						failures.push(error);
					},
				),
			);
			if (failures.length > 0) break;
			if (batch.length < 1000) continue;
			await Promise.all(batch);
			batch = [];
		}
		await Promise.all(batch);
		if (failures.length > 0) throw failures[0];
		return { imported, skipped };
	}

	/** A turn's messages that left without a run, and those whose run settled. */
	conclude(turn: Turn): void {
		if (this.#settling.size === 0) return;
		const { key } = turn.session;
		for (const { messageId, fate } of turn.messages)
			if (fate === "removed")
				this.#settle(key, messageId, { ticket: null, outcome: "removed" });
		for (const run of turn.runs) {
			if (run.outcome === null || run.messageIds.length === 0) continue;
			const output = this.#engine.registry.get(run)?.output;
			for (const messageId of run.messageIds)
				this.#settle(key, messageId, {
					...settledBy(run),
					...(output === undefined || run.outcome !== "completed"
						? {}
						: { output: output as Output }),
				});
		}
	}

	/** The runtime closed: what still waits did not end here. */
	interrupt(): void {
		for (const { settled } of [...this.#settling.values()].flat())
			settled.resolve({ ticket: null, outcome: "interrupted" });
		this.#settling.clear();
	}

	/** Runs the host's executor to its end, however it ends. */
	execute(live: LiveRun, { messages }: NonNullable<Turn["start"]>): void {
		void this.#run(live, messages).then((end) =>
			this.#engine.settle(live, end),
		);
	}

	async #run(
		live: LiveRun,
		messages: readonly Message[],
	): Promise<{ outcome: "completed" | "failed"; error?: string }> {
		const { execute, schemas } = this.#config;
		try {
			const inputs: Message<Input>[] = [];
			for (const message of messages) {
				// A copy: what the executor does to it is not done to what was accepted.
				const input = copied(message.input);
				const name = `input of message ${shown(message.messageId)}`;
				inputs.push({
					...message,
					input: schemas
						? await checkSchema(schemas.input, input, name)
						: (input as Input),
				});
			}
			const run = new ManagedHandle<Input, Meta>(this.#engine, live, inputs);
			const output = await execute?.(run);
			live.output = schemas?.output
				? await checkSchema(schemas.output, output, "output")
				: output;
			return { outcome: "completed" };
		} catch (error) {
			// That a stopped run stopped is no error.
			return live.isAborted && isAbort(error)
				? { outcome: "failed" }
				: { outcome: "failed", error: errorText(error) };
		}
	}

	#firstSessionId(facts: LiveSession["facts"]): string {
		return facts.hidden
			? this.#config.sessionId(facts.sessionKey, facts.generation, "first")
			: "";
	}

	#handle(run: RunFacts, turn: Turn): AdmittedHandle<Meta> {
		const live = this.#engine.registry.enter(run);
		live.facts ??= turn.after;
		const known = this.#handles.get(live);
		if (known) return known;
		const handle = new AdmittedHandle(this.#engine, live, this.#reports);
		this.#handles.set(live, handle);
		return handle;
	}

	/** 1, or one more than the latest attempt of this run id that settled or drains. */
	#nextAttempt(
		session: LiveSession,
		runId: string,
	): Promise<number> | undefined {
		const { facts } = session;
		const { run } = facts;
		if (run?.driver === "host" && run.runId === runId) return undefined;
		if (reservationOf(facts, runId)) return undefined;
		const engine = this.#engine;
		return (async () => {
			await engine.settled(session);
			const kept = await engine.store.runsNamed(runId, session.key);
			return (
				[...kept, ...unsettledRuns(session.facts)]
					.filter((run) => run.runId === runId)
					.reduce((latest, run) => Math.max(latest, run.attempt), 0) + 1
			);
		})();
	}

	#receipt(turn: Turn, messageId: string): SendReceipt<Output> {
		const taken = turn.start?.messages.some(
			(message) => message.messageId === messageId,
		);
		return {
			disposition: taken ? "started" : "queued",
			messageId,
			ticket: taken && turn.start ? ticketOf(turn.start.run) : null,
			row: rowAfter(turn) as SendReceipt["row"],
			settled: this.#follow(turn.session.key, messageId),
		};
	}

	/** The same message id again: nothing runs twice, and its end is the end of the first. */
	async #repeat(
		turn: Turn,
		known: StoredMessage,
		input: JsonValue,
	): Promise<SendReceipt<Output>> {
		const { messageId, run } = known;
		if (
			known.kind === "reset" ||
			!isDeepStrictEqual(plain(known.input), plain(input))
		)
			throw invalid(
				`messageId ${shown(messageId)} was used before on session ${shown(known.run?.sessionKey ?? turn.session.key)} for ${known.kind === "reset" ? "a reset" : "another input"}; a new message needs a new id`,
			);
		const receipt = {
			disposition: "duplicate" as const,
			messageId,
			ticket: run,
			row: rowAfter(turn) as SendReceipt["row"],
		};
		if (known.fate === "removed")
			return {
				...receipt,
				settled: Promise.resolve({ ticket: null, outcome: "removed" }),
			};
		const { key } = turn.session;
		// Followed before the store is asked: the end may be committed while it answers.
		const settled = this.#follow(key, messageId);
		if (run) {
			const kept = await this.#engine.store.runsNamed(run.runId, key);
			const ended = kept.find(
				(one) => one.attempt === run.attempt && one.outcome !== null,
			);
			if (ended) this.#settle(key, messageId, settledBy(ended));
		}
		return { ...receipt, settled };
	}

	#follow(key: string, messageId: string): Promise<Settled<Output>> {
		const named = this.#settling.get(messageId);
		const known = named?.find((one) => one.key === key);
		if (known) return known.settled.promise;
		const settled = Promise.withResolvers<Settled<Output>>();
		const one = { key, settled };
		this.#settling.set(messageId, named ? [...named, one] : [one]);
		return settled.promise;
	}

	#settle(key: string, messageId: string, how: Settled<Output>): void {
		const named = this.#settling.get(messageId);
		if (!named) return;
		named.find((one) => one.key === key)?.settled.resolve(how);
		const others = named.filter((one) => one.key !== key);
		if (others.length === 0) this.#settling.delete(messageId);
		else this.#settling.set(messageId, others);
	}

	async #import(row: ImportedSession<Meta>): Promise<boolean> {
		const engine = this.#engine;
		if (engine.state !== "open") throw engine.refusal("import");
		if (typeof row !== "object" || row === null)
			throw invalid(
				`an imported session is ${shown(row)}; it must be { sessionKey, sessionId, … }`,
			);
		const sessionKey = checkName(row.sessionKey, "sessionKey");
		const sessionId = checkName(row.sessionId, "sessionId");
		const meta =
			row.meta === undefined ? {} : await this.#config.meta(row.meta);
		const now = engine.now();
		const createdAt = checkMs(row.createdAt ?? now, "createdAt");
		const updatedAt = checkMs(row.updatedAt ?? createdAt, "updatedAt");
		const usage = checkOptions(row.usage, "usage");
		const inputTokens = checkTokens(usage.inputTokens, "usage.inputTokens");
		const outputTokens = checkTokens(usage.outputTokens, "usage.outputTokens");
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				event: () => ({
					type: "import",
					at: now,
					sessionId,
					meta,
					inputTokens,
					outputTokens,
					createdAt,
					updatedAt,
				}),
				committed: ({ reply }) => resolve(reply?.result === "done"),
				failed: reject,
			});
		});
	}
}

function settledBy(run: RunFacts): Settled<never> {
	return {
		ticket: ticketOf(run),
		outcome: run.outcome as NonNullable<RunFacts["outcome"]>,
		...(run.error === null ? {} : { error: run.error }),
	};
}

/** Without prototypes that differ where the JSON does not. */
function plain(value: JsonValue): unknown {
	return typeof value === "object" ? JSON.parse(JSON.stringify(value)) : value;
}

/** The error that a refused intake is told, or null. */
function refusalOf(turn: Turn, what: string): TurnkeeperError | null {
	const { reply, session } = turn;
	const key = shown(session.key);
	switch (reply?.result) {
		case "stale":
			return new TurnkeeperError(
				"STALE_EXPECTATION",
				`${what} was not accepted: session ${key} is no longer the one expected (${reply.mismatch} differs)`,
			);
		case "busy":
			return new TurnkeeperError(
				"SESSION_BUSY",
				reply.current
					? `${what} was not accepted: run ${shown(reply.current.runId)} is live on session ${key}`
					: `${what} was not accepted: session ${key} still drains, or messages wait`,
			);
		case "full":
			return new TurnkeeperError(
				"MAILBOX_FULL",
				`${what} was not accepted: ${reply.capacity} messages wait on session ${key}, which is its capacity`,
			);
		default:
			return null;
	}
}
