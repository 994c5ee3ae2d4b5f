/** Scenarios of category AC: what runs have used, and to which session it is counted. */
import type { JsonValue } from "turnkeeper";
import { expect, test } from "vitest";
import { turns } from "../support/turns.ts";
import { agree, scenarios } from "./scenario.ts";

scenarios("AC, accounting", ({ start }) => {
	test("AC-01 a session that is created anew after a delete counts from zero", async () => {
		const host = await start();
		const { runtime } = host;
		const full = await runtime.admit("k");
		await full.end({ usage: { inputTokens: 272_000 } });
		expect(await agree(host, "k")).toMatchObject({ totalTokens: 272_000 });
		await runtime.delete("k");
		const run = await runtime.admit("k");
		expect(run.row).toMatchObject({ generation: 2, totalTokens: 0 });
		await run.end({ usage: { inputTokens: 22_000, outputTokens: 1000 } });
		expect(await agree(host, "k")).toMatchObject({
			inputTokens: 22_000,
			outputTokens: 1000,
			totalTokens: 23_000,
		});
		expect((await runtime.archive("k")).items).toMatchObject([
			{ generation: 1, row: { totalTokens: 272_000 } },
		]);
	});

	test("AC-02 a reset starts the counters at zero and carries over what is named, and nothing else", async () => {
		const host = await start({
			carryOver: (meta) => ({ model: (meta as { model: JsonValue }).model }),
		});
		const { runtime } = host;
		await runtime.reset("k", {
			meta: { model: "m", compactions: 0, checkpoints: [] },
		});
		const run = await runtime.admit("k");
		await run.rotate();
		await run.end({ usage: { outputTokens: 40 } });
		await runtime.patch("k", { compactions: 1, checkpoints: ["c1"] });
		await runtime.reset("k");
		expect(await agree(host, "k")).toMatchObject({
			generation: 2,
			meta: { model: "m" },
			inputTokens: 0,
			outputTokens: 0,
			startedAt: null,
			endedAt: null,
			runtimeMs: null,
			lastOutcome: null,
		});
		expect((await runtime.get("k"))?.meta).toEqual({ model: "m" });
		expect((await runtime.archive("k")).items).toMatchObject([
			{
				row: {
					outputTokens: 40,
					meta: { model: "m", compactions: 1, checkpoints: ["c1"] },
				},
			},
		]);
	});

	test("AC-04 a run that is stopped keeps what it is known to have used", async () => {
		const host = await start({ graceMs: 50 });
		const { runtime, scripted, clock } = host;
		const used = { inputTokens: 1200, outputTokens: 34 };
		// One that answers its stop without a word of usage.
		await runtime.send("answers", "hello");
		scripted.last.run.usage(used);
		const answered = runtime.abort("answers");
		await turns();
		scripted.last.fail(scripted.last.run.signal.reason);
		expect(await answered).toMatchObject({
			row: used,
			report: { drained: [{ outcome: "aborted", ...used }] },
		});
		expect(await agree(host, "answers")).toMatchObject(used);
		// One whose host says zero, which is less than is known.
		const zero = await runtime.admit("zero");
		zero.usage(used);
		const zeroed = runtime.abort("zero");
		await zero.end({ usage: { inputTokens: 0, outputTokens: 0 } });
		expect(await zeroed).toMatchObject({ report: { drained: [used] } });
		expect(await agree(host, "zero")).toMatchObject(used);
		// One that never answers.
		const silent = await runtime.admit("silent");
		silent.usage(used);
		const abandoned = runtime.reset("silent");
		await clock.advance(50);
		expect(await abandoned).toMatchObject({
			report: { abandoned: [{ outcome: "abandoned", ...used }] },
		});
		expect(await agree(host, "silent")).toMatchObject({ totalTokens: 0 });
		expect((await runtime.archive("silent")).items).toMatchObject([
			{ row: used },
		]);
	});

	test("AC-05 the counts of a session are the sum of its runs, however often a run says its own", async () => {
		const host = await start();
		const { runtime } = host;
		for (const [i, tokens] of [25_000, 50_000, 75_000].entries()) {
			const run = await runtime.admit("k", { runId: `turn ${i + 1}` });
			expect(run.row.inputTokens).toBe([0, 25_000, 75_000][i]);
			const usage = { inputTokens: tokens };
			expect(await run.end({ usage })).toMatchObject({ verdict: "applied" });
			expect(await run.end({ usage })).toMatchObject({ verdict: "duplicate" });
			expect(
				await runtime.report({ ...run.ticket, phase: "end", usage }),
			).toMatchObject({ verdict: "duplicate" });
		}
		expect(await agree(host, "k")).toMatchObject({ inputTokens: 150_000 });
		expect((await runtime.runs("k")).items).toMatchObject([
			{ inputTokens: 75_000 },
			{ inputTokens: 50_000 },
			{ inputTokens: 25_000 },
		]);
	});

	test("AC-07 an attempt that is stopped without a final count leaves session and run at one and the same number", async () => {
		const host = await start();
		const { runtime, clock } = host;
		// What a run says through `usage` has been spent; there is no second, provisional count beside it.
		const first = await runtime.admit("k", { runId: "R" });
		first.usage({ outputTokens: 100 });
		const stopped = runtime.abort("k", { graceMs: 10 });
		await clock.advance(10);
		expect(await stopped).toMatchObject({
			row: { outputTokens: 100 },
			report: { abandoned: [{ attempt: 1, outputTokens: 100 }] },
		});
		// The next attempt of the same run counts from zero, and the session has the sum.
		const second = await runtime.admit("k", { runId: "R" });
		await second.end({ usage: { outputTokens: 30 } });
		expect((await runtime.runs("k")).items).toMatchObject([
			{ attempt: 2, outputTokens: 30 },
			{ attempt: 1, outputTokens: 100 },
		]);
		expect(await agree(host, "k")).toMatchObject({ outputTokens: 130 });
		// What comes after the end is counted once, to its own attempt, in the row as in the run.
		first.usage({ outputTokens: 5 });
		await turns();
		expect((await runtime.runs("k")).items).toMatchObject([
			{ attempt: 2, outputTokens: 30 },
			{ attempt: 1, outputTokens: 105 },
		]);
		expect(await agree(host, "k")).toMatchObject({ outputTokens: 135 });
	});

	test("AC-08 each run of one long session has its own share, and not the total so far", async () => {
		const host = await start();
		const { runtime, scripted } = host;
		const totals = [3200, 6400, 7400, 7700, 8200];
		let before = 0;
		for (const total of totals) {
			const { settled } = await runtime.send("k", total);
			const { run } = scripted.last;
			// The session's total is known at each step, so what is added to it is too.
			expect(run.row.inputTokens).toBe(before);
			run.usage({ inputTokens: total - run.row.inputTokens });
			scripted.last.end();
			await settled;
			before = total;
		}
		expect(
			(await runtime.runs("k")).items.map(({ inputTokens }) => inputTokens),
		).toEqual([500, 300, 1000, 3200, 3200]);
		expect(await agree(host, "k")).toMatchObject({ inputTokens: 8200 });
	});
});
