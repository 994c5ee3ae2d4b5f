/** What a SQLite store makes of files that are not as they should be: each gets an error of its own, and none is written to. */
import {
	chmodSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { UnreadableSession } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { Database } from "../../src/sqlite/database.ts";
import { SqliteReader } from "../../src/sqlite/reader.ts";
import { migrate, migrations } from "../../src/sqlite/schema.ts";
import { Writer } from "../../src/sqlite/writer.ts";
import {
	awkward,
	commit,
	endedOf,
	entryOf,
	factsOf,
	fullFacts,
	fullMessage,
	messageOf,
	refusalOf,
	runOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";
import { startRemote } from "./remote.ts";

async function opened(path: string) {
	const store = await sqliteStore(path).open({ name: "test" });
	onTestFinished(() => store[Symbol.asyncDispose]());
	return store;
}

const open = (path: string) => sqliteStore(path).open({ name: "test" });
const read = (path: string) => sqliteStore(path).read();

/** A store with something in it, which nobody owns. */
async function filled(path: string, rows = 1): Promise<void> {
	const store = await open(path);
	for (let i = 0; i < rows; i++)
		await commit(
			store,
			writeOf(`k${i}`, 0, {
				facts: factsOf(`k${i}`, { meta: "x".repeat(1000) }),
			}),
		);
	await store[Symbol.asyncDispose]();
}

/** Does something to the file behind the store's back. */
function behind<Result>(
	path: string,
	work: (db: DatabaseSync) => Result,
): Result {
	const db = new DatabaseSync(path);
	try {
		return work(db);
	} finally {
		db.close();
	}
}

const error = (code: string, ...texts: string[]) => ({
	code,
	message: expect.toSatisfy((message: string) =>
		texts.every((text) => message.includes(text)),
	),
});

describe("a path", () => {
	test.each([
		[":memory:", "memoryStore()"],
		["", "must name a file"],
		["file:sessions.db", "not a URI"],
		["a\0b", "must name a file"],
		[undefined, "undefined"],
		[5, "5"],
	])("%j is refused at once", (path, text) => {
		expect(() => sqliteStore(path as string)).toThrow(
			expect.objectContaining(error("INVALID_ARGUMENT", "path is", text)),
		);
	});

	test.each([
		[{ synchronous: "off" }, 'synchronous is "off"'],
		[{ lockTimeoutMs: -1 }, "lockTimeoutMs is -1"],
		[{ lockTimeoutMs: Number.NaN }, "lockTimeoutMs is NaN"],
	])("with the options %j is refused at once", (options, text) => {
		expect(() => sqliteStore("x.db", options as object)).toThrow(
			expect.objectContaining(error("INVALID_ARGUMENT", text)),
		);
	});

	test("in a folder that does not exist names the folder", async () => {
		const path = join(dirname(temporaryFile()), "missing", "sessions.db");
		await expect(open(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", JSON.stringify(dirname(path)), "create it"),
		);
		await expect(read(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", JSON.stringify(path)),
		);
	});

	test("through a file as if it were a folder is refused", async () => {
		const path = temporaryFile();
		writeFileSync(path, "");
		await expect(open(join(path, "sessions.db"))).rejects.toMatchObject(
			error("INVALID_ARGUMENT", "sessions.db"),
		);
	});

	test("of a folder, or of no ordinary file, is refused", async () => {
		const folder = dirname(temporaryFile());
		for (const attempt of [open, read]) {
			await expect(attempt(folder)).rejects.toMatchObject(
				error("INVALID_ARGUMENT", JSON.stringify(folder), "a folder"),
			);
			await expect(attempt("/dev/null")).rejects.toMatchObject(
				error("INVALID_ARGUMENT", "no ordinary file"),
			);
		}
		expect(readdirSync(folder)).toEqual([]);
	});

	test("that leads in a circle is refused", async () => {
		const path = temporaryFile();
		symlinkSync("sessions.db", path);
		await expect(open(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", "circle"),
		);
		await expect(read(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", "circle"),
		);
	});

	test("is not made by a reader", async () => {
		const path = temporaryFile();
		await expect(read(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", JSON.stringify(path), "no file"),
		);
		expect(readdirSync(dirname(path))).toEqual([]);
	});
});

describe("a file", () => {
	test("that is empty becomes a store, but cannot be read before", async () => {
		const path = temporaryFile();
		writeFileSync(path, "");
		await expect(read(path)).rejects.toMatchObject(
			error("INVALID_ARGUMENT", path, "empty"),
		);
		await filled(path);
		await using reader = await read(path);
		expect(await reader.version("k0")).toBe(1);
	});

	test("of text is no store, and stays as it is", async () => {
		const path = temporaryFile();
		const text = "Dear diary, today I was taken for a database.\n".repeat(100);
		writeFileSync(path, text);
		for (const attempt of [open, read])
			await expect(attempt(path)).rejects.toMatchObject(
				error("STORE_CORRUPT", path, "no SQLite database"),
			);
		expect(readFileSync(path, "utf8")).toBe(text);
	});

	test.each([10, 90, 3000, 100_000])(
		"cut off after %i bytes is damaged",
		async (length) => {
			const path = temporaryFile();
			await filled(path, 200);
			truncateSync(path, length);
			for (const attempt of [open, read])
				await expect(attempt(path)).rejects.toMatchObject(
					error("STORE_CORRUPT", path),
				);
			expect(readFileSync(path)).toHaveLength(length);
		},
	);

	test("overwritten in its middle is damaged where it is read", async () => {
		const path = temporaryFile();
		await filled(path, 200);
		const size = readFileSync(path).length;
		const file = openSync(path, "r+");
		const noise = Buffer.alloc(size - 40_960, 0xa5);
		writeSync(file, noise, 0, noise.length, 40_960);
		await using reader = await read(path);
		await expect(reader.list({ limit: 1000 })).rejects.toMatchObject(
			error("STORE_CORRUPT", path, "damaged"),
		);
	});

	test("of another program is refused and left alone", async () => {
		const path = temporaryFile();
		behind(path, (db) => db.exec("CREATE TABLE bookmarks (url TEXT)"));
		const before = readFileSync(path);
		for (const attempt of [open, read])
			await expect(attempt(path)).rejects.toMatchObject(
				error("STORE_CORRUPT", path, "another program", "bookmarks"),
			);
		expect(readFileSync(path)).toEqual(before);
	});

	test.each(["PRAGMA application_id = 1", "PRAGMA user_version = 1"])(
		"without tables, but marked by another program (%s), is refused",
		async (mark) => {
			const path = temporaryFile();
			behind(path, (db) => db.exec(mark));
			await expect(open(path)).rejects.toMatchObject(
				error("STORE_CORRUPT", path, "another program"),
			);
		},
	);

	test("of a newer version is refused, and both versions are named", async () => {
		const path = temporaryFile();
		await filled(path);
		behind(path, (db) => db.exec("PRAGMA user_version = 99"));
		for (const attempt of [open, read])
			await expect(attempt(path)).rejects.toMatchObject(
				error("STORE_VERSION", path, "99", `up to ${migrations.length}`),
			);
	});

	test("whose side file is another program's is refused", async () => {
		const path = temporaryFile();
		writeFileSync(`${path}.lock`, "pid 4711 on host example ".repeat(50));
		await expect(open(path)).rejects.toMatchObject(
			error("STORE_FAILED", `${path}.lock`),
		);
	});
});

describe("a migration", () => {
	const next = (db: DatabaseSync) =>
		db.exec("ALTER TABLE sessions ADD COLUMN added TEXT NOT NULL DEFAULT 'x'");
	const versionOf = (db: DatabaseSync) =>
		db.prepare("PRAGMA user_version").get()?.user_version;

	test("takes the steps that are missing, in order, and keeps what is there", async () => {
		const path = temporaryFile();
		await filled(path, 3);
		const taken: number[] = [];
		const steps = [
			...migrations,
			(db: DatabaseSync) => {
				taken.push(1);
				next(db);
			},
			(db: DatabaseSync) => {
				taken.push(2);
				db.exec("UPDATE sessions SET added = added || session_key");
			},
		];
		behind(path, (db) => {
			migrate(db, path, steps);
			migrate(db, path, steps);
			expect(taken).toEqual([1, 2]);
			expect(versionOf(db)).toBe(migrations.length + 2);
			expect(
				db.prepare("SELECT added FROM sessions ORDER BY id").all(),
			).toEqual([{ added: "xk0" }, { added: "xk1" }, { added: "xk2" }]);
		});
		// For this version of the package it is a newer file now.
		await expect(open(path)).rejects.toMatchObject(
			error(
				"STORE_VERSION",
				`version ${migrations.length + 2}`,
				`up to ${migrations.length}`,
			),
		);
	});

	test("that fails half way leaves the file at its version, and usable", async () => {
		const path = temporaryFile();
		await filled(path);
		const broken = () => {
			throw new Error("no such luck");
		};
		behind(path, (db) => {
			expect(() => migrate(db, path, [...migrations, next, broken])).toThrow(
				"no such luck",
			);
			expect(versionOf(db)).toBe(migrations.length);
			expect(() => db.prepare("SELECT added FROM sessions")).toThrow();
		});
		const store = await opened(path);
		expect(await store.version("k0")).toBe(1);
	});
});

describe("without permission", () => {
	/** A process whom permissions bind, also if this one is root's. */
	async function somebody() {
		const remote = await startRemote();
		if (process.getuid?.() === 0) await remote.call("becomeNobody");
		return remote;
	}

	const needs = error(
		"STORE_FAILED",
		"an owner needs to write to the file and to its folder",
	);

	test("to write to the folder, there is no owner", async () => {
		const path = temporaryFile();
		await filled(path);
		chmodSync(path, 0o666);
		chmodSync(dirname(path), 0o555);
		onTestFinished(() => chmodSync(dirname(path), 0o755));
		const remote = await somebody();
		await expect(remote.call("open", path)).rejects.toMatchObject(needs);
	});

	test("to write to the file, there is no owner", async () => {
		const path = temporaryFile();
		await filled(path);
		chmodSync(dirname(path), 0o777);
		chmodSync(`${path}.lock`, 0o666);
		chmodSync(path, 0o444);
		const remote = await somebody();
		await expect(remote.call("open", path)).rejects.toMatchObject(needs);
		const store = await opened(path).catch(() => null);
		// Root may; anybody else is refused here as well.
		expect(store === null).toBe(process.getuid?.() !== 0);
	});

	test("to write, one can read what another process has open", async () => {
		const path = temporaryFile();
		const store = await opened(path);
		await commit(store, writeOf("k", 0));
		for (const name of readdirSync(dirname(path)))
			chmodSync(join(dirname(path), name), 0o444);
		chmodSync(dirname(path), 0o555);
		onTestFinished(() => chmodSync(dirname(path), 0o755));
		const remote = await somebody();
		await remote.call("read", path);
		expect(await remote.call("version", "k")).toBe(1);
		await commit(store, writeOf("k", 1));
		expect(await remote.call("version", "k")).toBe(2);
	});

	test("to write, one cannot read what nobody has open, and is told why", async () => {
		const path = temporaryFile();
		await filled(path);
		chmodSync(path, 0o444);
		chmodSync(dirname(path), 0o555);
		onTestFinished(() => chmodSync(dirname(path), 0o755));
		const remote = await somebody();
		await expect(remote.call("read", path)).rejects.toMatchObject(
			error("STORE_FAILED", path, "unless a host has the store open"),
		);
	});

	test("to enter the folder, one is told so", async () => {
		const path = temporaryFile();
		const folder = join(dirname(path), "closed");
		mkdirSync(folder);
		chmodSync(dirname(path), 0o755);
		chmodSync(folder, 0o000);
		onTestFinished(() => chmodSync(folder, 0o755));
		const remote = await somebody();
		await expect(
			remote.call("open", join(folder, "sessions.db")),
		).rejects.toMatchObject(error("STORE_FAILED", "EACCES"));
	});
});

describe("a commit", () => {
	test("that the disk refuses half way changes nothing, and the store goes on", async () => {
		const path = temporaryFile();
		// Files of this process may have 4096 blocks of 512 bytes.
		const remote = await startRemote("ulimit -f 4096");
		await remote.call("open", path);
		const put = (
			key: string,
			version: number,
			meta: string,
			more: object = {},
		) =>
			writeOf(key, version, {
				facts: factsOf(key, { version: version + 1, meta }),
				...more,
			});
		const send = (...sessions: ReturnType<typeof put>[]) =>
			remote.call("commit", { sessions, refusals: [] });
		await send(put("k", 0, "small"));
		const large = Array.from({ length: 40 }, (_, i) =>
			put(`large ${i}`, 0, "x".repeat(200_000)),
		);
		await expect(
			send(put("k", 1, "lost", { runs: [runOf("k", "lost")] }), ...large),
		).rejects.toMatchObject(error("STORE_FAILED", path, "cannot be written"));
		expect(await remote.call("version", "k")).toBe(1);
		expect(await remote.call("version", "large 0")).toBe(0);
		await send(put("k", 1, "again", { runs: [runOf("k", "kept")] }));
		await remote.kill();
		const store = await opened(path);
		expect((await store.load("k"))?.facts).toMatchObject({
			version: 2,
			meta: "again",
		});
		expect(await store.runsNamed("lost")).toEqual([]);
		expect((await store.runs("k", {})).items).toHaveLength(1);
		expect((await store.list({})).items).toHaveLength(1);
		expect(
			behind(path, (db) => db.prepare("PRAGMA integrity_check").get()),
		).toEqual({ integrity_check: "ok" });
	});

	test("for which there is no page left changes nothing, and says so", async () => {
		const path = temporaryFile();
		const db = Database.openAsOwner(path, "full");
		onTestFinished(() => db.close());
		const writer = new Writer(db);
		const write = (key: string, size: number) =>
			writer.commit({
				sessions: [
					writeOf(key, 0, {
						facts: factsOf(key, { meta: "x".repeat(size) }),
					}),
				],
				refusals: [],
			});
		write("before", 1);
		db.raw.exec("PRAGMA max_page_count = 20");
		expect(() => write("k", 1_000_000)).toThrow(
			expect.objectContaining(error("STORE_FAILED", path, "the disk is full")),
		);
		write("k", 1);
		const store = new SqliteReader(db);
		expect((await store.list({})).items).toMatchObject([
			{ sessionKey: "before", version: 1 },
			{ sessionKey: "k", version: 1, meta: "x" },
		]);
	});

	test("that SQLite rolls back by itself changes nothing, and the store goes on", async () => {
		const path = temporaryFile();
		const store = await opened(path);
		await commit(store, writeOf("k", 0));
		// As it does after some errors of the disk.
		behind(path, (db) =>
			db.exec(
				"CREATE TRIGGER no_room BEFORE INSERT ON runs BEGIN SELECT RAISE(ROLLBACK, 'no room'); END",
			),
		);
		await expect(
			commit(store, writeOf("k", 1, { runs: [runOf("k", "r")] })),
		).rejects.toMatchObject(error("STORE_FAILED", path, "no room"));
		expect(await store.version("k")).toBe(1);
		behind(path, (db) => db.exec("DROP TRIGGER no_room"));
		await commit(store, writeOf("k", 1, { runs: [runOf("k", "r")] }));
		expect(await store.version("k")).toBe(2);
	});

	test("while another program writes fails, and holds when repeated", async () => {
		const path = temporaryFile();
		const store = await opened(path);
		const other = new DatabaseSync(path);
		onTestFinished(() => other.close());
		other.exec("BEGIN IMMEDIATE");
		await expect(commit(store, writeOf("k", 0))).rejects.toMatchObject(
			error("STORE_FAILED", path, "another program holds a lock"),
		);
		other.exec("ROLLBACK");
		await commit(store, writeOf("k", 0));
	});

	test("of a number that JSON has no word for is refused before it is written", async () => {
		const path = temporaryFile();
		const store = await opened(path);
		const run = runOf("k", "r", {
			stop: {
				cause: "abort",
				reason: null,
				deadline: Number.POSITIVE_INFINITY,
				at: 0,
			},
		});
		await expect(
			commit(store, writeOf("k", 0, { facts: factsOf("k", { run }) })),
		).rejects.toMatchObject(
			error(
				"STORE_FAILED",
				"run.stop.deadline is Infinity, not a finite number",
			),
		);
		expect(await store.version("k")).toBe(0);
	});

	test("keeps the unsettled sessions in an index, so that a boot does not scan all", async () => {
		const path = temporaryFile();
		await opened(path);
		const plan = behind(path, (db) =>
			db
				.prepare(
					"EXPLAIN QUERY PLAN SELECT session_key FROM sessions WHERE unsettled = 1 AND session_key > ? ORDER BY session_key LIMIT ?",
				)
				.all("", 1)
				.map(({ detail }) => detail)
				.join(),
		);
		expect(plan).toContain("sessions_unsettled");
		expect(plan).not.toContain("SCAN");
	});
});

describe("a row that cannot be read", () => {
	async function withRows() {
		const path = temporaryFile();
		const store = await opened(path);
		await commit(
			store,
			writeOf("k", 0, {
				facts: fullFacts("k"),
				messages: [
					messageOf("m1", { seq: 1 }),
					messageOf("m2", { seq: 2, input: awkward }),
				],
				runs: [runOf("k", "r")],
				generations: [endedOf("k", 1)],
			}),
			writeOf("other", 0),
		);
		await store.commit({ sessions: [], refusals: [refusalOf("k", "x")] });
		const change = (sql: string) => behind(path, (db) => db.exec(sql));
		return { store, change };
	}

	const unreadable = (promise: Promise<unknown>) =>
		promise.then(
			() => expect.unreachable("it was read"),
			(thrown) => {
				expect(thrown).toBeInstanceOf(UnreadableSession);
				return thrown as UnreadableSession;
			},
		);

	test.each([
		["garbage", "no JSON"],
		["", "nothing"],
		["null", "null"],
		["{}", "an object"],
		["[]", "too few fields"],
		['[5,false,null,[],[],0,null,0,0,null,"x"]', "wrong types"],
	])(
		"(%s) is an error about its session, and is left out of lists",
		async (body) => {
			const { store, change } = await withRows();
			change(`UPDATE sessions SET body = '${body}' WHERE session_key = 'k'`);
			const { row, code, message, cause } = await unreadable(store.load("k"));
			expect(code).toBe("STORE_CORRUPT");
			expect(message).toContain('"k"');
			expect(cause).toBeInstanceOf(Error);
			expect(row).toMatchObject({
				sessionKey: "k",
				generation: 3,
				version: 1,
				raw: body,
				lost: [],
				entries: 0,
			});
			expect(row.queue.map((one) => one.messageId)).toEqual(["m1", "m2"]);
			expect(await store.version("k")).toBe(1);
			const { items, cursor } = await store.list({ limit: 1 });
			expect(items.map((one) => one.sessionKey)).toEqual(["other"]);
			expect(cursor).toBeNull();
			expect((await store.unsettled({})).items).toEqual(["k"]);
		},
	);

	test("says which field it was", async () => {
		const { store, change } = await withRows();
		change(
			"UPDATE sessions SET body = json_set(body, '$[2][5]', 'nobody') WHERE session_key = 'k'",
		);
		const { cause } = await unreadable(store.load("k"));
		expect(String(cause)).toContain(
			'run.status is "nobody", not one of reserved, admitted',
		);
	});

	test("is written over by the reset that its columns allow", async () => {
		const { store, change } = await withRows();
		change("UPDATE sessions SET body = '?' WHERE session_key = 'k'");
		const { row } = await unreadable(store.load("k"));
		await commit(
			store,
			writeOf("k", row.version, {
				facts: factsOf("k", {
					generation: row.generation + 1,
					version: row.version + 1,
					queue: row.queue,
				}),
				generations: [endedOf("k", row.generation, { reason: row.raw })],
			}),
		);
		const loaded = await store.load("k");
		expect(loaded?.facts.generation).toBe(4);
		expect(loaded?.queue.map((one) => one.messageId)).toEqual(["m1", "m2"]);
	});

	test("of a message that waits is lost with its reset, and only that", async () => {
		const { store, change } = await withRows();
		change("UPDATE messages SET body = '[]' WHERE message_id = 'm1'");
		const { row } = await unreadable(store.load("k"));
		expect(row.queue.map((one) => one.messageId)).toEqual(["m2"]);
		expect(row.lost).toMatchObject([
			{ messageId: "m1", seq: 1, fate: "removed", generation: 1 },
		]);
		await commit(
			store,
			writeOf("k", row.version, {
				facts: factsOf("k", { version: row.version + 1, queue: row.queue }),
				messages: row.lost,
			}),
		);
		expect((await store.load("k"))?.queue.map((one) => one.messageId)).toEqual([
			"m2",
		]);
		expect(await store.message("k", "m1")).toEqual(row.lost[0]);
	});

	test("of anything else is STORE_CORRUPT, with its name", async () => {
		const { store, change } = await withRows();
		await commit(
			store,
			writeOf("k", 1, { facts: null, entries: [entryOf("k", 1)] }),
		);
		for (const table of [
			"messages",
			"runs",
			"generations",
			"refusals",
			"transcript",
		])
			change(`UPDATE ${table} SET body = '[1]'`);
		await expect(store.message("k", "m2")).rejects.toMatchObject(
			error("STORE_CORRUPT", 'message "m2" of session "k"'),
		);
		const run = error("STORE_CORRUPT", 'run "r" of session "k"');
		await expect(store.runs("k", {})).rejects.toMatchObject(run);
		await expect(store.runsNamed("r")).rejects.toMatchObject(run);
		const generation = error("STORE_CORRUPT", 'generation 1 of session "k"');
		await expect(store.generations("k", {})).rejects.toMatchObject(generation);
		await expect(store.generation("k", 1)).rejects.toMatchObject(generation);
		await expect(store.refusals({})).rejects.toMatchObject(
			error("STORE_CORRUPT", "refusal 1"),
		);
		await expect(store.transcript("k", {})).rejects.toMatchObject(
			error("STORE_CORRUPT", 'entry 1 of the transcript of session "k"'),
		);
	});

	test("is not one that has grown at its end", async () => {
		const { store, change } = await withRows();
		// A newer version writes all that this one knows before what it adds itself.
		const message = fullMessage("k", { fate: "queued" });
		const run = runOf("k", "full", { waitingSince: 5 });
		await commit(
			store,
			writeOf("k", 1, {
				facts: { ...fullFacts("k"), version: 2 },
				messages: [messageOf("m2", { fate: "taken" }), message],
				runs: [run],
				entries: [entryOf("k", 1)],
			}),
		);
		const before = await store.load("k");
		expect(before?.queue).toHaveLength(1);
		for (const table of [
			"sessions",
			"messages",
			"runs",
			"generations",
			"refusals",
			"transcript",
		])
			change(`UPDATE ${table} SET body = json_insert(body, '$[#]', 'new')`);
		expect(await store.load("k")).toEqual(before);
		expect(await store.runsNamed("full")).toEqual([run]);
		expect(await store.generation("k", 1)).toEqual(endedOf("k", 1));
		expect((await store.refusals({})).items).toHaveLength(1);
		expect((await store.transcript("k", {})).items).toHaveLength(1);
	});
});
