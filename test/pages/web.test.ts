/** The page of the chat in a browser, answered by a model that says what the test tells it to, when it tells it to. */
import axe from "axe-core";
import type { Page } from "playwright-core";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, onTestFinished, test } from "vitest";
import { createChatHost } from "../../examples/chat/host.ts";
import type { AnswerOptions, Model, Turn } from "../../examples/chat/model.ts";
import { Feed } from "../../examples/web/feed.ts";
import { createPosts } from "../../examples/web/posts.ts";
import { ChatServer } from "../../examples/web/server.ts";
import { SlowModel } from "../../examples/web/slow-model.ts";
import { executablePath, openPage } from "./browser.ts";

class ToldModel implements Model {
	readonly name = "a told model";
	readonly #answers = new Map<string, TransformStream<string, string>>();

	/** The next piece of the answer to what was asked. */
	say(asked: string, piece: string): void {
		const writer = this.#answerTo(asked).writable.getWriter();
		// Nobody may be listening any more.
		writer.write(piece).catch(() => {});
		writer.releaseLock();
	}

	/** The answer is complete. */
	end(asked: string): void {
		this.#answerTo(asked)
			.writable.close()
			.catch(() => {});
	}

	async *answer(
		turns: readonly Turn[],
		{ signal }: AnswerOptions,
	): AsyncGenerator<string, void> {
		const { readable } = this.#answerTo(turns.at(-1)?.content ?? "");
		yield* readable.pipeThrough(new TransformStream<string, string>(), {
			signal,
		});
	}

	#answerTo(asked: string): TransformStream<string, string> {
		const known = this.#answers.get(asked);
		if (known) return known;
		const answer = new TransformStream<string, string>();
		this.#answers.set(asked, answer);
		return answer;
	}
}

async function openChat() {
	const told = new ToldModel();
	const model = new SlowModel(told, { pieceMs: 0, lateMs: 0 });
	const runtime = createChatHost({
		store: memoryStore(),
		model,
		asked: (ticket, text) => feed.asked(ticket, text),
	});
	onTestFinished(() => runtime.close());
	let feed: Feed;
	const listen = async (port: number) => {
		feed = new Feed(runtime, () => ({
			model: model.name,
			isSlow: model.isSlow,
			console: "http://127.0.0.1:1/?token=t",
		}));
		const switched = () => feed.hostChanged();
		const posts = createPosts({ runtime, model, switched });
		const token = "of the test";
		const server = await ChatServer.listen({ port, token, feed, posts });
		onTestFinished(() => server.close());
		return server;
	};
	await runtime.start();
	const server = await listen(0);
	const { page, said } = await openPage(server.url);
	await page.getByText("answered by a told model").waitFor();
	/** The page loses the host, which goes on all the same, and finds it again when the answer calls it. */
	const interrupt = async () => {
		await server.close();
		return () => listen(Number(new URL(server.url).port));
	};
	return { told, runtime, page, said, interrupt };
}

/** One column, as a person finds it. */
function conversation(page: Page, number: number) {
	const column = page.getByRole("region", {
		name: `Conversation ${number}`,
		exact: true,
	});
	const input = column.getByRole("textbox");
	return {
		column,
		input,
		async type(text: string) {
			await input.fill(text);
			await input.press("Enter");
		},
		press: (name: string) => column.getByRole("button", { name }).click(),
		/** Waits until this is to be read in it. */
		shows: (text: string) =>
			column.getByText(text, { exact: true }).first().waitFor(),
	};
}

/** Turns the switch, and waits until the host has heard of it. */
async function slow(page: Page): Promise<void> {
	const heard = page.waitForResponse("**/slow?*");
	await page.getByRole("checkbox", { name: "Slow model" }).check();
	await heard;
}

async function violations(page: Page): Promise<readonly string[]> {
	await page.evaluate(axe.source);
	const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
	return violations.map(
		({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`,
	);
}

// Without a chromium on the machine there is nothing to open a page in; CI installs one.
describe.skipIf(executablePath === null)("the page of the chat", () => {
	test("shows an answer as it comes, what waits meanwhile, and a stop, within its own policy", async () => {
		const { told, page, said } = await openChat();
		const { column, type, press, shows } = conversation(page, 1);
		await type("<b>hello</b>");
		told.say("<b>hello</b>", "Good ");
		await shows("running");
		await shows("<b>hello</b>");
		await shows("Good ");
		await type("and then?");
		await shows("1 queued");
		expect(await column.getByRole("listitem").allInnerTexts()).toContainEqual(
			expect.stringMatching(/^queued\s+and then\?$/),
		);
		told.say("<b>hello</b>", "<i>day</i>");
		told.end("<b>hello</b>");
		await shows("Good <i>day</i>");
		await page
			.locator("#announcer")
			.getByText("Conversation 1: Good <i>day</i>")
			.waitFor({ state: "attached" });
		told.say("and then?", "Then");
		await shows("Then");
		await press("Stop");
		await shows("aborted by /stop");
		await shows("ended");
		await type("/nope");
		await shows("There is no /nope; there are /new and /stop.");
		expect(said).toEqual([]);
	});

	test("shows the late error of a stopped run with its own generation, and a fresh session that stays idle", async () => {
		const { told, runtime, page } = await openChat();
		const { column, type, shows } = conversation(page, 1);
		await slow(page);
		await type("hello");
		told.say("hello", "Good ");
		await shows("Good ");
		await type("/new");
		await shows("resetting");
		await shows("1 draining");
		await shows("Generation 2");
		await shows("told to stop, and has not settled yet");
		// It does not listen: only now does it break.
		told.say("hello", "day");
		await shows("late error of generation 1: archived");
		await shows("aborted by /new: the connection to the model was reset");
		await shows("idle");
		expect(await column.getByText("day").count()).toBe(0);
		expect(await runtime.get("web:1")).toMatchObject({
			generation: 2,
			status: "idle",
			lastError: null,
		});
		// Who comes later sees the same.
		await page.reload();
		await shows("late error of generation 1: archived");
		await shows("aborted by /new: the connection to the model was reset");
		await shows("Good ");
		await shows("idle");
	});

	test("goes on where it was when it is loaded anew in the middle of an answer", async () => {
		const { told, page } = await openChat();
		const { type, shows } = conversation(page, 1);
		await type("first");
		told.say("first", "one");
		told.end("first");
		await shows("ended");
		await type("second");
		await type("third");
		told.say("second", "Good ");
		await shows("Good ");
		await shows("1 queued");
		await page.reload();
		await shows("first");
		await shows("one");
		await shows("second");
		await shows("Good ");
		await shows("third");
		await shows("running");
		told.say("second", "day");
		await shows("Good day");
		told.end("second");
		told.say("third", "three");
		await shows("three");
	});

	test("goes on where it was when the host was away in the middle of an answer", async () => {
		const { told, page, interrupt } = await openChat();
		const { type, shows } = conversation(page, 1);
		await type("hello");
		told.say("hello", "Good ");
		await shows("Good ");
		const comeBack = await interrupt();
		await page.getByText("The host is away").waitFor();
		told.say("hello", "day, ");
		await comeBack();
		await shows("Good day, ");
		told.say("hello", "you");
		await shows("Good day, you");
		expect(await page.getByText("The host is away").count()).toBe(0);
		told.end("hello");
		await shows("ended");
	});

	test("keeps conversations apart that are answered at once, and adds one", async () => {
		const { told, page } = await openChat();
		const one = conversation(page, 1);
		const two = conversation(page, 2);
		await one.type("one");
		await two.type("two");
		told.say("two", "second");
		told.say("one", "first");
		await one.shows("first");
		await two.shows("second");
		await one.press("New session");
		await one.shows("Generation 2");
		await two.shows("running");
		told.end("two");
		await two.shows("ended");
		expect(await two.column.getByText("first").count()).toBe(0);
		await page.getByRole("button", { name: "New conversation" }).click();
		const four = conversation(page, 4);
		// It is where one writes from then on.
		await page.keyboard.type("four");
		await page.keyboard.press("Enter");
		told.say("four", "fourth");
		await four.shows("fourth");
	});

	test("is used with keys alone", async () => {
		const { told, page } = await openChat();
		const { column, shows } = conversation(page, 1);
		const tabTo = async (name: string) => {
			const focused = () =>
				page.evaluate(
					"document.activeElement.ariaLabel || document.activeElement.textContent",
				);
			for (let keys = 0; keys < 20; keys++) {
				if ((await focused()) === name) return;
				await page.keyboard.press("Tab");
			}
			throw new Error(`${name} is not within reach of the keyboard`);
		};
		await tabTo("Messages of Conversation 1");
		await tabTo("Message to Conversation 1");
		await page.keyboard.type("two");
		await page.keyboard.press("Shift+Enter");
		await page.keyboard.type("lines");
		await page.keyboard.press("Enter");
		told.say("two\nlines", "Good");
		await shows("Good");
		await tabTo("Stop");
		await page.keyboard.press("Enter");
		await shows("aborted by /stop");
		await page.keyboard.press("Shift+Tab");
		await page.keyboard.press("Enter");
		await shows("Generation 2");
		expect(await column.getByText("idle").count()).toBe(1);
	});

	test("links to the console, and to each session in it", async () => {
		const { page } = await openChat();
		const { column } = conversation(page, 2);
		const link = page.getByRole("link", { name: "Console", exact: true });
		const look = column.getByRole("link");
		expect(await link.getAttribute("href")).toBe("http://127.0.0.1:1/?token=t");
		expect(await look.getAttribute("href")).toBe(
			"http://127.0.0.1:1/?token=t#/session/web%3A2",
		);
	});

	test.each(["light", "dark"] as const)(
		"has nothing that axe finds fault with, wide or narrow, in the %s",
		async (colorScheme) => {
			const { told, runtime, page } = await openChat();
			await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
			const one = conversation(page, 1);
			const two = conversation(page, 2);
			expect(await violations(page)).toEqual([]);
			await slow(page);
			await one.type("one");
			await one.type("waits");
			told.say("one", "first");
			await one.shows("1 queued");
			await two.type("two");
			told.say("two", "second");
			await two.shows("second");
			await two.press("New session");
			await two.shows("1 draining");
			expect(await violations(page)).toEqual([]);
			told.say("two", "late");
			await two.shows("late error of generation 1: archived");
			await two.type("/nope");
			await two.shows("There is no /nope; there are /new and /stop.");
			expect(await violations(page)).toEqual([]);
			await page.setViewportSize({ width: 360, height: 640 });
			expect(await one.column.isVisible()).toBe(true);
			expect(await two.column.isVisible()).toBe(false);
			expect(await violations(page)).toEqual([]);
			await page.getByRole("button", { name: "Conversation 2" }).click();
			expect(await two.input.isVisible()).toBe(true);
			expect(await one.column.isVisible()).toBe(false);
			expect(await violations(page)).toEqual([]);
			expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(
				360,
			);
			told.end("one");
			told.end("waits");
			await runtime.whenIdle();
		},
	);
});
