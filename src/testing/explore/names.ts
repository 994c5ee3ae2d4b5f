/**
 * Owns the names that stand for any others: ids in the order in which they are met, ranks for arrival numbers. Knows texts, and nothing of what
 * they tell of.
 */

/** Far before every arrival number; see `frontOrder` in machines/line.ts. */
const fronts = [-2e12, -1e12] as const;

/** Arrival numbers that a text tells of. */
export function arrivalsIn(text: string): readonly number[] {
	const found = text.matchAll(/"(?:seq|group)":(\d+)/g);
	return [...new Set(Array.from(found, ([, digits]) => Number(digits)))];
}

/** New names for what is met. */
export class Names {
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
