/**
 * Owns what becomes of what the last process left: its runs died with it, so they are settled before anything else is served; then the
 * lines go on.
 */
import { ticketOf } from "../machines/run.ts";
import type { Engine } from "./engine.ts";
import { unsettledRuns } from "./reader.ts";
import { UnreadableSession } from "./store.ts";

/** Settles what the last process left, and answers with the keys on which messages wait. `goOn` throws if the start was called off. */
export async function recover<Meta>(
	engine: Engine<Meta>,
	goOn: () => void,
): Promise<readonly string[]> {
	const { store } = engine;
	const waiting: string[] = [];
	let cursor: string | null = null;
	do {
		const page: Awaited<ReturnType<typeof store.unsettled>> =
			await store.unsettled(cursor === null ? {} : { cursor });
		const settled = await Promise.allSettled(
			page.items.map(async (key) => {
				if (await settleDead(engine, key)) waiting.push(key);
			}),
		);
		for (const one of settled) if (one.status === "rejected") throw one.reason;
		goOn();
		cursor = page.cursor;
	} while (cursor !== null);
	return waiting;
}

/** True: messages wait. */
async function settleDead<Meta>(
	engine: Engine<Meta>,
	key: string,
): Promise<boolean> {
	for (;;) {
		try {
			const { left, queued } = await settleOne(engine, key);
			if (!left) return queued;
		} catch (error) {
			// One row that cannot be read is no reason to serve nobody: it can be reset.
			if (!(error instanceof UnreadableSession)) throw error;
			engine.projection.trouble(error);
			return false;
		}
	}
}

function settleOne<Meta>(
	engine: Engine<Meta>,
	key: string,
): Promise<{ left: boolean; queued: boolean }> {
	return new Promise((resolve, reject) => {
		engine.post(key, {
			event: ({ facts }) => {
				const [dead] = unsettledRuns(facts);
				if (!dead) return null;
				const at = engine.now();
				const end = { at, outcome: "interrupted" } as const;
				return { type: "settled", at, ticket: ticketOf(dead), end };
			},
			committed: ({ after }) =>
				resolve({
					left: unsettledRuns(after).length > 0,
					queued: after.queue.length > 0,
				}),
			failed: reject,
		});
	});
}

/** Lets a line go on. */
export function takeNext<Meta>(engine: Engine<Meta>, key: string): void {
	if (!engine.options.execute) return;
	engine.keep(key, {
		event: ({ facts }) => ({
			type: "take",
			at: engine.now(),
			grant: engine.grant(facts),
		}),
		committed: () => {},
	});
}
