/** Owns runs that the host drives: how many events of their lives are taken a second, beside plain XState's over as many actors. */
import { keysOf } from "../contender.ts";
import { plainXstate } from "../contenders/plain-xstate.ts";
import { hostRuns } from "../reports/host-runs.ts";
import { twoEvents } from "../reports/two-events.ts";
import { rateOf } from "../rounds.ts";
import type { StoreKind } from "../store.ts";
import {
	numberOf,
	type Place,
	type Player,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const plans: Record<Size, { sessions: number; roundMs: number }> = {
	tiny: { sessions: 100, roundMs: 30 },
	normal: { sessions: 1000, roundMs: 1000 },
	full: { sessions: 1000, roundMs: 1500 },
};

export const plainTurns = "plain XState, message and end of its promise";
export const plainSends = "plain XState, two events sent, none awaited";
export const reportsFull = "turnkeeper, SQLite full";

const stores: Readonly<Record<string, StoreKind>> = {
	"turnkeeper, memory": "memory",
	[reportsFull]: "full",
	"turnkeeper, SQLite normal": "normal",
	"turnkeeper, SQLite full on a thread": "thread",
};

export const reportsGroup = "events of host-runs";

/** The yardstick of the turns, of which each is two events. */
async function eventsOfTurns(
	sessions: number,
	roundMs: number,
	place: Place,
): Promise<Player> {
	const turns = await plainXstate(keysOf(sessions), place);
	return {
		round: async () => ({
			events: await rateOf(roundMs, async () => 2 * (await turns.sweep())),
		}),
		close: () => turns.close(),
	};
}

export const reports: Workload = {
	name: "reports",
	groups: (size) => [
		{
			name: reportsGroup,
			what: "admit, start and end of a run, each awaited, on all sessions at once: three events; of plain XState two a turn",
			measures: [{ name: "events", unit: "events/s", better: "more" }],
			contenders: [plainTurns, plainSends, ...Object.keys(stores)],
			job: plans[size],
			warmUp: warmUpRounds[size],
		},
	],
	async ready(contender, job, place) {
		const [sessions, roundMs] = [
			numberOf(job, "sessions"),
			numberOf(job, "roundMs"),
		];
		if (contender === plainTurns)
			return eventsOfTurns(sessions, roundMs, place);
		if (contender === plainSends) return twoEvents(sessions, roundMs);
		const kind = stores[contender];
		if (!kind) throw new Error(`there is no contender ${contender}`);
		return hostRuns(kind, place.folder, sessions, roundMs);
	},
};
