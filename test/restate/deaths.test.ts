/** Replicas that die, or are cut off, while their runs go on: nothing that was accepted is lost, no two runs of a session go on at once. */
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { RunTicket, SessionRuntime } from "turnkeeper";
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

describe("a replica that is cut off in mid-run", () => {
	/** Who executes the run of a message, cut off. */
	async function cutOff(work: Work) {
		await start(2);
		const receipt = await runtime.send(key, work);
		const ticket = receipt.ticket as RunTicket;
		const replica = await replicas.executing(ticket);
		replicas.cut(replica);
		return { receipt, replica, ticket };
	}
	const next = { ms: 1, heeds: true };

	test("ends its run, and nothing begins before it has", async () => {
		const { receipt } = await cutOff(long);
		expect((await receipt.settled).outcome).toBe("interrupted");
		expect(await (await runtime.send(key, next)).settled).toMatchObject({
			outcome: "completed",
		});
		expect(overlaps(await replicas.history())).toEqual([]);
	}, 60_000);

	test("may end it well within the grace period: that counts", async () => {
		const { receipt, replica } = await cutOff({ ms: 600, heeds: false });
		expect(await receipt.settled).toMatchObject({
			outcome: "completed",
			output: `done by ${replica.process.pid}`,
		});
	}, 60_000);

	test("and goes on after that: the session goes on elsewhere, and what it returns changes nothing", async () => {
		const { receipt, replica, ticket } = await cutOff({
			ms: 4000,
			heeds: false,
		});
		expect((await receipt.settled).outcome).toBe("interrupted");
		await (await runtime.send(key, next)).settled;
		const before = await runtime.get(key);
		const hasEnded = async () =>
			(await replicas.history()).some(
				({ what, ticket: of }) =>
					what === "ended" && of?.runId === ticket.runId,
			);
		while (!(await hasEnded())) await pause(50);
		replicas.mend(replica);
		expect(await runtime.get(key)).toEqual(before);
		const late = { ...ticket, phase: "end" } as const;
		expect((await runtime.report(late)).verdict).toBe("duplicate");
		expect(await runtime.get(key)).toEqual(before);
		const { items } = await runtime.refusals({ sessionKey: key });
		expect(items).toMatchObject([{ verdict: "duplicate", report: late }]);
	}, 60_000);
});

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
