/** Scenarios of category RR: a reset meets another reset, or whatever else writes at the same time. */
import {
	type JsonValue,
	type SessionStore,
	UnreadableSession,
} from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

/** Holds every commit back until it is told to let them go. */
function held(store: FaultyStore): () => void {
	const { promise, resolve } = Promise.withResolvers<void>();
	store.beforeCommit = () => promise;
	return () => {
		store.beforeCommit = null;
		resolve();
	};
}

/** A store in which the row of one key cannot be read, until a commit writes it anew. */
function unreadable(inner: SessionStore, key: string): SessionStore {
	let isDamaged = true;
	return {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					if (name === "load")
						return async (asked: string) => {
							const loaded = await target.load(asked);
							if (!isDamaged || asked !== key || !loaded) return loaded;
							const { generation, version } = loaded.facts;
							throw new UnreadableSession(
								{
									sessionKey: key,
									generation,
									version,
									raw: "rubbish",
									queue: loaded.queue,
									lost: [],
									entries: 0,
								},
								new SyntaxError("rubbish"),
							);
						};
					if (name === "commit")
						return async (batch: Parameters<typeof store.commit>[0]) => {
							await target.commit(batch);
							if (batch.sessions.some(({ sessionKey }) => sessionKey === key))
								isDamaged = false;
						};
					const value = Reflect.get(target, name, target);
					return typeof value === "function" ? value.bind(target) : value;
				},
			});
		},
	};
}

scenarios("RR, a reset during a reset", ({ makeStore, start }) => {
	test("RR-01 a reset is one commit: what the old turn flushes meanwhile is counted, and no row is ever half of each", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		await runtime.send("k", "hello");
		const before = await agree(host, "k");
		const letGo = held(store);
		const reset = runtime.reset("k", { sessionId: "S2" });
		await turns();
		scripted.last.run.usage({ inputTokens: 7 });
		await turns();
		expect(await agree(host, "k")).toEqual(before);
		letGo();
		await turns();
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S2",
			generation: 2,
			status: "resetting",
			inputTokens: 0,
		});
		scripted.last.end();
		expect(await reset).toMatchObject({
			report: { ended: { row: { generation: 1, inputTokens: 7 } } },
		});
		const fresh = await agree(host, "k");
		expect(fresh).toMatchObject({ status: "idle", inputTokens: 0 });
		// A reset that cannot be written leaves nothing of itself.
		store.faults.push("before", "before");
		expect(await codeOf(runtime.reset("k"))).toBe("STORE_FAILED");
		expect(await agree(host, "k")).toEqual(fresh);
	});

	test("RR-02 two first messages of a new key get one session id", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const [one, two] = await Promise.all([
			runtime.send("k", "one"),
			runtime.send("k", "two", { messageId: "m2" }),
		]);
		expect([one.disposition, two.disposition]).toEqual(["started", "queued"]);
		scripted.last.end();
		await one.settled;
		scripted.last.end();
		const { ticket } = await two.settled;
		expect(ticket).toMatchObject({
			sessionId: one.ticket?.sessionId,
			generation: 1,
		});
		expect(await agree(host, "k")).toMatchObject({
			sessionId: one.ticket?.sessionId,
			generation: 1,
		});
		await runtime.reset("k");
		expect((await runtime.archive("k")).items).toMatchObject([
			{ sessionIds: [one.ticket?.sessionId], runs: [{}, {}] },
		]);
	});

	test("RR-04 what read the row before a reset cannot write it back after", async () => {
		const host = await start();
		const { runtime } = host;
		const run = await runtime.admit("k", { runId: "R", sessionId: "S" });
		const read = await runtime.get("k");
		const { sessionId, generation } = run.ticket;
		const seen = { expect: { sessionId, generation } };
		// The reset keeps the session id: the generation is what tells.
		const reset = runtime.reset("k", { sessionId: "S", meta: { fresh: true } });
		const rewinds = [
			runtime.patch("k", { rewound: true }, seen),
			runtime.patch(
				"k",
				{ rewound: true },
				{
					expect: { version: read?.version },
				},
			),
			runtime.abort("k", seen),
			runtime.delete("k", seen),
			runtime.reset("k", seen),
		];
		expect(await codeOf(runtime.send("k", "restore", seen))).toBe(
			"STALE_EXPECTATION",
		);
		expect(await codeOf(run.rotate({ sessionId: "branch" }))).toBe("STALE_RUN");
		for (const answer of await Promise.all(rewinds))
			expect(answer).toMatchObject({
				result: "stale",
				row: { generation: 2, sessionId: "S" },
			});
		await run.end();
		await reset;
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S",
			generation: 2,
			status: "idle",
			meta: { fresh: true },
			queued: 0,
		});
	});

	test("RR-05 two sessions that act on each other from both sides do not lock each other out", async () => {
		const other = { X: "Y", Y: "X" } as const;
		const resets: Promise<unknown>[] = [];
		const host = await start({
			graceMs: 100,
			execute: async (run) => {
				const { sessionKey } = run.ticket;
				const { input } = run.messages[0] as { input: JsonValue };
				if (input !== "fork") return input;
				run.usage({ inputTokens: 1 });
				const to = other[sessionKey as "X" | "Y"];
				await host.runtime.send(to, `from ${sessionKey}`);
				const reset = host.runtime.reset(to);
				resets.push(reset);
				// Each holds its own session while it waits for the other's.
				return reset;
			},
		});
		const { runtime } = host;
		await Promise.all([runtime.send("X", "fork"), runtime.send("Y", "fork")]);
		await host.clock.advance(100);
		// The grace period of one is over, and that sets the other free.
		expect(await Promise.all(resets)).toMatchObject([
			{ report: { drained: [], abandoned: [{ sessionKey: "Y" }] } },
			{ report: { drained: [{ sessionKey: "X" }], abandoned: [] } },
		]);
		await runtime.whenIdle();
		for (const [key, outcome] of [
			["X", "aborted"],
			["Y", "abandoned"],
		] as const) {
			expect(await agree(host, key)).toMatchObject({
				generation: 2,
				status: "ended",
				inputTokens: 0,
				queued: 0,
			});
			expect((await runtime.runs(key)).items).toMatchObject([
				{ generation: 2, outcome: "completed" },
				{ generation: 1, outcome, inputTokens: 1 },
			]);
		}
	});

	test("RR-07 a reset succeeds whatever the old row is like, and another one during it as well", async () => {
		// The process died while a run was told to stop; then its row became rubbish.
		const crashing = new CrashingStore(makeStore());
		const dead = await watch(crashing);
		await dead.runtime.send("k", "hello");
		void dead.runtime.abort("k").catch(() => {});
		await turns();
		await crashing.crash();
		const host = await watch(unreadable(crashing, "k"));
		const { runtime, scripted } = host;
		expect(await codeOf(runtime.send("k", "again"))).toBe("STORE_CORRUPT");
		expect(await runtime.reset("k", { sessionId: "S2" })).toMatchObject({
			result: "done",
			row: { generation: 2, sessionId: "S2", status: "idle" },
		});
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			status: "idle",
			lastOutcome: null,
		});
		// Two resets, one inside the other, of a session that runs.
		await runtime.send("k", "again");
		const outer = runtime.reset("k", { sessionId: "S3" });
		await turns();
		const inner = runtime.reset("k", { sessionId: "S4" });
		await turns();
		expect(await Promise.all([outer, inner].map(now))).toEqual([
			"pending",
			"pending",
		]);
		scripted.last.end();
		expect(await outer).toMatchObject({
			result: "done",
			report: { ended: { generation: 2 } },
		});
		expect(await inner).toMatchObject({
			result: "done",
			report: { ended: { generation: 3 } },
		});
		expect(await agree(host, "k")).toMatchObject({
			generation: 4,
			sessionId: "S4",
			status: "idle",
		});
	});

	test("RR-08 what touches the fields and the counts of a session does not stand in the way of its reset", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.send("k", "hello");
		const read = await runtime.get("k");
		const touches: Promise<unknown>[] = [];
		const touch = () => {
			scripted.last.run.usage({ outputTokens: 1 });
			touches.push(runtime.patch("k", { touches: touches.length + 1 }));
		};
		touch();
		touch();
		await turns();
		touch();
		const reset = runtime.reset("k", {
			expect: { generation: read?.generation, sessionId: read?.sessionId },
		});
		touch();
		scripted.last.end();
		expect(await reset).toMatchObject({
			result: "done",
			row: { generation: 2 },
			report: {
				ended: { row: { meta: { touches: 3 }, outputTokens: 4 } },
			},
		});
		for (const touched of await Promise.all(touches))
			expect(touched).toMatchObject({ result: "done" });
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			meta: { touches: 4 },
			outputTokens: 0,
		});
	});

	test("RR-10 all who write during a turn are let in, one after another, and none is told to try again", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		const turn = await runtime.send("k", "turn");
		const letGo = held(store);
		const announced = [1, 2, 3].map((child) =>
			runtime.send("k", `child ${child} is done`),
		);
		await turns();
		const patched = [1, 2, 3].map((n) => runtime.patch("k", { [`p${n}`]: n }));
		scripted.last.run.usage({ outputTokens: 5 });
		const rotated = scripted.last.run.rotate({ sessionId: "S2" });
		scripted.last.end("answer");
		letGo();
		expect(await Promise.all(patched)).toMatchObject(
			[1, 2, 3].map(() => ({ result: "done" })),
		);
		expect(await rotated).toMatchObject({ sessionId: "S2" });
		expect(await turn.settled).toMatchObject({ output: "answer" });
		for (const sent of announced) {
			const { settled } = await sent;
			await turns();
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		}
		expect(scripted.runs.map(({ run }) => run.messages[0]?.input)).toEqual([
			"turn",
			"child 1 is done",
			"child 2 is done",
			"child 3 is done",
		]);
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S2",
			meta: { p1: 1, p2: 2, p3: 3 },
			outputTokens: 5,
		});
	});

	test("RR-11 a title that is written while a turn is being admitted keeps neither from holding", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		await runtime.reset("k", { meta: { title: null } });
		const letGo = held(store);
		const sent = runtime.send("k", "hello");
		await turns();
		const titled = runtime.patch("k", { title: "A greeting" });
		await turns();
		expect(scripted.runs).toEqual([]);
		letGo();
		const { settled, ticket } = await sent;
		expect(await titled).toMatchObject({ result: "done" });
		expect(await agree(host, "k")).toMatchObject({
			status: "running",
			activeRun: ticket,
			meta: { title: "A greeting" },
		});
		scripted.last.end();
		expect(await settled).toMatchObject({ outcome: "completed" });
	});

	test("RR-13 of two that open a session at once one wins, and nothing of the other is ever stored", async () => {
		const host = await start();
		const { runtime } = host;
		const [a, b] = await Promise.allSettled([
			runtime.admit("k", { runId: "A", sessionId: "SA", meta: { of: "A" } }),
			runtime.admit("k", { runId: "B", sessionId: "SB", meta: { of: "B" } }),
		]);
		expect(b).toMatchObject({
			status: "rejected",
			reason: { code: "SESSION_BUSY" },
		});
		if (a.status === "rejected") throw a.reason;
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "SA",
			meta: { of: "A" },
			version: 1,
		});
		// A reset in between is not undone by what the winner does after it.
		const reset = runtime.reset("k", { sessionId: "SC" });
		expect(await a.value.end()).toMatchObject({ verdict: "archived" });
		await reset;
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "SC",
			generation: 2,
			status: "idle",
			meta: {},
		});
		expect((await runtime.archive("k")).items).toMatchObject([
			{ sessionIds: ["SA"], runs: [{ runId: "A" }] },
		]);
		expect(JSON.stringify(host.feed)).not.toContain("SB");
		expect((await runtime.runs("k")).items).toHaveLength(1);
	});

	test("RR-14 a reset that the old run never answers is bounded, and what that run says later harms no successor", async () => {
		const host = await start({ graceMs: 30 });
		const { runtime, clock } = host;
		const old = await runtime.admit("k", { runId: "old" });
		const reset = runtime.reset("k");
		await clock.advance(29);
		expect(await now(reset)).toBe("pending");
		expect(await codeOf(runtime.admit("k", { runId: "new" }))).toBe(
			"SESSION_BUSY",
		);
		await clock.advance(1);
		expect(await reset).toMatchObject({
			row: { status: "idle", generation: 2 },
			report: { drained: [], abandoned: [{ runId: "old" }] },
		});
		const successor = await runtime.admit("k", { runId: "new" });
		const before = await runtime.get("k");
		expect(await old.fail("the reset failed after all")).toMatchObject({
			verdict: "duplicate",
			ticket: { runId: "old", generation: 1 },
		});
		expect(successor.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toEqual(before);
		expect((await runtime.archive("k")).items).toMatchObject([
			{ row: { lastOutcome: "abandoned" }, runs: [{ outcome: "abandoned" }] },
		]);
		await successor.end();
		expect(await agree(host, "k")).toMatchObject({ lastOutcome: "completed" });
	});
});
