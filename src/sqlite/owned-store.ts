/** Owns a store's file in the hands of its one owner, on the thread that it was opened on. That it is the only one, `Ownership` says. */
import { limitOf, pageOf } from "../page.ts";
import type {
	Batch,
	OpenStore,
	Page,
	PageQuery,
	Pruned,
	PruneRule,
} from "../store.ts";
import { Database } from "./database.ts";
import { storeFailure } from "./failure.ts";
import { Pruner } from "./pruner.ts";
import { SqliteReader } from "./reader.ts";
import { Writer } from "./writer.ts";

export class OwnedStore extends SqliteReader implements OpenStore {
	readonly #writer: Writer;
	readonly #pruner: Pruner;
	readonly #closed: () => void;
	#isClosed = false;

	private constructor(db: Database, writer: Writer, closed: () => void) {
		super(db);
		this.#writer = writer;
		this.#pruner = new Pruner(db, (sessionKey) => writer.forget(sessionKey));
		this.#closed = closed;
	}

	/** `closed` is called once the file is no longer in these hands; not if this throws. */
	static open(
		place: string,
		synchronous: "full" | "normal",
		closed: () => void = () => {},
	): OwnedStore {
		const db = Database.openAsOwner(place, synchronous);
		try {
			return new OwnedStore(db, new Writer(db), closed);
		} catch (error) {
			db.close();
			throw storeFailure(place, "opened", error);
		}
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
		if (this.#isClosed) return;
		this.#isClosed = true;
		try {
			this.db.settle();
			this.db.close();
		} finally {
			this.#closed();
		}
	}
}
