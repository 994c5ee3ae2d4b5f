/**
 * What an open console costs its host: durable turns per second (message → run → end on 1,000 sessions, SQLite at synchronous=full)
 * with a page open that shows all sessions and watches one, beside the same without a page, in one process and in alternation; the page
 * is in a process of its own. Once with a watched session of the thousand, and once with one beside them that has a long history and gets
 * 50 events a second. The ratio of the medians is the figure.
 *
 * npm run bench:console [-- --rounds 9 --turns 10 --sessions 1000]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { createSessionRuntime, type EmbeddedRuntime } from "../../src/index.ts";
import { serveConsole } from "../../src/inspect/console-server.ts";
import { RuntimeSource } from "../../src/inspect/runtime-source.ts";
import { consoleLogger } from "../../src/logger.ts";
import { sqliteStore } from "../../src/sqlite.ts";

const { values } = parseArgs({
	options: {
		rounds: { type: "string", default: "9" },
		/** So many that opening the page is no large part of a round. */
		turns: { type: "string", default: "50" },
		sessions: { type: "string", default: "1000" },
	},
});
const rounds = Number(values.rounds);
const turns = Number(values.turns);
const keys = Array.from(
	{ length: Number(values.sessions) },
	(_, i) => `session:${i}`,
);
const busy = "busy";
const eventsPerSecond = 50;

type Runtime = EmbeddedRuntime<string, string>;

/** Turns per second. */
async function load(runtime: Runtime): Promise<number> {
	const began = performance.now();
	for (let turn = 0; turn < turns; turn++)
		await Promise.all(
			keys.map(async (key) => (await runtime.send(key, "hi")).settled),
		);
	return (keys.length * turns) / ((performance.now() - began) / 1000);
}

/** As much as the console shows of a session, and more. */
async function history(runtime: Runtime): Promise<void> {
	for (let generation = 1; generation <= 60; generation++) {
		for (let i = 0; i < 6; i++) {
			const run = await runtime.admit(busy);
			await run.append({ role: "user", text: "what is the weather?" });
			await run.end({ usage: { inputTokens: 10 } });
			await runtime.report({ ...run.ticket, phase: "error", error: "late" });
		}
		await runtime.reset(busy, { reason: "/new" });
	}
}

/** A session that is never quiet; what it gives back ends it. */
async function events(runtime: Runtime): Promise<() => Promise<void>> {
	const run = await runtime.admit(busy);
	let last: Promise<unknown> = run.start();
	let count = 0;
	const timer = setInterval(() => {
		count += 1;
		if (count % 10 === 0) run.usage({ outputTokens: 10 });
		else last = run.append({ role: "assistant", text: `word ${count}` });
	}, 1000 / eventsPerSecond);
	return async () => {
		clearInterval(timer);
		await last;
		await run.end();
		await runtime.reset(busy, { reason: "/new" });
	};
}

const child = spawn(
	process.execPath,
	[join(import.meta.dirname, "console-page.ts")],
	{ stdio: ["pipe", "pipe", "inherit"] },
);
const answers = createInterface({ input: child.stdout })[
	Symbol.asyncIterator
]();
async function tell(line: string): Promise<string> {
	child.stdin.write(`${line}\n`);
	return String((await answers.next()).value);
}

function median(numbers: readonly number[]): number {
	const sorted = [...numbers].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), "turnkeeper-bench-"));
try {
	const runtime: Runtime = createSessionRuntime<string, string>({
		store: sqliteStore(join(folder, "bench.db"), { synchronous: "full" }),
		execute: async () => "done",
	});
	await runtime.start();
	await history(runtime);
	writeFileSync(join(folder, "index.html"), "");
	const console_ = await serveConsole(new RuntimeSource(runtime), {
		port: 0,
		host: "127.0.0.1",
		logger: consoleLogger,
		folder,
	});
	console.log(
		`${keys.length} sessions, ${rounds} rounds of ${turns} turns each, medians of turns/s, Node ${process.version}`,
	);
	for (const [name, watched] of [
		["watching one of them", keys[0]],
		[`watching another, ${eventsPerSecond} events/s`, busy],
	] as const) {
		const rates = { with: [] as number[], without: [] as number[] };
		let said = "";
		for (let round = -1; round < rounds; round++)
			for (const page of ["without", "with"] as const) {
				if (page === "with") await tell(`${console_.url} ${watched}`);
				const stop = watched === busy ? await events(runtime) : null;
				const rate = await load(runtime);
				await stop?.();
				if (page === "with") said = await tell("");
				// The first round warms up.
				if (round >= 0) rates[page].push(rate);
				if (process.stderr.isTTY)
					process.stderr.write(`\rround ${round + 1} of ${rounds}  `);
			}
		if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
		const [open, none] = [median(rates.with), median(rates.without)];
		console.log(
			`${name.padEnd(34)} page ${Math.round(open)}, none ${Math.round(none)}: ${(open / none).toFixed(2)}   (told ${said} so far)`,
		);
	}
	await console_.close();
	await runtime.close();
} finally {
	child.kill();
	rmSync(folder, { recursive: true, force: true });
}
