/** Owns every question that is asked of a store's file, by its owner or by anybody who looks. Never writes. */
import type {
	ArchivedGeneration,
	QueuedMessage,
	RowFacts,
	TranscriptEntry,
} from "../../machines/facts.ts";
import type { RunFacts } from "../../machines/run.ts";
import { byOrder, limitOf, numbersIn, pageOf, shownEntry } from "../page.ts";
import {
	type ListQuery,
	type LoadedSession,
	type Page,
	type PageQuery,
	queuedOf,
	type StoredMessage,
	type StoredRefusal,
	type StoreReader,
	type TranscriptQuery,
	UnreadableSession,
} from "../store.ts";
import {
	entryBody,
	generationBody,
	messageBody,
	refusalBody,
	runBody,
	sessionBody,
} from "./codec.ts";
import type { Database } from "./database.ts";
import { damaged } from "./failure.ts";

// What the tables' own types (STRICT) make of their columns.
interface SessionRecord {
	readonly id: number;
	readonly session_key: string;
	readonly generation: number;
	readonly version: number;
	readonly hidden: number;
	readonly updated_at: number;
	readonly body: string;
}

/** A generation, and the newest run or entry of it. */
interface Head {
	readonly session: number;
	readonly generation: number;
	readonly id: number;
}

interface RunRecord {
	readonly id: number;
	readonly session: number;
	readonly session_key: string;
	readonly generation: number;
	readonly run_id: string;
	readonly attempt: number;
	readonly previous: number | null;
	readonly body: string;
}

interface EntryRecord {
	readonly id: number;
	readonly session: number;
	readonly generation: number;
	readonly seq: number;
	readonly session_id: string;
	readonly run_id: string;
	readonly attempt: number;
	readonly hidden: number;
	readonly previous: number | null;
	/** Null where it is hidden. */
	readonly body: string | null;
}

interface MessageRecord {
	readonly message_id: string;
	readonly seq: number;
	readonly fate: StoredMessage["fate"];
	readonly generation: number;
	readonly body: string;
}

const sessionColumns =
	"id, session_key, generation, version, hidden, updated_at, body";
const messageColumns = "message_id, seq, fate, generation, body";
/** Rows of a transcript that are looked at together, at least. */
const stride = 100;
const idOfKey = "(SELECT id FROM sessions WHERE session_key = ?)";

export class SqliteReader implements StoreReader {
	protected readonly db: Database;

	constructor(db: Database) {
		this.db = db;
	}

	async load(sessionKey: string): Promise<LoadedSession | null> {
		return this.db.read(() => {
			const row = this.#one<SessionRecord>(
				`SELECT ${sessionColumns} FROM sessions WHERE session_key = ?`,
				stored(sessionKey),
			);
			if (!row) return null;
			const waiting = this.all<MessageRecord>(
				`SELECT ${messageColumns} FROM messages WHERE session = ? AND fate = 'queued' ORDER BY seq, id`,
				row.id,
			);
			const queue: QueuedMessage[] = [];
			const lost: StoredMessage[] = [];
			let damage: unknown;
			for (const one of waiting)
				try {
					queue.push(queuedOf(messageOf(sessionKey, one)));
				} catch (error) {
					damage = error;
					lost.push(lostMessage(one));
				}
			queue.sort(byOrder);
			try {
				const facts = factsOf(row, queue.length);
				if (lost.length === 0) return { facts, queue };
			} catch (error) {
				damage = error;
			}
			const { generation, version, body: raw } = row;
			throw new UnreadableSession(
				{
					sessionKey,
					generation,
					version,
					raw,
					queue,
					lost,
					entries: this.#newestEntry(row.id),
				},
				damage,
			);
		});
	}

	async version(sessionKey: string): Promise<number> {
		return this.db.use("read", () => {
			const row = this.#one<{ version: number }>(
				"SELECT version FROM sessions WHERE session_key = ?",
				stored(sessionKey),
			);
			return row ? row.version : 0;
		});
	}

	async message(
		sessionKey: string,
		messageId: string,
	): Promise<StoredMessage | null> {
		return this.db.use("read", () => {
			const found = this.#one<MessageRecord>(
				`SELECT ${messageColumns} FROM messages WHERE session = ${idOfKey} AND message_id = ?`,
				stored(sessionKey),
				stored(messageId),
			);
			if (!found) return null;
			return this.#decoded(
				`message ${JSON.stringify(messageId)} of session ${JSON.stringify(sessionKey)}`,
				() => messageOf(sessionKey, found),
			);
		});
	}

	async runsNamed(
		runId: string,
		sessionKey?: string,
	): Promise<readonly RunFacts[]> {
		return this.db.use("read", () => {
			const named =
				"SELECT runs.*, session_key FROM runs JOIN sessions ON sessions.id = session WHERE run_id = ?";
			const found =
				sessionKey === undefined
					? this.all<RunRecord>(`${named} ORDER BY runs.id DESC`, stored(runId))
					: this.all<RunRecord>(
							`${named} AND session_key = ? ORDER BY runs.id DESC`,
							stored(runId),
							stored(sessionKey),
						);
			return found.map((run) => this.#run(run.session_key, run));
		});
	}

	async list(query: ListQuery): Promise<Page<RowFacts>> {
		const limit = limitOf(query);
		const { cursor, prefix = "", updatedSince, status } = query;
		const where = ["hidden = 0"];
		const values: (string | number)[] = [];
		const only = (condition: string, ...given: (string | number)[]) => {
			where.push(condition);
			values.push(...given);
		};
		if (cursor !== undefined) only("session_key > ?", cursor);
		if (!cursor?.startsWith(prefix)) only("session_key >= ?", prefix);
		const end = endOfPrefix(prefix);
		if (end !== null) only("session_key < ?", end);
		if (updatedSince !== undefined) only("updated_at >= ?", updatedSince);
		if (status !== undefined) {
			const wanted = typeof status === "string" ? [status] : status;
			only(`status IN (${wanted.map(() => "?").join()})`, ...wanted);
		}
		return this.db.use("read", () => {
			if (!prefix.isWellFormed()) return { items: [], cursor: null };
			const rows = this.db
				.sql(
					`SELECT ${sessionColumns}, (
						SELECT count(*) FROM messages WHERE session = sessions.id AND fate = 'queued'
					) AS queued
					FROM sessions WHERE ${where.join(" AND ")} ORDER BY session_key`,
				)
				.iterate(...values) as Iterable<SessionRecord & { queued: number }>;
			const found: RowFacts[] = [];
			for (const row of rows) {
				const facts = readable(row);
				if (facts) found.push(facts);
				if (found.length > limit) break;
			}
			return pageOf(found, limit, (last) => last.sessionKey);
		});
	}

	async generations(
		sessionKey: string,
		query: PageQuery,
	): Promise<Page<ArchivedGeneration>> {
		const limit = limitOf(query);
		const [before] = numbersIn(query.cursor, 1) ?? [Number.MAX_SAFE_INTEGER];
		return this.db.use("read", () => {
			const found = this.all<{ generation: number; body: string }>(
				`SELECT generation, body FROM generations
				WHERE session = ${idOfKey} AND generation < ? AND body IS NOT NULL
				ORDER BY generation DESC LIMIT ?`,
				stored(sessionKey),
				before as number,
				limit + 1,
			).map((one) => this.#generation(sessionKey, one));
			return pageOf(found, limit, (last) => String(last.generation));
		});
	}

	async generation(
		sessionKey: string,
		generation: number,
	): Promise<ArchivedGeneration | null> {
		return this.db.use("read", () => {
			const found = this.#one<{ generation: number; body: string }>(
				`SELECT generation, body FROM generations
				WHERE session = ${idOfKey} AND generation = ? AND body IS NOT NULL`,
				stored(sessionKey),
				generation,
			);
			return found ? this.#generation(sessionKey, found) : null;
		});
	}

	async runs(
		sessionKey: string,
		query: PageQuery & { readonly generation?: number | undefined },
	): Promise<Page<RunFacts>> {
		const limit = limitOf(query);
		const cursor = numbersIn(query.cursor, 2);
		return this.db.read(() => {
			const found: RunRecord[] = [];
			for (const head of this.#newest("run", sessionKey, query.generation)) {
				let next = this.#startOf("runs", head, cursor);
				while (next !== null && found.length <= limit) {
					const run = this.#runAt(next);
					if (!run) break;
					found.push(run);
					next = run.previous;
				}
				if (found.length > limit) break;
			}
			const page = pageOf(
				found,
				limit,
				(last) => `${last.generation}.${last.id}`,
			);
			return {
				...page,
				items: page.items.map((run) => this.#run(sessionKey, run)),
			};
		});
	}

	async transcript(
		sessionKey: string,
		query: TranscriptQuery,
	): Promise<Page<TranscriptEntry>> {
		const limit = limitOf(query);
		const { sessionId } = query;
		const cursor = numbersIn(query.cursor, 2);
		return this.db.read(() => {
			const found: EntryRecord[] = [];
			for (const head of this.#newest("entry", sessionKey, query.generation)) {
				let next = this.#startOf("transcript", head, cursor);
				while (next !== null && found.length <= limit) {
					const some = this.#entriesFrom(next, Math.max(stride, limit + 1));
					for (const one of some)
						if (
							one.hidden === 0 &&
							(sessionId === undefined || one.session_id === sessionId)
						)
							found.push(one);
					next = some.at(-1)?.previous ?? null;
				}
				if (found.length > limit) break;
			}
			const page = pageOf(
				found,
				limit,
				(last) => `${last.generation}.${last.id}`,
			);
			return {
				...page,
				items: page.items.map((one) => this.#entry(sessionKey, one)),
			};
		});
	}

	async refusals(
		query: PageQuery & { readonly sessionKey?: string | undefined },
	): Promise<Page<StoredRefusal>> {
		const limit = limitOf(query);
		const [before] = numbersIn(query.cursor, 1) ?? [Number.MAX_SAFE_INTEGER];
		const { sessionKey } = query;
		return this.db.use("read", () => {
			const ofKey = sessionKey === undefined ? "" : "AND session_key = ?";
			const key = sessionKey === undefined ? [] : [stored(sessionKey)];
			const found = this.all<{
				id: number;
				refusal_id: string;
				session_key: string | null;
				body: string;
			}>(
				`SELECT id, refusal_id, session_key, body FROM refusals WHERE id < ? ${ofKey} ORDER BY id DESC LIMIT ?`,
				before as number,
				...key,
				limit + 1,
			);
			const page = pageOf(found, limit, (last) => String(last.id));
			return {
				...page,
				items: page.items.map((one) =>
					this.#decoded(`refusal ${one.id}`, () =>
						refusalBody.decode(one.body, {
							refusalId: one.refusal_id,
							sessionKey: one.session_key,
						}),
					),
				),
			};
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.db.close();
	}

	/** The newest run or entry of each generation that has any, newest generation first. */
	#newest(
		kind: "run" | "entry",
		sessionKey: string,
		generation: number | undefined,
	): Head[] {
		const key = stored(sessionKey);
		const found = this.all<Head>(
			`SELECT id AS session, generation, last_${kind} AS id FROM sessions
			WHERE session_key = ? AND last_${kind} IS NOT NULL
			UNION ALL
			SELECT session, generation, last_${kind} FROM generations
			WHERE session = ${idOfKey} AND last_${kind} IS NOT NULL
			ORDER BY generation DESC`,
			key,
			key,
		);
		return generation === undefined
			? found
			: found.filter((head) => head.generation === generation);
	}

	/** Where a page begins in a generation, or null if it has nothing of it. */
	#startOf(
		table: "runs" | "transcript",
		head: Head,
		cursor: readonly number[] | null,
	): number | null {
		if (!cursor) return head.id;
		const [generation, id] = cursor as [number, number];
		if (head.generation !== generation)
			return head.generation > generation ? null : head.id;
		const last = this.#one<{ previous: number | null }>(
			`SELECT previous FROM ${table} WHERE id = ? AND session = ? AND generation = ?`,
			id,
			head.session,
			generation,
		);
		if (last) return last.previous;
		// Erased since that page, and then so is all that is newer.
		return head.id < id ? head.id : null;
	}

	/** Entries from the given one on, in the order of their links. */
	#entriesFrom(id: number, most: number): EntryRecord[] {
		return this.all<EntryRecord>(
			`WITH RECURSIVE chain (id, previous) AS (
				SELECT id, previous FROM transcript WHERE id = ?
				UNION ALL
				SELECT one.id, one.previous FROM chain JOIN transcript AS one ON one.id = chain.previous
				WHERE one.id < chain.id
				LIMIT ?
			)
			SELECT one.id, session, generation, seq, session_id, run_id, attempt, hidden, one.previous, iif(hidden, NULL, body) AS body
			FROM chain CROSS JOIN transcript AS one USING (id)`,
			id,
			most,
		);
	}

	#entry(sessionKey: string, one: EntryRecord): TranscriptEntry {
		const { generation, seq } = one;
		return this.#decoded(
			`entry ${seq} of the transcript of session ${JSON.stringify(sessionKey)}`,
			() =>
				shownEntry(
					entryBody.decode(one.body as string, {
						sessionKey,
						generation,
						seq,
						sessionId: one.session_id,
						runId: one.run_id,
						attempt: one.attempt,
						hidden: false,
					}),
				),
		);
	}

	#newestEntry(session: number): number {
		const found = this.#one<{ seq: number | null }>(
			`SELECT max(seq) AS seq FROM transcript WHERE id IN (
				SELECT last_entry FROM sessions WHERE id = ?
				UNION ALL
				SELECT last_entry FROM generations WHERE session = ?
			)`,
			session,
			session,
		);
		return found?.seq ?? 0;
	}

	#runAt(id: number): RunRecord | undefined {
		return this.#one<RunRecord>("SELECT * FROM runs WHERE id = ?", id);
	}

	#run(sessionKey: string, run: RunRecord): RunFacts {
		const { generation, run_id: runId, attempt } = run;
		return this.#decoded(
			`run ${JSON.stringify(runId)} of session ${JSON.stringify(sessionKey)}`,
			() =>
				runBody.decode(run.body, { sessionKey, generation, runId, attempt }),
		);
	}

	#generation(
		sessionKey: string,
		{ generation, body }: { generation: number; body: string },
	): ArchivedGeneration {
		return this.#decoded(
			`generation ${generation} of session ${JSON.stringify(sessionKey)}`,
			() => generationBody.decode(body, { sessionKey, generation }),
		);
	}

	#decoded<Item>(name: string, decode: () => Item): Item {
		try {
			return decode();
		} catch (error) {
			throw damaged(this.db.path, name, error);
		}
	}

	#one<Row>(
		sql: string,
		...values: (string | number | null)[]
	): Row | undefined {
		return this.db.sql(sql).get(...values) as Row | undefined;
	}

	protected all<Row>(
		sql: string,
		...values: (string | number | null)[]
	): Row[] {
		return this.db.sql(sql).all(...values) as Row[];
	}
}

/** A text as SQLite would hold it. One with half a character in it was never stored, and equals nothing. */
function stored(text: string): string | null {
	return text.isWellFormed() ? text : null;
}

/**
 * The first text, in the order of code points, that is greater than all that begin with the prefix. Null if there is none.
 *
 * @example endOfPrefix("room:") // "room;"
 */
function endOfPrefix(prefix: string): string | null {
	const points = Array.from(prefix, (char) => char.codePointAt(0) as number);
	for (let last = points.pop(); last !== undefined; last = points.pop()) {
		if (last === 0x10ffff) continue;
		// No text has a surrogate as a code point.
		points.push(last === 0xd7ff ? 0xe000 : last + 1);
		return String.fromCodePoint(...points);
	}
	return null;
}

function factsOf(row: SessionRecord, queued: number): RowFacts {
	return sessionBody.decode(row.body, {
		sessionKey: row.session_key,
		generation: row.generation,
		version: row.version,
		hidden: row.hidden === 1,
		updatedAt: row.updated_at,
		queued,
	});
}

function readable(row: SessionRecord & { queued: number }): RowFacts | null {
	try {
		return factsOf(row, row.queued);
	} catch {
		return null;
	}
}

function messageOf(sessionKey: string, row: MessageRecord): StoredMessage {
	return messageBody.decode(row.body, {
		sessionKey,
		messageId: row.message_id,
		seq: row.seq,
		fate: row.fate,
		generation: row.generation,
	});
}

/** What a message becomes of which only the columns can be read. */
function lostMessage(row: MessageRecord): StoredMessage {
	return {
		messageId: row.message_id,
		seq: row.seq,
		generation: row.generation,
		input: null,
		acceptedAt: 0,
		expect: null,
		fate: "removed",
		run: null,
		reason: "what was stored of it cannot be read",
		kind: "message",
		order: row.seq,
		front: null,
		group: null,
		steers: null,
		skipped: [],
		parent: null,
		edited: false,
	};
}
