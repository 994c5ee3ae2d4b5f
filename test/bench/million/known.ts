/** Owns what a turn costs where many sessions are known and as many as ever are active. */
import { rateOf } from "../rounds.ts";
import type { Player } from "../workload.ts";
import { fileOf, knownKey } from "./file.ts";
import { hostOn, turnsOn } from "./host.ts";

export async function knownTurns(
	shared: string,
	known: number,
	active: number,
	roundMs: number,
): Promise<Player> {
	const host = hostOn(fileOf(shared, known));
	await host.start();
	const keys = Array.from({ length: active }, (_, i) =>
		knownKey(Math.floor((i * known) / active)),
	);
	return {
		async round() {
			const rate = await rateOf(roundMs, async () => {
				await turnsOn(host, keys);
				return keys.length;
			});
			return { cost: 1e6 / rate };
		},
		close: () => host.close(),
	};
}
