/** Scenarios of category RQ: messages that wait when a reset, a delete or an abort comes. */
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { close } from "../support/restart.ts";
import { now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, type WatchedHost, watch } from "./scenario.ts";

/** What was executed so far, in order: the first message of each run. */
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
		// Bounced with its reason, if it says that it is meant for the generation before alone.
		const { ticket } = await runtime.send("bounced", "running");
		const bounced = await runtime.send("bounced", "M", {
			messageId: "M",
			expect: { generation: ticket?.generation },
		});
		const third = runtime.reset("bounced");
		await turns();
		scripted.last.end();
		expect(await third).toMatchObject({ report: { removed: ["M"] } });
		expect(await bounced.settled).toEqual({ ticket: null, outcome: "removed" });
		expect(host.feed).toContainEqual(
			expect.objectContaining({
				type: "message",
				sessionKey: "bounced",
				fate: "removed",
				reason: "what it expected ended with generation 1",
			}),
		);
		expect(await agree(host, "bounced")).toMatchObject({ queued: 0 });
		expect(inputsOf(host)).toEqual(["running", "M", "running", "running"]);
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
		const modes = [
			"reject",
			"enqueue",
			"latest",
			"collect",
			"steer",
			"interrupt",
			"rollback",
		] as const;
		const ways = ["by command", "with a message"] as const;
		for (const mode of modes)
			for (const way of ways) {
				const said = `${mode}, ${way}`;
				const host = await start({ overlap: mode });
				const { runtime, scripted } = host;
				await runtime.send("k", "nine minutes");
				const { run } = scripted.last;
				for (const input of ["a", "b"])
					await runtime.send("k", input, { overlap: "enqueue" });
				const reset =
					way === "by command"
						? runtime.reset("k", { reason: "/new" })
						: runtime.send("k", "/new", { reset: true });
				await turns();
				expect(run.signal.reason, said).toMatchObject({ by: "reset" });
				const row = await agree(host, "k");
				expect(row, said).toMatchObject({
					generation: 2,
					status: "resetting",
					draining: 1,
				});
				expect(inputsOf(host)).toEqual(["nine minutes"]);
				scripted.last.end();
				if (way === "by command")
					expect(await reset).toMatchObject({ row: { generation: 2 } });
				else expect(await reset).toMatchObject({ disposition: "queued" });
				await turns();
				// What came with the reset is the first of the new generation.
				expect(scripted.last.run, said).toMatchObject({
					ticket: { generation: 2 },
					messages: [{ input: way === "by command" ? "a" : "/new" }],
				});
				expect((await runtime.archive("k")).items).toMatchObject([
					{ generation: 1, endedBy: "reset", runs: [{ outcome: "aborted" }] },
				]);
				await agree(host, "k");
			}
	});

	test("RQ-07 a reset overtakes a message that has stopped the run, and one that was to steer it", async () => {
		for (const mode of ["steer", "interrupt", "rollback"] as const) {
			const host = await start({ overlap: mode });
			const { runtime, scripted } = host;
			const old = await runtime.send("k", "nine minutes");
			const sent = await runtime.send("k", "M");
			expect(sent.disposition).toBe(mode === "steer" ? "steered" : "queued");
			const next = await runtime.send("k", "/new", { reset: true });
			expect(await agree(host, "k"), mode).toMatchObject({
				generation: 2,
				status: "resetting",
				queued: 2,
			});
			scripted.last.end();
			expect(await old.settled).toMatchObject({ outcome: "aborted" });
			for (const { settled } of [next, sent]) {
				await turns();
				scripted.last.end();
				expect(await settled).toMatchObject({
					outcome: "completed",
					ticket: { generation: 2 },
				});
			}
			expect(inputsOf(host), mode).toEqual(["nine minutes", "/new", "M"]);
			expect(await agree(host, "k")).toMatchObject({ queued: 0 });
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

	test("RQ-10 a message that steers a run is handed to it or is in line before those after it, at whatever step the run is stopped", async () => {
		const takers = new Set<string>();
		for (let later = -1; later <= 8; later++) {
			const host = await start({ overlap: "steer" });
			const { runtime, scripted } = host;
			const first = await runtime.send("k", "first");
			const { run } = scripted.last;
			const handed: unknown[] = [];
			const loop = (async () => {
				for await (const { input } of run.steering) handed.push(input);
			})();
			const sent = runtime.send("k", "M", { messageId: "M" });
			const after = runtime.send("k", "N", { overlap: "enqueue" });
			if (later >= 0) await turns(later);
			const stopped = runtime.abort("k");
			const receipts = await Promise.all([sent, after]);
			await turns();
			const waiting = await runtime.queue.list("k");
			expect(
				[...handed, ...waiting.map(({ input }) => input)],
				`${later}`,
			).toEqual(["M", "N"]);
			await loop;
			scripted.last.end();
			await stopped;
			takers.add(handed.length > 0 ? "the run" : "the line");
			for (let i = handed.length; i < 2; i++) {
				await turns();
				scripted.last.end();
			}
			const [m, n] = await Promise.all(receipts.map(({ settled }) => settled));
			expect(m, `${later}`).toMatchObject(
				handed.length > 0
					? { outcome: "aborted", ticket: first.ticket }
					: { outcome: "completed" },
			);
			expect(n).toMatchObject({ outcome: "completed" });
			expect(inputsOf(host)).toEqual(
				handed.length > 0 ? ["first", "N"] : ["first", "M", "N"],
			);
			expect(await agree(host, "k")).toMatchObject({ queued: 0 });
		}
		expect(takers).toEqual(new Set(["the run", "the line"]));
	});

	test("RQ-10 a message that was taken for a run that came to its end before it was handed over goes back to its place in line", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store, { overlap: "steer" });
		const { runtime, scripted } = host;
		const first = await runtime.send("k", "first");
		const { run } = scripted.last;
		const m = await runtime.send("k", "M", { messageId: "M" });
		await runtime.send("k", "N");
		const { promise, resolve } = Promise.withResolvers<void>();
		store.beforeCommit = () => promise;
		// It leaves the line by a commit that takes its time.
		const pulled = run.steering[Symbol.asyncIterator]().next();
		await turns();
		scripted.last.end();
		await turns();
		store.beforeCommit = null;
		resolve();
		expect(await pulled).toMatchObject({ done: true });
		expect(await first.settled).toMatchObject({ outcome: "completed" });
		expect(inputsOf(host)).toEqual(["first", "M"]);
		expect(await runtime.queue.list("k")).toMatchObject([{ input: "N" }]);
		expect((await runtime.runs("k")).items).toMatchObject([
			{ messageIds: ["M"], outcome: null },
			{ messageIds: [first.messageId], outcome: "completed" },
		]);
		await agree(host, "k");
		scripted.last.end();
		expect(await m.settled).toMatchObject({ outcome: "completed" });
		await turns();
		expect(inputsOf(host)).toEqual(["first", "M", "N"]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("RQ-11 the message behind an interrupted run is the next that runs, and can be seen and changed until then", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const a = await runtime.send("k", "A");
		const b = await runtime.send("k", "B", { messageId: "B" });
		const c = await runtime.send("k", "C", { messageId: "C" });
		const d = await runtime.send("k", "D", { messageId: "D" });
		const interrupted = runtime.abort("k");
		await turns();
		expect(await agree(host, "k")).toMatchObject({
			activeRun: a.ticket,
			queued: 3,
		});
		expect(await now(b.settled)).toBe("pending");
		const inLine = async () =>
			(await runtime.queue.list("k")).map(({ input }) => input);
		expect(await inLine()).toEqual(["B", "C", "D"]);
		// All of it while the run still comes to its end.
		expect(await runtime.queue.update("k", "B", { input: "B!" })).toMatchObject(
			{ result: "done" },
		);
		await runtime.queue.update("k", "D", { before: "C" });
		expect(await runtime.queue.remove("k", "C")).toMatchObject({
			result: "done",
			row: { queued: 2 },
		});
		expect(await inLine()).toEqual(["B!", "D"]);
		expect(await c.settled).toEqual({ ticket: null, outcome: "removed" });
		scripted.last.end();
		expect(await interrupted).toMatchObject({ report: { removed: [] } });
		expect(await a.settled).toMatchObject({ outcome: "aborted" });
		// What runs is not in line any more.
		await turns();
		expect(
			await runtime.queue.update("k", "B", { input: "too late" }),
		).toMatchObject({ result: "stale", mismatch: "messageId" });
		for (const { settled } of [b, d]) {
			await turns();
			expect(scripted.last.run.signal.aborted).toBe(false);
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(inputsOf(host)).toEqual(["A", "B!", "D"]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("RQ-13 a message whose run has died with its process is tried again before all others, however the process ended, until it has been handled", async () => {
		const store = new CrashingStore(makeStore());
		const options = {
			recovery: { mode: "retry", maxAttempts: 3 },
		} as const;
		let host = await watch(store, options);
		await host.runtime.send("k", "first", { messageId: "first" });
		// The child is alive when the process goes.
		await host.scripted.last.run.spawn("child", "work", { messageId: "c" });
		await store.crash();
		host = await watch(store, options);
		await turns();
		const child = await agree(host, "child");
		expect(child).toMatchObject({ hasActiveRun: false, queued: 0 });
		await host.runtime.send("k", "M", { messageId: "M" });
		expect(host.scripted.runs.map(({ run }) => run.ticket)).toMatchObject([
			{ sessionKey: "k", attempt: 2 },
		]);
		host.scripted.last.end();
		await turns();
		expect(inputsOf(host)).toEqual(["first", "M"]);
		await host.runtime.send("k", "N", { messageId: "N" });
		// It goes again, once by itself and once because it was told to, in the middle of M.
		await store.crash();
		host = await watch(store, options);
		await turns();
		await close(host);
		host = await watch(store, options);
		await turns();
		expect(inputsOf(host)).toEqual(["M"]);
		expect(host.scripted.last.run.ticket.attempt).toBe(3);
		expect(await agree(host, "k")).toMatchObject({ queued: 1 });
		const again = await host.runtime.send("k", "M", { messageId: "M" });
		expect(again.disposition).toBe("duplicate");
		host.scripted.last.end("answer to M");
		expect(await again.settled).toMatchObject({
			outcome: "completed",
			output: "answer to M",
		});
		await turns();
		host.scripted.last.end();
		await host.runtime.whenIdle();
		expect(inputsOf(host)).toEqual(["M", "N"]);
		expect(
			(await host.runtime.runs("k")).items.map(
				({ messageIds, attempt, outcome }) => [messageIds, attempt, outcome],
			),
		).toEqual([
			[["N"], 1, "completed"],
			[["M"], 3, "completed"],
			[["M"], 2, "interrupted"],
			[["M"], 1, "interrupted"],
			[["first"], 2, "completed"],
			[["first"], 1, "interrupted"],
		]);
		// What the dead attempt had attached to itself is not tried again beside it.
		expect((await host.runtime.runs("child")).items).toMatchObject([
			{ attempt: 1, outcome: "interrupted" },
		]);
		await agree(host, "k");
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
		// The one, taken out of line by its id, or the other, by a stop that names it: the slot comes in the same tick.
		const taken: string[] = [];
		for (const way of ["remove", "abort"] as const) {
			const running = await runtime.send("k", "running");
			const { messageId, settled } = await runtime.send("k", way);
			const gone =
				way === "remove"
					? runtime.queue.remove("k", messageId)
					: runtime.abort("k", { expect: { messageId } });
			scripted.last.end();
			expect(await gone).toMatchObject({ result: "done" });
			expect(await settled).toEqual({ ticket: null, outcome: "removed" });
			// Only what it names was stopped.
			expect(await running.settled).toMatchObject({ outcome: "completed" });
			taken.push(messageId);
		}
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
		expect(inputsOf(host)).toEqual([
			"running",
			"running",
			"running",
			"running again",
		]);
		expect(
			host.feed.flatMap((event) =>
				event.type === "message" && event.fate === "removed"
					? [event.messageId]
					: [],
			),
		).toEqual(["c", ...taken, bound.messageId]);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "idle",
			queued: 0,
		});
	});

	test("RQ-16 a message that is cancelled while its session waits for a slot is not taken when the slot comes", async () => {
		const host = await start({ maxConcurrentRuns: 1 });
		const { runtime, scripted } = host;
		for (const way of ["remove", "abort"] as const) {
			await runtime.send("other", "holds the slot");
			const { messageId, settled } = await runtime.send(way, "M");
			const next = await runtime.send(way, "next");
			expect(await agree(host, way)).toMatchObject({
				status: "idle",
				queued: 2,
			});
			const gone =
				way === "remove"
					? runtime.queue.remove(way, messageId)
					: runtime.abort(way, { expect: { messageId } });
			scripted.last.end();
			expect(await gone).toMatchObject({ result: "done" });
			expect(await settled).toEqual({ ticket: null, outcome: "removed" });
			await turns();
			expect(scripted.last.run).toMatchObject({
				ticket: { sessionKey: way },
				messages: [{ input: "next" }],
			});
			scripted.last.end();
			expect(await next.settled).toMatchObject({ outcome: "completed" });
			expect(await agree(host, way)).toMatchObject({ queued: 0 });
		}
	});
});
