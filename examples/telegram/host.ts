/** Owns the bot of `examples/platforms` on Telegram, behind a webhook: a small HTTP server that Telegram posts to. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { createTelegramAdapter } from "@chat-adapter/telegram";
import { type Adapter, ConsoleLogger } from "chat";
import { type BotOptions, createBot } from "../platforms/bot.ts";

export interface TelegramBotOptions extends Omit<BotOptions, "adapter"> {
	readonly botToken: string;
	/** What Telegram says in each of its posts, so that nobody else is heard. */
	readonly secretToken: string;
	/** Of a Telegram that is not Telegram. */
	readonly telegramUrl?: string;
	/** Where it listens; 0: any free port. */
	readonly port: number;
}

/** Updates are small; whatever is larger is none. */
const longestUpdate = 1024 * 1024;

export function createTelegramBot({
	botToken,
	secretToken,
	telegramUrl,
	port,
	...options
}: TelegramBotOptions) {
	const adapter = createTelegramAdapter({
		mode: "webhook",
		botToken,
		secretToken,
		logger: new ConsoleLogger("silent"),
		...(telegramUrl === undefined ? {} : { apiUrl: telegramUrl }),
	});
	const host = createBot({ ...options, adapter: adapter as Adapter });
	const server = createServer(async (request, response) => {
		try {
			const body = await bodyOf(request);
			const { status, text } =
				body === null
					? { status: 413, text: "too large" }
					: await webhook(request, body);
			response.writeHead(status).end(text);
		} catch {
			response.writeHead(500).end();
		}
	});

	/** Answers when the message is durable: what is lost before that, Telegram sends again. */
	async function webhook(
		{ method = "", headers }: IncomingMessage,
		body: Buffer,
	): Promise<{ status: number; text: string }> {
		if (method !== "POST") return { status: 405, text: "POST an update" };
		const tasks: Promise<unknown>[] = [];
		const answer = await host.bot.webhooks[adapter.name]?.(
			new Request("http://localhost/", {
				method,
				headers: headers as Record<string, string>,
				body: new Uint8Array(body),
			}),
			{ waitUntil: (task) => tasks.push(task) },
		);
		await Promise.allSettled(tasks);
		return {
			status: answer?.status ?? 500,
			text: (await answer?.text()) ?? "",
		};
	}

	return {
		...host,
		/** Resolves with the address of the webhook. */
		async start(): Promise<string> {
			await checkToken(telegramUrl ?? "https://api.telegram.org", botToken);
			await host.start();
			server.listen(port, "127.0.0.1");
			await once(server, "listening");
			return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
		},
		async close(): Promise<void> {
			server.close();
			server.closeAllConnections();
			await host.close();
		},
	};
}

/** The adapter itself only warns of it. */
async function checkToken(url: string, botToken: string): Promise<void> {
	const response = await fetch(`${url}/bot${botToken}/getMe`);
	const { ok, description } = (await response.json()) as {
		ok: boolean;
		description?: string;
	};
	if (!ok)
		throw new Error(
			`Telegram does not take the bot's token: ${description}; it must be the one that BotFather gave`,
		);
}

/** Null: it is too large. Read to its end all the same, else whoever sends it hears no answer. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of request) {
		length += chunk.length;
		if (length <= longestUpdate) chunks.push(chunk);
	}
	return length > longestUpdate ? null : Buffer.concat(chunks);
}
