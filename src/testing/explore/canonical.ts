/**
 * Owns when two worlds are the same: ids are named in the order in which they are met, arrival numbers are ranks, and what no decision asks for
 * (versions beyond "was it ever written", transcript counts, times, of which there is one) is left out. A text stands for all worlds of a kind;
 * what is read back from it is one of them. Never decides what happens in one.
 */
import type { SessionFacts } from "../../../machines/facts.ts";
import type { KnownFacts } from "./known-facts.ts";
import { arrivalsIn } from "./names.ts";
import type { Parts } from "./parts.ts";
import type { Turn, World } from "./world.ts";

/** Where the facts of a world stand among its facts. */
interface Places {
	readonly committed: number;
	/** Of each turn that waits. */
	readonly after: readonly number[];
}

const alone = ["process", "live", "kept", "taken", "hooks"] as const;

export class Canon {
	readonly facts: KnownFacts;
	readonly #parts: Parts;

	constructor(facts: KnownFacts, parts: Parts) {
		this.facts = facts;
		this.#parts = parts;
	}

	/** Equal for worlds that differ only in names: the numbers of its facts, what was decided last first, then of its other parts. */
	text(world: World): string {
		const met: SessionFacts[] = [];
		const placeOf = (one: SessionFacts) => {
			const at = met.indexOf(one);
			return at >= 0 ? at : met.push(one) - 1;
		};
		const { committed, pending } = world;
		const turns: string[] = [];
		const after: number[] = [];
		for (const turn of pending.toReversed()) {
			const { after: facts, ...others } = turn;
			turns.unshift(JSON.stringify(others));
			after.unshift(placeOf(facts));
		}
		const places: Places = { committed: placeOf(committed), after };
		const parts = alone.map((name) => JSON.stringify(world[name]));
		const text = [...parts, JSON.stringify(places), ...turns].join("\n");
		const { numbers, names } = this.facts.named(met, arrivalsIn(text));
		const lines = names.copy().rename(text).split("\n");
		return `${numbers} ${lines.map((line) => this.#parts.number(line)).join()}`;
	}

	world(text: string): World {
		const [first = "", second = ""] = text.split(" ");
		const facts = first.split(",").map((one) => this.facts.at(Number(one)));
		const parts = second.split(",").map((one) => this.#parts.at(Number(one)));
		const [process, live, kept, taken, hooks, places, ...turns] = parts;
		const { committed, after } = places as Places;
		return {
			process,
			live,
			kept,
			taken,
			hooks,
			committed: facts[committed],
			pending: turns.map((turn, at) => ({
				...(turn as Omit<Turn, "after">),
				after: facts[after[at] as number],
			})),
		} as World;
	}
}
