/**
 * Entry point `turnkeeper/maps/openclaw`: the map for streams recorded from an OpenClaw gateway, and an example of a map module. Owns
 * what a line of such a stream means to the replay. Never judges a line; what it gives is checked like any other.
 *
 * - A `sessions.send`, `chat.send` or `sessions.steer` whose answer is ok and names a run is an `accepted` at the command's place: the run's first
 *   report may come before the answer. The run's session id is the newest that a create or reset before it gave.
 * - `sessions.reset`, `sessions.abort` and `sessions.delete` with an ok answer are theirs at the command's place.
 * - A `lifecycle` start, end or error is a report; a terminal with `aborted: true` is an end with outcome aborted. Other phases are progress.
 * - A `row` with a session key is a row. Marks, chat frames, messages and all else have no part.
 *
 * @module turnkeeper/maps/openclaw
 */
import { type Frame, fromFrame } from "../openclaw/frames.ts";
import type { NumberedValue } from "../replay/json-lines.ts";
import type { MappedLine, StreamMap } from "../replay/lines.ts";

export type { BadLine, NumberedValue } from "../replay/json-lines.ts";
export type {
	HostRow,
	MappedLine,
	StreamLine,
	StreamMap,
} from "../replay/lines.ts";

interface Held {
	readonly line: number;
	readonly frame: Frame;
	answer: Frame | null;
	waits: boolean;
}

/** A command whose answer is no nearer than this counts as unanswered, so that a lost answer does not hold back the whole stream. */
const lookAhead = 10_000;

const commands = new Set([
	"sessions.create",
	"sessions.send",
	"chat.send",
	"sessions.steer",
	"sessions.reset",
	"sessions.abort",
	"sessions.delete",
]);

/**
 * Turns the frames of one recording into lines of the replay's own format.
 *
 * @example turnkeeper replay recording.jsonl --map openclaw
 */
export const map: StreamMap = async function* (source) {
	const sessionIds = new Map<string, string>();
	for await (const { line, frame, answer } of answered(source)) {
		const mapped =
			frame.kind === "command"
				? fromCommand(frame, answer, sessionIds)
				: fromFrame(frame);
		// What is missing or of a wrong type is found where all lines are checked.
		if (mapped) yield { ...mapped, line } as unknown as MappedLine;
	}
};

/** Frames in order, each command with its answer: a command without one is held back, and what follows it waits behind it. */
async function* answered(
	source: AsyncIterable<NumberedValue>,
): AsyncGenerator<Held> {
	const held: Held[] = [];
	const waiting = new Map<unknown, Held>();
	const release = function* (all: boolean) {
		let first = 0;
		for (; first < held.length; first += 1) {
			const one = held[first] as Held;
			const isLate = held.length - first > lookAhead;
			if (one.waits && !isLate && !all) break;
			if (one.waits) waiting.delete(one.frame.id);
			yield one;
		}
		held.splice(0, first);
	};
	for await (const { line, value } of source) {
		if (typeof value !== "object" || value === null) continue;
		const frame = value as Frame;
		if (frame.kind === "answer") {
			const command = waiting.get(frame.id);
			if (command) {
				waiting.delete(frame.id);
				Object.assign(command, { answer: frame, waits: false });
			}
		} else {
			const waits =
				frame.kind === "command" && commands.has(String(frame.method));
			const one: Held = { line, frame, answer: null, waits };
			held.push(one);
			if (waits) waiting.set(frame.id, one);
		}
		const [head] = held;
		if (head && (!head.waits || held.length > lookAhead)) yield* release(false);
	}
	yield* release(true);
}

function fromCommand(
	{ at, method, params }: Frame,
	answer: Frame | null,
	sessionIds: Map<string, string>,
): Frame | null {
	if (answer?.ok !== true) return null;
	const given = (params ?? {}) as Frame;
	const sessionKey = given.key ?? given.sessionKey;
	const key = String(sessionKey);
	const { reason } = given;
	switch (method) {
		case "sessions.create":
			note(sessionIds, key, answer.sessionId);
			return null;
		case "sessions.send":
		case "chat.send":
		case "sessions.steer": {
			const { runId } = answer;
			const sessionId = sessionIds.get(key);
			return runId === undefined
				? null
				: { at, type: "accepted", sessionKey, runId, sessionId };
		}
		case "sessions.reset": {
			const { sessionId } = (answer.row ?? {}) as Frame;
			note(sessionIds, key, sessionId);
			return { at, type: "reset", sessionKey, sessionId, reason };
		}
		case "sessions.abort":
			return { at, type: "abort", sessionKey, reason };
		case "sessions.delete":
			sessionIds.delete(key);
			return { at, type: "delete", sessionKey, reason };
		default:
			return null;
	}
}

function note(
	sessionIds: Map<string, string>,
	key: string,
	sessionId: unknown,
): void {
	if (typeof sessionId === "string") sessionIds.set(key, sessionId);
}
