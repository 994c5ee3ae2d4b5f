/** Owns the files of known sessions: made once, in large batches, and where they are. */
import { join } from "node:path";
import { sqliteStore } from "turnkeeper/sqlite";
import { mustBe, type Player } from "../workload.ts";
import { patternOfTurn } from "./pattern.ts";

const batchSize = 5000;

export function fileOf(shared: string, sessions: number): string {
	return join(shared, `${sessions}-known.db`);
}

export function knownKey(index: number): string {
	return `known:${index}`;
}

/** Writes a file of each of these numbers of sessions, each with a turn that has ended. */
export function maker(shared: string, counts: readonly number[]): Player {
	return {
		async round() {
			const pattern = await patternOfTurn();
			const began = performance.now();
			let made = 0;
			for (const count of counts) {
				const store = await sqliteStore(fileOf(shared, count)).open({
					name: "bench",
				});
				for (let from = 0; from < count; from += batchSize) {
					const size = Math.min(batchSize, count - from);
					const sessions = Array.from({ length: size }, (_, i) =>
						pattern.ended(knownKey(from + i)),
					);
					await store.commit({ sessions, refusals: [] });
				}
				made += count;
				await store[Symbol.asyncDispose]();
			}
			return { made: (made / (performance.now() - began)) * 1000 };
		},
		async close() {
			for (const count of counts) {
				await using reader = await sqliteStore(fileOf(shared, count)).read();
				const last = await reader.load(knownKey(count - 1));
				mustBe("versions of the last session", 2, last?.facts.version ?? 0);
				const none = await reader.load(knownKey(count));
				mustBe("sessions behind the last", 0, none === null ? 0 : 1);
			}
		},
	};
}
