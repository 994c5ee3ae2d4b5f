/**
 * Owns time and order in a simulation: timers on a clock that stands still until it is moved, and the one queue of what is to happen soon.
 * Nothing in a simulated process goes on by itself; when nothing is under way is known, not guessed. Every process that lives in it has its
 * own view, and with the process all that it had set ends.
 */
import type { Clock } from "../clock.ts";

/** Something that a process will do, if it lives until then. */
interface Due {
	readonly life: SimulatedClock;
	readonly f: () => void;
}

interface Timer extends Due {
	readonly at: number;
	readonly order: number;
}

/** Steps in a row without time passing; more is a loop that would never end. */
const mostSteps = 50_000;

export class SimulatedTime {
	#now = Date.UTC(2026, 0, 1);
	/** By how much it was set back, in ms. */
	#stepped = 0;
	#order = 0;
	#timers = new Set<Timer>();
	#soon: Due[] = [];
	/** Work that the simulation does not do itself, such as a store on a thread. */
	#outside = 0;
	#steps = 0;

	now(): number {
		return this.#now;
	}

	/** As it passes, whatever the wall clock is set to. */
	monotonic(): number {
		return this.#now + this.#stepped;
	}

	/** The clock of one process. */
	clock(): SimulatedClock {
		return new SimulatedClock(this);
	}

	after(life: SimulatedClock, f: () => void, ms: number): Timer {
		this.#order += 1;
		const at = this.#now + Math.max(0, ms);
		const timer = { life, f, at, order: this.#order };
		this.#timers.add(timer);
		return timer;
	}

	cancel(timer: unknown): void {
		this.#timers.delete(timer as Timer);
	}

	soon(life: SimulatedClock, f: () => void): void {
		this.#soon.push({ life, f });
	}

	/** Work outside of the simulation is waited for before anything else goes on. */
	async outside<T>(work: PromiseLike<T> | T): Promise<T> {
		this.#outside += 1;
		try {
			return await work;
		} finally {
			this.#outside -= 1;
		}
	}

	/** Timers that a process has set and that have not fired. */
	timersOf(life: SimulatedClock): number {
		let count = 0;
		for (const timer of this.#timers) if (timer.life === life) count += 1;
		return count;
	}

	/** Back, as wall clocks go; what was set fires after as long as before. */
	stepBack(ms: number): void {
		this.#now -= ms;
		this.#stepped += ms;
		const timers = [...this.#timers];
		this.#timers.clear();
		for (const timer of timers)
			this.#timers.add(Object.assign(timer, { at: timer.at - ms }));
	}

	/** Does the next thing that is to happen soon; false: there is none. */
	async step(): Promise<boolean> {
		await this.#drain();
		const next = this.#soon.shift();
		if (!next) return false;
		this.#steps += 1;
		if (this.#steps > mostSteps) {
			this.#steps = 0;
			throw new Error(
				`nothing comes to rest: ${mostSteps} steps, and no time has passed`,
			);
		}
		if (!next.life.isOver) next.f();
		await this.#drain();
		return true;
	}

	/** All that is under way comes to its end or waits for time to pass. */
	async settle(): Promise<void> {
		while (await this.step());
	}

	/** Forward; what each timer sets off comes to its end before the next one. */
	async advance(ms: number): Promise<void> {
		const end = this.#now + ms;
		for (;;) {
			this.#steps = 0;
			await this.settle();
			const next = this.#next(end);
			if (!next) break;
			this.#timers.delete(next);
			this.#now = Math.max(this.#now, next.at);
			next.f();
		}
		this.#now = Math.max(this.#now, end);
	}

	#next(end: number): Timer | null {
		let first: Timer | null = null;
		for (const timer of this.#timers) {
			if (timer.life.isOver) this.#timers.delete(timer);
			else if (timer.at > end) continue;
			else if (
				!first ||
				timer.at < first.at ||
				(timer.at === first.at && timer.order < first.order)
			)
				first = timer;
		}
		return first;
	}

	/** Node takes up a tick only when no promise has anything left to do. */
	async #drain(): Promise<void> {
		await new Promise<void>((next) => process.nextTick(next));
		while (this.#outside > 0)
			await new Promise<void>((next) => setImmediate(next));
	}
}

/** Time as one process sees it; when the process is over, nothing of it happens any more. */
export class SimulatedClock implements Clock {
	readonly #time: SimulatedTime;
	isOver = false;

	constructor(time: SimulatedTime) {
		this.#time = time;
	}

	now(): number {
		return this.#time.now();
	}

	monotonic(): number {
		return this.#time.monotonic();
	}

	setTimeout(f: () => void, ms: number): unknown {
		return this.#time.after(this, f, ms);
	}

	clearTimeout(timer: unknown): void {
		this.#time.cancel(timer);
	}

	setImmediate(f: () => void): void {
		this.#time.soon(this, f);
	}

	/** Resolves after so many ms; never, if the process is over by then. */
	sleep(ms: number): Promise<void> {
		return new Promise((resolve) => this.setTimeout(resolve, ms));
	}

	/** Resolves soon, behind what is to happen before. */
	soon(): Promise<void> {
		return new Promise((resolve) => this.setImmediate(resolve));
	}
}
