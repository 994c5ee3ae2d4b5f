/**
 * Owns what people write by hand: a Map of promises, one chain a session key, and a row a session in SQLite, upserted when a message is
 * queued, when its run begins and when it ends. Either each upsert is a commit, or those of one tick are one.
 */
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

interface Options {
	readonly commits: "each" | "grouped";
	readonly synchronous: "full" | "normal";
}

type Row = readonly [
	key: string,
	status: "queued" | "running" | "ended",
	messageId: string,
	output: string | null,
	turns: number,
	updatedAt: number,
];

interface Save {
	readonly row: Row;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
}

/** Writes rows; a save resolves once it is committed. */
class Rows {
	readonly #db: DatabaseSync;
	readonly #upsert: StatementSync;
	readonly #begin: StatementSync;
	readonly #commit: StatementSync;
	#saves: Save[] = [];
	readonly save: (row: Row) => Promise<void>;

	constructor(path: string, { commits, synchronous }: Options) {
		this.#db = new DatabaseSync(path);
		this.#db.exec("PRAGMA journal_mode = WAL");
		this.#db.exec(`PRAGMA synchronous = ${synchronous}`);
		this.#db.exec(`
			CREATE TABLE sessions (
				key TEXT PRIMARY KEY,
				status TEXT NOT NULL,
				message_id TEXT NOT NULL,
				output TEXT,
				turns INTEGER NOT NULL,
				updated_at REAL NOT NULL
			) STRICT, WITHOUT ROWID`);
		this.#upsert = this.#db.prepare(
			`INSERT INTO sessions (key, status, message_id, output, turns, updated_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (key) DO UPDATE SET status = excluded.status, message_id = excluded.message_id,
				output = excluded.output, turns = excluded.turns, updated_at = excluded.updated_at`,
		);
		this.#begin = this.#db.prepare("BEGIN IMMEDIATE");
		this.#commit = this.#db.prepare("COMMIT");
		this.save = commits === "each" ? this.#saveNow : this.#saveSoon;
	}

	/** A statement outside of a transaction is a transaction. */
	readonly #saveNow = async (row: Row): Promise<void> => {
		this.#upsert.run(...row);
	};

	readonly #saveSoon = (row: Row): Promise<void> =>
		new Promise((resolve, reject) => {
			if (this.#saves.length === 0) setImmediate(() => this.#flush());
			this.#saves.push({ row, resolve, reject });
		});

	#flush(): void {
		const saves = this.#saves;
		this.#saves = [];
		try {
			this.#begin.run();
			for (const { row } of saves) this.#upsert.run(...row);
			this.#commit.run();
		} catch (error) {
			if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
			for (const { reject } of saves) reject(error);
			return;
		}
		for (const { resolve } of saves) resolve();
	}

	/** Turns of the rows that say that they ended. */
	endedTurns(): number {
		const found = this.#db
			.prepare(
				"SELECT sum(turns) AS turns FROM sessions WHERE status = 'ended'",
			)
			.get();
		return Number(found?.turns ?? 0);
	}

	close(): void {
		this.#db.close();
	}
}

const execute = async () => "done";

export function chain(options: Options): Contender {
	return async (keys, { folder }) => {
		const rows = new Rows(join(folder, "chain.db"), options);
		const chains = new Map<string, Promise<void>>();
		const turnsOf = new Map<string, number>();
		let said = 0;
		let messages = 0;

		async function run(key: string, messageId: string): Promise<void> {
			const turns = (turnsOf.get(key) ?? 0) + 1;
			turnsOf.set(key, turns);
			await rows.save([key, "running", messageId, null, turns, Date.now()]);
			const output = await execute();
			await rows.save([key, "ended", messageId, output, turns, Date.now()]);
		}

		async function send(key: string): Promise<void> {
			messages += 1;
			const messageId = `message-${messages}`;
			const before = turnsOf.get(key) ?? 0;
			await rows.save([key, "queued", messageId, null, before, Date.now()]);
			const turn = (chains.get(key) ?? Promise.resolve()).then(() =>
				run(key, messageId),
			);
			chains.set(key, turn);
			await turn;
			if (chains.get(key) === turn) chains.delete(key);
		}

		return {
			async sweep() {
				await Promise.all(keys.map(send));
				said += keys.length;
				return keys.length;
			},
			async close() {
				mustBe("turns in the rows", said, rows.endedTurns());
				rows.close();
			},
		};
	};
}
