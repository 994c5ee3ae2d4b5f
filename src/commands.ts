/** Owns the commands on a session: `reset`, `abort`, `delete`, `patch`. Each answers done, stale or nothing; none is lost work. */
import type { SessionEvent } from "../machines/events.ts";
import type { SessionFacts } from "../machines/facts.ts";
import { type JsonValue, mergePatch } from "../machines/json.ts";
import { type RunRecord, runRecordOf, ticketOf } from "../machines/run.ts";
import { ticketId } from "../machines/ticket.ts";
import {
	checkChoice,
	checkExpectation,
	checkJson,
	checkMs,
	checkName,
	checkOptionalName,
	checkSchema,
	invalid,
	shown,
} from "./arguments.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import { newestFirst, runsInArchive, unsettledRuns } from "./reader.ts";
import type {
	Answer,
	ResetOptions,
	StopOptions,
	StopReport,
} from "./runtime.ts";
import type { LiveSession, Operation } from "./session.ts";
import type { StoredMessage } from "./store.ts";
import { endedBy, rowAfter, type Turn } from "./turn.ts";

type Stopped<Meta> = Answer<StopReport<Meta>, Meta>;
type StopEvent = Extract<SessionEvent, { type: "reset" | "delete" | "abort" }>;

export class Commands<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;

	constructor(engine: Engine<Meta>, config: Config<Input, Output, Meta>) {
		this.#engine = engine;
		this.#config = config;
	}

	async reset(
		sessionKey: string,
		options: ResetOptions<Meta> = {},
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		if (engine.state !== "open") throw engine.refusal("reset");
		const stop = this.#checkStop(sessionKey, options, "keep");
		const messageId = checkOptionalName(options.messageId, "messageId");
		const sessionId = checkOptionalName(options.sessionId, "sessionId");
		const meta =
			options.meta === undefined
				? undefined
				: await this.#config.meta(options.meta, "meta");
		return this.#stop(sessionKey, {
			messageId,
			event: (facts) => ({
				...stop(),
				type: "reset",
				sessionId:
					sessionId ??
					this.#config.sessionId(
						sessionKey,
						facts.hidden ? facts.generation : facts.generation + 1,
						facts.version === 0 ? "first" : "reset",
					),
				meta: meta ?? (facts.hidden ? {} : this.#config.carryOver(facts.meta)),
			}),
		});
	}

	async delete(
		sessionKey: string,
		options: StopOptions & { purge?: boolean } = {},
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		if (engine.state !== "open") throw engine.refusal("delete");
		const stop = this.#checkStop(sessionKey, options, "drop");
		return this.#stop(sessionKey, {
			event: () => ({
				...stop(),
				type: "delete",
				purge: options.purge === true,
			}),
		});
	}

	async abort(
		sessionKey: string,
		options: StopOptions = {},
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		if (engine.state !== "open" && engine.state !== "closing")
			throw engine.refusal("abort");
		const stop = this.#checkStop(sessionKey, options, "keep");
		return this.#stop(sessionKey, {
			event: () => ({ ...stop(), type: "abort", cause: "abort" }),
		});
	}

	async patch(
		sessionKey: string,
		patch: JsonValue,
		options: { expect?: unknown } = {},
	): Promise<Answer<null, Meta>> {
		const engine = this.#engine;
		checkName(sessionKey, "sessionKey");
		const change = checkJson(patch, "meta");
		const expect = checkExpectation(options.expect);
		const schema = this.#config.schemas?.meta;
		for (;;) {
			if (engine.state !== "open") throw engine.refusal("patch");
			const seen = schema ? await this.#facts(sessionKey) : null;
			if (schema && seen && !seen.hidden)
				await checkSchema(schema, mergePatch(seen.meta, change), "meta");
			const turn = await this.#ask(sessionKey, {
				event: () => ({
					type: "patch",
					at: engine.now(),
					patch: change,
					expect,
					...(seen ? { seen: seen.meta } : {}),
				}),
			});
			// The fields changed while the schema looked at them: it looks again.
			if (turn.reply?.result === "moved") continue;
			return turn.reply?.result === "done"
				? { result: "done", row: rowAfter(turn) as never, report: null }
				: refused(turn);
		}
	}

	#facts(sessionKey: string): Promise<SessionFacts> {
		return this.#ask(sessionKey, { event: () => null }).then(
			({ before }) => before,
		);
	}

	#ask(
		key: string,
		operation: Omit<Operation, "committed" | "failed">,
	): Promise<Turn> {
		return new Promise((committed, failed) => {
			this.#engine.post(key, { ...operation, committed, failed });
		});
	}

	/** What reset, delete and abort have in common: a stop, then the wait until what it stopped has settled. */
	#stop(
		key: string,
		parts: {
			readonly messageId?: string | undefined;
			event(facts: SessionFacts): StopEvent;
		},
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		const { messageId } = parts;
		let repeated: StoredMessage | null = null;
		let runs: Turn["endedRuns"] = [];
		return new Promise((resolve, reject) => {
			engine.post(key, {
				heals: true,
				prepare: (session) =>
					(async () => {
						repeated = messageId ? await this.#find(session, messageId) : null;
						runs = await this.#runsOf(session);
					})(),
				event: ({ facts }) => (repeated ? null : parts.event(facts)),
				amend: (turn) => {
					if (turn.reply?.result !== "done") return;
					turn.endedRuns = runs;
					if (messageId)
						turn.messages = [...turn.messages, resetNote(turn, messageId)];
				},
				committed: (turn) => {
					if (repeated && repeated.kind !== "reset")
						reject(
							invalid(
								`messageId ${shown(messageId)} was used before on session ${shown(key)} for a message; a reset needs an id of its own`,
							),
						);
					else if (turn.reply?.result === "done")
						this.#drain(turn).then(resolve, reject);
					else resolve(refused(turn));
				},
				failed: reject,
			});
		});
	}

	/** The answer, once nothing that this stopped is live. */
	async #drain(turn: Turn): Promise<Stopped<Meta>> {
		const { key } = turn.session;
		const stopped = new Set(
			turn.stops.map(({ run }) => ticketId(ticketOf(run))),
		);
		const drained: RunRecord[] = [];
		const abandoned: RunRecord[] = [];
		let ended = endedBy(turn);
		const collect = ({ runs, generations }: Turn) => {
			for (const run of runs) {
				if (run.outcome === null || !stopped.has(ticketId(ticketOf(run))))
					continue;
				const record = runRecordOf(run);
				(run.outcome === "abandoned" ? abandoned : drained).push(record);
				ended &&= {
					...ended,
					runs: ended.runs.map((one) => newer(one, record)),
				};
			}
			for (const completed of generations)
				if (completed.generation === ended?.generation)
					ended = { ...ended, ...completed };
		};
		const { generation } = turn.after;
		const isDone = (facts: SessionFacts) =>
			!facts.draining.some(({ run }) => run.generation < generation) &&
			(facts.run === null || !stopped.has(ticketId(ticketOf(facts.run))));
		collect(turn);
		// A purge or a later turn may have come with the same commit, so the newest committed facts are asked first.
		const last = isDone(turn.after)
			? turn
			: await this.#engine.waiting.drained(key, isDone, collect);
		return {
			result: "done",
			row: (ended && turn.after.hidden
				? ended.row
				: (rowAfter(last) ?? rowAfter(turn) ?? ended?.row)) as never,
			report: {
				ended: ended as StopReport<Meta>["ended"],
				drained,
				abandoned,
				removed: turn.messages
					.filter(({ fate }) => fate === "removed")
					.map(({ messageId }) => messageId),
			},
		};
	}

	async #find(
		session: LiveSession,
		messageId: string,
	): Promise<StoredMessage | null> {
		return (
			session.uncommittedMessages.get(messageId) ??
			this.#engine.store.message(session.key, messageId)
		);
	}

	/** The newest runs of the current generation, for its archive. */
	async #runsOf(session: LiveSession): Promise<Turn["endedRuns"]> {
		if (session.facts.hidden) return [];
		await this.#engine.settled(session);
		const { facts } = session;
		const { generation } = facts;
		const kept = await this.#engine.store.runs(session.key, {
			generation,
			limit: runsInArchive,
		});
		return newestFirst(unsettledRuns(facts), kept.items, generation).slice(
			0,
			runsInArchive,
		);
	}

	#checkStop(
		sessionKey: string,
		options: StopOptions,
		queuedByDefault: "keep" | "drop",
	) {
		checkName(sessionKey, "sessionKey");
		const { reason } = options;
		if (reason !== undefined && typeof reason !== "string")
			throw invalid(`reason is ${shown(reason)}; it must be a string`);
		const graceMs =
			options.graceMs === undefined
				? this.#config.graceMs
				: checkMs(options.graceMs, "graceMs");
		const queued =
			options.queued === undefined
				? queuedByDefault
				: checkChoice(options.queued, "queued", ["keep", "drop"]);
		const expect = checkExpectation(options.expect);
		return () => {
			const at = this.#engine.now();
			return {
				at,
				reason: reason ?? null,
				deadline: at + graceMs,
				queued,
				expect,
			};
		};
	}
}

function newer(one: RunRecord, record: RunRecord): RunRecord {
	return ticketId(one) === ticketId(record) ? record : one;
}

function refused<Meta>(turn: Turn): Answer<never, Meta> {
	const row = rowAfter(turn) as never;
	return turn.reply?.result === "stale"
		? { result: "stale", row, mismatch: turn.reply.mismatch }
		: { result: "nothing", row };
}

/** The id of a reset command, kept with the messages' so that a redelivered one is told. */
function resetNote(turn: Turn, messageId: string): StoredMessage {
	return {
		messageId,
		input: null,
		acceptedAt: turn.after.updatedAt,
		generation: turn.after.generation,
		seq: 0,
		expect: null,
		fate: "taken",
		run: null,
		reason: null,
		kind: "reset",
	};
}
