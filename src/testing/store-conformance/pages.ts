/** Owns what every list of a store must be: its order, its pages, its cursors. */
import assert from "node:assert/strict";
import { statusOf } from "../../../machines/index.ts";
import { queuedOf } from "../../store.ts";
import type { CheckGroup } from "./check.ts";
import {
	at,
	awkwardKeys,
	byCodePoint,
	commit,
	endedOf,
	factsOf,
	messageOf,
	refusalOf,
	runOf,
	walk,
	writeOf,
} from "./records.ts";

const keys = (items: readonly { sessionKey: string }[]) =>
	items.map((one) => one.sessionKey);

export const pages: CheckGroup = {
	about: "lists",
	checks: {
		"rows by key, page by page, also where others arrive in between": async (
			trial,
		) => {
			const store = await trial.open();
			for (const key of ["f", "b", "d", "h"])
				await commit(store, writeOf(key, 0));
			const first = await store.list({ limit: 2 });
			assert.deepEqual(keys(first.items), ["b", "d"]);
			for (const key of ["a", "c", "e"]) await commit(store, writeOf(key, 0));
			const second = await store.list({
				limit: 2,
				cursor: first.cursor as string,
			});
			assert.deepEqual(keys(second.items), ["e", "f"]);
			const third = await store.list({
				limit: 2,
				cursor: second.cursor as string,
			});
			assert.deepEqual(keys(third.items), ["h"]);
			assert.equal(third.cursor, null);
		},

		"a page that is just full is the last one": async (trial) => {
			const store = await trial.open();
			for (const key of ["a", "b"]) await commit(store, writeOf(key, 0));
			assert.equal((await store.list({ limit: 2 })).cursor, null);
		},

		"exactly the keys that begin with a prefix": async (trial) => {
			const store = await trial.open();
			const all = [
				"room",
				"room%",
				"room:1",
				"room:2",
				"room;",
				"roomy",
				"Room:1",
				"\ud7ff1",
				"\ud7ff",
				"\ue000",
				"🧵",
				"🧵a",
				"🧶",
				"\u{10ffff}",
				"\u{10ffff}\u{10ffff}z",
				"_oom",
				...awkwardKeys,
			];
			for (const key of new Set(all)) await commit(store, writeOf(key, 0));
			const prefixes = [
				"",
				"room",
				"room:",
				"room%",
				"_",
				"%",
				"R",
				"🧵",
				"\ud7ff",
				"\ue000",
				"\u{10ffff}",
				"\u{10ffff}\u{10ffff}",
				"\uffff",
				"\0",
				"nothing",
			];
			for (const prefix of prefixes) {
				const pages = await walk((cursor) =>
					store.list({ prefix, limit: 2, cursor }),
				);
				assert.deepEqual(
					keys(pages.flat()),
					[...new Set(all)]
						.filter((key) => key.startsWith(prefix))
						.sort(byCodePoint),
				);
			}
		},

		"rows of a status, of several, and changed since": async (trial) => {
			const store = await trial.open();
			const last = {
				error: null,
				startedAt: at,
				endedAt: at,
				runtimeMs: 0,
			} as const;
			const run = runOf("k", "r", { outcome: null });
			const rows = [
				factsOf("idle", { updatedAt: 1 }),
				factsOf("running", { run, updatedAt: 2 }),
				factsOf("waiting", {
					run: {
						...run,
						waits: [{ name: "answer", deadline: null, attempt: 1 }],
					},
					updatedAt: 2,
				}),
				factsOf("resetting", {
					draining: [{ run, ended: endedOf("k", 1) }],
					updatedAt: 3,
				}),
				factsOf("ended", {
					last: { ...last, outcome: "aborted" },
					updatedAt: 4,
				}),
				factsOf("failed", {
					last: { ...last, outcome: "failed" },
					updatedAt: 5,
				}),
			];
			for (const facts of rows) {
				assert.equal(statusOf(facts), facts.sessionKey);
				await commit(store, writeOf(facts.sessionKey, 0, { facts }));
			}
			for (const status of [
				"idle",
				"running",
				"waiting",
				"resetting",
				"ended",
				"failed",
			] as const)
				assert.deepEqual(keys((await store.list({ status })).items), [status]);
			assert.deepEqual(
				keys((await store.list({ status: ["failed", "idle"] })).items),
				["failed", "idle"],
			);
			assert.deepEqual(keys((await store.list({ status: [] })).items), []);
			assert.deepEqual(keys((await store.list({ updatedSince: 4 })).items), [
				"ended",
				"failed",
			]);
			assert.deepEqual(
				keys(
					(
						await store.list({
							updatedSince: 3,
							status: ["ended", "idle", "resetting"],
							prefix: "r",
						})
					).items,
				),
				["resetting"],
			);
		},

		"no hidden rows, which load nevertheless": async (trial) => {
			const store = await trial.open();
			await commit(
				store,
				writeOf("k", 0, { facts: factsOf("k", { hidden: true }) }),
				writeOf("l", 0),
			);
			assert.deepEqual(keys((await store.list({ limit: 1 })).items), ["l"]);
			assert.equal((await store.load("k"))?.facts.hidden, true);
		},

		"runs of a key, newest generation first, the last written first in it":
			async (trial) => {
				const store = await trial.open();
				const name = (one: { runId: string }) => one.runId;
				const old = (runId: string) => runOf("k", runId, { generation: 1 });
				const young = (runId: string) => runOf("k", runId, { generation: 2 });
				await commit(
					store,
					writeOf("k", 0, { runs: [old("a"), old("b")] }),
					writeOf("other", 0, { runs: [runOf("other", "x")] }),
				);
				await commit(
					store,
					writeOf("k", 1, {
						facts: factsOf("k", { version: 2, generation: 2 }),
						generations: [endedOf("k", 1)],
					}),
				);
				// The second run of generation 1 settles last of all.
				await commit(
					store,
					writeOf("k", 2, {
						facts: factsOf("k", { version: 3, generation: 2 }),
						runs: [young("c"), old("d"), young("e"), old("a")],
					}),
				);
				const all = await walk((cursor) =>
					store.runs("k", { limit: 2, cursor }),
				);
				assert.deepEqual(
					all.map((page) => page.map(name)),
					[["e", "c"], ["d", "b"], ["a"]],
				);
				const ofOld = await walk((cursor) =>
					store.runs("k", { limit: 2, generation: 1, cursor }),
				);
				assert.deepEqual(
					ofOld.map((page) => page.map(name)),
					[["d", "b"], ["a"]],
				);
				assert.deepEqual(
					(await store.runs("k", { generation: 2 })).items.map(name),
					["e", "c"],
				);
				assert.deepEqual((await store.runs("k", { generation: 3 })).items, []);
			},

		"runs page on from where they were, whatever is written in between": async (
			trial,
		) => {
			const store = await trial.open();
			const run = (runId: string) => runOf("k", runId);
			await commit(
				store,
				writeOf("k", 0, { runs: ["a", "b", "c", "d"].map(run) }),
			);
			const first = await store.runs("k", { limit: 2 });
			await commit(store, writeOf("k", 1, { runs: [run("e"), run("c")] }));
			await commit(
				store,
				writeOf("k", 2, {
					facts: factsOf("k", { version: 3, generation: 2 }),
					runs: [runOf("k", "f", { generation: 2 })],
				}),
			);
			const second = await store.runs("k", {
				limit: 2,
				cursor: first.cursor as string,
			});
			assert.deepEqual(
				first.items.map((one) => one.runId),
				["d", "c"],
			);
			assert.deepEqual(
				second.items.map((one) => one.runId),
				["b", "a"],
			);
			assert.equal(second.cursor, null);
		},

		"generations of a key, newest first, page by page": async (trial) => {
			const store = await trial.open();
			for (const key of ["k", "other"])
				await commit(
					store,
					writeOf(key, 0, {
						generations: [2, 1, 5, 4, 3].map((n) => endedOf(key, n)),
					}),
				);
			const first = await store.generations("k", { limit: 2 });
			await commit(
				store,
				writeOf("k", 1, { generations: [endedOf("k", 6), endedOf("k", 3)] }),
			);
			const rest = await walk((cursor) =>
				store.generations("k", {
					limit: 2,
					cursor: cursor ?? (first.cursor as string),
				}),
			);
			assert.deepEqual(
				[[...first.items], ...rest].map((page) =>
					page.map((one) => one.generation),
				),
				[[5, 4], [3, 2], [1]],
			);
		},

		"refusals, newest first, of all or of one key": async (trial) => {
			const store = await trial.open();
			const refuse = (key: string | null, ...reasons: string[]) =>
				store.commit({
					sessions: [],
					refusals: reasons.map((reason) => refusalOf(key, reason)),
				});
			await refuse("k", "a");
			await refuse(null, "b", "c");
			await refuse("k", "d");
			await refuse("other", "e");
			const first = await store.refusals({ limit: 2 });
			await refuse("k", "f");
			const rest = await walk((cursor) =>
				store.refusals({
					limit: 2,
					cursor: cursor ?? (first.cursor as string),
				}),
			);
			assert.deepEqual(
				[[...first.items], ...rest].map((page) =>
					page.map((one) => one.reason),
				),
				[["e", "d"], ["c", "b"], ["a"]],
			);
			const ofKey = await walk((cursor) =>
				store.refusals({ sessionKey: "k", limit: 1, cursor }),
			);
			assert.deepEqual(
				ofKey.flat().map((one) => one.reason),
				["f", "d", "a"],
			);
		},

		"keys with something to do, and only those": async (trial) => {
			const store = await trial.open();
			const run = runOf("k", "r", { outcome: null });
			const waiting = messageOf("m");
			await commit(
				store,
				writeOf("d-running", 0, { facts: factsOf("d-running", { run }) }),
				writeOf("b-waiting", 0, {
					facts: factsOf("b-waiting", { queue: [queuedOf(waiting)] }),
					messages: [waiting],
				}),
				writeOf("a-idle", 0),
				writeOf("c-draining", 0, {
					facts: factsOf("c-draining", {
						hidden: true,
						draining: [{ run, ended: endedOf("k", 1) }],
					}),
				}),
				writeOf("d-closing", 0, {
					facts: factsOf("d-closing", {
						generation: 2,
						closing: [{ generation: 1, deadline: at, postponed: false }],
					}),
				}),
				writeOf("d-postponed", 0, {
					facts: factsOf("d-postponed", {
						generation: 2,
						closing: [{ generation: 1, deadline: at, postponed: true }],
					}),
				}),
				writeOf("e-reserved", 0, {
					facts: factsOf("e-reserved", { reservations: [run] }),
				}),
			);
			const pages = await walk((cursor) =>
				store.unsettled({ limit: 2, cursor }),
			);
			assert.deepEqual(pages, [
				["b-waiting", "c-draining"],
				["d-closing", "d-postponed"],
				["d-running"],
			]);
			await commit(
				store,
				writeOf("d-running", 1),
				writeOf("d-closing", 1, {
					facts: factsOf("d-closing", { version: 2, generation: 2 }),
				}),
				writeOf("d-postponed", 1, {
					facts: factsOf("d-postponed", { version: 2, generation: 2 }),
				}),
				writeOf("b-waiting", 1, {
					messages: [messageOf("m", { fate: "taken" })],
				}),
			);
			assert.deepEqual((await store.unsettled({})).items, ["c-draining"]);
		},

		"not so many at a time, nor so few": async (trial) => {
			const store = await trial.open();
			for (const limit of [0, -1, 1001, 1.5, Number.NaN]) {
				const refused = { code: "INVALID_ARGUMENT" };
				await assert.rejects(store.list({ limit }), refused);
				await assert.rejects(store.runs("k", { limit }), refused);
				await assert.rejects(store.generations("k", { limit }), refused);
				await assert.rejects(store.refusals({ limit }), refused);
				await assert.rejects(store.unsettled({ limit }), refused);
				await assert.rejects(store.transcript("k", { limit }), refused);
			}
		},

		"not from a cursor that no page gave": async (trial) => {
			const store = await trial.open();
			const refused = { code: "INVALID_ARGUMENT" };
			const cursor = "nonsense";
			await assert.rejects(store.runs("k", { cursor }), refused);
			await assert.rejects(store.generations("k", { cursor }), refused);
			await assert.rejects(store.refusals({ cursor }), refused);
			await assert.rejects(store.transcript("k", { cursor }), refused);
		},
	},
};
