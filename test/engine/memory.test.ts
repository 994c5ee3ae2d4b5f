/** What is in memory: `stats`, and sessions that leave it and come back as if nothing were (promise 10). */
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { codeOf, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`memory, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		describe("stats", () => {
			test("of a runtime that has done nothing are zero", async () => {
				const { runtime } = await start();
				expect(runtime.stats()).toEqual({
					resident: 0,
					running: 0,
					queued: 0,
					draining: 0,
					commits: 0,
					rowsPerCommit: 0,
					commitMs: { p50: 0, p99: 0 },
				});
			});

			test("count what is resident, runs, waits and drains", async () => {
				const { runtime, scripted } = await start();
				await runtime.reset("idle");
				await runtime.send("a", 1);
				await runtime.send("a", 2);
				await runtime.send("a", 3);
				await runtime.send("b", 1);
				void runtime.reset("b").catch(() => {});
				await turns();
				expect(runtime.stats()).toMatchObject({
					resident: 3,
					running: 1,
					queued: 2,
					draining: 1,
				});
				for (const { end } of scripted.runs) end();
				await turns();
				expect(runtime.stats()).toMatchObject({
					running: 1,
					queued: 1,
					draining: 0,
				});
			});

			test("count commits, the rows in them, and how long they took", async () => {
				const { runtime } = await start();
				await Promise.all(["a", "b", "c"].map((key) => runtime.reset(key)));
				await runtime.reset("a");
				const { commits, rowsPerCommit, commitMs } = runtime.stats();
				expect(commits).toBe(2);
				expect(rowsPerCommit).toBe(2);
				expect(commitMs.p50).toBeGreaterThan(0);
				expect(commitMs.p99).toBeGreaterThanOrEqual(commitMs.p50);
			});

			test("of a closed runtime say that nothing is left", async () => {
				const { runtime } = await start();
				await runtime.reset("k");
				await runtime.close();
				expect(runtime.stats()).toMatchObject({
					resident: 0,
					running: 0,
					queued: 0,
				});
			});
		});

		describe("a session", () => {
			test("leaves memory when it has been idle for a while, and not before", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 1000 });
				await runtime.reset("a");
				await clock.advance(600);
				await runtime.reset("b");
				await clock.advance(399);
				expect(runtime.stats().resident).toBe(2);
				await clock.advance(1);
				expect(runtime.stats().resident).toBe(1);
				// Whoever is asked something rests from then on.
				await runtime.patch("b", {});
				await clock.advance(999);
				expect(runtime.stats().resident).toBe(1);
				await clock.advance(1);
				expect(runtime.stats().resident).toBe(0);
			});

			test("is not kept in memory by those who read it", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				await runtime.reset("k");
				const atom = runtime.atom("k");
				await clock.advance(10);
				await runtime.get("k");
				await runtime.list();
				await runtime.runs("k");
				expect(runtime.stats().resident).toBe(0);
				await runtime.patch("k", { a: 1 });
				expect(atom.get()).toMatchObject({ meta: { a: 1 } });
			});

			const busy: Record<
				string,
				(host: Awaited<ReturnType<typeof start>>) => Promise<() => unknown>
			> = {
				"a managed run": async ({ runtime, scripted }) => {
					await runtime.send("k", 1);
					return () => scripted.last.end();
				},
				"a run that the host drives": async ({ runtime }) => {
					const run = await runtime.admit("k");
					return () => run.end();
				},
				"a drain": async ({ runtime, scripted }) => {
					await runtime.send("k", 1);
					void runtime.reset("k", { graceMs: 1e9 }).catch(() => {});
					await turns();
					return () => scripted.last.end();
				},
				"a drain of a deleted session": async ({ runtime, scripted }) => {
					await runtime.send("k", 1);
					void runtime.delete("k", { graceMs: 1e9 }).catch(() => {});
					await turns();
					return () => scripted.last.end();
				},
				"a queue behind a run": async ({ runtime, scripted }) => {
					await runtime.send("k", 1);
					await runtime.send("k", 2);
					return async () => {
						scripted.last.end();
						await turns();
						scripted.last.end();
					};
				},
			};
			for (const [name, begin] of Object.entries(busy))
				test(`stays in memory with ${name}`, async () => {
					const host = await start({ passivateAfterMs: 10, maxResident: 1 });
					const { runtime, clock } = host;
					const finish = await begin(host);
					for (const key of ["x", "y", "z"]) await runtime.reset(key);
					await clock.advance(100_000);
					expect(runtime.stats().resident).toBe(1);
					await finish();
					await turns();
					await clock.advance(10);
					expect(runtime.stats().resident).toBe(0);
				});

			test("stays in memory while its commit is on its way", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime, clock } = await startScripted(store, {
					passivateAfterMs: 10,
				});
				await runtime.reset("k");
				const { promise, resolve } = Promise.withResolvers<void>();
				store.beforeCommit = () => promise;
				const patched = runtime.patch("k", { a: 1 });
				await clock.advance(1000);
				expect(runtime.stats().resident).toBe(1);
				resolve();
				expect(await patched).toMatchObject({ row: { meta: { a: 1 } } });
			});

			test("comes back with all that it was", async () => {
				const { runtime, scripted, clock } = await start({
					passivateAfterMs: 10,
				});
				await runtime.reset("k", { sessionId: "S0" });
				await runtime.reset("k", {
					sessionId: "S1",
					meta: { a: [1, { b: null }] },
				});
				const { settled } = await runtime.send("k", 1, { messageId: "m1" });
				await scripted.last.run.rotate({ sessionId: "S2" });
				scripted.last.run.usage({ inputTokens: 3, outputTokens: 4 });
				scripted.last.fail(new Error("no model"));
				await settled;
				await runtime.admit("k", { runId: "R", reserve: true });
				const before = await runtime.get("k");
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				expect(await runtime.get("k")).toStrictEqual(before);
				// It is asked something again, and its row goes on from there.
				expect(await runtime.send("k", 1, { messageId: "m1" })).toMatchObject({
					disposition: "duplicate",
					row: before,
				});
				expect(
					await codeOf(runtime.send("k", 2, { expect: { sessionId: "S0" } })),
				).toBe("STALE_EXPECTATION");
				expect(
					await runtime.send("k", 2, { expect: { sessionId: "S1" } }),
				).toMatchObject({
					row: {
						status: "running",
						generation: before?.generation,
						sessionId: "S2",
						meta: before?.meta,
						inputTokens: 3,
						outputTokens: 4,
						lastOutcome: "failed",
						lastError: "no model",
						createdAt: before?.createdAt,
						version: (before?.version as number) + 1,
					},
				});
				scripted.last.end();
				await runtime.whenIdle();
				expect(
					await runtime.report({ runId: "R", phase: "start" }),
				).toMatchObject({ verdict: "applied" });
			});

			test("that a handle still holds serves it after it has come back", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				const run = await runtime.admit("k", { runId: "R", reserve: true });
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				expect(await run.start()).toMatchObject({ verdict: "applied" });
				run.usage({ inputTokens: 2 });
				await run.end();
				await clock.advance(10);
				run.usage({ inputTokens: 2 });
				await turns();
				expect(await runtime.get("k")).toMatchObject({ inputTokens: 4 });
			});
		});

		test("no more idle sessions are resident than maxResident", async () => {
			const { runtime } = await start({ maxResident: 3, execute: () => {} });
			for (let i = 0; i < 20; i++) {
				await (await runtime.send(`k${i}`, i)).settled;
				await turns();
				expect(runtime.stats().resident).toBeLessThanOrEqual(3);
			}
			// The longest idle went first.
			const { items } = await runtime.list();
			expect(items).toHaveLength(20);
		});

		test("sessions that have something to do come on top of maxResident", async () => {
			const { runtime, scripted } = await start({ maxResident: 1 });
			for (let i = 0; i < 10; i++) await runtime.send(`k${i}`, i);
			expect(runtime.stats()).toMatchObject({ resident: 10, running: 10 });
			for (const { end } of scripted.runs) end();
			await turns();
			expect(runtime.stats()).toMatchObject({ resident: 1, running: 0 });
		});

		test("after 5,000 sessions with maxResident 100, at most 100 are resident", async () => {
			const { runtime } = await start({ maxResident: 100, execute: () => {} });
			for (let i = 0; i < 5000; i += 500) {
				const receipts = await Promise.all(
					Array.from({ length: 500 }, (_, j) => runtime.send(`k${i + j}`, j)),
				);
				await Promise.all(receipts.map(({ settled }) => settled));
			}
			await runtime.whenIdle();
			expect(runtime.stats().resident).toBeLessThanOrEqual(100);
			expect((await runtime.list({ limit: 1000 })).cursor).not.toBeNull();
			expect(await runtime.get("k0")).toMatchObject({
				status: "ended",
				lastOutcome: "completed",
			});
		});

		test("what is asked once of a key that nobody uses leaves nothing in memory", async () => {
			const { runtime, clock } = await start({ maxResident: 10 });
			for (let i = 0; i < 200; i++) {
				await runtime.abort(`unknown ${i}`);
				await runtime.patch(`unknown ${i}`, {});
				await runtime.report({
					runId: "R",
					sessionKey: `unknown ${i}`,
					phase: "end",
				});
				await runtime.get(`unknown ${i}`);
			}
			expect(runtime.stats().resident).toBeLessThanOrEqual(10);
			await clock.advance(60_000);
			expect(runtime.stats().resident).toBe(0);
			expect((await runtime.list()).items).toEqual([]);
		});
	});
