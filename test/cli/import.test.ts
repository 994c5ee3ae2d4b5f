import { writeFileSync } from "node:fs";
import type { SessionRow } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";
import { startOwner } from "./beside.ts";
import {
	failure,
	turnkeeper,
	turnkeeperHere,
	turnkeeperJson,
} from "./turnkeeper.ts";

interface Imported {
	imported: number;
	skipped: string[];
	badLines: { line: number; problem: string }[];
}

function file(...lines: (object | string)[]): string {
	const path = temporaryFile("sessions.jsonl");
	const text = lines.map((line) =>
		typeof line === "string" ? line : JSON.stringify(line),
	);
	writeFileSync(path, text.join("\n"));
	return path;
}

async function rowsIn(db: string): Promise<SessionRow[]> {
	const { stdout } = await turnkeeperHere([
		"sessions",
		"list",
		"--db",
		db,
		"--json",
	]);
	return JSON.parse(stdout).sessions;
}

const old = {
	sessionKey: "telegram:42",
	sessionId: "s1",
	meta: { model: "m", tags: ["a"] },
	usage: { inputTokens: 3, outputTokens: 0 },
	createdAt: 1000,
	updatedAt: 2000,
};

describe("turnkeeper import", () => {
	test("takes sessions over as they were", async () => {
		const db = temporaryFile();
		const lines = file(old, { sessionKey: "🦉", sessionId: "s2" });
		expect(
			await turnkeeperJson<Imported>(["import", lines, "--db", db]),
		).toEqual({ imported: 2, skipped: [], badLines: [] });
		expect(await rowsIn(db)).toMatchObject([
			{
				sessionKey: "telegram:42",
				sessionId: "s1",
				generation: 1,
				status: "idle",
				meta: old.meta,
				inputTokens: 3,
				totalTokens: 3,
				createdAt: 1000,
				updatedAt: 2000,
			},
			{ sessionKey: "🦉", sessionId: "s2" },
		]);
	});

	test("leaves keys alone that exist already, and names them", async () => {
		const db = temporaryFile();
		await turnkeeperHere(["import", file(old), "--db", db]);
		const again = file(
			{ ...old, sessionId: "other" },
			{ ...old, sessionKey: "b" },
		);
		expect(await turnkeeperHere(["import", again, "--db", db])).toEqual({
			code: 0,
			stdout:
				"1 session imported\n1 left alone, because they exist already:\n  telegram:42\n",
			stderr: "",
		});
		expect(await rowsIn(db)).toMatchObject([
			{ sessionKey: "b" },
			{ sessionKey: "telegram:42", sessionId: "s1" },
		]);
	});

	test("names bad lines, imports all others, and ends with exit code 1", async () => {
		const db = temporaryFile();
		const lines = file(
			old,
			'{"sessionKey":"half',
			{ sessionKey: "a" },
			{ sessionKey: "a\u0007b", sessionId: "s" },
			{ sessionKey: "c", sessionId: "s", usage: { inputTokens: -1 } },
			{ sessionKey: "d", sessionId: "s", usage: 7 },
			{ sessionKey: "e", sessionId: "s", createdAt: "today" },
			"[]",
			{ sessionKey: "f", sessionId: "s" },
		);
		const { code, stdout, stderr } = await turnkeeper([
			"import",
			lines,
			"--db",
			db,
			"--json",
		]);
		expect(code).toBe(1);
		expect(stderr).toMatch(
			/^turnkeeper: .*: 7 lines left out; the first: line 2 is not JSON .*\n$/,
		);
		const answer = JSON.parse(stdout) as Imported;
		expect(answer.imported).toBe(2);
		expect(answer.badLines.map(({ problem }) => problem)).toEqual([
			expect.stringMatching(/^line 2 is not JSON/),
			"line 3: sessionId is undefined; it must be a string",
			'line 4: sessionKey is "a\\u0007b"; it must not have control characters',
			"line 5: usage.inputTokens is -1; it must be a number, 0 or more",
			"line 6: usage is 7; it must be an object with inputTokens and outputTokens",
			'line 7: createdAt is "today"; it must be milliseconds, 0 or more',
			"line 8: this is []; a session must be an object with sessionKey and sessionId",
		]);
		expect(await rowsIn(db)).toMatchObject([
			{ sessionKey: "f" },
			{ sessionKey: "telegram:42" },
		]);
		const told = await turnkeeperHere(["import", lines, "--db", db]);
		expect(told.stdout).toMatch(/^left out: line 3: sessionId is undefined/m);
	});

	test("does not touch a file that a host owns", async () => {
		const db = temporaryFile();
		const owner = await startOwner(db);
		const { code, stdout, stderr } = await turnkeeperHere([
			"import",
			file(old),
			"--db",
			db,
		]);
		expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		expect(stderr).toMatch(
			/^turnkeeper: the store [^()]* is owned by process \d+ .* \(docs\/errors\/STORE_LOCKED\.md\)\n$/,
		);
		expect(stderr.split("docs/errors").length).toBe(2);
		await owner.close();
		expect(await rowsIn(db)).toMatchObject([{ sessionKey: "live" }]);
	});

	test("a file that cannot be read is an error", async () => {
		const db = temporaryFile();
		expect(await turnkeeperHere(["import", "none.jsonl", "--db", db])).toEqual(
			failure(1, "none.jsonl: there is no such file"),
		);
	});
});
