/**
 * Histories of clients that call at the same time: whatever the scheduler makes of the order of what the runtime awaits, each key's calls
 * were answered as by a session that serves one call at a time. A failing play prints its seed and path, which replay it:
 * SEED=17 npx vitest run test/histories/concurrent.test.ts
 */
import fc from "fast-check";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { checkHistory } from "turnkeeper/testing";
import { expect, test } from "vitest";
import { temporaryFile } from "../support/stores.ts";
import { played, plays } from "./clients.ts";

const { SEED, FC_PATH, RUNS } = process.env;
const replay = {
	...(SEED ? { seed: Number(SEED) } : {}),
	...(FC_PATH ? { path: FC_PATH } : {}),
};

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
				...replay,
			},
		);
	}, 90_000);
