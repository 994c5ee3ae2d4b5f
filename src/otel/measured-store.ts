/** Owns the measuring of commits: a store behind a door that notes how large each commit is and how long it takes. Never changes one. */
import { behind } from "../behind.ts";
import type { Batch, SessionStore } from "../store.ts";
import { harmless } from "./harmless.ts";
import type { Metrics } from "./metrics.ts";
import type { Timing } from "./timing.ts";

export function measuredStore(
	store: SessionStore,
	metrics: Metrics,
	timing: Timing,
): SessionStore {
	return {
		read: () => store.read(),
		open: async (owner) => {
			const opened = await store.open(owner);
			const commit = async (batch: Batch): Promise<void> => {
				const began = timing.monotonic();
				const note = (error: unknown) =>
					harmless(
						() =>
							metrics.commit(batch.sessions.length, timing.since(began), error),
						undefined,
					);
				try {
					await opened.commit(batch);
				} catch (error) {
					note(error ?? new Error("nothing was thrown"));
					throw error;
				}
				note(null);
			};
			return behind(opened, { commit });
		},
	};
}
