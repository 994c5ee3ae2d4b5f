/**
 * Owns how a button finds the wait that it answers. Platforms give a button few bytes (Telegram 64), so it carries a digest of the run and
 * the wait's name, not their names; a button of another run than the one that waits now matches nothing.
 */
import type { RunTicket } from "../../machines/ticket.ts";
import { nodeCrypto } from "../builtin.ts";

/** The action id of every button that answers a wait. */
export const answerAction = "turnkeeper";

const digestLength = 12;

function digestOf(
	{ sessionKey, generation, runId }: RunTicket,
	wait: string,
): string {
	return nodeCrypto()
		.createHash("sha256")
		.update(JSON.stringify([sessionKey, generation, runId, wait]))
		.digest("base64url")
		.slice(0, digestLength);
}

/** What a button of a choice says when it is pressed. */
export function buttonValue(
	ticket: RunTicket,
	wait: string,
	choice: string,
): string {
	return `${digestOf(ticket, wait)}${choice}`;
}

/** The wait that a button answers, of those that are open, and the choice; null if it answers none of them. */
export function answerOf(
	value: string,
	ticket: RunTicket,
	waits: readonly string[],
): { wait: string; choice: string } | null {
	const digest = value.slice(0, digestLength);
	const wait = waits.find((name) => digestOf(ticket, name) === digest);
	return wait === undefined
		? null
		: { wait, choice: value.slice(digestLength) };
}
