/** A run that waits for an answer: who may answer, which answer counts, and what becomes of the wait when its run ends (SE-10). */
import type { JsonValue, RunTicket } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { close } from "../support/restart.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
	wrong,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

const stops: Record<string, (host: ScriptedHost) => Promise<unknown>> = {
	abort: ({ runtime }) => runtime.abort("k"),
	reset: ({ runtime }) => runtime.reset("k"),
	delete: ({ runtime }) => runtime.delete("k"),
	interrupt: ({ runtime }) =>
		runtime.send("k", "newer", { overlap: "interrupt" }),
	rollback: ({ runtime }) =>
		runtime.send("k", "newer", { overlap: "rollback" }),
	shutdown: ({ runtime }) => runtime.close({ graceMs: 100 }),
};

for (const [kind, makeStore] of storeKinds)
	describe(`a wait, on ${kind}`, () => {
		type Options = Parameters<typeof startScripted>[1];

		async function running(options: Options = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, { graceMs: 100, ...options });
			const { settled } = await host.runtime.send("k", "hello");
			const { run, end } = host.scripted.last;
			return { ...host, store, settled, run, end, ticket: run.ticket };
		}

		/** As `running`, and its run waits for `ok?`. */
		async function waiting(
			options: Options = {},
			how: { timeoutMs?: number } = {},
		) {
			const host = await running(options);
			const answer = host.run.waitFor("ok?", how);
			await turns();
			return { ...host, answer };
		}

		test("is seen in row, feed, atom and list, and suspends its run until it is answered", async () => {
			const { runtime, clock, feedRow, run, ticket, answer, end, settled } =
				await waiting();
			const shown = {
				status: "waiting",
				waits: ["ok?"],
				hasActiveRun: true,
				activeRun: ticket,
			};
			expect(await runtime.get("k")).toMatchObject(shown);
			expect(feedRow("k")).toMatchObject(shown);
			const atom = runtime.atom("k");
			expect(atom.get()).toMatchObject(shown);
			expect(run.row).toMatchObject(shown);
			expect((await runtime.list({ status: "waiting" })).items).toMatchObject([
				shown,
			]);
			expect((await runtime.list({ status: "running" })).items).toEqual([]);
			const since = async () =>
				(await runtime.runs("k")).items[0]?.waitingSince;
			expect(await since()).toBe(clock.now());
			expect(await now(answer)).toBe("pending");

			const { row, ...done } = (await runtime.resume(ticket, "ok?", {
				yes: true,
			})) as { row: unknown };
			expect(done).toEqual({ result: "done", report: null });
			const resumed = { status: "running", waits: [], hasActiveRun: true };
			expect(row).toMatchObject(resumed);
			expect(await answer).toEqual({ yes: true });
			expect(feedRow("k")).toMatchObject(resumed);
			expect(atom.get()).toMatchObject(resumed);
			expect((await runtime.list({ status: "waiting" })).items).toEqual([]);
			expect(await since()).toBeNull();
			end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		});

		test("cannot be answered before it is kept", async () => {
			const { runtime, run, ticket, store } = await running();
			const held = Promise.withResolvers<void>();
			store.beforeCommit = () => held.promise;
			const answer = run.waitFor("ok?");
			await turns();
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const resumed = runtime.resume(ticket, "ok?", 1);
			expect(await now(answer)).toBe("pending");
			held.resolve();
			expect(await resumed).toMatchObject({ result: "done" });
			expect(await answer).toBe(1);
		});

		test("takes the first of several answers; the others are told that there was nothing to do", async () => {
			const { runtime, ticket, answer } = await waiting();
			const answers = await Promise.all(
				[1, 2, 3].map((value) => runtime.resume(ticket, "ok?", value)),
			);
			expect(answers.map(({ result }) => result)).toEqual([
				"done",
				"nothing",
				"nothing",
			]);
			expect(await answer).toBe(1);
			expect(await runtime.resume(ticket, "ok?", 4)).toMatchObject({
				result: "nothing",
				row: { status: "running" },
			});
		});

		test("is not answered under another name", async () => {
			const { runtime, ticket, answer } = await waiting();
			expect(await runtime.resume(ticket, "what?", 1)).toMatchObject({
				result: "nothing",
				row: { status: "waiting" },
			});
			expect(await now(answer)).toBe("pending");
		});

		test("is not answered in the name of another run, generation or session", async () => {
			const { runtime, ticket, answer } = await waiting();
			const others: [Partial<RunTicket>, object][] = [
				[{ runId: "other" }, { result: "stale", mismatch: "runId" }],
				[{ generation: 2 }, { result: "stale", mismatch: "generation" }],
			];
			for (const [other, told] of others)
				expect(
					await runtime.resume({ ...ticket, ...other }, "ok?", 1),
				).toMatchObject({ ...told, row: { status: "waiting" } });
			expect(
				await runtime.resume({ ...ticket, sessionKey: "unknown" }, "ok?", 1),
			).toMatchObject({ result: "stale", row: null });
			expect(await runtime.get("unknown")).toBeNull();
			expect(await now(answer)).toBe("pending");
		});

		test("of a run that has ended is stale by its run, also while a later run waits for the same", async () => {
			const { runtime, ticket, end, settled, scripted } = await waiting();
			end();
			await settled;
			expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
				result: "stale",
				mismatch: "runId",
			});
			await runtime.send("k", "again");
			const answer = scripted.last.run.waitFor("ok?");
			await turns();
			expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
				result: "stale",
				mismatch: "runId",
			});
			expect(await now(answer)).toBe("pending");
		});

		test("of an ended generation is released by nobody, and its answer reaches no later run (SE-10)", async () => {
			const { runtime, ticket, end, scripted, answer } = await waiting();
			const waits = codeOf(answer);
			const reset = runtime.reset("k");
			await turns();
			const late = await runtime.resume(ticket, "ok?", "approved");
			expect(late).toMatchObject({ result: "stale", mismatch: "generation" });
			end();
			await reset;
			expect(await waits).toBe("RUN_ABORTED");
			await runtime.send("k", "follow-up");
			const follow = scripted.last.run.waitFor("ok?");
			await turns();
			const before = await runtime.get("k");
			expect(await runtime.resume(ticket, "ok?", "approved")).toMatchObject({
				result: "stale",
				mismatch: "generation",
			});
			expect(await now(follow)).toBe("pending");
			expect(await runtime.get("k")).toEqual(before);
			expect(await runtime.runs("k", { generation: 1 })).toMatchObject({
				items: [{ outcome: "aborted", stoppedBy: "reset" }],
			});
		});

		test("is one of several that a run may have at once: it waits until all are answered", async () => {
			const { runtime, run, ticket } = await running();
			const a = run.waitFor("a");
			const b = run.waitFor("b");
			await turns();
			expect(await runtime.get("k")).toMatchObject({
				status: "waiting",
				waits: ["a", "b"],
			});
			expect(await runtime.resume(ticket, "b", 2)).toMatchObject({
				row: { status: "waiting", waits: ["a"] },
			});
			expect(await b).toBe(2);
			expect(await now(a)).toBe("pending");
			expect(await runtime.resume(ticket, "a", 1)).toMatchObject({
				row: { status: "running", waits: [] },
			});
			expect(await a).toBe(1);
		});

		test("under a name that its run waits for already is the same wait", async () => {
			const { runtime, run, ticket } = await running();
			const both = [run.waitFor("ok?"), run.waitFor("ok?")];
			await turns();
			expect(await runtime.get("k")).toMatchObject({ waits: ["ok?"] });
			await runtime.resume(ticket, "ok?", { n: 1 });
			const [one, other] = await Promise.all(both);
			expect([one, other]).toEqual([{ n: 1 }, { n: 1 }]);
			expect(one).not.toBe(other);
		});

		test("under a name that was answered is answered at once, by the same", async () => {
			const { runtime, run, ticket, answer } = await waiting();
			await runtime.resume(ticket, "ok?", [1]);
			await answer;
			const version = (await runtime.get("k"))?.version;
			expect(await run.waitFor("ok?")).toEqual([1]);
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				version,
			});
		});

		test("of something that is no name or no time is refused, and so is an answer that is not JSON", async () => {
			const { runtime, run, ticket } = await running();
			for (const name of ["", "a\nb", 5])
				expect(await codeOf(run.waitFor(wrong(name)))).toBe("INVALID_ARGUMENT");
			for (const timeoutMs of [-1, Number.NaN, "5"])
				expect(
					await codeOf(run.waitFor("ok?", { timeoutMs: wrong(timeoutMs) })),
				).toBe("INVALID_ARGUMENT");
			void run.waitFor("ok?");
			await turns();
			expect(
				await codeOf(
					runtime.resume(
						ticket,
						"ok?",
						wrong(() => {}),
					),
				),
			).toBe("INVALID_INPUT");
			for (const bad of [null, {}, { ...ticket, generation: "1" }])
				expect(await codeOf(runtime.resume(wrong(bad), "ok?", 1))).toBe(
					"INVALID_ARGUMENT",
				);
			expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
		});

		describe("that nobody answers in time", () => {
			test("is WAIT_TIMEOUT, and its run goes on", async () => {
				const { runtime, clock, run, ticket, answer, end, settled } =
					await waiting({}, { timeoutMs: 50 });
				await clock.advance(49);
				expect(await now(answer)).toBe("pending");
				await clock.advance(1);
				await expect(answer).rejects.toMatchObject({
					code: "WAIT_TIMEOUT",
					message: expect.stringContaining('"ok?"'),
				});
				expect(run.signal.aborted).toBe(false);
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					waits: [],
				});
				expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
					result: "nothing",
				});
				end("went on");
				expect(await settled).toMatchObject({ outcome: "completed" });
			});

			test("may be asked again, for as long again", async () => {
				const { runtime, clock, run, ticket, answer } = await waiting(
					{},
					{ timeoutMs: 50 },
				);
				await clock.advance(50);
				expect(await codeOf(answer)).toBe("WAIT_TIMEOUT");
				const again = run.waitFor("ok?", { timeoutMs: 50 });
				await clock.advance(49);
				expect(await now(again)).toBe("pending");
				await runtime.resume(ticket, "ok?", 1);
				expect(await again).toBe(1);
				await clock.advance(1000);
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});

			test("is answered by whoever came before the time was over", async () => {
				const { runtime, clock, ticket, answer, store } = await waiting(
					{},
					{ timeoutMs: 50 },
				);
				const held = Promise.withResolvers<void>();
				store.beforeCommit = () => held.promise;
				const resumed = runtime.resume(ticket, "ok?", 1);
				await clock.advance(50);
				held.resolve();
				expect(await resumed).toMatchObject({ result: "done" });
				expect(await answer).toBe(1);
			});

			test("is over for whoever comes after, though that is not yet kept", async () => {
				const { runtime, clock, ticket, answer, store } = await waiting(
					{},
					{ timeoutMs: 50 },
				);
				const told = codeOf(answer);
				const held = Promise.withResolvers<void>();
				store.beforeCommit = () => held.promise;
				await clock.advance(50);
				const resumed = runtime.resume(ticket, "ok?", 1);
				held.resolve();
				expect(await resumed).toMatchObject({ result: "nothing" });
				expect(await told).toBe("WAIT_TIMEOUT");
			});

			test("leaves the others open", async () => {
				const { runtime, clock, run, ticket } = await running();
				const a = codeOf(run.waitFor("a", { timeoutMs: 50 }));
				const b = run.waitFor("b");
				await clock.advance(50);
				expect(await a).toBe("WAIT_TIMEOUT");
				expect(await runtime.get("k")).toMatchObject({
					status: "waiting",
					waits: ["b"],
				});
				await runtime.resume(ticket, "b", 2);
				expect(await b).toBe(2);
			});

			for (const [first, second] of [
				[50, 50],
				[50, undefined],
				[undefined, 50],
				[50, 80],
				[80, 50],
			])
				test(`is over for all who wait for that name (${first} and ${second} ms)`, async () => {
					const { runtime, clock, run } = await running();
					const how = (timeoutMs: number | undefined) =>
						timeoutMs === undefined ? {} : { timeoutMs };
					const both = [
						codeOf(run.waitFor("ok?", how(first))),
						codeOf(run.waitFor("ok?", how(second))),
					];
					await clock.advance(100);
					expect(await Promise.all(both.map(now))).toEqual([
						"WAIT_TIMEOUT",
						"WAIT_TIMEOUT",
					]);
					expect(await runtime.get("k")).toMatchObject({
						status: "running",
						waits: [],
					});
				});

			test("is over although the store would not take that at once", async () => {
				const { runtime, clock, answer, store } = await waiting(
					{},
					{ timeoutMs: 50 },
				);
				const told = codeOf(answer);
				store.broken = true;
				await clock.advance(50);
				expect(await now(told)).toBe("pending");
				expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
				store.broken = false;
				await clock.advance(5000);
				expect(await told).toBe("WAIT_TIMEOUT");
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});

			test("is over at once if that is how long it may take", async () => {
				const { answer, runtime } = await waiting({}, { timeoutMs: 0 });
				expect(await codeOf(answer)).toBe("WAIT_TIMEOUT");
				expect(await runtime.get("k")).toMatchObject({ status: "running" });
			});

			test("is counted from the wait, and costs the run none of its own time", async () => {
				const { runtime, clock, run, answer, settled, end, ticket } =
					await waiting({ runTimeoutMs: 100 });
				await clock.advance(10_000);
				expect(run.signal.aborted).toBe(false);
				await runtime.resume(ticket, "ok?", 1);
				await answer;
				await clock.advance(99);
				expect(run.signal.aborted).toBe(false);
				await clock.advance(1);
				expect(run.signal.reason).toMatchObject({ by: "timeout" });
				end();
				expect(await settled).toMatchObject({ outcome: "timeout" });
			});
		});

		describe("whose run is told to stop", () => {
			for (const [cause, stop] of Object.entries(stops)) {
				test(`by ${cause} rejects with the reason of the signal`, async () => {
					const host = await waiting();
					const told = host.answer.then(
						() => null,
						(error) => error,
					);
					const stopped = stop(host);
					const reason = await told;
					expect(reason).toBe(host.run.signal.reason);
					expect(reason).toMatchObject({
						name: "AbortError",
						by: cause === "rollback" ? "interrupt" : cause,
					});
					await turns();
					const row = await host.runtime.get("k");
					expect(row?.waits ?? []).toEqual([]);
					expect(row?.status).not.toBe("waiting");
					host.end();
					await host.clock.advance(100);
					await stopped;
					expect(await host.settled).toMatchObject({
						outcome: cause === "shutdown" ? "interrupted" : "aborted",
					});
				});

				test(`by ${cause} is refused from then on`, async () => {
					const host = await running();
					const stopped = stop(host);
					await turns();
					expect(await codeOf(host.run.waitFor("ok?"))).toBe("STALE_RUN");
					host.end();
					await host.clock.advance(100);
					await stopped;
					expect(await codeOf(host.run.waitFor("ok?"))).toBe("STALE_RUN");
				});
			}

			test("in the same tick, before it was kept, rejects", async () => {
				const { runtime, run, end } = await running();
				const waits = run.waitFor("ok?").catch((error) => error);
				const aborted = runtime.abort("k");
				expect(await waits).toBe(run.signal.reason);
				end();
				await aborted;
				expect(await codeOf(run.waitFor("ok?"))).toBe("STALE_RUN");
			});

			test("in the same tick, before the call, is STALE_RUN", async () => {
				const { runtime, run, end } = await running();
				const aborted = runtime.abort("k");
				expect(["STALE_RUN", "RUN_ABORTED"]).toContain(
					await codeOf(run.waitFor("ok?")),
				);
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					waits: [],
				});
				end();
				await aborted;
			});

			test("takes no answer any more", async () => {
				const { runtime, answer, ticket, end } = await waiting();
				const told = codeOf(answer);
				const aborted = runtime.abort("k");
				const resumed = runtime.resume(ticket, "ok?", 1);
				expect(await resumed).toMatchObject({ result: "nothing" });
				expect(await told).toBe("RUN_ABORTED");
				end();
				await aborted;
			});

			test("has its answer if that came first", async () => {
				const { runtime, answer, ticket, end } = await waiting();
				const resumed = runtime.resume(ticket, "ok?", 1);
				const aborted = runtime.abort("k");
				expect(await resumed).toMatchObject({ result: "done" });
				expect(await answer).toBe(1);
				end();
				await aborted;
			});

			test("is abandoned after its grace period if it does not look", async () => {
				const { runtime, clock, settled } = await waiting();
				const aborted = runtime.abort("k");
				await clock.advance(100);
				expect(await settled).toMatchObject({ outcome: "abandoned" });
				await aborted;
			});
		});

		test("that its executor does not wait for costs the process nothing, however it ends", async () => {
			for (const how of ["return", "abort", "timeout"])
				expect(
					await deathsOf(async () => {
						const { run, runtime, clock, end, settled } = await running();
						void run.waitFor("ok?", { timeoutMs: 50 });
						if (how === "timeout") await clock.advance(50);
						const aborted = how === "abort" ? runtime.abort("k") : null;
						end();
						await settled;
						await aborted;
					}),
				).toEqual([]);
		});

		test("that its executor does not wait for is over with the run", async () => {
			const { run, runtime, end, settled, ticket } = await running();
			const told = codeOf(run.waitFor("ok?"));
			end("done");
			expect(await settled).toMatchObject({ output: "done" });
			expect(await now(told)).toBe("STALE_RUN");
			expect(await runtime.get("k")).toMatchObject({
				status: "ended",
				waits: [],
			});
			expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
				result: "stale",
			});
		});

		test("whose executor throws while it waits fails as any run", async () => {
			const { runtime, scripted, settled } = await waiting();
			scripted.last.fail(new Error("had enough"));
			expect(await settled).toMatchObject({
				outcome: "failed",
				error: "had enough",
			});
			expect(await runtime.get("k")).toMatchObject({
				status: "failed",
				waits: [],
			});
		});

		describe("and a store that fails:", () => {
			test("a wait that cannot be kept is STORE_FAILED, and may be asked again", async () => {
				const { run, runtime, ticket, store } = await running();
				store.faults.push("before", "before");
				expect(await codeOf(run.waitFor("ok?"))).toBe("STORE_FAILED");
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					waits: [],
				});
				const answer = run.waitFor("ok?");
				await turns();
				await runtime.resume(ticket, "ok?", 1);
				expect(await answer).toBe(1);
			});

			test("an answer that cannot be kept is STORE_FAILED, and releases nothing", async () => {
				const { runtime, ticket, store, answer } = await waiting();
				store.faults.push("before", "before");
				expect(await codeOf(runtime.resume(ticket, "ok?", 1))).toBe(
					"STORE_FAILED",
				);
				expect(await now(answer)).toBe("pending");
				expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
				expect(await runtime.resume(ticket, "ok?", 2)).toMatchObject({
					result: "done",
				});
				expect(await answer).toBe(2);
			});

			test("an answer that held although its commit failed is there once", async () => {
				const { runtime, ticket, store, answer } = await waiting();
				store.faults.push("after");
				expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
					result: "done",
				});
				expect(await answer).toBe(1);
			});
		});

		describe("and a runtime that closes:", () => {
			test("the answer that comes meanwhile lets its run end", async () => {
				const { runtime, ticket, answer, end, settled } = await waiting();
				const closed = runtime.close({ runs: "await" });
				await turns();
				expect(await runtime.resume(ticket, "ok?", 1)).toMatchObject({
					result: "done",
				});
				expect(await answer).toBe(1);
				end("done");
				expect(await settled).toMatchObject({ outcome: "completed" });
				await closed;
				expect(await codeOf(runtime.resume(ticket, "ok?", 1))).toBe(
					"RUNTIME_CLOSED",
				);
			});

			test("a run that waited is interrupted, and no row says waiting afterwards", async () => {
				const host = await waiting();
				void host.answer.catch(() => host.end());
				await close(host);
				expect(await host.settled).toMatchObject({ outcome: "interrupted" });
				const { runtime } = await startHost(host.store);
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					waits: [],
				});
			});

			test("a run that waited when its process died is settled at the next start", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startScripted(store);
				await host.runtime.send("k", "hello");
				const { run } = host.scripted.last;
				const told = codeOf(run.waitFor("ok?"));
				await turns();
				await store.crash();
				const { runtime } = await startHost(store);
				expect(await runtime.get("k")).toMatchObject({
					status: "ended",
					lastOutcome: "interrupted",
					waits: [],
				});
				expect(await runtime.resume(run.ticket, "ok?", 1)).toMatchObject({
					result: "stale",
					mismatch: "runId",
				});
				expect(await now(told)).toBe("pending");
			});
		});

		describe("and slots:", () => {
			/** One slot: `k` waits, and `other` has taken its place. */
			async function crowded(how: { timeoutMs?: number } = {}) {
				const host = await waiting({ maxConcurrentRuns: 1 }, how);
				const other = await host.runtime.send("other", "hi");
				await turns();
				expect(host.scripted.runs).toHaveLength(2);
				return { ...host, other, endOther: host.scripted.last.end };
			}

			test("a run that waits gives its slot back, and goes on when it has one again", async () => {
				const { runtime, ticket, answer, other, endOther } = await crowded();
				await runtime.resume(ticket, "ok?", 1);
				expect(await now(answer)).toBe("pending");
				endOther();
				await other.settled;
				expect(await answer).toBe(1);
			});

			test("a run whose time is over goes on when it has one again, too", async () => {
				const { clock, answer, other, endOther } = await crowded({
					timeoutMs: 50,
				});
				const told = codeOf(answer);
				await clock.advance(50);
				expect(await now(told)).toBe("pending");
				endOther();
				await other.settled;
				expect(await told).toBe("WAIT_TIMEOUT");
			});

			test("a run that ends with its answer leaves no slot behind", async () => {
				const { runtime, ticket, answer, end, settled, scripted } =
					await waiting({ maxConcurrentRuns: 1 });
				const resumed = runtime.resume(ticket, "ok?", 1);
				end();
				await Promise.all([resumed, settled, now(answer)]);
				await runtime.send("other", "hi");
				await turns();
				expect(scripted.runs).toHaveLength(2);
			});

			test("a run that was answered and has no slot yet is told at once to stop", async () => {
				const { runtime, run, ticket, answer, end, settled } = await crowded();
				const told = answer.catch((error) => error);
				await runtime.resume(ticket, "ok?", 1);
				const aborted = runtime.abort("k");
				await turns();
				expect(await now(told)).toBe(run.signal.reason);
				end();
				await aborted;
				expect(await settled).toMatchObject({ outcome: "aborted" });
			});
		});

		describe("of a run that the host drives", () => {
			async function admitted() {
				const host = await startScripted(makeStore(), { graceMs: 100 });
				const run = await host.runtime.admit("k");
				const answer = run.waitFor("ok?");
				await turns();
				return { ...host, run, answer };
			}

			test("is answered as any", async () => {
				const { runtime, run, answer } = await admitted();
				expect(await runtime.get("k")).toMatchObject({
					status: "waiting",
					waits: ["ok?"],
				});
				await runtime.resume(run.ticket, "ok?", 1);
				expect(await answer).toBe(1);
				expect(await run.end()).toMatchObject({ verdict: "applied" });
			});

			const ends: Record<
				string,
				(host: Awaited<ReturnType<typeof admitted>>) => PromiseLike<unknown>
			> = {
				end: ({ run }) => run.end(),
				fail: ({ run }) => run.fail("no"),
				"a report": ({ runtime, run }) =>
					runtime.report({ ...run.ticket, phase: "end" }),
				dispose: ({ run }) => run[Symbol.asyncDispose](),
			};
			for (const [name, end] of Object.entries(ends))
				test(`is over with ${name}`, async () => {
					const host = await admitted();
					const told = codeOf(host.answer);
					await end(host);
					expect(["STALE_RUN", "RUN_ABORTED"]).toContain(await now(told));
					const row = await host.runtime.get("k");
					expect(row).toMatchObject({ waits: [], hasActiveRun: false });
					expect(
						await host.runtime.resume(host.run.ticket, "ok?", 1),
					).toMatchObject({ result: "stale", mismatch: "runId" });
				});

			test("and a reset rejects, and its run drains", async () => {
				const { runtime, run, answer } = await admitted();
				const told = answer.catch((error) => error);
				const reset = runtime.reset("k");
				expect(await told).toBe(run.signal.reason);
				await run.end();
				expect(await reset).toMatchObject({ result: "done" });
			});

			test("needs no slot to go on", async () => {
				const { runtime } = await startScripted(makeStore(), {
					maxConcurrentRuns: 1,
				});
				const run = await runtime.admit("k");
				const answer = run.waitFor("ok?");
				await runtime.send("other", "hi");
				await runtime.resume(run.ticket, "ok?", 1);
				expect(await now(answer)).toBe(1);
			});

			test("and of a reservation is refused", async () => {
				const { runtime } = await startScripted(makeStore());
				const run = await runtime.admit("k", { reserve: true });
				expect(await codeOf(run.waitFor("ok?"))).toBe("STALE_RUN");
			});
		});

		test("is what a run can do for its own answer: many at once, each with its own", async () => {
			const answers: JsonValue[] = [];
			const { runtime } = await startScripted(makeStore(), {
				execute: async (run) => {
					answers.push(
						...(await Promise.all([
							run.waitFor("a"),
							run.waitFor("b"),
							run.waitFor("c"),
						])),
					);
				},
			});
			const { ticket, settled } = await runtime.send("k", "hello");
			await turns();
			for (const name of ["c", "a", "b"])
				await runtime.resume(ticket as RunTicket, name, name);
			await settled;
			expect(answers).toEqual(["a", "b", "c"]);
		});
	});
