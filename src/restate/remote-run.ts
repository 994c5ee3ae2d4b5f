/**
 * Owns what a run's driver holds in its hands where the run's session is an object of Restate: each thing that it does is asked there, and
 * what is committed of the run comes here as a view. What lives with the run in this process ends with it.
 */
import type {
	ChildOf,
	Message,
	QueuedMessage,
	SessionRow,
	TranscriptEntry,
} from "../../machines/facts.ts";
import { type JsonValue, notJson } from "../../machines/json.ts";
import { messageOf } from "../../machines/line.ts";
import type { Verdict } from "../../machines/report.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import {
	checkCount,
	checkFlag,
	checkJson,
	checkName,
	checkOptionalName,
	checkOptions,
	copied,
} from "../arguments.ts";
import { staleRun } from "../asking.ts";
import { carryOut, type Effect } from "../deliveries.ts";
import { errorText, RunAborted } from "../errors.ts";
import { risingId } from "../ids.ts";
import type { Logger } from "../logger.ts";
import {
	checkDelivery,
	checkWait,
	handed,
	mustBeAnother,
	tokensIn,
	unanswered,
	usedBefore,
} from "../run-calls.ts";
import type {
	AdmittedRun,
	ManagedRun,
	Run,
	SendReceipt,
	Steering,
} from "../runtime.ts";
import type { Door } from "./door.ts";
import type { ActName, RunView } from "./protocol.ts";

/** What committed views of one run come to in this process. */
export class RunLife {
	readonly #controller = new AbortController();
	readonly #changed = new Set<() => void>();
	view: RunView;
	ticket: RunTicket;
	/** What its end waits for. */
	readonly pending = new Set<Promise<unknown>>();
	/** Names of deliveries that it has begun in this process. */
	readonly begun = new Set<string>();
	readonly scope = new AsyncDisposableStack();
	isReturned = false;
	/** Receipts of the messages that are attached to it. */
	readonly children: SendReceipt[] = [];
	/** There is progress of it to forget. */
	hasTold = false;

	constructor(ticket: RunTicket, view: RunView) {
		this.ticket = ticket;
		this.view = view;
		this.see(view);
	}

	get signal(): AbortSignal {
		return this.#controller.signal;
	}

	/** Views may come out of order: an older one tells nothing. But what is over stays so, and a purged session counts its versions anew. */
	see(view: RunView): void {
		if (this.view.isOver && !view.isOver) return;
		if (!view.isOver && view.version < this.view.version) return;
		this.view = view;
		const { sessionId, stop } = view;
		if (sessionId !== this.ticket.sessionId)
			this.ticket = { ...this.ticket, sessionId };
		if (stop) this.abort(new RunAborted(stop.cause, stop.reason));
		this.#wake();
	}

	abort(reason: Error): void {
		this.#controller.abort(reason);
		this.#wake();
	}

	/** Its executor came to its end: it takes no further message. */
	return(): void {
		this.isReturned = true;
		this.#wake();
	}

	/** Its scope; what throws there harms nobody else. */
	async dispose(logger: Logger): Promise<void> {
		const { runId } = this.ticket;
		await this.scope
			.disposeAsync()
			.catch((error) =>
				logger.error(
					{ error, ticket: this.ticket },
					`the scope of run ${runId} could not be disposed: ${errorText(error)}`,
				),
			);
	}

	#wake(): void {
		for (const one of [...this.#changed]) one();
	}

	/** Resolves with what `look` finds, looked for again whenever something of the run has changed; undefined: it is not there yet. */
	async until<Found>(look: () => Found | undefined): Promise<Found> {
		for (;;) {
			const changed = Promise.withResolvers<void>();
			this.#changed.add(changed.resolve);
			try {
				const found = look();
				if (found !== undefined) return found;
				await changed.promise;
			} finally {
				this.#changed.delete(changed.resolve);
			}
		}
	}
}

class RemoteHandle<Meta> implements Run<Meta> {
	protected readonly door: Door;
	protected readonly life: RunLife;
	protected readonly logger: Logger;
	/** When its session was last told that it lives. */
	#livedAt = Number.NEGATIVE_INFINITY;
	/** What was told and is not on its way yet. */
	readonly #telling: JsonValue[] = [];
	#isTelling = false;

	constructor(door: Door, life: RunLife, logger: Logger) {
		this.door = door;
		this.life = life;
		this.logger = logger;
	}

	get ticket(): RunTicket {
		return this.life.ticket;
	}

	get signal(): AbortSignal {
		return this.life.signal;
	}

	get row(): SessionRow<Meta> {
		return this.life.view.row as SessionRow<Meta>;
	}

	get scope(): AsyncDisposableStack {
		return this.life.scope;
	}

	progress(value: JsonValue): void {
		this.#lives();
		const found = notJson(value, "value");
		if (found === null) this.#told(copied(value));
		else
			this.logger.warn(
				{ ticket: this.ticket },
				`progress was dropped: ${found} is not JSON`,
			);
	}

	usage(tokens: { inputTokens?: number; outputTokens?: number }): void {
		const used = tokensIn(tokens);
		if (used) this.#later(() => this.act("usage", used));
	}

	rotate(options: { sessionId?: string } = {}): Promise<RunTicket> {
		return handed(async () => {
			const given = checkOptionalName(options.sessionId, "sessionId");
			await this.act("rotate", given ?? null);
			return this.ticket;
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
			const work = this.#deliver(name, effect);
			this.life.pending.add(work);
			try {
				return (await work) as T;
			} finally {
				this.life.pending.delete(work);
			}
		});
	}

	async #deliver(name: string, effect: Effect): Promise<unknown> {
		const { begun, ticket, signal } = this.life;
		const unbegun = !begun.has(name);
		begun.add(name);
		const reply = await this.act("deliver", name, unbegun).catch((error) => {
			// Nothing has been done: it may be asked for again.
			if (unbegun) begun.delete(name);
			throw error;
		});
		if (reply.result === "known") return reply.value;
		if (reply.result === "used") throw usedBefore(name, ticket);
		if (signal.aborted) throw staleRun(ticket);
		return carryOut(this.life, name, effect, (status, result) =>
			this.act("delivered", name, status, result),
		);
	}

	append(given: JsonValue): Promise<void> {
		return handed(async () => {
			await this.act("append", checkJson(given, "entry"));
		});
	}

	transcript(
		query: { limit?: number } = {},
	): Promise<readonly TranscriptEntry[]> {
		return handed(async () => {
			const { limit = 100 } = checkOptions(query, "query");
			checkCount(limit, "limit");
			const { sessionKey, generation, sessionId } = this.ticket;
			const { items } = await this.door.transcript(sessionKey, {
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
			const reply = await this.act("waitFor", name, timeoutMs);
			if (reply.result === "known") return reply.value as T;
			const { life } = this;
			return life.until<T>(() => {
				const { answers, isOver, waits } = life.view;
				const given = answers.find((one) => one.name === name);
				if (given) return given.value as T;
				if (life.signal.aborted) throw life.signal.reason;
				if (isOver) throw staleRun(life.ticket);
				if (waits.includes(name)) return undefined;
				throw unanswered(name, life.ticket);
			});
		});
	}

	spawn(
		sessionKey: string,
		given: JsonValue,
		how: { messageId?: string; attached?: boolean } = {},
	): Promise<SendReceipt> {
		return handed(async () => {
			this.#mustAct();
			checkName(sessionKey, "sessionKey");
			const { attached = true, messageId = risingId() } = checkOptions(how);
			checkFlag(attached, "attached");
			checkName(messageId, "messageId");
			const input = checkJson(given, "input");
			const { ticket } = this.life;
			mustBeAnother(sessionKey, ticket);
			const { view, value } = await this.door.act(ticket, "spawn", [
				sessionKey,
				messageId,
				attached,
			]);
			this.life.see(view);
			const receipt = await this.door.receive(
				sessionKey,
				input,
				messageId,
				value as ChildOf,
				this.logger,
			);
			if (attached) this.life.children.push(receipt);
			return receipt;
		});
	}

	/** Asks the session; the answer brings a view. */
	protected async act(
		name: ActName,
		...args: readonly unknown[]
	): Promise<{ readonly result?: string; readonly value?: JsonValue }> {
		const { view, value } = await this.door.act(this.ticket, name, args);
		this.life.see(view);
		const reply = (value ?? {}) as { result?: string; value?: JsonValue };
		const isStale = reply.result === "stale" || reply.result === "nothing";
		if (isStale && name !== "pull") throw staleRun(this.ticket);
		return reply;
	}

	/** What a run tells is a sign of life, for a session that waits for one. */
	#lives(): void {
		const { leaseMs } = this.life.view;
		const now = performance.now();
		if (leaseMs === null || now - this.#livedAt < leaseMs / 10) return;
		this.#livedAt = now;
		this.#later(() => this.act("alive"));
	}

	/** What comes while some is on its way goes with the next. */
	#told(value: JsonValue): void {
		this.#telling.push(value);
		this.life.hasTold = true;
		if (this.#isTelling) return;
		this.#isTelling = true;
		this.#later(async () => {
			try {
				while (this.#telling.length > 0)
					await this.door.progress(this.ticket, this.#telling.splice(0));
			} finally {
				this.#isTelling = false;
			}
		});
	}

	/** Nobody waits for it but the end of the run. */
	#later(act: () => Promise<unknown>): void {
		const work = act().catch((error) =>
			this.logger.error(
				{ error, ticket: this.ticket },
				`something that run ${this.ticket.runId} told could not be kept: ${errorText(error)}`,
			),
		);
		this.life.pending.add(work);
		void work.then(() => this.life.pending.delete(work));
	}

	/** A run that was told to stop begins nothing more. */
	#mustAct(): void {
		if (this.life.signal.aborted || this.life.view.isOver)
			throw staleRun(this.life.ticket);
	}
}

export class RemoteManagedRun<Input, Meta>
	extends RemoteHandle<Meta>
	implements ManagedRun<Input, Meta>
{
	readonly messages: readonly Message<Input>[];
	readonly skipped: readonly Message<Input>[];
	/** What it took and has not looked at. */
	unread: readonly QueuedMessage[] = [];
	/** What it took and has looked at. */
	taken: readonly QueuedMessage[] = [];
	readonly #open: (message: Message) => Promise<Message<Input>>;
	#last: Promise<unknown> = Promise.resolve();

	constructor(
		door: Door,
		life: RunLife,
		logger: Logger,
		given: {
			readonly messages: readonly Message<Input>[];
			readonly skipped: readonly Message<Input>[];
			readonly open: (message: Message) => Promise<Message<Input>>;
		},
	) {
		super(door, life, logger);
		this.messages = given.messages;
		this.skipped = given.skipped;
		this.#open = given.open;
	}

	get steering(): Steering<Input> {
		const next = async (): Promise<
			IteratorResult<Message<Input>, undefined>
		> => {
			const { life } = this;
			for (;;) {
				const isOver = await life.until(() =>
					this.#takesNone
						? "over"
						: life.view.steering > 0
							? "some"
							: undefined,
				);
				if (isOver === "over") return { done: true, value: undefined };
				const value = await this.#pull();
				if (value) return { done: false, value };
			}
		};
		return {
			take: () => handed(() => this.#pull()),
			[Symbol.asyncIterator]: () => ({
				next: () => {
					const one = this.#last.then(next);
					this.#last = one.catch(() => {});
					return one;
				},
				return: async () => ({ done: true, value: undefined }),
			}),
		};
	}

	get #takesNone(): boolean {
		const { isReturned, signal, view } = this.life;
		return isReturned || signal.aborted || view.isOver;
	}

	/** The next message that waits already; null if none does, or if the run was told to stop. */
	async #pull(): Promise<Message<Input> | null> {
		if (this.#takesNone) return null;
		const reply = await this.act("pull");
		if (reply.result !== "pulled") return null;
		const { message } = reply as unknown as { message: QueuedMessage };
		this.unread = [...this.unread, message];
		if (this.#takesNone) return null;
		try {
			const opened = await this.#open(messageOf(message));
			return this.#takesNone ? null : opened;
		} finally {
			if (!this.#takesNone) {
				this.unread = this.unread.filter((one) => one !== message);
				this.taken = [...this.taken, message];
			}
		}
	}
}

export class RemoteAdmittedRun<Meta>
	extends RemoteHandle<Meta>
	implements AdmittedRun<Meta>
{
	start(options: { startedAt?: number } = {}): Promise<Verdict> {
		return this.door.report({ ...this.ticket, phase: "start", ...options });
	}

	end(options: Parameters<AdmittedRun["end"]>[0] = {}): Promise<Verdict> {
		return this.#last({ ...this.ticket, phase: "end", ...options });
	}

	fail(
		error: unknown,
		options: Parameters<AdmittedRun["fail"]>[1] = {},
	): Promise<Verdict> {
		return this.#last({
			...this.ticket,
			phase: "error",
			error: errorText(error),
			...options,
		});
	}

	/** Nothing that it has begun is under way any more; a report that is refused ends nothing. */
	async #last(report: Parameters<Door["report"]>[0]): Promise<Verdict> {
		await Promise.allSettled(this.life.pending);
		const verdict = await this.door.report(report);
		if (verdict.verdict === "refused") return verdict;
		this.life.return();
		await this.life.dispose(this.logger);
		return verdict;
	}

	/** Without an end it settles 'interrupted'. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.life.return();
		await this.act("release");
		await this.life.dispose(this.logger);
	}
}
