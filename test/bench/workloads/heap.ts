/** Owns what an idle session weighs that is in memory, beside an actor of the same chart that has made the same turn. */

import { join } from "node:path";
import { createSessionRuntime } from "turnkeeper";
import { sqliteStore } from "turnkeeper/sqlite";
import { keysOf } from "../contender.ts";
import { bareSessions, messageTo } from "../contenders/bare-machines.ts";
import {
	mustBe,
	numberOf,
	type Place,
	type Player,
	type Size,
	type Workload,
} from "../workload.ts";

const plans: Record<Size, { sessions: number }> = {
	tiny: { sessions: 500 },
	normal: { sessions: 10_000 },
	full: { sessions: 10_000 },
};

export const heapGroup = "heap of an idle session";
export const bareActor = "actor of the session chart";
export const residentSession = "session of turnkeeper, SQLite full";

function heapUsed(): number {
	if (!globalThis.gc)
		throw new Error("the heap is measured with node --expose-gc");
	globalThis.gc();
	globalThis.gc();
	return process.memoryUsage().heapUsed;
}

/** What `fill` leaves on the heap, a session each. What it gives back is held until that is known. */
async function weighed(
	sessions: number,
	fill: () => Promise<() => Promise<void>>,
): Promise<number> {
	const before = heapUsed();
	const empty = await fill();
	// What the last turn set off comes to its end.
	await new Promise<void>((next) => setTimeout(next, 50));
	const bytes = (heapUsed() - before) / sessions;
	await empty();
	return bytes;
}

async function bareActors(keys: readonly string[]) {
	const { promise, resolve } = Promise.withResolvers<void>();
	let waiting = keys.length;
	const settled = () => {
		waiting -= 1;
		if (waiting === 0) resolve();
	};
	const actors = bareSessions(keys, settled);
	for (const actor of actors) messageTo(actor);
	await promise;
	return async () => {
		for (const actor of actors) actor.stop();
	};
}

async function residents(keys: readonly string[], path: string) {
	const runtime = createSessionRuntime<string, string>({
		store: sqliteStore(path),
		execute: async () => "done",
		maxResident: keys.length,
		passivateAfterMs: 3_600_000,
	});
	await runtime.start();
	for (let from = 0; from < keys.length; from += 1000)
		await Promise.all(
			keys
				.slice(from, from + 1000)
				.map(async (key) => (await runtime.send(key, "hi")).settled),
		);
	mustBe("resident sessions", keys.length, runtime.stats().resident);
	return () => runtime.close();
}

function player(
	contender: string,
	keys: readonly string[],
	place: Place,
): Player {
	let round = 0;
	return {
		async round() {
			round += 1;
			const path = join(place.folder, `heap-${round}.db`);
			const bytes = await weighed(keys.length, () =>
				contender === bareActor ? bareActors(keys) : residents(keys, path),
			);
			return { heap: bytes / 1024 };
		},
		close: async () => {},
	};
}

export const heap: Workload = {
	name: "heap",
	groups: (size) => [
		{
			name: heapGroup,
			what: "heap after a collection, a session each, less what was there before any; each has made one turn",
			measures: [{ name: "heap", unit: "kB", better: "less" }],
			contenders: [bareActor, residentSession],
			job: plans[size],
			execArgv: ["--expose-gc"],
		},
	],
	ready: async (contender, job, place) =>
		player(contender, keysOf(numberOf(job, "sessions")), place),
};
