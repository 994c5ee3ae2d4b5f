/** Scenarios of category DP: one message, command or admission comes more than once, or from more than one side. */
import { createSessionRuntime, type JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../support/crashing-store.ts";
import { FaultyStore } from "../support/faulty-store.ts";
import { silent } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf } from "../support/scripted-host.ts";
import { turns, VirtualClock } from "../support/virtual-clock.ts";
import { agree, scenarios, watch } from "./scenario.ts";

scenarios("DP, one message, two runs", ({ makeStore, start }) => {
	test("DP-01 a message that is delivered again to the next process does not run again, and one that kills its process is not repeated", async () => {
		const store = new CrashingStore(makeStore());
		let host = await watch(store);
		const handled = await host.runtime.send("k", "fine", { messageId: "m1" });
		host.scripted.last.end();
		await handled.settled;
		await host.runtime.send("k", "poison", { messageId: "m2" });
		for (let life = 0; life < 3; life++) {
			await store.crash();
			host = await watch(store);
			const again = await Promise.all([
				host.runtime.send("k", "fine", { messageId: "m1" }),
				host.runtime.send("k", "poison", { messageId: "m2" }),
			]);
			expect(again.map(({ disposition }) => disposition)).toEqual([
				"duplicate",
				"duplicate",
			]);
			expect(
				(await Promise.all(again.map(({ settled }) => settled))).map(
					({ outcome }) => outcome,
				),
			).toEqual(["completed", "interrupted"]);
			expect(host.scripted.runs).toEqual([]);
			expect(await agree(host, "k")).toMatchObject({
				hasActiveRun: false,
				lastOutcome: "interrupted",
				queued: 0,
			});
		}
		expect((await host.runtime.runs("k")).items).toHaveLength(2);
	});

	test("DP-02 what the live path has handled is known to the one that catches up after a restart", async () => {
		const store = makeStore();
		const first = await watch(store);
		let cursor = 10;
		for (const row of [11, 12]) {
			// The live path handles the row and leaves the cursor where it is.
			const { settled } = await first.runtime.send("k", row, {
				messageId: `row ${row}`,
			});
			first.scripted.last.end();
			await settled;
		}
		await close(first);
		const host = await watch(store);
		const dispositions = [];
		while (cursor < 13) {
			cursor += 1;
			const { disposition } = await host.runtime.send("k", cursor, {
				messageId: `row ${cursor}`,
			});
			dispositions.push(disposition);
		}
		expect(dispositions).toEqual(["duplicate", "duplicate", "started"]);
		host.scripted.last.end();
		await host.runtime.whenIdle("k");
		expect((await host.runtime.runs("k")).items).toMatchObject([
			{ messageIds: ["row 13"] },
			{ messageIds: ["row 12"] },
			{ messageIds: ["row 11"] },
		]);
		await agree(host, "k");
	});

	test("DP-05 a message whose failure was told leaves no attempt behind that could run beside its retry", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		await runtime.reset("k");
		store.faults.push("before", "before");
		expect(await codeOf(runtime.send("k", "hello"))).toBe("STORE_FAILED");
		const retried = await runtime.send("k", "hello");
		expect(retried.disposition).toBe("started");
		scripted.last.end();
		expect(await retried.settled).toMatchObject({ outcome: "completed" });
		await host.clock.advance(60_000);
		// The store is back, and so is the next process.
		await close(host);
		const next = await watch(store);
		await turns();
		expect(next.scripted.runs).toEqual([]);
		expect((await next.runtime.runs("k")).items).toMatchObject([
			{ messageIds: [retried.messageId], outcome: "completed" },
		]);
		expect(await agree(next, "k")).toMatchObject({ queued: 0 });
	});

	test("DP-08 a wake that a stop has covered does not start another turn when it is tried again", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const helper = { messageId: "helper 1 is done" };
		const wake = () => runtime.send("parent", "result", helper);
		// The wake was admitted as a run of the parent.
		const running = await wake();
		const second = await runtime.send("parent", "result 2", {
			messageId: "helper 2 is done",
		});
		const stopped = runtime.abort("parent", { queued: "drop" });
		await turns();
		scripted.last.end();
		expect(await stopped).toMatchObject({
			report: { removed: ["helper 2 is done"] },
		});
		expect(await running.settled).toMatchObject({ outcome: "aborted" });
		expect(await second.settled).toMatchObject({ outcome: "removed" });
		// Both are tried again.
		expect(await wake()).toMatchObject({ disposition: "duplicate" });
		expect(
			await runtime.send("parent", "result 2", {
				messageId: "helper 2 is done",
			}),
		).toMatchObject({ disposition: "duplicate", ticket: null });
		await turns();
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "parent")).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
			queued: 0,
		});
	});

	test("DP-10 two turns of one session run one after the other, or the second is refused", async () => {
		const transcript: string[] = [];
		const host = await start({
			execute: async ({ messages }) => {
				const { input } = messages[0] as { input: JsonValue };
				transcript.push(`user ${input}`);
				await turns(2);
				transcript.push(`assistant ${input}`);
			},
		});
		const { runtime } = host;
		const [a, b] = await Promise.all([
			runtime.send("k", "A"),
			runtime.send("k", "B"),
		]);
		await Promise.all([a.settled, b.settled]);
		expect(transcript).toEqual([
			"user A",
			"assistant A",
			"user B",
			"assistant B",
		]);
		const reject = { overlap: "reject" } as const;
		const both = await Promise.allSettled([
			runtime.send("k", "C", reject),
			runtime.send("k", "D", reject),
		]);
		expect(both).toMatchObject([
			{ status: "fulfilled" },
			{ status: "rejected", reason: { code: "SESSION_BUSY" } },
		]);
		await runtime.whenIdle("k");
		expect(transcript.slice(4)).toEqual(["user C", "assistant C"]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
	});

	test("DP-11 a scheduled turn waits for the user's, and is skipped if the session is cleared before it begins", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		const user = await runtime.send("k", "user");
		const row = await runtime.get("k");
		const scheduled: ReturnType<typeof runtime.send>[] = [];
		clock.setTimeout(() => {
			scheduled.push(
				runtime.send("k", "scheduled 1"),
				runtime.send("k", "scheduled 2", {
					expect: { generation: row?.generation },
				}),
			);
		}, 1000);
		await clock.advance(1000);
		const [one, two] = await Promise.all(scheduled);
		expect([one?.disposition, two?.disposition]).toEqual(["queued", "queued"]);
		expect(scripted.runs).toHaveLength(1);
		scripted.last.end();
		await user.settled;
		expect(scripted.last.run.messages).toMatchObject([
			{ input: "scheduled 1" },
		]);
		// Cleared, while the second still waits.
		const cleared = runtime.reset("k");
		await turns();
		scripted.last.end();
		await cleared;
		expect(await one?.settled).toMatchObject({ outcome: "aborted" });
		expect(await two?.settled).toEqual({ ticket: null, outcome: "removed" });
		expect(scripted.runs).toHaveLength(2);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "idle",
			queued: 0,
		});
	});

	test("DP-13 a client that tries again before its first try was recorded gets the same run, and another input is an error", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		const { promise, resolve } = Promise.withResolvers<void>();
		store.beforeCommit = () => promise;
		const key = { messageId: "idempotency key" };
		const first = runtime.send("k", { ask: 1 }, key);
		await turns();
		const again = runtime.send("k", { ask: 1 }, key);
		const other = codeOf(runtime.send("k", { ask: 2 }, key));
		const [admitted, repeated] = [
			runtime.admit("host", { runId: "R" }),
			runtime.admit("host", { runId: "R" }),
		];
		await turns();
		store.beforeCommit = null;
		resolve();
		expect(await first).toMatchObject({ disposition: "started" });
		expect(await again).toMatchObject({
			disposition: "duplicate",
			ticket: (await first).ticket,
		});
		expect(await other).toBe("INVALID_ARGUMENT");
		expect(await repeated).toBe(await admitted);
		expect((await admitted).ticket.attempt).toBe(1);
		// Who means one generation says so.
		expect(
			await codeOf(runtime.send("k", "late", { expect: { generation: 0 } })),
		).toBe("STALE_EXPECTATION");
		expect(scripted.runs).toHaveLength(1);
		scripted.last.end();
		await (await first).settled;
		await (await admitted).end();
		await agree(host, "host");
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			queued: 0,
		});
	});

	test("DP-14 a second process does not get a store that has an owner, and its retry finds what the first has done", async () => {
		const store = makeStore();
		const a = await watch(store);
		const first = await a.runtime.send("k", "task", { messageId: "key" });
		const second = createSessionRuntime<JsonValue>({
			store,
			clock: new VirtualClock(),
			logger: silent,
			execute: () => {
				throw new Error("a second background task");
			},
		});
		expect(await codeOf(second.start())).toBe("STORE_LOCKED");
		expect(await codeOf(second.send("k", "task", { messageId: "key" }))).toBe(
			"RUNTIME_CLOSED",
		);
		a.scripted.last.end();
		await first.settled;
		await close(a);
		const b = await watch(store);
		const retried = await b.runtime.send("k", "task", { messageId: "key" });
		expect(retried).toMatchObject({
			disposition: "duplicate",
			ticket: first.ticket,
		});
		expect(await retried.settled).toMatchObject({ outcome: "completed" });
		expect(b.scripted.runs).toEqual([]);
		expect(await agree(b, "k")).toMatchObject({ lastOutcome: "completed" });
	});

	test("DP-16 a run that was in flight when its process died is settled as interrupted, not begun again, and the line goes on", async () => {
		const store = new CrashingStore(makeStore());
		const dead = await watch(store);
		await dead.runtime.send("k", "in flight", { messageId: "m1" });
		await dead.runtime.send("k", "waits", { messageId: "m2" });
		await dead.runtime.admit("host", { runId: "R" });
		await store.crash();
		const host = await watch(store);
		const { runtime, scripted } = host;
		await turns();
		expect(scripted.runs.map(({ run }) => run.messages[0]?.input)).toEqual([
			"waits",
		]);
		scripted.last.end();
		await runtime.whenIdle();
		expect((await runtime.runs("k")).items).toMatchObject([
			{ messageIds: ["m2"], outcome: "completed" },
			{ messageIds: ["m1"], outcome: "interrupted", attempt: 1 },
		]);
		expect(await agree(host, "k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
		});
		expect(await agree(host, "host")).toMatchObject({
			status: "ended",
			lastOutcome: "interrupted",
		});
	});

	test("DP-17 generations, attempts and places in line are given out once each, however many ask at once", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const asked = Array.from({ length: 20 }, (_, i) => i);
		const resets = await Promise.all(asked.map(() => runtime.reset("k")));
		expect(
			resets.map((answer) =>
				answer.result === "done"
					? (answer.report.ended?.generation ?? 0)
					: null,
			),
		).toEqual(asked);
		const attempts = [];
		for (let i = 0; i < 3; i++) {
			// Two workers take up the same run at once.
			const [one, two] = await Promise.all([
				runtime.admit("k", { runId: "R" }),
				runtime.admit("k", { runId: "R" }),
			]);
			expect(two).toBe(one);
			attempts.push(one.ticket.attempt);
			await one.end();
		}
		expect(attempts).toEqual([1, 2, 3]);
		const receipts = await Promise.all(asked.map((i) => runtime.send("k", i)));
		for (const { settled } of receipts) {
			await turns();
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(scripted.runs.map(({ run }) => run.messages[0]?.input)).toEqual(
			asked,
		);
		expect(new Set(scripted.runs.map(({ run }) => run.ticket.runId)).size).toBe(
			20,
		);
		expect(await agree(host, "k")).toMatchObject({ generation: 20, queued: 0 });
	});
});
