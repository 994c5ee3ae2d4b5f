/** Owns the list of the workloads, in the order in which they are played. A contender's process loads its own and no other. */
import type { Workload } from "../workload.ts";

const all: Readonly<Record<string, () => Promise<Workload>>> = {
	turns: async () => (await import("./turns.ts")).turns,
	million: async () => (await import("./million.ts")).million,
	latency: async () => (await import("./latency.ts")).latency,
	reports: async () => (await import("./reports.ts")).reports,
	import: async () => (await import("./import.ts")).imported,
	heap: async () => (await import("./heap.ts")).heap,
	bursts: async () => (await import("./bursts.ts")).burstsByMode,
	resets: async () => (await import("./resets.ts")).resets,
	telemetry: async () => (await import("./telemetry.ts")).telemetry,
	day: async () => (await import("./day.ts")).day,
};

export const workloadNames: readonly string[] = Object.keys(all);

export async function workloadNamed(name: string): Promise<Workload> {
	const load = all[name];
	if (!load)
		throw new Error(
			`there is no workload ${name}; it must be one of ${workloadNames.join(", ")}`,
		);
	return load();
}
