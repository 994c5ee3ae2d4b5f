/** Scenarios of category DP: one message, command or admission comes more than once, or from more than one side. */
import { createSessionRuntime, type JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { silent } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
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

	test("DP-01 a message whose run dies with its process each time is tried as often as was said, and then laid aside with what is known of it", async () => {
		const store = new CrashingStore(makeStore());
		const recovery = { mode: "retry", maxAttempts: 3 } as const;
		let host = await watch(store, { recovery });
		await host.runtime.send("k", "poison", { messageId: "poison" });
		await host.runtime.send("k", "behind it", { messageId: "behind" });
		for (let life = 2; life <= 6; life++) {
			await store.crash();
			host = await watch(store, { recovery });
			await turns();
			// The platform delivers it again each time.
			expect(
				await host.runtime.send("k", "poison", { messageId: "poison" }),
			).toMatchObject({ disposition: "duplicate" });
			const isTried = life <= recovery.maxAttempts;
			expect(
				host.scripted.runs.map(({ run }) => [
					run.messages[0]?.input,
					run.ticket.attempt,
				]),
				`${life}`,
			).toEqual(
				isTried ? [["poison", life]] : life === 4 ? [["behind it", 1]] : [],
			);
			if (life === 4) host.scripted.last.end();
			await turns();
			await agree(host, "k");
		}
		const laidAside = await host.runtime.send("k", "poison", {
			messageId: "poison",
		});
		expect(await laidAside.settled).toMatchObject({
			outcome: "interrupted",
			ticket: { attempt: 3 },
		});
		expect(
			(await host.runtime.runs("k")).items.map(
				({ messageIds: [id], attempt, outcome }) => [id, attempt, outcome],
			),
		).toEqual([
			["behind", 1, "completed"],
			["poison", 3, "interrupted"],
			["poison", 2, "interrupted"],
			["poison", 1, "interrupted"],
		]);
		expect(await agree(host, "k")).toMatchObject({ queued: 0 });
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

	test("DP-04 a reply that was delivered is not delivered again by the process after, and one of which that is not known goes out under the same key", async () => {
		const recovery = { mode: "retry", maxAttempts: 9 } as const;
		for (const dies of ["before it is noted", "after it is noted"] as const) {
			const store = new CrashingStore(makeStore());
			/** The platform: what it got, by idempotency key. */
			const got = new Map<string, string>();
			let calls = 0;
			const results: unknown[] = [];
			const hangs = () => new Promise<never>(() => {});
			let isFirst = true;
			const options: Parameters<typeof watch>[1] = {
				recovery,
				execute: async (run) => {
					const result = await run.deliver(
						"reply",
						async ({ idempotencyKey }) => {
							calls += 1;
							if (!got.has(idempotencyKey))
								got.set(idempotencyKey, `post ${got.size + 1}`);
							if (isFirst && dies.startsWith("before")) return hangs();
							return got.get(idempotencyKey) as string;
						},
					);
					results.push(result);
					if (isFirst) await hangs();
				},
			};
			await (await watch(store, options)).runtime.send("k", "question");
			await turns();
			expect(calls).toBe(1);
			await store.crash();
			isFirst = false;
			// Days later, and again after that.
			for (let life = 0; life < 3; life++) {
				const host = await watch(store, options);
				await host.clock.advance(86_400_000);
				await host.runtime.whenIdle();
				expect(calls, dies).toBe(dies.startsWith("before") ? 2 : 1);
				expect([...got.values()]).toEqual(["post 1"]);
				expect(results.at(-1)).toBe("post 1");
				expect(
					(await host.runtime.runs("k")).items.map(({ outcome }) => outcome),
				).toEqual(["completed", "interrupted"]);
				expect(await agree(host, "k")).toMatchObject({ queued: 0 });
				await store.crash();
			}
		}
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

	test("DP-08 a stop consumes what is attached to the run that it stops, and a retry of what that had asked for begins nothing", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const busy = await runtime.admit("helper 2");
		await runtime.send("parent", "ask both");
		const [first] = scripted.runs;
		if (!first) throw new Error("it did not start");
		const ask = (run: typeof first.run, key: string) =>
			run.spawn(key, "help", { messageId: `ask ${key}` });
		// One works, the other has not begun.
		const one = await ask(first.run, "helper 1");
		const two = await ask(first.run, "helper 2");
		const stopped = runtime.abort("parent");
		await turns();
		scripted.runs[1]?.end("captured result");
		first.end();
		expect(await stopped).toMatchObject({ result: "done" });
		expect(await one.settled).toMatchObject({ outcome: "aborted" });
		expect(await two.settled).toMatchObject({ outcome: "removed" });
		await busy.end();
		// The attempt is rejected, and so is the next turn's to ask for the same once more.
		expect(await codeOf(ask(first.run, "helper 1"))).toBe("STALE_RUN");
		await runtime.send("parent", "again");
		const { run, end } = scripted.last;
		for (const key of ["helper 1", "helper 2"])
			expect(await ask(run, key)).toMatchObject({ disposition: "duplicate" });
		end();
		await runtime.whenIdle();
		expect(
			scripted.runs.map(({ run }) => [
				run.ticket.sessionKey,
				run.messages[0]?.input,
			]),
		).toEqual([
			["parent", "ask both"],
			["helper 1", "help"],
			["parent", "again"],
		]);
		for (const key of ["parent", "helper 1", "helper 2"])
			expect(await agree(host, key)).toMatchObject({ queued: 0 });
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
			clock: stillClock(),
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

	test("DP-16 what was in flight when its process died is settled or tried again as its host has said, and an effect that is known is not repeated", async () => {
		const policies = {
			settle: { mode: "settle" },
			retry: { mode: "retry", maxAttempts: 2 },
		} as const;
		for (const [mode, recovery] of Object.entries(policies)) {
			const isRetry = mode === "retry";
			const store = new CrashingStore(makeStore());
			const dead = await watch(store, { recovery });
			const sent = await dead.runtime.send("k", "in flight", {
				messageId: "m1",
			});
			const effects: string[] = [];
			const once = ({ scripted }: typeof dead) =>
				scripted.last.run.deliver("charge", () => {
					effects.push("charged");
					return effects.length;
				});
			expect(await once(dead)).toBe(1);
			await dead.scripted.last.run.append("first attempt");
			const approval = dead.scripted.last.run.waitFor("approval");
			await turns();
			await dead.runtime.resume(
				dead.scripted.last.run.ticket,
				"approval",
				"yes",
			);
			expect(await approval).toBe("yes");
			await dead.runtime.send("k", "waits", { messageId: "m2" });
			await dead.runtime.admit("host", { runId: "R" });
			await store.crash();
			const host = await watch(store, { recovery });
			const { runtime, scripted } = host;
			await turns();
			expect(scripted.runs).toHaveLength(1);
			if (isRetry) {
				expect(scripted.last.run).toMatchObject({
					ticket: { ...sent.ticket, attempt: 2 },
					messages: [{ messageId: "m1" }],
				});
				expect(await once(host)).toBe(1);
				expect(await scripted.last.run.waitFor("approval")).toBe("yes");
				expect(await scripted.last.run.transcript()).toEqual([]);
				scripted.last.end();
				await turns();
			}
			expect(scripted.last.run.messages).toMatchObject([{ messageId: "m2" }]);
			scripted.last.end();
			await runtime.whenIdle();
			expect(effects, mode).toEqual(["charged"]);
			expect(
				(await runtime.runs("k")).items.map(
					({ messageIds: [id], attempt, outcome }) => [id, attempt, outcome],
				),
				mode,
			).toEqual([
				["m2", 1, "completed"],
				...(isRetry ? [["m1", 2, "completed"]] : []),
				["m1", 1, "interrupted"],
			]);
			// What the host drives itself is the host's to try again.
			expect((await runtime.runs("host")).items).toMatchObject([
				{ runId: "R", outcome: "interrupted" },
			]);
			for (const key of ["k", "host"])
				expect(await agree(host, key)).toMatchObject({
					hasActiveRun: false,
					queued: 0,
				});
		}
	});

	test("DP-16 what somebody had stopped before the process died is not tried again", async () => {
		const recovery = { mode: "retry", maxAttempts: 5 } as const;
		for (const stop of ["abort", "reset"] as const) {
			const store = new CrashingStore(makeStore());
			const dead = await watch(store, { recovery });
			await dead.runtime.send("k", "in flight", { messageId: "m" });
			void dead.runtime[stop]("k").catch(() => {});
			await turns();
			expect(dead.scripted.last.run.signal.aborted).toBe(true);
			await store.crash();
			const host = await watch(store, { recovery });
			await turns();
			expect(host.scripted.runs).toEqual([]);
			expect((await host.runtime.runs("k")).items).toMatchObject([
				{ attempt: 1, outcome: "aborted", stoppedBy: stop },
			]);
			expect(await agree(host, "k")).toMatchObject({
				generation: stop === "reset" ? 2 : 1,
				hasActiveRun: false,
				queued: 0,
			});
		}
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
