/** Scenarios of category SE beyond the first, which has seed.test.ts to itself: what belongs to one generation comes in another. */
import type { JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { codeOf } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

scenarios(
	"SE, a stale event writes a new generation",
	({ makeStore, start }) => {
		test("SE-02 the end of a run whose host has forgotten all but its id still finds the generation that owns it", async () => {
			const host = await start({ passivateAfterMs: 1000, graceMs: 10_000 });
			const { runtime, clock } = host;
			const { sessionId } = (await runtime.admit("k", { runId: "R1" })).ticket;
			const reset = runtime.reset("k");
			await turns();
			const before = await agree(host, "k");
			// By now the host has no handle, and the map from run to session is empty.
			expect(
				await runtime.report({ runId: "R1", phase: "error", error: "broke" }),
			).toMatchObject({
				verdict: "archived",
				ticket: { generation: 1, sessionId },
				row: { generation: 2, status: "idle", lastError: null },
			});
			await reset;
			await clock.advance(1000);
			expect(runtime.stats().resident).toBe(0);
			expect(await runtime.report({ runId: "R1", phase: "end" })).toMatchObject(
				{ verdict: "duplicate", ticket: { generation: 1 } },
			);
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				sessionId: before?.sessionId,
				status: "idle",
				lastError: null,
				endedAt: null,
			});
			expect((await runtime.archive("k")).items).toMatchObject([
				{ runs: [{ runId: "R1", outcome: "aborted", error: "broke" }] },
			]);
		});

		test("SE-03 the end of a run that died with its process does not end the attempt that has taken it up again", async () => {
			const store = new CrashingStore(makeStore());
			const dead = await watch(store);
			const first = await dead.runtime.admit("k", { runId: "R" });
			await store.crash();
			const host = await watch(store);
			const { runtime } = host;
			const second = await runtime.admit("k", { runId: "R" });
			expect(second.ticket).toEqual({ ...first.ticket, attempt: 2 });
			const before = await agree(host, "k");
			for (const phase of ["start", "end"] as const)
				expect(await runtime.report({ ...first.ticket, phase })).toMatchObject({
					verdict: "duplicate",
					ticket: { attempt: 1 },
				});
			expect(second.signal.aborted).toBe(false);
			expect(await agree(host, "k")).toEqual(before);
			expect(await second.end()).toMatchObject({ verdict: "applied" });
			expect((await runtime.runs("k")).items).toMatchObject([
				{ attempt: 2, outcome: "completed" },
				{ attempt: 1, outcome: "interrupted" },
			]);
			expect(await agree(host, "k")).toMatchObject({
				lastOutcome: "completed",
			});
		});

		test("SE-04 a cleanup that carries the generation that ended cannot touch the next one under the same session id", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			await runtime.reset("k", { sessionId: "S", meta: { binding: "B" } });
			const ended = await runtime.get("k");
			await runtime.reset("k", { sessionId: "S", meta: { binding: "B" } });
			const before = await agree(host, "k");
			// The end of generation 1 is heard of now, and its hook retires the binding.
			const own = {
				expect: { sessionId: "S", generation: ended?.generation },
			};
			for (const cleanup of [
				runtime.patch("k", { binding: null }, own),
				runtime.abort("k", own),
				runtime.delete("k", own),
			])
				expect(await cleanup).toEqual({
					result: "stale",
					mismatch: "generation",
					row: before,
				});
			const { settled } = await runtime.send("k", "next");
			expect(scripted.last.run.row.meta).toEqual({ binding: "B" });
			scripted.last.end();
			expect(await settled).toMatchObject({
				outcome: "completed",
				ticket: { sessionId: "S", generation: 2 },
			});
			expect(await agree(host, "k")).toMatchObject({ meta: { binding: "B" } });
		});

		test("SE-04 the cleanup of a generation is told which one has ended, runs before the next begins, and cannot touch that", async () => {
			const told: { generation: number; sessionId: string }[] = [];
			const late = Promise.withResolvers<void>();
			const answers: unknown[] = [];
			const host = await start({
				graceMs: 1000,
				onGenerationEnded: async ({ generation, row }) => {
					const own = { expect: { generation, sessionId: row.sessionId } };
					told.push({ generation, sessionId: row.sessionId });
					const cleanUp = () =>
						Promise.all([
							host.runtime.patch("k", { binding: null }, own),
							host.runtime.abort("k", own),
							host.runtime.delete("k", own),
						]).then((all) => answers.push(...all));
					await cleanUp();
					// The first time it goes on behind the back of the session, for longer than its grace period.
					if (generation > 1) return;
					await late.promise;
					await cleanUp();
				},
			});
			const { runtime, scripted, clock } = host;
			const meta = { binding: "B" };
			await runtime.reset("k", { sessionId: "S", meta });
			const reset = runtime.reset("k", { sessionId: "S", meta });
			await turns();
			const next = await runtime.send("k", "next");
			expect(next.disposition).toBe("queued");
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "resetting",
				draining: 0,
				meta,
			});
			await clock.advance(999);
			expect(scripted.runs).toEqual([]);
			await clock.advance(1);
			expect(await reset).toMatchObject({ row: { generation: 2 } });
			expect(scripted.last.run.row).toMatchObject({ generation: 2, meta });
			// The rest of the cleanup comes into the run of the next generation.
			const before = await agree(host, "k");
			late.resolve();
			await turns();
			expect(answers).toHaveLength(6);
			for (const answer of answers)
				expect(answer).toMatchObject({
					result: "stale",
					mismatch: "generation",
				});
			expect(scripted.last.run.signal.aborted).toBe(false);
			expect(await agree(host, "k")).toEqual(before);
			scripted.last.end();
			expect(await next.settled).toMatchObject({
				outcome: "completed",
				ticket: { sessionId: "S", generation: 2 },
			});
			await runtime.delete("k");
			expect(told).toEqual([
				{ generation: 1, sessionId: "S" },
				{ generation: 2, sessionId: "S" },
			]);
			expect(await agree(host, "k")).toBeNull();
		});

		test("SE-05 a reset that keeps the session id leaves a session that runs, and the hooks of the old end do nothing to it", async () => {
			const host = await start();
			const { runtime } = host;
			const old = await runtime.admit("k", { runId: "old", sessionId: "S" });
			const reset = runtime.reset("k", { sessionId: "S" });
			await old.end();
			await reset;
			const next = await runtime.admit("k", { runId: "next" });
			expect(next.ticket).toMatchObject({ sessionId: "S", generation: 2 });
			const before = await agree(host, "k");
			// The delayed hook has the session id and the run, and later the session id and the generation.
			expect(
				await runtime.report({ sessionId: "S", runId: "old", phase: "end" }),
			).toMatchObject({ verdict: "duplicate" });
			expect(
				await runtime.report({
					sessionKey: "k",
					sessionId: "S",
					generation: 1,
					runId: "next",
					phase: "end",
				}),
			).toMatchObject({ verdict: "refused" });
			expect(await agree(host, "k")).toEqual(before);
			expect(await next.end()).toMatchObject({ verdict: "applied" });
			expect(await agree(host, "k")).toMatchObject({
				lastOutcome: "completed",
			});
		});

		test("SE-07 a reset opens a session that runs, also under an id that was retired, and as often as one likes", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			await runtime.reset("k", { sessionId: "S", meta: { retired: true } });
			await runtime.delete("k");
			for (let generation = 2; generation <= 4; generation++) {
				expect(await runtime.reset("k", { sessionId: "S" })).toMatchObject({
					result: "done",
					row: { generation, sessionId: "S", status: "idle", meta: {} },
				});
				const { disposition, settled } = await runtime.send("k", generation);
				expect(disposition).toBe("started");
				scripted.last.end();
				expect(await settled).toMatchObject({
					outcome: "completed",
					ticket: { sessionId: "S", generation },
				});
				expect(await agree(host, "k")).toMatchObject({ generation });
			}
		});

		test("SE-08 a reset leaves all that was retired with the old generation, in every one of many sessions", async () => {
			const host = await start({
				execute: ({ row }) => {
					if ((row.meta as { retired?: boolean }).retired)
						throw new Error("generation retired");
					return "fine";
				},
			});
			const { runtime } = host;
			const keys = Array.from({ length: 70 }, (_, i) => `k${i}`);
			await Promise.all(
				keys.map((key) => runtime.reset(key, { meta: { retired: true } })),
			);
			const turn = async (key: string) =>
				(await (await runtime.send(key, "hello")).settled).outcome;
			expect(new Set(await Promise.all(keys.map(turn)))).toEqual(
				new Set(["failed"]),
			);
			await Promise.all(keys.map((key) => runtime.reset(key)));
			expect(await agree(host, "k69")).toMatchObject({
				status: "idle",
				lastError: null,
				meta: {},
			});
			expect(new Set(await Promise.all(keys.map(turn)))).toEqual(
				new Set(["completed"]),
			);
			expect(await agree(host, "k69")).toMatchObject({ generation: 2 });
		});

		test("SE-10 an approval that was asked for in one generation is dropped in the next, with nothing written or begun", async () => {
			const host = await start({ graceMs: 1000 });
			const { runtime, scripted, clock } = host;
			const old = await runtime.send("k", "delete all");
			const asked = scripted.last.run.ticket;
			const waits = codeOf(scripted.last.run.waitFor("approve"));
			await turns();
			expect(await agree(host, "k")).toMatchObject({
				status: "waiting",
				waits: ["approve"],
			});
			const reset = runtime.reset("k", { reason: "/new" });
			await turns();
			expect(await waits).toBe("RUN_ABORTED");
			const { sessionId } = (await runtime.get("k")) ?? {};
			const approve = async (result: object) => {
				const before = await agree(host, "k");
				const { commits } = runtime.stats();
				expect(await runtime.resume(asked, "approve", true)).toMatchObject(
					result,
				);
				expect(runtime.stats().commits).toBe(commits);
				expect(await agree(host, "k")).toEqual(before);
			};
			const stale = { result: "stale", mismatch: "generation" };
			// While the old run still drains, when it has been given up, and when the new one asks for the same.
			await approve(stale);
			await clock.advance(1000);
			await reset;
			await approve(stale);
			expect(scripted.runs).toHaveLength(1);
			const next = await runtime.send("k", "hello");
			const { run, end } = scripted.last;
			const answer = run.waitFor("approve");
			await turns();
			await approve(stale);
			expect(await agree(host, "k")).toMatchObject({
				sessionId,
				status: "waiting",
				activeRun: next.ticket,
			});
			expect(await runtime.resume(run.ticket, "approve", "new")).toMatchObject({
				result: "done",
			});
			expect(await answer).toBe("new");
			end();
			expect(await next.settled).toMatchObject({ outcome: "completed" });
			expect(await old.settled).toMatchObject({ outcome: "abandoned" });
			await agree(host, "k");
		});

		test("SE-10 an approval of one generation does not answer a run of the next that has the same run id and asks for the same", async () => {
			const host = await start();
			const { runtime } = host;
			const ask = async () => {
				const run = await runtime.admit("k", { runId: "R", sessionId: "S" });
				const answer = codeOf(run.waitFor("approve"));
				await turns();
				return { run, answer };
			};
			const old = await ask();
			const reset = runtime.reset("k", { sessionId: "S" });
			expect(await old.answer).toBe("RUN_ABORTED");
			await old.run.end();
			await reset;
			const next = await ask();
			const before = await agree(host, "k");
			expect(before).toMatchObject({ generation: 2, waits: ["approve"] });
			expect(
				await runtime.resume(old.run.ticket, "approve", "old"),
			).toMatchObject({ result: "stale" });
			expect(await agree(host, "k")).toEqual(before);
			await runtime.resume(next.run.ticket, "approve", "new");
			expect(await next.answer).toEqual({ resolved: "new" });
			await next.run.end();
			expect(await agree(host, "k")).toMatchObject({
				lastOutcome: "completed",
				waits: [],
			});
		});

		test("SE-11 an event of the old generation that still waits, in whatever mode, is not put before the first message of the new one", async () => {
			const modes = ["enqueue", "latest", "collect", "steer"] as const;
			for (const overlap of modes)
				for (const way of ["a reset", "a message that resets"]) {
					const host = await start();
					const { runtime, scripted } = host;
					const old = await runtime.send("k", "exec");
					const generation = old.ticket?.generation;
					// What an exec queues is bound to the generation that ran it.
					const event = await runtime.send("k", "exec exited with 1", {
						overlap,
						expect: { generation },
					});
					const reset =
						way === "a reset"
							? runtime.reset("k", { reason: "/new" })
							: Promise.resolve();
					const first = await runtime.send("k", "first", {
						reset: way !== "a reset",
					});
					scripted.last.end();
					await reset;
					expect(await event.settled, overlap).toEqual({
						ticket: null,
						outcome: "removed",
					});
					await turns();
					expect(scripted.last.run.messages, overlap).toMatchObject([
						{ input: "first" },
					]);
					// One that comes only now is refused.
					expect(
						await codeOf(
							runtime.send("k", "exec exited with 2", {
								overlap,
								expect: { generation },
							}),
						),
					).toBe("STALE_EXPECTATION");
					scripted.last.end();
					await first.settled;
					expect(scripted.runs).toHaveLength(2);
					expect(await agree(host, "k")).toMatchObject({
						generation: 2,
						queued: 0,
						status: "ended",
					});
				}
		});

		test("SE-13 a command that was queued in one generation is held to it at each of its steps", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const { generation } = (await runtime.send("k", "turn")).ticket as {
				generation: number;
			};
			const command = { expect: { generation } };
			const queued = await runtime.send("k", "/goal", command);
			scripted.last.end();
			await turns();
			// It runs, and while it does the session rolls on.
			const { run, end } = scripted.last;
			expect(run.messages).toMatchObject([{ input: "/goal" }]);
			expect(await runtime.patch("k", { step: 1 }, command)).toMatchObject({
				result: "done",
			});
			const reset = runtime.reset("k");
			await turns();
			expect(await runtime.patch("k", { step: 2 }, command)).toMatchObject({
				result: "stale",
				mismatch: "generation",
			});
			expect(await codeOf(runtime.send("k", "dispatch", command))).toBe(
				"STALE_EXPECTATION",
			);
			expect(await codeOf(run.rotate())).toBe("STALE_RUN");
			expect(run.row).toMatchObject({ generation, meta: { step: 1 } });
			end();
			await reset;
			expect(await queued.settled).toMatchObject({ outcome: "aborted" });
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "idle",
				meta: {},
				queued: 0,
			});
		});

		test("SE-14 who loses a compare-and-set is told so, and cannot take the row that comes with it for success", async () => {
			const host = await start();
			const { runtime } = host;
			await runtime.reset("k", { meta: { fork: null } });
			const read = await runtime.get("k");
			const claim = (fork: string) =>
				runtime.patch("k", { fork }, { expect: { version: read?.version } });
			const [b, a] = await Promise.all([claim("B"), claim("A")]);
			expect(b).toMatchObject({ result: "done", row: { meta: { fork: "B" } } });
			expect(a).toEqual({ result: "stale", mismatch: "version", row: b.row });
			expect(await agree(host, "k")).toMatchObject({ meta: { fork: "B" } });
			// Nor does the loser make the row again where it has gone.
			await runtime.delete("k");
			expect(await claim("A")).toEqual({
				result: "stale",
				mismatch: "version",
				row: null,
			});
			expect(await agree(host, "k")).toBeNull();
		});

		test("SE-16 what a run writes at its end may confirm its own generation, and not put the session back to it", async () => {
			const host = await start();
			const { runtime } = host;
			for (let turn = 1; turn <= 3; turn++) {
				const run = await runtime.admit("k", { runId: `turn ${turn}` });
				const { sessionId } = run.ticket;
				const reset = runtime.reset("k", { sessionId: `healed ${turn}` });
				await turns();
				// The sync after the run finds that the session was split, and writes its own id back.
				expect(await codeOf(run.rotate({ sessionId }))).toBe("STALE_RUN");
				expect(
					await runtime.patch(
						"k",
						{ session: sessionId },
						{ expect: { sessionId } },
					),
				).toMatchObject({ result: "stale", mismatch: "sessionId" });
				expect(await run.end()).toMatchObject({
					verdict: "archived",
					row: { sessionId: `healed ${turn}` },
				});
				await reset;
				expect(await agree(host, "k")).toMatchObject({
					sessionId: `healed ${turn}`,
					generation: turn + 1,
					status: "idle",
					meta: {},
				});
			}
		});

		test("SE-17 a run is told the generation and session id that it belongs to, so that nothing of an earlier one is used for it", async () => {
			const agents = new Map<string, { prompt: JsonValue }>();
			const host = await start({
				execute: ({ ticket, row }) => {
					const id = `${ticket.sessionKey} ${ticket.generation}`;
					const agent = agents.get(id) ?? { prompt: row.meta };
					agents.set(id, agent);
					return { prompt: agent.prompt, sessionId: ticket.sessionId };
				},
			});
			const { runtime } = host;
			const ask = async () =>
				(await (await runtime.send("k", "who are you?")).settled).output;
			await runtime.reset("k", { sessionId: "S1", meta: { persona: "one" } });
			const one = { prompt: { persona: "one" }, sessionId: "S1" };
			expect([await ask(), await ask()]).toEqual([one, one]);
			await runtime.reset("k", { sessionId: "S2", meta: { persona: "two" } });
			expect(await ask()).toEqual({
				prompt: { persona: "two" },
				sessionId: "S2",
			});
			expect(agents.size).toBe(2);
			expect(await agree(host, "k")).toMatchObject({ generation: 2 });
		});

		test("SE-19 a message that is sent again attaches to its own run, whatever runs now, and is told if that was superseded", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const a = await runtime.send("k", "A", { messageId: "a" });
			// The second tab replaces what the first has begun.
			const stopped = runtime.abort("k");
			const b = await runtime.send("k", "B", { messageId: "b" });
			scripted.last.end("answer to A, too late");
			await stopped;
			const again = await runtime.send("k", "A", { messageId: "a" });
			expect(again).toMatchObject({
				disposition: "duplicate",
				ticket: a.ticket,
				row: { activeRun: { runId: scripted.last.run.ticket.runId } },
			});
			expect(again.ticket?.runId).not.toBe(scripted.last.run.ticket.runId);
			expect(await again.settled).toMatchObject({
				ticket: a.ticket,
				outcome: "aborted",
			});
			scripted.last.end("answer to B");
			expect(await b.settled).toMatchObject({ output: "answer to B" });
			expect(await agree(host, "k")).toMatchObject({
				lastOutcome: "completed",
			});
		});

		test("SE-20 who cleans up after one run cannot clear the place of another", async () => {
			const host = await start();
			const { runtime } = host;
			const first = await runtime.admit("k", { runId: "Q1" });
			await first.end();
			const second = await runtime.admit("k", { runId: "Q2" });
			const before = await agree(host, "k");
			// The `finally` of the first comes when the second is live.
			await first[Symbol.asyncDispose]();
			expect(await first.end()).toMatchObject({ verdict: "duplicate" });
			expect(second.signal.aborted).toBe(false);
			expect(await agree(host, "k")).toEqual(before);
			expect(before).toMatchObject({ activeRun: { runId: "Q2" } });
			await second[Symbol.asyncDispose]();
			expect(await agree(host, "k")).toMatchObject({
				status: "ended",
				lastOutcome: "interrupted",
			});
		});

		test("SE-22 each generation stops its own run, the very first as well, and no late result counts", async () => {
			const host = await start({ graceMs: 2000 });
			const { runtime, scripted, clock } = host;
			for (let visit = 0; visit < 4; visit++) {
				await runtime.send("k", `C${visit}`);
				const left = runtime.reset("k");
				await clock.advance(2000);
				expect(await left).toMatchObject({
					report: { abandoned: [{ generation: visit + 1 }] },
				});
			}
			expect(scripted.runs.map(({ run }) => run.signal.aborted)).toEqual([
				true,
				true,
				true,
				true,
			]);
			const before = await agree(host, "k");
			for (const { end } of scripted.runs) end("resolved");
			await turns();
			expect(await agree(host, "k")).toEqual(before);
			expect(before).toMatchObject({ generation: 5, status: "idle" });
			expect((await runtime.archive("k")).items).toMatchObject(
				[4, 3, 2, 1].map((generation) => ({
					generation,
					runs: [{ outcome: "abandoned" }],
				})),
			);
		});

		test("SE-23 a reply that is promoted when the next turn has begun is refused at its start", async () => {
			const host = await start();
			const { runtime } = host;
			const reply = await runtime.admit("k", {
				runId: "turn 1",
				reserve: true,
			});
			// The user begins to speak: the reply is given up, and the next turn is live.
			await runtime.abort("k", { expect: { runId: "turn 1" } });
			const next = await runtime.admit("k", { runId: "turn 2" });
			await host.clock.advance(170);
			expect(await reply.start()).toMatchObject({
				verdict: "duplicate",
				row: { activeRun: { runId: "turn 2" } },
			});
			// Also one that nobody gave up, and that was merely overtaken.
			const other = await runtime.admit("k", {
				runId: "turn 3",
				reserve: true,
			});
			expect(await other.start()).toMatchObject({
				verdict: "refused",
				row: { activeRun: { runId: "turn 2" } },
			});
			expect(next.signal.aborted).toBe(false);
			expect(await agree(host, "k")).toMatchObject({
				activeRun: next.ticket,
				lastOutcome: null,
			});
		});

		test("SE-25 a run that ends when another conversation is shown ends in the one that it began in", async () => {
			const host = await start();
			const { runtime, scripted } = host;
			const x = await runtime.send("X", "in X");
			const [inX] = scripted.runs;
			await runtime.send("Y", "in Y");
			const shown = await agree(host, "Y");
			inX?.run.usage({ outputTokens: 9 });
			await inX?.run.rotate({ sessionId: "saved" });
			inX?.end("history of X");
			expect(await x.settled).toMatchObject({
				ticket: { sessionKey: "X", sessionId: "saved" },
				output: "history of X",
			});
			expect(await agree(host, "Y")).toEqual(shown);
			expect(await agree(host, "X")).toMatchObject({
				sessionId: "saved",
				status: "ended",
				outputTokens: 9,
			});
		});
	},
);
