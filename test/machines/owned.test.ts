/** The bare machine: what a run may ask for in its own name, until when, and what nobody else may. */
import {
	type MessageFate,
	type OverlapMode,
	type QueuedMessage,
	rowOf,
} from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { live, policy, Stepper } from "./stepper.ts";

function running(): Stepper {
	const session = new Stepper();
	session.message("m1");
	return session;
}

function waiting(...names: string[]): Stepper {
	const session = running();
	for (const name of names)
		session.step({ type: "wait", ticket: live(session), name, deadline: null });
	return session;
}

const stale = { result: "stale", mismatch: "runId" };
const settledState = (session: Stepper) => session.snapshot.value;

describe("what a run asks for", () => {
	const asks = {
		rotate: { sessionId: "S9" },
		append: { entry: "said" },
		wait: { name: "w", deadline: null },
		deliver: { name: "d" },
		pull: {},
		alive: {},
	};

	for (const [type, more] of Object.entries(asks)) {
		const ask = (session: Stepper, ticket: object) =>
			session.step({ type: type as never, ticket, ...more });

		test(`${type}: nobody's ticket but its own does anything`, () => {
			for (const session of [running(), waiting("other")]) {
				const ticket = live(session);
				const before = session.facts;
				for (const wrong of [
					{ attempt: 2 },
					{ generation: 2 },
					{ runId: "other" },
				]) {
					const { reply } = ask(session, { ...ticket, ...wrong });
					expect(reply).toEqual(type === "alive" ? undefined : stale);
				}
				expect(session.facts).toBe(before);
			}
		});

		test(`${type}: nothing of a run that has settled, or whose generation has ended`, () => {
			const ended = running();
			const old = live(ended);
			ended.settled(old);
			const reset = running();
			reset.reset("S2");
			for (const session of [ended, reset]) {
				const before = session.facts;
				expect(ask(session, old).reply).toEqual(
					type === "alive" ? undefined : stale,
				);
				expect(session.facts).toBe(before);
			}
		});

		const isKept = type === "append" || type === "alive";
		test(`${type}: ${isKept ? "also" : "not"} once it was told to stop`, () => {
			const session = running();
			session.abort();
			const before = session.facts;
			const { reply } = ask(session, live(session));
			if (type === "append") expect(reply).toEqual({ result: "done" });
			else expect(reply).toEqual(type === "alive" ? undefined : stale);
			if (isKept) expect(session.facts.version).toBe(before.version + 1);
			else expect(session.facts).toBe(before);
		});
	}

	test("is done and shown to those who watch", () => {
		const session = running();
		const ticket = live(session);
		const rotate = session.step({ type: "rotate", ticket, sessionId: "S9" });
		expect(rotate.effects).toEqual(["showRun", "reply"]);
		expect(session.facts.run?.sessionIds).toEqual(["S1", "S9"]);
		const append = session.step({ type: "append", ticket, entry: "said" });
		expect(append.effects).toEqual(["keepEntry", "reply"]);
		expect(append.of("keepEntry")).toMatchObject([
			{ seq: 1, sessionId: "S9", runId: "run-m1", entry: "said" },
		]);
		expect(
			session.step({ type: "append", ticket, entry: "more" }).of("keepEntry"),
		).toMatchObject([{ seq: 2 }]);
		expect(session.step({ type: "alive", ticket }).effects).toEqual([]);
		expect(session.facts.run?.seenAt).toBe(session.at);
	});
});

describe("a wait", () => {
	const answer = (session: Stepper, name: string, more: object = {}) =>
		session.step({
			type: "answer",
			ticket: { runId: "run-m1", generation: 1, ...more },
			name,
			value: `to ${name}`,
		});

	test("suspends its run until it is answered, and says so", () => {
		const session = running();
		const { effects } = session.step({
			type: "wait",
			ticket: live(session),
			name: "a",
			deadline: null,
		});
		expect(effects).toEqual(["showRun", "reply"]);
		expect(settledState(session)).toBe("waiting");
		const { reply, effects: told } = answer(session, "a");
		expect(told).toEqual(["showRun", "reply"]);
		expect(reply).toEqual({ result: "done" });
		expect(settledState(session)).toBe("running");
		expect(session.facts.run?.answers).toEqual([{ name: "a", value: "to a" }]);
	});

	test("of several, the last answer lets the run go on", () => {
		const session = waiting("a", "b");
		expect(answer(session, "a").reply).toEqual({ result: "done" });
		expect(settledState(session)).toBe("waiting");
		expect(answer(session, "b").reply).toEqual({ result: "done" });
		expect(settledState(session)).toBe("running");
	});

	test("that was answered or never open has nothing to answer; another run's is stale", () => {
		for (const session of [waiting("a", "b"), running()]) {
			answer(session, "a");
			const before = session.facts;
			expect(answer(session, "a").reply).toEqual({ result: "nothing" });
			expect(answer(session, "never").reply).toEqual({ result: "nothing" });
			expect(answer(session, "b", { runId: "other" }).reply).toEqual(stale);
			expect(answer(session, "b", { generation: 2 }).reply).toEqual({
				result: "stale",
				mismatch: "generation",
			});
			expect(session.facts).toBe(before);
		}
	});

	test("of a run that was told to stop is answered no more", () => {
		const session = waiting("a");
		session.abort();
		const before = session.facts;
		expect(answer(session, "a").reply).toEqual({ result: "nothing" });
		expect(session.facts).toBe(before);
	});

	test("of a run that the process takes down with it is answered for its next attempt", () => {
		const session = waiting("a");
		session.abort({ cause: "shutdown" });
		expect(answer(session, "a").reply).toEqual({ result: "done" });
		expect(settledState(session)).toBe("aborting");
		expect(session.facts.run?.answers).toHaveLength(1);
	});

	test("that is given up lets the run go on if it was the last", () => {
		const session = waiting("a", "b");
		const ticket = live(session);
		const unwait = (name: string, more: object = {}) =>
			session.step({ type: "unwait", ticket: { ...ticket, ...more }, name });
		const before = session.facts;
		unwait("a", { attempt: 2 });
		expect(session.facts).toBe(before);
		expect(unwait("a").effects).toEqual([]);
		expect(settledState(session)).toBe("waiting");
		expect(session.facts.run?.waits).toMatchObject([{ name: "b" }]);
		const last = session.facts;
		unwait("b", { attempt: 2 });
		expect(session.facts).toBe(last);
		expect(unwait("b").effects).toEqual(["showRun"]);
		expect(settledState(session)).toBe("running");
		expect(session.facts.run?.waits).toEqual([]);
	});

	test("asked for again after its answer is known at once", () => {
		const session = waiting("a");
		answer(session, "a");
		const before = session.facts;
		const { reply } = session.step({
			type: "wait",
			ticket: live(session),
			name: "a",
			deadline: null,
		});
		expect(reply).toEqual({ result: "known", value: "to a" });
		expect(session.facts).toBe(before);
	});
});

describe("a delivery", () => {
	const deliver = (session: Stepper, name = "d") =>
		session.step({ type: "deliver", ticket: live(session), name });

	test("begins once per name and attempt, and keeps its result", () => {
		const session = running();
		const ticket = live(session);
		const { effects, reply } = deliver(session);
		expect(effects).toEqual(["showRun", "reply"]);
		expect(reply).toEqual({ result: "done" });
		expect(session.facts.run?.deliveries).toMatchObject([
			{ name: "d", status: "begun" },
		]);
		const before = session.facts;
		expect(deliver(session).reply).toEqual({ result: "used" });
		expect(session.facts).toBe(before);
		expect(deliver(session, "e").reply).toEqual({ result: "done" });
		const noted = session.step({
			type: "delivered",
			ticket,
			name: "d",
			status: "done",
			result: 7,
		});
		expect(noted.effects).toEqual([]);
		expect(session.facts.run?.deliveries).toContainEqual({
			name: "d",
			attempt: 1,
			status: "done",
			result: 7,
		});
	});

	test("that ended is noted with the run that owns it, live or draining, and with no other", () => {
		const session = running();
		const ticket = live(session);
		deliver(session);
		const delivered = (more: object = {}) =>
			session.step({
				type: "delivered",
				ticket: { ...ticket, ...more },
				name: "d",
				status: "done",
				result: 7,
			});
		const before = session.facts;
		delivered({ attempt: 2 });
		expect(session.facts).toBe(before);
		session.reset("S2");
		delivered();
		expect(session.facts.draining).toMatchObject([
			{ run: { deliveries: [{ status: "done" }] } },
		]);
		session.settled(ticket);
		const settled = session.facts;
		delivered();
		expect(session.facts).toBe(settled);
	});
});

describe("a run that died", () => {
	const messageOf = (session: Stepper): QueuedMessage => ({
		messageId: "m1",
		input: "m1",
		acceptedAt: session.at,
		generation: 1,
		seq: 1,
		expect: null,
		order: 1,
		front: null,
		group: null,
		steers: null,
		skipped: [],
		parent: null,
		edited: false,
	});
	const die = (session: Stepper, more: object = {}, ticket = live(session)) =>
		session.settled(ticket, "interrupted", {
			retry: {
				messages: [messageOf(session)],
				maxAttempts: 2,
				maxAgeMs: 1000,
				...more,
			},
			grant: "fresh",
		});

	test("is tried again under its name, its transcript hidden, its deliveries and answers known", () => {
		const session = running();
		const ticket = live(session);
		session.step({ type: "deliver", ticket, name: "d" });
		session.step({
			type: "delivered",
			ticket,
			name: "d",
			status: "done",
			result: 7,
		});
		session.step({ type: "deliver", ticket, name: "e" });
		const { effects, of } = die(session);
		expect(effects).toEqual([
			"keepRuns",
			"hideEntries",
			"keepMessages",
			"startRun",
		]);
		expect(of("keepRuns")).toMatchObject([[{ outcome: "interrupted" }]]);
		expect(of("hideEntries")).toMatchObject([
			[{ runId: "run-m1", attempt: 1 }],
		]);
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m1" }, fate: "queued" }],
		]);
		expect(session.facts.run).toMatchObject({
			runId: "run-m1",
			attempt: 2,
			messageIds: ["m1"],
		});
		expect(session.facts.retries).toEqual([]);
		const again = live(session);
		const deliver = (name: string) =>
			session.step({ type: "deliver", ticket: again, name });
		expect(deliver("d").reply).toEqual({ result: "known", value: 7 });
		expect(deliver("e").reply).toEqual({ result: "done" });
		expect(deliver("d").reply).toEqual({ result: "used" });
		// Its old ticket is nobody's.
		const before = session.facts;
		die(session, {}, ticket);
		expect(session.facts).toBe(before);
	});

	test("is not tried again without need, or more often or later than it may", () => {
		const completed = running();
		completed.settled(live(completed), "completed", {
			retry: {
				messages: [messageOf(completed)],
				maxAttempts: 2,
				maxAgeMs: 1000,
			},
		});
		const often = running();
		die(often, { maxAttempts: 1 });
		const late = running();
		late.at += 2000;
		die(late, {
			messages: [{ ...messageOf(late), acceptedAt: late.at - 1500 }],
		});
		const aborted = running();
		aborted.abort();
		die(aborted);
		for (const session of [completed, often, late, aborted]) {
			expect(session.facts.run).toBeNull();
			expect(session.facts.queue).toEqual([]);
			expect(session.facts.retries).toEqual([]);
		}
	});

	test("because its process closed is tried again, though it was told to stop", () => {
		const session = running();
		session.abort({ cause: "shutdown" });
		die(session);
		expect(session.facts.run).toMatchObject({ runId: "run-m1", attempt: 2 });
	});

	test("while it waited waits for nothing in its next attempt, until it asks again", () => {
		const session = waiting("a");
		die(session);
		expect(settledState(session)).toBe("running");
		expect(rowOf(session.facts).waits).toEqual([]);
		session.step({
			type: "wait",
			ticket: live(session),
			name: "a",
			deadline: null,
		});
		expect(settledState(session)).toBe("waiting");
	});

	/** A run that died and waits to be tried again, with a wait and a delivery that are open. */
	function dead() {
		const session = waiting("a");
		const ticket = live(session);
		session.step({ type: "deliver", ticket, name: "d" });
		session.settled(ticket, "interrupted", {
			retry: {
				messages: [messageOf(session)],
				maxAttempts: 2,
				maxAgeMs: 1000,
			},
		});
		expect(session.facts.retries).toMatchObject([{ runId: "run-m1" }]);
		return { session, ticket };
	}

	test("still waits for its turn when something else came before it", () => {
		const { session } = dead();
		session.message("m2", { policy: { ...policy, mode: "interrupt" } });
		expect(session.facts).toMatchObject({
			run: { runId: "run-m2" },
			queue: [{ messageId: "m1" }],
			retries: [{ runId: "run-m1" }],
		});
		session.settled(live(session), "completed", { grant: "fresh" });
		expect(session.facts.run).toMatchObject({ runId: "run-m1", attempt: 2 });
	});

	test("takes all its messages again, where those of another stand among them, or its host moved one", () => {
		const session = new Stepper();
		/** A run that takes one message, and a second that steers it, and dies. */
		const dies = (first: string, mode: OverlapMode, second: string) => {
			const took = session
				.message(first, { policy: { ...policy, mode } })
				.of("startRun") as { messages: readonly QueuedMessage[] }[];
			const steers = session
				.message(second, { policy: { ...policy, mode: "steer" } })
				.of("keepMessages") as MessageFate[][];
			session.step({ type: "pull", ticket: live(session) });
			const messages = [
				...took.flatMap(({ messages }) => messages),
				...steers.flat().map(({ message }) => message),
			];
			session.settled(live(session), "interrupted", {
				retry: { messages, maxAttempts: 2, maxAgeMs: 1000 },
			});
		};
		dies("a1", "enqueue", "a2");
		dies("b1", "interrupt", "b2");
		session.step({ type: "edit", messageId: "b2", before: "a2" });

		for (const [runId, ...messageIds] of [
			["run-a1", "a1", "a2"],
			["run-b1", "b2", "b1"],
		]) {
			const { of } = session.step({ type: "take", grant: "fresh" });
			expect(session.facts.run).toMatchObject({ runId, messageIds });
			expect(of("startRun")).toMatchObject([
				{ messages: messageIds.map((messageId) => ({ messageId })) },
			]);
			session.settled(live(session), "completed");
		}
		expect(session.facts).toMatchObject({ queue: [], retries: [] });
	});

	test("is not meant by an abort of the run that is live, nor by what that delivers", () => {
		const { session, ticket } = dead();
		session.admit("A");
		session.step({ type: "deliver", ticket: live(session), name: "d" });
		session.step({
			type: "delivered",
			ticket,
			name: "d",
			status: "done",
			result: 7,
		});
		expect(session.facts).toMatchObject({
			run: { deliveries: [{ status: "begun" }] },
			retries: [{ deliveries: [{ status: "done" }] }],
		});
		session.abort();
		expect(session.facts).toMatchObject({
			run: { runId: "A", stop: { cause: "abort" } },
			queue: [{ messageId: "m1" }],
			retries: [{ runId: "run-m1" }],
		});
	});

	test("has used what is said only now", () => {
		// Else its next attempt would begin from, and its end would file, a record that is older than the one in the store.
		const { session, ticket } = dead();
		session.step({ type: "usage", ticket, inputTokens: 3, outputTokens: 4 });
		expect(session.facts).toMatchObject({
			inputTokens: 3,
			retries: [{ inputTokens: 3, outputTokens: 4 }],
		});
	});

	test("is taken back by an abort, alone; and by a reset, whatever that keeps", () => {
		const aborted = dead().session;
		aborted.message("m2", { grant: null });
		const { effects, of, reply } = aborted.abort();
		expect(effects).toEqual(["keepMessages", "reply"]);
		expect(of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m1" }, fate: "removed" }],
		]);
		expect(reply).toEqual({ result: "done" });
		expect(aborted.facts).toMatchObject({
			queue: [{ messageId: "m2" }],
			retries: [],
		});
		const reset = dead().session;
		reset.message("m2", { grant: null });
		expect(reset.reset("S2").of("keepMessages")).toMatchObject([
			[{ message: { messageId: "m1" }, fate: "removed" }],
		]);
		expect(reset.facts).toMatchObject({
			queue: [{ messageId: "m2" }],
			retries: [],
		});
	});

	test("and waits to be tried again may still be answered, and learn how a delivery ended", () => {
		const { session, ticket } = dead();
		const answer = session.step({
			type: "answer",
			ticket,
			name: "a",
			value: "yes",
		});
		expect(answer.reply).toEqual({ result: "done" });
		session.step({
			type: "delivered",
			ticket,
			name: "d",
			status: "done",
			result: 7,
		});
		expect(session.facts.retries).toMatchObject([
			{ answers: [{ value: "yes" }], deliveries: [{ status: "done" }] },
		]);
	});
});
