/** Owns how long a caller waits: for the reset of an idle session, and under half load for a message to be accepted; one fsync beside it. */
import { FsyncProbe } from "../fsync.ts";
import { median, quantile } from "../statistics.ts";
import type { StoreKind } from "../store.ts";
import { mustBe, type Player } from "../workload.ts";
import { LoadedHost } from "./load.ts";

const fsyncs = 300;

function shown(took: readonly number[], synced: readonly number[]) {
	return {
		p99: quantile(took, 0.99),
		fsync: quantile(synced, 0.99),
		median: median(took),
		fsyncMedian: median(synced),
	};
}

/** One at a time, and an fsync between any two. */
export async function resets(
	kind: StoreKind,
	folder: string,
	each: number,
	warmMs: number,
): Promise<Player> {
	const host = await LoadedHost.start(kind, folder, warmMs);
	const probe = new FsyncProbe(folder);
	let said = 0;
	return {
		async round() {
			const took: number[] = [];
			const synced: number[] = [];
			for (let i = 0; i < each; i++) {
				const key = host.keys[i % host.keys.length] as string;
				const began = performance.now();
				const { result } = await host.runtime.reset(key, { reason: "/new" });
				took.push(performance.now() - began);
				if (result !== "done") throw new Error(`${key}: ${result}, not done`);
				synced.push(probe.once());
			}
			said += each;
			return shown(took, synced);
		},
		async close() {
			let ended = 0;
			for (const key of host.keys)
				ended += ((await host.runtime.get(key))?.generation ?? 1) - 1;
			mustBe("generations that ended", said, ended);
			probe.close();
			await host.close();
		},
	};
}

/** The fsyncs come behind the load, when nobody else writes. */
export async function sends(
	kind: StoreKind,
	folder: string,
	roundMs: number,
): Promise<Player> {
	const host = await LoadedHost.start(kind, folder, roundMs / 2);
	const probe = new FsyncProbe(folder);
	return {
		async round() {
			const took = await host.halfLoad(roundMs);
			const synced = Array.from({ length: fsyncs }, () => probe.once());
			return {
				...shown(took, synced),
				load: (took.length / roundMs) * 1000,
			};
		},
		async close() {
			probe.close();
			await host.close();
		},
	};
}
