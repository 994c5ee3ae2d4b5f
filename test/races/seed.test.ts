/** The race that this project grew from: a run of the old generation reports after the reset (SE-01). */
import type { LifecycleReport } from "turnkeeper";
import { expect, test } from "vitest";
import type { Host } from "../support/host.ts";
import { identities, phases, sessionIds, times } from "./late-reports.ts";
import { scenarios } from "./scenario.ts";

const K = "agent:main:telegram:42";

/** Row, feed, atom and store agree that generation 2 is untouched. */
async function expectFresh(host: Host, sessionId: string): Promise<void> {
	const fresh = {
		sessionKey: K,
		sessionId,
		generation: 2,
		status: "idle",
		hasActiveRun: false,
		activeRun: null,
		lastOutcome: null,
		lastError: null,
		startedAt: null,
		endedAt: null,
		runtimeMs: null,
		inputTokens: 0,
		outputTokens: 0,
		totalTokens: 0,
		queued: 0,
		draining: 0,
	};
	const row = await host.runtime.get(K);
	expect(row).toMatchObject(fresh);
	expect(host.feedRow(K)).toEqual(row);
	expect(host.runtime.atom(K).get()).toEqual(row);
	const reader = await host.store.read();
	const loaded = await reader.load(K);
	await reader[Symbol.asyncDispose]();
	expect(loaded?.facts).toMatchObject({
		generation: 2,
		run: null,
		draining: [],
		last: null,
		inputTokens: 0,
		outputTokens: 0,
		version: row?.version,
	});
	expect((await host.runtime.list()).items).toEqual([row]);
}

scenarios("SE, a late report after a reset", ({ start }) => {
	for (const [says, identify] of Object.entries(identities))
		for (const [idCase, sessionId] of Object.entries(sessionIds))
			for (const [when, timesAt] of Object.entries(times))
				for (const [phase, body] of Object.entries(phases))
					test(`SE-01 ${phase} with ${says}, ${idCase}, ${when}`, async () => {
						const host = await start({ graceMs: 50 });
						const { runtime, clock } = host;
						// 1: the key is at S1 and R is live. 2: R overflows its context, which nobody is told yet.
						const run = await runtime.admit(K, {
							runId: "R",
							sessionId: "S1",
						});
						const late = {
							...identify(run.ticket),
							...body,
							...timesAt(clock.now()),
						} as LifecycleReport;
						runtime.atom(K).subscribe(() => {});
						// 3: the reset commits S2, and R ignores its abort until it is abandoned.
						const reset = runtime.reset(K, { sessionId });
						await clock.advance(50);
						expect(await reset).toMatchObject({
							result: "done",
							report: { abandoned: [{ runId: "R", outcome: "abandoned" }] },
						});
						await expectFresh(host, sessionId);
						// 4 and 5: R's event comes all the same.
						const verdict = await runtime.report(late);
						expect(verdict.verdict).toBe("duplicate");
						await expectFresh(host, sessionId);
						expect((await runtime.refusals()).items).toMatchObject([
							{ verdict: "duplicate", report: { runId: "R" } },
						]);
					});

	test("SE-01 while the old run still drains, its end completes the archive alone", async () => {
		const host = await start();
		const { runtime } = host;
		const run = await runtime.admit(K, { runId: "R", sessionId: "S1" });
		const reset = runtime.reset(K, { sessionId: "S1" });
		const verdict = await runtime.report({
			runId: "R",
			phase: "error",
			error: "context overflow",
			usage: { inputTokens: 5 },
		});
		expect(verdict).toMatchObject({
			verdict: "archived",
			ticket: { runId: "R", generation: 1 },
			row: { generation: 2, status: "idle" },
		});
		expect(run.signal.aborted).toBe(true);
		await reset;
		await expectFresh(host, "S1");
		const { items } = await runtime.archive(K);
		expect(items).toMatchObject([
			{
				generation: 1,
				endedBy: "reset",
				row: { status: "ended", lastOutcome: "aborted", inputTokens: 5 },
				runs: [
					{
						runId: "R",
						outcome: "aborted",
						stoppedBy: "reset",
						error: "context overflow",
					},
				],
			},
		]);
	});

	test("no reset sent 0 to 200 ms after a message is undone", async () => {
		const { runtime, scripted, clock } = await start({ graceMs: 20 });
		for (let delay = 0; delay <= 200; delay += 10) {
			const key = `after ${delay} ms`;
			const sent = runtime.send(key, "hello");
			if (delay > 0) {
				await sent;
				await clock.advance(delay);
			}
			const reset = runtime.reset(key, { sessionId: "fresh" });
			await clock.advance(0);
			// The run goes on as if nothing were, and ends when it likes.
			const live = scripted.runs.find(
				({ run }) => run.ticket.sessionKey === key,
			);
			if (delay % 20 === 0) live?.end("too late");
			else live?.fail(new Error("too late"));
			await clock.advance(20);
			expect(await reset).toMatchObject({ result: "done" });
			await (await sent).settled;
			expect(await runtime.get(key)).toMatchObject({
				sessionId: "fresh",
				generation: 2,
				status: "idle",
				startedAt: null,
				endedAt: null,
			});
		}
	});
});
