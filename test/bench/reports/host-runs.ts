/** Owns runs that the host drives: admitted, started and ended, each call awaited. */
import { createSessionRuntime } from "turnkeeper";
import { keysOf } from "../contender.ts";
import { rateOf } from "../rounds.ts";
import { type StoreKind, storeOf } from "../store.ts";
import { mustBe, type Player } from "../workload.ts";

export async function hostRuns(
	kind: StoreKind,
	folder: string,
	sessions: number,
	roundMs: number,
): Promise<Player> {
	const { store } = await storeOf(kind, folder);
	const runtime = createSessionRuntime({ store });
	await runtime.start();
	const keys = keysOf(sessions);
	let applied = 0;
	let said = 0;
	async function hostRun(key: string): Promise<void> {
		const run = await runtime.admit(key);
		const started = await run.start();
		const ended = await run.end();
		for (const { verdict } of [started, ended])
			if (verdict === "applied") applied += 1;
	}
	return {
		round: async () => ({
			events: await rateOf(roundMs, async () => {
				await Promise.all(keys.map(hostRun));
				said += 2 * keys.length;
				return 3 * keys.length;
			}),
		}),
		async close() {
			mustBe("reports that were applied", said, applied);
			for (const key of keys) {
				const row = await runtime.get(key);
				if (row?.status !== "ended")
					throw new Error(`${key} is ${row?.status}, not ended`);
			}
			await runtime.close();
		},
	};
}
