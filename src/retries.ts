/** Owns what is to be tried again: operations that nobody else can repeat, each after a while that grows. Never gives one up by itself. */
import type { RuntimeClock } from "./clock.ts";
import type { Operation } from "./session.ts";

const firstMs = 100;
const longestMs = 5000;

/** How long to wait before something is tried again, in ms, after so many tries before the last. */
export function pauseAfter(tries: number): number {
	return Math.min(firstMs * 2 ** tries, longestMs);
}

interface Retry {
	readonly key: string;
	readonly timer: unknown;
	readonly givenUp: (() => void) | undefined;
}

export class Retries {
	readonly #clock: RuntimeClock;
	readonly #post: (key: string, operation: Operation) => void;
	#tries = new WeakMap<Operation, number>();
	#waiting = new Map<Operation, Retry>();

	constructor(
		clock: RuntimeClock,
		post: (key: string, operation: Operation) => void,
	) {
		this.#clock = clock;
		this.#post = post;
	}

	/** Whether anything waits, of a session or of all. */
	waits(key?: string): boolean {
		if (key === undefined) return this.#waiting.size > 0;
		return [...this.#waiting.values()].some((retry) => retry.key === key);
	}

	again(key: string, operation: Operation, givenUp?: () => void): void {
		const tries = this.#tries.get(operation) ?? 0;
		this.#tries.set(operation, tries + 1);
		const timer = this.#clock.setTimeout(() => {
			this.#waiting.delete(operation);
			this.#post(key, operation);
		}, pauseAfter(tries));
		this.#waiting.set(operation, { key, timer, givenUp });
	}

	/** Nothing is tried again; whoever waits for it is told. */
	giveUp(): void {
		const all = [...this.#waiting.values()];
		this.#waiting.clear();
		for (const { timer, givenUp } of all) {
			this.#clock.clearTimeout(timer);
			givenUp?.();
		}
	}
}
