/**
 * Owns the evening: what was said, when the model broke, and what each host made of it. Both hosts are on a Slack of their own, with the Slack
 * client itself, and ask the same model; nothing leaves the machine.
 */
import { createSlackAdapter } from "@chat-adapter/slack";
import { type Adapter, type Chat, ConsoleLogger } from "chat";
import {
	type Act,
	overflow,
	startModelServer,
} from "../model-server/model-server.ts";
import { appToken, botToken, SlackServer } from "../slack/slack-server.ts";
import { createKeeperHost } from "./keeper-host.ts";
import { createPlainHost } from "./plain-host.ts";

/** One side after one step. */
export interface Seen {
	readonly status: string;
	readonly error: string | null;
	/** What the bot said in this step. */
	readonly said: readonly string[];
}

export interface Step {
	readonly what: string;
	readonly plain: Seen;
	readonly keeper: Seen;
}

/** A host on its Slack, as the evening sees it. */
interface Side {
	readonly slack: SlackServer;
	readonly bot: Pick<Chat, "initialize" | "shutdown">;
	readonly row: () => Promise<{ status: string; error: string | null }>;
}

const key = "agent:main:slack:channel:C1";

function adapterOn(slack: SlackServer): Adapter {
	return createSlackAdapter({
		mode: "socket",
		appToken,
		botToken,
		apiUrl: slack.url,
		logger: new ConsoleLogger("silent"),
		webClientOptions: { rejectRateLimitedCalls: true },
	}) as Adapter;
}

function answerTo(said: string, breaks: Promise<void>): Act[] {
	if (said.startsWith("make this shorter"))
		return [{ until: breaks }, { drop: true }];
	if (said.includes("everything")) return [overflow];
	return [{ say: `You said "${said.replace("@bot ", "")}".` }];
}

/**
 * Lives through it. `look` may look at the runtime before it is closed, and may take its time.
 *
 * @example for (const { what, plain, keeper } of await evening()) console.log(what, plain.status, keeper.status);
 */
export async function evening(
	look: (
		runtime: ReturnType<typeof createKeeperHost>["runtime"],
	) => Promise<void> = async () => {},
): Promise<readonly Step[]> {
	const breaks = Promise.withResolvers<void>();
	await using plainSlack = await SlackServer.start();
	await using keeperSlack = await SlackServer.start();
	await using model = await startModelServer({
		answer: ({ body }) =>
			answerTo(String(body.messages.at(-1)?.content ?? ""), breaks.promise),
	});
	const plain = createPlainHost(adapterOn(plainSlack), model.url);
	const keeper = createKeeperHost(adapterOn(keeperSlack), model.url);
	const sides: { readonly plain: Side; readonly keeper: Side } = {
		plain: {
			slack: plainSlack,
			bot: plain.bot,
			row: async () => {
				const session = plain.sessions.get("slack:C1");
				return {
					status: session?.status ?? "idle",
					error: session?.error ?? null,
				};
			},
		},
		keeper: {
			slack: keeperSlack,
			bot: keeper.bot,
			row: async () => {
				const row = await keeper.runtime.get(key);
				return { status: row?.status ?? "idle", error: row?.lastError ?? null };
			},
		},
	};
	await keeper.runtime.start();
	for (const { bot } of Object.values(sides)) await bot.initialize();

	const steps: Step[] = [];
	const threads = new Map<Side, string>();
	const heard = new Map<Side, number>();
	async function seen(side: Side): Promise<Seen> {
		const all = side.slack.botSaid;
		const said = all.slice(heard.get(side) ?? 0);
		heard.set(side, all.length);
		return { ...(await side.row()), said };
	}
	/** Does something on both sides; it is over when the model has been asked so often in all, and all that was asked for is posted. */
	async function step(
		what: string,
		act: (side: Side) => Promise<void>,
		over: () => Promise<boolean>,
	): Promise<void> {
		for (const side of Object.values(sides)) await act(side);
		while (!(await over())) await new Promise((next) => setTimeout(next, 5));
		const { plain, keeper } = sides;
		steps.push({ what, plain: await seen(plain), keeper: await seen(keeper) });
	}
	const say = (said: string) => async (side: Side) => {
		const thread = threads.get(side);
		const ts = await side.slack.say(
			thread === undefined ? `<@UBOT> ${said}` : said,
			thread === undefined ? {} : { thread },
		);
		if (thread === undefined) threads.set(side, ts);
	};
	const bothAre = (plainStatus: string, keeperStatus: string) => async () =>
		(await sides.plain.row()).status === plainStatus &&
		(await sides.keeper.row()).status === keeperStatus;
	const bothSaid = (count: number) => async () =>
		Object.values(sides).every(({ slack }) => slack.botSaid.length >= count);

	await step(
		"ada: hello",
		say("hello"),
		async () => (await bothSaid(1)()) && bothAre("ended", "ended")(),
	);
	await step(
		"ada: explain everything",
		say("explain everything"),
		async () => model.requests.length === 6,
	);
	await step("ada: /new", say("/new"), bothSaid(2));
	await step(
		"(the old run breaks, too late)",
		async () => breaks.resolve(),
		bothAre("failed", "idle"),
	);
	await step("ada: hello again", say("hello again"), async () => {
		return (
			sides.keeper.slack.botSaid.length === 3 &&
			(await sides.keeper.row()).status === "ended"
		);
	});
	await look(keeper.runtime);
	for (const { bot } of Object.values(sides)) await bot.shutdown();
	await keeper.runtime.close();
	return steps;
}
