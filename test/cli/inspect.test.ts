import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, onTestFinished, test } from "vitest";
import { PageClient, until } from "../inspect/console-client.ts";
import { temporaryFile } from "../support/stores.ts";
import { startOwner } from "./beside.ts";
import { failure, start, turnkeeper, turnkeeperHere } from "./turnkeeper.ts";

/** Stands in for the page, which need not have been built. */
const source = `import { registerHooks } from "node:module";
const page = \`export const readConsolePage = async () => new Map([["/", { type: "text/html", body: "the page" }]]);\`;
registerHooks({
	load: (url, context, next) =>
		url.endsWith("/console-page.ts")
			? { format: "module", source: page, shortCircuit: true }
			: next(url, context),
});`;
const node = ["--import", `data:text/javascript,${encodeURIComponent(source)}`];

async function filled(): Promise<string> {
	const file = temporaryFile();
	await using runtime = createSessionRuntime({ store: sqliteStore(file) });
	await runtime.start();
	await runtime.reset("k");
	return file;
}

function inspect(...args: string[]) {
	const child = start(["inspect", "--port", "0", ...args], { node });
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	const lines = createInterface({ input: child.stdout })[
		Symbol.asyncIterator
	]();
	return {
		child,
		line: async () => String((await lines.next()).value),
		closed: once(child, "close"),
	};
}

test.each(["SIGINT", "SIGTERM"] as const)(
	"turnkeeper inspect serves a file beside its owner until %s, and says how",
	async (signal) => {
		const file = temporaryFile();
		const owner = await startOwner(file);
		const { child, line, closed } = inspect("--db", file);
		const url = await line();
		expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32}$/);
		expect(await line()).toBe(`${file} is only read; Ctrl-C ends this`);
		expect(await (await fetch(url)).text()).toBe("the page");
		const page = await PageClient.open(url);
		await page.readRows();
		expect([...page.lines.keys()]).toEqual(["live"]);
		await owner.write();
		await until(() => expect(page.lines.has("chat:1")).toBe(true));
		child.kill(signal);
		expect(await closed).toEqual([0, null]);
		await page.closed;
	},
);

test("--json says the url as JSON", async () => {
	const { child, line, closed } = inspect("--json", "--db", await filled());
	const { url } = JSON.parse(await line());
	expect((await fetch(url)).status).toBe(200);
	child.kill("SIGINT");
	expect(await closed).toEqual([0, null]);
});

test("a port that is taken is said, with what would have been right", async () => {
	const taken = createServer().listen(0, "127.0.0.1");
	await once(taken, "listening");
	onTestFinished(() => {
		taken.close();
	});
	const { port } = taken.address() as AddressInfo;
	expect(
		await turnkeeper(
			["inspect", "--db", await filled(), "--port", String(port)],
			{ node },
		),
	).toEqual(
		failure(
			1,
			`port ${port} of 127.0.0.1 is taken; --port 0 takes one that is free`,
		),
	);
});

test.each([
	[["--db", "x", "--port", "http"], 2, /^--port is "http"; it must be a whole/],
	[["--db", "x", "--port", "65536"], 2, /^--port is "65536"; it must be a /],
	[["--db", "x", "--host", ""], 2, /^--host is empty; it must be an address/],
] as const)("inspect %j cannot be", async (args, code, message) => {
	expect(await turnkeeperHere(["inspect", ...args])).toEqual(
		failure(code, message),
	);
});
