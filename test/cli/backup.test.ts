import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createSessionRuntime, type SessionRow } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";
import { startOwner } from "./beside.ts";
import {
	failure,
	turnkeeper,
	turnkeeperHere,
	turnkeeperJson,
} from "./turnkeeper.ts";

async function filled(): Promise<string> {
	const file = temporaryFile();
	await using runtime = createSessionRuntime({ store: sqliteStore(file) });
	await runtime.start();
	await runtime.reset("k", { sessionId: "s1" });
	return file;
}

async function rowsIn(db: string): Promise<SessionRow[]> {
	const { stdout } = await turnkeeperHere([
		"sessions",
		"list",
		"--limit",
		"10000",
		"--db",
		db,
		"--json",
	]);
	return JSON.parse(stdout).sessions;
}

describe("turnkeeper backup", () => {
	test("copies a store file into one that a host may open", async () => {
		const db = await filled();
		const copy = join(dirname(db), "copy.db");
		const answer = await turnkeeperJson<{ bytes: number }>([
			"backup",
			copy,
			"--db",
			db,
		]);
		expect(answer).toMatchObject({
			file: copy,
			bytes: readFileSync(copy).length,
		});
		expect(
			readdirSync(dirname(db)).filter((name) => /^copy/.test(name)),
		).toEqual(["copy.db"]);
		await using runtime = createSessionRuntime({ store: sqliteStore(copy) });
		await runtime.start();
		expect(await runtime.get("k")).toMatchObject({ sessionId: "s1" });
	});

	test("copies beside a host that owns the file and goes on writing: one moment, whole", async () => {
		const db = temporaryFile();
		const owner = await startOwner(db);
		for (let n = 0; n < 100; n += 1) await owner.write();
		const copy = join(dirname(db), "copy.db");
		let copying = true;
		const copied = turnkeeper(["backup", copy, "--db", db]).finally(() => {
			copying = false;
		});
		while (copying) await owner.write();
		expect(await copied).toMatchObject({ code: 0, stderr: "" });
		const rows = await rowsIn(copy);
		expect(rows.length).toBeGreaterThan(100);
		expect(rows.at(-1)).toMatchObject({
			sessionKey: "live",
			status: "running",
		});
		const database = new DatabaseSync(copy);
		expect(database.prepare("PRAGMA integrity_check").get()).toEqual({
			integrity_check: "ok",
		});
		database.close();
		await owner.close();
	});

	test("does not replace a file unless told to", async () => {
		const db = await filled();
		const copy = join(dirname(db), "copy.db");
		writeFileSync(copy, "precious");
		expect(await turnkeeperHere(["backup", copy, "--db", db])).toEqual(
			failure(1, `${copy} exists; --force replaces it`),
		);
		expect(readFileSync(copy, "utf8")).toBe("precious");
		const { code, stdout } = await turnkeeperHere([
			"backup",
			copy,
			"--db",
			db,
			"--force",
		]);
		expect(code).toBe(0);
		expect(stdout).toBe(`${copy}: ${readFileSync(copy).length} bytes\n`);
		expect(await rowsIn(copy)).toHaveLength(1);
	});

	test("never writes over the store file itself, a folder, or into a folder that is not there", async () => {
		const db = await filled();
		const folder = join(dirname(db), "folder");
		mkdirSync(folder);
		const backup = (file: string) =>
			turnkeeperHere(["backup", file, "--db", db, "--force"]);
		expect(await backup(db)).toEqual(
			failure(1, `${db} is the store file itself; the copy needs another name`),
		);
		expect(await backup(folder)).toEqual(
			failure(1, `${folder} is a folder; it must be a file`),
		);
		const nowhere = join(folder, "none", "copy.db");
		expect(await backup(nowhere)).toEqual(
			failure(1, `${nowhere}: there is no folder ${dirname(nowhere)}`),
		);
		expect(await rowsIn(db)).toHaveLength(1);
	});

	test("a file that is no store is not copied", async () => {
		const db = temporaryFile();
		writeFileSync(db, "this is no database, however long it may be");
		const copy = join(dirname(db), "copy.db");
		expect(await turnkeeperHere(["backup", copy, "--db", db])).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringMatching(/^turnkeeper: .*\n$/),
		});
		expect(existsSync(copy)).toBe(false);
	});
});
