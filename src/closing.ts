/**
 * Owns the host's own work on generations that ended (`onGenerationEnded`): called after the commit, given the grace period, called again by
 * the next process if this one did not see its end, or could not even call. Whatever the host's function does, the session comes to rest.
 */
import type { EndedGeneration } from "../machines/facts.ts";
import type { RuntimeClock } from "./clock.ts";
import { errorText } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { readEnded } from "./reader.ts";
import { pauseAfter } from "./retries.ts";
import type { StoreReader } from "./store.ts";

type Hook<Meta> = (ended: EndedGeneration<Meta>) => Promise<void> | void;

export interface ClosingHost {
	readonly options: { readonly clock: RuntimeClock; readonly logger: Logger };
	readonly store: StoreReader;
	/** The work on a generation is over; `done` once that is committed. */
	closed(sessionKey: string, generation: number, done: () => void): void;
	/** The time for it is over, and it has not begun. */
	postponed(sessionKey: string, generation: number): void;
}

/** A deadline that can only come nearer. */
class Deadline {
	readonly #clock: RuntimeClock;
	readonly #over = Promise.withResolvers<void>();
	/** On the monotonic clock. */
	#at = Number.POSITIVE_INFINITY;
	#timer: unknown = null;
	isOver = false;

	constructor(clock: RuntimeClock) {
		this.#clock = clock;
	}

	/** Resolves when it is over. */
	get over(): Promise<void> {
		return this.#over.promise;
	}

	/** On the monotonic clock. */
	by(at: number): void {
		if (at >= this.#at) return;
		const left = Math.max(0, at - this.#clock.monotonic());
		this.#at = at;
		this.#clock.clearTimeout(this.#timer);
		this.#timer = this.#clock.setTimeout(() => {
			this.isOver = true;
			this.#over.resolve();
		}, left);
	}

	/** Nothing depends on it any more. */
	lift(): void {
		this.#at = Number.NEGATIVE_INFINITY;
		this.#clock.clearTimeout(this.#timer);
	}
}

export class Closing<Meta> {
	readonly #host: ClosingHost;
	readonly #hook: Hook<Meta>;
	/** Under way in this process. */
	#open = new Map<string, Deadline>();

	constructor(host: ClosingHost, hook: Hook<Meta>) {
		this.#host = host;
		this.#hook = hook;
	}

	/**
	 * Lets the host do its work on a generation until its time is over, on the monotonic clock. If it is at it, that can only come nearer.
	 */
	begin(sessionKey: string, generation: number, due: number): void {
		const id = `${generation}@${sessionKey}`;
		const known = this.#open.get(id);
		if (known) {
			known.by(due);
			return;
		}
		const time = new Deadline(this.#host.options.clock);
		this.#open.set(id, time);
		time.by(due);
		const end = () => this.#open.delete(id);
		void this.#work(sessionKey, generation, time).then((isOver) => {
			time.lift();
			if (isOver) this.#host.closed(sessionKey, generation, end);
			else end();
		});
	}

	/** True: the work is over, as far as this process is concerned. False: it has not begun. */
	async #work(
		sessionKey: string,
		generation: number,
		time: Deadline,
	): Promise<boolean> {
		const { logger } = this.#host.options;
		let isRead = false;
		const reading = this.#read(sessionKey, generation, time).finally(() => {
			isRead = true;
		});
		await Promise.race([reading, time.over]);
		// From here on nothing waits for it, nor is it given up.
		const isPostponed = !isRead || "error" in (await reading);
		if (isPostponed) this.#host.postponed(sessionKey, generation);
		const read = await reading;
		if ("error" in read) {
			logger.error(
				{ sessionKey, generation },
				`the generation that ended could not be read within the grace period (${errorText(read.error)}); the session goes on, and onGenerationEnded is called when it next begins anew, or at the next start`,
			);
			return false;
		}
		const problem = await Promise.race([
			this.#call(read.ended),
			...(isPostponed
				? []
				: [time.over.then(() => "it took longer than the grace period")]),
		]);
		if (problem !== null)
			logger.error(
				{ sessionKey, generation },
				`onGenerationEnded failed (${problem}); the session goes on`,
			);
		return true;
	}

	/** Tries to read it until the time is over. */
	async #read(
		sessionKey: string,
		generation: number,
		time: Deadline,
	): Promise<
		| { readonly ended: EndedGeneration<Meta> | null }
		| { readonly error: unknown }
	> {
		const { clock } = this.#host.options;
		for (let tries = 0; ; tries += 1) {
			try {
				const { store } = this.#host;
				return { ended: await readEnded<Meta>(store, sessionKey, generation) };
			} catch (error) {
				const pause = Promise.withResolvers<void>();
				const timer = clock.setTimeout(pause.resolve, pauseAfter(tries));
				await Promise.race([pause.promise, time.over]);
				clock.clearTimeout(timer);
				if (time.isOver) return { error };
			}
		}
	}

	/** What went wrong, or null. */
	async #call(ended: EndedGeneration<Meta> | null): Promise<string | null> {
		try {
			// Purged meanwhile, there is nothing left to work on.
			if (ended) await this.#hook(ended);
			return null;
		} catch (error) {
			return errorText(error);
		}
	}
}
