/**
 * Owns the record of a race: it stands between a host and its runtime, its executor and its store, and writes down what passes, in
 * order. It changes nothing of it.
 */
import type { SessionRow } from "../../machines/facts.ts";
import { type RunTicket, ticketId } from "../../machines/ticket.ts";
import { shown } from "../arguments.ts";
import type { Clock } from "../clock.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import type {
	EmbeddedRuntime,
	ManagedRun,
	Run,
	RuntimeEvent,
} from "../runtime.ts";
import type { OpenStore, SessionStore } from "../store.ts";
import {
	Trace,
	type TraceLane,
	type TraceStep,
	type TraceTone,
} from "./trace.ts";

/** Longest text of a value in a label. */
const longest = 48;

export class Recorder {
	#clock: Clock | null = null;
	#began = 0;
	#life = 0;
	readonly #host: TraceLane;
	readonly #store: TraceLane;
	/** Sessions in order of appearance, each with its runs. */
	readonly #sessions = new Map<
		string,
		{ lane: TraceLane; runs: TraceLane[] }
	>();
	readonly #lanes = new Map<string, TraceLane>();
	readonly #steps: TraceStep[] = [];
	readonly #shown = new Map<string, SessionRow>();
	/** What has been wrapped, by what it wraps. */
	readonly #wrapped = new WeakMap<object, object>();
	/** Names that a script has given to messages and runs. */
	readonly names = new Map<string, string>();

	constructor() {
		this.#host = this.#lane("host", "host", "host", null);
		this.#store = this.#lane("store", "store", "store", null);
	}

	get trace(): Trace {
		const lanes = [
			this.#host,
			...[...this.#sessions.values()].flatMap(({ lane, runs }) => [
				lane,
				...runs,
			]),
			this.#store,
		];
		return new Trace({ lanes, steps: [...this.#steps] });
	}

	/** A process begins on the store; what is recorded from now on is of it. */
	begins(clock: Clock): void {
		// The next process may count from anywhere; time does not go back for that.
		const at = (this.#clock?.now() ?? clock.now()) - this.#began;
		this.#clock = clock;
		if (this.#life === 0) this.#began = clock.now();
		else if (clock.now() - this.#began < at) this.#began = clock.now() - at;
		this.#life += 1;
		this.#shown.clear();
		if (this.#life > 1)
			this.#note("boot", "host", "host", "the next process starts");
	}

	/** The process dies. */
	died(): void {
		this.#note("crash", "host", "host", "the process dies", "error");
	}

	/** A runtime that is looked at from its first event on. */
	runtime<Input, Output, Meta>(
		runtime: EmbeddedRuntime<Input, Output, Meta>,
	): EmbeddedRuntime<Input, Output, Meta> {
		const life = this.#life;
		runtime.subscribe((event) => this.#heard(event as RuntimeEvent, life));
		const calls = this.#callsOf(life);
		const queue = this.#wrap(runtime.queue, {
			update: (key, id, change) =>
				this.#call(
					life,
					key,
					`edit ${this.#named(String(id))} ${brief(change)}`,
				),
			remove: (key, id) =>
				this.#call(life, key, `take ${this.#named(String(id))} out of line`),
		});
		return new Proxy(runtime, {
			get: (target, name) => {
				if (name === "queue") return queue;
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				const note = typeof name === "string" ? calls[name] : undefined;
				return note
					? (...args: unknown[]) => {
							const answered = note(...args);
							return this.#follow(() => value.apply(target, args), answered);
						}
					: value.bind(target);
			},
		});
	}

	/** An executor whose runs are looked at. */
	execute<Input, Meta, Output>(
		execute: (run: ManagedRun<Input, Meta>) => Promise<Output> | Output,
	): (run: ManagedRun<Input, Meta>) => Promise<Output> | Output {
		return (run) => {
			const life = this.#life;
			for (const { messageId } of run.messages) {
				const name = this.names.get(messageId);
				if (name !== undefined) this.names.set(run.ticket.runId, name);
			}
			const inputs = run.messages.map(({ messageId, input }) =>
				this.#worded(messageId, input),
			);
			const lane = this.#runLane(run.ticket);
			const attempt =
				run.ticket.attempt > 1 ? `, attempt ${run.ticket.attempt}` : "";
			this.#note(
				"begin",
				this.#sessionLane(run.ticket.sessionKey).id,
				lane.id,
				`begins: ${inputs.join(", ")}${attempt}`,
				"plain",
				life,
			);
			const ends = (label: string, tone: TraceTone = "plain") =>
				this.#note("end", lane.id, this.#sessionOf(run), label, tone, life);
			const returned = (output: unknown) =>
				ends(output === undefined ? "returns" : `returns ${brief(output)}`);
			const threw = (error: unknown) =>
				ends(`throws: ${clipped(errorText(error))}`, "error");
			let result: Promise<Output> | Output;
			try {
				result = execute(this.#run(run, life));
			} catch (error) {
				threw(error);
				throw error;
			}
			if (result instanceof Promise) result.then(returned, threw);
			else returned(result);
			return result;
		};
	}

	/** A store whose failures are seen. */
	store(store: SessionStore): SessionStore {
		const failed = (keys: readonly string[], error: unknown) => {
			const [first = this.#host.id] = keys.map(
				(key) => this.#sessionLane(key).id,
			);
			this.#note(
				"failed",
				first,
				this.#store.id,
				`commit fails: ${clipped(errorText(error))}`,
				"error",
			);
		};
		return {
			read: () => store.read(),
			open: async (owner): Promise<OpenStore> => {
				const opened = await store.open(owner);
				return new Proxy(opened, {
					get: (target, name) => {
						const value = Reflect.get(target, name, target);
						if (typeof value !== "function") return value;
						if (name !== "commit") return value.bind(target);
						return (batch: Parameters<OpenStore["commit"]>[0]) => {
							const done = target.commit(batch);
							done.catch((error) =>
								failed(
									batch.sessions.map(({ sessionKey }) => sessionKey),
									error,
								),
							);
							return done;
						};
					},
				});
			},
		};
	}

	#callsOf(life: number): Record<string, (...args: unknown[]) => Answered> {
		const call = (key: unknown, label: string) => this.#call(life, key, label);
		return {
			send: (key, input, given) => {
				const options = (given ?? {}) as { messageId?: string };
				const answered = call(
					key,
					`send ${this.#worded(options.messageId, input)}${optionsOf(options)}`,
				);
				return {
					...answered,
					resolved: (receipt) => {
						answered.resolved(receipt);
						this.#receipt(life, key, receipt, input);
					},
				};
			},
			admit: (key, given) => {
				const options = (given ?? {}) as {
					runId?: string;
					reserve?: boolean;
				};
				const { runId, reserve, ...rest } = options;
				const verb = reserve ? "reserve" : "admit";
				const answered = call(
					key,
					`${verb} ${runId === undefined ? "a run" : this.#named(runId)}${optionsOf(rest)}`,
				);
				return {
					rejected: answered.rejected,
					resolved: () => answered.said(reserve ? "reserved" : "live", "good"),
					wraps: (run) => {
						if (!reserve && !this.#wrapped.has(run as Handle))
							this.#note(
								"begin",
								this.#sessionOf(run as Handle),
								this.#runLane((run as Handle).ticket).id,
								"begins, driven by the host",
								"plain",
								life,
							);
						return this.#run(run as Handle, life);
					},
				};
			},
			report: (report) => {
				const { phase, runId, ...rest } = (report ?? {}) as Record<
					string,
					unknown
				>;
				return call(
					this.#keyOfRun(runId, rest.sessionKey),
					`report ${String(phase)} of run ${this.#named(String(runId))}${optionsOf(rest)}`,
				);
			},
			reset: (key, options) => call(key, `reset${optionsOf(options)}`),
			abort: (key, options) => call(key, `abort${optionsOf(options)}`),
			delete: (key, options) => call(key, `delete${optionsOf(options)}`),
			resume: (ticket, name, value) =>
				call(
					(ticket as RunTicket)?.sessionKey,
					`answer ${clipped(String(name))} with ${brief(value)}`,
				),
			patch: (key, meta, options) =>
				call(key, `patch ${brief(meta)}${optionsOf(options)}`),
			close: () => {
				this.#note("close", "host", "host", "close", "plain", life);
				return {
					resolved: () =>
						this.#note("close", "host", "host", "closed", "plain", life),
					rejected: () => {},
				};
			},
		};
	}

	/** The handle of a run, with what it does written down. */
	#run<T extends Handle>(run: T, life: number): T {
		const known = this.#wrapped.get(run);
		if (known) return known as T;
		const lane = this.#runLane(run.ticket);
		run.signal.addEventListener(
			"abort",
			() => {
				const { reason } = run.signal;
				const by = reason && "by" in reason ? ` by ${reason.by}` : "";
				this.#note(
					"stop",
					this.#sessionOf(run),
					lane.id,
					`told to stop${by}`,
					"late",
					life,
				);
			},
			{ once: true },
		);
		const act = (label: string): Answered & Says => {
			this.#note("act", lane.id, this.#sessionOf(run), label, "plain", life);
			return this.#answers((text, tone) =>
				this.#note("told", this.#sessionOf(run), lane.id, text, tone, life),
			);
		};
		/** One that takes effect at once, or is told that it does not. */
		const brisk = (label: string): Answered => ({
			...act(label),
			resolved: () => {},
		});
		const wrapped = this.#wrap(run, {
			append: (entry) => brisk(`append ${brief(entry)}`),
			waitFor: (name) => {
				const answered = act(`waits for ${clipped(String(name))}`);
				return {
					...answered,
					resolved: (value) =>
						answered.said(`${clipped(String(name))}: ${brief(value)}`, "good"),
				};
			},
			spawn: (key, input) => brisk(`spawn ${brief(input)} in ${String(key)}`),
			rotate: () => ({
				...act("rotate"),
				resolved: (ticket) =>
					this.#note(
						"told",
						this.#sessionOf(run),
						lane.id,
						`session id ${clipped((ticket as RunTicket).sessionId)}`,
						"good",
						life,
					),
			}),
			progress: (value) => brisk(`progress ${brief(value)}`),
			usage: (tokens) => brisk(`usage ${brief(tokens)}`),
			start: () => act("start"),
			end: (given) => act(`end${optionsOf(given)}`),
			fail: (error) => act(`fail: ${clipped(errorText(error))}`),
			deliver: (name) => {
				const label = clipped(String(name));
				this.#note(
					"act",
					lane.id,
					this.#sessionOf(run),
					`deliver ${label}`,
					"plain",
					life,
				);
				return {
					resolved: () =>
						this.#note(
							"told",
							this.#sessionOf(run),
							lane.id,
							`${label}: delivered`,
							"good",
							life,
						),
					rejected: (error) =>
						this.#note(
							"told",
							this.#sessionOf(run),
							lane.id,
							`${label}: ${codeOf(error)}`,
							toneOf(error),
							life,
						),
					effect: () =>
						this.#note(
							"act",
							lane.id,
							"host",
							`${label} goes out`,
							"plain",
							life,
						),
				};
			},
		});
		this.#wrapped.set(run, wrapped);
		this.#wrapped.set(wrapped, wrapped);
		return wrapped as T;
	}

	#heard(event: RuntimeEvent, life: number): void {
		if (event.type === "row") {
			const { row } = event;
			const before = this.#shown.get(row.sessionKey);
			this.#shown.set(row.sessionKey, row);
			this.#note(
				"kept",
				this.#sessionLane(row.sessionKey).id,
				"store",
				changeOf(before, row),
				row.status === "failed" ? "error" : "plain",
				life,
				row.generation,
			);
		} else if (event.type === "deleted")
			this.#note(
				"kept",
				this.#sessionLane(event.sessionKey).id,
				"store",
				`generation ${event.generation} is deleted`,
				"plain",
				life,
				event.generation + 1,
			);
		else if (event.type === "run" && event.run.outcome !== null) {
			const { run } = event;
			const lane = this.#lanes.get(laneId(run));
			this.#note(
				"kept",
				lane?.id ?? this.#sessionLane(run.sessionKey).id,
				"store",
				`${lane ? "" : `${this.#named(run.runId)} `}${run.outcome}`,
				run.outcome === "completed"
					? "good"
					: run.outcome === "failed"
						? "error"
						: "late",
				life,
			);
		} else if (event.type === "message" && event.fate === "removed")
			this.#note(
				"kept",
				this.#sessionLane(event.sessionKey).id,
				"store",
				`${this.#named(event.messageId)} is removed`,
				"late",
				life,
			);
	}

	#receipt(life: number, key: unknown, receipt: unknown, input: unknown): void {
		const { settled, messageId } = receipt as {
			settled: Promise<{ outcome: string; ticket: RunTicket | null }>;
			messageId: string;
		};
		void settled.then(({ outcome }) => {
			if (life < this.#life) return;
			this.#note(
				"answer",
				this.#sessionLane(String(key)).id,
				"host",
				`${this.#worded(messageId, input)}: ${outcome}`,
				outcome === "completed"
					? "good"
					: outcome === "failed"
						? "error"
						: "late",
				life,
			);
		});
	}

	/** Writes a call down, and how its answer is written down. */
	#call(life: number, key: unknown, label: string): Answered & Says {
		const session =
			typeof key === "string" ? this.#sessionLane(key).id : this.#host.id;
		this.#note("call", "host", session, label, "plain", life);
		return this.#answers((text, tone) =>
			this.#note("answer", session, "host", text, tone, life),
		);
	}

	#answers(said: Says["said"]): Answered & Says {
		return {
			said,
			resolved: (answer) => said(...answerOf(answer)),
			rejected: (error) => said(codeOf(error), toneOf(error)),
		};
	}

	/** Carries a call out, and has its answer written down before anybody else hears it. */
	#follow(act: () => unknown, answered: Answered): unknown {
		let result: unknown;
		try {
			result = act();
		} catch (error) {
			answered.rejected(error);
			throw error;
		}
		if (!(result instanceof Promise)) {
			answered.resolved(result);
			return result;
		}
		if (answered.wraps) {
			const { wraps } = answered;
			return result.then(
				(value) => {
					const wrapped = wraps(value);
					answered.resolved(value);
					return wrapped;
				},
				(error) => {
					answered.rejected(error);
					throw error;
				},
			);
		}
		result.then(answered.resolved, answered.rejected);
		return result;
	}

	/** An object some of whose methods are written down; the rest works as it did. */
	#wrap<T extends object>(
		target: T,
		calls: Record<string, (...args: unknown[]) => Answered>,
	): T {
		return new Proxy(target, {
			get: (_, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				const note = typeof name === "string" ? calls[name] : undefined;
				if (!note) return value.bind(target);
				return (...args: unknown[]) => {
					const answered = note(...args);
					const { effect } = answered;
					const given = args[1];
					if (effect && typeof given === "function")
						args[1] = (...context: unknown[]) => {
							effect();
							return given(...context);
						};
					return this.#follow(() => value.apply(target, args), answered);
				};
			},
		});
	}

	#note(
		kind: TraceStep["kind"],
		from: string,
		to: string,
		label: string,
		tone: TraceTone = "plain",
		life = this.#life,
		generation: number | null = null,
	): void {
		this.#steps.push({
			at: (this.#clock?.now() ?? 0) - this.#began,
			life,
			kind,
			from,
			to,
			label: life < this.#life ? `earlier process: ${label}` : label,
			tone,
			generation,
		});
	}

	#lane(
		id: string,
		kind: TraceLane["kind"],
		label: string,
		sessionKey: string | null,
		generation: number | null = null,
	): TraceLane {
		const lane = { id, kind, label, sessionKey, generation };
		this.#lanes.set(id, lane);
		return lane;
	}

	#sessionLane(key: string): TraceLane {
		const known = this.#sessions.get(key);
		if (known) return known.lane;
		const lane = this.#lane(
			`session ${key}`,
			"session",
			`session ${clipped(key)}`,
			key,
		);
		this.#sessions.set(key, { lane, runs: [] });
		return lane;
	}

	#sessionOf(run: Handle): string {
		return this.#sessionLane(run.ticket.sessionKey).id;
	}

	#runLane(ticket: RunTicket): TraceLane {
		const id = laneId(ticket);
		const known = this.#lanes.get(id);
		if (known) return known;
		const { sessionKey, generation, attempt, runId } = ticket;
		this.#sessionLane(sessionKey);
		const session = this.#sessions.get(sessionKey);
		const name =
			this.names.get(runId) ??
			(runId.length > 16 ? `${(session?.runs.length ?? 0) + 1}` : runId);
		// Its next attempt is called the same.
		this.names.set(runId, name);
		const lane = this.#lane(
			id,
			"run",
			`run ${name}${attempt > 1 ? `, attempt ${attempt}` : ""}`,
			sessionKey,
			generation,
		);
		session?.runs.push(lane);
		return lane;
	}

	/** The session that a report by run id is drawn to. */
	#keyOfRun(runId: unknown, key: unknown): unknown {
		if (typeof key === "string") return key;
		for (const { lane, runs } of this.#sessions.values())
			if (runs.some(({ id }) => id.startsWith(`run ${String(runId)} `)))
				return lane.sessionKey;
		return this.#sessions.keys().next().value;
	}

	#named(id: string): string {
		return this.names.get(id) ?? (id.length > 20 ? `${id.slice(0, 8)}…` : id);
	}

	/** A message: by its name, or else by what it says. */
	#worded(messageId: string | undefined, input: unknown): string {
		const name =
			messageId === undefined ? undefined : this.names.get(messageId);
		return name ?? brief(input);
	}
}

interface Answered {
	readonly resolved: (answer: unknown) => void;
	readonly rejected: (error: unknown) => void;
	/** What the caller gets instead of the answer. */
	readonly wraps?: (answer: unknown) => unknown;
	/** Called as the effect of a delivery begins. */
	readonly effect?: () => void;
}

/** What all handles of a run have. */
type Handle = Pick<Run, "ticket" | "signal">;

interface Says {
	readonly said: (text: string, tone: TraceTone) => void;
}

function laneId({ runId, generation, attempt, sessionKey }: RunTicket): string {
	return `run ${runId} ${ticketId({ runId, generation, attempt, sessionKey })}`;
}

/** What an answer says, and how good that is. */
function answerOf(answer: unknown): [string, TraceTone] {
	if (typeof answer !== "object" || answer === null)
		return [answer === undefined ? "done" : brief(answer), "good"];
	if ("verdict" in answer && "reason" in answer) {
		const { verdict, reason } = answer as { verdict: string; reason: string };
		const text = `${verdict}: ${reason}`;
		if (verdict === "applied") return [text, "good"];
		return [
			text,
			verdict === "archived" || verdict === "duplicate" ? "late" : "refused",
		];
	}
	if ("disposition" in answer) {
		const { disposition } = answer as { disposition: string };
		return [disposition, disposition === "duplicate" ? "late" : "good"];
	}
	if ("result" in answer) {
		const { result, mismatch } = answer as {
			result: string;
			mismatch?: string;
		};
		if (result === "done") return ["done", "good"];
		return result === "stale"
			? [`stale: not that ${mismatch} any more`, "refused"]
			: ["nothing to do", "late"];
	}
	return ["done", "good"];
}

function codeOf(error: unknown): string {
	if (error instanceof TurnkeeperError) return error.code;
	return clipped(errorText(error));
}

/** A refusal is one thing, a failure another. */
function toneOf(error: unknown): TraceTone {
	return error instanceof TurnkeeperError &&
		error.code !== "STORE_FAILED" &&
		error.code !== "STORE_LOCKED" &&
		error.code !== "STORE_CORRUPT"
		? "refused"
		: "error";
}

/** What a row says that the one before it did not. */
function changeOf(before: SessionRow | undefined, row: SessionRow): string {
	const parts: string[] = [];
	const isNew = before?.generation !== row.generation;
	if (isNew) parts.push(`generation ${row.generation}`);
	if (isNew || before?.status !== row.status) parts.push(row.status);
	if (row.waits.length > (before?.waits.length ?? 0))
		parts.push(`for ${row.waits.map(clipped).join(", ")}`);
	if (row.queued !== (before?.queued ?? 0)) parts.push(`${row.queued} queued`);
	if (row.draining !== (before?.draining ?? 0))
		parts.push(`${row.draining} draining`);
	if (before && !isNew && before.sessionId !== row.sessionId)
		parts.push("another session id");
	if (before && JSON.stringify(before.meta) !== JSON.stringify(row.meta))
		parts.push(brief(row.meta));
	if (before && !isNew && before.totalTokens !== row.totalTokens)
		parts.push(`${row.totalTokens} tokens`);
	return parts.join(", ") || `kept, version ${row.version}`;
}

/** What was given besides, without what says nothing. */
function optionsOf(given: unknown): string {
	if (typeof given !== "object" || given === null) return "";
	const parts = Object.entries(given)
		.filter(([name, value]) => name !== "messageId" && value !== undefined)
		.map(([name, value]) => {
			if (name === "reason") return brief(value);
			if (value === true) return name;
			return `${name} ${brief(value)}`;
		});
	return parts.length > 0 ? `, ${parts.join(", ")}` : "";
}

function brief(value: unknown): string {
	return clipped(shown(value));
}

function clipped(text: string): string {
	const line = text.replace(/\s+/g, " ");
	return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}
