/** Owns how seeds are played in tests: fifty to a case, each of which names the seed that breaks a promise. */
import { simulate } from "turnkeeper/testing";
import { describe, test } from "vitest";

const perCase = 50;

/** `SEED=17` plays that one alone. */
export function playSeeds({
	first,
	count,
}: {
	readonly first: number;
	readonly count: number;
}): void {
	const { SEED } = process.env;
	if (SEED) {
		test(`seed ${SEED}`, () => simulate({ seed: Number(SEED) }));
		return;
	}
	describe("every promise is kept", () => {
		for (let from = first; from < first + count; from += perCase)
			test(`by seeds ${from} to ${from + perCase - 1}`, async () => {
				for (let seed = from; seed < from + perCase; seed++)
					await simulate({ seed });
			}, 120_000);
	});
}
