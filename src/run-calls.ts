/** Owns what the calls of a run check, and what they are told that cannot be, whoever decides on the run. */
import type { RunTicket } from "../machines/ticket.ts";
import {
	checkMs,
	checkName,
	checkOptions,
	invalid,
	shown,
} from "./arguments.ts";
import { TurnkeeperError } from "./errors.ts";

/** What a run is given to wait for: one that goes its own way must not cost the process its life. */
export function handed<T>(act: () => Promise<T>): Promise<T> {
	const promise = act();
	promise.catch(() => {});
	return promise;
}

/** Tokens that count; null: none do. */
export function tokensIn(
	tokens: { inputTokens?: number; outputTokens?: number } | undefined,
): { readonly inputTokens: number; readonly outputTokens: number } | null {
	const inputTokens = count(tokens?.inputTokens);
	const outputTokens = count(tokens?.outputTokens);
	return inputTokens === 0 && outputTokens === 0
		? null
		: { inputTokens, outputTokens };
}

function count(tokens: unknown): number {
	return typeof tokens === "number" && tokens > 0 && Number.isFinite(tokens)
		? tokens
		: 0;
}

export function checkDelivery(name: unknown, effect: unknown): void {
	checkName(name, "name");
	if (typeof effect !== "function")
		throw invalid(`effect is ${shown(effect)}; it must be a function`);
}

/** The time that a wait may take, in ms, or null. */
export function checkWait(
	name: unknown,
	options: { timeoutMs?: number } | undefined,
): number | null {
	checkName(name, "name");
	const { timeoutMs } = checkOptions(options);
	return timeoutMs === undefined ? null : checkMs(timeoutMs, "timeoutMs");
}

export function usedBefore(name: string, { runId }: RunTicket) {
	return invalid(
		`name is ${shown(name)}, which run ${shown(runId)} has used for a delivery before; each needs a name of its own`,
	);
}

export function unanswered(name: string, ticket: RunTicket): TurnkeeperError {
	return new TurnkeeperError(
		"WAIT_TIMEOUT",
		`run ${shown(ticket.runId)} of session ${shown(ticket.sessionKey)} got no answer to ${shown(name)} in time; resume answers it`,
	);
}

/** A child needs another session than its parent's. */
export function mustBeAnother(sessionKey: string, parent: RunTicket): void {
	if (sessionKey === parent.sessionKey)
		throw invalid(
			`sessionKey is ${shown(sessionKey)}, the session of run ${shown(parent.runId)} itself; a child needs another one, a message of its own goes by send`,
		);
}

/** A run that waits for a session cannot be waited for by that. */
export function waitsForEachOther(sessionKey: string, parent: RunTicket) {
	return invalid(
		`sessionKey is ${shown(sessionKey)}, whose run waits for session ${shown(parent.sessionKey)} of run ${shown(parent.runId)}: each would wait for the other; spawn it with attached: false`,
	);
}
