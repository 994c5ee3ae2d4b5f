/** Owns reset storms: every session is reset while it runs. */

import type { StoreKind } from "../store.ts";
import { plainResets, resetStorm } from "../storms/reset-storm.ts";
import {
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const plans: Record<Size, { sessions: number; roundMs: number }> = {
	tiny: { sessions: 100, roundMs: 30 },
	normal: { sessions: 1000, roundMs: 1000 },
	full: { sessions: 1000, roundMs: 1500 },
};

const plain = "plain XState, child stopped, nothing kept";

const stores: Readonly<Record<string, StoreKind>> = {
	"turnkeeper, memory": "memory",
	"turnkeeper, SQLite full": "full",
	"turnkeeper, SQLite normal": "normal",
	"turnkeeper, SQLite full on a thread": "thread",
};

export const resets: Workload = {
	name: "resets",
	groups: (size) => [
		{
			name: "reset storms",
			what: "a message that starts a run on every session, then a reset of every session: the run is stopped, drained and archived",
			measures: [{ name: "resets", unit: "resets/s", better: "more" }],
			contenders: [plain, ...Object.keys(stores)],
			job: plans[size],
			warmUp: warmUpRounds[size],
		},
	],
	async ready(contender, job, { folder }) {
		const [sessions, roundMs] = [
			numberOf(job, "sessions"),
			numberOf(job, "roundMs"),
		];
		if (contender === plain) return plainResets(sessions, roundMs);
		const kind = stores[contender];
		if (!kind) throw new Error(`there is no contender ${contender}`);
		return resetStorm(kind, folder, sessions, roundMs);
	},
};
