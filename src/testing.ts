/**
 * Owns what `turnkeeper/testing` exports: the proof of turnkeeper itself, for whoever wants to run it on a host, a store or an executor
 * of their own. What needs a test runner or another package loads it when it is called.
 */

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
export { type HistoryRecorder, recordHistory } from "./testing/recording.ts";
export {
	turns,
	type VirtualClock,
	virtualClock,
} from "./testing/virtual-clock.ts";
