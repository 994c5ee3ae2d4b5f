/** What becomes of things under way when the runtime closes or loses its store: nothing more is written or started, and nobody waits for ever. */
import type { Batch, OpenStore, SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { Scripted, startHost } from "../support/host.ts";
import { codeOf, now } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

/** A store whose calls a test may bend, by name. */
function bent(
	inner: SessionStore,
	bend: Partial<{
		[Name in keyof OpenStore]: (
			store: OpenStore,
			...args: never[]
		) => Promise<unknown>;
	}>,
): SessionStore {
	return {
		read: () => inner.read(),
		open: async (owner) => {
			const store = await inner.open(owner);
			return new Proxy(store, {
				get: (target, name) => {
					const own = bend[name as keyof OpenStore];
					if (own) return (...args: never[]) => own(target, ...args);
					const value = Reflect.get(target, name, target);
					return typeof value === "function" ? value.bind(target) : value;
				},
			});
		},
	};
}

for (const [kind, makeStore] of storeKinds)
	describe(`ends, on ${kind}`, () => {
		test("once the store is lost nothing of the same batch is written or started", async () => {
			// 1 a patch of a and a send to b share a batch → 2 a is at a version that nobody here wrote → 3 b must not be tried again.
			const store = new FaultyStore(makeStore());
			const scripted = new Scripted();
			const { runtime } = await startHost(store, { execute: scripted.execute });
			await runtime.reset("a");
			store.beforeCommit = async (batch: Batch) => {
				store.beforeCommit = null;
				const own = batch.sessions.find(({ sessionKey }) => sessionKey === "a");
				if (!own?.facts) throw new Error("nothing to overtake");
				await store.opened?.commit({
					sessions: [
						{ ...own, facts: { ...own.facts, version: own.facts.version + 5 } },
					],
					refusals: [],
				});
			};
			const both = [
				codeOf(runtime.patch("a", { x: 1 })),
				codeOf(runtime.send("b", "hello")),
			];
			expect(await Promise.all(both)).toEqual(["STORE_LOCKED", "STORE_LOCKED"]);
			await turns();
			expect(scripted.runs).toEqual([]);
			const reader = await store.read();
			expect(await reader.load("b")).toBeNull();
			await reader[Symbol.asyncDispose]();
		});

		test("a host's start whose commit held in doubt leaves the run to its host", async () => {
			// 1 reserve R → 2 its start is committed, the answer is lost, the version cannot be read once → 3 R is live and its end counts.
			let loses = false;
			let blind = false;
			const store = bent(makeStore(), {
				commit: async (inner, batch) => {
					await inner.commit(batch);
					if (!loses) return;
					loses = false;
					blind = true;
					throw new Error("connection lost");
				},
				version: async (inner, key) => {
					if (blind) {
						blind = false;
						throw new Error("connection lost");
					}
					return inner.version(key);
				},
			});
			const { runtime, clock } = await startHost(store);
			await runtime.admit("k", { runId: "R", reserve: true });
			loses = true;
			expect(await codeOf(runtime.report({ runId: "R", phase: "start" }))).toBe(
				"STORE_FAILED",
			);
			await clock.advance(1000);
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const { verdict } = await runtime.report({ runId: "R", phase: "end" });
			expect(verdict).toBe("applied");
			expect(await runtime.get("k")).toMatchObject({
				lastOutcome: "completed",
			});
		});

		test("a message that waited through a delete and is taken by a reservation in doubt is worked on", async () => {
			// 1 m2 waits → 2 the session is deleted, m2 kept → 3 a reservation begins a generation, which takes m2; all of it is committed, the
			// answer is lost, and the version cannot be read once.
			const store = new FaultyStore(makeStore());
			const scripted = new Scripted();
			const { runtime } = await startHost(store, { execute: scripted.execute });
			await runtime.send("k", "one", { messageId: "m1" });
			await runtime.send("k", "two", { messageId: "m2", overlap: "enqueue" });
			const deleted = runtime.delete("k", { queued: "keep" });
			await turns();
			scripted.last.end();
			await deleted;
			const opened = store.opened as OpenStore;
			const { version } = opened;
			store.faults.push("after");
			opened.version = () => {
				opened.version = version;
				return Promise.reject(new Error("connection lost"));
			};
			const reserved = runtime.admit("k", { runId: "R", reserve: true });
			expect(await codeOf(reserved)).toBe("STORE_FAILED");
			await turns();
			const { run, end } = scripted.last;
			expect(run.messages).toMatchObject([{ messageId: "m2" }]);
			end();
			await runtime.whenIdle();
			expect(await runtime.get("k")).toMatchObject({
				lastOutcome: "completed",
			});
		});

		test("late usage whose commit failed in the dark counts, once", async () => {
			// 1 R has settled in an ended generation → 2 usage: the commit fails before it took effect, the version cannot be read → 3 tried again.
			let fails = false;
			let blind = 0;
			const store = bent(makeStore(), {
				commit: async (inner, batch) => {
					if (fails) {
						fails = false;
						blind = 2;
						throw new Error("disk I/O error");
					}
					await inner.commit(batch);
				},
				version: async (inner, key) => {
					if (blind > 0) {
						blind -= 1;
						throw new Error("disk I/O error");
					}
					return inner.version(key);
				},
			});
			const { runtime, clock } = await startHost(store);
			const run = await runtime.admit("k", { runId: "R" });
			await run.end();
			await runtime.reset("k");
			fails = true;
			run.usage({ inputTokens: 7 });
			await turns();
			await clock.advance(10_000);
			expect((await runtime.runs("k")).items).toMatchObject([
				{ runId: "R", inputTokens: 7 },
			]);
		});

		test("a disposal in doubt does not outlive the close", async () => {
			// 1 a run is disposed; its commit fails, and from then on the store answers nothing → 2 close.
			let away = false;
			const store = bent(makeStore(), {
				commit: async (inner, batch) => {
					if (away) throw new Error("the store is away");
					await inner.commit(batch);
				},
				version: async (inner, key) => {
					if (away) throw new Error("the store is away");
					return inner.version(key);
				},
				load: async (inner, key) => {
					if (away) throw new Error("the store is away");
					return inner.load(key);
				},
			});
			const { runtime, clock } = await startHost(store);
			const run = await runtime.admit("k");
			away = true;
			const disposed = Promise.resolve(run[Symbol.asyncDispose]()).then(
				() => "disposed",
			);
			await turns();
			const closing = runtime.close({ graceMs: 10 });
			await clock.advance(2000);
			await closing;
			expect(await now(disposed)).toBe("disposed");
		});

		test("a close gives usage that waits for its next try its time", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime, clock } = await startHost(store);
			const run = await runtime.admit("k", { runId: "R" });
			await run.end();
			store.faults.push("before", "before");
			run.usage({ inputTokens: 7 });
			await turns();
			const closing = runtime.close({ graceMs: 5000 });
			await clock.advance(5000);
			await closing;
			const next = await startHost(store);
			expect((await next.runtime.runs("k")).items).toMatchObject([
				{ inputTokens: 7 },
			]);
		});

		test("a commit that the store never answers leaves nobody waiting after the close", async () => {
			let hangs = false;
			const store = bent(makeStore(), {
				commit: (inner, batch) =>
					hangs ? new Promise(() => {}) : inner.commit(batch),
			});
			const scripted = new Scripted();
			const { runtime, clock } = await startHost(store, {
				execute: scripted.execute,
			});
			await runtime.reset("k");
			hangs = true;
			const sent = codeOf(runtime.send("k", "hello"));
			const reset = codeOf(runtime.reset("k"));
			await turns();
			const closing = runtime.close({ graceMs: 10 });
			await clock.advance(2000);
			await closing;
			expect(await now(sent)).toBe("RUNTIME_CLOSED");
			expect(await now(reset)).toBe("RUNTIME_CLOSED");
			expect(scripted.runs).toEqual([]);
		});
	});
