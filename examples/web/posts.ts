/** Owns what a page may ask of the host, each as one call of the runtime. */
import type { ChatRuntime } from "../chat/host.ts";
import { isConversationKey } from "./conversation.ts";
import { BadRequest, type Post } from "./server.ts";
import type { SlowModel } from "./slow-model.ts";

export interface PostsOptions {
	readonly runtime: ChatRuntime;
	readonly model: SlowModel;
	/** The switch was turned. */
	readonly switched: () => void;
}

export function createPosts({
	runtime,
	model,
	switched,
}: PostsOptions): Readonly<Record<string, Post>> {
	return {
		// The id is the page's own: if it posts again because no answer came, nothing is said twice.
		"/send": async ({ sessionKey, text, messageId }) => {
			const { disposition } = await runtime.send(
				keyOf(sessionKey),
				textOf(text, "text"),
				{ messageId: textOf(messageId, "messageId") },
			);
			return { disposition };
		},
		"/new": async ({ sessionKey }) => {
			const { result } = await runtime.reset(keyOf(sessionKey), {
				reason: "/new",
			});
			return { result };
		},
		"/stop": async ({ sessionKey }) => {
			const { result } = await runtime.abort(keyOf(sessionKey), {
				reason: "/stop",
			});
			return { result };
		},
		"/slow": async ({ isSlow }) => {
			if (typeof isSlow !== "boolean")
				throw new BadRequest("isSlow must be true or false.");
			model.isSlow = isSlow;
			switched();
			return { isSlow };
		},
	};
}

function keyOf(value: unknown): string {
	if (!isConversationKey(value))
		throw new BadRequest("sessionKey must be web: and a number, as in web:1.");
	return value;
}

function textOf(value: unknown, name: string): string {
	if (typeof value !== "string" || value.trim() === "")
		throw new BadRequest(`${name} must be text.`);
	return value;
}
