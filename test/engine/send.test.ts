/** `send`: what becomes of a message when it arrives, and in which order messages are taken. */
import type { Expectation } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { startHost } from "../support/host.ts";
import { now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`send, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("a message to a free session starts a run at once", async () => {
			const { runtime, scripted, clock } = await start();
			const receipt = await runtime.send("k", { text: "hello" });
			const ticket = {
				sessionKey: "k",
				generation: 1,
				attempt: 1,
				runId: expect.any(String),
				sessionId: expect.any(String),
			};
			expect(receipt).toMatchObject({
				disposition: "started",
				ticket,
				row: {
					sessionKey: "k",
					status: "running",
					hasActiveRun: true,
					activeRun: receipt.ticket,
					sessionId: receipt.ticket?.sessionId,
					queued: 0,
					startedAt: clock.now(),
					endedAt: null,
					runtimeMs: null,
					version: 1,
				},
			});
			const { run } = scripted.last;
			expect(run.ticket).toEqual(receipt.ticket);
			expect(run.messages).toEqual([
				{
					messageId: receipt.messageId,
					input: { text: "hello" },
					acceptedAt: clock.now(),
					generation: 1,
				},
			]);
			expect(await runtime.get("k")).toEqual(receipt.row);
		});

		test("a message to a busy session waits in line", async () => {
			const { runtime, scripted } = await start();
			const first = await runtime.send("k", "first");
			const second = await runtime.send("k", "second");
			expect(second).toMatchObject({
				disposition: "queued",
				ticket: null,
				row: { status: "running", activeRun: first.ticket, queued: 1 },
			});
			scripted.last.end();
			await first.settled;
			expect(await runtime.get("k")).toMatchObject({
				status: "running",
				queued: 0,
			});
			expect(scripted.last.run.messages).toMatchObject([{ input: "second" }]);
		});

		test("messages of overlapping calls run one at a time, in the order of the calls", async () => {
			const inputs = Array.from({ length: 20 }, (_, i) => i);
			const seen: unknown[] = [];
			let live = 0;
			const { runtime } = await start({
				execute: async (run) => {
					live += 1;
					expect(live).toBe(1);
					seen.push(run.messages[0]?.input);
					await turns(1);
					live -= 1;
				},
			});
			const receipts = await Promise.all(
				inputs.map((i) =>
					// Ids are looked up in the store first, which takes longer.
					runtime.send("k", i, i % 3 === 0 ? { messageId: `m${i}` } : {}),
				),
			);
			await Promise.all(receipts.map(({ settled }) => settled));
			expect(seen).toEqual(inputs);
			expect(receipts.map(({ disposition }) => disposition)).toEqual([
				"started",
				...inputs.slice(1).map(() => "queued"),
			]);
		});

		test("one session never waits for another", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("never ends", "hello");
			const { settled } = await runtime.send("k", "hello");
			scripted.last.end("hi");
			expect(await settled).toMatchObject({ outcome: "completed" });
			expect(await runtime.get("never ends")).toMatchObject({
				status: "running",
			});
		});

		test("what moves in one tick is one commit, whatever the number of sessions", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime } = await startScripted(store);
			await Promise.all(
				Array.from({ length: 50 }, (_, i) => runtime.send(`k${i % 25}`, i)),
			);
			expect(store.commits).toBe(1);
			expect(runtime.stats()).toMatchObject({
				commits: 1,
				rowsPerCommit: 25,
				running: 25,
				queued: 25,
			});
		});

		test("a run does not begin, and nothing is seen, before its admission is committed", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime, scripted, feed } = await startScripted(store);
			const { promise, resolve } = Promise.withResolvers<void>();
			store.beforeCommit = () => promise;
			const sent = runtime.send("k", "hello");
			await turns();
			expect(await now(sent)).toBe("pending");
			expect(scripted.runs).toEqual([]);
			expect(feed).toEqual([]);
			expect(await runtime.get("k")).toBeNull();
			resolve();
			await sent;
			expect(scripted.runs).toHaveLength(1);
		});

		test("the feed is told first, and the receipt settles when the feed has shown the end", async () => {
			const order: string[] = [];
			const { runtime } = await start({
				execute: () => {
					order.push("executor");
				},
			});
			runtime.subscribe((event) => {
				if (event.type === "row") order.push(event.row.status);
			});
			const { settled } = await runtime.send("k", "hello");
			await settled.then(() => order.push("settled"));
			expect(order).toEqual(["running", "executor", "ended", "settled"]);
		});

		test("a message sent from inside a run to its own session waits for that run", async () => {
			const inputs: unknown[] = [];
			const { runtime } = await start({
				execute: async (run) => {
					inputs.push(run.messages[0]?.input);
					if (inputs.length > 1) return;
					const { disposition } = await runtime.send("k", "from inside");
					inputs.push(disposition);
				},
			});
			await runtime.send("k", "first");
			await runtime.whenIdle("k");
			expect(inputs).toEqual(["first", "queued", "from inside"]);
		});

		describe("with mode reject", () => {
			test("a free session takes the message", async () => {
				const { runtime } = await start({ overlap: "reject" });
				expect(await runtime.send("k", "hello")).toMatchObject({
					disposition: "started",
				});
			});

			test("a session with a live run refuses it, and names the run", async () => {
				const { runtime } = await start({ overlap: "reject" });
				const { ticket } = await runtime.send("k", "first");
				await expect(runtime.send("k", "second")).rejects.toMatchObject({
					name: "TurnkeeperError",
					code: "SESSION_BUSY",
					message: expect.stringContaining(ticket?.runId as string),
				});
				expect(await runtime.get("k")).toMatchObject({
					version: 1,
					queued: 0,
				});
			});

			test("a call's own mode counts before the runtime's", async () => {
				const { runtime } = await start({ overlap: "reject" });
				await runtime.send("k", "first");
				expect(
					await runtime.send("k", "second", { overlap: "enqueue" }),
				).toMatchObject({ disposition: "queued" });
			});

			test("of two messages in one tick the second is refused", async () => {
				const { runtime } = await start();
				const both = await Promise.allSettled([
					runtime.send("k", "first", { overlap: "reject" }),
					runtime.send("k", "second", { overlap: "reject" }),
				]);
				expect(both).toMatchObject([
					{ status: "fulfilled" },
					{ status: "rejected", reason: { code: "SESSION_BUSY" } },
				]);
			});

			test("a session that drains refuses it, also after a delete", async () => {
				const { runtime, scripted } = await start();
				for (const command of ["reset", "delete"] as const) {
					const key = `after ${command}`;
					await runtime.send(key, "first");
					const stopped = runtime[command](key);
					await turns();
					await expect(
						runtime.send(key, "second", { overlap: "reject" }),
					).rejects.toMatchObject({ code: "SESSION_BUSY" });
					scripted.last.end();
					await stopped;
					expect(
						await runtime.send(key, "third", { overlap: "reject" }),
					).toMatchObject({ disposition: "started" });
				}
			});

			test("refuses nothing of what was accepted before", async () => {
				const { runtime, scripted } = await start();
				await runtime.send("k", "first");
				const { settled } = await runtime.send("k", "second");
				await expect(
					runtime.send("k", "third", { overlap: "reject" }),
				).rejects.toMatchObject({ code: "SESSION_BUSY" });
				scripted.last.end();
				await turns();
				scripted.last.end();
				expect(await settled).toMatchObject({ outcome: "completed" });
			});
		});

		describe("with a capacity", () => {
			test("one message too many is refused, with the number, and there is room again once one was taken", async () => {
				const { runtime, scripted } = await start({
					overlap: { mode: "enqueue", capacity: 2 },
				});
				await runtime.send("k", "running");
				await runtime.send("k", "waits 1");
				await runtime.send("k", "waits 2");
				await expect(runtime.send("k", "too many")).rejects.toMatchObject({
					code: "MAILBOX_FULL",
					message: expect.stringMatching(/2 messages wait on session "k"/),
				});
				expect(await runtime.get("k")).toMatchObject({
					queued: 2,
					version: 3,
				});
				scripted.last.end();
				await turns();
				expect(await runtime.send("k", "fits")).toMatchObject({
					disposition: "queued",
				});
			});

			test("a session of capacity 1 has it to itself", async () => {
				const { runtime } = await start({
					overlap: { mode: "enqueue", capacity: 1 },
				});
				for (const key of ["a", "b"]) {
					await runtime.send(key, 1);
					await runtime.send(key, 2);
					await expect(runtime.send(key, 3)).rejects.toMatchObject({
						code: "MAILBOX_FULL",
					});
				}
			});

			test("a thousand messages wait by default", async () => {
				const { runtime } = await start();
				await runtime.send("k", "running");
				await Promise.all(
					Array.from({ length: 1000 }, (_, i) => runtime.send("k", i)),
				);
				await expect(runtime.send("k", "too many")).rejects.toMatchObject({
					code: "MAILBOX_FULL",
				});
			});
		});

		describe("with meta", () => {
			test("the session's fields are replaced, by a message that starts and by one that waits", async () => {
				const { runtime } = await start();
				await runtime.send("k", 1, { meta: { a: 1, b: 1 } });
				expect((await runtime.get("k"))?.meta).toEqual({ a: 1, b: 1 });
				await runtime.send("k", 2, { meta: { c: 1 } });
				expect((await runtime.get("k"))?.meta).toEqual({ c: 1 });
				await runtime.send("k", 3);
				expect((await runtime.get("k"))?.meta).toEqual({ c: 1 });
			});

			test("a refused message leaves the fields alone", async () => {
				const { runtime } = await start({ overlap: "reject" });
				await runtime.send("k", 1, { meta: { a: 1 } });
				await runtime
					.send("k", 2, { meta: { a: 2 } })
					.catch((error) => expect(error.code).toBe("SESSION_BUSY"));
				expect((await runtime.get("k"))?.meta).toEqual({ a: 1 });
			});

			test("what the caller does to its objects afterwards changes nothing", async () => {
				const { runtime, scripted } = await start();
				const meta = { list: [1] };
				const input = { text: "hello" };
				await runtime.send("k", "first");
				const sent = runtime.send("k", input, { meta });
				meta.list.push(2);
				input.text = "changed";
				await sent;
				expect((await runtime.get("k"))?.meta).toEqual({ list: [1] });
				scripted.last.end();
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ input: { text: "hello" } },
				]);
			});
		});

		describe("with an expectation", () => {
			/** A session of generation 2, session ids S1 and S2, version 4, whose run R is live. */
			async function live() {
				const host = await start({
					ids: { runId: () => "R", sessionId: () => "first" },
				});
				const { runtime, scripted } = host;
				await runtime.reset("k");
				await runtime.reset("k", { sessionId: "S1" });
				await runtime.send("k", "hello");
				await scripted.last.run.rotate({ sessionId: "S2" });
				expect(await runtime.get("k")).toMatchObject({
					generation: 2,
					sessionId: "S2",
					version: 4,
					activeRun: { runId: "R" },
				});
				return host;
			}

			const met: Record<string, Expectation> = {
				"the session id": { sessionId: "S2" },
				"an older session id of the lineage": { sessionId: "S1" },
				"the generation": { generation: 2 },
				"the live run": { runId: "R" },
				"the version": { version: 4 },
				"all of them": {
					sessionId: "S2",
					generation: 2,
					runId: "R",
					version: 4,
				},
				nothing: {},
			};
			for (const [name, expectation] of Object.entries(met))
				test(`of ${name}, which holds, the message is accepted`, async () => {
					const { runtime } = await live();
					expect(
						await runtime.send("k", "second", { expect: expectation }),
					).toMatchObject({ disposition: "queued" });
				});

			const unmet: [keyof Expectation, Expectation][] = [
				["sessionId", { sessionId: "first" }],
				["generation", { generation: 1 }],
				["generation", { generation: 0 }],
				["runId", { runId: "Q" }],
				["version", { version: 3 }],
				["version", { sessionId: "S2", generation: 2, version: 5 }],
			];
			for (const [field, expectation] of unmet)
				test(`of ${JSON.stringify(expectation)}, which does not hold, the message is refused and ${field} named`, async () => {
					const { runtime, feed } = await live();
					const before = feed.length;
					await expect(
						runtime.send("k", "second", {
							expect: expectation,
							messageId: "m",
							meta: { a: 1 },
						}),
					).rejects.toMatchObject({
						code: "STALE_EXPECTATION",
						message: expect.stringContaining(`${field} differs`),
					});
					expect(await runtime.get("k")).toMatchObject({
						version: 4,
						queued: 0,
						meta: {},
					});
					expect(feed).toHaveLength(before);
					// The id was not used up.
					expect(
						await runtime.send("k", "second", { messageId: "m" }),
					).toMatchObject({ disposition: "queued" });
				});

			test("a key that nobody uses meets none but generation 0, also after a delete", async () => {
				const { runtime, scripted } = await start();
				for (const state of ["unknown", "deleted"]) {
					if (state === "deleted") await runtime.delete("k");
					for (const expectation of [
						{ sessionId: "S" },
						{ generation: 1 },
						{ generation: 2 },
						{ runId: "R" },
						{ version: 0 },
						{ version: 3 },
					])
						await expect(
							runtime.send("k", state, { expect: expectation }),
						).rejects.toMatchObject({ code: "STALE_EXPECTATION" });
					const { settled } = await runtime.send("k", state, {
						expect: { generation: 0 },
					});
					scripted.last.end();
					await settled;
				}
				expect(await runtime.get("k")).toMatchObject({ generation: 2 });
			});

			test("a message that a reset keeps in line is removed where its generation or session id is over", async () => {
				const { runtime, scripted, feed } = await start();
				await runtime.reset("k", { sessionId: "S1" });
				await runtime.send("k", "running");
				const byGeneration = await runtime.send("k", "by generation", {
					expect: { generation: 1 },
					messageId: "g",
				});
				const bySession = await runtime.send("k", "by session id", {
					expect: { sessionId: "S1" },
					messageId: "s",
				});
				const byVersion = await runtime.send("k", "by version", {
					expect: { version: 4 },
					messageId: "v",
				});
				const plain = await runtime.send("k", "kept", { messageId: "p" });
				const reset = runtime.reset("k", { sessionId: "S2" });
				await turns();
				scripted.last.end();
				expect((await reset).result).toBe("done");
				expect(await byGeneration.settled).toEqual({
					ticket: null,
					outcome: "removed",
				});
				expect(await bySession.settled).toMatchObject({ outcome: "removed" });
				expect(await now(byVersion.settled)).toBe("pending");
				expect(scripted.last.run.messages).toMatchObject([
					{ input: "by version", generation: 1 },
				]);
				scripted.last.end();
				await turns();
				scripted.last.end();
				expect(await plain.settled).toMatchObject({
					outcome: "completed",
					ticket: { generation: 2 },
				});
				expect(
					feed.filter(
						(event) => event.type === "message" && event.fate === "removed",
					),
				).toMatchObject([
					{ messageId: "g", reason: expect.stringContaining("generation 1") },
					{ messageId: "s", reason: expect.stringContaining("generation 1") },
				]);
			});

			test("a message that expects a session id stays in line where the host keeps that id across the reset", async () => {
				const { runtime, scripted } = await start();
				await runtime.reset("k", { sessionId: "S1" });
				await runtime.send("k", "running");
				const { settled } = await runtime.send("k", "kept", {
					expect: { sessionId: "S1" },
				});
				const reset = runtime.reset("k", { sessionId: "S1" });
				await turns();
				scripted.last.end();
				await reset;
				scripted.last.end();
				expect(await settled).toMatchObject({
					outcome: "completed",
					ticket: { generation: 2 },
				});
			});
		});

		test("a message that waits survives the death of its process, and runs in the next", async () => {
			const store = new CrashingStore(makeStore());
			const first = await startScripted(store);
			await first.runtime.send("k", "taken", { messageId: "a" });
			await first.runtime.send("k", "waits", { messageId: "b" });
			await store.crash();
			const { runtime, scripted } = await startScripted(store);
			await turns();
			expect(scripted.runs).toHaveLength(1);
			expect(scripted.last.run.messages).toMatchObject([
				{ messageId: "b", input: "waits", generation: 1 },
			]);
			scripted.last.end();
			await runtime.whenIdle("k");
			expect((await runtime.runs("k")).items).toMatchObject([
				{ outcome: "completed", messageIds: ["b"] },
				{ outcome: "interrupted", messageIds: ["a"] },
			]);
		});

		test("what becomes of a message is on the feed: queued, taken, removed", async () => {
			const { runtime, feed, scripted } = await start();
			await runtime.send("k", 1, { messageId: "a" });
			await runtime.send("k", 2, { messageId: "b" });
			scripted.last.end();
			await turns();
			await runtime.send("k", 3, { messageId: "c" });
			const aborted = runtime.abort("k", { queued: "drop" });
			await turns();
			scripted.last.end();
			await aborted;
			const messages = feed.filter((event) => event.type === "message");
			expect(
				messages.map(({ messageId, fate }) => `${messageId} ${fate}`),
			).toEqual(["a taken", "b queued", "b taken", "c queued", "c removed"]);
			expect(messages.map(({ reason }) => reason)).toEqual([
				null,
				null,
				null,
				null,
				"dropped by abort",
			]);
		});

		test("a host that has no executor is told to use admit", async () => {
			const { runtime } = await startHost(makeStore());
			await expect(runtime.send("k", "hello")).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("admit"),
			});
		});
	});
