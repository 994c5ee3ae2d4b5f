/** Scenarios of category RQ: messages that wait when a reset, a delete or an abort comes. */
import { expect, test } from "vitest";
import { FaultyStore } from "../support/faulty-store.ts";
import { now } from "../support/scripted-host.ts";
import { turns } from "../support/virtual-clock.ts";
import { agree, scenarios, type WatchedHost, watch } from "./scenario.ts";

/** What was executed so far, in order. */
function inputsOf({ scripted }: WatchedHost): unknown[] {
	return scripted.runs.map(({ run }) => run.messages[0]?.input);
}

scenarios("RQ, a reset and what waits", ({ makeStore, start }) => {
	test("RQ-01 a message that waited at a reset is kept and bears the generation it was sent to, or is dropped with a receipt", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("kept", "running");
		const kept = await runtime.send("kept", "M", { messageId: "M" });
		const reset = runtime.reset("kept");
		await turns();
		scripted.last.end();
		expect(await reset).toMatchObject({ report: { removed: [] } });
		expect(scripted.last.run.ticket.generation).toBe(2);
		expect(scripted.last.run.messages).toMatchObject([
			{ messageId: "M", generation: 1 },
		]);
		scripted.last.end();
		expect(await kept.settled).toMatchObject({
			outcome: "completed",
			ticket: { generation: 2 },
		});
		await agree(host, "kept");
		await runtime.send("dropped", "running");
		const dropped = await runtime.send("dropped", "M", { messageId: "M" });
		const other = runtime.reset("dropped", { queued: "drop" });
		await turns();
		scripted.last.end();
		expect(await other).toMatchObject({ report: { removed: ["M"] } });
		expect(await dropped.settled).toEqual({ ticket: null, outcome: "removed" });
		expect(host.feed).toContainEqual(
			expect.objectContaining({
				type: "message",
				sessionKey: "dropped",
				messageId: "M",
				fate: "removed",
				reason: expect.any(String),
			}),
		);
		expect(inputsOf(host)).toEqual(["running", "M", "running"]);
		expect(await agree(host, "dropped")).toMatchObject({
			status: "idle",
			queued: 0,
		});
	});

	test("RQ-02 a message that arrives while a reset waits for the old run is of the new generation alone", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("k", "old");
		// Nothing waits when the reset begins.
		const reset = runtime.reset("k", { sessionId: "S2" });
		await turns();
		const { disposition, settled } = await runtime.send("k", "new");
		expect(disposition).toBe("queued");
		await host.clock.advance(1000);
		expect(inputsOf(host)).toEqual(["old"]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "resetting",
			queued: 1,
		});
		scripted.last.end();
		await reset;
		expect(scripted.last.run.messages).toMatchObject([
			{ input: "new", generation: 2 },
		]);
		scripted.last.end();
		expect(await settled).toMatchObject({
			ticket: { generation: 2, sessionId: "S2" },
		});
		expect((await runtime.archive("k")).items).toMatchObject([
			{ generation: 1, runs: [{ messageIds: [expect.any(String)] }] },
		]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("RQ-04 what waits behind a run that hangs goes on after a reset, and the run that ends after all does not disturb it", async () => {
		const host = await start({ graceMs: 100 });
		const { runtime, scripted, clock } = host;
		await runtime.send("k", "hangs");
		const waiting = [];
		for (let i = 1; i <= 8; i++) waiting.push(await runtime.send("k", i));
		const reset = runtime.reset("k");
		await clock.advance(100);
		expect(await reset).toMatchObject({
			row: { generation: 2, status: "running", queued: 7 },
			report: { removed: [], abandoned: [{ generation: 1 }] },
		});
		const [hung] = scripted.runs;
		for (let i = 1; i <= 8; i++) {
			// It comes to its end in the middle of the line.
			if (i === 4) hung?.fail(new Error("late"));
			await turns();
			expect(await agree(host, "k")).toMatchObject({
				status: "running",
				queued: 8 - i,
			});
			scripted.last.end();
			await turns();
		}
		expect(inputsOf(host)).toEqual(["hangs", 1, 2, 3, 4, 5, 6, 7, 8]);
		for (const { settled } of waiting)
			expect(await settled).toMatchObject({
				outcome: "completed",
				ticket: { generation: 2 },
			});
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
			queued: 0,
		});
	});

	test("RQ-05 a message that is accepted while a reset is written stands before it or after it, and is in line either way", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		await runtime.send("k", "initial");
		const { promise, resolve } = Promise.withResolvers<void>();
		store.beforeCommit = () => promise;
		const before = runtime.send("k", "before", { messageId: "before" });
		const reset = runtime.reset("k");
		const after = runtime.send("k", "after", { messageId: "after" });
		await turns();
		const during = runtime.send("k", "during", { messageId: "during" });
		await turns();
		store.beforeCommit = null;
		resolve();
		for (const sent of [before, after, during])
			expect(await sent).toMatchObject({ disposition: "queued" });
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			queued: 3,
		});
		scripted.last.end();
		await reset;
		const accepted = [];
		for (let i = 0; i < 3; i++) {
			await turns();
			accepted.push(scripted.last.run.messages[0]);
			scripted.last.end();
		}
		await runtime.whenIdle("k");
		expect(accepted).toMatchObject([
			{ messageId: "before", generation: 1 },
			{ messageId: "after", generation: 2 },
			{ messageId: "during", generation: 2 },
		]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			queued: 0,
			status: "ended",
		});
	});

	test("RQ-07 a reset overtakes the messages, whatever becomes of messages while a run is live", async () => {
		for (const mode of ["enqueue", "reject"] as const) {
			const host = await start({ overlap: mode });
			const { runtime, scripted } = host;
			await runtime.send("k", "nine minutes");
			for (const input of ["a", "b"])
				await runtime.send("k", input, { overlap: "enqueue" });
			const reset = runtime.reset("k", { reason: "/new" });
			await turns();
			expect(scripted.last.run.signal.reason).toMatchObject({ by: "reset" });
			expect(await agree(host, "k")).toMatchObject({
				generation: 2,
				status: "resetting",
				queued: 2,
			});
			expect(inputsOf(host)).toEqual(["nine minutes"]);
			scripted.last.end();
			expect(await reset).toMatchObject({ row: { generation: 2 } });
			expect(scripted.last.run.ticket.generation).toBe(2);
		}
	});

	test("RQ-08 a message that can never succeed fails once, and neither what is behind it nor a reset waits for it", async () => {
		const host = await start({
			execute: ({ ticket, messages }) => {
				if (messages[0]?.input === "poison" && ticket.generation === 1)
					throw new Error("the session is retired");
				return "fine";
			},
		});
		const { runtime } = host;
		const blocked = await runtime.admit("k");
		const sent = [];
		for (const input of ["poison", "ordinary"])
			sent.push(await runtime.send("k", input));
		await blocked.end();
		const [poison, ordinary] = await Promise.all(
			sent.map(({ settled }) => settled),
		);
		expect(poison).toMatchObject({
			outcome: "failed",
			error: "the session is retired",
		});
		expect(ordinary).toMatchObject({ outcome: "completed" });
		await host.clock.advance(60_000);
		expect((await runtime.runs("k")).items).toMatchObject([
			{ outcome: "completed" },
			{ outcome: "failed" },
			{ outcome: "completed" },
		]);
		// At the head of the line, with the reset behind it.
		const again = await runtime.admit("k");
		const head = await runtime.send("k", "poison");
		const reset = runtime.reset("k");
		await turns();
		expect(await runtime.get("k")).toMatchObject({ generation: 2 });
		await again.end();
		expect(await reset).toMatchObject({ result: "done" });
		expect(await head.settled).toMatchObject({
			outcome: "completed",
			ticket: { generation: 2 },
		});
		expect(await agree(host, "k")).toMatchObject({ generation: 2, queued: 0 });
	});

	test("RQ-11 the message behind an interrupted run is the next that runs", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const a = await runtime.send("k", "A");
		const b = await runtime.send("k", "B");
		const c = await runtime.send("k", "C");
		const interrupted = runtime.abort("k");
		await turns();
		expect(await agree(host, "k")).toMatchObject({
			activeRun: a.ticket,
			queued: 2,
		});
		expect(await now(b.settled)).toBe("pending");
		scripted.last.end();
		expect(await interrupted).toMatchObject({ report: { removed: [] } });
		expect(await a.settled).toMatchObject({ outcome: "aborted" });
		for (const { settled } of [b, c]) {
			await turns();
			expect(scripted.last.run.signal.aborted).toBe(false);
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(inputsOf(host)).toEqual(["A", "B", "C"]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("RQ-14 a message that a reset has kept is known by its id in the new generation", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("k", "running", { messageId: "m0" });
		await runtime.send("k", "waits", { messageId: "m1" });
		const reset = runtime.reset("k");
		await turns();
		const retry = () => runtime.send("k", "waits", { messageId: "m1" });
		expect(await retry()).toMatchObject({ disposition: "duplicate" });
		scripted.last.end();
		await reset;
		expect(await retry()).toMatchObject({
			disposition: "duplicate",
			ticket: { generation: 2 },
		});
		scripted.last.end();
		await runtime.whenIdle("k");
		await runtime.reset("k");
		const late = await retry();
		expect(late.disposition).toBe("duplicate");
		expect(await late.settled).toMatchObject({
			outcome: "completed",
			ticket: { generation: 2 },
		});
		expect(
			await runtime.send("k", "running", { messageId: "m0" }),
		).toMatchObject({ disposition: "duplicate", ticket: { generation: 1 } });
		expect(inputsOf(host)).toEqual(["running", "waits"]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 3,
			status: "idle",
			queued: 0,
		});
	});

	test("RQ-16 a message that was cancelled in line is not taken when its turn comes", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("k", "running");
		const cancelled = await runtime.send("k", "cancelled", { messageId: "c" });
		// The stop and the end of the run that it waits for meet in one tick.
		const stopped = runtime.abort("k", { queued: "drop" });
		scripted.last.end();
		expect(await stopped).toMatchObject({ report: { removed: ["c"] } });
		expect(await cancelled.settled).toEqual({
			ticket: null,
			outcome: "removed",
		});
		// One whose expectation is over when its turn comes.
		await runtime.send("k", "running again");
		const bound = await runtime.send("k", "bound", {
			expect: { generation: 1 },
		});
		const reset = runtime.reset("k");
		await turns();
		scripted.last.end();
		await reset;
		expect(await bound.settled).toEqual({ ticket: null, outcome: "removed" });
		expect(inputsOf(host)).toEqual(["running", "running again"]);
		expect(
			host.feed.flatMap((event) =>
				event.type === "message" && event.fate === "removed"
					? [event.messageId]
					: [],
			),
		).toEqual(["c", bound.messageId]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "idle",
			queued: 0,
		});
	});
});
