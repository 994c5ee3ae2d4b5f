/** Owns the SQLite store of a place, for this process and for those that the conformance suite starts. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "../../src/sqlite.ts";
import type { StorePlace } from "../../src/testing/store-conformance/trial.ts";

export function makeStore({ folder }: StorePlace) {
	return sqliteStore(join(folder, "sessions.db"));
}

export function spoil({ folder }: StorePlace, sessionKey: string): void {
	const db = new DatabaseSync(join(folder, "sessions.db"));
	db.prepare("UPDATE sessions SET body = '?' WHERE session_key = ?").run(
		sessionKey,
	);
	db.close();
}
