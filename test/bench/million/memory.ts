/** Owns what a process weighs that has used many sessions, of which so many stay resident. */
import { mustBe, type Player } from "../workload.ts";
import { fileOf, knownKey } from "./file.ts";
import { hostOn, turnsOn } from "./host.ts";

const megabyte = 2 ** 20;

export async function residentMemory(
	shared: string,
	known: number,
	resident: number,
): Promise<Player> {
	const before = process.memoryUsage.rss() / megabyte;
	const host = hostOn(fileOf(shared, known), resident);
	await host.start();
	let used = 0;
	return {
		/** Uses as many sessions as may be resident, and none twice before all were used. */
		async round() {
			const keys = Array.from({ length: resident }, (_, i) =>
				knownKey((used + i) % known),
			);
			used += resident;
			await turnsOn(host, keys);
			mustBe("resident sessions", resident, host.stats().resident);
			return { rss: process.memoryUsage.rss() / megabyte, before };
		},
		close: () => host.close(),
	};
}
