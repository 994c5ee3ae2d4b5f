/** The bare machine: runs that the host drives, from their admission or reservation to their last report. */
import { rowOf } from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { live, Stepper } from "./stepper.ts";

describe("an admission", () => {
	test("of a free session makes a run live, which counts as started when the host says so", () => {
		const session = new Stepper();
		const { reply, effects, of } = session.admit("A");
		expect(effects).toEqual(["reply", "startRun"]);
		expect(of("startRun")).toMatchObject([{ run: { runId: "A" } }]);
		expect(reply).toMatchObject({ result: "admitted", run: { runId: "A" } });
		expect(rowOf(session.facts)).toMatchObject({
			status: "running",
			activeRun: { runId: "A" },
			startedAt: null,
		});
		const start = session.report("A", "start", { startedAt: 5 });
		expect(start.effects).toEqual(["reply", "showRun"]);
		expect(rowOf(session.facts).startedAt).toBe(5);
	});

	test("of the run that is live gives it again and changes nothing, unless the runtime executes it", () => {
		const hosted = new Stepper();
		hosted.admit("A");
		const before = hosted.facts;
		expect(hosted.admit("A").reply).toEqual({
			result: "admitted",
			run: before.run,
		});
		expect(hosted.facts).toBe(before);
		const managed = new Stepper();
		managed.message("m1");
		expect(managed.admit("run-m1").reply).toMatchObject({ result: "busy" });
	});

	test("of another run is refused while one is live or drains", () => {
		const session = new Stepper();
		session.admit("A");
		expect(session.admit("B").reply).toMatchObject({
			result: "busy",
			current: { runId: "A" },
		});
		session.reset("S2");
		expect(session.admit("B").reply).toEqual({ result: "busy", current: null });
		session.report("A", "end", { generation: 1 });
		expect(session.admit("B").reply).toMatchObject({ result: "admitted" });
	});

	test("that expects another session admits and reserves nothing", () => {
		for (const reserve of [true, false]) {
			const session = new Stepper();
			const before = session.facts;
			expect(
				session.admit("A", { reserve, expect: { generation: 3 } }).reply,
			).toEqual({ result: "stale", mismatch: "generation" });
			expect(session.facts).toBe(before);
		}
	});
});

describe("a reservation", () => {
	test("is kept once, however often it is made, and also beside a live run", () => {
		const session = new Stepper();
		session.message("m1");
		const first = session.admit("A", { reserve: true });
		expect(first.effects).toEqual(["reply", "keepRuns"]);
		expect(first.of("keepRuns")).toMatchObject([
			[{ runId: "A", status: "reserved" }],
		]);
		const again = session.admit("A", { reserve: true, attempt: 2 });
		expect(again.reply).toEqual(first.reply);
		expect(session.facts.reservations).toHaveLength(1);
	});

	test("gives a fresh generation its session id, and leaves that of a used one", () => {
		const fresh = new Stepper();
		fresh.admit("A", { reserve: true, givenSessionId: "H" });
		expect(fresh.facts.sessionIds).toEqual(["H"]);
		const used = new Stepper();
		used.message("m1");
		used.admit("A", { reserve: true, givenSessionId: "H" });
		expect(used.facts.sessionIds).toEqual(["S1"]);
		expect(used.facts.reservations).toMatchObject([{ sessionIds: ["H"] }]);
	});

	test("becomes live by an admission of its name, and is a reservation no more", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		expect(session.admit("A").reply).toMatchObject({
			result: "admitted",
			run: { runId: "A", status: "admitted" },
		});
		expect(session.facts).toMatchObject({
			run: { runId: "A" },
			reservations: [],
		});
	});

	test("becomes live by its start, which is its start", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		const { effects } = session.report("A", "start", { startedAt: 5 });
		expect(effects).toEqual(["reply", "startRun"]);
		expect(session.facts).toMatchObject({
			run: { runId: "A", startedAt: 5 },
			reservations: [],
		});
	});

	test("given up by its name settles aborted, and only that one", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		session.admit("B", { reserve: true });
		const { effects, of, reply } = session.abort({ expect: { runId: "A" } });
		expect(effects).toEqual(["keepRuns", "reply"]);
		expect(of("keepRuns")).toMatchObject([
			[{ runId: "A", outcome: "aborted" }],
		]);
		expect(reply).toEqual({ result: "done" });
		expect(session.facts.reservations).toMatchObject([{ runId: "B" }]);
		expect(
			session.abort({ expect: { runId: "B", generation: 9 } }).reply,
		).toMatchObject({ result: "stale" });
		expect(session.facts.reservations).toMatchObject([{ runId: "B" }]);
	});
});

describe("a report", () => {
	test("ends the live run as it says", () => {
		for (const [phase, status, more] of [
			["end", "ended", {}],
			["error", "failed", { error: "boom" }],
		] as const) {
			const session = new Stepper();
			session.admit("A");
			const { effects, of } = session.report("A", phase, more);
			expect(effects).toEqual(["reply", "keepRuns"]);
			expect(of("keepRuns")).toMatchObject([
				[{ runId: "A", status: "settled" }],
			]);
			expect(rowOf(session.facts)).toMatchObject({
				status,
				hasActiveRun: false,
				lastError: phase === "error" ? "boom" : null,
			});
		}
	});

	test("of progress changes nothing, whatever it is about", () => {
		const session = new Stepper();
		session.admit("A");
		const before = session.facts;
		const { reply, effects } = session.report("A", "progress", { value: 1 });
		expect(reply).toMatchObject({ verdict: "applied" });
		expect(effects).toEqual(["reply"]);
		expect(session.facts).toBe(before);
	});

	test("about a run that is not known changes nothing, in any state", () => {
		const free = new Stepper();
		free.admit("B", { reserve: true });
		const running = new Stepper();
		running.admit("A");
		const drains = new Stepper();
		drains.admit("A");
		drains.reset("S2");
		for (const session of [free, running, drains])
			for (const phase of ["start", "end", "error"]) {
				const before = session.facts;
				const { reply, effects } = session.report("X", phase);
				expect(reply).toMatchObject({ verdict: "unknown", ticket: null });
				expect(effects).toEqual(["reply"]);
				expect(session.facts).toBe(before);
			}
	});

	test("says nothing of the live run if anything that it gives is not true of that", () => {
		const given = {
			sessionKey: "k",
			sessionId: "S1",
			generation: 1,
			attempt: 1,
		};
		for (const [field, value] of Object.entries({
			sessionKey: "other",
			sessionId: "S9",
			generation: 2,
			attempt: 2,
		})) {
			const session = new Stepper();
			session.admit("A");
			const before = session.facts;
			expect(
				session.report("A", "end", { ...given, [field]: value }).reply,
			).toMatchObject({ verdict: "unknown" });
			expect(session.facts).toBe(before);
			expect(session.report("A", "end", given).reply).toMatchObject({
				verdict: "applied",
			});
		}
	});

	test("of an error of a run that was told to stop does not fail its session, live or archived", () => {
		const stopped = new Stepper();
		stopped.admit("A");
		stopped.abort();
		stopped.report("A", "error", { error: "boom" });
		expect(rowOf(stopped.facts)).toMatchObject({
			status: "ended",
			lastOutcome: "aborted",
			lastError: null,
		});
		const drains = new Stepper();
		drains.admit("A");
		drains.reset("S2");
		const { of } = drains.report("A", "error", { error: "boom" });
		expect(of("keepRuns")).toMatchObject([[{ error: "boom" }]]);
		expect(of("keepGeneration")).toMatchObject([
			{ row: { status: "ended", lastOutcome: "aborted", lastError: null } },
		]);
	});

	test("of a run that drains is filed with its own generation: its start, then its end", () => {
		const session = new Stepper();
		session.admit("A");
		session.reset("S2");
		const start = session.report("A", "start", { startedAt: 5 });
		expect(start.reply).toMatchObject({ verdict: "archived" });
		expect(start.effects).toEqual(["reply"]);
		expect(session.facts.draining).toMatchObject([{ run: { startedAt: 5 } }]);
		expect(session.snapshot.value).toBe("resetting");
		const end = session.report("A", "end", { endedAt: 9 });
		expect(end.reply).toMatchObject({ verdict: "archived" });
		expect(end.effects).toEqual(["reply", "keepRuns", "keepGeneration"]);
		expect(end.of("keepRuns")).toMatchObject([
			[{ generation: 1, startedAt: 5, endedAt: 9, outcome: "aborted" }],
		]);
		expect(end.of("keepGeneration")).toMatchObject([
			{ generation: 1, row: { startedAt: 5, endedAt: 9 } },
		]);
		expect(rowOf(session.facts)).toMatchObject({
			generation: 2,
			status: "idle",
			startedAt: null,
			endedAt: null,
		});
	});
});

describe("usage", () => {
	const usage = { type: "usage", inputTokens: 1, outputTokens: 2 } as const;

	test("of a live run counts for it and its session", () => {
		const session = new Stepper();
		session.admit("A");
		const { effects } = session.step({ ...usage, ticket: live(session) });
		expect(effects).toEqual([]);
		expect(session.facts).toMatchObject({
			inputTokens: 1,
			outputTokens: 2,
			run: { inputTokens: 1, outputTokens: 2 },
		});
	});

	test("of a reservation is kept with its record", () => {
		const session = new Stepper();
		session.admit("A", { reserve: true });
		const ticket = {
			sessionKey: "k",
			sessionId: "S1",
			generation: 1,
			runId: "A",
			attempt: 1,
		};
		const { effects, of } = session.step({ ...usage, ticket });
		expect(effects).toEqual(["keepRuns"]);
		expect(of("keepRuns")).toMatchObject([[{ runId: "A", inputTokens: 1 }]]);
		expect(session.facts).toMatchObject({
			inputTokens: 1,
			reservations: [{ inputTokens: 1 }],
		});
	});

	test("of a settled run still counts for its generation, as long as that is the current one", () => {
		const session = new Stepper();
		session.message("m1");
		const ticket = live(session);
		session.settled(ticket);
		session.message("m2");
		session.admit("A", { reserve: true });
		expect(session.step({ ...usage, ticket }).effects).toEqual([]);
		expect(session.facts).toMatchObject({
			inputTokens: 1,
			run: { runId: "run-m2", inputTokens: 0 },
			reservations: [{ inputTokens: 0 }],
		});
		session.settled(live(session));
		session.reset("S2");
		const before = session.facts;
		session.step({ ...usage, ticket });
		expect(session.facts).toBe(before);
	});

	test("of a run that drains counts for its generation alone", () => {
		const session = new Stepper();
		session.message("m1");
		const ticket = live(session);
		session.reset("S2");
		session.step({ ...usage, ticket });
		expect(session.facts).toMatchObject({
			inputTokens: 0,
			draining: [
				{ run: { inputTokens: 1 }, ended: { row: { inputTokens: 1 } } },
			],
		});
	});

	test("of nobody's generation changes nothing, also where the session is deleted", () => {
		const session = new Stepper();
		session.message("m1");
		const ticket = live(session);
		session.settled(ticket);
		session.delete();
		const before = session.facts;
		for (const generation of [1, 2, 3])
			session.step({ ...usage, ticket: { ...ticket, generation } });
		expect(session.facts).toBe(before);
	});
});
