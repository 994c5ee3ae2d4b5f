/** Promise 6 and 3: what was accepted survives kill -9, and no row says running without an owner. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
	createSessionRuntime,
	type JsonValue,
	type RuntimeOptions,
} from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import { silent } from "../support/host.ts";
import { temporaryFile } from "../support/stores.ts";

const host = fileURLToPath(new URL("./host.ts", import.meta.url));

/** Starts a host on a file, kills it as soon as it says `last`, and resolves with all that it said. */
async function killedAt(
	file: string,
	scene: string,
	last: (line: string) => boolean,
): Promise<readonly string[]> {
	const child: ChildProcess = spawn(process.execPath, [host, file, scene], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	const said: string[] = [];
	const lines = createInterface({
		input: child.stdout as NodeJS.ReadableStream,
	});
	for await (const line of lines) {
		said.push(line);
		if (last(line)) child.kill("SIGKILL");
	}
	return said;
}

async function successor(
	file: string,
	options: Partial<RuntimeOptions<string, string, JsonValue>> = {},
) {
	const taken: string[] = [];
	const runtime = createSessionRuntime<string, string>({
		store: sqliteStore(file, { lockTimeoutMs: 5000 }),
		logger: silent,
		execute: (run) => {
			taken.push(`${run.ticket.sessionKey}/${run.messages[0]?.messageId}`);
			return "done";
		},
		...options,
	});
	onTestFinished(() => runtime.close());
	return { runtime: await runtime.start(), taken };
}

describe("kill -9", () => {
	test("during a run: it is reported interrupted, not repeated, and the line goes on", async () => {
		const file = temporaryFile();
		await killedAt(file, "run", (line) => line === "accepted m2 queued");
		const reader = await sqliteStore(file).read();
		const left = await reader.load("k");
		await reader[Symbol.asyncDispose]();
		expect(left?.facts.run).not.toBeNull();
		const { runtime, taken } = await successor(file);
		await runtime.whenIdle();
		expect(taken).toEqual(["k/m2"]);
		expect(await runtime.get("k")).toMatchObject({
			status: "ended",
			lastOutcome: "completed",
			queued: 0,
		});
		expect((await runtime.runs("k")).items).toMatchObject([
			{ outcome: "completed", messageIds: ["m2"] },
			{ outcome: "interrupted", messageIds: ["m1"] },
		]);
	});

	test("during a run, with recovery by retry: the same run again, before what waits", async () => {
		const file = temporaryFile();
		await killedAt(file, "run", (line) => line === "accepted m2 queued");
		const { runtime, taken } = await successor(file, {
			recovery: { mode: "retry", maxAttempts: 2 },
		});
		await runtime.whenIdle();
		expect(taken).toEqual(["k/m1", "k/m2"]);
		const [second, again, dead] = (await runtime.runs("k")).items;
		expect([second, again, dead]).toMatchObject([
			{ attempt: 1, outcome: "completed", messageIds: ["m2"] },
			{ attempt: 2, outcome: "completed", messageIds: ["m1"] },
			{ attempt: 1, outcome: "interrupted", messageIds: ["m1"] },
		]);
		expect(again?.runId).toBe(dead?.runId);
	});

	test("during a host-driven run with a lease: it lives on, and ends by its report", async () => {
		const file = temporaryFile();
		await killedAt(file, "lease", (line) => line === "admitted R");
		const { runtime, taken } = await successor(file);
		expect(await runtime.get("leased")).toMatchObject({
			status: "running",
			activeRun: { runId: "R", attempt: 1 },
		});
		expect(await runtime.report({ runId: "R", phase: "end" })).toMatchObject({
			verdict: "applied",
			row: { lastOutcome: "completed" },
		});
		await runtime.whenIdle();
		expect(taken).not.toContain("k/m1");
	});

	test("during a reset: the new generation stands, the old run is settled, the line goes on in it", async () => {
		const file = temporaryFile();
		await killedAt(file, "reset", (line) => line === "resetting");
		const { runtime, taken } = await successor(file);
		await runtime.whenIdle();
		expect(taken).toEqual(["k/m2"]);
		expect(await runtime.get("k")).toMatchObject({
			sessionId: "fresh",
			generation: 2,
			status: "ended",
			draining: 0,
		});
		expect((await runtime.archive("k")).items).toMatchObject([
			{
				generation: 1,
				endedBy: "reset",
				row: { hasActiveRun: false, status: "ended" },
				runs: [{ messageIds: ["m1"], outcome: "aborted", stoppedBy: "reset" }],
			},
		]);
	});

	test("between accept and start: nothing accepted is lost, and a repeated id is a duplicate", async () => {
		const file = temporaryFile();
		const said = await killedAt(file, "accept", () => false);
		expect(said).not.toContain("executing other/m1");
		const { runtime } = await successor(file);
		await runtime.whenIdle();
		const again = await runtime.send("other", "first", { messageId: "m1" });
		expect(again.disposition).toBe("duplicate");
		expect(await again.settled).toMatchObject({ outcome: "interrupted" });
		for (const row of (await runtime.list()).items) {
			expect(row.hasActiveRun).toBe(false);
			expect(row.queued).toBe(0);
		}
	});
});
