/**
 * Several lives of a process on one store: messages in every mode, runs that wait, deliver, append, spawn and are steered, resets, edits of
 * the line, commits that fail, sessions that expire, crashes and closes between any two of them. While it plays and after all has settled,
 * the promises are asked. A failing seed is its own replay: SEED=17 npx vitest run test/engine/random-owned.test.ts
 */
import type {
	AdmittedRun,
	JsonValue,
	ManagedRun,
	RunTicket,
	SessionRow,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { generator } from "../../src/testing/random.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { type Host, startHost } from "../support/host.ts";
import { seedsOf } from "../support/seeds.ts";
import { storeKinds } from "../support/stores.ts";

const keys = ["a", "b", "__proto__"];
const modes = [
	"reject",
	"enqueue",
	"enqueue",
	"latest",
	"collect",
	"steer",
	"interrupt",
	"rollback",
] as const;

/** What a call may come to, other than its answer. */
const refusals = [
	"SESSION_BUSY",
	"MAILBOX_FULL",
	"STORE_FAILED",
	"STALE_EXPECTATION",
	"STALE_RUN",
	"WAIT_TIMEOUT",
	"RUNTIME_CLOSED",
	"RUN_ABORTED",
	// A child for its own session, a name that is used again, an id with another input.
	"INVALID_ARGUMENT",
];

for (const [kind, makeStore] of storeKinds)
	describe(`lives of a process, on ${kind}`, () => {
		for (const seed of seedsOf(40))
			test(`seed ${seed}`, async () => {
				await play(seed, makeStore());
			});
	});

interface Managed {
	readonly run: ManagedRun<JsonValue>;
	finish(): void;
}

async function play(
	seed: number,
	store: ConstructorParameters<typeof CrashingStore>[0],
): Promise<void> {
	const random = generator(seed);
	const pick = <T>(of: readonly T[]): T => of[random(of.length)] as T;
	const crashing = new CrashingStore(store);
	const faulty = new FaultyStore(crashing);
	const retries = random(2) === 0;
	/** Results that deliveries came to, by idempotency key: the effect of a done one never runs again. */
	const delivered = new Set<string>();
	const accepted = new Map<string, number>();
	/** What was sent up to then may have been erased with its id. */
	const purged = new Map<string, number>();
	const lives = 3;
	let count = 0;
	let now = Date.UTC(2026, 0, 1);

	for (let life = 1; life <= lives; life++) {
		const isLast = life === lives;
		let isDead = false;
		const managed: Managed[] = [];
		const admitted: AdmittedRun[] = [];
		const waits: { ticket: RunTicket; name: string }[] = [];
		const answers: Promise<unknown>[] = [];
		const scopes = new Map<string, number>();
		const failures: unknown[] = [];
		const host = await startHost(faulty, {
			graceMs: 40,
			maxResident: 1,
			passivateAfterMs: 10,
			maxConcurrentRuns: pick([1, 2, 50]),
			overlap: () => ({
				mode: pick(modes),
				debounceMs: random(5) === 0 ? 15 : 0,
				capacity: pick([2, 50]),
				onFull: pick(["reject", "drop-oldest"] as const),
			}),
			...(random(2) ? { runTimeoutMs: 90 } : {}),
			...(random(2) ? { expiry: { idleMs: 70 } } : {}),
			...(random(2) ? { onGenerationEnded: () => turns(random(4)) } : {}),
			...(random(2)
				? { retention: { generationsPerKey: 2, refusals: 5 } }
				: {}),
			...(retries ? { recovery: { mode: "retry", maxAttempts: 3 } } : {}),
			execute: (run) => execute(run),
		});
		const { runtime, clock, feed } = host;
		clock.stepBack(clock.now() - now);
		watch(host, failures);

		const execute = async (run: ManagedRun<JsonValue>): Promise<unknown> => {
			const id = `${run.ticket.runId}.${run.ticket.attempt}`;
			run.scope.defer(() => {
				scopes.set(id, (scopes.get(id) ?? 0) + 1);
			});
			scopes.set(id, 0);
			if (random(3) === 0)
				void (async () => {
					for await (const message of run.steering)
						expect(run.messages).not.toContainEqual(message);
				})().catch((error) => failures.push(error));
			const heeds = random(3) > 0;
			return new Promise((resolve, reject) => {
				managed.push({
					run,
					finish: () =>
						random(4) === 0 ? reject(new Error("broke")) : resolve("done"),
				});
				if (heeds)
					run.signal.addEventListener("abort", () => reject(run.signal.reason));
			});
		};
		const attempt = (what: PromiseLike<unknown>) => {
			answers.push(
				Promise.resolve(what).catch((error) => {
					if (!refusals.includes(error?.code)) failures.push(error);
				}),
			);
		};
		const act = async (run: ManagedRun<JsonValue> | AdmittedRun) => {
			count += 1;
			const name = `n${random(4)}`;
			const { sessionKey, generation } = run.ticket;
			await pick([
				() => run.append(count),
				() =>
					run.deliver(name, async ({ idempotencyKey }) => {
						// Nothing goes out in the name of a generation that has ended.
						const row = host.feedRow(sessionKey);
						if (row) expect(row.generation).toBe(generation);
						expect(delivered.has(idempotencyKey)).toBe(false);
						await turns(random(3));
						if (random(4) === 0) throw new Error("no network");
						if (!isDead) delivered.add(idempotencyKey);
						return name;
					}),
				() => {
					waits.push({ ticket: run.ticket, name });
					return run.waitFor(name, random(2) ? { timeoutMs: random(80) } : {});
				},
				() =>
					run.spawn(pick(keys), `child ${count}`, {
						attached: random(3) > 0,
					}),
				() => run.rotate(),
				async () => run.progress(count),
				async () => run.usage({ outputTokens: 1 }),
			])().catch((error: { code?: string; message?: string }) => {
				if (error.message === "no network") return;
				throw error;
			});
		};

		for (let step = 0; step < 70; step++) {
			const key = pick(keys);
			count += 1;
			const send = () => {
				const sent = count;
				const messageId = `m${sent}`;
				attempt(
					runtime
						.send(key, messageId, {
							messageId,
							...(random(2) ? { overlap: pick(modes) } : {}),
							...(random(8) === 0 ? { reset: true } : {}),
							...(random(8) === 0 ? { expect: { generation: 1 } } : {}),
						})
						.then(() => accepted.set(`${key}/${messageId}`, sent)),
				);
			};
			const live = () => managed.length > 0 && attempt(act(pick(managed).run));
			const moves: (() => void)[] = [
				send,
				send,
				send,
				live,
				live,
				live,
				() => managed.splice(random(managed.length), 1)[0]?.finish(),
				() => managed.splice(random(managed.length), 1)[0]?.finish(),
				() => {
					const wait = waits.splice(random(waits.length), 1)[0];
					if (wait) attempt(runtime.resume(wait.ticket, wait.name, count));
				},
				() =>
					attempt(
						runtime
							.admit(key, {
								runId: `r${random(6)}`,
								reserve: random(3) === 0,
								...(random(2) ? { leaseMs: 1 + random(60) } : {}),
							})
							.then((run) => admitted.push(run)),
					),
				() => {
					if (admitted.length === 0) return;
					const run = pick(admitted);
					attempt(pick([() => run.start(), () => run.end(), () => act(run)])());
				},
				() => attempt(runtime.reset(key, { queued: pick(["keep", "drop"]) })),
				() =>
					attempt(
						runtime.abort(key, {
							...(random(2)
								? { expect: { messageId: `m${count - random(9)}` } }
								: {}),
						}),
					),
				() => {
					const purge = random(3) === 0;
					if (purge) purged.set(key, count);
					attempt(runtime.delete(key, { purge }));
				},
				() => attempt(runtime.patch(key, { f: count })),
				() =>
					attempt(
						pick([
							() =>
								runtime.queue.update(key, `m${count - random(9)}`, {
									before: pick([null, `m${count - random(9)}`]),
								}),
							() => runtime.queue.remove(key, `m${count - random(9)}`),
						])(),
					),
				() => {
					if (random(3) === 0) faulty.faults.push(pick(["before", "after"]));
					if (random(6) === 0) faulty.faults.push("before", "before");
				},
			];
			pick(moves)();
			if (random(3) === 0) await turns(random(4) + 1);
			if (random(6) === 0) await clock.advance(random(60));
		}

		faulty.faults.length = 0;
		if (isLast) {
			for (let round = 0; round < 40; round++) {
				for (const { finish } of managed.splice(0)) finish();
				for (const run of admitted.splice(0))
					attempt(run[Symbol.asyncDispose]());
				await clock.advance(5000);
			}
			await runtime.whenIdle();
			await Promise.all(answers);
			const known = [...accepted].filter(
				([id, sent]) => sent > (purged.get(id.split("/")[0] ?? "") ?? 0),
			);
			await expectSettled(
				host,
				known.map(([id]) => id),
				retries,
			);
			for (const [id, disposed] of scopes) expect(disposed, id).toBe(1);
		} else if (random(2) === 0) {
			isDead = true;
			await crashing.crash();
		} else {
			const closing = runtime.close({ graceMs: 30 });
			for (let i = 0; i < 20; i++) await clock.advance(100);
			await closing;
		}
		expect(failures).toEqual([]);
		expectFeed(feed);
		now = clock.now();
	}
}

/** At no time do two runs of one session execute that were not told to stop. */
function watch({ runtime }: Host, failures: unknown[]): void {
	runtime.subscribe((event) => {
		if (event.type !== "row") return;
		const { status, hasActiveRun, waits, activeRun, generation } = event.row;
		try {
			expect(hasActiveRun).toBe(status === "running" || status === "waiting");
			expect(waits.length > 0).toBe(status === "waiting");
			expect(activeRun?.generation ?? generation).toBe(generation);
		} catch (error) {
			failures.push(error);
		}
	});
}

/** 7: each version once and in order, generations never backwards. */
function expectFeed(feed: Host["feed"]): void {
	const last = new Map<string, SessionRow>();
	for (const event of feed) {
		if (event.type !== "row") continue;
		const before = last.get(event.row.sessionKey);
		if (before) {
			expect(event.row.version).toBeGreaterThan(before.version);
			expect(event.row.generation).toBeGreaterThanOrEqual(before.generation);
		}
		last.set(event.row.sessionKey, event.row);
	}
}

async function expectSettled(
	host: Host,
	accepted: readonly string[],
	retries: boolean,
): Promise<void> {
	const { runtime } = host;
	const runsOf = new Map<string, Set<string>>();
	for (const key of keys) {
		const row = await runtime.get(key);
		expect(row ?? {}).toMatchObject(
			row ? { hasActiveRun: false, queued: 0, draining: 0, waits: [] } : {},
		);
		if (host.feedRow(key) !== undefined) expect(host.feedRow(key)).toEqual(row);
		expect(await runtime.queue.list(key)).toEqual([]);
		for (const run of (await runtime.runs(key, { limit: 1000 })).items)
			for (const messageId of run.messageIds) {
				const id = `${key}/${messageId}`;
				const own = runsOf.get(id) ?? new Set();
				runsOf.set(
					id,
					own.add(retries ? run.runId : `${run.runId}.${run.attempt}`),
				);
			}
		const entries = (await runtime.transcript(key, { limit: 1000 })).items;
		const seqs = entries.map(({ seq }) => seq);
		expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => b - a));
		for (const ended of (await runtime.archive(key)).items)
			expect(ended.row.hasActiveRun).toBe(false);
	}
	// 6: taken by at most one run, and none that was accepted waits for ever.
	for (const [id, runs] of runsOf) expect(runs.size, id).toBe(1);
	for (const id of accepted) {
		const [key = "", messageId = ""] = id.split("/");
		const again = await runtime.send(key, messageId, { messageId });
		expect(again.disposition, id).toBe("duplicate");
		expect((await again.settled).outcome, id).toEqual(expect.any(String));
	}
	const { running, draining, queued } = runtime.stats();
	expect({ running, draining, queued }).toEqual({
		running: 0,
		draining: 0,
		queued: 0,
	});
}
