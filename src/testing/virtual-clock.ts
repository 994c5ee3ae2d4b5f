/** Owns a clock that stands still until a test moves it. Timers due by then fire in order, each at its own time. */
import type { Clock } from "../clock.ts";

interface Timer {
	readonly at: number;
	readonly order: number;
	readonly f: () => void;
}

export class VirtualClock implements Clock {
	#now: number;
	#order = 0;
	#timers = new Set<Timer>();

	constructor(start = Date.UTC(2026, 0, 1)) {
		this.#now = start;
	}

	now(): number {
		return this.#now;
	}

	setTimeout(f: () => void, ms: number): Timer {
		this.#order += 1;
		const timer = { at: this.#now + Math.max(0, ms), order: this.#order, f };
		this.#timers.add(timer);
		return timer;
	}

	clearTimeout(timer: unknown): void {
		this.#timers.delete(timer as Timer);
	}

	/** Back, as wall clocks go; nothing fires. */
	stepBack(ms: number): void {
		this.#now -= ms;
	}

	/** Forward, letting everything that a timer set off settle before the next one. */
	async advance(ms: number): Promise<void> {
		const end = this.#now + ms;
		await turns();
		for (;;) {
			const next = [...this.#timers]
				.filter(({ at }) => at <= end)
				.sort((a, b) => a.at - b.at || a.order - b.order)[0];
			if (!next) break;
			this.#timers.delete(next);
			this.#now = Math.max(this.#now, next.at);
			next.f();
			await turns();
		}
		this.#now = Math.max(this.#now, end);
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
