/** Owns a store on a thread whose disk is slow: what a process preloads is not for the store's thread, so it has a program of its own. */
import type { SessionStore } from "turnkeeper";
import { storeAt } from "../../../src/sqlite/opening.ts";
import { onThread } from "../../../src/sqlite/thread.ts";

const module = new URL("slow-thread.ts", import.meta.url);

export function slowThreadStore(path: string): SessionStore {
	return storeAt(path, 0, onThread("full", { module }));
}
