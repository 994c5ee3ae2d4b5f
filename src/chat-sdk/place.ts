/** Owns which session a conversation of the Chat SDK belongs to, and what of its messages a run is given. */
import type { Adapter, Message, Thread } from "chat";

/** A place of a platform where people talk. */
export interface ChatPlace {
	/** The adapter's name, such as "slack". */
	readonly platform: string;
	/** The platform's own id of the channel, such as "C1". */
	readonly channel: string;
	/** The platform's own id of the thread; null outside of one, in a direct message, and where the channel is one conversation. */
	readonly thread: string | null;
	readonly isDirect: boolean;
}

/** What a run is given of a message. JSON, for it is stored. */
export type ChatInput = {
	readonly text: string;
	/** The Chat SDK's ids, for `bot.thread(threadId)`. */
	readonly threadId: string;
	readonly messageId: string;
	readonly author: {
		readonly userId: string;
		readonly userName: string;
		readonly fullName: string;
	};
	/** By the platform's clock, epoch ms. */
	readonly sentAt: number;
	readonly attachments: readonly {
		readonly type: string;
		readonly name: string | null;
		readonly mimeType: string | null;
		readonly url: string | null;
	}[];
};

/** Whether a whole channel is one conversation, or each of its threads is. */
export type ChatScope = "channel" | "thread";

type Located = Pick<Thread, "adapter" | "channelId" | "id" | "isDM">;

/** Where a thread is, as its adapter sees it: on Telegram and WhatsApp a channel is one conversation, elsewhere each thread is one. */
export function placeOf(
	{ adapter, channelId, id, isDM }: Located,
	scope: ChatScope | undefined,
): ChatPlace {
	const isThread =
		!isDM && (scope ?? adapter.lockScope ?? "thread") === "thread";
	const thread = id.startsWith(`${channelId}:`)
		? id.slice(channelId.length + 1)
		: "";
	return {
		...channelPlace(adapter, channelId, isDM),
		thread: isThread && thread !== "" ? thread : null,
	};
}

/** Where something is that is of no thread. */
export function channelPlace(
	adapter: Pick<Adapter, "name">,
	channelId: string,
	isDM: boolean,
): ChatPlace {
	const platform = adapter.name;
	return {
		platform,
		channel: channelId.startsWith(`${platform}:`)
			? channelId.slice(platform.length + 1)
			: channelId,
		thread: null,
		isDirect: isDM,
	};
}

/**
 * The session key of a place: `agent:main:slack:channel:C1`, with `:thread:1700000000.000100` behind it in a thread,
 * `agent:main:slack:direct:D1` for a direct message.
 */
export function sessionKeyOf(
	{ platform, channel, thread, isDirect }: ChatPlace,
	agent = "main",
): string {
	const kind = isDirect ? "direct" : "channel";
	const key = `agent:${agent}:${platform}:${kind}:${channel}`;
	return thread === null ? key : `${key}:thread:${thread}`;
}

/** What is said to the bot, without saying that it is said to it. */
export function inputOf(
	message: Message,
	{ botUserId, userName: botName }: Pick<Adapter, "botUserId" | "userName">,
): ChatInput {
	const { text, threadId, id, author, metadata, attachments } = message;
	const { userId, userName, fullName } = author;
	const names = [botUserId, botName].filter((name) => name !== undefined);
	const [mention = ""] = /^\s*(?:<@[^>]+>|@[^\s:,]+)[:,]?\s*/.exec(text) ?? [];
	const isToBot = names.some((name) =>
		[`<@${name}>`, `@${name}`].includes(mention.trim().replace(/[:,]$/, "")),
	);
	return {
		text: isToBot ? text.slice(mention.length) : text,
		threadId,
		messageId: id,
		author: { userId, userName, fullName },
		sentAt: metadata.dateSent.getTime(),
		attachments: attachments.map(({ type, name, mimeType, url }) => ({
			type,
			name: name ?? null,
			mimeType: mimeType ?? null,
			url: url ?? null,
		})),
	};
}
