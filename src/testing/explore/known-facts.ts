/**
 * Owns the facts that were met, each once, under a number: equal but for names, versions and what else no decision asks for is the same. They are
 * read back from JSON, as a store would give them, and frozen: what changed them would change many worlds. Never decides what is true of them.
 */
import type { SessionFacts } from "../../../machines/facts.ts";
import { frozen } from "../../../machines/json.ts";
import { arrivalsIn, Names } from "./names.ts";

/** The next message arrives after all that are there. */
const later = 50;

/** Facts as they stand in a text, before anything is named. */
interface Written {
	/** Tells this object from all others. */
	readonly mark: number;
	readonly text: string;
	readonly arrivals: readonly number[];
}

/** Facts that were written one after another. */
interface Named {
	/** Of the facts that they are equal to but for names. */
	readonly numbers: string;
	/** As they were given on the way. */
	readonly names: Names;
}

/** Facts that are equal are one object. */
export class KnownFacts {
	readonly #numbers = new Map<string, number>();
	readonly #all: SessionFacts[] = [];
	readonly #written = new WeakMap<SessionFacts, Written>();
	readonly #named = new Map<string, Named>();
	readonly #met: (facts: SessionFacts) => void;
	#marks = 0;

	/** `met` is called once with each. */
	constructor(met: (facts: SessionFacts) => void) {
		this.#met = met;
	}

	get size(): number {
		return this.#all.length;
	}

	at(number: number): SessionFacts {
		return this.#all[number] as SessionFacts;
	}

	/** Worked out once: the same facts stand together in many worlds. A rank needs all arrivals: what else arrived is told. */
	named(some: readonly SessionFacts[], others: readonly number[]): Named {
		const written = some.map((one) => this.#write(one));
		const own = written.flatMap(({ arrivals }) => arrivals);
		const more = others.filter((arrival) => !own.includes(arrival));
		const key = `${written.map(({ mark }) => mark).join()} ${more.join()}`;
		let named = this.#named.get(key);
		if (!named) {
			const names = new Names([...own, ...more]);
			const text = written.map((one) => one.text).join("\n");
			const lines = names.rename(text).split("\n");
			const numbers = lines.map((line) => this.#number(line)).join();
			named = { numbers, names };
			this.#named.set(key, named);
		}
		return named;
	}

	#number(text: string): number {
		let number = this.#numbers.get(text);
		if (number === undefined) {
			const facts = frozen(JSON.parse(text) as SessionFacts);
			number = this.#all.push(facts) - 1;
			this.#numbers.set(text, number);
			this.#met(facts);
		}
		return number;
	}

	#write(facts: SessionFacts): Written {
		let written = this.#written.get(facts);
		if (!written) {
			const text = JSON.stringify({
				...facts,
				version: Math.min(facts.version, 1),
				arrivals: later,
				entries: 0,
			});
			written = { mark: this.#marks++, text, arrivals: arrivalsIn(text) };
			this.#written.set(facts, written);
		}
		return written;
	}
}
