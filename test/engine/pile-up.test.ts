/** A session whose commits fail for a long time: what is tried again does not multiply. */
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`while the commits of a session fail, on ${kind}`, () => {
		/** Commits that are asked for in so many ms. */
		async function commitsIn(
			host: Awaited<ReturnType<typeof startScripted>>,
			store: FaultyStore,
			ms: number,
		): Promise<number> {
			const before = store.commits;
			await host.clock.advance(ms);
			return store.commits - before;
		}

		/** After minutes no more is tried than after one. */
		async function keepsPace(
			host: Awaited<ReturnType<typeof startScripted>>,
			store: FaultyStore,
		): Promise<void> {
			await commitsIn(host, store, 60_000);
			const soon = await commitsIn(host, store, 60_000);
			expect(soon).toBeGreaterThan(0);
			await commitsIn(host, store, 240_000);
			expect(await commitsIn(host, store, 60_000)).toBeLessThanOrEqual(soon);
		}

		test("a run that is stopped again and again is abandoned once", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, {
				graceMs: 40,
				runTimeoutMs: 90,
			});
			await host.runtime.send("a", 1);
			store.poisoned = "a";
			await keepsPace(host, store);
			store.poisoned = null;
			await host.clock.advance(10_000);
			expect(await host.runtime.get("a")).toMatchObject({
				status: "ended",
				lastOutcome: "abandoned",
			});
		});

		test("a child is told once that its parent has stopped", async () => {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { graceMs: 40 });
			await host.runtime.send("a", 1);
			await host.scripted.last.run.spawn("b", 2);
			store.broken = true;
			for (let i = 0; i < 20; i++) {
				host.runtime.abort("a").catch(() => {});
				await host.clock.advance(37);
			}
			await keepsPace(host, store);
			store.broken = false;
			await host.clock.advance(20_000);
			expect(await host.runtime.get("a")).toMatchObject({
				hasActiveRun: false,
			});
			expect(await host.runtime.get("b")).toMatchObject({
				hasActiveRun: false,
			});
		});

		test("a run that nobody drives is settled by one try at a time", async () => {
			// 1 an admission holds, though its caller is told that it failed → 2 nothing else of its session can be stored, and it is read again and again.
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store);
			await host.runtime.reset("a");
			const opened = store.opened as NonNullable<typeof store.opened>;
			const version = opened.version.bind(opened);
			opened.version = () => Promise.reject(new Error("no answer"));
			store.faults.push("after");
			store.beforeCommit = () => {
				if (store.faults.length === 0) store.poisoned = "a";
			};
			await expect(host.runtime.admit("a")).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			opened.version = version;
			await keepsPace(host, store);
			store.beforeCommit = null;
			store.poisoned = null;
			await host.clock.advance(10_000);
			expect(await host.runtime.get("a")).toMatchObject({
				lastOutcome: "interrupted",
			});
		});
	});
