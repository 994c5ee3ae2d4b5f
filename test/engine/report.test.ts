/** `report`: every report gets a verdict, and takes effect on its own run or on nothing (promises 1 and 2). */
import type { LifecycleReport } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { close, restart } from "../support/restart.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`report, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startHost>[1]) =>
			startHost(makeStore(), options);

		/** A session k whose run R is live, at generation 2 and session id S. */
		async function live() {
			const host = await start();
			await host.runtime.reset("k");
			await host.runtime.reset("k");
			const run = await host.runtime.admit("k", { runId: "R", sessionId: "S" });
			return { ...host, run };
		}

		describe("about a live run is applied", () => {
			const identities: Record<string, object> = {
				"run id alone": {},
				"key and run id": { sessionKey: "k" },
				"session id and run id": { sessionId: "S" },
				"generation and run id": { generation: 2 },
				"attempt and run id": { attempt: 1 },
				"the whole ticket": {
					sessionKey: "k",
					sessionId: "S",
					generation: 2,
					attempt: 1,
				},
				"unknown fields besides": { channel: "telegram", seq: 12, nested: {} },
				"fields that are undefined": {
					sessionKey: undefined,
					attempt: undefined,
				},
			};
			for (const [name, identity] of Object.entries(identities))
				test(`when it says ${name}`, async () => {
					const { runtime, run } = await live();
					const said = { runId: "R", ...identity };
					expect(
						await runtime.report({ ...said, phase: "start" }),
					).toMatchObject({
						verdict: "applied",
						reason: expect.any(String),
						ticket: run.ticket,
						row: { status: "running" },
					});
					expect(
						await runtime.report({
							...said,
							phase: "error",
							error: "no model",
						}),
					).toMatchObject({
						verdict: "applied",
						ticket: run.ticket,
						row: { status: "failed", lastError: "no model" },
					});
					expect((await runtime.refusals()).items).toEqual([]);
				});
		});

		test("a start that is said twice is a duplicate, and the first counts", async () => {
			const { runtime, clock } = await live();
			const startedAt = clock.now() - 5;
			await runtime.report({ runId: "R", phase: "start", startedAt });
			expect(
				await runtime.report({
					runId: "R",
					phase: "start",
					startedAt: startedAt + 3,
				}),
			).toMatchObject({ verdict: "duplicate", row: { startedAt } });
			expect(await runtime.get("k")).toMatchObject({ startedAt });
		});

		test("an end that is said twice is a duplicate, whatever it says the second time", async () => {
			const { runtime } = await live();
			await runtime.report({
				runId: "R",
				phase: "end",
				usage: { inputTokens: 1 },
			});
			const before = await runtime.get("k");
			const second: LifecycleReport[] = [
				{ runId: "R", phase: "end" },
				{ runId: "R", phase: "end", outcome: "timeout" },
				{
					runId: "R",
					phase: "end",
					usage: { inputTokens: 900 },
					endedAt: 5,
					startedAt: 1,
				},
				{ runId: "R", phase: "error", error: "late" },
				{ runId: "R", phase: "start" },
			];
			for (const report of second)
				expect(await runtime.report(report)).toMatchObject({
					verdict: "duplicate",
					reason: expect.stringContaining("completed"),
					ticket: { runId: "R", generation: 2 },
					row: before,
				});
			expect(await runtime.get("k")).toEqual(before);
			expect((await runtime.runs("k")).items).toMatchObject([
				{ outcome: "completed", inputTokens: 1 },
			]);
			expect((await runtime.refusals({ sessionKey: "k" })).items).toHaveLength(
				5,
			);
		});

		test("a run that was never admitted is unknown, with and without a key", async () => {
			const { runtime, clock, run } = await live();
			for (const said of [{}, { sessionKey: "k" }, { sessionKey: "nobody" }])
				expect(
					await runtime.report({ runId: "Q", ...said, phase: "end" }),
				).toMatchObject({
					verdict: "unknown",
					reason: expect.stringContaining('"Q"'),
					ticket: null,
				});
			// R is another key's.
			expect(
				await runtime.report({
					runId: "R",
					sessionKey: "nobody",
					phase: "end",
				}),
			).toMatchObject({ verdict: "unknown", row: null });
			expect(await runtime.get("nobody")).toBeNull();
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const { items } = await runtime.refusals();
			expect(items).toHaveLength(4);
			expect(items[2]).toEqual({
				at: clock.now(),
				verdict: "unknown",
				reason: expect.any(String),
				report: { runId: "Q", sessionKey: "k", phase: "end" },
				current: run.ticket,
			});
			expect((await runtime.refusals({ sessionKey: "k" })).items).toHaveLength(
				1,
			);
		});

		describe("that contradicts its run is refused, and says in what", () => {
			const contradictions: Record<string, object> = {
				sessionId: { sessionId: "S9" },
				generation: { generation: 1 },
				attempt: { attempt: 2 },
			};
			for (const [field, said] of Object.entries(contradictions))
				for (const state of ["live", "reserved", "drains", "settled"] as const)
					test(`${field}, of a run that is ${state}`, async () => {
						const { runtime, run } = await live();
						if (state === "reserved") {
							await run.end();
							await runtime.admit("k", {
								runId: "Q",
								sessionId: "S",
								reserve: true,
							});
						}
						const reset = state === "drains" ? runtime.reset("k") : null;
						if (state === "settled") await run.end();
						await turns();
						const before = await runtime.get("k");
						const runId = state === "reserved" ? "Q" : "R";
						for (const phase of ["start", "end"] as const)
							expect(
								await runtime.report({
									runId,
									sessionKey: "k",
									...said,
									phase,
								}),
							).toMatchObject({
								verdict: "refused",
								reason: expect.stringContaining(field),
								ticket: { runId, generation: 2 },
							});
						expect(await runtime.get("k")).toEqual(before);
						if (reset) {
							await run.end();
							await reset;
						}
					});

			test("the key, where the run id is known elsewhere, is unknown there", async () => {
				const { runtime } = await live();
				await runtime.reset("other");
				expect(
					await runtime.report({
						runId: "R",
						sessionKey: "other",
						phase: "end",
					}),
				).toMatchObject({ verdict: "unknown", row: { sessionKey: "other" } });
			});
		});

		test("a run id that two sessions know is ambiguous until the key is said", async () => {
			const { runtime } = await start();
			const a = await runtime.admit("a", { runId: "R" });
			await runtime.admit("b", { runId: "R" });
			const ambiguous = {
				verdict: "refused",
				reason: expect.stringMatching(/2 sessions.*sessionKey/),
				ticket: null,
				row: null,
			};
			expect(await runtime.report({ runId: "R", phase: "end" })).toMatchObject(
				ambiguous,
			);
			expect(
				await runtime.report({ runId: "R", sessionKey: "b", phase: "end" }),
			).toMatchObject({ verdict: "applied", ticket: { sessionKey: "b" } });
			// Also when one of them has settled: that a report is about the other is a guess.
			expect(await runtime.report({ runId: "R", phase: "end" })).toMatchObject(
				ambiguous,
			);
			expect(a.signal.aborted).toBe(false);
			expect(await runtime.get("a")).toMatchObject({ status: "running" });
		});

		describe("about a managed run", () => {
			for (const phase of ["start", "end", "error"] as const)
				test(`that is live is refused (${phase})`, async () => {
					const { runtime, scripted } = await startScripted(makeStore());
					const { ticket, settled } = await runtime.send("k", "hello");
					expect(
						await runtime.report({
							...(ticket as object),
							runId: ticket?.runId as string,
							phase,
							error: "from outside",
						} as LifecycleReport),
					).toMatchObject({
						verdict: "refused",
						reason: expect.stringContaining("managed"),
						ticket,
						row: { status: "running" },
					});
					scripted.last.end("hi");
					expect(await settled).toMatchObject({ outcome: "completed" });
				});

			test("that drains is refused, and one that has settled is a duplicate", async () => {
				const { runtime, scripted } = await startScripted(makeStore());
				const { ticket } = await runtime.send("k", "hello");
				const runId = ticket?.runId as string;
				const reset = runtime.reset("k");
				await turns();
				expect(await runtime.report({ runId, phase: "end" })).toMatchObject({
					verdict: "refused",
				});
				scripted.last.end();
				expect(await reset).toMatchObject({ report: { abandoned: [] } });
				expect(await runtime.report({ runId, phase: "end" })).toMatchObject({
					verdict: "duplicate",
				});
			});
		});

		describe("about a run of an ended generation", () => {
			test("that drains is archived, start and end each once", async () => {
				const { runtime, run } = await live();
				const reset = runtime.reset("k");
				await turns();
				const startedAt = 1_000;
				expect(
					await runtime.report({ runId: "R", phase: "start", startedAt }),
				).toMatchObject({
					verdict: "archived",
					ticket: run.ticket,
					row: { generation: 3, status: "resetting", startedAt: null },
				});
				expect(
					await runtime.report({ runId: "R", phase: "start" }),
				).toMatchObject({ verdict: "duplicate" });
				expect(
					await runtime.report({
						runId: "R",
						phase: "end",
						endedAt: 1_500,
						usage: { inputTokens: 7 },
					}),
				).toMatchObject({
					verdict: "archived",
					row: { generation: 3, status: "idle", inputTokens: 0 },
				});
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "duplicate" });
				await reset;
				expect((await runtime.archive("k")).items[0]).toMatchObject({
					generation: 2,
					row: {
						status: "ended",
						hasActiveRun: false,
						activeRun: null,
						lastOutcome: "aborted",
						startedAt,
						endedAt: 1_500,
						runtimeMs: 500,
						inputTokens: 7,
					},
					runs: [{ runId: "R", outcome: "aborted", inputTokens: 7 }],
				});
				expect(
					(await runtime.refusals()).items.map(({ verdict }) => verdict),
				).toEqual(["duplicate", "archived", "duplicate", "archived"]);
			});

			test("that was abandoned is a duplicate, also in a much later generation", async () => {
				const { runtime, clock } = await live();
				const reset = runtime.reset("k");
				await clock.advance(5000);
				await reset;
				await runtime.reset("k");
				await runtime.reset("k");
				const before = await runtime.get("k");
				expect(
					await runtime.report({
						runId: "R",
						phase: "error",
						error: "late",
						usage: { inputTokens: 9 },
					}),
				).toMatchObject({
					verdict: "duplicate",
					reason: expect.stringContaining("abandoned"),
					ticket: { generation: 2 },
				});
				expect(await runtime.get("k")).toEqual(before);
			});

			test("of a deleted session reaches its archive, and does not bring the session back (DR-01)", async () => {
				const { runtime, run, feed } = await live();
				const deleted = runtime.delete("k");
				await turns();
				expect(await runtime.get("k")).toBeNull();
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "archived", ticket: run.ticket, row: null });
				await deleted;
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "duplicate", row: null });
				expect(await runtime.get("k")).toBeNull();
				expect((await runtime.list()).items).toEqual([]);
				const rows = feed.filter(
					({ type }) => type === "row" || type === "deleted",
				);
				expect(rows.at(-1)?.type).toBe("deleted");
			});

			test("of a purged session is unknown", async () => {
				const { runtime, run } = await live();
				await run.end();
				await runtime.delete("k", { purge: true });
				for (const said of [{ runId: "R" }, run.ticket])
					expect(await runtime.report({ ...said, phase: "end" })).toMatchObject(
						{ verdict: "unknown", ticket: null, row: null },
					);
			});
		});

		describe("by run id alone finds its session", () => {
			test("after the session has left memory", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				await runtime.admit("k", { runId: "R", reserve: true });
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				expect(
					await runtime.report({ runId: "R", phase: "start" }),
				).toMatchObject({ verdict: "applied", ticket: { sessionKey: "k" } });
				await runtime.report({ runId: "R", phase: "end" });
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "duplicate", ticket: { sessionKey: "k" } });
			});

			test("after a restart, settled 'interrupted' as it was left", async () => {
				const store = new CrashingStore(makeStore());
				const { runtime: dead } = await startHost(store);
				await dead.admit("k", { runId: "R" });
				await store.crash();
				const { runtime } = await startHost(store);
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({
					verdict: "duplicate",
					reason: expect.stringContaining("interrupted"),
					ticket: { sessionKey: "k", generation: 1 },
				});
			});

			test("when it is reported twice in one tick", async () => {
				const { runtime } = await live();
				const verdicts = await Promise.all([
					runtime.report({ runId: "R", phase: "end" }),
					runtime.report({ runId: "R", phase: "end", sessionKey: "k" }),
					runtime.report({ runId: "R", phase: "error", error: "x" }),
				]);
				expect(verdicts.map(({ verdict }) => verdict).sort()).toEqual([
					"applied",
					"duplicate",
					"duplicate",
				]);
			});
		});

		test("one that was told to stop may still say that it started", async () => {
			const { runtime } = await live();
			const aborted = runtime.abort("k");
			await turns();
			expect(
				await runtime.report({ runId: "R", phase: "start" }),
			).toMatchObject({
				verdict: "applied",
				row: { status: "running" },
			});
			await runtime.report({ runId: "R", phase: "end" });
			expect(await aborted).toMatchObject({
				row: { status: "ended", lastOutcome: "aborted" },
			});
		});

		test("a start after the end cannot bring a run back (VD-02)", async () => {
			const { runtime } = await live();
			await runtime.report({ runId: "R", phase: "end" });
			expect(
				await runtime.report({ runId: "R", phase: "start" }),
			).toMatchObject({
				verdict: "duplicate",
				row: { status: "ended" },
			});
		});

		describe("of a wrong type is refused, and kept as far as it can be", () => {
			const malformed: Record<string, [unknown, string]> = {
				nothing: [undefined, "report"],
				null: [null, "report"],
				"a text": ["end R", "report"],
				"a number": [7, "report"],
				"a function": [() => {}, "report"],
				"an array": [[], "runId"],
				"an empty object": [{}, "runId"],
				"no run id": [{ phase: "end" }, "runId"],
				"an empty run id": [{ runId: "", phase: "end" }, "runId"],
				"a number as run id": [{ runId: 7, phase: "end" }, "runId"],
				"no phase": [{ runId: "R" }, "phase"],
				"a phase that is none": [{ runId: "R", phase: "pause" }, "phase"],
				"a phase of number": [{ runId: "R", phase: 1 }, "phase"],
				"a key of number": [
					{ runId: "R", phase: "end", sessionKey: 5 },
					"sessionKey",
				],
				"an empty key": [
					{ runId: "R", phase: "end", sessionKey: "" },
					"sessionKey",
				],
				"a session id of null": [
					{ runId: "R", phase: "end", sessionId: null },
					"sessionId",
				],
				"a generation of text": [
					{ runId: "R", phase: "end", generation: "2" },
					"generation",
				],
				"a generation that is no number": [
					{ runId: "R", phase: "end", generation: Number.NaN },
					"generation",
				],
				"an attempt of null": [
					{ runId: "R", phase: "end", attempt: null },
					"attempt",
				],
				"a start time of text": [
					{ runId: "R", phase: "start", startedAt: "now" },
					"startedAt",
				],
				"an end time without end": [
					{ runId: "R", phase: "end", endedAt: Number.POSITIVE_INFINITY },
					"endedAt",
				],
				"a date as end time": [
					{ runId: "R", phase: "end", endedAt: new Date(0) },
					"endedAt",
				],
				"an error without text": [{ runId: "R", phase: "error" }, "error"],
				"an error that is an Error": [
					{ runId: "R", phase: "error", error: new Error("x") },
					"error",
				],
				"an outcome that is none": [
					{ runId: "R", phase: "end", outcome: "failed" },
					"outcome",
				],
				"an outcome of null": [
					{ runId: "R", phase: "end", outcome: null },
					"outcome",
				],
				"usage of number": [{ runId: "R", phase: "end", usage: 5 }, "usage"],
				"usage of null": [{ runId: "R", phase: "end", usage: null }, "usage"],
				"tokens of text": [
					{ runId: "R", phase: "end", usage: { inputTokens: "5" } },
					"usage.inputTokens",
				],
				"negative tokens": [
					{ runId: "R", phase: "end", usage: { outputTokens: -1 } },
					"usage.outputTokens",
				],
				"a BigInt": [{ runId: "R", phase: "end", attempt: 1n }, "attempt"],
			};
			for (const [name, [report, field]] of Object.entries(malformed))
				test(name, async () => {
					const { runtime, feed, run } = await live();
					const before = await runtime.get("k");
					const verdict = await runtime.report(wrong(report));
					expect(verdict).toMatchObject({
						verdict: "refused",
						reason: expect.stringContaining(field),
						ticket: null,
					});
					expect(await runtime.get("k")).toEqual(before);
					const { items } = await runtime.refusals();
					expect(items).toMatchObject([
						{ verdict: "refused", reason: verdict.reason },
					]);
					expect(feed.at(-1)).toMatchObject({
						type: "refusal",
						refusal: items[0],
					});
					expect(await run.end()).toMatchObject({ verdict: "applied" });
				});

			test("that names a key is filed there, with what was live at the time", async () => {
				const { runtime, run } = await live();
				const report = { runId: "R", sessionKey: "k", phase: "finished" };
				expect(await runtime.report(wrong(report))).toMatchObject({
					verdict: "refused",
					row: { sessionKey: "k", status: "running" },
				});
				expect(
					(await runtime.refusals({ sessionKey: "k" })).items,
				).toMatchObject([{ report, current: run.ticket }]);
			});
		});

		test("every report that was not applied is on the feed, after its commit", async () => {
			const { runtime, feed } = await live();
			await runtime.report({ runId: "Q", phase: "end" });
			await runtime.report({ runId: "R", phase: "start" });
			await runtime.report({ runId: "R", phase: "start" });
			const told = feed.filter((event) => event.type === "refusal");
			expect(told.map(({ refusal }) => refusal)).toEqual(
				[...(await runtime.refusals()).items].reverse(),
			);
			expect(told.map(({ refusal }) => refusal.verdict)).toEqual([
				"unknown",
				"duplicate",
			]);
		});

		test("under the session id that a reservation had before it started is that run's own", async () => {
			// 1 admit(k, R, reserve) under S1 → 2 admit(k, R, sessionId: S2) starts it → 3 its end under S1: the run no longer knew that id, and the
			// record of its reservation matched, so that the run was filed as completed while it was live.
			const { runtime } = await startHost(makeStore());
			await runtime.reset("k", { sessionId: "S1" });
			await runtime.admit("k", { runId: "R", reserve: true });
			await runtime.admit("k", { runId: "R", sessionId: "S2" });
			const end = { runId: "R", sessionKey: "k", phase: "end" } as const;
			expect(await runtime.report({ ...end, sessionId: "S3" })).toMatchObject({
				verdict: "refused",
				reason: 'sessionId is "S3", but run "R" has "S2"',
				row: { status: "running" },
			});
			expect(await runtime.report({ ...end, sessionId: "S1" })).toMatchObject({
				verdict: "applied",
				row: { sessionId: "S2" },
			});
			expect((await runtime.runs("k")).items).toMatchObject([
				{ runId: "R", outcome: "completed" },
			]);
		});

		test("is served while the runtime closes, and not after", async () => {
			const { runtime, clock } = await live();
			const closing = runtime.close({ runs: "await", graceMs: 1000 });
			await turns();
			expect(await runtime.report({ runId: "R", phase: "end" })).toMatchObject({
				verdict: "applied",
				row: { lastOutcome: "completed" },
			});
			await clock.advance(0);
			await closing;
			expect(await codeOf(runtime.report({ runId: "R", phase: "end" }))).toBe(
				"RUNTIME_CLOSED",
			);
		});

		test("refusals outlive the process", async () => {
			const host = await live();
			await host.runtime.report({ runId: "Q", phase: "end" });
			await close(host);
			const { runtime } = await restart(host);
			expect((await runtime.refusals()).items).toMatchObject([
				{ verdict: "unknown", report: { runId: "Q" } },
			]);
		});
	});
