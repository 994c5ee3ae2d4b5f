/** `reset`: a new generation in one commit, then whatever is older is stopped and drained. No state refuses it (promise 4). */
import type { Expectation, JsonValue } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`reset, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("of a key that nobody used opens it", async () => {
			const { runtime, clock, feed } = await start();
			const answer = await runtime.reset("k", { sessionId: "S1" });
			const row = {
				sessionKey: "k",
				sessionId: "S1",
				generation: 1,
				status: "idle",
				hasActiveRun: false,
				activeRun: null,
				waits: [],
				lastOutcome: null,
				lastError: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
				inputTokens: 0,
				outputTokens: 0,
				totalTokens: 0,
				queued: 0,
				draining: 0,
				meta: {},
				createdAt: clock.now(),
				updatedAt: clock.now(),
				version: 1,
			};
			expect(answer).toEqual({
				result: "done",
				row,
				report: { ended: null, drained: [], abandoned: [], removed: [] },
			});
			expect(await runtime.get("k")).toEqual(row);
			expect(feed.map(({ type }) => type)).toEqual(["row"]);
			expect((await runtime.archive("k")).items).toEqual([]);
		});

		test("of an idle session ends its generation at once, and begins at zero (AC-01, AC-02)", async () => {
			const { runtime, scripted, clock, feed } = await start();
			const { settled } = await runtime.send("k", "hello", {
				meta: { a: 1 },
			});
			scripted.last.run.usage({ inputTokens: 5 });
			scripted.last.end();
			await settled;
			const last = await runtime.get("k");
			await clock.advance(1000);
			const answer = await runtime.reset("k", {
				sessionId: "S2",
				reason: "/new",
			});
			const ended = {
				sessionKey: "k",
				generation: 1,
				sessionIds: [last?.sessionId],
				endedBy: "reset",
				reason: "/new",
				endedAt: clock.now(),
				row: last,
				runs: (await runtime.runs("k", { generation: 1 })).items,
			};
			expect(answer).toMatchObject({
				result: "done",
				row: {
					sessionId: "S2",
					generation: 2,
					status: "idle",
					lastOutcome: null,
					startedAt: null,
					endedAt: null,
					runtimeMs: null,
					totalTokens: 0,
					meta: {},
					createdAt: last?.createdAt,
					updatedAt: clock.now(),
					version: (last?.version as number) + 1,
				},
				report: { drained: [], abandoned: [], removed: [] },
			});
			expect(answer).toHaveProperty("report.ended", ended);
			expect((await runtime.archive("k")).items).toEqual([ended]);
			expect(feed.at(-2)).toMatchObject({ type: "generation", ended });
			expect(feed.at(-1)).toMatchObject({
				type: "row",
				row: { generation: 2 },
			});
		});

		test("of a running session mints the generation first, then drains, and resolves when the old run has settled", async () => {
			const { runtime, scripted, feed } = await start();
			const { settled, ticket } = await runtime.send("k", "hello");
			const reset = runtime.reset("k", { sessionId: "S2" });
			await turns();
			expect(await runtime.get("k")).toMatchObject({
				generation: 2,
				sessionId: "S2",
				status: "resetting",
				hasActiveRun: false,
				activeRun: null,
				draining: 1,
			});
			expect((await runtime.archive("k")).items).toMatchObject([
				{
					generation: 1,
					row: { status: "running", activeRun: ticket },
					runs: [{ runId: ticket?.runId, outcome: null, stoppedBy: "reset" }],
				},
			]);
			expect(scripted.last.run.signal.reason).toMatchObject({ by: "reset" });
			expect(await now(reset)).toBe("pending");
			scripted.last.fail(new Error("broke"));
			await settled;
			const answer = await reset;
			const run = {
				runId: ticket?.runId,
				generation: 1,
				outcome: "aborted",
				stoppedBy: "reset",
				error: "broke",
			};
			expect(answer).toMatchObject({
				row: { generation: 2, status: "idle", draining: 0 },
				report: {
					ended: {
						generation: 1,
						row: {
							status: "ended",
							hasActiveRun: false,
							activeRun: null,
							lastOutcome: "aborted",
							lastError: null,
						},
						runs: [run],
					},
					drained: [run],
					abandoned: [],
				},
			});
			expect(await runtime.get("k")).toEqual(answer.row);
			expect((await runtime.archive("k")).items[0]).toEqual(
				(answer as { report: { ended: unknown } }).report.ended,
			);
			const statuses = feed.flatMap((event) =>
				event.type === "row" ? [event.row.status] : [],
			);
			expect(statuses).toEqual(["running", "resetting", "idle"]);
		});

		test("during a drain adds to what drains; each resolves when nothing older than it does", async () => {
			const { runtime, scripted, clock } = await start();
			await runtime.send("k", "first");
			const [first] = scripted.runs;
			const one = runtime.reset("k", { graceMs: 10_000 });
			await turns();
			const two = runtime.reset("k", { graceMs: 20_000 });
			await turns();
			expect(await runtime.get("k")).toMatchObject({
				generation: 3,
				draining: 1,
			});
			expect(await now(one)).toBe("pending");
			expect(await now(two)).toBe("pending");
			// The earliest deadline counts.
			await clock.advance(10_000);
			expect(await one).toMatchObject({
				row: { generation: 3 },
				report: {
					ended: { generation: 1 },
					abandoned: [{ generation: 1, stoppedBy: "reset" }],
				},
			});
			expect(await two).toMatchObject({
				report: {
					ended: { generation: 2, runs: [] },
					abandoned: [{ generation: 1 }],
				},
			});
			expect((await runtime.archive("k")).items).toMatchObject([
				{ generation: 2, row: { status: "idle", draining: 0 } },
				{ generation: 1, row: { lastOutcome: "abandoned" } },
			]);
			first?.end();
		});

		test("of several in one tick each mints a generation", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "hello");
			const resets = [1, 2, 3].map(() => runtime.reset("k"));
			await turns();
			scripted.last.end();
			const answers = await Promise.all(resets);
			expect(
				answers.map((answer) =>
					answer.result === "done" ? answer.report.ended?.generation : null,
				),
			).toEqual([1, 2, 3]);
			expect(await runtime.get("k")).toMatchObject({
				generation: 4,
				status: "idle",
			});
		});

		test("of a deleted key opens its next generation", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			await runtime.delete("k");
			expect(await runtime.reset("k", { sessionId: "S3" })).toMatchObject({
				result: "done",
				row: { generation: 2, sessionId: "S3", status: "idle" },
				report: { ended: null },
			});
		});

		describe("with a message id", () => {
			test("repeated does nothing, in the same tick, while it drains, later, and in the next process", async () => {
				const host = await start();
				const { runtime, scripted } = host;
				const id = { messageId: "/new 1" };
				await runtime.send("k", "hello");
				const [first, again] = [runtime.reset("k", id), runtime.reset("k", id)];
				expect(await again).toMatchObject({
					result: "nothing",
					row: { generation: 2, status: "resetting" },
				});
				scripted.last.end();
				expect(await first).toMatchObject({ result: "done" });
				expect(await runtime.reset("k", id)).toMatchObject({
					result: "nothing",
					row: { generation: 2 },
				});
				const next = await restart(host);
				expect(await next.runtime.reset("k", id)).toMatchObject({
					result: "nothing",
					row: { generation: 2 },
				});
				expect(
					await next.runtime.reset("k", { messageId: "/new 2" }),
				).toMatchObject({ result: "done", row: { generation: 3 } });
			});

			test("of a reset that was stale or failed is free", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime } = await startScripted(store);
				const id = { messageId: "/new" };
				await runtime.reset("k");
				expect(
					await runtime.reset("k", { ...id, expect: { generation: 9 } }),
				).toMatchObject({ result: "stale" });
				store.faults.push("before", "before");
				await expect(runtime.reset("k", id)).rejects.toMatchObject({
					code: "STORE_FAILED",
				});
				expect(await runtime.reset("k", id)).toMatchObject({ result: "done" });
			});

			test("is of its key alone", async () => {
				const { runtime } = await start();
				await runtime.reset("a", { messageId: "/new" });
				expect(await runtime.reset("b", { messageId: "/new" })).toMatchObject({
					result: "done",
				});
			});
		});

		describe("and the messages that wait", () => {
			async function waiting() {
				const host = await start();
				await host.runtime.send("k", "running");
				const receipts = [];
				for (const messageId of ["a", "b"])
					receipts.push(await host.runtime.send("k", messageId, { messageId }));
				return { ...host, receipts };
			}

			test("keeps them by default, in order, ahead of what comes later", async () => {
				const { runtime, scripted } = await waiting();
				const reset = runtime.reset("k");
				const later = runtime.send("k", "c");
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					status: "resetting",
					queued: 3,
				});
				expect(scripted.runs).toHaveLength(1);
				scripted.last.end();
				expect(await reset).toMatchObject({ report: { removed: [] } });
				await later;
				const inputs = [];
				for (let i = 0; i < 3; i++) {
					await turns();
					inputs.push(scripted.last.run.messages[0]?.input);
					scripted.last.end();
				}
				expect(inputs).toEqual(["a", "b", "c"]);
				await runtime.whenIdle();
				expect((await runtime.runs("k")).items).toMatchObject([
					{ generation: 2 },
					{ generation: 2 },
					{ generation: 2 },
					{ generation: 1 },
				]);
			});

			test("drops them when told to, and says which", async () => {
				const { runtime, scripted, receipts } = await waiting();
				const reset = runtime.reset("k", { queued: "drop" });
				for (const { settled } of receipts)
					expect(await settled).toEqual({ ticket: null, outcome: "removed" });
				scripted.last.end();
				expect(await reset).toMatchObject({
					report: { removed: ["a", "b"], ended: { row: { queued: 2 } } },
				});
				expect(await runtime.get("k")).toMatchObject({ queued: 0 });
				expect(scripted.runs).toHaveLength(1);
			});
		});

		describe("and the host's own fields", () => {
			test("keeps none by default", async () => {
				const { runtime } = await start();
				await runtime.reset("k", { meta: { a: 1 } });
				await runtime.reset("k");
				expect((await runtime.get("k"))?.meta).toEqual({});
			});

			test("keeps what carryOver returns, which is told why", async () => {
				const calls: unknown[] = [];
				const { runtime } = await start({
					carryOver: (meta, cause) => {
						calls.push([meta, cause]);
						return { model: (meta as { model?: JsonValue }).model ?? null };
					},
				});
				await runtime.reset("k", { meta: { model: "m", draft: 1 } });
				await runtime.reset("k");
				expect((await runtime.get("k"))?.meta).toEqual({ model: "m" });
				expect(calls).toEqual([[{ model: "m", draft: 1 }, "reset"]]);
			});

			const bad: Record<string, () => unknown> = {
				throws: () => {
					throw new Error("carryOver broke");
				},
				"returns nothing": () => undefined,
				"returns what cannot be stored": () => ({ at: new Date() }),
				"returns a promise": async () => ({}),
			};
			for (const [name, carryOver] of Object.entries(bad))
				test(`keeps none where carryOver ${name}, and logs it: a host function never refuses a reset`, async () => {
					const logged: string[] = [];
					const { runtime } = await start({
						carryOver: carryOver as never,
						logger: {
							debug() {},
							info() {},
							warn() {},
							error: (_, message) => logged.push(message ?? ""),
						},
					});
					await runtime.reset("k", { meta: { a: 1 } });
					expect(await runtime.reset("k")).toMatchObject({
						result: "done",
						row: { generation: 2, meta: {} },
					});
					expect(logged).toEqual([expect.stringContaining("carryOver")]);
				});

			test("takes the given ones instead, and does not ask carryOver", async () => {
				const { runtime } = await start({
					carryOver: () => {
						throw new Error("not to be called");
					},
				});
				await runtime.reset("k", { meta: { a: 1 } });
				expect(await runtime.reset("k", { meta: { b: 1 } })).toMatchObject({
					row: { meta: { b: 1 } },
					report: { ended: { row: { meta: { a: 1 } } } },
				});
			});
		});

		describe("with an expectation", () => {
			const unmet: [keyof Expectation, Expectation][] = [
				["sessionId", { sessionId: "S9" }],
				["generation", { generation: 1 }],
				["runId", { runId: "R9" }],
				["version", { version: 1 }],
			];
			for (const [mismatch, expectation] of unmet)
				test(`of another ${mismatch} it does nothing, and says so (SC-07)`, async () => {
					const { runtime, scripted, feed } = await start();
					await runtime.reset("k");
					await runtime.reset("k", { sessionId: "S2" });
					const { settled } = await runtime.send("k", "hello");
					await runtime.send("k", "waits");
					const row = await runtime.get("k");
					const seen = feed.length;
					expect(
						await runtime.reset("k", {
							expect: expectation,
							queued: "drop",
							meta: { a: 1 },
						}),
					).toEqual({ result: "stale", mismatch, row });
					expect(await runtime.get("k")).toEqual(row);
					expect(feed).toHaveLength(seen);
					expect(scripted.last.run.signal.aborted).toBe(false);
					scripted.last.end();
					expect(await settled).toMatchObject({ outcome: "completed" });
				});

			test("that holds is carried out", async () => {
				const { runtime } = await start();
				const { row } = await runtime.reset("k", { expect: { generation: 0 } });
				expect(
					await runtime.reset("k", {
						expect: {
							generation: 1,
							version: 1,
							...(row ? { sessionId: row.sessionId } : {}),
						},
					}),
				).toMatchObject({ result: "done", row: { generation: 2 } });
				expect(
					await runtime.reset("k", { expect: { generation: 0 } }),
				).toMatchObject({ result: "stale", mismatch: "generation" });
			});

			test("of a key that nobody uses is stale, with no row", async () => {
				const { runtime } = await start();
				expect(await runtime.reset("k", { expect: { generation: 1 } })).toEqual(
					{ result: "stale", mismatch: "generation", row: null },
				);
				expect(await runtime.get("k")).toBeNull();
			});
		});

		test("a host that keeps its session id across resets is told apart by generation alone (SE-04)", async () => {
			const { runtime, scripted, clock } = await start({
				graceMs: 10,
				ids: { sessionId: () => "always the same" },
			});
			await runtime.send("k", "hello");
			const reset = runtime.reset("k");
			await clock.advance(10);
			await reset;
			await runtime.send("k", "again");
			scripted.runs[0]?.end("late");
			await turns();
			expect(await runtime.get("k")).toMatchObject({
				sessionId: "always the same",
				generation: 2,
				status: "running",
				version: 4,
			});
		});

		test("ids.sessionId is asked for each new session id, and told for what", async () => {
			const asked: unknown[] = [];
			const { runtime, scripted } = await start({
				ids: {
					sessionId: (for_) => {
						asked.push(for_);
						return `S${asked.length}`;
					},
				},
			});
			const { settled } = await runtime.send("k", "hello");
			await scripted.last.run.rotate();
			scripted.last.end();
			await settled;
			await runtime.send("k", "needs none");
			scripted.last.end();
			await runtime.whenIdle();
			await runtime.reset("k");
			await runtime.reset("k", { sessionId: "given" });
			await runtime.delete("k");
			await runtime.admit("k");
			await runtime.reset("new");
			const of = (sessionKey: string, generation: number, cause: string) => ({
				sessionKey,
				generation,
				cause,
			});
			expect(asked).toEqual([
				of("k", 1, "first"),
				of("k", 1, "rotate"),
				of("k", 2, "reset"),
				of("k", 4, "first"),
				of("new", 1, "first"),
			]);
			expect((await runtime.get("k"))?.sessionId).toBe("S4");
		});

		test("fresh session ids are made where nobody gives them", async () => {
			const { runtime } = await start();
			const ids = new Set<unknown>();
			for (let i = 0; i < 5; i++)
				ids.add((await runtime.reset("k")).row?.sessionId);
			expect(ids.size).toBe(5);
		});

		test("a session that died in the middle of a reset is drained and idle in the next process", async () => {
			const store = new CrashingStore(makeStore());
			const host = await startScripted(store);
			await host.runtime.send("k", "hello");
			await host.runtime.send("k", "waits");
			void host.runtime.reset("k").catch(() => {});
			await turns();
			expect(await host.runtime.get("k")).toMatchObject({ draining: 1 });
			await store.crash();
			const { runtime, scripted } = await startScripted(store);
			expect((await runtime.archive("k")).items).toMatchObject([
				{
					row: { hasActiveRun: false, lastOutcome: "aborted" },
					runs: [{ outcome: "aborted", stoppedBy: "reset" }],
				},
			]);
			await turns();
			expect(await runtime.get("k")).toMatchObject({
				generation: 2,
				status: "running",
				draining: 0,
			});
			expect(scripted.last.run.messages).toMatchObject([{ input: "waits" }]);
		});

		test("thousands of resets of many keys at once all get through", async () => {
			const { runtime } = await start();
			const answers = await Promise.all(
				Array.from({ length: 500 }, (_, i) => runtime.reset(`k${i % 50}`)),
			);
			expect(answers.every(({ result }) => result === "done")).toBe(true);
			const { items } = await runtime.list();
			expect(new Set(items.map(({ generation }) => generation))).toEqual(
				new Set([10]),
			);
		});
	});
