/** Owns what a run says in its chat: each post and edit is an outward effect of the run, so one that was told to stop posts nothing. */

import { setTimeout as after } from "node:timers/promises";
import {
	Actions,
	type Adapter,
	type AdapterPostableMessage,
	Button,
	Card,
	CardText,
	type Chat,
	type SentMessage,
	type Thread,
} from "chat";
import { invalid, shown } from "../arguments.ts";
import type { ManagedRun } from "../runtime.ts";
import type { ChatInput } from "./place.ts";
import { answerAction, buttonValue } from "./question.ts";

/** A message that a run has posted, wherever it was: it can be edited, also by a later attempt. */
export type PostedMessage = {
	readonly threadId: string;
	readonly messageId: string;
};

/** Tries of one post while the platform says that it is asked too often. */
const mostTries = 5;
const defaultWaitMs = 1000;

/**
 * What a run says in the thread of its newest message. Calls are counted: a later attempt of the run that makes the same calls in the same
 * order posts nothing twice.
 */
export class ChatReply {
	readonly thread: Thread;
	readonly #run: ManagedRun<ChatInput, never>;
	#posts = 0;
	#edits = 0;

	constructor(thread: Thread, run: ManagedRun<ChatInput, never>) {
		this.thread = thread;
		this.#run = run;
	}

	/**
	 * Posts a message, or text as it comes. Told to stop while it streams, the run leaves what was posted so far.
	 *
	 * @throws STALE_RUN once the run was told to stop, and whatever the platform says
	 */
	post(
		content: AdapterPostableMessage | AsyncIterable<string>,
	): Promise<PostedMessage> {
		this.#posts += 1;
		return this.#run.deliver(`chat post ${this.#posts}`, ({ signal }) =>
			patient(signal, async () =>
				postedBy(
					await (isStream(content)
						? this.thread.post(until(signal, content))
						: this.thread.post(content)),
				),
			),
		);
	}

	/** Puts something else in the place of a message that was posted. Throws as `post`. */
	edit(
		{ threadId, messageId }: PostedMessage,
		content: AdapterPostableMessage,
	): Promise<void> {
		this.#edits += 1;
		const { adapter } = this.thread;
		return this.#run.deliver(`chat edit ${this.#edits}`, ({ signal }) =>
			patient(signal, async () => {
				await adapter.editMessage(threadId, messageId, content);
			}),
		);
	}

	/** The platform's sign that something is being written, for some seconds. Never throws. */
	async typing(status?: string): Promise<void> {
		if (this.#run.signal.aborted) return;
		await this.thread.startTyping(status).catch(() => {});
	}

	/**
	 * Asks the people of the thread, by buttons, and suspends the run until one of them is pressed, also over a restart. Buttons of a run
	 * that is over answer nothing.
	 *
	 * @example if ((await reply.ask("deploy", "Deploy to production?", ["yes", "no"])) === "yes") await deploy();
	 * @throws WAIT_TIMEOUT, and as `post`
	 */
	async ask<Choice extends string>(
		name: string,
		question: string,
		choices: readonly Choice[],
		options?: { timeoutMs?: number },
	): Promise<Choice> {
		if (choices.length === 0)
			throw invalid(
				`ask ${shown(name)} was given no choices; it needs at least one to press`,
			);
		const { ticket } = this.#run;
		await this.post({
			card: Card({
				children: [
					CardText(question),
					Actions(
						choices.map((choice) =>
							Button({
								id: answerAction,
								label: choice,
								value: buttonValue(ticket, name, choice),
							}),
						),
					),
				],
			}),
			fallbackText: question,
		});
		return this.#run.waitFor<Choice>(name, options);
	}
}

/** One a run: it counts what the run has posted. */
const replies = new WeakMap<object, ChatReply>();

/**
 * The door out of a run: what it says goes to the thread of its newest message. The same for all who ask for that of one run.
 *
 * @example
 * execute: async (run) => {
 *   const reply = replyTo(bot, run);
 *   await reply.post(await answer(run.messages, run.signal));
 * }
 * @throws INVALID_ARGUMENT for a message that did not come through `connectChat`
 */
export function replyTo<Adapters extends Record<string, Adapter>, State, Meta>(
	bot: Chat<Adapters, State>,
	run: ManagedRun<ChatInput, Meta>,
): ChatReply {
	const threadId = run.messages.at(-1)?.input?.threadId;
	if (typeof threadId !== "string")
		throw invalid(
			`run ${shown(run.ticket.runId)} has no message with a threadId; its messages must come through connectChat, or be of its ChatInput`,
		);
	const known = replies.get(run);
	if (known) return known;
	const reply = new ChatReply(
		bot.thread(threadId) as Thread,
		run as ManagedRun<ChatInput, never>,
	);
	replies.set(run, reply);
	return reply;
}

function isStream(content: object | string): content is AsyncIterable<string> {
	return typeof content === "object" && Symbol.asyncIterator in content;
}

function postedBy({ threadId, id }: SentMessage): PostedMessage {
	return { threadId, messageId: id };
}

/** Text until the run is told to stop: what comes after that is not posted. */
async function* until(
	signal: AbortSignal,
	stream: AsyncIterable<string>,
): AsyncIterable<string> {
	const { promise: stopped, resolve } = Promise.withResolvers<"stopped">();
	const stop = () => resolve("stopped");
	signal.addEventListener("abort", stop, { once: true });
	if (signal.aborted) stop();
	const source = stream[Symbol.asyncIterator]();
	try {
		for (;;) {
			const next = await Promise.race([source.next(), stopped]);
			if (next === "stopped" || next.done) return;
			yield next.value;
		}
	} finally {
		signal.removeEventListener("abort", stop);
		void source.return?.()?.then(undefined, () => {});
	}
}

/** Waits as long as the platform says when it is asked too often. A run that is told to stop meanwhile posts nothing. */
async function patient<Result>(
	signal: AbortSignal,
	act: () => Promise<Result>,
): Promise<Result> {
	for (let tries = 1; ; tries++) {
		signal.throwIfAborted();
		try {
			return await act();
		} catch (error) {
			const waitMs = heldBackMs(error);
			if (waitMs === null || tries === mostTries) throw error;
			await after(waitMs, undefined, { signal });
		}
	}
}

/** How platforms say that they are asked too often: the Chat SDK, its adapters, and Slack's own client. */
const heldBack = new Set<unknown>([
	"RATE_LIMITED",
	"slack_webapi_rate_limited_error",
]);

/** How long they want to be left alone; null: it is another error. Told by its code, for the package may be there more than once. */
function heldBackMs(error: unknown): number | null {
	const { code, retryAfterMs, retryAfter } = (error ?? {}) as {
		readonly code?: unknown;
		readonly retryAfterMs?: number;
		/** In seconds. */
		readonly retryAfter?: number;
	};
	if (!heldBack.has(code)) return null;
	return (
		retryAfterMs ??
		(retryAfter === undefined ? defaultWaitMs : retryAfter * 1000)
	);
}
