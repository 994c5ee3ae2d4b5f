/** `delete`: a reset into a generation that nobody sees; with `purge` nothing is left but the generation's number. */
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`delete, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		/** A session with one completed run, of message m1, and a refusal. */
		async function used() {
			const host = await start();
			const { runtime, scripted } = host;
			const { settled, ticket } = await runtime.send("k", "hello", {
				messageId: "m1",
				meta: { a: 1 },
			});
			scripted.last.run.usage({ inputTokens: 5 });
			scripted.last.end();
			await settled;
			await runtime.report({ runId: "Q", sessionKey: "k", phase: "end" });
			return { ...host, runId: ticket?.runId as string };
		}

		test("with a message id, repeated, deletes nothing that came later", async () => {
			const { runtime } = await startScripted(makeStore());
			const id = { messageId: "/forget" };
			await runtime.reset("k");
			expect(await runtime.delete("k", id)).toMatchObject({ result: "done" });
			await runtime.reset("k");
			expect(await runtime.delete("k", id)).toMatchObject({
				result: "nothing",
				row: { generation: 2 },
			});
		});

		test("again, before the first is committed, says what it did", async () => {
			// 1 m1 runs → 2 delete(k) and 3 delete(k, purge) in one tick: the second looked for the last row where the first had not put it yet,
			// and was told that there was nothing to do, though it purged.
			const { runtime, scripted } = await start();
			await runtime.send("k", "hello", { messageId: "m1" });
			const answers = Promise.all([
				runtime.delete("k"),
				runtime.delete("k", { purge: true }),
			]);
			await turns();
			scripted.last.end();
			for (const { result, row } of await answers) {
				expect(result).toBe("done");
				expect(row).toMatchObject({ generation: 1, status: "ended" });
			}
			expect((await runtime.runs("k")).items).toEqual([]);
		});

		test("of a key that nobody uses, or that is deleted already, finds nothing to do", async () => {
			const { runtime, feed } = await start();
			for (const purge of [false, true])
				expect(await runtime.delete("k", { purge })).toEqual({
					result: "nothing",
					row: null,
				});
			expect(feed).toEqual([]);
			await runtime.reset("k");
			await runtime.delete("k");
			expect(await runtime.delete("k")).toEqual({
				result: "nothing",
				row: null,
			});
		});

		test("hides the session, says so once on the feed, and answers with its last row", async () => {
			const { runtime, feed } = await used();
			const last = await runtime.get("k");
			const answer = await runtime.delete("k", { reason: "left the chat" });
			expect(answer).toMatchObject({
				result: "done",
				row: last,
				report: {
					ended: {
						generation: 1,
						endedBy: "delete",
						reason: "left the chat",
						row: last,
					},
				},
			});
			expect(await runtime.get("k")).toBeNull();
			expect((await runtime.list()).items).toEqual([]);
			expect(runtime.atom("k").get()).toBeNull();
			expect((await runtime.archive("k")).items).toMatchObject([
				{ generation: 1, endedBy: "delete", runs: [{ outcome: "completed" }] },
			]);
			expect((await runtime.runs("k")).items).toHaveLength(1);
			expect(feed.filter(({ type }) => type === "deleted")).toMatchObject([
				{ sessionKey: "k", generation: 1, version: 4 },
			]);
			expect(feed.at(-1)?.type).toBe("deleted");
		});

		test("of a running session stops the run, and answers when it has settled", async () => {
			const { runtime, scripted, feed } = await start();
			const { ticket } = await runtime.send("k", "hello");
			const deleted = runtime.delete("k");
			await turns();
			expect(await runtime.get("k")).toBeNull();
			expect(scripted.last.run.signal.reason).toMatchObject({ by: "delete" });
			expect(await now(deleted)).toBe("pending");
			scripted.last.end();
			expect(await deleted).toMatchObject({
				result: "done",
				row: { generation: 1, status: "ended", lastOutcome: "aborted" },
				report: {
					ended: { generation: 1, endedBy: "delete" },
					drained: [{ runId: ticket?.runId, stoppedBy: "delete" }],
				},
			});
			// What settles in the dark shows nothing.
			expect(feed.filter(({ type }) => type === "row")).toHaveLength(1);
		});

		test("drops the messages that wait by default, and says which", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			const { settled } = await runtime.send("k", "second", { messageId: "b" });
			const deleted = runtime.delete("k");
			expect(await settled).toMatchObject({ outcome: "removed" });
			scripted.last.end();
			expect(await deleted).toMatchObject({ report: { removed: ["b"] } });
		});

		test("the next message opens the next generation, with nothing of the old one", async () => {
			const { runtime } = await used();
			await runtime.delete("k");
			const { ticket, row } = await runtime.send("k", "again");
			expect(ticket).toMatchObject({ generation: 2 });
			expect(row).toMatchObject({
				generation: 2,
				meta: {},
				inputTokens: 0,
				lastOutcome: null,
			});
		});

		test("a message that comes while the deleted session drains waits, then runs in the new generation (DR-08)", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			const deleted = runtime.delete("k");
			await turns();
			const { disposition, settled } = await runtime.send("k", "second");
			expect(disposition).toBe("queued");
			expect(await runtime.get("k")).toMatchObject({
				generation: 2,
				status: "resetting",
				queued: 1,
			});
			scripted.last.end();
			await deleted;
			scripted.last.end("hi");
			expect(await settled).toMatchObject({
				output: "hi",
				ticket: { generation: 2 },
			});
		});

		test("generations go on counting through any number of deletes", async () => {
			const { runtime } = await start();
			const generations = [];
			for (let i = 0; i < 4; i++) {
				generations.push((await runtime.reset("k")).row?.generation);
				await runtime.delete("k", { purge: i % 2 === 0 });
			}
			expect(generations).toEqual([1, 2, 3, 4]);
		});

		test("with an expectation that does not hold does nothing", async () => {
			const { runtime } = await used();
			const row = await runtime.get("k");
			for (const [mismatch, expectation] of [
				["sessionId", { sessionId: "S9" }],
				["generation", { generation: 2 }],
				["runId", { runId: "Q" }],
				["version", { version: 1 }],
			] as const)
				expect(
					await runtime.delete("k", { expect: expectation, purge: true }),
				).toEqual({ result: "stale", mismatch, row });
			expect(await runtime.get("k")).toEqual(row);
			expect(
				await runtime.delete("k", { expect: { generation: 1 } }),
			).toMatchObject({ result: "done" });
		});

		test("of a session whose queue is kept leaves nothing that anybody waits for", async () => {
			const { runtime, scripted } = await startScripted(makeStore());
			await runtime.send("k", "first");
			await runtime.send("k", "kept");
			const deleted = runtime.delete("k", { queued: "keep" });
			await turns();
			scripted.last.end();
			await deleted;
			await runtime.whenIdle("k");
			await runtime.whenIdle();
			expect(runtime.stats()).toMatchObject({ running: 0, queued: 1 });
			// It is taken with the next use.
			await runtime.send("k", "next");
			await turns();
			expect(scripted.last.run.messages).toMatchObject([{ input: "kept" }]);
			expect(await now(runtime.whenIdle("k"))).toBe("pending");
		});

		describe("with purge", () => {
			async function expectNothing(
				runtime: Awaited<ReturnType<typeof used>>["runtime"],
				runId: string,
			) {
				expect(await runtime.get("k")).toBeNull();
				expect((await runtime.list()).items).toEqual([]);
				expect((await runtime.archive("k")).items).toEqual([]);
				expect((await runtime.runs("k")).items).toEqual([]);
				expect((await runtime.refusals({ sessionKey: "k" })).items).toEqual([]);
				expect(
					await runtime.report({ runId, sessionKey: "k", phase: "end" }),
				).toMatchObject({ verdict: "unknown" });
			}

			test("forgets its messages at once, also for who asks before it is committed", async () => {
				// 1 m1 has run → 2 delete(k, purge) → 3 m1 again, in the same tick: the store still knew it, so that it was told to be a duplicate
				// of a run that was being erased, and never ran.
				const { runtime, scripted } = await used();
				await runtime.reset("k", { messageId: "new" });
				const deleted = runtime.delete("k", { purge: true });
				const again = runtime.send("k", "hello", { messageId: "m1" });
				const reset = runtime.reset("k", { messageId: "new" });
				expect(await deleted).toMatchObject({ result: "done" });
				expect(await again).toMatchObject({ disposition: "started" });
				await turns();
				scripted.last.end();
				expect(await reset).toMatchObject({ result: "done" });
			});

			test("forgets nothing if its commit fails", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, scripted } = await startScripted(store);
				await runtime.send("k", "hello", { messageId: "m1" });
				scripted.last.end();
				await runtime.whenIdle();
				store.faults.push("before", "before");
				const deleted = codeOf(runtime.delete("k", { purge: true }));
				const again = codeOf(runtime.send("k", "hello", { messageId: "m1" }));
				expect(await deleted).toBe("STORE_FAILED");
				expect(await again).toBe("STORE_FAILED");
				expect(
					await runtime.send("k", "hello", { messageId: "m1" }),
				).toMatchObject({ disposition: "duplicate" });
			});

			test("erases archive, runs, refusals and message ids, and keeps the count of generations", async () => {
				const { runtime, runId, scripted } = await used();
				const answer = await runtime.delete("k", { purge: true });
				expect(answer).toMatchObject({
					result: "done",
					row: { generation: 1, inputTokens: 5 },
					report: { ended: { runs: [{ runId }] } },
				});
				await expectNothing(runtime, runId);
				const { disposition, ticket } = await runtime.send("k", "hello", {
					messageId: "m1",
				});
				expect(disposition).toBe("started");
				expect(ticket?.generation).toBe(2);
				scripted.last.end();
				await runtime.whenIdle();
				// An id that was purged begins at its first attempt again.
				expect((await runtime.admit("k", { runId })).ticket.attempt).toBe(1);
			});

			test("waits for what drains, and then erases it too", async () => {
				const { runtime, scripted } = await start();
				const { ticket } = await runtime.send("k", "hello");
				const deleted = runtime.delete("k", { purge: true });
				await turns();
				expect((await runtime.archive("k")).items).toHaveLength(1);
				scripted.last.end();
				expect(await deleted).toMatchObject({
					row: { lastOutcome: "aborted" },
					report: { drained: [{ runId: ticket?.runId }] },
				});
				await expectNothing(runtime, ticket?.runId as string);
			});

			test("leaves what has come since alone", async () => {
				const { runtime, scripted } = await start();
				const { ticket } = await runtime.send("k", "old");
				const deleted = runtime.delete("k", { purge: true });
				await turns();
				const { settled } = await runtime.send("k", "new", { messageId: "m2" });
				scripted.last.end();
				await deleted;
				expect((await runtime.archive("k")).items).toEqual([]);
				scripted.last.end("hi");
				expect(await settled).toMatchObject({ output: "hi" });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ generation: 2, messageIds: ["m2"] },
				]);
				expect(
					await runtime.report({
						runId: ticket?.runId as string,
						phase: "end",
					}),
				).toMatchObject({ verdict: "unknown" });
			});

			test("knows a message that was kept by its id, once it is taken and later", async () => {
				// 1 m1 runs, m2 waits → 2 delete(k, purge, queued: keep) → 3 a use of the session: m2 is taken, by the commit that purges or
				// the next → 4 m2 again: its id went with the generation that it had come in, so that it was accepted a second time and ran twice.
				for (const isDrained of [true, false]) {
					const host = await start();
					const { runtime, scripted } = host;
					await runtime.send("k", "one", { messageId: "m1" });
					await runtime.send("k", "two", { messageId: "m2" });
					const deleted = runtime.delete("k", { purge: true, queued: "keep" });
					await turns();
					if (!isDrained) void runtime.send("k", "three");
					scripted.last.end();
					await deleted;
					if (isDrained) await runtime.send("k", "three");
					await turns();
					expect(scripted.last.run.messages).toMatchObject([{ input: "two" }]);
					const again = (of = runtime) =>
						of.send("k", "two", { messageId: "m2" });
					expect(await again()).toMatchObject({ disposition: "duplicate" });
					const next = await restart(host, { execute: async () => "done" });
					expect(await again(next.runtime)).toMatchObject({
						disposition: "duplicate",
					});
				}
			});

			test("knows a message that was kept by its id, also once it is removed", async () => {
				// 1 m1 runs, m2 waits → 2 delete(k, purge, queued: keep) → 3 m2 is taken back → 4 m2 again: it was accepted a second time.
				for (const isDrained of [true, false]) {
					const { runtime, scripted } = await start();
					await runtime.send("k", "one", { messageId: "m1" });
					await runtime.send("k", "two", { messageId: "m2" });
					const deleted = runtime.delete("k", { purge: true, queued: "keep" });
					await turns();
					scripted.last.end();
					if (isDrained) await deleted;
					const removed = runtime.queue.remove("k", "m2");
					const again = runtime.send("k", "two", { messageId: "m2" });
					expect(await removed).toMatchObject({ result: "done" });
					expect(await again).toMatchObject({ disposition: "duplicate" });
					await deleted;
					expect(
						await runtime.send("k", "one", { messageId: "m1" }),
					).toMatchObject({ disposition: "started" });
				}
			});

			test("of other keys' nothing", async () => {
				const { runtime, scripted } = await used();
				const other = await runtime.send("other", "hello", { messageId: "m1" });
				scripted.last.end();
				await other.settled;
				await runtime.reset("other");
				await runtime.report({ runId: "Q", sessionKey: "other", phase: "end" });
				await runtime.delete("k", { purge: true });
				expect((await runtime.archive("other")).items).toHaveLength(1);
				expect((await runtime.runs("other")).items).toHaveLength(1);
				expect(
					(await runtime.refusals({ sessionKey: "other" })).items,
				).toHaveLength(1);
				expect(
					await runtime.send("other", "hello", { messageId: "m1" }),
				).toMatchObject({ disposition: "duplicate" });
			});

			test("of what was deleted before erases that", async () => {
				const { runtime, runId } = await used();
				await runtime.delete("k");
				await runtime.delete("k", { purge: true });
				await expectNothing(runtime, runId);
			});

			test("is finished by the next process, where this one dies before the drain is over", async () => {
				const store = new CrashingStore(makeStore());
				const dead = await startScripted(store);
				const { ticket } = await dead.runtime.send("k", "hello");
				void dead.runtime.delete("k", { purge: true }).catch(() => {});
				await turns();
				await store.crash();
				const { runtime } = await startScripted(store);
				await expectNothing(runtime, ticket?.runId as string);
				expect((await runtime.send("k", "hello")).ticket?.generation).toBe(2);
			});

			test("stays purged in the next process", async () => {
				const host = await used();
				await host.runtime.delete("k", { purge: true });
				const { runtime } = await restart(host);
				await expectNothing(runtime, host.runId);
				expect((await runtime.reset("k")).row?.generation).toBe(2);
			});
		});
	});
