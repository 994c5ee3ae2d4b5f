/** Owns how long a start takes on a file where some sessions were left with a live run. */
import { sqliteStore } from "turnkeeper/sqlite";
import { mustBe, type Player } from "../workload.ts";
import { fileOf, knownKey } from "./file.ts";
import { hostOn } from "./host.ts";
import { patternOfTurn } from "./pattern.ts";

export async function boots(
	shared: string,
	known: number,
	unsettled: number,
): Promise<Player> {
	const path = fileOf(shared, known);
	const pattern = await patternOfTurn();
	const keys = Array.from({ length: unsettled }, (_, i) =>
		knownKey(Math.floor((i * known) / unsettled)),
	);
	/** As a process leaves them that dies while their runs are live. */
	async function leaveLive(): Promise<void> {
		await using store = await sqliteStore(path).open({ name: "bench" });
		const sessions = await Promise.all(
			keys.map(async (key) => pattern.live(key, await store.version(key))),
		);
		await store.commit({ sessions, refusals: [] });
		const left = await store.unsettled({ limit: 1000 });
		mustBe("unsettled sessions before the start", unsettled, left.items.length);
	}
	return {
		async round() {
			await leaveLive();
			const began = performance.now();
			const host = hostOn(path);
			await host.start();
			const took = performance.now() - began;
			for (const key of keys) {
				const row = await host.get(key);
				mustBe(`live runs of ${key}`, 0, row?.hasActiveRun ? 1 : 0);
			}
			await host.close();
			return { boot: took };
		},
		close: async () => {},
	};
}
