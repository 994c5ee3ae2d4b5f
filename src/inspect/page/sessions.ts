/**
 * Owns what the page knows of all sessions: the newest line of each, which of them are asked for, and in what order. A line is newer by its
 * version, however it came. Shows nothing.
 */
import { createAtom } from "@xstate/store";
import type { SessionStatus } from "../../../machines/facts.ts";
import type { Line, RowsPage, SessionLine } from "../protocol.ts";

export const statuses = [
	"running",
	"waiting",
	"resetting",
	"failed",
	"ended",
	"idle",
] as const satisfies readonly SessionStatus[];

export type Column =
	| "sessionKey"
	| "status"
	| "generation"
	| "queued"
	| "tokens"
	| "updatedAt";

export interface Asked {
	readonly search: string;
	/** Null: any. */
	readonly status: SessionStatus | null;
	readonly by: Column;
	readonly descending: boolean;
}

/** What is to be shown now. */
export interface Shown {
	readonly lines: readonly SessionLine[];
	readonly counts: Readonly<Record<SessionStatus, number>>;
	readonly total: number;
	/** Whether all of them have been read. */
	readonly complete: boolean;
}

/** How long the page waits for more changes before it sorts again; at least so many times as long as that took, so that it stays free. */
const settleMs = 150;
const restTimes = 8;

export class Sessions {
	readonly asked = createAtom<Asked>({
		search: "",
		status: null,
		by: "updatedAt",
		descending: true,
	});
	readonly shown = createAtom<Shown>({
		lines: [],
		counts: countsOf([]),
		total: 0,
		complete: false,
	});
	/** The session that somebody is at; the table comes back to it. */
	readonly chosen = createAtom<string | null>(null);
	/** The newest of each key; of a deleted one its version, until all have been read. */
	#known = new Map<string, Line>();
	/** As they were last sorted, so that sorting again has little to do. */
	#order: SessionLine[] = [];
	#complete = false;
	#due: ReturnType<typeof setTimeout> | null = null;
	#reading = 0;
	#isReading = false;
	#tookMs = 0;

	constructor() {
		this.asked.subscribe(() => this.#show());
	}

	/** Reads all sessions by `page`. Those that are not among them and did not change meanwhile are there no longer. */
	async read(
		page: (cursor: string | null) => Promise<RowsPage>,
	): Promise<void> {
		this.#reading += 1;
		const reading = this.#reading;
		this.#isReading = true;
		const before = new Map(this.#known);
		let cursor: string | null = null;
		do {
			const { rows, cursor: next }: RowsPage = await page(cursor);
			// Somebody began to read anew.
			if (reading !== this.#reading) return;
			for (const row of rows) before.delete(row.sessionKey);
			this.take(rows);
			cursor = next;
		} while (cursor !== null);
		for (const [key, line] of before)
			if (this.#known.get(key) === line) this.#known.delete(key);
		for (const [key, { status }] of this.#known)
			if (status === "deleted") this.#known.delete(key);
		this.#isReading = false;
		this.#complete = true;
		this.#later();
	}

	take(lines: readonly Line[]): void {
		for (const line of lines) {
			const known = this.#known.get(line.sessionKey);
			if (known && known.version > line.version) continue;
			// Only while pages are read can an older line of it still come.
			if (line.status === "deleted" && !this.#isReading)
				this.#known.delete(line.sessionKey);
			else this.#known.set(line.sessionKey, line);
		}
		this.#later();
	}

	#later(): void {
		this.#due ??= setTimeout(
			() => {
				this.#due = null;
				this.#show();
			},
			Math.max(settleMs, restTimes * this.#tookMs),
		);
	}

	#show(): void {
		const began = performance.now();
		const asked = this.asked.get();
		const there: SessionLine[] = [];
		const placed = new Set<string>();
		const place = (line: Line | undefined) => {
			if (!line || placed.has(line.sessionKey)) return;
			placed.add(line.sessionKey);
			if (line.status !== "deleted") there.push(line);
		};
		for (const { sessionKey } of this.#order)
			place(this.#known.get(sessionKey));
		for (const line of this.#known.values()) place(line);
		there.sort(orderOf(asked));
		this.#order = there;
		const found = there.filter(matching(asked.search));
		const lines =
			asked.status === null
				? found
				: found.filter(({ status }) => status === asked.status);
		this.shown.set({
			lines,
			counts: countsOf(found),
			total: there.length,
			complete: this.#complete,
		});
		this.#tookMs = performance.now() - began;
	}
}

function countsOf(
	lines: readonly SessionLine[],
): Record<SessionStatus, number> {
	const counts = Object.fromEntries(
		statuses.map((status) => [status, 0]),
	) as Record<SessionStatus, number>;
	for (const { status } of lines) counts[status] += 1;
	return counts;
}

/** Part of the key, the session id or the run id. */
function matching(search: string): (line: SessionLine) => boolean {
	const wanted = search.trim().toLowerCase();
	if (wanted === "") return () => true;
	return ({ sessionKey, sessionId, runId }) =>
		sessionKey.toLowerCase().includes(wanted) ||
		sessionId.toLowerCase().includes(wanted) ||
		(runId?.toLowerCase().includes(wanted) ?? false);
}

function orderOf({
	by,
	descending,
}: Asked): (a: SessionLine, b: SessionLine) => number {
	const sign = descending ? -1 : 1;
	const rank = (line: SessionLine): number | string =>
		by === "status" ? statuses.indexOf(line.status) : line[by];
	return (a, b) => {
		const [first, second] = [rank(a), rank(b)];
		if (first !== second) return first < second ? -sign : sign;
		return a.sessionKey < b.sessionKey ? -1 : 1;
	};
}
