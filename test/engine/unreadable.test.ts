/** A session whose stored row cannot be read: it is told, it holds nobody else up, and a reset heals it (decision 25, RR-07). */
import { DatabaseSync } from "node:sqlite";
import {
	createSessionRuntime,
	type OpenStore,
	type RuntimeEvent,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { silent } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { temporaryFile } from "../support/stores.ts";

/** A file with sessions `broken` and `fine`, each with a message that waits; then something happens to it. */
async function damaged(sql: string): Promise<string> {
	const file = temporaryFile();
	const host = await startScripted(sqliteStore(file));
	for (const key of ["broken", "fine"]) {
		await host.runtime.reset(key, { meta: { of: key } });
		await host.runtime.send(key, "ran", { messageId: "ran" });
		await host.runtime.send(key, "waits", { messageId: "waits" });
	}
	await close(host);
	const db = new DatabaseSync(file);
	db.exec(sql);
	db.close();
	return file;
}

const damages: Record<string, string> = {
	"no JSON":
		"UPDATE sessions SET body = 'rubbish' WHERE session_key = 'broken'",
	"other JSON": "UPDATE sessions SET body = '[1]' WHERE session_key = 'broken'",
	"another object":
		"UPDATE sessions SET body = '{}' WHERE session_key = 'broken'",
	"a message that cannot be read":
		"UPDATE messages SET body = 'rubbish' WHERE fate = 'queued' AND session = (SELECT id FROM sessions WHERE session_key = 'broken')",
};

for (const [name, sql] of Object.entries(damages))
	describe(`a session with ${name} in its row`, () => {
		test("is healed by a message that comes with a reset, and stands first", async () => {
			const host = await startScripted(sqliteStore(await damaged(sql)));
			await turns();
			// `fine` went on by itself.
			expect(host.scripted.runs).toHaveLength(1);
			const sent = await host.runtime.send("broken", "new", { reset: true });
			expect(sent).toMatchObject({
				disposition: "started",
				ticket: { generation: 2 },
			});
			expect(host.scripted.last.run.messages).toMatchObject([{ input: "new" }]);
		});

		test("is shown to nobody before what heals it is stored", async () => {
			// 1 reset(broken), its commit takes a while → 2 get(broken): an idle row that nobody ever had, made for the reset to end.
			const store = new FaultyStore(sqliteStore(await damaged(sql)));
			const { runtime } = await startScripted(store);
			const opened = store.opened as OpenStore;
			const commit = opened.commit.bind(opened);
			const stored = Promise.withResolvers<void>();
			opened.commit = async (batch) => {
				await stored.promise;
				return commit(batch);
			};
			const reset = runtime.reset("broken");
			await turns();
			expect(await codeOf(runtime.get("broken"))).toBe("STORE_CORRUPT");
			expect(await codeOf(runtime.queue.list("broken"))).toBe("STORE_CORRUPT");
			stored.resolve();
			await reset;
			expect(await runtime.get("broken")).toMatchObject({ generation: 2 });
		});

		test("is not healed by one whose expectation it does not meet", async () => {
			const host = await startScripted(sqliteStore(await damaged(sql)));
			expect(
				await codeOf(
					host.runtime.send("broken", "new", {
						reset: true,
						expect: { generation: 9 },
					}),
				),
			).toBe("STORE_CORRUPT");
			expect(await codeOf(host.runtime.send("broken", "x"))).toBe(
				"STORE_CORRUPT",
			);
		});

		test("does not keep the runtime from starting, nor the others from going on", async () => {
			const file = await damaged(sql);
			const clock = new VirtualClock();
			const runtime = createSessionRuntime({
				store: sqliteStore(file),
				clock,
				logger: silent,
				execute: () => "hi",
			});
			const feed: RuntimeEvent[] = [];
			runtime.subscribe((event) => feed.push(event));
			await runtime.start();
			await turns();
			expect(
				feed.filter(
					(event) =>
						event.type === "trouble" &&
						event.error.code === "STORE_CORRUPT" &&
						event.error.message.includes('"broken"'),
				).length,
			).toBeGreaterThan(0);
			expect(await runtime.get("fine")).toMatchObject({
				status: "ended",
				lastOutcome: "completed",
				queued: 0,
			});
			expect(await now(runtime.close())).toBeUndefined();
		});

		test("is told to every call but those that heal it", async () => {
			const { runtime } = await startScripted(sqliteStore(await damaged(sql)));
			const calls = [
				runtime.send("broken", "x"),
				runtime.admit("broken"),
				runtime.patch("broken", { a: 1 }),
				runtime.abort("broken"),
				runtime.report({ runId: "R", sessionKey: "broken", phase: "end" }),
			];
			for (const call of calls)
				expect(await codeOf(call)).toBe("STORE_CORRUPT");
			const { items } = await runtime.list();
			expect(items.map(({ sessionKey }) => sessionKey)).toContain("fine");
			expect(await now(runtime.whenIdle("broken"))).toBeUndefined();
		});

		for (const command of ["reset", "delete"] as const)
			test(`is healed by a ${command}: what was there is archived, and the generations go on`, async () => {
				const { runtime, scripted } = await startScripted(
					sqliteStore(await damaged(sql)),
				);
				await turns();
				const answer = await runtime[command]("broken", { queued: "drop" });
				expect(answer).toMatchObject({ result: "done" });
				const { items } = await runtime.archive("broken");
				expect(items).toHaveLength(1);
				expect(items[0]).toMatchObject({ generation: 1, endedBy: command });
				const { ticket } = await runtime.send("broken", "again");
				expect(ticket).toMatchObject({ generation: 2 });
				expect(
					scripted.runs.filter(({ run }) => run.ticket.sessionKey === "broken"),
				).toHaveLength(1);
			});

		test("keeps the messages that can be read, and says of the others that they are lost", async () => {
			const file = await damaged(sql);
			const { runtime, scripted, feed } = await startScripted(
				sqliteStore(file),
			);
			await turns();
			expect(await runtime.reset("broken")).toMatchObject({ result: "done" });
			await turns();
			const inputs = scripted.runs
				.filter(({ run }) => run.ticket.sessionKey === "broken")
				.map(({ run }) => run.messages[0]?.input);
			const removed = feed.filter(
				(event) =>
					event.type === "message" &&
					event.sessionKey === "broken" &&
					event.fate === "removed",
			);
			if (name === "a message that cannot be read") {
				expect(inputs).toEqual([]);
				expect(removed).toMatchObject([
					{ messageId: "waits", reason: expect.stringContaining("read") },
				]);
			} else {
				// Whether it is taken at once: found.test.ts.
				expect(await runtime.get("broken")).toMatchObject({
					queued: inputs.length === 0 ? 1 : 0,
				});
				expect(removed).toEqual([]);
			}
		});
	});

test("the transcript of a session that was healed is numbered on from where it stood", async () => {
	const file = temporaryFile();
	const store = sqliteStore(file);
	const before = await startScripted(store);
	const { settled } = await before.runtime.send("k", "hello");
	for (const entry of ["one", "two"])
		await before.scripted.last.run.append(entry);
	before.scripted.last.end();
	await settled;
	await close(before);
	const db = new DatabaseSync(file);
	db.exec("UPDATE sessions SET body = 'rubbish'");
	db.close();
	const { runtime, scripted } = await startScripted(store);
	await runtime.reset("k");
	await runtime.send("k", "hello again");
	await scripted.last.run.append("three");
	expect(
		(await runtime.transcript("k")).items.map(({ seq, entry }) => [seq, entry]),
	).toEqual([
		[3, "three"],
		[2, "two"],
		[1, "one"],
	]);
});
