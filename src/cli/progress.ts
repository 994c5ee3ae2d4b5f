/**
 * Owns the progress bar on standard error: shown on a terminal only, only once a task has taken longer than a second, and gone when
 * it is done. Draws when told of progress; has no timer.
 */

interface Screen {
	readonly isTTY?: boolean;
	readonly columns?: number;
	write(text: string): unknown;
}

const patience = 1000;
const pause = 100;

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
	#began: number;
	#drawn: number | null = null;
	#value = 0;

	constructor(
		label: string,
		total: number,
		screen: Screen = process.stderr,
		now: () => number = () => performance.now(),
	) {
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
		if (!this.#screen.isTTY) return;
		const now = this.#now();
		const due =
			this.#drawn === null ? this.#began + patience : this.#drawn + pause;
		if (now < due) return;
		this.#drawn = now;
		this.#screen.write(`\r${this.#line()}\u001b[K`);
	}

	/** Takes the bar away. */
	done(): void {
		if (this.#drawn !== null) this.#screen.write("\r\u001b[K");
		this.#drawn = null;
	}

	/** Hides the bar while something else is printed; it comes back with the next progress. */
	hide(): void {
		if (this.#drawn === null) return;
		this.#screen.write("\r\u001b[K");
		this.#drawn = Number.NEGATIVE_INFINITY;
	}

	#line(): string {
		const share = this.#total > 0 ? Math.min(1, this.#value / this.#total) : 1;
		const percent = `${Math.floor(share * 100)} %`.padStart(5);
		const columns = this.#screen.columns ?? 80;
		const room = Math.max(5, Math.min(40, columns - this.#label.length - 9));
		const full = Math.round(share * room);
		return `${this.#label} ${"█".repeat(full)}${"░".repeat(room - full)} ${percent}`;
	}
}
