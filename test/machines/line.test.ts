/** The line of messages as pure functions: places, groups, what is passed over, and what no sequence of changes can break. */
import fc from "fast-check";
import {
	type JsonValue,
	type OverlapMode,
	type QueuedMessage,
	type RunFacts,
	rowOf,
	type SessionEvent,
	type SessionFacts,
	sessionMachine,
	stateOf,
	ticketOf,
	unusedFacts,
} from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { transition } from "xstate";
import * as line from "../../machines/line.ts";
import { requeue } from "../../machines/retry.ts";

type Arrival = Extract<SessionEvent, { type: "message" }>;

const policy = {
	mode: "enqueue",
	debounceMs: 0,
	capacity: 1000,
	onFull: "reject",
} as const;

function arrival(messageId: string, more: Partial<Arrival> = {}): Arrival {
	return {
		type: "message",
		at: 1000,
		messageId,
		input: messageId,
		policy,
		deadline: 6000,
		sessionId: "S1",
		...more,
	};
}

const by = (mode: OverlapMode): Partial<Arrival> => ({
	policy: { ...policy, mode },
});

/** A session into whose line these came, in this order. */
function lined(...sent: (string | [string, Partial<Arrival>])[]): SessionFacts {
	return sent.reduce<SessionFacts>(
		(facts, one) =>
			line.accept(
				facts,
				typeof one === "string" ? arrival(one) : arrival(...one),
			),
		unusedFacts("k"),
	);
}

const ids = ({ queue }: SessionFacts) =>
	queue.map(({ messageId }) => messageId);

const move = (
	facts: SessionFacts,
	messageId: string,
	before: string | null,
): SessionFacts =>
	line.edit(facts, { type: "edit", at: 1000, messageId, before });

const retried = (facts: SessionFacts, messageIds: string[]): SessionFacts => ({
	...facts,
	queue: facts.queue.map((one) =>
		messageIds.includes(one.messageId) ? { ...one, group: null } : one,
	),
	retries: [{ messageIds, runId: "r" } as unknown as RunFacts],
});

describe("a message that arrives", () => {
	test("stands by its arrival number", () => {
		const facts = lined("a", "b");
		expect(facts.queue.map(({ seq, order }) => [seq, order])).toEqual([
			[1, 1],
			[2, 2],
		]);
		expect(facts.arrivals).toBe(2);
	});

	test("of all that interrupt, the newest stands before all that came without a reset", () => {
		const facts = lined(
			"a",
			["i", by("interrupt")],
			["r", { front: "reset" }],
			["j", by("rollback")],
		);
		expect(ids(facts)).toEqual(["r", "j", "a", "i"]);
		expect(facts.queue.map(({ front }) => front)).toEqual([
			"reset",
			"interrupt",
			null,
			null,
		]);
	});

	test("tells whom it displaces from the front, and nobody else", () => {
		const facts = lined("a", ["i", by("interrupt")], ["r", { front: "reset" }]);
		expect(line.displaced(facts, arrival("b"))).toEqual([]);
		expect(line.displaced(facts, arrival("j", by("interrupt")))).toMatchObject([
			{ messageId: "i", front: null, order: 2 },
		]);
		expect(
			line.displaced(facts, arrival("s", { front: "reset" })),
		).toMatchObject([{ messageId: "r", front: null, order: 3 }]);
	});

	test("passes over the oldest by arrival, wherever they stand", () => {
		const facts = lined("a", "b", ["i", by("interrupt")]);
		const full = arrival("c", {
			policy: { ...policy, capacity: 2, onFull: "drop-oldest" },
		});
		expect(
			line.passedOver(facts, full).map(({ messageId }) => messageId),
		).toEqual(["a", "b"]);
		expect(ids(line.accept(facts, full))).toEqual(["i", "c"]);
	});

	test("carries the ids of the newest hundred that were passed over", () => {
		let facts = unusedFacts("k");
		for (let i = 0; i < 150; i++)
			facts = line.accept(facts, arrival(`m${i}`, by("latest")));
		expect(ids(facts)).toEqual(["m149"]);
		expect(facts.queue[0]?.skipped).toEqual(
			Array.from({ length: 100 }, (_, i) => `m${i + 49}`),
		);
	});

	test("that passes over all messages of a run that was to be tried again calls that off", () => {
		const facts = retried(lined("a", "b"), ["a", "b"]);
		const dropsOne = arrival("c", {
			policy: { ...policy, capacity: 2, onFull: "drop-oldest" },
		});
		expect(line.accept(facts, dropsOne).retries).toHaveLength(1);
		expect(line.accept(facts, arrival("c", by("latest"))).retries).toEqual([]);
	});

	test("to collect does not join the messages of a run that is tried again", () => {
		const facts = retried(lined(["a", by("collect")]), ["a"]);
		const [a, b] = line.accept(facts, arrival("b", by("collect"))).queue;
		expect(b?.group).not.toBe(a?.group);
	});
});

describe("the head of the line", () => {
	const heads = (facts: SessionFacts) =>
		line.headOf(facts).map(({ messageId }) => messageId);

	test("is nothing in an empty line", () => {
		expect(heads(unusedFacts("k"))).toEqual([]);
	});

	test("is one message, or all of its group that follow it", () => {
		expect(heads(lined("a", "b"))).toEqual(["a"]);
		expect(
			heads(lined(["a", by("collect")], ["b", by("collect")], "c")),
		).toEqual(["a", "b"]);
		expect(
			heads(lined(["a", by("collect")], "b", ["c", by("collect")])),
		).toEqual(["a"]);
	});

	test("ends where something was put between", () => {
		const facts = lined(["a", by("collect")], ["b", by("collect")], "c");
		expect(heads(move(facts, "c", "b"))).toEqual(["a"]);
	});
});

describe("an edit", () => {
	test("changes what it says and nothing else", () => {
		const facts = lined("a", "b");
		const after = line.edit(facts, {
			type: "edit",
			at: 1001,
			messageId: "a",
			input: null,
		});
		expect(after.queue[0]).toEqual({
			...facts.queue[0],
			input: null,
			edited: true,
		});
		expect(after.queue[1]).toBe(facts.queue[1]);
		expect(after.version).toBe(facts.version + 1);
	});

	test("before a message at the front ends the front there", () => {
		const facts = lined("a", ["i", by("interrupt")], ["r", { front: "reset" }]);
		const after = move(facts, "a", "i");
		expect(ids(after)).toEqual(["r", "a", "i"]);
		expect(after.queue.map(({ front }) => front)).toEqual([
			"reset",
			null,
			null,
		]);
		const next = line.accept(after, arrival("j", by("interrupt")));
		expect(ids(next)).toEqual(["r", "j", "a", "i"]);
		expect(ids(line.accept(next, arrival("s", { front: "reset" })))).toEqual([
			"s",
			"j",
			"a",
			"i",
			"r",
		]);
	});

	test("behind a message at the front stays behind it when that has to leave", () => {
		const facts = move(lined(["i", by("interrupt")], "a"), "a", null);
		expect(ids(line.accept(facts, arrival("j", by("interrupt"))))).toEqual([
			"j",
			"i",
			"a",
		]);
	});

	test("of a place numbers only that message anew, until there is no number left", () => {
		let facts = lined("a", "b", "x", "y");
		let renumbered = 0;
		for (let i = 0; i < 120; i++) {
			const [, second = ""] = ids(facts);
			const mover = second === "x" ? "y" : "x";
			const before = facts.queue;
			facts = move(facts, mover, second);
			expect(ids(facts).slice(0, 3)).toEqual(["a", mover, second]);
			const changed = facts.queue.filter((one) => !before.includes(one));
			if (changed.length > 1) renumbered += 1;
		}
		expect(renumbered).toBeGreaterThan(0);
		expect(renumbered).toBeLessThan(6);
	});
});

// ── whatever comes, in whatever order

type Step =
	| { do: "arrive"; mode: OverlapMode; front: boolean; full: boolean }
	| { do: "move"; which: number; before: number | null }
	| { do: "input"; which: number; input: JsonValue }
	| { do: "remove"; which: number }
	| { do: "take" }
	| { do: "die" }
	| { do: "putBack" };

const modes: readonly OverlapMode[] = [
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
];

const steps = fc.array(
	fc.oneof(
		{
			weight: 6,
			arbitrary: fc.record({
				do: fc.constant("arrive" as const),
				mode: fc.constantFrom(...modes),
				front: fc.boolean(),
				full: fc.boolean(),
			}),
		},
		{
			weight: 6,
			arbitrary: fc.record({
				do: fc.constant("move" as const),
				which: fc.nat(20),
				before: fc.option(fc.nat(20), { nil: null }),
			}),
		},
		fc.record({
			do: fc.constant("input" as const),
			which: fc.nat(20),
			input: fc.constantFrom<JsonValue>(null, 1, "x"),
		}),
		fc.record({ do: fc.constant("remove" as const), which: fc.nat(20) }),
		fc.constant({ do: "take" as const }),
		{ weight: 3, arbitrary: fc.constant({ do: "die" as const }) },
		fc.constant({ do: "putBack" as const }),
	),
	{ maxLength: 80, size: "max" },
) as fc.Arbitrary<Step[]>;

/** What the steps before came to. */
class Memory {
	count = 0;
	runs = 0;
	taken: QueuedMessage | null = null;
	/** Which run took a message. */
	readonly takers = new Map<string, string>();
}

/** The live run dies with its process, and is to be tried again. */
function died(
	facts: SessionFacts,
	messages: readonly QueuedMessage[],
): SessionFacts {
	const run = facts.run as RunFacts;
	const end = { at: 1000, outcome: "interrupted" } as const;
	return requeue(
		facts,
		{
			type: "settled",
			at: 1000,
			ticket: ticketOf(run),
			end,
			retry: { messages, maxAttempts: 100, maxAgeMs: 1000 },
		},
		{ ...run, outcome: "interrupted" },
	);
}

/** Carries a step out, and says what must hold of it in particular. */
function carryOut(
	facts: SessionFacts,
	step: Step,
	memory: Memory,
): SessionFacts {
	const { queue } = facts;
	const pick = (which: number) => queue[which % queue.length]?.messageId ?? "";
	switch (step.do) {
		case "arrive": {
			memory.count += 1;
			const event = arrival(`m${memory.count}`, {
				policy: {
					...policy,
					mode: step.mode,
					capacity: step.full ? 4 : 1000,
					onFull: "drop-oldest",
				},
				front: step.front ? "reset" : null,
			});
			const after = line.accept(facts, event);
			const at = ids(after).indexOf(event.messageId);
			const first = after.queue[0];
			// A reset first, then what interrupts, then by arrival.
			if (step.front) expect(at).toBe(0);
			else if (line.interrupts(event))
				expect(at).toBe(first?.front === "reset" ? 1 : 0);
			else expect(at).toBe(after.queue.length - 1);
			if (step.full) expect(after.queue.length).toBeLessThanOrEqual(4);
			// What the store is told of the line is all that changed in it.
			const told = line.displaced(facts, event);
			for (const one of after.queue)
				if (one.messageId !== event.messageId && !queue.includes(one))
					expect(told).toContainEqual(one);
			return after;
		}
		case "move": {
			if (queue.length === 0) return facts;
			const messageId = pick(step.which);
			const before = step.before === null ? null : pick(step.before);
			const after = move(facts, messageId, before);
			const others = ids(facts).filter((id) => id !== messageId);
			expect(ids(after).filter((id) => id !== messageId)).toEqual(others);
			if (before === null) expect(ids(after).at(-1)).toBe(messageId);
			else if (before !== messageId)
				expect(ids(after).indexOf(before)).toBe(
					ids(after).indexOf(messageId) + 1,
				);
			return after;
		}
		case "input": {
			if (queue.length === 0) return facts;
			const after = line.edit(facts, {
				type: "edit",
				at: 1000,
				messageId: pick(step.which),
				input: step.input,
			});
			expect(ids(after)).toEqual(ids(facts));
			return after;
		}
		case "remove": {
			if (queue.length === 0) return facts;
			const gone = pick(step.which);
			return line.without(facts, ({ messageId }) => messageId === gone);
		}
		case "take":
		case "die": {
			if (queue.length === 0) return facts;
			memory.runs += 1;
			const run = line.nextRun(facts, { at: 1000, grant: `r${memory.runs}` });
			const head = line.headOf(facts);
			expect(head[0]).toBe(queue[0]);
			expect(run.messageIds).toEqual(head.map(({ messageId }) => messageId));
			for (const id of run.messageIds) {
				expect([undefined, run.runId]).toContain(memory.takers.get(id));
				memory.takers.set(id, run.runId);
			}
			memory.taken = null;
			const running = line.take(facts, run, { at: 1000 });
			if (step.do === "die") return died(running, head);
			memory.taken = head.length === 1 ? (head[0] ?? null) : null;
			return { ...running, run: null };
		}
		case "putBack": {
			const { taken } = memory;
			memory.taken = null;
			if (taken) memory.takers.delete(taken.messageId);
			// Only what steers goes back, and that stands by arrival.
			return taken && taken.front === null
				? line.putBack(facts, [taken])
				: facts;
		}
		default:
			return facts;
	}
}

describe("whatever arrives, is edited, removed and taken", () => {
	test("the line is in order, has nothing twice and one message at most at each front place, and a message has one run", () => {
		fc.assert(
			fc.property(steps, (all) => {
				let facts = unusedFacts("k");
				const memory = new Memory();
				for (const step of all) {
					facts = carryOut(facts, step, memory);
					const { queue } = facts;
					expect(line.inOrder(queue)).toEqual(queue);
					expect(new Set(ids(facts)).size).toBe(queue.length);
					for (const front of ["reset", "interrupt"])
						expect(
							queue.filter((one) => one.front === front).length,
						).toBeLessThanOrEqual(1);
					for (const one of queue) {
						expect(Number.isFinite(one.order)).toBe(true);
						expect(one.skipped.length).toBeLessThanOrEqual(100);
					}
					// A later arrival stands behind all of it.
					expect(queue.every(({ order }) => order < facts.arrivals + 1)).toBe(
						true,
					);
					expect(rowOf(facts).queued).toBe(queue.length);
				}
			}),
			{ numRuns: 500 },
		);
	});

	test("a run is taken by the chart from the same head, whatever stands in line", () => {
		fc.assert(
			fc.property(steps, (all) => {
				let facts: SessionFacts = unusedFacts("k");
				const memory = new Memory();
				for (const step of all) facts = carryOut(facts, step, memory);
				const snapshot = sessionMachine.resolveState({
					value: stateOf(facts),
					context: { facts },
				});
				const [next, actions] = transition(sessionMachine, snapshot, {
					type: "take",
					at: 1000,
					grant: "r",
				});
				const start = actions.find(({ type }) => type === "startRun");
				const { run, queue } = next.context.facts;
				const head = line.headOf(facts);
				if (head.length === 0) expect(start).toBeUndefined();
				else
					expect(start?.params).toMatchObject({
						messages: head,
						run: { messageIds: head.map(({ messageId }) => messageId) },
					});
				expect(queue).toEqual(facts.queue.filter((one) => !head.includes(one)));
				expect(run?.messageIds ?? []).toHaveLength(head.length);
			}),
			{ numRuns: 200 },
		);
	});
});
