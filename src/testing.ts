/**
 * Entry point `turnkeeper/testing`: the proof of turnkeeper itself, for whoever wants to run it on a host, a store or an executor
 * of their own. What needs a test runner or another package loads it when it is called.
 *
 * @module turnkeeper/testing
 */

export { type ChartTransition, sessionTransitions } from "./testing/chart.ts";
export type { Bounds } from "./testing/explore/world.ts";
export {
	type Exploration,
	type ExploreOptions,
	type ExploreProgress,
	explore,
	replayTrace,
	type Violation,
} from "./testing/explore.ts";
export {
	checkHistory,
	type HistoryOptions,
	type HistoryVerdict,
} from "./testing/histories.ts";
export type {
	HistoryAnswer,
	HistoryCall,
	HistoryCalls,
	HistoryRow,
	HistoryRun,
	HistoryTimes,
} from "./testing/history.ts";
export type { Extent } from "./testing/lane-fold.ts";
export type { SvgOptions } from "./testing/lane-svg.ts";
export {
	type PathStep,
	type SessionPath,
	sessionPaths,
} from "./testing/paths.ts";
export { playPath, unplayedPaths } from "./testing/play-path.ts";
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
export { type HistoryRecorder, recordHistory } from "./testing/recording.ts";
export {
	type RunPath,
	type RunTransition,
	runPaths,
	runTransitions,
	unreachableRunTransitions,
} from "./testing/run-paths.ts";
export type { AskedEffect, StimulusName } from "./testing/session-world.ts";
export {
	PromiseBroken,
	type SimulateOptions,
	type Simulation,
	simulate,
} from "./testing/simulate.ts";
export {
	type CommandOptions,
	sessionCommands,
} from "./testing/simulate-commands.ts";
export type { SimulatedClock } from "./testing/simulate-time.ts";
export type {
	SimulatedExecutor,
	SimulatedOptions,
	SimulatedWorld,
} from "./testing/simulate-world.ts";
export type {
	StoreMaker,
	StorePlace,
} from "./testing/store-conformance/trial.ts";
export {
	type StoreConformanceOptions,
	storeConformance,
} from "./testing/store-conformance.ts";
export {
	Trace,
	type TraceData,
	type TraceLane,
	type TraceStep,
	type TraceTone,
} from "./testing/trace.ts";
export {
	type UnreachableTransition,
	unreachableTransitions,
} from "./testing/unreachable.ts";
export {
	turns,
	type VirtualClock,
	virtualClock,
} from "./testing/virtual-clock.ts";
