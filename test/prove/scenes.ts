/** Owns what the session machine is explored in: a scene each for what may go wrong together, small enough for every run of the tests, and large. */
import type { ExploreOptions } from "turnkeeper/testing";

type Scene = Omit<ExploreOptions, "onProgress">;

/** Explored with every run of the tests. */
export const small: readonly Scene[] = [
	{ bounds: { runs: 2, resets: 1, crashes: 1 } },
	{
		bounds: { runs: 1, resets: 2, crashes: 1, waits: 1, postponed: 1 },
		hook: true,
		modes: ["enqueue"],
	},
	{
		bounds: { runs: 2, resets: 1, crashes: 1, heldUp: 1 },
		drivers: ["managed"],
		modes: ["reject", "enqueue", "steer", "rollback"],
		recovery: "retry",
	},
	{
		bounds: { runs: 2, failedCommits: 1, closes: 1, waits: 1 },
		drivers: ["managed"],
		modes: ["enqueue", "steer"],
		recovery: "retry",
	},
	{
		bounds: { runs: 2, aborts: 1, failedCommits: 1, timeouts: 1 },
		modes: ["latest", "collect", "interrupt"],
	},
	{
		bounds: { runs: 1, resets: 1, rotations: 1, expiries: 1, waits: 1 },
	},
];

/** What each large scene says of itself, as its result is printed with it. */
type Told = Required<Pick<Scene, "modes" | "drivers">>;

/** Explored on demand (`npm run prove`). */
export const large: readonly (Scene & Told)[] = [
	{
		bounds: {
			runs: 3,
			resets: 2,
			deletes: 1,
			crashes: 1,
			failedCommits: 1,
		},
		modes: ["enqueue", "interrupt"],
		drivers: ["managed", "host"],
	},
	{
		bounds: {
			runs: 3,
			resets: 1,
			aborts: 1,
			crashes: 1,
			failedCommits: 1,
			heldUp: 1,
		},
		modes: ["enqueue", "collect", "steer", "rollback"],
		drivers: ["managed"],
		recovery: "retry",
	},
	{
		bounds: {
			runs: 2,
			resets: 1,
			deletes: 1,
			crashes: 1,
			waits: 1,
			timeouts: 1,
			rotations: 1,
		},
		modes: ["enqueue", "interrupt"],
		drivers: ["managed", "host"],
		hook: true,
	},
	{
		bounds: {
			runs: 2,
			resets: 1,
			aborts: 1,
			closes: 1,
			crashes: 1,
			waits: 1,
			expiries: 1,
		},
		modes: ["enqueue", "interrupt"],
		drivers: ["managed", "host"],
		recovery: "retry",
	},
];
