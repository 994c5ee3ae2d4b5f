/**
 * Owns a clock that stands still until a test moves it. Timers due by then fire in order, each at its own time; they measure time as it
 * passes, as real ones do, whatever the wall clock is set to.
 */
import type { Clock } from "../clock.ts";

interface Timer {
	/** In ms passed since the clock was made. */
	readonly at: number;
	readonly order: number;
	readonly f: () => void;
}

export class VirtualClock implements Clock {
	/** What the wall clock showed, or would have, when nothing had passed. */
	#start: number;
	#passed = 0;
	#order = 0;
	#timers = new Set<Timer>();
	readonly #settle: () => Promise<void>;

	/** `settle`: lets everything that a timer set off come to its end. */
	constructor(
		start = Date.UTC(2026, 0, 1),
		settle: () => Promise<void> = turns,
	) {
		this.#start = start;
		this.#settle = settle;
	}

	now(): number {
		return this.#start + this.#passed;
	}

	monotonic(): number {
		return this.#passed;
	}

	setTimeout(f: () => void, ms: number): Timer {
		this.#order += 1;
		const timer = {
			at: this.#passed + Math.max(0, ms),
			order: this.#order,
			f,
		};
		this.#timers.add(timer);
		return timer;
	}

	clearTimeout(timer: unknown): void {
		this.#timers.delete(timer as Timer);
	}

	/** Sets the wall clock back by so many ms; forward if they are negative. Nothing fires, and timers keep the time that they have left. */
	stepBack(ms: number): void {
		this.#start -= ms;
	}

	/** Forward, letting everything that a timer set off settle before the next one. */
	async advance(ms: number): Promise<void> {
		const end = this.#passed + ms;
		await this.#settle();
		for (;;) {
			const next = [...this.#timers]
				.filter(({ at }) => at <= end)
				.sort((a, b) => a.at - b.at || a.order - b.order)[0];
			if (!next) break;
			this.#timers.delete(next);
			this.#passed = Math.max(this.#passed, next.at);
			next.f();
			await this.#settle();
		}
		this.#passed = Math.max(this.#passed, end);
	}
}

/** Lets all that is under way without a timer come to its end: a few turns of the event loop. */
export async function turns(count = 12): Promise<void> {
	for (let i = 0; i < count; i++)
		await new Promise<void>((next) => setImmediate(next));
}

/**
 * A clock that stands still until a test moves it.
 *
 * @param start Epoch ms. Default: 1 January 2026.
 * @example
 * const clock = virtualClock();
 * const runtime = createSessionRuntime({ store, clock, graceMs: 5000 });
 * const done = runtime.reset("chat:1");
 * await clock.advance(5000); // what ignored its abort is abandoned now
 */
export function virtualClock(start?: number): VirtualClock {
	return new VirtualClock(start);
}
