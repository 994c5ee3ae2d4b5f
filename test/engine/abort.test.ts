/** `abort`: stops the live run, or the reservation that is named; resolves when that has settled. */
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`abort, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("of a key that nobody uses finds nothing to do", async () => {
			const { runtime, feed } = await start();
			expect(await runtime.abort("k")).toEqual({
				result: "nothing",
				row: null,
			});
			expect(await runtime.get("k")).toBeNull();
			expect(feed).toEqual([]);
		});

		test("of an idle session finds nothing to do", async () => {
			const { runtime } = await start();
			const { row } = await runtime.reset("k");
			expect(await runtime.abort("k")).toEqual({ result: "nothing", row });
			expect(await runtime.get("k")).toEqual(row);
		});

		test("of a live run tells it to stop, and resolves when it has", async () => {
			const { runtime, scripted, clock } = await start();
			const { ticket } = await runtime.send("k", "hello");
			await clock.advance(10);
			const stoppedAt = clock.now();
			const aborted = runtime.abort("k", { reason: "/stop" });
			await clock.advance(20);
			expect(scripted.last.run.signal.reason).toMatchObject({
				by: "abort",
				message: expect.stringContaining("/stop"),
			});
			// Told to stop is not stopped (AB-17).
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				hasActiveRun: true,
				activeRun: ticket,
			});
			expect(await now(aborted)).toBe("pending");
			scripted.last.end();
			const run = {
				runId: ticket?.runId,
				outcome: "aborted",
				stoppedBy: "abort",
				stoppedAt,
				endedAt: stoppedAt + 20,
			};
			expect(await aborted).toMatchObject({
				result: "done",
				row: { status: "ended", lastOutcome: "aborted", generation: 1 },
				report: {
					ended: null,
					drained: [run],
					abandoned: [],
					removed: [],
				},
			});
			expect((await runtime.runs("k")).items).toMatchObject([run]);
		});

		test("repeated joins, and each resolves when the run has settled", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "hello");
			const aborts = [runtime.abort("k"), runtime.abort("k")];
			await turns();
			aborts.push(runtime.abort("k"));
			await turns();
			expect(await Promise.all(aborts.map(now))).toEqual([
				"pending",
				"pending",
				"pending",
			]);
			scripted.last.end();
			for (const answer of await Promise.all(aborts))
				expect(answer).toMatchObject({
					result: "done",
					report: { drained: [{ outcome: "aborted" }] },
				});
			expect(await runtime.abort("k")).toMatchObject({ result: "nothing" });
		});

		test("of a run that ignores it abandons it after its own grace period", async () => {
			const { runtime, clock } = await start({ graceMs: 60_000 });
			await runtime.send("k", "hello");
			const aborted = runtime.abort("k", { graceMs: 30 });
			await clock.advance(29);
			expect(await now(aborted)).toBe("pending");
			await clock.advance(1);
			expect(await aborted).toMatchObject({
				row: { status: "ended", lastOutcome: "abandoned" },
				report: {
					drained: [],
					abandoned: [{ outcome: "abandoned", stoppedBy: "abort" }],
				},
			});
		});

		test("without patience abandons at once", async () => {
			const { runtime, clock, scripted } = await start();
			await runtime.send("k", "hello");
			const aborted = runtime.abort("k", { graceMs: 0 });
			await clock.advance(0);
			expect(await aborted).toMatchObject({
				report: { abandoned: [{ outcome: "abandoned" }] },
			});
			expect(scripted.last.run.signal.aborted).toBe(true);
		});

		test("keeps the messages that wait, and the next runs (RQ-11)", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			await runtime.send("k", "second");
			const aborted = runtime.abort("k");
			await turns();
			scripted.last.end();
			expect(await aborted).toMatchObject({
				row: { status: "running" },
				report: { removed: [] },
			});
			expect(scripted.last.run.messages).toMatchObject([{ input: "second" }]);
			expect(scripted.last.run.signal.aborted).toBe(false);
		});

		test("drops them when told to, also those that come before the run has stopped are kept", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			await runtime.send("k", "dropped", { messageId: "a" });
			const aborted = runtime.abort("k", { queued: "drop" });
			await turns();
			await runtime.send("k", "later");
			scripted.last.end();
			expect(await aborted).toMatchObject({ report: { removed: ["a"] } });
			expect(scripted.last.run.messages).toMatchObject([{ input: "later" }]);
		});

		test("drops what waits for a drain to end, where nothing else is to stop", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			const reset = runtime.reset("k");
			await turns();
			expect(await runtime.abort("k")).toMatchObject({
				result: "nothing",
				row: { status: "resetting" },
			});
			await runtime.send("k", "waits", { messageId: "a" });
			const aborted = runtime.abort("k", { queued: "drop" });
			await turns();
			expect(await runtime.get("k")).toMatchObject({ queued: 0 });
			scripted.last.end();
			await reset;
			expect(await aborted).toMatchObject({
				result: "done",
				report: { removed: ["a"] },
			});
			expect(await runtime.get("k")).toMatchObject({
				status: "idle",
				queued: 0,
			});
			expect(scripted.runs).toHaveLength(1);
		});

		describe("with an expectation", () => {
			test("of the live run stops that run", async () => {
				const { runtime, scripted } = await start();
				const { ticket } = await runtime.send("k", "hello");
				const aborted = runtime.abort("k", {
					expect: { runId: ticket?.runId },
				});
				await turns();
				scripted.last.end();
				expect(await aborted).toMatchObject({ result: "done" });
			});

			test("of a run that has ended leaves its successor alone (SC-04, AB-19)", async () => {
				const { runtime, scripted } = await start();
				const { ticket, settled } = await runtime.send("k", "first");
				scripted.last.end();
				await settled;
				await runtime.send("k", "second");
				expect(
					await runtime.abort("k", {
						expect: { runId: ticket?.runId },
						queued: "drop",
					}),
				).toMatchObject({
					result: "stale",
					mismatch: "runId",
					row: { status: "running" },
				});
				expect(scripted.last.run.signal.aborted).toBe(false);
			});

			test("of the next run, sent before the first has ended, is stale too", async () => {
				const { runtime, scripted } = await start({
					ids: { runId: () => `R${scripted?.runs.length ?? 0}` },
				});
				await runtime.send("k", "first");
				expect(
					await runtime.abort("k", { expect: { runId: "R1" } }),
				).toMatchObject({ result: "stale" });
			});

			test("of a generation that is over leaves the session alone (SC-05)", async () => {
				const { runtime, scripted } = await start();
				await runtime.reset("k");
				await runtime.reset("k");
				await runtime.send("k", "hello");
				for (const expectation of [
					{ generation: 1 },
					{ sessionId: "S1" },
					{ version: 2 },
				])
					expect(
						await runtime.abort("k", { expect: expectation }),
					).toMatchObject({ result: "stale", row: { generation: 2 } });
				expect(scripted.last.run.signal.aborted).toBe(false);
			});

			test("of a reservation gives up that reservation alone", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				const reserved = await runtime.admit("k", {
					runId: "R",
					reserve: true,
				});
				expect(
					await runtime.abort("k", {
						expect: { runId: "R", generation: 7 },
					}),
				).toMatchObject({ result: "stale", mismatch: "generation" });
				expect(reserved.signal.aborted).toBe(false);
				expect(
					await runtime.abort("k", {
						expect: { runId: "R", generation: 1 },
						reason: "not needed",
					}),
				).toMatchObject({
					result: "done",
					row: { status: "running" },
					report: { ended: null, abandoned: [] },
				});
				expect(reserved.signal.reason).toMatchObject({ by: "abort" });
				expect(scripted.last.run.signal.aborted).toBe(false);
				expect(
					await runtime.abort("k", { expect: { runId: "R" } }),
				).toMatchObject({ result: "stale", mismatch: "runId" });
			});
		});

		test("of a run that ends at the same time: the first that is committed decides (TC-02)", async () => {
			const { runtime, scripted } = await start();
			const { settled } = await runtime.send("k", "hello");
			scripted.last.end("done");
			await Promise.resolve();
			await Promise.resolve();
			await Promise.resolve();
			const answer = await runtime.abort("k");
			const { outcome } = await settled;
			expect([answer.result, outcome]).toEqual(
				outcome === "completed"
					? ["nothing", "completed"]
					: ["done", "aborted"],
			);
			expect(await runtime.get("k")).toMatchObject({
				status: "ended",
				lastOutcome: outcome,
			});
		});

		describe("with a message id", () => {
			const id = { messageId: "/stop 1" };

			test("repeated stops nothing that came later, also in the next process", async () => {
				const host = await start();
				const { runtime, scripted } = host;
				await runtime.send("k", "one");
				const first = runtime.abort("k", id);
				expect(await runtime.abort("k", id)).toMatchObject({
					result: "nothing",
				});
				scripted.last.end();
				expect(await first).toMatchObject({ result: "done" });
				await runtime.send("k", "two");
				expect(await runtime.abort("k", id)).toMatchObject({
					result: "nothing",
					row: { status: "running" },
				});
				scripted.last.end();
				await runtime.whenIdle();
				const next = await restart(host, { execute: () => "done" });
				const { settled } = await next.runtime.send("k", "three");
				expect(await next.runtime.abort("k", id)).toMatchObject({
					result: "nothing",
				});
				expect(await settled).toMatchObject({ outcome: "completed" });
			});

			test("that found nothing to do was carried out all the same; of a key that was never used nothing is kept", async () => {
				const { runtime, scripted, feed } = await start();
				expect(await runtime.abort("k", id)).toMatchObject({ row: null });
				await runtime.send("k", "one");
				scripted.last.end();
				await runtime.whenIdle();
				const { length } = feed;
				const again = { messageId: "/stop 2" };
				const before = await runtime.get("k");
				expect(await runtime.abort("k", again)).toEqual({
					result: "nothing",
					row: before,
				});
				expect(feed).toHaveLength(length);
				await runtime.send("k", "two");
				expect(await runtime.abort("k", again)).toMatchObject({
					result: "nothing",
				});
				const stopped = runtime.abort("k", id);
				await turns();
				scripted.last.end();
				expect(await stopped).toMatchObject({ result: "done" });
			});

			test("that was stale is free; that of something else is refused", async () => {
				const { runtime, scripted } = await start();
				const hello = { messageId: "m1" };
				await runtime.send("k", "one", hello);
				expect(
					await runtime.abort("k", { ...id, expect: { generation: 9 } }),
				).toMatchObject({ result: "stale" });
				const aborted = runtime.abort("k", id);
				await turns();
				scripted.last.end();
				expect(await aborted).toMatchObject({ result: "done" });
				await expect(runtime.abort("k", hello)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining(
						'was used before on session "k" for a message; an abort needs an id of its own',
					),
				});
				await expect(runtime.delete("k", id)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining("for an abort; a delete needs"),
				});
				await expect(runtime.send("k", "two", id)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining("for an abort; a new message"),
				});
			});
		});

		test("is served while the runtime closes", async () => {
			const { runtime, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			const closing = runtime.close({ runs: "await", graceMs: 1000 });
			const aborted = runtime.abort("k");
			await turns();
			expect(scripted.last.run.signal.reason).toMatchObject({ by: "abort" });
			scripted.last.end();
			expect(await aborted).toMatchObject({ result: "done" });
			expect(await settled).toMatchObject({ outcome: "aborted" });
			await clock.advance(0);
			await closing;
		});
	});
