/**
 * Owns the time of a replay: it stands still until it is told the time of the next line, and never goes backwards. What the runtime
 * arms on it fires in the order in which it is due, each at its own time.
 */
import type { Clock } from "../clock.ts";

interface Timer {
	readonly due: number;
	readonly order: number;
	fire: (() => void) | null;
}

/**
 * A clock that follows a stream.
 *
 * @example
 * const clock = new StreamClock(1_000);
 * clock.setTimeout(() => console.log(clock.now()), 50);
 * await clock.advanceTo(2_000); // prints 1050
 */
export class StreamClock implements Clock {
	#now: number;
	#armed = 0;
	/** A heap: no timer is due before its parent, at half its place. Cleared ones stay until their time. */
	#timers: Timer[] = [];
	/** How many timers have fired. */
	fired = 0;

	constructor(now: number) {
		this.#now = now;
	}

	now(): number {
		return this.#now;
	}

	setTimeout(fire: () => void, ms: number): Timer {
		this.#armed += 1;
		const due = this.#now + Math.max(0, ms);
		const timer = { due, order: this.#armed, fire };
		this.#push(timer);
		return timer;
	}

	clearTimeout(id: unknown): void {
		if (id) (id as Timer).fire = null;
	}

	/** After each timer the event loop turns once, so that what it set off stands before the time moves on. */
	async advanceTo(at: number): Promise<void> {
		for (let next = this.#first(); next && next.due <= at; next = this.#first())
			await this.#fire(next);
		this.#now = Math.max(this.#now, at);
	}

	/** Lets time pass, timer by timer, until `done` has settled: for a close that waits for grace periods. */
	async runUntil(done: Promise<unknown>): Promise<void> {
		let open = true;
		const settle = () => {
			open = false;
		};
		done.then(settle, settle);
		while (open) {
			await turn();
			const next = this.#first();
			if (open && next) await this.#fire(next);
		}
		await done;
	}

	async #fire(timer: Timer): Promise<void> {
		const { fire } = timer;
		this.#drop();
		this.#now = Math.max(this.#now, timer.due);
		this.fired += 1;
		timer.fire = null;
		fire?.();
		await turn();
	}

	/** The next that is still armed. */
	#first(): Timer | undefined {
		while (this.#timers[0]?.fire === null) this.#drop();
		return this.#timers[0];
	}

	#push(timer: Timer): void {
		const heap = this.#timers;
		let at = heap.length;
		while (at > 0) {
			const above = (at - 1) >> 1;
			const parent = heap[above] as Timer;
			if (!isBefore(timer, parent)) break;
			heap[at] = parent;
			at = above;
		}
		heap[at] = timer;
	}

	/** Takes the top off. */
	#drop(): void {
		const heap = this.#timers;
		const last = heap.pop();
		if (!last || heap.length === 0) return;
		let at = 0;
		for (;;) {
			let below = 2 * at + 1;
			if (below >= heap.length) break;
			const right = heap[below + 1];
			if (right && isBefore(right, heap[below] as Timer)) below += 1;
			const child = heap[below] as Timer;
			if (!isBefore(child, last)) break;
			heap[at] = child;
			at = below;
		}
		heap[at] = last;
	}
}

function isBefore(one: Timer, other: Timer): boolean {
	return one.due === other.due ? one.order < other.order : one.due < other.due;
}

function turn(): Promise<void> {
	return new Promise((next) => setImmediate(next));
}
