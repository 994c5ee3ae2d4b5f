/** Promise 9: a failed write changes nothing, and what nobody can repeat is tried until it holds. */
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { Scripted, startHost } from "../support/host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`commits that fail, on ${kind}`, () => {
		async function start() {
			const store = new FaultyStore(makeStore());
			const scripted = new Scripted();
			const host = await startHost(store, { execute: scripted.execute });
			return { ...host, store, scripted };
		}

		test("a send whose commit fails throws, and nothing of it is seen", async () => {
			const { runtime, store, feed, scripted } = await start();
			store.faults.push("before", "before");
			await expect(runtime.send("k", "hello")).rejects.toMatchObject({
				code: "STORE_FAILED",
				message: expect.stringContaining("nothing of it holds"),
			});
			expect(await runtime.get("k")).toBeNull();
			expect(feed.map(({ type }) => type)).toEqual(["trouble"]);
			expect(scripted.runs).toEqual([]);
			const { settled } = await runtime.send("k", "hello");
			scripted.last.end("hi");
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(await runtime.get("k")).toMatchObject({ version: 2 });
		});

		test("one failure of a batch is not its sessions' failure: each is tried again", async () => {
			const { runtime, store } = await start();
			store.faults.push("before");
			await Promise.all([runtime.send("a", "1"), runtime.send("b", "2")]);
			expect(await runtime.get("a")).toMatchObject({ status: "running" });
			expect(await runtime.get("b")).toMatchObject({ status: "running" });
		});

		test("a bad record fails its own session alone", async () => {
			const { runtime, store } = await start();
			store.poisoned = "bad";
			const [bad, good] = await Promise.allSettled([
				runtime.send("bad", "1"),
				runtime.send("good", "2"),
			]);
			expect(bad).toMatchObject({ status: "rejected" });
			expect(good).toMatchObject({ status: "fulfilled" });
		});

		test("a commit that took effect before it failed holds, once", async () => {
			const { runtime, store, feed } = await start();
			store.faults.push("after");
			const { disposition } = await runtime.send("k", "hello");
			expect(disposition).toBe("started");
			expect(feed.filter(({ type }) => type === "row")).toHaveLength(1);
			expect(await runtime.get("k")).toMatchObject({ version: 1 });
		});

		test("the refusal of a report is filed once, also if its commit failed after it took effect", async () => {
			const { runtime, store } = await start();
			await runtime.send("k", "hello");
			for (const key of [{}, { sessionKey: "k" }]) {
				store.faults.push("after");
				const verdict = await runtime.report({
					runId: "nobody",
					phase: "start",
					...key,
				});
				expect(verdict.verdict).toBe("unknown");
			}
			expect((await runtime.refusals()).items).toHaveLength(2);
		});

		test("the end of a run is kept and tried again until it is committed", async () => {
			const { runtime, store, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			store.broken = true;
			scripted.last.end("hi");
			await turns();
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			await clock.advance(1000);
			store.broken = false;
			await clock.advance(6000);
			expect(await settled).toMatchObject({
				outcome: "completed",
				output: "hi",
			});
			expect(await runtime.get("k")).toMatchObject({ status: "ended" });
		});

		test("what moved on top of a failed turn falls with it", async () => {
			const { runtime, store, scripted } = await start();
			await runtime.send("k", "first");
			let release = () => {};
			store.beforeCommit = () =>
				new Promise<void>((resolve) => {
					release = resolve;
				});
			const one = runtime.send("k", "second");
			await turns();
			const two = runtime.send("k", "third");
			store.faults.push("before", "before");
			store.beforeCommit = null;
			release();
			await expect(one).rejects.toMatchObject({ code: "STORE_FAILED" });
			await expect(two).rejects.toMatchObject({ code: "STORE_FAILED" });
			expect(await runtime.get("k")).toMatchObject({ queued: 0, version: 1 });
			expect(scripted.runs).toHaveLength(1);
			// The live run stayed attached.
			scripted.last.end();
			expect(
				await runtime.until("k", (row) => row?.status === "ended"),
			).toMatchObject({ version: 2 });
		});

		test("a stop fires its signal even if its commit fails, and is the cause that the run ends with", async () => {
			const { runtime, store, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			store.faults.push("before", "before");
			await expect(runtime.reset("k")).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			const { run } = scripted.last;
			expect(run.signal.aborted).toBe(true);
			expect(run.signal.reason).toMatchObject({
				name: "AbortError",
				code: "RUN_ABORTED",
				by: "reset",
			});
			expect(await runtime.get("k")).toMatchObject({
				generation: 1,
				status: "running",
			});
			scripted.last.fail(run.signal.reason);
			expect(await settled).toMatchObject({ outcome: "aborted" });
			expect((await runtime.runs("k")).items).toMatchObject([
				{ outcome: "aborted", stoppedBy: "reset" },
			]);
			await clock.advance(10_000);
			expect(await runtime.reset("k")).toMatchObject({ result: "done" });
		});

		test("of records alone no version tells whether they were stored, and no caller is told that they were not", async () => {
			const { runtime, store } = await start();
			// A reservation of a generation that has ended moves no row.
			const run = await runtime.admit("k", { runId: "R", reserve: true });
			await runtime.reset("k");
			store.faults.push("after", "after");
			await expect(run.start()).rejects.toMatchObject({
				code: "STORE_FAILED",
				message: expect.stringContaining("is not known"),
			});
			expect(await run.start()).toMatchObject({ verdict: "duplicate" });
		});

		test("a version of somebody else's means that the store is lost", async () => {
			const { runtime, store, scripted, feed } = await start();
			await runtime.send("k", "hello");
			// Another writer, past all locks.
			store.beforeCommit = async (batch) => {
				store.beforeCommit = null;
				const [own] = batch.sessions;
				if (!own?.facts) throw new Error("nothing to overtake");
				const other = { ...own.facts, version: own.facts.version + 5 };
				await store.opened?.commit({
					sessions: [{ ...own, facts: other }],
					refusals: [],
				});
			};
			scripted.last.end();
			await turns(30);
			expect(
				feed.filter((event) => event.type === "trouble").at(-1),
			).toMatchObject({ error: { code: "STORE_LOCKED" } });
			await expect(runtime.send("k", "again")).rejects.toMatchObject({
				code: "STORE_LOCKED",
			});
		});
	});
