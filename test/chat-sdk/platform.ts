/** Owns a platform in memory that the Chat SDK talks to: what people say there goes in, what the bot does there is written down. */
import { createMemoryState } from "@chat-adapter/state-memory";
import {
	type ActionEvent,
	type Adapter,
	type AdapterPostableMessage,
	Chat,
	type ChatInstance,
	type EmojiValue,
	Message,
	parseMarkdown,
} from "chat";

/** One thing that the bot did there, in order. */
export type Act =
	| {
			readonly act: "post" | "edit";
			readonly id: string;
			readonly text: string;
	  }
	| {
			readonly act: "react" | "unreact";
			readonly id: string;
			readonly emoji: string;
	  }
	| { readonly act: "type" };

interface Choice {
	readonly label: string;
	readonly value: string;
}

export class FakePlatform {
	readonly acts: Act[] = [];
	/** Buttons of the newest card. */
	choices: readonly Choice[] = [];
	/** Thrown by the next calls, one each. */
	failures: unknown[] = [];
	readonly adapter: Adapter;
	#bot: ChatInstance | null = null;
	#ids = 0;

	constructor(options: { lockScope?: "channel" | "thread" } = {}) {
		const act = (what: Act) => {
			const failure = this.failures.shift();
			if (failure) throw failure;
			this.acts.push(what);
		};
		this.adapter = {
			name: "fake",
			userName: "bot",
			...options,
			initialize: async (bot: ChatInstance) => {
				this.#bot = bot;
			},
			isDM: (threadId: string) => threadId.startsWith("fake:D"),
			channelIdFromThreadId: (threadId: string) =>
				threadId.split(":").slice(0, 2).join(":"),
			postMessage: async (
				threadId: string,
				message: AdapterPostableMessage,
			) => {
				this.#ids += 1;
				const id = `posted-${this.#ids}`;
				act({ act: "post", id, text: this.#textOf(message) });
				return { id, threadId, raw: {} };
			},
			editMessage: async (
				threadId: string,
				id: string,
				message: AdapterPostableMessage,
			) => {
				act({ act: "edit", id, text: this.#textOf(message) });
				return { id, threadId, raw: {} };
			},
			postChannelMessage: (
				channelId: string,
				message: AdapterPostableMessage,
			) => this.adapter.postMessage(channelId, message),
			startTyping: async () => act({ act: "type" }),
			addReaction: async (_: string, id: string, emoji: EmojiValue | string) =>
				act({ act: "react", id, emoji: nameOf(emoji) }),
			removeReaction: async (
				_: string,
				id: string,
				emoji: EmojiValue | string,
			) => act({ act: "unreact", id, emoji: nameOf(emoji) }),
			renderFormatted: () => "",
		} satisfies Partial<Adapter> as Partial<Adapter> as Adapter;
	}

	bot(concurrency: "concurrent" | "queue" = "concurrent"): Chat {
		return new Chat({
			userName: "bot",
			adapters: { fake: this.adapter },
			state: createMemoryState(),
			concurrency,
			logger: "silent",
		});
	}

	/** Somebody says something; resolves when the bot has taken it. */
	async say(
		threadId: string,
		text: string,
		id: string,
		how: { edited?: boolean } = {},
	): Promise<void> {
		const bot = this.#bot;
		if (!bot) throw new Error("the bot has not been initialized");
		const message = new Message({
			id,
			threadId,
			text,
			formatted: parseMarkdown(text),
			author: {
				userId: "U1",
				userName: "ada",
				fullName: "Ada",
				isBot: false,
				isMe: false,
			},
			attachments: [],
			metadata: { dateSent: new Date(1000), edited: how.edited ?? false },
			raw: {},
		});
		if (how.edited)
			await bot.processMessageUpdated({
				adapter: this.adapter,
				message,
				threadId,
			});
		else await bot.processMessage(this.adapter, threadId, message);
	}

	async unsay(threadId: string, messageId: string): Promise<void> {
		await this.#bot?.processMessageDeleted({
			adapter: this.adapter,
			channelId: this.adapter.channelIdFromThreadId(threadId),
			messageId,
			threadId,
			raw: {},
		});
	}

	async press(
		threadId: string,
		{ value }: Choice,
		actionId = "turnkeeper",
	): Promise<void> {
		const event = {
			adapter: this.adapter,
			actionId,
			value,
			threadId,
			messageId: "posted-1",
			user: {
				userId: "U1",
				userName: "ada",
				fullName: "Ada",
				isBot: false,
				isMe: false,
			},
			raw: {},
		} satisfies Omit<ActionEvent, "thread" | "openModal">;
		await this.#bot?.processAction(event, undefined);
	}

	async command(channelId: string, command: string, text = ""): Promise<void> {
		await this.#bot?.processSlashCommand(
			{
				adapter: this.adapter,
				channelId,
				command,
				text,
				raw: {},
				user: {
					userId: "U1",
					userName: "ada",
					fullName: "Ada",
					isBot: false,
					isMe: false,
				},
			},
			undefined,
		);
	}

	/** What the bot has written so far, its newest edits for what they replace. */
	get texts(): string[] {
		const byId = new Map<string, string>();
		for (const one of this.acts)
			if (one.act === "post" || one.act === "edit") byId.set(one.id, one.text);
		return [...byId.values()];
	}

	#textOf(message: AdapterPostableMessage): string {
		if (typeof message === "string") return message;
		if ("raw" in message) return message.raw;
		if ("markdown" in message) return message.markdown;
		if ("card" in message) {
			this.choices = message.card.children.flatMap((child) =>
				child.type === "actions"
					? child.children.flatMap((one) =>
							one.type === "button"
								? [{ label: one.label, value: one.value ?? "" }]
								: [],
						)
					: [],
			);
			return message.fallbackText ?? "a card";
		}
		return JSON.stringify(message);
	}
}

function nameOf(emoji: EmojiValue | string): string {
	return typeof emoji === "string" ? emoji : emoji.name;
}
