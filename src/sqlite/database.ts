/** Owns one connection to a store's file: how it is opened, its prepared statements, and that nothing is asked of it once closed. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { invalid, shown } from "../arguments.ts";
import { TurnkeeperError } from "../errors.ts";
import { closedError, storeFailure } from "./failure.ts";
import { migrate, migrations, versionOf } from "./schema.ts";

/** How long SQLite itself waits, blocking, for the moments in which another connection recovers or closes the file. */
const busyMs = 1000;

export class Database {
	readonly path: string;
	readonly raw: DatabaseSync;
	#statements = new Map<string, StatementSync>();
	#closed = false;

	private constructor(path: string, raw: DatabaseSync) {
		this.path = path;
		this.raw = raw;
	}

	/** For the owner: makes the file if there is none, and brings it to the newest version. */
	static openAsOwner(path: string, synchronous: "full" | "normal"): Database {
		return Database.#open(path, "opened", false, (db) => {
			versionOf(db, path);
			const [mode] = Object.values(
				db.prepare("PRAGMA journal_mode = WAL").get() ?? {},
			);
			if (mode !== "wal")
				throw new TurnkeeperError(
					"STORE_FAILED",
					`the store ${path} cannot be opened: its file system has no write-ahead log (journal_mode is ${mode}); use a local disk`,
				);
			db.exec(`PRAGMA synchronous = ${synchronous}`);
			// A batch over many sessions touches thousands of pages: room for them in memory, and fewer of them copied twice.
			db.exec("PRAGMA cache_size = -16000");
			db.exec("PRAGMA wal_autocheckpoint = 8000");
			migrate(db, path);
		});
	}

	/** For those who only look, whoever owns the file. */
	static openAsReader(path: string): Database {
		return Database.#open(path, "read", true, (db) => {
			const version = versionOf(db, path);
			if (version === 0)
				throw invalid(
					`path is ${shown(path)}, which is empty; it must be the file of a store that a host has opened before`,
				);
			if (version < migrations.length)
				throw new TurnkeeperError(
					"STORE_VERSION",
					`the store ${path} has schema version ${version}, this turnkeeper reads version ${migrations.length}; open it once as its owner, which migrates it`,
				);
		});
	}

	static #open(
		path: string,
		attempt: "opened" | "read",
		readOnly: boolean,
		prepare: (db: DatabaseSync) => void,
	): Database {
		let db: DatabaseSync | undefined;
		try {
			db = new DatabaseSync(path, { readOnly, timeout: busyMs });
			prepare(db);
			return new Database(path, db);
		} catch (error) {
			db?.close();
			throw storeFailure(path, attempt, error);
		}
	}

	/** The statement of this text, prepared once. */
	sql(text: string): StatementSync {
		let statement = this.#statements.get(text);
		if (!statement) {
			statement = this.raw.prepare(text);
			this.#statements.set(text, statement);
		}
		return statement;
	}

	/** Does something on the connection; what it throws is told in our words. */
	use<Result>(attempt: "read" | "written", work: () => Result): Result {
		if (this.#closed) throw closedError(this.path);
		try {
			// Of a transaction that could not even be rolled back, nobody may see anything.
			this.#rollBack();
			return work();
		} catch (error) {
			throw storeFailure(this.path, attempt, error);
		}
	}

	/** Reads that see the file as it is at one moment. */
	read<Result>(work: () => Result): Result {
		return this.use("read", () => this.#transaction("BEGIN", work));
	}

	/** Writes that hold together or not at all. */
	write<Result>(work: () => Result): Result {
		return this.use("written", () =>
			this.#transaction("BEGIN IMMEDIATE", work),
		);
	}

	#transaction<Result>(begin: string, work: () => Result): Result {
		this.sql(begin).run();
		try {
			const result = work();
			this.sql("COMMIT").run();
			return result;
		} catch (error) {
			try {
				this.#rollBack();
			} catch {
				// The first error tells more.
			}
			throw error;
		}
	}

	/** SQLite itself has done so after some errors. */
	#rollBack(): void {
		if (this.raw.isTransaction) this.sql("ROLLBACK").run();
	}

	/** Moves what the write-ahead log holds into the file, as far as readers allow. What stays is found there by the next owner. */
	settle(): void {
		try {
			this.raw.exec("PRAGMA wal_checkpoint(PASSIVE)");
		} catch {
			// Every commit is durable without it.
		}
	}

	/** Idempotent. */
	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#statements.clear();
		this.raw.close();
	}
}
