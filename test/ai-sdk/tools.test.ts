/** What tools do: effects by way of the run's deliveries, approvals by its waits, and what steers it between two steps. */
import { once } from "node:events";
import type { RunTicket } from "turnkeeper";
import { type AiProgress, outwardTool } from "turnkeeper/ai-sdk";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type Act, stall } from "../../examples/model-server/model-server.ts";
import { close } from "../support/restart.ts";
import { deathsOf } from "../support/unhandled.ts";
import { heard } from "./heard.ts";
import { startAiHost } from "./host.ts";
import { versions } from "./versions.ts";

const inputSchema = z.object({ text: z.string() });

/** A tool that posts, and what it posted. */
function poster(given: { needsApproval?: boolean } = {}) {
	const posted: { text: string; idempotencyKey: string }[] = [];
	const post = outwardTool({
		description: "Posts a text.",
		inputSchema,
		...given,
		execute: async ({ text }, { idempotencyKey }) => {
			posted.push({ text, idempotencyKey });
			return `posted as ${posted.length}`;
		},
	});
	return { posted, tools: { post } };
}

const post = (text: string, id?: string): Act => ({
	call: "post",
	input: { text },
	...(id ? { id } : {}),
});

describe.each(versions)("a tool over ai %s", (version) => {
	test("that reaches out is carried out once, and its result is told to the model", async () => {
		const { posted, tools } = poster();
		const { ask, said, told, model, runtime } = await startAiHost(
			version,
			[[{ say: "I post. " }, post("hi")], [{ say: "Done." }]],
			{ settings: { tools } },
		);
		expect(await ask("post hi")).toMatchObject({ output: "Done." });
		expect(posted.map(({ text }) => text)).toEqual(["hi"]);
		expect(await said()).toEqual([
			"user: post hi",
			"assistant: I post. , calls post",
			'tool: post gave "posted as 1"',
			"assistant: Done.",
		]);
		expect(told(1)).toEqual([
			"user: post hi",
			"assistant: I post. , calls post",
			"tool: posted as 1",
		]);
		expect(await runtime.get("k")).toMatchObject(model.billed);
		await ask("and now?");
		expect(told(2)?.slice(0, 3)).toEqual(told(1));
	});

	test("is followed as it is called and as it ends", async () => {
		const { tools } = poster();
		const { runtime } = await startAiHost(
			version,
			[[post("hi")], [{ say: "Done." }]],
			{ settings: { tools } },
		);
		const { ticket } = await runtime.send("k", "post hi");
		const seen: AiProgress[] = [];
		for await (const item of runtime.follow(ticket as RunTicket))
			if ("value" in item) seen.push(item.value as AiProgress);
		const call = { toolCallId: "call_0", toolName: "post" };
		expect(seen).toEqual([
			{ type: "tool-call", ...call, input: { text: "hi" } },
			{ type: "tool-result", ...call, output: "posted as 1" },
			{ type: "text", text: "Done." },
		]);
	});

	test("that is called again and again, alike or not, by whatever ids, is carried out each time", async () => {
		const { posted, tools } = poster();
		const { ask } = await startAiHost(
			version,
			[
				[post("hi", "a"), post("hi", "b")],
				[post("hi", "a"), post("ho", "c")],
				[{ say: "Done." }],
			],
			{ settings: { tools } },
		);
		expect(await ask("post")).toMatchObject({ output: "Done." });
		expect(posted.map(({ text }) => text).sort()).toEqual([
			"hi",
			"hi",
			"hi",
			"ho",
		]);
		expect(new Set(posted.map((one) => one.idempotencyKey)).size).toBe(4);
	});

	test("that reaches out is not carried out again by a later attempt", async () => {
		const { posted, tools } = poster();
		const store = memoryStore();
		const options = { recovery: { mode: "retry", maxAttempts: 2 } } as const;
		const first = await startAiHost(
			version,
			[[post("hi", "x1")], [{ say: "I " }, stall]],
			{ settings: { tools }, store, options },
		);
		const { ticket } = await first.runtime.send("k", "post hi");
		await heard(
			first.runtime.follow(ticket as RunTicket),
			(text) => text === "I ",
		);
		await close(first, { graceMs: 0 });
		const second = await startAiHost(
			version,
			[[post("hi", "y7")], [{ say: "Done." }]],
			{ settings: { tools }, store, options },
		);
		await second.runtime.whenIdle("k");
		expect((await second.runtime.runs("k")).items).toMatchObject([
			{ attempt: 2, outcome: "completed" },
			{ attempt: 1, outcome: "interrupted" },
		]);
		expect(posted.map(({ text }) => text)).toEqual(["hi"]);
		expect(second.told(1)?.at(-1)).toBe("tool: posted as 1");
	});

	test("that reaches out does nothing for a run that was told to stop meanwhile", async () => {
		const { posted, tools } = poster();
		const called = Promise.withResolvers<void>();
		const stopped = Promise.withResolvers<void>();
		const calls: string[] = [];
		// The SDK asks this before it calls; 6 then calls, whatever became of the run meanwhile.
		const onInputAvailable = async ({ toolCallId }: { toolCallId: string }) => {
			calls.push(toolCallId);
			called.resolve();
			await stopped.promise;
		};
		const { runtime, ask } = await startAiHost(
			version,
			[[post("hi")], [{ say: "new" }]],
			{ settings: { tools: { post: { ...tools.post, onInputAvailable } } } },
		);
		const deaths = await deathsOf(async () => {
			const { settled } = await runtime.send("k", "post hi");
			await called.promise;
			const reset = runtime.reset("k");
			await runtime.until("k", (row) => row?.generation === 2);
			stopped.resolve();
			await reset;
			expect((await settled).outcome).toBe("aborted");
			expect(await ask("hello")).toMatchObject({ output: "new" });
		});
		expect(deaths).toEqual([]);
		expect(calls).toEqual(["call_0"]);
		expect(posted).toEqual([]);
	});

	test("whose effect fails is told to the model, which may try again", async () => {
		const tried: string[] = [];
		const tools = {
			post: outwardTool({
				inputSchema,
				execute: async ({ text }) => {
					tried.push(text);
					if (tried.length === 1) throw new Error("the channel is full");
					return "posted";
				},
			}),
		};
		const { ask, told } = await startAiHost(
			version,
			[[post("hi")], [post("hi")], [{ say: "Done." }]],
			{ settings: { tools } },
		);
		expect(await ask("post hi")).toMatchObject({ output: "Done." });
		expect(tried).toEqual(["hi", "hi"]);
		expect(told(1)?.at(-1)).toContain("the channel is full");
		expect(told(2)?.at(-1)).toBe("tool: posted");
	});

	test("whose result cannot be kept fails its run: the model would call it again", async () => {
		const tools = {
			post: outwardTool({
				inputSchema,
				execute: () => ({ at: 1n }) as unknown as string,
			}),
		};
		const { ask, model } = await startAiHost(version, [[post("hi")]], {
			settings: { tools },
		});
		const { outcome, error } = await ask("post hi");
		expect(outcome).toBe("failed");
		expect(error).toMatch(
			/what the delivery "call post [0-9a-f]{12}" returned.*must be JSON/,
		);
		expect(model.requests.length).toBe(1);
	});

	test("whose effect was under way when its run was stopped is told with its result, as one that had ended is", async () => {
		const begun = Promise.withResolvers<void>();
		const tools = {
			look: { inputSchema, execute: () => "nothing there" },
			post: outwardTool({
				inputSchema,
				execute: async (_, { signal }) => {
					begun.resolve();
					await once(signal, "abort");
					return "posted all the same";
				},
			}),
		};
		const { runtime, said } = await startAiHost(
			version,
			[
				[
					{ say: "I post. " },
					{ call: "look", input: { text: "left" } },
					post("hi"),
				],
			],
			{ settings: { tools } },
		);
		const { settled, ticket } = await runtime.send("k", "post hi");
		for await (const item of runtime.follow(ticket as RunTicket))
			if ("value" in item && JSON.stringify(item.value).includes("nothing"))
				break;
		await begun.promise;
		await runtime.abort("k");
		expect((await settled).outcome).toBe("aborted");
		expect(await said()).toEqual([
			"user: post hi",
			"assistant: I post. , calls look",
			'tool: look gave "nothing there"',
			"assistant: calls post",
			'tool: post gave "posted all the same"',
		]);
	});

	test("without an execute ends the run, and is left out of what the model is told next", async () => {
		const tools = { post: { inputSchema } };
		const { ask, told } = await startAiHost(
			version,
			[[{ say: "Post this: " }, post("hi")], [{ say: "Done." }]],
			{ settings: { tools } },
		);
		expect(await ask("post hi")).toMatchObject({
			outcome: "completed",
			output: "Post this: ",
		});
		await ask("and now?");
		expect(told(1)).toEqual([
			"user: post hi",
			"assistant: Post this: ",
			"user: and now?",
		]);
	});

	test("is called until the settings say that it is enough, which see all steps", async () => {
		const { posted, tools } = poster();
		const seen: number[] = [];
		const { ask } = await startAiHost(version, [[post("hi")]], {
			settings: {
				tools,
				stopWhen: ({ steps }) => steps.length === 3,
				prepareStep: ({ stepNumber, steps }) => {
					seen.push(stepNumber, steps.length);
					return undefined;
				},
			},
		});
		expect((await ask("post hi")).outcome).toBe("completed");
		expect(posted.length).toBe(3);
		expect(seen).toEqual([0, 0, 1, 1, 2, 2]);
	});

	test("is not called for ever", async () => {
		const { posted, tools } = poster();
		const { ask } = await startAiHost(version, [[post("hi")]], {
			settings: { tools },
		});
		expect((await ask("post hi")).outcome).toBe("completed");
		expect(posted.length).toBe(20);
	});
});

describe.each(versions)(
	"a call that needs an approval over ai %s",
	(version) => {
		async function asked(options = {}, settings = {}) {
			const { posted, tools } = poster({ needsApproval: true });
			const host = await startAiHost(
				version,
				[[post("hi")], [{ say: "Then that." }]],
				{ settings: { tools, ...settings }, options },
			);
			const { runtime } = host;
			const { ticket, settled } = await runtime.send("k", "post hi");
			if (!ticket) throw new Error("it did not start");
			const row = await runtime.until("k", (row) => row?.status === "waiting");
			const [wait = ""] = row?.waits ?? [];
			return { ...host, posted, ticket, settled, wait };
		}

		test("waits for it, says so, and is carried out once it is given", async () => {
			const { runtime, posted, ticket, settled, wait, said, told } =
				await asked();
			expect(posted).toEqual([]);
			const shown: unknown[] = [];
			for await (const item of runtime.follow(ticket)) {
				if ("value" in item) shown.push(item.value);
				if (shown.length === 2) break;
			}
			expect(wait).toMatch(/^approve post [0-9a-f]{12}$/);
			expect(shown.at(-1)).toEqual({
				type: "approval",
				wait,
				toolCallId: "call_0",
				toolName: "post",
				input: { text: "hi" },
			});
			await runtime.resume(ticket, wait, true);
			expect(await settled).toMatchObject({ output: "Then that." });
			expect(posted.map(({ text }) => text)).toEqual(["hi"]);
			expect(told(1)?.at(-1)).toBe("tool: posted as 1");
			expect((await said()).at(-2)).toBe('tool: post gave "posted as 1"');
		});

		test("is told with its result, where the answer to that breaks off", async () => {
			const { tools } = poster({ needsApproval: true });
			const { runtime, ask, said, told } = await startAiHost(
				version,
				[
					[{ say: "May I? " }, post("hi")],
					[{ say: "I " }, { drop: true }],
					[{ say: "Done." }],
				],
				{ settings: { tools } },
			);
			const { ticket, settled } = await runtime.send("k", "post hi");
			const row = await runtime.until("k", (row) => !!row?.waits.length);
			await runtime.resume(ticket as RunTicket, row?.waits[0] ?? "", true);
			expect((await settled).outcome).toBe("failed");
			expect((await said()).slice(-2)).toEqual([
				'tool: post gave "posted as 1"',
				"assistant: I ",
			]);
			await ask("and?");
			expect(told(2)).toEqual([
				"user: post hi",
				"assistant: May I? , calls post",
				"tool: posted as 1",
				"assistant: I ",
				"user: and?",
			]);
		});

		test.each([
			["no", false],
			["no, with a reason", { approved: false, reason: "not today" }],
			["what is neither yes nor no", "maybe"],
		])("is not carried out after %s", async (_, answer) => {
			const { runtime, posted, ticket, settled, wait, told, ask } =
				await asked();
			await runtime.resume(ticket, wait, answer);
			expect(await settled).toMatchObject({ output: "Then that." });
			expect(posted).toEqual([]);
			expect(told(1)?.at(-1)).toMatch(/^tool: /);
			if (typeof answer === "object")
				expect(told(1)?.at(-1)).toContain("not today");
			await ask("and now?");
			expect(told(2)?.slice(0, 3)).toEqual(told(1));
		});

		test("waits beside a call that needs none, which is carried out at once", async () => {
			const { posted, tools } = poster({ needsApproval: true });
			const { runtime, told } = await startAiHost(
				version,
				[
					[{ call: "look", input: { text: "left" }, id: "l" }, post("hi", "p")],
					[{ say: "Done." }],
				],
				{
					settings: {
						tools: {
							...tools,
							look: { inputSchema, execute: () => "nothing there" },
						},
					},
				},
			);
			const { ticket, settled } = await runtime.send("k", "look, then post");
			const row = await runtime.until("k", (row) => !!row?.waits.length);
			await runtime.resume(ticket as RunTicket, row?.waits[0] ?? "", true);
			expect(await settled).toMatchObject({ output: "Done." });
			expect(posted.length).toBe(1);
			expect(told(1)).toEqual([
				"user: look, then post",
				"assistant: calls look, calls post",
				"tool: nothing there",
				"tool: posted as 1",
			]);
		});

		test("is for nothing after a reset, and posts nothing", async () => {
			const { runtime, posted, ticket, settled, wait } = await asked();
			await runtime.reset("k");
			expect((await settled).outcome).toBe("aborted");
			expect((await runtime.resume(ticket, wait, true)).result).toBe("stale");
			expect(posted).toEqual([]);
		});

		test("is asked once for each of several, and told with all answers", async () => {
			const { posted, tools } = poster({ needsApproval: true });
			const { runtime, model } = await startAiHost(
				version,
				[
					[post("a", "1"), post("b", "2"), post("a", "3")],
					[{ say: "Then that." }],
				],
				{ settings: { tools } },
			);
			const { ticket, settled } = await runtime.send("k", "post");
			const row = await runtime.until("k", (row) => row?.waits.length === 3);
			const [a = "", b = "", again = ""] = row?.waits ?? [];
			expect(again).toBe(`${a} 2`);
			await runtime.resume(ticket as RunTicket, again, true);
			await runtime.resume(ticket as RunTicket, b, false);
			await runtime.resume(ticket as RunTicket, a, true);
			expect((await settled).outcome).toBe("completed");
			expect(posted.map(({ text }) => text)).toEqual(["a", "a"]);
			expect(model.requests.length).toBe(2);
		});

		test("is not asked for again by a later attempt, nor carried out again", async () => {
			const { posted, tools } = poster({ needsApproval: true });
			const store = memoryStore();
			const given = {
				settings: { tools },
				store,
				options: { recovery: { mode: "retry", maxAttempts: 2 } } as const,
			};
			const first = await startAiHost(
				version,
				[[post("hi", "x1")], [{ say: "I " }, stall]],
				given,
			);
			const { ticket } = await first.runtime.send("k", "post hi");
			const row = await first.runtime.until("k", (row) => !!row?.waits.length);
			await first.runtime.resume(
				ticket as RunTicket,
				row?.waits[0] ?? "",
				true,
			);
			await first.model.asked(2);
			await close(first, { graceMs: 0 });
			const second = await startAiHost(
				version,
				[[post("hi", "y7")], [{ say: "Done." }]],
				given,
			);
			await second.runtime.whenIdle("k");
			expect((await second.runtime.runs("k")).items).toMatchObject([
				{ attempt: 2, outcome: "completed" },
				{ attempt: 1, outcome: "interrupted" },
			]);
			expect(posted.map(({ text }) => text)).toEqual(["hi"]);
			expect(second.told(1)?.at(-1)).toBe("tool: posted as 1");
		});

		test("fails its run when nobody answers in time", async () => {
			const { clock, settled, posted, ask } = await asked(
				{},
				{ approvalTimeoutMs: 60_000 },
			);
			await clock.advance(60_000);
			const { outcome, error } = await settled;
			expect(outcome).toBe("failed");
			expect(error).toMatch(
				/got no answer to "approve post [0-9a-f]{12}" in time/,
			);
			expect(posted).toEqual([]);
			expect(await ask("and now?")).toMatchObject({ output: "Then that." });
		});
	},
);

describe("the approvals of ai 7 for all tools", () => {
	async function askedWith(post_: "denied" | "approved" | "user-approval") {
		const { posted, tools } = poster();
		const host = await startAiHost(
			7,
			[[post("hi")], [{ say: "Then that." }], [{ say: "Well." }]],
			{ settings: { tools, toolApproval: { post: post_ } } },
		);
		return { ...host, posted, sent: await host.runtime.send("k", "post hi") };
	}

	test.each([
		["denied", 0],
		["approved", 1],
	] as const)("%s by the settings, nobody is asked", async (status, times) => {
		const { sent, posted, ask, told } = await askedWith(status);
		expect(await sent.settled).toMatchObject({ output: "Then that." });
		expect(posted.length).toBe(times);
		expect(await ask("and?")).toMatchObject({ output: "Well." });
		expect(told(2)?.slice(0, 3)).toEqual(told(1)?.slice(0, 3));
	});

	test("left to a person, the run waits for one", async () => {
		const { runtime, sent, posted } = await askedWith("user-approval");
		const row = await runtime.until("k", (row) => !!row?.waits.length);
		expect(posted).toEqual([]);
		await runtime.resume(sent.ticket as RunTicket, row?.waits[0] ?? "", true);
		expect(await sent.settled).toMatchObject({ output: "Then that." });
		expect(posted.length).toBe(1);
	});
});

describe.each(versions)("a message that steers over ai %s", (version) => {
	test("is told to the model at its next step, and is the run's", async () => {
		const called = Promise.withResolvers<void>();
		const go = Promise.withResolvers<void>();
		const tools = {
			look: {
				inputSchema,
				execute: async () => {
					called.resolve();
					await go.promise;
					return "nothing there";
				},
			},
		};
		const { runtime, told, said } = await startAiHost(
			version,
			[[{ call: "look", input: { text: "left" } }], [{ say: "Right, then." }]],
			{ settings: { tools }, options: { overlap: "steer" } },
		);
		const first = await runtime.send("k", "look left");
		await called.promise;
		const steered = await runtime.send("k", "no, right");
		const more = await runtime.send("k", "please");
		go.resolve();
		expect(await first.settled).toMatchObject({ output: "Right, then." });
		expect(await steered.settled).toMatchObject({ ticket: first.ticket });
		expect(await more.settled).toMatchObject({ ticket: first.ticket });
		expect(told(1)?.slice(-3)).toEqual([
			"tool: nothing there",
			"user: no, right",
			"user: please",
		]);
		expect((await said()).slice(-3)).toEqual([
			"user: no, right",
			"user: please",
			"assistant: Right, then.",
		]);
	});

	test("that comes during the last step is answered by a run of its own", async () => {
		const go = Promise.withResolvers<void>();
		const { runtime, model } = await startAiHost(
			version,
			(_, number) =>
				number === 0
					? [{ say: "one " }, { until: go.promise }, { say: "two" }]
					: [{ say: "three" }],
			{ options: { overlap: "steer" } },
		);
		const first = await runtime.send("k", "count");
		await model.asked(1);
		const second = await runtime.send("k", "on");
		go.resolve();
		expect(await first.settled).toMatchObject({ output: "one two" });
		expect(await second.settled).toMatchObject({ output: "three" });
		expect((await runtime.runs("k")).items.length).toBe(2);
	});
});
