/** Scenarios of category TC: a timeout and a completion of the same run, in either order. */
import { expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { close } from "../support/restart.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, type WatchedHost, watch } from "./scenario.ts";

const isOver = (row: { hasActiveRun: boolean } | null) =>
	row !== null && !row.hasActiveRun;

/** How often the feed has said that a run settled, by outcome. */
function endsOf({ feed }: WatchedHost, runId: string) {
	return feed.flatMap((event) =>
		event.type === "run" && event.run.runId === runId
			? [event.run.outcome]
			: [],
	);
}

scenarios("TC, a timeout against a completion", ({ makeStore, start }) => {
	test("TC-01 a run that has completed is not made a timeout by what is observed later", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const waits = codeOf(runtime.until("k", () => false, { timeoutMs: 250 }));
		await runtime.admit("k", { runId: "R" });
		const endedAt = clock.now() + 200;
		const [completed, timedOut] = await Promise.all([
			runtime.report({ runId: "R", phase: "end", endedAt }),
			runtime.report({
				runId: "R",
				phase: "end",
				outcome: "timeout",
				endedAt: endedAt + 50,
			}),
		]);
		expect(completed).toMatchObject({ verdict: "applied" });
		expect(timedOut).toMatchObject({ verdict: "duplicate" });
		await clock.advance(250);
		expect(await waits).toBe("WAIT_TIMEOUT");
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
			endedAt,
		});
		expect(endsOf(host, "R")).toEqual(["completed"]);
	});

	test("TC-02 an error that is tried again can succeed; what was cancelled, lost or timed out, or has succeeded, stays so", async () => {
		const host = await start({ graceMs: 20 });
		const { runtime, clock } = host;
		// a: an error, then success. The error is final for its attempt, and the attempt after it for the run.
		const first = await runtime.admit("a", { runId: "R" });
		await first.fail("overloaded");
		const retried = await runtime.admit("a", { runId: "R" });
		expect(await retried.end()).toMatchObject({ verdict: "applied" });
		expect(await first.fail("late")).toMatchObject({ verdict: "duplicate" });
		expect(await agree(host, "a")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
			lastError: null,
		});
		// b: cancelled, lost or timed out, then success.
		const ends = {
			aborted: async (key: string) => {
				const run = await runtime.admit(key, { runId: "R" });
				const stopped = runtime.abort(key);
				await run.fail("stopped");
				await stopped;
				return run;
			},
			abandoned: async (key: string) => {
				const run = await runtime.admit(key, { runId: "R" });
				const stopped = runtime.abort(key);
				await clock.advance(20);
				await stopped;
				return run;
			},
			interrupted: async (key: string) => {
				const run = await runtime.admit(key, { runId: "R" });
				await run[Symbol.asyncDispose]();
				return run;
			},
			timeout: async (key: string) => {
				const run = await runtime.admit(key, { runId: "R" });
				await run.end({ outcome: "timeout" });
				return run;
			},
		};
		for (const [outcome, end] of Object.entries(ends)) {
			const run = await end(outcome);
			expect(await run.end({ outcome: "completed" })).toMatchObject({
				verdict: "duplicate",
				row: { lastOutcome: outcome },
			});
			expect(await agree(host, outcome)).toMatchObject({
				status: "ended",
				lastOutcome: outcome,
			});
		}
		// c: success, then a late cancel and a late error.
		const run = await runtime.admit("c", { runId: "R" });
		await run.end();
		const before = await agree(host, "c");
		expect(await runtime.abort("c")).toEqual({
			result: "nothing",
			row: before,
		});
		expect(await run.end({ outcome: "aborted" })).toMatchObject({
			verdict: "duplicate",
		});
		expect(await run.fail("late")).toMatchObject({ verdict: "duplicate" });
		expect(await agree(host, "c")).toEqual(before);
		expect(before).toMatchObject({ lastOutcome: "completed" });
	});

	test("TC-04 who has waited long enough is told so, and not that the run is over", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const { settled, ticket } = await runtime.send("k", "use a tool");
		const waited = codeOf(runtime.until("k", isOver, { timeoutMs: 600_000 }));
		await clock.advance(600_000);
		expect(await waited).toBe("WAIT_TIMEOUT");
		expect(await now(settled)).toBe("pending");
		expect(scripted.last.run.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: ticket,
			lastOutcome: null,
			endedAt: null,
		});
		scripted.last.end("the verdict");
		expect(await settled).toMatchObject({
			outcome: "completed",
			output: "the verdict",
		});
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("TC-05 a scheduler whose timer fires on a run that has delivered finds that it completed", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const run = await runtime.admit("k", { runId: "cron" });
		await run.start();
		const fired: Promise<unknown>[] = [];
		clock.setTimeout(() => {
			fired.push(
				run.end({ outcome: "timeout" }),
				runtime.abort("k", { expect: { runId: "cron" } }),
			);
		}, 600_000);
		// It delivers at the last moment, just before the timer.
		clock.setTimeout(() => void run.end(), 599_999);
		await clock.advance(600_000);
		expect(await Promise.all(fired)).toMatchObject([
			{ verdict: "duplicate", row: { lastOutcome: "completed" } },
			{ result: "stale", mismatch: "runId" },
		]);
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
			runtimeMs: 599_999,
		});
		expect(endsOf(host, "cron")).toEqual(["completed"]);
	});

	test("TC-05 a run that ends before its time is over has completed, also where that is written only after it", async () => {
		const ends = {
			"a moment before": "completed",
			"in the tick, before its timer": "completed",
			"a moment before, written after": "completed",
			"in the tick, after its timer": "timeout",
		} as const;
		for (const [when, outcome] of Object.entries(ends)) {
			const store = new FaultyStore(makeStore());
			const host = await watch(store, { runTimeoutMs: 600_000 });
			const { runtime, scripted, clock } = host;
			const written = Promise.withResolvers<void>();
			const end = () => {
				if (when.endsWith("written after"))
					store.beforeCommit = () => written.promise;
				scripted.last.end("done");
			};
			// Of two timers of one moment the one that was set first fires first.
			if (when.endsWith("before its timer")) clock.setTimeout(end, 600_000);
			const { settled, ticket } = await runtime.send("k", "cron");
			if (when.startsWith("a moment")) clock.setTimeout(end, 599_999);
			if (when.endsWith("after its timer")) clock.setTimeout(end, 600_000);
			await clock.advance(600_000);
			if (when.endsWith("written after")) {
				expect(await now(settled)).toBe("pending");
				written.resolve();
				store.beforeCommit = null;
			}
			const how = await settled;
			expect([how.outcome, how.output], when).toEqual(
				outcome === "completed"
					? ["completed", "done"]
					: ["timeout", undefined],
			);
			await clock.advance(600_000);
			expect(endsOf(host, ticket?.runId as string), when).toEqual([outcome]);
			expect((await runtime.runs("k")).items).toMatchObject([
				{
					outcome,
					stoppedBy: outcome === "completed" ? null : "timeout",
					error: null,
				},
			]);
			expect(await agree(host, "k")).toMatchObject({
				status: "ended",
				lastOutcome: outcome,
				lastError: null,
			});
		}
	});

	test("TC-07 a wait that timed out and a look that finds success come to success, once", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const child = await runtime.send("child", "work", { messageId: "m" });
		const waited = codeOf(runtime.until("child", isOver, { timeoutMs: 1000 }));
		await clock.advance(1000);
		expect(await waited).toBe("WAIT_TIMEOUT");
		scripted.last.end("text of the child");
		await turns();
		expect(
			await runtime.until("child", isOver, { timeoutMs: 0 }),
		).toMatchObject({ lastOutcome: "completed" });
		const again = await runtime.send("child", "work", { messageId: "m" });
		expect(again.disposition).toBe("duplicate");
		for (const { settled } of [child, again])
			expect(await settled).toMatchObject({ outcome: "completed" });
		expect(await child.settled).toMatchObject({ output: "text of the child" });
		expect(endsOf(host, child.ticket?.runId as string)).toEqual(["completed"]);
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "child")).toMatchObject({ status: "ended" });
	});

	test("TC-08 a run that was stopped and answers with a fallback line has not succeeded", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const { settled, ticket } = await runtime.send("k", "stalls");
		let stopped: ReturnType<typeof runtime.abort> | undefined;
		clock.setTimeout(() => {
			stopped = runtime.abort("k", { reason: "stalled" });
		}, 60_000);
		await clock.advance(60_000);
		scripted.last.end("Something went wrong.");
		expect(await stopped).toMatchObject({
			report: { drained: [{ outcome: "aborted", stoppedBy: "abort" }] },
		});
		expect(await settled).toMatchObject({ ticket, outcome: "aborted" });
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
		});
		expect(endsOf(host, ticket?.runId as string)).toEqual(["aborted"]);
	});

	test("TC-10 a cancel and a failure are final for the run that they ended", async () => {
		const host = await start({ graceMs: 20 });
		const { runtime, clock } = host;
		const job = await runtime.admit("cancelled", { runId: "R" });
		const cancelled = runtime.abort("cancelled");
		await clock.advance(20);
		expect(await cancelled).toMatchObject({
			report: { abandoned: [{ runId: "R" }] },
		});
		const before = await agree(host, "cancelled");
		expect(await job.end()).toMatchObject({ verdict: "duplicate" });
		expect(await agree(host, "cancelled")).toEqual(before);
		expect(before).toMatchObject({ lastOutcome: "abandoned" });
		// A retry that asks three times for what has failed cannot set it running again.
		const failed = await runtime.admit("failed", { runId: "R" });
		await failed.fail("broke");
		const row = await agree(host, "failed");
		for (let i = 0; i < 3; i++) {
			expect(
				await runtime.report({ ...failed.ticket, phase: "start" }),
			).toMatchObject({ verdict: "duplicate", row: { status: "failed" } });
			expect(
				await runtime.report({ ...failed.ticket, phase: "error", error: "x" }),
			).toMatchObject({ verdict: "duplicate" });
		}
		expect(await agree(host, "failed")).toEqual(row);
		expect(endsOf(host, "R")).toEqual(["abandoned", "failed"]);
	});

	test("TC-11 the time that a run may take begins with the run, whatever timed out before it", async () => {
		const recovery = { mode: "retry", maxAttempts: 2 } as const;
		const store = makeStore();
		let host = await watch(store, { runTimeoutMs: 1000, recovery });
		const timesOut = async (settled: Promise<{ outcome: string }>) => {
			await host.clock.advance(999);
			expect(await now(settled)).toBe("pending");
			expect(await agree(host, "k")).toMatchObject({ hasActiveRun: true });
			await host.clock.advance(1);
			host.scripted.last.end("too late");
			expect(await settled).toMatchObject({ outcome: "timeout" });
		};
		await timesOut((await host.runtime.send("k", "first")).settled);
		// In the next generation, and in the run after one that was reset.
		await host.runtime.reset("k");
		const reset = await host.runtime.send("k", "second");
		await host.clock.advance(999);
		const again = host.runtime.reset("k");
		await turns();
		host.scripted.last.end();
		await again;
		expect(await reset.settled).toMatchObject({ outcome: "aborted" });
		await timesOut((await host.runtime.send("k", "third")).settled);
		// The same run id again, as its host does it.
		for (let attempt = 1; attempt <= 2; attempt++) {
			const run = await host.runtime.admit("host", { runId: "R" });
			expect(run.ticket.attempt).toBe(attempt);
			await host.clock.advance(999);
			expect(run.signal.aborted).toBe(false);
			await host.clock.advance(1);
			expect(run.signal.reason).toMatchObject({ by: "timeout" });
			await run.end();
		}
		// And the next attempt of one that had almost used its time up when its process closed.
		await host.runtime.send("k", "fourth", { messageId: "m" });
		await host.clock.advance(999);
		await close(host);
		host = await watch(store, { runTimeoutMs: 1000, recovery });
		await turns();
		expect(host.scripted.last.run.ticket.attempt).toBe(2);
		const { settled } = await host.runtime.send("k", "fourth", {
			messageId: "m",
		});
		await timesOut(settled);
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "timeout" });
	});
});
