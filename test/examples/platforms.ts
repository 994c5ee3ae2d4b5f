/** Owns the platforms of loopback, each with the example's bot on it, as the scenarios need them: people, a model, and a host that may go away. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Chat } from "chat";
import { sqliteStore } from "turnkeeper/sqlite";
import { onTestFinished } from "vitest";
import {
	type Act,
	type ModelServer,
	startModelServer,
} from "../../examples/model-server/model-server.ts";
import type { BotOptions, createBot } from "../../examples/platforms/bot.ts";
import { createSlackBot } from "../../examples/slack/host.ts";
import * as slackSide from "../../examples/slack/slack-server.ts";
import { createTelegramBot } from "../../examples/telegram/host.ts";
import * as telegramSide from "../../examples/telegram/telegram-server.ts";

/** One of two conversations of a platform. */
export type Place = "here" | "there";

/** A platform with people on it. */
export interface Platform {
	/** Its id once the bot has taken it. */
	say(said: string, place: Place, times?: number): Promise<string | number>;
	edit(id: string | number, to: string): Promise<void>;
	press(label: string): Promise<void>;
	/** What the bot has said, by place. */
	botSaid(place: Place): string[];
	/** The signs on a message. */
	signs(id: string | number): readonly string[];
	holdBack(times: number): void;
	keyOf(place: Place): string;
	connect(options: Omit<BotOptions, "adapter">): Promise<Host>;
	close(): Promise<void>;
}

type Host = Pick<ReturnType<typeof createBot>, "runtime" | "close">;

/** In socket mode the bot says that it has heard of something before it takes it. Gives what is said to it, resolved when it has. */
function takes(bot: Chat): <Said>(say: () => Promise<Said>) => Promise<Said> {
	let next = Promise.withResolvers<Promise<unknown>>();
	for (const name of [
		"processMessage",
		"processMessageUpdated",
		"processAction",
	] as const) {
		const take = bot[name].bind(bot) as (...given: unknown[]) => Promise<void>;
		Object.assign(bot, {
			[name]: (...given: unknown[]) => {
				const taken = take(...given);
				next.resolve(taken.catch(() => {}));
				return taken;
			},
		});
	}
	return async (say) => {
		next = Promise.withResolvers();
		const said = await say();
		const taken = await next.promise;
		await taken;
		return said;
	};
}

async function slack(): Promise<Platform> {
	let taken: ReturnType<typeof takes> = (say) => say();
	const server = await slackSide.SlackServer.start();
	const channels = { here: "C1", there: "C2" };
	const threads: Partial<Record<Place, string>> = {};
	const find = (ts: string | number) =>
		server.messages.find((message) => message.ts === ts);
	return {
		async say(said, place, times = 1) {
			const thread = threads[place];
			const ts = await taken(() =>
				server.say(thread === undefined ? `<@UBOT> ${said}` : said, {
					channel: channels[place],
					times,
					...(thread === undefined ? {} : { thread }),
				}),
			);
			threads[place] ??= ts;
			return ts;
		},
		edit: (ts, to) => taken(() => server.edit(String(ts), to)),
		press: (label) => taken(() => server.press(label)),
		botSaid: (place) =>
			server.messages
				.filter(
					({ user, channel }) => user === null && channel === channels[place],
				)
				.map(({ text }) => text),
		signs: (ts) => [...(find(ts)?.reactions ?? [])],
		holdBack(times) {
			server.holdBack = times;
		},
		keyOf: (place) =>
			`agent:main:slack:channel:${channels[place]}:thread:${threads[place]}`,
		async connect(options) {
			const { appToken, botToken } = slackSide;
			const host = createSlackBot({
				...options,
				appToken,
				botToken,
				slackUrl: server.url,
			});
			taken = takes(host.bot as unknown as Chat);
			await host.start();
			return host;
		},
		close: () => server.close(),
	};
}

async function telegram(): Promise<Platform> {
	const server = await telegramSide.TelegramServer.start();
	const chats = { here: 7, there: 8 };
	return {
		say: (said, place, times = 1) =>
			server.say(said, { chat: chats[place], times }),
		edit: (id, to) => server.edit(Number(id), to),
		press: (label) => server.press(label),
		botSaid: (place) =>
			server.messages
				.filter(({ user, chat }) => user === null && chat === chats[place])
				.map(({ text }) => text),
		signs: (id) =>
			server.messages.find((message) => message.id === id)?.reactions ?? [],
		holdBack(times) {
			server.holdBack = times;
		},
		keyOf: (place) => `agent:main:telegram:direct:${chats[place]}`,
		async connect(options) {
			const { botToken, secretToken } = telegramSide;
			const host = createTelegramBot({
				...options,
				botToken,
				secretToken,
				telegramUrl: server.url,
				port: 0,
			});
			server.webhook = await host.start();
			return host;
		},
		close: () => server.close(),
	};
}

export const platforms = { slack, telegram };

/** A bot on a platform. What the model answers is the test's to say, by what was said to it. */
export async function startBot(make: () => Promise<Platform>) {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-platform-"));
	const platform = await make();
	const script = {
		answer: (said: string): readonly Act[] => [{ say: `you said ${said}` }],
	};
	const model: ModelServer = await startModelServer({
		models: ["scripted"],
		answer: ({ body }) => {
			const last = body.messages.at(-1);
			return script.answer(
				last?.role === "tool"
					? `tool: ${last.content}`
					: String(last?.content).replace(/^.*?: /, ""),
			);
		},
	});
	const connect = (modelName = "scripted") =>
		platform.connect({
			store: sqliteStore(join(folder, "bot.db")),
			modelUrl: model.url,
			modelName,
			graceMs: 2000,
		});
	const bot = {
		platform,
		model,
		script,
		host: await connect(),
		/** The process goes, and another one comes. */
		async restart(modelName?: string): Promise<void> {
			await bot.host.close();
			bot.host = await connect(modelName);
		},
	};
	onTestFinished(async () => {
		await bot.host.close();
		await model.close();
		await platform.close();
		rmSync(folder, { recursive: true, force: true });
	});
	return bot;
}
