/**
 * Owns which states were met, each once, in the order in which they were met: a world by its number, with what of the bounds was used on the
 * way there, and by which move from which state it was met first. Never forgets one.
 */
import { Numbers } from "./numbers.ts";

export class States {
	readonly #worlds = new Numbers();
	readonly #used = new Numbers();
	readonly #from = new Numbers();
	readonly #by = new Numbers();
	/** Each state stands at the first free place from its own on; -1: free. Half of the places stay free. */
	#places = new Int32Array(4096).fill(-1);

	get size(): number {
		return this.#worlds.length;
	}

	world(state: number): number {
		return this.#worlds.get(state);
	}

	used(state: number): number {
		return this.#used.get(state);
	}

	/** Where a state was met first; -1: it is the first of all. */
	from(state: number): number {
		return this.#from.get(state);
	}

	/** By which move there. */
	by(state: number): number {
		return this.#by.get(state);
	}

	meet(world: number, used: number, from: number, by: number): void {
		const mask = this.#places.length - 1;
		let place = placeOf(world, used) & mask;
		for (;;) {
			const known = this.#places[place] as number;
			if (known < 0) break;
			if (this.#worlds.get(known) === world && this.#used.get(known) === used)
				return;
			place = (place + 1) & mask;
		}
		this.#places[place] = this.size;
		this.#worlds.push(world);
		this.#used.push(used);
		this.#from.push(from);
		this.#by.push(by);
		if (this.size * 2 > this.#places.length) this.#grow();
	}

	#grow(): void {
		const places = new Int32Array(this.#places.length * 2).fill(-1);
		const mask = places.length - 1;
		for (let state = 0; state < this.size; state++) {
			let place = placeOf(this.world(state), this.used(state)) & mask;
			while ((places[place] as number) >= 0) place = (place + 1) & mask;
			places[place] = state;
		}
		this.#places = places;
	}
}

function placeOf(world: number, used: number): number {
	const mixed = Math.imul(world, 0x9e3779b1) ^ Math.imul(used + 1, 0x85ebca6b);
	return Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 1;
}
