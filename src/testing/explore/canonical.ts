/**
 * Owns when two worlds are the same: ids are named in the order in which they are met, arrival numbers are ranks, and what no decision asks for
 * (versions beyond "was it ever written", transcript counts, times, of which there is one) is left out. What comes out is again a world, the one
 * that stands for all of its kind; its facts are read back from JSON, as a store would give them.
 */
import type { SessionFacts } from "../../../machines/facts.ts";
import type { Turn, World } from "./world.ts";

/** Facts that are equal are one object. */
export class Facts {
	readonly #numbers = new Map<string, number>();
	readonly #all: SessionFacts[] = [];
	readonly #texts = new WeakMap<SessionFacts, string>();
	readonly #met: (facts: SessionFacts) => void;

	/** `met` is called once with each. */
	constructor(met: (facts: SessionFacts) => void) {
		this.#met = met;
	}

	get size(): number {
		return this.#all.length;
	}

	text(facts: SessionFacts): string {
		let text = this.#texts.get(facts);
		if (text === undefined) {
			text = JSON.stringify({
				...facts,
				version: Math.min(facts.version, 1),
				arrivals: later,
				entries: 0,
			});
			this.#texts.set(facts, text);
		}
		return text;
	}

	/** The number of the facts that a text is of. */
	number(text: string): number {
		let number = this.#numbers.get(text);
		if (number === undefined) {
			const facts = JSON.parse(text) as SessionFacts;
			number = this.#all.push(facts) - 1;
			this.#numbers.set(text, number);
			this.#texts.set(facts, text);
			this.#met(facts);
		}
		return number;
	}

	at(number: number): SessionFacts {
		return this.#all[number] as SessionFacts;
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
	const lines = met.map((one) => facts.text(one));
	lines.push(JSON.stringify(rest));
	const texts = renamed(lines.join("\n")).split("\n");
	const ending = texts.pop() as string;
	return `${texts.map((text) => facts.number(text)).join()}\n${ending}`;
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

function renamed(text: string): string {
	const arrivals = new Set<number>();
	for (const [, digits] of text.matchAll(/"(?:seq|group)":(\d+)/g))
		arrivals.add(Number(digits));
	const sorted = [...arrivals].sort((a, b) => a - b);
	const rank = (arrival: number) => sorted.indexOf(arrival) + 1;
	const order = (value: number) => {
		if (value > 0) return rank(value);
		const front = fronts.find((one) => Math.abs(value - one) < 1e6);
		return front === undefined ? value : front + rank(value - front);
	};
	const names = new Map<string, string>();
	const counts = { m: 0, r: 0, s: 0 };
	return text.replace(
		/"(seq|group|order)":(-?\d+)|\b([mrs])\d+\b/g,
		(found, field, digits, kind: keyof typeof counts) => {
			if (field !== undefined) {
				const value = Number(digits);
				return `"${field}":${field === "order" ? order(value) : rank(value)}`;
			}
			let name = names.get(found);
			if (name === undefined) {
				counts[kind] += 1;
				name = `${kind}${counts[kind]}`;
				names.set(found, name);
			}
			return name;
		},
	);
}
