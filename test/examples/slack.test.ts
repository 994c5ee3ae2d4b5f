/** What the bot of `examples/slack` says to tokens that Slack does not know. */
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test } from "vitest";
import { createSlackBot } from "../../examples/slack/host.ts";
import {
	appToken,
	botToken,
	SlackServer,
} from "../../examples/slack/slack-server.ts";

test.each([
	["app", { appToken: "xapp-wrong", botToken }],
	["bot", { appToken, botToken: "xoxb-wrong" }],
])(
	"the %s token: one that Slack does not know is an error at the start",
	async (_, tokens) => {
		const slack = await SlackServer.start();
		const host = createSlackBot({
			store: memoryStore(),
			modelUrl: "http://127.0.0.1:1/v1",
			modelName: "none",
			slackUrl: slack.url,
			...tokens,
		});
		onTestFinished(async () => {
			await host.close();
			await slack.close();
		});
		const started = await host.start().then(
			() => "started",
			(error: Error) => error.message,
		);
		expect(started).toContain("invalid_auth");
	},
);
