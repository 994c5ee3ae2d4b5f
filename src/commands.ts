/** Owns the commands on a session: `reset`, `abort`, `delete`, `patch`, `resume`. Each answers done, stale or nothing; none is lost work. */
import type { SessionEvent } from "../machines/events.ts";
import type { SessionFacts, SessionRow } from "../machines/facts.ts";
import { type JsonValue, mergePatch } from "../machines/json.ts";
import type { RunTicket } from "../machines/ticket.ts";
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
	checkTicket,
	invalid,
	shown,
} from "./arguments.ts";
import type { Config } from "./config.ts";
import { type Drain, drainAnswer, drainOf, isDrained } from "./drain.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import { newestFirst, runsInArchive, unsettledRuns } from "./reader.ts";
import { idAlone, knownMessage, usedFor } from "./records.ts";
import type {
	Answer,
	ResetOptions,
	StopOptions,
	StopReport,
} from "./runtime.ts";
import type { LiveSession, Operation } from "./session.ts";
import type { CommandKind, StoredMessage } from "./store.ts";
import { rowAfter, type Turn } from "./turn.ts";

type Stopped<Meta> = Answer<StopReport<Meta>, Meta>;
type StopEvent = Extract<SessionEvent, { type: "reset" | "delete" | "abort" }>;

/** Answers a stop once what it stopped has settled. */
export type UntilDrained<Meta> = (
	sessionKey: string,
	drain: Drain<Meta>,
) => Promise<Stopped<Meta>>;

export class Commands<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #entrance: Entrance;
	readonly #untilDrained: UntilDrained<Meta>;

	constructor(
		engine: Engine<Meta>,
		config: Config<Input, Output, Meta>,
		entrance: Entrance,
		untilDrained: UntilDrained<Meta>,
	) {
		this.#engine = engine;
		this.#config = config;
		this.#entrance = entrance;
		this.#untilDrained = untilDrained;
	}

	async reset(
		sessionKey: string,
		given?: ResetOptions<Meta>,
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		engine.mustBeOpen("reset");
		const options = checkOptions(given);
		const { messageId, stop } = this.#checkStop(sessionKey, options, "keep");
		const sessionId = checkOptionalName(options.sessionId, "sessionId");
		const checked =
			options.meta === undefined ? undefined : this.#config.meta(options.meta);
		return this.#entrance.overtake(sessionKey, checked, (meta) =>
			this.#stop(sessionKey, {
				kind: "reset",
				messageId,
				event: (facts) => {
					engine.mustBeOpen("reset");
					const reset = engine.renewal.resetOf(
						facts,
						{ ...stop(), cause: "reset" },
						{
							...(sessionId === undefined ? {} : { sessionId }),
							...(meta === undefined ? {} : { meta }),
						},
					);
					return { ...reset, grant: engine.taking.grant(facts) };
				},
			}),
		);
	}

	async delete(
		sessionKey: string,
		given?: StopOptions & { purge?: boolean },
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		engine.mustBeOpen("delete");
		const options = checkOptions(given);
		const { messageId, stop } = this.#checkStop(sessionKey, options, "drop");
		const purge = checkFlag(options.purge, "purge");
		return this.#stop(sessionKey, {
			kind: "delete",
			messageId,
			event: () => ({
				...stop(),
				type: "delete",
				purge,
				hook: engine.renewal.hasHook,
			}),
		});
	}

	async abort(sessionKey: string, given?: StopOptions): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		if (engine.state !== "open" && engine.state !== "closing")
			throw engine.refusal("abort");
		const options = checkOptions(given);
		const { messageId, stop } = this.#checkStop(sessionKey, options, "keep");
		return this.#stop(sessionKey, {
			kind: "abort",
			messageId,
			event: () => ({ ...stop(), type: "abort", cause: "abort" }),
		});
	}

	async patch(
		sessionKey: string,
		patch: JsonValue,
		given?: { expect?: unknown },
	): Promise<Answer<null, Meta>> {
		const engine = this.#engine;
		checkName(sessionKey, "sessionKey");
		const change = checkJson(patch, "meta");
		const expect = checkExpectation(checkOptions(given).expect);
		const schema = this.#config.schemas?.meta;
		for (;;) {
			engine.mustBeOpen("patch");
			const seen = schema ? await this.#facts(sessionKey) : null;
			if (schema && seen && !seen.hidden)
				await this.#entrance.guard(
					checkSchema(schema, mergePatch(seen.meta, change), "meta"),
				);
			const turn = await this.#ask(sessionKey, {
				expires: () => true,
				event: () => {
					engine.mustBeOpen("patch");
					return {
						type: "patch",
						at: engine.now(),
						patch: change,
						expect,
						...(seen ? { seen: seen.meta } : {}),
					};
				},
			});
			// The fields changed while the schema looked at them: it looks again.
			if (turn.reply?.result === "moved") continue;
			return answered(turn);
		}
	}

	async resume(
		ticket: Pick<RunTicket, "sessionKey" | "generation" | "runId">,
		name: string,
		given: JsonValue,
	): Promise<Answer<null, Meta>> {
		const engine = this.#engine;
		if (!engine.isServing) throw engine.refusal("resume");
		checkTicket(ticket, ["sessionKey", "generation", "runId"]);
		checkName(name, "name");
		const value = checkJson(given, "value");
		const { sessionKey, generation, runId } = ticket;
		const turn = await this.#ask(sessionKey, {
			event: ({ facts }) => ({
				type: "answer",
				at: engine.now(),
				grant: engine.taking.grant(facts),
				ticket: { generation, runId },
				name,
				value,
			}),
		});
		return answered(turn);
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
			readonly kind: CommandKind;
			readonly messageId: string | undefined;
			event(facts: SessionFacts): StopEvent;
		},
	): Promise<Stopped<Meta>> {
		const engine = this.#engine;
		const { kind, messageId } = parts;
		let repeated: StoredMessage | null = null;
		let runs: Turn["endedRuns"] = [];
		let lastRow: SessionRow<Meta> | null = null;
		return new Promise((resolve, reject) => {
			engine.post(key, {
				heals: true,
				prepare: (session) =>
					(async () => {
						repeated = messageId
							? await knownMessage(engine, session, messageId)
							: null;
						// Only the answer needs them: a stop does not depend on what can be read.
						lastRow = await this.#lastRowOf(session).catch(() => null);
						// What ends its generation answers with its runs.
						if (kind !== "abort")
							runs = await this.#runsOf(session).catch(() => []);
					})(),
				event: ({ facts }) => (repeated ? null : parts.event(facts)),
				amend: (turn) => {
					const result = turn.reply?.result;
					if (result === "done") turn.endedRuns = runs;
					// What found nothing to do was carried out all the same. A key that was never used has no row to keep that beside.
					const isCarriedOut = result === "done" || result === "nothing";
					if (messageId && isCarriedOut && turn.after.version > 0)
						turn.messages = [
							...turn.messages,
							commandNote(turn, kind, messageId, engine.now()),
						];
				},
				committed: (turn) => {
					if (repeated && repeated.kind !== kind)
						reject(
							invalid(
								`messageId ${shown(messageId)} was used before on session ${shown(key)} for ${usedFor(repeated)}; ${usedFor({ kind })} needs an id of its own`,
							),
						);
					else if (turn.reply?.result === "done")
						this.#drain(turn, lastRow).then(resolve, reject);
					else resolve(refused(turn));
				},
				failed: reject,
			});
		});
	}

	/** The answer, once nothing that this stopped is live. A purge or a later turn may have come with the same commit, so the newest committed facts are asked first. */
	async #drain(
		turn: Turn,
		lastRow: SessionRow<Meta> | null,
	): Promise<Stopped<Meta>> {
		const drain = drainOf(turn, lastRow);
		return isDrained(drain, turn.after)
			? drainAnswer(drain, rowAfter<Meta>(turn))
			: this.#untilDrained(turn.session.key, drain);
	}

	/** Of a key that was deleted before: the row that its last generation ended with. */
	async #lastRowOf(session: LiveSession): Promise<SessionRow<Meta> | null> {
		const { hidden, version, generation } = session.facts;
		if (!hidden || version === 0) return null;
		// The delete before may be on its way to the store.
		await this.#engine.settled(session);
		const { store } = this.#engine;
		const ended = await store.generation(session.key, generation - 1);
		return ended && (ended.row as SessionRow<Meta>);
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
		const messageId = checkOptionalName(options.messageId, "messageId");
		const stop = () => {
			const at = this.#engine.now();
			return {
				at,
				reason: reason ?? null,
				deadline: at + graceMs,
				queued,
				expect,
			};
		};
		return { messageId, stop };
	}
}

/** The answer to what reports nothing. */
function answered<Meta>(turn: Turn): Answer<null, Meta> {
	if (turn.reply?.result !== "done") return refused(turn);
	const row = rowAfter<Meta>(turn) as SessionRow<Meta>;
	return { result: "done", row, report: null };
}

export function refused<Meta>(turn: Turn): Answer<never, Meta> {
	const row = rowAfter<Meta>(turn);
	return turn.reply?.result === "stale"
		? { result: "stale", row, mismatch: turn.reply.mismatch }
		: { result: "nothing", row };
}

/** The id of a command, kept with the messages' so that a redelivered one is told. */
function commandNote(
	turn: Turn,
	kind: CommandKind,
	messageId: string,
	acceptedAt: number,
): StoredMessage {
	const { generation } = turn.after;
	return { ...idAlone(messageId, acceptedAt, generation), fate: "taken", kind };
}
