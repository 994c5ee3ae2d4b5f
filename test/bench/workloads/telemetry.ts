/** Owns what telemetry costs: the same turns without it, with it and no SDK, and with an SDK in two sizes. */
import { createTelemetry } from "turnkeeper/otel";
import { keysOf, names } from "../contender.ts";
import { turnkeeper } from "../contenders/turnkeeper.ts";
import { rateOf } from "../rounds.ts";
import { registerMetrics, registerSpans } from "../telemetry/sdk.ts";
import {
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const roundMs: Record<Size, number> = { tiny: 30, normal: 1000, full: 1500 };

/** What each registers before its runtime is looked at; null: nobody looks. */
const looks: Readonly<Record<string, (() => void) | null>> = {
	[names.full]: null,
	"with telemetry, no SDK": () => {},
	"with telemetry, metrics": registerMetrics,
	"with telemetry, metrics and spans": () => {
		registerMetrics();
		registerSpans();
	},
};

export const telemetry: Workload = {
	name: "telemetry",
	groups: (size) => [
		{
			name: "turns with turnkeeper/otel, 1,000 sessions",
			what: "message → run → end on SQLite full, looked at by telemetry; what it exports goes nowhere",
			measures: [{ name: "turns", unit: "turns/s", better: "more" }],
			contenders: Object.keys(looks),
			warmUp: warmUpRounds[size],
			job: { sessions: 1000, roundMs: roundMs[size] },
		},
	],
	async ready(name, job, place) {
		const register = looks[name];
		if (register === undefined)
			throw new Error(`there is no contender ${name}`);
		register?.();
		const contender = turnkeeper({
			store: "full",
			...(register ? { looking: createTelemetry() } : {}),
		});
		const playing = await contender(keysOf(numberOf(job, "sessions")), place);
		return {
			round: async () => ({
				turns: await rateOf(numberOf(job, "roundMs"), () => playing.sweep()),
			}),
			close: () => playing.close(),
		};
	},
};
