/**
 * Owns what people write by hand: a Map of promises, one chain a session key, and a row a session in SQLite, upserted when a message is
 * queued, when its run begins and when it ends. Either each upsert is a commit, or those of one tick are one.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Contender } from "../contender.ts";
import { mustBe } from "../workload.ts";

interface Options {
	readonly commits: "each" | "grouped";
	readonly synchronous: "full" | "normal";
}

/** What a host's list of sessions shows, and the message, so that it is not lost with the process. */
const columns = [
	"key",
	"session_id",
	"status",
	"message_id",
	"input",
	"output",
	"turns",
	"created_at",
	"updated_at",
	"started_at",
	"ended_at",
] as const;

type Row = Readonly<Record<(typeof columns)[number], string | number | null>>;

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
				session_id TEXT NOT NULL,
				status TEXT NOT NULL,
				message_id TEXT NOT NULL,
				input TEXT NOT NULL,
				output TEXT,
				turns INTEGER NOT NULL,
				created_at REAL NOT NULL,
				updated_at REAL NOT NULL,
				started_at REAL,
				ended_at REAL
			) STRICT, WITHOUT ROWID`);
		this.#upsert = this.#db.prepare(
			`INSERT INTO sessions (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})
			ON CONFLICT (key) DO UPDATE SET ${columns
				.slice(1)
				.map((name) => `${name} = excluded.${name}`)
				.join(", ")}`,
		);
		this.#begin = this.#db.prepare("BEGIN IMMEDIATE");
		this.#commit = this.#db.prepare("COMMIT");
		this.save = commits === "each" ? this.#saveNow : this.#saveSoon;
	}

	/** A statement outside of a transaction is a transaction. */
	readonly #saveNow = async (row: Row): Promise<void> => {
		this.#write(row);
	};

	#write(row: Row): void {
		this.#upsert.run(...columns.map((name) => row[name]));
	}

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
			for (const { row } of saves) this.#write(row);
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
		const known = new Map<string, Row>();
		let said = 0;
		let messages = 0;

		/** The row as it is now known, with what changes. */
		async function save(key: string, change: Partial<Row>): Promise<void> {
			const now = Date.now();
			const before = known.get(key) ?? {
				key,
				session_id: randomUUID(),
				status: "idle",
				message_id: "",
				input: "",
				output: null,
				turns: 0,
				created_at: now,
				updated_at: now,
				started_at: null,
				ended_at: null,
			};
			const row = { ...before, ...change, updated_at: now };
			known.set(key, row);
			await rows.save(row);
		}

		async function run(key: string): Promise<void> {
			const turns = Number(known.get(key)?.turns) + 1;
			const started_at = Date.now();
			await save(key, { status: "running", turns, started_at, ended_at: null });
			const output = await execute();
			await save(key, { status: "ended", output, ended_at: Date.now() });
		}

		async function send(key: string, input: string): Promise<void> {
			messages += 1;
			const message_id = `message-${messages}`;
			await save(key, { status: "queued", message_id, input, output: null });
			const turn = (chains.get(key) ?? Promise.resolve()).then(() => run(key));
			chains.set(key, turn);
			await turn;
			if (chains.get(key) === turn) chains.delete(key);
		}

		return {
			async sweep() {
				await Promise.all(keys.map((key) => send(key, "hi")));
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
