/** `retention`: what is erased because it is old, through the runtime and in the store. */
import type {
	JsonValue,
	OpenStore,
	PruneRule,
	RuntimeOptions,
	SessionStore,
	StoreReader,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const roundMs = 300_000;
const dayMs = 86_400_000;

interface Call {
	readonly rule: PruneRule;
	readonly limit: number;
	readonly erased: number;
}

/** A store that notes what was erased, and fails at it when a test says so. */
class PrunedStore implements SessionStore {
	readonly calls: Call[] = [];
	broken = false;
	/** Waited for before anything is erased. */
	gate: Promise<void> | null = null;
	readonly #inner: SessionStore;

	constructor(inner: SessionStore) {
		this.#inner = inner;
	}

	read() {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#inner.open(owner);
		const prune: OpenStore["prune"] = async (rule, limit) => {
			await this.gate;
			if (this.broken) {
				this.calls.push({ rule, limit, erased: -1 });
				throw new Error("disk I/O error");
			}
			const pruned = await store.prune(rule, limit);
			this.calls.push({ rule, limit, erased: pruned.erased });
			return pruned;
		};
		return new Proxy(store, {
			get: (target, name) => {
				if (name === "prune") return prune;
				const value = Reflect.get(target, name, target);
				return typeof value === "function" ? value.bind(target) : value;
			},
		});
	}
}

/** What the store holds, past the runtime. */
async function stored<T>(
	store: SessionStore,
	look: (reader: StoreReader) => Promise<T>,
): Promise<T> {
	const reader = await store.read();
	try {
		return await look(reader);
	} finally {
		await reader[Symbol.asyncDispose]();
	}
}

/** One generation with one run and one entry of its transcript. */
async function generation(host: ScriptedHost, key = "k"): Promise<void> {
	await host.runtime.send(key, "x");
	await turns();
	const { run, end } = host.scripted.last;
	await run.append("line");
	end();
	await turns();
	await host.runtime.reset(key);
}

async function archived({ runtime }: ScriptedHost, key = "k") {
	return (await runtime.archive(key, { limit: 1000 })).items.map(
		(one) => one.generation,
	);
}

for (const [kind, makeStore] of storeKinds)
	describe(`retention, on ${kind}`, () => {
		const start = async (
			retention: NonNullable<Options["retention"]>,
			options: Options = {},
			store = new PrunedStore(makeStore()),
		) => {
			const host = await startScripted(store, { retention, ...options });
			return { ...host, store };
		};

		describe("generationsPerKey", () => {
			test("keeps the newest that ended, with their runs and transcripts, and no others", async () => {
				const host = await start({ generationsPerKey: 2 });
				const { runtime, clock } = host;
				for (let i = 0; i < 5; i++) await generation(host);
				await generation(host, "other");
				await clock.advance(1000);
				expect(await archived(host)).toEqual([5, 4]);
				expect(await archived(host, "other")).toEqual([1]);
				expect(
					(await runtime.runs("k")).items.map((run) => run.generation),
				).toEqual([5, 4]);
				expect(
					(await runtime.transcript("k")).items.map((one) => one.generation),
				).toEqual([5, 4]);
				expect(await runtime.get("k")).toMatchObject({ generation: 6 });
				await stored(host.store, async (reader) => {
					expect(await reader.generation("k", 3)).toBeNull();
					expect(await reader.generation("k", 4)).not.toBeNull();
				});
			});

			test("soon after the generation ended, without waiting for a round", async () => {
				const host = await start({ generationsPerKey: 1 });
				for (let i = 0; i < 3; i++) await generation(host);
				await host.clock.advance(100);
				expect(await archived(host)).toEqual([3]);
			});

			test("counts deleted generations, and never gives a number twice", async () => {
				const host = await start({ generationsPerKey: 1 });
				await generation(host);
				await host.runtime.send("k", "x");
				void host.runtime.delete("k", { graceMs: 0 });
				await host.clock.advance(1000);
				await generation(host);
				await host.clock.advance(1000);
				expect(await archived(host)).toEqual([3]);
				expect(await host.runtime.get("k")).toMatchObject({ generation: 4 });
			});

			test("leaves a generation that drains until it has drained", async () => {
				const host = await start(
					{ generationsPerKey: 1 },
					{ graceMs: 600_000 },
				);
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "long");
				await turns();
				const long = scripted.last;
				for (let i = 0; i < 4; i++) void runtime.reset("k");
				await clock.advance(1000);
				expect(await archived(host)).toContain(1);
				long.end();
				await turns();
				expect((await runtime.archive("k")).items.at(-1)).toMatchObject({
					generation: 1,
					runs: [{ outcome: "aborted" }],
				});
				await runtime.reset("k");
				await clock.advance(1000);
				expect(await archived(host)).toEqual([5]);
			});

			test("leaves a generation whose host has not finished with it", async () => {
				const work = Promise.withResolvers<void>();
				const host = await start(
					{ generationsPerKey: 1 },
					{
						graceMs: 600_000,
						onGenerationEnded: (one) =>
							one.generation === 1 ? work.promise : undefined,
					},
				);
				await host.runtime.reset("k");
				for (let i = 0; i < 3; i++) void host.runtime.reset("k");
				await host.clock.advance(1000);
				expect(await archived(host)).toContain(1);
				work.resolve();
				await turns();
				await host.runtime.reset("k");
				await host.clock.advance(1000);
				expect(await archived(host)).toEqual([4]);
			});

			test("does not touch the line, nor the live run", async () => {
				const host = await start({ generationsPerKey: 1 });
				const { runtime, clock, scripted } = host;
				for (let i = 0; i < 3; i++) await generation(host);
				await runtime.send("k", "live", { messageId: "live" });
				await runtime.send("k", "waits", { messageId: "waits" });
				await turns();
				await clock.advance(2 * roundMs);
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					queued: 1,
				});
				scripted.last.end();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ messageId: "waits" },
				]);
			});

			test("is tried again after a failure, also for a key that no longer grows", async () => {
				const host = await start({ generationsPerKey: 1 });
				host.store.broken = true;
				for (let i = 0; i < 4; i++) await generation(host);
				await host.clock.advance(1000);
				expect(await archived(host)).toEqual([4, 3, 2, 1]);
				host.store.broken = false;
				await host.clock.advance(roundMs);
				expect(await archived(host)).toEqual([4]);
			});
		});

		describe("maxAgeMs", () => {
			test("erases generations that ended longer ago, of all keys", async () => {
				const host = await start({ maxAgeMs: dayMs });
				const { clock } = host;
				await generation(host, "a");
				await generation(host, "b");
				await clock.advance(dayMs / 2);
				await generation(host, "a");
				await clock.advance(dayMs / 2 + roundMs);
				expect(await archived(host, "a")).toEqual([2]);
				expect(await archived(host, "b")).toEqual([]);
				expect((await host.runtime.runs("b")).items).toEqual([]);
				expect((await host.runtime.transcript("b")).items).toEqual([]);
				expect(await host.runtime.get("b")).toMatchObject({ generation: 2 });
			});

			test("never the current generation, however old it is", async () => {
				const host = await start({ maxAgeMs: 1000 });
				await host.runtime.send("k", "x", { messageId: "m" });
				await turns();
				await host.scripted.last.run.append("line");
				host.scripted.last.end();
				await host.clock.advance(4 * roundMs);
				expect((await host.runtime.runs("k")).items.length).toBe(1);
				expect((await host.runtime.transcript("k")).items.length).toBe(1);
			});

			test("at the start, what grew old while nobody was there", async () => {
				const store = new PrunedStore(makeStore());
				const host = await start({}, {}, store);
				await generation(host);
				await close(host);
				const next = await start(
					{ maxAgeMs: dayMs },
					{ clock: new VirtualClock(host.clock.now() + 2 * dayMs) },
					store,
				);
				await next.clock.advance(1000);
				expect(await archived(next)).toEqual([]);
			});
		});

		describe("refusals", () => {
			test("keeps the newest of all keys", async () => {
				const host = await start({ refusals: 3 });
				for (let i = 0; i < 8; i++)
					await host.runtime.report({ runId: `gone ${i}`, phase: "start" });
				await host.clock.advance(roundMs);
				expect(
					(await host.runtime.refusals()).items.map(
						({ report }) => report.runId,
					),
				).toEqual(["gone 7", "gone 6", "gone 5"]);
			});
		});

		describe("messageIdsMs", () => {
			test("a duplicate is told until its id is erased; then it is a new message", async () => {
				const host = await start({ messageIdsMs: dayMs });
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "x", { messageId: "m" });
				await turns();
				scripted.last.end();
				await clock.advance(dayMs - 1000);
				expect(
					(await runtime.send("k", "x", { messageId: "m" })).disposition,
				).toBe("duplicate");
				await clock.advance(1000 + roundMs);
				const again = await runtime.send("k", "y", { messageId: "m" });
				expect(again.disposition).toBe("started");
				await turns();
				scripted.last.end("twice");
				expect(await again.settled).toMatchObject({ output: "twice" });
				expect((await runtime.runs("k")).items.length).toBe(2);
			});

			test("a day, if nothing else is said", async () => {
				const host = await start({});
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "x", { messageId: "m" });
				await turns();
				scripted.last.end();
				await clock.advance(dayMs);
				expect(
					(await runtime.send("k", "x", { messageId: "m" })).disposition,
				).toBe("duplicate");
				await clock.advance(roundMs);
				expect(
					(await runtime.send("k", "x", { messageId: "m" })).disposition,
				).toBe("started");
			});

			test("the id of a reset too", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock } = host;
				await runtime.reset("k", { messageId: "/new" });
				expect(await runtime.reset("k", { messageId: "/new" })).toMatchObject({
					result: "nothing",
				});
				await clock.advance(roundMs);
				expect(await runtime.reset("k", { messageId: "/new" })).toMatchObject({
					result: "done",
				});
			});

			test("never that of a message that waits, whose input is still to be used", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "long", { messageId: "live" });
				await runtime.send("k", "waits", { messageId: "waits" });
				await clock.advance(3 * roundMs);
				expect(
					(await runtime.send("k", "waits", { messageId: "waits" }))
						.disposition,
				).toBe("duplicate");
				scripted.last.end();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([{ input: "waits" }]);
			});

			test("nor that of a message whose run goes on, and may be tried again with it", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock, scripted } = host;
				const again = async () =>
					(await runtime.send("k", "long", { messageId: "live" })).disposition;
				const { settled } = await runtime.send("k", "long", {
					messageId: "live",
				});
				await clock.advance(3 * roundMs);
				expect(await again()).toBe("duplicate");
				scripted.last.end("out");
				expect(await settled).toMatchObject({ output: "out" });
				await clock.advance(roundMs);
				expect(await again()).toBe("started");
			});
		});

		describe("a round", () => {
			test("goes in batches of at most 200, with everybody else's commits in between", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock, store } = host;
				for (let i = 0; i < 501; i++)
					await runtime.reset("k", { messageId: `r${i}`, queued: "drop" });
				store.calls.length = 0;
				await clock.advance(roundMs);
				// While it pauses, somebody else has a turn.
				const { length } = store.calls;
				expect((await runtime.patch("k", { a: 1 })).result).toBe("done");
				expect(store.calls.length).toBe(length);
				await clock.advance(1000);
				const erased = store.calls.filter(
					({ rule, erased }) => rule.of === "messages" && erased > 0,
				);
				expect(erased.map((call) => call.erased)).toEqual([200, 200, 101]);
				expect(store.calls.every(({ limit }) => limit <= 200)).toBe(true);
			});

			test("that is under way holds up nobody", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock, store, scripted } = host;
				for (let i = 0; i < 250; i++)
					await runtime.reset("k", { messageId: `r${i}` });
				await clock.advance(roundMs - 10);
				store.calls.length = 0;
				const gate = Promise.withResolvers<void>();
				store.gate = gate.promise;
				await clock.advance(10);
				expect(store.calls).toEqual([]);
				await runtime.send("k", "x");
				await turns();
				scripted.last.end();
				await turns();
				expect(await runtime.get("k")).toMatchObject({ status: "ended" });
				store.gate = null;
				gate.resolve();
				await clock.advance(1000);
				expect(store.calls.length).toBeGreaterThan(0);
			});

			test("moves no version and says nothing on the feed", async () => {
				const host = await start({ messageIdsMs: 1000, generationsPerKey: 1 });
				const { runtime, clock, feed } = host;
				for (let i = 0; i < 3; i++) await generation(host);
				const row = await runtime.get("k");
				feed.length = 0;
				await clock.advance(3 * roundMs);
				expect(await runtime.get("k")).toEqual(row);
				expect(feed).toEqual([]);
				expect((await runtime.patch("k", { a: 1 })).result).toBe("done");
			});

			test("that fails is said as trouble, costs nobody anything, and is tried again later", async () => {
				const host = await start({ messageIdsMs: 1000 });
				const { runtime, clock, store, feed } = host;
				await runtime.reset("k", { messageId: "r" });
				await clock.advance(1);
				store.broken = true;
				feed.length = 0;
				await clock.advance(roundMs);
				expect(feed).toMatchObject([
					{ type: "trouble", error: { code: "STORE_FAILED" } },
				]);
				expect((await runtime.patch("k", { a: 1 })).result).toBe("done");
				// Not at once again and again.
				const tries = store.calls.length;
				await clock.advance(roundMs / 2);
				expect(store.calls.length).toBe(tries);
				store.broken = false;
				await clock.advance(roundMs);
				expect(await runtime.reset("k", { messageId: "r" })).toMatchObject({
					result: "done",
				});
			});

			test("that fails hot-loops for nobody who grows meanwhile", async () => {
				const host = await start({ generationsPerKey: 1 });
				host.store.broken = true;
				for (let i = 0; i < 3; i++) await generation(host);
				await host.clock.advance(60_000);
				expect(host.store.calls.length).toBeLessThan(10);
			});

			test("ends when the runtime closes, between two batches or within one", async () => {
				for (const within of [true, false]) {
					const host = await start({ messageIdsMs: 1000 });
					const { runtime, clock, store } = host;
					for (let i = 0; i < 450; i++)
						await runtime.reset("k", { messageId: `r${i}` });
					await clock.advance(roundMs - 10);
					store.calls.length = 0;
					const gate = Promise.withResolvers<void>();
					if (within) store.gate = gate.promise;
					await clock.advance(10);
					const closing = runtime.close();
					if (within) {
						expect(await now(closing)).toBe("pending");
						gate.resolve();
					}
					await clock.advance(0);
					expect(await now(closing)).toBeUndefined();
					expect(store.calls.length).toBe(1);
					await clock.advance(5 * roundMs);
					expect(store.calls.length).toBe(1);
				}
			});

			test("does not begin on a store that was lost", async () => {
				const faulty = new FaultyStore(makeStore());
				const store = new PrunedStore(faulty);
				const host = await start({ messageIdsMs: 1000 }, {}, store);
				await host.runtime.reset("k");
				const { opened } = faulty;
				if (!opened) throw new Error("not open");
				opened.version = async () => 99;
				faulty.faults.push("before");
				expect(await codeOf(host.runtime.patch("k", { a: 1 }))).toBe(
					"STORE_LOCKED",
				);
				store.calls.length = 0;
				await host.clock.advance(3 * roundMs);
				expect(store.calls).toEqual([]);
			});
		});

		const bad: Record<string, unknown> = {
			"generationsPerKey 0": { generationsPerKey: 0 },
			"generationsPerKey 1.5": { generationsPerKey: 1.5 },
			"maxAgeMs -1": { maxAgeMs: -1 },
			"refusals -1": { refusals: -1 },
			"messageIdsMs NaN": { messageIdsMs: Number.NaN },
			"another type": 5,
		};
		for (const [name, retention] of Object.entries(bad))
			test(`${name} is refused`, async () => {
				expect(
					await codeOf(startScripted(makeStore(), { retention } as Options)),
				).toBe("INVALID_ARGUMENT");
			});
	});
