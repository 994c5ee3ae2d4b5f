/** Owns what holds between a store and others of the same place: another object, as after a restart, and another process. */
import assert from "node:assert/strict";
import { link, linksHeld } from "./chain.ts";
import type { CheckGroup } from "./check.ts";
import { watch } from "./readers.ts";
import { entryOf, writeOf } from "./records.ts";

const locked = { code: "STORE_LOCKED" };

export const processes: CheckGroup = {
	about: "is one store in all hands",
	needs: "module",
	checks: {
		"what was committed is there for another object of the same place": async (
			trial,
		) => {
			const first = await trial.open("first");
			await first.commit(link(0));
			await first.commit(link(1));
			await first[Symbol.asyncDispose]();
			const again = await trial.another();
			const second = trial.keep(await again.open({ name: "second" }));
			assert.equal(await linksHeld(second), 2);
			await second.commit(link(2));
			assert.equal(await linksHeld(second), 3);
		},

		"what is there already is not written twice by the next": async (trial) => {
			const first = await trial.open("first");
			await first.commit(link(0));
			await first[Symbol.asyncDispose]();
			const again = await trial.another();
			const second = trial.keep(await again.open({ name: "second" }));
			await assert.rejects(second.commit(link(0)));
			const { refusals } = link(0);
			const entries = [entryOf("a", 1)];
			const sessions = [writeOf("a", 1, { facts: null, entries })];
			await second.commit({ sessions, refusals });
			assert.equal(await linksHeld(second), 1);
		},

		"a second object is refused, and may read": async (trial) => {
			const owner = await trial.open("owner");
			const other = await trial.another();
			await assert.rejects(other.open({ name: "second" }), {
				...locked,
				message: /owner/,
			});
			const reader = trial.keep(await other.read());
			await owner.commit(link(0));
			assert.equal(await linksHeld(reader), 1);
		},

		"an owner in another process keeps others out until it has left": async (
			trial,
		) => {
			const owner = await trial.process();
			await owner.open("far away");
			await assert.rejects(trial.open("second"), {
				...locked,
				message: /far away/,
			});
			await owner.call("commit", link(0));
			await owner.dispose();
			const next = await trial.open("next");
			assert.equal(await linksHeld(next), 1);
			await assert.rejects(owner.open("back again"), locked);
		},

		"an owner here keeps another process out, but not from reading": async (
			trial,
		) => {
			const owner = await trial.open("here");
			await owner.commit(link(0));
			const other = await trial.process();
			await assert.rejects(other.open("second"), locked);
			await other.read();
			assert.equal(await other.call("version", "a"), 1);
			await owner.commit(link(1));
			assert.equal(await other.call("version", "a"), 2);
			assert.deepEqual(
				await other.call("transcript", "a", { limit: 1 }),
				await owner.transcript("a", { limit: 1 }),
			);
		},

		"readers here see the batches of another process wholly, and in order":
			async (trial) => {
				const owner = await trial.process();
				await owner.open("owner");
				await owner.call("commit", link(0));
				const reader = await trial.read();
				const batches = Array.from({ length: 60 }, (_, n) => link(n + 1));
				await Promise.all([
					watch(reader, 61),
					...batches.map((batch) => owner.call("commit", batch)),
				]);
			},
	},
};
