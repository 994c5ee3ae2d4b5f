/** Owns what a conversation is to the page: its session key, and what is read of it for one who has seen nothing yet. */
import type { RunRecord, SessionRow, TranscriptEntry } from "turnkeeper";
import type { ChatRuntime } from "../chat/host.ts";

export const keyPrefix = "web:";

/** Most of what is shown of one conversation. */
const shownRuns = 50;

/** A message that waits for its run. */
export interface Waiting {
	readonly messageId: string;
	readonly text: string;
}

export interface Conversation {
	readonly row: SessionRow<unknown>;
	/** Newest first, of all generations. */
	readonly runs: readonly RunRecord[];
	/** Oldest first, of all generations. */
	readonly entries: readonly TranscriptEntry[];
	readonly queue: readonly Waiting[];
}

/** Keys that the page may name: those of its own conversations, `web:1` and so on. */
export function isConversationKey(value: unknown): value is string {
	return typeof value === "string" && /^web:[1-9]\d{0,5}$/.test(value);
}

export async function readConversations(
	runtime: ChatRuntime,
): Promise<readonly SessionRow<unknown>[]> {
	return (await runtime.list({ prefix: keyPrefix, limit: 100 })).items;
}

export async function readConversation(
	runtime: ChatRuntime,
	row: SessionRow<unknown>,
): Promise<Conversation> {
	const { sessionKey } = row;
	const [runs, entries, queue] = await Promise.all([
		runtime.runs(sessionKey, { limit: shownRuns }),
		runtime.transcript(sessionKey, { limit: 2 * shownRuns }),
		waitingOf(runtime, sessionKey),
	]);
	return {
		row,
		runs: runs.items,
		entries: entries.items.toReversed(),
		queue,
	};
}

export async function waitingOf(
	runtime: ChatRuntime,
	sessionKey: string,
): Promise<readonly Waiting[]> {
	return (await runtime.queue.list(sessionKey)).map(({ messageId, input }) => ({
		messageId,
		text: input,
	}));
}
