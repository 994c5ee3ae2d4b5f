/** Owns the line on a terminal that says what is being measured; nothing is said where nobody looks. */
export class Progress {
	readonly #stream: NodeJS.WriteStream;
	readonly #began = performance.now();
	#done = 0;
	#total: number;

	constructor(total: number, stream: NodeJS.WriteStream = process.stderr) {
		this.#total = total;
		this.#stream = stream;
	}

	show(what: string): void {
		const minutes = Math.floor((performance.now() - this.#began) / 60_000);
		this.#write(
			`${this.#done}/${this.#total} groups, ${minutes} min: ${what}`.slice(
				0,
				(this.#stream.columns ?? 120) - 1,
			),
		);
	}

	/** A group was played. */
	next(): void {
		this.#done += 1;
	}

	stop(): void {
		this.#write("");
	}

	#write(line: string): void {
		if (this.#stream.isTTY) this.#stream.write(`\r\u001b[K${line}`);
	}
}
