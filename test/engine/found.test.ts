/** Faults that the tests of the contract found, each with the exact order of events. One that is mended stays, as its proof. */
import { DatabaseSync } from "node:sqlite";
import {
	createSessionRuntime,
	type JsonValue,
	type SessionStore,
	type StoreReader,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { Scripted, silent, startHost } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { now, wrong } from "../support/scripted-host.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

const badArgument = { code: "INVALID_ARGUMENT" };

/** A schema that lets everything pass once `look` is done. */
function checked(look: (value: unknown) => Promise<void> | void) {
	return {
		"~standard": {
			version: 1,
			vendor: "test",
			validate: async (value: unknown) => {
				await look(value);
				return { value: value as JsonValue };
			},
		},
	} as const;
}

for (const [kind, makeStore] of storeKinds)
	describe(`found, on ${kind}`, () => {
		async function start(
			options: Parameters<typeof startHost>[1] = {},
			store = makeStore(),
		) {
			const scripted = new Scripted();
			const host = await startHost(store, {
				execute: scripted.execute,
				...options,
			});
			return { ...host, scripted };
		}

		// ── order

		test("a message sent with meta and one sent right after it are taken in the order of the calls", async () => {
			// 1 send(m1, { meta }) → 2 send(m2) in the same tick. m1 waits a microtask for its meta, m2 overtakes it.
			const { runtime, scripted } = await start();
			await Promise.all([
				runtime.send("k", "first", { meta: { a: 1 } }),
				runtime.send("k", "second"),
			]);
			expect(scripted.last.run.messages).toMatchObject([{ input: "first" }]);
		});

		test("a message whose schema takes long and one sent right after it are taken in the order of the calls", async () => {
			// 1 send(m1), its schema waits for something → 2 send(m2) in the same tick, its schema answers at once and m2 overtakes m1.
			const slow = checked(async (text) => {
				if (text === "first") await turns(3);
			});
			const { runtime, scripted } = await start({ schemas: { input: slow } });
			await Promise.all([
				runtime.send("k", "first"),
				runtime.send("k", "second"),
			]);
			await turns();
			expect(scripted.last.run.messages).toMatchObject([{ input: "first" }]);
		});

		test("a message sent after a reset with meta belongs to the new generation", async () => {
			// 1 reset(k, { meta }) → 2 send(k) in the same tick. The reset waits a microtask, the message gets into the old generation and is stopped.
			const { runtime, scripted } = await start();
			await runtime.reset("k");
			void runtime.reset("k", { meta: { a: 1 }, graceMs: 0 });
			const { ticket } = await runtime.send("k", "for the new generation");
			await turns();
			expect(ticket).toMatchObject({ generation: 2 });
			expect(scripted.last.run.signal.aborted).toBe(false);
		});

		// ── deletion

		test("a message that a delete keeps waits for the generation's next use", async () => {
			// 1 m1 runs, m2 waits → 2 delete(k, { queued: 'keep' }) → 3 the run settles → m2 is taken in a generation that nobody has
			// opened: hidden, without a session id. On SQLite the commit fails for ever, and the delete never resolves.
			const { runtime, scripted, clock } = await start();
			await runtime.send("k", "first");
			await runtime.send("k", "second");
			const deleted = runtime.delete("k", { queued: "keep" });
			await turns();
			scripted.last.end();
			await clock.advance(20_000);
			expect(await now(deleted)).toMatchObject({ result: "done" });
			for (const { run } of scripted.runs)
				expect(typeof run.ticket.sessionId).toBe("string");
			// Either it waits, or its taking has opened the generation.
			const row = await runtime.get("k");
			expect(scripted.runs).toHaveLength(row ? 2 : 1);
		});

		const reopened: Record<
			string,
			(runtime: Awaited<ReturnType<typeof start>>["runtime"]) => unknown
		> = {
			"a reset": (runtime) => runtime.reset("k"),
			"a reservation": (runtime) => runtime.admit("k", { reserve: true }),
		};
		for (const [name, open] of Object.entries(reopened))
			test(`a message that a delete kept is taken when ${name} opens the session again`, async () => {
				// 1 m1 runs, m2 waits → 2 delete(k, { queued: 'keep' }), m1 settles: m2 waits for the next use → 3 reset(k), or admit with reserve:
				// the session is open, idle and has m2 in line, but neither event carries a grant: nobody takes m2 until something else happens.
				const { runtime, scripted } = await start();
				await runtime.send("k", "first");
				await runtime.send("k", "second");
				const deleted = runtime.delete("k", { queued: "keep" });
				await turns();
				scripted.last.end();
				await deleted;
				await open(runtime);
				await turns();
				expect(await runtime.get("k")).toMatchObject({
					status: "running",
					queued: 0,
				});
				expect(scripted.last.run.messages).toMatchObject([{ input: "second" }]);
			});

		test("a purge of what was deleted before answers with a row or says that there was nothing", async () => {
			// 1 delete(k) → 2 delete(k, { purge: true }): 'done' with row undefined, which the type does not know.
			const { runtime } = await start();
			await runtime.reset("k");
			await runtime.delete("k");
			const answer = await runtime.delete("k", { purge: true });
			expect(answer.row).not.toBeUndefined();
		});

		// ── ends that get lost

		test("the end of a run survives an ids.runId that throws", async () => {
			// 1 m1 runs, m2 waits → 2 the executor returns → 3 the turn that settles it asks ids.runId for m2's run, which throws
			// → the end itself is lost, and the session is running for ever.
			let fails = false;
			let count = 0;
			const { runtime, scripted, clock } = await start({
				ids: {
					runId: () => {
						count += 1;
						if (fails) throw new Error("no ids today");
						return `run ${count}`;
					},
				},
			});
			const { settled } = await runtime.send("k", "first");
			await runtime.send("k", "second");
			fails = true;
			scripted.last.end("done");
			await clock.advance(10_000);
			fails = false;
			await clock.advance(10_000);
			expect(await now(settled)).toMatchObject({ outcome: "completed" });
		});

		test("a run ends that throws an error whose message is no text", async () => {
			// 1 m1 runs → 2 the executor throws an Error with an object as its message → 3 errorText hands the object on; SQLite's codec
			// refuses it at every try, and the session is running for ever.
			const { runtime, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			scripted.last.fail(
				Object.assign(new Error(), { message: { code: 14, details: "gone" } }),
			);
			await clock.advance(20_000);
			const how = await now(settled);
			expect(how).toMatchObject({ outcome: "failed" });
			expect(typeof (how as { error: unknown }).error).toBe("string");
		});

		test("a stopped run ends that throws what cannot even be looked at", async () => {
			// 1 m1 runs → 2 abort → 3 the executor throws a value whose `name` throws: the look at it for 'AbortError' throws inside the
			// catch, the end is lost (and a rejection nobody handles ends the process).
			const { runtime, scripted, clock } = await start();
			const { settled } = await runtime.send("k", "hello");
			const dead = await deathsOf(async () => {
				const aborted = runtime.abort("k");
				await turns();
				const { proxy, revoke } = Proxy.revocable({}, {});
				revoke();
				scripted.last.fail(proxy);
				await clock.advance(4000);
				expect(await now(settled)).toMatchObject({ outcome: "aborted" });
				await clock.advance(2000);
				await aborted;
			});
			expect(dead).toEqual([]);
		});

		// ── resets that are refused

		test("a reset is not refused because ids.sessionId throws", async () => {
			// 1 session k exists → 2 reset(k), ids.sessionId throws → STORE_FAILED "could not be read". Host functions never refuse a reset.
			const { runtime, clock } = await start({
				ids: {
					sessionId: ({ cause }) => {
						if (cause === "reset") throw new Error("no ids today");
						return "S1";
					},
				},
			});
			await runtime.send("k", "hello");
			const [reset] = await Promise.allSettled([
				runtime.reset("k", { graceMs: 0 }).then((answer) => answer.result),
				turns().then(() => clock.advance(0)),
			]);
			expect(reset).not.toMatchObject({ status: "rejected" });
		});

		test("a grace period without an end is refused as an argument, or works", async () => {
			// 1 m1 runs → 2 reset(k, { graceMs: Infinity }) → the deadline is Infinity, which SQLite's codec refuses: STORE_FAILED.
			const { runtime, scripted } = await start();
			await runtime.send("k", "hello");
			const reset = runtime
				.reset("k", { graceMs: Number.POSITIVE_INFINITY })
				.catch((error) => ({ result: error.code }));
			await turns();
			scripted.last.end();
			await expect(reset).resolves.toMatchObject({
				result: expect.stringMatching(/^(done|INVALID_ARGUMENT)$/),
			});
		});

		test("a reset gets through however many messages wait to be looked at", async () => {
			// 1 10,000 sends with ids in one tick → 2 reset(k) in the same tick → MAILBOX_FULL. A reset always wins.
			const { runtime, clock } = await start({
				overlap: { mode: "enqueue", capacity: 20_000 },
			});
			const sends: Promise<unknown>[] = [];
			for (let i = 0; i < 10_001; i++)
				sends.push(runtime.send("k", i, { messageId: `m${i}` }));
			const done = Promise.allSettled(sends);
			const [reset] = await Promise.allSettled([
				runtime.reset("k", { graceMs: 0, queued: "drop" }).then(() => "done"),
				done.then(() => clock.advance(0)),
			]);
			expect(reset).not.toMatchObject({ status: "rejected" });
		});

		// ── what the host gets its hands on

		test("an executor that changes its input changes nothing that was accepted", async () => {
			// 1 send(m1, { text }) → 2 the executor edits run.messages[0].input in place → 3 m1 is redelivered. The memory store holds the
			// edited object, so the same input counts as another one: INVALID_ARGUMENT.
			const { runtime, scripted } = await start();
			await runtime.send("k", { text: "hello" }, { messageId: "m1" });
			const [message] = scripted.last.run.messages;
			(message?.input as { text: string }).text += ", edited";
			expect(
				await runtime.send("k", { text: "hello" }, { messageId: "m1" }),
			).toMatchObject({ disposition: "duplicate" });
		});

		test("a carryOver that changes what it is given does not change the archive", async () => {
			// 1 meta { a, draft } → 2 reset(k); carryOver deletes `draft` from its argument → the archived row has lost `draft` too,
			// because carryOver was given the session's own object, and the archive is made after it.
			const { runtime } = await start({
				carryOver: (meta) => {
					delete (meta as { draft?: JsonValue }).draft;
					return meta;
				},
			});
			await runtime.reset("k", { meta: { a: 1, draft: "x" } });
			await runtime.reset("k");
			expect((await runtime.archive("k")).items[0]?.row.meta).toEqual({
				a: 1,
				draft: "x",
			});
		});

		test("a reset that is stale does nothing, whatever carryOver does to what it is given", async () => {
			// 1 meta { a } → 2 reset(k, expect stale): carryOver is called all the same, and changes the live session's fields without a commit.
			const { runtime } = await start({
				carryOver: (meta) => {
					(meta as { a: number }).a = 2;
					return meta;
				},
			});
			await runtime.reset("k", { meta: { a: 1 } });
			expect(
				await runtime.reset("k", { expect: { generation: 7 } }),
			).toMatchObject({ result: "stale" });
			expect((await runtime.get("k"))?.meta).toEqual({ a: 1 });
		});

		test("a reset that is stale asks the host for nothing", async () => {
			// 1 reset(k, expect stale) → ids.sessionId and carryOver are called for a generation that never comes.
			const asked: string[] = [];
			const { runtime } = await start({
				ids: {
					sessionId: ({ cause, generation }) => {
						asked.push(`session id of ${generation}, ${cause}`);
						return `S${asked.length}`;
					},
				},
				carryOver: () => {
					asked.push("carryOver");
					return {};
				},
			});
			await runtime.reset("k");
			asked.length = 0;
			await runtime.reset("k", { expect: { version: 7 } });
			expect(asked).toEqual([]);
		});

		test("a row that was read is nobody's door to the session", async () => {
			// 1 get(k) → 2 the host changes row.meta → 3 get(k) shows the change, which nobody committed.
			const { runtime } = await start();
			await runtime.reset("k", { meta: { a: 1 } });
			const row = await runtime.get("k");
			try {
				(row?.meta as { a: number }).a = 2;
			} catch {
				// Frozen is fine too.
			}
			expect((await runtime.get("k"))?.meta).toEqual({ a: 1 });
		});

		test("what a message expects is what was said when it was sent", async () => {
			// 1 m1 runs → 2 send(m2, { expect }) waits → 3 the host uses its `expect` object for something else → 4 reset, queue kept:
			// the changed object decides.
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			const expected = { generation: 1 };
			const { settled } = await runtime.send("k", "second", {
				expect: expected,
			});
			expected.generation = 2;
			const reset = runtime.reset("k");
			await turns();
			scripted.last.end();
			await reset;
			expect(await now(settled)).toMatchObject({ outcome: "removed" });
		});

		// ── life and death of the runtime

		test("a runtime that is closed while it starts does not come to life", async () => {
			// 1 start() → 2 close() resolves before the store is open → 3 start goes on, sets the state to 'open' and keeps the store.
			const store = makeStore();
			const runtime = createSessionRuntime({
				store,
				logger: silent,
				clock: new VirtualClock(),
			});
			const starting = runtime.start().then(
				() => "started",
				(error) => error.code,
			);
			await runtime.close();
			expect(await starting).toBe("RUNTIME_CLOSED");
			await expect(runtime.reset("k")).rejects.toMatchObject({
				code: "RUNTIME_CLOSED",
			});
			const next = await store.open({ name: "next" });
			await next[Symbol.asyncDispose]();
		});

		for (const runs of ["abort", "await"] as const)
			for (const [where, warm] of [
				["in memory", true],
				["still to be read", false],
			] as const)
				for (const what of ["send", "admit"] as const)
					test(`a ${what} on its way when the runtime closes (${runs}), its session ${where}, is answered, and leaves no run behind`, async () => {
						// In memory: 1 send(m1), its commit on its way → 2 close() in the same tick: no run is live yet, so nothing is stopped → 3 the
						// commit lands and the executor starts while the runtime closes → 4 closed: the executor runs on, its signal is not fired, and
						// the row in the store says running. The same with admit.
						// Still to be read: 1 send(m1), the session hydrates → 2 close() in the same tick: directory.clear() takes the actor away between
						// #ready and #turn → "Cannot read properties of null (reading 'getSnapshot')", a rejection that nobody handles ends the
						// process, and the send is never answered.
						const store = makeStore();
						const { runtime, scripted, clock } = await start({}, store);
						if (warm) await runtime.reset("k");
						let answer: unknown;
						const dead = await deathsOf(async () => {
							const call: Promise<unknown> =
								what === "send"
									? runtime.send("k", "hello")
									: runtime.admit("k");
							const answered = call.then(
								(value) => ({ value }),
								(error) => error.code,
							);
							const closing = runtime.close({ runs, graceMs: 100 });
							await clock.advance(1);
							for (const { end } of scripted.runs) end();
							await clock.advance(100);
							await closing;
							answer = await now(answered);
						});
						expect(dead).toEqual([]);
						const reader = await store.read();
						const loaded = await reader.load("k");
						await reader[Symbol.asyncDispose]();
						expect(loaded?.facts.run ?? null).toBeNull();
						if (answer === "RUNTIME_CLOSED") return;
						const { value } = answer as {
							value: { signal?: AbortSignal; settled?: Promise<unknown> };
						};
						if (value.signal) expect(value.signal.aborted).toBe(true);
						else
							expect(await value.settled).toMatchObject({
								outcome: runs === "abort" ? "interrupted" : "completed",
								ticket: { sessionKey: "k" },
							});
					});

		test("an operation whose session loses its uncommitted turns in the last moment is served all the same", async () => {
			// 1 a patch of k is being committed → 2 a reset of k with a message id looks that id up → 3 the commit of 1 fails and k is dropped in
			// the microtask between #ready's last look and #turn → the same TypeError: unhandled, and the reset is never answered.
			for (let gap = 0; gap < 8; gap++) {
				const inner = new FaultyStore(makeStore());
				let fail: (() => void) | null = null;
				let found: (() => void) | null = null;
				const store: SessionStore = {
					read: () => inner.read(),
					open: async (owner) => {
						const opened = await inner.open(owner);
						return new Proxy(opened, {
							get: (target, name) => {
								if (name === "message")
									return async () => {
										await new Promise<void>((resolve) => {
											found = resolve;
										});
										return null;
									};
								const value = Reflect.get(target, name, target);
								return typeof value === "function" ? value.bind(target) : value;
							},
						});
					},
				};
				const { runtime } = await start({}, store);
				await runtime.send("k", "hello");
				inner.faults.push("before", "before");
				let commits = 0;
				inner.beforeCommit = () => {
					commits += 1;
					// The second try, after which the turn is given up.
					if (commits === 2)
						return new Promise<void>((resolve) => {
							fail = resolve;
						});
				};
				let answer: unknown;
				const dead = await deathsOf(async () => {
					const patched = runtime.patch("k", { a: 1 }).catch(() => {});
					await turns();
					const second = runtime.send("k", "again", { messageId: "m2" }).then(
						({ disposition }) => disposition,
						({ code }) => code,
					);
					await turns();
					(fail as unknown as () => void)();
					for (let i = 0; i < gap; i++) await null;
					(found as unknown as () => void)();
					await patched;
					await turns();
					inner.beforeCommit = null;
					(found as unknown as () => void)();
					answer = await now(second);
				});
				expect(dead).toEqual([]);
				// What was decided on top of the failed turn falls with it; all else is served. Nothing hangs.
				expect(["queued", "STORE_FAILED"]).toContain(answer);
			}
		});

		test("a start that failed leaves nothing behind that the next one meets", async () => {
			// 1 runs of a, b and c died with their process → 2 start(): one batch settles all three, its commit fails, a is given up first and
			// start rejects; the store is released → 3 start() again, which works → 4 m1 is sent to b, and runs → 5 the journal of 2 comes back
			// from asking for versions (the store is closed) and gives up its b: trouble on the feed about a commit that nobody asked for, its
			// directory.settle(old b) deletes the new b by key (Directory.settle does not look whether it is the one in the map), so b's run is
			// out of sight; and until then close() waits for the old b and c, which are in `restless` for ever.
			const crashing = new CrashingStore(makeStore());
			const { runtime: died } = await start({}, crashing);
			for (const key of ["a", "b", "c"]) await died.send(key, "hello");
			await crashing.crash();
			const store = new FaultyStore(crashing);
			store.broken = true;
			const clock = new VirtualClock();
			const scripted = new Scripted();
			const runtime = createSessionRuntime<JsonValue>({
				store,
				clock,
				logger: silent,
				execute: scripted.execute,
			});
			await expect(runtime.start()).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			store.broken = false;
			const feed: string[] = [];
			runtime.subscribe(({ type }) => feed.push(type));
			await runtime.start();
			const { settled } = await runtime.send("b", "hello");
			await clock.advance(10_000);
			expect(feed).not.toContain("trouble");
			expect(runtime.stats()).toMatchObject({ running: 1 });
			expect(await runtime.send("b", "second")).toMatchObject({
				disposition: "queued",
			});
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
			scripted.last.end();
			await turns();
			expect(await runtime.get("b")).toMatchObject({
				status: "ended",
				queued: 0,
			});
			expect(await now(runtime.close())).toBeUndefined();
		});

		test("a message that its schema never decides on is refused when the runtime closes, and so is what waits behind it", async () => {
			// 1 send(m1), whose schema never answers → 2 send(m2), which waits for its turn at the entrance → 3 close() → neither is ever answered.
			const { runtime } = await start({
				schemas: {
					input: checked(async (input) => {
						if (input === "never") await new Promise(() => {});
					}),
				},
			});
			const codes = ["never", "second"].map((input) =>
				runtime.send("k", input).then(
					() => "accepted",
					(error) => error.code,
				),
			);
			await turns();
			await runtime.close();
			expect(await Promise.all(codes.map(now))).toEqual([
				"RUNTIME_CLOSED",
				"RUNTIME_CLOSED",
			]);
		});

		for (const what of ["reset", "patch", "import"] as const)
			test(`a ${what} whose fields are still being looked at when the runtime closes is refused`, async () => {
				// 1 a run is live → 2 the call, with meta, its schema takes its time → 3 close({ runs: 'await' }): the runtime is closing → 4 the schema
				// answers: the call goes through, although only report and abort are served by then (decision 22).
				let gate: Promise<void> | null = null;
				const { promise, resolve } = Promise.withResolvers<void>();
				const { runtime, scripted } = await start({
					schemas: {
						input: checked(() => {}),
						meta: checked(() => gate ?? undefined),
					},
				});
				await runtime.send("busy", "hello");
				if (what !== "import") await runtime.reset("k");
				const before = await runtime.get("k");
				gate = promise;
				const meta = { a: 1 };
				const call: Promise<unknown> =
					what === "reset"
						? runtime.reset("k", { meta })
						: what === "patch"
							? runtime.patch("k", meta)
							: runtime.import([{ sessionKey: "k", sessionId: "S", meta }]);
				const answer = call.then(
					() => "done",
					(error) => error.code,
				);
				await turns();
				const closing = runtime.close({ runs: "await" });
				resolve();
				expect(await now(answer)).toBe("RUNTIME_CLOSED");
				expect(await runtime.get("k")).toEqual(before);
				scripted.last.end();
				await closing;
			});

		for (const outage of [500, 60_000])
			for (const lost of ["the end of a run", "usage"])
				test(`${lost} whose commit held counts once, while the store is away for ${outage} ms after it`, async () => {
					// 1 m1 runs → 2 the executor returns; the commit takes effect, its answer is lost, and the store cannot be asked for a while → 3 the
					// turn is given up, the session dropped; the end is kept and tried again → 4 the store is back: the run is gone from the facts, so
					// the end finds nothing to do, and nobody tells the receipt or the registry: `settled` never resolves, close() waits its whole
					// grace period for a run that has ended. usage() in the same place counts twice.
					const inner = makeStore();
					let away = false;
					let loses = false;
					const store: SessionStore = {
						read: () => inner.read(),
						open: async (owner) => {
							const opened = await inner.open(owner);
							return new Proxy(opened, {
								get: (target, name) => {
									const value = Reflect.get(target, name, target);
									if (typeof value !== "function") return value;
									return async (...args: unknown[]) => {
										if (away && name !== Symbol.asyncDispose)
											throw new Error("the store is away");
										const result = await value.apply(target, args);
										if (loses && name === "commit") {
											away = true;
											throw new Error("connection lost");
										}
										return result;
									};
								},
							});
						},
					};
					const { runtime, scripted, clock } = await start({}, store);
					const { settled } = await runtime.send("k", "hello");
					loses = true;
					if (lost === "usage") scripted.last.run.usage({ inputTokens: 10 });
					else scripted.last.end("hi");
					await turns();
					await clock.advance(outage);
					loses = false;
					away = false;
					await clock.advance(20_000);
					if (lost === "usage") {
						expect(await runtime.get("k")).toMatchObject({ inputTokens: 10 });
						scripted.last.end("hi");
					}
					expect(await now(settled)).toMatchObject({ outcome: "completed" });
					expect(await runtime.get("k")).toMatchObject({ status: "ended" });
					expect(await now(runtime.close())).toBeUndefined();
				});

		test("a second start while the first is under way joins it", async () => {
			// 1 start() → 2 start() in the same tick → RUNTIME_CLOSED "the runtime has not started; await start() first".
			const runtime = createSessionRuntime({
				store: makeStore(),
				logger: silent,
			});
			const both = await Promise.allSettled([runtime.start(), runtime.start()]);
			await runtime.close();
			expect(both).toMatchObject([
				{ status: "fulfilled" },
				{ status: "fulfilled" },
			]);
		});

		test("close rejects what it cannot do, and does not throw it past the promise", async () => {
			// 1 close({ graceMs: -1 }) throws before there is a promise, and { runs: 'whatever' } counts as 'abort'.
			const { runtime } = await start();
			expect(() =>
				runtime.close({ graceMs: -1 }).catch(() => {}),
			).not.toThrow();
			await expect(
				runtime.close({ runs: wrong("whatever") }),
			).rejects.toMatchObject(badArgument);
		});

		test("whenIdle waits for a run whose session fell out of memory by a failed commit", async () => {
			// 1 m1 runs → 2 a patch whose commit fails: the session is dropped, and with it the knowledge that it runs → 3 whenIdle()
			// resolves at once and stats() says that nothing runs; the row says running.
			const store = new FaultyStore(makeStore());
			const { runtime, scripted } = await start({}, store);
			await runtime.send("k", "hello");
			store.faults.push("before", "before");
			await expect(runtime.patch("k", { a: 1 })).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			expect(await runtime.get("k")).toMatchObject({ status: "running" });
			const idle = [runtime.whenIdle(), runtime.whenIdle("k")].map((one) =>
				one.then(() => "idle"),
			);
			expect(await Promise.race([...idle, turns().then(() => "busy")])).toBe(
				"busy",
			);
			expect(runtime.stats()).toMatchObject({ running: 1 });
			scripted.last.end();
			await Promise.all(idle);
		});

		test("whenIdle waits for an end that is still to be committed", async () => {
			// 1 m1 runs → 2 the executor returns, the commit fails twice: the end is kept for another try → 3 whenIdle() resolves at once.
			const store = new FaultyStore(makeStore());
			const { runtime, scripted, clock } = await start({}, store);
			await runtime.send("k", "hello");
			store.faults.push("before", "before");
			scripted.last.end();
			await turns();
			const idle = runtime.whenIdle().then(() => "idle");
			expect(await Promise.race([idle, turns().then(() => "busy")])).toBe(
				"busy",
			);
			await clock.advance(1000);
			expect(await idle).toBe("idle");
		});

		// ── the readers

		test("an atom made before start shows the stored row once the runtime serves", async () => {
			// 1 a store with session k → 2 createSessionRuntime, atom(k) → 3 start() → nothing reads the row: the atom stays null until k's next commit.
			const store = makeStore();
			const first = await start({}, store);
			await first.runtime.reset("k", { sessionId: "S1" });
			await first.runtime.close();
			const runtime = createSessionRuntime({
				store,
				logger: silent,
				clock: new VirtualClock(),
			});
			const atom = runtime.atom("k");
			expect(atom.get()).toBeNull();
			await runtime.start();
			await turns();
			const seen = atom.get();
			await runtime.close();
			expect(seen).toMatchObject({ sessionId: "S1" });
		});

		test("a listener that was unsubscribed is not told any more, also not of the event in hand", async () => {
			// 1 listeners A and B → 2 an event; A unsubscribes B → 3 B is told of that event all the same.
			const { runtime } = await start();
			const told: string[] = [];
			const subscriptions: { unsubscribe(): void }[] = [];
			runtime.subscribe(() => {
				for (const one of subscriptions) one.unsubscribe();
			});
			subscriptions.push(runtime.subscribe(({ type }) => told.push(type)));
			await runtime.reset("k");
			expect(told).toEqual([]);
		});

		test("an inspector that starts to look sees committed state alone", async () => {
			// 1 send(k), its commit on its way → 2 inspect(): the announcement of k's actor carries the uncommitted run → 3 the commit fails.
			const store = new FaultyStore(makeStore());
			const { runtime } = await start({}, store);
			await runtime.reset("k");
			store.faults.push("before", "before");
			const sent = runtime.send("k", "hello");
			const seen: string[] = [];
			runtime.inspect((event) => {
				if (event.type === "@xstate.snapshot")
					seen.push(
						JSON.stringify((event.snapshot as { value?: unknown }).value),
					);
			});
			await expect(sent).rejects.toMatchObject({ code: "STORE_FAILED" });
			expect(seen).not.toContain('"running"');
		});

		test("an inspector may be an instance of a class, as with XState", async () => {
			// 1 inspect(new Inspector()), whose `next` is on the prototype → it is copied by spreading, which loses `next`: never told.
			const seen: string[] = [];
			class Inspector {
				next(event: { type: string }) {
					seen.push(event.type);
				}
			}
			const { runtime } = await start();
			runtime.inspect(new Inspector());
			await runtime.reset("k");
			expect(seen).not.toEqual([]);
		});

		test("a page of runs with nothing behind it says so", async () => {
			// 1 one live run, none kept → 2 runs(k, { limit: 1 }) → a cursor, to an empty page.
			const { runtime } = await start();
			await runtime.send("k", "hello");
			expect((await runtime.runs("k", { limit: 1 })).cursor).toBeNull();
		});

		test("a page of runs has no more runs than its limit", async () => {
			// 1 two runs settled, a third is live → 2 runs(k, { limit: 1 }) → two items: the live one comes on top of the page.
			const { runtime, scripted } = await start();
			for (const input of ["a", "b"]) {
				const { settled } = await runtime.send("k", input);
				scripted.last.end();
				await settled;
			}
			await runtime.send("k", "c");
			expect((await runtime.runs("k", { limit: 1 })).items).toHaveLength(1);
		});

		test("no run stands twice in the pages of runs", async () => {
			// 1 reserve R → 2 two runs come and go → 3 R goes live → 4 page through: R as live on the first page, and again, as the
			// reservation it was, on the last.
			const { runtime } = await start();
			const reserved = await runtime.admit("k", { runId: "R", reserve: true });
			for (const runId of ["a", "b"])
				await (await runtime.admit("k", { runId })).end();
			await reserved.start();
			const ids: string[] = [];
			let cursor: string | null | undefined;
			do {
				const page: Awaited<ReturnType<typeof runtime.runs>> =
					await runtime.runs("k", {
						limit: 1,
						...(cursor ? { cursor } : {}),
					});
				ids.push(...page.items.map(({ runId }) => runId));
				cursor = page.cursor;
			} while (cursor);
			expect(ids).toEqual(["R", "b", "a"]);
		});

		// ── patch

		test("a patch ends whose session leaves memory while its schema looks", async () => {
			// 1 patch(k) with an async meta schema → 2 while it looks, k leaves memory (passivateAfterMs 0) → 3 SQLite reads fresh objects,
			// so the fields count as changed: the schema looks again → 2 … for ever.
			const clock = new VirtualClock();
			let looks = 0;
			const meta = checked(async () => {
				looks += 1;
				if (looks < 20) await clock.advance(0);
			});
			const { runtime } = await start({
				clock,
				passivateAfterMs: 0,
				schemas: { input: checked(() => {}), meta },
			});
			await runtime.reset("k");
			looks = 0;
			expect(await runtime.patch("k", { a: 1 })).toMatchObject({
				result: "done",
			});
			expect(looks).toBe(1);
		});

		// ── usage

		test("usage that a reservation has had counts once, in its record and in its generation", async () => {
			// 1 reserve R → 2 R.usage(10) → 3 R.start → 4 R.end({ usage: { inputTokens: 10 } }), the total. The reservation in the session's
			// facts never heard of the 10: the generation counts 20.
			const { runtime } = await start();
			const run = await runtime.admit("k", { runId: "R", reserve: true });
			run.usage({ inputTokens: 10 });
			await turns();
			await run.start();
			await run.end({ usage: { inputTokens: 10 } });
			expect(await runtime.get("k")).toMatchObject({ inputTokens: 10 });
			expect((await runtime.runs("k")).items).toMatchObject([
				{ runId: "R", inputTokens: 10 },
			]);
		});

		// ── stopping reservations

		test("an abort that gives up a reservation says so in its report", async () => {
			// 1 reserve R → 2 abort(k, { expect: { runId: 'R' } }) → done, with nothing in `drained`.
			const { runtime } = await start();
			await runtime.admit("k", { runId: "R", reserve: true });
			expect(
				await runtime.abort("k", { expect: { runId: "R" } }),
			).toMatchObject({
				result: "done",
				report: { drained: [{ runId: "R", outcome: "aborted" }] },
			});
		});

		test("an abort that has nothing to stop does not wait for the drain of a reset", async () => {
			// 1 m1 runs → 2 reset(k), m1 drains → 3 m2 waits; R is reserved → 4 abort(k, { queued: 'drop' }) and abort(k, { expect: R }): both are
			// carried out at once, and answered only when m1 has drained, which they have nothing to do with.
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			const reset = runtime.reset("k");
			await turns();
			await runtime.send("k", "second", { messageId: "m2" });
			await runtime.admit("k", { runId: "R", reserve: true });
			expect(await now(runtime.abort("k", { queued: "drop" }))).toMatchObject({
				result: "done",
				report: { removed: ["m2"], drained: [] },
			});
			expect(
				await now(runtime.abort("k", { expect: { runId: "R" } })),
			).toMatchObject({ result: "done" });
			scripted.last.end();
			await reset;
		});

		test("a reservation of an ended generation that is disposed settles 'interrupted'", async () => {
			// 1 reserve R → 2 reset → 3 dispose R: nothing happens, its record stays open for ever.
			const { runtime } = await start();
			const run = await runtime.admit("k", { runId: "R", reserve: true });
			await runtime.reset("k");
			await run[Symbol.asyncDispose]();
			expect((await runtime.runs("k")).items).toMatchObject([
				{ runId: "R", outcome: "interrupted" },
			]);
		});

		// ── reports

		test("a report by run id alone that comes in the tick of its run's admission finds it", async () => {
			// 1 admit(k, R) → 2 report({ runId: R, phase: 'start' }) in the same tick: k is still being read, so the journal has nothing to wait
			// for, the registry does not know R yet and the store neither → unknown. (With k in memory it is applied.)
			for (const warm of [true, false]) {
				const { runtime } = await start();
				if (warm) await runtime.reset("k");
				const admitted = runtime.admit("k", { runId: "R" });
				const verdict = runtime.report({ runId: "R", phase: "start" });
				await admitted;
				expect(await verdict).toMatchObject({ verdict: "applied" });
				await runtime.close();
			}
		});

		test("a reset does not wait for a message that its schema cannot decide on", async () => {
			// 1 send(m1), whose input schema never answers → 2 reset(k): a message in line before it must not hold it up (RQ-08).
			const { runtime } = await start({
				schemas: { input: checked(() => new Promise<void>(() => {})) },
			});
			void runtime.send("k", "hello").catch(() => {});
			expect(await now(runtime.reset("k"))).toMatchObject({ result: "done" });
		});

		// ── import

		test("an import whose source is slow and has a bad row harms nobody", async () => {
			// 1 an async iterable yields a row without a session id → 2 that row's promise rejects while the next row is waited for, and
			// nobody holds it yet: an unhandled rejection, which ends the process.
			const { runtime } = await start();
			let outcome: unknown;
			const dead = await deathsOf(async () => {
				outcome = await runtime
					.import(
						(async function* () {
							yield { sessionKey: "bad", sessionId: wrong(5) };
							await turns(3);
							yield { sessionKey: "good", sessionId: "S1" };
						})(),
					)
					.catch((error) => error.code);
			});
			expect(outcome).toBe("INVALID_ARGUMENT");
			expect(dead).toEqual([]);
		});

		// ── dedupe

		test("a repeated message is followed to its end, however long the store takes to answer", async () => {
			// 1 m1 runs → 2 m1 is sent again; the store is asked for its run, which has not settled → 3 the run settles and is committed →
			// 4 the answer of 2 arrives: the receipt follows a run that has ended, and never settles.
			const inner = makeStore();
			let gate: Promise<void> | null = null;
			const slow: SessionStore = {
				read: () => inner.read(),
				open: async (owner) => {
					const store = await inner.open(owner);
					const runsNamed: StoreReader["runsNamed"] = async (...args) => {
						const found = await store.runsNamed(...args);
						await gate;
						return found;
					};
					return new Proxy(store, {
						get: (target, name) => {
							if (name === "runsNamed") return runsNamed;
							const value = Reflect.get(target, name, target);
							return typeof value === "function" ? value.bind(target) : value;
						},
					});
				},
			};
			const { runtime, scripted } = await start({}, slow);
			const first = await runtime.send("k", "hello", { messageId: "m1" });
			const { promise, resolve } = Promise.withResolvers<void>();
			gate = promise;
			const again = runtime.send("k", "hello", { messageId: "m1" });
			await turns();
			scripted.last.end("hi");
			await first.settled;
			resolve();
			const { disposition, settled } = await again;
			expect(disposition).toBe("duplicate");
			expect(await now(settled)).toMatchObject({ outcome: "completed" });
		});

		test("minus zero is the number that it was when it was first sent", async () => {
			const { runtime } = await start();
			await runtime.send("k", -0, { messageId: "m1" });
			await turns();
			expect(await runtime.send("k", -0, { messageId: "m1" })).toMatchObject({
				disposition: "duplicate",
			});
		});

		test("a repeated message does not cost the first its output, however the store orders its answers", async () => {
			// 1 m1 runs → 2 m1 is sent again; the store is asked for its run, and takes its time → 3 the run ends with an output; its commit takes
			// effect, the answer is on its way → 4 the store answers 2: the run has settled; #repeat settles the receipt that both share, without
			// the output, which only the turn of 3 has → 5 the answer to 3 comes too late.
			const inner = makeStore();
			const asked = Promise.withResolvers<void>();
			const answered = Promise.withResolvers<void>();
			let slow = false;
			const store: SessionStore = {
				read: () => inner.read(),
				open: async (owner) => {
					const opened = await inner.open(owner);
					return new Proxy(opened, {
						get: (target, name) => {
							const value = Reflect.get(target, name, target);
							if (typeof value !== "function") return value;
							return async (...args: unknown[]) => {
								if (slow && name === "runsNamed") await asked.promise;
								const result = await value.apply(target, args);
								if (slow && name === "commit") await answered.promise;
								return result;
							};
						},
					});
				},
			};
			const { runtime, scripted } = await start({}, store);
			const first = await runtime.send("k", "hello", { messageId: "m1" });
			const again = runtime.send("k", "hello", { messageId: "m1" });
			slow = true;
			await turns();
			scripted.last.end("hi");
			await turns();
			asked.resolve();
			await turns();
			answered.resolve();
			expect(await first.settled).toMatchObject({
				outcome: "completed",
				output: "hi",
			});
			expect(await (await again).settled).toMatchObject({
				outcome: "completed",
			});
		});

		// ── bad input

		test("half a character in a key or an id is a bad argument", async () => {
			// send("\ud800"): the check lets it pass, the store refuses it: STORE_FAILED.
			const { runtime } = await start();
			const half = "\ud800";
			await expect(runtime.send(half, "x")).rejects.toMatchObject(badArgument);
			await expect(
				runtime.send("k", "x", { messageId: half }),
			).rejects.toMatchObject(badArgument);
			await expect(runtime.admit("k2", { runId: half })).rejects.toMatchObject(
				badArgument,
			);
			await expect(runtime.reset(half)).rejects.toMatchObject(badArgument);
		});

		test("a malformed report gets its verdict whatever its key", async () => {
			// report({ sessionKey: "\ud800", phase: 7 }): its refusal is filed under a key that no store takes: STORE_FAILED.
			const { runtime } = await start();
			expect(
				await runtime.report(
					wrong({ runId: "R", sessionKey: "\ud800", phase: 7 }),
				),
			).toMatchObject({ verdict: "refused" });
		});

		test("a report gets its verdict whatever stands in fields that its phase does not have", async () => {
			// report({ runId, phase: 'end', error: 1n }): `error` is not checked for an end, but kept with the refusal; on SQLite it cannot be.
			const { runtime } = await start();
			const cycle: Record<string, unknown> = {};
			cycle.self = cycle;
			for (const error of [1n, cycle])
				expect(
					await runtime.report(wrong({ runId: "nobody", phase: "end", error })),
				).toMatchObject({ verdict: "unknown" });
			expect(
				await runtime.report(
					wrong({ runId: "nobody", phase: "start", outcome: 1n }),
				),
			).toMatchObject({ verdict: "unknown" });
		});

		test("an input nested too deeply is a bad input", async () => {
			const { runtime } = await start();
			let deep: JsonValue = [];
			for (let i = 0; i < 20_000; i++) deep = [deep];
			await expect(runtime.send("k", deep)).rejects.toMatchObject({
				code: "INVALID_INPUT",
			});
		});

		const calls: Record<
			string,
			(
				runtime: Awaited<ReturnType<typeof start>>["runtime"],
			) => Promise<unknown> | undefined
		> = {
			"send with options null": (r) => r.send("k", "x", wrong(null)),
			"send with options of text": (r) => r.send("k", "x", wrong("m1")),
			"admit with options null": (r) => r.admit("k", wrong(null)),
			"admit with reserve of text": (r) =>
				r.admit("k", { reserve: wrong("yes") }),
			"reset with options null": (r) => r.reset("k", wrong(null)),
			"abort with options null": (r) => r.abort("k", wrong(null)),
			"delete with options null": (r) => r.delete("k", wrong(null)),
			"delete with purge of text": (r) =>
				r.delete("k", { purge: wrong("yes") }),
			"patch with options null": (r) => r.patch("k", {}, wrong(null)),
			"import of a number": (r) => r.import(wrong(5)),
			"import of nothing": (r) => r.import(wrong(undefined)),
			"import with usage of text": (r) =>
				r.import([{ sessionKey: "i", sessionId: "S", usage: wrong("x") }]),
			"import with an endless createdAt": (r) =>
				r.import([
					{
						sessionKey: "i",
						sessionId: "S",
						createdAt: Number.POSITIVE_INFINITY,
					},
				]),
			"list with null": (r) => r.list(wrong(null)),
			"list with a status that is none": (r) =>
				r.list({ status: wrong("asleep") }),
			"list with a status of number": (r) => r.list({ status: wrong(5) }),
			"list with a prefix of number": (r) => r.list({ prefix: wrong(5) }),
			"list with updatedSince of text": (r) =>
				r.list({ updatedSince: wrong("yesterday") }),
			"archive with null": (r) => r.archive("k", wrong(null)),
			"runs with a generation of text": (r) =>
				r.runs("k", { generation: wrong("1") }),
			"refusals with a key of number": (r) =>
				r.refusals({ sessionKey: wrong(5) }),
			"until with options null": (r) => r.until("k", () => true, wrong(null)),
			"until with a signal of text": (r) =>
				r.until("k", () => true, { signal: wrong("stop") }),
			"whenIdle with options null": (r) => r.whenIdle("k", wrong(null)),
			"close with options null": (r) => r.close(wrong(null)),
			"inspect of nothing": (r) => void r.inspect(wrong(undefined)),
			"inspect of a number": (r) => void r.inspect(wrong(5)),
		};
		for (const [name, call] of Object.entries(calls))
			test(`${name} is a bad argument`, async () => {
				const { runtime } = await start();
				const [result] = await Promise.allSettled([
					(async () => call(runtime))(),
				]);
				expect(result).toMatchObject({
					status: "rejected",
					reason: badArgument,
				});
			});
	});

describe("found, on a file", () => {
	test("a message that a healing reset kept is taken", async () => {
		// 1 m1 ran, m2 waits, the process closes → 2 the row of k is damaged → 3 start, reset(k): healed, m2 is kept in line of an idle session
		// → the reset carries no grant: nobody takes m2 until something else happens to k.
		const file = temporaryFile();
		const first = new Scripted();
		const host = await startHost(sqliteStore(file), { execute: first.execute });
		await host.runtime.send("k", "first");
		await host.runtime.send("k", "second");
		await close(host);
		const db = new DatabaseSync(file);
		db.exec("UPDATE sessions SET body = 'rubbish'");
		db.close();
		const scripted = new Scripted();
		const { runtime } = await startHost(sqliteStore(file), {
			execute: scripted.execute,
		});
		expect(await runtime.reset("k")).toMatchObject({ result: "done" });
		await turns();
		expect(
			scripted.runs.map(({ run }) => run.messages.map(({ input }) => input)),
		).toEqual([["second"]]);
	});
});

describe("found, on options", () => {
	const options: Record<string, object> = {
		"schemas that are no object": { schemas: 5 },
		"schemas without a Standard Schema": { schemas: { input: {} } },
		"a carryOver that is no function": { carryOver: {} },
		"ids that are no functions": { ids: { runId: "x" } },
		"a clock without now": { clock: {} },
		"a logger without error": { logger: {} },
	};
	for (const [name, bad] of Object.entries(options))
		test(`${name} cannot work`, () => {
			const runtime = () =>
				createSessionRuntime({
					store: storeKinds[0]?.[1]() as SessionStore,
					...bad,
				});
			expect(runtime).toThrow(expect.objectContaining(badArgument));
		});
});
