import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { createWebSocketReceiver } from "@statelyai/inspect";
import { expect, onTestFinished, test } from "vitest";

const main = new URL("../../examples/inspector/main.ts", import.meta.url);
const ownName = new URL("../support/own-name.ts", import.meta.url);

test("the example of the inspector prints a page, shows its sessions there, and ends when it is told to", async () => {
	const host = spawn(
		process.execPath,
		["--import", ownName.href, main.pathname],
		{
			env: { ...process.env, PORT: "0" },
			stdio: ["ignore", "pipe", "inherit"],
		},
	);
	onTestFinished(() => {
		host.kill("SIGKILL");
	});
	const [line] = (await once(
		createInterface({ input: host.stdout }),
		"line",
	)) as [string];
	const url = line.replace(/^Open /, "");
	expect((await fetch(url)).status).toBe(200);
	const name = new Promise<string>((resolve) =>
		createWebSocketReceiver({
			server: url.replace(/^http/, "ws"),
		}).subscribe((event) => {
			if (event.type === "@xstate.actor") resolve(event.name);
		}),
	);
	expect(await name).toMatch(/^chat:\d$/);
	host.kill("SIGTERM");
	expect(await once(host, "close")).toEqual([0, null]);
});
