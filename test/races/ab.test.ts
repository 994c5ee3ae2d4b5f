/** Scenarios of category AB: a run is told to stop, and what counts as stopped. */
import type { JsonValue, ManagedRun, RunOutcome } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { close } from "../support/restart.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

/** Resolves when a run is told to stop. */
function told(run: Pick<ManagedRun, "signal">): Promise<unknown> {
	return new Promise((stop) => run.signal.addEventListener("abort", stop));
}

scenarios("AB, an abort that does not drain", ({ makeStore, start }) => {
	test("AB-01 an abort is done when the place of its run is free, and says so when it had no effect", async () => {
		const host = await start();
		const { runtime } = host;
		const retired = await runtime.admit("k", { runId: "retired" });
		await retired.end();
		expect(await runtime.abort("k")).toMatchObject({ result: "nothing" });
		const wedged = await runtime.admit("k", { runId: "wedged" });
		// The watchdog resolved the wrong id.
		for (const runId of ["retired", "unknown"])
			expect(await runtime.abort("k", { expect: { runId } })).toMatchObject({
				result: "stale",
				mismatch: "runId",
				row: { hasActiveRun: true },
			});
		expect(wedged.signal.aborted).toBe(false);
		const aborted = runtime.abort("k", { expect: { runId: "wedged" } });
		await host.clock.advance(4999);
		expect(await now(aborted)).toBe("pending");
		expect(await codeOf(runtime.admit("k"))).toBe("SESSION_BUSY");
		await host.clock.advance(1);
		expect(await aborted).toMatchObject({
			result: "done",
			row: { hasActiveRun: false, lastOutcome: "abandoned" },
		});
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
		await (await runtime.admit("k")).end();
	});

	test("AB-02 a run that has replied and hangs is stopped, and the messages behind it go on at once", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const hung = await runtime.send("k", "replied");
		const next = await runtime.send("k", "next");
		const aborted = runtime.abort("k", { graceMs: 100 });
		await clock.advance(99);
		expect(await agree(host, "k")).toMatchObject({
			activeRun: hung.ticket,
			queued: 1,
		});
		await clock.advance(1);
		expect(await aborted).toMatchObject({
			row: { status: "running", queued: 0 },
			report: { abandoned: [{ runId: hung.ticket?.runId }] },
		});
		expect(await hung.settled).toMatchObject({ outcome: "abandoned" });
		expect(scripted.last.run.messages).toMatchObject([{ input: "next" }]);
		scripted.last.end();
		expect(await next.settled).toMatchObject({ outcome: "completed" });
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
		});
	});

	test("AB-04 whichever way a run is stopped, what it has started is gone when the stop is answered", async () => {
		const alive = new Set<string>();
		const exits = new Map<string, () => void>();
		const host = await start({
			execute: async (run) => {
				const { sessionKey } = run.ticket;
				alive.add(sessionKey);
				await told(run);
				// The child process takes its time to go.
				await new Promise<void>((exit) => exits.set(sessionKey, exit));
				alive.delete(sessionKey);
			},
		});
		const { runtime } = host;
		for (const stop of ["abort", "reset", "delete"] as const) {
			await runtime.send(stop, "sleep 90");
			const stopped = runtime[stop](stop);
			await turns();
			expect(await now(stopped)).toBe("pending");
			expect(alive).toContain(stop);
			exits.get(stop)?.();
			expect(await stopped).toMatchObject({
				result: "done",
				report: { drained: [{ stoppedBy: stop, outcome: "aborted" }] },
			});
			expect(alive).not.toContain(stop);
			await agree(host, stop);
		}
		await runtime.send("close", "sleep 90");
		const closing = runtime.close();
		await turns();
		expect(await now(closing)).toBe("pending");
		exits.get("close")?.();
		await closing;
		expect(alive.size).toBe(0);
	});

	test("AB-04 whichever way a run is stopped, the runs that it has attached to itself are gone before it, and what waits for it never begins", async () => {
		const exits = new Map<string, () => void>();
		const began: string[] = [];
		const host = await start({
			execute: async (run) => {
				const { sessionKey } = run.ticket;
				began.push(sessionKey);
				const [stop, depth] = sessionKey.split(" ");
				if (depth === undefined) {
					await run.spawn(`${stop} child`, "sleep 90");
					await run.spawn(`${stop} busy`, "never");
				} else if (depth === "child")
					await run.spawn(`${stop} grandchild`, "sleep 90");
				await told(run);
				await new Promise<void>((exit) => exits.set(sessionKey, exit));
			},
		});
		const { runtime } = host;
		for (const stop of ["abort", "reset", "delete"] as const) {
			const busy = await runtime.admit(`${stop} busy`);
			const ended: string[] = [];
			runtime.subscribe((event) => {
				if (event.type === "run" && event.run.sessionKey.startsWith(stop))
					ended.push(event.run.sessionKey);
			});
			await runtime.send(stop, "sleep 90");
			await turns();
			const stopped = runtime[stop](stop);
			await turns();
			const [child, grandchild] = [`${stop} child`, `${stop} grandchild`];
			// The parent is ready to go, its child is not, and that one waits for its own.
			exits.get(stop)?.();
			exits.get(child)?.();
			await turns();
			expect(await now(stopped)).toBe("pending");
			expect(await agree(host, child)).toMatchObject({ hasActiveRun: true });
			exits.get(grandchild)?.();
			expect(await stopped).toMatchObject({
				result: "done",
				report: { drained: [{ stoppedBy: stop, outcome: "aborted" }] },
			});
			expect(ended).toEqual([grandchild, child, stop]);
			await busy.end();
			await turns();
			expect(began).not.toContain(`${stop} busy`);
			for (const key of [stop, child, grandchild, `${stop} busy`]) {
				const row = await agree(host, key);
				expect([row?.hasActiveRun ?? false, row?.queued ?? 0]).toEqual([
					false,
					0,
				]);
			}
			for (const key of [child, grandchild])
				expect((await runtime.runs(key)).items).toMatchObject([
					{ outcome: "aborted", stoppedBy: "parent" },
				]);
		}
	});

	test("AB-05 a tool that aborts its own run is seen before the next step, and no step after it is let in", async () => {
		const steps: string[] = [];
		const host = await start({
			execute: async (run) => {
				for (const step of ["model", "tool", "model", "tool"]) {
					if (run.signal.aborted) break;
					steps.push(step);
					if (step !== "tool") continue;
					void host.runtime.abort("k");
					await told(run);
				}
				return codeOf(run.rotate());
			},
		});
		const { settled } = await host.runtime.send("k", "hello");
		expect(await settled).toMatchObject({ outcome: "aborted" });
		expect(steps).toEqual(["model", "tool"]);
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
			version: 3,
		});
	});

	test("AB-07 the error of a run that a reset has stopped is filed with the old generation, and not shown in the new one", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const old = await runtime.send("k", "hello");
		const reset = runtime.reset("k", { reason: "/new" });
		await turns();
		const seen = host.feed.length;
		scripted.last.fail(new Error('{"error":{"type":"workspace_gone"}}'));
		expect(await old.settled).toMatchObject({
			outcome: "aborted",
			ticket: { generation: 1 },
		});
		expect(await reset).toMatchObject({ result: "done" });
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "idle",
			lastOutcome: null,
			lastError: null,
		});
		const shown = host.feed.slice(seen).filter(({ type }) => type === "row");
		expect(JSON.stringify(shown)).not.toContain("workspace_gone");
		expect((await runtime.archive("k")).items).toMatchObject([
			{ runs: [{ error: '{"error":{"type":"workspace_gone"}}' }] },
		]);
	});

	test("AB-08 a message that is sent again before its run is registered joins that run, and an abort stops the one that there is", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		const { promise, resolve } = Promise.withResolvers<void>();
		store.beforeCommit = () => promise;
		const idempotent = { messageId: "X" };
		const sent = runtime.send("k", "hello", idempotent);
		await turns();
		const again = runtime.send("k", "hello", idempotent);
		await turns();
		resolve();
		const [first, second] = await Promise.all([sent, again]);
		expect([first.disposition, second.disposition]).toEqual([
			"started",
			"duplicate",
		]);
		expect(scripted.runs).toHaveLength(1);
		const aborted = runtime.abort("k");
		await turns();
		expect(scripted.last.run.signal.aborted).toBe(true);
		scripted.last.end();
		expect(await aborted).toMatchObject({ result: "done" });
		for (const { settled } of [first, second])
			expect(await settled).toMatchObject({
				outcome: "aborted",
				ticket: first.ticket,
			});
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("AB-10 a session is busy until its run has cleaned up, and its end is said once", async () => {
		const cleaned = Promise.withResolvers<void>();
		const exited = Promise.withResolvers<void>();
		const host = await start({
			execute: async () => {
				try {
					await exited.promise;
				} finally {
					await cleaned.promise;
				}
			},
		});
		const { runtime } = host;
		const { settled } = await runtime.send("k", "exec");
		const idle = runtime.whenIdle("k");
		exited.resolve();
		await host.clock.advance(60_000);
		expect(await now(idle)).toBe("pending");
		expect(await now(settled)).toBe("pending");
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: true });
		expect(await codeOf(runtime.send("k", "more", { overlap: "reject" }))).toBe(
			"SESSION_BUSY",
		);
		cleaned.resolve();
		await idle;
		expect(await settled).toMatchObject({ outcome: "completed" });
		expect(host.feed.filter(({ type }) => type === "run")).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
	});

	test("AB-10 a session is busy until what its run delivers has ended and its scope is disposed, in this order and once each", async () => {
		const [delivered, disposed] = [
			Promise.withResolvers<void>(),
			Promise.withResolvers<void>(),
		];
		const steps: string[] = [];
		const host = await start({
			execute: async (run) => {
				run.scope.defer(() => {
					steps.push("resources are given back");
					return disposed.promise;
				});
				// Nobody waits for it here: the end of the run does, from the call on.
				void run.deliver("notice", () => {
					steps.push("posting");
					return delivered.promise;
				});
			},
		});
		const { runtime } = host;
		const { settled } = await runtime.send("k", "exec");
		const idle = runtime.whenIdle("k");
		const isBusy = async () => {
			await turns();
			expect(await now(idle)).toBe("pending");
			expect(await now(settled)).toBe("pending");
			expect(await agree(host, "k")).toMatchObject({ hasActiveRun: true });
			expect(
				await codeOf(runtime.send("k", "more", { overlap: "reject" })),
			).toBe("SESSION_BUSY");
		};
		await isBusy();
		expect(steps).toEqual(["posting"]);
		delivered.resolve();
		await isBusy();
		expect(steps).toEqual(["posting", "resources are given back"]);
		disposed.resolve();
		await idle;
		expect(await settled).toMatchObject({ outcome: "completed" });
		expect(steps).toHaveLength(2);
		expect(host.feed.filter(({ type }) => type === "run")).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
	});

	test("AB-11 a run can be stopped whichever way it came to run, and writes nothing to its session after that", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const managed = () => ({
			...scripted.last,
			end: () => scripted.last.end(),
		});
		const ways: Record<
			string,
			(key: string) => Promise<{
				run: Pick<ManagedRun, "signal" | "rotate">;
				end: () => unknown;
			}>
		> = {
			"a message": async (key) => {
				await runtime.send(key, "hello");
				return managed();
			},
			"a message that waited": async (key) => {
				const before = await runtime.admit(key);
				await runtime.send(key, "hello");
				await before.end();
				return managed();
			},
			"a message that a reset kept": async (key) => {
				const before = await runtime.admit(key);
				await runtime.send(key, "hello");
				const reset = runtime.reset(key);
				await before.end();
				await reset;
				return managed();
			},
			"an admission": async (key) => {
				const run = await runtime.admit(key);
				return { run, end: () => run.end() };
			},
			"a reservation": async (key) => {
				const run = await runtime.admit(key, { reserve: true });
				await run.start();
				return { run, end: () => run.end() };
			},
			"another attempt": async (key) => {
				await (await runtime.admit(key, { runId: key })).fail("broke");
				const run = await runtime.admit(key, { runId: key });
				return { run, end: () => run.end() };
			},
		};
		for (const [key, begin] of Object.entries(ways)) {
			const { run, end } = await begin(key);
			const { signal } = run;
			expect(signal.aborted, key).toBe(false);
			const aborted = runtime.abort(key);
			await turns();
			expect(signal.reason, key).toMatchObject({ by: "abort" });
			expect(await codeOf(run.rotate()), key).toBe("STALE_RUN");
			end();
			expect(await aborted, key).toMatchObject({
				report: { drained: [{ outcome: "aborted" }] },
			});
			expect(await agree(host, key), key).toMatchObject({
				status: "ended",
				lastOutcome: "aborted",
			});
		}
	});

	test("AB-13 an abort ends a run in whatever state it is", async () => {
		const host = await start({ graceMs: 10 });
		const { runtime, clock } = host;
		const states: Record<string, (key: string) => Promise<unknown>> = {
			reserved: (key) => runtime.admit(key, { runId: "R", reserve: true }),
			admitted: (key) => runtime.admit(key, { runId: "R" }),
			started: async (key) =>
				(await runtime.admit(key, { runId: "R" })).start(),
			"in a tool call that has reported usage": async (key) => {
				const run = await runtime.admit(key, { runId: "R" });
				await run.start();
				run.usage({ outputTokens: 1 });
			},
			rotating: async (key) => {
				const run = await runtime.admit(key, { runId: "R" });
				void run.rotate();
			},
			"told to stop": async (key) => {
				await runtime.admit(key, { runId: "R" });
				void runtime.abort(key);
			},
		};
		for (const [key, begin] of Object.entries(states)) {
			const held = await begin(key);
			const aborted = runtime.abort(key, { expect: { runId: "R" } });
			await clock.advance(10);
			expect(await aborted, key).toMatchObject({ result: "done" });
			const [record] = (await runtime.runs(key)).items;
			expect(record, key).toMatchObject({
				runId: "R",
				outcome: key === "reserved" ? "aborted" : "abandoned",
				stoppedBy: "abort",
			});
			expect(await agree(host, key), key).toMatchObject({
				hasActiveRun: false,
				activeRun: null,
			});
			// A reservation is given up with its handle, which is held until here.
			expect(held).not.toBeNull();
		}
	});

	test("AB-14 the end that a watchdog makes reaches everybody who waits for the run", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const { settled, ticket } = await runtime.send("k", "stalls");
		const again = runtime.until("k", (row) => row?.hasActiveRun === false);
		const idle = runtime.whenIdle("k");
		clock.setTimeout(
			() => void runtime.abort("k", { reason: "stalled", graceMs: 0 }),
			30_000,
		);
		await clock.advance(30_000);
		expect(await settled).toMatchObject({ ticket, outcome: "abandoned" });
		expect(await again).toMatchObject({ lastOutcome: "abandoned" });
		await idle;
		expect(host.feed.filter(({ type }) => type === "run")).toMatchObject([
			{ run: { runId: ticket?.runId, outcome: "abandoned" } },
		]);
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("AB-16 an abort before the start is kept for the start, whichever way that is said", async () => {
		const host = await start();
		const { runtime } = host;
		const starts = {
			"by the handle": (run: Awaited<ReturnType<typeof runtime.admit>>) =>
				run.start(),
			"by a report": (run: Awaited<ReturnType<typeof runtime.admit>>) =>
				runtime.report({ ...run.ticket, phase: "start" }),
			"by a report of the run id": (
				run: Awaited<ReturnType<typeof runtime.admit>>,
			) => runtime.report({ runId: run.ticket.runId, phase: "start" }),
		};
		for (const [key, begin] of Object.entries(starts)) {
			const run = await runtime.admit(key, {
				runId: `run ${key}`,
				reserve: true,
			});
			expect(
				await runtime.abort(key, { expect: { runId: run.ticket.runId } }),
			).toMatchObject({ result: "done" });
			expect(run.signal.reason).toMatchObject({ by: "abort" });
			expect(await begin(run)).toMatchObject({
				verdict: "duplicate",
				row: { hasActiveRun: false },
			});
			expect((await runtime.runs(key)).items).toMatchObject([
				{ outcome: "aborted", stoppedBy: "abort" },
			]);
			expect(await agree(host, key)).toMatchObject({ hasActiveRun: false });
		}
	});

	test("AB-17 a run that is told to stop is shown as running until it has stopped", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const { settled, ticket } = await runtime.send("k", "a loop");
		const aborted = runtime.abort("k", { graceMs: 60_000 });
		await clock.advance(59_000);
		expect(scripted.last.run.signal.aborted).toBe(true);
		expect(await now(aborted)).toBe("pending");
		expect(await now(settled)).toBe("pending");
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: ticket,
			lastOutcome: null,
		});
		scripted.last.end();
		expect(await aborted).toMatchObject({ result: "done" });
		expect(await settled).toMatchObject({ outcome: "aborted" });
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
			runtimeMs: 59_000,
		});
	});

	test("AB-19 a cancel of a turn that is over, a cancel of nothing and a cancel that stops a turn are three answers", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const zero = await runtime.send("k", "turn 0");
		scripted.last.end();
		await zero.settled;
		expect(await runtime.abort("k")).toMatchObject({
			result: "nothing",
			row: { hasActiveRun: false },
		});
		const two = await runtime.send("k", "turn 2");
		expect(
			await runtime.abort("k", { expect: { runId: zero.ticket?.runId } }),
		).toMatchObject({
			result: "stale",
			mismatch: "runId",
			row: { activeRun: two.ticket },
		});
		expect(scripted.last.run.signal.aborted).toBe(false);
		const accepted = runtime.abort("k", {
			expect: { runId: two.ticket?.runId },
		});
		await turns();
		scripted.last.end();
		expect(await accepted).toMatchObject({
			result: "done",
			report: { drained: [{ runId: two.ticket?.runId }] },
		});
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "aborted" });
	});

	test("AB-20 a stop holds for whoever looks again before it has settled, and the next message is not lost", async () => {
		for (const delay of [150, 225, 300]) {
			const host = await start();
			const { runtime, scripted, clock } = host;
			const first = await runtime.send("k", "first");
			await clock.advance(delay);
			const stopped = runtime.abort("k");
			await turns();
			// The page is loaded again, and shows what is committed: not over yet.
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const persisted = runtime.until("k", (row) => !row?.hasActiveRun);
			const next = runtime.send("k", "next");
			await turns();
			expect(scripted.runs).toHaveLength(1);
			expect(scripted.last.run.signal.aborted).toBe(true);
			// Another page stops it too.
			expect(await now(runtime.abort("k"))).toBe("pending");
			scripted.last.end();
			await stopped;
			expect(await first.settled).toMatchObject({ outcome: "aborted" });
			const { settled } = await next;
			expect(scripted.runs).toHaveLength(2);
			expect(scripted.last.run.signal.aborted).toBe(false);
			scripted.last.end("answer");
			expect(await settled).toMatchObject({ output: "answer" });
			expect(await persisted).toMatchObject({ hasActiveRun: false });
			expect(await agree(host, "k")).toMatchObject({
				lastOutcome: "completed",
			});
		}
	});

	test("AB-22 a cancel ends what its run waits for, in the row and in the run, and the next message meets nothing of it", async () => {
		const host = await start({
			execute: async (run) => {
				if (run.messages[0]?.input !== "needs approval") return "answer";
				return run.waitFor("approve delete");
			},
		});
		const { runtime } = host;
		for (const cancel of ["abort", "reset"] as const) {
			const asks = await runtime.send(cancel, "needs approval");
			await turns();
			expect(await agree(host, cancel)).toMatchObject({
				status: "waiting",
				waits: ["approve delete"],
			});
			const next = await runtime.send(cancel, "hello");
			const cancelled = runtime[cancel](cancel);
			expect(await asks.settled).toMatchObject({ outcome: "aborted" });
			await cancelled;
			expect(await next.settled).toMatchObject({
				outcome: "completed",
				output: "answer",
			});
			const before = await agree(host, cancel);
			expect(before).toMatchObject({ status: "ended", waits: [], queued: 0 });
			// The approval comes after all.
			const { ticket } = asks;
			if (!ticket) throw new Error("it did not start");
			expect(
				await runtime.resume(ticket, "approve delete", true),
			).toMatchObject({ result: "stale" });
			expect(await agree(host, cancel)).toEqual(before);
		}
	});

	test("AB-22 the wait of a run that died with its process is not in the way of the next message either", async () => {
		const store = new CrashingStore(makeStore());
		const dead = await watch(store);
		const asks = await dead.runtime.send("k", "needs approval");
		const waits = codeOf(dead.scripted.last.run.waitFor("approve delete"));
		await turns();
		await dead.runtime.send("k", "hello");
		await store.crash();
		const host = await watch(store);
		await turns();
		expect(await now(waits)).toBe("pending");
		expect(host.scripted.last.run.messages).toMatchObject([{ input: "hello" }]);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			waits: [],
		});
		expect(
			await host.runtime.resume(asks.ticket as never, "approve delete", true),
		).toMatchObject({ result: "stale" });
		host.scripted.last.end();
		await host.runtime.whenIdle("k");
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("AB-23 a client that has missed the answer to its start can still name the run that it stops", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		// By the id that it chose itself.
		void runtime.admit("chosen", { runId: "mine" });
		const stopped = runtime.abort("chosen", { expect: { runId: "mine" } });
		await turns();
		expect(await runtime.report({ runId: "mine", phase: "end" })).toMatchObject(
			{ verdict: "applied" },
		);
		expect(await stopped).toMatchObject({
			result: "done",
			report: { drained: [{ runId: "mine", outcome: "aborted" }] },
		});
		expect(await agree(host, "chosen")).toMatchObject({ status: "ended" });
		// By the row, which names what runs.
		void runtime.send("read", "hello");
		await turns();
		const row = await runtime.get("read");
		const aborted = runtime.abort("read", {
			expect: { runId: row?.activeRun?.runId },
		});
		await turns();
		scripted.last.end();
		expect(await aborted).toMatchObject({
			result: "done",
			report: { drained: [{ runId: row?.activeRun?.runId }] },
		});
		expect(await agree(host, "read")).toMatchObject({ status: "ended" });
	});

	test("AB-25 whichever way a run comes to its end, every run that is attached to it is stopped with it", async () => {
		const ends = {
			fails: "failed",
			returns: "completed",
			aborted: "aborted",
			reset: "aborted",
			deleted: "aborted",
			"timed out": "timeout",
			hangs: "abandoned",
			"fails in its host": "failed",
			"ends in its host": "completed",
			"let go by its host": "interrupted",
		} as const;
		for (const [way, outcome] of Object.entries(ends)) {
			const host = await start({
				graceMs: 1000,
				runTimeoutMs: way === "timed out" ? 60_000 : 600_000,
				execute: async (run) => {
					const { sessionKey } = run.ticket;
					const { promise, resolve } = Promise.withResolvers<void>();
					run.signal.addEventListener("abort", () => resolve());
					if (sessionKey === "parent") {
						await run.spawn("one", "side effects");
						await run.spawn("two", "side effects");
						if (way === "fails") throw new Error("status error");
						if (way === "returns") return;
						await promise;
						if (way === "hangs") await new Promise(() => {});
					} else await promise;
				},
			});
			const { runtime, clock } = host;
			if (way.endsWith("host")) {
				const run = await runtime.admit("parent", { runId: "R" });
				await run.spawn("one", "side effects");
				await run.spawn("two", "side effects");
				await turns();
				expect(await agree(host, "two")).toMatchObject({ hasActiveRun: true });
				if (way.startsWith("fails")) await run.fail("status error");
				else if (way.startsWith("ends")) await run.end();
				else await run[Symbol.asyncDispose]();
			} else {
				await runtime.send("parent", "invoke");
				await turns();
				if (way === "aborted" || way === "hangs") void runtime.abort("parent");
				if (way === "reset") void runtime.reset("parent");
				if (way === "deleted") void runtime.delete("parent");
				if (way === "timed out") {
					await clock.advance(59_999);
					expect(await agree(host, "two")).toMatchObject({
						hasActiveRun: true,
					});
					await clock.advance(1);
				}
				if (way === "hangs") await clock.advance(1000);
			}
			await runtime.whenIdle();
			const [parent] = (await runtime.runs("parent")).items;
			expect(parent, way).toMatchObject({ outcome });
			for (const key of ["one", "two"]) {
				expect((await runtime.runs(key)).items, way).toMatchObject([
					{
						outcome: "aborted",
						stoppedBy: "parent",
						parent: { sessionKey: "parent", runId: parent?.runId },
					},
				]);
				expect(await agree(host, key)).toMatchObject({ hasActiveRun: false });
			}
			await agree(host, "parent");
		}
	});

	test("AB-26 to go away is one thing and to stop is another", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const run = await runtime.send("k", "streams");
		const reader = new AbortController();
		const waiting = runtime.whenIdle("k", { signal: reader.signal });
		const reading = runtime.subscribe(() => {});
		// Disconnected, the run goes on.
		reading.unsubscribe();
		reader.abort(new Error("disconnected"));
		await expect(waiting).rejects.toThrow("disconnected");
		expect(scripted.last.run.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({ activeRun: run.ticket });
		// Stopped, it leaves its place to the next.
		const stopped = runtime.abort("k");
		await turns();
		scripted.last.end();
		await stopped;
		expect(await run.settled).toMatchObject({ outcome: "aborted" });
		expect(
			await runtime.send("k", "next", { overlap: "reject" }),
		).toMatchObject({ disposition: "started" });
		expect(await agree(host, "k")).toMatchObject({ status: "running" });
	});

	test("AB-28 whoever looks finds the run that is live, and can stop it", async () => {
		const host = await start();
		const { runtime } = host;
		// The client that began it has gone, with its handle and its receipt.
		const { signal } = await runtime.admit("loops", { runId: "R" });
		await runtime.reset("idle");
		const { items } = await runtime.list({ status: "running" });
		expect(items).toMatchObject([
			{ sessionKey: "loops", activeRun: { runId: "R" } },
		]);
		const [found] = items;
		const stopped = runtime.abort(found?.sessionKey as string, {
			expect: { runId: found?.activeRun?.runId, version: found?.version },
			graceMs: 100,
		});
		await turns();
		expect(signal.reason).toMatchObject({ by: "abort" });
		await host.clock.advance(100);
		expect(await stopped).toMatchObject({
			result: "done",
			report: { abandoned: [{ runId: "R" }] },
		});
		expect((await runtime.list({ status: "running" })).items).toEqual([]);
		expect(await agree(host, "loops")).toMatchObject({ status: "ended" });
	});

	test("AB-29 however a run ends, its end and its message are stored", async () => {
		const store = new CrashingStore(makeStore());
		const host = await watch(store, { graceMs: 10 });
		const { runtime, scripted, clock } = host;
		const stop = async (key: string) => {
			void runtime.abort(key);
			await turns();
		};
		type End = (key: string, run: typeof scripted.last) => unknown;
		const ends: Partial<Record<RunOutcome, End>> = {
			completed: (_, run) => run.end("hi"),
			failed: (_, run) => run.fail(new Error("broke")),
			aborted: async (key, run) => {
				await stop(key);
				run.end();
			},
			abandoned: async (key) => {
				await stop(key);
				await clock.advance(10);
			},
			interrupted: () => {},
		};
		const input: JsonValue = { text: "hello" };
		for (const [outcome, end] of Object.entries(ends)) {
			await runtime.send(outcome, input, { messageId: "m" });
			await end(outcome, scripted.last);
			await turns();
		}
		const timed = await runtime.admit("timeout");
		await timed.end({ outcome: "timeout" });
		await store.crash();
		const next = await watch(store);
		for (const outcome of [...Object.keys(ends), "timeout"]) {
			expect((await next.runtime.runs(outcome)).items, outcome).toMatchObject([
				{ outcome, messageIds: outcome === "timeout" ? [] : ["m"] },
			]);
			expect(await agree(next, outcome), outcome).toMatchObject({
				lastOutcome: outcome,
				hasActiveRun: false,
			});
			if (outcome === "timeout") continue;
			const again = await next.runtime.send(outcome, input, { messageId: "m" });
			expect(await again.settled, outcome).toMatchObject({ outcome });
		}
		expect(next.scripted.runs).toEqual([]);
		await close(next);
	});
});
