/** A repeated message id: nothing runs twice, and the receipt of the repetition follows the first (decision 17). */
import { describe, expect, test } from "vitest";
import { CrashingStore } from "../../src/testing/crashing-store.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { now, startScripted } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

const m1 = { messageId: "m1" };

for (const [kind, makeStore] of storeKinds)
	describe(`a repeated message id, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("in the same tick is a duplicate of the call before", async () => {
			const { runtime, scripted } = await start();
			const receipts = await Promise.all([
				runtime.send("k", "hello", m1),
				runtime.send("k", "hello", m1),
				runtime.send("k", "hello", m1),
			]);
			expect(receipts).toMatchObject([
				{ disposition: "started", messageId: "m1" },
				{ disposition: "duplicate", messageId: "m1" },
				{ disposition: "duplicate", messageId: "m1" },
			]);
			expect(receipts[1].ticket).toEqual(receipts[0].ticket);
			scripted.last.end("hi");
			const ends = await Promise.all(receipts.map(({ settled }) => settled));
			expect(new Set(ends.map((end) => JSON.stringify(end))).size).toBe(1);
			expect(ends[2]).toMatchObject({ outcome: "completed", output: "hi" });
			expect(scripted.runs).toHaveLength(1);
			expect(await runtime.get("k")).toMatchObject({ version: 2, queued: 0 });
		});

		test("of a message that runs names its run, and settles with it", async () => {
			const { runtime, scripted } = await start();
			const first = await runtime.send("k", "hello", m1);
			const second = await runtime.send("k", "hello", m1);
			expect(second).toMatchObject({
				disposition: "duplicate",
				ticket: first.ticket,
				row: { status: "running", version: 1 },
			});
			scripted.last.fail(new Error("no model"));
			expect(await second.settled).toEqual(await first.settled);
		});

		test("of a message that waits has no run yet, and settles with the one that it gets", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "first");
			await runtime.send("k", "second", m1);
			const again = await runtime.send("k", "second", m1);
			expect(again).toMatchObject({ disposition: "duplicate", ticket: null });
			expect(await runtime.get("k")).toMatchObject({ queued: 1 });
			scripted.last.end();
			await turns();
			scripted.last.end("hi");
			expect(await again.settled).toMatchObject({
				outcome: "completed",
				output: "hi",
			});
			expect(scripted.runs).toHaveLength(2);
		});

		test("of a message whose run settled says how", async () => {
			const { runtime, scripted } = await start();
			const first = await runtime.send("k", "hello", m1);
			scripted.last.fail(new Error("no model"));
			await first.settled;
			const again = await runtime.send("k", "hello", m1);
			expect(again).toMatchObject({
				disposition: "duplicate",
				ticket: first.ticket,
				row: { status: "failed", version: 2 },
			});
			expect(await again.settled).toEqual({
				ticket: first.ticket,
				outcome: "failed",
				error: "no model",
			});
			expect(scripted.runs).toHaveLength(1);
		});

		test("of a message that a reset kept, dropped or stopped says what became of it", async () => {
			const { runtime, scripted } = await start();
			await runtime.send("k", "stopped", { messageId: "stopped" });
			await runtime.send("k", "dropped", { messageId: "dropped" });
			const drop = runtime.reset("k", { queued: "drop" });
			await turns();
			await runtime.send("k", "kept", { messageId: "kept" });
			const keep = runtime.reset("k");
			await turns();
			scripted.last.end();
			await Promise.all([drop, keep]);
			const settledOf = async (id: string) => {
				const { disposition, settled } = await runtime.send("k", id, {
					messageId: id,
				});
				expect(disposition).toBe("duplicate");
				return now(settled);
			};
			expect(await settledOf("stopped")).toMatchObject({
				outcome: "aborted",
				ticket: { generation: 1 },
			});
			expect(await settledOf("dropped")).toEqual({
				outcome: "removed",
				ticket: null,
			});
			expect(await settledOf("kept")).toBe("pending");
			scripted.last.end();
			await turns();
			expect(await settledOf("kept")).toMatchObject({
				outcome: "completed",
				ticket: { generation: 3 },
			});
			expect(scripted.runs).toHaveLength(2);
		});

		test("after a delete still is a duplicate, and does not bring the session back", async () => {
			const { runtime, scripted } = await start();
			const { settled } = await runtime.send("k", "hello", m1);
			scripted.last.end();
			await settled;
			await runtime.delete("k");
			const again = await runtime.send("k", "hello", m1);
			expect(again.disposition).toBe("duplicate");
			expect(await again.settled).toMatchObject({ outcome: "completed" });
			expect(await runtime.get("k")).toBeNull();
		});

		test("after a purge is a new message", async () => {
			const { runtime, scripted } = await start();
			const { settled } = await runtime.send("k", "hello", m1);
			scripted.last.end();
			await settled;
			await runtime.delete("k", { purge: true });
			expect(await runtime.send("k", "hello", m1)).toMatchObject({
				disposition: "started",
				ticket: { generation: 2 },
			});
		});

		test("in the next process, of a message that settled in the last, says how", async () => {
			const host = await start();
			const first = await host.runtime.send("k", "hello", m1);
			host.scripted.last.end("hi");
			await first.settled;
			const { runtime } = await restart(host, { execute: () => {} });
			const again = await runtime.send("k", "hello", m1);
			expect(again).toMatchObject({
				disposition: "duplicate",
				ticket: first.ticket,
			});
			// The output was kept for the life of its process only.
			expect(await again.settled).toEqual({
				ticket: first.ticket,
				outcome: "completed",
			});
		});

		test("in the next process, of a message that died with the last, says 'interrupted'", async () => {
			const store = new CrashingStore(makeStore());
			const { runtime: dead } = await startScripted(store);
			const { ticket } = await dead.send("k", "hello", m1);
			await store.crash();
			const { runtime, scripted } = await startScripted(store);
			const again = await runtime.send("k", "hello", m1);
			expect(again).toMatchObject({ disposition: "duplicate", ticket });
			expect(await again.settled).toEqual({ ticket, outcome: "interrupted" });
			expect(scripted.runs).toEqual([]);
		});

		test("in the next process, of a message that still waits, follows it to its end", async () => {
			const store = new CrashingStore(makeStore());
			const { runtime: dead } = await startScripted(store);
			await dead.send("k", "first");
			await dead.send("k", "second", m1);
			await store.crash();
			const { runtime, scripted } = await startScripted(store);
			const again = await runtime.send("k", "second", m1);
			expect(again.disposition).toBe("duplicate");
			await turns();
			scripted.last.end("hi");
			expect(await again.settled).toMatchObject({
				outcome: "completed",
				output: "hi",
			});
			expect(scripted.runs).toHaveLength(1);
		});

		test("with another input is a mistake, and is told so", async () => {
			const { runtime } = await start();
			await runtime.send("k", { text: "hello", at: [1, null] }, m1);
			for (const other of [
				"hello",
				{ text: "hello" },
				{ text: "hello", at: [1, 0] },
				{ text: "hello", at: [1, null], extra: true },
				null,
			])
				await expect(runtime.send("k", other, m1)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
					message: expect.stringMatching(/"m1".*"k".*another input/),
				});
		});

		test("with the same input in other words is the same message", async () => {
			const { runtime } = await start();
			await runtime.send(
				"k",
				{ a: 1, b: { c: [] }, d: undefined as never },
				m1,
			);
			expect(await runtime.send("k", { b: { c: [] }, a: 1 }, m1)).toMatchObject(
				{ disposition: "duplicate" },
			);
		});

		test("on another key is another message, and each settles with its own run", async () => {
			const { runtime, scripted } = await start();
			const a = await runtime.send("a", "hello", m1);
			const b = await runtime.send("b", "other", m1);
			expect(b.disposition).toBe("started");
			scripted.last.end("of b");
			expect(await b.settled).toMatchObject({ output: "of b" });
			expect(await now(a.settled)).toBe("pending");
			scripted.runs[0]?.end("of a");
			expect(await a.settled).toMatchObject({ output: "of a" });
		});

		test("of a message that was refused is not a duplicate", async () => {
			const { runtime, scripted } = await start({
				overlap: { mode: "enqueue", capacity: 1 },
			});
			const { settled } = await runtime.send("k", "first");
			await expect(
				runtime.send("k", "x", { ...m1, overlap: "reject" }),
			).rejects.toMatchObject({ code: "SESSION_BUSY" });
			await runtime.send("k", "second");
			await expect(runtime.send("k", "x", m1)).rejects.toMatchObject({
				code: "MAILBOX_FULL",
			});
			scripted.last.end();
			await settled;
			expect(await runtime.send("k", "y", m1)).toMatchObject({
				disposition: "queued",
			});
		});

		test("of a message whose commit failed is not a duplicate", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime } = await startScripted(store);
			store.faults.push("before", "before");
			await expect(runtime.send("k", "hello", m1)).rejects.toMatchObject({
				code: "STORE_FAILED",
			});
			expect(await runtime.send("k", "hello", m1)).toMatchObject({
				disposition: "started",
			});
		});

		test("is a duplicate also where a new message would be refused", async () => {
			const { runtime } = await start({
				overlap: { mode: "enqueue", capacity: 1 },
			});
			await runtime.send("k", "first", m1);
			await runtime.send("k", "second");
			expect(
				await runtime.send("k", "first", {
					...m1,
					overlap: "reject",
					expect: { generation: 7 },
				}),
			).toMatchObject({ disposition: "duplicate" });
		});

		test("that a reset has used is no id for a message, nor the other way round", async () => {
			const { runtime, scripted } = await start();
			await runtime.reset("k", { messageId: "/new" });
			await expect(
				runtime.send("k", "hello", { messageId: "/new" }),
			).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("a reset"),
			});
			const { settled } = await runtime.send("k", "hello", m1);
			await expect(runtime.reset("k", m1)).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("a message"),
			});
			expect(await runtime.get("k")).toMatchObject({
				generation: 1,
				status: "running",
			});
			scripted.last.end();
			expect(await settled).toMatchObject({ outcome: "completed" });
		});
	});
