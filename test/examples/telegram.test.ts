/** What the webhook of `examples/telegram` is given that is no update of its own: it says so, and the host lives. */
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test } from "vitest";
import { startModelServer } from "../../examples/model-server/model-server.ts";
import { createTelegramBot } from "../../examples/telegram/host.ts";
import {
	botToken,
	secretToken,
	TelegramServer,
} from "../../examples/telegram/telegram-server.ts";

async function start() {
	const telegram = await TelegramServer.start();
	const model = await startModelServer({ answer: () => [{ say: "hello" }] });
	const host = createTelegramBot({
		store: memoryStore(),
		modelUrl: model.url,
		modelName: "scripted",
		botToken,
		secretToken,
		telegramUrl: telegram.url,
		port: 0,
	});
	const url = await host.start();
	telegram.webhook = url;
	onTestFinished(async () => {
		await host.close();
		await model.close();
		await telegram.close();
	});
	return { telegram, host, url };
}

const secret = { "x-telegram-bot-api-secret-token": secretToken };
const update = JSON.stringify({
	update_id: 1,
	message: {
		message_id: 5,
		date: 1_700_000_000,
		chat: { id: 7, type: "private", first_name: "Ada" },
		from: { id: 1, is_bot: false, first_name: "Ada" },
		text: "hello",
	},
});

test("whoever does not know the secret is not heard, nor is what is no update", async () => {
	const { telegram, host, url } = await start();
	const post = async (body: string, headers: Record<string, string>) =>
		(await fetch(url, { method: "POST", headers, body })).status;
	expect(await post(update, {})).toBe(401);
	expect(
		await post(update, {
			...secret,
			"x-telegram-bot-api-secret-token": "wrong",
		}),
	).toBe(401);
	expect(await post("{", secret)).toBe(400);
	expect(await post("x".repeat(2 * 1024 * 1024), secret)).toBe(413);
	expect((await fetch(url, { headers: secret })).status).toBe(405);
	expect((await host.runtime.list()).items).toEqual([]);
	expect(await post(update, secret)).toBe(200);
	// Once more, as from somebody who has seen it.
	expect(await post(update, secret)).toBe(200);
	await host.runtime.whenIdle();
	expect(telegram.botSaid).toEqual(["hello"]);
});

test("a token that Telegram does not know is an error at the start", async () => {
	await using telegram = await TelegramServer.start();
	const host = createTelegramBot({
		store: memoryStore(),
		modelUrl: "http://127.0.0.1:1/v1",
		modelName: "none",
		botToken: "42:wrong",
		secretToken,
		telegramUrl: telegram.url,
		port: 0,
	});
	onTestFinished(() => host.close());
	const started = await host.start().then(
		() => "started",
		(error: Error) => error.message,
	);
	expect(started).toContain("Unauthorized");
});
