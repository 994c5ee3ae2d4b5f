/** Owns time within one call of a session's object: it stands still. What is to happen later is for whoever has the object called again. */
import type { RuntimeClock } from "../clock.ts";

interface Timer {
	readonly at: number;
	readonly act: () => void;
}

export class CallClock implements RuntimeClock {
	readonly #at: number;
	readonly #timers = new Set<Timer>();

	constructor(at: number) {
		this.#at = at;
	}

	now(): number {
		return this.#at;
	}

	monotonic(): number {
		return this.#at;
	}

	setTimeout(act: () => void, ms: number): Timer {
		const timer = { at: this.#at + Math.ceil(Math.max(0, ms)), act };
		this.#timers.add(timer);
		return timer;
	}

	clearTimeout(timer: unknown): void {
		this.#timers.delete(timer as Timer);
	}

	setImmediate(act: () => void): void {
		queueMicrotask(act);
	}

	/** Lets happen what is due, in order; false if nothing is. */
	runDue(): boolean {
		const due = [...this.#timers]
			.filter(({ at }) => at <= this.#at)
			.sort((a, b) => a.at - b.at);
		for (const timer of due) if (this.#timers.delete(timer)) timer.act();
		return due.length > 0;
	}

	/** When the object must be called again, epoch ms; null: not by itself. */
	get next(): number | null {
		const next = Math.min(...[...this.#timers].map(({ at }) => at));
		return Number.isFinite(next) ? next : null;
	}
}
