/**
 * Owns how a batch gets into the tables: one transaction, each row against the version it was made on, all or nothing. Never waits,
 * never decides what is written. At most one writer has a file.
 */
import type { StatementSync } from "node:sqlite";
import type { ArchivedGeneration } from "../../machines/facts.ts";
import { statusOf } from "../../machines/facts.ts";
import type { RunFacts } from "../../machines/run.ts";
import { invalid, shown } from "../arguments.ts";
import {
	type Batch,
	type SessionWrite,
	type StoredMessage,
	type StoredRefusal,
	storable,
	VersionConflict,
} from "../store.ts";
import {
	generationBody,
	messageBody,
	refusalBody,
	runBody,
	sessionBody,
} from "./codec.ts";
import type { Database } from "./database.ts";

/** Session keys whose place is remembered. */
const mostPlaces = 50_000;

/** The newest run and message of one generation. */
interface Newest {
	run: number | null;
	message: number | null;
}

/** Where a session's row is, and what its columns link to. */
interface Place extends Newest {
	readonly id: number;
	/** The current one; the links of others stand in their own rows. */
	generation: number;
}

/** The rows that are linked from the given one on, itself included. */
const linked = (table: "runs" | "messages") => `
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
			generation = ?, version = ?, status = ?, hidden = ?, unsettled = ?, updated_at = ?, last_run = ?, last_message = ?, body = ?
			WHERE id = ? AND version = ?`,
		);
		this.#insertMessage = db.sql(
			`INSERT INTO messages (session, generation, message_id, seq, fate, previous, body)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
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
			run: null,
			message: null,
		};
		const { run, message } = place;
		if (facts && facts.generation !== place.generation)
			this.#turnTo(place, facts.generation);
		for (const one of write.messages) this.#fileMessage(place, one);
		for (const one of write.runs) this.#fileRun(place, one);
		for (const one of write.generations) this.#archive(place, one);
		if (write.purgeBefore !== null)
			this.#purge(place, sessionKey, write.purgeBefore);
		if (!known) this.#insertRow(place, write);
		else if (facts) this.#updateRow(place, write);
		else {
			const found = this.#versionAt(place);
			if (found !== baseVersion)
				throw new VersionConflict(sessionKey, baseVersion, found);
			if (place.run !== run || place.message !== message)
				this.#db
					.sql(
						"UPDATE sessions SET last_run = ?, last_message = ? WHERE id = ?",
					)
					.run(place.run, place.message, place.id);
		}
	}

	#placeOf(sessionKey: string): Place | null {
		const known = this.#places.get(sessionKey);
		if (known) return known;
		const found = this.#db
			.sql(
				"SELECT id, generation, last_run AS run, last_message AS message FROM sessions WHERE session_key = ?",
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
				(generation, version, status, hidden, unsettled, updated_at, last_run, last_message, body, id, session_key)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
		const { generation, messageId, seq, fate } = message;
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
		);
		if (changes === 0) {
			this.#db
				.sql(
					"UPDATE messages SET seq = ?, fate = ?, body = ? WHERE message_id = ? AND session = ?",
				)
				.run(seq, fate, body, messageId, place.id);
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

	#archive(place: Place, ended: ArchivedGeneration): void {
		this.#db
			.sql(
				`INSERT INTO generations (session, generation, body) VALUES (?, ?, ?)
				ON CONFLICT (session, generation) DO UPDATE SET body = excluded.body`,
			)
			.run(place.id, ended.generation, generationBody.encode(ended));
	}

	/** The links of the generation that ends move from the session's row into a row of their own. */
	#turnTo(place: Place, generation: number): void {
		if (place.run !== null || place.message !== null)
			this.#setNewest(place, place.generation, place);
		const { run, message } = this.#newestOf(place, generation);
		if (run !== null || message !== null)
			this.#setNewest(place, generation, { run: null, message: null });
		Object.assign(place, { generation, run, message });
	}

	#newestOf(place: Place, generation: number): Newest {
		if (generation === place.generation) return place;
		const found = this.#db
			.sql(
				"SELECT last_run AS run, last_message AS message FROM generations WHERE session = ? AND generation = ?",
			)
			.get(place.id, generation) as Newest | undefined;
		return found ?? { run: null, message: null };
	}

	#setNewest(place: Place, generation: number, newest: Newest): void {
		this.#db
			.sql(
				`INSERT INTO generations (session, generation, last_run, last_message) VALUES (?, ?, ?, ?)
				ON CONFLICT (session, generation) DO UPDATE SET last_run = excluded.last_run, last_message = excluded.last_message`,
			)
			.run(place.id, generation, newest.run, newest.message);
	}

	#purge(place: Place, sessionKey: string, before: number): void {
		const ended = this.#db
			.sql(
				"SELECT generation, last_run AS run, last_message AS message FROM generations WHERE session = ? AND generation < ?",
			)
			.all(place.id, before) as unknown as (Newest & {
			readonly generation: number;
		})[];
		for (const { generation, ...newest } of ended) {
			this.#db
				.sql("DELETE FROM generations WHERE session = ? AND generation = ?")
				.run(place.id, generation);
			if (generation === place.generation) continue;
			this.#erase(place, generation, newest);
			if (newest.message !== null) this.#setNewest(place, generation, newest);
		}
		if (place.generation < before) this.#erase(place, place.generation, place);
		this.#db.sql("DELETE FROM refusals WHERE session_key = ?").run(sessionKey);
	}

	/** Erases the runs and messages of one generation. Messages that wait stay, and are linked anew. */
	#erase(place: Place, generation: number, newest: Newest): void {
		const waiting = this.#db
			.sql(
				"SELECT id FROM messages WHERE session = ? AND fate = 'queued' AND generation = ? ORDER BY id",
			)
			.all(place.id, generation) as unknown as { readonly id: number }[];
		this.#db
			.sql(`DELETE FROM runs WHERE id IN (${linked("runs")})`)
			.run(newest.run);
		this.#db
			.sql(
				`DELETE FROM messages WHERE fate <> 'queued' AND id IN (${linked("messages")})`,
			)
			.run(newest.message);
		newest.run = null;
		newest.message = null;
		for (const { id } of waiting) {
			this.#db
				.sql("UPDATE messages SET previous = ? WHERE id = ?")
				.run(newest.message, id);
			newest.message = id;
		}
	}
}

function columnsOf(
	place: Place,
	facts: NonNullable<SessionWrite["facts"]>,
): (string | number | null)[] {
	const unsettled =
		facts.run !== null || facts.draining.length > 0 || facts.queue.length > 0;
	return [
		facts.generation,
		facts.version,
		statusOf(facts),
		facts.hidden ? 1 : 0,
		unsettled ? 1 : 0,
		facts.updatedAt,
		place.run,
		place.message,
		sessionBody.encode(facts),
	];
}
