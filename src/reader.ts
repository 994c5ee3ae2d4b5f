/**
 * Owns reading: rows, archive, runs and refusals as people see them, from any store, whoever owns it. Never writes.
 * The runtime reads through it, and so does the command line beside a running host.
 */
import {
	type ArchivedGeneration,
	type EndedGeneration,
	type RowFacts,
	rowOf,
	type SessionFacts,
	type SessionRow,
	shownRow,
	type TranscriptEntry,
} from "../machines/facts.ts";
import type { JsonValue } from "../machines/json.ts";
import type { Refusal } from "../machines/report.ts";
import { type RunFacts, type RunRecord, runRecordOf } from "../machines/run.ts";
import { ticketId } from "../machines/ticket.ts";
import {
	checkChoice,
	checkCount,
	checkMs,
	checkOptionalName,
	checkOptions,
	invalid,
	shown,
} from "./arguments.ts";
import { limitOf } from "./page.ts";
import type {
	ListQuery,
	Page,
	PageQuery,
	StoredRefusal,
	StoreReader,
	TranscriptQuery,
} from "./store.ts";

/** Runs that an ended generation carries with it; `runs()` pages through all. */
export const runsInArchive = 100;

const statuses = [
	"idle",
	"running",
	"waiting",
	"resetting",
	"ended",
	"failed",
] as const;

export async function readRow<Meta>(
	store: StoreReader,
	sessionKey: string,
): Promise<SessionRow<Meta> | null> {
	const loaded = await store.load(sessionKey);
	return loaded && shownRow<Meta>(loaded.facts);
}

/** Of a key that was deleted: the row that its last generation ended with. No answer depends on whether it can be read. */
export async function lastRow<Meta = JsonValue>(
	store: StoreReader,
	facts: SessionFacts,
): Promise<SessionRow<Meta>> {
	const { sessionKey, generation } = facts;
	const ended = await store
		.generation(sessionKey, generation - 1)
		.catch(() => null);
	return ended ? (ended.row as SessionRow<Meta>) : rowOf(facts);
}

export async function readList<Meta>(
	store: StoreReader,
	given?: ListQuery,
): Promise<Page<SessionRow<Meta>>> {
	const page = await store.list(checkList(given));
	return { ...page, items: page.items.map((facts) => rowOf<Meta>(facts)) };
}

export function checkList(given: ListQuery | undefined): ListQuery {
	const query = checkPage(given);
	const { status, prefix, updatedSince } = query;
	if (status !== undefined)
		for (const one of [status].flat()) checkChoice(one, "status", statuses);
	if (prefix !== undefined && typeof prefix !== "string")
		throw invalid(`prefix is ${shown(prefix)}; it must be a string`);
	if (updatedSince !== undefined) checkMs(updatedSince, "updatedSince");
	return query;
}

export async function readArchive<Meta>(
	store: StoreReader,
	sessionKey: string,
	given?: PageQuery,
): Promise<Page<EndedGeneration<Meta>>> {
	const query = checkPage(given);
	const unsettled = await unsettledOf(store, sessionKey);
	const page = await store.generations(sessionKey, query);
	const items: EndedGeneration<Meta>[] = [];
	for (const ended of page.items)
		items.push(await withRuns<Meta>(store, ended, unsettled));
	return { items, cursor: page.cursor };
}

/** One generation that ended, or null. */
export async function readEnded<Meta>(
	store: StoreReader,
	sessionKey: string,
	generation: number,
): Promise<EndedGeneration<Meta> | null> {
	const ended = await store.generation(sessionKey, generation);
	if (!ended) return null;
	return withRuns(store, ended, await unsettledOf(store, sessionKey));
}

async function withRuns<Meta>(
	store: StoreReader,
	ended: ArchivedGeneration,
	unsettled: readonly RunFacts[],
): Promise<EndedGeneration<Meta>> {
	const { sessionKey, generation } = ended;
	const kept = await store.runs(sessionKey, {
		generation,
		limit: runsInArchive,
	});
	return {
		...(ended as ArchivedGeneration<Meta>),
		runs: newestFirst(unsettled, kept.items, generation)
			.slice(0, runsInArchive)
			.map(runRecordOf),
	};
}

export async function readTranscript(
	store: StoreReader,
	sessionKey: string,
	given?: TranscriptQuery,
): Promise<Page<TranscriptEntry>> {
	const query = checkPage(given);
	if (query.generation !== undefined)
		checkCount(query.generation, "generation");
	checkOptionalName(query.sessionId, "sessionId");
	return store.transcript(sessionKey, query);
}

/**
 * Runs by key, newest first; those that have not settled stand before all others. A cursor is `live:N` within those, and then
 * `kept:` with the store's own.
 */
export async function readRuns(
	store: StoreReader,
	sessionKey: string,
	given?: PageQuery & { generation?: number | undefined },
): Promise<Page<RunRecord>> {
	const { limit, cursor, generation } = checkPage(given);
	if (generation !== undefined) checkCount(generation, "generation");
	// Read first: a run that settles meanwhile is then in the run table, and not in neither.
	const unsettled = (await unsettledOf(store, sessionKey)).filter(
		(run) => generation === undefined || run.generation === generation,
	);
	const [, place = "live", at = "0"] =
		/^(?:(live):(\d{1,9})|(kept):(.*))$/s
			.exec(cursor ?? "live:0")
			?.filter((part) => part !== undefined) ?? bad("cursor", cursor);
	const from = place === "live" ? Number(at) : unsettled.length;
	const live = unsettled.slice(from, from + limit);
	if (from + live.length < unsettled.length)
		return {
			items: live.map(runRecordOf),
			cursor: `live:${from + live.length}`,
		};
	if (live.length === limit) {
		const behind = await store.runs(sessionKey, {
			...(generation === undefined ? {} : { generation }),
			limit: 1,
		});
		return {
			items: live.map(runRecordOf),
			cursor: behind.items.length > 0 ? "kept:" : null,
		};
	}
	const page = await store.runs(sessionKey, {
		...(generation === undefined ? {} : { generation }),
		limit: limit - live.length,
		...(place === "kept" && at !== "" ? { cursor: at } : {}),
	});
	const settled = new Set(
		page.items.filter(({ outcome }) => outcome !== null).map(ticketId),
	);
	const shownRuns = [
		...live.filter((run) => !settled.has(ticketId(run))),
		...unknownTo(unsettled, page.items),
	];
	return {
		items: shownRuns.map(runRecordOf),
		cursor: page.cursor === null ? null : `kept:${page.cursor}`,
	};
}

export async function readRefusals(
	store: StoreReader,
	given?: PageQuery & { sessionKey?: string | undefined },
): Promise<Page<Refusal>> {
	const query = checkPage(given);
	checkOptionalName(query.sessionKey, "sessionKey");
	const page = await store.refusals(query);
	return {
		...page,
		items: page.items.map(refusalOf),
	};
}

/** A refusal without what the store keeps it by. */
export function refusalOf({
	refusalId: _id,
	sessionKey: _key,
	...refusal
}: StoredRefusal): Refusal {
	return refusal;
}

/** The live run and those that drain, newest first. */
export function unsettledRuns(
	facts: SessionFacts | RowFacts,
): readonly RunFacts[] {
	const draining = facts.draining.map(({ run }) => run).reverse();
	return facts.run ? [facts.run, ...draining] : draining;
}

/** Those that have not settled, then the kept ones; whichever of the two knows more of a run. */
export function newestFirst(
	unsettled: readonly RunFacts[],
	kept: readonly RunFacts[],
	generation?: number,
): readonly RunFacts[] {
	const settled = new Set(
		kept.filter(({ outcome }) => outcome !== null).map(ticketId),
	);
	const live = unsettled.filter(
		(run) =>
			(generation === undefined || run.generation === generation) &&
			!settled.has(ticketId(run)),
	);
	return [...live, ...unknownTo(live, kept)];
}

/** Kept runs without those that the row still knows as unsettled: of these the table has what they were as reservations. */
function unknownTo(
	unsettled: readonly RunFacts[],
	kept: readonly RunFacts[],
): readonly RunFacts[] {
	const ids = new Set(unsettled.map(ticketId));
	return kept.filter((run) => run.outcome !== null || !ids.has(ticketId(run)));
}

async function unsettledOf(
	store: StoreReader,
	sessionKey: string,
): Promise<readonly RunFacts[]> {
	const loaded = await store.load(sessionKey);
	return loaded ? unsettledRuns(loaded.facts) : [];
}

function bad(name: string, value: unknown): never {
	throw invalid(
		`${name} is ${shown(value)}; it must be the ${name} of an earlier page of the same query`,
	);
}

function checkPage<Query extends PageQuery>(
	given: Query | undefined,
): Query & { limit: number } {
	const query = checkOptions(given, "query");
	const { cursor } = query;
	if (cursor !== undefined && typeof cursor !== "string") bad("cursor", cursor);
	return { ...query, limit: limitOf(query) };
}
