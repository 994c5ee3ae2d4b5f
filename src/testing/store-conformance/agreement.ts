/**
 * Owns random plans of batches and prunes, and the proof that a store answers after each as the memory store does. A plan that tells them
 * apart is made as short as it can be.
 */
import assert from "node:assert/strict";
import type { QueuedMessage } from "../../../machines/facts.ts";
import { memoryStore } from "../../memory.ts";
import {
	type Batch,
	type OpenStore,
	type PruneRule,
	queuedOf,
	type SessionWrite,
	type StoredMessage,
} from "../../store.ts";
import { generator } from "../random.ts";
import type { CheckGroup } from "./check.ts";
import { pruned } from "./pruning.ts";
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
import { type Subject, Trial } from "./trial.ts";

const keys = ["a", "b", "🧵"];
const generations = [1, 2, 3];
const names = ["x", "y", "z"];

/** One session's part of a batch, before it is known what the session's version is. */
interface Part {
	readonly key: string;
	/** How far the version is off. */
	readonly off: number;
	readonly row: {
		readonly generation: number;
		readonly live: boolean;
		readonly hidden: boolean;
		readonly closing: readonly number[];
	} | null;
	// A run and a message belong to one generation for ever, so their names say which.
	readonly runs: readonly (Named & { readonly attempt: number })[];
	readonly messages: readonly (Named & {
		readonly fate: StoredMessage["fate"];
		readonly order: number;
	})[];
	/** `off`: how far an entry's place is off, 0 where it is new. */
	readonly entries: readonly (Named & {
		readonly hidden: boolean;
		readonly off: number;
	})[];
	readonly hides: readonly Named[];
	readonly ended: readonly number[];
	readonly purgeBefore: number | null;
}

interface Named {
	readonly generation: number;
	readonly name: string;
}

/** One step of a plan. `n` makes every record tell when it was written, also where the steps before it are left out. */
export type Step = { readonly n: number } & (
	| {
			readonly parts: readonly Part[];
			readonly refusals: readonly (string | null)[];
	  }
	| { readonly rule: PruneRule; readonly limit: number }
);

/**
 * A plan of up to sixteen steps; the same for the same seed.
 *
 * @example for (const step of planOf(7)) await play(step, store);
 */
export function planOf(seed: number): Step[] {
	const below = generator(seed);
	const oneOf = <One>(...all: readonly One[]) => all[below(all.length)] as One;
	const upTo = <One>(most: number, make: () => One) =>
		Array.from({ length: below(most + 1) }, make);
	const seldom = () => below(6) === 0;
	const named = (): Named => ({
		generation: oneOf(...generations),
		name: oneOf(...names),
	});
	const part = (): Part => ({
		key: oneOf(...keys),
		off: oneOf(0, 0, 0, 0, 0, 0, 0, 1),
		row: seldom()
			? null
			: {
					generation: oneOf(...generations),
					live: oneOf(true, false),
					hidden: oneOf(true, false),
					closing: upTo(1, () => oneOf(...generations)),
				},
		runs: upTo(4, () => ({ ...named(), attempt: oneOf(1, 2) })),
		messages: upTo(4, () => ({
			...named(),
			fate: oneOf("queued", "taken", "removed"),
			order: oneOf(0, 15, 99),
		})),
		entries: upTo(4, () => ({
			...named(),
			hidden: oneOf(true, false),
			off: oneOf(0, 0, 0, 100, 200),
		})),
		hides: upTo(1, named),
		ended: upTo(2, () => oneOf(...generations)),
		purgeBefore: seldom() ? oneOf(2, 3, 4) : null,
	});
	const rule = (n: number): PruneRule =>
		oneOf<() => PruneRule>(
			() => ({ of: "messages", acceptedBefore: at + n - below(9) }),
			() => ({ of: "generations", endedBefore: n - below(9) }),
			() => ({
				of: "generations",
				sessionKey: oneOf(...keys),
				before: oneOf(2, 3, 4),
			}),
			() => ({ of: "refusals", keep: oneOf(0, 1, 3) }),
		)();
	return Array.from({ length: 1 + below(16) }, (_, n) =>
		below(4) === 0
			? { n, rule: rule(n), limit: oneOf(1, 2, 5, 100) }
			: {
					n,
					parts: [part(), ...upTo(2, part)],
					refusals: upTo(2, () => oneOf(null, ...keys)),
				},
	);
}

/** Carries a step out on stores that hold the same. They must all make the same of it. */
export async function play(
	step: Step,
	first: OpenStore,
	...others: readonly OpenStore[]
): Promise<void> {
	const batch = "parts" in step ? await batchOf(first, step) : null;
	const outcome = (store: OpenStore) =>
		batch
			? store.commit(batch).then(
					() => "held",
					({ code }) => code as string,
				)
			: "rule" in step && pruned(store, step.rule, step.limit);
	const expected = await outcome(first);
	for (const other of others)
		assert.deepEqual(await outcome(other), expected, "what became of it");
}

/** The batch of a step on what a store holds now. */
async function batchOf(
	store: OpenStore,
	{ n, parts, refusals }: Extract<Step, { parts: unknown }>,
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
				acceptedAt: at + n,
				reason: `step ${n}`,
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
						endedAt: n,
					}),
				),
				messages,
				entries: one.entries.map(({ generation, name, hidden, off }, i) =>
					entryOf(key, 1000 + 100 * n + 10 * sessions.length + i - off, {
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
				generations: one.ended.map((ended) =>
					endedOf(key, ended, { endedAt: n }),
				),
				purgeBefore: one.purgeBefore,
			}),
		);
	}
	return {
		sessions,
		refusals: refusals.map((key) => refusalOf(key, `step ${n}`)),
	};
}

/** The answers to every question there is, page by page. */
async function answers(store: OpenStore): Promise<Record<string, unknown>> {
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
		for (const generation of generations) {
			ofKey[`generation ${generation}`] = await store.generation(
				key,
				generation,
			);
			ofKey[`runs of ${generation}`] = await walk((cursor) =>
				store.runs(key, { generation, limit: 1, cursor }),
			);
			ofKey[`transcript of ${generation}`] = await walk((cursor) =>
				store.transcript(key, {
					generation,
					sessionId: `session of ${generation} x`,
					limit: 1,
					cursor,
				}),
			);
			for (const name of names) {
				const id = `${generation} ${name}`;
				ofKey[`message ${id}`] = await store.message(key, id);
				ofKey[`run ${id}`] = await store.runsNamed(id, key);
				all[`run ${id}`] = await store.runsNamed(id);
			}
		}
		all[key] = ofKey;
	}
	return all;
}

/** What tells a store of the subject from a memory store after these steps, or null. */
async function difference(
	steps: readonly Step[],
	subject: Subject,
): Promise<Error | null> {
	await using trial = new Trial(subject);
	const store = await trial.open();
	await using memory = await memoryStore().open({ name: "memory" });
	try {
		for (const step of steps) await play(step, memory, store);
		assert.deepEqual(await answers(store), await answers(memory));
		return null;
	} catch (error) {
		return error as Error;
	}
}

/** The same difference in fewer steps: without each that is not needed, the last ones first. */
async function shortest(
	steps: readonly Step[],
	subject: Subject,
): Promise<readonly Step[]> {
	let needed = steps;
	for (const step of steps.toReversed()) {
		const without = needed.filter((one) => one !== step);
		if (await difference(without, subject)) needed = without;
	}
	return needed;
}

export const agreement: CheckGroup = {
	about: "agrees with the memory store",
	checks: {
		"after any batches, conflicts, purges and prunes": async ({ subject }) => {
			for (let n = 0; n < subject.plans; n++) {
				const seed = subject.seed + n;
				if (!(await difference(planOf(seed), subject))) continue;
				const steps = await shortest(planOf(seed), subject);
				const error = await difference(steps, subject);
				throw new Error(
					`seed ${seed} tells it from a memory store after these steps:\n${steps.map((step) => JSON.stringify(step)).join("\n")}\n${error?.message}`,
					{ cause: error },
				);
			}
		},
	},
};
