/** What a model says, by way of the AI SDK, is what the session knows: its text, its history, what it cost, and what it was stopped at. */
import type { RunTicket } from "turnkeeper";
import type { AiSettings } from "turnkeeper/ai-sdk";
import { describe, expect, test } from "vitest";
import { type Act, stall } from "../../examples/model-server/model-server.ts";
import { deathsOf } from "../support/unhandled.ts";
import { heard } from "./heard.ts";
import { startAiHost } from "./host.ts";
import { versions } from "./versions.ts";

/** A model that says something and then nothing, whatever it is told. */
function deafModel(begun: () => void) {
	return {
		specificationVersion: "v3",
		provider: "mock",
		modelId: "deaf",
		supportedUrls: {},
		doStream: async () => {
			begun();
			const stream = new ReadableStream({
				start(controller) {
					controller.enqueue({ type: "stream-start", warnings: [] });
					controller.enqueue({ type: "text-start", id: "1" });
					controller.enqueue({ type: "text-delta", id: "1", delta: "half" });
				},
				cancel: () => new Promise(() => {}),
			});
			return { stream };
		},
	} as unknown as AiSettings["model"];
}

describe.each(versions)("an answer over ai %s", (version) => {
	test("is streamed to those who follow, and is the output and the transcript of its run", async () => {
		const { runtime, said } = await startAiHost(version, [
			[{ say: "Hello to you, too!" }],
		]);
		const { ticket, settled } = await runtime.send("k", "hello");
		if (!ticket) throw new Error("it did not start");
		const pieces: unknown[] = [];
		for await (const item of runtime.follow(ticket)) pieces.push(item);
		expect(pieces).toEqual(
			["Hello ", "to ", "you, ", "too!"].map((text, i) => ({
				seq: i + 1,
				value: { type: "text", text },
			})),
		);
		expect(await settled).toMatchObject({
			outcome: "completed",
			output: "Hello to you, too!",
		});
		expect(await said()).toEqual([
			"user: hello",
			"assistant: Hello to you, too!",
		]);
	});

	test("is given by a model that knows what was said before, until a reset", async () => {
		const { runtime, ask, told } = await startAiHost(
			version,
			(_, number) => [{ say: `answer ${number}` }],
			{ settings: { instructions: "Be brief." } },
		);
		await ask("one");
		await ask("two");
		await ask("elsewhere", "another");
		await runtime.reset("k");
		await ask("three");
		expect([0, 1, 2, 3].map(told)).toEqual([
			["system: Be brief.", "user: one"],
			["system: Be brief.", "user: one", "assistant: answer 0", "user: two"],
			["system: Be brief.", "user: elsewhere"],
			["system: Be brief.", "user: three"],
		]);
	});

	test("is given with what it remembers, from a user's message on", async () => {
		const { ask, told } = await startAiHost(
			version,
			(_, number) => [{ say: `answer ${number}` }],
			{ settings: { remember: 3 } },
		);
		for (const input of ["one", "two", "three"]) await ask(input);
		expect(told(2)).toEqual([
			"user: two",
			"assistant: answer 1",
			"user: three",
		]);
	});

	test("is given with the history that its host makes, as far as that fits together", async () => {
		const { ask, told } = await startAiHost(version, [[{ say: "yes" }]], {
			settings: {
				history: async (entries) => [
					{ role: "user", content: `${entries.length} entries` },
					{
						role: "assistant",
						content: [
							{
								type: "tool-call",
								toolCallId: "1",
								toolName: "gone",
								input: {},
							},
						],
					},
				],
			},
		});
		await ask("one");
		await ask("two");
		expect(told(1)).toEqual(["user: 2 entries", "user: two"]);
	});

	test("answers all messages of a run, as its host tells them", async () => {
		const go = Promise.withResolvers<void>();
		const { runtime, told } = await startAiHost(
			version,
			(_, number) => [
				...(number === 0 ? [{ until: go.promise }] : []),
				{ say: "yes" },
			],
			{
				options: { overlap: "collect" },
				settings: {
					toMessage: ({ input }) => `<${JSON.stringify(input)}>`,
				},
			},
		);
		await runtime.send("k", "first");
		await runtime.send("k", { text: "a" });
		const { settled } = await runtime.send("k", { text: "b" });
		go.resolve();
		await settled;
		expect(told(1)?.slice(-2)).toEqual([
			'user: <{"text":"a"}>',
			'user: <{"text":"b"}>',
		]);
	});

	test("costs what the server billed", async () => {
		const { runtime, ask, model } = await startAiHost(version, [
			[{ say: "one two three" }],
			[{ say: "four five" }],
		]);
		await ask("first");
		await ask("second");
		expect(model.billed.outputTokens).toBe(5);
		expect(await runtime.get("k")).toMatchObject(model.billed);
	});

	describe("that is stopped", () => {
		const halfway: readonly (readonly Act[])[] = [
			[{ say: "half an answer" }, stall],
			[{ say: "whole" }],
		];

		async function stoppedHalfway() {
			const host = await startAiHost(version, halfway);
			const { settled, ticket } = await host.runtime.send("k", "tell me");
			if (!ticket) throw new Error("it did not start");
			await heard(
				host.runtime.follow(ticket),
				(text) => text === "half an answer",
			);
			const request = await host.model.asked(1);
			return { ...host, settled, left: request.left };
		}

		test("leaves the server's socket, and the session to the next", async () => {
			const deaths = await deathsOf(async () => {
				const { runtime, settled, left, ask } = await stoppedHalfway();
				expect((await runtime.abort("k")).result).toBe("done");
				expect(await left).toBe(true);
				const { outcome, error } = await settled;
				expect([outcome, error]).toEqual(["aborted", undefined]);
				expect(await ask("again")).toMatchObject({ output: "whole" });
			});
			expect(deaths).toEqual([]);
		});

		test("by an abort stays as far as it was said", async () => {
			const { runtime, ask, said, told } = await stoppedHalfway();
			await runtime.abort("k");
			await ask("again");
			expect(await said()).toEqual([
				"user: tell me",
				"assistant: half an answer",
				"user: again",
				"assistant: whole",
			]);
			expect(told(1)).toEqual([
				"user: tell me",
				"assistant: half an answer",
				"user: again",
			]);
		});

		test("by a rollback is taken back", async () => {
			const { runtime, settled, said, told } = await stoppedHalfway();
			const next = await runtime.send("k", "again", { overlap: "rollback" });
			expect(await next.settled).toMatchObject({ output: "whole" });
			expect((await settled).outcome).toBe("aborted");
			expect(await said()).toEqual(["user: again", "assistant: whole"]);
			expect(told(1)).toEqual(["user: again"]);
		});

		test("by a reset says nothing in the new generation", async () => {
			const { runtime, settled, left, ask, said, told } =
				await stoppedHalfway();
			await runtime.reset("k");
			expect(await left).toBe(true);
			expect((await settled).outcome).toBe("aborted");
			await ask("again");
			expect(await said()).toEqual([
				"user: tell me",
				"user: again",
				"assistant: whole",
			]);
			expect(told(1)).toEqual(["user: again"]);
			expect(await runtime.get("k")).toMatchObject({
				generation: 2,
				status: "ended",
				lastError: null,
			});
		});

		test("is waited for no longer, where its provider does not heed the signal", async () => {
			const begun = Promise.withResolvers<void>();
			const { runtime, said } = await startAiHost(version, [], {
				settings: { model: deafModel(begun.resolve) },
			});
			const { settled, ticket } = await runtime.send("k", "tell me");
			await begun.promise;
			await heard(runtime.follow(ticket as RunTicket), (text) => text !== "");
			// No time passes: it is not the grace period that ends it.
			await runtime.abort("k");
			expect((await settled).outcome).toBe("aborted");
			expect(await said()).toEqual(["user: tell me", "assistant: half"]);
		});

		test("by its time leaves the server's socket too", async () => {
			const { runtime, clock, model, ask } = await startAiHost(
				version,
				halfway,
				{ options: { runTimeoutMs: 1000 } },
			);
			const { settled } = await runtime.send("k", "tell me");
			const { left } = await model.asked(1);
			await clock.advance(1000);
			expect(await left).toBe(true);
			expect((await settled).outcome).toBe("timeout");
			expect(await ask("again")).toMatchObject({ output: "whole" });
		});

		test("by the close of its runtime leaves the server's socket too", async () => {
			const { runtime, settled, left } = await stoppedHalfway();
			await runtime.close({ graceMs: 0 });
			expect(await left).toBe(true);
			expect((await settled).outcome).toBe("interrupted");
		});
	});
});
