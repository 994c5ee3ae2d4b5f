/** Owns the bot of `examples/platforms` on Slack, in socket mode: it connects to Slack, so it needs no address of its own. */
import { createSlackAdapter } from "@chat-adapter/slack";
import { type Adapter, ConsoleLogger } from "chat";
import { type BotOptions, createBot } from "../platforms/bot.ts";

export interface SlackBotOptions extends Omit<BotOptions, "adapter"> {
	readonly appToken: string;
	readonly botToken: string;
	/** Of a Slack that is not Slack. */
	readonly slackUrl?: string;
}

export function createSlackBot({
	appToken,
	botToken,
	slackUrl,
	...options
}: SlackBotOptions) {
	const adapter = createSlackAdapter({
		mode: "socket",
		appToken,
		botToken,
		logger: new ConsoleLogger("silent"),
		...(slackUrl === undefined ? {} : { apiUrl: slackUrl }),
		// Else Slack's client posts what it holds back when it may, also when its run was told to stop meanwhile.
		webClientOptions: { rejectRateLimitedCalls: true },
	});
	// Its own types do not stand `exactOptionalPropertyTypes`.
	return createBot({ ...options, adapter: adapter as Adapter });
}
