/** The host's own work on generations that ended: after the commit, within the grace period, at least once, and never in a reset's way (decision 19). */
import { DatabaseSync } from "node:sqlite";
import type {
	EndedGeneration,
	JsonValue,
	OpenStore,
	RuntimeOptions,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close } from "../support/restart.ts";
import { codeOf, now, startScripted } from "../support/scripted-host.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

type Options = Partial<RuntimeOptions<JsonValue, unknown, JsonValue>>;
type Store = Parameters<typeof startScripted>[0];

/** A host whose work on a generation ends when the test says so. */
async function startClosing(store: Store, options: Options = {}) {
	const calls: {
		ended: EndedGeneration;
		done: () => void;
		fail: (error: unknown) => void;
	}[] = [];
	const said: string[] = [];
	const note = (_: unknown, message?: string) => {
		said.push(String(message));
	};
	const host = await startScripted(store, {
		graceMs: 100,
		logger: { debug() {}, info() {}, warn: note, error: note },
		onGenerationEnded: (ended) => {
			const { promise, resolve, reject } = Promise.withResolvers<void>();
			calls.push({ ended, done: resolve, fail: reject });
			return promise;
		},
		...options,
	});
	return {
		...host,
		calls,
		said,
		call: (at: number) => {
			const call = calls[at];
			if (!call) throw new Error(`there were ${calls.length} calls`);
			return call;
		},
		/** The generations that the host was called for, in order. */
		called: () => calls.map(({ ended }) => ended.generation),
	};
}

for (const [kind, makeStore] of storeKinds)
	describe(`onGenerationEnded, on ${kind}`, () => {
		async function used(options: Options = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startClosing(store, options);
			const { settled } = await host.runtime.send("k", "hello");
			host.scripted.last.end();
			await settled;
			return { ...host, store };
		}

		test("is called after the commit, with the generation and its runs", async () => {
			let row: unknown;
			const host = await used({
				onGenerationEnded: async (ended) => {
					calls.push(ended);
					row = await runtime.get("k");
				},
			});
			const { runtime, scripted } = host;
			const calls: EndedGeneration[] = [];
			await runtime.patch("k", { a: 1 });
			await runtime.reset("k", { reason: "/new" });
			expect(calls).toMatchObject([
				{
					sessionKey: "k",
					generation: 1,
					endedBy: "reset",
					reason: "/new",
					row: { generation: 1, status: "ended", meta: { a: 1 } },
					runs: [
						{
							runId: scripted.last.run.ticket.runId,
							outcome: "completed",
						},
					],
				},
			]);
			expect(row).toMatchObject({ generation: 2, status: "resetting" });
			expect((await runtime.archive("k")).items).toEqual(calls);
		});

		test("is not called where nothing has ended", async () => {
			const { runtime, called, scripted } = await used();
			await runtime.reset("fresh");
			await runtime.delete("unknown");
			await runtime.send("k", "again");
			const aborted = runtime.abort("k");
			scripted.last.end();
			await aborted;
			expect(
				await runtime.reset("k", { expect: { generation: 7 } }),
			).toMatchObject({ result: "stale" });
			expect(called()).toEqual([]);
		});

		test("holds reset(), whenIdle() and the line up until it resolves; the row says resetting", async () => {
			const { runtime, call, scripted, feedRow } = await used();
			const reset = runtime.reset("k");
			await turns();
			const idle = runtime.whenIdle("k");
			const all = runtime.whenIdle();
			const { disposition, settled } = await runtime.send("k", "next");
			expect(disposition).toBe("queued");
			expect(await now(reset)).toBe("pending");
			expect(await now(idle)).toBe("pending");
			expect(await runtime.get("k")).toMatchObject({
				generation: 2,
				status: "resetting",
				draining: 0,
				hasActiveRun: false,
				queued: 1,
			});
			expect((await runtime.list({ status: "resetting" })).items).toMatchObject(
				[{ sessionKey: "k" }],
			);
			expect(await codeOf(runtime.admit("k"))).toBe("SESSION_BUSY");
			expect(await codeOf(runtime.send("k", "no", { overlap: "reject" }))).toBe(
				"SESSION_BUSY",
			);
			expect(scripted.runs).toHaveLength(1);
			call(0).done();
			expect(await reset).toMatchObject({ result: "done" });
			await turns();
			expect(scripted.runs).toHaveLength(2);
			expect(feedRow("k")).toMatchObject({ status: "running" });
			scripted.last.end();
			await settled;
			await Promise.all([idle, all]);
			expect(await runtime.get("k")).toMatchObject({ status: "ended" });
		});

		test("holds no other session up", async () => {
			const { runtime, scripted, call } = await used();
			const reset = runtime.reset("k");
			await turns();
			await runtime.send("other", "hi");
			expect(scripted.last.run.ticket.sessionKey).toBe("other");
			call(0).done();
			await reset;
		});

		test("goes on beside the runs that drain: both are waited for", async () => {
			for (const first of ["run", "hook"] as const) {
				const { runtime, scripted, call } = await used();
				await runtime.send("k", "again");
				const reset = runtime.reset("k");
				await turns();
				// A run that drains stands in what the host is given, as it stood.
				expect(call(0).ended.runs).toMatchObject([
					{ outcome: null, stoppedBy: "reset" },
					{ outcome: "completed" },
				]);
				const ends = [scripted.last.end, call(0).done];
				if (first === "hook") ends.reverse();
				ends[0]?.();
				expect(await now(reset)).toBe("pending");
				ends[1]?.();
				expect(await reset).toMatchObject({
					report: { drained: [{ outcome: "aborted" }] },
				});
				expect(await runtime.get("k")).toMatchObject({ status: "idle" });
			}
		});

		test("is given its grace period and no more; that is logged, and the session goes on", async () => {
			const { runtime, clock, said, call } = await used();
			const reset = runtime.reset("k");
			await clock.advance(99);
			expect(await now(reset)).toBe("pending");
			await clock.advance(1);
			expect(await reset).toMatchObject({ result: "done" });
			expect(await runtime.get("k")).toMatchObject({ status: "idle" });
			expect(said).toEqual([expect.stringContaining("onGenerationEnded")]);
			// Late, it changes nothing.
			const before = await runtime.get("k");
			call(0).done();
			await turns();
			expect(await runtime.get("k")).toEqual(before);
			expect(said).toHaveLength(1);
		});

		test("is given the grace period of the command, where that has its own", async () => {
			const { runtime, clock } = await used();
			const reset = runtime.reset("k", { graceMs: 10 });
			await clock.advance(10);
			expect(await now(reset)).toMatchObject({ result: "done" });
		});

		for (const [what, hook] of Object.entries({
			throws: () => {
				throw new Error("archive is full");
			},
			rejects: () => Promise.reject(new Error("archive is full")),
			"rejects with no Error": () => Promise.reject("archive is full"),
		}))
			test(`that ${what} refuses no reset: it is logged, and the session goes on`, async () => {
				const deaths = await deathsOf(async () => {
					const { runtime, said } = await used({ onGenerationEnded: hook });
					expect(await runtime.reset("k")).toMatchObject({ result: "done" });
					expect(await runtime.get("k")).toMatchObject({
						generation: 2,
						status: "idle",
					});
					expect(said).toEqual([expect.stringContaining("archive is full")]);
				});
				expect(deaths).toEqual([]);
			});

		test("that fails after its time is no death of the process", async () => {
			const deaths = await deathsOf(async () => {
				const { runtime, clock, call, said } = await used();
				const reset = runtime.reset("k");
				await clock.advance(100);
				await reset;
				call(0).fail(new Error("late"));
				await turns();
				expect(said).toHaveLength(1);
			});
			expect(deaths).toEqual([]);
		});

		describe("is called on", () => {
			test("a message that comes with a reset, which waits for it", async () => {
				const { runtime, call, scripted } = await used();
				const { disposition } = await runtime.send("k", "anew", {
					reset: true,
				});
				expect(disposition).toBe("queued");
				await turns();
				expect(call(0).ended).toMatchObject({ generation: 1 });
				call(0).done();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([{ input: "anew" }]);
			});

			test("a delete, and the key is unknown meanwhile", async () => {
				const { runtime, call } = await used();
				const deleted = runtime.delete("k");
				await turns();
				expect(call(0).ended).toMatchObject({
					generation: 1,
					endedBy: "delete",
				});
				expect(await runtime.get("k")).toBeNull();
				expect(await now(deleted)).toBe("pending");
				call(0).done();
				expect(await deleted).toMatchObject({ result: "done" });
			});

			test("a purge, before anything is erased", async () => {
				const { runtime, call } = await used();
				const deleted = runtime.delete("k", { purge: true });
				await turns();
				expect(call(0).ended.runs).toMatchObject([{ outcome: "completed" }]);
				expect((await runtime.runs("k")).items).toHaveLength(1);
				call(0).done();
				await deleted;
				await turns();
				expect((await runtime.runs("k")).items).toEqual([]);
				expect((await runtime.archive("k")).items).toEqual([]);
			});

			test("an expiry, and the message that it was for waits", async () => {
				const { runtime, clock, call, scripted } = await used({
					expiry: { idleMs: 1000 },
				});
				await clock.advance(1000);
				const { disposition, settled } = await runtime.send("k", "anew");
				expect(disposition).toBe("queued");
				await turns();
				expect(call(0).ended).toMatchObject({ endedBy: "expiry" });
				call(0).done();
				await turns();
				expect(scripted.last.run.ticket.generation).toBe(2);
				scripted.last.end();
				expect(await settled).toMatchObject({ outcome: "completed" });
			});

			test("each of several resets in a row, and each waits for what is older", async () => {
				const { runtime, call, called } = await used();
				const answers = [
					runtime.reset("k"),
					runtime.reset("k"),
					runtime.reset("k"),
				];
				await turns();
				expect(called()).toEqual([1, 2, 3]);
				expect(await runtime.get("k")).toMatchObject({
					generation: 4,
					status: "resetting",
				});
				const over = async () =>
					(await Promise.all(answers.map(now))).map((one) => one !== "pending");
				call(1).done();
				expect(await over()).toEqual([false, false, false]);
				call(0).done();
				expect(await over()).toEqual([true, true, false]);
				call(2).done();
				expect(await over()).toEqual([true, true, true]);
				expect(await runtime.get("k")).toMatchObject({ status: "idle" });
			});
		});

		test("is given up at the earliest of several grace periods", async () => {
			const { runtime, clock, called } = await used();
			const first = runtime.reset("k");
			await turns();
			const second = runtime.reset("k", { graceMs: 10 });
			await clock.advance(9);
			expect(await now(first)).toBe("pending");
			await clock.advance(1);
			expect(await now(first)).toMatchObject({ result: "done" });
			expect(await now(second)).toMatchObject({ result: "done" });
			expect(called()).toEqual([1, 2]);
		});

		test("is given no more time by a later, longer grace period", async () => {
			const { runtime, clock, call } = await used();
			const first = runtime.reset("k", { graceMs: 10 });
			await turns();
			const second = runtime.reset("k", { graceMs: 1000 });
			await turns();
			call(1).done();
			await clock.advance(10);
			expect(await now(first)).toMatchObject({ result: "done" });
			expect(await now(second)).toMatchObject({ result: "done" });
		});

		test("of a deleted key is given up sooner by a second delete, or by a reset", async () => {
			for (const how of ["delete", "reset"] as const) {
				const { runtime, clock, called } = await used();
				const deleted = runtime.delete("k");
				await turns();
				const again = runtime[how]("k", { graceMs: 10 });
				await clock.advance(10);
				expect(await now(deleted)).toMatchObject({ result: "done" });
				await now(again);
				expect(called()).toEqual([1]);
			}
		});

		describe("may call into the runtime:", () => {
			const calls: Record<
				string,
				(
					runtime: Awaited<ReturnType<typeof used>>["runtime"],
				) => Promise<unknown>
			> = {
				get: (runtime) => runtime.get("k"),
				archive: (runtime) => runtime.archive("k"),
				transcript: (runtime) => runtime.transcript("k", { generation: 1 }),
				patch: (runtime) => runtime.patch("k", { a: 1 }),
				"send to its own session": (runtime) => runtime.send("k", "more"),
				"send elsewhere": (runtime) => runtime.send("other", "hi"),
				"reset elsewhere": (runtime) => runtime.reset("other"),
				abort: (runtime) => runtime.abort("k"),
				report: (runtime) => runtime.report({ runId: "none", phase: "end" }),
			};
			for (const [name, call] of Object.entries(calls))
				test(`${name} is served at once`, async () => {
					const answers: unknown[] = [];
					const { runtime, said } = await used({
						onGenerationEnded: async ({ sessionKey }) => {
							if (sessionKey === "k") answers.push(await call(runtime));
						},
					});
					expect(await now(runtime.reset("k"))).toMatchObject({
						result: "done",
					});
					expect(answers).toHaveLength(1);
					expect(said).toEqual([]);
				});

			test("what waits for itself is over with its grace period", async () => {
				for (const name of ["reset", "whenIdle", "close"] as const) {
					let isFirst = true;
					const { runtime, clock } = await used({
						onGenerationEnded: async () => {
							if (!isFirst) return;
							isFirst = false;
							if (name === "close") await runtime.close();
							else await runtime[name]("k");
						},
					});
					const reset = codeOf(runtime.reset("k"));
					await turns();
					await clock.advance(2000);
					expect(await now(reset)).toEqual(
						name === "close"
							? "RUNTIME_CLOSED"
							: { resolved: expect.objectContaining({ result: "done" }) },
					);
				}
			});
		});

		test("is called again at the next start if the process died before it was done, and not if after", async () => {
			const store = new CrashingStore(makeStore());
			const first = await startClosing(store);
			for (const key of ["k", "j"]) {
				await first.runtime.send(key, "hello");
				first.scripted.last.end();
			}
			await first.runtime.whenIdle();
			const done = first.runtime.reset("j");
			await turns();
			first.call(0).done();
			await done;
			void first.runtime.reset("k").catch(() => {});
			await first.runtime.send("k", "waits");
			await turns();
			expect(first.called()).toEqual([1, 1]);
			await store.crash();

			const next = await startClosing(store);
			await turns();
			expect(next.calls).toHaveLength(1);
			expect(next.call(0).ended).toMatchObject({
				sessionKey: "k",
				generation: 1,
				runs: [{ outcome: "completed" }],
			});
			expect(await next.runtime.get("k")).toMatchObject({
				status: "resetting",
			});
			expect(next.scripted.runs).toHaveLength(0);
			next.call(0).done();
			await turns();
			expect(next.scripted.last.run.messages).toMatchObject([
				{ input: "waits" },
			]);
			await next.clock.advance(1000);
			await close(next, { graceMs: 100 });
			const last = await startClosing(store);
			await turns();
			expect(last.calls).toEqual([]);
		});

		test("is called again after a close that did not wait for it, of a deleted key too", async () => {
			const host = await used();
			const deleted = codeOf(host.runtime.delete("k"));
			await turns();
			await close(host, { graceMs: 100 });
			expect(await deleted).toBe("RUNTIME_CLOSED");
			host.call(0).done();
			const next = await startClosing(host.store);
			await turns();
			expect(next.called()).toEqual([1]);
			next.call(0).done();
			await next.runtime.whenIdle();
			expect(await next.runtime.get("k")).toBeNull();
		});

		test("has the grace period anew at the next start", async () => {
			const host = await used();
			void host.runtime.reset("k").catch(() => {});
			await turns();
			await close(host, { graceMs: 50 });
			const next = await startClosing(host.store);
			await next.clock.advance(99);
			expect(await next.runtime.get("k")).toMatchObject({
				status: "resetting",
			});
			await next.clock.advance(1);
			expect(await next.runtime.get("k")).toMatchObject({ status: "idle" });
		});

		test("that the next process does not have any more keeps no session", async () => {
			const host = await used();
			void host.runtime.reset("k").catch(() => {});
			await turns();
			await close(host, { graceMs: 50 });
			const next = await startScripted(host.store);
			await next.runtime.whenIdle();
			expect(await next.runtime.get("k")).toMatchObject({
				generation: 2,
				status: "idle",
			});
		});

		describe("and a store that fails:", () => {
			test("a reset that cannot be kept calls nobody", async () => {
				const { runtime, store, called } = await used();
				store.faults.push("before", "before");
				expect(await codeOf(runtime.reset("k"))).toBe("STORE_FAILED");
				await turns();
				expect(called()).toEqual([]);
				expect(await runtime.get("k")).toMatchObject({ generation: 1 });
			});

			test("that its work is done is tried again until it is kept", async () => {
				const { runtime, store, call, called, clock } = await used();
				const reset = runtime.reset("k");
				await turns();
				store.broken = true;
				call(0).done();
				expect(await now(reset)).toBe("pending");
				await clock.advance(500);
				store.broken = false;
				await clock.advance(5000);
				expect(await now(reset)).toMatchObject({ result: "done" });
				expect(called()).toEqual([1]);
			});

			describe("a generation that cannot be read", () => {
				/** As many reads of ended generations fail as are left. */
				async function unread(times: number) {
					const host = await used();
					const opened = host.store.opened as OpenStore;
					const left = { times };
					const { generation } = opened;
					opened.generation = (...args) => {
						if (left.times <= 0) return generation.apply(opened, args);
						left.times -= 1;
						return Promise.reject(new Error("connection lost"));
					};
					return { ...host, left };
				}

				test("at first is read again until it can be, within its time", async () => {
					const { runtime, call, called, clock, said } = await unread(1);
					const reset = runtime.reset("k", { graceMs: 1000 });
					await turns();
					expect(called()).toEqual([]);
					await clock.advance(100);
					expect(called()).toEqual([1]);
					expect(await now(reset)).toBe("pending");
					call(0).done();
					expect(await now(reset)).toMatchObject({ result: "done" });
					expect(said).toEqual([]);
				});

				test("in all that time keeps nobody, and is not given up: the next process calls", async () => {
					const host = await unread(Number.POSITIVE_INFINITY);
					const { runtime, called, clock, said, store } = host;
					const reset = runtime.reset("k");
					await clock.advance(99);
					expect(await now(reset)).toBe("pending");
					await clock.advance(1);
					expect(await now(reset)).toMatchObject({ result: "done" });
					expect(await runtime.get("k")).toMatchObject({ status: "idle" });
					await runtime.whenIdle();
					expect(called()).toEqual([]);
					expect(said).toEqual([expect.stringContaining("connection lost")]);
					await close(host, { graceMs: 100 });

					const next = await startClosing(store);
					await turns();
					expect(next.called()).toEqual([1]);
					// Nobody waits for it any more.
					const { disposition } = await next.runtime.send("k", "next");
					expect(disposition).toBe("started");
					next.call(0).done();
					await turns();
					next.scripted.last.end();
					await next.runtime.whenIdle();
					expect(await next.runtime.get("k")).toMatchObject({
						status: "ended",
					});
					await close(next, { graceMs: 100 });
					const last = await startClosing(store);
					await turns();
					expect(last.calls).toEqual([]);
				});

				test("is tried again when the session begins anew", async () => {
					const { runtime, called, call, clock, left } = await unread(
						Number.POSITIVE_INFINITY,
					);
					const first = runtime.reset("k");
					await clock.advance(100);
					await first;
					left.times = 0;
					const second = runtime.reset("k");
					await turns();
					expect(called()).toEqual([1, 2]);
					call(1).done();
					expect(await now(second)).toMatchObject({ result: "done" });
					call(0).done();
					await turns();
					const third = runtime.reset("k");
					await turns();
					expect(called()).toEqual([1, 2, 3]);
					call(2).done();
					expect(await now(third)).toMatchObject({ result: "done" });
				});

				test("is called for as soon as a read that was late succeeds", async () => {
					const host = await used();
					const opened = host.store.opened as OpenStore;
					const gate = Promise.withResolvers<void>();
					const { generation } = opened;
					opened.generation = (...args) =>
						gate.promise.then(() => generation.apply(opened, args));
					const reset = host.runtime.reset("k");
					await host.clock.advance(100);
					expect(await now(reset)).toMatchObject({ result: "done" });
					gate.resolve();
					await turns();
					expect(host.called()).toEqual([1]);
					host.call(0).done();
					await turns();
					await close(host, { graceMs: 100 });
					const next = await startClosing(host.store);
					await turns();
					expect(next.called()).toEqual([]);
				});

				test("is erased by a purge all the same, and nobody is called for it", async () => {
					const host = await unread(Number.POSITIVE_INFINITY);
					const deleted = host.runtime.delete("k", { purge: true });
					await host.clock.advance(100);
					expect(await now(deleted)).toMatchObject({ result: "done" });
					host.left.times = 0;
					expect((await host.runtime.archive("k")).items).toEqual([]);
					await close(host, { graceMs: 100 });
					const next = await startClosing(host.store);
					await next.runtime.whenIdle();
					expect(next.called()).toEqual([]);
					expect((await host.store.opened?.load("k"))?.facts.closing).toEqual(
						[],
					);
				});
			});

			test("a session that was read again meanwhile is not worked on twice", async () => {
				const { runtime, store, call, called, clock } = await used();
				const reset = runtime.reset("k");
				await turns();
				store.faults.push("before", "before");
				expect(await codeOf(runtime.patch("k", { a: 1 }))).toBe("STORE_FAILED");
				await clock.advance(10);
				expect(called()).toEqual([1]);
				call(0).done();
				expect(await now(reset)).toMatchObject({ result: "done" });
			});
		});

		test("is not awaited by a close, which is in time", async () => {
			const { runtime, clock } = await used();
			const reset = codeOf(runtime.reset("k"));
			await turns();
			const closed = runtime.close({ graceMs: 50 });
			await clock.advance(50);
			await now(closed);
			await clock.advance(1000);
			expect(await now(closed)).toBeUndefined();
			expect(await reset).toBe("RUNTIME_CLOSED");
		});

		test("is for generations of runs that the host drives, too", async () => {
			const { runtime, called, call } = await startClosing(makeStore());
			const run = await runtime.admit("k");
			const reset = runtime.reset("k");
			await turns();
			expect(called()).toEqual([1]);
			call(0).done();
			await run.end();
			expect(await reset).toMatchObject({
				report: { drained: [{ outcome: "aborted" }] },
			});
		});
	});

describe("onGenerationEnded of a session that cannot be read", () => {
	test("is called with what is left of it when a reset heals it", async () => {
		const file = temporaryFile();
		const first = await startClosing(sqliteStore(file));
		await first.runtime.send("k", "hello");
		first.scripted.last.end();
		await first.runtime.whenIdle();
		await close(first, { graceMs: 100 });
		const db = new DatabaseSync(file);
		db.exec("UPDATE sessions SET body = 'rubbish' WHERE session_key = 'k'");
		db.close();
		const { runtime, call } = await startClosing(sqliteStore(file));
		const reset = runtime.reset("k");
		await turns();
		expect(call(0).ended).toMatchObject({
			generation: 1,
			row: { meta: { unreadable: "rubbish" } },
			runs: [{ outcome: "completed" }],
		});
		call(0).done();
		expect(await reset).toMatchObject({ row: { generation: 2 } });
	});
});
