/** Owns what a run's driver holds in its hands. A handle acts through the engine and keeps no fact of its own. */
import {
	type Message,
	rowOf,
	type SessionFacts,
	type SessionRow,
	type TranscriptEntry,
} from "../machines/facts.ts";
import { type JsonValue, notJson } from "../machines/json.ts";
import type { Verdict } from "../machines/report.ts";
import { type RunFacts, stepRun, ticketOf } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import {
	checkCount,
	checkJson,
	checkOptionalName,
	checkOptions,
	copied,
} from "./arguments.ts";
import { ask, staleRun } from "./asking.ts";
import { deliver } from "./deliveries.ts";
import type { Engine } from "./engine.ts";
import { errorText } from "./errors.ts";
import { countUsage, holdsRun, isReserved, keptRun } from "./records.ts";
import type { LiveRun } from "./registry.ts";
import type { Reports } from "./reports.ts";
import { checkDelivery, checkWait, handed, tokensIn } from "./run-calls.ts";
import type { AdmittedRun, ManagedRun, Run, SendReceipt } from "./runtime.ts";
import type { Steering } from "./steering.ts";
import { waitFor } from "./waits.ts";

/** What handles act through. */
export interface Doors<Meta> {
	readonly engine: Engine<Meta>;
	spawn(
		live: LiveRun,
		sessionKey: string,
		input: JsonValue,
		options?: { messageId?: string; attached?: boolean },
	): Promise<SendReceipt>;
}

class RunHandle<Meta> implements Run<Meta> {
	protected readonly engine: Engine<Meta>;
	protected readonly live: LiveRun;
	readonly #doors: Doors<Meta>;

	constructor(doors: Doors<Meta>, live: LiveRun) {
		this.engine = doors.engine;
		this.live = live;
		this.#doors = doors;
	}

	get ticket(): RunTicket {
		return this.live.ticket;
	}

	get signal(): AbortSignal {
		return this.live.signal;
	}

	get row(): SessionRow<Meta> {
		return rowOf<Meta>(this.live.facts as SessionFacts);
	}

	get scope(): AsyncDisposableStack {
		return this.live.scope;
	}

	progress(value: JsonValue): void {
		const { engine, live } = this;
		engine.runs.alive(live);
		let problem: string;
		try {
			const found = notJson(value, "value");
			if (found === null) {
				engine.runs.progress.add(live.ticket, copied(value));
				return;
			}
			problem = `${found} is not JSON`;
		} catch (error) {
			problem = `value is not JSON (${errorText(error)})`;
		}
		engine.options.logger.warn(
			{ ticket: live.ticket },
			`progress was dropped: ${problem}`,
		);
	}

	usage(tokens: { inputTokens?: number; outputTokens?: number }): void {
		this.engine.runs.alive(this.live);
		const used = tokensIn(tokens);
		if (used) countUsage(this.engine, this.ticket, used);
	}

	rotate(options: { sessionId?: string } = {}): Promise<RunTicket> {
		return handed(async () => {
			const { engine, live } = this;
			const given = checkOptionalName(options.sessionId, "sessionId");
			const { sessionKey, generation, runId } = live.ticket;
			this.#mustAct();
			const { reply, after } = await ask(engine, live, () => ({
				type: "rotate",
				at: engine.now(),
				ticket: live.ticket,
				sessionId:
					given ?? engine.options.sessionId(sessionKey, generation, "rotate"),
			}));
			if (reply?.result === "done" && after.run?.runId === runId)
				return ticketOf(after.run);
			throw staleRun(live.ticket);
		});
	}

	deliver<T>(
		name: string,
		effect: (context: {
			signal: AbortSignal;
			idempotencyKey: string;
		}) => Promise<T> | T,
	): Promise<T> {
		return handed(async () => {
			checkDelivery(name, effect);
			this.#mustAct();
			return (await deliver(this.engine, this.live, name, effect)) as T;
		});
	}

	append(given: JsonValue): Promise<void> {
		return handed(async () => {
			const { engine, live } = this;
			const entry = checkJson(given, "entry");
			engine.runs.alive(live);
			const { reply } = await ask(engine, live, () => ({
				type: "append",
				at: engine.now(),
				ticket: live.ticket,
				entry,
			}));
			if (reply?.result !== "done") throw staleRun(live.ticket);
		});
	}

	transcript(
		query: { limit?: number } = {},
	): Promise<readonly TranscriptEntry[]> {
		return handed(async () => {
			const { limit = 100 } = checkOptions(query, "query");
			checkCount(limit, "limit");
			const { sessionKey, generation, sessionId } = this.ticket;
			const { items } = await this.engine.store.transcript(sessionKey, {
				generation,
				sessionId,
				limit,
			});
			return [...items].reverse();
		});
	}

	waitFor<T extends JsonValue>(
		name: string,
		options: { timeoutMs?: number } = {},
	): Promise<T> {
		return handed(async () => {
			const timeoutMs = checkWait(name, options);
			this.#mustAct();
			const { engine, live } = this;
			return (await waitFor(engine, live, name, timeoutMs)) as T;
		});
	}

	spawn(
		sessionKey: string,
		input: JsonValue,
		options?: { messageId?: string; attached?: boolean },
	): Promise<SendReceipt> {
		return handed(async () => {
			this.#mustAct();
			return this.#doors.spawn(this.live, sessionKey, input, options);
		});
	}

	/** A run that was told to stop begins nothing more. */
	#mustAct(): void {
		this.engine.runs.alive(this.live);
		if (this.live.isAborted) throw staleRun(this.live.ticket);
	}
}

/** The handle of a run that this runtime executes. */
export class ManagedHandle<Input, Meta>
	extends RunHandle<Meta>
	implements ManagedRun<Input, Meta>
{
	readonly messages: readonly Message<Input>[];
	readonly skipped: readonly Message<Input>[];
	/** Made when somebody looks: most runs are never steered. */
	#steering: Steering<Input, Meta> | null = null;
	readonly #steer: () => Steering<Input, Meta>;

	constructor(
		doors: Doors<Meta>,
		live: LiveRun,
		given: {
			readonly messages: readonly Message<Input>[];
			readonly skipped: readonly Message<Input>[];
			readonly steering: () => Steering<Input, Meta>;
		},
	) {
		super(doors, live);
		this.messages = given.messages;
		this.skipped = given.skipped;
		this.#steer = given.steering;
	}

	get steering(): Steering<Input, Meta> {
		this.#steering ??= this.#steer();
		return this.#steering;
	}
}

/** The handle of a run that the host drives. */
export class AdmittedHandle<Meta>
	extends RunHandle<Meta>
	implements AdmittedRun<Meta>
{
	readonly #reports: Reports<Meta>;

	constructor(doors: Doors<Meta>, live: LiveRun, reports: Reports<Meta>) {
		super(doors, live);
		this.#reports = reports;
	}

	start(options: { startedAt?: number } = {}): Promise<Verdict> {
		return this.#reports.take({ ...this.ticket, phase: "start", ...options });
	}

	end(options: Parameters<AdmittedRun["end"]>[0] = {}): Promise<Verdict> {
		return this.#reports.take({ ...this.ticket, phase: "end", ...options });
	}

	fail(
		error: unknown,
		options: Parameters<AdmittedRun["fail"]>[1] = {},
	): Promise<Verdict> {
		return this.#reports.take({
			...this.ticket,
			phase: "error",
			error: errorText(error),
			...options,
		});
	}

	/** Without an end it settles 'interrupted'. */
	[Symbol.asyncDispose](): Promise<void> {
		return release(this.engine, this.live.ticket);
	}
}

/**
 * A host lets go of its run: without an end it settles 'interrupted'; a reservation is given up, also in the archive of its generation. If
 * the runtime ends first, it is settled at the next start like all that this process leaves behind.
 */
export function release<Meta>(
	engine: Engine<Meta>,
	ticket: RunTicket,
): Promise<void> {
	let left: RunFacts | null = null;
	return new Promise((resolve) => {
		engine.keep(
			ticket.sessionKey,
			{
				prepare: (session) => {
					left = null;
					if (holdsRun(session, ticket)) return undefined;
					return keptRun(engine, session, ticket).then((kept) => {
						left = kept?.outcome === null ? kept : null;
					});
				},
				event: ({ facts }) => {
					if (left) return null;
					const at = engine.now();
					return isReserved(facts, ticket)
						? {
								type: "abort",
								at,
								cause: "shutdown",
								reason: "its host let it go",
								deadline: at,
								queued: "keep",
								expect: { runId: ticket.runId },
							}
						: {
								type: "settled",
								at,
								grant: engine.taking.grant(facts),
								ticket,
								end: { at, outcome: "interrupted" },
							};
				},
				amend: (turn) => {
					if (!left) return;
					const end = { at: engine.now(), outcome: "interrupted" } as const;
					turn.runs = [stepRun(left, { type: "settle", end })];
				},
				committed: () => resolve(),
			},
			resolve,
		);
	});
}
