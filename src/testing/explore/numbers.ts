/** Owns a list of whole numbers that grows, four bytes each. Never shrinks. */
export class Numbers {
	#values = new Int32Array(1024);
	#length = 0;

	get length(): number {
		return this.#length;
	}

	get(at: number): number {
		return this.#values[at] as number;
	}

	set(at: number, value: number): void {
		this.#values[at] = value;
	}

	push(value: number): void {
		if (this.#length === this.#values.length) {
			const more = new Int32Array(this.#length * 2);
			more.set(this.#values);
			this.#values = more;
		}
		this.#values[this.#length] = value;
		this.#length += 1;
	}
}
