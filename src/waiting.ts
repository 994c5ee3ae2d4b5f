/** Owns those who wait for committed state: for a drain to end, for a row, for rest. Tested after each commit; nothing of them is ever stored. */
import type { SessionRow } from "../machines/facts.ts";
import type { RuntimeClock } from "./clock.ts";
import { collect, type Drain, drainAnswer, isDrained } from "./drain.ts";
import { TurnkeeperError } from "./errors.ts";
import type { Answer, StopReport } from "./runtime.ts";
import { rowAfter, type Turn } from "./turn.ts";

interface Waiter {
	/** Sees each committed turn of its key; true: it is done. */
	see(turn: Turn): boolean;
	fail(error: TurnkeeperError): void;
}

export interface WaitOptions {
	readonly timeoutMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
}

export class Waiting {
	#clock: RuntimeClock;
	#waiters = new Map<string, Set<Waiter>>();
	#over: TurnkeeperError | null = null;
	#resting = new Set<{
		holds: () => boolean;
		done: () => void;
		fail: Waiter["fail"];
	}>();

	constructor(clock: RuntimeClock) {
		this.#clock = clock;
	}

	/** After a commit, when its rows have been published. */
	see(turn: Turn): void {
		const waiters = this.#waiters.get(turn.session.key);
		if (!waiters) return;
		for (const waiter of [...waiters])
			if (waiter.see(turn)) this.#remove(turn.session.key, waiter);
	}

	/** After each commit, and whenever a session came to rest. */
	rest(): void {
		for (const waiter of [...this.#resting])
			if (waiter.holds()) {
				this.#resting.delete(waiter);
				waiter.done();
			}
	}

	/** Resolves with the answer to a stop, once a committed state has nothing left of what it stopped. */
	drained<Meta>(
		key: string,
		begun: Drain<Meta>,
	): Promise<Answer<StopReport<Meta>, Meta>> {
		if (this.#over) return Promise.reject(this.#over);
		const { promise, resolve, reject } =
			Promise.withResolvers<Answer<StopReport<Meta>, Meta>>();
		let drain = begun;
		this.#add(key, {
			see: (turn) => {
				drain = collect(drain, turn);
				if (!isDrained(drain, turn.after)) return false;
				resolve(drainAnswer(drain, rowAfter<Meta>(turn)));
				return true;
			},
			fail: reject,
		});
		return promise;
	}

	/** Resolves with the first committed row for which it holds. */
	row(
		key: string,
		read: () => Promise<SessionRow | null>,
		holds: (row: SessionRow | null) => boolean,
		options: WaitOptions,
	): Promise<SessionRow | null> {
		return this.#bounded(
			options,
			`session ${JSON.stringify(key)} had no such row`,
			(resolve, reject) => {
				let over = false;
				const test = (row: SessionRow | null): boolean => {
					if (over) return true;
					try {
						if (!holds(row)) return false;
						resolve(row);
					} catch (error) {
						reject(error);
					}
					over = true;
					return true;
				};
				let seen = false;
				const waiter: Waiter = {
					see: (turn) => {
						seen = true;
						return test(rowAfter(turn));
					},
					fail: reject,
				};
				this.#add(key, waiter);
				read().then(
					(row) => {
						// A commit that came meanwhile is newer than what was read.
						if (!seen && test(row)) this.#remove(key, waiter);
					},
					(error) => {
						this.#remove(key, waiter);
						reject(error);
					},
				);
				return () => this.#remove(key, waiter);
			},
		);
	}

	/** Resolves when it holds at rest. */
	idle(holds: () => boolean, signal: AbortSignal | undefined): Promise<void> {
		if (holds()) return Promise.resolve();
		return this.#bounded({ signal }, "", (resolve, reject) => {
			const waiter = { holds, done: () => resolve(undefined), fail: reject };
			this.#resting.add(waiter);
			return () => this.#resting.delete(waiter);
		});
	}

	/** Also those who come later. */
	failAll(error: TurnkeeperError): void {
		this.#over = error;
		const all = [
			...[...this.#waiters.values()].flatMap((own) => [...own]),
			...this.#resting,
		];
		this.#waiters.clear();
		this.#resting.clear();
		for (const waiter of all) waiter.fail(error);
	}

	#add(key: string, waiter: Waiter): void {
		const own = this.#waiters.get(key);
		if (own) own.add(waiter);
		else this.#waiters.set(key, new Set([waiter]));
	}

	#remove(key: string, waiter: Waiter): void {
		const own = this.#waiters.get(key);
		own?.delete(waiter);
		if (own?.size === 0) this.#waiters.delete(key);
	}

	async #bounded<T>(
		{ timeoutMs, signal }: WaitOptions,
		what: string,
		wait: (
			resolve: (value: T) => void,
			reject: (error: unknown) => void,
		) => () => void,
	): Promise<T> {
		signal?.throwIfAborted();
		const { promise, resolve, reject } = Promise.withResolvers<T>();
		const forget = wait(resolve, reject);
		const aborted = () => reject(signal?.reason);
		signal?.addEventListener("abort", aborted, { once: true });
		const timer =
			timeoutMs === undefined
				? null
				: this.#clock.setTimeout(
						() =>
							reject(
								new TurnkeeperError(
									"WAIT_TIMEOUT",
									`${what} within ${timeoutMs} ms`,
								),
							),
						timeoutMs,
					);
		try {
			return await promise;
		} finally {
			forget();
			if (timer !== null) this.#clock.clearTimeout(timer);
			signal?.removeEventListener("abort", aborted);
		}
	}
}
