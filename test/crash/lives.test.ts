/** A few of the lives that `npm run crash` plays by the hundred. A failing seed is its own replay: SEED=17 npx vitest run test/crash/lives.test.ts */
import { expect, test } from "vitest";
import { seedsOf } from "../support/seeds.ts";
import { playLives } from "./lives.ts";

const lives = seedsOf(1).flatMap((seed) => [
	{ seed, thread: false },
	{ seed, thread: true },
]);

test.each(lives)(
	"what a host under load was told holds through kill -9, life after life (seed $seed, on a thread: $thread)",
	async ({ seed, thread }) => {
		const { kills, accepted } = await playLives(seed, 4, thread);
		expect(kills).toBe(4);
		expect(accepted).toBeGreaterThan(0);
	},
	240_000,
);
