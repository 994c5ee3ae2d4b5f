/**
 * Messages of all modes in random order on few sessions, with edits, aborts and resets between them, runs that take what steers them or
 * do not, commits that fail, quiet windows and little room: after all has settled, every message came to one end. A failing seed is its
 * own replay: SEED=17 npx vitest run test/engine/random-modes.test.ts
 */
import type { JsonValue, Message, SendReceipt } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { storeKinds } from "../support/stores.ts";

const seeds = process.env.SEED
	? [Number(process.env.SEED)]
	: Array.from({ length: 60 }, (_, i) => i + 1);
const keys = ["a", "b"];
const modes = [
	"reject",
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
] as const;

for (const [kind, makeStore] of storeKinds)
	describe(`random modes, on ${kind}`, () => {
		for (const seed of seeds)
			test(`seed ${seed}`, async () => {
				await play(seed, new FaultyStore(makeStore()));
			});
	});

async function play(seed: number, store: FaultyStore): Promise<void> {
	const random = generator(seed);
	const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
	const finish: (() => void)[] = [];
	/** How often executors were given a message, by key and id. */
	const given = new Map<string, number>();
	const { runtime, clock, feed } = await startHost(store, {
		graceMs: 40,
		maxResident: 1,
		passivateAfterMs: 10,
		maxConcurrentRuns: pick([1, 2, 9]),
		overlap: (_, { messageId }) => ({
			mode: "enqueue",
			debounceMs: messageId.endsWith("0") ? 25 : 0,
			capacity: 5,
			onFull: messageId.endsWith("5") ? "reject" : "drop-oldest",
		}),
		execute: (run) => {
			const take = ({ messageId }: Message<JsonValue>) => {
				const id = `${run.ticket.sessionKey}/${messageId}`;
				given.set(id, (given.get(id) ?? 0) + 1);
			};
			for (const message of run.messages) take(message);
			if (random(2))
				void (async () => {
					for await (const message of run.steering) take(message);
				})();
			return new Promise<void>((resolve, reject) => {
				if (random(3))
					run.signal.addEventListener("abort", () => reject(run.signal.reason));
				finish.push(() => {
					run.append("said").catch(() => {});
					resolve();
				});
			});
		},
	});
	const accepted = new Map<string, SendReceipt>();
	const answers: Promise<unknown>[] = [];
	const attempt = (what: Promise<unknown>) => {
		answers.push(
			what.catch((error) => {
				expect([
					"SESSION_BUSY",
					"MAILBOX_FULL",
					"STORE_FAILED",
					"STALE_EXPECTATION",
				]).toContain(error.code);
			}),
		);
	};
	let count = 0;
	for (let step = 0; step < 150; step++) {
		const key = pick(keys);
		const known = `m${random(count + 1)}`;
		const send = () => {
			count += 1;
			const messageId = `m${count}`;
			attempt(
				runtime
					.send(key, messageId, {
						messageId,
						overlap: pick(modes),
						reset: random(12) === 0,
						...(random(8) === 0 ? { expect: { generation: 1 } } : {}),
					})
					.then((receipt) => accepted.set(`${key}/${messageId}`, receipt)),
			);
		};
		pick([
			send,
			send,
			send,
			send,
			() => finish.splice(random(finish.length), 1)[0]?.(),
			() => finish.splice(random(finish.length), 1)[0]?.(),
			() =>
				attempt(
					runtime.queue.update(key, known, {
						...(random(2) ? { input: "edited" } : {}),
						before: random(2) ? null : `m${random(count + 1)}`,
					}),
				),
			() => attempt(runtime.queue.remove(key, known)),
			() => attempt(runtime.abort(key, { expect: { messageId: known } })),
			() => attempt(runtime.abort(key)),
			() => attempt(runtime.reset(key, { queued: pick(["keep", "drop"]) })),
			() => attempt(runtime.delete(key, { queued: pick(["keep", "drop"]) })),
			() => {
				if (random(3) === 0) store.faults.push(pick(["before", "after"]));
				if (random(6) === 0) store.faults.push("before", "before");
			},
		])();
		if (random(3) === 0) await turns(random(4) + 1);
		if (random(8) === 0) await clock.advance(random(60));
	}

	// What a delete kept in line waits for the next use; then all comes to its end.
	store.faults.length = 0;
	await clock.advance(5000);
	for (const key of keys)
		attempt(runtime.send(key, "last", { overlap: "enqueue" }));
	for (let round = 0; round < 60; round++) {
		for (const end of finish.splice(0)) end();
		await clock.advance(5000);
	}
	await Promise.all(answers);
	await runtime.whenIdle();

	/** How often runs say that they were given a message. */
	const taken = new Map<string, number>();
	for (const key of keys) {
		expect(await runtime.queue.list(key)).toEqual([]);
		for (const run of (await runtime.runs(key, { limit: 1000 })).items)
			for (const messageId of run.messageIds) {
				const id = `${key}/${messageId}`;
				taken.set(id, (taken.get(id) ?? 0) + 1);
			}
	}
	/** What the feed said of a message last. */
	const fates = new Map<string, string>();
	for (const event of feed)
		if (event.type === "message")
			fates.set(`${event.sessionKey}/${event.messageId}`, event.fate);
	for (const [id, receipt] of accepted) {
		const { outcome, ticket } = await receipt.settled;
		const isRemoved = outcome === "removed";
		expect(fates.get(id), id).toBe(isRemoved ? "removed" : "taken");
		expect(taken.get(id) ?? 0, id).toBe(isRemoved ? 0 : 1);
		expect(ticket === null, id).toBe(isRemoved);
	}
	for (const [id, times] of taken) expect(times, id).toBe(1);
	for (const [id, times] of given) {
		expect(times, id).toBe(1);
		expect(taken.get(id), id).toBe(1);
	}
}

/** mulberry32: small, seeded, the same everywhere. */
function generator(seed: number): (below: number) => number {
	let state = seed * 2654435761;
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
	};
}
