/** Owns what readers see while the owner commits: each commit wholly or not at all, and never an older one after a newer one. */
import assert from "node:assert/strict";
import type { Batch, StoreReader } from "../../store.ts";
import { assertLinked, chainKeys, link } from "./chain.ts";
import type { CheckGroup } from "./check.ts";
import { commit, factsOf, messageOf, runOf, writeOf } from "./records.ts";

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Looks until the last of so many batches is there. Each answer must be of one commit, and no older than the one before. */
export async function watch(
	reader: StoreReader,
	batches: number,
): Promise<void> {
	let last = 0;
	while (last < batches) {
		const { items } = await reader.list({});
		const versions = new Set(items.map(({ version }) => version));
		assert.ok(
			versions.size <= 1 &&
				(items.length === 0 || items.length === chainKeys.length),
			`a list shows half a batch: versions ${[...versions]} in ${items.length} rows`,
		);
		const version = items[0]?.version ?? 0;
		assert.ok(version >= last, `version ${version} came after ${last}`);
		last = version;
		const loaded = await reader.load(chainKeys[0] as string);
		const held = loaded?.facts.version ?? 0;
		assert.ok(held >= last, `version ${held} came after ${last}`);
		if (loaded) assertLinked(loaded, held - 1);
		// Whoever has the processor does not keep it from the owner.
		await new Promise<void>((next) => setImmediate(next));
	}
}

export const readers: CheckGroup = {
	about: "has readers while it commits",
	checks: {
		"who see each batch wholly or not at all, in order": async (trial) => {
			const owner = await trial.open();
			await owner.commit(link(0));
			const all = await Promise.all(upTo(3).map(() => trial.read()));
			const batches = upTo(100).slice(1).map(link);
			const write = async (left: readonly Batch[]) => {
				for (const batch of left) await owner.commit(batch);
			};
			await Promise.all([
				write(batches),
				watch(owner, 100),
				...all.map((reader) => watch(reader, 100)),
			]);
		},

		"who see nothing of a batch that was refused": async (trial) => {
			const owner = await trial.open();
			const reader = await trial.read();
			await commit(owner, writeOf("seen", 0));
			const refused = commit(
				owner,
				writeOf("first", 0, { messages: [messageOf("m")] }),
				writeOf("seen", 1, {
					facts: factsOf("seen", { version: 2, meta: "new" }),
					runs: [runOf("seen", "r")],
				}),
				writeOf("last", 5),
			).then(
				() => false,
				() => true,
			);
			for (let ended = false; !ended; ) {
				const turn = new Promise<false>((next) =>
					setImmediate(() => next(false)),
				);
				const rows = (await reader.list({})).items;
				assert.deepEqual(
					rows.map(({ sessionKey, version }) => [sessionKey, version]),
					[["seen", 1]],
				);
				assert.deepEqual(await reader.runsNamed("r"), []);
				assert.equal(await reader.message("first", "m"), null);
				ended = await Promise.race([refused, turn]);
			}
		},
	},
};
