/** Owns how checks prune: the rules in short, and a rule carried out to its end. */
import assert from "node:assert/strict";
import type { OpenStore, PruneRule } from "../../store.ts";

export const messagesBefore = (acceptedBefore: number) =>
	({ of: "messages", acceptedBefore }) as const;
export const generationsBefore = (endedBefore: number) =>
	({ of: "generations", endedBefore }) as const;
export const refusalsBut = (keep: number) =>
	({ of: "refusals", keep }) as const;

/** What each call erased, until there is no more. */
export async function pruned(
	store: OpenStore,
	rule: PruneRule,
	limit: number,
): Promise<number[]> {
	const erased: number[] = [];
	for (;;) {
		const step = await store.prune(rule, limit);
		erased.push(step.erased);
		if (!step.more) return erased;
		assert.equal(
			step.erased,
			limit,
			"a step that leaves more erases the limit",
		);
		assert.ok(erased.length < 1000, "a rule comes to its end");
	}
}

/** Which of these message ids a store knows. */
export async function known(
	store: OpenStore,
	ids: readonly string[],
	key = "k",
): Promise<string> {
	const found: string[] = [];
	for (const id of ids) if (await store.message(key, id)) found.push(id);
	return found.join("");
}
