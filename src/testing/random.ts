/** Owns chance that repeats: mulberry32, small, seeded, the same everywhere. */
export function generator(seed: number): (below: number) => number {
	let state = seed * 2654435761;
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
	};
}
