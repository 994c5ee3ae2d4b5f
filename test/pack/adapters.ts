// Owns what is checked of the entry points that need a package which nobody else
// does: an optional peer each. Without it they say so; with it they load, and a
// program like a caller's compiles against the declarations that ship.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Adapter {
	readonly entry: string;
	/** The optional peer. */
	readonly peer: string;
	/** What is installed as that peer, by its name in our own `node_modules`: one after the other. */
	readonly versions: readonly string[];
	/** What its program imports beside the peer, by the same names. */
	readonly beside: readonly string[];
	/** Every line of it must compile, and the marked ones must not. */
	readonly program: string;
}

const chatSdk: Adapter = {
	entry: "turnkeeper/chat-sdk",
	peer: "chat",
	versions: ["chat"],
	beside: ["@chat-adapter/state-memory", "@chat-adapter/slack"],
	program: `
${example("chat-sdk")}
import { type ChatOptions, type ChatReply, type PostedMessage, sessionKeyOf } from "turnkeeper/chat-sdk";

const options: ChatOptions = {
	sessionKey: (place) => sessionKeyOf({ ...place, thread: null }, "ops"),
	signs: { queued: false },
	mayAnswer: ({ user }) => user.userId === "U1",
};
const other = createSessionRuntime<ChatInput, string, { team: string }>({
	store: sqliteStore("other.db"),
	execute: async (run) => {
		const reply: ChatReply = replyTo(bot, run);
		const posted: PostedMessage = await reply.post("hello");
		await reply.edit(posted, { markdown: "**hello**" });
		const answer: "yes" | "no" = await reply.ask("sure", "Sure?", ["yes", "no"], { timeoutMs: 60_000 });
		return answer;
	},
});
connectChat(bot, other, options);
// @ts-expect-error what comes through the door is a ChatInput
connectChat(bot, createSessionRuntime<number>({ store: sqliteStore("numbers.db") }));
`,
};

export const adapters: readonly Adapter[] = [chatSdk];

/** An example of the README that is marked as compiled here. */
function example(name: string): string {
	const readme = readFileSync(
		join(import.meta.dirname, "..", "..", "README.md"),
		"utf8",
	);
	const pattern = new RegExp(
		`<!-- compiled: ${name} -->\n\`\`\`ts\n(.*?)\`\`\``,
		"s",
	);
	const [, code] = pattern.exec(readme) ?? [];
	if (code === undefined)
		throw new Error(`the README has no example "compiled: ${name}"`);
	return code;
}
