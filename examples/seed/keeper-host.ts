/** Owns the same host on turnkeeper: the same door, the same agent. */
import type { Adapter } from "chat";
import { createSessionRuntime } from "turnkeeper";
import { type ChatInput, connectChat, replyTo } from "turnkeeper/chat-sdk";
import { memoryStore } from "turnkeeper/memory";
import { agent } from "./agent.ts";
import { botOn } from "./door.ts";

export function createKeeperHost(adapter: Adapter, modelUrl: string) {
	const bot = botOn(adapter);
	const runtime = createSessionRuntime<ChatInput>({
		store: memoryStore(),
		graceMs: 60_000,
		execute: async (run) => {
			const said = run.messages.map(({ input }) => input.text).join("\n");
			await replyTo(bot, run).post(await agent(said, modelUrl));
		},
	});
	connectChat(bot, runtime, { scope: "channel" });
	return { bot, runtime };
}
