/**
 * Owns what `turnkeeper/testing` exports: the proof of turnkeeper itself, for whoever wants to run it on a host, a store or an executor
 * of their own. What needs a test runner or another package loads it when it is called.
 */

export type { Bounds } from "./testing/explore/world.ts";
export {
	type Exploration,
	type ExploreOptions,
	type ExploreProgress,
	explore,
	replayTrace,
	type Violation,
} from "./testing/explore.ts";
export type {
	StoreMaker,
	StorePlace,
} from "./testing/store-conformance/trial.ts";
export {
	type StoreConformanceOptions,
	storeConformance,
} from "./testing/store-conformance.ts";
export {
	turns,
	type VirtualClock,
	virtualClock,
} from "./testing/virtual-clock.ts";
