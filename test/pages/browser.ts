/** Owns the browser of the tests of pages: the chromium of this machine, started once a file. Nothing is downloaded. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, onTestFinished } from "vitest";

/** Where it is; null if there is none, and then pages cannot be tested here. */
export const executablePath = found([
	"chromium",
	"chromium-browser",
	"google-chrome",
]);

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

function found(names: readonly string[]): string | null {
	for (const folder of (process.env.PATH ?? "").split(delimiter))
		for (const name of names)
			try {
				const path = join(folder, name);
				accessSync(path, constants.X_OK);
				return path;
			} catch {
				// Another folder may have it.
			}
	return null;
}
