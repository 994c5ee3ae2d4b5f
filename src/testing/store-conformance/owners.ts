/** Owns who may have a store: one owner, who is told apart from the one before and the one after, and readers beside it. */
import assert from "node:assert/strict";
import type { OpenStore, StoreReader } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import { commit, messageOf, runOf, writeOf } from "./records.ts";

/** Every question of a reader. */
function questions(reader: StoreReader): Promise<unknown>[] {
	return [
		reader.load("k"),
		reader.version("k"),
		reader.message("k", "m"),
		reader.runsNamed("r"),
		reader.list({}),
		reader.generations("k", {}),
		reader.generation("k", 1),
		reader.runs("k", {}),
		reader.refusals({}),
		reader.transcript("k", {}),
	];
}

function ownersCalls(owner: OpenStore): Promise<unknown>[] {
	return [
		...questions(owner),
		commit(owner, writeOf("k", 1)),
		owner.unsettled({}),
		owner.prune({ of: "refusals", keep: 1 }, 1),
	];
}

async function assertClosed(calls: readonly Promise<unknown>[]) {
	for (const outcome of await Promise.allSettled(calls)) {
		assert.equal(outcome.status, "rejected");
		assert.equal(outcome.reason.code, "STORE_FAILED");
	}
}

export const owners: CheckGroup = {
	about: "has one owner",
	checks: {
		"a second is refused and told who the first is": async (trial) => {
			await trial.open("the bot");
			await assert.rejects(trial.open("second"), {
				code: "STORE_LOCKED",
				message: /the bot/,
			});
		},

		"a second that was refused has taken nothing from the first": async (
			trial,
		) => {
			const first = await trial.open("first");
			for (let n = 0; n < 3; n++) {
				await assert.rejects(trial.open("second"), { code: "STORE_LOCKED" });
				await commit(first, writeOf("k", n));
			}
			assert.equal(await first.version("k"), 3);
		},

		"of two at once, one gets it": async (trial) => {
			const opened = await Promise.allSettled([
				trial.open("a"),
				trial.open("b"),
			]);
			assert.deepEqual(opened.map(({ status }) => status).sort(), [
				"fulfilled",
				"rejected",
			]);
		},

		"what was committed is there for the next": async (trial) => {
			const first = await trial.open("first");
			await commit(first, writeOf("k", 0, { runs: [runOf("k", "r1")] }));
			await first[Symbol.asyncDispose]();
			const second = await trial.open("second");
			await commit(second, writeOf("k", 1, { runs: [runOf("k", "r2")] }));
			await commit(second, writeOf("new", 0, { runs: [runOf("new", "r3")] }));
			const named = async (key: string) =>
				(await second.runs(key, {})).items.map((one) => one.runId);
			assert.deepEqual(await named("k"), ["r2", "r1"]);
			assert.deepEqual(await named("new"), ["r3"]);
		},

		"and readers beside it, who see each commit": async (trial) => {
			const owner = await trial.open();
			await commit(owner, writeOf("k", 0, { messages: [messageOf("m")] }));
			const reader = await trial.read();
			assert.equal((await reader.load("k"))?.queue.length, 1);
			await commit(owner, writeOf("k", 1));
			assert.equal(await reader.version("k"), 2);
			await owner[Symbol.asyncDispose]();
			assert.equal(await reader.version("k"), 2);
		},

		"a reader that leaves takes nothing from the owner": async (trial) => {
			const owner = await trial.open();
			await commit(owner, writeOf("k", 0));
			const reader = await trial.read();
			await reader[Symbol.asyncDispose]();
			await commit(owner, writeOf("k", 1));
			await assert.rejects(trial.open("second"), { code: "STORE_LOCKED" });
		},

		"closed once or twice, it answers nothing more": async (trial) => {
			const owner = await trial.open();
			await commit(owner, writeOf("k", 0));
			const reader = await trial.read();
			for (const one of [owner, reader, owner, reader])
				await one[Symbol.asyncDispose]();
			await assertClosed(questions(reader));
			await assertClosed(ownersCalls(owner));
		},

		"closed once more, it lets go of nothing that is the next owner's": async (
			trial,
		) => {
			const first = await trial.open("first");
			await first[Symbol.asyncDispose]();
			const next = await trial.open("next");
			await first[Symbol.asyncDispose]();
			await assert.rejects(trial.open("third"), { code: "STORE_LOCKED" });
			await commit(next, writeOf("k", 0));
		},
	},
};
