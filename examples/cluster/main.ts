/**
 * Owns the cluster: `npm run start:cluster`. Three Restate servers and three replicas of a host on loopback, conversations that go on, a
 * printout of who runs what, and a key to kill each. Without a terminal it kills a replica and a server by itself, and ends.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connectSessions } from "turnkeeper/restate";
import { Balancer } from "./balancer.ts";
import type { Work } from "./replica.ts";
import { goingOn, type Replica, Replicas } from "./replicas.ts";
import { Servers } from "./servers.ts";

const keys = ["ada", "bob", "cleo", "dan", "eve", "finn"];
const isTerminal = process.stdin.isTTY === true;

console.log("Three Restate servers begin. That takes a few seconds.");
const folder = await mkdtemp(join(tmpdir(), "turnkeeper-cluster-"));
await using servers = await Servers.start({ count: 3, partitions: 6 });
await using doors = new Balancer();
for (const { ingress } of servers.all) doors.add(Number(new URL(ingress).port));
const ingress = await doors.listen();
await using replicas = new Replicas({
	ingress,
	history: join(folder, "history"),
	services: { graceMs: 2000, recovery: { mode: "retry", maxAttempts: 3 } },
});
await servers.register(await replicas.start(3));
await using runtime = await connectSessions<Work, string>({ ingress }).start();

const slots: (Replica | null)[] = [...replicas.all];
const counts = { accepted: 0, again: 0, ends: new Map<string, number>() };
let isOver = false;

/** Until it is answered: a server that is killed takes the calls with it that it was about to answer. An id makes that harmless. */
async function surely<Value>(call: () => Promise<Value>): Promise<Value> {
	for (;;)
		try {
			return await call();
		} catch {
			counts.again += 1;
			await pause(200);
		}
}

/** One conversation: a message after the other, now and then a reset in mid-run. */
async function talk(key: string): Promise<void> {
	for (let n = 0; !isOver; n++) {
		const work = {
			ms: 200 + Math.random() * 1500,
			heeds: Math.random() < 0.8,
		};
		const messageId = `message ${n}`;
		const { settled } = await surely(() =>
			runtime.send(key, work, { messageId }),
		);
		counts.accepted += 1;
		if (Math.random() < 0.2)
			await surely(() => runtime.reset(key, { messageId: `reset ${n}` }));
		const { outcome } = await settled;
		counts.ends.set(outcome, (counts.ends.get(outcome) ?? 0) + 1);
	}
}

async function toggleReplica(i: number): Promise<void> {
	const replica = slots[i];
	if (replica) {
		slots[i] = null;
		await replicas.kill(replica);
	} else slots[i] = await replicas.add();
}

async function toggleServer(i: number): Promise<void> {
	const server = servers.all[i];
	if (!server) return;
	const port = Number(new URL(server.ingress).port);
	if (servers.running.includes(server)) {
		doors.cut(port);
		await servers.kill(server);
	} else {
		await servers.begin(server);
		doors.add(port);
	}
}

async function print(): Promise<void> {
	const going = goingOn(await replicas.history());
	const lines = keys.map(async (key) => {
		const row = await runtime.get(key).catch(() => null);
		const runs = [...(going.get(key) ?? [])].map(
			([run, pid]) => `${run} on ${nameOf(pid)}`,
		);
		const { generation = "?", status = "not known just now" } = row ?? {};
		return `  ${key.padEnd(6)} generation ${String(generation).padEnd(4)} ${status.padEnd(12)} ${runs.join(", ")}`;
	});
	const up = (name: string, isUp: boolean) => `${name} ${isUp ? "up" : "DOWN"}`;
	const shown = [
		`servers   ${servers.all.map((one, i) => up(String(i + 1), servers.running.includes(one))).join("   ")}`,
		`replicas  ${slots.map((one, i) => up("abc"[i] as string, one !== null)).join("   ")}`,
		...(await Promise.all(lines)),
		`  ${counts.accepted} messages accepted, ends: ${[...counts.ends].map((one) => one.join(" ")).join(", ")}; ${counts.again} calls made again`,
	];
	if (isTerminal) console.clear();
	console.log(shown.join("\n"));
	if (isTerminal)
		console.log("\n1 2 3: kill or start a server   a b c: a replica   q: end");
}

function nameOf(pid: number): string {
	const i = slots.findIndex((one) => one?.process.pid === pid);
	return i === -1 ? `process ${pid}` : `replica ${"abc"[i]}`;
}

const talks = keys.map(talk);
if (isTerminal) {
	process.stdin.setRawMode(true);
	const quit = Promise.withResolvers<void>();
	process.stdin.on("data", (data) => {
		const key = data.toString();
		if (key === "q" || key === "\u0003") quit.resolve();
		else if ("123".includes(key)) void toggleServer(Number(key) - 1);
		else if ("abc".includes(key)) void toggleReplica("abc".indexOf(key));
	});
	const timer = setInterval(() => void print(), 500);
	await quit.promise;
	clearInterval(timer);
	process.stdin.setRawMode(false);
	process.stdin.unref();
} else {
	for (const step of [
		() => {},
		() => toggleReplica(0),
		() => toggleReplica(0),
		() => toggleServer(2),
		() => toggleServer(2),
	]) {
		await step();
		await pause(3000);
		await print();
	}
}
isOver = true;
await Promise.all(talks);
await print();
const overlaps: string[] = [];
goingOn(await replicas.history(), (key) => overlaps.push(key));
console.log(`Sessions with two runs at once: ${overlaps.length}`);
await rm(folder, { recursive: true, force: true });
