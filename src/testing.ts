/**
 * Owns what `turnkeeper/testing` exports: the proof of turnkeeper itself, for whoever wants to run it on a host, a store or an executor
 * of their own. What needs a test runner or another package loads it when it is called.
 */
export type { Extent } from "./testing/lane-fold.ts";
export type { SvgOptions } from "./testing/lane-svg.ts";
export { type Race, race } from "./testing/race.ts";
export type { RaceAnswer, RaceHost, RaceTrace } from "./testing/race-play.ts";
export {
	answer,
	crash,
	doubled,
	fault,
	foreign,
	late,
	later,
	type RaceEvent,
	type RaceMoment,
	type RacePoint,
	type RaceRun,
	type RaceStep,
} from "./testing/race-step.ts";
export {
	Trace,
	type TraceData,
	type TraceLane,
	type TraceStep,
	type TraceTone,
} from "./testing/trace.ts";
export {
	turns,
	type VirtualClock,
	virtualClock,
} from "./testing/virtual-clock.ts";
