/** What becomes of a file that version 1 of the schema wrote, and that ordinary records are still written as it wrote them. */
import { DatabaseSync } from "node:sqlite";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, onTestFinished, test } from "vitest";
import { migrate, migrations } from "../../src/sqlite/schema.ts";
import {
	at,
	commit,
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	refusalOf,
	runOf,
	ticketOf,
	writeOf,
} from "../../src/testing/store-conformance/records.ts";
import { temporaryFile } from "../support/stores.ts";

const live = runOf("k", "live", {
	generation: 2,
	status: "executing",
	outcome: null,
	endedAt: null,
	runtimeMs: null,
});
const drains = runOf("k", "drains", {
	status: "aborting",
	// When it was told to stop was not kept.
	stop: { cause: "reset", reason: null, deadline: at + 9, at: null },
	outcome: null,
	endedAt: null,
	runtimeMs: null,
});
const done = runOf("k", "done", { messageIds: ["m1"] });
const ended = endedOf("k", 1, { endedAt: at + 4, reason: "asked to" });
const facts = factsOf("k", {
	generation: 2,
	run: live,
	draining: [{ run: drains, ended }],
	updatedAt: at + 7,
	// As long as nothing else is known.
	activeAt: at + 7,
	takenAt: at + 7,
	arrivals: 2,
});
const waits = messageOf("m2", {
	seq: 2,
	generation: 2,
	expect: { generation: 2 },
});
const taken = messageOf("m1", {
	fate: "taken",
	run: ticketOf("k", "done"),
	acceptedAt: at - 5,
});
const refusal = refusalOf("k", "late");

/** As version 1 wrote them, each in the order of its fields then. */
const times = `${at},${at},null,null`;
const nestedRun = (text: string, stop: string, status: string) =>
	`[${text},1,["s1"],"managed","${status}",[],${times},false,${stop},null,null,0,0]`;
const row = `["k 1",1,"idle",false,null,null,null,null,null,null,0,0,0,0,0,{},${at},${at},1]`;
const stop = `["reset",null,${at + 9}]`;
const bodies = {
	sessions: `[["k 1"],null,${nestedRun('2,"live"', "null", "executing")},[],[[${nestedRun('1,"drains"', stop, "aborting")},[1,["k 1"],"reset","asked to",${at + 4},${row}]]],2,null,0,0,{},${at}]`,
	runs: `[["s1"],"managed","settled",["m1"],${at},${at},${at + 5},5,false,null,"completed",null,0,0]`,
	generations: `[["k 1"],"reset","asked to",${at + 4},${row}]`,
	waits: `[{"text":"m2"},${at},{"generation":2},null,null,"message"]`,
	taken: `[{"text":"m1"},${at - 5},null,["s1",1,"done",1],null,"message"]`,
	refusals: `[${at},"unknown","late",{"runId":"r1","phase":"start"},null]`,
};

function behind<Result>(
	path: string,
	work: (db: DatabaseSync) => Result,
): Result {
	const db = new DatabaseSync(path);
	try {
		return work(db);
	} finally {
		db.close();
	}
}

function fileOfVersion1(): string {
	const path = temporaryFile();
	behind(path, (db) => {
		migrate(db, path, migrations.slice(0, 1));
		const put = (table: string, columns: Record<string, unknown>) =>
			db
				.prepare(
					`INSERT INTO ${table} (${Object.keys(columns)}) VALUES (${Object.keys(columns).map(() => "?")})`,
				)
				.run(...(Object.values(columns) as (string | number | null)[]));
		put("sessions", {
			id: 1,
			session_key: "k",
			generation: 2,
			version: 1,
			status: "resetting",
			hidden: 0,
			unsettled: 1,
			updated_at: at + 7,
			last_run: null,
			last_message: 2,
			body: bodies.sessions,
		});
		put("generations", {
			session: 1,
			generation: 1,
			last_run: 1,
			last_message: 1,
			body: bodies.generations,
		});
		put("generations", { session: 7, generation: 1, body: null });
		put("generations", { session: 7, generation: 2, body: "no JSON" });
		put("generations", { session: 7, generation: 3, body: "[]" });
		const ofK = { session: 1, previous: null };
		put("runs", {
			...ofK,
			generation: 1,
			run_id: "done",
			attempt: 1,
			body: bodies.runs,
		});
		const message = (id: string, generation: number, fate: string) => ({
			...ofK,
			generation,
			message_id: id,
			seq: generation,
			fate,
		});
		put("messages", { ...message("m1", 1, "taken"), body: bodies.taken });
		put("messages", { ...message("m2", 2, "queued"), body: bodies.waits });
		put("messages", {
			...message("unreadable", 1, "queued"),
			session: 7,
			body: "no JSON",
		});
		put("refusals", {
			refusal_id: refusal.refusalId,
			session_key: "k",
			body: bodies.refusals,
		});
	});
	return path;
}

async function opened(path: string) {
	const store = await sqliteStore(path).open({ name: "test" });
	onTestFinished(() => store[Symbol.asyncDispose]());
	return store;
}

test("a file of version 1 is read with what each field was before there was one", async () => {
	const store = await opened(fileOfVersion1());
	const { queue: _, ...rest } = facts;
	const loaded = await store.load("k");
	expect(loaded?.facts).toStrictEqual({ ...rest, queued: 1 });
	const {
		fate: _fate,
		run: _run,
		reason: _reason,
		kind: _kind,
		...line
	} = waits;
	expect(loaded?.queue).toStrictEqual([line]);
	expect(await store.message("k", "m1")).toStrictEqual(taken);
	expect((await store.runs("k", {})).items).toStrictEqual([done]);
	expect((await store.generations("k", {})).items).toStrictEqual([ended]);
	expect((await store.refusals({})).items).toStrictEqual([refusal]);
	expect((await store.transcript("k", {})).items).toEqual([]);
	expect((await store.unsettled({})).items).toEqual(["k"]);
});

test("a file of version 1 is written on", async () => {
	const store = await opened(fileOfVersion1());
	await commit(
		store,
		writeOf("k", 1, {
			facts: { ...facts, version: 2, draining: [] },
			runs: [runOf("k", "new", { generation: 2, leaseMs: 5, seenAt: at })],
			entries: [entryOf("k", 1), entryOf("k", 2, { generation: 2 })],
		}),
	);
	const runs = (await store.runs("k", {})).items;
	expect(runs.map(({ runId }) => runId)).toEqual(["new", "done"]);
	expect(runs[0]).toMatchObject({ leaseMs: 5, seenAt: at });
	const { items } = await store.transcript("k", {});
	expect(items.map(({ seq }) => seq)).toEqual([2, 1]);
});

test("what is old in a file of version 1 is found by its age", async () => {
	const path = fileOfVersion1();
	const store = await opened(path);
	expect(
		behind(path, (db) =>
			db
				.prepare(
					"SELECT ended_at FROM generations ORDER BY session, generation",
				)
				.all()
				.map(({ ended_at }) => ended_at),
		),
	).toEqual([at + 4, null, null, null]);
	const nothing = { erased: 0, more: false };
	const messages = (acceptedBefore: number) =>
		store.prune({ of: "messages", acceptedBefore }, 10);
	const generations = (endedBefore: number) =>
		store.prune({ of: "generations", endedBefore }, 10);
	// It drains.
	expect(await messages(at + 99)).toEqual(nothing);
	expect(await generations(at + 5)).toEqual(nothing);
	await commit(
		store,
		writeOf("k", 1, {
			facts: { ...facts, version: 2, run: null, draining: [] },
		}),
	);
	expect(await messages(at - 5)).toEqual(nothing);
	expect(await messages(at - 4)).toEqual({ erased: 1, more: false });
	expect(await messages(at + 99)).toEqual(nothing);
	expect(await generations(at + 4)).toEqual(nothing);
	expect(await generations(at + 5)).toEqual({ erased: 2, more: false });
});

test("an ordinary record is not a byte longer than in version 1", async () => {
	const path = temporaryFile();
	const store = await opened(path);
	await commit(
		store,
		writeOf("k", 0, {
			facts,
			runs: [done],
			generations: [ended],
			messages: [taken, waits],
		}),
	);
	await store.commit({ sessions: [], refusals: [refusal] });
	const written = (table: string) =>
		behind(path, (db) =>
			db
				.prepare(`SELECT body FROM ${table} ORDER BY rowid`)
				.all()
				.map(({ body }) => body),
		);
	expect(written("sessions")).toEqual([bodies.sessions]);
	expect(written("runs")).toEqual([bodies.runs]);
	expect(written("generations")).toEqual([bodies.generations]);
	expect(written("messages")).toEqual([bodies.taken, bodies.waits]);
	expect(written("refusals")).toEqual([bodies.refusals]);
});
