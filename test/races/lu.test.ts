/** Scenarios of category LU: two write, and one of them for nothing. */
import { expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { codeOf } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

scenarios("LU, an update that is lost", ({ makeStore, start }) => {
	test("LU-01 what was prepared on a row that has changed since is not written over it", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k", { meta: { model: "a", owner: "one" } });
		const seen = await agree(host, "k");
		const version = seen?.version;
		// A recovery has read it; a patch and a new owner come before it writes.
		await runtime.patch("k", { model: "b" });
		await runtime.patch("k", { owner: "two" });
		const before = await agree(host, "k");
		const stale = { result: "stale", mismatch: "version", row: before };
		const old = { expect: { version } };
		expect(await runtime.patch("k", { model: "a" }, old)).toEqual(stale);
		expect(await runtime.reset("k", { ...old, meta: {} })).toEqual(stale);
		expect(await runtime.delete("k", old)).toEqual(stale);
		expect(await codeOf(runtime.send("k", "x", { ...old, meta: {} }))).toBe(
			"STALE_EXPECTATION",
		);
		expect(await codeOf(runtime.admit("k", { ...old, meta: {} }))).toBe(
			"STALE_EXPECTATION",
		);
		// Nor by what is brought in from an earlier system.
		expect(
			await runtime.import([{ sessionKey: "k", sessionId: "old", meta: {} }]),
		).toEqual({ imported: 0, skipped: ["k"] });
		expect(await agree(host, "k")).toEqual(before);
		expect(before?.meta).toEqual({ model: "b", owner: "two" });
	});

	test("LU-02 a write that was begun before another and comes after it takes nothing of that back", async () => {
		const host = await start();
		const { runtime, scripted, clock } = host;
		await runtime.reset("k", { meta: { route: "r0", title: "t0" } });
		await runtime.send("k", "turn");
		// It holds the entry of now, and writes its own field of it later, for nobody to wait for.
		const { generation, meta } = scripted.last.run.row;
		expect(meta).toEqual({ route: "r0", title: "t0" });
		let late: unknown = null;
		clock.setTimeout(() => {
			void runtime
				.patch("k", { title: "t1" }, { expect: { generation } })
				.then((answer) => {
					late = answer;
				});
		}, 1000);
		await runtime.patch("k", { route: "r1" });
		await clock.advance(1000);
		expect(late).toMatchObject({ result: "done" });
		expect((await agree(host, "k"))?.meta).toEqual({
			route: "r1",
			title: "t1",
		});
		// And what comes after a reset is told so.
		clock.setTimeout(() => {
			void runtime
				.patch("k", { title: "t2" }, { expect: { generation } })
				.then((answer) => {
					late = answer;
				});
		}, 1000);
		const reset = runtime.reset("k", { meta: { route: "r2" } });
		await turns();
		scripted.last.end();
		await reset;
		await clock.advance(1000);
		expect(late).toMatchObject({ result: "stale", mismatch: "generation" });
		expect((await agree(host, "k"))?.meta).toEqual({ route: "r2" });
		expect((await runtime.archive("k")).items).toMatchObject([
			{ row: { meta: { route: "r1", title: "t1" } } },
		]);
	});

	test("LU-04 two that write different sessions of one store write each its own", async () => {
		const host = await start();
		const { runtime } = host;
		const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
		// Each of two writes its half, all in the same breath, twice.
		for (const round of [1, 2])
			await Promise.all(
				keys.map((key, i) =>
					round === 1
						? runtime.reset(key, { meta: { by: i % 2 } })
						: runtime.patch(key, { round }),
				),
			);
		const { items } = await runtime.list();
		expect(items).toHaveLength(40);
		for (const { sessionKey, meta } of items)
			expect(meta).toEqual({
				by: Number(sessionKey.slice(1)) % 2,
				round: 2,
			});
		for (const key of keys.slice(0, 3)) await agree(host, key);
	});

	test("LU-05 what a child has to say is put in line, and neither it nor the turn fails or is lost", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("parent", "turn");
		const [parent] = scripted.runs;
		if (!parent) throw new Error("it did not start");
		// The turn has read what there is, and builds its prompt.
		await parent.run.append("question");
		const prompt = await parent.run.transcript();
		const announced = await Promise.all(
			["a", "b", "c"].map((child) =>
				runtime.send("parent", `announce ${child}`, {
					messageId: `announce ${child}`,
				}),
			),
		);
		await runtime.patch("parent", { announced: 3 });
		// It comes back to a session that was written to meanwhile.
		await parent.run.append("answer");
		expect(await parent.run.transcript()).toHaveLength(prompt.length + 1);
		parent.end("answered");
		for (const { settled } of announced) {
			await turns();
			const { run, end } = scripted.last;
			await run.append(run.messages[0]?.input ?? null);
			end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(
			(await runtime.transcript("parent")).items
				.map(({ entry }) => entry)
				.reverse(),
		).toEqual(["question", "answer", "announce a", "announce b", "announce c"]);
		expect(await agree(host, "parent")).toMatchObject({
			status: "ended",
			meta: { announced: 3 },
			queued: 0,
		});
	});

	test("LU-07 two updates of one chat are made one after the other, and what one that broke had half done is seen by nobody", async () => {
		const host = await start({
			execute: async (run) => {
				const { count } = run.row.meta as { count: number };
				const draft = { count: count + 1 };
				await turns(2);
				if (run.messages[0]?.input === "breaks") {
					// It changes what it was given before it breaks.
					expect(() => {
						(run.row.meta as { count: number }).count = 1000;
					}).toThrow(TypeError);
					throw new Error("broke");
				}
				await host.runtime.patch("chat", draft);
				return draft.count;
			},
		});
		const { runtime } = host;
		await runtime.reset("chat", { meta: { count: 0 } });
		const sent = await Promise.all(
			["u1", "u2", "breaks", "u3", "u4"].map((input) =>
				runtime.send("chat", input),
			),
		);
		const ends = await Promise.all(sent.map(({ settled }) => settled));
		expect(ends.map(({ outcome, output }) => output ?? outcome)).toEqual([
			1,
			2,
			"failed",
			3,
			4,
		]);
		expect(await agree(host, "chat")).toMatchObject({
			meta: { count: 4 },
			lastOutcome: "completed",
		});
	});

	test("LU-08 of those who read, change and write one record each sees whether its write was made, and with a second try none is lost", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k", { meta: { count: 0 } });
		const callers = 12;
		let tries = 0;
		const increment = async () => {
			for (;;) {
				const row = await runtime.get("k");
				if (!row) throw new Error("it is gone");
				const { count } = row.meta as { count: number };
				tries += 1;
				const { version } = row;
				const answer = await runtime.patch(
					"k",
					{ count: count + 1 },
					{ expect: { version } },
				);
				if (answer.result === "done") return;
				expect(answer).toMatchObject({ result: "stale", mismatch: "version" });
			}
		};
		await Promise.all(Array.from({ length: callers }, increment));
		// At most all of a round have read the same, and one of them has written.
		expect(tries).toBeGreaterThan(callers);
		expect(tries).toBeLessThanOrEqual((callers * (callers + 1)) / 2);
		expect((await agree(host, "k"))?.meta).toEqual({ count: callers });
		// Those who write each a field of their own need not even look.
		await Promise.all(
			Array.from({ length: callers }, (_, i) =>
				runtime.patch("k", { [`f${i}`]: i }),
			),
		);
		expect(Object.keys((await agree(host, "k"))?.meta as object)).toHaveLength(
			callers + 1,
		);
	});

	test("LU-10 a turn sees the state of its own session, whoever's turn is under way beside it", async () => {
		const seen: Record<string, unknown[]> = {};
		const host = await start({
			execute: async (run) => {
				const { sessionKey } = run.ticket;
				seen[sessionKey] ??= [];
				const log = seen[sessionKey];
				for (let step = 0; step < 3; step++) {
					log.push((run.row.meta as { user: string }).user);
					await run.append(`of ${sessionKey}`);
					for (const { entry } of await run.transcript()) log.push(entry);
				}
			},
		});
		const { runtime } = host;
		const users = ["user 1", "user 2", "user 3"];
		for (const user of users) await runtime.reset(user, { meta: { user } });
		const sent = await Promise.all(
			users.map((user) => runtime.send(user, "turn")),
		);
		await Promise.all(sent.map(({ settled }) => settled));
		for (const user of users) {
			expect(new Set(seen[user])).toEqual(new Set([user, `of ${user}`]));
			expect(await agree(host, user)).toMatchObject({
				meta: { user },
				lastOutcome: "completed",
			});
		}
	});

	test("LU-11 whoever sends quickly hears of no conflict", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const before = await runtime.reset("k");
		const calls = await Promise.all([
			runtime.send("k", "m1"),
			runtime.send("k", "m2"),
			runtime.patch("k", { a: 1 }),
			runtime.send("k", "m3"),
			runtime.patch("k", { b: 2 }),
			runtime.report({ runId: "nobody", phase: "end" }),
		]);
		expect(
			calls.map((answer) =>
				"disposition" in answer
					? answer.disposition
					: "result" in answer
						? answer.result
						: answer.verdict,
			),
		).toEqual(["started", "queued", "done", "queued", "done", "unknown"]);
		for (let i = 0; i < 3; i++) {
			scripted.last.end();
			await turns();
		}
		expect(scripted.runs.map(({ run }) => run.messages[0]?.input)).toEqual([
			"m1",
			"m2",
			"m3",
		]);
		const row = await agree(host, "k");
		expect(row).toMatchObject({ meta: { a: 1, b: 2 }, queued: 0 });
		// Every one of them has its own version, on top of the one before.
		expect(row?.version).toBeGreaterThan((before.row?.version ?? 0) + 5);
	});

	test("LU-13 of many that are written in one moment one that fails is the only one, and what was carried out is gone from the line", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		const keys = Array.from({ length: 10 }, (_, i) => `actor ${i}`);
		store.poisoned = "actor 3";
		const created = await Promise.all(
			keys.map((key) => codeOf(runtime.send(key, "remind"))),
		);
		store.poisoned = null;
		expect(created[3]).toBe("STORE_FAILED");
		expect(scripted.runs).toHaveLength(9);
		expect(created.filter((one) => typeof one === "string")).toHaveLength(1);
		// The one whose creation failed is not there, and may be created anew.
		expect(await runtime.get("actor 3")).toBeNull();
		expect(await runtime.send("actor 3", "remind")).toMatchObject({
			disposition: "started",
		});
		for (const { end } of scripted.runs) end();
		await runtime.whenIdle();
		for (const key of keys) {
			expect(await runtime.queue.list(key)).toEqual([]);
			expect(await agree(host, key)).toMatchObject({
				status: "ended",
				queued: 0,
			});
		}
	});
});
