/**
 * Owns the worlds that were met, a number each: what can happen in one, and which world that comes to, worked out once, when it is first asked.
 * What of the bounds is left is no part of a world, so one serves many states. Keeps texts and numbers only: a world is read back when
 * something happens in it that has not happened there before.
 */
import type { Budget, Expense } from "./budget.ts";
import type { Move } from "./moves.ts";
import { Numbers } from "./numbers.ts";
import type { Stage } from "./stage.ts";
import type { World } from "./world.ts";

/** What can happen in a world. The same in many. */
export interface Choice {
	readonly names: readonly string[];
	readonly expenses: readonly Expense[];
	/** What a world that nobody disturbs does next; -1: it is at rest. */
	readonly settlesBy: number;
}

const unknown = -1;

export class Worlds {
	readonly #stage: Stage;
	readonly #budget: Budget;
	readonly #numbers = new Map<string, number>();
	readonly #texts: string[] = [];
	readonly #choices: Choice[] = [];
	readonly #choiceByName = new Map<string, Choice>();
	/** By world: where what it comes to begins in `#to`, a place for each move. */
	readonly #begins = new Numbers();
	readonly #to = new Numbers();
	/** The world that was looked at last. */
	#at = -1;
	#moves: readonly Move[] = [];

	constructor(stage: Stage, budget: Budget) {
		this.#stage = stage;
		this.#budget = budget;
	}

	get size(): number {
		return this.#texts.length;
	}

	meet(world: World): number {
		const text = this.#stage.text(world);
		let number = this.#numbers.get(text);
		if (number === undefined) {
			number = this.#texts.push(text) - 1;
			this.#numbers.set(text, number);
		}
		return number;
	}

	/** All that can happen in a world, as far as the bounds go. Worlds are asked in the order of their numbers. */
	choice(world: number): Choice {
		const known = this.#choices[world];
		if (known) return known;
		const choice = this.#choiceOf(this.#movesOf(world));
		this.#choices[world] = choice;
		this.#begins.push(this.#to.length);
		for (const _ of choice.names) this.#to.push(unknown);
		return choice;
	}

	/** The world that a move comes to. Throws what does not hold on the way. */
	after(world: number, by: number): number {
		const place = this.#begins.get(world) + by;
		const known = this.#to.get(place);
		if (known !== unknown) return known;
		const move = this.#movesOf(world)[by] as Move;
		const reached = this.meet(move.to());
		this.#to.set(place, reached);
		return reached;
	}

	/** The world that it comes to if nobody disturbs it; -1: it is at rest. */
	next(world: number): number {
		const { settlesBy } = this.choice(world);
		return settlesBy < 0 ? settlesBy : this.after(world, settlesBy);
	}

	#movesOf(world: number): readonly Move[] {
		if (this.#at !== world) {
			const text = this.#texts[world] as string;
			this.#moves = this.#stage.moves(this.#stage.settled(text));
			this.#at = world;
		}
		return this.#moves;
	}

	#choiceOf(moves: readonly Move[]): Choice {
		const name = JSON.stringify(moves);
		let choice = this.#choiceByName.get(name);
		if (!choice) {
			choice = {
				names: moves.map((move) => move.name),
				expenses: moves.map(({ spends }) => this.#budget.expense(spends)),
				settlesBy: settlesBy(moves),
			};
			this.#choiceByName.set(name, choice);
		}
		return choice;
	}
}

function settlesBy(moves: readonly Move[]): number {
	let first = -1;
	let lowest = Number.POSITIVE_INFINITY;
	for (const [by, { settles }] of moves.entries())
		if (settles !== null && settles < lowest) {
			first = by;
			lowest = settles;
		}
	return first;
}
