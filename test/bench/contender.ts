/** Owns who plays turns: by name, each loaded in its own process alone. */
import type { Place } from "./workload.ts";

/** Sessions that take turns: message, run, end. */
export interface Turns {
	/** One turn on every session, each awaited to its end; resolves with how many that were. */
	sweep(): Promise<number>;
	/** Checks that all of them were really made, and lets go of all. */
	close(): Promise<void>;
}

/** Gets its sessions ready; their keys are given. */
export type Contender = (
	keys: readonly string[],
	place: Place,
) => Promise<Turns>;

const plain = "plain XState, nothing kept";

/** The first is the yardstick. */
export const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
	[plain]: async () =>
		(await import("./contenders/plain-xstate.ts")).plainXstate,
	"own machines bare, nothing kept": async () =>
		(await import("./contenders/bare-machines.ts")).bareMachines,
	"Chat SDK, queue in memory": async () =>
		(await import("./contenders/chat-sdk.ts")).chatSdk,
	"promise chain + SQLite, a commit an event": async () =>
		(await import("./contenders/chain.ts")).chain({
			commits: "each",
			synchronous: "full",
		}),
	"promise chain + SQLite, group commit": async () =>
		(await import("./contenders/chain.ts")).chain({
			commits: "grouped",
			synchronous: "full",
		}),
	"promise chain + SQLite, group commit, normal": async () =>
		(await import("./contenders/chain.ts")).chain({
			commits: "grouped",
			synchronous: "normal",
		}),
	"raw SQLite, the same rows": async () =>
		(await import("./contenders/raw-sqlite.ts")).rawSqlite,
	"turnkeeper, memory": async () =>
		(await import("./contenders/turnkeeper.ts")).turnkeeper({
			store: "memory",
		}),
	"turnkeeper, SQLite full": async () =>
		(await import("./contenders/turnkeeper.ts")).turnkeeper({
			store: "full",
		}),
	"turnkeeper, SQLite normal": async () =>
		(await import("./contenders/turnkeeper.ts")).turnkeeper({
			store: "normal",
		}),
	"turnkeeper, SQLite full on a thread": async () =>
		(await import("./contenders/turnkeeper.ts")).turnkeeper({
			store: "thread",
		}),
};

export function keysOf(count: number): string[] {
	return Array.from({ length: count }, (_, i) => `session:${i}`);
}
