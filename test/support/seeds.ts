/** Owns which seeds a test plays. */

/** The seeds to play: `SEED=17` plays that one alone, `SEEDS=400` as many. */
export function seedsOf(count: number): number[] {
	const { SEED, SEEDS } = process.env;
	if (SEED) return [Number(SEED)];
	return Array.from({ length: Number(SEEDS ?? count) }, (_, i) => i + 1);
}
