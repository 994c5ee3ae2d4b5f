/**
 * A host that is meant to be killed: serves one SQLite file, says on standard output how far it is, a line each, and never ends by
 * itself. `node host.ts FILE SCENE`, SCENE one of run, reset, accept, lease.
 */
import { createSessionRuntime } from "../../src/index.ts";
import { sqliteStore } from "../../src/sqlite.ts";

const [file, scene] = process.argv.slice(2);
const say = (line: string) => process.stdout.write(`${line}\n`);

const runtime = createSessionRuntime<string, string>({
	store: sqliteStore(file as string),
	graceMs: 60_000,
	// Runs neither end nor heed their signal.
	execute: (run) => {
		say(`executing ${run.ticket.sessionKey}/${run.messages[0]?.messageId}`);
		return new Promise(() => {});
	},
});
await runtime.start();
// Accepted messages are said only once `send` has resolved: from then on they must survive.
const send = async (messageId: string) => {
	const { disposition } = await runtime.send("k", `text of ${messageId}`, {
		messageId,
	});
	say(`accepted ${messageId} ${disposition}`);
};
await send("m1");
await send("m2");
if (scene === "reset") {
	void runtime.reset("k", { sessionId: "fresh" });
	await runtime.until("k", (row) => row?.status === "resetting");
	say("resetting");
}
if (scene === "lease") {
	await runtime.admit("leased", { runId: "R", leaseMs: 3_600_000 });
	say("admitted R");
}
if (scene === "accept") {
	// The row is published after the commit and before the executor begins: that is the moment.
	runtime.subscribe((event) => {
		if (event.type === "row" && event.row.sessionKey === "other")
			process.kill(process.pid, "SIGKILL");
	});
	await runtime.send("other", "first", { messageId: "m1" });
}
setInterval(() => {}, 60_000);
