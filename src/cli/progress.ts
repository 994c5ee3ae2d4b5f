/**
 * Owns the progress bar on standard error: shown on a terminal only, only once a task has taken longer than a second, and gone when
 * it is done. A task that counts things says how fast it is and what is left, and without a terminal a plain line now and then. Draws
 * when told of progress; has no timer.
 */
import { duration } from "../replay/words.ts";

interface Screen {
	readonly isTTY?: boolean;
	readonly columns?: number;
	write(text: string): unknown;
}

const patience = 1000;
const pause = 100;
/** Between plain lines. */
const silence = 10_000;

/**
 * A bar for one task.
 *
 * @example
 * const bar = new Progress("import", bytes);
 * bar.advance(chunk.length);
 * bar.done();
 */
export class Progress {
	#label: string;
	#total: number;
	#screen: Screen;
	#now: () => number;
	#unit: string | null;
	#began: number;
	#drawn: number | null = null;
	#value = 0;

	constructor(
		label: string,
		total: number,
		screen: Screen = process.stderr,
		now: () => number = () => performance.now(),
		/** What is counted, if it is more than a share of a whole. */
		unit: string | null = null,
	) {
		this.#unit = unit;
		this.#label = label;
		this.#total = total;
		this.#screen = screen;
		this.#now = now;
		this.#began = now();
	}

	/** More of it is done. */
	advance(by: number): void {
		this.reach(this.#value + by);
	}

	/** So much of it is done. */
	reach(value: number): void {
		this.#value = value;
		const now = this.#now();
		if (!this.#screen.isTTY) {
			if (this.#unit === null) return;
			if (now < (this.#drawn ?? this.#began) + silence) return;
			this.#drawn = now;
			this.#screen.write(
				`${this.#label}: ${value} of ${this.#total}${this.#pace(now)}\n`,
			);
			return;
		}
		const due =
			this.#drawn === null ? this.#began + patience : this.#drawn + pause;
		if (now < due) return;
		this.#drawn = now;
		this.#screen.write(`\r${this.#line(now)}\u001b[K`);
	}

	/** Takes the bar away. */
	done(): void {
		if (this.#drawn !== null && this.#screen.isTTY)
			this.#screen.write("\r\u001b[K");
		this.#drawn = null;
	}

	/** Hides the bar while something else is printed; it comes back with the next progress. */
	hide(): void {
		if (this.#drawn === null || !this.#screen.isTTY) return;
		this.#screen.write("\r\u001b[K");
		this.#drawn = Number.NEGATIVE_INFINITY;
	}

	#line(now: number): string {
		const share = this.#total > 0 ? Math.min(1, this.#value / this.#total) : 1;
		const percent = `${Math.floor(share * 100)} %`.padStart(5);
		const columns = this.#screen.columns ?? 80;
		const pace = this.#unit === null ? "" : this.#pace(now);
		const taken = this.#label.length + pace.length + 9;
		const room = Math.max(5, Math.min(40, columns - taken));
		const full = Math.round(share * room);
		return `${this.#label} ${"█".repeat(full)}${"░".repeat(room - full)} ${percent}${pace}`;
	}

	/** How fast it is, and what is left at that. */
	#pace(now: number): string {
		const perMs = this.#value / Math.max(1, now - this.#began);
		const left = Math.max(0, this.#total - this.#value) / perMs;
		return `, ${(perMs * 1000).toFixed(0)} ${this.#unit}/s, ${duration(left)} left`;
	}
}
