/** A process of its own that does to a store what its parent says. Ends when the parent does. */

import { type SqliteStoreOptions, sqliteStore } from "../../src/sqlite.ts";
import type {
	Batch,
	OpenStore,
	PruneRule,
	StoreReader,
	TranscriptQuery,
} from "../../src/store.ts";

let owned: OpenStore | undefined;
let looked: StoreReader | undefined;

const commands = {
	/** From root to somebody whom permissions bind. Root is bound by none. */
	async becomeNobody() {
		process.setgid?.(65534);
		process.setuid?.(65534);
	},
	async open(path: string, options?: SqliteStoreOptions) {
		owned = await sqliteStore(path, options).open({ name: "remote" });
	},
	async read(path: string) {
		looked = await sqliteStore(path).read();
	},
	async commit(batch: Batch) {
		await owned?.commit(batch);
	},
	async version(sessionKey: string) {
		return (owned ?? looked)?.version(sessionKey);
	},
	async transcript(sessionKey: string, query: TranscriptQuery) {
		return (owned ?? looked)?.transcript(sessionKey, query);
	},
	async prune(rule: PruneRule, limit: number) {
		return owned?.prune(rule, limit);
	},
	async dispose() {
		await owned?.[Symbol.asyncDispose]();
		await looked?.[Symbol.asyncDispose]();
	},
};

export type Commands = typeof commands;

export interface Call {
	readonly n: number;
	readonly name: keyof Commands;
	readonly args: readonly never[];
}

export interface Outcome {
	readonly n: number;
	readonly value?: unknown;
	readonly error?: { readonly code: string; readonly message: string };
}

process.on("message", async ({ n, name, args }: Call) => {
	const outcome = await (
		commands[name] as (...args: readonly never[]) => Promise<unknown>
	)(...args).then(
		(value) => ({ n, value }),
		({ code, message }) => ({ n, error: { code, message } }),
	);
	process.send?.(outcome satisfies Outcome);
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
