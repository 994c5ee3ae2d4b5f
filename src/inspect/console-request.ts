/** Owns what a page may ask: every frame is checked before anybody acts on it. Never answers. */
import {
	checkExpectation,
	checkName,
	checkOptions,
	invalid,
	shown,
} from "../arguments.ts";
import { errorText } from "../errors.ts";
import type { Question } from "./protocol.ts";

const longestCursor = 16_384;

/** A request, or what is wrong with it. */
export type Heard = { readonly id: number } & (
	| { readonly question: Question }
	| { readonly problem: string }
);

/** Null for what has no id under which it could be answered. */
export function heard(text: string): Heard | null {
	const said = parsed(text);
	if (!said || !Number.isSafeInteger(said.id)) return null;
	const id = said.id as number;
	try {
		return { id, question: questionOf(said) };
	} catch (error) {
		return { id, problem: errorText(error) };
	}
}

type Said = Readonly<Record<string, unknown>>;

function parsed(text: string): Said | null {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" ? (value as Said | null) : null;
	} catch {
		return null;
	}
}

function questionOf(said: Said): Question {
	const { ask } = said;
	switch (ask) {
		case "rows":
			return { ask, cursor: cursorOf(said.cursor) };
		case "watch":
			return {
				ask,
				sessionKey: said.sessionKey === null ? null : keyOf(said),
			};
		case "reset":
		case "abort":
		case "delete":
			return { ask, sessionKey: keyOf(said), expect: expectOf(said.expect) };
		case "remove":
			return {
				ask,
				sessionKey: keyOf(said),
				messageId: checkName(said.messageId, "messageId"),
			};
		default:
			throw invalid(
				`ask is ${shown(ask)}; it must be one of 'rows', 'watch', 'reset', 'abort', 'delete', 'remove'`,
			);
	}
}

function keyOf({ sessionKey }: Said): string {
	return checkName(sessionKey, "sessionKey");
}

function cursorOf(cursor: unknown): string | null {
	if (cursor === null) return null;
	if (typeof cursor === "string" && cursor.length <= longestCursor)
		return cursor;
	throw invalid(
		`cursor is ${shown(cursor)}; it must be null, or the cursor of an earlier page`,
	);
}

/** A command without one would act on whatever the session has become. */
function expectOf(given: unknown) {
	const expect = checkExpectation(
		checkOptions((given ?? null) as object, "expect"),
	);
	if (!expect || Object.keys(expect).length === 0)
		throw invalid("expect is empty; it must be what the page showed");
	return expect;
}
