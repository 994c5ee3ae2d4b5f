/** Each error code has a page, a message ends with it, and it stands nowhere else. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
	RunAborted,
	type RuntimeEvent,
	TurnkeeperError,
	UnreadableSession,
	VersionConflict,
} from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { expect, test } from "vitest";
import { errorText } from "../../src/errors.ts";
import { carried, restored } from "../../src/sqlite/thread-error.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { errorCodes } from "../support/error-codes.ts";
import { startHost } from "../support/host.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, "docs", "errors");

const textOf = (name: string) => readFileSync(join(folder, name), "utf8");

/** How often a text names a page. */
const pagesIn = (text: string) => text.split("docs/errors/").length - 1;

test.each(errorCodes)("%s has a page of its own", (code) => {
	const page = textOf(`${code}.md`);
	expect(page).toMatch(new RegExp(`^# ${code}\n`));
	for (const section of [
		"When it comes",
		"What to do",
		"What it does not mean",
	])
		expect(page).toContain(`\n## ${section}\n`);
	expect(page).toContain("\n```text\n");
	expect(page).toContain("\n```ts\n");
});

test("the pages are those of the codes, and the index lists each of them once", () => {
	const pages = errorCodes.map((code) => `${code}.md`);
	expect(readdirSync(folder).sort()).toEqual([...pages, "README.md"].sort());
	const rows = textOf("README.md").matchAll(/^\| \[`(.+)`\]\((.+)\) \| /gm);
	const listed = [...rows].map(([, code, page]) => [code, page]);
	expect(listed.sort()).toEqual(
		errorCodes.map((code) => [code, `${code}.md`]).sort(),
	);
});

test("whatever a page links to is there", () => {
	const dead: string[] = [];
	for (const name of readdirSync(folder))
		for (const [, link = ""] of textOf(name).matchAll(/\]\(([^)]+)\)/g)) {
			const [path = "", anchor] = link.split("#");
			const file = join(folder, path || name);
			if (!existsSync(file)) dead.push(`${name}: ${link}`);
			else if (anchor && !anchorsOf(file).includes(anchor))
				dead.push(`${name}: ${link}`);
		}
	expect(dead).toEqual([]);
});

/** As GitHub makes them of headings. */
function anchorsOf(file: string): string[] {
	return [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map(
		([, heading = ""]) =>
			heading
				.toLowerCase()
				.replace(/[^\w\- ]/g, "")
				.replaceAll(" ", "-"),
	);
}

test.each(errorCodes)("the message of %s ends with its page", (code) => {
	const error = new TurnkeeperError(code, "k is 5; it must be 6");
	expect(error.message).toBe(`k is 5; it must be 6 (docs/errors/${code}.md)`);
	expect(error.page).toBe(`docs/errors/${code}.md`);
	expect(error.text).toBe("k is 5; it must be 6");
	expect(existsSync(join(root, error.page))).toBe(true);
	expect(Object.keys(error)).not.toContain("text");
});

const row = {
	sessionKey: "k",
	generation: 1,
	version: 1,
	raw: "?",
	queue: [],
	lost: [],
	entries: 0,
};
const errors: Record<string, TurnkeeperError> = {
	...Object.fromEntries(
		errorCodes.map((code) => [code, new TurnkeeperError(code, "no")]),
	),
	RunAborted: new RunAborted("reset", "/new"),
	UnreadableSession: new UnreadableSession(row, null),
	VersionConflict: new VersionConflict("k", 1, 2),
};

test.each(Object.entries(errors))(
	"%s names its page once, also after the way from a store's thread, and its text does not",
	(_, error) => {
		expect(pagesIn(error.message)).toBe(1);
		const back = restored(structuredClone(carried(error)));
		expect(back.message).toBe(error.message);
		expect(errorText(error)).toBe(error.text);
		expect(errorText(back)).toBe(error.text);
		expect(pagesIn(error.text)).toBe(0);
	},
);

test("an error without a text is called by its name", () => {
	expect(errorText(new TurnkeeperError("STORE_FAILED", ""))).toBe(
		"TurnkeeperError",
	);
});

test("what a run ends with names no page, whoever runs it", async () => {
	const { runtime } = await startHost(memoryStore(), {
		execute: () => {
			throw new TurnkeeperError("MODEL_FAILED", "no such model");
		},
	});
	const { settled } = await runtime.send("managed", "hello");
	expect(await settled).toMatchObject({ error: "no such model" });
	const run = await runtime.admit("host");
	await run.fail(new TurnkeeperError("MODEL_FAILED", "no such model"));
	for (const key of ["managed", "host"])
		expect(await runtime.get(key)).toMatchObject({
			lastError: "no such model",
		});
});

test("an error that quotes another names its own page alone", async () => {
	const { runtime } = await startHost(memoryStore(), {
		execute: () => "hi",
		schemas: {
			input: {
				"~standard": {
					version: 1,
					vendor: "test",
					validate: () => {
						throw new TurnkeeperError("STORE_FAILED", "no disk");
					},
				},
			},
		},
	});
	await expect(runtime.send("k", 1)).rejects.toMatchObject({
		message:
			"the schema of input threw: no disk (docs/errors/INVALID_INPUT.md)",
	});
});

test("a commit that fails with an error of ours quotes its text, in the answer, the feed and the log", async () => {
	const store = new FaultyStore(memoryStore());
	const logged: string[] = [];
	const silent = () => {};
	const { runtime, feed } = await startHost(store, {
		execute: () => "hi",
		logger: {
			debug: silent,
			info: silent,
			warn: silent,
			error: (_, message = "") => void logged.push(message),
		},
	});
	store.beforeCommit = () => {
		throw new TurnkeeperError("STORE_FAILED", "no room");
	};
	const failed = await runtime.send("k", 1).catch((error) => error);
	store.beforeCommit = null;
	expect(failed.text).toContain("could not be stored (no room); nothing of it");
	expect(pagesIn(failed.message)).toBe(1);
	const troubles = feed.filter(
		(event): event is Extract<RuntimeEvent, { type: "trouble" }> =>
			event.type === "trouble",
	);
	expect(troubles.map(({ error }) => pagesIn(error.message))).toEqual([1]);
	expect(logged).toEqual([failed.text]);
});

test("a run whose store was taken over is told so in a message that names the page of its own code alone", async () => {
	const store = new FaultyStore(memoryStore());
	const { runtime } = await startHost(store);
	const { signal } = await runtime.admit("k");
	store.beforeCommit = async ({ sessions: [own] }) => {
		store.beforeCommit = null;
		if (!own?.facts) throw new Error("nothing to overtake");
		const facts = { ...own.facts, version: own.facts.version + 5 };
		await store.opened?.commit({ sessions: [{ ...own, facts }], refusals: [] });
	};
	const lost = await runtime.patch("k", { a: 1 }).catch((error) => error);
	expect(lost).toMatchObject({ code: "STORE_LOCKED" });
	expect(pagesIn(lost.message)).toBe(1);
	expect(signal.reason).toBeInstanceOf(RunAborted);
	expect(signal.reason.message).toBe(
		`the run was told to stop by shutdown: ${lost.text} (docs/errors/RUN_ABORTED.md)`,
	);
});
