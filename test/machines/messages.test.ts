/** The bare machine: what becomes of a message that arrives, and what a host may change of those that wait. */
import { describe, expect, test } from "vitest";
import { live, policy, Stepper } from "./stepper.ts";

const mode = (name: string, more: object = {}) => ({
	policy: { ...policy, mode: name, ...more },
});

function busy(): Stepper {
	const session = new Stepper();
	session.message("m1");
	return session;
}

const waiting = ({ facts }: Stepper) =>
	facts.queue.map(({ messageId }) => messageId);

describe("a message that arrives", () => {
	test("and is taken at once was never in line, so it is kept once", () => {
		const session = new Stepper();
		expect(session.message("m1").effects).toEqual(["startRun", "reply"]);
	});

	test("and waits is kept, with where it stands", () => {
		const session = busy();
		const { of, effects } = session.message("m2");
		expect(effects).toEqual(["keepLine", "keepMessages", "reply"]);
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m2" }, fate: "queued" }],
		]);
	});

	test("opens a session once: what comes later finds it as it is", () => {
		const session = busy();
		const { createdAt } = session.facts;
		session.message("m2", { sessionId: "S7" });
		expect(session.facts).toMatchObject({ sessionIds: ["S1"], createdAt });
	});

	test("with a quiet window waits, also in a session that is free", () => {
		const session = new Stepper();
		const unused = session.facts;
		session.step({ type: "take", grant: "r1" });
		expect(session.facts).toBe(unused);
		session.message("m1", mode("enqueue", { debounceMs: 50 }));
		expect(waiting(session)).toEqual(["m1"]);
		const before = session.facts;
		session.step({ type: "take", grant: "r1" });
		expect(session.facts).toBe(before);
		session.at += 50;
		const { effects } = session.step({ type: "take", grant: "r1" });
		expect(effects).toEqual(["startRun"]);
		expect(session.facts.run?.runId).toBe("r1");
		expect(session.facts.version).toBe(before.version + 1);
	});

	test("behind one that waits is not taken before it", () => {
		const session = new Stepper();
		session.message("m1", { grant: null });
		session.message("m2");
		expect(session.facts.run?.messageIds).toEqual(["m1"]);
		expect(waiting(session)).toEqual(["m2"]);
	});

	test("and expects another session is refused and starts nothing, in a free session and in a busy one", () => {
		for (const session of [new Stepper(), busy()]) {
			const before = session.facts;
			const { reply } = session.message("m2", { expect: { generation: 7 } });
			expect(reply).toEqual({ result: "stale", mismatch: "generation" });
			expect(session.facts).toBe(before);
		}
	});

	test("with 'reject' is taken by a free session, and refused while one runs, drains or waits", () => {
		const free = new Stepper();
		expect(free.message("m1", mode("reject")).reply).toEqual({
			result: "done",
		});
		const draining = busy();
		draining.reset("S2");
		const waits = new Stepper();
		waits.message("m1", { grant: null });
		for (const session of [busy(), draining, waits])
			expect(
				session.message("m2", { ...mode("reject"), grant: null }).reply,
			).toMatchObject({ result: "busy" });
	});

	test("with 'interrupt' stops the live run, waits first, and is taken when that has drained", () => {
		const session = busy();
		session.message("m2");
		const ticket = live(session);
		const { effects, of } = session.message("m3", mode("interrupt"));
		expect(effects).toEqual([
			"stopRuns",
			"hideEntries",
			"keepLine",
			"keepMessages",
			"reply",
		]);
		expect(of("stopRuns")).toMatchObject([
			[{ run: { runId: "run-m1" }, stop: { cause: "interrupt" } }],
		]);
		expect(of("hideEntries")).toEqual([[]]);
		expect(session.snapshot.value).toBe("aborting");
		expect(waiting(session)).toEqual(["m3", "m2"]);
		session.settled(ticket, "completed", { grant: "r2" });
		expect(session.facts.run?.messageIds).toEqual(["m3"]);
	});

	test("with 'rollback' takes back what the stopped run appended", () => {
		const session = busy();
		const { of } = session.message("m2", mode("rollback"));
		expect(of("hideEntries")).toMatchObject([[{ runId: "run-m1" }]]);
		expect(session.facts.run?.takenBack).toBe(true);
	});

	test("with 'interrupt' stops nothing if it is refused: the line is full, or it expects another", () => {
		const session = busy();
		for (const id of ["m2", "m3", "m4"]) session.message(id);
		const before = session.facts;
		expect(session.message("m5", mode("interrupt")).reply).toEqual({
			result: "full",
			capacity: 3,
		});
		expect(
			session.message("m6", {
				...mode("interrupt", { capacity: 9 }),
				expect: { runId: "other" },
			}).reply,
		).toMatchObject({ result: "stale" });
		expect(session.facts).toBe(before);
		expect(session.snapshot.value).toBe("running");
	});

	test("with 'interrupt' interrupts nothing in a session that drains", () => {
		const session = busy();
		session.reset("S2");
		expect(session.message("m2", mode("interrupt")).of("stopRuns")).toEqual([]);
		expect(session.snapshot.value).toBe("resetting");
	});
});

describe("messages that wait", () => {
	test("can be edited, moved and taken back, and what no longer waits says so", () => {
		const session = busy();
		session.message("m2");
		session.message("m3");
		const edit = (messageId: string, more: object) =>
			session.step({ type: "edit", messageId, ...more });
		const moved = edit("m3", { input: "new", before: "m2" });
		expect(moved.effects).toEqual(["keepLine", "reply"]);
		expect(moved.reply).toEqual({ result: "done" });
		expect(session.facts.queue).toMatchObject([
			{ messageId: "m3", input: "new", edited: true },
			{ messageId: "m2", input: "m2", edited: false },
		]);
		const before = session.facts;
		expect(edit("m1", { input: "late" }).reply).toEqual({ result: "nothing" });
		expect(edit("m3", { before: "m1" }).reply).toEqual({
			result: "stale",
			mismatch: "messageId",
		});
		// What is itself no longer there is said before what it was to go before.
		expect(edit("m1", { before: "m9" }).reply).toEqual({ result: "nothing" });
		expect(session.facts).toBe(before);
		expect(edit("m3", { before: null }).reply).toEqual({ result: "done" });
		expect(waiting(session)).toEqual(["m2", "m3"]);
	});

	test("can be removed, once", () => {
		const session = busy();
		session.message("m2");
		const remove = () => session.step({ type: "remove", messageId: "m2" });
		const { effects, of, reply } = remove();
		expect(effects).toEqual(["keepMessages", "reply"]);
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m2" }, fate: "removed" }],
		]);
		expect(reply).toEqual({ result: "done" });
		expect(waiting(session)).toEqual([]);
		expect(remove().reply).toEqual({ result: "nothing" });
	});
});

describe("steering", () => {
	test("the live run takes what is for it, and nothing else", () => {
		const session = busy();
		session.message("m2");
		session.message("m3", mode("steer"));
		const ticket = live(session);
		const pull = (more: object = {}) =>
			session.step({ type: "pull", ticket: { ...ticket, ...more } });
		expect(pull({ attempt: 2 }).reply).toEqual({
			result: "stale",
			mismatch: "runId",
		});
		const { effects, of, reply } = pull();
		expect(effects).toEqual(["reply", "keepMessages"]);
		expect(reply).toMatchObject({
			result: "pulled",
			message: { messageId: "m3" },
		});
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m3" }, fate: "taken", run: ticket }],
		]);
		expect(session.facts.run?.messageIds).toEqual(["m1", "m3"]);
		expect(waiting(session)).toEqual(["m2"]);
		expect(pull().reply).toEqual({ result: "nothing" });
	});

	test("what it took and never looked at goes back into line when it ends", () => {
		for (const end of ["completed", "failed", "overdue"]) {
			const session = busy();
			session.message("m2", mode("steer"));
			const ticket = live(session);
			const { reply } = session.step({ type: "pull", ticket });
			const unread = [(reply as unknown as { message: object }).message];
			const { of } =
				end === "overdue"
					? session.step({ type: "overdue", ticket, unread })
					: session.settled(ticket, end, { unread });
			expect(of("keepMessages")).toMatchObject([
				[{ message: { messageId: "m2" }, fate: "queued" }],
			]);
			expect(of("keepRuns")).toMatchObject([[{ messageIds: ["m1"] }]]);
			expect(waiting(session)).toEqual(["m2"]);
		}
	});
});
