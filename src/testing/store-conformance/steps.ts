/** Owns what a step of pruning may be, whatever is pruned. */
import assert from "node:assert/strict";
import type { CheckGroup } from "./check.ts";
import { generationsBefore, messagesBefore, refusalsBut } from "./pruning.ts";

const rules = [
	messagesBefore(9e15),
	generationsBefore(9e15),
	{ of: "generations", sessionKey: "k", before: 9 } as const,
	refusalsBut(0),
];

export const steps: CheckGroup = {
	about: "prunes in steps",
	checks: {
		"not of a limit that is none": async (trial) => {
			const store = await trial.open();
			for (const limit of [0, -1, 1.5, Number.NaN])
				for (const rule of rules)
					await assert.rejects(store.prune(rule, limit), {
						code: "INVALID_ARGUMENT",
					});
		},

		"which erase nothing where nothing is": async (trial) => {
			const store = await trial.open();
			for (const rule of rules)
				assert.deepEqual(await store.prune(rule, 10), {
					erased: 0,
					more: false,
				});
		},
	},
};
