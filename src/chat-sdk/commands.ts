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

/** Whether a new session began. It is told at once: that the old run has not come to its end yet holds up nobody who reads. */
async function begins<Meta>(
	runtime: SessionRuntime<ChatInput, unknown, Meta>,
	sessionKey: string,
	messageId: string,
): Promise<boolean> {
	const before = (await runtime.get(sessionKey))?.generation ?? 0;
	const known = new AbortController();
	const reset = runtime.reset(sessionKey, { reason: "/new", messageId });
	const committed = runtime.until(
		sessionKey,
		(row) => (row?.generation ?? 0) > before,
		{ signal: known.signal },
	);
	committed.catch(() => {});
	try {
		return await Promise.race([
			reset.then(({ result }) => result === "done"),
			committed.then(() => true),
		]);
	} finally {
		known.abort();
		// A drain that goes on is the runtime's to end.
		reset.catch(() => {});
	}
}

/** A message in one line. */
function lineOf(input: ChatInput | JsonValue): string {
	const text = String((input as ChatInput).text ?? "").replaceAll(/\s+/g, " ");
	return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
