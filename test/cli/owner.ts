// A host that owns a store file until its standard input ends: one session has a live run, and another gets a message after every line
// that it is told. Says "ready" once it owns the file, and "done" after each line.
import { createInterface } from "node:readline";
import { createSessionRuntime } from "../../src/embedded.ts";
import { sqliteStore } from "../../src/sqlite.ts";

const [file = ""] = process.argv.slice(2);
await using runtime = createSessionRuntime({ store: sqliteStore(file) });
await runtime.start();
const run = await runtime.admit("live", {
	runId: "r-live",
	sessionId: "s-live",
});
await run.start({ startedAt: 1795363262930 });
console.log("ready");
let messages = 0;
for await (const _ of createInterface({ input: process.stdin })) {
	messages += 1;
	await runtime.reset(`chat:${messages}`, { reason: "x".repeat(2000) });
	console.log("done");
}
