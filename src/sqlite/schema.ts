/**
 * Owns the tables of the file, their version, and the steps from each version to the next. A file that something else made is never
 * written to.
 *
 * A session's runs, messages and transcript entries are linked: each row names the one of the same generation that was filed before it, and the newest of the
 * current generation stands in the session's row. An index by session would do the same, but its pages are hit at random: with some hundred
 * thousand rows it makes an insert several times as dear. A link is written with rows that are written anyway.
 */
import type { DatabaseSync } from "node:sqlite";
import { TurnkeeperError } from "../errors.ts";

/** "trnk", in the header of every file that turnkeeper made. */
const applicationId = 0x74726e6b;

/** One step from a version of the schema to the next; never asks for what the code around it knows today. */
export type Migration = (db: DatabaseSync) => void;

/** The step at index n leads from version n to n + 1. */
export const migrations: readonly Migration[] = [
	(db) =>
		db.exec(`
			CREATE TABLE sessions (
				id INTEGER PRIMARY KEY,
				session_key TEXT NOT NULL UNIQUE,
				generation INTEGER NOT NULL,
				version INTEGER NOT NULL,
				status TEXT NOT NULL,
				hidden INTEGER NOT NULL,
				unsettled INTEGER NOT NULL,
				updated_at REAL NOT NULL,
				last_run INTEGER,
				last_message INTEGER,
				body TEXT NOT NULL
			) STRICT;
			CREATE INDEX sessions_unsettled ON sessions (session_key)
				WHERE unsettled = 1;

			-- Also keeps the links of generations that have no archive record: those have no body.
			CREATE TABLE generations (
				session INTEGER NOT NULL,
				generation INTEGER NOT NULL,
				last_run INTEGER,
				last_message INTEGER,
				body TEXT,
				PRIMARY KEY (session, generation)
			) STRICT;

			CREATE TABLE runs (
				id INTEGER PRIMARY KEY,
				session INTEGER NOT NULL,
				generation INTEGER NOT NULL,
				run_id TEXT NOT NULL,
				attempt INTEGER NOT NULL,
				previous INTEGER,
				body TEXT NOT NULL
			) STRICT;
			CREATE UNIQUE INDEX runs_named ON runs (run_id, session, attempt);

			CREATE TABLE messages (
				id INTEGER PRIMARY KEY,
				session INTEGER NOT NULL,
				generation INTEGER NOT NULL,
				message_id TEXT NOT NULL,
				seq INTEGER NOT NULL,
				fate TEXT NOT NULL,
				previous INTEGER,
				body TEXT NOT NULL
			) STRICT;
			CREATE UNIQUE INDEX messages_named ON messages (message_id, session);
			CREATE INDEX messages_queued ON messages (session, seq)
				WHERE fate = 'queued';

			CREATE TABLE refusals (
				id INTEGER PRIMARY KEY,
				refusal_id TEXT NOT NULL UNIQUE,
				session_key TEXT,
				body TEXT NOT NULL
			) STRICT;
			CREATE INDEX refusals_keyed ON refusals (session_key)
				WHERE session_key IS NOT NULL;
		`),
	(db) =>
		db.exec(`
			CREATE TABLE transcript (
				id INTEGER PRIMARY KEY,
				session INTEGER NOT NULL,
				generation INTEGER NOT NULL,
				seq INTEGER NOT NULL,
				session_id TEXT NOT NULL,
				run_id TEXT NOT NULL,
				attempt INTEGER NOT NULL,
				hidden INTEGER NOT NULL,
				previous INTEGER,
				body TEXT NOT NULL
			) STRICT;
			ALTER TABLE sessions ADD COLUMN last_entry INTEGER;
			ALTER TABLE generations ADD COLUMN last_entry INTEGER;

			-- What is erased by age is found by these two. A time only ever grows, so that to add to their indexes hits one page.
			ALTER TABLE generations ADD COLUMN ended_at REAL;
			UPDATE generations SET ended_at = ${numberIn("body", "$[3]")}
				WHERE body IS NOT NULL;
			CREATE INDEX generations_ended ON generations (ended_at)
				WHERE ended_at IS NOT NULL;
			ALTER TABLE messages ADD COLUMN accepted_at REAL NOT NULL DEFAULT 0;
			UPDATE messages SET accepted_at = coalesce(${numberIn("body", "$[1]")}, 0);
			CREATE INDEX messages_accepted ON messages (accepted_at)
				WHERE fate <> 'queued';
		`),
];

/** The number at a path in a body; NULL where there is none, also because the body cannot be read. */
function numberIn(body: string, path: string): string {
	return `CASE json_valid(${body}) WHEN 1 THEN
		CASE WHEN json_type(${body}, '${path}') IN ('integer', 'real') THEN json_extract(${body}, '${path}') END
		END`;
}

/**
 * The schema version of a file, 0 if there is nothing in it yet. STORE_CORRUPT if something else made it, STORE_VERSION if a newer
 * turnkeeper did.
 */
export function versionOf(
	db: DatabaseSync,
	path: string,
	newest: number = migrations.length,
): number {
	const version = pragma(db, "user_version");
	const id = pragma(db, "application_id");
	// Asked in any case: of a file that was cut off, the header may be left.
	const tables = db
		.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 4")
		.all()
		.map(({ name }) => String(name));
	if (id !== applicationId) {
		if (id === 0 && version === 0 && tables.length === 0) return 0;
		throw new TurnkeeperError(
			"STORE_CORRUPT",
			`${path} is another program's SQLite database (application_id ${id}, tables ${tables.join(", ") || "none"}); a store needs a file of its own`,
		);
	}
	if (version > newest)
		throw new TurnkeeperError(
			"STORE_VERSION",
			`the store ${path} has schema version ${version}, written by a newer turnkeeper; this one knows versions up to ${newest}; upgrade turnkeeper`,
		);
	return version;
}

/** Brings a file to the newest version, in one transaction. Writes in any case, and so fails where an owner could not. */
export function migrate(
	db: DatabaseSync,
	path: string,
	steps: readonly Migration[] = migrations,
): void {
	db.exec("BEGIN IMMEDIATE");
	try {
		for (const step of steps.slice(versionOf(db, path, steps.length))) step(db);
		db.exec(`PRAGMA application_id = ${applicationId}`);
		db.exec(`PRAGMA user_version = ${steps.length}`);
		db.exec("COMMIT");
	} catch (error) {
		if (db.isTransaction) db.exec("ROLLBACK");
		throw error;
	}
}

function pragma(db: DatabaseSync, name: string): number {
	return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
