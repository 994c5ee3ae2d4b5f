/** Scenarios of category MP: more than one process, or more than one that takes itself for the owner. */
import { createSessionRuntime, type JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { silent } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { stillClock, turns } from "../support/turns.ts";
import { agree, overtake, scenarios, watch } from "./scenario.ts";

const minute = 60_000;

scenarios("MP, more than one process", ({ makeStore, start }) => {
	test("MP-01 a run that was superseded is told so by a code of its own, which is no error of its model, and its message is not played again", async () => {
		const store = new FaultyStore(makeStore());
		const host = await watch(store);
		const { runtime, scripted } = host;
		const message = await runtime.send("group", "hello", { messageId: "m" });
		const { run, end } = scripted.last;
		// By a reset, as by another gateway: the generation is not its own any more.
		const reset = runtime.reset("group", { reason: "gateway B" });
		await turns();
		expect(run.signal.reason).toMatchObject({
			code: "RUN_ABORTED",
			by: "reset",
		});
		for (const act of [
			run.deliver("reply", () => "fallback"),
			run.waitFor("model"),
			run.rotate(),
		])
			expect(await codeOf(act)).toBe("STALE_RUN");
		end("NO_REPLY");
		await reset;
		// Who is to be told to send it again is told what became of it.
		expect(await message.settled).toMatchObject({ outcome: "aborted" });
		expect(
			await runtime.send("group", "hello", { messageId: "m" }),
		).toMatchObject({ disposition: "duplicate" });
		await turns();
		expect(scripted.runs).toHaveLength(1);
		expect(await agree(host, "group")).toMatchObject({
			generation: 2,
			status: "idle",
			lastError: null,
		});
		// And by an owner that has taken the store: all that runs here is told to stop.
		const other = await runtime.send("other", "work");
		const taken = overtake(store, "group");
		const lost = codeOf(runtime.patch("group", { by: "A" }));
		await taken;
		expect(await lost).toBe("STORE_LOCKED");
		await turns();
		expect(scripted.last.run.signal.reason).toMatchObject({
			code: "RUN_ABORTED",
			by: "shutdown",
		});
		expect(await now(other.settled)).toMatchObject({ outcome: "interrupted" });
		expect(await codeOf(runtime.send("other", "again"))).toBe("STORE_LOCKED");
	});

	test("MP-02 a second gateway on the same data does not start, is told whose they are, and is no trouble to the first", async () => {
		const store = makeStore();
		const host = await watch(store);
		const { runtime, scripted } = host;
		await runtime.send("k", "one");
		const second = createSessionRuntime<JsonValue>({
			store,
			clock: stillClock(),
			logger: silent,
			execute: () => {
				throw new Error("a second gateway");
			},
		});
		const refused = second.start();
		await expect(refused).rejects.toMatchObject({
			code: "STORE_LOCKED",
			message: expect.stringContaining("turnkeeper"),
		});
		await second.close();
		expect(scripted.last.run.signal.aborted).toBe(false);
		const two = await runtime.send("k", "two");
		scripted.last.end();
		await turns();
		scripted.last.end();
		expect(await two.settled).toMatchObject({ outcome: "completed" });
		expect(host.feed.filter((event) => event.type === "trouble")).toEqual([]);
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("MP-04 of those who resume beside a process that is frozen none gets the session, and one of them when it has gone", async () => {
		const store = new CrashingStore(makeStore());
		const frozen = await watch(store);
		const { ticket } = await frozen.runtime.admit("k", { runId: "R" });
		const terminals = Array.from({ length: 6 }, () =>
			createSessionRuntime<JsonValue>({
				store,
				clock: stillClock(),
				logger: silent,
			}),
		);
		const all = () =>
			Promise.all(
				terminals.map((one) =>
					one.start().then(
						() => "owner",
						(error) => error.code,
					),
				),
			);
		expect(new Set(await all())).toEqual(new Set(["STORE_LOCKED"]));
		await store.crash();
		const outcomes = await all();
		expect(outcomes.filter((outcome) => outcome === "owner")).toHaveLength(1);
		expect(new Set(outcomes)).toEqual(new Set(["owner", "STORE_LOCKED"]));
		const owner = terminals[outcomes.indexOf("owner")];
		// It took over: the run of before has ended, and its writer writes nothing more.
		expect(await owner?.get("k")).toMatchObject({
			hasActiveRun: false,
			lastOutcome: "interrupted",
		});
		expect(await owner?.report({ ...ticket, phase: "start" })).toMatchObject({
			verdict: "duplicate",
		});
		for (const terminal of terminals) await terminal.close();
		const host = await watch(store);
		expect((await host.runtime.runs("k")).items).toHaveLength(1);
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("MP-05 the monitor of a process that was resumed elsewhere finds that the session is not its own", async () => {
		const store = new CrashingStore(makeStore());
		const p1 = await watch(store);
		await p1.runtime.send("k", "watch the repository");
		const { run } = p1.scripted.last;
		await run.append("watching");
		const wakes: unknown[] = [];
		p1.clock.setTimeout(() => {
			for (const act of [
				() => run.append("commit seen"),
				() => run.deliver("edit", () => "edited by P1"),
				() => run.spawn("worker", "edit"),
			])
				void codeOf(act()).then((code) => wakes.push(code));
		}, minute);
		// The tab is opened anew while P1 lives on without a head.
		await store.crash();
		const p2 = await watch(store);
		const resumed = await p2.runtime.send("k", "resume");
		await p2.scripted.last.run.append("resumed");
		const before = await agree(p2, "k");
		await p1.clock.advance(2 * minute);
		expect(wakes).toHaveLength(3);
		for (const code of wakes)
			expect(["STORE_FAILED", "STALE_RUN", "STORE_LOCKED"]).toContain(code);
		expect(await agree(p2, "k")).toEqual(before);
		expect(
			(await p2.runtime.transcript("k")).items.map(({ entry }) => entry),
		).toEqual(["resumed", "watching"]);
		expect(await p2.runtime.get("worker")).toBeNull();
		p2.scripted.last.end();
		expect(await resumed.settled).toMatchObject({ outcome: "completed" });
		await agree(p2, "k");
	});

	test("MP-07 a second terminal is refused in words, and as it quits it ends nothing of the first", async () => {
		const store = makeStore();
		const t1 = await watch(store);
		const turn = await t1.runtime.send("k", "turn");
		const child = await t1.scripted.last.run.spawn("background", "work", {
			attached: false,
		});
		for (const quits of ["closes", "is disposed"]) {
			const t2 = createSessionRuntime<JsonValue>({
				store,
				clock: stillClock(),
				logger: silent,
				execute: () => "interleaved",
			});
			expect(await codeOf(t2.start())).toBe("STORE_LOCKED");
			for (const act of [
				t2.send("k", "resume"),
				t2.admit("k"),
				t2.abort("k"),
				t2.reset("k"),
				t2.delete("background"),
			])
				expect(await codeOf(act), quits).toBe("RUNTIME_CLOSED");
			if (quits === "closes") await t2.close();
			else await t2[Symbol.asyncDispose]();
			await turns();
			for (const { run } of t1.scripted.runs)
				expect(run.signal.aborted).toBe(false);
		}
		for (const { end } of t1.scripted.runs) end();
		expect(await turn.settled).toMatchObject({ outcome: "completed" });
		expect(await child.settled).toMatchObject({ outcome: "completed" });
		for (const key of ["k", "background"])
			expect(await agree(t1, key)).toMatchObject({ status: "ended" });
	});

	test("MP-08 a cancel that comes to a process which does not own the run is an error there, and finds it where it is sent next", async () => {
		const store = makeStore();
		const a = await watch(store, { graceMs: minute });
		const running = await a.runtime.send("k", "work", { messageId: "m" });
		const b = createSessionRuntime<JsonValue>({
			store,
			clock: stillClock(),
			logger: silent,
		});
		expect(await codeOf(b.start())).toBe("STORE_LOCKED");
		const stop = { expect: { messageId: "m" }, reason: "stop" };
		// Not "nothing in flight", which would be believed.
		expect(await codeOf(b.abort("k", stop))).toBe("RUNTIME_CLOSED");
		await b.close();
		expect(await codeOf(b.abort("k", stop))).toBe("RUNTIME_CLOSED");
		expect(a.scripted.last.run.signal.aborted).toBe(false);
		// Delivered again, to all and twice.
		const stopped = [a.runtime.abort("k", stop), a.runtime.abort("k", stop)];
		await turns();
		a.scripted.last.end();
		for (const answer of await Promise.all(stopped))
			expect(answer).toMatchObject({ result: "done" });
		expect(await running.settled).toMatchObject({ outcome: "aborted" });
		expect(await a.runtime.abort("k", stop)).toMatchObject({
			result: "stale",
			mismatch: "messageId",
		});
		expect(await agree(a, "k")).toMatchObject({ lastOutcome: "aborted" });
	});

	test("MP-10 of two hosts that each believe they have the session one writes, whatever they believe", async () => {
		const inner = makeStore();
		const store = new FaultyStore(inner);
		const host = await watch(store);
		const { runtime } = host;
		await runtime.reset("k", { meta: { by: "A" } });
		const run = await runtime.admit("elsewhere", { runId: "R" });
		const taken = overtake(store, "k");
		const late = codeOf(runtime.patch("k", { by: "A again" }));
		await taken;
		expect(await late).toBe("STORE_LOCKED");
		await turns();
		// It knows now, and is no host of anything any more.
		expect(run.signal.aborted).toBe(true);
		for (const act of [
			runtime.send("k", "x"),
			runtime.admit("k"),
			runtime.reset("k"),
			runtime.report({ runId: "R", phase: "end" }),
		])
			expect(await codeOf(act)).toBe("STORE_LOCKED");
		const reader = await inner.read();
		// What the other wrote stands: its version, and nothing on top of it.
		expect(await reader.version("k")).toBe(3);
		await reader[Symbol.asyncDispose]();
	});

	test("MP-11 a session that many call at once is one actor with one of each timer", async () => {
		const host = await start({
			overlap: { mode: "collect", debounceMs: 1000 },
			passivateAfterMs: minute,
		});
		const { runtime, scripted, clock } = host;
		for (let round = 1; round <= 3; round++) {
			// Nobody has it in memory, and fifty ask for it in one breath.
			const actors = new Set<string>();
			const looks = runtime.inspect((event) => {
				if (event.type === "@xstate.actor")
					actors.add(event.actorRef.sessionId);
			});
			const sent = await Promise.all(
				Array.from({ length: 50 }, (_, i) =>
					i % 2 === 0
						? runtime.send("k", i)
						: runtime.patch("k", { [`n${i}`]: round }).then(() => null),
				),
			);
			expect(runtime.stats().resident, `${round}`).toBe(1);
			await clock.advance(1000);
			// One quiet window, one run.
			expect(scripted.runs).toHaveLength(round);
			expect(scripted.last.run.messages).toHaveLength(25);
			scripted.last.end();
			for (const receipt of sent)
				if (receipt)
					expect(await receipt.settled).toMatchObject({
						outcome: "completed",
					});
			expect(actors.size).toBeLessThanOrEqual(2);
			looks.unsubscribe();
			const row = await agree(host, "k");
			expect(Object.keys(row?.meta as object)).toHaveLength(25);
			await clock.advance(10 * minute);
			expect(runtime.stats().resident).toBe(0);
		}
	});

	test("MP-13 a store that only one process can lock does not let a second one in, and tells it that", async () => {
		const store = makeStore();
		const w1 = await watch(store);
		const one = await w1.runtime.send("k", 1);
		for (let i = 0; i < 3; i++)
			expect(
				await codeOf(
					createSessionRuntime<JsonValue>({
						store,
						clock: stillClock(),
						logger: silent,
					}).start(),
				),
			).toBe("STORE_LOCKED");
		w1.scripted.last.end();
		await one.settled;
		const two = await w1.runtime.send("k", 2);
		w1.scripted.last.end();
		expect(await two.settled).toMatchObject({ outcome: "completed" });
		// When it has gone the next may have it, and goes on with the numbers.
		await close(w1);
		const w2 = await watch(store);
		const three = await w2.runtime.send("k", 3);
		expect(three).toMatchObject({ disposition: "started" });
		w2.scripted.last.end();
		await three.settled;
		expect((await w2.runtime.runs("k")).items).toHaveLength(3);
		expect(await agree(w2, "k")).toMatchObject({ queued: 0 });
	});

	test("MP-14 who is not the owner answers no command from what it remembers: it says that it is not the owner", async () => {
		const store = new CrashingStore(makeStore());
		const old = await watch(store);
		const { ticket } = await old.runtime.admit("k", { leaseMs: 60 * minute });
		const paused = new FaultyStore(makeStore());
		const follower = await watch(paused);
		await follower.runtime.reset("mine");
		const taken = overtake(paused, "mine");
		const lost = codeOf(follower.runtime.patch("mine", {}));
		await taken;
		await lost;
		const closed = await watch(makeStore());
		await close(closed);
		// Never 'nothing' or 'unknown', which are final.
		for (const [{ runtime }, code] of [
			[follower, "STORE_LOCKED"],
			[closed, "RUNTIME_CLOSED"],
		] as const)
			for (const act of [
				runtime.resume(ticket, "approve", true),
				runtime.abort("k"),
				runtime.patch("k", {}),
				runtime.report({ runId: ticket.runId, phase: "end" }),
				runtime.queue.remove("k", "m"),
				runtime.get("k"),
			])
				expect(await codeOf(act)).toBe(code);
		// The owner answers.
		await store.crash();
		const leader = await watch(store);
		expect(await leader.runtime.resume(ticket, "approve", true)).toMatchObject({
			result: "nothing",
		});
		expect(
			await leader.runtime.report({ runId: ticket.runId, phase: "end" }),
		).toMatchObject({ verdict: "applied" });
		expect(await agree(leader, "k")).toMatchObject({ status: "ended" });
	});

	test("MP-16 who works renews its lease by that, and that nobody has a lease is no permission", async () => {
		const host = await start();
		const { runtime, clock } = host;
		const owner = await runtime.admit("k", { runId: "owner", leaseMs: minute });
		const other = () => codeOf(runtime.admit("k", { runId: "other" }));
		// It works for far longer than its lease.
		const signs = [
			() => owner.start(),
			() => owner.append("entry"),
			() => owner.progress("on it"),
			() => owner.usage({ outputTokens: 1 }),
			() => owner.deliver("post", () => "posted"),
			() => runtime.report({ ...owner.ticket, phase: "progress" }),
		];
		for (const sign of signs) {
			await clock.advance(minute - 1000);
			await sign();
			await turns();
			expect(await other()).toBe("SESSION_BUSY");
			expect(await agree(host, "k")).toMatchObject({
				activeRun: { runId: "owner" },
			});
		}
		// Silent, it loses it, and the next may have it; what it does then is not done.
		await clock.advance(minute);
		const next = await runtime.admit("k", { runId: "other" });
		expect(await codeOf(owner.append("late"))).toBe("STALE_RUN");
		expect(await owner.end()).toMatchObject({ verdict: "duplicate" });
		// The next has no lease at all, and is the owner all the same.
		await clock.advance(24 * 60 * minute);
		expect(await codeOf(runtime.admit("k", { runId: "third" }))).toBe(
			"SESSION_BUSY",
		);
		expect(await next.end()).toMatchObject({ verdict: "applied" });
		expect((await runtime.runs("k")).items).toMatchObject([
			{ runId: "other", outcome: "completed" },
			{ runId: "owner", outcome: "interrupted" },
		]);
		expect(await agree(host, "k")).toMatchObject({ status: "ended" });
	});

	test("MP-17 a place that was reserved before the conversation was deleted is for nothing after, and what may have gone out is not sent again", async () => {
		const store = new CrashingStore(makeStore());
		let host = await watch(store);
		const reserved = await host.runtime.admit("k", {
			runId: "w1",
			reserve: true,
		});
		const waits = await host.runtime.admit("k", { runId: "live" });
		const queued = await host.runtime.send("k", "queued");
		const deleted = host.runtime.delete("k");
		await turns();
		await waits.end();
		await deleted;
		expect(await queued.settled).toMatchObject({ outcome: "removed" });
		// Its writer comes back, by its handle and by its name.
		expect(await reserved.start()).not.toMatchObject({ verdict: "applied" });
		expect(
			await host.runtime.report({ runId: "w1", phase: "end" }),
		).not.toMatchObject({ verdict: "applied" });
		expect(await codeOf(reserved.append("published"))).toBe("STALE_RUN");
		expect(await agree(host, "k")).toBeNull();
		// In the conversation that comes after, a post is on its way as the process dies.
		await host.runtime.send("k", "post", { messageId: "post" });
		let posts = 0;
		void codeOf(
			host.scripted.last.run.deliver("post", () => {
				posts += 1;
				return new Promise(() => {});
			}),
		);
		await turns();
		expect(posts).toBe(1);
		await store.crash();
		host = await watch(store);
		await turns();
		expect(host.scripted.runs).toEqual([]);
		expect(
			await host.runtime.send("k", "post", { messageId: "post" }),
		).toMatchObject({ disposition: "duplicate" });
		await turns();
		expect(posts).toBe(1);
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			lastOutcome: "interrupted",
			queued: 0,
		});
	});
});
