/** `createConsole` as hosts call it, and the files of its page. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSessionRuntime } from "turnkeeper";
import { createConsole } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { expect, onTestFinished, test, vi } from "vitest";
import { readConsolePage } from "../../src/inspect/console-page.ts";
import { silent } from "../support/host.ts";
import { codeOf } from "../support/scripted-host.ts";
import { PageClient, pageFolder } from "./console-client.ts";

// Whether the page has been built in this checkout makes no difference.
vi.mock(import("../../src/inspect/console-page.ts"), async (original) => {
	const { readConsolePage } = await original();
	return {
		readConsolePage: (folder) => readConsolePage(folder ?? pageFolder()),
	};
});

test("a host opens a console of its runtime, and the page talks to it", async () => {
	const runtime = createSessionRuntime({
		store: memoryStore(),
		logger: silent,
	});
	onTestFinished(() => runtime.close());
	const console = await createConsole(runtime, { port: 0, logger: silent });
	onTestFinished(() => console.close());
	expect(console.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32}$/);
	expect((await fetch(console.url)).status).toBe(200);
	await runtime.start();
	await runtime.reset("k");
	const page = await PageClient.open(console.url);
	await page.readRows();
	expect([...page.lines.keys()]).toEqual(["k"]);
	const { port } = new URL(console.url);
	expect(await codeOf(createConsole(runtime, { port: Number(port) }))).toBe(
		"EADDRINUSE",
	);
	for (const options of [{ port: -1 }, { port: 1.5 }, { host: "" }])
		expect(await codeOf(createConsole(runtime, options))).toBe(
			"INVALID_ARGUMENT",
		);
});

test("a page that has not been built is said, with what builds it", async () => {
	const empty = mkdtempSync(join(tmpdir(), "turnkeeper-test-"));
	onTestFinished(() => rmSync(empty, { recursive: true }));
	for (const folder of [empty, join(empty, "none")])
		await expect(readConsolePage(folder)).rejects.toThrow(
			`the console's page is not in ${folder}; the package has it there, so leave turnkeeper out of a bundle; in a checkout, \`npm run build\` makes it`,
		);
});
