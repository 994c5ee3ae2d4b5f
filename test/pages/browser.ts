/** Owns the browser of the tests of pages: the chromium of this machine, started once a file. Nothing is downloaded. */
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, onTestFinished } from "vitest";
import { executablePath } from "./chromium.ts";

export { executablePath };

let browser: Promise<Browser> | null = null;
afterAll(async () => {
	await (await browser)?.close();
});

/** A page of its own, with what its console and its errors said. */
export async function openPage(
	url: string,
): Promise<{ readonly page: Page; readonly said: readonly string[] }> {
	browser ??= chromium.launch({
		executablePath: executablePath as string,
		// What it opens are our own pages; containers have no namespaces for its sandbox.
		args: ["--no-sandbox"],
	});
	const context = await (await browser).newContext();
	onTestFinished(() => context.close());
	const page = await context.newPage();
	const said: string[] = [];
	page.on("console", (message) => said.push(message.text()));
	page.on("pageerror", ({ message }) => said.push(message));
	await page.goto(url);
	return { page, said };
}
