/**
 * The bare machine under events in random order, in and out of turn: whatever comes, the chart stands where its facts say, a snapshot
 * made of the facts goes on as the one that was there, and what a row says of its session is consistent.
 * A failing seed is its own replay: SEED=17 npx vitest run test/machines/walk.test.ts
 */
import {
	type RunFacts,
	rowOf,
	type SessionEvent,
	type SessionFacts,
	sessionMachine,
	stateOf,
	ticketOf,
} from "turnkeeper/machines";
import { describe, expect, test } from "vitest";
import { getInitialSnapshot, transition } from "xstate";
import { generator } from "../../src/testing/random.ts";
import { seedsOf } from "../support/seeds.ts";

type Snapshot = ReturnType<typeof getInitialSnapshot<typeof sessionMachine>>;

const modes = [
	"reject",
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
] as const;

describe("a walk through the session machine", () => {
	test.each(seedsOf(150))("seed %i", (seed) => {
		walk(seed);
	});
});

function walk(seed: number): void {
	const random = generator(seed);
	const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
	let snapshot: Snapshot = getInitialSnapshot(sessionMachine, {
		sessionKey: "k",
	});
	const met: RunFacts[] = [];
	let at = 1000;
	let count = 0;

	const event = (facts: SessionFacts): SessionEvent => {
		count += 1;
		const known = [
			...(facts.run ? [facts.run, facts.run] : []),
			...facts.draining.map(({ run }) => run),
			...facts.reservations,
			...met.slice(-4),
		];
		const run = known.length > 0 ? pick(known) : null;
		const ticket = run
			? ticketOf(run)
			: {
					sessionKey: "k",
					sessionId: "S0",
					generation: 1,
					runId: "none",
					attempt: 1,
				};
		const common = {
			at,
			grant: random(3) > 0 ? `run${count}` : null,
			version: facts.version,
		};
		const waiting = facts.queue.map(({ messageId }) => messageId);
		const messageId = waiting.length > 0 ? pick(waiting) : "m0";
		const expect = pick([
			undefined,
			undefined,
			undefined,
			{ generation: facts.generation },
			{ runId: ticket.runId },
			{ messageId },
		]);
		const stop = {
			...common,
			reason: null,
			deadline: at + random(100),
			queued: pick(["keep", "drop"] as const),
			expect,
		};
		const name = pick(["a", "b"]);
		const runMessages = facts.queue.slice(0, 2);
		return pick<() => SessionEvent>([
			message,
			message,
			message,
			() => ({ ...common, type: "take" }),
			() => ({
				...common,
				type: "admit",
				runId: pick(["r1", "r2"]),
				attempt: count,
				reserve: random(2) === 0,
				givenSessionId: pick([null, "S9"]),
				sessionId: "S1",
				leaseMs: pick([null, 50]),
			}),
			() => ({
				...common,
				type: "report",
				report: {
					...ticket,
					phase: pick(["start", "progress", "end", "error"] as const),
					error: "broke",
				} as never,
			}),
			() => ({
				...common,
				type: "settled",
				ticket,
				end: {
					at,
					outcome: pick(["completed", "failed", "interrupted"] as const),
				},
				recovers: random(2) === 0,
				...(random(2)
					? {
							retry: {
								maxAttempts: 3,
								maxAgeMs: 1e6,
								// Of a run that died, the engine has its messages.
								messages: [...taken.values()].filter((one) =>
									run?.messageIds.includes(one.messageId),
								),
							},
						}
					: {}),
			}),
			() => ({ ...common, type: "overdue", ticket }),
			() => ({
				...stop,
				type: "reset",
				cause: pick(["reset", "expiry"] as const),
				sessionId: `S${count}`,
				meta: {},
				hook: random(2) === 0,
			}),
			() => ({
				...stop,
				type: "delete",
				purge: random(2) === 0,
				hook: random(2) === 0,
			}),
			() => ({
				...stop,
				type: "abort",
				cause: pick(["abort", "shutdown", "parent", "timeout"] as const),
				...(random(3) === 0 ? { ticket } : {}),
			}),
			() => ({ ...common, type: "rotate", ticket, sessionId: `S${count}` }),
			() => ({
				...common,
				type: "usage",
				ticket,
				inputTokens: 1,
				outputTokens: 2,
			}),
			() => ({ ...common, type: "patch", patch: { count }, expect }),
			() => ({ ...common, type: "append", ticket, entry: count }),
			() => ({ ...common, type: "wait", ticket, name, deadline: null }),
			() => ({ ...common, type: "wait", ticket, name, deadline: at + 5 }),
			() => ({ ...common, type: "unwait", ticket, name }),
			() => ({ ...common, type: "answer", ticket, name, value: count }),
			() => ({ ...common, type: "deliver", ticket, name }),
			() => ({
				...common,
				type: "delivered",
				ticket,
				name,
				status: pick(["done", "failed"] as const),
				result: null,
			}),
			() => ({ ...common, type: "pull", ticket }),
			() => ({ ...common, type: "alive", ticket }),
			() => ({
				...common,
				type: "edit",
				messageId,
				input: random(2) ? count : undefined,
				before: pick([undefined, null, runMessages[0]?.messageId ?? "m0"]),
			}),
			() => ({ ...common, type: "remove", messageId }),
			() => ({
				...common,
				type: pick(["closed", "postponed"] as const),
				generation: facts.closing[0]?.generation ?? 1,
			}),
		])();

		function message(): SessionEvent {
			return {
				...common,
				type: "message",
				messageId: `m${count}`,
				input: count,
				policy: {
					mode: pick(modes),
					debounceMs: pick([0, 0, 0, 10]),
					capacity: pick([1, 3, 50]),
					onFull: pick(["reject", "drop-oldest"] as const),
				},
				front: pick([null, null, null, "reset"] as const),
				deadline: at + 100,
				sessionId: `S${count}`,
				expect,
			};
		}
	};

	/** What runs have been given, as the engine would remember it. */
	const taken = new Map<string, SessionFacts["queue"][number]>();
	for (let step = 0; step < 120; step++) {
		at += random(12);
		const before = snapshot.context.facts;
		const next = event(before);
		const [after, actions] = transition(sessionMachine, snapshot, next);
		const { facts } = after.context;
		const where = `step ${step}: ${next.type}`;
		expect(after.status, where).toBe("active");
		expect(after.value, where).toBe(stateOf(facts));
		for (const { type, params } of actions as {
			type: string;
			params: {
				run?: RunFacts;
				messages?: SessionFacts["queue"];
				message?: SessionFacts["queue"][number];
			};
		}[]) {
			if (type === "startRun") {
				met.push(params.run as RunFacts);
				for (const one of params.messages ?? []) taken.set(one.messageId, one);
			}
			if (type === "reply" && params.message)
				taken.set(params.message.messageId, params.message);
		}
		expectWhole(before, facts, where);

		// Hydrated from its facts, the session goes on as if it had never left memory.
		const hydrated = sessionMachine.resolveState({
			value: stateOf(before),
			context: { facts: before },
		}) as Snapshot;
		const [again] = transition(sessionMachine, hydrated, next);
		expect(again.value, where).toBe(after.value);
		expect(again.context.facts, where).toEqual(facts);
		snapshot = after;
	}
}

function expectWhole(
	before: SessionFacts,
	facts: SessionFacts,
	where: string,
): void {
	const row = rowOf(facts);
	expect(row.hasActiveRun, where).toBe(facts.run !== null);
	expect(row.waits.length > 0, where).toBe(row.status === "waiting");
	if (facts.run) expect(facts.draining, where).toEqual([]);
	expect(facts.run?.generation ?? facts.generation, where).toBe(
		facts.generation,
	);
	// Generations and versions never go back, and every change is one version.
	expect(facts.generation, where).toBeGreaterThanOrEqual(before.generation);
	expect(facts.version - before.version, where).toBe(facts === before ? 0 : 1);
	const ids = facts.queue.map(({ messageId }) => messageId);
	expect(new Set(ids).size, where).toBe(ids.length);
	const orders = facts.queue.map(({ order }) => order);
	expect(orders, where).toEqual([...orders].sort((a, b) => a - b));
	for (const front of ["reset", "interrupt"])
		expect(
			facts.queue.filter((one) => one.front === front).length,
			where,
		).toBeLessThanOrEqual(1);
	// What is to be tried again stands in line, each message for one run.
	for (const dead of facts.retries)
		expect(
			dead.messageIds.some((id) => ids.includes(id)),
			where,
		).toBe(true);
	// A message that a live run has is in no line.
	for (const id of facts.run?.messageIds ?? [])
		expect(ids, where).not.toContain(id);
}
