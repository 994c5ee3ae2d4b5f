/** Owns a host on a file of known sessions, as all that is measured there has one. */
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";

export type Host = ReturnType<typeof hostOn>;

export function hostOn(path: string, maxResident = 10_000) {
	return createSessionRuntime<string, string>({
		store: sqliteStore(path),
		execute: async () => "done",
		maxResident,
		// A sweep by time would take some away in the middle of a round.
		passivateAfterMs: 3_600_000,
	});
}

/** A turn on each, so many at once. */
export async function turnsOn(
	host: Host,
	keys: readonly string[],
	atOnce = 1000,
): Promise<void> {
	for (let from = 0; from < keys.length; from += atOnce)
		await Promise.all(
			keys.slice(from, from + atOnce).map(async (key) => {
				const { settled } = await host.send(key, "hi");
				const { outcome } = await settled;
				if (outcome !== "completed") throw new Error(`${key}: ${outcome}`);
			}),
		);
}
