/** `import`: sessions of an earlier system. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { close } from "../support/restart.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`import, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		test("takes over what it is told of a session, and counts on from there", async () => {
			const host = await start();
			expect(
				await host.runtime.import([
					{
						sessionKey: "k",
						sessionId: "S1",
						meta: { a: 1 },
						usage: { inputTokens: 10, outputTokens: 5 },
						createdAt: 1000,
						updatedAt: 2000,
					},
				]),
			).toEqual({ imported: 1, skipped: [] });
			const row = {
				sessionKey: "k",
				sessionId: "S1",
				generation: 1,
				status: "idle",
				hasActiveRun: false,
				lastOutcome: null,
				meta: { a: 1 },
				inputTokens: 10,
				outputTokens: 5,
				totalTokens: 15,
				createdAt: 1000,
				updatedAt: 2000,
				version: 1,
			};
			expect(await host.runtime.get("k")).toMatchObject(row);
			expect(host.feedRow("k")).toMatchObject(row);
			await close(host);
			const { runtime, scripted } = await startScripted(host.store);
			expect(await runtime.get("k")).toMatchObject(row);
			const { settled, ticket } = await runtime.send("k", "hello");
			expect(ticket).toMatchObject({ sessionId: "S1", generation: 1 });
			scripted.last.run.usage({ inputTokens: 1 });
			scripted.last.end();
			await settled;
			expect(await runtime.get("k")).toMatchObject({ totalTokens: 16 });
		});

		test("fills in what it is not told", async () => {
			const { runtime, clock } = await start();
			await runtime.import([
				{ sessionKey: "a", sessionId: "S1" },
				{ sessionKey: "b", sessionId: "S1", createdAt: 1000 },
			]);
			expect(await runtime.get("a")).toMatchObject({
				meta: {},
				totalTokens: 0,
				createdAt: clock.now(),
				updatedAt: clock.now(),
			});
			expect(await runtime.get("b")).toMatchObject({ updatedAt: 1000 });
		});

		test("leaves keys alone that have been used, also deleted ones, and names them", async () => {
			const { runtime } = await start();
			await runtime.send("running", "hello", { meta: { a: 1 } });
			await runtime.reset("deleted");
			await runtime.delete("deleted");
			await runtime.admit("reserved", { reserve: true });
			const rows = ["running", "deleted", "new", "reserved", "new"].map(
				(sessionKey) => ({ sessionKey, sessionId: "imported" }),
			);
			expect(await runtime.import(rows)).toEqual({
				imported: 1,
				skipped: ["running", "deleted", "reserved", "new"],
			});
			expect(await runtime.get("running")).toMatchObject({
				status: "running",
				meta: { a: 1 },
			});
			expect(await runtime.get("deleted")).toBeNull();
			expect(await runtime.get("new")).toMatchObject({ sessionId: "imported" });
		});

		test("takes any iterable, of thousands, at a time or as they come", async () => {
			const { runtime } = await start({ maxResident: 50 });
			async function* rows() {
				for (let i = 0; i < 2500; i++)
					yield { sessionKey: `async ${i}`, sessionId: `S${i}` };
			}
			expect(await runtime.import(rows())).toEqual({
				imported: 2500,
				skipped: [],
			});
			const set = new Set([{ sessionKey: "one", sessionId: "S" }]);
			expect(await runtime.import(set)).toMatchObject({ imported: 1 });
			expect(await runtime.import([])).toEqual({ imported: 0, skipped: [] });
			expect(runtime.stats().resident).toBeLessThanOrEqual(50);
			expect(await runtime.get("async 2499")).toMatchObject({
				sessionId: "S2499",
			});
		});

		const bad: Record<string, [unknown, string]> = {
			"no object": ["k", "INVALID_ARGUMENT"],
			null: [null, "INVALID_ARGUMENT"],
			"no key": [{ sessionId: "S" }, "INVALID_ARGUMENT"],
			"an empty key": [{ sessionKey: "", sessionId: "S" }, "INVALID_ARGUMENT"],
			"no session id": [{ sessionKey: "k" }, "INVALID_ARGUMENT"],
			"a date": [
				{ sessionKey: "k", sessionId: "S", createdAt: new Date() },
				"INVALID_ARGUMENT",
			],
			"negative tokens": [
				{ sessionKey: "k", sessionId: "S", usage: { inputTokens: -1 } },
				"INVALID_ARGUMENT",
			],
			"fields that cannot be stored": [
				{ sessionKey: "k", sessionId: "S", meta: { f() {} } },
				"INVALID_INPUT",
			],
		};
		for (const [name, [row, code]] of Object.entries(bad))
			test(`refuses a row with ${name}`, async () => {
				const { runtime } = await start();
				expect(await codeOf(runtime.import([wrong(row)]))).toBe(code);
				expect((await runtime.list()).items).toEqual([]);
			});

		test("refuses fields that the schema refuses", async () => {
			const { runtime } = await start({
				schemas: { input: z.any(), meta: z.object({ a: z.number() }) },
			});
			expect(
				await codeOf(
					runtime.import([
						{ sessionKey: "k", sessionId: "S", meta: { a: "x" } },
					]),
				),
			).toBe("INVALID_INPUT");
		});

		test("passes on what its source throws", async () => {
			const { runtime } = await start();
			const source = (function* () {
				yield { sessionKey: "k", sessionId: "S" };
				throw new Error("the old file is broken");
			})();
			await expect(runtime.import(source)).rejects.toThrow(
				"the old file is broken",
			);
		});
	});
