/** A few of the lives that `npm run crash` plays by the hundred. A failing seed is its own replay: SEED=17 npx vitest run test/crash/lives.test.ts */
import { expect, test } from "vitest";
import { seedsOf } from "../support/seeds.ts";
import { playLives } from "./lives.ts";

test.each(seedsOf(1))(
	"what a host under load was told holds through kill -9, life after life (seed %i)",
	async (seed) => {
		const { kills, accepted } = await playLives(seed, 4);
		expect(kills).toBe(4);
		expect(accepted).toBeGreaterThan(0);
	},
	240_000,
);
