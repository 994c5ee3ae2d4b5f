/** That questions to a SQLite file go by its indexes and links: how much is stored has no part in what a page or a step costs. */
import { expect, onTestFinished, test, vi } from "vitest";
import { Database } from "../../src/sqlite/database.ts";
import { Pruner } from "../../src/sqlite/pruner.ts";
import { SqliteReader } from "../../src/sqlite/reader.ts";
import { Writer } from "../../src/sqlite/writer.ts";
import type { SessionWrite } from "../../src/store.ts";
import {
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	runOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

/** A store with ten thousand entries, and what it is asked from then on. */
function filled() {
	const db = Database.openAsOwner(temporaryFile(), "normal");
	onTestFinished(() => db.close());
	const asked = new Set<string>();
	const prepare = db.sql.bind(db);
	db.sql = (text) => {
		asked.add(text);
		return prepare(text);
	};
	const reader = new SqliteReader(db);
	const writer = new Writer(db);
	const pruner = new Pruner(db, (key) => writer.forget(key));
	const commit = (write: SessionWrite) =>
		writer.commit({ sessions: [write], refusals: [] });
	commit(
		writeOf("k", 0, {
			entries: upTo(10_000).map((seq) => entryOf("k", seq)),
			messages: upTo(100).map((n) =>
				messageOf(`m${n}`, { fate: "taken", acceptedAt: n }),
			),
			runs: [runOf("k", "r1")],
		}),
	);
	asked.clear();
	/** What SQLite does for all of it. */
	const plans = () =>
		[...asked]
			.filter((text) => /^\s*(SELECT|WITH|UPDATE|DELETE|INSERT)/.test(text))
			.flatMap((text) => db.raw.prepare(`EXPLAIN QUERY PLAN ${text}`).all())
			.map(({ detail }) => String(detail));
	return { reader, pruner, commit, asked, plans };
}

/** A table that is read from one end to the other. */
const scan = /SCAN (sessions|generations|runs|messages|transcript|one)\b/;

test("a page of a transcript reads the entries of that page, wherever it is", async () => {
	const { reader, asked, plans } = filled();
	let cursor: string | undefined;
	for (let i = 0; i < 9; i++)
		cursor =
			(await reader.transcript("k", { limit: 1000, cursor })).cursor ??
			undefined;
	asked.clear();
	const read = vi.spyOn(JSON, "parse");
	const { items } = await reader.transcript("k", { limit: 10, cursor });
	const count = read.mock.calls.length;
	read.mockRestore();
	expect(items[0]?.seq).toBe(1000);
	expect(count).toBe(10);
	const found = plans();
	expect(found.join()).toContain("SEARCH one USING INTEGER PRIMARY KEY");
	expect(found.filter((one) => scan.test(one))).toEqual([]);
});

test("to append and to hide looks at the newest entries only", () => {
	const { commit, plans } = filled();
	commit(
		writeOf("k", 1, {
			entries: [entryOf("k", 10_001, { runId: "r2" })],
			hides: [{ generation: 1, runId: "r2", attempt: 1 }],
		}),
	);
	const found = plans();
	expect(found.join()).toContain("SEARCH transcript");
	expect(found.filter((one) => scan.test(one))).toEqual([]);
});

test("a step of pruning finds what is old by an index", () => {
	const { pruner, commit, asked, plans } = filled();
	commit(
		writeOf("k", 1, {
			facts: factsOf("k", { version: 2, generation: 3 }),
			generations: [1, 2].map((n) => endedOf("k", n, { endedAt: n })),
		}),
	);
	asked.clear();
	pruner.prune({ of: "messages", acceptedBefore: 200 }, 150);
	pruner.prune({ of: "generations", endedBefore: 3 }, 20_000);
	pruner.prune({ of: "generations", sessionKey: "k", before: 3 }, 20_000);
	const found = plans();
	expect(found.join()).toContain("messages_accepted");
	expect(found.join()).toContain("generations_ended");
	expect(
		found.filter((one) => scan.test(one) || one.includes("TEMP B-TREE")),
	).toEqual([]);
});
