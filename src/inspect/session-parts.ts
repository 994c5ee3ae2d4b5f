/** Owns how much of a session the console shows, and in what shape. Never reads anything. */
import type {
	Message,
	SessionRow,
	TranscriptEntry,
} from "../../machines/facts.ts";
import type { Page } from "../store.ts";
import type {
	Newest,
	SessionLine,
	ShownEntry,
	ShownMessage,
} from "./protocol.ts";

/** How many of each are shown, the newest of them; of the queue, those that come first. */
export const most = {
	rows: 1000,
	generations: 50,
	runs: 300,
	refusals: 200,
	queue: 200,
	transcript: 100,
} as const;

const longestText = 4000;

export function lineOf(row: SessionRow<unknown>): SessionLine {
	return {
		sessionKey: row.sessionKey,
		status: row.status,
		generation: row.generation,
		sessionId: row.sessionId,
		runId: row.activeRun?.runId ?? null,
		queued: row.queued,
		draining: row.draining,
		tokens: row.totalTokens,
		createdAt: row.createdAt,
		updatedAt: row.updatedAt,
		version: row.version,
	};
}

export function newestOf<Item, Shown>(
	{ items, cursor }: Page<Item>,
	show: (item: Item) => Shown,
): Newest<Shown> {
	return { items: items.map(show), more: cursor !== null };
}

export function shownQueue(
	queue: readonly Message<unknown>[],
): Newest<ShownMessage> {
	return {
		items: queue
			.slice(0, most.queue)
			.map(({ messageId, acceptedAt, generation, input }) => ({
				messageId,
				acceptedAt,
				generation,
				input: beginningOf(input),
			})),
		more: queue.length > most.queue,
	};
}

export function shownEntry({
	seq,
	generation,
	runId,
	at,
	entry,
}: TranscriptEntry): ShownEntry {
	return { seq, generation, runId, at, entry: beginningOf(entry) };
}

/** The beginning of a text, or of a value as JSON; never half a character. */
export function beginningOf(value: unknown): string {
	const text =
		typeof value === "string" ? value : (JSON.stringify(value) ?? "");
	if (text.length <= longestText) return text;
	return `${text.slice(0, longestText - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
