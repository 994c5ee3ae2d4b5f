/**
 * Calls in random order on few sessions, runs that end, fail, hang and ignore their signal, late and doubled reports, commits that fail,
 * passivation between any two calls: after all has settled, the promises are asked of what is left. A failing seed is its own replay:
 * SEED=17 npx vitest run test/engine/random.test.ts
 */
import type {
	AdmittedRun,
	JsonValue,
	ManagedRun,
	RunTicket,
	SendReceipt,
	SessionRow,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { generator } from "../../src/testing/random.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { seedsOf } from "../support/seeds.ts";
import { storeKinds } from "../support/stores.ts";

const seeds = seedsOf(60);
const keys = ["a", "b", "__proto__"];

for (const [kind, makeStore] of storeKinds)
	describe(`random calls, on ${kind}`, () => {
		for (const seed of seeds)
			test(`seed ${seed}`, async () => {
				await play(seed, new FaultyStore(makeStore()));
			});
	});

async function play(seed: number, store: FaultyStore): Promise<void> {
	const random = generator(seed);
	const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
	const managed: { run: ManagedRun<JsonValue>; finish: () => void }[] = [];
	const host = await startHost(store, {
		graceMs: 40,
		maxResident: 1,
		passivateAfterMs: 10,
		execute: (run) =>
			new Promise((resolve, reject) => {
				const heeds = random(3) > 0;
				managed.push({
					run,
					finish: () =>
						random(4) === 0 ? reject(new Error("broke")) : resolve("done"),
				});
				if (heeds)
					run.signal.addEventListener("abort", () => reject(run.signal.reason));
			}),
	});
	const { runtime, clock, feed } = host;
	const accepted: { key: string; receipt: SendReceipt }[] = [];
	const admitted: AdmittedRun[] = [];
	const tickets: RunTicket[] = [];
	const answers: Promise<unknown>[] = [];
	/** What may be refused: intake throws, and a failing store fails its callers. */
	const attempt = (what: PromiseLike<unknown>) => {
		answers.push(
			Promise.resolve(what).catch((error) => {
				expect([
					"SESSION_BUSY",
					"STORE_FAILED",
					"STALE_EXPECTATION",
					"STALE_RUN",
				]).toContain(error.code);
			}),
		);
	};
	let count = 0;
	for (let step = 0; step < 120; step++) {
		const key = pick(keys);
		count += 1;
		const moves: (() => void)[] = [
			() =>
				attempt(
					runtime
						.send(key, `m${count}`, {
							...(random(2) ? { messageId: `m${count}` } : {}),
							overlap: random(5) === 0 ? "reject" : "enqueue",
							...(random(6) === 0 ? { expect: { generation: 1 } } : {}),
						})
						.then((receipt) => accepted.push({ key, receipt })),
				),
			() =>
				attempt(
					runtime
						.admit(key, {
							runId: `r${random(8)}`,
							reserve: random(2) === 0,
						})
						.then((run) => {
							admitted.push(run);
							tickets.push(run.ticket);
						}),
				),
			() => managed.splice(random(managed.length), 1)[0]?.finish(),
			() => {
				if (admitted.length === 0) return;
				const run = pick(admitted);
				attempt(
					pick([
						() => run.start(),
						() => run.end({ usage: { outputTokens: random(9) } }),
						() => run.fail("broke"),
						() => run.rotate(),
						async () => run.usage({ inputTokens: 1 }),
					])(),
				);
			},
			() => {
				if (tickets.length === 0) return;
				const { runId, sessionKey, generation } = pick(tickets);
				const phase = pick(["start", "end", "error"] as const);
				attempt(
					runtime.report({
						runId,
						phase,
						error: "late",
						...(random(2) ? { sessionKey } : {}),
						...(random(3) === 0 ? { generation } : {}),
					} as never),
				);
			},
			() => attempt(runtime.reset(key, { queued: pick(["keep", "drop"]) })),
			() => attempt(runtime.abort(key, { queued: pick(["keep", "drop"]) })),
			() => attempt(runtime.delete(key, { purge: random(4) === 0 })),
			() => attempt(runtime.patch(key, { [`f${random(3)}`]: count })),
			() => {
				if (random(3) === 0) store.faults.push(pick(["before", "after"]));
				if (random(6) === 0) store.faults.push("before", "before");
			},
		];
		pick(moves)();
		if (random(3) === 0) await turns(random(4) + 1);
		if (random(8) === 0) await clock.advance(random(60));
	}

	// All that hangs ends, all that is told to stop is given its time, and all that was lost is tried again.
	store.faults.length = 0;
	for (let round = 0; round < 40; round++) {
		for (const { finish } of managed.splice(0)) finish();
		for (const run of admitted.splice(0)) attempt(run[Symbol.asyncDispose]());
		await clock.advance(5000);
	}
	await Promise.all(answers);
	await runtime.whenIdle();

	// 6: every accepted message came to an end that its receipt tells.
	for (const { key, receipt } of accepted) {
		const { outcome } = await receipt.settled;
		expect(outcome, `${key}/${receipt.messageId}`).toEqual(expect.any(String));
	}
	const taken = new Map<string, number>();
	for (const key of keys) {
		// 3: nothing runs, and every run that was live has an outcome.
		const row = await runtime.get(key);
		expect(row?.hasActiveRun ?? false).toBe(false);
		expect(row?.draining ?? 0).toBe(0);
		expect(row?.queued ?? 0).toBe(0);
		for (const run of (await runtime.runs(key, { limit: 1000 })).items) {
			if (run.startedAt !== null && run.outcome === null)
				expect(run.generation).toBeLessThan(row?.generation ?? Infinity);
			for (const messageId of run.messageIds) {
				const id = `${key}/${messageId}`;
				taken.set(id, (taken.get(id) ?? 0) + 1);
			}
		}
		for (const ended of (await runtime.archive(key)).items)
			expect(ended.row.hasActiveRun).toBe(false);
		// 7: feed, atom and store agree, and no version was told twice or out of order.
		const rows: SessionRow[] = [];
		let before = 0;
		for (const event of feed) {
			const version =
				event.type === "row" && event.row.sessionKey === key
					? event.row.version
					: event.type === "deleted" && event.sessionKey === key
						? event.version
						: null;
			if (event.type === "row" && event.row.sessionKey === key)
				rows.push(event.row);
			if (version === null) continue;
			expect(version).toBeGreaterThan(before);
			before = version;
		}
		expect(host.feedRow(key) ?? null).toEqual(row);
		expect(runtime.atom(key).get() ?? row).toEqual(row);
		// 4: a fresh generation is never born with somebody's past.
		for (const [i, now] of rows.entries()) {
			const last = rows[i - 1];
			expect(now.hasActiveRun).toBe(now.status === "running");
			expect(now.activeRun?.generation ?? now.generation).toBe(now.generation);
			if (last) expect(now.generation).toBeGreaterThanOrEqual(last.generation);
		}
	}
	// 6: taken by at most one run.
	for (const [id, runs] of taken) expect(runs, id).toBe(1);
	const { running, draining, queued } = runtime.stats();
	expect({ running, draining, queued }).toEqual({
		running: 0,
		draining: 0,
		queued: 0,
	});
}
