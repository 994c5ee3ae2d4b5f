/** Owns what brings work in: `send` and `admit`. What it refuses it throws, because an unread refusal would be lost work. */
import type { Overlap, OverlapMode, SessionEvent } from "../machines/events.ts";
import {
	type ChildOf,
	type Expectation,
	rowOf,
	type SessionFacts,
	type SessionRow,
} from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import { reservationOf } from "../machines/lifecycle.ts";
import { ownsRun, type RunFacts, ticketOf } from "../machines/run.ts";
import {
	checkChoice,
	checkCount,
	checkExpectation,
	checkFlag,
	checkJson,
	checkName,
	checkOptionalName,
	checkOptions,
	checkSchema,
	copied,
	invalid,
	shown,
} from "./arguments.ts";
import { staleRun } from "./asking.ts";
import { nodeUtil } from "./builtin.ts";
import { type Config, overlapModes } from "./config.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import { AdmittedHandle, type Doors } from "./handles.ts";
import { lastRow, unsettledRuns } from "./reader.ts";
import { keptEnd, type Receipts } from "./receipts.ts";
import { knownMessage, usedFor } from "./records.ts";
import type { LiveRun } from "./registry.ts";
import type { Reports } from "./reports.ts";
import { mustBeAnother, waitsForEachOther } from "./run-calls.ts";
import type {
	AdmitOptions,
	AdmittedRun,
	SendOptions,
	SendReceipt,
} from "./runtime.ts";
import type { LiveSession } from "./session.ts";
import type { StoredMessage } from "./store.ts";
import { rowAfter, type Turn } from "./turn.ts";

/** A message on its way in. */
interface Arriving {
	readonly named: string | undefined;
	readonly input: JsonValue;
	/** Instead of the runtime's. */
	readonly mode: OverlapMode | null;
	readonly resets: boolean;
	readonly meta: JsonValue | undefined;
	readonly expect: Expectation | undefined;
	/** Of one that a run spawned. */
	readonly parent: {
		/** Before its word is asked. */
		awake(): Promise<void>;
		/** Its link to that run, or the refusal. */
		childOf(): ChildOf;
	} | null;
}

export class Intake<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #reports: Reports<Meta>;
	readonly #entrance: Entrance;
	readonly #receipts: Receipts<Output>;
	#handles = new WeakMap<LiveRun, AdmittedHandle<Meta>>();
	readonly #doors: Doors<Meta>;

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
		this.#doors = {
			engine,
			spawn: (live, ...message) => this.spawn(live, ...message),
		};
	}

	/** What the handle of a run acts through. */
	get doors(): Doors<Meta> {
		return this.#doors;
	}

	async send(
		sessionKey: string,
		given: Input,
		how?: SendOptions<Meta>,
	): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		engine.mustBeOpen("send");
		checkName(sessionKey, "sessionKey");
		const options = checkOptions(how);
		this.#mustExecute("send");
		const named = checkOptionalName(options.messageId, "messageId");
		const mode =
			options.overlap === undefined
				? null
				: checkChoice(options.overlap, "overlap", overlapModes);
		const resets = checkFlag(options.reset, "reset");
		const expect = checkExpectation(options.expect);
		const { input, seen } = this.#checkInput(given);
		const fields =
			options.meta === undefined ? undefined : this.#config.meta(options.meta);
		const checked = seen instanceof Promise ? seen.then(() => fields) : fields;
		const enter = (meta: JsonValue | undefined) =>
			this.#accept(sessionKey, {
				named,
				input,
				mode,
				resets,
				meta,
				expect,
				parent: null,
			});
		// What resets waits for no message that its schema cannot decide on (RQ-08).
		return resets
			? this.#entrance.overtake(sessionKey, checked, enter)
			: this.#entrance.pass(sessionKey, checked, enter);
	}

	/** A message of a live run to another session: its child. */
	async spawn(
		live: LiveRun,
		sessionKey: string,
		given: JsonValue,
		how?: { messageId?: string; attached?: boolean },
	): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		engine.mustBeOpen("spawn");
		checkName(sessionKey, "sessionKey");
		const options = checkOptions(how);
		this.#mustExecute("spawn");
		const named = checkOptionalName(options.messageId, "messageId");
		const attached =
			options.attached === undefined || checkFlag(options.attached, "attached");
		mustBeAnother(sessionKey, live.ticket);
		const { input, seen } = this.#checkInput(given);
		return this.#entrance.pass(sessionKey, seen, () =>
			this.#accept(sessionKey, {
				named,
				input,
				mode: "enqueue",
				resets: false,
				meta: undefined,
				expect: undefined,
				parent: {
					awake: () => this.#awake(live),
					childOf: () => this.#childOf(live, attached, sessionKey),
				},
			}),
		);
	}

	/** A message that a run of another engine spawned, which has had that run's word. */
	receive(
		sessionKey: string,
		given: unknown,
		messageId: string,
		child: ChildOf,
	): Promise<SendReceipt<Output>> {
		this.#engine.mustBeOpen("spawn");
		this.#mustExecute("spawn");
		const { input, seen } = this.#checkInput(given);
		return this.#entrance.pass(sessionKey, seen, () =>
			this.#accept(sessionKey, {
				named: messageId,
				input,
				mode: "enqueue",
				resets: false,
				meta: undefined,
				expect: undefined,
				parent: { awake: async () => {}, childOf: () => child },
			}),
		);
	}

	#mustExecute(call: string): void {
		if (!this.#config.execute)
			throw invalid(
				`${call} needs a runtime with \`execute\`; a host that runs its agent itself uses admit`,
			);
	}

	#checkInput(given: unknown) {
		const { schemas } = this.#config;
		const input = checkJson(given, "input");
		const seen = schemas
			? checkSchema(schemas.input, input, "input")
			: undefined;
		return { input, seen };
	}

	#accept(sessionKey: string, message: Arriving): Promise<SendReceipt<Output>> {
		const engine = this.#engine;
		const { named, input, mode, resets, expect, meta } = message;
		const messageId = named ?? this.#config.freshId();
		let known: StoredMessage | null = null;
		let policy: Overlap | null = null;
		let parent: ChildOf | null = null;
		let isUnknown = () => {};
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				intake: true,
				heals: resets,
				...(named === undefined && !message.parent
					? {}
					: {
							prepare: async (session: LiveSession) => {
								await message.parent?.awake();
								if (named === undefined) return;
								known = await knownMessage(engine, session, messageId);
							},
						}),
				expires: () => known === null && !resets,
				...(resets
					? {
							first: ({ facts }: LiveSession) => {
								if (known) return null;
								engine.mustBeOpen("send");
								policy = this.#policy(facts, messageId, input, mode);
								return this.#resetBefore(facts, expect);
							},
						}
					: {}),
				event: ({ facts }) => {
					if (known) return null;
					// Whatever came in between: a closing runtime takes no further message.
					engine.mustBeOpen("send");
					policy ??= this.#policy(facts, messageId, input, mode);
					parent = message.parent?.childOf() ?? null;
					const at = engine.now();
					return {
						type: "message",
						at,
						grant: engine.taking.grant(facts, { parent }),
						messageId,
						input,
						policy,
						front: resets ? "reset" : null,
						parent,
						deadline: at + this.#config.graceMs,
						sessionId: this.#firstSessionId(facts),
						meta,
						// What the session before a reset had to meet, the one after it need not.
						expect: resets ? undefined : expect,
					};
				},
				amend: ({ reply }) => {
					if (reply?.result !== "done" || !parent?.attached) return;
					// From the decision on the parent's stop must find it, committed or not.
					const settled = this.#receipts.follow(sessionKey, messageId);
					const gone = Promise.withResolvers<void>();
					isUnknown = gone.resolve;
					engine.runs.children.add(parent.run, {
						sessionKey,
						messageId,
						settled: Promise.race([settled, gone.promise]),
					});
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
				failed: (error) => {
					if (parent?.attached)
						this.#unlessKept(sessionKey, messageId, isUnknown);
					reject(error);
				},
			});
		});
	}

	/** A commit that failed may hold all the same, which is known once the session was read again. */
	#unlessKept(sessionKey: string, messageId: string, gone: () => void): void {
		const engine = this.#engine;
		let kept: StoredMessage | null = null;
		engine.keep(
			sessionKey,
			{
				prepare: async () => {
					kept = await engine.store.message(sessionKey, messageId);
				},
				event: () => null,
				committed: () => {
					if (!kept) gone();
				},
			},
			gone,
		);
	}

	/** What a message gets by the runtime's policy; its own mode overrules that of the policy. */
	#policy(
		facts: SessionFacts,
		messageId: string,
		input: JsonValue,
		mode: OverlapMode | null,
	): Overlap {
		const { overlap } = this.#config;
		const { generation } = facts;
		const acceptedAt = this.#engine.now();
		let policy: Overlap;
		try {
			policy = overlap(rowOf(facts), {
				messageId,
				input: copied(input),
				acceptedAt,
				generation,
			});
		} catch (error) {
			if (error instanceof TurnkeeperError) throw error;
			throw new TurnkeeperError(
				"INVALID_ARGUMENT",
				`options.overlap threw for message ${shown(messageId)}: ${errorText(error)}; it must return a mode or a policy`,
				{ cause: error },
			);
		}
		return mode === null ? policy : { ...policy, mode };
	}

	#resetBefore(
		facts: SessionFacts,
		expect: Expectation | undefined,
	): SessionEvent {
		const engine = this.#engine;
		const at = engine.now();
		const reset = engine.renewal.resetOf(facts, {
			cause: "reset",
			at,
			reason: null,
			deadline: at + this.#config.graceMs,
			queued: "keep",
			expect,
		});
		// What is taken next is the message that comes with it.
		return { ...reset, grant: null };
	}

	/** A parent whose actor was dropped by a failed commit is read again, so that its word can be had at once. */
	async #awake(live: LiveRun): Promise<void> {
		const { sessionKey } = live.ticket;
		if (!this.#engine.directory.find(sessionKey)?.decided)
			await this.#engine.touch(sessionKey);
	}

	/** The link of a child to its parent. Both sessions are of this process, so that its word counts at this moment. */
	#childOf(live: LiveRun, attached: boolean, sessionKey: string): ChildOf {
		const { ticket } = live;
		const session = this.#engine.directory.find(ticket.sessionKey);
		const run = session?.decided?.run;
		if (live.isAborted || !run || run.stop || !ownsRun(run, ticket))
			throw staleRun(ticket);
		const { children } = this.#engine.runs;
		if (attached && children.waitsFor(sessionKey, ticket.sessionKey))
			throw waitsForEachOther(sessionKey, ticket);
		return {
			run: ticket,
			attached,
			ancestors: attached ? [...run.ancestors, ticket.sessionKey] : [],
		};
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
		const leaseMs =
			options.leaseMs === undefined
				? null
				: checkCount(options.leaseMs, "leaseMs");
		const expect = checkExpectation(options.expect);
		const checked =
			options.meta === undefined ? undefined : this.#config.meta(options.meta);
		return this.#entrance.pass(sessionKey, checked, (meta) =>
			this.#admit(sessionKey, {
				named,
				givenSessionId,
				reserve,
				leaseMs,
				meta,
				expect,
			}),
		);
	}

	#admit(
		sessionKey: string,
		run: {
			readonly named: string | undefined;
			readonly givenSessionId: string | null;
			readonly reserve: boolean;
			readonly leaseMs: number | null;
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
				expires: () => true,
				event: ({ facts }) => {
					engine.mustBeOpen("admit");
					return {
						type: "admit",
						at: engine.now(),
						grant: engine.taking.grant(facts),
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
		const live = this.#engine.runs.enter(run);
		live.facts ??= turn.after;
		this.#engine.runs.alive(live);
		const known = this.#handles.get(live);
		if (known) return known;
		const handle = new AdmittedHandle<Meta>(this.#doors, live, this.#reports);
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
		const engine = this.#engine;
		// One that has expired is left behind with its generation.
		const isOver = engine.renewal.reasonToExpire(facts) !== null;
		if (!isOver && reservationOf(facts, runId)) return undefined;
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
		const steers = turn.messages.some(
			(message) => message.messageId === messageId && message.steers !== null,
		);
		return new Receipt(
			taken ? "started" : steers ? "steered" : "queued",
			messageId,
			taken && turn.start ? ticketOf(turn.start.run) : null,
			turn,
			this.#receipts.follow(turn.session.key, messageId),
		);
	}

	/** The row, or of a key that was deleted the one that its last generation ended with. */
	async #lastRow(turn: Turn): Promise<SessionRow> {
		return rowAfter(turn) ?? (await lastRow(this.#engine.store, turn.after));
	}

	/** The same message id again: nothing runs twice, and its end is the end of the first. */
	async #repeat(
		turn: Turn,
		known: StoredMessage,
		input: JsonValue,
	): Promise<SendReceipt<Output>> {
		const { messageId, run } = known;
		if (
			known.kind !== "message" ||
			(!known.edited &&
				!nodeUtil().isDeepStrictEqual(plain(known.input), plain(input)))
		)
			throw invalid(
				`messageId ${shown(messageId)} was used before on session ${shown(known.run?.sessionKey ?? turn.session.key)} for ${known.kind === "message" ? "another input" : usedFor(known)}; a new message needs a new id`,
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
			const end = keptEnd(messageId, run, kept);
			// While the run is in the registry its end is on its way, with its output.
			if (end && !this.#engine.registry.get(run))
				this.#receipts.settle(key, messageId, end);
		}
		return { ...receipt, row: await this.#lastRow(turn), settled };
	}
}

/**
 * What is known of a message that was accepted. A class, because V8 keeps an object whose literal has a getter, and all that it leads to, until
 * the next full collection: a turn's worth of memory each.
 */
class Receipt<Output> implements SendReceipt<Output> {
	readonly disposition: SendReceipt["disposition"];
	readonly messageId: string;
	readonly ticket: SendReceipt["ticket"];
	readonly settled: SendReceipt<Output>["settled"];
	readonly #turn: Turn;

	constructor(
		disposition: SendReceipt["disposition"],
		messageId: string,
		ticket: SendReceipt["ticket"],
		turn: Turn,
		settled: SendReceipt<Output>["settled"],
	) {
		this.disposition = disposition;
		this.messageId = messageId;
		this.ticket = ticket;
		this.#turn = turn;
		this.settled = settled;
	}

	/** Made when somebody looks: most hosts do not. */
	get row(): SessionRow {
		return rowAfter(this.#turn) as SessionRow;
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
					: `${what} was not accepted: session ${key} still drains${kind === "message" ? ", or messages wait" : ""}`,
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
