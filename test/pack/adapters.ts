// Owns what is checked of the entry points that need a package which nobody else
// does: an optional peer each. Without it they say so; with it they load, and a
// program like a caller's compiles against the declarations that ship.

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Adapter {
	readonly entry: string;
	/** The optional peer. */
	readonly peer: string;
	/** What is installed as that peer, by its name in our own `node_modules`: one after the other. */
	readonly versions: readonly string[];
	/** What its program imports beside the peer, by the same names. */
	readonly beside: readonly string[];
	/** Every line of it must compile, and the marked ones must not. */
	readonly program: string;
	/** A program that is run, and what it prints. */
	readonly tried?: { readonly program: string; readonly prints: string };
}

const chatSdk: Adapter = {
	entry: "turnkeeper/chat-sdk",
	peer: "chat",
	versions: ["chat"],
	beside: ["@chat-adapter/state-memory", "@chat-adapter/slack"],
	program: `
${example("chat-sdk")}
import { type ChatOptions, type ChatReply, type PostedMessage, sessionKeyOf } from "turnkeeper/chat-sdk";

const options: ChatOptions = {
	sessionKey: (place) => sessionKeyOf({ ...place, thread: null }, "ops"),
	signs: { queued: false },
	mayAnswer: ({ user }) => user.userId === "U1",
};
const other = createSessionRuntime<ChatInput, string, { team: string }>({
	store: sqliteStore("other.db"),
	execute: async (run) => {
		const reply: ChatReply = replyTo(bot, run);
		const posted: PostedMessage = await reply.post("hello");
		await reply.edit(posted, { markdown: "**hello**" });
		const answer: "yes" | "no" = await reply.ask("sure", "Sure?", ["yes", "no"], { timeoutMs: 60_000 });
		return answer;
	},
});
connectChat(bot, other, options);
// @ts-expect-error what comes through the door is a ChatInput
connectChat(bot, createSessionRuntime<number>({ store: sqliteStore("numbers.db") }));
`,
};

const aiSdk: Adapter = {
	entry: "turnkeeper/ai-sdk",
	peer: "ai",
	versions: ["ai-6", "ai"],
	beside: ["zod"],
	program: `
import { stepCountIs, tool } from "ai";
import { createSessionRuntime } from "turnkeeper";
import { type AiProgress, type AiSettings, aiExecutor, type Approval, messagesIn, outwardTool } from "turnkeeper/ai-sdk";
import { memoryStore } from "turnkeeper/memory";
import { z } from "zod";

declare const model: AiSettings["model"];
const post = outwardTool({
	description: "Posts a text.",
	inputSchema: z.object({ text: z.string() }),
	needsApproval: true,
	execute: async ({ text }, { idempotencyKey }) => text.trim() + idempotencyKey,
});
const look = tool({ inputSchema: z.object({ at: z.string() }), execute: async ({ at }) => at.length });
const settings: AiSettings<string> = {
	model,
	instructions: "Be brief.",
	tools: { post, look },
	stopWhen: stepCountIs(5),
	maxRetries: 1,
	prepareStep: ({ stepNumber }) => (stepNumber > 2 ? { toolChoice: "none" } : {}),
	remember: 20,
	history: (entries) => messagesIn(entries).slice(-10),
	toMessage: ({ input }) => input.trim(),
	approvalTimeoutMs: 60_000,
};
const runtime = createSessionRuntime<string, string>({ store: memoryStore(), execute: aiExecutor(settings) });
createSessionRuntime<string, string, { model: string }>({
	store: memoryStore(),
	execute: aiExecutor(async (run) => ({ model: run.row.meta.model, temperature: 0, tools: { post } })),
});
const { ticket } = await runtime.send("chat:1", "hello");
for await (const item of runtime.follow(ticket!)) {
	if ("gap" in item) continue;
	const value = item.value as AiProgress;
	if (value.type === "text") console.log(value.text.toUpperCase());
	if (value.type === "approval") await runtime.resume(ticket!, value.wait, { approved: false, reason: "no" } satisfies Approval);
}
// @ts-expect-error what is asked is the session's
aiExecutor({ model, messages: [] });
// @ts-expect-error a result that cannot be kept
outwardTool({ inputSchema: z.object({}), execute: () => new Map() });
`,
	// Bad settings are refused with the package's own error.
	tried: {
		program: `
import { TurnkeeperError } from "turnkeeper";
import { aiExecutor } from "turnkeeper/ai-sdk";
try {
	aiExecutor({});
} catch (error) {
	console.log(error instanceof TurnkeeperError, error.code);
}
`,
		prints: "true INVALID_ARGUMENT\n",
	},
};

const otel: Adapter = {
	entry: "turnkeeper/otel",
	peer: "@opentelemetry/api",
	versions: ["@opentelemetry/api"],
	beside: [],
	program: `
import { createSessionRuntime } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";
import { createTelemetry, type Telemetry, type TelemetryClock } from "turnkeeper/otel";

const clock: TelemetryClock = { now: () => Date.now() };
using telemetry: Telemetry = createTelemetry({ clock });
const observed = telemetry.runtime(
	createSessionRuntime<string, number>({
		store: telemetry.store(memoryStore()),
		execute: telemetry.executor((run) => run.messages.length),
	}),
);
await observed.start();
const counted: number | undefined = (await (await observed.send("chat:1", "hello")).settled).output;
await using admitted = await observed.admit("chat:2");
console.log(counted, telemetry.within(admitted, () => admitted.ticket.runId));
`,
};

const restate: Adapter = {
	entry: "turnkeeper/restate",
	// The first of the two that is missed.
	peer: "@restatedev/restate-sdk-clients",
	versions: ["@restatedev/restate-sdk-clients"],
	beside: ["@restatedev/restate-sdk"],
	program: `
import { createEndpointHandler } from "@restatedev/restate-sdk";
import type { SessionRuntime } from "turnkeeper";
import { type ConnectOptions, connectSessions, sessionServices } from "turnkeeper/restate";

const options: ConnectOptions = { ingress: "http://127.0.0.1:1" };
const services = sessionServices<string, number>({
	...options,
	run: (run) => run.messages.length,
});
createEndpointHandler({ services });
const runtime: SessionRuntime<string, number> = connectSessions(options);
await using closed = runtime;
console.log(services.length);
`,
};

export const adapters: readonly Adapter[] = [aiSdk, chatSdk, otel, restate];

/** An example of the README that is marked as compiled here. */
function example(name: string): string {
	const readme = readFileSync(
		join(import.meta.dirname, "..", "..", "README.md"),
		"utf8",
	);
	const pattern = new RegExp(
		`<!-- compiled: ${name} -->\n\`\`\`ts\n(.*?)\`\`\``,
		"s",
	);
	const [, code] = pattern.exec(readme) ?? [];
	if (code === undefined)
		throw new Error(`the README has no example "compiled: ${name}"`);
	return code;
}
