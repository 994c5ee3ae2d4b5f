/** Owns the parts that worlds are made of, each once, under a number: many worlds share theirs. Never looks into one. */
import { frozen } from "../../../machines/json.ts";

export class Parts {
	readonly #numbers = new Map<string, number>();
	readonly #all: unknown[] = [];

	/** Of a part, by its JSON. */
	number(text: string): number {
		let number = this.#numbers.get(text);
		if (number === undefined) {
			number = this.#all.push(frozen(JSON.parse(text))) - 1;
			this.#numbers.set(text, number);
		}
		return number;
	}

	/** Frozen, as it is shared. */
	at(number: number): unknown {
		return this.#all[number];
	}
}
