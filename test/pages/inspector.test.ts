/** The page of `createInspectorServer` in a browser, around an inspector of our own: that of Stately is on the network. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createWebSocketInspector } from "@statelyai/inspect";
import { createSessionRuntime } from "turnkeeper";
import { createInspectorServer, withoutContents } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";
import { describe, expect, onTestFinished, test } from "vitest";
import { executablePath, openPage } from "./browser.ts";

/** Says that it is there, as Stately's does, and lists what it is handed. */
const inspectorPage = `<!doctype html><ol></ol><script>
addEventListener("message", ({ data }) => {
	const one = document.createElement("li");
	one.textContent = data.type + " " + (data.name ?? "");
	document.querySelector("ol").append(one);
});
parent.postMessage({ type: "@statelyai.connected" }, "*");
</script>`;

async function serveInspector(): Promise<string> {
	const http = createServer((_, response) => {
		response.setHeader("content-type", "text/html");
		response.end(inspectorPage);
	}).listen(0, "127.0.0.1");
	await once(http, "listening");
	onTestFinished(() => {
		http.closeAllConnections();
		http.close();
	});
	return `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
}

// Without a chromium on the machine there is nothing to open a page in; CI installs one.
describe.skipIf(executablePath === null)("the page of the inspector", () => {
	async function start() {
		const server = await createInspectorServer({
			port: 0,
			inspector: await serveInspector(),
		});
		onTestFinished(() => server.close());
		return server;
	}

	test("hands the frame what happened before it was opened and what happens then, within its own policy", async () => {
		const server = await start();
		await using runtime = createSessionRuntime<string>({
			store: memoryStore(),
			execute: async () => "done",
		});
		await runtime.start();
		const inspector = createWebSocketInspector({
			url: server.socket,
			...withoutContents,
		});
		onTestFinished(() => inspector.stop());
		runtime.inspect(inspector.inspect);
		await (await runtime.send("chat:1", "hello")).settled;
		const { page, said } = await openPage(server.url);
		const frame = page.frameLocator("#inspector");
		await frame.getByText("@xstate.actor chat:1").waitFor();
		await frame.getByText("@xstate.actor generation 1").waitFor();
		await runtime.send("chat:2", "hello");
		await frame.getByText("@xstate.actor chat:2").waitFor();
		expect(said).toEqual([]);
		await server.close();
		await page.getByRole("status").getByText("The host has gone").waitFor();
	});

	test("that was opened without its token says what would have been right", async () => {
		const server = await start();
		const { page } = await openPage(new URL("/", server.url).href);
		await page
			.getByRole("status")
			.getByText("Open the whole address that the host printed")
			.waitFor();
	});
});
