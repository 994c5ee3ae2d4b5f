/** Scenarios of category SC: a command that was meant for one run or generation arrives when another is current. */
import { expect, test } from "vitest";
import { now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios } from "./scenario.ts";

scenarios("SC, a stale command hits a successor", ({ start }) => {
	test("SC-01 a cancel ends the run that it names, with all that this run waits for, also before its start, and no other", async () => {
		let waits: Promise<unknown> = Promise.resolve();
		const host = await start({
			execute: (run) => {
				// The run waits for a permission that nobody gives.
				waits = run.waitFor("permission");
				return waits;
			},
		});
		const { runtime } = host;
		// a: the cancel comes before the start.
		const reserved = await runtime.admit("k", { runId: "R1", reserve: true });
		expect(await runtime.abort("k", { expect: { runId: "R1" } })).toMatchObject(
			{ result: "done" },
		);
		expect(await reserved.start()).toMatchObject({ verdict: "duplicate" });
		expect(await runtime.get("k")).toMatchObject({ hasActiveRun: false });
		// b: the cancel of R1 comes again, when its successor runs.
		const { ticket, settled } = await runtime.send("k", "hello");
		expect(await runtime.abort("k", { expect: { runId: "R1" } })).toMatchObject(
			{ result: "stale", mismatch: "runId" },
		);
		await turns();
		expect(await agree(host, "k")).toMatchObject({
			status: "waiting",
			waits: ["permission"],
			activeRun: ticket,
		});
		expect(await now(waits)).toBe("pending");
		// c: the cancel of the successor rejects its wait.
		const cancelled = runtime.abort("k", {
			expect: { runId: ticket?.runId },
		});
		await expect(waits).rejects.toMatchObject({
			code: "RUN_ABORTED",
			by: "abort",
		});
		expect(await cancelled).toMatchObject({
			result: "done",
			report: { drained: [{ runId: ticket?.runId, outcome: "aborted" }] },
		});
		expect(await settled).toMatchObject({ outcome: "aborted" });
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
			waits: [],
		});
		// Nor may a run that was told to stop begin to wait.
		expect(
			await runtime.resume(ticket as never, "permission", true),
		).toMatchObject({ result: "stale", mismatch: "runId" });
	});

	test("SC-02 the replacement of a stopped run starts when that has settled, and the stop cannot reach it", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const a = await runtime.send("k", "A");
		const stop = { expect: { runId: a.ticket?.runId } };
		const aborted = runtime.abort("k", stop);
		const retried = runtime.abort("k", stop);
		const b = await runtime.send("k", "B");
		expect(b.disposition).toBe("queued");
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: a.ticket,
			queued: 1,
		});
		scripted.last.end();
		expect(await Promise.all([aborted, retried])).toMatchObject([
			{ result: "done" },
			{ result: "done" },
		]);
		// The detached retry comes 9 ms later.
		await host.clock.advance(9);
		expect(await runtime.abort("k", stop)).toMatchObject({
			result: "stale",
			mismatch: "runId",
		});
		expect(scripted.runs).toHaveLength(2);
		expect(scripted.last.run.signal.aborted).toBe(false);
		scripted.last.end("woken");
		expect(await b.settled).toMatchObject({
			outcome: "completed",
			output: "woken",
		});
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("SC-04 a watchdog that chose a run cannot abort or clear the next one under the same session id", async () => {
		const host = await start();
		const { runtime } = host;
		const first = await runtime.admit("k", { runId: "R1", sessionId: "S" });
		// The watchdog looks.
		const chosen = first.ticket;
		await first.end();
		const second = await runtime.admit("k", { runId: "R2", sessionId: "S" });
		const before = await runtime.get("k");
		for (const graceMs of [5000, 0])
			expect(
				await runtime.abort("k", {
					expect: { runId: chosen.runId, sessionId: chosen.sessionId },
					graceMs,
				}),
			).toEqual({ result: "stale", mismatch: "runId", row: before });
		await host.clock.advance(5000);
		expect(second.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toEqual(before);
		expect(await second.end()).toMatchObject({ verdict: "applied" });
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("SC-05 a stop that carries a generation does nothing to a later one", async () => {
		const host = await start();
		const { runtime } = host;
		const first = await runtime.admit("k", { runId: "R" });
		const { generation } = first.ticket;
		await first.end();
		await runtime.reset("k");
		// The same run id again: the generation alone tells them apart.
		const second = await runtime.admit("k", { runId: "R" });
		const before = await runtime.get("k");
		for (const command of ["abort", "reset", "delete"] as const)
			expect(
				await runtime[command]("k", { expect: { generation, runId: "R" } }),
			).toEqual({ result: "stale", mismatch: "generation", row: before });
		expect(second.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toEqual(before);
	});

	test("SC-07 a reset on old evidence leaves the healthy session that has come since alone", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.reset("k", { sessionId: "A" });
		const seen = await runtime.get("k");
		await runtime.reset("k", { sessionId: "B" });
		const { settled } = await runtime.send("k", "work");
		await runtime.send("k", "waits");
		const before = await runtime.get("k");
		const events = host.feed.length;
		expect(
			await runtime.reset("k", {
				expect: { sessionId: seen?.sessionId },
				queued: "drop",
				meta: { by: "operator" },
			}),
		).toEqual({ result: "stale", mismatch: "sessionId", row: before });
		expect(host.feed).toHaveLength(events);
		expect(scripted.last.run.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toEqual(before);
		// Also where the evidence grows old while another reset drains.
		const mine = { expect: { sessionId: "B" } };
		const one = runtime.reset("k", { ...mine, sessionId: "C" });
		expect(await runtime.reset("k", mine)).toMatchObject({
			result: "stale",
			mismatch: "sessionId",
			row: { sessionId: "C", status: "resetting" },
		});
		scripted.last.end();
		expect(await settled).toMatchObject({ outcome: "aborted" });
		expect(await one).toMatchObject({ result: "done" });
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "C",
			generation: 3,
		});
	});

	test("SC-08 a follower that goes away leaves the run to its owner", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const { settled, ticket } = await runtime.send("k", "of the owner");
		const gone = new AbortController();
		const rows: unknown[] = [];
		const following = runtime.subscribe((event) => rows.push(event));
		const waiting = runtime.until("k", (row) => row?.status === "ended", {
			signal: gone.signal,
		});
		// The follower begins a conversation of its own, and detaches from this one.
		await runtime.reset("follower");
		following.unsubscribe();
		gone.abort(new Error("detached"));
		await expect(waiting).rejects.toThrow("detached");
		expect(scripted.last.run.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: ticket,
		});
		const seen = rows.length;
		scripted.last.end("done");
		expect(await settled).toMatchObject({ outcome: "completed" });
		expect(rows).toHaveLength(seen);
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("SC-10 an abort without a name, or with the name of the turn before, cannot touch a start that is pending", async () => {
		const host = await start();
		const { runtime } = host;
		const first = await runtime.admit("k", { runId: "turn 1" });
		const aborted = runtime.abort("k");
		await first.end();
		await aborted;
		const next = await runtime.admit("k", { runId: "turn 2", reserve: true });
		const before = await runtime.get("k");
		expect(await runtime.abort("k")).toEqual({
			result: "nothing",
			row: before,
		});
		expect(
			await runtime.abort("k", { expect: { runId: "turn 1" } }),
		).toMatchObject({ result: "stale", mismatch: "runId" });
		expect(
			await runtime.report({ ...first.ticket, phase: "end" }),
		).toMatchObject({ verdict: "duplicate", ticket: { runId: "turn 1" } });
		expect(next.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toEqual(before);
		expect(await next.start()).toMatchObject({
			verdict: "applied",
			row: { status: "running", activeRun: next.ticket },
		});
		await next.end();
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("SC-11 a run after an aborted one has a signal of its own", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("k", "first");
		const aborted = runtime.abort("k");
		await turns();
		scripted.last.end();
		await aborted;
		const second = await runtime.send("k", "second");
		const [one, two] = scripted.runs.map(({ run }) => run.signal);
		expect(one?.aborted).toBe(true);
		expect(two?.aborted).toBe(false);
		expect(two).not.toBe(one);
		scripted.last.end("fine");
		expect(await second.settled).toMatchObject({
			outcome: "completed",
			output: "fine",
		});
		// The same for a host's own run that takes up the same run id.
		const third = await runtime.admit("k", { runId: "R" });
		const again = runtime.abort("k");
		await third.end();
		await again;
		const fourth = await runtime.admit("k", { runId: "R" });
		expect(third.signal.aborted).toBe(true);
		expect(fourth.signal.aborted).toBe(false);
		await fourth.end();
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("SC-13 a turn whose cancellation settles late marks itself cancelled, and not the turn after it", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const turn = await runtime.send("k", "a long turn");
		const cancelled = runtime.abort("k");
		const compaction = await runtime.send("k", "/compact");
		await host.clock.advance(1000);
		expect(await now(cancelled)).toBe("pending");
		expect(await now(compaction.settled)).toBe("pending");
		scripted.last.fail(scripted.last.run.signal.reason);
		expect(await turn.settled).toMatchObject({ outcome: "aborted" });
		expect(await cancelled).toMatchObject({
			row: { status: "running" },
			report: { drained: [{ runId: turn.ticket?.runId }] },
		});
		expect(scripted.last.run.messages).toMatchObject([{ input: "/compact" }]);
		expect(await agree(host, "k")).toMatchObject({ status: "running" });
		scripted.last.end("summary");
		expect(await compaction.settled).toMatchObject({
			outcome: "completed",
			output: "summary",
		});
		expect((await runtime.runs("k")).items).toMatchObject([
			{ outcome: "completed", stoppedBy: null },
			{ outcome: "aborted", stoppedBy: "abort" },
		]);
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});
});
