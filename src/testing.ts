/**
 * Owns what `turnkeeper/testing` exports: the proof of turnkeeper itself, for whoever wants to run it on a host, a store or an executor
 * of their own. What needs a test runner or another package loads it when it is called.
 */
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
export {
	turns,
	type VirtualClock,
	virtualClock,
} from "./testing/virtual-clock.ts";
