/** The metrics: what is counted and measured, and that no attribute of one holds what somebody said or is called. */
import type { LifecycleReport } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { codeOf } from "../support/scripted-host.ts";
import { pointsOf } from "./collector.ts";
import { startObserved } from "./observed-host.ts";

describe("metrics tell", () => {
	test("how many sessions are resident, run, drain and wait, at the moment in which they are collected", async () => {
		const { runtime, collected } = await startObserved();
		const numbers = async () => {
			const metrics = await collected.metrics();
			return [
				"turnkeeper.session.resident",
				"turnkeeper.run.active",
				"turnkeeper.run.draining",
				"turnkeeper.message.queued",
			].flatMap((name) => pointsOf(metrics, name));
		};
		expect(await numbers()).toEqual(["0", "0", "0", "0"]);
		await runtime.send("a", 1);
		await runtime.send("a", 2);
		await runtime.send("b", 1);
		expect(await numbers()).toEqual(["2", "2", "0", "1"]);
		void runtime.reset("b");
		await turns();
		expect(await numbers()).toEqual(["2", "1", "1", "1"]);
	});

	test("how many sessions are in a commit, and how long the store takes", async () => {
		const inner = memoryStore();
		const store = new FaultyStore(inner);
		const { runtime, clock, collected, scripted } = await startObserved({
			store,
		});
		store.beforeCommit = () => clock.advance(20);
		const keys = ["a", "b", "c"];
		await Promise.all(keys.map((key) => runtime.send(key, 1)));
		const metrics = await collected.metrics();
		expect(pointsOf(metrics, "turnkeeper.commit.size")).toEqual(["1 of 3"]);
		expect(pointsOf(metrics, "turnkeeper.commit.duration")).toEqual([
			"1 of 0.02",
		]);
		store.beforeCommit = null;
		for (const { end } of scripted.runs) end();
	});

	test("that a commit failed, and the trouble that came of it", async () => {
		const store = new FaultyStore(memoryStore());
		const { runtime, collected } = await startObserved({ store });
		store.faults.push("before", "before");
		expect(await codeOf(runtime.send("k", 1))).toBe("STORE_FAILED");
		const metrics = await collected.metrics();
		expect(pointsOf(metrics, "turnkeeper.commit.duration")).toEqual([
			'2 of 0 error.type="_OTHER"',
		]);
		expect(pointsOf(metrics, "turnkeeper.commit.size")).toEqual([]);
		expect(pointsOf(metrics, "turnkeeper.troubles")).toEqual([
			'1 error.type="STORE_FAILED"',
		]);
		expect(pointsOf(metrics, "turnkeeper.refusals")).toEqual([
			'1 turnkeeper.refusal.call="send" turnkeeper.refusal.reason="STORE_FAILED"',
		]);
	});

	test("which sends and admissions were refused", async () => {
		const { runtime, collected } = await startObserved();
		await runtime.send("k", 1);
		expect(await codeOf(runtime.admit("k"))).toBe("SESSION_BUSY");
		expect(
			await codeOf(runtime.send("k", 1, { expect: { generation: 9 } })),
		).toBe("STALE_EXPECTATION");
		expect(
			[...pointsOf(await collected.metrics(), "turnkeeper.refusals")].sort(),
		).toEqual([
			'1 turnkeeper.refusal.call="admit" turnkeeper.refusal.reason="SESSION_BUSY"',
			'1 turnkeeper.refusal.call="send" turnkeeper.refusal.reason="STALE_EXPECTATION"',
		]);
	});

	test("how long a run took to drain, and that one was abandoned", async () => {
		const { runtime, clock, collected } = await startObserved({ graceMs: 300 });
		await runtime.send("k", 1);
		await clock.advance(1000);
		const reset = runtime.reset("k");
		await clock.advance(300);
		await reset;
		const metrics = await collected.metrics();
		const how =
			' turnkeeper.run.outcome="abandoned" turnkeeper.run.stop_cause="reset"';
		expect(pointsOf(metrics, "turnkeeper.run.drain_time")).toEqual([
			`1 of 0.3${how}`,
		]);
		expect(pointsOf(metrics, "turnkeeper.run.ended")).toEqual([`1${how}`]);
		expect(pointsOf(metrics, "turnkeeper.run.duration")).toEqual([
			'1 of 1.3 turnkeeper.run.outcome="abandoned"',
		]);
	});

	test("all this without a word that anybody said, or a key or an id", async () => {
		const { runtime, clock, scripted, collected } = await startObserved();
		const secret = "secret";
		const { settled } = await runtime.send(secret, secret, {
			messageId: secret,
		});
		await codeOf(runtime.send(secret, secret, { overlap: "reject" }));
		scripted.last.fail(new Error(secret));
		await settled;
		await runtime.admit(secret, { runId: `${secret}-run` });
		const reset = runtime.reset(secret, { reason: secret, graceMs: 10 });
		await clock.advance(10);
		await reset;
		for (const phase of [secret, "error"])
			await runtime.report({
				runId: secret,
				sessionKey: secret,
				phase,
				error: secret,
			} as LifecycleReport);
		const told = (await collected.metrics()).flatMap(({ dataPoints }) =>
			dataPoints.map(({ attributes }) => JSON.stringify(attributes)),
		);
		expect(told.length).toBeGreaterThan(8);
		expect(told.filter((one) => one.includes(secret))).toEqual([]);
	});
});
