/**
 * Owns a Map for what comes and goes all the time. V8 lays a Map out anew as it grows, shrinks and fills with holes, and leaves in each layout a
 * way to the next. Once one of them is old, so is all that comes after it: what was deleted long ago survives every collection but a full
 * one, a turn's worth of objects each. So a Map that has turned over is left behind, and what is in it taken along.
 */

/** Deletions after which even a small Map is left behind. */
const fewest = 16;

export class TurnoverMap<Key, Value> {
	#map = new Map<Key, Value>();
	#deleted = 0;

	get size(): number {
		return this.#map.size;
	}

	get(key: Key): Value | undefined {
		return this.#map.get(key);
	}

	set(key: Key, value: Value): void {
		this.#map.set(key, value);
	}

	delete(key: Key): void {
		if (!this.#map.delete(key)) return;
		this.#deleted += 1;
		if (this.#deleted < Math.max(fewest, this.#map.size)) return;
		this.#map = new Map(this.#map);
		this.#deleted = 0;
	}

	values(): IterableIterator<Value> {
		return this.#map.values();
	}

	clear(): void {
		this.#map = new Map();
		this.#deleted = 0;
	}
}
