/** What runs write down: numbered per key, filed by generation and session id, taken back by a rollback, erased by a purge (CR-14). */
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`a transcript, on ${kind}`, () => {
		type Options = Parameters<typeof startScripted>[1];

		async function running(options: Options = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { graceMs: 100, ...options });
			const { settled } = await host.runtime.send("k", "hello");
			const { run, end } = host.scripted.last;
			/** What is shown, oldest first. */
			const shown = async (
				query: { generation?: number; sessionId?: string } = {},
			) =>
				(await host.runtime.transcript("k", query)).items
					.map(({ entry }) => entry)
					.reverse();
			return { ...host, store, settled, run, end, shown };
		}

		test("is empty where nobody wrote", async () => {
			const { runtime, run } = await running();
			expect(await runtime.transcript("unknown")).toEqual({
				items: [],
				cursor: null,
			});
			expect(await run.transcript()).toEqual([]);
		});

		test("says of each entry who wrote it, when, and in which generation and session id", async () => {
			const { runtime, clock, run } = await running();
			await clock.advance(5);
			await run.append({ role: "user", text: "hello" });
			const { sessionId, runId } = run.ticket;
			const entry = {
				seq: 1,
				sessionKey: "k",
				generation: 1,
				sessionId,
				runId,
				at: clock.now(),
				entry: { role: "user", text: "hello" },
			};
			expect(await run.transcript()).toEqual([entry]);
			expect(await runtime.transcript("k")).toEqual({
				items: [entry],
				cursor: null,
			});
		});

		test("keeps the order of the calls, also where nobody waits for them", async () => {
			const { run } = await running();
			const appended = [1, 2, 3, 4, 5].map((n) => run.append(n));
			await Promise.all(appended);
			expect(
				(await run.transcript()).map(({ seq, entry }) => [seq, entry]),
			).toEqual([1, 2, 3, 4, 5].map((n) => [n, n]));
		});

		test("keeps an entry as it was at the call", async () => {
			const { run } = await running();
			const entry = { n: 1 };
			const appended = run.append(entry);
			entry.n = 2;
			await appended;
			expect(await run.transcript()).toMatchObject([{ entry: { n: 1 } }]);
		});

		test("counts on over runs, generations and restarts of one key, and by itself for another", async () => {
			const host = await running();
			await host.run.append("a");
			host.end();
			await host.settled;
			await host.runtime.send("k", "again");
			await host.scripted.last.run.append("b");
			host.scripted.last.end();
			await host.runtime.whenIdle();
			await host.runtime.reset("k");
			await host.runtime.send("k", "anew");
			await host.scripted.last.run.append("c");
			host.scripted.last.end();
			await host.runtime.send("other", "hi");
			await host.scripted.last.run.append("x");
			host.scripted.last.end();
			await host.runtime.whenIdle();
			const { runtime, scripted } = {
				...(await restart(host)),
				scripted: host.scripted,
			};
			expect(scripted.runs).toHaveLength(4);
			expect(
				(await runtime.transcript("k")).items.map(
					({ seq, generation, entry }) => [seq, generation, entry],
				),
			).toEqual([
				[3, 2, "c"],
				[2, 1, "b"],
				[1, 1, "a"],
			]);
			expect((await runtime.transcript("other")).items).toMatchObject([
				{ seq: 1, entry: "x" },
			]);
		});

		test("is filed by generation also where the host keeps its session id over a reset", async () => {
			const { runtime, run, end, settled, scripted, shown } = await running();
			const { sessionId } = await run.rotate({ sessionId: "S" });
			await run.append("old");
			end();
			await settled;
			await runtime.reset("k", { sessionId });
			await runtime.send("k", "anew");
			const next = scripted.last.run;
			expect(next.ticket).toMatchObject({ sessionId: "S", generation: 2 });
			// Nothing before the boundary is read by the new generation.
			expect(await next.transcript()).toEqual([]);
			await next.append("new");
			expect(await next.transcript()).toMatchObject([{ entry: "new" }]);
			expect(await shown({ sessionId: "S" })).toEqual(["old", "new"]);
			expect(await shown({ generation: 1, sessionId: "S" })).toEqual(["old"]);
			expect(await shown({ generation: 2 })).toEqual(["new"]);
			expect(await shown({ generation: 3 })).toEqual([]);
		});

		test("after a rotation begins anew for the run, under its new session id", async () => {
			const { run, shown } = await running();
			const before = run.ticket.sessionId;
			await run.append("before");
			await run.rotate({ sessionId: "S2" });
			expect(await run.transcript()).toEqual([]);
			await run.append("after");
			expect(await run.transcript()).toMatchObject([
				{ seq: 2, sessionId: "S2", entry: "after" },
			]);
			expect(await shown({ sessionId: before })).toEqual(["before"]);
			expect(await shown({ sessionId: "S2" })).toEqual(["after"]);
			await run.rotate({ sessionId: before });
			expect(await run.transcript()).toMatchObject([{ entry: "before" }]);
		});

		test("files an entry under the session id that its run has when its turn comes", async () => {
			const { run, shown } = await running();
			const rotated = run.rotate({ sessionId: "S2" });
			await Promise.all([rotated, run.append("after")]);
			expect(await shown({ sessionId: "S2" })).toEqual(["after"]);
		});

		test("shows a run its newest entries, oldest first, as many as it asks for", async () => {
			const { run } = await running();
			await Promise.all(
				Array.from({ length: 120 }, (_, n) => run.append(n + 1)),
			);
			const seqs = async (query?: { limit?: number }) =>
				(await run.transcript(query)).map(({ seq }) => seq);
			expect(await seqs({ limit: 3 })).toEqual([118, 119, 120]);
			expect((await seqs()).slice(0, 2)).toEqual([21, 22]);
			expect(await seqs()).toHaveLength(100);
			expect(await seqs({ limit: 1000 })).toHaveLength(120);
			for (const limit of [0, -1, 1.5, "3", 1001])
				expect(await codeOf(run.transcript({ limit: wrong(limit) }))).toBe(
					"INVALID_ARGUMENT",
				);
		});

		test("comes in pages, newest first, that new entries do not shift", async () => {
			const { run, runtime } = await running();
			for (let n = 1; n <= 5; n++) await run.append(n);
			const seen: unknown[] = [];
			let cursor: string | null = null;
			do {
				const page: Awaited<ReturnType<typeof runtime.transcript>> =
					await runtime.transcript("k", {
						limit: 2,
						...(cursor === null ? {} : { cursor }),
					});
				seen.push(page.items.map(({ entry }) => entry));
				cursor = page.cursor;
				await run.append("later");
			} while (cursor !== null);
			expect(seen).toEqual([[5, 4], [3, 2], [1]]);
			expect(await codeOf(runtime.transcript("k", { cursor: "?" }))).toBe(
				"INVALID_ARGUMENT",
			);
			expect(
				await codeOf(runtime.transcript("k", { generation: wrong("1") })),
			).toBe("INVALID_ARGUMENT");
		});

		test("takes nothing that is not JSON", async () => {
			const { run } = await running();
			const cyclic: { self?: object } = {};
			cyclic.self = cyclic;
			for (const entry of [undefined, () => {}, 1n, Number.NaN, cyclic])
				expect(await codeOf(run.append(wrong(entry)))).toBe("INVALID_INPUT");
			await run.append(null);
			expect(await run.transcript()).toMatchObject([{ seq: 1, entry: null }]);
		});

		describe("takes what a run appends", () => {
			for (const stop of ["abort", "interrupt"] as const)
				test(`until it settles, though ${stop} told it to stop`, async () => {
					const { run, runtime, end, settled, shown } = await running();
					const stopped =
						stop === "abort"
							? runtime.abort("k")
							: runtime.send("k", "newer", { overlap: "interrupt" });
					await turns();
					expect(run.signal.aborted).toBe(true);
					await run.append("last words");
					end();
					await settled;
					await stopped;
					expect(await shown()).toEqual(["last words"]);
					expect(await codeOf(run.append("too late"))).toBe("STALE_RUN");
					expect(await shown()).toEqual(["last words"]);
				});

			for (const stop of ["reset", "delete"] as const)
				test(`not after ${stop} ended its generation, though it has not settled`, async () => {
					const { run, runtime, end, shown } = await running();
					await run.append("in time");
					const stopped = runtime[stop]("k");
					await expect(run.append("late")).rejects.toMatchObject({
						code: "STALE_RUN",
						message: expect.stringContaining(run.ticket.runId),
					});
					end();
					await stopped;
					expect(await codeOf(run.append("later"))).toBe("STALE_RUN");
					expect(await shown()).toEqual(["in time"]);
				});

			test("also in the same tick as its end, if that came after", async () => {
				const { run, end, settled, shown } = await running();
				void run.append("last");
				end();
				await settled;
				expect(await shown()).toEqual(["last"]);
			});

			test("also while it waits", async () => {
				const { run, runtime, shown } = await running();
				void run.waitFor("ok?");
				await run.append("asked");
				expect(await shown()).toEqual(["asked"]);
				expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
			});

			test("not while a later run is live", async () => {
				const { run, runtime, end, settled, shown } = await running();
				end();
				await settled;
				await runtime.send("k", "again");
				expect(await codeOf(run.append("late"))).toBe("STALE_RUN");
				expect(await shown()).toEqual([]);
			});

			test("not once it was abandoned", async () => {
				const { run, runtime, clock, shown } = await running();
				const aborted = runtime.abort("k");
				await clock.advance(100);
				await aborted;
				expect(await codeOf(run.append("late"))).toBe("STALE_RUN");
				expect(await shown()).toEqual([]);
			});
		});

		describe("after a rollback", () => {
			test("shows nothing of the run that was taken back, to nobody", async () => {
				const { run, runtime, end, settled, scripted, shown } = await running();
				await run.append("draft 1");
				await run.append("draft 2");
				const newer = await runtime.send("k", "newer", { overlap: "rollback" });
				expect(await shown()).toEqual([]);
				expect(await run.transcript()).toEqual([]);
				end();
				await settled;
				await turns();
				const next = scripted.last.run;
				expect(next).not.toBe(run);
				expect(await next.transcript()).toEqual([]);
				await next.append("final");
				// What is hidden keeps its numbers.
				expect(await next.transcript()).toMatchObject([
					{ seq: 3, entry: "final" },
				]);
				scripted.last.end();
				await newer.settled;
			});

			test("hides what the stopped run still appends", async () => {
				const { run, runtime, end, settled, shown } = await running();
				await run.append("draft");
				const appended = run.append("on its way");
				await runtime.send("k", "newer", { overlap: "rollback" });
				await appended;
				await run.append("stubborn");
				expect(await shown()).toEqual([]);
				end();
				await settled;
				expect(await shown()).toEqual([]);
			});

			test("keeps what other runs of the session wrote", async () => {
				const { run, runtime, end, settled, scripted, shown } = await running();
				await run.append("before");
				end();
				await settled;
				await runtime.send("k", "second");
				await scripted.last.run.append("taken back");
				await runtime.send("k", "third", { overlap: "rollback" });
				expect(await shown()).toEqual(["before"]);
				scripted.last.end();
				await turns();
				expect(await scripted.last.run.transcript()).toMatchObject([
					{ entry: "before" },
				]);
			});

			test("by an interrupt without one, everything stays", async () => {
				const { run, runtime, end, shown } = await running();
				await run.append("said");
				await runtime.send("k", "newer", { overlap: "interrupt" });
				end();
				await turns();
				expect(await shown()).toEqual(["said"]);
			});

			test("stays so after a restart", async () => {
				const host = await running();
				await host.run.append("draft");
				await host.runtime.send("k", "newer", { overlap: "rollback" });
				host.end();
				await turns();
				await host.scripted.last.run.append("final");
				host.scripted.last.end();
				await host.runtime.whenIdle();
				const { runtime } = await restart(host);
				expect((await runtime.transcript("k")).items).toMatchObject([
					{ entry: "final" },
				]);
			});
		});

		test("outlives a delete, and is erased by a purge; its numbers are not given again", async () => {
			const { run, runtime, end, settled, scripted, shown } = await running();
			await run.append("a");
			end();
			await settled;
			await runtime.delete("k");
			expect(await shown()).toEqual(["a"]);
			await runtime.send("k", "anew");
			await scripted.last.run.append("b");
			scripted.last.end();
			await runtime.whenIdle();
			expect(await shown()).toEqual(["a", "b"]);
			await runtime.delete("k", { purge: true });
			expect(await shown()).toEqual([]);
			await runtime.send("k", "anew");
			expect(await scripted.last.run.transcript()).toEqual([]);
			await scripted.last.run.append("c");
			expect(await scripted.last.run.transcript()).toMatchObject([
				{ seq: 3, entry: "c" },
			]);
		});

		test("of a run whose entry cannot be kept has no gap and no ghost", async () => {
			const { run, store, shown } = await running();
			store.faults.push("before", "before");
			const lost = codeOf(run.append("lost"));
			const above = codeOf(run.append("above"));
			expect([await lost, await above]).toEqual([
				"STORE_FAILED",
				"STORE_FAILED",
			]);
			await run.append("kept");
			expect(await run.transcript()).toMatchObject([{ seq: 1, entry: "kept" }]);
			store.faults.push("after");
			await run.append("once");
			expect(await shown()).toEqual(["kept", "once"]);
		});

		test("is not seen before it is kept", async () => {
			const { run, store, shown } = await running();
			const held = Promise.withResolvers<void>();
			store.beforeCommit = () => held.promise;
			const appended = run.append("a");
			await turns();
			expect(await now(appended)).toBe("pending");
			expect(await shown()).toEqual([]);
			held.resolve();
			await appended;
			expect(await shown()).toEqual(["a"]);
		});

		test("is written by runs that the host drives, too, from start to end", async () => {
			const { runtime } = await startScripted(makeStore());
			const run = await runtime.admit("k", { reserve: true });
			expect(await codeOf(run.append("early"))).toBe("STALE_RUN");
			await run.start();
			await run.append("a");
			expect(await run.transcript()).toMatchObject([{ entry: "a" }]);
			await run.end();
			expect(await codeOf(run.append("late"))).toBe("STALE_RUN");
			expect((await runtime.transcript("k")).items).toHaveLength(1);
		});
	});
