/**
 * Histories of clients that call at the same time: whatever the scheduler makes of the order of what the runtime awaits, each key's calls
 * were answered as by a session that serves one call at a time. The plays are the same every time, so that a change is judged by its own
 * doing; RUNS asks for so many others, and a play that fails prints its seed and path, which replay it:
 *
 *     RUNS=5000 npx vitest run test/histories
 *     SEED=17 FC_PATH=118:30 npx vitest run test/histories
 */
import fc from "fast-check";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { checkHistory } from "turnkeeper/testing";
import { expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";
import { played, plays } from "./clients.ts";

const { SEED, FC_PATH, RUNS } = process.env;
const seed = SEED ? Number(SEED) : RUNS ? Date.now() : 1;
const chosen = FC_PATH ? { seed, path: FC_PATH } : { seed };

for (const [name, keys, hasFaults, runs, makeStore] of [
	["on one key", 1, false, 150, () => memoryStore()],
	["on three keys", 3, false, 50, () => memoryStore()],
	["with commits that fail", 2, true, 150, () => memoryStore()],
	["on SQLite", 2, true, 15, () => sqliteStore(temporaryFile())],
] as const)
	test(`calls ${name} can be put in one order a key that explains every answer`, async () => {
		await fc.assert(
			fc.asyncProperty(fc.scheduler(), plays(hasFaults), async (s, play) => {
				const calls = await played(play, s, makeStore(), { keys });
				const verdict = checkHistory(calls);
				if (verdict.result !== "ordered") throw new Error(verdict.explanation);
				expect(verdict.result).toBe("ordered");
			}),
			{
				numRuns: RUNS ? Number(RUNS) : runs,
				interruptAfterTimeLimit: 60_000,
				...chosen,
			},
		);
	}, 90_000);
