/** Owns what a turn costs where many sessions are known and as many as ever are active. */
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
			let turns = 0;
			const began = performance.now();
			do {
				await turnsOn(host, keys);
				turns += keys.length;
			} while (performance.now() - began < roundMs);
			return { cost: ((performance.now() - began) / turns) * 1000 };
		},
		close: () => host.close(),
	};
}
