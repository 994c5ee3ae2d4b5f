/** Owns the stores that turnkeeper is measured on, and that one which is not there is not measured. */
import { join } from "node:path";
import type { SessionStore } from "../../src/index.ts";
import { memoryStore } from "../../src/memory.ts";
import { sqliteStore } from "../../src/sqlite.ts";
import { Absent } from "./workload.ts";

export type StoreKind = "memory" | "full" | "normal" | "thread";

/** A store of that kind in a folder, and the path of its file. */
export async function storeOf(
	kind: StoreKind,
	folder: string,
): Promise<{ store: SessionStore; path: string | null }> {
	if (kind === "memory") return { store: memoryStore(), path: null };
	const path = join(folder, "turnkeeper.db");
	return { store: await sqliteAt(path, kind), path };
}

export async function sqliteAt(
	path: string,
	kind: Exclude<StoreKind, "memory">,
): Promise<SessionStore> {
	if (kind !== "thread") return sqliteStore(path, { synchronous: kind });
	const store = threaded(path);
	await mustBeOnThread(store);
	return store;
}

function threaded(path: string): SessionStore {
	const options = { synchronous: "full", thread: true } as const;
	try {
		return sqliteStore(path, options);
	} catch (error) {
		throw new Absent(`sqliteStore refuses \`thread: true\`: ${String(error)}`);
	}
}

/** An option that nobody reads is not refused; that a store is on a thread is known by the thread that it starts. */
async function mustBeOnThread(store: SessionStore): Promise<void> {
	let threads = 0;
	const count = () => {
		threads += 1;
	};
	process.on("worker", count);
	const opened = await store.open({ name: "bench" });
	await opened[Symbol.asyncDispose]();
	process.off("worker", count);
	if (threads === 0)
		throw new Absent(
			"sqliteStore knows no option `thread`: no thread was started",
		);
}
