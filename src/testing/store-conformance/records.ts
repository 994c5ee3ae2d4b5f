/** Owns the records that stores are tried with: plain ones to vary, and full ones in which every field has a value of its own. */
import type {
	ArchivedGeneration,
	SessionFacts,
	StoredEntry,
} from "../../../machines/facts.ts";
import { rowOf, unusedFacts } from "../../../machines/facts.ts";
import type { JsonValue } from "../../../machines/json.ts";
import type { RunFacts } from "../../../machines/run.ts";
import type { RunTicket } from "../../../machines/ticket.ts";
import type {
	OpenStore,
	Page,
	SessionWrite,
	StoredMessage,
	StoredRefusal,
} from "../../store.ts";

export const at = 1_700_000_000_000;

export function factsOf(
	sessionKey: string,
	change: Partial<SessionFacts> = {},
): SessionFacts {
	return {
		...unusedFacts(sessionKey),
		hidden: false,
		sessionIds: [`${sessionKey} 1`],
		createdAt: at,
		updatedAt: at,
		version: 1,
		...change,
	};
}

export function ticketOf(sessionKey: string, runId = "r1"): RunTicket {
	return { sessionKey, sessionId: "s1", generation: 1, runId, attempt: 1 };
}

export function runOf(
	sessionKey: string,
	runId: string,
	change: Partial<RunFacts> = {},
): RunFacts {
	return {
		sessionKey,
		generation: 1,
		runId,
		attempt: 1,
		sessionIds: ["s1"],
		driver: "managed",
		status: "settled",
		messageIds: [],
		admittedAt: at,
		startedAt: at,
		endedAt: at + 5,
		runtimeMs: 5,
		hostStarted: false,
		stop: null,
		outcome: "completed",
		error: null,
		inputTokens: 0,
		outputTokens: 0,
		parent: null,
		ancestors: [],
		waits: [],
		waitedMs: 0,
		waitingSince: null,
		answers: [],
		deliveries: [],
		takenBack: false,
		followsSession: false,
		leaseMs: null,
		seenAt: null,
		...change,
	};
}

export function entryOf(
	sessionKey: string,
	seq: number,
	change: Partial<StoredEntry> = {},
): StoredEntry {
	return {
		sessionKey,
		generation: 1,
		seq,
		sessionId: "s1",
		runId: "r1",
		attempt: 1,
		hidden: false,
		at: at + seq,
		entry: { said: seq },
		...change,
	};
}

export function messageOf(
	messageId: string,
	change: Partial<StoredMessage> = {},
): StoredMessage {
	return {
		messageId,
		input: { text: messageId },
		acceptedAt: at,
		generation: 1,
		seq: 1,
		expect: null,
		order: change.seq ?? 1,
		front: null,
		group: null,
		steers: null,
		skipped: [],
		parent: null,
		edited: false,
		fate: "queued",
		run: null,
		reason: null,
		kind: "message",
		...change,
	};
}

export function endedOf(
	sessionKey: string,
	generation: number,
	change: Partial<ArchivedGeneration> = {},
): ArchivedGeneration {
	return {
		sessionKey,
		generation,
		sessionIds: [`${sessionKey} ${generation}`],
		endedBy: "reset",
		reason: null,
		endedAt: at,
		row: rowOf(factsOf(sessionKey, { generation })),
		...change,
	};
}

let refused = 0;

export function refusalOf(
	sessionKey: string | null,
	reason: string,
): StoredRefusal {
	return {
		refusalId: `refusal of the ${++refused}`,
		sessionKey,
		at,
		verdict: "unknown",
		reason,
		report: { runId: "r1", phase: "start" },
		current: null,
	};
}

/** A write of one session that changes nothing but what is said. */
export function writeOf(
	sessionKey: string,
	baseVersion: number,
	parts: Partial<SessionWrite> = {},
): SessionWrite {
	return {
		sessionKey,
		baseVersion,
		facts: factsOf(sessionKey, { version: baseVersion + 1 }),
		runs: [],
		generations: [],
		messages: [],
		entries: [],
		hides: [],
		purgeBefore: null,
		...parts,
	};
}

export function commit(
	store: OpenStore,
	...sessions: SessionWrite[]
): Promise<void> {
	return store.commit({ sessions, refusals: [] });
}

/** All items, page by page. Throws where a cursor comes again, because such pages never end. */
export async function walk<Item>(
	page: (cursor: string | undefined) => Promise<Page<Item>>,
): Promise<Item[][]> {
	const pages: Item[][] = [];
	const seen = new Set<string>();
	let cursor: string | undefined;
	for (;;) {
		const { items, cursor: next } = await page(cursor);
		pages.push([...items]);
		if (next === null) return pages;
		if (seen.has(next)) throw new Error(`the cursor ${next} came twice`);
		seen.add(next);
		cursor = next;
	}
}

/** JSON at its most awkward. */
export const awkward: JsonValue = JSON.parse(
	`{ "__proto__": { "polluted": true }, "constructor": null, "": [[], {}, ""],
	"number": -1.5e-7, "quote": "\\"'\\u0000\\ud800", "emoji": "🧵" }`,
);

/** Keys that a store might take for something else. */
export const awkwardKeys = [
	"__proto__",
	"constructor",
	'"quoted"',
	"it's; DROP TABLE sessions --",
	"a/b\\c/../d",
	"100%_*?[a]",
	"nul\0inside",
	" ",
	"é",
	"e\u0301",
	"日本語",
	"\ud7ff",
	"\ue000",
	"\uffff",
	"🧵",
	"\u{10ffff}",
	"A",
	"a",
];

/** In the order of code points. */
export function byCodePoint(a: string, b: string): number {
	return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const stoppedRun = (sessionKey: string): RunFacts =>
	runOf(sessionKey, "stopped", {
		generation: 2,
		attempt: 3,
		sessionIds: ["s2", "s3"],
		driver: "host",
		status: "aborting",
		messageIds: ["m1", "m2"],
		admittedAt: at + 1,
		startedAt: at + 2.5,
		endedAt: null,
		runtimeMs: null,
		hostStarted: true,
		stop: {
			cause: "reset",
			reason: "because",
			deadline: at + 5000,
			at: at + 3,
		},
		outcome: null,
		inputTokens: 11,
		outputTokens: 12,
		parent: { ...ticketOf("parent's key", "r0"), generation: 4 },
		ancestors: ["grandparent's key", "parent's key"],
		waits: [
			{ name: "approval", deadline: at + 9.5, attempt: 3 },
			{ name: "old", deadline: null, attempt: 2 },
		],
		waitedMs: 12.5,
		waitingSince: at + 6,
		answers: [{ name: "colour", value: awkward }],
		deliveries: [
			{ name: "mail", attempt: 2, status: "done", result: awkward },
			{ name: "post", attempt: 3, status: "begun", result: null },
			{ name: "fax", attempt: 3, status: "failed", result: "busy" },
		],
		takenBack: true,
		followsSession: true,
		leaseMs: 60_000,
		seenAt: at + 7,
	});

export const failedRun = (sessionKey: string): RunFacts =>
	runOf(sessionKey, "failed", {
		generation: 2,
		attempt: 2,
		messageIds: ["m3"],
		stop: { cause: "abort", reason: null, deadline: at, at: at - 1 },
		outcome: "failed",
		error: "the model said no",
		inputTokens: 7,
		outputTokens: 8,
	});

export const fullGeneration = (sessionKey: string): ArchivedGeneration =>
	endedOf(sessionKey, 2, {
		sessionIds: ["s2", "s3"],
		endedBy: "expiry",
		reason: "asked to",
		endedAt: at + 10,
		row: {
			...rowOf({
				...factsOf(sessionKey, { generation: 2, version: 8 }),
				run: stoppedRun(sessionKey),
				meta: awkward,
			}),
			lastOutcome: "failed",
			lastError: "no",
			runtimeMs: 3,
			queued: 4,
			draining: 1,
		},
	});

/** Facts without a queue, which is made of messages. */
export function fullFacts(sessionKey: string): SessionFacts {
	const run = stoppedRun(sessionKey);
	return {
		sessionKey,
		generation: 3,
		sessionIds: ["s4", "s5"],
		hidden: false,
		purgeBefore: 3,
		run: {
			...run,
			generation: 3,
			runId: "live",
			status: "executing",
			stop: null,
		},
		reservations: [
			runOf(sessionKey, "reserved", {
				generation: 3,
				status: "reserved",
				driver: "host",
				admittedAt: null,
				startedAt: null,
				endedAt: null,
				runtimeMs: null,
				outcome: null,
			}),
		],
		draining: [{ run, ended: fullGeneration(sessionKey) }],
		queue: [],
		arrivals: 9,
		last: {
			outcome: "timeout",
			error: "too late",
			startedAt: at,
			endedAt: at + 1,
			runtimeMs: 0.25,
		},
		inputTokens: 21,
		outputTokens: 22,
		meta: awkward,
		createdAt: at - 1000,
		updatedAt: at + 0.5,
		version: 1,
		retries: [
			runOf(sessionKey, "dead", { outcome: "interrupted", leaseMs: 5 }),
		],
		quietUntil: at + 6,
		entries: 17,
		activeAt: at - 1,
		takenAt: at - 2,
		closing: [{ generation: 2, deadline: at + 8, postponed: true }],
	};
}

export const fullMessage = (
	sessionKey: string,
	change: Partial<StoredMessage> = {},
): StoredMessage =>
	messageOf("m1", {
		input: awkward,
		acceptedAt: at + 3,
		generation: 2,
		seq: 6,
		expect: {
			sessionId: "s4",
			generation: 3,
			runId: "live",
			messageId: "m0",
			version: 5,
		},
		order: 2.5,
		front: "interrupt",
		group: 4,
		steers: "live",
		skipped: ["m2", "m3"],
		parent: {
			run: { ...ticketOf("parent's key", "r0"), generation: 4 },
			attached: true,
			ancestors: ["grandparent's key", "parent's key"],
		},
		edited: true,
		fate: "removed",
		run: { ...ticketOf(sessionKey, "r7"), generation: 3, attempt: 2 },
		reason: "the queue was dropped",
		...change,
	});

export const fullRefusal = (sessionKey: string): StoredRefusal => ({
	refusalId: "refusal 1",
	sessionKey,
	at: at + 4,
	verdict: "refused",
	reason: "it is managed",
	report: {
		runId: "r1",
		sessionKey,
		attempt: 2,
		phase: "end",
		outcome: "aborted",
		usage: { inputTokens: 1 },
	},
	current: ticketOf("another key"),
});
