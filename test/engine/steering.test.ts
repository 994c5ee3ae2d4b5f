/** Messages that steer a run while it runs: each is handed over once, in order, and what is not taken becomes an ordinary later message. */
import type {
	JsonValue,
	ManagedRun,
	Message,
	OpenStore,
	SendReceipt,
} from "turnkeeper";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { Scripted } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

type Pulled = Promise<IteratorResult<Message, undefined>>;

for (const [kind, makeStore] of storeKinds)
	describe(`steering, on ${kind}`, () => {
		async function running(options: Parameters<typeof startScripted>[1] = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startScripted(store, {
				graceMs: 100,
				overlap: "steer",
				...options,
			});
			const { runtime, scripted } = host;
			const { settled, messageId } = await runtime.send("k", "hello");
			const { run, end } = scripted.last;
			const iterator = run.steering[Symbol.asyncIterator]();
			return {
				...host,
				store,
				settled,
				messageId,
				run,
				end,
				next: (): Pulled => iterator.next() as Pulled,
				return: () => iterator.return?.(),
				steer: (input: JsonValue): Promise<SendReceipt> =>
					runtime.send("k", input, { messageId: String(input) }),
				/** Inputs of what waits. */
				line: async () =>
					(await runtime.queue.list("k")).map(({ input }) => input),
				/** What each run was given to begin with. */
				begun: () =>
					scripted.runs.map(({ run }) =>
						run.messages.map(({ input }) => input),
					),
			};
		}

		/** A commit that waits, and what lets it go on. */
		function hold(store: FaultyStore) {
			const held = Promise.withResolvers<void>();
			store.beforeCommit = () => held.promise;
			return () => {
				store.beforeCommit = null;
				held.resolve();
			};
		}

		test("hands a message to the live run, which it then belongs to", async () => {
			const { runtime, run, end, next, steer, settled, messageId, line } =
				await running();
			const receipt = await steer("left");
			expect(receipt).toMatchObject({ disposition: "steered", ticket: null });
			expect(await line()).toEqual(["left"]);
			expect(await next()).toMatchObject({
				done: false,
				value: { messageId: "left", input: "left", generation: 1 },
			});
			expect(await line()).toEqual([]);
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				queued: 0,
			});
			expect((await runtime.runs("k")).items).toMatchObject([
				{ messageIds: [messageId, "left"] },
			]);
			expect(run.messages.map(({ input }) => input)).toEqual(["hello"]);
			end("done");
			await settled;
			expect(await receipt.settled).toMatchObject({
				outcome: "completed",
				output: "done",
				ticket: run.ticket,
			});
		});

		test("is kept as taken before the executor sees the message", async () => {
			const { store, next, steer } = await running();
			await steer("left");
			const goOn = hold(store);
			const pulled = next();
			expect(await now(pulled)).toBe("pending");
			goOn();
			expect(await pulled).toMatchObject({ value: { input: "left" } });
			const reader = await store.read();
			expect(await reader.message("k", "left")).toMatchObject({
				fate: "taken",
			});
			await reader[Symbol.asyncDispose]();
		});

		test("wakes who waits for a message when one comes", async () => {
			const { next, steer } = await running();
			const pulled = next();
			expect(await now(pulled)).toBe("pending");
			await steer("left");
			expect(await pulled).toMatchObject({ value: { input: "left" } });
		});

		test("gives several calls at once one message each, in the order of both", async () => {
			const { next, steer } = await running();
			const pulled = [next(), next(), next()];
			for (const input of ["a", "b", "c"]) await steer(input);
			expect(
				(await Promise.all(pulled)).map(({ value }) => value?.input),
			).toEqual(["a", "b", "c"]);
		});

		test("gives what waits to a loop that only looks, and nothing where nothing waits", async () => {
			const { run, steer, line, end, settled } = await running();
			expect(await run.steering.take()).toBeNull();
			await steer("a");
			await steer("b");
			expect(await run.steering.take()).toMatchObject({ input: "a" });
			expect(await line()).toEqual(["b"]);
			expect(await run.steering.take()).toMatchObject({ input: "b" });
			expect(await run.steering.take()).toBeNull();
			end();
			await settled;
			expect(await run.steering.take()).toBeNull();
		});

		test("a look is not held up by one who waits, and takes nothing from it twice", async () => {
			const { run, next, steer } = await running();
			const pulled = next();
			expect(await run.steering.take()).toBeNull();
			await steer("a");
			expect(await pulled).toMatchObject({ value: { input: "a" } });
			expect(await run.steering.take()).toBeNull();
		});

		test("what nobody looked at any more becomes an ordinary message", async () => {
			const { run, steer, end, settled, begun } = await running();
			await steer("a");
			await steer("b");
			await run.steering.take();
			end();
			await settled;
			expect(begun()).toEqual([["hello"], ["b"]]);
		});

		test("gives nothing twice, whoever iterates", async () => {
			const { run, steer, end, settled } = await running();
			const seen: JsonValue[] = [];
			const look = async () => {
				for await (const { input } of run.steering) seen.push(input);
			};
			const both = Promise.all([look(), look()]);
			for (const input of ["a", "b", "c", "d"]) await steer(input);
			await turns();
			expect(seen).toEqual(["a", "b", "c", "d"]);
			end();
			await Promise.all([both, settled]);
		});

		test("goes on after a loop that was left", async () => {
			const { run, next, steer } = await running();
			await steer("a");
			await steer("b");
			for await (const { input } of run.steering) {
				expect(input).toBe("a");
				break;
			}
			expect(await next()).toMatchObject({ value: { input: "b" } });
		});

		test("that returns says so at once, and takes nothing", async () => {
			const { return: give, steer, line } = await running();
			await steer("a");
			expect(await give()).toEqual({ done: true, value: undefined });
			expect(await line()).toEqual(["a"]);
		});

		test("gives each look a copy of its own", async () => {
			const { next, runtime, store } = await running();
			await runtime.send("k", { n: 1 }, { messageId: "m" });
			const { value } = await next();
			(value?.input as { n: number }).n = 2;
			const reader = await store.read();
			expect(await reader.message("k", "m")).toMatchObject({ input: { n: 1 } });
			await reader[Symbol.asyncDispose]();
		});

		test("leaves alone what is not for this run", async () => {
			const { runtime, next, line } = await running();
			await runtime.send("k", "waits", { overlap: "enqueue" });
			expect(await now(next())).toBe("pending");
			expect(await line()).toEqual(["waits"]);
		});

		test("takes what steers past what waits, which keeps its order", async () => {
			const { runtime, next, steer, line, end, begun, settled } =
				await running();
			await runtime.send("k", "one", { overlap: "enqueue" });
			await steer("left");
			await runtime.send("k", "two", { overlap: "enqueue" });
			expect(await next()).toMatchObject({ value: { input: "left" } });
			expect(await line()).toEqual(["one", "two"]);
			end();
			await settled;
			await turns();
			expect(begun()).toEqual([["hello"], ["one"]]);
		});

		test("of a message that was removed, or moved out of it, hands nothing over", async () => {
			const { runtime, next, steer, line } = await running();
			await steer("a");
			await steer("b");
			await runtime.queue.remove("k", "a");
			await runtime.queue.update("k", "b", { before: null });
			expect(await now(next())).toBe("pending");
			expect(await line()).toEqual(["b"]);
		});

		test("hands over what an edit made of a message", async () => {
			const { runtime, next, steer } = await running();
			await steer("a");
			await runtime.queue.update("k", "a", { input: "better" });
			expect(await next()).toMatchObject({ value: { input: "better" } });
		});

		describe("of an executor that", () => {
			test("never looks becomes later messages, in order", async () => {
				const { steer, end, settled, begun, scripted, runtime } =
					await running();
				const receipts = [await steer("a"), await steer("b")];
				end("done");
				await settled;
				await turns();
				expect(begun()).toEqual([["hello"], ["a"]]);
				scripted.last.end("of a");
				await turns();
				expect(begun()).toEqual([["hello"], ["a"], ["b"]]);
				scripted.last.end("of b");
				const [a, b] = await Promise.all(
					receipts.map(({ settled }) => settled),
				);
				expect([a?.output, b?.output]).toEqual(["of a", "of b"]);
				await runtime.whenIdle();
			});

			test("has returned and not yet settled is handed nothing more", async () => {
				const { run, steer, next, end, settled, begun, line } = await running();
				const held = Promise.withResolvers<void>();
				run.scope.defer(() => held.promise);
				const waits = next();
				end("done");
				expect(await now(waits)).toEqual({ done: true, value: undefined });
				expect(await steer("late")).toMatchObject({ ticket: null });
				expect(await now(next())).toEqual({ done: true, value: undefined });
				expect(await line()).toEqual(["late"]);
				held.resolve();
				await settled;
				await turns();
				expect(begun()).toEqual([["hello"], ["late"]]);
			});

			test("returns between the hand-over and its commit gives the message back, to its own place", async () => {
				const { runtime, store, steer, next, end, settled, begun, messageId } =
					await running();
				await steer("a");
				await runtime.send("k", "after", { overlap: "enqueue" });
				const goOn = hold(store);
				const pulled = next();
				await turns();
				end("done");
				await turns();
				goOn();
				expect(await pulled).toEqual({ done: true, value: undefined });
				expect(await settled).toMatchObject({ output: "done" });
				await turns();
				expect(begun()).toEqual([["hello"], ["a"]]);
				expect((await runtime.runs("k")).items).toMatchObject([
					{ messageIds: ["a"] },
					{ messageIds: [messageId] },
				]);
			});

			test("asks with its last breath gives the message back", async () => {
				const inputs: JsonValue[][] = [];
				const { runtime } = await startScripted(makeStore(), {
					overlap: "steer",
					execute: async (run: ManagedRun<JsonValue>) => {
						inputs.push(run.messages.map(({ input }) => input));
						if (inputs.length > 1) return "second";
						await turns();
						void run.steering[Symbol.asyncIterator]().next();
						return "first";
					},
				});
				const first = await runtime.send("k", "hello");
				const steered = await runtime.send("k", "left");
				expect(steered.disposition).toBe("steered");
				expect(await first.settled).toMatchObject({ output: "first" });
				expect(await steered.settled).toMatchObject({ output: "second" });
				expect(inputs).toEqual([["hello"], ["left"]]);
			});

			test("fails takes what it was handed with it, and nothing else", async () => {
				const { scripted, steer, next, settled, begun } = await running();
				const taken = await steer("a");
				const left = await steer("b");
				await next();
				scripted.last.fail(new Error("broke"));
				await settled;
				expect(await taken.settled).toMatchObject({
					outcome: "failed",
					error: "broke",
				});
				expect(await now(left.settled)).toBe("pending");
				await turns();
				expect(begun()).toEqual([["hello"], ["b"]]);
			});
		});

		describe("of a run that is told to stop", () => {
			for (const how of ["abort", "reset", "delete", "interrupt"] as const)
				test(`by ${how} ends, and what is left stays in line or goes as that says`, async () => {
					const { runtime, steer, next, end, settled, line, begun } =
						await running();
					const waits = next();
					expect(await now(waits)).toBe("pending");
					const stopped =
						how === "interrupt"
							? runtime.send("k", "newer", { overlap: "interrupt" })
							: runtime[how]("k");
					expect(await waits).toEqual({ done: true, value: undefined });
					const receipt = await steer("late");
					expect(receipt.disposition).toBe("queued");
					expect(await next()).toEqual({ done: true, value: undefined });
					expect(await line()).toContain("late");
					end();
					await settled;
					await stopped;
					await turns();
					expect(begun()[1]).toEqual([how === "interrupt" ? "newer" : "late"]);
				});

			test("keeps what was not taken in line", async () => {
				const { runtime, steer, end, begun, next } = await running();
				await steer("a");
				await steer("b");
				await next();
				const aborted = runtime.abort("k");
				end();
				await aborted;
				await turns();
				expect(begun()).toEqual([["hello"], ["b"]]);
			});

			test("drops what was not taken, if that was said", async () => {
				const { runtime, steer, end, line, next } = await running();
				const left = await steer("a");
				const aborted = runtime.abort("k", { queued: "drop" });
				end();
				expect(await aborted).toMatchObject({ report: { removed: ["a"] } });
				expect(await left.settled).toMatchObject({ outcome: "removed" });
				expect(await line()).toEqual([]);
				expect(await next()).toEqual({ done: true, value: undefined });
			});

			test("in the tick before the hand-over keeps the message in line", async () => {
				const { runtime, steer, next, end, begun } = await running();
				await steer("a");
				const aborted = runtime.abort("k");
				const pulled = next();
				const given = await pulled;
				end();
				await aborted;
				await turns();
				// Exactly one of the two has it.
				expect([given.value?.input ?? null, begun()[1] ?? null]).toEqual(
					given.done ? [null, ["a"]] : ["a", null],
				);
			});

			test("while the hand-over waits for the store has no message lost, and none given twice", async () => {
				const { runtime, store, steer, next, end, begun, settled } =
					await running();
				await steer("a");
				const goOn = hold(store);
				const pulled = next();
				await turns();
				const aborted = runtime.abort("k");
				await turns();
				goOn();
				const given = await pulled;
				end();
				await aborted;
				await settled;
				await turns();
				expect([given.value?.input ?? null, begun()[1] ?? null]).toEqual(
					given.done ? [null, ["a"]] : ["a", null],
				);
			});

			test("after it returned and before it settled shares its fate with what it never looked at", async () => {
				const { run, runtime, store, steer, next, end, settled } =
					await running();
				const held = Promise.withResolvers<void>();
				run.scope.defer(() => held.promise);
				const receipt = await steer("a");
				const goOn = hold(store);
				void next();
				await turns();
				end();
				await turns();
				goOn();
				await turns();
				const reset = runtime.reset("k");
				await turns();
				held.resolve();
				expect(await settled).toMatchObject({ outcome: "aborted" });
				expect(await now(receipt.settled)).toMatchObject({
					outcome: "aborted",
					ticket: { generation: 1 },
				});
				await reset;
			});

			test("by a close while the hand-over waits for the store gives nothing any more", async () => {
				const host = await running();
				await host.steer("a");
				const goOn = hold(host.store);
				const pulled = host.next();
				await turns();
				const closed = host.runtime.close({ graceMs: 100 });
				await turns();
				expect(host.run.signal.aborted).toBe(true);
				goOn();
				expect(await pulled).toEqual({ done: true, value: undefined });
				host.end();
				await host.clock.advance(100);
				await closed;
				const scripted = new Scripted();
				const next = await startScripted(host.store, {
					execute: scripted.execute,
				});
				await turns();
				expect(scripted.runs.map(({ run }) => run.messages)).toMatchObject([
					[{ input: "a" }],
				]);
				await close(next);
			});

			test("by a close, deaf, while the hand-over waits for the store has no message lost", async () => {
				const host = await running();
				await host.steer("a");
				const goOn = hold(host.store);
				const pulled = host.next();
				await turns();
				const closed = host.runtime.close({ graceMs: 100 });
				await turns();
				goOn();
				expect(await pulled).toEqual({ done: true, value: undefined });
				await host.clock.advance(100);
				await closed;
				expect(await host.settled).toMatchObject({ outcome: "abandoned" });
				const scripted = new Scripted();
				const next = await startScripted(host.store, {
					execute: scripted.execute,
				});
				await turns();
				expect(scripted.runs.map(({ run }) => run.messages)).toMatchObject([
					[{ input: "a" }],
				]);
				await close(next);
			});
		});

		describe("and a schema that takes its time:", () => {
			function schema() {
				const gates: PromiseWithResolvers<void>[] = [];
				return {
					gates,
					schemas: {
						input: {
							"~standard": {
								version: 1,
								vendor: "test",
								validate: async (value: unknown) => {
									const gate = Promise.withResolvers<void>();
									gates.push(gate);
									await gate.promise;
									return value === "bad"
										? { issues: [{ message: "no" }] }
										: { value: value as JsonValue };
								},
							},
						},
					} as const,
				};
			}

			async function slow() {
				const { gates, schemas } = schema();
				const open = async () => {
					await turns();
					for (const { resolve } of gates.splice(0)) resolve();
					await turns();
				};
				const scripted = new Scripted();
				const host = await startScripted(makeStore(), {
					overlap: "steer",
					graceMs: 100,
					schemas,
					execute: scripted.execute,
				});
				const first = host.runtime.send("k", "hello");
				await open();
				await open();
				const { settled } = await first;
				const steered = host.runtime.send("k", "a");
				await open();
				expect((await steered).disposition).toBe("steered");
				const { run, end } = scripted.last;
				const next = () =>
					run.steering[Symbol.asyncIterator]().next() as Pulled;
				return { ...host, scripted, open, settled, run, end, next };
			}

			test("a message is given when it was looked at", async () => {
				const { next, open } = await slow();
				const pulled = next();
				expect(await now(pulled)).toBe("pending");
				await open();
				expect(await pulled).toMatchObject({ value: { input: "a" } });
			});

			test("a run that ends meanwhile gives the message back", async () => {
				const { next, open, end, settled, scripted } = await slow();
				const pulled = next();
				await turns();
				end("done");
				await turns();
				await open();
				expect(await pulled).toEqual({ done: true, value: undefined });
				expect(await settled).toMatchObject({ output: "done" });
				await open();
				await open();
				expect(scripted.runs.map(({ run }) => run.messages)).toMatchObject([
					[{ input: "hello" }],
					[{ input: "a" }],
				]);
			});
		});

		describe("and a store that fails:", () => {
			test("a hand-over that cannot be kept is made again, and nothing is given twice", async () => {
				const { store, steer, next, clock, end, settled, begun } =
					await running();
				await steer("a");
				store.faults.push("before", "before");
				const pulled = next();
				await clock.advance(1000);
				expect(await now(pulled)).toMatchObject({ value: { input: "a" } });
				end();
				expect(await settled).toMatchObject({ outcome: "completed" });
				await turns();
				expect(begun()).toEqual([["hello"]]);
			});

			test("a hand-over that held although its commit failed is given once", async () => {
				const { store, steer, next, line } = await running();
				await steer("a");
				store.faults.push("after");
				expect(await next()).toMatchObject({ value: { input: "a" } });
				expect(await line()).toEqual([]);
				expect(await now(next())).toBe("pending");
			});

			test("a hand-over that fails is tried again after a while, not at once", async () => {
				// The pull that failed read its session again, which told it that a message waits: for as long as the store refused that session,
				// it was asked again and again without a pause.
				const { store, steer, next, clock } = await running();
				await steer("a");
				const opened = store.opened as OpenStore;
				const commit = opened.commit.bind(opened);
				let commits = 0;
				opened.commit = () => {
					commits += 1;
					return Promise.reject(new Error("the disk is full"));
				};
				const pulled = next();
				for (let i = 0; i < 20; i++) await turns();
				expect(commits).toBeLessThan(5);
				opened.commit = commit;
				await clock.advance(5000);
				expect(await pulled).toMatchObject({ value: { input: "a" } });
			});

			test("a hand-over that held, though nobody knew at first, is one once that is known", async () => {
				const { store, steer, next, clock, end, settled, begun } =
					await running();
				const receipt = await steer("a");
				const opened = store.opened as OpenStore;
				const version = opened.version.bind(opened);
				store.faults.push("after");
				opened.version = () => Promise.reject(new Error("no answer"));
				const pulled = next();
				await turns();
				opened.version = version;
				await clock.advance(1000);
				expect(await now(pulled)).toMatchObject({ value: { input: "a" } });
				end();
				await settled;
				expect(begun()).toEqual([["hello"]]);
				expect(await now(receipt.settled)).toMatchObject({
					outcome: "completed",
				});
			});

			test("a hand-over that could not be kept leaves the message in line when the run ends", async () => {
				const { store, steer, next, clock, end, settled, begun } =
					await running();
				await steer("a");
				store.broken = true;
				const pulled = next();
				await turns();
				end();
				expect(await now(pulled)).toEqual({ done: true, value: undefined });
				store.broken = false;
				await clock.advance(5000);
				expect(await settled).toMatchObject({ outcome: "completed" });
				await turns();
				expect(begun()).toEqual([["hello"], ["a"]]);
			});
		});

		test("costs the process nothing, however the run goes on", async () => {
			const deaths = await deathsOf(async () => {
				const { next, runtime, end, settled } = await running();
				void next();
				void next();
				const aborted = runtime.abort("k");
				end();
				await settled;
				await aborted;
				void next();
			});
			expect(deaths).toEqual([]);
		});

		test("after a run has settled is over, also while a later run is steered", async () => {
			const { next, end, settled, runtime, steer, line } = await running();
			end();
			await settled;
			expect(await next()).toEqual({ done: true, value: undefined });
			await runtime.send("k", "again");
			await steer("for the second");
			expect(await next()).toEqual({ done: true, value: undefined });
			expect(await line()).toEqual(["for the second"]);
		});

		test("is none of a run that the host drives: the message waits", async () => {
			const { runtime } = await startScripted(makeStore(), {
				overlap: "steer",
			});
			const run = await runtime.admit("k");
			expect(await runtime.send("k", "hello")).toMatchObject({
				disposition: "queued",
			});
			expect(wrong(run as unknown)).not.toHaveProperty("steering");
			await run.end();
		});

		test("leaves a run that waits for an answer waiting", async () => {
			const { run, runtime, steer, next } = await running();
			void run.waitFor("ok?");
			await turns();
			await steer("a");
			expect(await next()).toMatchObject({ value: { input: "a" } });
			expect(await runtime.get("k")).toMatchObject({ status: "waiting" });
		});
	});
