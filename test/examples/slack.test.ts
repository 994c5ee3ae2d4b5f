/** What a bot on Slack says to tokens that Slack does not know, and to events that are not Slack's. */
import { createHmac } from "node:crypto";
import { createSlackAdapter } from "@chat-adapter/slack";
import { type Adapter, ConsoleLogger } from "chat";
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test } from "vitest";
import { startModelServer } from "../../examples/model-server/model-server.ts";
import { createBot } from "../../examples/platforms/bot.ts";
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

test("events by webhook: a wrong signature, an old one and a body that was changed are refused, and what comes twice runs once", async () => {
	const slack = await SlackServer.start();
	const model = await startModelServer({ answer: () => [{ say: "hello" }] });
	const signingSecret = "signed";
	const adapter = createSlackAdapter({
		mode: "webhook",
		botToken,
		signingSecret,
		apiUrl: slack.url,
		logger: new ConsoleLogger("silent"),
		webClientOptions: { rejectRateLimitedCalls: true },
	});
	const host = createBot({
		// Its own types do not stand `exactOptionalPropertyTypes`.
		adapter: adapter as Adapter,
		store: memoryStore(),
		modelUrl: model.url,
		modelName: "scripted",
	});
	await host.start();
	onTestFinished(async () => {
		await host.close();
		await model.close();
		await slack.close();
	});
	const event = JSON.stringify({
		type: "event_callback",
		event_id: "Ev1",
		team_id: "T1",
		event: {
			type: "app_mention",
			channel: "C1",
			user: "U1",
			ts: "1700000001.000100",
			text: "<@UBOT> hello",
		},
	});
	const post = async (
		at: number,
		secret = signingSecret,
		signed = event,
	): Promise<number> => {
		const hash = createHmac("sha256", secret).update(`v0:${at}:${signed}`);
		const request = new Request("http://127.0.0.1/slack", {
			method: "POST",
			body: event,
			headers: {
				"content-type": "application/json",
				"x-slack-request-timestamp": String(at),
				"x-slack-signature": `v0=${hash.digest("hex")}`,
			},
		});
		const webhook = host.bot.webhooks.slack;
		if (!webhook) throw new Error("the adapter has no webhook");
		return (await webhook(request)).status;
	};
	const now = Math.floor(Date.now() / 1000);
	expect(await post(now, "wrong")).toBe(401);
	expect(await post(now - 3600)).toBe(401);
	expect(await post(now, signingSecret, `${event} `)).toBe(401);
	expect((await host.runtime.list()).items).toEqual([]);
	expect(await post(now)).toBe(200);
	expect(await post(now)).toBe(200);
	await host.runtime.until(
		"agent:main:slack:channel:C1:thread:1700000001.000100",
		(row) => row?.status === "ended",
	);
	await host.runtime.whenIdle();
	expect(slack.messages.map(({ text }) => text)).toEqual(["hello"]);
});
