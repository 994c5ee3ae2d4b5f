/** How `examples/slack` and `examples/telegram` start: without tokens they play a conversation on loopback, with some of them they say which are missing. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram } from "../support/program.ts";

const root = join(import.meta.dirname, "..", "..");

test.each([
	["slack", "agent:main:slack:channel:C1:thread:1700000001.000100"],
	["telegram", "agent:main:telegram:direct:7"],
])("%s without tokens plays a conversation to its end", async (name, key) => {
	const { code, stdout, stderr } = await runProgram(
		join(root, "examples", name, "main.ts"),
		{ cwd: root },
	);
	expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
	const said = stdout.trimEnd().split("\n");
	expect(said.filter((line) => line.startsWith("bot: "))).toEqual([
		'bot: You said "hello".',
		"bot: 1. and a poem",
		"bot: A new session begins here.",
		'bot: You said "and a poem".',
		"bot: This conversation is too long for the model. Say /new to begin another.",
		'bot: You said "hello again".',
	]);
	expect(said.at(-1)).toBe(`session ${key}: ended, generation 2`);
});

test.each([
	[
		"slack",
		"SLACK_BOT_TOKEN",
		"SLACK_APP_TOKEN and OPENAI_BASE_URL and OPENAI_MODEL are missing",
	],
	[
		"telegram",
		"TELEGRAM_BOT_TOKEN",
		"TELEGRAM_WEBHOOK_SECRET_TOKEN and OPENAI_BASE_URL and OPENAI_MODEL are missing",
	],
])(
	"%s with one token says what else it needs",
	async (name, variable, missing) => {
		const { code, stderr } = await runProgram(
			join(root, "examples", name, "main.ts"),
			{ cwd: root, env: { [variable]: "x" } },
		);
		expect(code).toBe(2);
		expect(stderr).toContain(missing);
	},
);
