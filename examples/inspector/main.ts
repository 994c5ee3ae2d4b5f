/**
 * Owns a small host that is shown in Stately's inspector: messages come, an answer takes a while, and now and then somebody begins anew in
 * the middle of one.
 */
import { setTimeout as pause } from "node:timers/promises";
import { createWebSocketInspector } from "@statelyai/inspect";
import { createSessionRuntime } from "turnkeeper";
import { createInspectorServer, withoutContents } from "turnkeeper/inspect";
import { memoryStore } from "turnkeeper/memory";

await using runtime = createSessionRuntime<string>({
	store: memoryStore(),
	execute: async (run) => {
		await pause(2000, null, { signal: run.signal });
		return "done";
	},
});
await runtime.start();

const server = await createInspectorServer({
	port: Number(process.env.PORT ?? 8080),
});
// What a host adds:
const inspector = createWebSocketInspector({
	url: server.socket,
	...withoutContents,
});
runtime.inspect(inspector.inspect);

console.log(`Open ${server.url}\nCtrl-C ends it.`);

const over = new AbortController();
process.once("SIGINT", () => over.abort());
process.once("SIGTERM", () => over.abort());
for (let i = 1; !over.signal.aborted; i++) {
	await runtime.send(`chat:${i % 3}`, "hello");
	if (i % 4 === 0) await runtime.reset(`chat:${i % 3}`, { reason: "/new" });
	await pause(1000, null, { signal: over.signal }).catch(() => {});
}
inspector.stop();
await server.close();
