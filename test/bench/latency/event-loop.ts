/** Owns how late a host's event loop is under half load, and while nothing is asked of it. */

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import type { StoreKind } from "../store.ts";
import type { Player } from "../workload.ts";
import { LoadedHost } from "./load.ts";
import { slowFsyncMs } from "./slow.ts";

/** `idle`: the host is there, on a store in its process, and nobody asks it anything. */
export async function eventLoopDelay(
	kind: StoreKind,
	isIdle: boolean,
	folder: string,
	roundMs: number,
): Promise<Player> {
	const host = await LoadedHost.start(kind, folder, roundMs / 2);
	return {
		async round() {
			// As fine as it can be: what it tells includes its own interval.
			const delay = monitorEventLoopDelay({ resolution: 1 });
			delay.enable();
			const accepted = isIdle ? [] : await host.halfLoad(roundMs);
			if (isIdle) await setTimeout(roundMs);
			delay.disable();
			return {
				delay: delay.percentile(99) / 1e6,
				...(isIdle ? {} : { load: (accepted.length / roundMs) * 1000 }),
			};
		},
		async close() {
			const { p50 } = host.runtime.stats().commitMs;
			if (p50 < slowFsyncMs)
				throw new Error(
					`a commit took ${p50} ms; with an fsync of ${slowFsyncMs} ms it must take longer`,
				);
			await host.close();
		},
	};
}
