/** Scenarios of category TM: a timer, a schedule or a wake fires when its session has moved on. */
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { close } from "../support/restart.ts";
import { codeOf } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

scenarios("TM, a timer fires into a new generation", ({ makeStore, start }) => {
	test("TM-01 two wakes of one session run one after the other, and a disposer that comes late does not stop the run after its own", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		// a and b: a targeted wake and a global one name the same key.
		const [one, two] = await Promise.all([
			runtime.send("k", "targeted"),
			runtime.send("k", "global"),
		]);
		expect([one.disposition, two.disposition]).toEqual(["started", "queued"]);
		expect(scripted.runs).toHaveLength(1);
		scripted.last.end();
		await one.settled;
		scripted.last.end();
		await two.settled;
		// c: the runner is stopped, which stops its turn; its disposer runs when the replacement is live.
		const stale = await runtime.admit("k", { runId: "turn" });
		const stopped = runtime.abort("k");
		await turns();
		expect(stale.signal.aborted).toBe(true);
		await stale.end();
		await stopped;
		const replacement = await runtime.admit("k", { runId: "turn" });
		await stale[Symbol.asyncDispose]();
		expect(replacement.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: { runId: "turn", attempt: 2 },
		});
	});

	test("TM-02 a batch that is tried again repeats only what has not been accepted, also by the handler after a restart", async () => {
		const store = makeStore();
		const first = await watch(store, { overlap: "reject" });
		const fire = ({ runtime }: typeof first) =>
			Promise.all(
				["a", "b"].map((key) =>
					runtime
						.send(key, "cron", { messageId: "batch 1" })
						.then(({ disposition }) => disposition)
						.catch((error) => error.code),
				),
			);
		const busy = await first.runtime.admit("b");
		expect(await fire(first)).toEqual(["started", "SESSION_BUSY"]);
		first.scripted.last.end();
		await busy.end();
		expect(await fire(first)).toEqual(["duplicate", "started"]);
		first.scripted.last.end();
		await first.runtime.whenIdle();
		await close(first);
		// The handler is replaced, and knows of both.
		const host = await watch(store, { overlap: "reject" });
		expect(await fire(host)).toEqual(["duplicate", "duplicate"]);
		expect(host.scripted.runs).toEqual([]);
		for (const key of ["a", "b"])
			expect(await agree(host, key)).toMatchObject({
				lastOutcome: "completed",
				queued: 0,
			});
	});

	test("TM-04 a note that waits is consumed by the run that is given it, and by no other", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		// A wake with a prompt of its own is live when the note comes.
		const wake = await runtime.admit("k", { runId: "heartbeat" });
		const note = await runtime.send("k", "restarted", { messageId: "note" });
		await wake.end();
		expect(scripted.last.run.messages).toMatchObject([
			{ messageId: "note", input: "restarted" },
		]);
		scripted.last.end();
		expect(await note.settled).toMatchObject({ outcome: "completed" });
		expect((await runtime.runs("k")).items).toMatchObject([
			{ messageIds: ["note"] },
			{ runId: "heartbeat", messageIds: [] },
		]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("TM-05 a wake that was accepted is still in line when the runs before it, and their process, have ended", async () => {
		const store = new CrashingStore(makeStore());
		const dead = await watch(store);
		const heartbeat = await dead.runtime.send("k", "heartbeat");
		const { disposition } = await dead.runtime.send("k", "deploy is done", {
			messageId: "hook",
		});
		expect(disposition).toBe("queued");
		expect(await agree(dead, "k")).toMatchObject({ queued: 1 });
		await store.crash();
		const host = await watch(store);
		await turns();
		expect(host.scripted.runs).toHaveLength(1);
		expect(host.scripted.last.run.messages).toMatchObject([
			{ messageId: "hook", input: "deploy is done" },
		]);
		host.scripted.last.end();
		await host.runtime.whenIdle("k");
		expect((await host.runtime.runs("k")).items).toMatchObject([
			{ messageIds: ["hook"], outcome: "completed" },
			{ messageIds: [heartbeat.messageId], outcome: "interrupted" },
		]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("TM-07 the time that a scheduled run may take does not begin before the run does, whatever it waits for", async () => {
		const host = await start({
			maxConcurrentRuns: 1,
			runTimeoutMs: 600_000,
		});
		const { runtime, scripted, clock } = host;
		const sent = [
			await runtime.send("k", "interactive"),
			// One waits for its session and one for a slot.
			await runtime.send("k", "cron"),
			await runtime.send("other", "cron"),
		];
		for (let runs = 1; runs <= 3; runs++) {
			expect(scripted.runs).toHaveLength(runs);
			await clock.advance(599_999);
			expect(scripted.last.run.signal.aborted).toBe(false);
			scripted.last.end();
			await turns();
		}
		for (const { settled } of sent)
			expect(await settled).toMatchObject({ outcome: "completed" });
		// The time of a run itself does count.
		const late = await runtime.send("k", "takes too long");
		await clock.advance(600_000);
		expect(scripted.last.run.signal.reason).toMatchObject({ by: "timeout" });
		scripted.last.end();
		expect(await late.settled).toMatchObject({ outcome: "timeout" });
		for (const key of ["k", "other"])
			expect(await agree(host, key)).toMatchObject({ queued: 0 });
	});

	test("TM-08 a reminder takes its place in the line of the session, and no update of the run before it is lost", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		await runtime.send("k", "of the user", { meta: { turns: 0 } });
		clock.setTimeout(() => void runtime.send("k", "reminder"), 1000);
		await clock.advance(1000);
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({ queued: 1 });
		for (const input of ["of the user", "reminder"]) {
			const { run, end } = scripted.last;
			expect(run.messages).toMatchObject([{ input }]);
			const { turns: before } = run.row.meta as { turns: number };
			await runtime.patch("k", { turns: before + 1 });
			end();
			await turns();
		}
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			meta: { turns: 2 },
		});
	});

	test("TM-10 one name is one reservation, and after it was given up a new one with nothing of the old", async () => {
		const host = await start();
		const { runtime } = host;
		const register = () =>
			runtime.admit("k", { runId: "timer", reserve: true });
		const [one, two, three] = await Promise.all([
			register(),
			register(),
			register(),
		]);
		expect(two).toBe(one);
		expect(three).toBe(one);
		one.usage({ inputTokens: 1 });
		await turns();
		expect(
			await runtime.abort("k", { expect: { runId: "timer" } }),
		).toMatchObject({ result: "done" });
		const again = await register();
		expect(again.ticket).toEqual({ ...one.ticket, attempt: 2 });
		expect([one.signal.aborted, again.signal.aborted]).toEqual([true, false]);
		await host.clock.advance(5000);
		// The old one fires on its old phase.
		expect(await one.start()).toMatchObject({ verdict: "duplicate" });
		expect(await runtime.get("k")).toMatchObject({ hasActiveRun: false });
		expect(await again.start()).toMatchObject({
			verdict: "applied",
			row: { startedAt: host.clock.now() },
		});
		await again.end();
		expect((await runtime.runs("k")).items).toMatchObject([
			{ attempt: 2, outcome: "completed", inputTokens: 0 },
			{ attempt: 1, outcome: "aborted", inputTokens: 1 },
		]);
		await agree(host, "k");
	});

	test("TM-10 the lease of a run that was named before runs anew, as long as it was given now, and the one of before ends nothing", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const register = (leaseMs: number) =>
			runtime.admit("k", { runId: "timer", leaseMs });
		const [one, two] = await Promise.all([register(5000), register(5000)]);
		expect(two).toBe(one);
		await clock.advance(4000);
		await one.end();
		const again = await register(8000);
		// The old one would be due now, and after this moment on its old phase.
		await clock.advance(7999);
		expect(again.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({
			activeRun: { runId: "timer", attempt: 2 },
		});
		await clock.advance(1);
		expect(await agree(host, "k")).toMatchObject({
			hasActiveRun: false,
			lastOutcome: "interrupted",
		});
		// Once each.
		await clock.advance(60_000);
		expect(
			host.feed.flatMap((event) =>
				event.type === "run" ? [[event.run.attempt, event.run.outcome]] : [],
			),
		).toEqual([
			[1, "completed"],
			[2, "interrupted"],
		]);
		await agree(host, "k");
	});

	test("TM-11 a reminder of a session that was deleted does not bring it back, however often it fires", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const { row } = await runtime.reset("k");
		const fired: Promise<unknown>[] = [];
		for (const after of [1000, 2000, 3000])
			clock.setTimeout(
				() =>
					fired.push(
						codeOf(
							runtime.send("k", "reminder", {
								expect: { generation: row?.generation },
							}),
						),
					),
				after,
			);
		const waiting = await runtime.admit("k");
		const queued = await runtime.send("k", "reminder");
		const deleted = runtime.delete("k");
		await waiting.end();
		expect(await deleted).toMatchObject({
			report: { removed: [queued.messageId] },
		});
		const commits = runtime.stats().commits;
		await clock.advance(3000);
		expect(await Promise.all(fired)).toEqual([
			"STALE_EXPECTATION",
			"STALE_EXPECTATION",
			"STALE_EXPECTATION",
		]);
		expect(runtime.stats().commits).toBe(commits);
		expect(scripted.runs).toEqual([]);
		expect(await agree(host, "k")).toBeNull();
	});

	test("TM-13 the timer of an owner that has lost its store changes nothing in the store of the next", async () => {
		const store = new CrashingStore(makeStore());
		const old = await watch(store);
		const run = await old.runtime.admit("k", { runId: "R" });
		await store.crash();
		const host = await watch(store);
		await (await host.runtime.admit("k", { runId: "R" })).end();
		const before = await agree(host, "k");
		const seen = host.feed.length;
		// It was never told, and ticks on with its old state.
		const ticks: Promise<unknown>[] = [];
		old.clock.setTimeout(() => {
			run.usage({ outputTokens: 1 });
			ticks.push(
				codeOf(old.runtime.send("k", "tick")),
				codeOf(old.runtime.patch("k", { tick: 1 })),
				codeOf(run.end()),
			);
		}, 86_400_000);
		await old.clock.advance(86_400_000);
		await turns();
		await old.clock.advance(60_000);
		for (const tick of ticks.slice(0, 2))
			expect(await tick).toBe("STORE_FAILED");
		expect(host.feed).toHaveLength(seen);
		expect(await agree(host, "k")).toEqual(before);
		expect(before).toMatchObject({ lastOutcome: "completed", version: 4 });
	});

	test("TM-13 the lease of a run, counted by an owner that has lost its store, ends nothing with the next, which counts by itself", async () => {
		const store = new CrashingStore(makeStore());
		const old = await watch(store);
		const run = await old.runtime.admit("k", { runId: "R", leaseMs: 60_000 });
		await store.crash();
		const host = await watch(store);
		// Whoever drives it has found the new owner and reports there.
		await host.clock.advance(50_000);
		const { ticket } = run;
		expect(
			await host.runtime.report({ ...ticket, phase: "progress", value: 1 }),
		).toMatchObject({ verdict: "applied" });
		await turns();
		const before = await agree(host, "k");
		await old.clock.advance(86_400_000);
		await old.clock.advance(60_000);
		expect(await agree(host, "k")).toEqual(before);
		expect(before).toMatchObject({ activeRun: ticket });
		await host.clock.advance(59_999);
		expect(await agree(host, "k")).toMatchObject({ activeRun: ticket });
		await host.clock.advance(1);
		expect(await agree(host, "k")).toMatchObject({
			hasActiveRun: false,
			lastOutcome: "interrupted",
		});
		expect((await host.runtime.runs("k")).items).toMatchObject([
			{ runId: "R", attempt: 1, outcome: "interrupted" },
		]);
	});

	test("TM-14 what a run has put in line elsewhere goes with it, however it ends, and nothing brings it back", async () => {
		const ends = [
			"completed",
			"failed",
			"aborted",
			"timeout",
			"abandoned",
			"reset",
			"delete",
			"shutdown",
		] as const;
		for (const how of ends) {
			const host = await start({ runTimeoutMs: 60_000, graceMs: 1000 });
			const { runtime, scripted, clock } = host;
			const screen = await runtime.admit("screen");
			// It waits for a person, which no time limit counts.
			void codeOf(screen.waitFor("a person"));
			await turns();
			const { settled } = await runtime.send("k", "work");
			const { run, end, fail } = scripted.last;
			let cleanups = 0;
			run.scope.defer(() => {
				cleanups += 1;
			});
			const waits = codeOf(run.waitFor("timer", { timeoutMs: 30_000_000 }));
			await turns();
			const card = await run.spawn("screen", "card", { messageId: "card" });
			expect(card.disposition).toBe("queued");
			if (how !== "timeout") await clock.advance(1000);
			let stopped: Promise<unknown> = Promise.resolve();
			if (how === "failed") fail(new Error("broke"));
			else if (how === "aborted" || how === "abandoned")
				stopped = runtime.abort("k");
			else if (how === "reset" || how === "delete") stopped = runtime[how]("k");
			else if (how === "shutdown") stopped = runtime.close();
			else if (how === "timeout") {
				// While it waits its time stands still.
				await clock.advance(120_000);
				expect(run.signal.aborted).toBe(false);
				await runtime.resume(run.ticket, "timer", null);
				await clock.advance(60_000);
			}
			if (how === "abandoned") await clock.advance(1000);
			if (how !== "failed") end();
			await stopped;
			const { outcome } = await settled;
			expect(outcome).toBe(
				{ reset: "aborted", delete: "aborted", shutdown: "interrupted" }[
					how as string
				] ?? how,
			);
			expect(await card.settled, how).toMatchObject({ outcome: "removed" });
			expect(cleanups).toBe(1);
			// a: nothing more is put in line by what has ended.
			for (const late of [
				run.spawn("screen", "late card"),
				run.deliver("late", () => {
					cleanups += 1;
				}),
				run.waitFor("late"),
			])
				expect(["STALE_RUN", "RUNTIME_CLOSED"], how).toContain(
					await codeOf(late),
				);
			expect(await waits).toEqual(
				how === "timeout"
					? { resolved: null }
					: how === "completed" || how === "failed"
						? "STALE_RUN"
						: "RUN_ABORTED",
			);
			if (how === "shutdown") continue;
			// b: the screen is free now, and shows nothing. c: however often one cleans up.
			for (let i = 0; i < 2; i++) {
				end();
				expect(await runtime.abort("k")).toMatchObject({ result: "nothing" });
				expect(await runtime.queue.remove("screen", "card")).toMatchObject({
					result: "stale",
				});
			}
			await screen.end();
			await clock.advance(60_000_000);
			expect(cleanups).toBe(1);
			expect(scripted.runs).toHaveLength(1);
			expect(
				await runtime.send("screen", "card", { messageId: "card" }),
			).toMatchObject({ disposition: "duplicate", ticket: null });
			expect(await agree(host, "screen"), how).toMatchObject({ queued: 0 });
			await agree(host, "k");
		}
	});

	test("TM-14 what a run that its process's death has ended had put in line elsewhere is not shown by the next process", async () => {
		const store = new CrashingStore(makeStore());
		const dead = await watch(store);
		await dead.runtime.admit("screen");
		await dead.runtime.send("k", "work");
		const card = { messageId: "card" };
		await dead.scripted.last.run.spawn("screen", "card", card);
		await dead.scripted.last.run.spawn("screen", "of its own", {
			attached: false,
		});
		for (let life = 0; life < 2; life++) {
			await store.crash();
			const host = await watch(store);
			await turns();
			// Put in line to live on without it, the other is taken.
			expect(
				host.scripted.runs.map(({ run }) => run.messages[0]?.input),
			).toEqual(life === 0 ? ["of its own"] : []);
			const again = await host.runtime.send("screen", "card", card);
			expect(again).toMatchObject({ disposition: "duplicate", ticket: null });
			expect(await again.settled).toMatchObject({ outcome: "removed" });
			expect(await agree(host, "screen")).toMatchObject({ queued: 0 });
		}
	});
});
