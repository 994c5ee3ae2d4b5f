/** The two stores against each other: whatever is written and erased, every question has the same answer on both. */
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import type { Batch, OpenStore, SessionWrite, StoredMessage } from "turnkeeper";
import type { QueuedMessage } from "turnkeeper/machines";
import { memoryStore } from "turnkeeper/memory";
import { sqliteStore } from "turnkeeper/sqlite";
import { expect, test } from "vitest";
import { type PruneRule, queuedOf } from "../../src/store.ts";
import { temporaryFile } from "../support/stores.ts";
import {
	at,
	endedOf,
	entryOf,
	factsOf,
	messageOf,
	refusalOf,
	runOf,
	walk,
	writeOf,
} from "./records.ts";

const keys = ["a", "b", "🧵"];
const generations = [1, 2, 3];
const names = ["x", "y", "z"];

const generation = fc.constantFrom(...generations);
const name = fc.constantFrom(...names);

/** One session's part of a batch, before it is known what the session's version is. */
const part = fc.record({
	key: fc.constantFrom(...keys),
	/** How far the version is off: mostly not at all. */
	off: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1),
	row: fc.option(
		fc.record({
			generation,
			live: fc.boolean(),
			hidden: fc.boolean(),
			closing: fc.array(generation, { maxLength: 1 }),
		}),
		{ freq: 5 },
	),
	// A run and a message belong to one generation for ever, so their names say which.
	runs: fc.array(
		fc.record({ generation, name, attempt: fc.constantFrom(1, 2) }),
		{ maxLength: 4 },
	),
	messages: fc.array(
		fc.record({
			generation,
			name,
			fate: fc.constantFrom<StoredMessage["fate"][]>(
				"queued",
				"taken",
				"removed",
			),
			order: fc.constantFrom(0, 15, 99),
		}),
		{ maxLength: 4 },
	),
	entries: fc.array(
		fc.record({
			generation,
			name,
			hidden: fc.boolean(),
			/** How far its place is off: 0 where it is new. */
			off: fc.constantFrom(0, 0, 0, 100, 200),
		}),
		{
			maxLength: 4,
		},
	),
	hides: fc.array(fc.record({ generation, name }), { maxLength: 1 }),
	ended: fc.array(generation, { maxLength: 2 }),
	purgeBefore: fc.option(fc.constantFrom(2, 3, 4), { freq: 6, nil: null }),
});
type Part = typeof part extends fc.Arbitrary<infer Value> ? Value : never;

const batch = fc.record({
	parts: fc.array(part, { minLength: 1, maxLength: 3 }),
	refusals: fc.array(fc.option(fc.constantFrom(...keys)), { maxLength: 2 }),
});

/** How many steps of a plan ago, for the times in a rule. */
const ago = fc.integer({ min: 0, max: 8 });
const prune = fc.record({
	rule: fc.oneof(
		fc.record({ of: fc.constant("messages" as const), ago }),
		fc.record({ of: fc.constant("ended" as const), ago }),
		fc.record({
			of: fc.constant("generations" as const),
			sessionKey: fc.constantFrom(...keys),
			before: fc.constantFrom(2, 3, 4),
		}),
		fc.record({
			of: fc.constant("refusals" as const),
			keep: fc.constantFrom(0, 1, 3),
		}),
	),
	limit: fc.constantFrom(1, 2, 5, 100),
});
type Prune = typeof prune extends fc.Arbitrary<infer Value> ? Value : never;

const plan = fc.array(
	fc.oneof({ weight: 3, arbitrary: batch }, { weight: 1, arbitrary: prune }),
	{ minLength: 1, maxLength: 16 },
);

function ruleOf({ rule }: Prune, step: number): PruneRule {
	switch (rule.of) {
		case "messages":
			return { of: "messages", acceptedBefore: at + step - rule.ago };
		case "ended":
			return { of: "generations", endedBefore: step - rule.ago };
		default:
			return rule;
	}
}

/** How many records the rule erased, in steps of the limit. */
async function prunedBy(store: OpenStore, rule: PruneRule, limit: number) {
	for (let erased = 0; ; ) {
		const step = await store.prune(rule, limit);
		erased += step.erased;
		if (!step.more) return erased;
		expect(step.erased).toBe(limit);
	}
}

/** Every row of a file is linked, from its own generation's newest on, exactly once. */
function expectLinked(path: string): void {
	const db = new DatabaseSync(path, { readOnly: true });
	try {
		for (const [table, last] of [
			["runs", "last_run"],
			["messages", "last_message"],
			["transcript", "last_entry"],
		]) {
			const linked = db
				.prepare(
					`WITH RECURSIVE chain (session, generation, id) AS (
						SELECT id, generation, ${last} FROM sessions WHERE ${last} IS NOT NULL
						UNION ALL
						SELECT session, generation, ${last} FROM generations WHERE ${last} IS NOT NULL
						UNION ALL
						SELECT one.session, one.generation, one.previous FROM chain JOIN ${table} AS one USING (id)
						WHERE one.previous IN (SELECT id FROM ${table})
					)
					SELECT id, session, generation FROM chain ORDER BY id`,
				)
				.all();
			const rows = db
				.prepare(`SELECT id, session, generation FROM ${table} ORDER BY id`)
				.all();
			expect(linked).toEqual(rows);
		}
	} finally {
		db.close();
	}
}

/** The batch of a plan's step on what a store holds now. `step` makes every record tell when it was written. */
async function batchOf(
	store: OpenStore,
	{ parts, refusals }: { parts: Part[]; refusals: (string | null)[] },
	step: number,
): Promise<Batch> {
	const sessions: SessionWrite[] = [];
	const lines = new Map<string, Map<string, QueuedMessage>>();
	for (const one of parts) {
		const { key, row } = one;
		const before = sessions.findLast((write) => write.sessionKey === key);
		const held =
			before?.facts?.version ??
			before?.baseVersion ??
			(await store.version(key));
		const messages = one.messages.map(({ generation, name, fate, order }) =>
			messageOf(`${generation} ${name}`, {
				generation,
				fate,
				seq: 10 * generation + names.indexOf(name),
				order,
				acceptedAt: at + step,
				reason: `step ${step}`,
			}),
		);
		const line =
			lines.get(key) ??
			new Map(
				((await store.load(key))?.queue ?? []).map((message) => [
					message.messageId,
					message,
				]),
			);
		lines.set(key, line);
		for (const message of messages)
			if (message.fate === "queued")
				line.set(message.messageId, queuedOf(message));
			else line.delete(message.messageId);
		const facts = factsOf(key, {
			version: held + 1,
			generation: row?.generation ?? 1,
			hidden: row?.hidden ?? false,
			run: row?.live ? runOf(key, "live") : null,
			closing: (row?.closing ?? []).map((generation) => ({
				generation,
				deadline: at,
				postponed: generation > 1,
			})),
			queue: [...line.values()],
		});
		const stays = !row && held > 0 && messages.length === 0;
		sessions.push(
			writeOf(key, held + one.off, {
				facts: stays ? null : facts,
				runs: one.runs.map(({ generation, name, attempt }) =>
					runOf(key, `${generation} ${name}`, {
						generation,
						attempt,
						endedAt: step,
					}),
				),
				messages,
				entries: one.entries.map(({ generation, name, hidden, off }, i) =>
					entryOf(key, 1000 + 100 * step + 10 * sessions.length + i - off, {
						generation,
						sessionId: `session of ${generation} ${name}`,
						runId: `${generation} ${name}`,
						hidden,
					}),
				),
				hides: one.hides.map(({ generation, name }) => ({
					generation,
					runId: `${generation} ${name}`,
					attempt: 1,
				})),
				generations: one.ended.map((n) => endedOf(key, n, { endedAt: step })),
				purgeBefore: one.purgeBefore,
			}),
		);
	}
	return {
		sessions,
		refusals: refusals.map((key) => refusalOf(key, `step ${step}`)),
	};
}

/** The answers to every question there is, page by page. */
async function answers(store: OpenStore) {
	const all: Record<string, unknown> = {
		list: await walk((cursor) => store.list({ limit: 2, cursor })),
		running: await walk((cursor) =>
			store.list({ status: "running", limit: 1, cursor }),
		),
		unsettled: await walk((cursor) => store.unsettled({ limit: 1, cursor })),
		refusals: await walk((cursor) => store.refusals({ limit: 2, cursor })),
	};
	for (const key of keys) {
		const ofKey: Record<string, unknown> = {
			version: await store.version(key),
			row: await store.load(key),
			runs: await walk((cursor) => store.runs(key, { limit: 2, cursor })),
			transcript: await walk((cursor) =>
				store.transcript(key, { limit: 2, cursor }),
			),
			generations: await walk((cursor) =>
				store.generations(key, { limit: 1, cursor }),
			),
			refusals: await walk((cursor) =>
				store.refusals({ sessionKey: key, limit: 1, cursor }),
			),
		};
		for (const n of generations) {
			ofKey[`generation ${n}`] = await store.generation(key, n);
			ofKey[`runs of ${n}`] = await walk((cursor) =>
				store.runs(key, { generation: n, limit: 1, cursor }),
			);
			ofKey[`transcript of ${n}`] = await walk((cursor) =>
				store.transcript(key, {
					generation: n,
					sessionId: `session of ${n} x`,
					limit: 1,
					cursor,
				}),
			);
			for (const name of names) {
				const id = `${n} ${name}`;
				ofKey[`message ${id}`] = await store.message(key, id);
				ofKey[`run ${id}`] = await store.runsNamed(id, key);
				all[`run ${id}`] = await store.runsNamed(id);
			}
		}
		all[key] = ofKey;
	}
	return all;
}

test("both stores hold the same after any batches, conflicts, purges and prunes", async () => {
	await fc.assert(
		fc.asyncProperty(plan, async (steps) => {
			const memory = await memoryStore().open({ name: "memory" });
			const path = temporaryFile();
			const file = await sqliteStore(path, {
				synchronous: "normal",
			}).open({ name: "file" });
			try {
				for (const [n, step] of steps.entries()) {
					if ("rule" in step) {
						const rule = ruleOf(step, n);
						expect(await prunedBy(file, rule, step.limit)).toBe(
							await prunedBy(memory, rule, step.limit),
						);
						expectLinked(path);
						continue;
					}
					const batch = await batchOf(memory, step, n);
					const outcomes = await Promise.allSettled([
						memory.commit(batch),
						file.commit(batch),
					]);
					const [one, other] = outcomes.map((outcome) =>
						outcome.status === "rejected" ? outcome.reason.message : "held",
					);
					expect(other).toBe(one);
				}
				expectLinked(path);
				expect(await answers(file)).toEqual(await answers(memory));
			} finally {
				await file[Symbol.asyncDispose]();
			}
		}),
		{ numRuns: 150 },
	);
}, 120_000);
