/** Owns the door of both hosts: the Chat SDK on Slack, which orders nothing by itself. */
import { createMemoryState } from "@chat-adapter/state-memory";
import { type Adapter, Chat } from "chat";

export function botOn(adapter: Adapter): Chat {
	return new Chat({
		userName: "bot",
		adapters: { slack: adapter },
		state: createMemoryState(),
		concurrency: "concurrent",
		logger: "silent",
	});
}
