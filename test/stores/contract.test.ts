/** What every store must do, asked of each store that comes with the package. */
import { UnreadableSession, VersionConflict } from "turnkeeper";
import { statusOf } from "turnkeeper/machines";
import { describe, expect, onTestFinished, test } from "vitest";
import { queuedOf } from "../../src/store.ts";
import { storeKinds } from "../support/stores.ts";
import {
	at,
	awkward,
	awkwardKeys,
	byCodePoint,
	commit,
	endedOf,
	entryOf,
	factsOf,
	failedRun,
	fullFacts,
	fullGeneration,
	fullMessage,
	fullRefusal,
	messageOf,
	refusalOf,
	runOf,
	ticketOf,
	walk,
	writeOf,
} from "./records.ts";

describe.each(storeKinds)("a %s store", (_kind, fresh) => {
	async function opened() {
		const store = await fresh().open({ name: "test" });
		onTestFinished(() => store[Symbol.asyncDispose]());
		return store;
	}

	describe("keeps what it is given", () => {
		test("every field of a row comes back", async () => {
			const store = await opened();
			const facts = fullFacts("k");
			await commit(store, writeOf("k", 0, { facts }));
			const { queue: _, ...row } = facts;
			expect(await store.load("k")).toStrictEqual({
				facts: { ...row, queued: 0 },
				queue: [],
			});
			expect((await store.list({})).items).toStrictEqual([
				{ ...row, queued: 0 },
			]);
		});

		test("every field of a run comes back", async () => {
			const store = await opened();
			const run = failedRun("k");
			await commit(store, writeOf("k", 0, { runs: [run] }));
			expect((await store.runs("k", {})).items).toStrictEqual([run]);
			expect(await store.runsNamed("failed")).toStrictEqual([run]);
			expect(await store.runsNamed("failed", "k")).toStrictEqual([run]);
		});

		test("every field of an ended generation comes back", async () => {
			const store = await opened();
			const ended = fullGeneration("k");
			await commit(store, writeOf("k", 0, { generations: [ended] }));
			expect(await store.generation("k", 2)).toStrictEqual(ended);
			expect((await store.generations("k", {})).items).toStrictEqual([ended]);
		});

		test("every field of a message comes back", async () => {
			const store = await opened();
			const messages = [
				fullMessage("k"),
				messageOf("reset-1", {
					input: null,
					seq: 0,
					fate: "taken",
					kind: "reset",
				}),
			];
			await commit(store, writeOf("k", 0, { messages }));
			for (const message of messages)
				expect(await store.message("k", message.messageId)).toStrictEqual(
					message,
				);
		});

		test("every field of a transcript entry comes back, but not what it is kept by", async () => {
			const store = await opened();
			const entry = entryOf("k", 7, {
				generation: 2,
				sessionId: "s2",
				runId: "live",
				attempt: 3,
				at: at + 0.5,
				entry: awkward,
			});
			await commit(store, writeOf("k", 0, { entries: [entry] }));
			const { attempt: _, hidden: __, ...shown } = entry;
			expect((await store.transcript("k", {})).items).toStrictEqual([shown]);
		});

		test("an expectation comes back with the fields it had, and no others", async () => {
			const store = await opened();
			const messages = [
				messageOf("none", { seq: 1, expect: {} }),
				messageOf("one", { seq: 2, expect: { generation: 0 } }),
				messageOf("other", { seq: 3, expect: { runId: "", messageId: "m" } }),
			];
			await commit(store, writeOf("k", 0, { messages }));
			expect((await store.load("k"))?.queue.map((one) => one.expect)).toEqual([
				{},
				{ generation: 0 },
				{ runId: "", messageId: "m" },
			]);
		});

		test("every field of a refusal comes back", async () => {
			const store = await opened();
			const refusals = [fullRefusal("k"), refusalOf(null, "nobody's")];
			await store.commit({ sessions: [], refusals });
			expect((await store.refusals({})).items).toStrictEqual([
				refusals[1],
				refusals[0],
			]);
		});

		test("a name that JavaScript has a meaning for is a field like any other", async () => {
			const store = await opened();
			await commit(
				store,
				writeOf("k", 0, { facts: factsOf("k", { meta: awkward }) }),
			);
			const meta = (await store.load("k"))?.facts.meta as object;
			expect(Object.keys(meta)).toContain("__proto__");
			expect(meta).not.toHaveProperty("polluted");
			expect(JSON.stringify(meta)).toBe(JSON.stringify(awkward));
		});

		test("any key and any id is an ordinary one", async () => {
			const store = await opened();
			for (const key of awkwardKeys)
				await commit(
					store,
					writeOf(key, 0, {
						messages: [messageOf(key)],
						runs: [runOf(key, key)],
						generations: [endedOf(key, 1)],
					}),
				);
			for (const key of awkwardKeys) {
				const loaded = await store.load(key);
				expect(loaded?.facts.sessionKey).toBe(key);
				expect(loaded?.queue.map((one) => one.messageId)).toEqual([key]);
				expect(await store.runsNamed(key)).toEqual([runOf(key, key)]);
				expect(await store.generation(key, 1)).toEqual(endedOf(key, 1));
			}
			const { items } = await store.list({});
			expect(items.map((one) => one.sessionKey)).toEqual(
				[...awkwardKeys].sort(byCodePoint),
			);
		});

		test("half a character is refused as a key or an id, and finds nothing", async () => {
			const store = await opened();
			await commit(store, writeOf("\ufffd", 0));
			const half = "\ud83e";
			const writes = [
				writeOf(half, 0),
				writeOf("k", 0, { runs: [runOf("k", half)] }),
				writeOf("k", 0, { messages: [messageOf(half)] }),
				writeOf("k", 0, { entries: [entryOf("k", 1, { runId: half })] }),
				writeOf("k", 0, { entries: [entryOf("k", 1, { sessionId: half })] }),
			];
			for (const write of writes)
				await expect(commit(store, write)).rejects.toMatchObject({
					code: "INVALID_ARGUMENT",
				});
			expect(await store.load(half)).toBeNull();
			expect(await store.version(half)).toBe(0);
			expect(await store.runsNamed(half)).toEqual([]);
			expect(await store.message("\ufffd", half)).toBeNull();
			expect((await store.list({ prefix: half })).items).toEqual([]);
			expect((await store.transcript(half, {})).items).toEqual([]);
			expect(await store.load("k")).toBeNull();
		});

		test("what is not there is null, empty or 0", async () => {
			const store = await opened();
			expect(await store.load("k")).toBeNull();
			expect(await store.version("k")).toBe(0);
			expect(await store.message("k", "m")).toBeNull();
			expect(await store.generation("k", 1)).toBeNull();
			expect(await store.runsNamed("r")).toEqual([]);
			const nothing = { items: [], cursor: null };
			expect(await store.list({})).toEqual(nothing);
			expect(await store.runs("k", {})).toEqual(nothing);
			expect(await store.transcript("k", {})).toEqual(nothing);
			expect(await store.generations("k", {})).toEqual(nothing);
			expect(await store.refusals({})).toEqual(nothing);
			expect(await store.unsettled({})).toEqual(nothing);
		});
	});

	describe("writes again", () => {
		test("the row, with its new version", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0));
			await commit(
				store,
				writeOf("k", 1, { facts: factsOf("k", { version: 2, meta: "new" }) }),
			);
			expect(await store.version("k")).toBe(2);
			expect((await store.load("k"))?.facts.meta).toBe("new");
		});

		test("a run, by key, run id and attempt", async () => {
			const store = await opened();
			const open = runOf("k", "r", { outcome: null, status: "reserved" });
			const again = runOf("k", "r", { attempt: 2 });
			await commit(store, writeOf("k", 0, { runs: [open, again] }));
			await commit(store, writeOf("other", 0, { runs: [runOf("other", "r")] }));
			const closed = runOf("k", "r", { outcome: "aborted" });
			await commit(store, writeOf("k", 1, { facts: null, runs: [closed] }));
			expect(await store.runsNamed("r", "k")).toEqual([again, closed]);
			expect((await store.runs("k", {})).items).toEqual([again, closed]);
			expect(await store.runsNamed("r")).toEqual([
				runOf("other", "r"),
				again,
				closed,
			]);
		});

		test("a generation, by key and number", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0, { generations: [endedOf("k", 1)] }));
			const completed = endedOf("k", 1, { reason: "completed" });
			await commit(
				store,
				writeOf("k", 1, { facts: null, generations: [completed] }),
			);
			expect((await store.generations("k", {})).items).toEqual([completed]);
		});

		test("a message, by key and message id; taken, it leaves the line", async () => {
			const store = await opened();
			const queued = [
				messageOf("m2", { seq: 2 }),
				messageOf("m10", { seq: 10 }),
				messageOf("m1", { seq: 1 }),
			];
			await commit(store, writeOf("k", 0, { messages: queued }));
			await commit(store, writeOf("other", 0, { messages: [messageOf("m1")] }));
			const line = async (key: string) =>
				(await store.load(key))?.queue.map((one) => one.messageId);
			expect(await line("k")).toEqual(["m1", "m2", "m10"]);
			const taken = messageOf("m1", { fate: "taken", run: ticketOf("k") });
			await commit(store, writeOf("k", 1, { messages: [taken] }));
			expect(await line("k")).toEqual(["m2", "m10"]);
			expect(await store.message("k", "m1")).toEqual(taken);
			expect(await line("other")).toEqual(["m1"]);
			expect((await store.list({})).items.map((one) => one.queued)).toEqual([
				2, 1,
			]);
		});

		test("a message that was moved in line, which stands where it was moved to", async () => {
			const store = await opened();
			const line = async () =>
				(await store.load("k"))?.queue.map((one) => one.messageId);
			const moved = (messageId: string, seq: number, order = seq) =>
				messageOf(messageId, { seq, order });
			await commit(
				store,
				writeOf("k", 0, {
					messages: [moved("a", 1), moved("b", 2), moved("c", 3, -0.5)],
				}),
			);
			expect(await line()).toEqual(["c", "a", "b"]);
			// Of two that stand in one place, the one that arrived first.
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2 }),
					messages: [moved("c", 3, 9), moved("a", 1, 9)],
				}),
			);
			expect(await line()).toEqual(["b", "a", "c"]);
		});

		test("the same message twice in one batch: the last counts", async () => {
			const store = await opened();
			const taken = messageOf("m1", { fate: "taken", run: ticketOf("k") });
			await commit(
				store,
				writeOf("k", 0, { messages: [messageOf("m1"), taken] }),
			);
			expect(await store.message("k", "m1")).toEqual(taken);
			expect((await store.load("k"))?.queue).toEqual([]);
		});
	});

	describe("compares and sets", () => {
		test("a row at another version: nothing of the batch holds", async () => {
			const store = await opened();
			await commit(store, writeOf("seen", 0));
			const late = {
				sessions: [
					writeOf("first", 0, {
						messages: [messageOf("m")],
						runs: [runOf("first", "r")],
						generations: [endedOf("first", 1)],
						entries: [entryOf("first", 1)],
					}),
					writeOf("seen", 7),
					writeOf("last", 0),
				],
				refusals: [refusalOf(null, "r")],
			};
			const error = await store.commit(late).catch((thrown) => thrown);
			expect(error).toBeInstanceOf(VersionConflict);
			expect(error.message).toContain('"seen" is at version 1');
			expect(error.message).toContain("made on 7");
			expect(await store.load("first")).toBeNull();
			expect(await store.runsNamed("r")).toEqual([]);
			expect(await store.message("first", "m")).toBeNull();
			expect(await store.generation("first", 1)).toBeNull();
			expect((await store.transcript("first", {})).items).toEqual([]);
			expect(await store.load("last")).toBeNull();
			expect((await store.refusals({})).items).toEqual([]);
			expect(await store.version("seen")).toBe(1);
		});

		test.each([
			["no row where one was expected", "new", 1],
			["a row where none was expected", "seen", 0],
			["a row that stays as it is", "seen", 2],
		])("%s is a conflict", async (name, key, baseVersion) => {
			const store = await opened();
			await commit(store, writeOf("seen", 0));
			const change = name.includes("stays")
				? { facts: null, runs: [runOf("seen", "r")] }
				: {};
			await expect(
				commit(store, writeOf(key, baseVersion, change)),
			).rejects.toBeInstanceOf(VersionConflict);
			expect(await store.runsNamed("r")).toEqual([]);
		});

		test("after a conflict the store goes on from its last commit", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0, { runs: [runOf("k", "r1")] }));
			await expect(
				commit(
					store,
					writeOf("k", 1, { runs: [runOf("k", "lost")] }),
					writeOf("k2", 1),
				),
			).rejects.toBeInstanceOf(VersionConflict);
			await commit(store, writeOf("k", 1, { runs: [runOf("k", "r2")] }));
			expect((await store.runs("k", {})).items.map((one) => one.runId)).toEqual(
				["r2", "r1"],
			);
		});

		test("one key twice in a batch: the second write sees the first", async () => {
			const store = await opened();
			await commit(store, writeOf("k", 0), writeOf("k", 1), writeOf("k", 2));
			expect(await store.version("k")).toBe(3);
			await expect(
				commit(store, writeOf("k", 3), writeOf("k", 3)),
			).rejects.toBeInstanceOf(VersionConflict);
			expect(await store.version("k")).toBe(3);
		});

		test("a key without a row has nothing filed under it", async () => {
			const store = await opened();
			await expect(
				commit(
					store,
					writeOf("k", 0, { facts: null, runs: [runOf("k", "r")] }),
				),
			).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
			expect(await store.runsNamed("r")).toEqual([]);
		});

		test("an empty batch holds", async () => {
			const store = await opened();
			await store.commit({ sessions: [], refusals: [] });
		});
	});

	describe("lists", () => {
		const keys = (items: readonly { sessionKey: string }[]) =>
			items.map((one) => one.sessionKey);

		test("rows by key, page by page, also where others arrive in between", async () => {
			const store = await opened();
			for (const key of ["f", "b", "d", "h"])
				await commit(store, writeOf(key, 0));
			const first = await store.list({ limit: 2 });
			expect(keys(first.items)).toEqual(["b", "d"]);
			for (const key of ["a", "c", "e"]) await commit(store, writeOf(key, 0));
			const second = await store.list({
				limit: 2,
				cursor: first.cursor as string,
			});
			expect(keys(second.items)).toEqual(["e", "f"]);
			const third = await store.list({
				limit: 2,
				cursor: second.cursor as string,
			});
			expect(keys(third.items)).toEqual(["h"]);
			expect(third.cursor).toBeNull();
		});

		test("a page that is just full is the last one", async () => {
			const store = await opened();
			for (const key of ["a", "b"]) await commit(store, writeOf(key, 0));
			expect((await store.list({ limit: 2 })).cursor).toBeNull();
		});

		test("exactly the keys that begin with a prefix", async () => {
			const store = await opened();
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
				expect(keys(pages.flat())).toEqual(
					[...new Set(all)]
						.filter((key) => key.startsWith(prefix))
						.sort(byCodePoint),
				);
			}
		});

		test("rows of a status, of several, and changed since", async () => {
			const store = await opened();
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
				expect(statusOf(facts)).toBe(facts.sessionKey);
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
				expect(keys((await store.list({ status })).items)).toEqual([status]);
			expect(
				keys((await store.list({ status: ["failed", "idle"] })).items),
			).toEqual(["failed", "idle"]);
			expect(keys((await store.list({ status: [] })).items)).toEqual([]);
			expect(keys((await store.list({ updatedSince: 4 })).items)).toEqual([
				"ended",
				"failed",
			]);
			expect(
				keys(
					(
						await store.list({
							updatedSince: 3,
							status: ["ended", "idle", "resetting"],
							prefix: "r",
						})
					).items,
				),
			).toEqual(["resetting"]);
		});

		test("no hidden rows, which load nevertheless", async () => {
			const store = await opened();
			await commit(
				store,
				writeOf("k", 0, { facts: factsOf("k", { hidden: true }) }),
				writeOf("l", 0),
			);
			expect(keys((await store.list({ limit: 1 })).items)).toEqual(["l"]);
			expect((await store.load("k"))?.facts.hidden).toBe(true);
		});

		test("runs of a key, newest generation first, the last written first in it", async () => {
			const store = await opened();
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
			const all = await walk((cursor) => store.runs("k", { limit: 2, cursor }));
			expect(all.map((page) => page.map(name))).toEqual([
				["e", "c"],
				["d", "b"],
				["a"],
			]);
			const ofOld = await walk((cursor) =>
				store.runs("k", { limit: 2, generation: 1, cursor }),
			);
			expect(ofOld.map((page) => page.map(name))).toEqual([["d", "b"], ["a"]]);
			expect(
				(await store.runs("k", { generation: 2 })).items.map(name),
			).toEqual(["e", "c"]);
			expect((await store.runs("k", { generation: 3 })).items).toEqual([]);
		});

		test("runs page on from where they were, whatever is written in between", async () => {
			const store = await opened();
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
			expect(first.items.map((one) => one.runId)).toEqual(["d", "c"]);
			expect(second.items.map((one) => one.runId)).toEqual(["b", "a"]);
			expect(second.cursor).toBeNull();
		});

		test("generations of a key, newest first, page by page", async () => {
			const store = await opened();
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
			expect(
				[[...first.items], ...rest].map((page) =>
					page.map((one) => one.generation),
				),
			).toEqual([[5, 4], [3, 2], [1]]);
		});

		test("refusals, newest first, of all or of one key", async () => {
			const store = await opened();
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
			expect(
				[[...first.items], ...rest].map((page) =>
					page.map((one) => one.reason),
				),
			).toEqual([["e", "d"], ["c", "b"], ["a"]]);
			const ofKey = await walk((cursor) =>
				store.refusals({ sessionKey: "k", limit: 1, cursor }),
			);
			expect(ofKey.flat().map((one) => one.reason)).toEqual(["f", "d", "a"]);
		});

		test("keys with something to do, and only those", async () => {
			const store = await opened();
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
			expect(pages).toEqual([
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
			expect((await store.unsettled({})).items).toEqual(["c-draining"]);
		});

		test.each([0, -1, 1001, 1.5, Number.NaN])(
			"not %s at a time",
			async (limit) => {
				const store = await opened();
				const refused = {
					code: "INVALID_ARGUMENT",
					message: expect.stringContaining(`limit is ${limit}`),
				};
				await expect(store.list({ limit })).rejects.toMatchObject(refused);
				await expect(store.runs("k", { limit })).rejects.toMatchObject(refused);
				await expect(store.generations("k", { limit })).rejects.toMatchObject(
					refused,
				);
				await expect(store.refusals({ limit })).rejects.toMatchObject(refused);
				await expect(store.unsettled({ limit })).rejects.toMatchObject(refused);
				await expect(store.transcript("k", { limit })).rejects.toMatchObject(
					refused,
				);
			},
		);

		test("not from a cursor that no page gave", async () => {
			const store = await opened();
			const refused = {
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining('cursor is "nonsense"'),
			};
			const cursor = "nonsense";
			await expect(store.runs("k", { cursor })).rejects.toMatchObject(refused);
			await expect(store.generations("k", { cursor })).rejects.toMatchObject(
				refused,
			);
			await expect(store.refusals({ cursor })).rejects.toMatchObject(refused);
			await expect(store.transcript("k", { cursor })).rejects.toMatchObject(
				refused,
			);
		});
	});

	describe("erases", () => {
		test("what is older than a generation, and the key's refusals; nothing else", async () => {
			const store = await opened();
			for (const key of ["k", "other"]) {
				const file = (generation: number) => ({
					runs: [
						runOf(key, `${key} run ${generation}a`, { generation }),
						runOf(key, `${key} run ${generation}b`, { generation }),
					],
					messages: [
						messageOf(`${key} taken ${generation}`, {
							generation,
							fate: "taken",
						}),
						messageOf(`${key} gone ${generation}`, {
							generation,
							fate: "removed",
						}),
					],
				});
				await commit(store, writeOf(key, 0, file(1)));
				for (const generation of [2, 3])
					await commit(
						store,
						writeOf(key, generation - 1, {
							...file(generation),
							facts: factsOf(key, { version: generation, generation }),
							generations: [endedOf(key, generation - 1)],
						}),
					);
				await store.commit({
					sessions: [],
					refusals: [refusalOf(key, key), refusalOf(null, "nobody's")],
				});
			}
			await commit(
				store,
				writeOf("k", 3, {
					facts: factsOf("k", { version: 4, generation: 3 }),
					runs: [runOf("k", "late", { generation: 2 })],
					purgeBefore: 3,
				}),
			);
			const names = async (key: string) =>
				(await store.runs(key, {})).items.map((one) => one.runId);
			expect(await names("k")).toEqual(["k run 3b", "k run 3a"]);
			expect(await names("other")).toHaveLength(6);
			expect(await store.runsNamed("late")).toEqual([]);
			expect(await store.runsNamed("k run 1a")).toEqual([]);
			expect((await store.generations("k", {})).items).toEqual([]);
			expect((await store.generations("other", {})).items).toHaveLength(2);
			for (const generation of [1, 2, 3])
				for (const fate of ["taken", "gone"]) {
					const found = await store.message("k", `k ${fate} ${generation}`);
					expect(found === null).toBe(generation < 3);
				}
			expect(await store.message("other", "other gone 1")).not.toBeNull();
			const reasons = (await store.refusals({})).items.map((one) => one.reason);
			expect(reasons).toEqual(["nobody's", "other", "nobody's"]);
			// An id that was erased can come again.
			await commit(
				store,
				writeOf("k", 4, {
					facts: factsOf("k", { version: 5, generation: 3 }),
					runs: [runOf("k", "k run 1a", { generation: 3 })],
				}),
			);
			expect(await names("k")).toEqual(["k run 1a", "k run 3b", "k run 3a"]);
		});

		test("no message that waits, until it has been taken", async () => {
			const store = await opened();
			const waiting = ["a", "b"].map((id, i) => messageOf(id, { seq: i + 1 }));
			await commit(
				store,
				writeOf("k", 0, {
					messages: [
						messageOf("first", { fate: "taken" }),
						...waiting,
						messageOf("last", { fate: "removed" }),
					],
				}),
			);
			const hidden = (version: number) =>
				factsOf("k", { version, generation: 2, hidden: true });
			await commit(
				store,
				writeOf("k", 1, { facts: hidden(2), purgeBefore: 2 }),
			);
			expect(
				(await store.load("k"))?.queue.map((one) => one.messageId),
			).toEqual(["a", "b"]);
			expect(await store.message("k", "first")).toBeNull();
			expect(await store.message("k", "last")).toBeNull();
			await commit(
				store,
				writeOf("k", 2, {
					facts: hidden(3),
					messages: [messageOf("a", { fate: "taken", seq: 1 })],
				}),
			);
			await commit(
				store,
				writeOf("k", 3, { facts: hidden(4), purgeBefore: 2 }),
			);
			expect(await store.message("k", "a")).toBeNull();
			expect(await store.message("k", "b")).not.toBeNull();
		});

		test("pages that were begun before go on with what is left", async () => {
			const store = await opened();
			const run = (runId: string, generation: number) =>
				runOf("k", runId, { generation });
			await commit(
				store,
				writeOf("k", 0, { runs: ["a", "b", "c"].map((id) => run(id, 1)) }),
			);
			await commit(
				store,
				writeOf("k", 1, {
					facts: factsOf("k", { version: 2, generation: 2 }),
					runs: ["d", "e"].map((id) => run(id, 2)),
				}),
			);
			const inNew = await store.runs("k", { limit: 1 });
			const inOld = await store.runs("k", { limit: 3 });
			expect(inOld.items.at(-1)?.runId).toBe("c");
			await commit(
				store,
				writeOf("k", 2, {
					facts: factsOf("k", { version: 3, generation: 2 }),
					purgeBefore: 2,
				}),
			);
			const next = async (cursor: string | null) =>
				(await store.runs("k", { cursor: cursor as string })).items.map(
					(one) => one.runId,
				);
			expect(await next(inNew.cursor)).toEqual(["d"]);
			expect(await next(inOld.cursor)).toEqual([]);
		});
	});

	describe("has one owner", () => {
		test("a second is refused and told who the first is", async () => {
			const store = fresh();
			const first = await store.open({ name: "the bot" });
			onTestFinished(() => first[Symbol.asyncDispose]());
			await expect(store.open({ name: "second" })).rejects.toMatchObject({
				code: "STORE_LOCKED",
				message: expect.stringContaining("the bot"),
			});
		});

		test("what was committed is there for the next", async () => {
			const store = fresh();
			const first = await store.open({ name: "first" });
			await commit(first, writeOf("k", 0, { runs: [runOf("k", "r1")] }));
			await first[Symbol.asyncDispose]();
			const second = await store.open({ name: "second" });
			onTestFinished(() => second[Symbol.asyncDispose]());
			await commit(second, writeOf("k", 1, { runs: [runOf("k", "r2")] }));
			await commit(second, writeOf("new", 0, { runs: [runOf("new", "r3")] }));
			const named = async (key: string) =>
				(await second.runs(key, {})).items.map((one) => one.runId);
			expect(await named("k")).toEqual(["r2", "r1"]);
			expect(await named("new")).toEqual(["r3"]);
		});

		test("and readers beside it, who see each commit", async () => {
			const store = fresh();
			const owner = await store.open({ name: "owner" });
			onTestFinished(() => owner[Symbol.asyncDispose]());
			await commit(owner, writeOf("k", 0, { messages: [messageOf("m")] }));
			const reader = await store.read();
			onTestFinished(() => reader[Symbol.asyncDispose]());
			expect((await reader.load("k"))?.queue).toHaveLength(1);
			await commit(owner, writeOf("k", 1));
			expect(await reader.version("k")).toBe(2);
			await owner[Symbol.asyncDispose]();
			expect(await reader.version("k")).toBe(2);
		});

		test("closed once or twice, it answers nothing more", async () => {
			const store = fresh();
			const owner = await store.open({ name: "owner" });
			await commit(owner, writeOf("k", 0));
			const reader = await store.read();
			for (const one of [owner, reader, owner, reader])
				await one[Symbol.asyncDispose]();
			const closed = {
				code: "STORE_FAILED",
				message: expect.stringContaining("closed"),
			};
			for (const one of [owner, reader]) {
				await expect(one.load("k")).rejects.toMatchObject(closed);
				await expect(one.version("k")).rejects.toMatchObject(closed);
				await expect(one.message("k", "m")).rejects.toMatchObject(closed);
				await expect(one.runsNamed("r")).rejects.toMatchObject(closed);
				await expect(one.list({})).rejects.toMatchObject(closed);
				await expect(one.generations("k", {})).rejects.toMatchObject(closed);
				await expect(one.generation("k", 1)).rejects.toMatchObject(closed);
				await expect(one.runs("k", {})).rejects.toMatchObject(closed);
				await expect(one.refusals({})).rejects.toMatchObject(closed);
				await expect(one.transcript("k", {})).rejects.toMatchObject(closed);
			}
			await expect(commit(owner, writeOf("k", 1))).rejects.toMatchObject(
				closed,
			);
			await expect(owner.unsettled({})).rejects.toMatchObject(closed);
			await expect(
				owner.prune({ of: "refusals", keep: 1 }, 1),
			).rejects.toMatchObject(closed);
			const next = await store.open({ name: "next" });
			// The old hands let go of nothing that is the next owner's.
			await owner[Symbol.asyncDispose]();
			await expect(store.open({ name: "third" })).rejects.toMatchObject({
				code: "STORE_LOCKED",
			});
			await next[Symbol.asyncDispose]();
		});
	});
});

test("an unreadable session is an error of its own, which carries the row", () => {
	const row = {
		sessionKey: "k",
		generation: 1,
		version: 2,
		raw: "x",
		queue: [],
		lost: [],
		entries: 0,
	};
	const error = new UnreadableSession(row, new Error("why"));
	expect(error).toMatchObject({ code: "STORE_CORRUPT", row });
});
