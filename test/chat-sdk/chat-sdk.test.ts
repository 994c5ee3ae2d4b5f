/** `turnkeeper/chat-sdk`: the Chat SDK itself, on a platform in memory. */
import {
	createSessionRuntime,
	type ManagedRun,
	TurnkeeperError,
} from "turnkeeper";
import {
	type ChatInput,
	type ChatOptions,
	type ChatReply,
	connectChat,
	replyTo,
	sessionKeyOf,
} from "turnkeeper/chat-sdk";
import { memoryStore } from "turnkeeper/memory";
import { afterEach, expect, test, vi } from "vitest";
import { FaultyStore } from "../../src/testing/faulty-store.ts";
import { FakePlatform } from "./platform.ts";

const thread = "fake:C1:T1";
const key = "agent:main:fake:channel:C1:thread:T1";
type Executor = (
	run: ManagedRun<ChatInput>,
	reply: ChatReply,
) => Promise<unknown>;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
	for (const close of closing.splice(0)) await close();
});

/** A host that answers with what `execute` does; by default it says what it was told. */
async function start(
	given: {
		execute?: Executor;
		options?: ChatOptions;
		platform?: FakePlatform;
		store?: ReturnType<typeof memoryStore>;
		overlap?: "enqueue" | "reject" | "steer";
	} = {},
) {
	const {
		platform = new FakePlatform(),
		store = memoryStore(),
		execute = async (run, reply) => {
			await reply.post(
				`you said ${run.messages.map(({ input }) => input.text).join()}`,
			);
		},
	} = given;
	const bot = platform.bot();
	const runtime = createSessionRuntime<ChatInput>({
		store,
		execute: (run) => execute(run, replyTo(bot, run)),
		overlap: given.overlap ?? "enqueue",
		logger: quiet,
		graceMs: 100,
	});
	connectChat(bot, runtime, given.options);
	await runtime.start();
	await bot.initialize();
	closing.push(async () => {
		await bot.shutdown();
		await runtime.close();
	});
	return { platform, bot, runtime, store };
}

/** An executor that goes on when it is told to, or stops when its run is. */
function gate() {
	const { promise, resolve } = Promise.withResolvers<void>();
	const wait = (signal: AbortSignal) =>
		new Promise<void>((go, stop) => {
			void promise.then(go);
			signal.addEventListener("abort", () => stop(signal.reason));
		});
	return { open: resolve, wait };
}

test("a mention is a message of its thread's session, and what follows needs no mention", async () => {
	const { platform, runtime } = await start();
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	await platform.say(thread, "and again", "m2");
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["you said hello", "you said and again"]);
	const { items } = await runtime.runs(key);
	expect(items.map(({ messageIds }) => messageIds)).toEqual([["m2"], ["m1"]]);
	expect(platform.acts.filter(({ act }) => act === "type")).toHaveLength(2);
});

test("what the platform delivers twice runs once, also after a restart", async () => {
	const first = await start();
	await first.platform.say(thread, "@bot hello", "m1");
	await first.platform.say(thread, "@bot hello", "m1");
	await first.runtime.whenIdle();
	for (const close of closing.splice(0)) await close();
	// A fresh process, and a fresh memory of the Chat SDK.
	const second = await start({ store: first.store });
	await second.platform.say(thread, "@bot hello", "m1");
	await second.runtime.whenIdle();
	expect(first.platform.texts).toHaveLength(1);
	expect(second.platform.texts).toEqual([]);
	expect((await second.runtime.runs(key)).items).toHaveLength(1);
});

test("a thread goes on without a mention after a restart, for its session is there; others do not", async () => {
	const first = await start();
	await first.platform.say(thread, "@bot hello", "m1");
	await first.runtime.whenIdle();
	for (const close of closing.splice(0)) await close();
	const second = await start({ store: first.store });
	await second.platform.say(thread, "and again", "m2");
	await second.platform.say("fake:C1:T2", "not for the bot", "m3");
	await second.runtime.whenIdle();
	expect(second.platform.texts).toEqual(["you said and again"]);
});

test("messages that come during a run wait, and are shown to", async () => {
	const { open, wait } = gate();
	const { platform, runtime } = await start({
		execute: async (run, reply) => {
			await wait(run.signal);
			await reply.post(run.messages[0]?.input.text ?? "");
		},
	});
	await platform.say(thread, "@bot one", "m1");
	await platform.say(thread, "two", "m2");
	await platform.say(thread, "/queue", "m3");
	expect(platform.texts).toEqual(["1. two"]);
	await vi.waitFor(() =>
		expect(platform.acts).toContainEqual({
			act: "react",
			id: "m2",
			emoji: "hourglass",
		}),
	);
	open();
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["1. two", "one", "two"]);
	await vi.waitFor(() =>
		expect(platform.acts).toContainEqual({
			act: "unreact",
			id: "m2",
			emoji: "hourglass",
		}),
	);
});

test("an edit reaches a message that waits, and a deletion takes it back", async () => {
	const { open, wait } = gate();
	const { platform, runtime } = await start({
		execute: async (run, reply) => {
			await wait(run.signal);
			await reply.post(run.messages[0]?.input.text ?? "");
		},
	});
	await platform.say(thread, "@bot one", "m1");
	await platform.say(thread, "tow", "m2");
	await platform.say(thread, "three", "m3");
	await platform.say(thread, "two", "m2", { edited: true });
	await platform.say(thread, "too late", "m1", { edited: true });
	await platform.unsay(thread, "m3");
	open();
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["one", "two"]);
});

test("after /new the old run posts nothing, whatever it still does", async () => {
	const stale: unknown[] = [];
	const { platform, runtime } = await start({
		execute: async (run, reply) => {
			if (run.messages[0]?.messageId !== "m1") {
				await reply.post("fresh");
				return;
			}
			await new Promise((stopped) =>
				run.signal.addEventListener("abort", stopped),
			);
			for (const late of [
				() => reply.post("stale"),
				() => reply.edit({ threadId: thread, messageId: "x" }, "stale"),
				() => reply.ask("sure", "stale?", ["yes"]),
				() => reply.typing(),
			])
				await late().catch((error) => stale.push(error.code));
		},
	});
	await platform.say(thread, "@bot hello", "m1");
	const typed = platform.acts.filter(({ act }) => act === "type").length;
	await platform.say(thread, "@bot /new", "m2");
	await platform.say(thread, "hello", "m3");
	await runtime.whenIdle();
	expect(stale).toEqual(["STALE_RUN", "STALE_RUN", "STALE_RUN"]);
	expect(platform.texts).toEqual(["A new session begins here.", "fresh"]);
	expect(platform.acts.filter(({ act }) => act === "type")).toHaveLength(
		typed + 1,
	);
	const row = await runtime.get(key);
	expect(row).toMatchObject({
		generation: 2,
		status: "ended",
		lastOutcome: "completed",
	});
});

test("/new with words behind it begins a new session with them; twice, it is one", async () => {
	const { platform, runtime, bot } = await start();
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	await platform.say(thread, "@bot /new and now?", "m2");
	await runtime.whenIdle();
	expect(platform.texts.at(-1)).toBe("you said and now?");
	expect((await runtime.get(key))?.generation).toBe(2);
	await platform.say(thread, "/new", "m3");
	await bot.getState().delete("dedupe:fake:m3");
	await platform.say(thread, "/new", "m3");
	expect((await runtime.get(key))?.generation).toBe(3);
	expect(
		platform.texts.filter((text) => text.startsWith("A new")),
	).toHaveLength(1);
});

test("/stop stops what runs and what waits; with nothing to stop it says so", async () => {
	const { wait } = gate();
	const { platform, runtime } = await start({
		execute: async (run, reply) => {
			await wait(run.signal);
			await reply.post("done");
		},
	});
	await platform.say(thread, "@bot one", "m1");
	await platform.say(thread, "two", "m2");
	await platform.say(thread, "/stop", "m3");
	await runtime.whenIdle();
	await platform.say(thread, "/stop", "m4");
	await platform.say(thread, "/queue", "m5");
	expect(platform.texts).toEqual([
		"Stopped.",
		"Nothing is running.",
		"Nothing waits.",
	]);
	expect(await runtime.get(key)).toMatchObject({
		status: "ended",
		lastOutcome: "aborted",
	});
});

test("a /stop that is delivered again, after a restart, stops nothing that came later", async () => {
	const first = await start();
	await first.platform.say(thread, "@bot one", "m1");
	await first.runtime.whenIdle();
	await first.platform.say(thread, "/stop", "m2");
	for (const close of closing.splice(0)) await close();
	const { open, wait } = gate();
	const second = await start({
		store: first.store,
		execute: (run) => wait(run.signal),
	});
	await second.platform.say(thread, "two", "m3");
	await second.platform.say(thread, "/stop", "m2");
	open();
	await second.runtime.whenIdle();
	expect(await second.runtime.get(key)).toMatchObject({
		lastOutcome: "completed",
	});
});

test("slash commands that the platform knows itself reach the session of their channel", async () => {
	const platform = new FakePlatform({ lockScope: "channel" });
	const { runtime } = await start({ platform });
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	const channel = "agent:main:fake:channel:C1";
	expect((await runtime.get(channel))?.generation).toBe(1);
	await platform.command("fake:C1", "/new");
	expect((await runtime.get(channel))?.generation).toBe(2);
	expect(platform.texts.at(-1)).toBe("A new session begins here.");
});

test("commands may be left to the model", async () => {
	const { platform, runtime } = await start({ options: { commands: false } });
	await platform.say(thread, "@bot /new", "m1");
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["you said /new"]);
});

test("a post that the platform holds back is tried again as it says; another error is the run's", async () => {
	const { platform, runtime } = await start();
	const limited = Object.assign(new Error("slow down"), {
		code: "RATE_LIMITED",
		retryAfterMs: 5,
	});
	// The first call is the typing sign.
	platform.failures = [undefined, limited, limited];
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["you said hello"]);
	platform.failures = [undefined, new Error("no such channel")];
	await platform.say(thread, "hello", "m2");
	await runtime.whenIdle();
	expect(await runtime.get(key)).toMatchObject({
		status: "failed",
		lastError: "no such channel",
	});
});

test("text is posted as it comes, and no longer once the run is told to stop", async () => {
	const { wait } = gate();
	const { platform, runtime } = await start({
		execute: async (run, reply) => {
			const posted = await reply.post(
				(async function* () {
					yield "Once upon ";
					yield "a time";
					await wait(run.signal).catch(() => {});
					yield " a stale run went on";
				})(),
			);
			await reply.edit(posted, "stale");
		},
	});
	await platform.say(thread, "@bot a story", "m1");
	await vi.waitFor(
		() => expect(platform.texts.join()).toContain("a time"),
		5000,
	);
	await platform.say(thread, "/stop", "m2");
	await runtime.whenIdle();
	expect(platform.texts.join()).not.toContain("stale");
});

test("a question suspends its run until a button is pressed, also over a restart", async () => {
	const execute: Executor = async (_run, reply) => {
		const answer = await reply.ask("deploy", "Deploy?", ["yes", "no"]);
		await reply.post(`deployed: ${answer}`);
	};
	const { platform, runtime } = await start({ execute });
	await platform.say(thread, "@bot deploy", "m1");
	await runtime.until(key, (row) => row?.status === "waiting");
	const [yes, no] = platform.choices;
	expect(platform.choices.map(({ label }) => label)).toEqual(["yes", "no"]);
	// Telegram gives a button 64 bytes.
	for (const { value } of platform.choices)
		expect(
			Buffer.byteLength(JSON.stringify({ a: "turnkeeper", v: value })),
		).toBeLessThan(64);
	await platform.say(thread, "/new", "m2");
	await platform.say(thread, "deploy again", "m3");
	await runtime.until(key, (row) => row?.status === "waiting");
	// A button of the run before answers nothing.
	if (yes) await platform.press(thread, yes);
	expect((await runtime.get(key))?.status).toBe("waiting");
	const fresh = platform.choices[1];
	expect(fresh?.value).not.toBe(no?.value);
	if (fresh) await platform.press(thread, fresh);
	await runtime.whenIdle();
	expect(platform.texts.at(-1)).toBe("deployed: no");
});

test("who may not answer is not heard", async () => {
	const { platform, runtime } = await start({
		options: { mayAnswer: () => false },
		execute: async (_run, reply) =>
			reply.ask("deploy", "Deploy?", ["yes"], { timeoutMs: 50 }),
	});
	await platform.say(thread, "@bot deploy", "m1");
	await runtime.until(key, (row) => row?.status === "waiting");
	const [yes] = platform.choices;
	if (yes) await platform.press(thread, yes);
	await runtime.whenIdle();
	expect((await runtime.get(key))?.lastError).toContain("deploy");
});

test("a message that is refused is marked, and the host lives", async () => {
	const { wait } = gate();
	const errors: unknown[] = [];
	const { platform } = await start({
		overlap: "reject",
		execute: async (run) => wait(run.signal),
		options: { signs: { refused: (_t, _m, error) => errors.push(error) } },
	});
	await platform.say(thread, "@bot one", "m1");
	await platform.say(thread, "two", "m2");
	expect(errors).toMatchObject([{ code: "SESSION_BUSY" }]);
	const other = await start({
		overlap: "reject",
		execute: async (run) => wait(run.signal),
	});
	await other.platform.say(thread, "@bot one", "m1");
	await other.platform.say(thread, "two", "m2");
	expect(other.platform.acts).toContainEqual({
		act: "react",
		id: "m2",
		emoji: "warning",
	});
});

test("a message is tried again while the store is away", async () => {
	const store = new FaultyStore(memoryStore());
	const { platform, runtime } = await start({ store });
	store.faults.push("before", "before", "before");
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["you said hello"]);
});

test("so are an edit, a deletion and the press of a button", async () => {
	const store = new FaultyStore(memoryStore());
	const away = () => store.faults.push("before", "before");
	const { platform, runtime } = await start({
		store,
		execute: async (run, reply) => {
			const [message] = run.messages;
			if (message?.messageId === "m1")
				await reply.ask("go on", "Go on?", ["yes"]);
			else await reply.post(message?.input.text ?? "");
		},
	});
	await platform.say(thread, "@bot one", "m1");
	await runtime.until(key, (row) => row?.status === "waiting");
	await platform.say(thread, "tow", "m2");
	await platform.say(thread, "three", "m3");
	away();
	await platform.say(thread, "two", "m2", { edited: true });
	away();
	await platform.unsay(thread, "m3");
	away();
	const [yes] = platform.choices;
	if (yes) await platform.press(thread, yes);
	await runtime.whenIdle();
	expect(store.faults).toEqual([]);
	expect(platform.texts).toEqual(["Go on?", "two"]);
});

test("commands that the platform gives no id are told apart", async () => {
	const { platform, runtime } = await start({ options: { scope: "channel" } });
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	await Promise.all([
		platform.command("fake:C1", "/new"),
		platform.command("fake:C1", "/new"),
	]);
	const row = await runtime.get("agent:main:fake:channel:C1");
	expect(row?.generation).toBe(3);
});

test("a sign that cannot be given costs no message", async () => {
	const { platform, runtime } = await start({
		options: {
			signs: {
				started: () => {
					throw new Error("no typing here");
				},
			},
		},
	});
	await platform.say(thread, "@bot hello", "m1");
	await runtime.whenIdle();
	expect(platform.texts).toEqual(["you said hello"]);
});

test("session keys: by thread, by channel, direct, and by whatever the host says", async () => {
	const keysWith = async (options: ChatOptions, threadId: string) => {
		const { platform, runtime } = await start({ options });
		await platform.say(threadId, "@bot hello", "m1");
		await runtime.whenIdle();
		return (await runtime.list()).items.map(({ sessionKey }) => sessionKey);
	};
	expect(await keysWith({}, thread)).toEqual([key]);
	expect(await keysWith({ scope: "channel" }, thread)).toEqual([
		"agent:main:fake:channel:C1",
	]);
	expect(await keysWith({ agent: "ops" }, "fake:D1:T1")).toEqual([
		"agent:ops:fake:direct:D1",
	]);
	expect(
		await keysWith({ sessionKey: ({ channel }) => `room ${channel}` }, thread),
	).toEqual(["room C1"]);
	expect(
		sessionKeyOf({
			platform: "slack",
			channel: "C1",
			thread: null,
			isDirect: false,
		}),
	).toBe("agent:main:slack:channel:C1");
});

test("a bot that orders messages itself is refused, and a run of other messages has nowhere to reply", async () => {
	const platform = new FakePlatform();
	const runtime = createSessionRuntime<ChatInput>({ store: memoryStore() });
	expect(() => connectChat(platform.bot("queue"), runtime)).toThrow(
		'the bot\'s concurrency is "queue"; it must be "concurrent"',
	);
	const bot = platform.bot();
	const failure = Promise.withResolvers<unknown>();
	const other = createSessionRuntime({
		store: memoryStore(),
		execute: async (run) => {
			try {
				replyTo(bot, run as unknown as ManagedRun<ChatInput>);
			} catch (error) {
				failure.resolve(error);
			}
		},
	});
	await other.start();
	await other.send("k", "hello");
	const error = await failure.promise;
	expect(error).toBeInstanceOf(TurnkeeperError);
	expect(error).toMatchObject({
		code: "INVALID_ARGUMENT",
		message: expect.stringContaining("must come through connectChat"),
	});
	await other.close();
});
