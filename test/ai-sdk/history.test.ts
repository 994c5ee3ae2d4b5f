/** What a model is told of a transcript fits together, whatever was cut off. */
import type { ModelMessage } from "ai";
import type { TranscriptEntry } from "turnkeeper";
import { answered, messagesIn } from "turnkeeper/ai-sdk";
import { describe, expect, test } from "vitest";
import { CallNames } from "../../src/ai-sdk/calls.ts";
import { plain } from "../../src/ai-sdk/plain.ts";

const call = (toolCallId: string) =>
	({ type: "tool-call", toolCallId, toolName: "post", input: {} }) as const;
const result = (toolCallId: string) =>
	({
		type: "tool-result",
		toolCallId,
		toolName: "post",
		output: { type: "text", value: "posted" },
	}) as const;
const request = (toolCallId: string) =>
	({
		type: "tool-approval-request",
		approvalId: `for ${toolCallId}`,
		toolCallId,
	}) as const;
const response = (toolCallId: string) =>
	({
		type: "tool-approval-response",
		approvalId: `for ${toolCallId}`,
		approved: true,
	}) as const;
const user = { role: "user", content: "hello" } as const;
const text = { type: "text", text: "I post." } as const;

describe("answered messages", () => {
	test.each<[string, ModelMessage[], ModelMessage[]]>([
		[
			"are what they were where every call has its result",
			[
				user,
				{ role: "assistant", content: [text, call("a"), request("a")] },
				{ role: "tool", content: [response("a")] },
				{ role: "tool", content: [result("a")] },
			],
			[
				user,
				{ role: "assistant", content: [text, call("a"), request("a")] },
				{ role: "tool", content: [response("a")] },
				{ role: "tool", content: [result("a")] },
			],
		],
		[
			"are without a call that came to no result, and its approval",
			[
				user,
				{
					role: "assistant",
					content: [text, call("a"), call("b"), request("b")],
				},
				{ role: "tool", content: [result("a"), response("b")] },
			],
			[
				user,
				{ role: "assistant", content: [text, call("a")] },
				{ role: "tool", content: [result("a")] },
			],
		],
		[
			"are without what is empty then",
			[user, { role: "assistant", content: [call("a")] }],
			[user],
		],
		[
			"are without a result whose call was cut off",
			[{ role: "tool", content: [result("a"), response("a")] }, user],
			[user],
		],
	])("%s", (_, messages, expected) => {
		expect(answered(messages)).toEqual(expected);
	});
});

test("the messages of a transcript are those entries that are messages", () => {
	const entries = [
		user,
		{ note: "of the host" },
		"text",
		null,
		7,
		{ role: "system", content: "no" },
		{ role: "user", content: 5 },
		{ role: "assistant", content: [text] },
	].map((entry) => ({ entry }) as unknown as TranscriptEntry);
	expect(messagesIn(entries)).toEqual([
		user,
		{ role: "assistant", content: [text] },
	]);
});

describe("a call of a tool", () => {
	const named = (toolCallId: string, input: unknown, toolName = "post") => ({
		toolCallId,
		toolName,
		input,
	});

	test("has the same name in every attempt, whatever its id and the order of its fields", () => {
		const [first, second] = [new CallNames(), new CallNames()];
		const { name } = first.take(named("x", { a: 1, b: { c: 2, d: [3, 4] } }));
		expect(second.take(named("y", { b: { d: [3, 4], c: 2 }, a: 1 }))).toEqual({
			name,
			wasHeld: false,
		});
	});

	test("has a name of its own by its tool, its input and its place among the like", () => {
		const names = new CallNames();
		const taken = [
			names.take(named("1", { a: 1 })),
			names.take(named("2", { a: 1 })),
			names.take(named("1", { a: 1 })),
			names.take(named("3", { a: [1] })),
			names.take(named("4", { a: 1 }, "send")),
			names.take(named("5", undefined)),
		];
		expect(new Set(taken.map(({ name }) => name)).size).toBe(taken.length);
	});

	test("keeps the name by which it was approved until it is carried out, and no longer", () => {
		const names = new CallNames();
		const one = named("1", { a: 1 });
		const [held] = names.hold([one]);
		expect(names.take(one)).toEqual({ name: held, wasHeld: true });
		// Some providers count their calls anew in each step.
		expect(names.take(one)).toEqual({ name: `${held} 2`, wasHeld: false });
		const [left] = names.hold([one]);
		names.hold([]);
		expect(names.take(one)).not.toMatchObject({ name: left });
	});
});

test("what the SDK has in its hands becomes JSON that the SDK reads", () => {
	expect(
		plain({
			data: new Uint8Array([1, 2, 3]),
			buffer: Buffer.from("abc"),
			url: new URL("http://localhost/a.png"),
			gone: undefined,
			list: [undefined, 1],
		}),
	).toEqual({
		data: "AQID",
		buffer: "YWJj",
		url: "http://localhost/a.png",
		list: [null, 1],
	});
	expect(plain(undefined)).toBeNull();
	expect(() => plain(1n)).toThrow(/cannot be stored: .*must be JSON/);
});
