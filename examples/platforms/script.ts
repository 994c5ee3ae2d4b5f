/** Owns a conversation that shows a bot at work, on a platform and a model of loopback: an answer, a queue, /new in mid-answer, an overflow. */
import { memoryStore } from "turnkeeper/memory";
import {
	type Act,
	overflow,
	startModelServer,
} from "../model-server/model-server.ts";
import type { BotOptions, createBot } from "./bot.ts";

/** Where the conversation is. */
export interface Stage {
	start(
		options: Pick<BotOptions, "store" | "modelUrl" | "modelName">,
	): Promise<Pick<ReturnType<typeof createBot>, "runtime" | "close">>;
	say(said: string): Promise<void>;
	said(): readonly { readonly user: string | null; readonly text: string }[];
}

function answerTo(said: string, goesOn: Promise<void>): Act[] {
	if (said.includes("story"))
		return [
			{ say: "Once upon a time " },
			{ until: goesOn },
			{ say: "and so on." },
		];
	if (said.includes("everything")) return [overflow];
	return [{ say: `You said "${said.replace(/^.*?: /, "")}".` }];
}

/** Prints what is said, by people and by the bot. */
export async function playConversation(
	{ start, say, said }: Stage,
	print: (line: string) => void = console.log,
): Promise<void> {
	const goesOn = Promise.withResolvers<void>();
	await using model = await startModelServer({
		answer: ({ body }) =>
			answerTo(String(body.messages.at(-1)?.content ?? ""), goesOn.promise),
	});
	const host = await start({
		store: memoryStore(),
		modelUrl: model.url,
		modelName: "scripted",
	});
	let shown = 0;
	const show = () => {
		const all = said();
		for (const { user, text } of all.slice(shown))
			print(`${user ?? "bot"}: ${text}`);
		shown = all.length;
	};
	/** Until the model has been asked so often, and all is answered: a platform may say that a message is delivered before the bot has taken it. */
	const settle = async (times: number) => {
		await model.asked(times);
		await host.runtime.whenIdle();
		show();
	};
	await say("hello");
	await settle(1);
	await say("tell me a story");
	await model.asked(2);
	await say("and a poem");
	await say("/queue");
	await say("/new");
	goesOn.resolve();
	await settle(3);
	await say("explain everything");
	await settle(4);
	await say("hello again");
	await settle(5);
	const [row] = (await host.runtime.list()).items;
	print(
		`session ${row?.sessionKey}: ${row?.status}, generation ${row?.generation}`,
	);
	await host.close();
}
