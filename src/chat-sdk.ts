/**
 * Entry point `turnkeeper/chat-sdk`. Owns the door between Vercel's Chat SDK (`chat`) and a runtime: Slack, Teams, Telegram, Discord and
 * whatever else has an adapter. Its locking is switched off; the order of messages is the runtime's.
 *
 * @module turnkeeper/chat-sdk
 */
export {
	type ChatOptions,
	type ChatSigns,
	connectChat,
} from "./chat-sdk/door.ts";
export {
	type ChatInput,
	type ChatPlace,
	type ChatScope,
	sessionKeyOf,
} from "./chat-sdk/place.ts";
export { ChatReply, type PostedMessage, replyTo } from "./chat-sdk/reply.ts";
