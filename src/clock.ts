/** Owns the one door to time. Everything that waits asks it, so that a test may bring a clock of its own. */

export interface Clock {
	/** Epoch ms. */
	now(): number;
	setTimeout(f: () => void, ms: number): unknown;
	clearTimeout(id: unknown): void;
}

/** Longest delay that Node's timers take; a longer one would fire at once. */
const longest = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => Date.now(),
	setTimeout: (f, ms) => setTimeout(f, Math.min(Math.max(ms, 0), longest)),
	clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};
