/**
 * Owns how much of the bounds was used on the way to a state: a number stands for each way to have used them. Never decides what uses them up.
 */
import type { Bounded, Bounds } from "./world.ts";

/** Something that uses up some of the bounds each time it happens. */
export class Expense {
	readonly #spends: readonly Bounded[];
	readonly #budget: Budget;
	readonly #after: number[] = [];

	constructor(spends: readonly Bounded[], budget: Budget) {
		this.#spends = spends;
		this.#budget = budget;
	}

	/** What was used once it has happened; -1: there is not that much left. */
	on(used: number): number {
		if (this.#spends.length === 0) return used;
		let after = this.#after[used];
		if (after === undefined) {
			after = this.#budget.spend(used, this.#spends);
			this.#after[used] = after;
		}
		return after;
	}
}

type Counts = Readonly<Partial<Record<Bounded, number>>>;

export class Budget {
	readonly #bounds: Bounds;
	/** Nothing was used at 0. */
	readonly #counts: Counts[] = [{}];
	readonly #numbers = new Map<string, number>();
	readonly #expenses = new Map<string, Expense>();

	constructor(bounds: Bounds) {
		this.#bounds = bounds;
	}

	expense(spends: readonly Bounded[]): Expense {
		const name = spends.join();
		let expense = this.#expenses.get(name);
		if (!expense) {
			expense = new Expense(spends, this);
			this.#expenses.set(name, expense);
		}
		return expense;
	}

	/** What was used with these on top; -1: there is not that much left. */
	spend(used: number, spends: readonly Bounded[]): number {
		if (spends.length === 0) return used;
		const counts = { ...this.#counts[used] };
		for (const one of spends) {
			const count = (counts[one] ?? 0) + 1;
			if (count > (this.#bounds[one] ?? 0)) return -1;
			counts[one] = count;
		}
		return this.#numberOf(counts);
	}

	#numberOf(counts: Counts): number {
		const name = JSON.stringify(Object.entries(counts).sort());
		let number = this.#numbers.get(name);
		if (number === undefined) {
			number = this.#counts.push(counts) - 1;
			this.#numbers.set(name, number);
		}
		return number;
	}
}
