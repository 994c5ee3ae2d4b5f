/** Owns SQLite stores whose thread is not the package's alone: on a slow disk, or about to die. */
import type { SessionStore } from "turnkeeper";
import { storeAt } from "../../src/sqlite/opening.ts";
import { onThread } from "../../src/sqlite/thread.ts";

export interface Slowness {
	/** Of 4 bytes; open once its first number is not 0 and who waits is notified. */
	readonly gate?: SharedArrayBuffer;
	/** How long a commit waits at most. */
	readonly ms?: number;
}

/** A store on a thread of which each commit takes so much longer. */
export function slowStore(path: string, given: Slowness): SessionStore {
	const module = new URL("./slow-thread.ts", import.meta.url);
	return storeAt(path, 0, onThread("full", { module, given }));
}

/** How a thread dies in the transaction of its first commit, or right after it. */
export type Death = "exits" | "throws" | "runs out of memory";

export function dyingStore(path: string, given: Death): SessionStore {
	const module = new URL("./dying-thread.ts", import.meta.url);
	const resourceLimits = { maxOldGenerationSizeMb: 16 };
	return storeAt(path, 0, onThread("full", { module, given, resourceLimits }));
}
