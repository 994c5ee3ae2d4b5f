/**
 * Owns the Telegram bot's start: `npm run start:telegram`. With TELEGRAM_BOT_TOKEN, TELEGRAM_WEBHOOK_SECRET_TOKEN, OPENAI_BASE_URL and
 * OPENAI_MODEL it is a bot of yours (setWebhook is yours to call); without them a conversation is played on loopback.
 */
import { sqliteStore } from "turnkeeper/sqlite";
import { playConversation } from "../platforms/script.ts";
import { envOf } from "../platforms/settings.ts";
import { createTelegramBot } from "./host.ts";
import { botToken, secretToken, TelegramServer } from "./telegram-server.ts";

const env = envOf([
	"TELEGRAM_BOT_TOKEN",
	"TELEGRAM_WEBHOOK_SECRET_TOKEN",
	"OPENAI_BASE_URL",
	"OPENAI_MODEL",
]);
if (env === "none") {
	await using telegram = await TelegramServer.start();
	await playConversation({
		start: async (options) => {
			const host = createTelegramBot({
				...options,
				botToken,
				secretToken,
				telegramUrl: telegram.url,
				port: 0,
			});
			telegram.webhook = await host.start();
			return host;
		},
		say: async (said) => {
			await telegram.say(said);
		},
		said: () => telegram.messages,
	});
} else if (env) {
	const host = createTelegramBot({
		store: sqliteStore(process.env.DB ?? "telegram.db"),
		botToken: env.TELEGRAM_BOT_TOKEN,
		secretToken: env.TELEGRAM_WEBHOOK_SECRET_TOKEN,
		modelUrl: env.OPENAI_BASE_URL,
		modelName: env.OPENAI_MODEL,
		modelKey: process.env.OPENAI_API_KEY,
		port: Number(process.env.PORT ?? 3000),
	});
	console.log(`The webhook listens on ${await host.start()}`);
	for (const signal of ["SIGINT", "SIGTERM"] as const)
		process.once(signal, () => void host.close());
}
