/**
 * Owns a bot on any platform that the Chat SDK has an adapter for: the adapter is the door, the AI SDK asks the model, turnkeeper keeps the
 * sessions. What goes wrong is told where it was asked, by the run that it happened to or by nobody.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createMemoryState } from "@chat-adapter/state-memory";
import { tool } from "ai";
import { type Adapter, Chat } from "chat";
import {
	createSessionRuntime,
	type ManagedRun,
	type RuntimeOptions,
	type SessionStore,
	TurnkeeperError,
} from "turnkeeper";
import { aiExecutor } from "turnkeeper/ai-sdk";
import { type ChatInput, connectChat, replyTo } from "turnkeeper/chat-sdk";
import { z } from "zod";

export interface BotOptions
	extends Pick<RuntimeOptions<ChatInput, string, never>, "logger" | "graceMs"> {
	readonly adapter: Adapter;
	readonly store: SessionStore;
	/** Any server that speaks OpenAI's chat completions. */
	readonly modelUrl: string;
	readonly modelName: string;
	/** What the server wants to see, if anything. */
	readonly modelKey?: string | undefined;
}

/** Longest message that is asked of the model, in characters. */
const longestMessage = 4000;

/** Not yet connected: `start()` begins to listen. */
export function createBot(options: BotOptions) {
	const { adapter, store, modelUrl, modelName, modelKey } = options;
	const bot = new Chat({
		userName: "bot",
		adapters: { [adapter.name]: adapter },
		state: createMemoryState(),
		concurrency: "concurrent",
		// What comes twice the runtime knows by itself, and an edit on Telegram is the same message again.
		dedupeTtlMs: 1,
		logger: "silent",
	});
	const models = createOpenAICompatible({
		name: "models",
		baseURL: modelUrl,
		includeUsage: true,
		...(modelKey === undefined ? {} : { apiKey: modelKey }),
	});
	/** Nobody deploys without being asked: the run waits for a button. */
	const deployTool = (run: ManagedRun<ChatInput>) =>
		tool({
			description: "Deploys a service, once somebody has approved.",
			inputSchema: z.object({ service: z.string() }),
			execute: async ({ service }) => {
				const said = await replyTo(bot, run).ask(
					`deploy ${service}`,
					`Deploy ${service}?`,
					["yes", "no"],
				);
				return said === "yes" ? `${service} is deployed` : "nobody approved";
			},
		});
	const answer = aiExecutor<ChatInput>((run) => ({
		model: models(modelName),
		instructions: "You are a bot in a chat. Be brief.",
		maxRetries: 0,
		tools: { deploy: deployTool(run) },
		toMessage: ({ input }) => `${input.author.fullName}: ${input.text}`,
	}));
	const runtime = createSessionRuntime<ChatInput, string>({
		store,
		...(options.logger ? { logger: options.logger } : {}),
		...(options.graceMs === undefined ? {} : { graceMs: options.graceMs }),
		execute: async (run) => {
			const reply = replyTo(bot, run);
			const tooLong = run.messages.some(
				({ input }) => input.text.length > longestMessage,
			);
			try {
				const said = tooLong
					? `I read at most ${longestMessage} characters.`
					: await answer(run);
				await reply.post({ markdown: said });
				return said;
			} catch (error) {
				// A run that was told to stop posts nothing: this throws then, and it ends as stopped.
				await reply.post(told(error));
				throw error;
			}
		},
	});
	connectChat(bot, runtime);
	return {
		bot,
		runtime,
		async start(): Promise<void> {
			await runtime.start();
			await bot.initialize();
		},
		async close(): Promise<void> {
			await bot.shutdown();
			await runtime.close();
		},
	};
}

/** Why there is no answer, for those who asked. */
function told(error: unknown): string {
	switch (error instanceof TurnkeeperError ? error.code : null) {
		case "CONTEXT_OVERFLOW":
			return "This conversation is too long for the model. Say /new to begin another.";
		case "RATE_LIMITED":
			return "The model is asked too often. Try again in a while.";
		case "STREAM_DROPPED":
			return "The answer broke off.";
		case "MODEL_FAILED":
			return "The model does not answer.";
		default:
			return "Something went wrong.";
	}
}
