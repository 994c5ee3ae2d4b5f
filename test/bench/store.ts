/** Owns the stores that turnkeeper is measured on. */
import { join } from "node:path";
import type { SessionStore } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";

export type StoreKind = "memory" | "full" | "normal" | "thread" | "slow thread";

/** A store of that kind in a folder, and the path of its file. */
export async function storeOf(
	kind: StoreKind,
	folder: string,
): Promise<{ store: SessionStore; path: string | null }> {
	if (kind === "memory") return { store: memoryStore(), path: null };
	const path = join(folder, "turnkeeper.db");
	switch (kind) {
		case "thread":
			return { store: sqliteStore(path, { thread: true }), path };
		case "slow thread": {
			const { slowThreadStore } = await import(
				"./latency/slow-thread-store.ts"
			);
			return { store: slowThreadStore(path), path };
		}
		default:
			return { store: sqliteStore(path, { synchronous: kind }), path };
	}
}
