/**
 * Owns when two worlds are the same: ids are named in the order in which they are met, arrival numbers are ranks, and what no decision asks for
 * (versions beyond "was it ever written", transcript counts, times, of which there is one) is left out. What comes out is again a world, the one
 * that stands for all of its kind; its facts are read back from JSON, as a store would give them.
 */
import type { SessionFacts } from "../../../machines/facts.ts";
import type { Turn, World } from "./world.ts";

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
export class Facts {
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
			const facts = JSON.parse(text) as SessionFacts;
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

/** The next message arrives after all that are there. */
const later = 50;

type Rest = Omit<World, "committed" | "pending"> & {
	/** Numbers of facts, in the order in which they are written. */
	readonly committed: number;
	readonly pending: readonly (Omit<Turn, "after"> & {
		readonly after: number;
	})[];
};

/** Equal for worlds that differ only in names: the numbers of its facts, what was decided last first, then the rest. */
export function textOf(facts: Facts, world: World): string {
	const met: SessionFacts[] = [];
	const number = (one: SessionFacts) => {
		const at = met.indexOf(one);
		return at >= 0 ? at : met.push(one) - 1;
	};
	const { committed, pending, ...others } = world;
	const turns = pending.toReversed().map(({ after, ...turn }) => ({
		...turn,
		after: number(after),
	}));
	const rest: Rest = {
		...others,
		pending: turns.reverse(),
		committed: number(committed),
	};
	const ending = JSON.stringify(rest);
	const { numbers, names } = facts.named(met, arrivalsIn(ending));
	return `${numbers}\n${names.copy().rename(ending)}`;
}

export function worldOf(facts: Facts, text: string): World {
	const [numbers = "", ending = ""] = text.split("\n");
	const rest = JSON.parse(ending) as Rest;
	const known = numbers.split(",").map((number) => facts.at(Number(number)));
	return {
		...rest,
		committed: known[rest.committed] as SessionFacts,
		pending: rest.pending.map((turn) => ({
			...turn,
			after: known[turn.after] as SessionFacts,
		})),
	};
}

/** Far before every arrival number; see `frontOrder` in machines/line.ts. */
const fronts = [-2e12, -1e12] as const;

function arrivalsIn(text: string): readonly number[] {
	const found = text.matchAll(/"(?:seq|group)":(\d+)/g);
	return [...new Set(Array.from(found, ([, digits]) => Number(digits)))];
}

/** New names for what is met, in its order. */
class Names {
	/** Ascending. */
	readonly #arrivals: readonly number[];
	#given = new Map<string, string>();
	#counts = { m: 0, r: 0, s: 0 };

	constructor(arrivals: readonly number[]) {
		this.#arrivals = [...new Set(arrivals)].sort((a, b) => a - b);
	}

	copy(): Names {
		const names = new Names(this.#arrivals);
		names.#given = new Map(this.#given);
		names.#counts = { ...this.#counts };
		return names;
	}

	rename(text: string): string {
		return text.replace(
			/"(seq|group|order)":(-?\d+)|\b([mrs])\d+\b/g,
			(found, field, digits, kind: "m" | "r" | "s") => {
				if (field === undefined) return this.#nameOf(found, kind);
				const value = Number(digits);
				return `"${field}":${field === "order" ? this.#order(value) : this.#rank(value)}`;
			},
		);
	}

	#nameOf(found: string, kind: "m" | "r" | "s"): string {
		let name = this.#given.get(found);
		if (name === undefined) {
			this.#counts[kind] += 1;
			name = `${kind}${this.#counts[kind]}`;
			this.#given.set(found, name);
		}
		return name;
	}

	#rank(arrival: number): number {
		return this.#arrivals.indexOf(arrival) + 1;
	}

	#order(value: number): number {
		if (value > 0) return this.#rank(value);
		const front = fronts.find((one) => Math.abs(value - one) < 1e6);
		return front === undefined ? value : front + this.#rank(value - front);
	}
}
