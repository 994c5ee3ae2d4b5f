/**
 * The bots of `examples/slack` and `examples/telegram`, on the real client libraries over loopback: nothing is posted by a stale run, and
 * nothing twice.
 */
import { describe, expect, test, vi } from "vitest";
import {
	type Act,
	overflow,
	rateLimit,
	stall,
} from "../../examples/model-server/model-server.ts";
import { platforms, startBot } from "./platforms.ts";

/** An answer that goes on when it is told to. */
function gated(...after: readonly Act[]) {
	const gate = Promise.withResolvers<void>();
	const acts: readonly Act[] = [
		{ say: "well, " },
		{ until: gate.promise },
		...after,
	];
	return { acts, open: gate.resolve };
}

describe.each(Object.entries(platforms))("on %s", (_name, make) => {
	test("two messages at once are answered one after the other, and the second is shown to wait", async () => {
		const { platform, host, script, model } = await startBot(make);
		const first = gated({ say: "one" });
		script.answer = (said) => (said === "one" ? first.acts : [{ say: said }]);
		await platform.say("one", "here");
		await model.asked(1);
		const second = await platform.say("two", "here");
		await vi.waitFor(() => expect(platform.signs(second)).toHaveLength(1));
		first.open();
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["well, one", "two"]);
		await vi.waitFor(() => expect(platform.signs(second)).toHaveLength(0));
	});

	test("what the platform delivers twice is answered once", async () => {
		const { platform, host, model } = await startBot(make);
		await platform.say("hello", "here", 3);
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["you said hello"]);
		expect(model.requests).toHaveLength(1);
	});

	test("/new in mid-answer: the model hears that nobody listens, and the old answer is not posted", async () => {
		const { platform, host, script, model } = await startBot(make);
		const old = gated({ say: "stale" });
		script.answer = (said) =>
			said === "old" ? old.acts : [{ say: `fresh ${said}` }];
		await platform.say("old", "here");
		const asked = await model.asked(1);
		await platform.say("/new", "here");
		expect(await asked.left).toBe(true);
		old.open();
		await platform.say("hello", "here");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual([
			"A new session begins here.",
			"fresh hello",
		]);
		expect(await host.runtime.get(platform.keyOf("here"))).toMatchObject({
			generation: 2,
			status: "ended",
			lastOutcome: "completed",
		});
	});

	test("/stop stops what is being answered and drops what waits", async () => {
		const { platform, host, script, model } = await startBot(make);
		script.answer = () => [stall];
		await platform.say("one", "here");
		const asked = await model.asked(1);
		await platform.say("two", "here");
		await platform.say("/stop", "here");
		expect(await asked.left).toBe(true);
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["Stopped."]);
		expect(model.requests).toHaveLength(1);
	});

	test("an error that comes after /new leaves the fresh session as it is", async () => {
		const { platform, host, script, model } = await startBot(make);
		const old = gated({ drop: true });
		script.answer = () => old.acts;
		await platform.say("old", "here");
		await model.asked(1);
		await platform.say("/new", "here");
		old.open();
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["A new session begins here."]);
		expect(await host.runtime.get(platform.keyOf("here"))).toMatchObject({
			generation: 2,
			status: "idle",
			lastError: null,
		});
	});

	test("after a restart in mid-answer the run is told as interrupted, and the bot answers", async () => {
		const bot = await startBot(make);
		const { platform, script, model } = bot;
		script.answer = (said) => (said === "old" ? [stall] : [{ say: said }]);
		await platform.say("old", "here");
		await model.asked(1);
		await bot.restart();
		await platform.say("hello", "here");
		await bot.host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["hello"]);
		const { items } = await bot.host.runtime.runs(platform.keyOf("here"));
		expect(items.map(({ outcome }) => outcome)).toEqual([
			"completed",
			"interrupted",
		]);
	});

	test("a model that is asked too often fails the run, which is told once; the next is answered", async () => {
		const { platform, host, script } = await startBot(make);
		script.answer = () => [rateLimit];
		await platform.say("one", "here");
		await host.runtime.whenIdle();
		expect(await host.runtime.get(platform.keyOf("here"))).toMatchObject({
			status: "failed",
			lastError: expect.stringContaining("RATE_LIMITED"),
		});
		script.answer = (said) => [{ say: said }];
		await platform.say("two", "here");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual([
			"The model is asked too often. Try again in a while.",
			"two",
		]);
	});

	test("a post that the platform holds back is posted once; of a run that was reset meanwhile, never", async () => {
		const { platform, host } = await startBot(make);
		platform.holdBack(1);
		await platform.say("one", "here");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["you said one"]);
		platform.holdBack(1);
		await platform.say("two", "here");
		await vi.waitFor(async () => {
			const row = await host.runtime.get(platform.keyOf("here"));
			expect(row?.hasActiveRun).toBe(true);
		});
		await host.runtime.reset(platform.keyOf("here"));
		await host.runtime.whenIdle();
		await platform.say("three", "here");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual([
			"you said one",
			"you said three",
		]);
	});

	test("an edit reaches the message that waits", async () => {
		const { platform, host, script, model } = await startBot(make);
		const first = gated({ say: "one" });
		script.answer = (said) => (said === "one" ? first.acts : [{ say: said }]);
		await platform.say("one", "here");
		await model.asked(1);
		const second = await platform.say("tow", "here");
		await platform.edit(second, "two");
		await vi.waitFor(async () => {
			const [waiting] = await host.runtime.queue.list(platform.keyOf("here"));
			expect(waiting?.input.text).toBe("two");
		});
		first.open();
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["well, one", "two"]);
	});

	test("two conversations at once do not wait for each other", async () => {
		const { platform, host, script, model } = await startBot(make);
		const slow = gated({ say: "slow" });
		script.answer = (said) => (said === "slow" ? slow.acts : [{ say: said }]);
		await platform.say("slow", "here");
		await model.asked(1);
		await platform.say("quick", "there");
		await host.runtime.whenIdle(platform.keyOf("there"));
		expect(platform.botSaid("there")).toEqual(["quick"]);
		expect(platform.botSaid("here")).toEqual([]);
		slow.open();
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual(["well, slow"]);
	});

	test("a tool that needs an approval waits for a button", async () => {
		const { platform, host, script } = await startBot(make);
		script.answer = (said) =>
			said.startsWith("tool: ")
				? [{ say: said }]
				: [{ call: "deploy", input: { service: "web" } }];
		await platform.say("deploy it", "here");
		const key = platform.keyOf("here");
		await host.runtime.until(key, (row) => row?.status === "waiting");
		await platform.press("yes");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here").at(-1)).toContain("web is deployed");
	});

	test("a conversation that is too long is told, and /new begins another", async () => {
		const { platform, host, script, model } = await startBot(make);
		await platform.say("one", "here");
		await host.runtime.whenIdle();
		script.answer = () => [overflow];
		await platform.say("two", "here");
		await host.runtime.whenIdle();
		script.answer = (said) => [{ say: said }];
		await platform.say("/new three", "here");
		await host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual([
			"you said one",
			"This conversation is too long for the model. Say /new to begin another.",
			"three",
		]);
		// Nothing of the old one is told to the model.
		expect(
			model.requests.at(-1)?.body.messages.map(({ role }) => role),
		).toEqual(["system", "user"]);
	});

	test("an unknown model and a message that is too long are told, and the host lives", async () => {
		const bot = await startBot(make);
		const { platform } = bot;
		await bot.restart("no-such-model");
		await platform.say("hello", "here");
		await bot.host.runtime.whenIdle();
		await bot.restart();
		await platform.say("x".repeat(5000), "here");
		await bot.host.runtime.whenIdle();
		await platform.say("hello again", "here");
		await bot.host.runtime.whenIdle();
		expect(platform.botSaid("here")).toEqual([
			"The model does not answer.",
			"I read at most 4000 characters.",
			"you said hello again",
		]);
	});
});
