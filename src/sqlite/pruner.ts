/**
 * Owns how what is old leaves the tables, a few records at a time: what a rule covers is found by an index and never by a scan, and
 * every link holds after each step. Never decides what is old, never erases what waits, runs or drains.
 */
import { checkCount } from "../arguments.ts";
import type { Pruned, PruneRule } from "../store.ts";
import { sessionBody } from "./codec.ts";
import type { Database } from "./database.ts";

interface LinkedMessage {
	readonly id: number;
	readonly session: number;
	readonly generation: number;
	readonly previous: number | null;
}

/** A generation that has ended, and its newest records. */
interface Ended {
	readonly session: number;
	readonly generation: number;
	readonly run: number | null;
	readonly message: number | null;
	readonly entry: number | null;
	readonly archived: number;
}

const endedColumns =
	"session, generation, last_run AS run, last_message AS message, last_entry AS entry, body IS NOT NULL AS archived";

/** How many records a call may still erase. */
interface Budget {
	left: number;
}

export class Pruner {
	readonly #db: Database;
	/** Told the key of a session whose row had a link to what was erased. */
	readonly #unlinked: (sessionKey: string) => void;

	constructor(db: Database, unlinked: (sessionKey: string) => void) {
		this.#db = db;
		this.#unlinked = unlinked;
	}

	prune(rule: PruneRule, limit: number): Pruned {
		const budget = { left: checkCount(limit, "limit") };
		const more = this.#db.write(() => {
			switch (rule.of) {
				case "messages":
					return this.#messages(rule.acceptedBefore, budget);
				case "generations":
					return this.#generations(this.#ended(rule), budget);
				case "refusals":
					return this.#refusals(rule.keep, budget);
			}
		});
		return { erased: limit - budget.left, more };
	}

	#messages(acceptedBefore: number, budget: Budget): boolean {
		const found = this.#all<LinkedMessage>(
			`SELECT id, session, generation, previous FROM messages
			WHERE fate <> 'queued' AND accepted_at < ?
				AND NOT EXISTS (SELECT 1 FROM sessions
					WHERE sessions.id = session AND status IN ('running', 'waiting', 'resetting'))
			ORDER BY accepted_at, id LIMIT ?`,
			acceptedBefore,
			budget.left + 1,
		);
		const erased = found.slice(0, budget.left);
		// Before all that link to them, so that what is found below one of them stays.
		for (const message of erased.sort((a, b) => a.id - b.id))
			this.#unlink(message);
		budget.left -= erased.length;
		return found.length > erased.length;
	}

	/**
	 * Erases a message from its chain. Nothing names the one that links to it; so one that stays below it moves up into its place, and
	 * the link leads to that one from then on.
	 */
	#unlink({ id, session, generation, previous }: LinkedMessage): void {
		const below =
			previous === null
				? undefined
				: this.#db
						.sql(
							`DELETE FROM messages WHERE id = ? AND session = ? AND generation = ?
							RETURNING message_id, seq, fate, previous, body, accepted_at`,
						)
						.get(previous, session, generation);
		if (below) {
			this.#db
				.sql(
					`UPDATE messages SET message_id = ?, seq = ?, fate = ?, previous = ?, body = ?, accepted_at = ?
					WHERE id = ?`,
				)
				.run(...(Object.values(below) as (string | number | null)[]), id);
			return;
		}
		this.#db.sql("DELETE FROM messages WHERE id = ?").run(id);
		// A number that is free again may be another session's next: nothing may link to it.
		const current = this.#db
			.sql(
				`UPDATE sessions SET last_message = NULL WHERE id = ? AND generation = ? AND last_message = ?
				RETURNING session_key`,
			)
			.get(session, generation, id);
		if (current) this.#unlinked(String(current.session_key));
		else this.#unlinkEnded(session, generation, id);
	}

	#unlinkEnded(session: number, generation: number, message: number): void {
		const { changes } = this.#db
			.sql(
				"UPDATE generations SET last_message = NULL WHERE session = ? AND generation = ? AND last_message = ?",
			)
			.run(session, generation, message);
		if (changes > 0)
			this.#db
				.sql(
					`DELETE FROM generations WHERE session = ? AND generation = ?
					AND body IS NULL AND last_run IS NULL AND last_entry IS NULL`,
				)
				.run(session, generation);
	}

	/** The generations that a rule covers, the oldest first; those without an archive record only by their key. */
	*#ended(
		rule: PruneRule & { readonly of: "generations" },
	): Generator<Ended, void> {
		// One at a time, because each is erased before the next is asked for.
		let after = Number.NEGATIVE_INFINITY;
		let place = 0;
		if ("sessionKey" in rule) {
			const key = rule.sessionKey;
			if (!key.isWellFormed()) return;
			for (;;) {
				const found = this.#one<Ended>(
					`SELECT ${endedColumns} FROM generations
					WHERE session = (SELECT id FROM sessions WHERE session_key = ?) AND generation < ? AND generation > ?
					AND (body IS NOT NULL OR last_run IS NOT NULL OR last_entry IS NOT NULL)
					ORDER BY generation LIMIT 1`,
					key,
					rule.before,
					after,
				);
				if (!found) return;
				after = found.generation;
				yield found;
			}
		}
		for (;;) {
			const found = this.#one<Ended & { ended_at: number; place: number }>(
				`SELECT ${endedColumns}, ended_at, rowid AS place FROM generations
				WHERE ended_at IS NOT NULL AND ended_at < ? AND (ended_at, rowid) > (?, ?)
				ORDER BY ended_at, rowid LIMIT 1`,
				rule.endedBefore,
				after,
				place,
			);
			if (!found) return;
			after = found.ended_at;
			place = found.place;
			yield found;
		}
	}

	#generations(found: Iterable<Ended>, budget: Budget): boolean {
		const kept = new Map<number, ReadonlySet<number> | null>();
		for (const ended of found) {
			const { session, generation } = ended;
			let own = kept.get(session);
			if (own === undefined) {
				own = this.#keptOf(session);
				kept.set(session, own);
			}
			if (own === null || own.has(generation)) continue;
			if (!this.#erase(ended, budget)) return true;
		}
		return false;
	}

	/** The generations of a session that must stay: its current one and those that drain. All (null) where that cannot be read. */
	#keptOf(session: number): ReadonlySet<number> | null {
		const row = this.#one<{
			session_key: string;
			generation: number;
			unsettled: number;
			body: string | null;
		}>(
			"SELECT session_key, generation, unsettled, iif(unsettled, body, NULL) AS body FROM sessions WHERE id = ?",
			session,
		);
		if (!row) return null;
		const kept = new Set([row.generation]);
		if (row.body === null) return kept;
		try {
			const { draining, closing } = sessionBody.decode(row.body, {
				sessionKey: row.session_key,
				generation: row.generation,
				version: 0,
				hidden: false,
				updatedAt: 0,
				queued: 0,
			});
			for (const { ended } of draining) kept.add(ended.generation);
			for (const { generation } of closing) kept.add(generation);
			return kept;
		} catch {
			return null;
		}
	}

	/** Erases a generation as far as the budget goes, its archive record last. Whether all of it is gone. */
	#erase(ended: Ended, budget: Budget): boolean {
		const { session, generation, message } = ended;
		if (budget.left === 0) return false;
		const entry = this.#eraseFrom("transcript", ended.entry, ended, budget);
		const run = this.#eraseFrom("runs", ended.run, ended, budget);
		const isEmpty = entry === null && run === null;
		const erasesRecord = isEmpty && (ended.archived === 0 || budget.left > 0);
		if (!erasesRecord)
			this.#db
				.sql(
					"UPDATE generations SET last_entry = ?, last_run = ? WHERE session = ? AND generation = ?",
				)
				.run(entry, run, session, generation);
		else if (message === null)
			this.#db
				.sql("DELETE FROM generations WHERE session = ? AND generation = ?")
				.run(session, generation);
		else
			this.#db
				.sql(
					`UPDATE generations SET last_entry = NULL, last_run = NULL, ended_at = NULL, body = NULL
					WHERE session = ? AND generation = ?`,
				)
				.run(session, generation);
		if (erasesRecord) budget.left -= ended.archived;
		return erasesRecord;
	}

	/** Erases a chain from its newest row on. The newest that is left, or null. */
	#eraseFrom(
		table: "runs" | "transcript",
		newest: number | null,
		{ session, generation }: Ended,
		budget: Budget,
	): number | null {
		let next = newest;
		while (next !== null && budget.left > 0) {
			const erased = this.#db
				.sql(
					`DELETE FROM ${table} WHERE id = ? AND session = ? AND generation = ? RETURNING previous`,
				)
				.get(next, session, generation);
			if (!erased) return null;
			budget.left -= 1;
			next = erased.previous as number | null;
		}
		return next;
	}

	#refusals(keep: number, budget: Budget): boolean {
		const newest = this.#one<{ id: number }>(
			"SELECT id FROM refusals ORDER BY id DESC LIMIT 1 OFFSET ?",
			keep,
		);
		if (!newest) return false;
		const { changes } = this.#db
			.sql(
				"DELETE FROM refusals WHERE id IN (SELECT id FROM refusals WHERE id <= ? ORDER BY id LIMIT ?)",
			)
			.run(newest.id, budget.left);
		budget.left -= Number(changes);
		return (
			this.#one("SELECT 1 FROM refusals WHERE id <= ? LIMIT 1", newest.id) !==
			undefined
		);
	}

	#one<Row>(sql: string, ...values: (string | number)[]): Row | undefined {
		return this.#db.sql(sql).get(...values) as Row | undefined;
	}

	#all<Row>(sql: string, ...values: (string | number)[]): Row[] {
		return this.#db.sql(sql).all(...values) as Row[];
	}
}
