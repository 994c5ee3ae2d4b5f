/** `schemas`: any Standard Schema over what the host gives, at the door and when a stored message is taken. */
import { createSessionRuntime, type SessionStore } from "turnkeeper";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { turns, VirtualClock } from "../../src/testing/virtual-clock.ts";
import { silent } from "../support/host.ts";
import { close } from "../support/restart.ts";
import { codeOf, startScripted, wrong } from "../support/scripted-host.ts";
import { storeKinds } from "../support/stores.ts";
import { deathsOf } from "../support/unhandled.ts";

for (const [kind, makeStore] of storeKinds)
	describe(`schemas, on ${kind}`, () => {
		const start = (options?: Parameters<typeof startScripted>[1]) =>
			startScripted(makeStore(), options);
		const text = z.object({ text: z.string().min(1) });

		describe("of the input", () => {
			test("refuse a message at the door, in their own words, and nothing of it is kept", async () => {
				const { runtime, feed } = await start({ schemas: { input: text } });
				for (const [input, words] of [
					[{ text: 5 }, /input is refused.*text/],
					[{}, /input is refused.*text/],
					["hello", /input is refused/],
				] as const)
					await expect(
						runtime.send("k", input, { messageId: "m1" }),
					).rejects.toMatchObject({
						code: "INVALID_INPUT",
						message: expect.stringMatching(words),
					});
				expect(await runtime.get("k")).toBeNull();
				expect(feed).toEqual([]);
				expect(
					await runtime.send("k", { text: "hello" }, { messageId: "m1" }),
				).toMatchObject({ disposition: "started" });
			});

			test("that take their time leave a run that is told to stop meanwhile without its executor", async () => {
				// 1 m1 is taken, its schema looks at it → 2 abort(k): the executor was called all the same, later, with a signal that had fired.
				const looked = Promise.withResolvers<boolean>();
				let checks = 0;
				const slow = z.string().refine(() => {
					checks += 1;
					return checks === 1 || looked.promise;
				});
				const { runtime, scripted, clock } = await start({
					schemas: { input: slow },
				});
				const { settled } = await runtime.send("k", "hello");
				const aborted = runtime.abort("k");
				await turns();
				looked.resolve(true);
				expect(await aborted).toMatchObject({ result: "done" });
				await clock.advance(5000);
				expect(await settled).toMatchObject({ outcome: "aborted" });
				expect(scripted.runs).toEqual([]);
			});

			test("name every issue, and where it is", async () => {
				const { runtime } = await start({
					schemas: {
						input: z.object({
							to: z.array(z.object({ id: z.number() })),
							text: z.string(),
						}),
					},
				});
				await expect(
					runtime.send("k", { to: [{ id: 1 }, { id: "x" }], text: 5 }),
				).rejects.toMatchObject({
					message: expect.stringMatching(/to\.1\.id.*; text/),
				});
			});

			test("give the executor what they make of it; what is kept is what was sent", async () => {
				const { runtime, scripted } = await start({
					schemas: {
						input: z.object({
							text: z.string().trim(),
							lang: z.string().default("en"),
						}),
					},
				});
				await runtime.send("k", { text: "  hello " }, { messageId: "m1" });
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ input: { text: "hello", lang: "en" } },
				]);
				// Sent again as it was, it is the same message.
				expect(
					await runtime.send("k", { text: "  hello " }, { messageId: "m1" }),
				).toMatchObject({ disposition: "duplicate" });
			});

			test("may take their time", async () => {
				const { runtime, scripted } = await start({
					schemas: {
						input: text.refine(async ({ text }) => {
							await turns(2);
							return text !== "spam";
						}, "spam"),
					},
				});
				expect(await codeOf(runtime.send("k", { text: "spam" }))).toBe(
					"INVALID_INPUT",
				);
				await runtime.send("k", { text: "hello" });
				await turns();
				expect(scripted.last.run.messages).toMatchObject([
					{ input: { text: "hello" } },
				]);
			});

			test("that throw are told as the schema's fault", async () => {
				const { runtime } = await start({
					schemas: {
						input: z.any().refine(() => {
							throw new Error("schema broke");
						}),
					},
				});
				await expect(runtime.send("k", 1)).rejects.toMatchObject({
					code: "INVALID_INPUT",
					message: expect.stringMatching(/schema of input threw: schema broke/),
				});
			});

			test("of a newer host fail the run of a stored message that they refuse, with a sentence, and the next message runs", async () => {
				const host = await start();
				await host.runtime.send("k", "running");
				const { messageId } = await host.runtime.send("k", { text: 5 });
				await host.runtime.send("k", { text: "hello" });
				await close(host);
				const { runtime, scripted, feed } = await startScripted(host.store, {
					schemas: { input: text },
				});
				await turns();
				expect(scripted.runs).toHaveLength(1);
				expect(scripted.last.run.messages).toMatchObject([
					{ input: { text: "hello" } },
				]);
				const { items } = await runtime.runs("k");
				expect(items).toMatchObject([
					{ outcome: null },
					{
						outcome: "failed",
						messageIds: [messageId],
						error: expect.stringMatching(
							/input of message ".*" is refused by its schema: text/,
						),
					},
					{ outcome: "abandoned", stoppedBy: "shutdown" },
				]);
				expect(feed).toContainEqual(
					expect.objectContaining({
						type: "row",
						row: expect.objectContaining({ status: "running", queued: 0 }),
					}),
				);
				expect(
					await await runtime
						.send("k", { text: 5 } as never)
						.catch((error) => error),
				).toMatchObject({ code: "INVALID_INPUT" });
			});

			test("a message that was stopped while its schema looked is aborted", async () => {
				let looks = 0;
				const { runtime, clock } = await start({
					graceMs: 10,
					schemas: {
						input: z.any().refine(async () => {
							looks += 1;
							// At the door it lets it pass; when it is taken it never decides.
							if (looks > 2) await new Promise(() => {});
							return true;
						}),
					},
				});
				const { settled } = await runtime.send("k", 1);
				const reset = runtime.reset("k");
				await clock.advance(10);
				expect(await reset).toMatchObject({ result: "done" });
				expect((await settled).outcome).toMatch(/aborted|abandoned/);
			});
		});

		describe("of the output", () => {
			test("fail a run whose output they refuse", async () => {
				const { runtime, scripted } = await start({
					schemas: { input: z.any(), output: text },
				});
				const { settled } = await runtime.send("k", 1);
				await turns();
				scripted.last.end({ text: "" });
				expect(await settled).toMatchObject({
					outcome: "failed",
					error: expect.stringMatching(/output is refused by its schema: text/),
				});
				expect(await settled).not.toHaveProperty("output");
				expect(await runtime.get("k")).toMatchObject({ status: "failed" });
			});

			test("give what they make of it", async () => {
				const { runtime, scripted } = await start({
					schemas: {
						input: z.any(),
						output: z.string().transform((text) => text.length),
					},
				});
				const { settled } = await runtime.send("k", 1);
				await turns();
				scripted.last.end("hello");
				expect(await settled).toMatchObject({ output: 5 });
			});

			test("are not asked about a run that was stopped", async () => {
				const { runtime, scripted } = await start({
					schemas: { input: z.any(), output: text },
				});
				const { settled } = await runtime.send("k", 1);
				await turns();
				const aborted = runtime.abort("k");
				await turns();
				scripted.last.end(undefined);
				expect(await settled).toMatchObject({ outcome: "aborted" });
				await aborted;
			});
		});

		describe("of the host's own fields", () => {
			const meta = z.object({ model: z.enum(["small", "large"]) });
			const schemas = { input: z.any(), meta };

			test("are asked wherever fields are given", async () => {
				const { runtime } = await start({ schemas });
				const bad = { model: "huge" };
				const calls = [
					() => runtime.send("k", 1, { meta: bad }),
					() => runtime.admit("k", { meta: bad }),
					() => runtime.reset("k", { meta: bad }),
					() =>
						runtime.import([{ sessionKey: "k", sessionId: "S", meta: bad }]),
				];
				for (const call of calls)
					await expect(call()).rejects.toMatchObject({
						code: "INVALID_INPUT",
						message: expect.stringMatching(/meta is refused.*model/),
					});
				expect(await runtime.get("k")).toBeNull();
				await runtime.reset("k", { meta: { model: "small" } });
				await expect(runtime.patch("k", bad)).rejects.toMatchObject({
					code: "INVALID_INPUT",
				});
				expect(await runtime.get("k")).toMatchObject({
					meta: { model: "small" },
					version: 1,
				});
			});

			test("are not asked where none are given", async () => {
				const { runtime } = await start({ schemas });
				expect(await runtime.reset("k")).toMatchObject({ row: { meta: {} } });
				expect(await runtime.send("k", 1)).toMatchObject({
					disposition: "started",
				});
			});
		});

		test("say the types of input, output and fields", async () => {
			const runtime = createSessionRuntime({
				store: makeStore() as SessionStore,
				logger: silent,
				clock: new VirtualClock(),
				schemas: {
					input: z.object({ n: z.number() }),
					output: z.string(),
					meta: z.object({ model: z.string() }),
				},
				execute: (run) => {
					const n: number = run.messages[0]?.input.n ?? 0;
					const model: string = run.row.meta.model;
					return `${model} ${n}`;
				},
			});
			await using started = await runtime.start();
			const { settled } = await started.send(
				"k",
				{ n: 5 },
				{ meta: { model: "small" } },
			);
			const output: string | undefined = (await settled).output;
			expect(output).toBe("small 5");
			const model: string | undefined = (await started.get("k"))?.meta.model;
			expect(model).toBe("small");
		});

		test("a schema that never answers holds nobody else up, and no closing", async () => {
			const { runtime } = await start({
				schemas: {
					input: z.any().refine(async (input) => {
						if (input === "never") await new Promise(() => {});
						return true;
					}),
				},
			});
			const dead = await deathsOf(async () => {
				void runtime.send("k", "never").catch(() => {});
				await turns();
				expect(await runtime.send("other", wrong("hello"))).toMatchObject({
					disposition: "started",
				});
			});
			expect(dead).toEqual([]);
		});
	});
