/** Owns who plays turns: by name, each loaded in its own process alone. */
import type { StoreKind } from "./store.ts";
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

/** As they stand in tables, and as figures find them. */
export const names = {
	plain: "plain XState, nothing kept",
	bare: "own machines bare, nothing kept",
	chatSdk: "Chat SDK, queue in memory",
	chainEach: "promise chain + SQLite, a commit an event",
	chainGrouped: "promise chain + SQLite, group commit",
	chainNormal: "promise chain + SQLite, group commit, normal",
	raw: "raw SQLite, the same rows",
	memory: "turnkeeper, memory",
	full: "turnkeeper, SQLite full",
	normal: "turnkeeper, SQLite normal",
	thread: "turnkeeper, SQLite full on a thread",
} as const;

const chain = async (
	...options: Parameters<typeof import("./contenders/chain.ts").chain>
) => (await import("./contenders/chain.ts")).chain(...options);

const turnkeeper = async (store: StoreKind) =>
	(await import("./contenders/turnkeeper.ts")).turnkeeper({ store });

/** The first is the yardstick. */
export const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
	[names.plain]: async () =>
		(await import("./contenders/plain-xstate.ts")).plainXstate,
	[names.bare]: async () =>
		(await import("./contenders/bare-machines.ts")).bareMachines,
	[names.chatSdk]: async () =>
		(await import("./contenders/chat-sdk.ts")).chatSdk,
	[names.chainEach]: () => chain({ commits: "each", synchronous: "full" }),
	[names.chainGrouped]: () =>
		chain({ commits: "grouped", synchronous: "full" }),
	[names.chainNormal]: () =>
		chain({ commits: "grouped", synchronous: "normal" }),
	[names.raw]: async () =>
		(await import("./contenders/raw-sqlite.ts")).rawSqlite,
	[names.memory]: () => turnkeeper("memory"),
	[names.full]: () => turnkeeper("full"),
	[names.normal]: () => turnkeeper("normal"),
	[names.thread]: () => turnkeeper("thread"),
};

export function keysOf(count: number): string[] {
	return Array.from({ length: count }, (_, i) => `session:${i}`);
}
