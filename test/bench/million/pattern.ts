/**
 * Owns what a stored session looks like: the writes of one real turn, caught on their way to the store, and the same for any other key. So
 * a file of a million sessions is made without a million turns.
 */
import { createSessionRuntime, type SessionWrite } from "turnkeeper";
import { memoryStore } from "turnkeeper/memory";

const key = "session:pattern";
const messageId = "message-of-the-pattern";

export interface Pattern {
	/** A message that was taken, and its run, which is live. */
	live(sessionKey: string, version: number): SessionWrite;
	/** The same, and its run has ended. */
	ended(sessionKey: string): SessionWrite;
}

/** The two writes of a turn: its run is live, its run has ended. */
async function turn(): Promise<readonly [SessionWrite, SessionWrite]> {
	const writes: SessionWrite[] = [];
	const store = memoryStore();
	const runtime = createSessionRuntime<string, string>({
		store: {
			read: () => store.read(),
			async open(owner) {
				const opened = await store.open(owner);
				const commit = opened.commit.bind(opened);
				opened.commit = (batch) => {
					writes.push(...batch.sessions);
					return commit(batch);
				};
				return opened;
			},
		},
		execute: async () => "done",
	});
	await runtime.start();
	await (await runtime.send(key, "hi", { messageId })).settled;
	await runtime.close();
	const [live, ended] = writes;
	if (!live?.facts?.run || !ended?.facts || ended.facts.run)
		throw new Error("a turn is no longer two writes; the pattern must follow");
	return [live, ended];
}

export async function patternOfTurn(): Promise<Pattern> {
	const [live, ended] = await turn();
	const runId = String(live.facts?.run?.runId);
	const both = {
		...ended,
		baseVersion: 0,
		messages: [...live.messages, ...ended.messages],
	};
	const texts = { live: JSON.stringify(live), ended: JSON.stringify(both) };
	let ids = 0;
	const madeFor = (text: string, sessionKey: string): SessionWrite => {
		ids += 1;
		// As long as the ids that a runtime makes, and rising as they do.
		const id = `${Date.now().toString(36)}-${process.pid.toString(36)}-${ids.toString(36)}`;
		return JSON.parse(
			text
				.replaceAll(key, sessionKey)
				.replaceAll(messageId, `m-${id}`)
				.replaceAll(runId, id.padEnd(runId.length, "0")),
		) as SessionWrite;
	};
	return {
		ended: (sessionKey) => madeFor(texts.ended, sessionKey),
		live(sessionKey, version) {
			const write = madeFor(texts.live, sessionKey);
			if (!write.facts) throw new Error("the pattern has no facts");
			return {
				...write,
				baseVersion: version,
				facts: { ...write.facts, version: version + 1 },
			};
		},
	};
}
