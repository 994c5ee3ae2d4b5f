/** `queue`: what a host sees of the messages that wait, and what it may change of them. */
import type { JsonValue, SendOptions } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import {
	codeOf,
	now,
	type ScriptedHost,
	startScripted,
	wrong,
} from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

/** A session with a live run, and messages that wait behind it; each is known by its name, as id and as input. */
async function fill(
	host: ScriptedHost,
	names: readonly string[],
	how: SendOptions<JsonValue> = {},
) {
	const receipts = [];
	for (const name of ["live", ...names])
		receipts.push(
			await host.runtime.send("k", name, { ...how, messageId: name }),
		);
	return receipts;
}

const line = async ({ runtime }: Pick<ScriptedHost, "runtime">) =>
	(await runtime.queue.list("k")).map(({ messageId }) => messageId);

/** Ends one run after the other; what each was given. */
async function runsOf({ scripted }: ScriptedHost, from = 0) {
	for (let i = 0; i < scripted.runs.length; i++) {
		scripted.runs[i]?.end();
		await turns();
	}
	return scripted.runs
		.slice(from)
		.map(({ run }) =>
			run.messages.map(({ input }) => JSON.stringify(input)).join("+"),
		)
		.map((inputs) => inputs.replaceAll('"', ""));
}

for (const [kind, makeStore] of storeKinds)
	describe(`queue, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		describe("list", () => {
			test("shows what waits, in order, as it was accepted", async () => {
				const host = await start();
				await fill(host, ["a", "b"]);
				expect(await host.runtime.queue.list("k")).toEqual(
					["a", "b"].map((name) => ({
						messageId: name,
						input: name,
						acceptedAt: host.clock.now(),
						generation: 1,
					})),
				);
				expect(await host.runtime.queue.list("nobody")).toEqual([]);
			});

			test("shows what waits for a session that is not in memory", async () => {
				const store = makeStore();
				const host = await startScripted(store);
				await fill(host, ["a"]);
				expect(await line(host)).toEqual(["a"]);
				const deleted = host.runtime.delete("k", { queued: "keep" });
				await turns();
				host.scripted.last.end();
				await deleted;
				expect(await line(host)).toEqual(["a"]);
			});

			test("gives no way into what was accepted", async () => {
				const host = await start();
				await host.runtime.send("k", "live");
				await host.runtime.send("k", { text: "said" });
				const [message] = await host.runtime.queue.list("k");
				try {
					(message?.input as { text: string }).text = "changed";
				} catch {
					// Frozen is as good as copied.
				}
				expect(await host.runtime.queue.list("k")).toMatchObject([
					{ input: { text: "said" } },
				]);
				host.scripted.last.end();
				await turns();
				expect(host.scripted.last.run.messages).toMatchObject([
					{ input: { text: "said" } },
				]);
			});

			test("refuses a key that cannot be, and a runtime that is closed", async () => {
				const host = await start();
				expect(await codeOf(host.runtime.queue.list(""))).toBe(
					"INVALID_ARGUMENT",
				);
				await host.runtime.close();
				expect(await codeOf(host.runtime.queue.list("k"))).toBe(
					"RUNTIME_CLOSED",
				);
			});
		});

		describe("update of a place", () => {
			const moves: [
				what: string,
				messageId: string,
				before: string | null,
				after: string[],
			][] = [
				["before the first", "c", "a", ["c", "a", "b", "d"]],
				["before one in the middle", "d", "b", ["a", "d", "b", "c"]],
				["backwards", "a", "d", ["b", "c", "a", "d"]],
				["to the end", "b", null, ["a", "c", "d", "b"]],
				["before itself", "b", "b", ["a", "b", "c", "d"]],
				["before the one that it is before", "b", "c", ["a", "b", "c", "d"]],
				["the last to the end", "d", null, ["a", "b", "c", "d"]],
			];
			for (const [what, messageId, before, after] of moves)
				test(`moves a message ${what}`, async () => {
					const host = await start();
					await fill(host, ["a", "b", "c", "d"]);
					expect(
						await host.runtime.queue.update("k", messageId, { before }),
					).toMatchObject({
						result: "done",
						row: { queued: 4, status: "running" },
						report: null,
					});
					expect(await line(host)).toEqual(after);
					await host.runtime.send("k", "late", { messageId: "late" });
					expect(await line(host)).toEqual([...after, "late"]);
					expect(await runsOf(host, 1)).toEqual([...after, "late"]);
				});

			test("moves a message before one that stands at the front, and away from there", async () => {
				const host = await start();
				await fill(host, ["a", "b"]);
				await host.runtime.send("k", "i", {
					messageId: "i",
					overlap: "interrupt",
				});
				await host.runtime.queue.update("k", "b", { before: "i" });
				expect(await line(host)).toEqual(["b", "i", "a"]);
				await host.runtime.queue.update("k", "i", { before: null });
				expect(await line(host)).toEqual(["b", "a", "i"]);
				// It is an ordinary one now: the next that interrupts does not move it.
				await host.runtime.send("k", "j", {
					messageId: "j",
					overlap: "interrupt",
				});
				expect(await line(host)).toEqual(["j", "b", "a", "i"]);
			});

			test("holds however often messages go between the same neighbours", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startScripted(store);
				await fill(host, ["a", "b", "x", "y"]);
				for (let i = 0; i < 200; i++) {
					const one = i % 2 === 0 ? "x" : "y";
					const other = i % 2 === 0 ? "y" : "x";
					// Between a and whatever stood after it.
					await host.runtime.queue.update("k", one, {
						before: i === 0 ? "b" : other,
					});
					expect((await line(host))[1]).toBe(one);
				}
				const order = await line(host);
				expect(order).toEqual(["a", "y", "x", "b"]);
				await host.runtime.send("k", "late", { messageId: "late" });
				await store.crash();
				const next = await startScripted(store);
				await turns();
				expect([
					...next.scripted.runs.map(({ run }) => run.messages[0]?.messageId),
					...(await line(next)),
				]).toEqual([...order, "late"]);
			});

			test("holds however often messages go to the end or to the head", async () => {
				const host = await start();
				await fill(host, ["a", "b", "c"]);
				for (let i = 0; i < 120; i++) {
					const [head, ...rest] = await line(host);
					await host.runtime.queue.update("k", head as string, {
						before: null,
					});
					expect(await line(host)).toEqual([...rest, head]);
				}
				for (let i = 0; i < 120; i++) {
					const order = await line(host);
					const last = order.pop() as string;
					await host.runtime.queue.update("k", last, {
						before: order[0] as string,
					});
					expect(await line(host)).toEqual([last, ...order]);
				}
				await host.runtime.send("k", "late", { messageId: "late" });
				expect((await line(host)).at(-1)).toBe("late");
			});

			test("takes a message out of what is collected, and honours its place among that", async () => {
				const host = await start({ overlap: "collect" });
				await fill(host, ["a", "b", "c", "d"]);
				await host.runtime.queue.update("k", "d", { before: "b" });
				expect(await runsOf(host, 1)).toEqual(["a", "d", "b+c"]);
			});

			test("a message that was put before all that is collected is taken alone", async () => {
				const host = await start({ overlap: "collect" });
				await fill(host, ["a", "b", "c"]);
				await host.runtime.queue.update("k", "c", { before: "a" });
				expect(await runsOf(host, 1)).toEqual(["c", "a+b"]);
			});

			test("is kept across a restart and a reset, and the feed says nothing again", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startScripted(store);
				await fill(host, ["a", "b", "c"]);
				const fates = () =>
					host.feed.filter(({ type }) => type === "message").length;
				const said = fates();
				await host.runtime.queue.update("k", "c", { before: "a" });
				await host.runtime.queue.update("k", "b", { input: "B" });
				expect(fates()).toBe(said);
				host.runtime.reset("k").catch(() => {});
				await turns();
				expect(await line(host)).toEqual(["c", "a", "b"]);
				await store.crash();
				const next = await startScripted(store);
				await turns();
				expect(await runsOf(next)).toEqual(["c", "a", "B"]);
			});

			test("takes a message away from the run that it was to steer", async () => {
				const host = await start();
				await fill(host, ["a"], { overlap: "steer" });
				await host.runtime.queue.update("k", "a", { before: null });
				const pulled =
					host.scripted.last.run.steering[Symbol.asyncIterator]().next();
				expect(await now(pulled)).toBe("pending");
				host.scripted.last.end();
				expect(await pulled).toEqual({ done: true, value: undefined });
				await turns();
				expect(host.scripted.last.run.messages).toMatchObject([{ input: "a" }]);
			});
		});

		describe("update of an input", () => {
			test("gives the run what it says now; the place stays", async () => {
				const host = await start();
				const [, receipt] = await fill(host, ["a", "b"]);
				await host.runtime.queue.update("k", "a", { input: { text: "A" } });
				expect(await host.runtime.queue.list("k")).toMatchObject([
					{ messageId: "a", input: { text: "A" } },
					{ messageId: "b", input: "b" },
				]);
				expect(await runsOf(host, 1)).toEqual(["{text:A}", "b"]);
				expect(await receipt?.settled).toMatchObject({ outcome: "completed" });
			});

			test("may be null, and may come with a place", async () => {
				const host = await start();
				await fill(host, ["a", "b"]);
				await host.runtime.queue.update("k", "b", {
					input: null,
					before: "a",
				});
				expect(await runsOf(host, 1)).toEqual(["null", "a"]);
			});

			test("steers with what it says now", async () => {
				const host = await start();
				await fill(host, ["a"], { overlap: "steer" });
				await host.runtime.queue.update("k", "a", { input: "A" });
				const { steering } = host.scripted.last.run;
				expect(await steering[Symbol.asyncIterator]().next()).toMatchObject({
					value: { messageId: "a", input: "A" },
				});
			});

			test("the first input, sent again under its id, is a duplicate, before and after it was taken", async () => {
				const store = new CrashingStore(makeStore());
				const host = await startScripted(store);
				await fill(host, ["a"]);
				await host.runtime.queue.update("k", "a", { input: "A" });
				const again = () => host.runtime.send("k", "a", { messageId: "a" });
				expect(await again()).toMatchObject({ disposition: "duplicate" });
				host.scripted.last.end();
				await turns();
				const taken = await again();
				expect(taken).toMatchObject({
					disposition: "duplicate",
					ticket: host.scripted.last.run.ticket,
				});
				host.scripted.last.end("done");
				expect(await taken.settled).toMatchObject({ outcome: "completed" });
				await store.crash();
				const next = await startScripted(store);
				expect(
					await next.runtime.send("k", "a", { messageId: "a" }),
				).toMatchObject({ disposition: "duplicate" });
				expect(next.scripted.runs).toEqual([]);
			});

			test("is checked like one that is sent", async () => {
				const host = await start({
					schemas: { input: z.string() as never },
				});
				await fill(host, ["a"]);
				const { queue } = host.runtime;
				expect(await codeOf(queue.update("k", "a", { input: 42 }))).toBe(
					"INVALID_INPUT",
				);
				expect(
					await codeOf(queue.update("k", "a", { input: wrong(new Map()) })),
				).toBe("INVALID_INPUT");
				expect(await runsOf(host, 1)).toEqual(["a"]);
			});

			test("that a schema takes its time over finds its message taken, and says so", async () => {
				const gate = Promise.withResolvers<void>();
				const host = await start({
					schemas: {
						input: {
							"~standard": {
								version: 1,
								vendor: "test",
								validate: async (value: unknown) => {
									if (value === "late") await gate.promise;
									return { value: value as JsonValue };
								},
							},
						},
					},
				});
				await fill(host, ["a"]);
				const late = host.runtime.queue.update("k", "a", { input: "late" });
				host.scripted.last.end();
				await turns();
				gate.resolve();
				expect(await late).toMatchObject({
					result: "stale",
					mismatch: "messageId",
				});
				expect(await runsOf(host, 1)).toEqual(["a"]);
			});

			test("is a copy", async () => {
				const host = await start();
				await fill(host, ["a"]);
				const input = { text: "A" };
				await host.runtime.queue.update("k", "a", { input });
				input.text = "changed";
				expect(await runsOf(host, 1)).toEqual(["{text:A}"]);
			});
		});

		describe("remove", () => {
			test("takes a message out of line, and says so to all who care", async () => {
				const host = await start();
				const [, receipt] = await fill(host, ["a", "b"]);
				expect(await host.runtime.queue.remove("k", "a")).toMatchObject({
					result: "done",
					row: { queued: 1 },
					report: null,
				});
				expect(await receipt?.settled).toEqual({
					ticket: null,
					outcome: "removed",
				});
				expect(host.feed).toContainEqual(
					expect.objectContaining({
						type: "message",
						messageId: "a",
						fate: "removed",
					}),
				);
				expect(await runsOf(host, 1)).toEqual(["b"]);
				const again = await host.runtime.send("k", "a", { messageId: "a" });
				expect(again.disposition).toBe("duplicate");
				expect(await again.settled).toMatchObject({ outcome: "removed" });
			});

			test("of one that is collected leaves the others together", async () => {
				const host = await start({ overlap: "collect" });
				await fill(host, ["a", "b", "c"]);
				await host.runtime.queue.remove("k", "b");
				expect(await runsOf(host, 1)).toEqual(["a+c"]);
			});

			test("of the last one lets whoever waits for rest go on", async () => {
				const host = await start();
				await fill(host, ["a"]);
				await host.runtime.queue.remove("k", "a");
				host.scripted.last.end();
				await host.runtime.whenIdle("k");
				expect(host.scripted.runs).toHaveLength(1);
			});
		});

		describe("of a message that is not in line", () => {
			const calls = {
				update: (host: ScriptedHost, id: string) =>
					host.runtime.queue.update("k", id, { input: "x", before: null }),
				remove: (host: ScriptedHost, id: string) =>
					host.runtime.queue.remove("k", id),
			};
			for (const [call, ask] of Object.entries(calls)) {
				test(`${call}: one that was taken is stale, running or settled`, async () => {
					const host = await start();
					await fill(host, []);
					const stale = { result: "stale", mismatch: "messageId" };
					expect(await ask(host, "live")).toMatchObject(stale);
					host.scripted.last.end();
					await turns();
					const before = await host.runtime.get("k");
					expect(await ask(host, "live")).toEqual({ ...stale, row: before });
				});

				test(`${call}: one that was taken in the same tick is stale`, async () => {
					const host = await start();
					const sent = host.runtime.send("k", "a", { messageId: "a" });
					const answer = ask(host, "a");
					await sent;
					expect(await answer).toMatchObject({
						result: "stale",
						mismatch: "messageId",
					});
				});

				test(`${call}: one that was removed is stale`, async () => {
					const host = await start();
					await fill(host, ["a"]);
					await host.runtime.queue.remove("k", "a");
					expect(await ask(host, "a")).toMatchObject({
						result: "stale",
						mismatch: "messageId",
					});
				});

				test(`${call}: one that steered its run is stale`, async () => {
					const host = await start();
					await fill(host, ["a"], { overlap: "steer" });
					await host.scripted.last.run.steering[Symbol.asyncIterator]().next();
					expect(await ask(host, "a")).toMatchObject({
						result: "stale",
						mismatch: "messageId",
					});
				});

				test(`${call}: one that nobody knows is nothing, on any key`, async () => {
					const host = await start();
					expect(await ask(host, "a")).toEqual({
						result: "nothing",
						row: null,
					});
					await fill(host, ["b"]);
					const before = await host.runtime.get("k");
					expect(await ask(host, "a")).toEqual({
						result: "nothing",
						row: before,
					});
					// It holds no id: the message may still come.
					expect(
						await host.runtime.send("k", "a", { messageId: "a" }),
					).toMatchObject({ disposition: "queued" });
				});

				test(`${call}: the id of a reset is nothing`, async () => {
					const host = await start();
					await host.runtime.reset("k", { messageId: "new" });
					expect(await ask(host, "new")).toMatchObject({ result: "nothing" });
				});

				test(`${call}: one that a delete keeps may be changed, and the answer has a row`, async () => {
					const host = await start();
					await fill(host, ["a", "b"]);
					const deleted = host.runtime.delete("k", { queued: "keep" });
					await turns();
					host.scripted.last.end();
					await deleted;
					expect(await ask(host, "a")).toMatchObject({
						result: "done",
						row: { sessionKey: "k", generation: 1 },
					});
					expect(await line(host)).toEqual(
						call === "update" ? ["b", "a"] : ["b"],
					);
				});

				test(`${call}: a commit that fails changes nothing`, async () => {
					const store = new FaultyStore(makeStore());
					const host = await startScripted(store);
					const [, receipt] = await fill(host, ["a", "b"]);
					store.faults.push("before", "before");
					expect(await codeOf(ask(host, "a"))).toBe("STORE_FAILED");
					expect(await line(host)).toEqual(["a", "b"]);
					expect(await now(receipt?.settled as Promise<unknown>)).toBe(
						"pending",
					);
					store.faults.push("after");
					expect(await ask(host, "a")).toMatchObject({ result: "done" });
					expect(await runsOf(host, 1)).toEqual(
						call === "update" ? ["b", "x"] : ["b"],
					);
				});
			}

			test("a place before one that is not in line is stale, and changes nothing", async () => {
				const host = await start();
				await fill(host, ["a", "b"]);
				const before = await host.runtime.get("k");
				for (const other of ["live", "nobody"])
					expect(
						await host.runtime.queue.update("k", "b", {
							before: other,
							input: "B",
						}),
					).toEqual({ result: "stale", mismatch: "messageId", row: before });
				expect(await runsOf(host, 1)).toEqual(["a", "b"]);
			});

			test("a message that nobody knows is nothing, whatever it was to stand before", async () => {
				const host = await start();
				await fill(host, ["a"]);
				expect(
					await host.runtime.queue.update("k", "b", { before: "nobody" }),
				).toMatchObject({ result: "nothing" });
			});
		});

		test("what cannot be asked is refused", async () => {
			const host = await start();
			await fill(host, ["a"]);
			const { queue } = host.runtime;
			for (const refused of [
				queue.update("k", "a", {}),
				queue.update("k", "a", wrong(null)),
				queue.update("k", "a", wrong("A")),
				queue.update("k", "", { before: null }),
				queue.update("", "a", { before: null }),
				queue.update("k", "a", { before: "" }),
				queue.update("k", "a", { before: wrong(1) }),
				queue.remove("k", ""),
				queue.remove("", "a"),
			])
				expect(await codeOf(refused)).toBe("INVALID_ARGUMENT");
			await runsOf(host);
			await host.runtime.close();
			for (const late of [
				queue.update("k", "a", { before: null }),
				queue.remove("k", "a"),
			])
				expect(await codeOf(late)).toBe("RUNTIME_CLOSED");
		});

		test("changes in one tick are made in the order of the calls", async () => {
			const host = await start();
			await fill(host, ["a", "b", "c"]);
			const { queue } = host.runtime;
			const answers = await Promise.all([
				queue.update("k", "c", { before: "a" }),
				queue.remove("k", "a"),
				queue.update("k", "b", { before: "a" }),
				queue.update("k", "b", { before: "c" }),
				queue.remove("k", "a"),
			]);
			expect(answers.map(({ result }) => result)).toEqual([
				"done",
				"done",
				"stale",
				"done",
				"stale",
			]);
			expect(await line(host)).toEqual(["b", "c"]);
		});

		test("changes survive passivation of all that can leave memory", async () => {
			const host = await start({ passivateAfterMs: 1, maxResident: 1 });
			await fill(host, ["a", "b"]);
			for (const name of ["b", "a", "b"]) {
				await host.runtime.queue.update("k", name, {
					before: (await line(host))[0] as string,
				});
				await host.runtime.get("other");
				await host.runtime.reset("other");
				await host.clock.advance(10);
			}
			expect(await runsOf(host, 1)).toEqual(["b", "a"]);
		});
	});
