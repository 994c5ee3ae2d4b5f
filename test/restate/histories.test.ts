/**
 * Histories of clients that call at the same time, on a real Restate server: whatever came of the order of their calls, of the runs and of the
 * signals, each key's calls were answered as by a session that serves one call at a time. RUNS asks for so many other plays.
 */
import fc from "fast-check";
import type { JsonValue, ManagedRun, SessionRuntime } from "turnkeeper";
import { connectSessions } from "turnkeeper/restate";
import { checkHistory } from "turnkeeper/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Move, type Play, playedOn, plays } from "../histories/clients.ts";
import { silent } from "../support/host.ts";
import { type Server, serve, startServer } from "./server.ts";

const { RUNS, SEED } = process.env;
const seed = SEED ? Number(SEED) : RUNS ? Date.now() : 1;
/** Nothing is purged: how runs ended is read from their records when all is over, for there is no feed that tells it. */
function unpurged({ clients, works }: Play): Omit<Play, "faults"> {
	const keep = (move: Move): Move =>
		move.what === "delete" ? { ...move, a: 1 } : move;
	return { clients: clients.map((own) => own.map(keep)), works };
}

/** Plays that go on at the same time, each on keys of its own. */
const atOnce = 8;

let server: Server;
let endpoint: AsyncDisposable;
/** Executors of the plays that go on, by what their keys begin with. */
const executors = new Map<
	string,
	(run: ManagedRun<JsonValue>) => Promise<unknown>
>();

beforeAll(async () => {
	server = await startServer({ replays: true });
	endpoint = await serve<JsonValue, unknown, JsonValue>(server, {
		logger: silent,
		graceMs: 500,
		run: async (run) =>
			executors.get(run.ticket.sessionKey.split("/")[0] as string)?.(run),
	});
}, 60_000);

afterAll(async () => {
	await endpoint?.[Symbol.asyncDispose]();
	await server?.[Symbol.asyncDispose]();
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function verdictOn(play: Omit<Play, "faults">, name: string) {
	const keys = [`${name}/a`, `${name}/b`];
	let runtime: SessionRuntime<JsonValue>;
	const calls = await playedOn(play, keys, {
		async start(execute, recorder) {
			executors.set(name, recorder.executor(execute));
			runtime = connectSessions<JsonValue>({
				ingress: server.ingress,
				logger: silent,
			});
			return recorder.runtime(await runtime.start());
		},
		step: () => pause(Math.random() * 4),
		begin() {},
		async rested(recorder) {
			for (const key of keys) {
				const { items } = await runtime.runs(key, { limit: 1000 });
				for (const run of items.toReversed()) recorder.over(run);
			}
		},
		async drive(holds, hanging, most = 600) {
			for (let i = 0; i < most && !holds(); i++) {
				await pause(25);
				if (i % 10 !== 9) continue;
				for (const end of hanging) end();
				hanging.clear();
			}
		},
	});
	executors.delete(name);
	return checkHistory(calls);
}

test("calls on sessions of Restate can be put in one order a key that explains every answer", async () => {
	const all = fc.sample(plays(false), {
		numRuns: RUNS ? Number(RUNS) : 40,
		seed,
	});
	const left = [...all.entries()];
	const verdicts: string[] = [];
	await Promise.all(
		Array.from({ length: atOnce }, async () => {
			for (let next = left.shift(); next; next = left.shift()) {
				const [i, play] = next;
				const verdict = await verdictOn(unpurged(play), `play-${i}`);
				if (verdict.result !== "ordered")
					throw new Error(
						`play ${i} of seed ${seed}\n${verdict.explanation}\n${JSON.stringify(play)}`,
					);
				verdicts.push(verdict.result);
			}
		}),
	);
	expect(verdicts).toHaveLength(all.length);
}, 600_000);
