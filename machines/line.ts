/**
 * Owns the line of messages: which place a message gets when it arrives, what it displaces, what the next run takes, and how a host
 * may change what waits. Pure, as lifecycle.ts.
 */
import type { MessageFate } from "./events.ts";
import type { Message, QueuedMessage, SessionFacts } from "./facts.ts";
import type { JsonValue } from "./json.ts";
import { type EventOf, newRun, open, touch } from "./lifecycle.ts";
import { ownsRun, type RunFacts } from "./run.ts";

/** Ids of passed over messages that one message carries along. */
const mostSkipped = 100;

/** Far before every arrival number: one message at most stands at each. */
const frontOrder = { reset: -2e12, interrupt: -1e12 } as const;

// ── arriving

/** `rollback` is `interrupt` plus take-back: to the line they are one. */
export function interrupts({ policy }: EventOf<"message">): boolean {
	return policy.mode === "interrupt" || policy.mode === "rollback";
}

/** `latest` is `enqueue` with room for one. */
function roomOf({ policy }: EventOf<"message">) {
	return policy.mode === "latest"
		? { capacity: 1, dropsOldest: true }
		: {
				capacity: policy.capacity,
				dropsOldest: policy.onFull === "drop-oldest",
			};
}

/** A message that comes with a reset finds room in any case: the reset has been committed with it. */
export function isFull(
	{ queue }: SessionFacts,
	event: EventOf<"message">,
): boolean {
	const { capacity, dropsOldest } = roomOf(event);
	return !dropsOldest && event.front !== "reset" && queue.length >= capacity;
}

/** What an arriving message passes over: the oldest of those that leave it no room. */
export function passedOver(
	{ queue }: SessionFacts,
	event: EventOf<"message">,
): readonly QueuedMessage[] {
	const { capacity, dropsOldest } = roomOf(event);
	const excess = queue.length + 1 - capacity;
	if (!dropsOldest || excess <= 0) return [];
	return [...queue].sort((a, b) => a.seq - b.seq).slice(0, excess);
}

export function arriving(
	facts: SessionFacts,
	event: EventOf<"message">,
): QueuedMessage {
	const seq = facts.arrivals + 1;
	const front = event.front ?? (interrupts(event) ? "interrupt" : null);
	const { run } = facts;
	const mayBeSteered = run?.driver === "managed" && run.stop === null;
	return {
		messageId: event.messageId,
		input: event.input,
		acceptedAt: event.at,
		generation: facts.generation,
		seq,
		expect: event.expect ?? null,
		order: front ? frontOrder[front] + seq : seq,
		front,
		group: event.policy.mode === "collect" ? groupFor(facts, seq) : null,
		steers: event.policy.mode === "steer" && mayBeSteered ? run.runId : null,
		skipped: passedOver(facts, event)
			.flatMap(({ skipped, messageId }) => [...skipped, messageId])
			.slice(-mostSkipped),
		parent: event.parent ?? null,
		edited: false,
	};
}

/** A message to collect joins the last entry in line if that is to be collected too. */
function groupFor({ queue }: SessionFacts, seq: number): number {
	return queue.at(-1)?.group ?? seq;
}

export function accept(
	facts: SessionFacts,
	event: EventOf<"message">,
): SessionFacts {
	const message = arriving(facts, event);
	const gone = passedOver(facts, event);
	const left =
		gone.length === 0 ? facts : without(facts, (one) => gone.includes(one));
	return {
		...open(left, event),
		queue: [...insert(left.queue, message)],
		arrivals: facts.arrivals + 1,
		activeAt: event.at,
		quietUntil:
			event.policy.debounceMs > 0
				? event.at + event.policy.debounceMs
				: // Where nothing waits, a window is over, whatever the clock says.
					left.queue.length > 0
					? facts.quietUntil
					: 0,
	};
}

/** A front place has room for one: whoever had it before stands by arrival again. */
export function displaced(
	facts: SessionFacts,
	event: EventOf<"message">,
): readonly QueuedMessage[] {
	const { front } = arriving(facts, event);
	if (front === null) return [];
	return facts.queue
		.filter((one) => one.front === front)
		.map((one) => ({ ...one, front: null, order: one.seq }));
}

function insert(
	queue: readonly QueuedMessage[],
	message: QueuedMessage,
): readonly QueuedMessage[] {
	if (message.front === null) {
		const last = queue.at(-1);
		if (!last || last.order < message.order) return [...queue, message];
	}
	return inOrder([
		...queue.map((one) =>
			message.front !== null && one.front === message.front
				? { ...one, front: null, order: one.seq }
				: one,
		),
		message,
	]);
}

/** The line in its order. */
export function inOrder(
	queue: readonly QueuedMessage[],
): readonly QueuedMessage[] {
	return [...queue].sort((a, b) => a.order - b.order || a.seq - b.seq);
}

/** The arriving message, and what it passed over. */
export function fatesOfArrival(
	facts: SessionFacts,
	event: EventOf<"message">,
): readonly MessageFate[] {
	const message = arriving(facts, event);
	return [
		...passedOver(facts, event).map((gone) =>
			removed(gone, `passed over for message ${message.messageId}`),
		),
		{ message, fate: "queued", run: null, reason: null },
	];
}

export function backInLine(
	messages: readonly QueuedMessage[],
	reason: string,
): readonly MessageFate[] {
	return messages.map((message) => ({
		message,
		fate: "queued",
		run: null,
		reason,
	}));
}

export function removed(message: QueuedMessage, reason: string): MessageFate {
	return { message, fate: "removed", run: null, reason };
}

// ── taking

/**
 * What the next run takes. The next attempt of a run that died takes all that is left of its messages, wherever they stand: none of them may
 * go to another run. Else it is the head of the line, with those of its group that follow; what came to stand between is not overtaken.
 */
export function headOf(facts: SessionFacts): readonly QueuedMessage[] {
	const { queue } = facts;
	const [head] = queue;
	if (!head) return [];
	const dead = retryOf(facts, head.messageId);
	if (dead)
		return queue.filter(({ messageId }) => dead.messageIds.includes(messageId));
	if (head.group === null) return [head];
	const end = queue.findIndex(({ group }) => group !== head.group);
	return end === -1 ? queue : queue.slice(0, end);
}

/** The run that the head of the line gets; the next attempt of a run that died, if its messages stand there. */
export function nextRun(
	facts: SessionFacts,
	event: { readonly at: number; readonly grant?: string | null | undefined },
): RunFacts {
	const messages = headOf(facts);
	const [head] = messages as [QueuedMessage];
	const dead = retryOf(facts, head.messageId);
	const run = newRun(
		facts,
		dead ? dead.runId : (event.grant as string),
		dead ? dead.attempt + 1 : 1,
		"managed",
	);
	return {
		...run,
		status: "executing",
		messageIds: messages.map(({ messageId }) => messageId),
		admittedAt: event.at,
		startedAt: event.at,
		parent: head.parent ? head.parent.run : null,
		ancestors: head.parent ? head.parent.ancestors : [],
		waits: dead ? dead.waits : [],
		answers: dead ? dead.answers : [],
		deliveries: dead ? dead.deliveries : [],
	};
}

/** Part of a turn that some event began: one version with whatever else that did, or a version of its own if it did nothing else. */
export function take(
	facts: SessionFacts,
	run: RunFacts,
	event: { readonly at: number; readonly version?: number | undefined },
): SessionFacts {
	const queue =
		run.messageIds.length === facts.queue.length
			? []
			: facts.queue.filter(
					({ messageId }) => !run.messageIds.includes(messageId),
				);
	return {
		...facts,
		version:
			event.version === undefined
				? facts.version
				: Math.max(facts.version, event.version + 1),
		updatedAt: event.at,
		run,
		queue,
		retries:
			facts.retries.length === 0
				? facts.retries
				: facts.retries.filter(({ runId }) => runId !== run.runId),
		takenAt: run.admittedAt as number,
		quietUntil: 0,
	};
}

/** A message as a run sees it. */
export function messageOf(message: QueuedMessage): Message {
	const { messageId, input, acceptedAt, generation } = message;
	return { messageId, input, acceptedAt, generation };
}

// ── steering: messages that the live run may take while it runs

export function steeringFor(
	facts: SessionFacts,
	event: EventOf<"pull">,
): QueuedMessage | null {
	const { run } = facts;
	if (!run || run.stop || !ownsRun(run, event.ticket)) return null;
	return facts.queue.find(({ steers }) => steers === run.runId) ?? null;
}

export function pull(
	facts: SessionFacts,
	event: EventOf<"pull">,
): SessionFacts {
	const message = steeringFor(facts, event) as QueuedMessage;
	const run = facts.run as RunFacts;
	return {
		...touch(facts, event),
		run: { ...run, messageIds: [...run.messageIds, message.messageId] },
		queue: facts.queue.filter((one) => one !== message),
	};
}

// ── what goes back into line

/** Messages that were taken and are to be taken again, in their order. */
export function putBack(
	facts: SessionFacts,
	messages: readonly QueuedMessage[],
): SessionFacts {
	if (messages.length === 0) return facts;
	return { ...facts, queue: inOrder([...facts.queue, ...messages]) };
}

// ── what a host may change of what waits

export function waitingMessage(
	{ queue }: SessionFacts,
	messageId: string,
): QueuedMessage | undefined {
	return queue.find((one) => one.messageId === messageId);
}

/** The line after an edit; only what changed is another object. */
export function edited(
	facts: SessionFacts,
	event: EventOf<"edit">,
): readonly QueuedMessage[] {
	const changed = facts.queue.map((one) =>
		one.messageId === event.messageId && event.input !== undefined
			? { ...one, input: event.input as JsonValue, edited: true }
			: one,
	);
	const { before } = event;
	if (before === undefined || before === event.messageId) return changed;
	const message = changed.find(
		({ messageId }) => messageId === event.messageId,
	) as QueuedMessage;
	const others = changed.filter((one) => one !== message);
	const at =
		before === null
			? others.length
			: others.findIndex(({ messageId }) => messageId === before);
	const next = others[at]?.order ?? facts.arrivals + 1;
	const ahead = others[at - 1];
	// What stands at the front stands by its arrival number as soon as another takes that place.
	const previous = ahead ? (ahead.front ? ahead.seq : ahead.order) : next - 2;
	const order = (previous + next) / 2;
	const moved = { ...message, order, front: null, group: null, steers: null };
	const line = others
		.toSpliced(at, 0, moved)
		// What something was put before has no front place any more.
		.map((one, i) => (i > at && one.front ? { ...one, front: null } : one));
	const fits = order > previous && order < next && !others[at]?.front;
	return fits ? line : renumbered(line);
}

/** Between neighbours that no number separates, all share their arrival numbers out anew; those at the front keep theirs. */
function renumbered(line: readonly QueuedMessage[]): readonly QueuedMessage[] {
	const numbers = line
		.filter(({ front }) => front === null)
		.map(({ seq }) => seq)
		.sort((a, b) => a - b);
	return line.map((one) =>
		one.front === null ? { ...one, order: numbers.shift() as number } : one,
	);
}

export function edit(
	facts: SessionFacts,
	event: EventOf<"edit">,
): SessionFacts {
	return { ...touch(facts, event), queue: edited(facts, event) };
}

/** The run that died with this message, if it is to be tried again. */
export function retryOf(
	{ retries }: SessionFacts,
	messageId: string,
): RunFacts | undefined {
	return retries.find(({ messageIds }) => messageIds.includes(messageId));
}

/** Takes messages out of the line; a retry of which none is left is off. */
export function without(
	facts: SessionFacts,
	gone: (message: QueuedMessage) => boolean,
): SessionFacts {
	const queue = facts.queue.filter((message) => !gone(message));
	return {
		...facts,
		queue,
		retries: facts.retries.filter(({ messageIds }) =>
			queue.some(({ messageId }) => messageIds.includes(messageId)),
		),
	};
}
