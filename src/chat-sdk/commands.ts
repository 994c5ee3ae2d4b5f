/** Owns what people may say to the host itself: /new, /stop, /queue. */
import type { JsonValue } from "../../machines/json.ts";
import type { SessionRuntime } from "../runtime.ts";
import type { ChatInput } from "./place.ts";

export const commandNames = ["new", "stop", "queue"] as const;
export type ChatCommand = (typeof commandNames)[number];

/** A command and what stands behind it. */
export interface Said {
	readonly command: ChatCommand;
	readonly rest: string;
}

/** The command that a text begins with; `/new@bot` is Telegram's way to say to whom. */
export function commandIn(text: string, botName: string): Said | null {
	const [, word, to, rest] =
		/^\s*\/(\w+)(?:@(\w+))?(?:\s+([\s\S]*))?$/.exec(text) ?? [];
	const command = commandNames.find((name) => name === word?.toLowerCase());
	if (!command || (to && to.toLowerCase() !== botName.toLowerCase()))
		return null;
	return { command, rest: rest?.trim() ?? "" };
}

/** Carries a command out; what to tell those who gave it, or null if it was carried out before. */
export async function carryOut<Meta>(
	runtime: SessionRuntime<ChatInput, unknown, Meta>,
	sessionKey: string,
	command: ChatCommand,
	messageId: string,
): Promise<string | null> {
	switch (command) {
		case "new":
			return (await begins(runtime, sessionKey, messageId))
				? "A new session begins here."
				: null;
		case "stop": {
			const answer = await runtime.abort(sessionKey, {
				reason: "/stop",
				queued: "drop",
				messageId,
			});
			return answer.result === "done" ? "Stopped." : "Nothing is running.";
		}
		case "queue": {
			const waiting = await runtime.queue.list(sessionKey);
			return waiting.length === 0
				? "Nothing waits."
				: waiting
						.map(({ input }, i) => `${i + 1}. ${lineOf(input)}`)
						.join("\n");
		}
	}
}

/**
 * Whether a new session began. A reset is answered when nothing older drains, but those who read need not wait for that: the same reset once more is
 * answered as soon as the first is committed. If that failed, it is another try.
 */
async function begins<Meta>(
	runtime: SessionRuntime<ChatInput, unknown, Meta>,
	sessionKey: string,
	messageId: string,
): Promise<boolean> {
	const reset = () => runtime.reset(sessionKey, { reason: "/new", messageId });
	const first = reset().then(({ result }) => result === "done");
	try {
		return await Promise.any([first, reset().then(() => true)]);
	} catch (error) {
		throw (error as AggregateError).errors[0];
	}
}

/** A message in one line. */
function lineOf(input: ChatInput | JsonValue): string {
	const text = String((input as ChatInput).text ?? "").replaceAll(/\s+/g, " ");
	return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
