/** `admit`: runs that the host drives itself, live or reserved. */
import type { RunTicket } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { type Host, startHost } from "../support/host.ts";
import { restart } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const R = { runId: "R" };
const reserve = { reserve: true };

for (const [kind, makeStore] of storeKinds)
	describe(`admit, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startHost>[1]): Promise<Host> =>
			startHost(makeStore(), options);

		describe("a live run", () => {
			test("holds the session from its admission to its end", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k", { ...R, sessionId: "S1" });
				const ticket: RunTicket = {
					sessionKey: "k",
					sessionId: "S1",
					generation: 1,
					runId: "R",
					attempt: 1,
				};
				expect(run.ticket).toEqual(ticket);
				expect(run.row).toEqual(await runtime.get("k"));
				expect(run.row).toMatchObject({
					status: "running",
					sessionId: "S1",
					activeRun: ticket,
					startedAt: null,
				});
				expect(run.signal.aborted).toBe(false);
				await clock.advance(10);
				expect(await run.start()).toMatchObject({
					verdict: "applied",
					ticket,
					row: { status: "running", startedAt: clock.now() },
				});
				await clock.advance(20);
				expect(
					await run.end({ usage: { inputTokens: 3, outputTokens: 4 } }),
				).toMatchObject({
					verdict: "applied",
					row: {
						status: "ended",
						activeRun: null,
						lastOutcome: "completed",
						startedAt: clock.now() - 20,
						endedAt: clock.now(),
						runtimeMs: 20,
						totalTokens: 7,
					},
				});
				expect((await runtime.runs("k")).items).toEqual([
					{
						...ticket,
						outcome: "completed",
						stoppedBy: null,
						stoppedAt: null,
						waitingSince: null,
						error: null,
						startedAt: clock.now() - 20,
						endedAt: clock.now(),
						inputTokens: 3,
						outputTokens: 4,
						messageIds: [],
						parent: null,
					},
				]);
			});

			test("keeps every other run out, and is named in the refusal", async () => {
				const { runtime } = await start();
				await runtime.admit("k", R);
				await expect(runtime.admit("k", { runId: "Q" })).rejects.toMatchObject({
					code: "SESSION_BUSY",
					message: expect.stringMatching(/"Q".*"R" is live.*"k"/),
				});
				await expect(runtime.admit("k")).rejects.toMatchObject({
					code: "SESSION_BUSY",
				});
				expect(await runtime.get("k")).toMatchObject({ version: 1 });
			});

			test("of two in one tick, one is admitted", async () => {
				const { runtime } = await start();
				const both = await Promise.allSettled([
					runtime.admit("k"),
					runtime.admit("k"),
				]);
				expect(both).toMatchObject([
					{ status: "fulfilled" },
					{ status: "rejected", reason: { code: "SESSION_BUSY" } },
				]);
			});

			test("is the same run when its id is admitted again", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", R);
				expect(await runtime.admit("k", R)).toBe(run);
				expect(await runtime.admit("k", { ...R, ...reserve })).toBe(run);
				expect(
					new Set(
						await Promise.all([runtime.admit("k", R), runtime.admit("k", R)]),
					),
				).toEqual(new Set([run]));
				expect(await runtime.get("k")).toMatchObject({ version: 1 });
			});

			test("is not admitted while the session drains, whatever its id", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", R);
				const reset = runtime.reset("k");
				await turns();
				for (const runId of ["R", "Q"])
					expect(await codeOf(runtime.admit("k", { runId }))).toBe(
						"SESSION_BUSY",
					);
				await run.end();
				await reset;
				expect((await runtime.admit("k", { runId: "Q" })).ticket).toMatchObject(
					{
						generation: 2,
						attempt: 1,
					},
				);
			});

			const ends = {
				completed: [{ outcome: "completed" }, "ended"],
				aborted: [{ outcome: "aborted" }, "ended"],
				timeout: [{ outcome: "timeout" }, "ended"],
			} as const;
			for (const [outcome, [options, status]] of Object.entries(ends))
				test(`that its host ends '${outcome}' leaves the session '${status}'`, async () => {
					const { runtime } = await start();
					const run = await runtime.admit("k");
					expect(await run.end(options)).toMatchObject({
						verdict: "applied",
						row: { status, lastOutcome: outcome, lastError: null },
					});
				});

			for (const [error, text] of [
				[new Error("no model"), "no model"],
				["no model", "no model"],
				[undefined, "undefined"],
				[{ code: 1 }, '{"code":1}'],
			] as const)
				test(`that fails with ${String(error)} leaves the session 'failed' with its text`, async () => {
					const { runtime } = await start();
					const run = await runtime.admit("k");
					expect(
						await run.fail(error, { usage: { inputTokens: 2 } }),
					).toMatchObject({
						verdict: "applied",
						row: {
							status: "failed",
							lastOutcome: "failed",
							lastError: text,
							inputTokens: 2,
						},
					});
				});

			test("that ended is ended: what its host says after that is a duplicate", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k");
				await run.end();
				const before = await runtime.get("k");
				expect(await run.end()).toMatchObject({ verdict: "duplicate" });
				expect(await run.fail("late")).toMatchObject({ verdict: "duplicate" });
				expect(await run.start()).toMatchObject({ verdict: "duplicate" });
				expect(await runtime.get("k")).toEqual(before);
			});

			test("that was told to stop ends as stopped, whatever its host says", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", R);
				const aborted = runtime.abort("k", { reason: "enough" });
				await turns();
				expect(run.signal.reason).toMatchObject({ by: "abort" });
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					hasActiveRun: true,
				});
				expect(await run.end({ outcome: "completed" })).toMatchObject({
					verdict: "applied",
					row: { status: "ended", lastOutcome: "aborted" },
				});
				expect(await aborted).toMatchObject({
					report: { drained: [{ runId: "R", outcome: "aborted" }] },
				});
			});

			test("adds usage as it goes, and the larger of sum and total counts", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k");
				run.usage({ inputTokens: 10, outputTokens: 1 });
				await run.end({ usage: { inputTokens: 8, outputTokens: 5 } });
				expect(await runtime.get("k")).toMatchObject({
					inputTokens: 10,
					outputTokens: 5,
				});
			});

			test("rotates, and its reports count under each of its session ids", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", { ...R, sessionId: "S1" });
				const before = run.ticket;
				await run.rotate({ sessionId: "S2" });
				expect(run.ticket).toEqual({ ...before, sessionId: "S2" });
				expect(
					await runtime.report({ ...before, phase: "start" }),
				).toMatchObject({
					verdict: "applied",
					ticket: { sessionId: "S2" },
				});
				expect(await runtime.report({ ...before, phase: "end" })).toMatchObject(
					{ verdict: "applied", row: { sessionId: "S2", status: "ended" } },
				);
			});

			test("keeps queued messages waiting, and leaves the session to them", async () => {
				const { runtime, scripted } = await startScripted(makeStore());
				const run = await runtime.admit("k");
				const { disposition } = await runtime.send("k", "hello");
				expect(disposition).toBe("queued");
				await run.end();
				expect(scripted.last.run.messages).toMatchObject([{ input: "hello" }]);
				expect(await codeOf(runtime.admit("k"))).toBe("SESSION_BUSY");
			});
		});

		describe("an id that has settled", () => {
			test("is a new attempt, and the old one's reports do not touch it", async () => {
				const { runtime } = await start();
				const first = await runtime.admit("k", R);
				await first.fail("no model");
				const second = await runtime.admit("k", R);
				expect(second.ticket).toMatchObject({ runId: "R", attempt: 2 });
				expect(await first.end()).toMatchObject({
					verdict: "duplicate",
					ticket: { attempt: 1 },
				});
				expect(
					await runtime.report({ runId: "R", attempt: 1, phase: "end" }),
				).toMatchObject({ verdict: "duplicate" });
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
				// Without an attempt the live one is meant.
				expect(
					await runtime.report({ runId: "R", phase: "end" }),
				).toMatchObject({ verdict: "applied", ticket: { attempt: 2 } });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ attempt: 2, outcome: "completed" },
					{ attempt: 1, outcome: "failed" },
				]);
			});

			test("counts its attempts across generations, deletes and processes", async () => {
				const host = await start();
				await (await host.runtime.admit("k", R)).end();
				await host.runtime.reset("k");
				await (await host.runtime.admit("k", R)).end();
				await host.runtime.delete("k");
				const { runtime } = await restart(host);
				const third = await runtime.admit("k", R);
				expect(third.ticket).toMatchObject({ generation: 3, attempt: 3 });
				// On another key it is another run.
				expect((await runtime.admit("other", R)).ticket).toMatchObject({
					attempt: 1,
				});
			});

			test("counts an abandoned attempt, and one that died with its process", async () => {
				const store = new CrashingStore(makeStore());
				const { runtime: dead } = await startHost(store);
				await dead.admit("k", R);
				await store.crash();
				const { runtime, clock } = await startHost(store, { graceMs: 10 });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ attempt: 1, outcome: "interrupted" },
				]);
				await runtime.admit("k", R);
				const reset = runtime.reset("k");
				await clock.advance(10);
				await reset;
				expect((await runtime.admit("k", R)).ticket).toMatchObject({
					attempt: 3,
				});
			});

			test("that only a drained run has used is a new attempt too", async () => {
				const { runtime } = await start();
				const first = await runtime.admit("k", R);
				const reset = runtime.reset("k");
				await turns();
				const reserved = await runtime.admit("k", { ...R, ...reserve });
				expect(reserved.ticket).toMatchObject({ generation: 2, attempt: 2 });
				await first.end();
				await reset;
				expect(await reserved.start()).toMatchObject({ verdict: "applied" });
				expect(await runtime.get("k")).toMatchObject({
					activeRun: { runId: "R", attempt: 2 },
				});
			});
		});

		describe("a reservation", () => {
			test("holds no slot, and several may be made", async () => {
				const { runtime } = await start();
				const a = await runtime.admit("k", { runId: "A", ...reserve });
				const b = await runtime.admit("k", { runId: "B", ...reserve });
				expect(await runtime.get("k")).toMatchObject({
					status: "idle",
					hasActiveRun: false,
					activeRun: null,
					startedAt: null,
				});
				expect(await b.start()).toMatchObject({
					verdict: "applied",
					ticket: { runId: "B" },
					row: { status: "running", activeRun: { runId: "B" } },
				});
				expect(await a.start()).toMatchObject({
					verdict: "refused",
					reason: expect.stringContaining("B is live"),
				});
				await b.end();
				expect(await a.start()).toMatchObject({ verdict: "applied" });
				await a.end();
				expect(await runtime.get("k")).toMatchObject({ status: "ended" });
			});

			test("is made also while a run is live or the session drains", async () => {
				const { runtime } = await start();
				const live = await runtime.admit("k");
				await runtime.admit("k", { runId: "A", ...reserve });
				const reset = runtime.reset("k");
				await turns();
				const b = await runtime.admit("k", { runId: "B", ...reserve });
				expect(b.ticket.generation).toBe(2);
				expect(await b.start()).toMatchObject({
					verdict: "refused",
					reason: expect.stringContaining("drains"),
				});
				await live.end();
				await reset;
				expect(await b.start()).toMatchObject({ verdict: "applied" });
			});

			test("is the same run when it is reserved again, and becomes live when it is admitted", async () => {
				const { runtime } = await start();
				const reserved = await runtime.admit("k", { ...R, ...reserve });
				expect(await runtime.admit("k", { ...R, ...reserve })).toBe(reserved);
				const live = await runtime.admit("k", R);
				expect(live).toBe(reserved);
				expect(live.ticket.attempt).toBe(1);
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					activeRun: live.ticket,
				});
				expect(await live.end()).toMatchObject({ verdict: "applied" });
			});

			test("that is ended without a start settles at once", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", {
					...R,
					...reserve,
					sessionId: "S9",
				});
				expect(await run.end({ usage: { inputTokens: 4 } })).toMatchObject({
					verdict: "applied",
					row: { status: "ended", sessionId: "S9", inputTokens: 4 },
				});
				expect((await runtime.runs("k")).items).toMatchObject([
					{ runId: "R", outcome: "completed" },
				]);
			});

			test("gives the session its session id when it starts", async () => {
				const { runtime } = await start();
				await runtime.reset("k", { sessionId: "S1" });
				const run = await runtime.admit("k", {
					...R,
					...reserve,
					sessionId: "S2",
				});
				expect(run.ticket.sessionId).toBe("S2");
				expect(await runtime.get("k")).toMatchObject({ sessionId: "S1" });
				await run.start();
				expect(await runtime.get("k")).toMatchObject({ sessionId: "S2" });
			});

			test("on an unused key gives the session its first id", async () => {
				const { runtime } = await start();
				await runtime.admit("k", { ...R, ...reserve, sessionId: "S1" });
				expect(await runtime.get("k")).toMatchObject({
					sessionId: "S1",
					generation: 1,
					status: "idle",
				});
			});

			for (const command of ["reset", "delete"] as const)
				test(`ends with its generation: a ${command} fires its signal, and its start reaches the archive alone`, async () => {
					const { runtime } = await start();
					const run = await runtime.admit("k", { ...R, ...reserve });
					await runtime[command]("k");
					expect(run.signal.aborted).toBe(true);
					expect(run.signal.reason).toMatchObject({ by: command });
					expect(await codeOf(run.rotate())).toBe("STALE_RUN");
					const before = await runtime.get("k");
					expect(await run.start()).toMatchObject({
						verdict: "archived",
						ticket: { generation: 1 },
					});
					expect(await run.start()).toMatchObject({ verdict: "duplicate" });
					expect(await run.end({ usage: { inputTokens: 3 } })).toMatchObject({
						verdict: "archived",
					});
					expect(await run.end()).toMatchObject({ verdict: "duplicate" });
					expect(await runtime.get("k")).toEqual(before);
					expect((await runtime.archive("k")).items).toMatchObject([
						{
							generation: 1,
							endedBy: command,
							row: { inputTokens: 3 },
							runs: [{ runId: "R", outcome: "completed", inputTokens: 3 }],
						},
					]);
				});

			test("survives a restart, and its start then makes it live", async () => {
				const host = await start();
				await host.runtime.admit("k", { ...R, ...reserve });
				const { runtime } = await restart(host);
				expect(
					await runtime.report({ runId: "R", phase: "start" }),
				).toMatchObject({
					verdict: "applied",
					row: { activeRun: { runId: "R" } },
				});
			});

			test("that a command gives up never starts (AB-16)", async () => {
				const { runtime } = await start();
				const live = await runtime.admit("k", { runId: "live" });
				const run = await runtime.admit("k", { ...R, ...reserve });
				expect(
					await runtime.abort("k", { expect: { runId: "R" } }),
				).toMatchObject({ result: "done" });
				expect(run.signal.reason).toMatchObject({ by: "abort" });
				expect(live.signal.aborted).toBe(false);
				expect(await run.start()).toMatchObject({
					verdict: "duplicate",
					reason: expect.stringContaining("aborted"),
				});
				expect((await runtime.runs("k")).items).toMatchObject([
					{ runId: "live", outcome: null },
					{ runId: "R", outcome: "aborted", stoppedBy: "abort" },
				]);
				// Admitted again, it is another attempt.
				await live.end();
				expect((await runtime.admit("k", R)).ticket.attempt).toBe(2);
			});
		});

		describe("disposed", () => {
			test("without an end it settles 'interrupted', and the session is free", async () => {
				const { runtime } = await start();
				{
					await using run = await runtime.admit("k", R);
					expect(run.ticket.runId).toBe("R");
				}
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "interrupted",
					activeRun: null,
				});
				expect((await runtime.admit("k")).ticket.generation).toBe(1);
			});

			test("after its end it changes nothing, also where its id is live again", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", R);
				await run.end();
				const again = await runtime.admit("k", R);
				const before = await runtime.get("k");
				await run[Symbol.asyncDispose]();
				await run[Symbol.asyncDispose]();
				expect(await runtime.get("k")).toEqual(before);
				expect(again.signal.aborted).toBe(false);
			});

			test("while it drains it settles there, and the reset is done", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", R);
				const reset = runtime.reset("k");
				await turns();
				await run[Symbol.asyncDispose]();
				expect(await reset).toMatchObject({
					report: { drained: [{ runId: "R", stoppedBy: "reset" }] },
				});
			});

			test("a reservation is given up", async () => {
				const { runtime } = await start();
				const run = await runtime.admit("k", { ...R, ...reserve });
				await run[Symbol.asyncDispose]();
				expect(run.signal.aborted).toBe(true);
				expect(await run.start()).toMatchObject({ verdict: "duplicate" });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ runId: "R", outcome: "interrupted" },
				]);
				expect(await runtime.get("k")).toMatchObject({ status: "idle" });
			});

			test("after the runtime has closed it does nothing", async () => {
				const host = await start();
				const run = await host.runtime.admit("k", R);
				const { runtime } = await restart(host);
				await run[Symbol.asyncDispose]();
				expect(await runtime.get("k")).toMatchObject({
					lastOutcome: "interrupted",
				});
			});

			test("the next message runs", async () => {
				const { runtime, scripted } = await startScripted(makeStore());
				const run = await runtime.admit("k");
				await runtime.send("k", "hello");
				await run[Symbol.asyncDispose]();
				expect(scripted.last.run.messages).toMatchObject([{ input: "hello" }]);
			});
		});

		test("meta replaces the session's fields, and an expectation is checked", async () => {
			const { runtime } = await start();
			const run = await runtime.admit("k", {
				...R,
				meta: { a: 1 },
				expect: { generation: 0 },
			});
			expect(run.row.meta).toEqual({ a: 1 });
			await run.end();
			for (const [field, expectation] of [
				["generation", { generation: 0 }],
				["generation", { generation: 2 }],
				["sessionId", { sessionId: "S9" }],
				["runId", { runId: "R" }],
				["version", { version: 1 }],
			] as const)
				await expect(
					runtime.admit("k", { expect: expectation, meta: { a: 2 } }),
				).rejects.toMatchObject({
					code: "STALE_EXPECTATION",
					message: expect.stringContaining(field),
				});
			expect(await runtime.get("k")).toMatchObject({
				meta: { a: 1 },
				version: 2,
			});
			expect(
				(await runtime.admit("k", { expect: { version: 2 } })).row.meta,
			).toEqual({ a: 1 });
		});

		test("a deleted key is opened again, in its next generation", async () => {
			const { runtime } = await start();
			await (await runtime.admit("k", { meta: { a: 1 } })).end();
			await runtime.delete("k");
			const run = await runtime.admit("k");
			expect(run.ticket.generation).toBe(2);
			expect(run.row).toMatchObject({ meta: {}, inputTokens: 0 });
		});

		describe("times", () => {
			// Admitted at 0 on the runtime's clock, reported as started at 10 and as ended at 40.
			const cases: [
				string,
				{ startedAt?: number } | null,
				{ startedAt?: number; endedAt?: number },
				{ startedAt: number; endedAt: number; runtimeMs: number },
			][] = [
				[
					"neither end given",
					{},
					{},
					{ startedAt: 10, endedAt: 40, runtimeMs: 30 },
				],
				[
					"no start reported",
					null,
					{},
					{ startedAt: 0, endedAt: 40, runtimeMs: 40 },
				],
				[
					"both of the host",
					{ startedAt: 1000 },
					{ endedAt: 1500 },
					{ startedAt: 1000, endedAt: 1500, runtimeMs: 500 },
				],
				[
					"both of the host, said at the end",
					null,
					{ startedAt: 1000, endedAt: 1500 },
					{ startedAt: 1000, endedAt: 1500, runtimeMs: 500 },
				],
				[
					"two starts: the first counts",
					{ startedAt: 1000 },
					{ startedAt: 1200, endedAt: 1500 },
					{ startedAt: 1000, endedAt: 1500, runtimeMs: 500 },
				],
				[
					"only the start of the host",
					{ startedAt: 1000 },
					{},
					{ startedAt: 1000, endedAt: 40, runtimeMs: 40 },
				],
				[
					"only the end of the host",
					{},
					{ endedAt: 1500 },
					{ startedAt: 10, endedAt: 1500, runtimeMs: 30 },
				],
				[
					"a host clock that stepped back",
					{ startedAt: 1000 },
					{ endedAt: 500 },
					{ startedAt: 1000, endedAt: 500, runtimeMs: 0 },
				],
			];
			for (const [name, startOptions, endOptions, times] of cases)
				test(`${name}: the length is of one clock, and never negative`, async () => {
					const { runtime, clock } = await start();
					const zero = clock.now();
					const of = (options: object): never =>
						wrong(
							Object.fromEntries(
								Object.entries(options).map(([name, at]) => [name, zero + at]),
							),
						);
					const run = await runtime.admit("k");
					await clock.advance(10);
					if (startOptions) await run.start(of(startOptions));
					await clock.advance(30);
					const { verdict, row } = await run.end(of(endOptions));
					expect(verdict).toBe("applied");
					expect({
						startedAt: (row?.startedAt as number) - zero,
						endedAt: (row?.endedAt as number) - zero,
						runtimeMs: row?.runtimeMs,
					}).toEqual(times);
				});

			test("a clock of ours that stepped back gives no negative length", async () => {
				const { runtime, clock } = await start();
				const run = await runtime.admit("k");
				await run.start();
				clock.stepBack(3_600_000);
				expect(await run.end()).toMatchObject({
					verdict: "applied",
					row: { status: "ended", runtimeMs: 0 },
				});
			});
		});

		test("whatever a handle is given, the answer is a verdict", async () => {
			const { runtime } = await start();
			const run = await runtime.admit("k");
			expect(await run.start({ startedAt: wrong("yesterday") })).toMatchObject({
				verdict: "refused",
			});
			expect(await run.end({ outcome: wrong("great") })).toMatchObject({
				verdict: "refused",
			});
			expect(await run.end({ usage: wrong(7) })).toMatchObject({
				verdict: "refused",
			});
			expect(await run.fail("x", { endedAt: wrong(null) })).toMatchObject({
				verdict: "refused",
			});
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				startedAt: null,
			});
			expect(await now(run.end())).toMatchObject({ verdict: "applied" });
		});
	});
