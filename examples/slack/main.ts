/**
 * Owns the Slack bot's start: `npm run start:slack`. With SLACK_APP_TOKEN, SLACK_BOT_TOKEN, OPENAI_BASE_URL and OPENAI_MODEL it is a bot in
 * your workspace; without them a conversation is played on loopback.
 */
import { sqliteStore } from "turnkeeper/sqlite";
import { playConversation } from "../platforms/script.ts";
import { envOf } from "../platforms/settings.ts";
import { createSlackBot } from "./host.ts";
import { appToken, botToken, SlackServer } from "./slack-server.ts";

const env = envOf([
	"SLACK_APP_TOKEN",
	"SLACK_BOT_TOKEN",
	"OPENAI_BASE_URL",
	"OPENAI_MODEL",
]);
if (env === "none") {
	await using slack = await SlackServer.start();
	let thread: string | undefined;
	await playConversation({
		start: async (options) => {
			const host = createSlackBot({
				...options,
				appToken,
				botToken,
				slackUrl: slack.url,
			});
			await host.start();
			return host;
		},
		say: async (said) => {
			const ts = await slack.say(
				thread === undefined ? `<@UBOT> ${said}` : said,
				thread === undefined ? {} : { thread },
			);
			thread ??= ts;
		},
		said: () => slack.messages,
	});
} else if (env) {
	const host = createSlackBot({
		store: sqliteStore(process.env.DB ?? "slack.db"),
		appToken: env.SLACK_APP_TOKEN,
		botToken: env.SLACK_BOT_TOKEN,
		modelUrl: env.OPENAI_BASE_URL,
		modelName: env.OPENAI_MODEL,
		modelKey: process.env.OPENAI_API_KEY,
	});
	await host.start();
	console.log(
		"Connected. Mention the bot in a channel, or write to it directly.",
	);
	for (const signal of ["SIGINT", "SIGTERM"] as const)
		process.once(signal, () => void host.close());
}
