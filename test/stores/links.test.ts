/** How a SQLite file keeps what belongs together: each row linked to the one before it, whatever is written and erased. */
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, test } from "vitest";
import { planOf, play } from "../../src/testing/store-conformance/agreement.ts";
import { seedsOf } from "../support/seeds.ts";
import { temporaryFile } from "../support/stores.ts";

/** Every row of a file is linked, from its own generation's newest on, exactly once. */
function expectLinked(path: string): void {
	const db = new DatabaseSync(path, { readOnly: true });
	try {
		for (const [table, last] of [
			["runs", "last_run"],
			["messages", "last_message"],
			["transcript", "last_entry"],
		]) {
			const linked = db
				.prepare(
					`WITH RECURSIVE chain (session, generation, id) AS (
						SELECT id, generation, ${last} FROM sessions WHERE ${last} IS NOT NULL
						UNION ALL
						SELECT session, generation, ${last} FROM generations WHERE ${last} IS NOT NULL
						UNION ALL
						SELECT one.session, one.generation, one.previous FROM chain JOIN ${table} AS one USING (id)
						WHERE one.previous IN (SELECT id FROM ${table})
					)
					SELECT id, session, generation FROM chain ORDER BY id`,
				)
				.all();
			const rows = db
				.prepare(`SELECT id, session, generation FROM ${table} ORDER BY id`)
				.all();
			expect(linked).toEqual(rows);
		}
	} finally {
		db.close();
	}
}

test("every row is linked once after any batches, conflicts, purges and prunes", async () => {
	for (const seed of seedsOf(50)) {
		const path = temporaryFile();
		await using store = await sqliteStore(path, {
			synchronous: "normal",
		}).open({ name: `seed ${seed}` });
		for (const step of planOf(seed)) {
			await play(step, store);
			expectLinked(path);
		}
	}
}, 60_000);
