/** Owns the one door to time. Everything that waits asks it, so that a test may bring a clock of its own. */

/** Time as the runtime sees it. */
export interface Clock {
	/** Epoch ms. */
	now(): number;
	/**
	 * Time as it passes, in ms since whenever: setting the wall clock does not move it. What goes on in a process is measured by it.
	 * Default: what goes by on `now`, where that goes forward.
	 */
	monotonic?(): number;
	/** Asked for whole ms, never for more than 2³¹ − 1, the longest delay that Node's own timers take. */
	setTimeout(f: () => void, ms: number): unknown;
	clearTimeout(id: unknown): void;
	/**
	 * As Node's own, which it is unless given: soon, behind what is under way. What is decided until then is written in one commit. A test
	 * that brings it decides when.
	 */
	setImmediate?(f: () => void): unknown;
}

/** A clock with nothing left out, whose delays may be of any length. */
export type RuntimeClock = Required<Clock>;

/**
 * When a moment of the wall clock comes, on the monotonic one. Asked as soon as that moment is decided: by the time that it is stored the
 * wall clock may have been set.
 */
export function dueAt(clock: RuntimeClock, moment: number): number {
	return clock.monotonic() + moment - clock.now();
}

/** Longest delay that Node's timers take; a longer one would fire at once. */
const longest = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	setTimeout: (f, ms) => setTimeout(f, Math.max(ms, 0)),
	clearTimeout: (id) => clearTimeout(id as NodeJS.Timeout),
};

/** A delay that is waited for in pieces. */
class LongTimer {
	readonly #clock: Clock;
	#id: unknown = null;
	#isUnreferenced = false;

	constructor(clock: Clock, f: () => void, ms: number) {
		this.#clock = clock;
		this.#wait(f, ms);
	}

	#wait(f: () => void, ms: number): void {
		this.#id =
			ms > longest
				? this.#clock.setTimeout(() => this.#wait(f, ms - longest), longest)
				: this.#clock.setTimeout(f, ms);
		if (this.#isUnreferenced) this.unref();
	}

	/** As with a timer of Node's: it alone is no reason for the process to stay. */
	unref(): void {
		this.#isUnreferenced = true;
		(this.#id as { unref?: () => void } | null)?.unref?.();
	}

	clear(): void {
		this.#clock.clearTimeout(this.#id);
	}
}

/** What goes by on a wall clock, as far as it is looked at; a step back counts for nothing. */
function passingOn(clock: Clock): () => number {
	let seenAt = clock.now();
	let passed = 0;
	return () => {
		const now = clock.now();
		passed += Math.max(0, now - seenAt);
		seenAt = now;
		return passed;
	};
}

/** What a host's clock leaves out is added. */
export function runtimeClock(clock: Clock): RuntimeClock {
	return {
		now: () => clock.now(),
		monotonic: clock.monotonic?.bind(clock) ?? passingOn(clock),
		setTimeout: (f, ms) => {
			// What is left of a part of a ms could be too little to move any clock: it would be waited for again and again.
			const whole = Math.ceil(ms);
			return whole > longest
				? new LongTimer(clock, f, whole)
				: clock.setTimeout(f, whole);
		},
		clearTimeout: (id) => {
			if (id instanceof LongTimer) id.clear();
			else clock.clearTimeout(id);
		},
		setImmediate: clock.setImmediate?.bind(clock) ?? ((f) => setImmediate(f)),
	};
}
