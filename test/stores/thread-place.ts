/** Owns the SQLite store of a place with its database on a thread, for this process and for those that the conformance suite starts. */
import { join } from "node:path";
import { sqliteStore } from "../../src/sqlite.ts";
import type { StorePlace } from "../../src/testing/store-conformance/trial.ts";

export function makeStore({ folder }: StorePlace) {
	return sqliteStore(join(folder, "sessions.db"), { thread: true });
}
