/**
 * Owns what becomes of what the last process left. Its runs died with it, so they are settled, or put in line for their next attempt,
 * before anything else is served; a run with a lease is believed to live on elsewhere until that is over. Then the lines go on.
 */
import type { QueuedMessage, SessionFacts } from "../machines/facts.ts";
import {
	openWaits,
	ownsRun,
	type RunFacts,
	ticketOf,
} from "../machines/run.ts";
import type { Engine } from "./engine.ts";
import { unsettledRuns } from "./reader.ts";
import type { Receipts } from "./receipts.ts";
import type { LiveSession } from "./session.ts";
import { queuedOf, UnreadableSession } from "./store.ts";

/** Settles what the last process left, and answers with the sessions that have work to go on with. `goOn` throws if the start was called off. */
export async function recover<Meta>(
	engine: Engine<Meta>,
	goOn: () => void,
	receipts: Pick<Receipts<unknown>, "follow">,
): Promise<readonly string[]> {
	const { store } = engine;
	const left: string[] = [];
	let cursor: string | null = null;
	do {
		const page: Awaited<ReturnType<typeof store.unsettled>> =
			await store.unsettled(cursor === null ? {} : { cursor });
		await all(page.items, async (key) => {
			if (await settleDead(engine, key)) left.push(key);
		});
		goOn();
		cursor = page.cursor;
	} while (cursor !== null);
	// Now that it is known which parents live on.
	await all(left, (key) => sortOutChildren(engine, key, receipts));
	goOn();
	return left;
}

async function all(
	keys: readonly string[],
	work: (key: string) => Promise<void>,
): Promise<void> {
	const settled = await Promise.allSettled(keys.map(work));
	for (const one of settled) if (one.status === "rejected") throw one.reason;
}

/** True: there is work to go on with. */
async function settleDead<Meta>(
	engine: Engine<Meta>,
	key: string,
): Promise<boolean> {
	try {
		for (;;) {
			const facts = await settleOne(engine, key);
			if (facts) return facts.queue.length > 0 || facts.closing.length > 0;
		}
	} catch (error) {
		// One row that cannot be read is no reason to serve nobody: it can be reset.
		if (!(error instanceof UnreadableSession)) throw error;
		engine.projection.trouble(error);
		return false;
	}
}

/** The run that nobody drives any more, or null. */
function deadOf<Meta>(
	engine: Engine<Meta>,
	facts: SessionFacts,
): RunFacts | null {
	return (
		unsettledRuns(facts).find(
			(run) =>
				run.leaseMs === null ||
				run.stop !== null ||
				(openWaits(run).length === 0 &&
					(run.seenAt ?? 0) + run.leaseMs <= engine.now()),
		) ?? null
	);
}

/** Settles one; when none is left, enters those that live on and answers with what is known of the session. */
function settleOne<Meta>(
	engine: Engine<Meta>,
	key: string,
): Promise<SessionFacts | null> {
	const bounds = engine.options.retry;
	let messages: readonly QueuedMessage[] = [];
	return new Promise((resolve, reject) => {
		engine.post(key, {
			prepare: (session) => {
				const dead = deadOf(engine, session.facts);
				if (!bounds || dead?.driver !== "managed") return undefined;
				return messagesOf(engine, session, dead).then((found) => {
					messages = found;
				});
			},
			event: ({ facts }) => {
				const dead = deadOf(engine, facts);
				if (!dead) return null;
				const at = engine.now();
				const error =
					dead.leaseMs === null
						? null
						: `no sign of life for ${dead.leaseMs} ms, which is its lease`;
				return {
					type: "settled",
					at,
					ticket: ticketOf(dead),
					end: { at, outcome: "interrupted", error },
					recovers: true,
					retry:
						bounds && messages.length > 0 ? { ...bounds, messages } : undefined,
				};
			},
			committed: ({ after }) => {
				if (deadOf(engine, after)) {
					resolve(null);
					return;
				}
				for (const run of unsettledRuns(after)) {
					const live = engine.runs.enter(run);
					live.facts = after;
				}
				resolve(after);
			},
			failed: reject,
		});
	});
}

/** What a dead run was given to work on; none if part of it is not kept any more. */
export async function messagesOf<Meta>(
	engine: Engine<Meta>,
	{ key }: Pick<LiveSession, "key">,
	{ messageIds }: Pick<RunFacts, "messageIds">,
): Promise<readonly QueuedMessage[]> {
	const kept = await Promise.all(
		messageIds.map((messageId) => engine.store.message(key, messageId)),
	);
	const found = kept.filter((message) => message !== null);
	return found.length === kept.length ? found.map(queuedOf) : [];
}

/** Messages that wait and are attached to a run: it lives on and they are tied to it again, or they leave with it. */
async function sortOutChildren<Meta>(
	engine: Engine<Meta>,
	key: string,
	receipts: Pick<Receipts<unknown>, "follow">,
): Promise<void> {
	const queue = engine.directory.find(key)?.committed?.queue ?? [];
	for (const { messageId, parent } of queue) {
		if (!parent?.attached) continue;
		const run = engine.directory.find(parent.run.sessionKey)?.committed?.run;
		if (run && ownsRun(run, parent.run) && run.stop === null)
			engine.runs.children.add(parent.run, {
				sessionKey: key,
				messageId,
				settled: receipts.follow(key, messageId),
			});
		else
			await new Promise<void>((resolve, reject) => {
				engine.post(key, {
					event: () => ({
						type: "abort",
						at: engine.now(),
						cause: "parent",
						reason: "the run that it is attached to died",
						deadline: engine.now(),
						queued: "keep",
						expect: { messageId },
					}),
					committed: () => resolve(),
					failed: reject,
				});
			});
	}
}

/** Lets lines go on, by the arrival of what is first in each, and the host finish its own work on what ended. */
export function goOnWith<Meta>(
	engine: Engine<Meta>,
	keys: readonly string[],
): void {
	const left = keys
		.map((key) => engine.directory.find(key)?.committed)
		.filter((facts) => facts != null)
		.sort((a, b) => arrivalOf(a) - arrivalOf(b));
	for (const facts of left) {
		const key = facts.sessionKey;
		const { clock, graceMs } = engine.options;
		for (const { generation } of facts.closing)
			if (engine.closing)
				engine.closing.begin(key, generation, clock.monotonic() + graceMs);
			else engine.closed(key, generation);
		engine.taking.pump(facts);
	}
}

function arrivalOf({ queue }: SessionFacts): number {
	return queue[0]?.acceptedAt ?? 0;
}
