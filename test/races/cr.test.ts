/** Scenarios of category CR: compaction gives a session another session id while a run is live. */
import type { JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/turns.ts";
import { agree, scenarios, watch } from "./scenario.ts";

/** From the begin of a virtual clock, which is at midnight. */
const hour = 3_600_000;
const minute = 60_000;

scenarios("CR, the session id changes during a run", ({ makeStore, start }) => {
	test("CR-01 the next message opens the session id that the run before it has rotated to", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		await runtime.reset("k", { sessionId: "S1" });
		const first = await runtime.send("k", "long");
		const { run } = scripted.last;
		expect(await run.rotate({ sessionId: "S1'" })).toMatchObject({
			sessionId: "S1'",
			generation: 1,
		});
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S1'",
			status: "running",
			activeRun: { sessionId: "S1'", runId: first.ticket?.runId },
		});
		scripted.last.end();
		expect(await first.settled).toMatchObject({
			ticket: { sessionId: "S1'" },
			outcome: "completed",
		});
		const second = await runtime.send("k", "next");
		expect(second.ticket).toMatchObject({ sessionId: "S1'", generation: 1 });
		scripted.last.end();
		await second.settled;
		// A host whose report still says the id that it began with.
		const third = await runtime.admit("k", { runId: "R" });
		const began = third.ticket;
		await third.rotate({ sessionId: "S1''" });
		expect(await runtime.report({ ...began, phase: "end" })).toMatchObject({
			verdict: "applied",
			row: { sessionId: "S1''", lastOutcome: "completed" },
		});
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S1''",
			generation: 1,
		});
		expect((await runtime.archive("k")).items).toEqual([]);
	});

	test("CR-02 the events of a run that was registered before a compaction are not stale after it", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k", { sessionId: "S1" });
		// The compaction is a step of the run itself, before its start.
		const own = await runtime.admit("k", { runId: "R1" });
		const stamped = own.ticket;
		await own.rotate({ sessionId: "S2" });
		expect(await runtime.report({ ...stamped, phase: "start" })).toMatchObject({
			verdict: "applied",
			row: { sessionId: "S2" },
		});
		expect(
			await runtime.report({ ...stamped, phase: "error", error: "broke" }),
		).toMatchObject({
			verdict: "applied",
			row: { sessionId: "S2", status: "failed", lastError: "broke" },
		});
		expect(await agree(host, "k")).toMatchObject({
			generation: 1,
			sessionId: "S2",
		});
		expect((await runtime.refusals()).items).toEqual([]);
	});

	test("CR-02 a run that was registered before another run compacted the session starts under the new session id", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k", { sessionId: "S1" });
		const followUp = await runtime.admit("k", { runId: "R", reserve: true });
		const stamped = followUp.ticket;
		const compaction = await runtime.admit("k", { runId: "compaction" });
		await compaction.rotate({ sessionId: "S1'" });
		await compaction.end();
		for (const phase of ["start", "end"] as const)
			expect(await runtime.report({ ...stamped, phase })).toMatchObject({
				verdict: "applied",
				ticket: { runId: "R", sessionId: "S1'" },
				row: { sessionId: "S1'" },
			});
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "S1'",
			generation: 1,
			lastOutcome: "completed",
		});
		expect((await runtime.refusals()).items).toEqual([]);
	});

	test("CR-04 a day that turns during a run waits for the end of it, and a reset that somebody asks for does not", async () => {
		const host = await start({
			expiry: { daily: { hour: 4, timeZone: "UTC" } },
		});
		const { runtime, scripted, clock } = host;
		await clock.advance(4 * hour - minute);
		const old = await runtime.send("k", "at 03:59");
		const { run } = scripted.last;
		await run.append("before four");
		// At 04:01 the day has turned.
		await clock.advance(2 * minute);
		const next = await runtime.send("k", "at 04:01", { messageId: "next" });
		expect(next.disposition).toBe("queued");
		expect(run.signal.aborted).toBe(false);
		expect(await agree(host, "k")).toMatchObject({
			generation: 1,
			activeRun: old.ticket,
			queued: 1,
		});
		await run.append("after four");
		run.usage({ outputTokens: 2 });
		scripted.last.end();
		expect(await old.settled).toMatchObject({
			outcome: "completed",
			ticket: { generation: 1 },
		});
		await turns();
		expect(scripted.last.run).toMatchObject({
			ticket: { generation: 2 },
			messages: [{ messageId: "next", generation: 1 }],
		});
		// All that the run has put out is in one place.
		expect((await runtime.archive("k")).items).toMatchObject([
			{
				generation: 1,
				endedBy: "expiry",
				row: { outputTokens: 2, lastOutcome: "completed" },
				runs: [{ outcome: "completed", stoppedBy: null }],
			},
		]);
		expect(
			(await runtime.transcript("k")).items.map(({ entry, generation }) => [
				entry,
				generation,
			]),
		).toEqual([
			["after four", 1],
			["before four", 1],
		]);
		await agree(host, "k");
		const reset = runtime.reset("k");
		await turns();
		expect(scripted.last.run.signal.reason).toMatchObject({ by: "reset" });
		expect(await agree(host, "k")).toMatchObject({
			generation: 3,
			status: "resetting",
		});
		scripted.last.end();
		await reset;
		expect(await agree(host, "k")).toMatchObject({ generation: 3 });
	});

	test("CR-05 an expiry that a run has put off is not lost by what is written meanwhile, and comes once, with the next message", async () => {
		const policies = {
			daily: { daily: { hour: 4, timeZone: "UTC" } },
			"daily, and after a rest": {
				daily: { hour: 4, timeZone: "UTC" },
				idleMs: 3 * hour,
			},
		};
		for (const [policy, expiry] of Object.entries(policies))
			for (const writes of [true, false]) {
				const ended: unknown[] = [];
				const host = await start({
					expiry,
					onGenerationEnded: ({ generation, endedBy }) => {
						ended.push([generation, endedBy]);
					},
				});
				const { runtime, scripted, clock } = host;
				await clock.advance(4 * hour - minute);
				await runtime.send("k", "at 03:59", { meta: { turns: 1 } });
				const { run } = scripted.last;
				await clock.advance(hour);
				if (writes) {
					// The same session writes its row again and again.
					await runtime.patch("k", { turns: 2 });
					await run.rotate({ sessionId: "S2" });
					run.usage({ inputTokens: 1 });
					await run.append("entry");
					await turns();
				}
				const waits = await runtime.send("k", "during the run");
				expect(await agree(host, "k"), policy).toMatchObject({ generation: 1 });
				scripted.last.end();
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
				await clock.advance(hour);
				scripted.last.end();
				expect(await waits.settled).toMatchObject({
					outcome: "completed",
					ticket: { generation: 2 },
				});
				// It was due once, and the same day stays the same generation.
				for (let i = 0; i < 3; i++) {
					await clock.advance(2 * hour);
					const { settled } = await runtime.send("k", i);
					scripted.last.end();
					expect(await settled).toMatchObject({ ticket: { generation: 2 } });
				}
				expect(ended).toEqual([[1, "expiry"]]);
				expect((await runtime.archive("k")).items).toHaveLength(1);
				await agree(host, "k");
			}
	});

	test("CR-05 a session that went to rest before its day turned begins anew with the first message after, and with no write before that", async () => {
		const host = await start({
			expiry: { daily: { hour: 4, timeZone: "UTC" } },
		});
		const { runtime, scripted, clock } = host;
		await runtime.send("k", "before four", { meta: { turns: 1 } });
		await clock.advance(5 * hour);
		scripted.last.end();
		await turns();
		// Its run has put it off, and nothing waits: it stays as it is to be looked at.
		expect(await agree(host, "k")).toMatchObject({
			generation: 1,
			meta: { turns: 1 },
		});
		// What is written now is written to what the next message will find.
		expect(await runtime.patch("k", { model: "m" })).toMatchObject({
			result: "done",
			row: { generation: 2, meta: { model: "m" } },
		});
		const { ticket } = await runtime.send("k", "after four");
		expect(ticket?.generation).toBe(2);
		expect(scripted.last.run.row.meta).toEqual({ model: "m" });
		scripted.last.end();
		await runtime.whenIdle("k");
		expect(await agree(host, "k")).toMatchObject({ generation: 2 });
	});

	test("CR-07 a session is free again after a compaction, whether that ends well or not", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		for (const ends of ["well", "badly", "without a word"]) {
			const turn = await runtime.send(ends, "long");
			scripted.last.end();
			await turn.settled;
			const compaction = await runtime.admit(ends, { runId: "compaction" });
			await compaction.start();
			await compaction.rotate({ sessionId: "short" });
			const waits = await runtime.send(ends, "waits");
			expect(waits.disposition).toBe("queued");
			expect(await agree(host, ends)).toMatchObject({
				hasActiveRun: true,
				queued: 1,
			});
			if (ends === "well") await compaction.end();
			else if (ends === "badly") await compaction.fail("no summary");
			else await compaction[Symbol.asyncDispose]();
			expect(scripted.last.run.messages).toMatchObject([{ input: "waits" }]);
			scripted.last.end();
			expect(await waits.settled).toMatchObject({
				outcome: "completed",
				ticket: { sessionId: "short" },
			});
			expect(await agree(host, ends)).toMatchObject({
				status: "ended",
				hasActiveRun: false,
				queued: 0,
			});
		}
	});

	test("CR-08 what binds a session to something outside belongs to one generation, unless it is carried over by name", async () => {
		const host = await start({
			carryOver: (meta) => {
				const { model } = meta as { model: JsonValue };
				return { model };
			},
		});
		const { runtime, scripted } = host;
		await runtime.reset("k", { meta: { model: "m", resume: "c1" } });
		await runtime.send("k", "hello");
		const { run } = scripted.last;
		// A rotation is no new generation: the binding stays.
		await run.rotate({ sessionId: "S1'" });
		expect(run.row.meta).toEqual({ model: "m", resume: "c1" });
		const reset = runtime.reset("k", { sessionId: "S2" });
		const next = await runtime.send("k", "resume what?");
		scripted.last.end();
		await reset;
		expect(scripted.last.run.row.meta).toEqual({ model: "m" });
		// The old run still sees its own binding, and no more than that.
		expect(run.row).toMatchObject({
			generation: 1,
			meta: { model: "m", resume: "c1" },
		});
		scripted.last.end();
		await next.settled;
		expect(await agree(host, "k")).toMatchObject({ meta: { model: "m" } });
		expect((await runtime.archive("k")).items).toMatchObject([
			{ row: { meta: { model: "m", resume: "c1" } } },
		]);
	});

	test("CR-10 what a run had written in part is not added after a compaction has replaced the history, by whichever way it comes", async () => {
		const store = new CrashingStore(makeStore());
		const recovery = { mode: "retry", maxAttempts: 2 } as const;
		const dead = await watch(store, { recovery });
		await dead.runtime.reset("k", { sessionId: "long" });
		await dead.runtime.send("k", "question", { messageId: "m" });
		const partial = dead.scripted.last.run;
		await partial.append("a partial ans");
		await store.crash();
		// Its next attempt begins without what the first had written in part.
		const host = await watch(store, { recovery, graceMs: 1000 });
		const { runtime, scripted, clock } = host;
		await turns();
		expect(scripted.last.run.ticket.attempt).toBe(2);
		expect(await scripted.last.run.transcript()).toEqual([]);
		await scripted.last.run.append("an answer");
		const hangs = scripted.last;
		// It hangs before its end, and is given up.
		const stopped = runtime.abort("k");
		await clock.advance(1000);
		await stopped;
		const compaction = await runtime.admit("k", { runId: "compaction" });
		expect(await compaction.transcript()).toMatchObject([
			{ entry: "an answer" },
		]);
		await compaction.rotate({ sessionId: "short" });
		await compaction.append("summary");
		// What hung comes to itself, before and after the compaction has ended.
		const late = () => codeOf(hangs.run.append("an answer, and more"));
		expect(await late()).toBe("STALE_RUN");
		await compaction.end();
		expect(await late()).toBe("STALE_RUN");
		expect(await codeOf(compaction.append("more"))).toBe("STALE_RUN");
		hangs.end();
		await runtime.send("k", "next");
		expect(await scripted.last.run.transcript()).toMatchObject([
			{ entry: "summary", sessionId: "short" },
		]);
		await scripted.last.run.append("next answer");
		scripted.last.end();
		await runtime.whenIdle("k");
		// What there is, in order, and in which of the two it belongs.
		const { items } = await runtime.transcript("k");
		expect(items.map(({ entry, sessionId }) => [entry, sessionId])).toEqual([
			["next answer", "short"],
			["summary", "short"],
			["an answer", "long"],
		]);
		const seqs = items.map(({ seq }) => seq);
		expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => b - a));
		expect(await agree(host, "k")).toMatchObject({
			generation: 1,
			sessionId: "short",
		});
	});

	test("CR-11 one compaction of a session at a time, and who comes second finds that it is not needed any more", async () => {
		const host = await start();
		const { runtime } = host;
		await runtime.reset("k", { sessionId: "long" });
		const seen = await runtime.get("k");
		const wanted = {
			runId: "compaction",
			expect: { version: seen?.version },
		};
		const first = await runtime.admit("k", wanted);
		// The condition still holds for the next turns, which ask as well.
		expect(await codeOf(runtime.admit("k", wanted))).toBe("STALE_EXPECTATION");
		expect(await runtime.admit("k", { runId: "compaction" })).toBe(first);
		expect(await codeOf(runtime.admit("k", { runId: "another" }))).toBe(
			"SESSION_BUSY",
		);
		await first.rotate({ sessionId: "short" });
		await first.end();
		expect(await codeOf(runtime.admit("k", wanted))).toBe("STALE_EXPECTATION");
		expect((await runtime.runs("k")).items).toMatchObject([
			{ runId: "compaction", attempt: 1, outcome: "completed" },
		]);
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "short",
			status: "ended",
		});
	});

	test("CR-13 a compaction that stops the run first decides on what that run has used to its end", async () => {
		const host = await start();
		const { runtime } = host;
		const watching = runtime.subscribe(() => {});
		const run = await runtime.admit("k", { runId: "turn" });
		run.usage({ inputTokens: 90_000 });
		await turns();
		// /compact: the listener goes, then the run is told to stop.
		watching.unsubscribe();
		const stopped = runtime.abort("k", { reason: "/compact" });
		await turns();
		expect(await now(stopped)).toBe("pending");
		await run.end({ usage: { inputTokens: 95_000, outputTokens: 10 } });
		expect(await stopped).toMatchObject({
			row: { inputTokens: 95_000, outputTokens: 10, lastOutcome: "aborted" },
			report: { drained: [{ runId: "turn", inputTokens: 95_000 }] },
		});
		const compaction = await runtime.admit("k", { runId: "compaction" });
		expect(compaction.row).toMatchObject({ inputTokens: 95_000 });
		await compaction.rotate({ sessionId: "short" });
		await compaction.end();
		expect(await agree(host, "k")).toMatchObject({
			sessionId: "short",
			lastOutcome: "completed",
			inputTokens: 95_000,
			outputTokens: 10,
		});
	});

	test("CR-14 a run reads nothing that was written before the last reset, also where the session id was kept", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		for (const sessionId of ["S", "S", "T", "S"]) {
			await runtime.reset("k", { sessionId, reason: "/clear" });
			const generation = (await runtime.get("k"))?.generation;
			for (const turn of ["one", "two"]) {
				await runtime.send("k", turn);
				const { run, end } = scripted.last;
				await run.append(`${generation}: ${turn}`);
				end();
				await runtime.whenIdle("k");
			}
			// The compaction reads what it may summarise, and nothing else.
			const compaction = await runtime.admit("k");
			expect(
				(await compaction.transcript({ limit: 1000 })).map(
					({ entry }) => entry,
				),
			).toEqual([`${generation}: one`, `${generation}: two`]);
			await compaction.end();
			expect(
				(
					await runtime.transcript("k", {
						...(generation === undefined ? {} : { generation }),
						sessionId,
					})
				).items,
			).toHaveLength(2);
			expect(await agree(host, "k")).toMatchObject({ generation, sessionId });
		}
		// Nothing was lost for those who read over all of it.
		expect((await runtime.transcript("k")).items).toHaveLength(8);
	});

	test("CR-16 who works for a run is said by the rows, before and after that run has compacted its session", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const parent = await runtime.send("parent", "three tasks");
		const [main] = scripted.runs;
		if (!main) throw new Error("it did not start");
		const keys = ["parent/1", "parent/2", "parent/3"];
		for (const key of keys) await main.run.spawn(key, "task");
		/** The children that are at work, as any reader finds them. */
		const outstanding = async () => {
			const { items } = await runtime.list({ prefix: "parent/" });
			const found = [];
			for (const { sessionKey, hasActiveRun } of items) {
				const [record] = (await runtime.runs(sessionKey)).items;
				if (hasActiveRun && record?.parent?.runId === parent.ticket?.runId)
					found.push(sessionKey);
			}
			return found;
		};
		expect(await outstanding()).toEqual(keys);
		await main.run.rotate({ sessionId: "short" });
		await main.run.append("summary, without a word of children");
		expect(await outstanding()).toEqual(keys);
		// One is done, and the others are still its own: it can see that and must not do their work itself.
		scripted.runs[1]?.end();
		await runtime.whenIdle("parent/1");
		expect(await outstanding()).toEqual(keys.slice(1));
		const stopped = runtime.abort("parent");
		await turns();
		for (const { run } of scripted.runs.slice(2))
			expect(run.signal.reason).toMatchObject({ by: "parent" });
		for (const { end } of scripted.runs) end();
		expect(await stopped).toMatchObject({
			row: { sessionId: "short", lastOutcome: "aborted" },
		});
		expect(await outstanding()).toEqual([]);
		for (const key of ["parent", ...keys]) await agree(host, key);
	});
});
