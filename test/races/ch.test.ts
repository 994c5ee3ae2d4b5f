/** Scenarios of category CH: what a run has started goes on longer than the run, or than who waits for it. */
import type { ManagedRun } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, type WatchedHost, watch } from "./scenario.ts";

/** The run of a session that was executed last. */
function runOf({ scripted }: WatchedHost, key: string) {
	const found = scripted.runs.findLast(
		({ run }) => run.ticket.sessionKey === key,
	);
	if (!found) throw new Error(`nothing was executed in ${key}`);
	return found;
}

/** Resolves when a run is told to stop. */
function told(run: Pick<ManagedRun, "signal">): Promise<unknown> {
	return new Promise((stop) => run.signal.addEventListener("abort", stop));
}

scenarios("CH, a child outlives its parent", ({ makeStore, start }) => {
	test("CH-01 the result of a child is not delivered to the generation after the one that asked, also under the same session id", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("parent", { sessionId: "S" });
		const parent = await runtime.send("parent", "ask");
		const child = { attached: false };
		for (const key of ["one", "two"])
			await runOf(host, "parent").run.spawn(key, "work", child);
		// The wake goes by what the child knows of its requester.
		const wake = async (key: string) => {
			runOf(host, key).end(`result of ${key}`);
			await runtime.whenIdle(key);
			const [record] = (await runtime.runs(key)).items;
			return runtime.send("parent", `${key} is done`, {
				messageId: `wake of ${key}`,
				expect: { generation: record?.parent?.generation },
			});
		};
		// The first is done while the requester is live, and waits for it; the second after its reset.
		const early = await wake("one");
		expect(early.disposition).toBe("queued");
		const reset = runtime.reset("parent", { sessionId: "S" });
		await turns();
		runOf(host, "parent").end();
		await reset;
		const before = await agree(host, "parent");
		expect(before).toMatchObject({ generation: 2, sessionId: "S", queued: 0 });
		expect(await early.settled).toEqual({ ticket: null, outcome: "removed" });
		expect(await codeOf(wake("two"))).toBe("STALE_EXPECTATION");
		expect(await agree(host, "parent")).toEqual(before);
		// It was refused, not settled: what the child did is on record, with who asked for it.
		for (const key of ["one", "two"])
			expect((await runtime.runs(key)).items).toMatchObject([
				{
					outcome: "completed",
					parent: { ...parent.ticket, sessionId: "S", generation: 1 },
				},
			]);
		expect(host.scripted.runs.map(({ run }) => run.ticket.sessionKey)).toEqual([
			"parent",
			"one",
			"two",
		]);
	});

	test("CH-02 a wake answers the batch that it was admitted for, and says nothing of one that was begun since", async () => {
		const host = await start();
		const { runtime } = host;
		const { ticket, settled } = await runtime.send("parent", "two batches");
		if (!ticket) throw new Error("it did not start");
		const { run, end } = runOf(host, "parent");
		const batches: unknown[] = [];
		const both = (async () => {
			for (const name of ["batch 1", "batch 2"])
				batches.push(await run.waitFor(name));
			end();
		})();
		await turns();
		// α is done; its wake is let in twice, and one of the two takes its time over what it loads.
		const loads = Promise.withResolvers<void>();
		const slow = loads.promise.then(() =>
			runtime.resume(ticket, "batch 1", "β is pending"),
		);
		expect(await runtime.resume(ticket, "batch 1", "α")).toMatchObject({
			result: "done",
		});
		await turns();
		const before = await agree(host, "parent");
		expect(before).toMatchObject({ status: "waiting", waits: ["batch 2"] });
		loads.resolve();
		expect(await slow).toMatchObject({ result: "nothing" });
		expect(await agree(host, "parent")).toEqual(before);
		// β is done, and its wake is heard at once.
		expect(await runtime.resume(ticket, "batch 2", "β")).toMatchObject({
			result: "done",
		});
		await both;
		expect(batches).toEqual(["α", "β"]);
		expect(await settled).toMatchObject({ outcome: "completed" });
		expect(await agree(host, "parent")).toMatchObject({ status: "ended" });
	});

	test("CH-04 a parent that has waited long enough has not timed its child out, and nothing takes the child's place before it has stopped", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const child = await runtime.admit("worktree", { runId: "child" });
		const waited = codeOf(
			runtime.until("worktree", (row) => !row?.hasActiveRun, {
				timeoutMs: 5_400_000,
			}),
		);
		await clock.advance(5_400_000);
		expect(await waited).toBe("WAIT_TIMEOUT");
		expect(child.signal.aborted).toBe(false);
		expect(await agree(host, "worktree")).toMatchObject({
			status: "running",
			activeRun: child.ticket,
			lastOutcome: null,
		});
		expect(
			await codeOf(runtime.admit("worktree", { runId: "replacement" })),
		).toBe("SESSION_BUSY");
		await clock.advance(900_000);
		expect(await child.end()).toMatchObject({ verdict: "applied" });
		await runtime.admit("worktree", { runId: "replacement" });
		expect((await runtime.runs("worktree")).items).toMatchObject([
			{ runId: "replacement", outcome: null },
			{ runId: "child", outcome: "completed" },
		]);
		await agree(host, "worktree");
	});

	test("CH-05 a kill at any depth reaches what is attached below it, and what was let go on is listed with who started it", async () => {
		const host = await start({
			execute: async (run) => {
				const { sessionKey } = run.ticket;
				if (sessionKey === "job") {
					await run.spawn("job/1", "depth 1");
				} else if (sessionKey === "job/1") {
					await run.spawn("job/1/1", "depth 2");
					await run.spawn("job/1/2", "depth 2", { attached: false });
				}
				await told(run);
			},
		});
		const { runtime } = host;
		await runtime.send("job", "depth 0");
		await turns();
		const [depth1] = (await runtime.runs("job/1")).items;
		expect(
			await runtime.abort("job/1", { expect: { runId: depth1?.runId } }),
		).toMatchObject({ result: "done" });
		// It is not done before what is below has stopped.
		expect((await runtime.runs("job/1/1")).items).toMatchObject([
			{ outcome: "aborted", stoppedBy: "parent" },
		]);
		const { items } = await runtime.list({ prefix: "job" });
		expect(
			items.flatMap(({ sessionKey, hasActiveRun }) =>
				hasActiveRun ? [sessionKey] : [],
			),
		).toEqual(["job", "job/1/2"]);
		expect((await runtime.runs("job/1/2")).items).toMatchObject([
			{
				outcome: null,
				parent: { sessionKey: "job/1", runId: depth1?.runId },
			},
		]);
		// Nobody polls it, and yet it can be stopped.
		expect(await runtime.abort("job/1/2")).toMatchObject({ result: "done" });
		expect(await runtime.abort("job")).toMatchObject({ result: "done" });
		for (const key of ["job", "job/1", "job/1/1", "job/1/2"])
			expect(await agree(host, key)).toMatchObject({ hasActiveRun: false });
	});

	test("CH-07 a run is said to have stopped when what it has started has been reaped, or else to be abandoned", async () => {
		let reap = () => {};
		const host = await start({
			execute: async (run) => {
				await new Promise((stop) => run.signal.addEventListener("abort", stop));
				await new Promise<void>((reaped) => {
					reap = reaped;
				});
			},
		});
		const { runtime, clock } = host;
		for (const isReaped of [true, false]) {
			const { settled } = await runtime.send("k", "exec");
			const stopped = runtime.abort("k", { graceMs: 1000 });
			await clock.advance(999);
			expect(await now(stopped)).toBe("pending");
			expect(await now(settled)).toBe("pending");
			if (isReaped) reap();
			else await clock.advance(1);
			const outcome = isReaped ? "aborted" : "abandoned";
			expect(await settled).toMatchObject({ outcome });
			expect(await stopped).toMatchObject({
				report: isReaped
					? { drained: [{ outcome }], abandoned: [] }
					: { drained: [], abandoned: [{ outcome }] },
			});
			expect(await agree(host, "k")).toMatchObject({ lastOutcome: outcome });
		}
	});

	test("CH-07 a run that times out is said to have, when the runs that it has started have come to their end or been given up, and not before", async () => {
		const exits: (() => void)[] = [];
		const host = await start({
			graceMs: 1000,
			runTimeoutMs: 30_000,
			execute: async (run) => {
				if (run.ticket.sessionKey !== "k") {
					await told(run);
					// It takes no notice for as long as nobody reaps it.
					await new Promise<void>((exit) => exits.push(exit));
				} else {
					await run.spawn("tool", "exec");
					await told(run);
				}
			},
		});
		const { runtime, clock } = host;
		for (const isReaped of [true, false]) {
			const { settled } = await runtime.send("k", "turn");
			await clock.advance(30_000);
			expect(await now(settled)).toBe("pending");
			await clock.advance(999);
			expect(await now(settled)).toBe("pending");
			expect(await agree(host, "tool")).toMatchObject({ hasActiveRun: true });
			if (isReaped) exits.pop()?.();
			else await clock.advance(1);
			const child = { outcome: isReaped ? "aborted" : "abandoned" };
			// What it has started is part of it: not reaped in time, neither has come to its end.
			expect(await settled).toMatchObject({
				outcome: isReaped ? "timeout" : "abandoned",
			});
			expect((await runtime.runs("tool")).items[0]).toMatchObject(child);
			expect(await agree(host, "tool")).toMatchObject({ hasActiveRun: false });
			expect(await agree(host, "k")).toMatchObject({ hasActiveRun: false });
		}
	});

	test("CH-08 the next firing of a job waits until the last one and its child have gone", async () => {
		const children = new Set<number>();
		let most = 0;
		const exits: (() => void)[] = [];
		const host = await start({
			execute: async (run) => {
				const child = children.size + exits.length;
				children.add(child);
				most = Math.max(most, children.size);
				await new Promise((stop) => run.signal.addEventListener("abort", stop));
				await new Promise<void>((exit) => exits.push(exit));
				children.delete(child);
			},
		});
		const { runtime, clock } = host;
		const fired = [];
		const stops = [];
		for (let fire = 0; fire < 3; fire++) {
			fired.push(await runtime.send("cron", fire));
			await clock.advance(30_000);
			if (fire === 0) stops.push(runtime.abort("cron", { graceMs: 600_000 }));
		}
		expect(children.size).toBe(1);
		expect(await agree(host, "cron")).toMatchObject({ queued: 2 });
		for (let fire = 0; fire < 3; fire++) {
			if (fire > 0) stops.push(runtime.abort("cron", { graceMs: 600_000 }));
			await turns();
			exits[fire]?.();
			expect(await fired[fire]?.settled).toMatchObject({ outcome: "aborted" });
			await turns();
		}
		await Promise.all(stops);
		expect(most).toBe(1);
		expect(children.size).toBe(0);
		expect(await agree(host, "cron")).toMatchObject({
			status: "ended",
			queued: 0,
		});
	});

	test("CH-08 however often a job fires and is timed out, no more than one of its children lives", async () => {
		let living = 0;
		let most = 0;
		const host = await start({
			graceMs: 60_000,
			runTimeoutMs: 30_000,
			execute: async (run) => {
				if (run.ticket.sessionKey === "cron") {
					// Each firing has a session for its child.
					const [message] = run.messages;
					await run.spawn(`child ${message?.input}`, "exec");
					await told(run);
					return;
				}
				living += 1;
				most = Math.max(most, living);
				await told(run);
				// It needs a while to die, longer than until the next firing.
				await new Promise<void>((died) => host.clock.setTimeout(died, 45_000));
				living -= 1;
			},
		});
		const { runtime, clock } = host;
		const fired = [];
		for (let fire = 0; fire < 4; fire++) {
			fired.push(await runtime.send("cron", fire));
			await clock.advance(30_000);
		}
		await clock.advance(4 * 75_000);
		for (const { settled } of fired)
			expect(await settled).toMatchObject({ outcome: "timeout" });
		expect([most, living]).toEqual([1, 0]);
		for (let fire = 0; fire < 4; fire++)
			expect((await runtime.runs(`child ${fire}`)).items).toMatchObject([
				{ outcome: "aborted", stoppedBy: "parent" },
			]);
		expect(await agree(host, "cron")).toMatchObject({ queued: 0 });
	});

	test("CH-10 a child that was cut off is tried again if that is still fresh, and settled if the downtime was too long", async () => {
		const recovery = {
			mode: "retry",
			maxAttempts: 5,
			maxAgeMs: 3_600_000,
		} as const;
		for (const downtime of [3_600_000, 3_600_001]) {
			const store = new CrashingStore(makeStore());
			const dead = await watch(store, { recovery });
			// The next process finds that this much has gone by since.
			dead.clock.stepBack(downtime);
			await dead.runtime.send("parent", "ask");
			const { run, end } = runOf(dead, "parent");
			await run.spawn("child", "work", { attached: false, messageId: "m" });
			end();
			await dead.runtime.whenIdle("parent");
			await store.crash();
			const host = await watch(store, { recovery });
			await turns();
			const isFresh = downtime <= recovery.maxAgeMs;
			expect(host.scripted.runs, `${downtime}`).toHaveLength(isFresh ? 1 : 0);
			if (isFresh) host.scripted.last.end();
			await host.runtime.whenIdle();
			const cutOff = { attempt: 1, outcome: "interrupted" };
			expect((await host.runtime.runs("child")).items).toMatchObject(
				isFresh ? [{ attempt: 2, outcome: "completed" }, cutOff] : [cutOff],
			);
			const again = await host.runtime.send("child", "work", {
				messageId: "m",
			});
			expect(again.disposition).toBe("duplicate");
			expect(await again.settled).toMatchObject({
				outcome: isFresh ? "completed" : "interrupted",
			});
			expect(await agree(host, "child")).toMatchObject({
				hasActiveRun: false,
				queued: 0,
			});
		}
	});

	test("CH-11 the announcement of a child is refused when the conversation has moved on since it was asked for", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const asked = await runtime.send("parent", "start a helper");
		scripted.last.end();
		await asked.settled;
		const requester = await runtime.get("parent");
		const announce = (expectation: object) =>
			codeOf(runtime.send("parent", "helper", { expect: expectation }));
		const other = await runtime.send("parent", "something else");
		scripted.last.end();
		await other.settled;
		await clock.advance(3_600_000);
		// Of the same generation, but not of the same moment.
		expect(await announce({ version: requester?.version })).toBe(
			"STALE_EXPECTATION",
		);
		await runtime.reset("parent");
		const before = await agree(host, "parent");
		expect(await announce({ generation: requester?.generation })).toBe(
			"STALE_EXPECTATION",
		);
		expect(scripted.runs).toHaveLength(2);
		expect(await agree(host, "parent")).toEqual(before);
		// A child that was let go on says by itself for whom it works.
		await runtime.send("parent", "start another");
		const { run, end } = runOf(host, "parent");
		const child = await run.spawn("child", "work", { attached: false });
		end();
		await runtime.whenIdle("parent");
		await clock.advance(7_200_000);
		await runtime.reset("parent");
		runOf(host, "child").end("an old result");
		expect(await child.settled).toMatchObject({ output: "an old result" });
		const [record] = (await runtime.runs("child")).items;
		expect(record?.parent).toEqual(run.ticket);
		expect(await announce({ generation: record?.parent?.generation })).toBe(
			"STALE_EXPECTATION",
		);
		expect(await agree(host, "parent")).toMatchObject({
			generation: 3,
			status: "idle",
		});
	});

	test("CH-13 a session that was cleared gets nothing of the agents that it had started before, attached or not", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const main = await runtime.send("main", "launch");
		const { run } = runOf(host, "main");
		const agents = ["agent 1", "agent 2", "agent 3"];
		for (const key of agents)
			await run.spawn(key, "background", { attached: key === "agent 3" });
		// Esc, then /clear.
		const stopped = runtime.abort("main");
		await turns();
		runOf(host, "agent 3").end("too late");
		runOf(host, "main").end();
		await stopped;
		const announce = (key: string) =>
			runtime.send("main", `${key} is done`, {
				messageId: key,
				expect: { generation: run.ticket.generation },
			});
		const busy = await runtime.admit("main");
		runOf(host, "agent 1").end("output of 1");
		await runtime.whenIdle("agent 1");
		const waits = await announce("agent 1");
		const cleared = runtime.reset("main", { reason: "/clear" });
		await busy.end();
		await cleared;
		expect(await main.settled).toMatchObject({ outcome: "aborted" });
		expect(await waits.settled).toMatchObject({ outcome: "removed" });
		// One lives on, in sight.
		const { items } = await runtime.list({ prefix: "agent" });
		expect(
			items.map(({ sessionKey, hasActiveRun }) => [sessionKey, hasActiveRun]),
		).toEqual([
			["agent 1", false],
			["agent 2", true],
			["agent 3", false],
		]);
		await clock.advance(600_000);
		const before = await agree(host, "main");
		runOf(host, "agent 2").end("output of 2");
		await runtime.whenIdle();
		for (const key of ["agent 2", "agent 3"])
			expect(await codeOf(announce(key))).toBe("STALE_EXPECTATION");
		expect(await agree(host, "main")).toEqual(before);
		expect(before).toMatchObject({ generation: 2, status: "idle", queued: 0 });
		expect((await runtime.runs("agent 3")).items).toMatchObject([
			{ outcome: "aborted", stoppedBy: "parent" },
		]);
		for (const key of agents) await agree(host, key);
	});

	test("CH-14 a message in the middle of a turn leaves its children alone, or stops them and tells the turn so", async () => {
		const fates = {
			enqueue: "completed",
			latest: "completed",
			collect: "completed",
			steer: "completed",
			interrupt: "aborted",
			rollback: "aborted",
		} as const;
		for (const [mode, fate] of Object.entries(fates)) {
			const told: unknown[] = [];
			const host = await start({ overlap: mode as keyof typeof fates });
			const { runtime } = host;
			await runtime.send("parent", "turn");
			const { run, end } = runOf(host, "parent");
			for (const attached of [true, false]) {
				const { settled } = await run.spawn(
					attached ? "attached" : "detached",
					"work",
					{ attached },
				);
				void settled.then(({ outcome }) => told.push(outcome));
			}
			await runtime.send("parent", "and this");
			await turns();
			const isStopped = fate === "aborted";
			expect(runOf(host, "attached").run.signal.aborted, mode).toBe(isStopped);
			expect(runOf(host, "detached").run.signal.aborted).toBe(false);
			runOf(host, "attached").end();
			await turns();
			expect(told, mode).toEqual([fate]);
			runOf(host, "detached").end();
			await turns();
			expect(told, mode).toEqual([fate, "completed"]);
			end();
			await turns();
			runOf(host, "parent").end();
			await runtime.whenIdle();
			for (const key of ["parent", "attached", "detached"])
				expect(await agree(host, key)).toMatchObject({
					hasActiveRun: false,
					queued: 0,
				});
		}
	});

	test("CH-16 a stop can be repeated: each stops what is live then, and what comes after is heard", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const turn = await runtime.send("k", "turn");
		const wakes = [];
		for (let child = 1; child <= 3; child++)
			wakes.push(await runtime.send("k", `child ${child}`));
		for (const { settled } of [turn, wakes[0]] as (typeof turn)[]) {
			const stopped = runtime.abort("k");
			await turns();
			expect(scripted.last.run.signal.aborted).toBe(true);
			scripted.last.end("muted");
			expect(await stopped).toMatchObject({ result: "done" });
			expect(await settled).toMatchObject({ outcome: "aborted" });
		}
		// The third stop takes the rest as well.
		const last = runtime.abort("k", { queued: "drop" });
		await turns();
		scripted.last.end();
		expect(await last).toMatchObject({
			report: { removed: [wakes[2]?.messageId] },
		});
		expect(await wakes[1]?.settled).toMatchObject({ outcome: "aborted" });
		const heard = await runtime.send("k", "hello again");
		expect(scripted.last.run.signal.aborted).toBe(false);
		scripted.last.end("hi");
		expect(await heard.settled).toMatchObject({
			outcome: "completed",
			output: "hi",
		});
		expect(await agree(host, "k")).toMatchObject({
			lastOutcome: "completed",
			queued: 0,
		});
	});

	test("CH-17 a turn that is rolled back takes back the tasks that it has started, and no others", async () => {
		const host = await start();
		const { runtime } = host;
		const before = await runtime.send("k", "accepted turn");
		const accepted = runOf(host, "k");
		await accepted.run.append("accepted");
		await accepted.run.spawn("earlier", "work", { attached: false });
		accepted.end();
		await before.settled;
		const candidate = await runtime.send("k", "candidate turn");
		const { run, end } = runOf(host, "k");
		const busy = await runtime.admit("busy");
		await run.append("candidate");
		const task = await run.spawn("task", "work");
		const waits = await run.spawn("busy", "work");
		const next = await runtime.send("k", "better", { overlap: "rollback" });
		await turns();
		expect(runOf(host, "task").run.signal.reason).toMatchObject({
			by: "parent",
		});
		expect(await waits.settled).toMatchObject({ outcome: "removed" });
		// It is over when its task is.
		end();
		await turns();
		expect(await now(candidate.settled)).toBe("pending");
		expect(await now(next.settled)).toBe("pending");
		runOf(host, "task").end("results of a turn that never was");
		expect(await task.settled).toEqual({
			ticket: task.ticket,
			outcome: "aborted",
		});
		expect(await candidate.settled).toMatchObject({ outcome: "aborted" });
		// Nor can its wake come in its name.
		expect(
			await codeOf(
				runtime.send("k", "task is done", {
					expect: { runId: run.ticket.runId },
				}),
			),
		).toBe("STALE_EXPECTATION");
		await busy.end();
		expect(runOf(host, "earlier").run.signal.aborted).toBe(false);
		runOf(host, "earlier").end("fine");
		runOf(host, "k").end();
		expect(await next.settled).toMatchObject({ outcome: "completed" });
		await runtime.whenIdle();
		expect((await runtime.runs("earlier")).items).toMatchObject([
			{ outcome: "completed" },
		]);
		expect((await runtime.transcript("k")).items).toMatchObject([
			{ entry: "accepted" },
		]);
		expect(host.scripted.runs).toHaveLength(5);
		for (const key of ["k", "task", "busy", "earlier"])
			expect(await agree(host, key)).toMatchObject({
				hasActiveRun: false,
				queued: 0,
			});
	});
});
