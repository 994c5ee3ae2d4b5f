import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { temporaryFile } from "../support/stores.ts";
import { failure, start, turnkeeper, turnkeeperHere } from "./turnkeeper.ts";

const commands = [
	"replay",
	"why",
	"sessions",
	"inspect",
	"import",
	"backup",
	"simulate",
];

/** A module that Node loads before the program. */
function preload(source: string): readonly string[] {
	return ["--import", `data:text/javascript,${encodeURIComponent(source)}`];
}

describe("turnkeeper", () => {
	test("--version says the version of the package", async () => {
		expect(await turnkeeper(["--version"])).toEqual({
			code: 0,
			stdout: `${manifest.version}\n`,
			stderr: "",
		});
	});

	test.each([["--help"], ["-h"]])("%s names every command", async (option) => {
		const { code, stdout, stderr } = await turnkeeper([option]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		for (const command of commands)
			expect(stdout).toMatch(new RegExp(`^  ${command} +\\w`, "m"));
	});

	test.each(
		commands.flatMap((command) => [
			[command, "--help"],
			[command, "-h"],
		]),
	)("%s %s says what it takes, whatever else is given", async (...args) => {
		const { code, stdout, stderr } = await turnkeeperHere([...args, "extra"]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(stdout).toMatch(new RegExp(`^usage: turnkeeper ${args[0]} `));
		expect(stdout).toContain("--json");
	});

	test("a call that cannot be is one line and exit code 2", async () => {
		const known = "replay, why, sessions, inspect, import, backup, simulate";
		expect(await turnkeeper([])).toEqual(
			failure(
				2,
				`there is no command; it can be ${known}; see turnkeeper --help`,
			),
		);
		expect(await turnkeeper(["reply"])).toEqual(
			failure(
				2,
				`"reply" is no command; it can be ${known}; see turnkeeper --help`,
			),
		);
		expect(await turnkeeper(["toString"])).toMatchObject({ code: 2 });
	});

	test.each([
		[["replay"], "FILE is missing; see turnkeeper replay --help"],
		[["replay", "--jsn", "x"], /^unknown option '--jsn'; see /],
		[["replay", "x", "--map"], /--map.* argument missing; see /],
		[["replay", "x", "--db", ""], /^--db is empty; see /],
		[["why", "--db", "x"], "KEY is missing; see turnkeeper why --help"],
		[["why", "k"], "--db FILE is missing; see turnkeeper why --help"],
		[["why", "k", "l", "--db", "x"], /^"l" is one argument too many; see /],
		[["sessions"], /^what to do is missing; it can be list, show, archive; /],
		[["sessions", "drop"], /^"drop" is no action on sessions; it can be /],
		[["sessions", "list"], /^--db FILE is missing; see turnkeeper sessions /],
		[["sessions", "list", "k", "--db", "x"], /^"k" is one argument too many/],
		[["sessions", "show", "--db", "x"], /^KEY is missing; see /],
		[
			["sessions", "list", "--db", "x", "--limit", "0"],
			/^--limit is "0"; it must be a whole number, 1 or more; see /,
		],
		[
			["sessions", "list", "--db", "x", "--limit", "1e3"],
			/^--limit is "1e3"; it must be a whole number, 1 or more; see /,
		],
		[
			["sessions", "list", "--db", "x", "--status", "idle,busy"],
			/^--status is "busy"; it must be one of idle, running, /,
		],
		[["inspect"], "--db FILE is missing; see turnkeeper inspect --help"],
		[["inspect", "k", "--db", "x"], /^"k" is one argument too many/],
		[["import", "--db", "x"], /^FILE is missing; see /],
		[["import", "x"], /^--db FILE is missing; see /],
		[["backup", "x"], /^--db FILE is missing; see /],
		[["simulate", "--seeds", "0"], /^--seeds is "0"; it must be a whole /],
		[["simulate", "17"], /^"17" is one argument too many; see /],
		[["simulate", "--trace", "--seeds", "2"], /^--trace is for one seed, /],
	])("%j is a usage error", async (args, message) => {
		expect(await turnkeeperHere(args)).toEqual(failure(2, message));
	});

	test.each([
		[["replay", "none.jsonl"], "none.jsonl: there is no such file"],
		[["replay", "."], ". is a folder; it must be a file"],
		[["why", "k", "--db", "none.db"], "none.db: there is no such file"],
		[["sessions", "list", "--db", "none.db"], /there is no such file$/],
		[["sessions", "show", "k", "--db", "none.db"], /there is no such file$/],
		[["sessions", "archive", "k", "--db", "none.db"], /no such file$/],
		[["inspect", "--db", "none.db"], "none.db: there is no such file"],
		[["backup", "copy.db", "--db", "none.db"], /there is no such file$/],
		[["import", "none.jsonl", "--db", "new.db"], /there is no such file$/],
		[["simulate", "--with", "none.ts"], "there is no module none.ts"],
	])("%j is an error of exit code 1", async (args, message) => {
		expect(await turnkeeperHere(args)).toEqual(failure(1, message));
	});

	test("a file name that a terminal would obey is made harmless", async () => {
		const { stderr } = await turnkeeper(["replay", "a\u001b[2J\nb"]);
		expect(stderr).toBe("turnkeeper: a\\u001b[2J\\nb: there is no such file\n");
	});

	test("a Node that is too old is told at once", async () => {
		const node = preload(
			'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "22.3.1" } });',
		);
		expect(await turnkeeper(["--version"], { node })).toEqual(
			failure(1, "this is Node 22.3.1; turnkeeper needs Node 24 or newer"),
		);
	});

	test("what Node says of experimental features stays out of the output, other warnings do not", async () => {
		const node = preload(`process.once("beforeExit", () => {
			process.emitWarning("SQLite is an experimental feature", "ExperimentalWarning");
			process.emitWarning("SQLite is new", { type: "ExperimentalWarning" });
			process.emitWarning("mind the gap");
		});`);
		const { code, stderr } = await turnkeeper(["--version"], { node });
		expect(code).toBe(0);
		expect(stderr).toContain("mind the gap");
		expect(stderr).not.toContain("SQLite");
	});

	test("an error that nobody caught is one line too", async () => {
		const node = preload(
			'process.once("beforeExit", () => { throw new Error("out of\\nluck"); });',
		);
		expect(await turnkeeper(["--version"], { node })).toEqual({
			...failure(1, "out of\\nluck"),
			stdout: `${manifest.version}\n`,
		});
	});

	test("a reader that has read enough ends it quietly", async () => {
		const file = temporaryFile("long.jsonl");
		const line = (at: number) =>
			`${JSON.stringify({ at, type: "reset", sessionKey: `chat:${at}` })}\n`;
		writeFileSync(
			file,
			Array.from({ length: 3000 }, (_, at) => line(at)).join(""),
		);
		const child = start(["replay", file, "--json"]);
		child.stdout.destroy();
		const [stderr, [code]] = await Promise.all([
			text(child.stderr),
			once(child, "close"),
		]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	});

	test("begins with the line that a shell looks for", () => {
		const main = join(import.meta.dirname, "../../src/cli/main.ts");
		expect(readFileSync(main, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
	});
});
