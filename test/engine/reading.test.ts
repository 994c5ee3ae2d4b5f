/** `get`, `list`, `archive`, `runs`, `refusals`: committed state, a page at a time. */
import type { Page } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import { ScheduledStore } from "../histories/scheduled-store.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

/** All pages, one after the other. */
async function pages<T>(
	read: (query: { limit: number; cursor?: string }) => Promise<Page<T>>,
	limit: number,
): Promise<(readonly T[])[]> {
	const all: (readonly T[])[] = [];
	let cursor: string | null = null;
	do {
		const page: Page<T> = await read({
			limit,
			...(cursor === null ? {} : { cursor }),
		});
		all.push(page.items);
		cursor = page.cursor;
	} while (cursor !== null);
	return all;
}

for (const [kind, makeStore] of storeKinds)
	describe(`reading, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		/** Sessions in every status. */
		async function everyStatus() {
			const host = await start({
				execute: ({ messages: [message] }) => {
					if (message?.input === "fail") throw new Error("no model");
					if (message?.input === "hang") return new Promise(() => {});
				},
			});
			const { runtime } = host;
			await runtime.reset("idle");
			await (await runtime.send("ended", "end")).settled;
			await (await runtime.send("failed", "fail")).settled;
			await runtime.send("running", "hang");
			await runtime.send("resetting", "hang");
			void runtime.reset("resetting").catch(() => {});
			await runtime.reset("gone");
			await runtime.delete("gone");
			await turns();
			return host;
		}

		test("get answers with the committed row, in memory or not, and null for a key that is unknown or deleted", async () => {
			const { runtime, clock } = await start({ passivateAfterMs: 10 });
			expect(await runtime.get("k")).toBeNull();
			const { row } = await runtime.reset("k", { meta: { a: [1] } });
			expect(await runtime.get("k")).toEqual(row);
			await clock.advance(10);
			expect(runtime.stats().resident).toBe(0);
			expect(await runtime.get("k")).toEqual(row);
			expect(runtime.stats().resident).toBe(0);
			await runtime.delete("k");
			expect(await runtime.get("k")).toBeNull();
		});

		test("no read is told less than an earlier one, whichever of the store's answers comes first", async () => {
			const due: { what: string; go: () => void }[] = [];
			const store = new ScheduledStore(makeStore(), {
				schedule: (answer, what) =>
					new Promise((resolve) => {
						due.push({ what, go: () => resolve(answer) });
					}),
			});
			const go = async (what: string, which = 0) => {
				const one = due.filter((each) => each.what === what)[which];
				expect(one, what).toBeDefined();
				due.splice(due.indexOf(one as (typeof due)[0]), 1);
				one?.go();
				await turns();
			};
			const { runtime } = await startScripted(store);
			store.isOn = true;
			const first = runtime.get("k");
			const listed = runtime.queue.list("k");
			const sent = runtime.send("k", "hi", { messageId: "m" });
			await turns();
			await go("load is asked", 2);
			await go("message is asked");
			await go("commit is asked");
			// It holds, and nobody was told yet.
			await go("load is asked");
			await go("load is asked");
			expect(await runtime.get("k")).toEqual(await first);
			expect(await runtime.queue.list("k")).toEqual(await listed);
			store.isOn = false;
			await go("commit is answered");
			await sent;
		});

		test("list shows every session that is there, by key", async () => {
			const { runtime } = await everyStatus();
			const { items, cursor } = await runtime.list();
			expect(
				items.map(({ sessionKey, status }) => [sessionKey, status]),
			).toEqual(
				["ended", "failed", "idle", "resetting", "running"].map((key) => [
					key,
					key,
				]),
			);
			expect(cursor).toBeNull();
			for (const row of items)
				expect(row).toEqual(await runtime.get(row.sessionKey));
		});

		test("list by status", async () => {
			const { runtime } = await everyStatus();
			const keys = async (query: Parameters<typeof runtime.list>[0]) =>
				(await runtime.list(query)).items.map(({ sessionKey }) => sessionKey);
			for (const status of [
				"idle",
				"running",
				"resetting",
				"ended",
				"failed",
			] as const)
				expect(await keys({ status })).toEqual([status]);
			expect(await keys({ status: ["running", "ended"] })).toEqual([
				"ended",
				"running",
			]);
			expect(await keys({ status: [] })).toEqual([]);
			expect(await keys({ status: "running", prefix: "e" })).toEqual([]);
		});

		test("list by prefix, literally", async () => {
			const { runtime } = await start();
			const keys = ["a", "a%", "a_b", "ab", "a\u{1f600}", "b", "A", "é"];
			for (const key of keys) await runtime.reset(key);
			const found = async (prefix: string) =>
				(await runtime.list({ prefix })).items.map(
					({ sessionKey }) => sessionKey,
				);
			expect(await found("a")).toEqual(["a", "a%", "a_b", "ab", "a\u{1f600}"]);
			expect(await found("a%")).toEqual(["a%"]);
			expect(await found("a_")).toEqual(["a_b"]);
			expect(await found("a\u{1f600}")).toEqual(["a\u{1f600}"]);
			expect(await found("é")).toEqual(["é"]);
			expect(await found("nobody")).toEqual([]);
			expect(await found("")).toHaveLength(keys.length);
		});

		test("list of those that changed since", async () => {
			const { runtime, clock } = await start();
			await runtime.reset("a");
			await clock.advance(1000);
			await runtime.reset("b");
			const since = clock.now();
			await clock.advance(1000);
			await runtime.reset("c");
			await runtime.patch("a", { x: 1 });
			const keys = async (updatedSince: number) =>
				(await runtime.list({ updatedSince })).items.map(
					({ sessionKey }) => sessionKey,
				);
			expect(await keys(0)).toEqual(["a", "b", "c"]);
			expect(await keys(since)).toEqual(["a", "b", "c"]);
			expect(await keys(since + 1)).toEqual(["a", "c"]);
			expect(await keys(clock.now() + 1)).toEqual([]);
		});

		test("list pages through all, each once, whatever comes and goes meanwhile", async () => {
			const { runtime } = await start();
			const keys = Array.from({ length: 25 }, (_, i) => `k${i}`).sort();
			for (const key of keys) await runtime.reset(key);
			const all = await pages((query) => runtime.list(query), 10);
			expect(all.map((page) => page.length)).toEqual([10, 10, 5]);
			expect(all.flat().map(({ sessionKey }) => sessionKey)).toEqual(keys);
			expect(
				(await pages((query) => runtime.list(query), 25)).map(
					(page) => page.length,
				),
			).toEqual([25]);
			const first = await runtime.list({ limit: 10 });
			await runtime.delete(keys[9] as string);
			await runtime.reset("k0 new, before the cursor");
			const second = await runtime.list({
				limit: 100,
				cursor: first.cursor as string,
			});
			expect(second.items.map(({ sessionKey }) => sessionKey)).toEqual(
				keys.slice(10),
			);
		});

		test("archive pages through the generations that ended, newest first, with their runs", async () => {
			const { runtime, scripted } = await start();
			for (let generation = 1; generation <= 5; generation++) {
				const { settled } = await runtime.send("k", generation);
				scripted.last.end();
				await settled;
				await runtime.reset("k");
			}
			const all = await pages((query) => runtime.archive("k", query), 2);
			expect(all.map((page) => page.length)).toEqual([2, 2, 1]);
			expect(all.flat()).toMatchObject(
				[5, 4, 3, 2, 1].map((generation) => ({
					generation,
					runs: [{ generation, outcome: "completed" }],
				})),
			);
			expect((await runtime.archive("nobody")).items).toEqual([]);
		});

		test("an archived generation carries its newest hundred runs, and runs() pages through all", async () => {
			const { runtime } = await start({ execute: () => {} });
			const receipts = await Promise.all(
				Array.from({ length: 120 }, (_, i) =>
					runtime.send("k", i, { messageId: `m${i}` }),
				),
			);
			await Promise.all(receipts.map(({ settled }) => settled));
			const answer = await runtime.reset("k");
			const ids = Array.from({ length: 120 }, (_, i) => `m${119 - i}`);
			for (const ended of [
				(await runtime.archive("k")).items[0],
				answer.result === "done" ? answer.report.ended : null,
			])
				expect(ended?.runs.map(({ messageIds }) => messageIds[0])).toEqual(
					ids.slice(0, 100),
				);
			const all = await pages((query) => runtime.runs("k", query), 50);
			expect(all.map((page) => page.length)).toEqual([50, 50, 20]);
			expect(all.flat().map(({ messageIds }) => messageIds[0])).toEqual(ids);
		});

		test("runs come newest first, those that have not settled before all others", async () => {
			const { runtime, scripted } = await start();
			const { settled } = await runtime.send("k", 1, { messageId: "m1" });
			scripted.last.end();
			await settled;
			await runtime.send("k", 2, { messageId: "m2" });
			void runtime.reset("k").catch(() => {});
			await turns();
			await runtime.admit("k", { runId: "R", reserve: true });
			const { items, cursor } = await runtime.runs("k");
			expect(
				items.map(({ runId, messageIds, outcome }) => [
					messageIds[0] ?? runId,
					outcome,
				]),
			).toEqual([
				["m2", null],
				["R", null],
				["m1", "completed"],
			]);
			expect(cursor).toBeNull();
			expect((await runtime.runs("k", { generation: 1 })).items).toHaveLength(
				2,
			);
			expect((await runtime.runs("k", { generation: 2 })).items).toMatchObject([
				{ runId: "R" },
			]);
			expect((await runtime.runs("k", { generation: 3 })).items).toEqual([]);
			expect((await runtime.runs("nobody")).items).toEqual([]);
		});

		test("refusals page newest first, of one key or of all", async () => {
			const { runtime, clock } = await start();
			await runtime.reset("k");
			for (let i = 0; i < 7; i++) {
				await runtime.report({
					runId: `R${i}`,
					phase: "end",
					...(i % 2 === 0 ? { sessionKey: "k" } : {}),
				});
				await clock.advance(1);
			}
			const all = await pages((query) => runtime.refusals(query), 3);
			expect(all.map((page) => page.length)).toEqual([3, 3, 1]);
			expect(all.flat().map(({ report }) => report.runId)).toEqual(
				[6, 5, 4, 3, 2, 1, 0].map((i) => `R${i}`),
			);
			const own = await pages(
				(query) => runtime.refusals({ ...query, sessionKey: "k" }),
				3,
			);
			expect(own.flat().map(({ report }) => report.runId)).toEqual(
				[6, 4, 2, 0].map((i) => `R${i}`),
			);
			expect(all.flat()[0]).not.toHaveProperty("sessionKey");
		});

		test("a limit that is none, and a cursor that no page gave, are bad arguments", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			const reads = [
				(query: object) => runtime.list(query),
				(query: object) => runtime.archive("k", query),
				(query: object) => runtime.runs("k", query),
				(query: object) => runtime.refusals(query),
			];
			for (const read of reads) {
				for (const limit of [0, -1, 1.5, 1001, "10", null, Number.NaN])
					if (limit !== null)
						expect(await codeOf(read({ limit }))).toBe("INVALID_ARGUMENT");
				expect(await codeOf(read({ cursor: 5 }))).toBe("INVALID_ARGUMENT");
				expect(await read({ limit: 1000 })).toMatchObject({ cursor: null });
			}
			for (const read of reads.slice(1))
				for (const cursor of ["", "x", "1.2.3", "-1", "1e3"])
					expect(await codeOf(read({ cursor }))).toBe("INVALID_ARGUMENT");
		});

		test("what is not a key cannot be read", async () => {
			const { runtime } = await start();
			for (const key of ["", 5, null, undefined, "a\u0000b"])
				for (const read of [
					runtime.get(wrong(key)),
					runtime.archive(wrong(key)),
					runtime.runs(wrong(key)),
				])
					expect(await codeOf(read)).toBe("INVALID_ARGUMENT");
		});
	});
