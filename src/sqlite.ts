/**
 * Entry point `turnkeeper/sqlite`. Owns how a store in a SQLite file is opened and given back; what is in the file, who may write to it
 * and how is said in `sqlite/`. Built on `node:sqlite`; durable from the moment a commit returns.
 */
import { checkMs, invalid, shown } from "./arguments.ts";
import { limitOf, pageOf } from "./page.ts";
import { Database } from "./sqlite/database.ts";
import { storeFailure } from "./sqlite/failure.ts";
import { Ownership } from "./sqlite/ownership.ts";
import { checkPath, existingPlaceOf, placeOf } from "./sqlite/place.ts";
import { Pruner } from "./sqlite/pruner.ts";
import { SqliteReader } from "./sqlite/reader.ts";
import { Writer } from "./sqlite/writer.ts";
import type {
	Batch,
	OpenStore,
	Page,
	PageQuery,
	Pruned,
	PruneRule,
	SessionStore,
} from "./store.ts";

export interface SqliteStoreOptions {
	/** `full` (default): a commit outlives a power cut. `normal`: it outlives the process, a power cut may take the last ones. */
	readonly synchronous?: "full" | "normal" | undefined;
	/** How long `open` waits for another owner to leave, for a rolling deploy. Default 0. */
	readonly lockTimeoutMs?: number | undefined;
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
	const { synchronous = "full", lockTimeoutMs = 0 } = options;
	if (synchronous !== "full" && synchronous !== "normal")
		throw invalid(
			`synchronous is ${shown(synchronous)}; it must be "full" or "normal"`,
		);
	checkMs(lockTimeoutMs, "lockTimeoutMs");
	return {
		async open({ name }) {
			const place = placeOf(given);
			const ownership = await Ownership.take(place, name, lockTimeoutMs);
			let db: Database | undefined;
			try {
				db = Database.openAsOwner(place, synchronous);
				return new OwnedStore(db, new Writer(db), ownership);
			} catch (error) {
				db?.close();
				ownership.release();
				throw storeFailure(place, "opened", error);
			}
		},
		async read() {
			return new SqliteReader(Database.openAsReader(existingPlaceOf(given)));
		},
	};
}

class OwnedStore extends SqliteReader implements OpenStore {
	readonly #writer: Writer;
	readonly #pruner: Pruner;
	#ownership: Ownership | null;

	constructor(db: Database, writer: Writer, ownership: Ownership) {
		super(db);
		this.#writer = writer;
		this.#pruner = new Pruner(db, (sessionKey) => writer.forget(sessionKey));
		this.#ownership = ownership;
	}

	async commit(batch: Batch): Promise<void> {
		this.#writer.commit(batch);
	}

	async prune(rule: PruneRule, limit: number): Promise<Pruned> {
		return this.#pruner.prune(rule, limit);
	}

	async unsettled(query: PageQuery): Promise<Page<string>> {
		const limit = limitOf(query);
		return this.db.use("read", () => {
			const after = query.cursor === undefined ? "" : "AND session_key > ?";
			const found = this.all<{ session_key: string }>(
				`SELECT session_key FROM sessions WHERE unsettled = 1 ${after} ORDER BY session_key LIMIT ?`,
				...(query.cursor === undefined ? [] : [query.cursor]),
				limit + 1,
			);
			return pageOf(
				found.map((row) => row.session_key),
				limit,
				(last) => last,
			);
		});
	}

	override async [Symbol.asyncDispose](): Promise<void> {
		const ownership = this.#ownership;
		this.#ownership = null;
		if (!ownership) return;
		try {
			this.db.settle();
			this.db.close();
		} finally {
			ownership.release();
		}
	}
}
