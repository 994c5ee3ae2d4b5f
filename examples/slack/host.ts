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
	const host = createBot({ ...options, adapter: adapter as Adapter });
	return {
		...host,
		async start(): Promise<void> {
			await checkToken(slackUrl ?? "https://slack.com/api/", botToken);
			await host.start();
		},
	};
}

/** The adapter itself only warns of it. */
async function checkToken(url: string, botToken: string): Promise<void> {
	const response = await fetch(new URL("auth.test", url), {
		method: "POST",
		headers: { authorization: `Bearer ${botToken}` },
	});
	const { ok, error } = (await response.json()) as {
		ok: boolean;
		error?: string;
	};
	if (!ok)
		throw new Error(
			`Slack does not take the bot's token: ${error}; it must be the xoxb- token of an app that is installed in the workspace`,
		);
}
