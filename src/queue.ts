/** Owns what a host may see and change of the messages that wait. What was taken is out of its hands, and it is told so. */
import type { SessionEvent } from "../machines/events.ts";
import type { Message, SessionRow } from "../machines/facts.ts";
import { messageOf } from "../machines/line.ts";
import {
	checkJson,
	checkName,
	checkOptions,
	checkSchema,
	copied,
	invalid,
} from "./arguments.ts";
import { refused } from "./commands.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import type { Entrance } from "./entrance.ts";
import { lastRow } from "./reader.ts";
import { knownMessage } from "./records.ts";
import type { Answer } from "./runtime.ts";
import { rowAfter, type Turn } from "./turn.ts";

export class Queue<Input, Output, Meta> {
	readonly #engine: Engine<Meta>;
	readonly #config: Config<Input, Output, Meta>;
	readonly #entrance: Entrance;

	constructor(
		engine: Engine<Meta>,
		config: Config<Input, Output, Meta>,
		entrance: Entrance,
	) {
		this.#engine = engine;
		this.#config = config;
		this.#entrance = entrance;
	}

	async list(sessionKey: string): Promise<readonly Message<Input>[]> {
		checkName(sessionKey, "sessionKey");
		const engine = this.#engine;
		if (!engine.isServing) throw engine.refusal("queue.list");
		const queue = (await engine.committedFacts(sessionKey))?.queue ?? [];
		// Copies: what is done to them is not done to what was accepted.
		return queue.map((message) => ({
			...messageOf(message),
			input: copied(message.input) as Input,
		}));
	}

	async update(
		sessionKey: string,
		messageId: string,
		given: { input?: Input; before?: string | null },
	): Promise<Answer<null, Meta>> {
		this.#engine.mustBeOpen("queue.update");
		const { before, ...change } = checkOptions(given, "change");
		checkName(messageId, "messageId");
		if (before !== undefined && before !== null) checkName(before, "before");
		if (change.input === undefined && before === undefined)
			throw invalid(
				"change is empty; it must have an input, or a before: the id of a message that waits, or null for the end",
			);
		const { schemas } = this.#config;
		const input =
			change.input === undefined ? undefined : checkJson(change.input, "input");
		if (schemas && input !== undefined)
			await this.#entrance.guard(checkSchema(schemas.input, input, "input"));
		return this.#change(sessionKey, messageId, {
			type: "edit",
			at: 0,
			messageId,
			input,
			before,
		});
	}

	async remove(
		sessionKey: string,
		messageId: string,
	): Promise<Answer<null, Meta>> {
		this.#engine.mustBeOpen("queue.remove");
		checkName(messageId, "messageId");
		return this.#change(sessionKey, messageId, {
			type: "remove",
			at: 0,
			messageId,
		});
	}

	/** What a delete kept in line may be changed too. */
	async #rowOf(turn: Turn): Promise<SessionRow<Meta>> {
		return (
			rowAfter<Meta>(turn) ?? (await lastRow(this.#engine.store, turn.after))
		);
	}

	async #change(
		sessionKey: string,
		messageId: string,
		event: SessionEvent,
	): Promise<Answer<null, Meta>> {
		checkName(sessionKey, "sessionKey");
		const engine = this.#engine;
		/** It was here once, and waits no more. */
		let isGone = false;
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				prepare: (session) => {
					if (session.facts.queue.some((one) => one.messageId === messageId))
						return undefined;
					return knownMessage(engine, session, messageId).then((known) => {
						isGone = known?.kind === "message";
					});
				},
				event: () => ({ ...event, at: engine.now() }),
				committed: (turn) => {
					if (turn.reply?.result === "done")
						void this.#rowOf(turn).then((row) =>
							resolve({ result: "done", row, report: null }),
						);
					else if (turn.reply?.result === "nothing" && isGone)
						resolve({
							result: "stale",
							row: rowAfter<Meta>(turn),
							mismatch: "messageId",
						});
					else resolve(refused(turn));
				},
				failed: reject,
			});
		});
	}
}
