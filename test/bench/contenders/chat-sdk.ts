/**
 * Owns Chat SDK with its in-memory state and the strategy `queue`: an adapter that does nothing, a handler that does nothing, and each
 * message awaited until its handler has run. It keeps nothing.
 */
import { createMemoryState } from "@chat-adapter/state-memory";
import { type Adapter, Chat, Message } from "chat";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

const author = {
	userId: "u",
	userName: "u",
	fullName: "u",
	isBot: false,
	isMe: false,
};
const formatted = { type: "root" as const, children: [] };

/** What Chat SDK asks of a platform. It is never asked to post or to fetch here. */
const platform = {
	name: "bench",
	userName: "bench",
	initialize: async () => {},
	channelIdFromThreadId: (threadId: string) => threadId,
} satisfies Partial<Adapter> as Partial<Adapter> as Adapter;

export const chatSdk: Contender = async (keys) => {
	let said = 0;
	let handled = 0;
	const state = createMemoryState();
	const chat = new Chat({
		userName: "bench",
		adapters: { bench: platform },
		state,
		concurrency: "queue",
		logger: "silent",
	});
	chat.onSubscribedMessage(async () => {
		handled += 1;
	});
	await chat.initialize();
	for (const key of keys) await state.subscribe(key);
	const turn = (threadId: string) => {
		said += 1;
		return chat.processMessage(
			platform,
			threadId,
			new Message({
				id: `message-${said}`,
				threadId,
				text: "hi",
				formatted,
				author,
				attachments: [],
				metadata: { dateSent: new Date(), edited: false },
				raw: null,
			}),
		);
	};
	return {
		async sweep() {
			await Promise.all(keys.map(turn));
			return keys.length;
		},
		async close() {
			mustBe("messages that were handled", said, handled);
			await chat.shutdown();
		},
	};
};
