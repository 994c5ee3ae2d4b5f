/**
 * Owns the way from the Chat SDK into a runtime: messages become messages of a session, under their own ids, so that one which the platform
 * delivers twice runs once; edits and deletions reach those that still wait; commands and buttons reach the session.
 */
import {
	type ActionEvent,
	type Adapter,
	type Chat,
	emoji,
	type Message,
	type SlashCommandEvent,
	type Thread,
} from "chat";
import { invalid, shown } from "../arguments.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { risingId } from "../ids.ts";
import type { SendReceipt, SessionRuntime } from "../runtime.ts";
import { carryOut, commandIn, commandNames } from "./commands.ts";
import {
	type ChatInput,
	type ChatPlace,
	type ChatScope,
	channelPlace,
	inputOf,
	placeOf,
	sessionKeyOf,
} from "./place.ts";
import { answerAction, answerOf } from "./question.ts";

/** What people see of what becomes of their message, before its run says anything. Each may be left out: `false`. Never fails a message. */
export interface ChatSigns {
	/** Its run has begun. Default: the platform's typing sign. */
	readonly started?: Sign | false;
	/** It waits for its turn. Default: an hourglass on it, taken away when it has ended. */
	readonly queued?: Sign | false;
	/** It was not accepted. Default: a warning sign on it. */
	readonly refused?:
		| ((thread: Thread, message: Message, error: unknown) => unknown)
		| false;
}

type Sign = (
	thread: Thread,
	message: Message,
	receipt: SendReceipt<unknown>,
) => unknown;

export interface ChatOptions {
	/** In the default session keys: `agent:<agent>:slack:channel:C1`. Default "main". */
	readonly agent?: string;
	/** Whether a channel is one conversation or each thread is. Default: as the adapter says, else "thread". A direct message is always one. */
	readonly scope?: ChatScope;
	/** Another key than `sessionKeyOf(place, agent)`. */
	readonly sessionKey?: (place: ChatPlace) => string;
	/** Whether a message begins with /new, /stop or /queue is looked at. Default true. */
	readonly commands?: boolean;
	readonly signs?: ChatSigns;
	/** Who may press the buttons of `ask`. Default: everybody. */
	readonly mayAnswer?: (event: ActionEvent) => boolean | Promise<boolean>;
	/** How long a message is tried again while the store does not take it, in ms. Default 30,000. */
	readonly retryMs?: number;
}

const firstPauseMs = 250;

/**
 * Connects a bot to a runtime. To be called before the bot takes its first message. The bot must be made with `concurrency: "concurrent"`:
 * what overlaps is the runtime's to order.
 *
 * @example
 * const bot = new Chat({ userName: "bot", adapters: { slack }, state, concurrency: "concurrent" });
 * const runtime = createSessionRuntime<ChatInput>({ store, execute: (run) => replyTo(bot, run).post("…") });
 * connectChat(bot, runtime);
 * @throws INVALID_ARGUMENT for a bot that orders messages itself
 */
export function connectChat<
	Adapters extends Record<string, Adapter>,
	State,
	Meta,
>(
	bot: Chat<Adapters, State>,
	runtime: SessionRuntime<ChatInput, unknown, Meta>,
	options: ChatOptions = {},
): void {
	mustBeConcurrent(bot);
	const door = new Door(bot as unknown as Chat, runtime as never, options);
	door.open();
}

/** The Chat SDK keeps its strategy to itself; where it is not found there, nothing is said. */
function mustBeConcurrent(bot: object): void {
	const { _concurrencyStrategy: strategy } = bot as {
		_concurrencyStrategy?: unknown;
	};
	if (strategy !== undefined && strategy !== "concurrent")
		throw invalid(
			`the bot's concurrency is ${shown(strategy)}; it must be "concurrent", for what overlaps is ordered by the runtime: new Chat({ concurrency: "concurrent", … })`,
		);
}

class Door {
	readonly #bot: Chat;
	readonly #runtime: SessionRuntime<ChatInput, unknown, unknown>;
	readonly #options: ChatOptions;

	constructor(
		bot: Chat,
		runtime: SessionRuntime<ChatInput, unknown, unknown>,
		options: ChatOptions,
	) {
		this.#bot = bot;
		this.#runtime = runtime;
		this.#options = options;
	}

	open(): void {
		const bot = this.#bot;
		bot.onDirectMessage((thread, message) => this.#take(thread, message));
		bot.onNewMention((thread, message) => this.#join(thread, message));
		bot.onSubscribedMessage((thread, message) => this.#take(thread, message));
		// Sessions may outlive what the Chat SDK remembers of its threads.
		bot.onNewMessage(/^/, async (thread, message) => {
			const place = placeOf(thread, this.#options.scope);
			if (place.thread === null) return;
			if (await this.#runtime.get(this.#keyAt(place)))
				await this.#join(thread, message);
		});
		bot.onMessageUpdated((thread, message) => this.#edit(thread, message));
		bot.onMessageDeleted(async ({ threadId, messageId }) => {
			const key = this.#keyOf(bot.thread(threadId));
			await this.#untilStored(() => this.#runtime.queue.remove(key, messageId));
		});
		bot.onAction(answerAction, (event) => this.#answer(event));
		if (this.#options.commands === false) return;
		bot.onSlashCommand(
			commandNames.map((name) => `/${name}`),
			(event) => this.#obeySlash(event),
		);
	}

	#keyOf(
		thread: Pick<Thread, "adapter" | "channelId" | "id" | "isDM">,
	): string {
		return this.#keyAt(placeOf(thread, this.#options.scope));
	}

	#keyAt(place: ChatPlace): string {
		const { sessionKey, agent } = this.#options;
		return sessionKey?.(place) ?? sessionKeyOf(place, agent);
	}

	/** A thread that goes on without a mention from now on. The message first: it must not be lost where the Chat SDK cannot remember its thread. */
	async #join(thread: Thread, message: Message): Promise<void> {
		await this.#take(thread, message);
		await thread.subscribe();
	}

	/** Reaches a message that waits; one that a run has taken stays as it was. */
	async #edit(thread: Thread, message: Message): Promise<void> {
		const key = this.#keyOf(thread);
		const input = inputOf(message, thread.adapter);
		await this.#untilStored(() =>
			this.#runtime.queue.update(key, message.id, { input }),
		);
	}

	async #take(thread: Thread, message: Message): Promise<void> {
		// Where an edit is the same message again, as on Telegram.
		if (message.metadata.edited) return this.#edit(thread, message);
		const input = inputOf(message, thread.adapter);
		const said =
			this.#options.commands === false
				? null
				: commandIn(input.text, this.#bot.getUserName());
		const key = this.#keyOf(thread);
		try {
			if (said && !(said.command === "new" && said.rest !== "")) {
				const told = await this.#untilStored(() =>
					carryOut(this.#runtime, key, said.command, message.id),
				);
				if (told !== null) await thread.post(told);
				return;
			}
			const receipt = await this.#untilStored(() =>
				this.#runtime.send(key, said ? { ...input, text: said.rest } : input, {
					messageId: message.id,
					reset: said !== null,
				}),
			);
			void this.#show(thread, message, receipt);
		} catch (error) {
			this.#warn(`message ${shown(message.id)} was not accepted`, error);
			const { refused = warn } = this.#options.signs ?? {};
			if (refused) await this.#quietly(() => refused(thread, message, error));
		}
	}

	async #show(
		thread: Thread,
		message: Message,
		receipt: SendReceipt<unknown>,
	): Promise<void> {
		const { started = type, queued = wait } = this.#options.signs ?? {};
		const { disposition } = receipt;
		const sign =
			disposition === "started"
				? started
				: disposition === "queued" || disposition === "steered"
					? queued
					: false;
		if (sign) await this.#quietly(() => sign(thread, message, receipt));
	}

	/** A platform that has been told that its message is there does not send it again: while the store is away, that is for us to do. */
	async #untilStored<Answer>(act: () => Promise<Answer>): Promise<Answer> {
		const { retryMs = 30_000 } = this.#options;
		const giveUpAt = performance.now() + retryMs;
		for (let pauseMs = firstPauseMs; ; pauseMs *= 2)
			try {
				return await act();
			} catch (error) {
				const isAway =
					error instanceof TurnkeeperError && error.code === "STORE_FAILED";
				if (!isAway || performance.now() + pauseMs > giveUpAt) throw error;
				await new Promise<void>((next) => setTimeout(next, pauseMs));
			}
	}

	/** Only the run that asked is answered: a button of any other says nothing. */
	async #answer(event: ActionEvent): Promise<void> {
		const { threadId, value } = event;
		if (value === undefined) return;
		const { mayAnswer } = this.#options;
		if (mayAnswer && !(await mayAnswer(event))) return;
		const row = await this.#runtime.get(
			this.#keyOf(this.#bot.thread(threadId)),
		);
		const ticket = row?.activeRun;
		const answer = ticket && answerOf(value, ticket, row.waits);
		if (!answer) {
			this.#bot
				.getLogger("turnkeeper")
				.info("a button was pressed that no run waits for", { threadId });
			return;
		}
		const { wait, choice } = answer;
		await this.#untilStored(() => this.#runtime.resume(ticket, wait, choice));
	}

	/** A command that the platform knows itself: of a channel, not of a thread. */
	async #obeySlash(event: SlashCommandEvent): Promise<void> {
		const { adapter, channel, user } = event;
		const said = commandIn(
			`${event.command} ${event.text}`,
			this.#bot.getUserName(),
		);
		if (!said) return;
		const isDM = adapter.isDM?.(channel.id) ?? channel.isDM;
		const key = this.#keyAt(channelPlace(adapter, channel.id, isDM));
		const messageId = idOf(event);
		// Where a channel is one conversation, it is also where an answer goes.
		if (
			said.command === "new" &&
			said.rest &&
			adapter.lockScope === "channel"
		) {
			const input: ChatInput = {
				text: said.rest,
				threadId: channel.id,
				messageId,
				author: {
					userId: user.userId,
					userName: user.userName,
					fullName: user.fullName,
				},
				sentAt: Date.now(),
				attachments: [],
			};
			await this.#untilStored(() =>
				this.#runtime.send(key, input, { messageId, reset: true }),
			);
			return;
		}
		const told = await this.#untilStored(() =>
			carryOut(this.#runtime, key, said.command, messageId),
		);
		if (told !== null)
			await channel.post(
				said.rest === "" ? told : `${told} Say the rest as a message.`,
			);
	}

	/** A sign that cannot be given is no reason to lose a message. */
	async #quietly(act: () => unknown): Promise<void> {
		try {
			await act();
		} catch (error) {
			this.#warn("a sign could not be given", error);
		}
	}

	#warn(what: string, error: unknown): void {
		this.#bot.getLogger("turnkeeper").warn(`${what}: ${errorText(error)}`);
	}
}

/** The id of a command: Slack gives each a trigger, Telegram's are messages. Where there is none, nobody can say that it is the same again. */
function idOf({ triggerId, raw }: SlashCommandEvent): string {
	const { message_id } = (raw ?? {}) as { message_id?: unknown };
	return `command ${triggerId ?? message_id ?? risingId()}`;
}

const type: Sign = (thread) => thread.startTyping();

const wait: Sign = async ({ adapter }, { threadId, id }, { settled }) => {
	await adapter.addReaction(threadId, id, emoji.hourglass);
	void settled
		.then(() => adapter.removeReaction(threadId, id, emoji.hourglass))
		.catch(() => {});
};

const warn = ({ adapter }: Thread, { threadId, id }: Message) =>
	adapter.addReaction(threadId, id, emoji.warning);
