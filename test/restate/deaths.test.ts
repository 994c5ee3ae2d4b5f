/** Replicas that die, or are cut off, while their runs go on: nothing that was accepted is lost, no two runs of a session go on at once. */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SessionRuntime } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Noted, Work } from "../../examples/cluster/replica.ts";
import { goingOn, Replicas } from "../../examples/cluster/replicas.ts";
import { silent } from "../support/host.ts";
import { type Server, startServer } from "./server.ts";

let folder: string;
let server: Server;
let replicas: Replicas;
let runtime: SessionRuntime<Work, string>;

async function start(count: number, options: object = {}): Promise<void> {
	replicas = new Replicas({
		ingress: server.ingress,
		history: join(folder, "history"),
		services: { graceMs: 1000, ...options },
		execArgv: ["--import", "./test/support/own-name.ts"],
	});
	await server.register(await replicas.start(count));
	runtime = connectSessions<Work, string>({
		ingress: server.ingress,
		admin: server.admin,
		logger: silent,
	});
	await runtime.start();
}

/** Runs of one session that went on at the same time. */
function overlaps(history: readonly Noted[]): readonly string[] {
	const found: string[] = [];
	goingOn(history, (key, runs) => found.push(`${key}: ${runs.join(", ")}`));
	return found;
}

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), "turnkeeper-deaths-"));
	server = await startServer();
}, 60_000);

afterEach(async () => {
	await runtime?.close();
	await replicas?.[Symbol.asyncDispose]();
	await server?.[Symbol.asyncDispose]();
	await rm(folder, { recursive: true, force: true });
});

const key = "telegram:42";
const long = { ms: 60_000, heeds: true };

describe("a replica that is killed in mid-run", () => {
	test("leaves a run that is interrupted, and a session that answers", async () => {
		await start(2);
		const receipt = await runtime.send(key, long);
		const waits = await runtime.send(key, { ms: 1, heeds: true });
		await replicas.kill(await replicas.executing(receipt.ticket as never));
		expect(await receipt.settled).toMatchObject({
			outcome: "interrupted",
			error: "the process that executed it is gone",
		});
		expect((await waits.settled).outcome).toBe("completed");
		expect(overlaps(await replicas.history())).toEqual([]);
	}, 60_000);

	test("and is to be tried again: the next attempt has its message, elsewhere", async () => {
		await start(2, { recovery: { mode: "retry", maxAttempts: 3 } });
		const receipt = await runtime.send(key, { ms: 1500, heeds: true });
		await replicas.kill(await replicas.executing(receipt.ticket as never));
		expect(await receipt.settled).toMatchObject({
			outcome: "completed",
			ticket: { runId: receipt.ticket?.runId, attempt: 2 },
		});
		expect(overlaps(await replicas.history())).toEqual([]);
	}, 60_000);

	test("while a reset drains: the reset is answered, and the session is idle", async () => {
		await start(2);
		const receipt = await runtime.send(key, { ms: 60_000, heeds: false });
		const executing = await replicas.executing(receipt.ticket as never);
		const answer = runtime.reset(key, { graceMs: 5000 });
		await runtime.until(key, (row) => row?.status === "resetting");
		await replicas.kill(executing);
		expect(await answer).toMatchObject({
			result: "done",
			row: { generation: 2, status: "idle" },
			report: { drained: [{ stoppedBy: "reset" }], abandoned: [] },
		});
	}, 60_000);
});

test("a replica that is cut off: its run is told, what it returns changes nothing, and the session goes on elsewhere", async () => {
	await start(2);
	const receipt = await runtime.send(key, { ms: 1500, heeds: false });
	const cut = await replicas.executing(receipt.ticket as never);
	replicas.cut(cut);
	expect((await receipt.settled).outcome).toBe("interrupted");
	const next = await runtime.send(key, { ms: 1, heeds: true });
	expect(await next.settled).toMatchObject({ outcome: "completed" });
	const before = await runtime.get(key);
	// The old run goes on to its end, and nobody hears of it.
	while (
		!(await replicas.history()).some(
			({ what, ticket }) =>
				what === "ended" && ticket?.runId === receipt.ticket?.runId,
		)
	)
		await new Promise((resolve) => setTimeout(resolve, 50));
	replicas.mend(cut);
	const told = (await replicas.history()).filter(({ what }) => what === "told");
	expect(told.map(({ ticket }) => ticket?.runId)).toEqual([
		receipt.ticket?.runId,
	]);
	expect(await runtime.get(key)).toEqual(before);
	const late = { ...(receipt.ticket as object), phase: "end" };
	expect((await runtime.report(late as never)).verdict).toBe("duplicate");
	expect(await runtime.get(key)).toEqual(before);
}, 60_000);

test("replicas that die again and again: nothing that was accepted is lost, each session settles", async () => {
	await start(3);
	const keys = Array.from({ length: 12 }, (_, i) => `slack:${i}`);
	let isOver = false;
	const deaths = (async () => {
		while (!isOver) {
			await new Promise((resolve) => setTimeout(resolve, 300));
			const [victim] = replicas.all;
			if (!victim) continue;
			await replicas.kill(victim);
			await replicas.add();
		}
	})();
	const ends = await Promise.all(
		keys.map(async (one, i) => {
			const outcomes: string[] = [];
			for (let n = 0; n < 6; n++) {
				const receipt = await runtime.send(
					one,
					{ ms: 20 + ((i * 7 + n * 13) % 60), heeds: n % 2 === 0 },
					{ messageId: `m${n}` },
				);
				// The same message again runs nothing.
				await runtime.send(
					one,
					{ ms: 20 + ((i * 7 + n * 13) % 60), heeds: n % 2 === 0 },
					{ messageId: `m${n}` },
				);
				if ((i + n) % 3 === 0) await runtime.reset(one);
				outcomes.push((await receipt.settled).outcome);
			}
			return outcomes;
		}),
	);
	isOver = true;
	await deaths;
	await runtime.whenIdle();
	expect(ends.flat()).toHaveLength(72);
	const history = await replicas.history();
	expect(overlaps(history)).toEqual([]);
	const begun = history
		.filter(({ what }) => what === "began")
		.map(({ ticket, messageIds }) => `${ticket?.sessionKey} ${messageIds}`);
	expect(begun.length).toBe(new Set(begun).size);
	for (const one of keys) {
		const row = await runtime.get(one);
		expect(row).toMatchObject({ activeRun: null, queued: 0, draining: 0 });
		expect(["idle", "ended", "failed"]).toContain(row?.status);
	}
}, 120_000);
