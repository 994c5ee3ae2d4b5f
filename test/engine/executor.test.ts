/** A managed run: whatever its executor does, the run ends, the process lives, and nothing of it reaches another run (decision 7). */
import { type ManagedRun, RunAborted, TurnkeeperError } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { turns } from "../../src/testing/virtual-clock.ts";
import { Scripted } from "../support/host.ts";
import { restart } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

function cyclic(): object {
	const one: { self?: object } = {};
	one.self = one;
	return one;
}

const thrown: Record<string, readonly [unknown, string]> = {
	"an Error": [new TypeError("not a model"), "not a model"],
	"an Error without a message": [new RangeError(), "RangeError"],
	"a text": ["out of tokens", "out of tokens"],
	"an empty text": ["", ""],
	undefined: [undefined, "undefined"],
	null: [null, "null"],
	"a number": [429, "429"],
	"a BigInt": [1n, "an error that cannot be shown"],
	"a symbol": [Symbol("stop"), "Symbol(stop)"],
	"an object": [{ status: 500 }, '{"status":500}'],
	"a cyclic object": [cyclic(), "an error that cannot be shown"],
	"an object that cannot be read": [
		Object.defineProperty({}, "toJSON", {
			get() {
				throw new Error("do not look");
			},
		}),
		"an error that cannot be shown",
	],
};

for (const [kind, makeStore] of storeKinds)
	describe(`an executor, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		for (const [name, [value, text]] of Object.entries(thrown))
			for (const [how, execute] of [
				[
					"throws at once",
					() => {
						throw value;
					},
				],
				["rejects with", () => Promise.reject(value)],
			] as const)
				test(`that ${how} ${name} fails its run, and the next message runs`, async () => {
					let calls = 0;
					const { runtime } = await start({
						execute: () => {
							calls += 1;
							return calls === 1 ? execute() : "fine";
						},
					});
					const dead = await deathsOf(async () => {
						const { settled, ticket } = await runtime.send("k", "hello");
						expect(await settled).toEqual({
							ticket,
							outcome: "failed",
							error: text,
						});
						expect(await runtime.get("k")).toMatchObject({
							status: "failed",
							lastError: text,
						});
						const next = await runtime.send("k", "again");
						expect(await next.settled).toMatchObject({
							outcome: "completed",
							output: "fine",
						});
						expect(await runtime.get("k")).toMatchObject({
							status: "ended",
							lastError: null,
						});
					});
					expect(dead).toEqual([]);
				});

		const returned: Record<string, unknown> = {
			"a text": "hi",
			nothing: undefined,
			null: null,
			"a function": () => {},
			"a cyclic object": cyclic(),
		};
		for (const [name, value] of Object.entries(returned))
			test(`that returns ${name} instead of a promise completes its run`, async () => {
				const { runtime } = await start({ execute: () => value });
				const { settled } = await runtime.send("k", "hello");
				const end = await settled;
				expect(end.outcome).toBe("completed");
				expect(end.output).toBe(value);
			});

		test("that returns something with a `then` is waited for", async () => {
			const { runtime } = await start({
				execute: () => ({
					// biome-ignore lint/suspicious/noThenProperty: that is what is tested
					then: (resolve: (value: string) => void) => resolve("later"),
				}),
			});
			const { settled } = await runtime.send("k", "hello");
			expect(await settled).toMatchObject({ output: "later" });
		});

		test("that never settles holds its own session alone, until it is abandoned", async () => {
			const { runtime, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			await runtime.send("k", "next");
			await clock.advance(24 * 3600 * 1000);
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const reset = runtime.reset("k");
			await clock.advance(5000);
			expect(await settled).toMatchObject({ outcome: "abandoned" });
			expect(await reset).toMatchObject({ result: "done" });
			expect(scripted.last.run.messages).toMatchObject([{ input: "next" }]);
		});

		test("that settles after it was abandoned changes nothing, however it settles", async () => {
			const { runtime, scripted, clock, feed } = await start({ graceMs: 10 });
			const dead = await deathsOf(async () => {
				for (const how of ["end", "fail"] as const) {
					await runtime.send(how, "hello");
					const late = scripted.last;
					const reset = runtime.reset(how);
					await clock.advance(10);
					await reset;
					await runtime.send(how, "next");
					const before = await runtime.get(how);
					const seen = feed.length;
					late[how]("too late");
					await turns();
					expect(await runtime.get(how)).toEqual(before);
					expect(feed).toHaveLength(seen);
				}
			});
			expect(dead).toEqual([]);
		});

		describe("that calls the runtime from inside", () => {
			/** A run that awaits `act` on its own session. */
			async function inside(
				act: (
					run: ManagedRun,
					runtime: Awaited<ReturnType<typeof start>>["runtime"],
				) => Promise<unknown>,
			) {
				const results: unknown[] = [];
				const host = await start({
					graceMs: 100,
					execute: async (run) => {
						if (run.messages[0]?.input !== "act") return "next";
						results.push(await codeOf(act(run, host.runtime)));
						return "done";
					},
				});
				const { settled } = await host.runtime.send("k", "act");
				return { ...host, settled, results };
			}

			test("to reset its own session is abandoned after the grace period, and then the reset is done", async () => {
				const { runtime, clock, settled, results } = await inside(
					(_, runtime) => runtime.reset("k"),
				);
				await runtime.send("k", "next");
				await clock.advance(99);
				expect(await now(settled)).toBe("pending");
				await clock.advance(1);
				expect(await settled).toMatchObject({ outcome: "abandoned" });
				expect(results).toMatchObject([
					{ resolved: { result: "done", row: { generation: 2 } } },
				]);
				await runtime.whenIdle("k");
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					status: "ended",
					lastOutcome: "completed",
				});
			});

			test("to abort itself is abandoned after the grace period, and the next message runs", async () => {
				const { runtime, clock, settled, results } = await inside(
					(_, runtime) => runtime.abort("k"),
				);
				const next = await runtime.send("k", "next");
				await clock.advance(100);
				expect(await settled).toMatchObject({ outcome: "abandoned" });
				expect(results).toMatchObject([{ resolved: { result: "done" } }]);
				expect(await next.settled).toMatchObject({ output: "next" });
			});

			test("to delete its own session is abandoned after the grace period", async () => {
				const { runtime, clock, settled, results } = await inside(
					(_, runtime) => runtime.delete("k", { purge: true }),
				);
				await clock.advance(100);
				expect(await settled).toMatchObject({ outcome: "abandoned" });
				expect(results).toMatchObject([{ resolved: { result: "done" } }]);
				expect(await runtime.get("k")).toBeNull();
			});

			test("to close the runtime is abandoned, and the runtime closes", async () => {
				const { runtime, clock, settled, results } = await inside(
					(_, runtime) => runtime.close(),
				);
				await clock.advance(100);
				expect(await settled).toMatchObject({ outcome: "abandoned" });
				await turns();
				expect(results).toEqual([{ resolved: undefined }]);
				expect(await codeOf(runtime.send("k", "late"))).toBe("RUNTIME_CLOSED");
			});

			test("to reset its session without waiting for it ends as it is told", async () => {
				const { runtime, settled } = await inside(async (run, runtime) => {
					void runtime.reset("k");
					while (!run.signal.aborted) await turns(1);
				});
				expect(await settled).toMatchObject({ outcome: "aborted" });
				await runtime.whenIdle();
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					status: "idle",
				});
			});

			test("to patch, read, and send elsewhere is served at once", async () => {
				const { runtime, settled, results } = await inside(
					async (_, runtime) => {
						await runtime.patch("k", { step: 1 });
						const { settled } = await runtime.send("other", "next");
						const { output } = await settled;
						return [(await runtime.get("k"))?.meta, output];
					},
				);
				expect(await settled).toMatchObject({ outcome: "completed" });
				expect(results).toEqual([{ resolved: [{ step: 1 }, "next"] }]);
				expect(await runtime.get("k")).toMatchObject({ meta: { step: 1 } });
			});

			test("to report its own end is refused: only its return ends it", async () => {
				const { settled, results } = await inside((run, runtime) =>
					runtime.report({ ...run.ticket, phase: "end" }),
				);
				expect(await settled).toMatchObject({ output: "done" });
				expect(results).toMatchObject([
					{
						resolved: {
							verdict: "refused",
							reason: expect.stringContaining("managed"),
						},
					},
				]);
			});
		});

		test("has a signal of its own for each run, with the reason that it was stopped for", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			await runtime.send("k", "second");
			const first = scripted.last.run;
			expect(first.signal).toBe(first.signal);
			expect(first.signal.aborted).toBe(false);
			const aborted = runtime.abort("k", { reason: "changed my mind" });
			await turns();
			const { reason } = first.signal;
			expect(reason).toBeInstanceOf(RunAborted);
			expect(reason).toBeInstanceOf(TurnkeeperError);
			expect(reason).toMatchObject({
				name: "AbortError",
				code: "RUN_ABORTED",
				by: "abort",
				message: expect.stringContaining("changed my mind"),
			});
			scripted.last.end();
			await aborted;
			expect(scripted.runs).toHaveLength(2);
			expect(scripted.last.run.signal.aborted).toBe(false);
		});

		test("keeps the first of several reasons, and the earliest of several grace periods", async () => {
			const { runtime, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			const aborts = [
				runtime.abort("k", { reason: "first", graceMs: 1000 }),
				runtime.abort("k", { reason: "second", graceMs: 50 }),
				runtime.reset("k", { reason: "third", graceMs: 2000 }),
			];
			await turns();
			expect(scripted.last.run.signal.reason).toMatchObject({ by: "abort" });
			expect(scripted.last.run.signal.reason.message).toContain("first");
			await clock.advance(50);
			expect(await settled).toMatchObject({ outcome: "abandoned" });
			expect(await Promise.all(aborts)).toMatchObject([
				{ result: "done" },
				{ result: "done" },
				{ result: "done" },
			]);
			expect((await runtime.runs("k")).items).toMatchObject([
				{ outcome: "abandoned", stoppedBy: "abort" },
			]);
		});

		test("sees the last committed row of its own generation", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "hello");
			const { run } = scripted.last;
			expect(run.row).toEqual(await runtime.get("k"));
			await runtime.patch("k", { a: 1 });
			expect(run.row).toMatchObject({ meta: { a: 1 }, version: 2 });
			const reset = runtime.reset("k");
			await turns();
			expect(run.row).toMatchObject({ generation: 1, meta: { a: 1 } });
			scripted.last.end();
			await reset;
			await runtime.patch("k", { b: 1 });
			expect(run.row).toMatchObject({ generation: 1, meta: { a: 1 } });
		});

		describe("counts usage", () => {
			test("as it comes, in row and record, and adds it up", async () => {
				const { runtime, scripted } = await start();
				const { settled } = await runtime.send("k", "hello");
				const { run } = scripted.last;
				run.usage({ inputTokens: 10 });
				run.usage({ inputTokens: 5, outputTokens: 2 });
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					inputTokens: 15,
					outputTokens: 2,
					totalTokens: 17,
				});
				run.usage({ outputTokens: 1 });
				scripted.last.end();
				await settled;
				expect(await runtime.get("k")).toMatchObject({ totalTokens: 18 });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ inputTokens: 15, outputTokens: 3 },
				]);
				// The next run begins with nothing, the generation goes on (AC-05, AC-08).
				await runtime.send("k", "again");
				scripted.last.run.usage({ inputTokens: 1 });
				await turns();
				expect((await runtime.runs("k")).items).toMatchObject([
					{ inputTokens: 1, outputTokens: 0 },
					{ inputTokens: 15, outputTokens: 3 },
				]);
				expect(await runtime.get("k")).toMatchObject({ totalTokens: 19 });
			});

			test("that is no usage not at all, and never throws", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				const { run } = scripted.last;
				for (const none of [
					{},
					{ inputTokens: 0 },
					{ inputTokens: -5 },
					{ outputTokens: Number.NaN },
					{ outputTokens: Number.POSITIVE_INFINITY },
					{ inputTokens: "12" },
					undefined,
					null,
					12,
				])
					expect(() => run.usage(wrong(none))).not.toThrow();
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					totalTokens: 0,
					version: 1,
				});
			});

			test("of a run that drains in the archive of its own generation alone", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				scripted.last.run.usage({ inputTokens: 3 });
				const reset = runtime.reset("k");
				await turns();
				scripted.last.run.usage({ inputTokens: 4 });
				await turns();
				scripted.last.run.usage({ outputTokens: 5 });
				scripted.last.end();
				const answer = await reset;
				expect(answer).toMatchObject({
					row: { generation: 2, totalTokens: 0 },
					report: {
						ended: { row: { inputTokens: 7, outputTokens: 5 } },
						drained: [{ inputTokens: 7, outputTokens: 5 }],
					},
				});
				expect((await runtime.archive("k")).items).toMatchObject([
					{
						row: { inputTokens: 7, outputTokens: 5, totalTokens: 12 },
						runs: [{ inputTokens: 7, outputTokens: 5 }],
					},
				]);
			});

			test("of a run that has settled in its record and its generation, ended or not", async () => {
				const { runtime, scripted, clock } = await start({ graceMs: 10 });
				const { settled } = await runtime.send("k", "hello");
				const { run } = scripted.last;
				scripted.last.end();
				await settled;
				run.usage({ inputTokens: 1 });
				await turns();
				expect(await runtime.get("k")).toMatchObject({ inputTokens: 1 });
				expect((await runtime.runs("k")).items).toMatchObject([
					{ inputTokens: 1 },
				]);
				await runtime.reset("k");
				run.usage({ inputTokens: 10 });
				run.usage({ inputTokens: 100 });
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					inputTokens: 0,
				});
				expect((await runtime.archive("k")).items).toMatchObject([
					{ row: { inputTokens: 111 }, runs: [{ inputTokens: 111 }] },
				]);
				// Also of one that was abandoned.
				await runtime.send("k", "hangs");
				const hung = scripted.last.run;
				const reset = runtime.reset("k");
				await clock.advance(10);
				await reset;
				hung.usage({ outputTokens: 7 });
				await turns();
				expect((await runtime.archive("k")).items).toMatchObject([
					{ generation: 2, row: { outputTokens: 7 } },
					{ generation: 1 },
				]);
			});

			test("of a run that was purged nowhere, and brings nothing back", async () => {
				const { runtime, scripted } = await start();
				const { settled } = await runtime.send("k", "hello");
				scripted.last.end();
				await settled;
				await runtime.delete("k", { purge: true });
				scripted.last.run.usage({ inputTokens: 5 });
				await turns();
				expect(await runtime.get("k")).toBeNull();
				expect((await runtime.runs("k")).items).toEqual([]);
				expect((await runtime.archive("k")).items).toEqual([]);
			});

			test("no more once the runtime is closed, and does not throw", async () => {
				const host = await start();
				await host.runtime.send("k", "hello");
				const next = await restart(host);
				host.scripted.last.run.usage({ inputTokens: 5 });
				await turns();
				expect(await next.runtime.get("k")).toMatchObject({ inputTokens: 0 });
			});
		});

		describe("rotates its session id", () => {
			test("and keeps its identity: ticket, session and record follow", async () => {
				const { runtime, scripted } = await start({
					ids: { sessionId: ({ cause }) => `by ${cause}` },
				});
				const { settled, ticket } = await runtime.send("k", "hello");
				const { run } = scripted.last;
				expect(run.ticket.sessionId).toBe("by first");
				const given = await run.rotate({ sessionId: "S2" });
				expect(given).toEqual({ ...ticket, sessionId: "S2" });
				expect(run.ticket).toEqual(given);
				expect(await runtime.get("k")).toMatchObject({
					sessionId: "S2",
					generation: 1,
					status: "running",
					activeRun: given,
					version: 2,
				});
				const fresh = await run.rotate();
				expect(fresh.sessionId).toBe("by rotate");
				scripted.last.end("hi");
				expect(await settled).toMatchObject({
					outcome: "completed",
					ticket: { sessionId: "by rotate" },
				});
				await runtime.reset("k", { sessionId: "S3" });
				expect((await runtime.archive("k")).items).toMatchObject([
					{
						sessionIds: ["by first", "S2", "by rotate"],
						row: { sessionId: "by rotate" },
					},
				]);
			});

			test("several times at once, each in its turn", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				const { run } = scripted.last;
				const tickets = await Promise.all(
					["a", "b", "c"].map((sessionId) => run.rotate({ sessionId })),
				);
				expect(tickets.map(({ sessionId }) => sessionId)).toEqual([
					"a",
					"b",
					"c",
				]);
				expect(run.ticket.sessionId).toBe("c");
			});

			for (const command of ["abort", "reset", "delete"] as const)
				test(`not once ${command} has told it to stop`, async () => {
					const { runtime, scripted } = await start();
					const { ticket } = await runtime.send("k", "hello");
					const stopped = runtime[command]("k");
					await turns();
					const { run } = scripted.last;
					await expect(run.rotate({ sessionId: "S2" })).rejects.toMatchObject({
						code: "STALE_RUN",
						message: expect.stringContaining(ticket?.runId as string),
					});
					scripted.last.end();
					await stopped;
					await expect(run.rotate()).rejects.toMatchObject({
						code: "STALE_RUN",
					});
				});

			test("not when a stop was on its way before the call", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				const aborted = runtime.abort("k");
				const rotated = scripted.last.run.rotate();
				await expect(rotated).rejects.toMatchObject({ code: "STALE_RUN" });
				scripted.last.end();
				await aborted;
			});

			test("not once it has settled, also not while a later run is live", async () => {
				const { runtime, scripted } = await start();
				const { settled } = await runtime.send("k", "first");
				const { run } = scripted.last;
				scripted.last.end();
				await settled;
				expect(await codeOf(run.rotate())).toBe("STALE_RUN");
				await runtime.send("k", "second");
				expect(await codeOf(run.rotate({ sessionId: "S9" }))).toBe("STALE_RUN");
				expect((await runtime.get("k"))?.sessionId).not.toBe("S9");
			});

			test("not to something that is no id", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "hello");
				for (const sessionId of ["", "a\nb", 5, null])
					expect(
						await codeOf(
							scripted.last.run.rotate({ sessionId: wrong(sessionId) }),
						),
					).toBe("INVALID_ARGUMENT");
			});
		});

		test("is not asked twice for a message, whatever passivates and comes back", async () => {
			const scripted = new Scripted();
			const { runtime } = await start({
				execute: scripted.execute,
				maxResident: 1,
			});
			for (let i = 0; i < 20; i++) await runtime.send(`k${i % 5}`, i);
			for (let i = 0; i < 40; i++) {
				for (const { end } of scripted.runs) end();
				await turns(3);
			}
			expect(scripted.runs).toHaveLength(20);
		});
	});
