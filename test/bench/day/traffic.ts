/**
 * Owns a day of chat traffic, drawn by seed: few sessions say most of what is said, and within a session messages come in flurries with
 * long pauses between them.
 */
import { generator } from "../../../src/testing/random.ts";

export interface Traffic {
	readonly seed: number;
	readonly sessions: number;
	/** Messages of a session: Pareto from 1 on, with this exponent, cut at `mostMessages`. */
	readonly sizeExponent: number;
	readonly mostMessages: number;
	/** Pause between two messages of a session: Pareto from `leastPauseS` on, with this exponent, in s. */
	readonly pauseExponent: number;
	readonly leastPauseS: number;
	/** How long a run takes: log-normal, with this median in s and this sigma. */
	readonly runMedianS: number;
	readonly runSigma: number;
	/** How many of a hundred messages are a reset instead. */
	readonly resetPercent: number;
}

export interface Arrival {
	/** Whole ms since midnight. */
	readonly at: number;
	readonly sessionKey: string;
	/** How long its run takes, in whole ms; null: it is a reset. */
	readonly runMs: number | null;
}

const dayMs = 24 * 3_600_000;

/** In the order of their times. A session's messages that would come after midnight are left out. */
export function trafficOf(traffic: Traffic): Arrival[] {
	const below = generator(traffic.seed);
	/** In (0, 1). */
	const uniform = () => (below(2 ** 32) + 0.5) / 2 ** 32;
	const pareto = (least: number, exponent: number) =>
		least * uniform() ** (-1 / exponent);
	const normal = () =>
		Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
	const runMs = () =>
		Math.round(
			traffic.runMedianS * 1000 * Math.exp(traffic.runSigma * normal()),
		);
	const arrivals: Arrival[] = [];
	for (let session = 0; session < traffic.sessions; session++) {
		const size = Math.min(
			traffic.mostMessages,
			Math.floor(pareto(1, traffic.sizeExponent)),
		);
		let at = below(dayMs);
		for (let i = 0; i < size && at < dayMs; i++) {
			const isReset = uniform() * 100 < traffic.resetPercent;
			arrivals.push({
				at,
				sessionKey: `session:${session}`,
				runMs: isReset ? null : runMs(),
			});
			at += Math.round(
				pareto(traffic.leastPauseS * 1000, traffic.pauseExponent),
			);
		}
	}
	return arrivals.sort((a, b) => a.at - b.at);
}
