/** Whatever goes wrong with a model is the end of one run: with a code, with what was said and what it cost, and the session goes on. */
import { createSessionRuntime, TurnkeeperError } from "turnkeeper";
import { type AiSettings, aiExecutor, outwardTool } from "turnkeeper/ai-sdk";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import {
	type Act,
	overflow,
	rateLimit,
	stall,
} from "../../examples/model-server/model-server.ts";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { deathsOf } from "../support/unhandled.ts";
import { startAiHost } from "./host.ts";
import { sdkOf, versions } from "./versions.ts";

const STREAM_ERROR =
	'the answer of the model "small" of mock broke off: it ended with an error (STREAM_DROPPED)';
const STREAM_LOST =
	'the answer of the model "small" of mock broke off: it ended without saying that it was whole (STREAM_DROPPED)';

/** A model whose provider streams these parts, whatever they are. */
function providerThatSays(parts: readonly object[]) {
	return {
		specificationVersion: "v3",
		provider: "mock",
		modelId: "small",
		supportedUrls: {},
		doStream: async () => ({ stream: ReadableStream.from(parts) }),
	} as unknown as AiSettings["model"];
}

const post = outwardTool({
	inputSchema: z.object({ text: z.string() }),
	execute: () => "posted",
});

describe.each(versions)("over ai %s", (version) => {
	const streamError: Act = {
		chunk: { error: { message: "Overloaded", type: "server_error" } },
	};

	test.each<[string, readonly Act[], string, RegExp, object?]>([
		[
			"that has no room for the conversation",
			[overflow],
			"CONTEXT_OVERFLOW",
			/^the conversation is too long for the model "small" of loopback.chat: This model's maximum context length is 8192 tokens.*it must be shorter/,
		],
		[
			"that was asked too often",
			[rateLimit],
			"RATE_LIMITED",
			/^the model "small" of loopback.chat was asked too often: Rate limit reached; ask it again after 7 s/,
		],
		[
			"that hangs up in the middle",
			[{ say: "half an " }, { drop: true }],
			"STREAM_DROPPED",
			/^the answer of the model "small" of loopback.chat broke off: /,
		],
		[
			"whose answer ends in the middle",
			[{ say: "half an " }, { breakOff: true }],
			"STREAM_DROPPED",
			/broke off: Response stream ended without a finish reason/,
		],
		[
			"that falls silent for longer than the settings say",
			[stall],
			"STREAM_DROPPED",
			/broke off: .*time/i,
			{ settings: { timeout: { stepMs: 200 } } },
		],
		[
			"that hangs up before it answers",
			[{ drop: true }],
			"STREAM_DROPPED",
			/broke off: /,
		],
		[
			"that reports an error in the stream",
			[{ say: "half an " }, streamError],
			"MODEL_FAILED",
			/^the model "small" of loopback.chat (failed|answered 503): Overloaded/,
		],
		[
			"that is out of order",
			[{ refuse: 500, error: { message: "The server had an error" } }],
			"MODEL_FAILED",
			/answered 500: The server had an error/,
		],
		[
			"that nobody knows",
			[],
			"MODEL_FAILED",
			/^the model "small" of loopback.chat answered 404: The model `small` does not exist/,
			{ models: ["large"] },
		],
		[
			"that wants a token, and gets none",
			[],
			"MODEL_FAILED",
			/answered 401: Incorrect API key provided/,
			{ token: "secret" },
		],
		[
			"that wants a token, and gets another",
			[],
			"MODEL_FAILED",
			/answered 401: Incorrect API key provided/,
			{ token: "secret", apiKey: "guessed" },
		],
	])(
		"a model %s fails the run and nothing else",
		async (_, acts, code, message, given = {}) => {
			const printed = vi.spyOn(console, "error").mockReturnValue(undefined);
			const deaths = await deathsOf(async () => {
				let isWell = false;
				const host = await startAiHost(
					version,
					() => (isWell ? [{ say: "Well again." }] : acts),
					given,
				);
				const { runtime, ask, said } = host;
				const failed = await ask("hello");
				expect(failed.outcome).toBe("failed");
				expect(failed.error).toMatch(message);
				expect(failed.error?.endsWith(` (${code})`)).toBe(true);
				expect(failed.error?.length).toBeLessThan(600);
				expect(await runtime.get("k")).toMatchObject({
					status: "failed",
					lastError: failed.error,
					hasActiveRun: false,
				});
				const isHalf = acts.some((act) => "say" in act);
				expect(await said()).toEqual([
					"user: hello",
					...(isHalf ? ["assistant: half an "] : []),
				]);
				isWell = true;
				if ("models" in given || "token" in given) return;
				expect(await ask("again")).toMatchObject({ output: "Well again." });
			});
			expect(deaths).toEqual([]);
			expect(printed.mock.calls).toEqual([]);
			printed.mockRestore();
		},
	);

	test.each([
		["with an error", "error", STREAM_ERROR],
		["as if by accident", "other", STREAM_LOST],
	])(
		"an answer whose provider says that it ended %s is not taken for whole",
		async (_, unified, message) => {
			const { ask, said } = await startAiHost(version, [], {
				settings: {
					model: providerThatSays([
						{ type: "stream-start", warnings: [] },
						{ type: "text-start", id: "1" },
						{ type: "text-delta", id: "1", delta: "half an " },
						{ type: "text-end", id: "1" },
						{
							type: "finish",
							finishReason: { unified, raw: undefined },
							usage: { inputTokens: { total: 2 }, outputTokens: { total: 3 } },
						},
					]),
				},
			});
			const { outcome, error } = await ask("hello");
			expect([outcome, error]).toEqual(["failed", message]);
			expect(await said()).toEqual(["user: hello", "assistant: half an "]);
		},
	);

	test("a server that is not there fails the run in a sentence", async () => {
		const { ask } = await startAiHost(version, [], {
			settings: { model: sdkOf(version).model("http://127.0.0.1:1/v1") },
		});
		const { outcome, error } = await ask("hello");
		expect(outcome).toBe("failed");
		expect(error).toMatch(
			/^the model "small" of loopback.chat failed: .+ \(MODEL_FAILED\)$/,
		);
	});

	test("a model that is asked again by the SDK, and fails each time, fails the run with what it said last", async () => {
		const { ask, model } = await startAiHost(
			version,
			[
				[
					{
						...rateLimit,
						headers: { "retry-after-ms": "1", "retry-after": "1" },
					} as Act,
				],
			],
			{ settings: { maxRetries: 1 } },
		);
		const { error } = await ask("hello");
		expect(model.requests.length).toBe(2);
		expect(error).toMatch(/asked too often: Rate limit reached.*RATE_LIMITED/);
	});

	test("who catches the error of an executor is given its code, and the SDK's own as its cause", async () => {
		const { execute, model } = sdkOf(version);
		const seen: unknown[] = [];
		const server = (await startAiHost(version, [[overflow]])).model;
		const answer = execute({ model: model(server.url), maxRetries: 0 });
		await using runtime = createSessionRuntime({
			store: memoryStore(),
			execute: async (run) => {
				try {
					return await answer(run);
				} catch (error) {
					seen.push(error);
					throw error;
				}
			},
		});
		await runtime.start();
		await (await runtime.send("k", "hello")).settled;
		const [error] = seen as [TurnkeeperError];
		expect(error).toBeInstanceOf(TurnkeeperError);
		expect(error.code).toBe("CONTEXT_OVERFLOW");
		expect(error.cause).toMatchObject({
			name: "AI_APICallError",
			statusCode: 400,
		});
	});

	test("a host that catches an overflow may begin again under a new session id", async () => {
		const { execute, model } = sdkOf(version);
		const server = (
			await startAiHost(version, [
				[{ call: "post", input: { text: "hi" } }],
				[overflow],
				[{ call: "post", input: { text: "hi" } }],
				[{ say: "Done." }],
			])
		).model;
		const answer = execute({
			model: model(server.url),
			maxRetries: 0,
			tools: { post },
		});
		await using runtime = createSessionRuntime({
			store: memoryStore(),
			execute: async (run) => {
				try {
					return await answer(run);
				} catch (error) {
					if ((error as TurnkeeperError).code !== "CONTEXT_OVERFLOW")
						throw error;
					await run.rotate();
					await run.append({
						role: "user",
						content: "what was said, in short",
					});
					return answer(run);
				}
			},
		});
		await runtime.start();
		const { settled } = await runtime.send("k", "post hi");
		expect(await settled).toMatchObject({ output: "Done." });
		expect(server.requests[2]?.body.messages).toEqual([
			{ role: "user", content: "what was said, in short" },
			{ role: "user", content: "post hi" },
		]);
	});

	test("an error that is its own cause is an error like any other", async () => {
		const error = new Error("round and round");
		error.cause = error;
		const { ask } = await startAiHost(version, [], {
			settings: {
				prepareStep: () => {
					throw error;
				},
			},
		});
		expect((await ask("hello")).error).toBe(
			'the model "small" of loopback.chat failed: round and round (MODEL_FAILED)',
		);
	});

	test("a run that fails in a later step has what its steps cost and said", async () => {
		const { runtime, ask, model, said } = await startAiHost(
			version,
			[
				[{ say: "I post. " }, { call: "post", input: { text: "hi" } }],
				[{ say: "And " }, { drop: true }],
			],
			{ settings: { tools: { post } } },
		);
		expect((await ask("post hi")).outcome).toBe("failed");
		expect(model.billed.outputTokens).toBe(3);
		expect(await runtime.get("k")).toMatchObject(model.billed);
		expect(await said()).toEqual([
			"user: post hi",
			"assistant: I post. , calls post",
			'tool: post gave "posted"',
			"assistant: And ",
		]);
	});

	test("a step that cannot be kept ends the run before the model is asked on", async () => {
		const store = new FaultyStore(memoryStore());
		const { ask, model, said } = await startAiHost(
			version,
			[[{ call: "look", input: { text: "hi" } }], [{ say: "never asked" }]],
			{
				store,
				settings: {
					tools: {
						look: {
							inputSchema: z.object({ text: z.string() }),
							execute: () => {
								store.faults.push("before", "before");
								return "seen";
							},
						},
					},
				},
			},
		);
		const deaths = await deathsOf(async () => {
			const { outcome, error } = await ask("look");
			expect(outcome).toBe("failed");
			expect(error).toMatch(/disk I\/O error/);
		});
		expect(deaths).toEqual([]);
		expect(model.requests.length).toBe(1);
		expect(await said()).toEqual(["user: look"]);
	});

	test("a tool whose result is no JSON fails the run in a sentence", async () => {
		const { ask, model } = await startAiHost(
			version,
			[[{ call: "look", input: { text: "hi" } }]],
			{
				settings: {
					tools: {
						look: {
							inputSchema: z.object({ text: z.string() }),
							execute: () => ({ at: 1n }),
						},
					},
				},
			},
		);
		const { outcome, error } = await ask("look");
		expect(outcome).toBe("failed");
		expect(error).toMatch(/^what was said cannot be stored: .*BigInt/);
		expect(model.requests.length).toBe(1);
	});

	test("what is no message fails the run in a sentence", async () => {
		const { ask, model } = await startAiHost(version, [[{ say: "yes" }]]);
		const { outcome, error } = await ask({ text: "hello" });
		expect(outcome).toBe("failed");
		expect(error).toMatch(
			/is {"text":"hello"}; it must be a string or a message of a user, or settings.toMessage must make one of it$/,
		);
		expect(model.requests).toEqual([]);
		expect(await ask({ role: "user", content: "hello" })).toMatchObject({
			output: "yes",
		});
	});

	test("settings that are a function of the run are asked for each, and fail it if they throw", async () => {
		const { execute, model } = sdkOf(version);
		const server = (await startAiHost(version, [[{ say: "yes" }]])).model;
		await using runtime = createSessionRuntime<string>({
			store: memoryStore(),
			execute: execute<string>(async (run) => {
				const [message] = run.messages;
				if (message?.input === "break") throw new Error("no settings for you");
				return {
					model: model(server.url, message?.input ?? ""),
					temperature: 0.5,
				};
			}),
		});
		await runtime.start();
		for (const input of ["large", "break", "small"])
			await (await runtime.send("k", input)).settled;
		expect(server.requests.map(({ body }) => body)).toMatchObject([
			{ model: "large", temperature: 0.5 },
			{ model: "small", temperature: 0.5 },
		]);
		expect((await runtime.runs("k")).items[1]).toMatchObject({
			outcome: "failed",
			error: "no settings for you",
		});
	});
});

describe("settings that cannot be are refused at once:", () => {
	const model = sdkOf(7).model("http://127.0.0.1:1/v1");

	test.each<[string, unknown, RegExp]>([
		["none", undefined, /^settings.model is undefined; it must be a model/],
		["no object", 5, /^settings is 5; it must be an object$/],
		["no model", { model: "" }, /^settings.model is ; it must be a model/],
		[
			"messages",
			{ model, messages: [] },
			/^settings.messages is given; leave it out: what is asked is the run's messages/,
		],
		[
			"a signal",
			{ model, abortSignal: AbortSignal.abort() },
			/^settings.abortSignal is given; leave it out: it is the run's signal$/,
		],
		[
			"a history that is none",
			{ model, history: [] },
			/^settings.history must be a function/,
		],
		["nothing to remember", { model, remember: 0 }, /^settings.remember is 0/],
		[
			"a time that is none",
			{ model, approvalTimeoutMs: -1 },
			/^settings.approvalTimeoutMs is -1; it must be milliseconds/,
		],
	])("%s", (_, settings, message) => {
		expect(() => aiExecutor(settings as never)).toThrow(
			expect.objectContaining({
				code: "INVALID_ARGUMENT",
				text: expect.stringMatching(message),
			}),
		);
	});

	test("an outward tool without an effect, or that is called without a run", () => {
		expect(() => outwardTool({ inputSchema: z.string() } as never)).toThrow(
			/is given no execute; it must be a function/,
		);
		const { execute } = post as unknown as { execute: () => void };
		expect(() => execute()).toThrow(/only aiExecutor carries it out/);
	});
});
