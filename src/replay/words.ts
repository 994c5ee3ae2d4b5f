/** Owns how times, ids and outcomes are said in sentences for people. */
import type { RunOutcome } from "../../machines/ticket.ts";

/**
 * A span of time, as exact as a reader needs it.
 *
 * @example duration(412) // "0.41 s"
 * @example duration(21_198) // "21.2 s"
 * @example duration(3_723_000) // "1 h 2 min"
 */
export function duration(ms: number): string {
	if (ms < 10) return `${Math.max(0, Math.round(ms))} ms`;
	if (ms < 995) return `${(ms / 1000).toFixed(2)} s`;
	if (ms < 119_950) return `${(ms / 1000).toFixed(1)} s`;
	const minutes = Math.floor(ms / 60_000);
	if (minutes < 60) return `${minutes} min ${Math.floor(ms / 1000) % 60} s`;
	const hours = Math.floor(minutes / 60);
	return hours < 48
		? `${hours} h ${minutes % 60} min`
		: `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * How far into a stream.
 *
 * @example offset(1079) // "+1.079 s"
 */
export function offset(ms: number): string {
	return `${ms < 0 ? "-" : "+"}${(Math.abs(ms) / 1000).toFixed(3)} s`;
}

/**
 * An id as people compare them: of a UUID the first eight digits are enough.
 *
 * @example shortId("b305f98b-7a16-487f-a5f5-dbd415f77475") // "b305f98b"
 */
export function shortId(id: string): string {
	return /^[0-9a-f]{8}-[0-9a-f]{4}-/.test(id) ? id.slice(0, 8) : id;
}

const ways = {
	completed: "completed",
	failed: "failed",
	aborted: "been aborted",
	timeout: "timed out",
	interrupted: "been interrupted",
	abandoned: "been abandoned",
} as const satisfies Record<RunOutcome, string>;

/**
 * What had become of a run.
 *
 * @example had("aborted") // "had been aborted"
 */
export function had(outcome: RunOutcome): string {
	return `had ${ways[outcome]}`;
}

/**
 * A number of things.
 *
 * @example count(2, "run") // "2 runs"
 */
export function count(number: number, thing: string): string {
	return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/**
 * A moment, in UTC. A number that no calendar has is said as it is.
 *
 * @example when(1795363262930) // "2026-11-22 16:01:02.930Z"
 */
export function when(ms: number): string {
	const date = new Date(ms);
	return Number.isNaN(date.getTime())
		? `${ms} ms`
		: date.toISOString().replace("T", " ");
}
