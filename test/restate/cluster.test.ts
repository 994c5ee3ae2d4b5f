/** Three Restate servers, of which one is killed under load; and the example that shows it, as it is started. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type SendReceipt, TurnkeeperError } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { expect, test } from "vitest";
import { Balancer } from "../../examples/cluster/balancer.ts";
import type { Work } from "../../examples/cluster/replica.ts";
import { goingOn, Replicas } from "../../examples/cluster/replicas.ts";
import { Servers } from "../../examples/cluster/servers.ts";
import { silent } from "../support/host.ts";

const execArgv = ["--import", "./test/support/own-name.ts"];

/** Until it is answered: a server that is killed takes the calls with it that it was about to answer. */
async function surely<Value>(call: () => Promise<Value>): Promise<Value> {
	for (;;)
		try {
			return await call();
		} catch (error) {
			if (!(error instanceof TurnkeeperError && error.code === "ENGINE_FAILED"))
				throw error;
			await pause(100);
		}
}

test("a server that is killed under load: what was accepted ends, once, and each session comes to rest", async () => {
	const folder = mkdtempSync(join(tmpdir(), "turnkeeper-cluster-"));
	await using servers = await Servers.start({ count: 3, partitions: 6 });
	await using doors = new Balancer();
	const ports = servers.all.map(({ ingress }) => Number(new URL(ingress).port));
	for (const port of ports) doors.add(port);
	const ingress = await doors.listen();
	await using replicas = new Replicas({
		ingress,
		history: join(folder, "history"),
		services: { graceMs: 2000 },
		execArgv,
	});
	await servers.register(await replicas.start(2));
	await using runtime = connectSessions<Work, string>({
		ingress,
		logger: silent,
	});
	await surely(() => runtime.start());
	const keys = Array.from({ length: 10 }, (_, i) => `discord:${i}`);
	const receipts: SendReceipt<string>[] = [];
	const talks = keys.map(async (key, i) => {
		for (let n = 0; n < 8; n++) {
			const work = { ms: 50 + ((i * 31 + n * 47) % 300), heeds: n % 2 === 0 };
			const messageId = `m${n}`;
			const receipt = await surely(() =>
				runtime.send(key, work, { messageId }),
			);
			receipts.push(receipt);
			if ((i + n) % 4 === 0)
				await surely(() => runtime.reset(key, { messageId: `new ${n}` }));
			else await receipt.settled;
		}
	});
	await pause(600);
	const [, , victim] = servers.all;
	doors.cut(ports[2] as number);
	await servers.kill(victim as (typeof servers.all)[number]);
	await Promise.all(talks);
	const ends = await Promise.all(receipts.map(({ settled }) => settled));
	expect(ends).toHaveLength(80);
	for (const { ticket } of ends) expect(ticket).not.toBeNull();
	for (const key of keys) {
		await surely(() => runtime.whenIdle(key));
		expect(await surely(() => runtime.get(key))).toMatchObject({
			activeRun: null,
			queued: 0,
			draining: 0,
		});
	}
	const history = await replicas.history();
	const overlaps: string[] = [];
	goingOn(history, (key, runs) => overlaps.push(`${key}: ${runs.join(", ")}`));
	expect(overlaps).toEqual([]);
	const begun = history
		.filter(({ what }) => what === "began")
		.map(({ ticket, messageIds }) => `${ticket?.sessionKey} ${messageIds}`);
	expect(begun.length).toBe(new Set(begun).size);
	await rm(folder, { recursive: true, force: true });
}, 120_000);

test("the example kills a replica and a server by itself, and counts", async () => {
	const child = spawn(
		process.execPath,
		[...execArgv, "examples/cluster/main.ts"],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	let said = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		said += text;
	});
	const [code] = await once(child, "exit");
	expect(code).toBe(0);
	expect(said).toContain("replicas  a DOWN   b up   c up");
	expect(said).toContain("servers   1 up   2 up   3 DOWN");
	expect(said).toContain("Sessions with two runs at once: 0");
	const [, accepted, ends] =
		/(\d+) messages accepted, ends: ([^;]*);[^;]*$/.exec(said) ?? [];
	const ended = [...(ends ?? "").matchAll(/\d+/g)].map(Number);
	expect(ended.reduce((sum, one) => sum + one, 0)).toBe(Number(accepted));
	expect(said).not.toMatch(/ended +[^\n]* on replica[^\n]*\n[^\n]*Sessions/);
}, 120_000);
