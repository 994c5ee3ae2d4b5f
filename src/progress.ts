/**
 * Owns what runs say while they run, for those who follow them. In memory alone: the newest values of a live run, and for a minute those
 * of a run that ended. Never part of the feed or the store.
 */
import { frozen, type JsonValue } from "../machines/json.ts";
import { type RunTicket, ticketId } from "../machines/ticket.ts";
import type { RuntimeClock } from "./clock.ts";
import type { ProgressItem } from "./runtime.ts";

const mostValues = 1000;
const keptAfterEndMs = 60_000;
const mostEnded = 1000;

type Identity = Parameters<typeof ticketId>[0];

class Log {
	/** The newest values; the last has number `count`. */
	values: JsonValue[] = [];
	count = 0;
	/** On the monotonic clock. */
	endedAt: number | null = null;
	#waiting = new Set<() => void>();

	add(value: JsonValue): void {
		this.values.push(value);
		this.count += 1;
		// Dropped by the half, so that a value costs no shift of all others.
		if (this.values.length >= 2 * mostValues)
			this.values = this.values.slice(-mostValues);
		this.wake();
	}

	/** The number of the oldest value that is kept. */
	get first(): number {
		return this.count - Math.min(this.values.length, mostValues) + 1;
	}

	at(seq: number): JsonValue {
		return this.values[
			this.values.length - 1 - (this.count - seq)
		] as JsonValue;
	}

	wake(): void {
		for (const go of [...this.#waiting]) go();
	}

	/** Resolves when there is more, or when the signal is aborted. */
	more(signal: AbortSignal | undefined): Promise<void> {
		return new Promise((resolve) => {
			const go = () => {
				this.#waiting.delete(go);
				signal?.removeEventListener("abort", go);
				resolve();
			};
			this.#waiting.add(go);
			signal?.addEventListener("abort", go, { once: true });
		});
	}
}

export class Progress {
	readonly #clock: RuntimeClock;
	readonly #isLive: (ticket: Identity) => boolean;
	#logs = new Map<string, Log>();
	/** Logs of runs that ended, the longest ended first. */
	#ended = new Set<string>();

	constructor(clock: RuntimeClock, isLive: (ticket: Identity) => boolean) {
		this.#clock = clock;
		this.#isLive = isLive;
	}

	/** Made when somebody speaks or listens: most runs say nothing on their way. */
	#logOf(ticket: Identity): Log | undefined {
		const id = ticketId(ticket);
		const known = this.#logs.get(id);
		if (known || !this.#isLive(ticket)) return known;
		const log = new Log();
		this.#logs.set(id, log);
		return log;
	}

	add(ticket: Identity, value: JsonValue): void {
		const log = this.#logOf(ticket);
		// Many may read it, and none may change it for the others.
		if (log?.endedAt === null) log.add(frozen(value));
	}

	/** The run settled: those who follow it come to their end. */
	end(ticket: Identity): void {
		if (this.#logs.size === 0) return;
		const id = ticketId(ticket);
		const log = this.#logs.get(id);
		if (!log) return;
		log.endedAt ??= this.#clock.monotonic();
		log.wake();
		if (log.count === 0) this.#logs.delete(id);
		else this.#ended.add(id);
		this.#forget();
	}

	/** All come to their end. */
	close(): void {
		for (const log of this.#logs.values()) {
			log.endedAt ??= this.#clock.monotonic();
			log.wake();
		}
		this.#logs.clear();
		this.#ended.clear();
	}

	async *follow(
		ticket: RunTicket,
		from: number,
		signal: AbortSignal | undefined,
	): AsyncGenerator<ProgressItem, void, undefined> {
		this.#forget();
		const log = this.#logOf(ticket);
		if (!log) return;
		let next = from;
		while (!signal?.aborted) {
			const { first } = log;
			if (next < first) {
				// While a slow reader looks at this, more may go: then that is said too.
				yield { gap: { from: next, to: first - 1 } };
				next = first;
			} else if (next <= log.count) {
				const value = log.at(next);
				next += 1;
				yield { seq: next - 1, value };
			} else if (log.endedAt !== null) return;
			else await log.more(signal);
		}
	}

	#forget(): void {
		const before = this.#clock.monotonic() - keptAfterEndMs;
		for (const id of this.#ended) {
			const endedAt = this.#logs.get(id)?.endedAt ?? 0;
			if (endedAt > before && this.#ended.size <= mostEnded) return;
			this.#ended.delete(id);
			this.#logs.delete(id);
		}
	}
}
