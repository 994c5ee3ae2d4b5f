/**
 * Owns a Telegram without Telegram: the part of its Bot API that a bot needs, on loopback. What people say is posted to the bot's webhook; what
 * the bot posts stands in the chats as anybody would see it. It delivers twice and holds back when told to.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export const botToken = "42:of-the-example";
export const secretToken = "secret-of-the-example";

/** A message as it stands in a chat. */
export interface Posted {
	readonly chat: number;
	readonly id: number;
	/** Null: the bot. */
	readonly user: string | null;
	text: string;
	reactions: string[];
	readonly buttons: readonly {
		readonly label: string;
		readonly value: string;
	}[];
}

/** What somebody says. */
export interface Saying {
	readonly chat?: number;
	readonly user?: string;
	/** Delivered so often. Default 1. */
	readonly times?: number;
}

type Fields = Readonly<Record<string, unknown>>;

export class TelegramServer implements AsyncDisposable {
	/** All that was said, by anybody, in order. */
	readonly messages: Posted[] = [];
	/** So many of the next posts are held back: 429, to be tried again after a second. */
	holdBack = 0;
	/** Where updates are posted to. */
	webhook = "";
	readonly #http = createServer((request, response) => {
		this.#answer(request).then(
			({ status, body }) => {
				response.writeHead(status, { "content-type": "application/json" });
				response.end(JSON.stringify(body));
			},
			() => response.destroy(),
		);
	});
	#ids = 0;
	#updates = 0;

	/** @example await using telegram = await TelegramServer.start(); */
	static async start(): Promise<TelegramServer> {
		const server = new TelegramServer();
		server.#http.listen(0, "127.0.0.1");
		await once(server.#http, "listening");
		return server;
	}

	/** For the adapter's `apiUrl`. */
	get url(): string {
		return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
	}

	/** What the bot has said so far. */
	get botSaid(): string[] {
		return this.messages
			.filter(({ user }) => user === null)
			.map((message) => message.text);
	}

	/** Says something; resolves with its id once the bot has taken it. */
	async say(
		said: string,
		{ chat = 7, user = "ada", times = 1 }: Saying = {},
	): Promise<number> {
		const id = this.#put({ chat, user, text: said, buttons: [] });
		this.#updates += 1;
		const update = { update_id: this.#updates, message: this.#shown(id) };
		for (let time = 0; time < times; time++) await this.#deliver(update);
		return id;
	}

	/** Somebody changes what they have said. */
	async edit(id: number, to: string): Promise<void> {
		this.#find(id).text = to;
		this.#updates += 1;
		await this.#deliver({
			update_id: this.#updates,
			edited_message: { ...this.#shown(id), edit_date: 1_700_000_999 },
		});
	}

	/** Presses the button of this label under the newest message of the bot that has one. */
	async press(label: string, user = "ada"): Promise<void> {
		const message = this.messages.findLast(({ buttons }) => buttons.length > 0);
		const button = message?.buttons.find((one) => one.label === label);
		if (!message || !button) throw new Error(`there is no button ${label}`);
		this.#updates += 1;
		await this.#deliver({
			update_id: this.#updates,
			callback_query: {
				id: String(this.#updates),
				from: personNamed(user),
				chat_instance: "1",
				data: button.value,
				message: this.#shown(message.id),
			},
		});
	}

	async close(): Promise<void> {
		this.#http.closeAllConnections();
		if (this.#http.listening)
			await new Promise((done) => this.#http.close(done));
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	#put(message: Omit<Posted, "id" | "reactions">): number {
		this.#ids += 1;
		this.messages.push({ ...message, id: this.#ids, reactions: [] });
		return this.#ids;
	}

	#find(id: unknown): Posted {
		const found = this.messages.find((message) => message.id === Number(id));
		if (!found) throw new Error(`there is no message ${id}`);
		return found;
	}

	/** A message as the Bot API has it. */
	#shown(id: number): Fields {
		const { chat, user, text: said } = this.#find(id);
		const [command] = /^\/\w+/.exec(said) ?? [];
		return {
			message_id: id,
			date: 1_700_000_000 + id,
			chat: { id: chat, type: "private", first_name: "Ada" },
			from: user === null ? bot : personNamed(user),
			text: said,
			...(command
				? {
						entities: [
							{ type: "bot_command", offset: 0, length: command.length },
						],
					}
				: {}),
		};
	}

	async #deliver(update: Fields): Promise<void> {
		const response = await fetch(this.webhook, {
			method: "POST",
			headers: {
				"content-type": "application/json",
				"x-telegram-bot-api-secret-token": secretToken,
			},
			body: JSON.stringify(update),
		});
		await response.body?.cancel();
	}

	async #answer(
		request: IncomingMessage,
	): Promise<{ status: number; body: Fields }> {
		const [, token, method = ""] =
			/^\/bot([^/]+)\/(\w+)$/.exec(request.url ?? "") ?? [];
		const fields: Fields = JSON.parse((await text(request)) || "{}");
		const refused = (
			status: number,
			description: string,
			more: Fields = {},
		) => ({
			status,
			body: { ok: false, error_code: status, description, ...more },
		});
		if (token !== botToken) return refused(401, "Unauthorized");
		if (/^send(Rich)?Message$/.test(method) && this.holdBack > 0) {
			this.holdBack -= 1;
			return refused(429, "Too Many Requests: retry after 1", {
				parameters: { retry_after: 1 },
			});
		}
		const act = this.#methods[method];
		return act
			? { status: 200, body: { ok: true, result: act(fields) } }
			: refused(404, `Not Found: method ${method} not found`);
	}

	readonly #methods: Record<string, (fields: Fields) => unknown> = {
		getMe: () => bot,
		getChat: ({ chat_id }) => ({
			id: Number(chat_id),
			type: "private",
			first_name: "Ada",
		}),
		getWebhookInfo: () => ({ url: this.webhook, pending_update_count: 0 }),
		sendChatAction: () => true,
		answerCallbackQuery: () => true,
		sendMessage: ({ chat_id, text: said, parse_mode, reply_markup }) =>
			this.#shown(
				this.#put({
					chat: Number(chat_id),
					user: null,
					text: shown(String(said), parse_mode),
					buttons: buttonsIn(reply_markup),
				}),
			),
		editMessageText: ({ message_id, text: said, parse_mode }) => {
			this.#find(message_id).text = shown(String(said), parse_mode);
			return this.#shown(Number(message_id));
		},
		editMessageReplyMarkup: ({ message_id }) => this.#shown(Number(message_id)),
		setMessageReaction: ({ message_id, reaction }) => {
			this.#find(message_id).reactions = (
				(reaction ?? []) as { emoji?: string }[]
			).map(({ emoji = "" }) => emoji);
			return true;
		},
	};
}

/** As people see it: without what keeps a character from being a mark. */
function shown(said: string, mode: unknown): string {
	return mode === "MarkdownV2" ? said.replaceAll(/\\(.)/g, "$1") : said;
}

const bot = { id: 42, is_bot: true, first_name: "Bot", username: "bot" };

function personNamed(user: string): Fields {
	return {
		id: 1,
		is_bot: false,
		first_name: user,
		username: user,
	};
}

function buttonsIn(markup: unknown): Posted["buttons"] {
	const { inline_keyboard = [] } = (markup ?? {}) as {
		inline_keyboard?: { text: string; callback_data: string }[][];
	};
	return inline_keyboard
		.flat()
		.map(({ text: label, callback_data: value }) => ({ label, value }));
}
