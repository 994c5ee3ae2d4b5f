/** `checkHistory`: what no session that serves one call at a time can have answered is found, and said so that people see why. */
import type { RunTicket, SessionRow } from "turnkeeper";
import { checkHistory, type HistoryCall } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";

const ticket = (runId: string, generation = 1): RunTicket => ({
	sessionKey: "k",
	sessionId: `S${generation}`,
	generation,
	runId,
	attempt: 1,
});

type Calls = {
	[Name in HistoryCall["call"]]: Extract<HistoryCall, { call: Name }>;
};

/** A call on k; times are when it was called and answered. */
function call<Name extends HistoryCall["call"]>(
	name: Name,
	[invokedAt, answeredAt]: readonly [number, number | null],
	given: Calls[Name]["given"],
	how: { told?: Calls[Name]["told"]; error?: string } = {},
): HistoryCall {
	return {
		key: "k",
		call: name,
		given,
		invokedAt,
		answeredAt,
		...how,
	} as HistoryCall;
}

const sent = (
	messageId: string,
	times: readonly [number, number | null],
	disposition: "started" | "queued" | "duplicate",
	runId?: string,
) =>
	call(
		"send",
		times,
		{ input: messageId, messageId },
		{
			told: {
				disposition,
				messageId,
				ticket: runId === undefined ? null : ticket(runId),
			},
		},
	);
const began = (runId: string, messageId: string, at: number, generation = 1) =>
	call(
		"run.began",
		[0, at],
		{ ticket: ticket(runId, generation), messageIds: [messageId] },
		{ told: null },
	);
const ended = (runId: string, times: readonly [number, number]) =>
	call(
		"run.ended",
		times,
		{ ticket: ticket(runId), outcome: "completed" },
		{ told: { outcome: "completed" } },
	);
const patched = (
	times: readonly [number, number | null],
	meta: { readonly [name: string]: number },
	row?: Partial<SessionRow>,
) =>
	call("patch", times, { meta }, row ? { told: { result: "done", row } } : {});
const got = (
	times: readonly [number, number],
	row: Partial<SessionRow> | null,
) => call("get", times, {}, { told: row });
const reset = (times: readonly [number, number], generation: number) =>
	call(
		"reset",
		times,
		{},
		{ told: { result: "done", row: { generation, status: "idle" } } },
	);

function impossible(calls: readonly HistoryCall[]) {
	const verdict = checkHistory(calls);
	if (verdict.result !== "impossible")
		throw new Error(`it was found to be ${verdict.result}`);
	return verdict;
}

describe("a history that can be ordered", () => {
	test("is ordered as it was served, not as it was called", () => {
		const first = reset([1, 6], 1);
		const second = patched([2, 5], { a: 1 }, { version: 3, meta: { a: 1 } });
		const third = patched([3, 4], { b: 1 }, { version: 2, meta: { b: 1 } });
		expect(
			checkHistory([
				{
					...second,
					told: { result: "done", row: { meta: { a: 1, b: 1 } } },
				} as HistoryCall,
				first,
				third,
			]),
		).toMatchObject({
			result: "ordered",
			orders: { k: [{ invokedAt: 1 }, { invokedAt: 3 }, { invokedAt: 2 }] },
		});
	});

	test("is one of each key for itself, whatever the keys are called", () => {
		const calls = ["a", "__proto__"].map((key) => ({
			...reset([1, 2], 1),
			key,
		}));
		const verdict = checkHistory(calls);
		expect(verdict.result).toBe("ordered");
		expect(verdict.result === "ordered" && Object.keys(verdict.orders)).toEqual(
			["a", "__proto__"],
		);
	});

	test("may have calls that nobody was answered: they took effect, or they did not", () => {
		const open = patched([3, null], { a: 1 });
		for (const meta of [{ a: 1 }, {}])
			expect(
				checkHistory([reset([1, 2], 1), open, got([4, 5], { meta })]).result,
			).toBe("ordered");
	});

	test("may have calls in doubt, which take effect before they are answered or never", () => {
		const doubtful = patched([3, 4], { a: 1 });
		const calls = [reset([1, 2], 1), doubtful, got([5, 6], { meta: {} })];
		expect(checkHistory(calls).result).toBe("ordered");
		impossible([...calls, got([7, 8], { meta: { a: 1 } })]);
	});

	test("names runs and sessions as the engine did", () => {
		expect(
			checkHistory([
				sent("m1", [1, 2], "started", "R"),
				began("R", "m1", 3),
				call(
					"run.rotate",
					[4, 5],
					{ ticket: ticket("R") },
					{ told: { ...ticket("R"), sessionId: "S1b" } },
				),
				got([6, 7], {
					sessionId: "S1b",
					activeRun: { ...ticket("R"), sessionId: "S1b" },
				}),
				ended("R", [8, 9]),
				got([10, 11], { status: "ended", sessionId: "S1b" }),
			]).result,
		).toBe("ordered");
	});

	test("may name by a report the session id that nobody was told of, or one that never was", () => {
		const calls = (sessionId: string, verdict: "applied" | "refused") => [
			call("admit", [1, 2], { runId: "R" }, { told: { ticket: ticket("R") } }),
			call("run.rotate", [3, 4], { ticket: ticket("R") }),
			call(
				"report",
				[5, 6],
				{ ...ticket("R"), sessionId, phase: "end" },
				{ told: { verdict } },
			),
			got([7, 8], { sessionId: "S1b" }),
		];
		expect(checkHistory(calls("S1b", "applied")).result).toBe("ordered");
		expect(checkHistory(calls("S0", "refused")).result).toBe("ordered");
		impossible(calls("S0", "applied"));
	});

	test("may have a delivery that is asked for again because nobody knows whether its intent was stored", () => {
		const deliver = (times: readonly [number, number], told?: string) =>
			call(
				"run.deliver",
				times,
				{ ticket: ticket("R"), name: "reply" },
				told === undefined ? {} : { told },
			);
		const calls = [
			sent("m1", [1, 2], "started", "R"),
			began("R", "m1", 3),
			deliver([4, 5]),
			deliver([6, 7], "sent"),
		];
		for (const version of [3, 4])
			expect(checkHistory([...calls, got([8, 9], { version })]).result).toBe(
				"ordered",
			);
		impossible([...calls, got([8, 9], { version: 5 })]);
	});

	test("may show the handle of a run under the session id that a later call gave it", () => {
		const told = { ticket: { ...ticket("R"), sessionId: "given" } };
		expect(
			checkHistory([
				reset([-1, 0], 1),
				got([1, 2], { sessionId: "S1" }),
				call("admit", [3, 6], { runId: "R", reserve: true }, { told }),
				call("admit", [4, 5], { runId: "R", sessionId: "given" }, { told }),
				got([7, 8], { version: 3, sessionId: "given" }),
			]).result,
		).toBe("ordered");
	});

	test("may be cut by a crash: what was not answered may hold, and what ran is interrupted", () => {
		const calls = [
			sent("m1", [1, 2], "started", "R"),
			began("R", "m1", 3),
			patched([4, 6], { a: 1 }),
			call("restart", [6, 7], {}, { told: null }),
			got([8, 9], { status: "ended", lastOutcome: "interrupted" }),
		];
		expect(checkHistory(calls).result).toBe("ordered");
		impossible([...calls, got([10, 11], { lastOutcome: "completed" })]);
	});
});

describe("what no order explains", () => {
	test("two runs at once", () => {
		const { call: culprit, explanation } = impossible([
			sent("m1", [1, 2], "started", "R1"),
			began("R1", "m1", 3),
			sent("m2", [4, 5], "queued"),
			began("R2", "m2", 6),
			ended("R1", [7, 8]),
		]);
		expect(culprit).toMatchObject({ call: "run.began", answeredAt: 6 });
		expect(explanation).toContain("run.began");
		expect(explanation).toContain("R1 (generation 1");
	});

	test("a reset whose result a later get does not see", () => {
		const {
			call: culprit,
			prefix,
			explanation,
		} = impossible([
			reset([1, 2], 1),
			reset([3, 4], 2),
			got([5, 6], { generation: 1 }),
			patched([7, 8], { a: 1 }, { generation: 2 }),
		]);
		expect(culprit).toMatchObject({ call: "get" });
		// What came after it is not part of the proof.
		expect(prefix.map((one) => one.call)).toEqual(["reset", "reset", "get"]);
		expect(explanation).toMatchInlineSnapshot(`
			"No order of the calls on "k" explains this answer:
			  get({}) was told {generation: 1}

			The 3 calls until then, with when each was called and answered:
			     1 – 2    reset({}) → {result: "done", row: {generation: 1, status: "idle"}}
			     3 – 4    reset({}) → {result: "done", row: {generation: 2, status: "idle"}}
			     5 – 6    get({}) → {generation: 1}

			The longest order that holds:
			  reset({})
			  the end of reset({})
			  reset({})
			  the end of reset({})
			which leaves the session at {sessionId: "‹session 1›", generation: 2, status: "idle", activeRun: null, lastOutcome: null, lastError: null, inputTokens: 0, outputTokens: 0, queued: 0, draining: 0, meta: {}, version: 2}
			where it would be told {sessionId: "‹session 1›", generation: 2, status: "idle", activeRun: null, lastOutcome: null, lastError: null, inputTokens: 0, outputTokens: 0, queued: 0, draining: 0, meta: {}, version: 2}"
		`);
	});

	test("a message that is taken twice", () => {
		const { call: culprit } = impossible([
			sent("m1", [1, 2], "started", "R1"),
			began("R1", "m1", 3),
			ended("R1", [4, 5]),
			began("R2", "m1", 6),
		]);
		expect(culprit).toMatchObject({ call: "run.began", answeredAt: 6 });
	});

	test("a run that begins twice", () => {
		impossible([
			sent("m1", [1, 2], "started", "R1"),
			began("R1", "m1", 3),
			began("R1", "m1", 4),
		]);
	});

	test("a lost update", () => {
		const { call: culprit } = impossible([
			reset([1, 2], 1),
			patched([3, 5], { a: 1 }, { meta: { a: 1 } }),
			patched([4, 6], { b: 1 }, { meta: { b: 1 } }),
		]);
		expect(culprit).toMatchObject({ given: { meta: { b: 1 } } });
	});

	test("a version that two changes share", () => {
		impossible([
			reset([1, 2], 1),
			patched([3, 5], { a: 1 }, { version: 2 }),
			patched([4, 6], { a: 1 }, { version: 2 }),
		]);
	});

	test("something of a call that was told that nothing of it holds", () => {
		impossible([
			reset([1, 2], 1),
			call("patch", [3, 4], { meta: { a: 1 } }, { error: "STORE_FAILED" }),
			got([5, 6], { meta: { a: 1 } }),
		]);
	});

	test("an answer that is older than one that was given before", () => {
		impossible([
			reset([1, 2], 1),
			patched([3, 8], { a: 1 }, { meta: { a: 1 } }),
			got([4, 5], { meta: { a: 1 } }),
			got([6, 7], { meta: {} }),
		]);
	});

	test("a refusal without a reason", () => {
		const { explanation } = impossible([
			reset([1, 2], 1),
			call("admit", [3, 4], { runId: "R" }, { error: "SESSION_BUSY" }),
		]);
		expect(explanation).toContain("was told SESSION_BUSY");
	});

	test("a late report of an old generation that is applied to the new one", () => {
		impossible([
			call("admit", [1, 2], { runId: "R" }, { told: { ticket: ticket("R") } }),
			call(
				"abort",
				[3, 8],
				{},
				{ told: { result: "done", report: { drained: [{ runId: "R" }] } } },
			),
			call(
				"report",
				[4, 5],
				{ runId: "R", sessionKey: "k", phase: "end" },
				{ told: { verdict: "applied" } },
			),
			reset([9, 10], 2),
			call(
				"report",
				[11, 12],
				{ runId: "R", sessionKey: "k", phase: "end" },
				{ told: { verdict: "applied" } },
			),
		]);
	});

	test("a reset that says that it is over while what it stopped drains", () => {
		impossible([
			call("admit", [1, 2], { runId: "R" }, { told: { ticket: ticket("R") } }),
			reset([3, 4], 2),
			call(
				"report",
				[5, 6],
				{ runId: "R", sessionKey: "k", phase: "end" },
				{ told: { verdict: "archived" } },
			),
		]);
	});
});

test("a search that takes too long is given up, and says so", () => {
	const calls = Array.from({ length: 12 }, (_, i) =>
		patched([i, 100], { [`f${i}`]: i }, {}),
	);
	const verdict = checkHistory(
		[{ ...reset([-2, -1], 1) }, ...calls, got([101, 102], { version: 99 })],
		{ limit: 500 },
	);
	expect(verdict).toMatchObject({ result: "undecided", call: null });
	expect(verdict.result !== "ordered" && verdict.explanation).toMatch(
		/not found out within 500 configurations/,
	);
});

test("an answer before its call is a bad argument", () => {
	expect(() => checkHistory([reset([2, 1], 1)])).toThrow(
		/answeredAt of a reset on "k" is 1, and it was invoked at 2/,
	);
});
