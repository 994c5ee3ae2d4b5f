/** Owns what a model is told of a transcript: its entries are messages as the SDK has them, as many as fit together. */
import type { ModelMessage } from "ai";
import type { TranscriptEntry } from "../../machines/facts.ts";

const roles = new Set(["user", "assistant", "tool"]);

/**
 * The entries of a transcript that are messages, in order; what a host appended besides is not.
 *
 * @example history: (entries) => messagesIn(entries).slice(-20)
 */
export function messagesIn(
	entries: readonly TranscriptEntry[],
): readonly ModelMessage[] {
	return entries.flatMap(({ entry }) => (isMessage(entry) ? [entry] : []));
}

function isMessage(entry: unknown): entry is ModelMessage {
	const { role, content } = (entry ?? {}) as Partial<ModelMessage>;
	return (
		roles.has(role as string) &&
		(typeof content === "string" || Array.isArray(content))
	);
}

interface Part {
	readonly type: string;
	readonly toolCallId?: string;
	readonly approvalId?: string;
}

function partsOf({ content }: ModelMessage): readonly Part[] {
	return typeof content === "string" ? [] : (content as readonly Part[]);
}

/**
 * Without calls of tools that have no result, and without results whose call is not there: a run that was stopped in between leaves the
 * one, a transcript of which only the newest is read the other, and no provider takes either.
 */
export function answered(
	messages: readonly ModelMessage[],
): readonly ModelMessage[] {
	const parts = messages.flatMap(partsOf);
	const idsOf = (type: string) =>
		new Set(
			parts.filter((part) => part.type === type).map((one) => one.toolCallId),
		);
	const calls = idsOf("tool-call");
	const results = idsOf("tool-result");
	const requests = new Map(
		parts
			.filter(({ type }) => type === "tool-approval-request")
			.map(({ approvalId, toolCallId }) => [approvalId, toolCallId]),
	);
	const isWhole = ({ type, toolCallId, approvalId }: Part) =>
		type === "tool-call" || type === "tool-approval-request"
			? results.has(toolCallId) && calls.has(toolCallId)
			: type === "tool-result"
				? calls.has(toolCallId)
				: type !== "tool-approval-response" ||
					results.has(requests.get(approvalId));
	return messages.flatMap((message) => {
		const own = partsOf(message);
		if (own.every(isWhole)) return [message];
		const content = own.filter(isWhole);
		return content.length === 0
			? []
			: [{ ...message, content } as ModelMessage];
	});
}

/** From the first message of a user on: what was cut off in the middle begins there. */
export function fromUser(
	messages: readonly ModelMessage[],
): readonly ModelMessage[] {
	const first = messages.findIndex(({ role }) => role === "user");
	return first < 0 ? [] : messages.slice(first);
}
