/** Owns what the console reads to show one session: the newest of everything, cut to what a page can hold. Never writes. */
import type { JsonValue } from "../../machines/json.ts";
import type { SessionRuntime } from "../runtime.ts";
import type { Page } from "../store.ts";
import type { Newest, SessionLine, SessionParts } from "./protocol.ts";

type Runtime = SessionRuntime<unknown, unknown, unknown>;

/** What can be read, whoever owns the sessions. */
export type SessionReads = Pick<
	Runtime,
	"get" | "list" | "archive" | "runs" | "refusals" | "transcript"
> & { readonly queue: Pick<Runtime["queue"], "list"> };

const most = {
	generations: 50,
	runs: 300,
	refusals: 200,
	queue: 200,
	entries: 100,
} as const;
const longestText = 4000;

/** All parts that are read; which transition led there is only known to those who looked on. */
export async function readParts(
	reads: SessionReads,
	sessionKey: string,
): Promise<Omit<SessionParts, "transition">> {
	// The row first: what it speaks of is then in what is read after it.
	const row = (await reads.get(sessionKey)) as SessionParts["row"];
	const [archive, runs, refusals, queue, transcript] = await Promise.all([
		reads.archive(sessionKey, { limit: most.generations }),
		reads.runs(sessionKey, { limit: most.runs }),
		reads.refusals({ sessionKey, limit: most.refusals }),
		reads.queue.list(sessionKey),
		reads.transcript(sessionKey, { limit: most.entries }),
	]);
	const live = runs.items.find(
		({ runId, attempt, generation }) =>
			runId === row?.activeRun?.runId &&
			attempt === row.activeRun.attempt &&
			generation === row.generation,
	);
	return {
		row,
		// Told to stop is not stopped: the row says running, the chart aborting.
		state: row && (live?.stoppedBy ? "aborting" : row.status),
		generations: newest(
			archive,
			({ runs: _, ...ended }) =>
				ended as SessionParts["generations"]["items"][number],
		),
		runs: newest(runs, (run) => run),
		refusals: newest(refusals, (refusal) => refusal),
		queue: {
			items: queue
				.slice(0, most.queue)
				.map(({ messageId, acceptedAt, generation, input }) => ({
					messageId,
					acceptedAt,
					generation,
					input: textOf(input as JsonValue),
				})),
			more: queue.length > most.queue,
		},
		transcript: newest(transcript, ({ seq, generation, runId, at, entry }) => ({
			seq,
			generation,
			runId,
			at,
			entry: textOf(entry),
		})),
	};
}

/** A row of the table of all sessions. */
export function lineOf(
	row: NonNullable<Awaited<ReturnType<SessionReads["get"]>>>,
): SessionLine {
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

function newest<Item, Shown>(
	{ items, cursor }: Page<Item>,
	show: (item: Item) => Shown,
): Newest<Shown> {
	return { items: items.map(show), more: cursor !== null };
}

function textOf(value: JsonValue): string {
	const text = typeof value === "string" ? value : JSON.stringify(value);
	return text.length > longestText ? `${text.slice(0, longestText)}…` : text;
}
