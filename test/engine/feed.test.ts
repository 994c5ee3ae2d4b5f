/** `subscribe` and `atom`: committed state, each version once, in order, and no second way from an event to a reader (promise 7). */
import {
	createSessionRuntime,
	type RuntimeEvent,
	type SessionRow,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { collectGarbage } from "../support/garbage.ts";
import { silent } from "../support/host.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

const rowsOf = (feed: readonly RuntimeEvent[]) =>
	feed.flatMap((event) => (event.type === "row" ? [event.row] : []));

for (const [kind, makeStore] of storeKinds)
	describe(`the feed, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("shows each version once, in order per key, and numbers all events", async () => {
			const { runtime, feed } = await start({
				execute: async (run) => {
					run.usage({ inputTokens: 1 });
					await turns(1);
					run.usage({ outputTokens: 1 });
				},
			});
			const keys = ["a", "b", "c"];
			await Promise.all(
				Array.from({ length: 30 }, (_, i) => {
					const key = keys[i % 3] as string;
					if (i % 10 === 9) return runtime.reset(key);
					if (i % 7 === 6) return runtime.patch(key, { i });
					return runtime.send(key, i);
				}),
			);
			await runtime.whenIdle();
			for (const key of keys) {
				const versions = rowsOf(feed)
					.filter(({ sessionKey }) => sessionKey === key)
					.map(({ version }) => version);
				expect(versions).toEqual(versions.map((_, i) => i + 1));
				expect(rowsOf(feed).findLast((row) => row.sessionKey === key)).toEqual(
					await runtime.get(key),
				);
			}
			expect(feed.map(({ seq }) => seq)).toEqual(feed.map((_, i) => i + 1));
		});

		test("tells all that a turn did before its row: message, run, generation, refusal", async () => {
			const { runtime, scripted, feed } = await start();
			const { settled, ticket } = await runtime.send("k", 1, {
				messageId: "m1",
			});
			scripted.last.end();
			await settled;
			await runtime.reset("k");
			await runtime.report({ runId: "Q", sessionKey: "k", phase: "end" });
			await runtime.delete("k");
			expect(
				feed.map((event) =>
					event.type === "row" ? `row ${event.row.version}` : event.type,
				),
			).toEqual([
				"message",
				"row 1",
				"run",
				"row 2",
				"generation",
				"row 3",
				"refusal",
				"generation",
				"deleted",
			]);
			expect(feed[2]).toMatchObject({
				run: { runId: ticket?.runId, outcome: "completed" },
			});
			expect(feed[4]).toMatchObject({
				ended: { generation: 1, endedBy: "reset", runs: [{}] },
			});
		});

		test("shows a row only when a reader finds it in the store", async () => {
			const { runtime, store } = await start();
			const reads: Promise<unknown>[] = [];
			const told: SessionRow[] = [];
			runtime.subscribe((event) => {
				if (event.type !== "row") return;
				told.push(event.row);
				reads.push(
					store
						.read()
						.then((reader) => reader.version("k"))
						.then((version) =>
							expect(version).toBeGreaterThanOrEqual(event.row.version),
						),
				);
			});
			await runtime.send("k", 1);
			await runtime.patch("k", { a: 1 });
			await Promise.all(reads);
			expect(told).toHaveLength(2);
		});

		test("is told nothing of a turn whose commit fails but the trouble", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime, feed } = await startScripted(store);
			await runtime.reset("k");
			const before = feed.length;
			store.faults.push("before", "before");
			expect(await codeOf(runtime.send("k", 1))).toBe("STORE_FAILED");
			expect(feed.slice(before)).toMatchObject([
				{ type: "trouble", error: { code: "STORE_FAILED" } },
			]);
			await runtime.patch("k", { a: 1 });
			expect(rowsOf(feed).map(({ version }) => version)).toEqual([1, 2]);
		});

		test("a listener that has unsubscribed itself is told no more, and nobody else misses anything", async () => {
			const { runtime } = await start();
			const once: string[] = [];
			const always: string[] = [];
			const subscription = runtime.subscribe(({ type }) => {
				once.push(type);
				subscription.unsubscribe();
				subscription.unsubscribe();
			});
			runtime.subscribe(({ type }) => always.push(type));
			await runtime.send("k", 1);
			await runtime.patch("k", {});
			expect(once).toEqual(["message"]);
			expect(always).toEqual(["message", "row", "row"]);
		});

		test("a listener that is subscribed twice is told twice, and each subscription ends by itself", async () => {
			const { runtime } = await start();
			const told: string[] = [];
			const listener = ({ type }: RuntimeEvent) => {
				told.push(type);
			};
			const first = runtime.subscribe(listener);
			runtime.subscribe(listener);
			await runtime.reset("k");
			expect(told).toEqual(["row", "row"]);
			first.unsubscribe();
			await runtime.reset("other");
			expect(told).toEqual(["row", "row", "row"]);
		});

		test("a listener that joins in the middle is told what comes after, with the numbers going on", async () => {
			const { runtime, feed } = await start();
			await runtime.send("k", 1);
			const late: RuntimeEvent[] = [];
			runtime.subscribe((event) => late.push(event));
			await runtime.patch("k", {});
			expect(late).toEqual(feed.slice(-1));
		});

		test("a listener that throws disturbs nobody: the others are told, the caller is answered, and it is logged", async () => {
			const logged: string[] = [];
			const { runtime, feed, scripted } = await start({
				logger: {
					...silent,
					error: (_, message) => logged.push(message ?? ""),
				},
			});
			runtime.subscribe(() => {
				throw new Error("listener broke");
			});
			const after: string[] = [];
			runtime.subscribe(({ type }) => after.push(type));
			const dead = await deathsOf(async () => {
				const { settled } = await runtime.send("k", 1);
				scripted.last.end();
				expect(await settled).toMatchObject({ outcome: "completed" });
			});
			expect(dead).toEqual([]);
			expect(after).toEqual(feed.map(({ type }) => type));
			expect(logged).toHaveLength(feed.length);
			expect(logged[0]).toContain("listener broke");
		});

		test("a listener may call the runtime: what it sets off comes after, and the order holds", async () => {
			const { runtime, feed } = await start({ execute: () => {} });
			let answered: unknown;
			runtime.subscribe((event) => {
				if (event.type !== "row") return;
				const { sessionKey, version, status } = event.row;
				if (sessionKey === "k" && version === 1) {
					void runtime.patch("k", { seen: 1 });
					void runtime.send("other", "from a listener");
					void runtime.get("k").then((row) => {
						answered = row?.version;
					});
				}
				if (sessionKey === "other" && status === "ended")
					void runtime.reset("other");
			});
			await runtime.send("k", 1);
			await runtime.until("other", (row) => row?.generation === 2);
			await runtime.whenIdle();
			expect(answered).toBeGreaterThanOrEqual(1);
			for (const key of ["k", "other"]) {
				const versions = rowsOf(feed)
					.filter(({ sessionKey }) => sessionKey === key)
					.map(({ version }) => version);
				expect(versions).toEqual(versions.map((_, i) => i + 1));
			}
			expect(await runtime.get("k")).toMatchObject({ meta: { seen: 1 } });
		});

		test("a listener that sends to the session it is told about does not get ahead of what was committed with it", async () => {
			const { runtime, scripted } = await start();
			let sent = false;
			runtime.subscribe((event) => {
				if (event.type !== "row" || sent) return;
				sent = true;
				void runtime.send("k", "from a listener");
			});
			await Promise.all([runtime.send("k", 1), runtime.send("k", 2)]);
			const inputs = [];
			for (let i = 0; i < 3; i++) {
				inputs.push(scripted.last.run.messages[0]?.input);
				scripted.last.end();
				await turns();
			}
			expect(inputs).toEqual([1, 2, "from a listener"]);
		});

		test("shows what boot recovery did, to those who subscribed before start", async () => {
			const store = new CrashingStore(makeStore());
			const dead = await startScripted(store);
			await dead.runtime.admit("k", { runId: "R" });
			await store.crash();
			const runtime = createSessionRuntime({
				store,
				logger: silent,
				clock: new VirtualClock(),
			});
			const feed: RuntimeEvent[] = [];
			runtime.subscribe((event) => feed.push(event));
			await runtime.start();
			expect(feed).toMatchObject([
				{ seq: 1, type: "run", run: { runId: "R", outcome: "interrupted" } },
				{ seq: 2, type: "row", row: { status: "ended", version: 2 } },
			]);
			await runtime.close();
		});

		test("takes nothing but a function", async () => {
			const { runtime } = await start();
			for (const listener of [undefined, null, {}, { next() {} }])
				expect(() => runtime.subscribe(wrong(listener))).toThrow(
					expect.objectContaining({ code: "INVALID_ARGUMENT" }),
				);
		});

		describe("an atom", () => {
			test("shows the row as committed, and changes with it", async () => {
				const { runtime, scripted } = await start();
				const atom = runtime.atom("k");
				await turns();
				expect(atom.get()).toBeNull();
				const seen: (SessionRow | null)[] = [];
				atom.subscribe((row) => seen.push(row));
				await runtime.send("k", 1);
				expect(atom.get()).toEqual(await runtime.get("k"));
				scripted.last.end();
				await runtime.whenIdle();
				expect(atom.get()).toMatchObject({ status: "ended" });
				await runtime.delete("k");
				expect(atom.get()).toBeNull();
				expect(seen.map((row) => row?.version ?? null)).toEqual([1, 2, null]);
			});

			test("of a session in memory is there at once", async () => {
				const { runtime } = await start();
				const { row } = await runtime.reset("k");
				expect(runtime.atom("k").get()).toEqual(row);
			});

			test("of a session that is not in memory is null until its row is read", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				const { row } = await runtime.reset("k");
				await clock.advance(10);
				expect(runtime.stats().resident).toBe(0);
				const atom = runtime.atom("k");
				expect(atom.get()).toBeNull();
				await turns();
				expect(atom.get()).toEqual(row);
				expect(runtime.stats().resident).toBe(0);
			});

			test("that is being read shows what is committed meanwhile, not what was read", async () => {
				const { runtime, clock } = await start({ passivateAfterMs: 10 });
				await runtime.reset("k");
				await clock.advance(10);
				const atom = runtime.atom("k");
				await runtime.patch("k", { a: 1 });
				await turns();
				expect(atom.get()).toMatchObject({ version: 2, meta: { a: 1 } });
			});

			test("is the same for the same key, and another for another", async () => {
				const { runtime } = await start();
				const atom = runtime.atom("k");
				expect(runtime.atom("k")).toBe(atom);
				expect(runtime.atom("other")).not.toBe(atom);
				await runtime.reset("k");
				await runtime.delete("k");
				expect(runtime.atom("k")).toBe(atom);
			});

			test("stays while somebody is subscribed to it, whoever forgets it", async () => {
				const { runtime } = await start();
				const seen: unknown[] = [];
				const subscription = runtime
					.atom("k")
					.subscribe((row) => seen.push(row?.version));
				// Others come and go; nobody holds this one.
				for (let i = 0; i < 2000; i++) runtime.atom(`other ${i}`);
				collectGarbage();
				await turns();
				await runtime.reset("k");
				await runtime.patch("k", {});
				expect(seen).toEqual([1, 2]);
				subscription.unsubscribe();
				await runtime.patch("k", {});
				expect(seen).toEqual([1, 2]);
			});

			test("shows nothing of a turn whose commit fails", async () => {
				const store = new FaultyStore(makeStore());
				const { runtime } = await startScripted(store);
				await runtime.reset("k");
				const atom = runtime.atom("k");
				const seen: unknown[] = [];
				atom.subscribe((row) => seen.push(row?.meta));
				store.faults.push("before", "before");
				expect(await codeOf(runtime.patch("k", { lost: 1 }))).toBe(
					"STORE_FAILED",
				);
				expect(seen).toEqual([]);
				expect(atom.get()).toMatchObject({ meta: {} });
			});

			test("whose reader throws disturbs nobody", async () => {
				const { runtime } = await start();
				const atom = runtime.atom("k");
				await turns();
				const dead = await deathsOf(async () => {
					atom.subscribe(() => {
						throw new Error("reader broke");
					});
					expect(await runtime.reset("k")).toMatchObject({ result: "done" });
					expect(await runtime.patch("k", { a: 1 })).toMatchObject({
						result: "done",
					});
				});
				expect(dead).toEqual([]);
				expect(atom.get()).toMatchObject({ meta: { a: 1 } });
			});

			test("is had before start, and follows from then on", async () => {
				const runtime = createSessionRuntime({
					store: makeStore(),
					logger: silent,
					clock: new VirtualClock(),
				});
				const atom = runtime.atom("k");
				expect(atom.get()).toBeNull();
				await runtime.start();
				await runtime.reset("k", { sessionId: "S1" });
				expect(atom.get()).toMatchObject({ sessionId: "S1" });
				await runtime.close();
				expect(atom.get()).toMatchObject({ sessionId: "S1" });
			});

			test("of what is no key is a bad argument", async () => {
				const { runtime } = await start();
				for (const key of ["", 5, undefined])
					expect(() => runtime.atom(wrong(key))).toThrow(
						expect.objectContaining({ code: "INVALID_ARGUMENT" }),
					);
			});
		});
	});
