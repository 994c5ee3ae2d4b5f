/** Scenarios of category DR: a session is deleted, and what belonged to it comes after the next one has begun. */
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

scenarios("DR, deleted, then created again", ({ makeStore, start }) => {
	test("DR-01 what a run does at its end does not bring a deleted session back", async () => {
		const host = await start();
		const { runtime } = host;
		const run = await runtime.admit("k", { runId: "R", sessionId: "S" });
		const deleted = runtime.delete("k");
		await turns();
		expect(run.signal.reason).toMatchObject({ by: "delete" });
		// Usage, compaction and delivery, as a finalizer does them.
		run.usage({ outputTokens: 9 });
		expect(await codeOf(run.rotate({ sessionId: "S2" }))).toBe("STALE_RUN");
		expect(await runtime.patch("k", { delivered: true })).toEqual({
			result: "nothing",
			row: null,
		});
		expect(await run.end({ usage: { inputTokens: 3 } })).toMatchObject({
			verdict: "archived",
			row: null,
		});
		expect(await deleted).toMatchObject({ result: "done" });
		expect(await run.end()).toMatchObject({ verdict: "duplicate", row: null });
		run.usage({ outputTokens: 1 });
		await turns();
		expect(await agree(host, "k")).toBeNull();
		expect((await runtime.archive("k")).items).toMatchObject([
			{
				generation: 1,
				endedBy: "delete",
				row: { inputTokens: 3, outputTokens: 10 },
				runs: [{ outcome: "aborted", inputTokens: 3, outputTokens: 10 }],
			},
		]);
		// The next one begins where the deleted one ended.
		expect(await runtime.reset("k")).toMatchObject({
			row: { generation: 2, totalTokens: 0, meta: {} },
		});
		expect(await agree(host, "k")).toMatchObject({ generation: 2 });
	});

	test("DR-02 the successor of a deleted session begins when its last run has cleaned up", async () => {
		const worktrees = new Set<string>();
		const cleaned = Promise.withResolvers<void>();
		const host = await start({
			execute: async (run) => {
				if (run.ticket.generation > 1) return worktrees.has("W");
				worktrees.add("W");
				await new Promise((stop) => run.signal.addEventListener("abort", stop));
				// The cleanup pauses half way.
				await cleaned.promise;
				worktrees.delete("W");
				return null;
			},
		});
		const { runtime } = host;
		await runtime.send("k", "work");
		const deleted = runtime.delete("k");
		await turns();
		const next = await runtime.send("k", "work again");
		expect(next.disposition).toBe("queued");
		await host.clock.advance(1000);
		expect(await now(next.settled)).toBe("pending");
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "resetting",
			draining: 1,
		});
		cleaned.resolve();
		expect(await deleted).toMatchObject({ result: "done" });
		// What the successor finds is what the cleanup has left.
		expect(await next.settled).toMatchObject({
			outcome: "completed",
			output: false,
			ticket: { generation: 2 },
		});
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("DR-02 what a generation owns is cleaned up before its successor begins, whichever way it ended, also when the process dies over it", async () => {
		for (const ends of ["delete", "reset"] as const) {
			const store = new CrashingStore(makeStore());
			const worktrees = new Set<string>();
			let paused = Promise.withResolvers<void>();
			const cleaned: number[] = [];
			const options: Parameters<typeof watch>[1] = {
				execute: ({ ticket }) => {
					// Adopted if it is there, made if it is not.
					const found = worktrees.has("W");
					worktrees.add("W");
					return `${ticket.generation}: ${found ? "adopted" : "made"}`;
				},
				onGenerationEnded: async ({ generation }) => {
					const { promise } = paused;
					await promise;
					worktrees.delete("W");
					cleaned.push(generation);
				},
			};
			const dead = await watch(store, options);
			const first = await dead.runtime.send("k", "work");
			expect(await first.settled).toMatchObject({ output: "1: made" });
			void dead.runtime[ends]("k").catch(() => {});
			await turns();
			const next = await dead.runtime.send("k", "work again", {
				messageId: "next",
			});
			expect(next.disposition).toBe("queued");
			expect(await agree(dead, "k")).toMatchObject({
				generation: 2,
				status: "resetting",
				draining: 0,
				queued: 1,
			});
			await store.crash();
			paused = Promise.withResolvers();
			const host = await watch(store, options);
			await turns();
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "resetting",
				queued: 1,
			});
			expect([...worktrees]).toEqual(["W"]);
			const { settled } = await host.runtime.send("k", "work again", {
				messageId: "next",
			});
			paused.resolve();
			expect(await settled).toMatchObject({
				outcome: "completed",
				output: "2: made",
			});
			expect(cleaned).toEqual([1]);
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "ended",
			});
		}
	});

	test("DR-04 a delete that failed has no hold on what comes after, and its retry finds another generation", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime } = host;
		const run = await runtime.admit("k");
		await run.end();
		const { generation } = run.ticket;
		const cleanup = () =>
			runtime.delete("k", { expect: { generation }, purge: true });
		store.faults.push("before", "before");
		expect(await codeOf(cleanup())).toBe("STORE_FAILED");
		let retried: unknown = null;
		host.clock.setTimeout(() => {
			retried = cleanup();
		}, 60_000);
		await runtime.reset("k", { meta: { successor: true } });
		const before = await agree(host, "k");
		await host.clock.advance(60_000);
		expect(await retried).toEqual({
			result: "stale",
			mismatch: "generation",
			row: before,
		});
		expect(await agree(host, "k")).toEqual(before);
		expect((await runtime.archive("k")).items).toMatchObject([
			{ generation: 1, endedBy: "reset", runs: [{ outcome: "completed" }] },
		]);
	});

	test("DR-05 when a run is said to have settled, nothing more of it is written that a delete could miss", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const { settled } = await runtime.send("k", "hello", { messageId: "m" });
		const { run } = scripted.last;
		let stored: unknown;
		const seen = settled.then(async () => {
			const reader = await host.store.read();
			stored = (await reader.load("k"))?.facts.run;
			await reader[Symbol.asyncDispose]();
		});
		scripted.last.end();
		await seen;
		expect(stored).toBeNull();
		const commits = runtime.stats().commits;
		await host.clock.advance(10_000);
		expect(runtime.stats().commits).toBe(commits);
		await runtime.delete("k", { purge: true });
		run.usage({ inputTokens: 5 });
		expect(await codeOf(run.rotate())).toBe("STALE_RUN");
		await host.clock.advance(10_000);
		expect(await agree(host, "k")).toBeNull();
		expect((await runtime.runs("k")).items).toEqual([]);
		expect((await runtime.archive("k")).items).toEqual([]);
	});

	test("DR-07 an update that was decided before a delete does not write the record again", async () => {
		const host = await start();
		const { runtime } = host;
		for (const key of ["together", "after"]) {
			await runtime.reset(key, { meta: { due: 1 } });
			// The reminder fires, and finds that the session exists.
			const found = await runtime.get(key);
			const deleted = runtime.delete(key);
			if (key === "after") await deleted;
			expect(
				await runtime.patch(
					key,
					{ due: 2 },
					{ expect: { version: found?.version } },
				),
			).toEqual({ result: "stale", mismatch: "version", row: null });
			expect(await runtime.patch(key, { due: 2 })).toEqual({
				result: "nothing",
				row: null,
			});
			expect(await deleted).toMatchObject({ row: { meta: { due: 1 } } });
			expect(await agree(host, key)).toBeNull();
		}
		// One that comes first is part of what is deleted.
		await runtime.reset("before", { meta: { due: 1 } });
		const patched = runtime.patch("before", { due: 2 });
		const deleted = runtime.delete("before");
		expect(await patched).toMatchObject({ result: "done" });
		expect(await deleted).toMatchObject({ row: { meta: { due: 2 } } });
		expect(await agree(host, "before")).toBeNull();
	});

	test("DR-08 a session that is created while its predecessor is destroyed comes into being at the first try", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		// Nothing runs: both in one tick.
		await runtime.reset("idle");
		const gone = runtime.delete("idle");
		expect(await runtime.send("idle", "again")).toMatchObject({
			disposition: "started",
			ticket: { generation: 2 },
		});
		expect(await gone).toMatchObject({ row: { generation: 1 } });
		expect(await agree(host, "idle")).toMatchObject({ generation: 2 });
		scripted.last.end();
		// A run is still to stop: it is waited for.
		await runtime.send("busy", "first");
		const deleted = runtime.delete("busy");
		const next = await runtime.send("busy", "again");
		expect(next.disposition).toBe("queued");
		scripted.last.end();
		expect(await deleted).toMatchObject({ row: { generation: 1 } });
		scripted.last.end("created");
		expect(await next.settled).toMatchObject({
			outcome: "completed",
			output: "created",
			ticket: { generation: 2 },
		});
		expect(await agree(host, "busy")).toMatchObject({
			generation: 2,
			status: "ended",
		});
	});

	test("DR-10 who deletes a session and then writes expects that there is none", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k");
		await runtime.patch("k", { a: 1 });
		const { row: loaded } = await runtime.patch("k", { a: 2 });
		expect(loaded?.version).toBe(3);
		// The delete and the save at the end of the turn, without a look in between.
		const deleted = runtime.delete("k", {
			expect: { version: loaded?.version },
		});
		const old = runtime.reset("k", { expect: { version: loaded?.version } });
		const saved = runtime.reset("k", {
			expect: { generation: 0 },
			meta: { saved: true },
		});
		expect(await deleted).toMatchObject({ result: "done" });
		expect(await old).toEqual({
			result: "stale",
			mismatch: "version",
			row: null,
		});
		expect(await saved).toMatchObject({
			result: "done",
			row: { generation: 2, meta: { saved: true } },
		});
		expect(await agree(host, "k")).toMatchObject({ meta: { saved: true } });
	});
});
