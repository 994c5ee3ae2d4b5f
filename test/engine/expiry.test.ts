/** `expiry`: the implicit reset of a session that rests, by idleness or by the hour of the day. */
import type { JsonValue, RuntimeOptions } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;

const idleMs = 60_000;
const hourMs = 3_600_000;
const daily = { hour: 4, timeZone: "Europe/Berlin" };

for (const [kind, makeStore] of storeKinds)
	describe(`expiry, on ${kind}`, () => {
		const start = (options: Options = {}) =>
			startScripted(makeStore(), { expiry: { idleMs }, ...options });
		/** A session `k` whose only run has ended. */
		const rested = async (options: Options = {}) => {
			const host = await start(options);
			await host.runtime.send("k", "first", { messageId: "first" });
			await turns();
			host.scripted.last.end();
			await turns();
			return host;
		};
		const generationOf = async ({
			runtime,
		}: Pick<Awaited<ReturnType<typeof start>>, "runtime">) =>
			(await runtime.get("k"))?.generation;

		describe("of an idle session", () => {
			test("ends its generation with the next message, and not a moment before", async () => {
				const host = await rested({
					ids: {
						sessionId: ({ cause, generation }) => `${cause}-${generation}`,
					},
				});
				const { runtime, clock, scripted, feed } = host;
				await clock.advance(idleMs - 1);
				await runtime.send("k", "in time");
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(1);
				scripted.last.end();
				await turns();
				await clock.advance(idleMs);
				feed.length = 0;
				const { disposition, ticket } = await runtime.send("k", "too late");
				expect(disposition).toBe("started");
				expect(ticket).toMatchObject({ generation: 2, sessionId: "expiry-2" });
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					status: "running",
					lastOutcome: null,
					meta: {},
				});
				expect((await runtime.archive("k")).items).toMatchObject([
					{
						generation: 1,
						endedBy: "expiry",
						endedAt: clock.now(),
						reason: expect.stringContaining("1 min"),
					},
				]);
				expect(feed).toContainEqual(
					expect.objectContaining({
						type: "generation",
						ended: expect.objectContaining({ endedBy: "expiry" }),
					}),
				);
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ input: "too late", generation: 2 },
				]);
			});

			test("is not decided by those who only read", async () => {
				const host = await rested();
				const { runtime, clock } = host;
				await clock.advance(10 * idleMs);
				const before = await runtime.get("k");
				await runtime.list();
				await runtime.runs("k");
				await runtime.archive("k");
				await runtime.queue.list("k");
				await runtime.until("k", () => true);
				await runtime.whenIdle("k");
				expect(await runtime.get("k")).toEqual(before);
			});

			const others: Record<
				string,
				(host: Awaited<ReturnType<typeof start>>) => Promise<unknown>
			> = {
				"a duplicate message": ({ runtime }) =>
					runtime.send("k", "first", { messageId: "first" }),
				"a report": ({ runtime }) =>
					runtime.report({ runId: "gone", sessionKey: "k", phase: "end" }),
				"an answer": ({ runtime }) =>
					runtime.resume(
						{ sessionKey: "k", generation: 1, runId: "gone" },
						"ok",
						1,
					),
				"an abort": ({ runtime }) => runtime.abort("k"),
			};
			for (const [name, act] of Object.entries(others))
				test(`is not decided by ${name}`, async () => {
					const host = await rested();
					await host.clock.advance(10 * idleMs);
					await act(host);
					expect(await generationOf(host)).toBe(1);
					expect((await host.runtime.archive("k")).items).toEqual([]);
				});

			test("is decided before a patch, which goes to the new generation", async () => {
				const host = await rested();
				const { runtime, clock } = host;
				await runtime.patch("k", { old: 1 });
				await clock.advance(idleMs);
				expect(await runtime.patch("k", { fresh: 1 })).toMatchObject({
					result: "done",
					row: { generation: 2, meta: { fresh: 1 } },
				});
				// Once: the new generation begins its own rest.
				expect(await runtime.patch("k", { more: 1 })).toMatchObject({
					row: { generation: 2, meta: { fresh: 1, more: 1 } },
				});
			});

			test("is decided before a patch that a schema looks at, which sees the new fields", async () => {
				const seen: unknown[] = [];
				const schema = (validate: (value: unknown) => object) => ({
					"~standard": { version: 1 as const, vendor: "test", validate },
				});
				const host = await rested({
					schemas: {
						input: schema((value) => ({ value })) as never,
						meta: schema((value) => {
							seen.push(value);
							return { value };
						}) as never,
					},
				});
				const { runtime, clock } = host;
				await runtime.patch("k", { old: 1 });
				await clock.advance(idleMs);
				expect(await runtime.patch("k", { fresh: 1 })).toMatchObject({
					row: { generation: 2, meta: { fresh: 1 } },
				});
				expect(seen.at(-1)).toEqual({ fresh: 1 });
			});

			test("is decided before an admission", async () => {
				const host = await rested();
				await host.clock.advance(idleMs);
				const run = await host.runtime.admit("k", { runId: "R" });
				expect(run.ticket).toMatchObject({ generation: 2, attempt: 1 });
				await host.clock.advance(5 * idleMs);
				await run.end();
				expect(await generationOf(host)).toBe(2);
			});

			test("makes reservations stale, as every reset does", async () => {
				const { runtime, clock } = await start();
				const reserved = await runtime.admit("k", { reserve: true });
				await clock.advance(idleMs);
				await runtime.patch("k", { a: 1 });
				expect(await reserved.start()).toMatchObject({ verdict: "archived" });
				expect(reserved.signal.aborted).toBe(true);
			});

			test("does not come on top of an explicit reset", async () => {
				const host = await rested();
				const { runtime, clock } = host;
				await clock.advance(5 * idleMs);
				await runtime.reset("k");
				await runtime.send("k", "fresh");
				expect(await generationOf(host)).toBe(2);
				expect((await runtime.archive("k")).items).toMatchObject([
					{ endedBy: "reset" },
				]);
			});

			test("does not come on top of a message that resets", async () => {
				const host = await rested();
				await host.clock.advance(5 * idleMs);
				await host.runtime.send("k", "fresh", { reset: true });
				expect((await host.runtime.archive("k")).items).toMatchObject([
					{ endedBy: "reset" },
				]);
			});

			test("does not come during the drain of a long run that was reset", async () => {
				const host = await start();
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "long");
				await clock.advance(5 * idleMs);
				const reset = runtime.reset("k");
				await turns();
				await runtime.send("k", "next");
				scripted.last.end();
				await reset;
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
			});

			test("counts every accepted message as activity, and the end of a run", async () => {
				const host = await start();
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "long");
				await clock.advance(10 * idleMs);
				scripted.last.end();
				await turns();
				await clock.advance(idleMs - 1);
				await runtime.send("k", "in time");
				expect(await generationOf(host)).toBe(1);
			});

			test("does not count what changes the row otherwise", async () => {
				const host = await rested();
				const { runtime, clock } = host;
				await clock.advance(idleMs - 1);
				await runtime.patch("k", { a: 1 });
				await runtime.send("k", "first", { messageId: "first" });
				await clock.advance(1);
				await runtime.send("k", "late");
				expect(await generationOf(host)).toBe(2);
			});

			test("a message that carryOver sends while it expires waits for its turn, and expires nothing again", async () => {
				let isFirst = true;
				const host = await rested({
					passivateAfterMs: 10 * idleMs,
					carryOver: () => {
						if (!isFirst) return {};
						isFirst = false;
						void host.runtime.send("k", "from within");
						return {};
					},
				});
				const { scripted, clock } = host;
				const begun = scripted.runs.length;
				await clock.advance(idleMs);
				await host.runtime.send("k", "outer");
				await turns();
				expect(await generationOf(host)).toBe(2);
				for (const [at, input] of ["outer", "from within"].entries()) {
					const { run, end } = scripted.runs[
						begun + at
					] as (typeof scripted.runs)[number];
					expect(run.messages).toMatchObject([{ input }]);
					expect(run.signal.aborted).toBe(false);
					end();
					await turns();
				}
			});

			test("a clock that steps back expires nothing", async () => {
				const host = await rested();
				host.clock.stepBack(10 * idleMs);
				await host.runtime.send("k", "again");
				expect(await generationOf(host)).toBe(1);
			});
		});

		describe("while a run is live", () => {
			test("nothing expires, however long it takes (CR-04)", async () => {
				const host = await start();
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "long");
				await clock.advance(10 * idleMs);
				await runtime.send("k", "second");
				await runtime.patch("k", { a: 1 });
				expect(await generationOf(host)).toBe(1);
				scripted.last.end();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([{ input: "second" }]);
				expect(scripted.last.run.ticket.generation).toBe(1);
			});

			test("the hour of the day is made up for after it, exactly once (CR-05)", async () => {
				const clock = new VirtualClock(Date.UTC(2026, 0, 10, 2, 59)); // 03:59 there
				const host = await start({ expiry: { daily }, clock });
				const { runtime, scripted } = host;
				await runtime.send("k", "before four");
				await clock.advance(120_000);
				await runtime.send("k", "after four", { messageId: "second" });
				await runtime.send("k", "and again", { messageId: "third" });
				expect(await runtime.get("k")).toMatchObject({
					generation: 1,
					queued: 2,
				});
				scripted.last.end();
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
				// They were accepted before, and say so.
				expect(scripted.last.run.messages).toMatchObject([
					{ messageId: "second", generation: 1 },
				]);
				scripted.last.end();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ messageId: "third", generation: 1 },
				]);
				scripted.last.end();
				await turns();
				expect(await generationOf(host)).toBe(2);
				expect((await runtime.archive("k")).items).toMatchObject([
					{ endedBy: "expiry", reason: expect.stringContaining("04:00") },
				]);
			});

			test("so it is after a host-driven run", async () => {
				const clock = new VirtualClock(Date.UTC(2026, 0, 10, 2, 59));
				const host = await start({ expiry: { daily }, clock });
				const { runtime, scripted } = host;
				const run = await runtime.admit("k");
				await runtime.send("k", "waits");
				await clock.advance(hourMs);
				await run.end();
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
				expect((await runtime.archive("k")).items.length).toBe(1);
			});
		});

		describe("by the hour of the day", () => {
			const at = async (
				from: number,
				expiry: NonNullable<Options["expiry"]>,
			) => {
				const clock = new VirtualClock(from);
				return { ...(await rested({ expiry, clock })), clock };
			};

			test("is of the given time zone", async () => {
				const from = Date.UTC(2026, 0, 10, 20);
				const host = await at(from, { daily });
				// 03:59:59 in Berlin.
				await host.clock.advance(7 * hourMs - 1000);
				await host.runtime.patch("k", { a: 1 });
				expect(await generationOf(host)).toBe(1);
				await host.clock.advance(1000);
				await host.runtime.patch("k", { a: 1 });
				expect(await generationOf(host)).toBe(2);
				// Not again before the next day, and not before something has run.
				const run = await host.runtime.admit("k");
				await run.end();
				await host.clock.advance(24 * hourMs - 1);
				await host.runtime.patch("k", { a: 2 });
				expect(await generationOf(host)).toBe(2);
				await host.clock.advance(1);
				await host.runtime.patch("k", { a: 3 });
				expect(await generationOf(host)).toBe(3);
			});

			test("does not end again what has never been used since", async () => {
				const from = Date.UTC(2026, 0, 10, 20);
				const host = await at(from, { daily });
				for (const days of [1, 1, 5]) {
					await host.clock.advance(24 * days * hourMs);
					await host.runtime.patch("k", { days });
					expect(await generationOf(host)).toBe(2);
				}
			});

			test("counts from when a message was last taken, not from when a run ended", async () => {
				const clock = new VirtualClock(Date.UTC(2026, 0, 10, 2, 59));
				const host = await start({ expiry: { daily }, clock });
				await host.runtime.send("k", "before four");
				await clock.advance(120_000);
				host.scripted.last.end();
				await turns();
				await host.runtime.send("k", "after");
				expect(await generationOf(host)).toBe(2);
			});

			test("an hour that the clock jumps over begins with the jump", async () => {
				// 2026-03-29, 02:00 → 03:00 in Berlin, at 01:00 UTC.
				const host = await at(Date.UTC(2026, 2, 29, 0, 30), {
					daily: { hour: 2, timeZone: "Europe/Berlin" },
				});
				await host.clock.advance(hourMs / 2 - 1);
				await host.runtime.patch("k", { a: 1 });
				expect(await generationOf(host)).toBe(1);
				await host.clock.advance(1);
				await host.runtime.patch("k", { a: 1 });
				expect(await generationOf(host)).toBe(2);
			});

			test("an hour that comes twice begins once", async () => {
				// 2026-10-25, 03:00 → 02:00 in Berlin, at 01:00 UTC.
				const host = await at(Date.UTC(2026, 9, 24, 23, 30), {
					daily: { hour: 2, timeZone: "Europe/Berlin" },
				});
				await host.clock.advance(hourMs / 2);
				await host.runtime.send("k", "first two o'clock");
				await turns();
				host.scripted.last.end();
				await turns();
				expect(await generationOf(host)).toBe(2);
				await host.clock.advance(hourMs);
				await host.runtime.send("k", "second two o'clock");
				expect(await generationOf(host)).toBe(2);
			});

			test("with idleMs too, whichever is due first", async () => {
				const host = await at(Date.UTC(2026, 0, 10, 20), { daily, idleMs });
				await host.clock.advance(idleMs);
				await host.runtime.send("k", "idle");
				expect((await host.runtime.archive("k")).items[0]?.reason).toContain(
					"1 min",
				);
			});
		});

		describe("what waits", () => {
			test("is kept, with the generation that accepted it", async () => {
				const host = await start({
					overlap: { mode: "enqueue", debounceMs: 2 * idleMs },
				});
				const { runtime, clock, scripted } = host;
				const receipt = await runtime.send("k", "slow", { messageId: "m" });
				await clock.advance(2 * idleMs);
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
				expect(scripted.last.run.messages).toMatchObject([
					{ messageId: "m", generation: 1 },
				]);
				scripted.last.end("out");
				expect(await receipt.settled).toMatchObject({ output: "out" });
				expect((await runtime.archive("k")).items.length).toBe(1);
			});

			test("is removed if it expected the generation that expired", async () => {
				const host = await start({
					overlap: { mode: "enqueue", debounceMs: 2 * idleMs },
				});
				const { runtime, clock, scripted } = host;
				await runtime.reset("k");
				const picky = await runtime.send("k", "picky", {
					expect: { generation: 1 },
				});
				await runtime.send("k", "easy");
				await clock.advance(2 * idleMs);
				expect(await now(picky.settled)).toMatchObject({ outcome: "removed" });
				await turns();
				expect(scripted.runs.map(({ run }) => run.messages[0]?.input)).toEqual([
					"easy",
				]);
			});
		});

		describe("what a call expects", () => {
			test("is held against the new generation", async () => {
				const { runtime, clock } = await rested();
				await clock.advance(idleMs);
				expect(
					await codeOf(runtime.send("k", "x", { expect: { generation: 1 } })),
				).toBe("STALE_EXPECTATION");
				const row = await runtime.get("k");
				expect(row).toMatchObject({ generation: 2, queued: 0 });
				expect(
					await runtime.patch(
						"k",
						{ a: 1 },
						{ expect: { generation: 2, version: row?.version as number } },
					),
				).toMatchObject({ result: "done" });
			});

			test("of a patch is stale, and nothing is patched", async () => {
				const { runtime, clock } = await rested();
				await clock.advance(idleMs);
				expect(
					await runtime.patch("k", { a: 1 }, { expect: { generation: 1 } }),
				).toMatchObject({
					result: "stale",
					mismatch: "generation",
					row: { generation: 2, meta: {} },
				});
			});

			test("of an admission too", async () => {
				const { runtime, clock } = await rested();
				await clock.advance(idleMs);
				expect(
					await codeOf(runtime.admit("k", { expect: { generation: 1 } })),
				).toBe("STALE_EXPECTATION");
			});
		});

		describe("what the host has a say in", () => {
			test("carryOver decides what the new generation keeps, and is told why", async () => {
				const asked: unknown[] = [];
				const host = await rested({
					carryOver: (meta, cause) => {
						asked.push([meta, cause]);
						return { kept: (meta as { name?: string }).name ?? null };
					},
				});
				await host.runtime.patch("k", { name: "Ada", junk: 1 });
				await host.clock.advance(idleMs);
				await host.runtime.send("k", "x");
				expect(await host.runtime.get("k")).toMatchObject({
					meta: { kept: "Ada" },
				});
				expect(asked).toEqual([[{ name: "Ada", junk: 1 }, "expiry"]]);
			});

			test("one that throws refuses nothing", async () => {
				const host = await rested({
					carryOver: () => {
						throw new Error("no");
					},
				});
				await host.clock.advance(idleMs);
				expect((await host.runtime.send("k", "x")).disposition).toBe("started");
				expect(await host.runtime.get("k")).toMatchObject({
					generation: 2,
					meta: {},
				});
			});

			test("onGenerationEnded comes before the message is taken", async () => {
				const work = Promise.withResolvers<void>();
				const ended: unknown[] = [];
				const host = await rested({
					onGenerationEnded: (one) => {
						ended.push([one.generation, one.endedBy, one.runs.length]);
						return work.promise;
					},
				});
				const { runtime, clock, scripted } = host;
				await clock.advance(idleMs);
				const receipt = await runtime.send("k", "next");
				expect(receipt.disposition).toBe("queued");
				await turns();
				expect(ended).toEqual([[1, "expiry", 1]]);
				expect(await runtime.get("k")).toMatchObject({ status: "resetting" });
				expect(scripted.runs.length).toBe(1);
				work.resolve();
				await turns();
				expect(scripted.runs.length).toBe(2);
				expect(scripted.last.run.ticket.generation).toBe(2);
				expect(await generationOf(host)).toBe(2);
			});
		});

		describe("a commit that fails", () => {
			test("leaves neither the new generation nor the message", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, { expiry: { idleMs } });
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "first");
				await turns();
				scripted.last.end();
				await turns();
				await clock.advance(idleMs);
				const before = await runtime.get("k");
				store.faults.push("before", "before");
				expect(await codeOf(runtime.send("k", "lost"))).toBe("STORE_FAILED");
				await turns();
				expect(await runtime.get("k")).toEqual(before);
				expect((await runtime.archive("k")).items).toEqual([]);
				expect((await runtime.send("k", "again")).ticket).toMatchObject({
					generation: 2,
				});
				expect((await runtime.archive("k")).items.length).toBe(1);
			});

			test("of the next in line is tried again, with one new generation", async () => {
				const store = new FaultyStore(makeStore());
				const host = await startScripted(store, {
					expiry: { idleMs },
					overlap: { mode: "enqueue", debounceMs: 2 * idleMs },
				});
				const { runtime, clock, scripted } = host;
				await runtime.send("k", "slow");
				store.broken = true;
				const before = store.commits;
				await clock.advance(2 * idleMs + 1000);
				expect(scripted.runs.length).toBe(0);
				// After a while that grows, and not as fast as the store can fail.
				expect(store.commits - before).toBeLessThan(20);
				store.broken = false;
				await clock.advance(10_000);
				expect(scripted.runs.length).toBe(1);
				expect(scripted.last.run.ticket.generation).toBe(2);
				expect((await runtime.archive("k")).items.length).toBe(1);
			});
		});

		describe("over a restart", () => {
			const crashed = async (options: Options) => {
				const store = new CrashingStore(makeStore());
				const host = await startScripted(store, options);
				const down = async (laterMs: number, more: Options = options) => {
					await store.crash();
					return startScripted(store, {
						...more,
						clock: new VirtualClock(host.clock.now() + laterMs),
					});
				};
				return { host, down };
			};

			test("recovery is no activity (SR-20)", async () => {
				const { host, down } = await crashed({ expiry: { idleMs } });
				await host.runtime.send("k", "dies");
				await turns();
				const next = await down(idleMs);
				expect(await next.runtime.get("k")).toMatchObject({
					generation: 1,
					lastOutcome: "interrupted",
				});
				await next.runtime.send("k", "next");
				expect(await generationOf(next)).toBe(2);
			});

			test("a restart alone is none either, however often", async () => {
				const { host, down } = await crashed({ expiry: { idleMs } });
				await host.runtime.send("k", "x");
				await turns();
				host.scripted.last.end();
				await turns();
				let next = await down(idleMs / 2);
				await next.runtime.get("k");
				const store = next.store as CrashingStore;
				await store.crash();
				next = await startScripted(store, {
					expiry: { idleMs },
					clock: new VirtualClock(next.clock.now() + idleMs / 2),
				});
				await next.runtime.send("k", "late");
				expect(await generationOf(next)).toBe(2);
			});

			test("what was due while nobody was there is due before a retry, which is dropped (SR-19)", async () => {
				const retry = { mode: "retry", maxAttempts: 5 } as const;
				const { host, down } = await crashed({
					expiry: { idleMs },
					recovery: retry,
				});
				await host.runtime.send("k", "dies", { messageId: "m" });
				await host.runtime.send("k", "waits", { messageId: "w" });
				await turns();
				const next = await down(idleMs);
				await turns();
				expect(await generationOf(next)).toBe(2);
				expect(
					next.scripted.runs.map(({ run }) => run.messages[0]?.messageId),
				).toEqual(["w"]);
				const again = await next.runtime.send("k", "dies", { messageId: "m" });
				expect(again.disposition).toBe("duplicate");
				expect(await now(again.settled)).toMatchObject({ outcome: "removed" });
			});

			test("a retry in time is of its generation", async () => {
				const { host, down } = await crashed({
					expiry: { idleMs },
					recovery: { mode: "retry", maxAttempts: 5 },
				});
				await host.runtime.send("k", "dies");
				await turns();
				const next = await down(idleMs - 1);
				await turns();
				expect(next.scripted.last.run.ticket).toMatchObject({
					generation: 1,
					attempt: 2,
				});
			});

			test("a line that waited too long goes on in a new generation", async () => {
				const { host, down } = await crashed({ expiry: { idleMs } });
				await host.runtime.send("k", "dies");
				await host.runtime.send("k", "waits");
				await turns();
				const next = await down(idleMs);
				await turns();
				expect(next.scripted.last.run.ticket.generation).toBe(2);
				expect(next.scripted.last.run.messages).toMatchObject([
					{ input: "waits", generation: 1 },
				]);
			});
		});

		describe("other sessions", () => {
			test("one that was imported has rested since its last update", async () => {
				const { runtime, clock } = await start();
				await runtime.import([
					{
						sessionKey: "old",
						sessionId: "o",
						updatedAt: clock.now() - idleMs,
					},
					{ sessionKey: "new", sessionId: "n", updatedAt: clock.now() - 1 },
				]);
				await runtime.send("old", 1);
				await runtime.send("new", 1);
				expect(await runtime.get("old")).toMatchObject({ generation: 2 });
				expect(await runtime.get("new")).toMatchObject({
					generation: 1,
					sessionId: "n",
				});
			});

			test("one that nobody has used yet does not expire", async () => {
				const host = await start({ expiry: { idleMs: 1, daily } });
				await host.clock.advance(1e6);
				await host.runtime.send("k", "x");
				expect(await generationOf(host)).toBe(1);
			});

			test("one that was deleted does not expire on top, and comes back rested", async () => {
				const host = await rested();
				const { runtime, clock } = host;
				await runtime.delete("k");
				await clock.advance(5 * idleMs);
				await runtime.send("k", "again");
				expect(await generationOf(host)).toBe(2);
				expect((await runtime.archive("k")).items).toMatchObject([
					{ endedBy: "delete" },
				]);
			});

			test("one of another key does not come into it", async () => {
				const host = await rested();
				await host.clock.advance(idleMs);
				await host.runtime.send("other", "x");
				expect(await generationOf(host)).toBe(1);
			});
		});

		test("without a rule, none", async () => {
			for (const expiry of [undefined, {}] as const) {
				const host = await rested({ expiry } as Options);
				await host.clock.advance(2 * hourMs);
				await host.runtime.send("k", "x");
				expect(await generationOf(host)).toBe(1);
			}
		});

		const bad: Record<string, unknown> = {
			"idleMs 0": { idleMs: 0 },
			"idleMs -1": { idleMs: -1 },
			"hour 24": { daily: { hour: 24, timeZone: "UTC" } },
			"hour 4.5": { daily: { hour: 4.5, timeZone: "UTC" } },
			"no time zone": { daily: { hour: 4 } },
			"an unknown time zone": {
				daily: { hour: 4, timeZone: "Europe/Atlantis" },
			},
			"another type": "daily",
		};
		for (const [name, expiry] of Object.entries(bad))
			test(`${name} is no rule`, async () => {
				expect(
					await codeOf(startHost(makeStore(), { expiry } as Options)),
				).toBe("INVALID_ARGUMENT");
			});
	});
