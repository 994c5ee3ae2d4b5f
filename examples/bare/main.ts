/**
 * Owns the smallest host there is: lines from standard input, `KEY TEXT` each, answered on standard output. `KEY /new` begins anew,
 * `KEY /stop` stops. No framework, no dependency but turnkeeper: `npm run start:bare`.
 */
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { createSessionRuntime, TurnkeeperError } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";

const { DB = "bare.db" } = process.env;

/** Your agent. It takes an AbortSignal, as anything does that may be told to stop. */
async function agent(text: string, signal: AbortSignal): Promise<string> {
	await pause(300, null, { signal });
	return `you said "${text}"`;
}

const runtime = createSessionRuntime<string, void>({
	store: sqliteStore(DB),
	execute: async (run) => {
		const answer = await agent(run.messages[0]?.input ?? "", run.signal);
		// Outward, so of this run or of nobody: one that was reset says nothing here.
		await run.deliver("answer", async () => {
			console.log(`${run.ticket.sessionKey}: ${answer}`);
		});
	},
});

async function obey(line: string): Promise<void> {
	const [, key, text] = /^(\S+)\s+(.+)$/.exec(line.trim()) ?? [];
	if (!key || !text) {
		console.log("say KEY TEXT, KEY /new or KEY /stop");
		return;
	}
	if (text === "/new") {
		const { result } = await runtime.reset(key, { reason: "/new" });
		console.log(`${key}: new session, ${result}`);
	} else if (text === "/stop") {
		const { result } = await runtime.abort(key, { reason: "/stop" });
		console.log(`${key}: stop, ${result}`);
	} else {
		const { disposition, settled } = await runtime.send(key, text);
		if (disposition === "queued") console.log(`${key}: queued`);
		const { outcome, error } = await settled;
		if (outcome !== "completed")
			console.log(`${key}: ${outcome}${error ? `, ${error}` : ""}`);
	}
}

await runtime.start();
const told: Promise<void>[] = [];
for await (const line of createInterface({ input: process.stdin }))
	told.push(
		obey(line).catch((error) => {
			if (!(error instanceof TurnkeeperError)) throw error;
			console.log(`${error.code}: ${error.message}`);
		}),
	);
await Promise.all(told);
await runtime.close();
