/** Owns whether a run that died is tried again, and how: its messages stand first in line again, and its next attempt takes them. Pure. */
import type { QueuedMessage, SessionFacts } from "./facts.ts";
import { type EventOf, leave } from "./lifecycle.ts";
import { putBack } from "./line.ts";
import type { RunFacts } from "./run.ts";

/** Between the front places and every arrival number. */
const retryOrder = -1e9;

/** Whether the messages of a run that an event settles are to be tried again. */
export function isTriedAgain(
	run: RunFacts,
	event: EventOf<"settled">,
): boolean {
	const { retry } = event;
	if (!retry || run.outcome !== "interrupted" || run.driver !== "managed")
		return false;
	const [first] = retry.messages;
	return (
		first !== undefined &&
		(run.stop === null || run.stop.cause === "shutdown") &&
		run.attempt < retry.maxAttempts &&
		event.at - first.acceptedAt <= retry.maxAgeMs
	);
}

/** The messages of a run that died: before all others that have no front place, by arrival, for its next attempt alone. */
export function triedAgain(
	{ messageIds }: RunFacts,
	event: EventOf<"settled">,
): readonly QueuedMessage[] {
	// One whose hand-over was not committed stands in line already.
	return (event.retry?.messages ?? [])
		.filter(({ messageId }) => messageIds.includes(messageId))
		.map((message) => ({
			...message,
			order: retryOrder + message.seq,
			front: null,
			group: null,
			steers: null,
		}));
}

export function requeue(
	facts: SessionFacts,
	event: EventOf<"settled">,
	run: RunFacts,
): SessionFacts {
	return {
		...putBack(
			leave(facts, event, run),
			triedAgain(facts.run as RunFacts, event),
		),
		retries: [...facts.retries, run],
	};
}
