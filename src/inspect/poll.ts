/** Owns looking again and again: one look at a time, with a pause that is never short beside the look itself, and none that keeps a process alive. */
const pauseFactor = 20;

export class Poll {
	readonly #everyMs: number;
	readonly #look: () => Promise<void>;
	#timer: NodeJS.Timeout | null = null;
	#isOn = false;
	#isLooking = false;

	/** `look` must not reject. */
	constructor(everyMs: number, look: () => Promise<void>) {
		this.#everyMs = everyMs;
		this.#look = look;
	}

	set(isOn: boolean): void {
		this.#isOn = isOn;
		if (isOn) this.#wait(this.#everyMs);
		else if (this.#timer) {
			clearTimeout(this.#timer);
			this.#timer = null;
		}
	}

	#wait(ms: number): void {
		if (this.#isLooking || this.#timer) return;
		this.#timer = setTimeout(() => {
			this.#timer = null;
			void this.#once();
		}, ms).unref();
	}

	async #once(): Promise<void> {
		this.#isLooking = true;
		const began = performance.now();
		await this.#look();
		this.#isLooking = false;
		const took = performance.now() - began;
		if (this.#isOn) this.#wait(Math.max(this.#everyMs, pauseFactor * took));
	}
}
