/** `patch`: JSON merge patch (RFC 7396) of the host's own fields. */
import type { JsonValue } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { turns } from "../../src/testing/virtual-clock.ts";
import { restart } from "../support/restart.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`patch, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);

		// RFC 7396, appendix A, as far as a session's fields can have that shape; the rest is below.
		const cases: [JsonValue, JsonValue, JsonValue][] = [
			[{ a: "b" }, { a: "c" }, { a: "c" }],
			[{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
			[{ a: "b" }, { a: null }, {}],
			[{ a: "b", b: "c" }, { a: null }, { b: "c" }],
			[{ a: ["b"] }, { a: "c" }, { a: "c" }],
			[{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
			[{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
			[{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
			[
				["a", "b"],
				["c", "d"],
				["c", "d"],
			],
			[{ a: "b" }, ["c"], ["c"]],
			[{ a: "foo" }, null, null],
			[{ a: "foo" }, "bar", "bar"],
			[{ e: null }, { a: 1 }, { e: null, a: 1 }],
			[[1, 2], { a: "b", c: null }, { a: "b" }],
			[{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
			[{ a: 1 }, {}, { a: 1 }],
		];
		for (const [meta, patch, result] of cases)
			test(`of ${JSON.stringify(meta)} by ${JSON.stringify(patch)} gives ${JSON.stringify(result)}, also in the next process`, async () => {
				const host = await start();
				await host.runtime.reset("k", { meta });
				const answer = await host.runtime.patch("k", patch);
				expect(answer).toMatchObject({ result: "done", report: null });
				// Strictly: an ordinary object, as it is once it was read back.
				expect(answer.row?.meta).toStrictEqual(result);
				expect(await host.runtime.get("k")).toEqual(answer.row);
				expect(answer.row?.version).toBe(2);
				const { runtime } = await restart(host);
				expect((await runtime.get("k"))?.meta).toEqual(result);
			});

		test("a field named __proto__ is a field like any other", async () => {
			const host = await start();
			const { runtime } = host;
			await runtime.reset("k", {
				meta: JSON.parse('{"__proto__": {"admin": true}, "a": 1}'),
			});
			await runtime.patch("k", JSON.parse('{"__proto__": {"more": 1}}'));
			const text = '{"__proto__":{"admin":true,"more":1},"a":1}';
			const meta = async (of = runtime) => (await of.get("k"))?.meta;
			expect(JSON.stringify(await meta())).toBe(text);
			expect(({} as { admin?: boolean }).admin).toBeUndefined();
			const next = await restart(host);
			expect(JSON.stringify(await meta(next.runtime))).toBe(text);
			await next.runtime.patch("k", JSON.parse('{"__proto__": null}'));
			expect(JSON.stringify(await meta(next.runtime))).toBe('{"a":1}');
		});

		test("changes nothing else of the session, running or not", async () => {
			const { runtime, scripted, clock } = await start();
			await runtime.send("k", "hello");
			const before = await runtime.get("k");
			await clock.advance(10);
			const { row } = await runtime.patch("k", { a: 1 });
			expect(row).toEqual({
				...before,
				meta: { a: 1 },
				updatedAt: clock.now(),
				version: 2,
			});
			expect(scripted.last.run.signal.aborted).toBe(false);
		});

		test("of a key that nobody uses finds nothing to do, deleted or not", async () => {
			const { runtime, feed } = await start();
			expect(await runtime.patch("k", { a: 1 })).toEqual({
				result: "nothing",
				row: null,
			});
			expect(feed).toEqual([]);
			await runtime.reset("k");
			await runtime.delete("k");
			expect(await runtime.patch("k", { a: 1 })).toEqual({
				result: "nothing",
				row: null,
			});
			// It would be there otherwise.
			expect((await runtime.reset("k")).row?.meta).toEqual({});
		});

		test("with an expectation that does not hold does nothing (RR-04)", async () => {
			const { runtime } = await start();
			const { row } = await runtime.reset("k");
			for (const [mismatch, expectation] of [
				["generation", { generation: 2 }],
				["generation", { generation: 0 }],
				["sessionId", { sessionId: "S9" }],
				["runId", { runId: "R" }],
				["version", { version: 2 }],
			] as const)
				expect(
					await runtime.patch("k", { a: 1 }, { expect: expectation }),
				).toEqual({ result: "stale", mismatch, row });
			expect(
				await runtime.patch("k", { a: 1 }, { expect: { version: 1 } }),
			).toMatchObject({ result: "done" });
			expect(
				await runtime.patch("nobody", { a: 1 }, { expect: { generation: 1 } }),
			).toEqual({ result: "stale", mismatch: "generation", row: null });
		});

		test("of two with the same expected version one is stale (LU-08)", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			const answers = await Promise.all([
				runtime.patch("k", { a: 1 }, { expect: { version: 1 } }),
				runtime.patch("k", { b: 1 }, { expect: { version: 1 } }),
			]);
			expect(answers).toMatchObject([
				{ result: "done" },
				{ result: "stale", mismatch: "version" },
			]);
			expect((await runtime.get("k"))?.meta).toEqual({ a: 1 });
		});

		test("of many at once none is lost", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			const numbers = Array.from({ length: 50 }, (_, i) => i);
			await Promise.all(numbers.map((i) => runtime.patch("k", { [i]: i })));
			expect((await runtime.get("k"))?.meta).toEqual(
				Object.fromEntries(numbers.map((i) => [i, i])),
			);
		});

		test("of a generation that a reset ends before it does not reach the next one", async () => {
			const { runtime } = await start();
			await runtime.reset("k");
			const reset = runtime.reset("k");
			const patched = runtime.patch(
				"k",
				{ a: 1 },
				{ expect: { generation: 1 } },
			);
			expect(await patched).toMatchObject({ result: "stale" });
			expect((await reset).row?.meta).toEqual({});
		});

		test("whose commit fails changes nothing", async () => {
			const store = new FaultyStore(makeStore());
			const { runtime } = await startScripted(store);
			await runtime.reset("k", { meta: { a: 1 } });
			store.faults.push("before", "before");
			expect(await codeOf(runtime.patch("k", { a: 2 }))).toBe("STORE_FAILED");
			expect((await runtime.get("k"))?.meta).toEqual({ a: 1 });
			await runtime.patch("k", { b: 1 });
			expect(await runtime.get("k")).toMatchObject({
				meta: { a: 1, b: 1 },
				version: 2,
			});
		});

		describe("with a schema", () => {
			const input = z.any();

			test("is refused where the result would not pass, with the schema's words", async () => {
				const { runtime } = await start({
					schemas: {
						input,
						meta: z.object({ model: z.string() }).catchall(z.number()),
					},
				});
				await runtime.reset("k", { meta: { model: "m" } });
				await expect(runtime.patch("k", { model: null })).rejects.toMatchObject(
					{
						code: "INVALID_INPUT",
						message: expect.stringMatching(/meta is refused.*model/),
					},
				);
				await expect(runtime.patch("k", { depth: "x" })).rejects.toMatchObject({
					code: "INVALID_INPUT",
				});
				expect(await runtime.get("k")).toMatchObject({
					meta: { model: "m" },
					version: 1,
				});
				// A patch alone need not pass: its result does.
				expect(await runtime.patch("k", { depth: 3 })).toMatchObject({
					row: { meta: { model: "m", depth: 3 } },
				});
			});

			test("is checked against the fields as they are when it is committed, and loses no other patch", async () => {
				const limit = z.record(z.string(), z.number()).refine(async (meta) => {
					await turns(1);
					return Object.values(meta).reduce((a, b) => a + b, 0) <= 5;
				}, "more than five");
				const { runtime } = await start({ schemas: { input, meta: limit } });
				await runtime.reset("k");
				const answers = await Promise.allSettled(
					Array.from({ length: 8 }, (_, i) =>
						runtime.patch("k", { [`f${i}`]: 1 }),
					),
				);
				const done = answers.filter(({ status }) => status === "fulfilled");
				expect(done).toHaveLength(5);
				for (const answer of answers)
					if (answer.status === "rejected")
						expect(answer.reason).toMatchObject({
							code: "INVALID_INPUT",
							message: expect.stringContaining("more than five"),
						});
				const { meta } = (await runtime.get("k")) ?? {};
				expect(Object.keys(meta as object)).toHaveLength(5);
			});

			test("of a key that nobody uses is not asked", async () => {
				const { runtime } = await start({
					schemas: { input, meta: z.never() },
				});
				expect(await runtime.patch("k", { a: 1 })).toMatchObject({
					result: "nothing",
				});
			});

			test("that throws is told as the schema's fault, and changes nothing", async () => {
				const { runtime } = await start({
					schemas: {
						input,
						meta: z.any().refine(() => {
							throw new Error("schema broke");
						}),
					},
				});
				await runtime.reset("k");
				await expect(runtime.patch("k", { a: 1 })).rejects.toMatchObject({
					code: "INVALID_INPUT",
					message: expect.stringContaining("schema broke"),
				});
				expect(await runtime.get("k")).toMatchObject({ version: 1 });
			});
		});

		for (const bad of [
			undefined,
			() => {},
			{ a: 1n },
			{ a: Number.NaN },
			{ at: new Date() },
			Symbol("x"),
		])
			test(`with ${String(bad)} is a bad input`, async () => {
				const { runtime } = await start();
				await runtime.reset("k");
				await expect(runtime.patch("k", wrong(bad))).rejects.toMatchObject({
					code: "INVALID_INPUT",
					message: expect.stringContaining("meta"),
				});
			});
	});
