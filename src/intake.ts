/** Owns what brings work in: `send` and `admit`. What it refuses it throws, because an unread refusal would be lost work. */
import { isDeepStrictEqual } from "node:util";
import type { OverlapMode } from "../machines/events.ts";
import { type Expectation, rowOf, type SessionRow } from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import { reservationOf } from "../machines/lifecycle.ts";
import { type RunFacts, ticketOf } from "../machines/run.ts";
import {
	checkChoice,
	checkExpectation,
	checkFlag,
	checkJson,
	checkName,
	checkOptionalName,
	checkOptions,
	checkSchema,
	invalid,
	shown,
} from "./arguments.ts";
import { type Config, overlapModes } from "./config.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import { TurnkeeperError } from "./errors.ts";
import { AdmittedHandle } from "./handles.ts";
import { risingId } from "./ids.ts";
import { unsettledRuns } from "./reader.ts";
import { type Receipts, settledBy } from "./receipts.ts";
import type { LiveRun } from "./registry.ts";
import type { Reports } from "./reports.ts";
import type {
	AdmitOptions,
	AdmittedRun,
	SendOptions,
	SendReceipt,
} from "./runtime.ts";
import type { LiveSession } from "./session.ts";
import type { StoredMessage } from "./store.ts";
import { rowAfter, type Turn } from "./turn.ts";

export class Intake<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #reports: Reports<Meta>;
	readonly #entrance: Entrance;
	readonly #receipts: Receipts<Output>;
	#handles = new WeakMap<LiveRun, AdmittedHandle<Meta>>();

	constructor(
		engine: Engine<Meta>,
		config: Config<Input, Output, Meta>,
		reports: Reports<Meta>,
		entrance: Entrance,
		receipts: Receipts<Output>,
	) {
		this.#engine = engine;
		this.#config = config;
		this.#reports = reports;
		this.#entrance = entrance;
		this.#receipts = receipts;
	}

	async send(
		sessionKey: string,
		given: Input,
		how?: SendOptions<Meta>,
	): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		const { schemas, execute, capacity } = this.#config;
		engine.mustBeOpen("send");
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
					engine.mustBeOpen("send");
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
					const refused = refusalOf(turn, "message", messageId);
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
		this.#engine.mustBeOpen("admit");
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
					engine.mustBeOpen("admit");
					return {
						type: "admit",
						at: engine.now(),
						grant: engine.grant(facts),
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
							refusalOf(turn, "run", runId) ??
								invalid(`run ${shown(runId)} was not admitted`),
						);
				},
				failed: reject,
			});
		});
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
			// Made when somebody looks: most hosts do not.
			get row() {
				return rowAfter(turn) as SessionRow;
			},
			settled: this.#receipts.follow(turn.session.key, messageId),
		};
	}

	/** The row, or of a key that was deleted the one that its last generation ended with. */
	async #lastRow(turn: Turn): Promise<SessionRow> {
		const { session, after } = turn;
		const row = rowAfter(turn);
		if (row) return row;
		const { store } = this.#engine;
		const ended = await store.generation(session.key, after.generation - 1);
		return ended?.row ?? rowOf(after);
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
		const { key } = turn.session;
		const receipt = {
			disposition: "duplicate" as const,
			messageId,
			ticket: run,
		};
		if (known.fate === "removed")
			return {
				...receipt,
				row: await this.#lastRow(turn),
				settled: Promise.resolve({ ticket: null, outcome: "removed" }),
			};
		// Followed before the store is asked: the end may be committed while it answers.
		const settled = this.#receipts.follow(key, messageId);
		if (run) {
			const kept = await this.#engine.store.runsNamed(run.runId, key);
			const ended = kept.find(
				(one) => one.attempt === run.attempt && one.outcome !== null,
			);
			// While the run is in the registry its end is on its way, with its output.
			if (ended && !this.#engine.registry.get(ended))
				this.#receipts.settle(key, messageId, settledBy(ended));
		}
		return { ...receipt, row: await this.#lastRow(turn), settled };
	}
}

/** Without prototypes that differ where the JSON does not. */
function plain(value: JsonValue): unknown {
	return typeof value === "object" ? JSON.parse(JSON.stringify(value)) : value;
}

/** The error that a refused intake is told, or null. */
function refusalOf(
	turn: Turn,
	kind: "message" | "run",
	id: string,
): TurnkeeperError | null {
	const { reply, session } = turn;
	if (reply?.result === "done") return null;
	const key = shown(session.key);
	const what = `${kind} ${shown(id)}`;
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
