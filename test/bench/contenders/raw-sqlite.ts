/**
 * Owns the bound of what the disk gives: the rows of a turn, as turnkeeper's file has them, written by bare statements. A message, a run and
 * an update of the session, and 100 turns a commit. Nothing decides anything.
 */
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

const turnsPerCommit = 100;

type Record_ = Record<string, SQLInputValue>;

/** A file with one turn of a real session in it, whose rows are the pattern for all others. */
async function patternFile(path: string): Promise<void> {
	const runtime = createSessionRuntime<string, string>({
		store: sqliteStore(path),
		execute: async () => "done",
	});
	await runtime.start();
	await (await runtime.send("session:pattern", "hi")).settled;
	await runtime.close();
}

/** Writes a row like the pattern, but for what is given. */
function inserting(db: DatabaseSync, table: string, pattern: Record_) {
	const columns = Object.keys(pattern).filter((name) => name !== "id");
	const statement = db.prepare(
		`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
	);
	return (own: Record_) =>
		statement.run(...columns.map((name) => own[name] ?? pattern[name] ?? null));
}

function updating(db: DatabaseSync, pattern: Record_) {
	const fixed = new Set(["id", "session_key"]);
	const columns = Object.keys(pattern).filter((name) => !fixed.has(name));
	const statement = db.prepare(
		`UPDATE sessions SET ${columns.map((name) => `${name} = ?`).join(", ")} WHERE id = ?`,
	);
	return (id: number | bigint, own: Record_) =>
		statement.run(
			...columns.map((name) => own[name] ?? pattern[name] ?? null),
			id,
		);
}

export const rawSqlite: Contender = async (keys, { folder }) => {
	const path = join(folder, "raw.db");
	await patternFile(path);
	const db = new DatabaseSync(path);
	db.exec("PRAGMA journal_mode = WAL");
	db.exec("PRAGMA synchronous = full");
	db.exec("PRAGMA cache_size = -16000");
	db.exec("PRAGMA wal_autocheckpoint = 8000");
	const patternOf = (table: string) =>
		db.prepare(`SELECT * FROM ${table}`).get() as Record_;
	const message = patternOf("messages");
	const idLength = String(message.message_id).length;
	const addSession = inserting(db, "sessions", patternOf("sessions"));
	const addMessage = inserting(db, "messages", message);
	const addRun = inserting(db, "runs", patternOf("runs"));
	const update = updating(db, patternOf("sessions"));
	const begin = db.prepare("BEGIN IMMEDIATE");
	const commit = db.prepare("COMMIT");
	const countOf = (table: string) =>
		Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
	begin.run();
	const ids = keys.map(
		(session_key) => addSession({ session_key }).lastInsertRowid,
	);
	commit.run();
	const before = { messages: countOf("messages"), runs: countOf("runs") };
	let said = 0;
	return {
		/** At least a commit's worth of turns. */
		async sweep() {
			const turns = Math.max(ids.length, turnsPerCommit);
			for (let turn = 0; turn < turns; turn++) {
				if (turn % turnsPerCommit === 0) begin.run();
				said += 1;
				const session = ids[turn % ids.length] as number | bigint;
				// As long as those of turnkeeper, and rising as they do.
				const id = said.toString(36).padStart(idLength, "0");
				addMessage({ session, message_id: id, seq: said });
				addRun({ session, run_id: id });
				update(session, { version: said });
				if ((turn + 1) % turnsPerCommit === 0 || turn + 1 === turns)
					commit.run();
			}
			return turns;
		},
		async close() {
			mustBe("messages", said, countOf("messages") - before.messages);
			mustBe("runs", said, countOf("runs") - before.runs);
			db.close();
		},
	};
};
