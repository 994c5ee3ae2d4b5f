/**
 * Owns the pictures in the README: a scripted conversation in the chat of `examples/web`, and the console beside it. `npm run pictures`
 * writes them anew; look at them before they are committed.
 */
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { createConsole } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { createChatHost } from "../../examples/chat/host.ts";
import { scriptedModel } from "../../examples/chat/model.ts";
import { Feed } from "../../examples/web/feed.ts";
import { createPosts } from "../../examples/web/posts.ts";
import { ChatServer } from "../../examples/web/server.ts";
import { SlowModel } from "../../examples/web/slow-model.ts";
import { executablePath } from "./chromium.ts";

const names = [
	"telegram:42",
	"telegram:4711",
	"discord:general",
	"slack:C024BE91L",
	"whatsapp:4915112345678",
	"telegram:99",
	"matrix:!room:example.org",
	"irc:#support",
];
const folder = join(import.meta.dirname, "../../examples/web/pictures");

if (executablePath === null)
	throw new Error("there is no chromium here; pictures are taken with one");
const model = new SlowModel(scriptedModel({ wordMs: 15 }), {
	pieceMs: 40,
	lateMs: 600,
});
const runtime = createChatHost({
	store: memoryStore(),
	model,
	asked: (ticket, text) => feed.asked(ticket, text),
});
await runtime.start();
const shown = await createConsole(runtime, { port: 0 });
const feed = new Feed(runtime, () => ({
	model: model.name,
	isSlow: model.isSlow,
	console: shown.url,
}));
const switched = () => feed.hostChanged();
const server = await ChatServer.listen({
	port: 0,
	feed,
	posts: createPosts({ runtime, model, switched }),
});
const browser = await chromium.launch({
	executablePath,
	args: ["--no-sandbox"],
});
try {
	const context = await browser.newContext({
		viewport: { width: 1200, height: 760 },
		reducedMotion: "reduce",
	});
	const chat = await context.newPage();
	await chat.goto(server.url);
	await converse(chat);
	await save(chat, "chat");
	const operator = await context.newPage();
	await operator.emulateMedia({ colorScheme: "light" });
	await operator.goto(`${shown.url}#/session/web%3A1`);
	await operator.locator(".late circle").first().waitFor();
	await operator.setViewportSize({ width: 1200, height: 860 });
	await save(operator, "console-session");
	for (const [at, name] of names.entries())
		await (await runtime.send(name, at % 3 === 0 ? "a poem, please" : "hello"))
			.settled;
	await runtime.send("telegram:4711", "tell me a story");
	await runtime.send("telegram:4711", "and another");
	await operator.emulateMedia({ colorScheme: "dark" });
	await operator.setViewportSize({ width: 1200, height: 560 });
	await operator.goto(shown.url);
	await operator.getByText("running 1").waitFor();
	await save(operator, "console-sessions");
} finally {
	await browser.close();
	await server.close();
	await shown.close();
	await runtime.close({ graceMs: 0 });
}

/** Talk in two columns; in the first, a reset while a slow answer streams, whose error comes late. */
async function converse(page: Page): Promise<void> {
	const column = (number: number) =>
		page.getByRole("region", { name: `Conversation ${number}`, exact: true });
	const type = async (number: number, text: string) => {
		const input = column(number).getByRole("textbox");
		await input.fill(text);
		await input.press("Enter");
	};
	const ended = (key: string) =>
		runtime.until(key, (row) => row?.hasActiveRun === false);
	await type(1, "hello");
	await runtime.until("web:1", (row) => row?.lastOutcome === "completed");
	await type(2, "a poem, please");
	await runtime.until("web:2", (row) => row?.lastOutcome === "completed");
	const heard = page.waitForResponse("**/slow?*");
	await page.getByRole("checkbox", { name: "Slow model" }).check();
	await heard;
	await type(1, "tell me a story");
	await column(1)
		.getByText(/ten thousand/)
		.waitFor();
	await type(1, "/new");
	await runtime.until("web:1", (row) => row?.generation === 2);
	await column(1)
		.getByText(/archived/)
		.waitFor();
	await ended("web:1");
	const over = page.waitForResponse("**/slow?*");
	await page.getByRole("checkbox", { name: "Slow model" }).uncheck();
	await over;
	await type(1, "hello again");
	await runtime.until("web:1", (row) => row?.lastOutcome === "completed");
	await type(2, "tell me a story");
	await column(2)
		.getByText(/ten thousand/)
		.waitFor();
	await type(2, "and then?");
	await column(2).getByText("1 queued").waitFor();
}

async function save(page: Page, name: string): Promise<void> {
	await page.screenshot({ path: join(folder, `${name}.png`) });
}
