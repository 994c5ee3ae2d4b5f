/** Owns what must be left when the owner's process is killed in the middle of its commits: every batch wholly or not at all. */
import assert from "node:assert/strict";
import type { OpenStore } from "../../store.ts";
import { generator } from "../random.ts";
import { link, linksHeld } from "./chain.ts";
import type { CheckGroup } from "./check.ts";

export const kills: CheckGroup = {
	about: "is killed",
	needs: "module",
	checks: {
		"while it commits: every batch holds wholly or not at all, and what was answered is there":
			async (trial) => {
				const below = generator(trial.subject.seed);
				let held = 0;
				for (let kill = 0; kill < trial.subject.kills; kill++) {
					const owner = await trial.process();
					await owner.open(`life ${kill + 1}`);
					let answered = held;
					const failures: Error[] = [];
					const killAt = held + 1 + below(20);
					const { promise: due, resolve } = Promise.withResolvers<void>();
					const commits = Array.from({ length: 40 }, (_, i) =>
						owner.call("commit", link(held + i)).then(
							() => {
								answered += 1;
								if (answered === killAt) resolve();
							},
							(error: Error) => {
								if (error.message !== "the process ended") failures.push(error);
								resolve();
							},
						),
					);
					await due;
					// From here on it is in the middle of whatever it is in the middle of.
					for (let spins = below(200_000); spins > 0; spins--);
					await owner.kill();
					await Promise.all(commits);
					if (failures[0]) throw failures[0];
					const store = await trial.open("heir");
					const found = await linksHeld(store);
					assert.ok(
						found >= answered,
						`${answered} batches were answered, ${found} are there`,
					);
					await goesOn(store, found);
					held = found + 1;
					await store[Symbol.asyncDispose]();
				}
			},

		"it is free for the next owner": async (trial) => {
			const owner = await trial.process();
			await owner.open("first");
			await owner.call("commit", link(0));
			await owner.kill();
			const next = await trial.open("next");
			assert.equal(await linksHeld(next), 1);
		},

		"readers beside it see what it committed": async (trial) => {
			const owner = await trial.process();
			await owner.open("owner");
			await owner.call("commit", link(0));
			const reader = await trial.read();
			await owner.kill();
			assert.equal(await linksHeld(reader), 1);
			const later = await trial.read();
			assert.equal(await linksHeld(later), 1);
		},
	},
};

/** A successor can commit what comes next. */
async function goesOn(store: OpenStore, held: number): Promise<void> {
	await store.commit(link(held));
	assert.equal(await linksHeld(store), held + 1);
}
