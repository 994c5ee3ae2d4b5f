/** Children of a run: tied to it in one commit, stopped with it from the leaves up, and never heard by another generation of their parent (decision 12). */
import { DatabaseSync } from "node:sqlite";
import type { JsonValue, ManagedRun, OpenStore, SendReceipt } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { close, restart } from "../support/restart.ts";
import { codeOf, now, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds, temporaryFile } from "../support/stores.ts";

type Options = Parameters<typeof startScripted>[1];
type Store = Parameters<typeof startScripted>[0];

async function startFamily(store: Store, options: Options = {}) {
	const host = await startScripted(store, { graceMs: 100, ...options });
	const { runtime, scripted } = host;
	const executed = (sessionKey: string) => {
		const found = scripted.runs.findLast(
			({ run }) => run.ticket.sessionKey === sessionKey,
		);
		if (!found) throw new Error(`nothing was executed on ${sessionKey}`);
		return found;
	};
	return {
		...host,
		executed,
		/** Ends a run as soon as it is told to stop, and notes that. */
		obedient: (sessionKey: string, ended: string[]) => {
			const { run, end } = executed(sessionKey);
			run.signal.addEventListener("abort", () => {
				ended.push(sessionKey);
				end();
			});
		},
		send: async (sessionKey: string) => {
			const receipt = await runtime.send(sessionKey, "hello");
			return { ...receipt, ...executed(sessionKey) };
		},
		outcomes: async (sessionKey: string) =>
			(await runtime.runs(sessionKey)).items.map(({ outcome, stoppedBy }) => [
				outcome,
				stoppedBy,
			]),
	};
}

for (const [kind, makeStore] of storeKinds)
	describe(`a child, on ${kind}`, () => {
		async function family(options: Options = {}) {
			const store = new FaultyStore(makeStore());
			const host = await startFamily(store, options);
			const parent = await host.send("p");
			return { ...host, store, parent };
		}

		/** `p` → `c` → `g`, all attached and running. */
		async function threeLevels() {
			const host = await family();
			const child = await host.parent.run.spawn("c", "do");
			const grandchild = await host.executed("c").run.spawn("g", "do");
			const ended: string[] = [];
			host.parent.settled.then(() => ended.push("p settled"));
			child.settled.then(() => ended.push("c settled"));
			grandchild.settled.then(() => ended.push("g settled"));
			return { ...host, child, grandchild, ended };
		}

		test("is a message to another session, with a receipt as any, and its run names its parent", async () => {
			const { runtime, parent, executed } = await family();
			const child = await parent.run.spawn(
				"c",
				{ task: 1 },
				{ messageId: "m1" },
			);
			expect(child).toMatchObject({
				disposition: "started",
				messageId: "m1",
				ticket: { sessionKey: "c", generation: 1 },
				row: { sessionKey: "c", status: "running" },
			});
			const { run, end } = executed("c");
			expect(run.messages).toMatchObject([
				{ messageId: "m1", input: { task: 1 } },
			]);
			expect((await runtime.runs("c")).items).toMatchObject([
				{ parent: parent.ticket, outcome: null },
			]);
			end("result");
			expect(await child.settled).toMatchObject({
				outcome: "completed",
				output: "result",
			});
			parent.end();
			await parent.settled;
			expect((await runtime.runs("c")).items).toMatchObject([
				{ parent: parent.ticket, outcome: "completed" },
			]);
			expect((await runtime.runs("p")).items).toMatchObject([{ parent: null }]);
		});

		test("waits in line as any, whatever the mode of the runtime is", async () => {
			const { runtime, parent, scripted, executed, outcomes } = await family({
				overlap: "interrupt",
			});
			await runtime.send("c", "busy");
			const busy = executed("c");
			const child = await parent.run.spawn("c", "do");
			expect(child).toMatchObject({ disposition: "queued", ticket: null });
			expect(busy.run.signal.aborted).toBe(false);
			expect(await runtime.queue.list("c")).toMatchObject([{ input: "do" }]);
			busy.end();
			await turns();
			expect(scripted.runs).toHaveLength(3);
			executed("c").end("done");
			expect(await child.settled).toMatchObject({ output: "done" });
			expect(await outcomes("c")).toEqual([
				["completed", null],
				["completed", null],
			]);
		});

		test("of something that cannot be is refused", async () => {
			const { parent, runtime } = await family();
			const { run } = parent;
			expect(await codeOf(run.spawn("p", "self"))).toBe("INVALID_ARGUMENT");
			expect(await codeOf(run.spawn("p", "self", { attached: false }))).toBe(
				"INVALID_ARGUMENT",
			);
			expect(await codeOf(run.spawn("", "x"))).toBe("INVALID_ARGUMENT");
			expect(
				await codeOf(
					run.spawn(
						"c",
						wrong(() => {}),
					),
				),
			).toBe("INVALID_INPUT");
			for (const options of [
				{ attached: "no" },
				{ messageId: "" },
				null,
				5,
			] as const)
				expect(await codeOf(run.spawn("c", "x", wrong(options)))).toBe(
					"INVALID_ARGUMENT",
				);
			expect(await runtime.get("c")).toBeNull();
		});

		test("of a runtime without an executor is refused", async () => {
			const { runtime } = await startScripted(makeStore(), {
				execute: wrong(undefined),
			});
			const run = await runtime.admit("p");
			expect(await codeOf(run.spawn("c", "do"))).toBe("INVALID_ARGUMENT");
		});

		test("is not attached crosswise: two runs that wait for children in line behind each other would wait for ever", async () => {
			const { parent, send, scripted } = await family();
			const other = await send("q");
			const [first, second] = await Promise.all([
				codeOf(parent.run.spawn("q", "a")),
				codeOf(other.run.spawn("p", "b")),
			]);
			expect(first).toMatchObject({ resolved: { disposition: "queued" } });
			expect(second).toBe("INVALID_ARGUMENT");
			// Nor by way of a third.
			const third = await send("r");
			await other.run.spawn("r", "c");
			expect(await codeOf(third.run.spawn("p", "d"))).toBe("INVALID_ARGUMENT");
			await third.run.spawn("p", "e", { attached: false });
			await parent.run.spawn("s", "f");
			// Whoever waits for nobody any more is in nobody's way.
			parent.end();
			await turns();
			for (const { run, end } of scripted.runs) if (run.signal.aborted) end();
			await turns();
			expect(await codeOf(third.run.spawn("p", "g"))).toMatchObject({
				resolved: { disposition: "queued" },
			});
		});

		test("is not attached to a run that waits for it: no cycle, at any depth", async () => {
			const { executed, runtime } = await threeLevels();
			const { run } = executed("g");
			for (const key of ["p", "c"])
				expect(await codeOf(run.spawn(key, "back"))).toBe("INVALID_ARGUMENT");
			const detached = await run.spawn("p", "back", { attached: false });
			expect(detached).toMatchObject({ disposition: "queued" });
			expect(await runtime.get("p")).toMatchObject({ queued: 1 });
		});

		describe("that is attached", () => {
			for (const how of ["abort", "reset", "delete", "interrupt"] as const)
				test(`is told to stop with its parent by ${how}, leaves first, and ends before it`, async () => {
					const { runtime, obedient, ended, parent, outcomes, executed } =
						await threeLevels();
					const told: string[] = [];
					for (const key of ["p", "c", "g"]) obedient(key, told);
					const stopped =
						how === "interrupt"
							? runtime.send("p", "newer", { overlap: "interrupt" })
							: runtime[how]("p");
					await turns();
					await stopped;
					expect(told).toHaveLength(3);
					expect(ended).toEqual(["g settled", "c settled", "p settled"]);
					expect(await parent.settled).toMatchObject({ outcome: "aborted" });
					for (const key of ["c", "g"]) {
						expect(await outcomes(key)).toEqual([["aborted", "parent"]]);
						expect(executed(key).run.signal.reason).toMatchObject({
							by: "parent",
						});
					}
				});

			test("holds its parent up until it has ended", async () => {
				const { runtime, executed, ended, parent, child } = await threeLevels();
				const aborted = runtime.abort("p");
				await turns();
				expect(executed("g").run.signal.aborted).toBe(true);
				parent.end();
				executed("c").end();
				expect(await now(aborted)).toBe("pending");
				expect(await now(parent.settled)).toBe("pending");
				expect(await now(child.settled)).toBe("pending");
				executed("g").end();
				expect(await aborted).toMatchObject({ result: "done" });
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
			});

			test("is abandoned with its parent if it is deaf, in order, and nobody is stuck", async () => {
				const { runtime, clock, ended, outcomes } = await threeLevels();
				const aborted = runtime.abort("p");
				await clock.advance(99);
				expect(ended).toEqual([]);
				await clock.advance(1);
				await turns();
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
				expect(await aborted).toMatchObject({
					report: { abandoned: [{ outcome: "abandoned" }] },
				});
				expect(await outcomes("p")).toEqual([["abandoned", "abort"]]);
				for (const key of ["c", "g"])
					expect(await outcomes(key)).toEqual([["abandoned", "parent"]]);
				await runtime.whenIdle();
			});

			test("that is deaf is abandoned when its parent has been, though that one stopped at once", async () => {
				const { runtime, clock, ended, parent, executed, outcomes } =
					await threeLevels();
				const aborted = runtime.abort("p");
				await turns();
				parent.end();
				executed("c").end();
				await clock.advance(100);
				await aborted;
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
				expect(await outcomes("g")).toEqual([["abandoned", "parent"]]);
			});

			for (const how of ["completed", "failed"] as const)
				test(`is stopped when its parent has ${how}, which waits for it`, async () => {
					const { parent, executed, ended, outcomes, obedient } =
						await threeLevels();
					for (const key of ["c", "g"]) obedient(key, []);
					if (how === "completed") parent.end("done");
					else parent.fail(new Error("no"));
					expect(await parent.settled).toMatchObject({ outcome: how });
					expect(ended).toEqual(["g settled", "c settled", "p settled"]);
					expect(executed("p").run.signal.aborted).toBe(false);
					expect(await outcomes("p")).toEqual([[how, null]]);
					for (const key of ["c", "g"])
						expect(await outcomes(key)).toEqual([["aborted", "parent"]]);
				});

			test("and deaf holds a parent that completed up for no longer than the grace period", async () => {
				const { parent, clock, ended } = await threeLevels();
				parent.end("done");
				await clock.advance(99);
				expect(await now(parent.settled)).toBe("pending");
				await clock.advance(1);
				await turns();
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
				expect(await parent.settled).toMatchObject({ output: "done" });
			});

			test("and spawned with the parent's last breath ends before it", async () => {
				let receipt: Promise<SendReceipt> | null = null;
				const { runtime, outcomes } = await startFamily(makeStore(), {
					execute: async (run: ManagedRun<JsonValue>) => {
						if (run.ticket.sessionKey !== "p") {
							const stopped = Promise.withResolvers<void>();
							run.signal.addEventListener("abort", () => stopped.resolve());
							if (!run.signal.aborted) await stopped.promise;
							return;
						}
						receipt = run.spawn("c", "do");
					},
				});
				const { settled } = await runtime.send("p", "hello");
				expect(await settled).toMatchObject({ outcome: "completed" });
				// It is stopped, or was never accepted; it does not stay behind.
				const said = await codeOf(receipt as unknown as Promise<SendReceipt>);
				await runtime.whenIdle();
				if (said === "STALE_RUN") expect(await outcomes("c")).toEqual([]);
				else expect(await outcomes("c")).toEqual([["aborted", "parent"]]);
			});

			test("and waits in line leaves it when its parent stops", async () => {
				const { runtime, parent, executed, feed } = await family();
				await runtime.send("c", "busy");
				const child = await parent.run.spawn("c", "do");
				const aborted = runtime.abort("p");
				await turns();
				expect(await now(child.settled)).toEqual({
					ticket: null,
					outcome: "removed",
				});
				expect(executed("c").run.signal.aborted).toBe(false);
				expect(await runtime.get("c")).toMatchObject({
					status: "running",
					queued: 0,
				});
				expect(feed).toContainEqual(
					expect.objectContaining({
						type: "message",
						messageId: child.messageId,
						fate: "removed",
						reason: expect.stringContaining("parent"),
					}),
				);
				parent.end();
				await aborted;
			});

			test("and waits in line leaves it when its parent completes", async () => {
				const { runtime, parent } = await family();
				await runtime.send("c", "busy");
				const child = await parent.run.spawn("c", "do");
				parent.end("done");
				expect(await parent.settled).toMatchObject({ output: "done" });
				expect(await child.settled).toMatchObject({ outcome: "removed" });
			});

			test("is one of many, and all are told", async () => {
				const { parent, runtime, outcomes, obedient } = await family();
				const keys = ["a", "b", "c", "d"];
				for (const key of keys) {
					await parent.run.spawn(key, "do");
					obedient(key, []);
				}
				const aborted = runtime.abort("p");
				await turns();
				parent.end();
				await aborted;
				for (const key of keys)
					expect(await outcomes(key)).toEqual([["aborted", "parent"]]);
			});

			test("and has ended ties nobody to anything", async () => {
				const { parent, executed, runtime } = await family();
				const child = await parent.run.spawn("c", "do");
				executed("c").end();
				await child.settled;
				await runtime.send("c", "of its own");
				parent.end();
				await parent.settled;
				expect(executed("c").run.signal.aborted).toBe(false);
			});

			test("stops its parent by nothing that becomes of it", async () => {
				const { parent, executed, runtime } = await family();
				const child = await parent.run.spawn("c", "do");
				executed("c").fail(new Error("broke"));
				expect(await child.settled).toMatchObject({
					outcome: "failed",
					error: "broke",
				});
				expect(parent.run.signal.aborted).toBe(false);
				expect(await runtime.get("p")).toMatchObject({ status: "running" });
			});
		});

		describe("that is detached", () => {
			test("survives its parent, however that ends", async () => {
				const { parent, runtime, executed, send, outcomes } = await family();
				const child = await parent.run.spawn("c", "do", { attached: false });
				parent.end();
				await parent.settled;
				expect(executed("c").run.signal.aborted).toBe(false);
				const again = await send("p");
				await again.run.spawn("c", "more", { attached: false });
				const aborted = runtime.abort("p");
				await turns();
				again.end();
				await aborted;
				expect(await runtime.get("c")).toMatchObject({
					status: "running",
					queued: 1,
				});
				executed("c").end("done");
				expect(await child.settled).toMatchObject({ output: "done" });
				await turns();
				expect(await outcomes("c")).toEqual([
					[null, null],
					["completed", null],
				]);
			});

			test("names its parent all the same", async () => {
				const { parent, runtime } = await family();
				await parent.run.spawn("c", "do", { attached: false });
				expect((await runtime.runs("c")).items).toMatchObject([
					{ parent: parent.ticket },
				]);
			});

			test("may have attached children of its own, which stop with it and not with its parent", async () => {
				const { parent, runtime, executed, outcomes, obedient } =
					await family();
				await parent.run.spawn("c", "do", { attached: false });
				await executed("c").run.spawn("g", "do");
				parent.end();
				await parent.settled;
				expect(executed("g").run.signal.aborted).toBe(false);
				obedient("g", []);
				obedient("c", []);
				await runtime.abort("c");
				expect(await outcomes("g")).toEqual([["aborted", "parent"]]);
			});
		});

		describe("and a parent that was told to stop:", () => {
			for (const how of ["abort", "reset", "delete"] as const) {
				test(`none after ${how}`, async () => {
					const { parent, runtime } = await family();
					const stopped = runtime[how]("p");
					await turns();
					expect(await codeOf(parent.run.spawn("c", "do"))).toBe("STALE_RUN");
					parent.end();
					await stopped;
					expect(
						await codeOf(parent.run.spawn("c", "do", { attached: false })),
					).toBe("STALE_RUN");
					expect(await runtime.get("c")).toBeNull();
				});

				for (const order of ["before", "after"] as const)
					test(`one in the same tick, ${order} ${how}, is refused or stopped with it`, async () => {
						const { parent, runtime, outcomes, scripted } = await family();
						// Both sessions are in memory: nothing is read before the message enters.
						await runtime.reset("c");
						const spawn = () => codeOf(parent.run.spawn("c", "do"));
						const early = order === "before" ? spawn() : null;
						const stopped = runtime[how]("p");
						const said = await (early ?? spawn());
						await turns();
						for (const { run, end } of scripted.runs)
							if (run.signal.aborted) end();
						await stopped;
						await runtime.whenIdle();
						expect(await outcomes("c")).toEqual(
							said === "STALE_RUN" ? [] : [["aborted", "parent"]],
						);
					});
			}

			test("none after its end", async () => {
				const { parent, runtime } = await family();
				parent.end();
				await parent.settled;
				expect(await codeOf(parent.run.spawn("c", "do"))).toBe("STALE_RUN");
				expect(await runtime.get("c")).toBeNull();
			});

			test("a late result of a child is its parent's of then, and changes nothing of a later generation", async () => {
				const { parent, runtime, clock, executed } = await family();
				const child = await parent.run.spawn("c", "do");
				const reset = runtime.reset("p");
				await clock.advance(100);
				await reset;
				const before = await runtime.get("p");
				executed("c").end("late");
				await turns();
				expect(await child.settled).toMatchObject({ outcome: "abandoned" });
				expect(await child.settled).not.toHaveProperty("output");
				expect(await runtime.get("p")).toEqual(before);
			});
		});

		describe("and its own session:", () => {
			test("a reset of it stops the child, and its parent goes on", async () => {
				const { parent, runtime, executed } = await family();
				const child = await parent.run.spawn("c", "do");
				const reset = runtime.reset("c");
				await turns();
				executed("c").end();
				await reset;
				expect(await child.settled).toMatchObject({ outcome: "aborted" });
				expect(parent.run.signal.aborted).toBe(false);
				parent.end();
				expect(await parent.settled).toMatchObject({ outcome: "completed" });
			});

			test("a reset that keeps the line keeps the child in it, tied as before", async () => {
				const { parent, runtime, executed, outcomes } = await family();
				await runtime.send("c", "busy");
				const child = await parent.run.spawn("c", "do");
				const reset = runtime.reset("c");
				await turns();
				executed("c").end();
				await reset;
				await turns();
				expect(executed("c").run.messages).toMatchObject([{ input: "do" }]);
				const aborted = runtime.abort("p");
				await turns();
				executed("c").end();
				parent.end();
				await aborted;
				expect(await child.settled).toMatchObject({
					outcome: "aborted",
					ticket: { generation: 2 },
				});
				expect((await outcomes("c"))[0]).toEqual(["aborted", "parent"]);
			});

			for (const how of ["delete", "queue.remove", "abort"] as const)
				test(`a child that ${how} took out of the line holds its parent up no more`, async () => {
					const { parent, runtime, executed } = await family();
					await runtime.send("c", "busy");
					const child = await parent.run.spawn("c", "do", { messageId: "m1" });
					if (how === "delete") {
						const deleted = runtime.delete("c");
						await turns();
						executed("c").end();
						await deleted;
					} else if (how === "queue.remove")
						await runtime.queue.remove("c", "m1");
					else await runtime.abort("c", { expect: { messageId: "m1" } });
					expect(await child.settled).toMatchObject({ outcome: "removed" });
					parent.end();
					expect(await parent.settled).toMatchObject({ outcome: "completed" });
				});

			test("a child that drains there when its parent stops is waited for", async () => {
				const { parent, runtime, executed } = await family();
				await parent.run.spawn("c", "do");
				const { end } = executed("c");
				const reset = runtime.reset("c");
				await turns();
				const aborted = runtime.abort("p");
				await turns();
				parent.end();
				expect(await now(parent.settled)).toBe("pending");
				end();
				await Promise.all([reset, aborted]);
				expect(await parent.settled).toMatchObject({ outcome: "aborted" });
			});

			test("one that was deleted is opened by it", async () => {
				const { parent, runtime, executed } = await family();
				await runtime.reset("c");
				await runtime.delete("c");
				const child = await parent.run.spawn("c", "do");
				expect(child).toMatchObject({
					disposition: "started",
					ticket: { generation: 2 },
				});
				executed("c").end();
				expect(await child.settled).toMatchObject({ outcome: "completed" });
			});

			test("one that is full refuses it, and leaves no tie", async () => {
				const { parent, runtime } = await family({
					overlap: { mode: "enqueue", capacity: 1 },
				});
				await runtime.send("c", "busy");
				await runtime.send("c", "waits");
				expect(await codeOf(parent.run.spawn("c", "do"))).toBe("MAILBOX_FULL");
				parent.end();
				expect(await parent.settled).toMatchObject({ outcome: "completed" });
				expect(await runtime.get("c")).toMatchObject({ queued: 1 });
			});

			test("a child waits out its quiet window as any message", async () => {
				const { parent, clock, scripted } = await family({
					overlap: ({ sessionKey }) => ({
						mode: "enqueue",
						debounceMs: sessionKey === "c" ? 50 : 0,
					}),
				});
				const child = await parent.run.spawn("c", "do");
				expect(child.disposition).toBe("queued");
				await clock.advance(50);
				expect(scripted.runs).toHaveLength(2);
			});
		});

		describe("with a message id that was used", () => {
			test("is a duplicate: nothing runs twice, and it ends as the first does", async () => {
				const { parent, executed, scripted } = await family();
				const first = await parent.run.spawn("c", "do", { messageId: "m1" });
				const again = await parent.run.spawn("c", "do", { messageId: "m1" });
				expect(again).toMatchObject({
					disposition: "duplicate",
					ticket: first.ticket,
				});
				expect(scripted.runs).toHaveLength(2);
				executed("c").end("done");
				expect(await again.settled).toMatchObject({ outcome: "completed" });
				const late = await parent.run.spawn("c", "do", { messageId: "m1" });
				expect(await late.settled).toMatchObject({ outcome: "completed" });
				parent.end();
				expect(await parent.settled).toMatchObject({ outcome: "completed" });
			});

			test("by somebody else does not tie that one's message to this run", async () => {
				const { parent, runtime, executed } = await family();
				await runtime.send("c", "do", { messageId: "m1" });
				const again = await parent.run.spawn("c", "do", { messageId: "m1" });
				expect(again.disposition).toBe("duplicate");
				parent.end();
				expect(await parent.settled).toMatchObject({ outcome: "completed" });
				expect(executed("c").run.signal.aborted).toBe(false);
			});

			test("twice at once is one child", async () => {
				const { parent, scripted } = await family();
				const both = await Promise.all(
					[1, 2].map(() => parent.run.spawn("c", "do", { messageId: "m1" })),
				);
				expect(both.map(({ disposition }) => disposition)).toEqual([
					"started",
					"duplicate",
				]);
				expect(scripted.runs).toHaveLength(2);
			});

			test("for another input is INVALID_ARGUMENT", async () => {
				const { parent } = await family();
				await parent.run.spawn("c", "do", { messageId: "m1" });
				expect(
					await codeOf(parent.run.spawn("c", "else", { messageId: "m1" })),
				).toBe("INVALID_ARGUMENT");
			});
		});

		describe("and a store that fails:", () => {
			test("a child that cannot be kept is STORE_FAILED, and leaves no tie", async () => {
				const { parent, store, runtime, scripted } = await family();
				store.poisoned = "c";
				expect(
					await codeOf(parent.run.spawn("c", "do", { messageId: "m1" })),
				).toBe("STORE_FAILED");
				parent.end();
				expect(await now(parent.settled)).toMatchObject({
					outcome: "completed",
				});
				store.poisoned = null;
				await runtime.whenIdle();
				expect(scripted.runs).toHaveLength(1);
				expect(await runtime.get("c")).toBeNull();
				// Nobody's child now.
				await runtime.send("c", "do", { messageId: "m1" });
				expect(scripted.runs).toHaveLength(2);
			});

			test("a child whose commit held although it failed is a child", async () => {
				const { parent, store, executed, obedient, outcomes } = await family();
				store.faults.push("after");
				const child = await parent.run.spawn("c", "do");
				expect(child.disposition).toBe("started");
				obedient("c", []);
				parent.end();
				await parent.settled;
				expect(executed("c").run.signal.aborted).toBe(true);
				expect(await outcomes("c")).toEqual([["aborted", "parent"]]);
			});

			for (const isHeld of [true, false])
				test(`a child of which nobody knows at first whether it was kept is tied if it was (${isHeld})`, async () => {
					const { parent, store, clock, runtime, outcomes, scripted } =
						await family();
					const opened = store.opened as OpenStore;
					const version = opened.version.bind(opened);
					store.faults.push(isHeld ? "after" : "before");
					opened.version = () => Promise.reject(new Error("no answer"));
					expect(await codeOf(parent.run.spawn("c", "do"))).toBe(
						"STORE_FAILED",
					);
					opened.version = version;
					await clock.advance(1000);
					expect(scripted.runs).toHaveLength(isHeld ? 2 : 1);
					parent.end();
					await turns();
					if (isHeld) {
						expect(await now(parent.settled)).toBe("pending");
						expect(scripted.last.run.signal.reason).toMatchObject({
							by: "parent",
						});
						scripted.last.end();
					}
					expect(await parent.settled).toMatchObject({ outcome: "completed" });
					await runtime.whenIdle();
					expect(await outcomes("c")).toEqual(
						isHeld ? [["aborted", "parent"]] : [],
					);
				});

			test("a parent that is abandoned does not wait for ever for a child whose end cannot be kept", async () => {
				const { parent, store, runtime, clock } = await family();
				await parent.run.spawn("c", "do");
				store.poisoned = "c";
				const aborted = runtime.abort("p");
				await clock.advance(100);
				expect(await now(aborted)).toBe("pending");
				await clock.advance(1000);
				expect(await aborted).toMatchObject({
					report: { abandoned: [{ outcome: "abandoned" }] },
				});
				store.poisoned = null;
				await clock.advance(5000);
				await runtime.whenIdle();
				expect((await runtime.runs("c")).items).toMatchObject([
					{ outcome: "abandoned", stoppedBy: "parent" },
				]);
			});

			test("a stop of the parent that cannot be kept reaches the child all the same", async () => {
				const { parent, store, runtime, executed, clock } = await family();
				await parent.run.spawn("c", "do");
				store.poisoned = "p";
				expect(await codeOf(runtime.abort("p"))).toBe("STORE_FAILED");
				await turns();
				expect(parent.run.signal.aborted).toBe(true);
				expect(executed("c").run.signal.aborted).toBe(true);
				store.poisoned = null;
				executed("c").end();
				parent.end();
				await clock.advance(5000);
				expect(await parent.settled).toMatchObject({ outcome: "aborted" });
			});
		});

		describe("and a runtime that goes:", () => {
			test("a close brings all to their end, leaves first", async () => {
				const { obedient, ended, outcomes, ...host } = await threeLevels();
				for (const key of ["p", "c", "g"]) obedient(key, []);
				await close(host, { graceMs: 100 });
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
				const next = await startFamily(host.store);
				for (const key of ["p", "c", "g"])
					expect(await next.outcomes(key)).toEqual([
						["interrupted", "shutdown"],
					]);
			});

			test("a close of a family that is deaf is over in time", async () => {
				const { ended, ...host } = await threeLevels();
				const closed = host.runtime.close({ graceMs: 100 });
				await host.clock.advance(1200);
				await closed;
				expect(ended).toEqual(["g settled", "c settled", "p settled"]);
			});

			test("what ran when the process died is settled; what waited leaves the line with its parent", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startFamily(store);
				const parent = await host.send("p");
				await parent.run.spawn("c", "runs");
				await host.runtime.send("d", "busy");
				await parent.run.spawn("d", "waits", { messageId: "m1" });
				await parent.run.spawn("d", "stays", { attached: false });
				await store.crash();
				const next = await startFamily(store);
				await turns();
				expect(await next.outcomes("p")).toEqual([["interrupted", null]]);
				expect(await next.outcomes("c")).toEqual([["interrupted", null]]);
				expect(
					next.scripted.runs.map(({ run }) => run.messages[0]?.input),
				).toEqual(["stays"]);
				const again = await next.runtime.send("d", "waits", {
					messageId: "m1",
				});
				expect(again.disposition).toBe("duplicate");
				expect(await again.settled).toMatchObject({ outcome: "removed" });
			});

			test("children of a dead parent are not tried again with it", async () => {
				const recovery = { mode: "retry", maxAttempts: 3 } as const;
				const store = new CrashingStore(makeStore());
				const host = await startFamily(store, { recovery });
				const parent = await host.send("p");
				await parent.run.spawn("c", "runs");
				await parent.run.spawn("d", "detached", { attached: false });
				await store.crash();
				const next = await startFamily(store, { recovery });
				await turns();
				expect(
					next.scripted.runs.map(({ run }) => [
						run.ticket.sessionKey,
						run.ticket.attempt,
					]),
				).toEqual(
					expect.arrayContaining([
						["p", 2],
						["d", 2],
					]),
				);
				expect(next.scripted.runs).toHaveLength(2);
				expect(await next.outcomes("c")).toEqual([["interrupted", null]]);
				expect(await next.runtime.get("c")).toMatchObject({ queued: 0 });
			});

			test("children of a parent that a clean close ended are not tried again with it", async () => {
				const recovery = { mode: "retry", maxAttempts: 3 } as const;
				const host = await startFamily(makeStore(), { recovery });
				const parent = await host.send("p");
				await parent.run.spawn("c", "runs");
				await host.runtime.send("d", "busy");
				await parent.run.spawn("d", "waits");
				for (const key of ["p", "c", "d"]) host.obedient(key, []);
				await close(host, { graceMs: 100 });
				const next = await startFamily(host.store, { recovery });
				await turns();
				expect(
					next.scripted.runs
						.map(({ run }) => [run.ticket.sessionKey, run.ticket.attempt])
						.sort(),
				).toEqual([
					["d", 2],
					["p", 2],
				]);
				for (const key of ["c", "d"])
					expect(await next.runtime.queue.list(key)).toEqual([]);
			});

			test("a child that died and is tried again is tied again to a parent that lived on", async () => {
				const recovery = { mode: "retry", maxAttempts: 3 } as const;
				const store = new CrashingStore(makeStore());
				const host = await startFamily(store, { recovery });
				const run = await host.runtime.admit("p", {
					runId: "r1",
					leaseMs: 100_000,
				});
				await run.spawn("c", "runs");
				await turns();
				await store.crash();
				const next = await startFamily(store, { recovery });
				await turns();
				const child = next.executed("c").run;
				expect(child.ticket).toMatchObject({ attempt: 2 });
				await next.runtime.report({ runId: "r1", phase: "end" });
				await turns();
				expect(child.signal.reason).toMatchObject({ by: "parent" });
				next.executed("c").end();
				await next.runtime.whenIdle();
				expect((await next.runtime.runs("c")).items).toMatchObject([
					{ outcome: "aborted", parent: { runId: "r1" } },
					{ outcome: "interrupted" },
				]);
			});

			test("children that wait for a host-driven run with a lease are tied to it again", async () => {
				const store = makeStore();
				const host = await startFamily(store);
				const run = await host.runtime.admit("p", {
					runId: "r1",
					leaseMs: 100_000,
				});
				await host.runtime.send("c", "busy");
				const child = await run.spawn("c", "waits", { messageId: "m1" });
				const next = await restart(host);
				expect(await child.settled).toMatchObject({ outcome: "interrupted" });
				const { runtime } = next;
				// The process that closed settled what was busy; the child is next in line.
				expect(await runtime.get("p")).toMatchObject({ status: "running" });
				expect(await runtime.queue.list("c")).toMatchObject([
					{ messageId: "m1" },
				]);
				const aborted = runtime.abort("p");
				await turns();
				expect(await runtime.queue.list("c")).toEqual([]);
				await runtime.report({ runId: "r1", phase: "end" });
				await aborted;
			});

			test("a child that begins after a restart is stopped with a parent that lived on", async () => {
				const host = await startFamily(makeStore());
				const run = await host.runtime.admit("p", {
					runId: "r1",
					leaseMs: 100_000,
				});
				await host.runtime.send("c", "busy");
				await run.spawn("c", "waits");
				await close(host);
				const { runtime, executed, outcomes } = await startFamily(host.store);
				await turns();
				expect(executed("c").run.messages).toMatchObject([{ input: "waits" }]);
				await runtime.report({ runId: "r1", phase: "end" });
				await turns();
				expect(executed("c").run.signal.reason).toMatchObject({ by: "parent" });
				executed("c").end();
				await runtime.whenIdle();
				expect((await outcomes("c"))[0]).toEqual(["aborted", "parent"]);
			});
		});

		describe("of a run that the host drives", () => {
			async function admitted(options: Options = {}) {
				const host = await startFamily(makeStore(), options);
				const run = await host.runtime.admit("p");
				return { ...host, run };
			}

			for (const [how, end] of [
				["its end", (run) => run.end()],
				["its failure", (run) => run.fail("no")],
				["being let go", (run) => run[Symbol.asyncDispose]()],
			] as [
				string,
				(
					run: Awaited<ReturnType<typeof admitted>>["run"],
				) => PromiseLike<unknown>,
			][])
				test(`is stopped with ${how}`, async () => {
					const { run, runtime, executed, outcomes } = await admitted();
					await run.spawn("c", "do");
					await end(run);
					await turns();
					expect(executed("c").run.signal.reason).toMatchObject({
						by: "parent",
					});
					executed("c").end();
					await runtime.whenIdle();
					expect(await outcomes("c")).toEqual([["aborted", "parent"]]);
				});

			test("is stopped with a reset, which is done when both have ended", async () => {
				const { run, runtime, executed, outcomes } = await admitted();
				await run.spawn("c", "do");
				const reset = runtime.reset("p");
				await turns();
				expect(executed("c").run.signal.aborted).toBe(true);
				executed("c").end();
				await turns();
				await run.end();
				await reset;
				expect(await outcomes("c")).toEqual([["aborted", "parent"]]);
			});

			test("is none of a reservation", async () => {
				const { runtime } = await admitted();
				const run = await runtime.admit("q", { reserve: true });
				expect(await codeOf(run.spawn("c", "do"))).toBe("STALE_RUN");
			});
		});

		test("shares the slot of the run that it is attached to; one that is not has its own", async () => {
			const { parent, scripted, runtime, executed } = await family({
				maxConcurrentRuns: 1,
			});
			await parent.run.spawn("c", "attached");
			await turns();
			expect(scripted.runs).toHaveLength(2);
			await parent.run.spawn("d", "detached", { attached: false });
			await runtime.send("e", "other");
			await turns();
			expect(scripted.runs).toHaveLength(2);
			executed("c").end();
			await turns();
			expect(scripted.runs).toHaveLength(2);
			parent.end();
			await turns();
			expect(scripted.runs).toHaveLength(3);
			expect(scripted.last.run.ticket.sessionKey).toBe("d");
		});
	});

describe("a child of a session that cannot be read", () => {
	test("is refused, and leaves no tie", async () => {
		const file = temporaryFile();
		const first = await startFamily(sqliteStore(file));
		await first.runtime.reset("c");
		await close(first);
		const db = new DatabaseSync(file);
		db.exec("UPDATE sessions SET body = 'rubbish' WHERE session_key = 'c'");
		db.close();
		const { send, runtime, executed } = await startFamily(sqliteStore(file));
		const parent = await send("p");
		expect(await codeOf(parent.run.spawn("c", "do"))).toBe("STORE_CORRUPT");
		await runtime.reset("c");
		const child = await parent.run.spawn("c", "do");
		expect(child.disposition).toBe("started");
		executed("c").end();
		await child.settled;
		parent.end();
		expect(await parent.settled).toMatchObject({ outcome: "completed" });
	});
});
