/** Scenarios of category CR: compaction gives a session another session id while a run is live. */
import type { JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { codeOf, now } from "../support/scripted-host.ts";
import { turns } from "../support/virtual-clock.ts";
import { agree, scenarios } from "./scenario.ts";

scenarios("CR, the session id changes during a run", ({ start }) => {
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
});
