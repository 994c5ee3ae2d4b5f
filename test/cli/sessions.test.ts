import { writeFileSync } from "node:fs";
import type { EndedGeneration, SessionRow } from "turnkeeper";
import { createSessionRuntime } from "turnkeeper";
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

interface Listed {
	sessions: SessionRow[];
	more: boolean;
}

/** A file with one session of each kind that a person may look at. */
async function filled(): Promise<string> {
	const file = temporaryFile();
	await using runtime = createSessionRuntime({ store: sqliteStore(file) });
	await runtime.start();
	for (const key of ["a:1", "a:2", "b:1", "__proto__"])
		await runtime.reset(key, { sessionId: `s-${key}`, meta: { of: key } });
	const run = await runtime.admit("a:1", { runId: "r1" });
	await run.fail("the model is overloaded");
	await runtime.reset("a:1", { sessionId: "s-2", reason: "/new" });
	await runtime.reset("a:1", { sessionId: "s-3" });
	await runtime.delete("b:1", { reason: "gone" });
	return file;
}

async function listed(args: readonly string[]): Promise<Listed> {
	const { stdout } = await turnkeeperHere([...args, "--json"]);
	return JSON.parse(stdout) as Listed;
}

describe("turnkeeper sessions", () => {
	test("list shows the sessions by key, and filters", async () => {
		const file = await filled();
		const keys = async (...options: string[]) => {
			const { sessions, more } = await listed([
				"sessions",
				"list",
				"--db",
				file,
				...options,
			]);
			return [sessions.map(({ sessionKey }) => sessionKey), more];
		};
		expect(await keys()).toEqual([["__proto__", "a:1", "a:2"], false]);
		expect(await keys("--prefix", "a:")).toEqual([["a:1", "a:2"], false]);
		expect(await keys("--limit", "1")).toEqual([["__proto__"], true]);
		expect(await keys("--limit", "3")).toEqual([
			["__proto__", "a:1", "a:2"],
			false,
		]);
		expect(await keys("--status", "failed, running")).toEqual([[], false]);
		expect(await keys("--status", "idle", "--prefix", "a:2")).toEqual([
			["a:2"],
			false,
		]);
		const { code, stdout } = await turnkeeper([
			"sessions",
			"list",
			"--limit",
			"2",
			"--db",
			file,
		]);
		expect(code).toBe(0);
		expect(stdout).toMatch(
			/^session +status .*\n__proto__ +idle .*\na:1 +idle +3 .*\nthere are more; see --limit\n$/,
		);
	});

	test("an empty file lists none", async () => {
		const file = temporaryFile();
		const runtime = createSessionRuntime({ store: sqliteStore(file) });
		await runtime.start();
		await runtime.close();
		expect(await turnkeeperHere(["sessions", "list", "--db", file])).toEqual({
			code: 0,
			stdout: "no session\n",
			stderr: "",
		});
	});

	test("show gives the row as committed", async () => {
		const file = await filled();
		const { session } = await turnkeeperJson<{ session: SessionRow }>([
			"sessions",
			"show",
			"__proto__",
			"--db",
			file,
		]);
		expect(session).toMatchObject({
			sessionKey: "__proto__",
			sessionId: "s-__proto__",
			status: "idle",
			meta: { of: "__proto__" },
		});
		const { stdout } = await turnkeeperHere([
			"sessions",
			"show",
			"a:2",
			"--db",
			file,
		]);
		expect(stdout).toMatch(/^sessionKey +a:2$/m);
		expect(stdout).toMatch(/^lastError +–$/m);
		expect(stdout).toMatch(/^createdAt +\d{4}-.*Z \(\d+\)$/m);
		expect(stdout).toMatch(/^meta +\{"of":"a:2"\}$/m);
	});

	test("archive gives the generations that ended, newest first, also of a deleted session", async () => {
		const file = await filled();
		type Answer = { archive: EndedGeneration[]; more: boolean };
		const answer = await turnkeeperJson<Answer>([
			"sessions",
			"archive",
			"a:1",
			"--db",
			file,
		]);
		expect(answer).toMatchObject({
			archive: [
				{ generation: 2, endedBy: "reset", reason: null, runs: [] },
				{
					generation: 1,
					reason: "/new",
					runs: [{ runId: "r1", outcome: "failed" }],
				},
			],
			more: false,
		});
		const told = (...args: string[]) =>
			turnkeeperHere(["sessions", "archive", ...args, "--db", file]);
		expect((await told("a:1", "--limit", "1")).stdout).toMatch(
			/^generation .*\n +2 +reset .* 0 runs +s-2 .*\nthere are more; see --limit\n$/,
		);
		expect((await told("b:1")).stdout).toMatch(/delete .* s-b:1 +gone\n$/);
		expect((await told("a:2")).stdout).toBe("no generation has ended\n");
	});

	test("a key that nobody used or that is deleted is said so", async () => {
		const file = await filled();
		const unused = `no session "nobody" was ever used in ${file}; turnkeeper sessions list --db ${file} shows those that are`;
		for (const action of ["show", "archive"])
			expect(
				await turnkeeperHere(["sessions", action, "nobody", "--db", file]),
			).toEqual(failure(1, unused));
		expect(
			await turnkeeperHere(["sessions", "show", "b:1", "--db", file]),
		).toEqual(
			failure(
				1,
				'session "b:1" is deleted; turnkeeper why tells what is left of it',
			),
		);
	});

	test("reads beside the host that owns the file, and what it writes meanwhile", async () => {
		const file = temporaryFile();
		const owner = await startOwner(file);
		const list = () =>
			turnkeeperJson<Listed>(["sessions", "list", "--db", file]);
		expect((await list()).sessions).toMatchObject([
			{ sessionKey: "live", status: "running", hasActiveRun: true },
		]);
		await owner.write();
		expect((await list()).sessions).toMatchObject([
			{ sessionKey: "chat:1" },
			{ sessionKey: "live" },
		]);
		await owner.close();
		expect((await list()).sessions).toMatchObject([
			{ sessionKey: "chat:1" },
			{ sessionKey: "live", status: "ended", lastOutcome: "interrupted" },
		]);
	});

	test("a file that is no store is an error that says so", async () => {
		const file = temporaryFile();
		writeFileSync(file, "this is no database, however long it may be");
		expect(
			await turnkeeperHere(["sessions", "list", "--db", file]),
		).toMatchObject({
			code: 1,
			stdout: "",
			stderr: expect.stringMatching(/^turnkeeper: .*\n$/),
		});
	});
});
