/**
 * Owns reading: rows, archive, runs and refusals as people see them, from any store, whoever owns it. Never writes.
 * The runtime reads through it, and so does the command line beside a running host.
 */
import {
	type EndedGeneration,
	type RowFacts,
	rowOf,
	type SessionFacts,
	type SessionRow,
} from "../machines/facts.ts";
import type { Refusal } from "../machines/report.ts";
import {
	type RunFacts,
	type RunRecord,
	runRecordOf,
	ticketOf,
} from "../machines/run.ts";
import { ticketId } from "../machines/ticket.ts";
import { TurnkeeperError } from "./errors.ts";
import type { ListQuery, Page, PageQuery, StoreReader } from "./store.ts";

/** Runs that an ended generation carries with it; `runs()` pages through all. */
export const runsInArchive = 100;

export async function readRow<Meta>(
	store: StoreReader,
	sessionKey: string,
): Promise<SessionRow<Meta> | null> {
	const loaded = await store.load(sessionKey);
	return loaded && !loaded.facts.hidden ? rowOf<Meta>(loaded.facts) : null;
}

export async function readList<Meta>(
	store: StoreReader,
	query: ListQuery = {},
): Promise<Page<SessionRow<Meta>>> {
	const page = await store.list({ ...query, ...pageOf(query) });
	return { ...page, items: page.items.map((facts) => rowOf<Meta>(facts)) };
}

export async function readArchive<Meta>(
	store: StoreReader,
	sessionKey: string,
	query: PageQuery = {},
): Promise<Page<EndedGeneration<Meta>>> {
	const page = await store.generations(sessionKey, pageOf(query));
	const draining = (await store.load(sessionKey))?.facts.draining ?? [];
	const unsettled = draining.map(({ run }) => run);
	const items: EndedGeneration<Meta>[] = [];
	for (const ended of page.items) {
		const { generation } = ended;
		const kept = await store.runs(sessionKey, {
			generation,
			limit: runsInArchive,
		});
		items.push({
			...(ended as EndedGeneration<Meta>),
			runs: newestFirst(unsettled, kept.items, generation)
				.slice(0, runsInArchive)
				.map(runRecordOf),
		});
	}
	return { items, cursor: page.cursor };
}

/** Runs by key, newest first; those that have not settled stand before all others, on the first page. */
export async function readRuns(
	store: StoreReader,
	sessionKey: string,
	query: PageQuery & { generation?: number | undefined } = {},
): Promise<Page<RunRecord>> {
	const page = await store.runs(sessionKey, { ...query, ...pageOf(query) });
	const loaded = await store.load(sessionKey);
	const live = loaded ? unsettledRuns(loaded.facts) : [];
	const runs = newestFirst(
		query.cursor === undefined ? live : [],
		page.items,
		query.generation,
	);
	return { cursor: page.cursor, items: runs.map(runRecordOf) };
}

export async function readRefusals(
	store: StoreReader,
	query: PageQuery & { sessionKey?: string | undefined } = {},
): Promise<Page<Refusal>> {
	const page = await store.refusals({ ...query, ...pageOf(query) });
	return {
		...page,
		items: page.items.map(({ sessionKey: _, ...refusal }) => refusal),
	};
}

/** The live run and those that drain, newest first. */
export function unsettledRuns(
	facts: SessionFacts | RowFacts,
): readonly RunFacts[] {
	const draining = facts.draining.map(({ run }) => run).reverse();
	return facts.run ? [facts.run, ...draining] : draining;
}

/** What the row knows of a run is newer than what the run table kept of it as a reservation. */
export function newestFirst(
	unsettled: readonly RunFacts[],
	kept: readonly RunFacts[],
	generation?: number,
): readonly RunFacts[] {
	const wanted = unsettled.filter(
		(run) => generation === undefined || run.generation === generation,
	);
	const ids = new Set(wanted.map((run) => ticketId(ticketOf(run))));
	return [
		...wanted,
		...kept.filter((run) => !ids.has(ticketId(ticketOf(run)))),
	];
}

/** A page query with its default, checked. */
export function pageOf(query: PageQuery): { limit: number; cursor?: string } {
	const limit = query.limit ?? 100;
	if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
		throw new TurnkeeperError(
			"INVALID_ARGUMENT",
			`limit is ${String(limit)}; it must be a whole number from 1 to 1000`,
		);
	if (query.cursor !== undefined && typeof query.cursor !== "string")
		throw new TurnkeeperError(
			"INVALID_ARGUMENT",
			`cursor is ${String(query.cursor)}; it must be the cursor of an earlier page`,
		);
	return query.cursor === undefined
		? { limit }
		: { limit, cursor: query.cursor };
}
