import { readFileSync } from "node:fs";
import {
	rowOf,
	sessionMachine,
	sessionMermaid,
	stateOf,
	unusedFacts,
} from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { live, policy, Stepper } from "./stepper.ts";

describe("the session machine, with no engine present", () => {
	test("a message starts a run, and its end settles the session", () => {
		const session = new Stepper();
		const { reply, of } = session.message("m1");
		expect(reply).toEqual({ result: "done" });
		expect(of("startRun")).toMatchObject([
			{ run: { runId: "run-m1" }, messages: [{ messageId: "m1" }] },
		]);
		expect(rowOf(session.facts)).toMatchObject({
			status: "running",
			hasActiveRun: true,
			version: 1,
		});
		session.settled(live(session));
		expect(rowOf(session.facts)).toMatchObject({
			status: "ended",
			hasActiveRun: false,
			lastOutcome: "completed",
			version: 2,
		});
	});

	test("messages that overlap wait in arrival order, one run each", () => {
		const session = new Stepper();
		session.message("m1");
		session.message("m2");
		session.message("m3");
		const started: string[] = [];
		for (let i = 0; i < 3; i++) {
			started.push(session.facts.run?.messageIds[0] as string);
			session.settled(live(session), "completed", { grant: `next-${i}` });
		}
		expect(started).toEqual(["m1", "m2", "m3"]);
		expect(session.facts.queue).toEqual([]);
	});

	test("without a grant a message waits, and a later leave takes it", () => {
		const session = new Stepper();
		session.message("m1", { grant: null });
		expect(session.snapshot.value).toBe("idle");
		expect(session.facts.queue).toHaveLength(1);
		session.step({ type: "take", grant: "r1" });
		expect(session.facts.run?.runId).toBe("r1");
	});

	test("the capacity of the line and the mode 'reject' are said", () => {
		const session = new Stepper();
		for (const id of ["m1", "m2", "m3", "m4"]) session.message(id);
		expect(session.message("m5").reply).toEqual({
			result: "full",
			capacity: 3,
		});
		expect(
			session.message("m6", { policy: { ...policy, mode: "reject" } }).reply,
		).toMatchObject({
			result: "busy",
			current: { runId: "run-m1" },
		});
	});

	test("a reset mints the generation first, then stops, drains and settles idle", () => {
		const session = new Stepper();
		session.message("m1");
		const old = live(session);
		const { of } = session.reset("S2");
		expect(session.snapshot.value).toBe("resetting");
		expect(of("stopRuns")).toMatchObject([
			[{ run: { runId: "run-m1", generation: 1 }, stop: { cause: "reset" } }],
		]);
		expect(of("keepGeneration")).toMatchObject([
			{ generation: 1, endedBy: "reset", sessionIds: ["S1"] },
		]);
		expect(rowOf(session.facts)).toMatchObject({
			generation: 2,
			sessionId: "S2",
			status: "resetting",
			hasActiveRun: false,
			startedAt: null,
			draining: 1,
		});
		const end = session.settled(old);
		expect(end.of("keepRuns")).toMatchObject([
			[{ outcome: "aborted", stop: { cause: "reset" } }],
		]);
		expect(end.of("keepGeneration")).toMatchObject([
			{ generation: 1, row: { status: "ended", lastOutcome: "aborted" } },
		]);
		expect(rowOf(session.facts)).toMatchObject({ status: "idle", draining: 0 });
	});

	test("no event of an older ticket moves the living generation", () => {
		const session = new Stepper();
		session.message("m1");
		const old = live(session);
		session.reset("S2");
		session.settled(old);
		session.message("m2");
		const before = session.facts;
		for (const outcome of ["completed", "failed"])
			session.settled(old, outcome);
		session.step({ type: "overdue", ticket: old });
		expect(
			session.step({ type: "rotate", ticket: old, sessionId: "S9" }).reply,
		).toMatchObject({ result: "stale" });
		expect(session.facts).toBe(before);
	});

	for (const [field, value] of [
		["sessionKey", "other"],
		["generation", 2],
		["runId", "other"],
		["attempt", 2],
		["sessionId", "S9"],
	] as const)
		test(`a ticket that differs in ${field} alone is not the run's`, () => {
			const session = new Stepper();
			session.message("m1");
			const before = session.facts;
			session.settled({ ...live(session), [field]: value });
			expect(session.facts).toBe(before);
		});

	test("a run keeps its identity when it rotates its session id", () => {
		const session = new Stepper();
		session.message("m1");
		const first = live(session);
		session.step({ type: "rotate", ticket: first, sessionId: "S1b" });
		expect(rowOf(session.facts).sessionId).toBe("S1b");
		session.settled(first);
		expect(rowOf(session.facts).lastOutcome).toBe("completed");
	});

	test("a run that ignores its abort is abandoned, and the line goes on", () => {
		const session = new Stepper();
		session.message("m1");
		session.message("m2");
		const ticket = live(session);
		session.step({
			type: "abort",
			cause: "abort",
			reason: null,
			deadline: 9999,
			queued: "keep",
		});
		expect(session.snapshot.value).toEqual("aborting");
		expect(rowOf(session.facts).status).toBe("running");
		const { of } = session.step({ type: "overdue", ticket, grant: "r2" });
		expect(of("keepRuns")).toMatchObject([
			[{ outcome: "abandoned", stop: { cause: "abort" } }],
		]);
		expect(session.facts.run?.messageIds).toEqual(["m2"]);
	});

	test("the first committed of end and stop decides (TC-02)", () => {
		const session = new Stepper();
		session.message("m1");
		const ticket = live(session);
		session.step({
			type: "abort",
			cause: "abort",
			reason: null,
			deadline: 9999,
			queued: "keep",
		});
		session.settled(ticket, "completed");
		expect(rowOf(session.facts)).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
		});
	});

	test("resets during a drain form one drain, each run with its earliest deadline", () => {
		const session = new Stepper();
		session.message("m1");
		const old = live(session);
		session.reset("S2", { deadline: 9000 });
		session.reset("S3", { deadline: 7000 });
		session.reset("S4", { deadline: 8000 });
		expect(session.facts.generation).toBe(4);
		expect(session.facts.draining).toMatchObject([
			{ run: { stop: { deadline: 7000 } } },
		]);
		session.settled(old);
		expect(session.snapshot.value).toBe("idle");
	});

	test("delete opens a hidden generation, which the next message uses", () => {
		const session = new Stepper();
		session.message("m1");
		session.settled(live(session));
		session.step({
			type: "delete",
			reason: null,
			deadline: 9000,
			queued: "drop",
			purge: false,
		});
		expect(session.facts).toMatchObject({ hidden: true, generation: 2 });
		session.message("m2", { sessionId: "S2" });
		expect(session.facts).toMatchObject({ hidden: false, generation: 2 });
	});

	test("a purge waits until nothing drains", () => {
		const session = new Stepper();
		session.message("m1");
		const old = live(session);
		const ask = session.step({
			type: "delete",
			reason: null,
			deadline: 9000,
			queued: "drop",
			purge: true,
		});
		expect(ask.effects).not.toContain("purge");
		expect(session.settled(old).of("purge")).toEqual([
			{ sessionKey: "k", before: 2 },
		]);
	});

	test("a reservation holds no slot, and goes live with its start if the session is free", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		session.admit("B", { reserve: true });
		expect(rowOf(session.facts).status).toBe("idle");
		const start = (runId: string) =>
			session.step({ type: "report", report: { runId, phase: "start" } }).reply;
		expect(start("A")).toMatchObject({ verdict: "applied" });
		expect(start("A")).toMatchObject({ verdict: "duplicate" });
		expect(start("B")).toMatchObject({ verdict: "refused" });
		session.step({ type: "report", report: { runId: "A", phase: "end" } });
		expect(start("B")).toMatchObject({ verdict: "applied" });
	});

	test("a terminal alone makes a reservation live and settles it", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		const report = { runId: "A", phase: "error", error: "boom", endedAt: 7 };
		expect(session.step({ type: "report", report }).reply).toMatchObject({
			verdict: "applied",
		});
		expect(rowOf(session.facts)).toMatchObject({
			status: "failed",
			lastError: "boom",
			endedAt: 7,
		});
	});

	test("messages that a reset keeps lose their place if what they expect has ended (SE-11)", () => {
		const session = new Stepper();
		session.message("m1");
		session.message("m2", { expect: { generation: 1 } });
		session.message("m3");
		const { of } = session.reset("S2");
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m2" }, fate: "removed" }],
		]);
		expect(session.facts.queue.map(({ messageId }) => messageId)).toEqual([
			"m3",
		]);
	});

	test("an unused key meets no expectation but generation 0", () => {
		const session = new Stepper();
		expect(
			session.message("m", { expect: { version: 0 } }).reply,
		).toMatchObject({ result: "stale", mismatch: "version" });
		expect(
			session.message("m", { expect: { generation: 0 } }).reply,
		).toMatchObject({ result: "done" });
		expect(
			session.message("m", { expect: { generation: 0 } }).reply,
		).toMatchObject({ result: "stale" });
	});

	test("every state hydrates from its facts to itself", () => {
		expect(stateOf(unusedFacts("k"))).toBe("idle");
		const session = new Stepper();
		session.message("m1");
		session.reset("S2");
		const restored = sessionMachine.resolveState({
			value: stateOf(session.facts),
			context: { facts: session.facts },
		});
		expect(restored.value).toEqual(session.snapshot.value);
	});
});

test("the README shows the chart that the machine draws", () => {
	const readme = readFileSync(
		new URL("../../README.md", import.meta.url),
		"utf8",
	);
	expect(readme).toContain(`\`\`\`mermaid\n${sessionMermaid()}\n\`\`\``);
});
