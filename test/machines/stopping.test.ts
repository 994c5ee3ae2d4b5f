/** The bare machine: what stops a run or ends a generation, whom it means, and when a session is done with it. */
import { rowOf, ticketOf } from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { live, Stepper } from "./stepper.ts";

function running(): Stepper {
	const session = new Stepper();
	session.message("m1");
	return session;
}

function ended(): Stepper {
	const session = running();
	session.settled(live(session));
	return session;
}

const waiting = ({ facts }: Stepper) =>
	facts.queue.map(({ messageId }) => messageId);

describe("an abort", () => {
	test("stops the live run and leaves what waits, unless it is to be dropped", () => {
		for (const queued of ["keep", "drop"]) {
			const session = running();
			session.message("m2");
			const { effects, of, reply } = session.abort({ queued });
			expect(effects).toEqual(["stopRuns", "keepMessages", "reply"]);
			expect(of("stopRuns")).toMatchObject([
				[{ run: { runId: "run-m1" }, stop: { cause: "abort" } }],
			]);
			expect(of("keepMessages")).toMatchObject([
				queued === "keep"
					? []
					: [{ message: { messageId: "m2" }, fate: "removed" }],
			]);
			expect(reply).toEqual({ result: "done" });
			expect(waiting(session)).toEqual(queued === "keep" ? ["m2"] : []);
			expect(session.facts.run?.stop).toMatchObject({ cause: "abort" });
		}
	});

	test("of the run, message, session id or version that is live stops it; of another it is stale", () => {
		for (const expectation of [
			{ runId: "run-m1" },
			{ messageId: "m1" },
			{ sessionId: "S1" },
			{ version: 1 },
			{ generation: 1 },
		])
			expect(running().abort({ expect: expectation }).reply).toEqual({
				result: "done",
			});
		for (const [field, value] of Object.entries({
			runId: "other",
			messageId: "other",
			sessionId: "S9",
			version: 7,
			generation: 2,
		})) {
			const session = running();
			const before = session.facts;
			expect(session.abort({ expect: { [field]: value } }).reply).toEqual({
				result: "stale",
				mismatch: field,
			});
			expect(session.facts).toBe(before);
		}
	});

	test("in the name of a ticket stops that run alone", () => {
		const session = running();
		const ticket = live(session);
		const before = session.facts;
		expect(session.abort({ ticket: { ...ticket, attempt: 2 } }).reply).toEqual({
			result: "stale",
			mismatch: "runId",
		});
		expect(session.facts).toBe(before);
		expect(session.abort({ ticket }).reply).toEqual({ result: "done" });
		session.settled(ticket);
		expect(session.abort({ ticket }).reply).toMatchObject({ result: "stale" });
	});

	test("of a message that waits takes that back and stops nothing", () => {
		const session = running();
		session.message("m2");
		session.message("m3");
		expect(
			session.abort({ expect: { messageId: "m2", generation: 9 } }).reply,
		).toMatchObject({ result: "stale" });
		const idle = new Stepper();
		idle.message("m2", { grant: null });
		idle.message("m3", { grant: null });
		const { effects, reply } = idle.abort({ expect: { messageId: "m2" } });
		expect(effects).toEqual(["keepMessages", "reply"]);
		expect(reply).toEqual({ result: "done" });
		expect(waiting(idle)).toEqual(["m3"]);
		expect(idle.abort({ expect: { messageId: "m2" } }).reply).toMatchObject({
			result: "stale",
			mismatch: "messageId",
		});
	});

	test("of what does not run drops what waits if it is to, else there is nothing to do", () => {
		const session = new Stepper();
		session.message("m1", { grant: null });
		expect(session.abort().reply).toEqual({ result: "nothing" });
		expect(waiting(session)).toEqual(["m1"]);
		const { effects, reply } = session.abort({ queued: "drop" });
		expect(effects).toEqual(["keepMessages", "reply"]);
		expect(reply).toEqual({ result: "done" });
		expect(waiting(session)).toEqual([]);
		expect(session.abort({ queued: "drop" }).reply).toEqual({
			result: "nothing",
		});
	});

	test("twice is one stop, with the earlier deadline", () => {
		const session = running();
		session.abort({ deadline: 9000 });
		session.abort({ deadline: 7000, cause: "parent" });
		expect(session.facts.run?.stop).toMatchObject({
			cause: "abort",
			deadline: 7000,
		});
	});
});

describe("the end of a run", () => {
	test("is failed if it failed, ended if it did anything else, abandoned if it came too late", () => {
		for (const [outcome, status] of [
			["completed", "ended"],
			["failed", "failed"],
			["interrupted", "ended"],
			["timeout", "ended"],
		] as const) {
			const session = running();
			const { effects, of } = session.settled(live(session), outcome);
			expect(effects).toEqual(["keepRuns", "keepMessages"]);
			expect(of("keepRuns")).toMatchObject([[{ outcome }]]);
			expect(rowOf(session.facts)).toMatchObject({
				status,
				lastOutcome: outcome,
			});
		}
		const late = running();
		const ticket = live(late);
		const before = late.facts;
		late.step({ type: "overdue", ticket: { ...ticket, attempt: 2 } });
		expect(late.facts).toBe(before);
		const { effects, of } = late.step({ type: "overdue", ticket });
		expect(effects).toEqual(["keepRuns", "keepMessages"]);
		expect(of("keepRuns")).toMatchObject([[{ outcome: "abandoned" }]]);
		expect(rowOf(late.facts).status).toBe("ended");
	});
});

describe("a reset", () => {
	test("keeps what ended, drops what is not to be kept, and lets the host close it", () => {
		const session = running();
		session.message("m2");
		const { effects, of } = session.reset("S2", { queued: "drop", hook: true });
		expect(effects).toEqual([
			"stopRuns",
			"keepGeneration",
			"keepMessages",
			"closeGenerations",
			"reply",
		]);
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m2" }, fate: "removed" }],
		]);
		expect(of("closeGenerations")).toMatchObject([[{ generation: 1 }]]);
	});

	test("of another session than is expected ends nothing", () => {
		const session = running();
		const before = session.facts;
		expect(session.reset("S2", { expect: { generation: 2 } }).reply).toEqual({
			result: "stale",
			mismatch: "generation",
		});
		expect(session.facts).toBe(before);
	});

	test("of a key that nobody uses opens it as it is, and hurries what still drains", () => {
		const session = running();
		session.delete({ deadline: 9000, hook: true });
		session.message("m2", {
			grant: null,
			sessionId: "S2",
			expect: { generation: 0 },
		});
		session.delete({ deadline: 9000, queued: "keep" });
		const hidden = session.facts;
		expect(hidden).toMatchObject({ hidden: true, generation: 3 });
		const { effects, of } = session.reset("S3", {
			deadline: 7000,
			queued: "drop",
		});
		expect(effects).toEqual([
			"stopRuns",
			"keepMessages",
			"closeGenerations",
			"reply",
		]);
		expect(of("stopRuns")).toMatchObject([[{ stop: { deadline: 7000 } }]]);
		expect(of("closeGenerations")).toMatchObject([
			[{ generation: 1, deadline: 7000 }],
		]);
		expect(session.facts).toMatchObject({
			hidden: false,
			generation: 3,
			sessionIds: ["S3"],
			draining: [{ run: { stop: { deadline: 7000 } } }],
			queue: [],
		});
	});

	test("is over when all runs of old have settled and the host has closed what ended", () => {
		const session = running();
		const old = live(session);
		session.reset("S2", { hook: true });
		session.message("m2", { grant: null });
		const before = session.facts;
		for (const type of ["settled", "overdue"] as const)
			session.step({
				type,
				ticket: { ...old, attempt: 2 },
				end: { at: 1, outcome: "completed" },
			});
		session.step({ type: "closed", generation: 2 });
		session.step({ type: "take", grant: "r2" });
		expect(session.facts).toBe(before);
		session.step({ type: "closed", generation: 1 });
		expect(session.snapshot.value).toBe("resetting");
		const late = session.step({ type: "overdue", ticket: old, grant: "r2" });
		expect(late.effects).toEqual(["keepRuns", "keepGeneration", "startRun"]);
		expect(late.of("keepRuns")).toMatchObject([[{ outcome: "abandoned" }]]);
		expect(session.facts.run?.messageIds).toEqual(["m2"]);
	});

	test("of what the host still closes leaves both to close, each by itself", () => {
		const session = ended();
		session.reset("S2", { hook: true });
		session.reset("S3", { hook: true });
		session.step({ type: "closed", generation: 1 });
		expect(session.facts.closing).toMatchObject([{ generation: 2 }]);
		expect(session.snapshot.value).toBe("resetting");
		session.step({ type: "closed", generation: 2 });
		expect(session.snapshot.value).toBe("idle");
	});

	test("waits no more for what the host could not begin to close in time, which is said once", () => {
		const session = ended();
		session.reset("S2", { hook: true });
		session.reset("S3", { hook: true });
		session.step({ type: "postponed", generation: 1 });
		const before = session.facts;
		expect(before.closing).toMatchObject([
			{ generation: 1, postponed: true },
			{ generation: 2, postponed: false },
		]);
		for (const generation of [1, 3])
			session.step({ type: "postponed", generation });
		expect(session.facts).toBe(before);
		session.step({ type: "postponed", generation: 2 });
		expect(session.snapshot.value).toBe("idle");
	});

	test("is not over while the host still closes, though every run has settled", () => {
		const session = running();
		const old = live(session);
		session.reset("S2", { hook: true });
		session.settled(old);
		expect(rowOf(session.facts)).toMatchObject({
			status: "resetting",
			draining: 0,
		});
		expect(session.message("m2").effects).not.toContain("startRun");
		session.step({ type: "closed", generation: 1, grant: "r2" });
		expect(session.facts.run?.messageIds).toEqual(["m2"]);
	});
});

describe("a delete", () => {
	test("of what is not there, or was deleted, has nothing to do", () => {
		const unused = new Stepper();
		expect(unused.delete().reply).toEqual({ result: "nothing" });
		expect(unused.delete({ purge: true }).reply).toEqual({ result: "nothing" });
		const session = ended();
		expect(session.delete().effects).toEqual([
			"stopRuns",
			"keepGeneration",
			"keepMessages",
			"closeGenerations",
			"reply",
		]);
		const before = session.facts;
		expect(session.delete().reply).toEqual({ result: "nothing" });
		expect(session.facts).toBe(before);
	});

	test("of another session than is expected deletes nothing", () => {
		const session = ended();
		const before = session.facts;
		expect(session.delete({ expect: { sessionId: "S9" } }).reply).toEqual({
			result: "stale",
			mismatch: "sessionId",
		});
		expect(session.facts).toBe(before);
	});

	test("of what was deleted may still erase it, hurry what drains, and drop what waits", () => {
		const erased = ended();
		erased.delete();
		const purge = erased.delete({ purge: true });
		expect(purge.reply).toEqual({ result: "done" });
		expect(purge.of("purge")).toEqual([{ sessionKey: "k", before: 2 }]);
		expect(erased.facts.purgeBefore).toBeNull();
		expect(erased.snapshot.value).toBe("idle");

		const drains = running();
		drains.delete({ deadline: 9000, hook: true });
		const hurried = drains.delete({ deadline: 7000 });
		expect(hurried.effects).toEqual([
			"stopRuns",
			"keepMessages",
			"closeGenerations",
			"reply",
		]);
		expect(hurried.of("stopRuns")).toMatchObject([
			[{ stop: { deadline: 7000 } }],
		]);
		expect(hurried.of("closeGenerations")).toMatchObject([
			[{ generation: 1, deadline: 7000 }],
		]);
		expect(drains.snapshot.value).toBe("resetting");
		drains.step({ type: "closed", generation: 1 });
		const [left] = drains.facts.draining;
		expect(drains.settled(ticketOf(left?.run as never)).effects).toEqual([
			"keepRuns",
			"keepGeneration",
		]);

		const waits = running();
		waits.message("m2");
		waits.delete({ queued: "keep" });
		expect(waiting(waits)).toEqual(["m2"]);
		const dropped = waits.delete();
		expect(dropped.of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m2" }, fate: "removed" }],
		]);
		expect(waiting(waits)).toEqual([]);
	});

	test("erases nothing unless it was to, and nothing before all has drained", () => {
		const kept = running();
		const old = live(kept);
		kept.delete();
		expect(kept.settled(old).effects).not.toContain("purge");
		const erased = running();
		const ticket = live(erased);
		erased.delete({ purge: true, hook: true });
		expect(erased.settled(ticket).effects).not.toContain("purge");
		expect(erased.step({ type: "closed", generation: 1 }).of("purge")).toEqual([
			{ sessionKey: "k", before: 2 },
		]);
	});

	test("leaves what waits where it is until somebody uses the key again", () => {
		const session = running();
		const old = live(session);
		session.message("m2");
		session.delete({ queued: "keep" });
		session.settled(old, "completed", { grant: "r2" });
		expect(session.facts.run).toBeNull();
		expect(waiting(session)).toEqual(["m2"]);
	});
});

describe("the host's own fields", () => {
	const patch = (session: Stepper, more: object = {}) =>
		session.step({ type: "patch", patch: { a: 1 }, ...more });

	test("are patched where there is a session, and it is the one that is expected", () => {
		const session = ended();
		expect(patch(session).reply).toEqual({ result: "done" });
		expect(session.facts.meta).toEqual({ a: 1 });
		const before = session.facts;
		expect(patch(session, { expect: { generation: 2 } }).reply).toEqual({
			result: "stale",
			mismatch: "generation",
		});
		expect(session.facts).toBe(before);
		for (const hidden of [new Stepper(), session]) {
			hidden.delete();
			const facts = hidden.facts;
			expect(patch(hidden).reply).toEqual({ result: "nothing" });
			expect(hidden.facts).toBe(facts);
		}
	});

	test("are not patched by what a schema said of older ones", () => {
		const session = ended();
		patch(session);
		const before = session.facts;
		expect(patch(session, { seen: {} }).reply).toEqual({ result: "moved" });
		expect(session.facts).toBe(before);
		expect(patch(session, { seen: { a: 1 } }).reply).toEqual({
			result: "done",
		});
	});
});

describe("an import", () => {
	const imported = (session: Stepper) =>
		session.step({
			type: "import",
			sessionId: "old",
			meta: { from: "elsewhere" },
			inputTokens: 3,
			outputTokens: 4,
			createdAt: 1,
			updatedAt: 2,
		});

	test("fills a key that nobody has ever used, and no other", () => {
		const session = new Stepper();
		expect(imported(session).reply).toEqual({ result: "done" });
		expect(rowOf(session.facts)).toMatchObject({
			sessionId: "old",
			meta: { from: "elsewhere" },
			totalTokens: 7,
		});
		const deleted = ended();
		deleted.delete();
		for (const used of [session, running(), ended(), deleted]) {
			const before = used.facts;
			expect(imported(used).reply).toEqual({ result: "nothing" });
			expect(used.facts).toBe(before);
		}
	});
});
