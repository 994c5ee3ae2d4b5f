/**
 * Durable turns per second beside plain XState: message → run → end on 1,000 sessions. Plain XState keeps nothing (idle → running with
 * a promise child → ended); turnkeeper commits every turn to SQLite at synchronous=full. Both in one process, in alternation; the
 * ratio of the medians is the figure, because machines differ and drift.
 *
 * npm run bench [-- --rounds 9 --turns 10 --sessions 1000]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Actor, createActor, fromPromise, setup } from "xstate";
import { createSessionRuntime, type SessionStore } from "../../src/index.ts";
import { memoryStore } from "../../src/memory.ts";
import { sqliteStore } from "../../src/sqlite.ts";

const { values } = parseArgs({
	options: {
		rounds: { type: "string", default: "9" },
		turns: { type: "string", default: "10" },
		sessions: { type: "string", default: "1000" },
		/** Also on the memory store, which shows what SQLite costs. */
		memory: { type: "boolean", default: false },
	},
});
const rounds = Number(values.rounds);
const turnsPerSession = Number(values.turns);
const sessions = Number(values.sessions);
const keys = Array.from({ length: sessions }, (_, i) => `session:${i}`);

const plainMachine = setup({
	types: { events: {} as { type: "message"; input: string } },
	actors: { run: fromPromise(async () => "done") },
}).createMachine({
	initial: "idle",
	states: {
		idle: { on: { message: "running" } },
		running: { invoke: { src: "run", onDone: "ended", onError: "ended" } },
		ended: { on: { message: "running" } },
	},
});

interface Contender {
	readonly name: string;
	/** One turn on every session. */
	round(): Promise<unknown>;
	close(): Promise<void>;
}

function plain(): Contender {
	let waiting = 0;
	let done = () => {};
	const actors: Actor<typeof plainMachine>[] = keys.map(() => {
		const actor = createActor(plainMachine);
		actor.subscribe((snapshot) => {
			if (snapshot.value !== "ended") return;
			waiting -= 1;
			if (waiting === 0) done();
		});
		return actor.start();
	});
	return {
		name: "plain XState, nothing kept",
		round: () =>
			new Promise<void>((resolve) => {
				waiting = actors.length;
				done = resolve;
				for (const actor of actors)
					actor.send({ type: "message", input: "hi" });
			}),
		close: async () => {
			for (const actor of actors) actor.stop();
		},
	};
}

async function turnkeeper(
	name: string,
	store: SessionStore,
): Promise<Contender> {
	const runtime = createSessionRuntime<string, string>({
		store,
		execute: async () => "done",
	});
	await runtime.start();
	return {
		name,
		round: () =>
			Promise.all(
				keys.map(async (key) => (await runtime.send(key, "hi")).settled),
			),
		close: () => runtime.close(),
	};
}

function median(numbers: readonly number[]): number {
	const sorted = [...numbers].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), "turnkeeper-bench-"));
try {
	const contenders = [
		plain(),
		await turnkeeper(
			"turnkeeper, SQLite synchronous=full",
			sqliteStore(join(folder, "bench.db"), { synchronous: "full" }),
		),
		...(values.memory
			? [await turnkeeper("turnkeeper, memory", memoryStore())]
			: []),
	];
	const rates = new Map(contenders.map((one) => [one, [] as number[]]));
	for (let round = -1; round < rounds; round++)
		for (const one of contenders) {
			const began = performance.now();
			for (let turn = 0; turn < turnsPerSession; turn++) await one.round();
			const took = (performance.now() - began) / 1000;
			// The first round warms up.
			if (round >= 0) rates.get(one)?.push((sessions * turnsPerSession) / took);
			if (process.stderr.isTTY)
				process.stderr.write(`\rround ${round + 1} of ${rounds}  `);
		}
	if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
	const base = median(rates.get(contenders[0] as Contender) ?? []);
	console.log(
		`${sessions} sessions, ${rounds} rounds of ${turnsPerSession} turns each, medians, Node ${process.version}`,
	);
	for (const [one, own] of rates)
		console.log(
			`${one.name.padEnd(38)} ${Math.round(median(own)).toString().padStart(7)} turns/s   ${(median(own) / base).toFixed(2)} of plain`,
		);
	for (const one of contenders) await one.close();
} finally {
	rmSync(folder, { recursive: true, force: true });
}
