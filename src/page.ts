/**
 * Owns what a page is: its limit, its cursor, how what is on it is ordered and shown, and the one row too many that tells whether there
 * is another. Never reads a store.
 */
import type {
	QueuedMessage,
	StoredEntry,
	TranscriptEntry,
} from "../machines/facts.ts";
import { invalid, shown } from "./arguments.ts";
import type { Page, PageQuery } from "./store.ts";

/**
 * The limit of a page query. INVALID_ARGUMENT unless it is a whole number from 1 to 1000.
 *
 * @example limitOf({}) // 100
 */
export function limitOf({ limit = 100 }: PageQuery): number {
	if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
		throw invalid(
			`limit is ${shown(limit)}; it must be a whole number from 1 to 1000`,
		);
	return limit;
}

/**
 * The numbers in a cursor, or null on the first page. INVALID_ARGUMENT if no page of this kind ever gave it.
 *
 * @example numbersIn("3.71", 2) // [3, 71]
 */
export function numbersIn(
	cursor: string | undefined,
	count: number,
): readonly number[] | null {
	if (cursor === undefined) return null;
	const parts = cursor.split(".");
	if (parts.length !== count || !parts.every((part) => /^\d{1,15}$/.test(part)))
		throw invalid(
			`cursor is ${shown(cursor)}; it must be the cursor of an earlier page of the same query`,
		);
	return parts.map(Number);
}

/**
 * A page of the rows that were found, of which there is one more than the limit if more follow.
 *
 * @example pageOf(["a", "b", "c"], 2, (last) => last) // { items: ["a", "b"], cursor: "b" }
 */
export function pageOf<Item>(
	found: readonly Item[],
	limit: number,
	cursorAt: (last: Item) => string,
): Page<Item> {
	if (found.length <= limit) return { items: found, cursor: null };
	const items = found.slice(0, limit);
	return { items, cursor: cursorAt(items.at(-1) as Item) };
}

/** The order of a line: as it is given, then by arrival. */
export function byOrder(
	a: Pick<QueuedMessage, "order" | "seq">,
	b: Pick<QueuedMessage, "order" | "seq">,
): number {
	return a.order - b.order || a.seq - b.seq;
}

/** A stored entry as readers see it. */
export function shownEntry(stored: StoredEntry): TranscriptEntry {
	const { attempt: _attempt, hidden: _hidden, ...shown } = stored;
	return shown;
}
