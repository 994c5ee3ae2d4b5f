/**
 * Entry point `turnkeeper/sqlite`. Owns how a store in a SQLite file is opened and given back; what is in the file, who may write to it
 * and how is said in `sqlite/`. Built on `node:sqlite`; durable from the moment a commit returns.
 *
 * @module turnkeeper/sqlite
 */
import { checkFlag, checkMs, invalid, shown } from "./arguments.ts";
import { Database } from "./sqlite/database.ts";
import { type Opener, storeAt } from "./sqlite/opening.ts";
import { OwnedStore } from "./sqlite/owned-store.ts";
import { checkPath } from "./sqlite/place.ts";
import { SqliteReader } from "./sqlite/reader.ts";
import { onThread } from "./sqlite/thread.ts";
import type { SessionStore } from "./store.ts";

export interface SqliteStoreOptions {
	/** `full` (default): a commit outlives a power cut. `normal`: it outlives the process, a power cut may take the last ones. */
	readonly synchronous?: "full" | "normal" | undefined;
	/** How long `open` waits for another owner to leave, for a rolling deploy. Default 0. */
	readonly lockTimeoutMs?: number | undefined;
	/**
	 * Whether the database is worked on by a thread of its own, so that a slow disk or a long read never holds up the host's event loop.
	 * Default false. Each `open` and each `read` starts a thread, which ends when what it opened is disposed; it does not keep the process
	 * alive unless a call waits. What is written and promised is the same. It costs the start of the thread, its memory, and the way there
	 * and back on each call: for disks that are slow to flush, and for hosts that answer others in the meantime. Not from within a bundle.
	 */
	readonly thread?: boolean | undefined;
}

/**
 * A store in a SQLite file, which is made at the first `open`; its folder must exist. One owner at a time, over all processes: a second
 * gets STORE_LOCKED, which names the first. Readers are always let in. Beside the file stand SQLite's own `-wal` and `-shm`, and `.lock`
 * and `.owner`: leave `.lock` alone, also as a reader, because to open and close it in the owner's process gives the lock away.
 *
 * @example
 * const runtime = createSessionRuntime({ store: sqliteStore("/data/sessions.db"), execute });
 * @example
 * await using reader = await sqliteStore("/data/sessions.db").read();
 * const running = await reader.list({ status: "running" });
 */
export function sqliteStore(
	path: string,
	options: SqliteStoreOptions = {},
): SessionStore {
	const given = checkPath(path);
	const { synchronous = "full", lockTimeoutMs = 0, thread } = options;
	if (synchronous !== "full" && synchronous !== "normal")
		throw invalid(
			`synchronous is ${shown(synchronous)}; it must be "full" or "normal"`,
		);
	checkMs(lockTimeoutMs, "lockTimeoutMs");
	const opener = checkFlag(thread, "thread")
		? onThread(synchronous)
		: onThisThread(synchronous);
	return storeAt(given, lockTimeoutMs, opener);
}

function onThisThread(synchronous: "full" | "normal"): Opener {
	return {
		own: (place, closed) => OwnedStore.open(place, synchronous, closed),
		read: (place) => new SqliteReader(Database.openAsReader(place)),
	};
}
