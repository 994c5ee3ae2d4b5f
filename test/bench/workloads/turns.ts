/** Owns trivial turns: message, run, end, on few and on many sessions, all of them at once and each one message at a time. */
import { contenders, keysOf, names } from "../contender.ts";
import { noPretenuring } from "../node-flags.ts";
import { rateOf } from "../rounds.ts";
import {
	type Group,
	numberOf,
	type Size,
	type Workload,
	warmUpRounds,
} from "../workload.ts";

const plans: Record<Size, { sessions: number[]; roundMs: number }> = {
	tiny: { sessions: [1000], roundMs: 30 },
	normal: { sessions: [1, 100, 1000, 10_000], roundMs: 1000 },
	full: { sessions: [1, 100, 1000, 10_000], roundMs: 1500 },
};

export function turnsGroup(sessions: number): string {
	return `turns, ${sessions.toLocaleString("en")} session${sessions === 1 ? "" : "s"}`;
}

export const steadyTurns = `${turnsGroup(1000)}, without pretenuring`;

export const turns: Workload = {
	name: "turns",
	/** With a commit an event a sweep over the most sessions takes half a minute: only the full size waits for it. */
	groups(size) {
		const { sessions, roundMs } = plans[size];
		const group = (name: string, count: number, slow: boolean): Group => ({
			name,
			what: "message → run → end, one at a time on each session, all sessions at once",
			measures: [{ name: "turns", unit: "turns/s", better: "more" }],
			contenders: Object.keys(contenders).filter(
				(name) => name !== names.chainEach || slow,
			),
			warmUp: warmUpRounds[size],
			job: { sessions: count, roundMs },
		});
		return [
			...sessions.map((count) =>
				group(turnsGroup(count), count, count <= 1000 || size === "full"),
			),
			{ ...group(steadyTurns, 1000, false), execArgv: noPretenuring },
		];
	},
	async ready(name, job, place) {
		const contender = await contenders[name]?.();
		if (!contender) throw new Error(`there is no contender ${name}`);
		const playing = await contender(keysOf(numberOf(job, "sessions")), place);
		const roundMs = numberOf(job, "roundMs");
		return {
			round: async () => ({
				turns: await rateOf(roundMs, () => playing.sweep()),
			}),
			close: () => playing.close(),
		};
	},
};
