/** Owns the stores that turnkeeper is measured on. */
import { join } from "node:path";
import type { SessionStore } from "../../src/index.ts";
import { memoryStore } from "../../src/memory.ts";
import { storeAt } from "../../src/sqlite/opening.ts";
import { onThread } from "../../src/sqlite/thread.ts";
import { sqliteStore } from "../../src/sqlite.ts";

export type StoreKind = "memory" | "full" | "normal" | "thread" | "slow thread";

/** A thread on the slow disk of `slow-fsync.ts`: what a process preloads is not for the store's thread. */
const slowThread = new URL("latency/slow-thread.ts", import.meta.url);

/** A store of that kind in a folder, and the path of its file. */
export function storeOf(
	kind: StoreKind,
	folder: string,
): { store: SessionStore; path: string | null } {
	if (kind === "memory") return { store: memoryStore(), path: null };
	const path = join(folder, "turnkeeper.db");
	return { store: sqliteAt(path, kind), path };
}

export function sqliteAt(
	path: string,
	kind: Exclude<StoreKind, "memory">,
): SessionStore {
	switch (kind) {
		case "thread":
			return sqliteStore(path, { thread: true });
		case "slow thread":
			return storeAt(path, 0, onThread("full", { module: slowThread }));
		default:
			return sqliteStore(path, { synchronous: kind });
	}
}
