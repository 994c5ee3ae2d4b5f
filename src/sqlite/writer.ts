/**
 * Owns how a batch gets into the tables: one transaction, each row against the version it was made on, all or nothing. Never waits,
 * never decides what is written. At most one writer has a file.
 */
import type { StatementSync } from "node:sqlite";
import type { ArchivedGeneration, StoredEntry } from "../../machines/facts.ts";
import { isUnsettled, statusOf } from "../../machines/facts.ts";
import type { RunFacts } from "../../machines/run.ts";
import { invalid, shown } from "../arguments.ts";
import {
	type Batch,
	type HiddenRun,
	isPurged,
	type SessionWrite,
	type StoredMessage,
	type StoredRefusal,
	storable,
	VersionConflict,
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

/** Session keys whose place is remembered. */
const mostPlaces = 50_000;

/** The newest run, message and transcript entry of one generation. */
interface Newest {
	run: number | null;
	message: number | null;
	entry: number | null;
}

const newestColumns =
	"last_run AS run, last_message AS message, last_entry AS entry";
const nothing: Newest = { run: null, message: null, entry: null };

/** Where a session's row is, and what its columns link to. */
interface Place extends Newest {
	readonly id: number;
	/** The current one; the links of others stand in their own rows. */
	generation: number;
}

/** Erase what is of generations before this one. */
interface Purge {
	readonly sessionKey: string;
	readonly before: number;
}

type MessageRecord = Pick<
	StoredMessage,
	"messageId" | "seq" | "fate" | "generation"
> & { readonly id: number; readonly body: string };

/** The rows that are linked from the given one on, itself included. */
const linked = (table: "runs" | "messages" | "transcript") => `
	WITH RECURSIVE chain (id) AS (
		SELECT ?
		UNION ALL
		SELECT previous FROM chain JOIN ${table} USING (id) WHERE previous < id
	)
	SELECT id FROM chain`;

export class Writer {
	readonly #db: Database;
	#places = new Map<string, Place>();
	#nextSession: number;
	// What every turn writes.
	readonly #updateSession: StatementSync;
	readonly #insertMessage: StatementSync;
	readonly #insertRun: StatementSync;

	constructor(db: Database) {
		this.#db = db;
		this.#updateSession = db.sql(
			`UPDATE sessions SET
			generation = ?, version = ?, status = ?, hidden = ?, unsettled = ?, updated_at = ?, last_run = ?, last_message = ?, last_entry = ?, body = ?
			WHERE id = ? AND version = ?`,
		);
		this.#insertMessage = db.sql(
			`INSERT INTO messages (session, generation, message_id, seq, fate, previous, body, accepted_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		);
		this.#insertRun = db.sql(
			`INSERT INTO runs (session, generation, run_id, attempt, previous, body)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		);
		const last = db.sql("SELECT max(id) AS id FROM sessions").get()?.id;
		this.#nextSession = Number(last ?? 0) + 1;
	}

	commit(batch: Batch): void {
		try {
			this.#db.write(() => {
				for (const refusal of batch.refusals) this.#refuse(refusal);
				for (const write of batch.sessions) this.#write(write);
			});
		} catch (error) {
			// What was remembered may be what does not hold.
			for (const { sessionKey } of batch.sessions)
				this.#places.delete(sessionKey);
			throw error;
		}
	}

	/** The links of this session are no longer what was remembered. */
	forget(sessionKey: string): void {
		this.#places.delete(sessionKey);
	}

	#refuse(refusal: StoredRefusal): void {
		const { sessionKey } = refusal;
		this.#db
			.sql(
				"INSERT INTO refusals (refusal_id, session_key, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			)
			.run(
				storable(refusal.refusalId),
				sessionKey === null ? null : storable(sessionKey),
				refusalBody.encode(refusal),
			);
	}

	#write(write: SessionWrite): void {
		const { sessionKey, baseVersion, facts } = write;
		const known = this.#placeOf(sessionKey);
		if (!known && baseVersion !== 0)
			throw new VersionConflict(sessionKey, baseVersion, 0);
		if (!known && !facts)
			throw invalid(
				`session ${shown(sessionKey)} has no row; its first write must bring one`,
			);
		const place = known ?? {
			id: this.#nextSession++,
			generation: facts?.generation ?? 1,
			...nothing,
		};
		const { run, message, entry } = place;
		if (facts && facts.generation !== place.generation)
			this.#turnTo(place, facts.generation);
		for (const one of write.messages) this.#fileMessage(place, one);
		for (const one of write.runs) this.#fileRun(place, one);
		for (const one of write.generations) this.#archive(place, one);
		for (const one of write.entries) this.#append(place, one);
		for (const one of write.hides) this.#hide(place, one);
		if (write.purgeBefore !== null)
			this.#purge(place, sessionKey, write.purgeBefore);
		if (!known) this.#insertRow(place, write);
		else if (facts) this.#updateRow(place, write);
		else {
			const found = this.#versionAt(place);
			if (found !== baseVersion)
				throw new VersionConflict(sessionKey, baseVersion, found);
			if (
				place.run !== run ||
				place.message !== message ||
				place.entry !== entry
			)
				this.#db
					.sql(
						"UPDATE sessions SET last_run = ?, last_message = ?, last_entry = ? WHERE id = ?",
					)
					.run(place.run, place.message, place.entry, place.id);
		}
	}

	#placeOf(sessionKey: string): Place | null {
		const known = this.#places.get(sessionKey);
		if (known) return known;
		const found = this.#db
			.sql(
				`SELECT id, generation, ${newestColumns} FROM sessions WHERE session_key = ?`,
			)
			.get(storable(sessionKey)) as Place | undefined;
		if (!found) return null;
		this.#remember(sessionKey, found);
		return found;
	}

	#remember(sessionKey: string, place: Place): void {
		if (this.#places.size >= mostPlaces)
			for (const longest of this.#places.keys()) {
				this.#places.delete(longest);
				break;
			}
		this.#places.set(sessionKey, place);
	}

	#versionAt(place: Place): number {
		const found = this.#db
			.sql("SELECT version FROM sessions WHERE id = ?")
			.get(place.id);
		return Number(found?.version ?? 0);
	}

	#insertRow(place: Place, { sessionKey, facts }: SessionWrite): void {
		if (!facts) return;
		this.#db
			.sql(
				`INSERT INTO sessions
				(generation, version, status, hidden, unsettled, updated_at, last_run, last_message, last_entry, body, id, session_key)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			)
			.run(...columnsOf(place, facts), place.id, sessionKey);
		this.#remember(sessionKey, place);
	}

	#updateRow(
		place: Place,
		{ sessionKey, facts, baseVersion }: SessionWrite,
	): void {
		if (!facts) return;
		const { changes } = this.#updateSession.run(
			...columnsOf(place, facts),
			place.id,
			baseVersion,
		);
		if (changes === 0)
			throw new VersionConflict(
				sessionKey,
				baseVersion,
				this.#versionAt(place),
			);
	}

	#fileMessage(place: Place, message: StoredMessage): void {
		const { generation, messageId, seq, fate, acceptedAt } = message;
		const body = messageBody.encode(message);
		const newest = this.#newestOf(place, generation);
		const { changes, lastInsertRowid } = this.#insertMessage.run(
			place.id,
			generation,
			storable(messageId),
			seq,
			fate,
			newest.message,
			body,
			acceptedAt,
		);
		if (changes === 0) {
			this.#db
				.sql(
					"UPDATE messages SET seq = ?, fate = ?, body = ?, accepted_at = ? WHERE message_id = ? AND session = ?",
				)
				.run(seq, fate, body, acceptedAt, messageId, place.id);
			return;
		}
		newest.message = Number(lastInsertRowid);
		if (newest !== place) this.#setNewest(place, generation, newest);
	}

	#fileRun(place: Place, run: RunFacts): void {
		const { generation, runId, attempt } = run;
		const body = runBody.encode(run);
		const newest = this.#newestOf(place, generation);
		const { changes, lastInsertRowid } = this.#insertRun.run(
			place.id,
			generation,
			storable(runId),
			attempt,
			newest.run,
			body,
		);
		if (changes === 0) {
			this.#db
				.sql(
					"UPDATE runs SET body = ? WHERE run_id = ? AND session = ? AND attempt = ?",
				)
				.run(body, runId, place.id, attempt);
			return;
		}
		newest.run = Number(lastInsertRowid);
		if (newest !== place) this.#setNewest(place, generation, newest);
	}

	/** An entry that is not newer than the newest of its generation is there already. */
	#append(place: Place, entry: StoredEntry): void {
		const { generation, seq, sessionId, runId, attempt, hidden } = entry;
		const newest = this.#newestOf(place, generation);
		if (seq <= this.#seqOf(newest.entry)) return;
		const { lastInsertRowid } = this.#db
			.sql(
				`INSERT INTO transcript (session, generation, seq, session_id, run_id, attempt, hidden, previous, body)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			)
			.run(
				place.id,
				generation,
				seq,
				storable(sessionId),
				storable(runId),
				attempt,
				hidden ? 1 : 0,
				newest.entry,
				entryBody.encode(entry),
			);
		newest.entry = Number(lastInsertRowid);
		if (newest !== place) this.#setNewest(place, generation, newest);
	}

	#seqOf(entry: number | null): number {
		if (entry === null) return 0;
		const found = this.#db
			.sql("SELECT seq FROM transcript WHERE id = ?")
			.get(entry);
		return Number(found?.seq ?? 0);
	}

	/** Runs of a generation come one after the other: the entries of the one that is hidden are the newest. */
	#hide(place: Place, { generation, runId, attempt }: HiddenRun): void {
		this.#db
			.sql(
				`WITH RECURSIVE own (id, previous) AS (
					SELECT id, previous FROM transcript WHERE id = ? AND run_id = ? AND attempt = ?
					UNION ALL
					SELECT one.id, one.previous FROM own JOIN transcript AS one ON one.id = own.previous
					WHERE one.id < own.id AND one.run_id = ? AND one.attempt = ?
				)
				UPDATE transcript SET hidden = 1 WHERE hidden = 0 AND id IN (SELECT id FROM own)`,
			)
			.run(
				this.#newestOf(place, generation).entry,
				runId,
				attempt,
				runId,
				attempt,
			);
	}

	#archive(place: Place, ended: ArchivedGeneration): void {
		this.#db
			.sql(
				`INSERT INTO generations (session, generation, ended_at, body) VALUES (?, ?, ?, ?)
				ON CONFLICT (session, generation) DO UPDATE SET ended_at = excluded.ended_at, body = excluded.body`,
			)
			.run(
				place.id,
				ended.generation,
				ended.endedAt,
				generationBody.encode(ended),
			);
	}

	/** The links of the generation that ends move from the session's row into a row of their own. */
	#turnTo(place: Place, generation: number): void {
		if (!isNothing(place)) this.#setNewest(place, place.generation, place);
		const { run, message, entry } = this.#newestOf(place, generation);
		if (!isNothing({ run, message, entry }))
			this.#setNewest(place, generation, nothing);
		Object.assign(place, { generation, run, message, entry });
	}

	#newestOf(place: Place, generation: number): Newest {
		if (generation === place.generation) return place;
		const found = this.#db
			.sql(
				`SELECT ${newestColumns} FROM generations WHERE session = ? AND generation = ?`,
			)
			.get(place.id, generation) as Newest | undefined;
		return found ?? { ...nothing };
	}

	#setNewest(place: Place, generation: number, newest: Newest): void {
		this.#db
			.sql(
				`INSERT INTO generations (session, generation, last_run, last_message, last_entry) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (session, generation) DO UPDATE
				SET last_run = excluded.last_run, last_message = excluded.last_message, last_entry = excluded.last_entry`,
			)
			.run(place.id, generation, newest.run, newest.message, newest.entry);
	}

	#purge(place: Place, sessionKey: string, before: number): void {
		const ended = this.#db
			.sql(
				`SELECT generation, ${newestColumns} FROM generations WHERE session = ? AND generation < ?`,
			)
			.all(place.id, before) as unknown as (Newest & {
			readonly generation: number;
		})[];
		for (const { generation, ...newest } of ended) {
			this.#db
				.sql("DELETE FROM generations WHERE session = ? AND generation = ?")
				.run(place.id, generation);
			if (generation === place.generation) continue;
			this.#erase(place, generation, newest, { sessionKey, before });
			if (newest.message !== null) this.#setNewest(place, generation, newest);
		}
		if (place.generation < before)
			this.#erase(place, place.generation, place, { sessionKey, before });
		this.#db.sql("DELETE FROM refusals WHERE session_key = ?").run(sessionKey);
	}

	/** Erases the runs, messages and transcript of one generation. Messages that outlive the purge stay, and are linked anew. */
	#erase(
		place: Place,
		generation: number,
		newest: Newest,
		{ sessionKey, before }: Purge,
	): void {
		const survivors: number[] = [];
		for (const one of this.#db
			.sql(
				`SELECT id, message_id AS messageId, seq, fate, generation, body FROM messages
				WHERE id IN (
					${linked("messages")}
					UNION SELECT id FROM messages WHERE session = ? AND fate = 'queued' AND generation = ?
				) ORDER BY id`,
			)
			.iterate(newest.message, place.id, generation)) {
			const message = one as unknown as MessageRecord;
			const run = takerOf(message, sessionKey);
			if (!isPurged({ ...message, run }, before)) survivors.push(message.id);
		}
		for (const [table, first] of [
			["runs", newest.run],
			["transcript", newest.entry],
		] as const)
			this.#db
				.sql(`DELETE FROM ${table} WHERE id IN (${linked(table)})`)
				.run(first);
		this.#db
			.sql(
				`DELETE FROM messages WHERE id IN (${linked("messages")})
				AND id NOT IN (SELECT value FROM json_each(?))`,
			)
			.run(newest.message, JSON.stringify(survivors));
		Object.assign(newest, nothing);
		for (const id of survivors) {
			this.#db
				.sql("UPDATE messages SET previous = ? WHERE id = ?")
				.run(newest.message, id);
			newest.message = id;
		}
	}
}

/** The run that took a message; null also where that cannot be read. */
function takerOf(
	{ body, ...columns }: MessageRecord,
	sessionKey: string,
): StoredMessage["run"] {
	if (columns.fate !== "taken") return null;
	try {
		return messageBody.decode(body, { ...columns, sessionKey }).run;
	} catch {
		return null;
	}
}

function isNothing({ run, message, entry }: Newest): boolean {
	return run === null && message === null && entry === null;
}

function columnsOf(
	place: Place,
	facts: NonNullable<SessionWrite["facts"]>,
): (string | number | null)[] {
	return [
		facts.generation,
		facts.version,
		statusOf(facts),
		facts.hidden ? 1 : 0,
		isUnsettled(facts) ? 1 : 0,
		facts.updatedAt,
		place.run,
		place.message,
		place.entry,
		sessionBody.encode(facts),
	];
}
