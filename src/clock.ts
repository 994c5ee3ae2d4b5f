/** Owns the one door to time. Everything that waits asks it, so that a test may bring a clock of its own. */

/** Time as the runtime sees it. A delay of more than 2³¹ − 1 ms, which Node's own timers cut to 1, must not fire at once. */
export interface Clock {
	/** Epoch ms. */
	now(): number;
	setTimeout(f: () => void, ms: number): unknown;
	clearTimeout(id: unknown): void;
	/**
	 * As Node's own, which it is unless given: soon, behind what is under way. What is decided until then is written in one commit. A test
	 * that brings it decides when.
	 */
	setImmediate?(f: () => void): unknown;
}

/** Longest delay that Node's timers take; a longer one would fire at once. */
const longest = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => Date.now(),
	setTimeout: (f, ms) => setTimeout(f, Math.min(Math.max(ms, 0), longest)),
	clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};
