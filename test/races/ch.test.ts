/** Scenarios of category CH: what a run has started goes on longer than the run, or than who waits for it. */
import { expect, test } from "vitest";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/virtual-clock.ts";
import { agree, scenarios } from "./scenario.ts";

scenarios("CH, a child outlives its parent", ({ start }) => {
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
});
