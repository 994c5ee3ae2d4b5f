/**
 * Owns the replay's own stream format: one JSON object a line, what each must carry, and the sentence that says what is wrong with
 * one. Also the contract of a map, which turns anybody's log lines into it. Never runs anything.
 *
 * Every line has `at` (epoch ms) and `type`; `runId`, `sessionKey` and `sessionId` are non-empty strings; a field that is null counts as
 * absent, and fields that are not listed are ignored.
 *
 * | type | fields | meaning |
 * |---|---|---|
 * | `accepted` | `sessionKey`, `runId`, `sessionId?` | the host promised a run: a ticket that holds no slot until its start |
 * | `start` | `runId`, `sessionKey?`, `sessionId?`, `generation?`, `attempt?`, `startedAt?` | the run reports that it started |
 * | `end` | the same, `outcome?` (completed, aborted, timeout), `endedAt?`, `usage?` | … that it ended |
 * | `error` | the same without `outcome`, `error` (text) | … that it failed |
 * | `reset` | `sessionKey`, `sessionId?`, `reason?` | somebody reset the session; `sessionId` is that of the new generation |
 * | `abort` | `sessionKey`, `runId?`, `reason?` | somebody told the live run to stop |
 * | `delete` | `sessionKey`, `reason?` | somebody deleted the session |
 * | `row` | `sessionKey`, `row` (`status?`, `hasActiveRun?`, `sessionId?`, `startedAt?`, `endedAt?`) | what the recorded host told its clients |
 *
 * @example
 * {"at":1795363262000,"type":"accepted","sessionKey":"telegram:42","runId":"r9"}
 * {"at":1795363262900,"type":"start","runId":"r9","startedAt":1795363262890}
 * {"at":1795363264700,"type":"error","runId":"r9","error":"the model is overloaded"}
 */
import type { LifecycleReport } from "../../machines/report.ts";
import type { Usage } from "../../machines/run.ts";
import { checkName, shown } from "../arguments.ts";
import { errorText } from "../errors.ts";
import { type BadLine, jsonLines, type NumberedValue } from "./json-lines.ts";

interface Line {
	/** Epoch ms. */
	readonly at: number;
}

interface Report extends Line {
	readonly runId: string;
	readonly sessionKey?: string | undefined;
	readonly sessionId?: string | undefined;
	readonly generation?: number | undefined;
	readonly attempt?: number | undefined;
	readonly startedAt?: number | undefined;
}

/** What a recorded host said of a session. Its `status` is in the host's own words. */
export interface HostRow {
	readonly status?: string | undefined;
	readonly hasActiveRun?: boolean | undefined;
	readonly sessionId?: string | undefined;
	readonly startedAt?: number | undefined;
	readonly endedAt?: number | undefined;
}

/** One line of a stream. */
export type StreamLine =
	| (Line & {
			readonly type: "accepted";
			readonly sessionKey: string;
			readonly runId: string;
			readonly sessionId?: string | undefined;
	  })
	| (Report & { readonly type: "start" })
	| (Report & {
			readonly type: "end";
			readonly outcome?: "completed" | "aborted" | "timeout" | undefined;
			readonly endedAt?: number | undefined;
			readonly usage?: Usage | undefined;
	  })
	| (Report & {
			readonly type: "error";
			readonly error: string;
			readonly endedAt?: number | undefined;
			readonly usage?: Usage | undefined;
	  })
	| (Line & {
			readonly type: "reset";
			readonly sessionKey: string;
			readonly sessionId?: string | undefined;
			readonly reason?: string | undefined;
	  })
	| (Line & {
			readonly type: "abort";
			readonly sessionKey: string;
			readonly runId?: string | undefined;
			readonly reason?: string | undefined;
	  })
	| (Line & {
			readonly type: "delete";
			readonly sessionKey: string;
			readonly reason?: string | undefined;
	  })
	| (Line & {
			readonly type: "row";
			readonly sessionKey: string;
			readonly row: HostRow;
	  });

/** A line of the own format as a map gives it. `line` is the number of the source line that it stands for; problems name it. */
export type MappedLine = StreamLine & { readonly line?: number | undefined };

/**
 * What a map module exports as `map`: it is given the JSON values of one file in order, each with its line number, and gives lines
 * of the own format in the order in which they happened. It sees the whole stream and may read ahead: a line that it holds back until it
 * has seen its answer comes out where it belongs. What it does not give has no part in the replay. What it gives is checked like any line.
 *
 * @example
 * import type { StreamMap } from "turnkeeper/maps/openclaw";
 * export const map: StreamMap = async function* (source) {
 *   for await (const { line, value } of source) {
 *     const { t, ev, id, chat } = value as { t: number; ev: string; id: string; chat: string };
 *     if (ev === "job.queued") yield { line, at: t, type: "accepted", sessionKey: chat, runId: id };
 *     if (ev === "job.begin") yield { line, at: t, type: "start", runId: id };
 *     if (ev === "job.done") yield { line, at: t, type: "end", runId: id };
 *   }
 * };
 */
export type StreamMap = (
	source: AsyncIterable<NumberedValue>,
) => AsyncIterable<MappedLine> | Iterable<MappedLine>;

/** A stream's lines, with what is learnt of it while they are read. */
export interface LineStream {
	readonly lines: AsyncIterable<{
		readonly line: number;
		readonly value: StreamLine;
	}>;
	/** Those that were left out. */
	readonly badLines: BadLine[];
	/** The time of its first line, of whatever format, if that line has an `at`; offsets count from it. */
	readonly begin: number | null;
}

/** The lines of one file, through a map if it is in somebody else's format. Only what is read is held in memory. */
export function openStream(
	chunks: AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
	map?: StreamMap,
): LineStream {
	const badLines: BadLine[] = [];
	const left = (bad: BadLine) => badLines.push(bad);
	let begin: number | null = null;
	const source = async function* () {
		let isFirst = true;
		for await (const one of jsonLines(chunks, left)) {
			if (isFirst) begin = timeOf(one.value);
			isFirst = false;
			yield one;
		}
	};
	return {
		lines: checked(map ? mapped(source(), map) : source(), left),
		badLines,
		get begin() {
			return begin;
		},
	};
}

/** The lines of a source that has no end yet, in the own format, each checked as it comes. */
export function liveStream(values: AsyncIterable<NumberedValue>): LineStream {
	const badLines: BadLine[] = [];
	return {
		lines: checked(values, (bad) => badLines.push(bad)),
		badLines,
		begin: null,
	};
}

function timeOf(value: unknown): number | null {
	const at = (value as { at?: unknown } | null)?.at;
	return typeof at === "number" ? at : null;
}

async function* mapped(
	source: AsyncIterable<NumberedValue>,
	map: StreamMap,
): AsyncGenerator<NumberedValue> {
	let read = 0;
	const watched = async function* () {
		for await (const one of source) {
			read = one.line;
			yield one;
		}
	};
	// Where a map does not say the line, the last that it read is the nearest.
	for await (const value of map(watched()))
		yield { line: lineOf(value) ?? read, value };
}

function lineOf(value: unknown): number | undefined {
	const line =
		typeof value === "object" && value !== null
			? (value as { line?: unknown }).line
			: undefined;
	return typeof line === "number" ? line : undefined;
}

async function* checked(
	values: AsyncIterable<NumberedValue>,
	left: (bad: BadLine) => void,
): AsyncGenerator<{ line: number; value: StreamLine }> {
	for await (const { line, value } of values) {
		const result = parseLine(value);
		if ("problem" in result)
			left({ line, problem: `line ${line}: ${result.problem}` });
		else yield { line, value: result.value };
	}
}

class Problem extends Error {}

/**
 * A value as a line of the own format, or what is wrong with it.
 *
 * @example parseLine({ at: 1, type: "end" }) // { problem: "an end needs runId, a string" }
 */
export function parseLine(
	value: unknown,
): { readonly value: StreamLine } | { readonly problem: string } {
	try {
		return { value: lineFrom(value) };
	} catch (error) {
		return { problem: errorText(error) };
	}
}

const types = {
	accepted: (f: Fields) => ({
		sessionKey: f.name("sessionKey"),
		runId: f.name("runId"),
		sessionId: f.optionalName("sessionId"),
	}),
	start: (f: Fields) => reported(f),
	end: (f: Fields) => ({
		...reported(f),
		outcome: f.choice("outcome", ["completed", "aborted", "timeout"]),
		endedAt: f.time("endedAt"),
		usage: f.usage(),
	}),
	error: (f: Fields) => ({
		...reported(f),
		error: f.text("error"),
		endedAt: f.time("endedAt"),
		usage: f.usage(),
	}),
	reset: (f: Fields) => ({
		sessionKey: f.name("sessionKey"),
		sessionId: f.optionalName("sessionId"),
		reason: f.optionalText("reason"),
	}),
	abort: (f: Fields) => ({
		sessionKey: f.name("sessionKey"),
		runId: f.optionalName("runId"),
		reason: f.optionalText("reason"),
	}),
	delete: (f: Fields) => ({
		sessionKey: f.name("sessionKey"),
		reason: f.optionalText("reason"),
	}),
	row: (f: Fields) => ({
		sessionKey: f.name("sessionKey"),
		row: hostRow(f.object("row")),
	}),
} satisfies { [Type in StreamLine["type"]]: (fields: Fields) => object };

function lineFrom(value: unknown): StreamLine {
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new Problem(
			`this is ${shown(value)}; a line must be an object with at and type`,
		);
	const { type } = value as { type?: unknown };
	const known = Object.keys(types).join(", ");
	if (typeof type !== "string" || !Object.hasOwn(types, type))
		throw new Problem(
			type === undefined
				? `there is no type; it must be one of ${known}`
				: `type is ${shown(type)}; it must be one of ${known}`,
		);
	const kind = type as StreamLine["type"];
	const fields = new Fields(
		value,
		`${/^[aeiou]/.test(kind) ? "an" : "a"} ${kind}`,
	);
	const at = fields.time("at");
	if (at === undefined)
		throw new Problem(`${fields.owner} needs at, epoch milliseconds`);
	return given({ at, type: kind, ...types[kind](fields) }) as StreamLine;
}

function reported(f: Fields) {
	return {
		runId: f.name("runId"),
		sessionKey: f.optionalName("sessionKey"),
		sessionId: f.optionalName("sessionId"),
		generation: f.count("generation"),
		attempt: f.count("attempt"),
		startedAt: f.time("startedAt"),
	};
}

function hostRow(f: Fields): HostRow {
	return given({
		status: f.optionalText("status"),
		hasActiveRun: f.flag("hasActiveRun"),
		sessionId: f.optionalText("sessionId"),
		startedAt: f.time("startedAt"),
		endedAt: f.time("endedAt"),
	});
}

/** The fields that are there. */
function given<Value extends object>(fields: Value): Value {
	const present = Object.entries(fields).filter(
		([, value]) => value !== undefined,
	);
	return Object.fromEntries(present) as Value;
}

/** What a Date can hold. */
const latest = 8.64e15;

/** The fields of one object; each reader gives the field, undefined where it is absent, or throws the sentence. */
class Fields {
	readonly owner: string;
	#value: Readonly<Record<string, unknown>>;
	#path: string;

	constructor(value: object, owner: string, path = "") {
		this.#value = value as Readonly<Record<string, unknown>>;
		this.owner = owner;
		this.#path = path;
	}

	name(field: string): string {
		const name = this.optionalName(field);
		if (name === undefined)
			throw new Problem(`${this.owner} needs ${this.#path}${field}, a string`);
		return name;
	}

	optionalName(field: string): string | undefined {
		const value = this.#field(field);
		return value === undefined
			? undefined
			: checkName(value, this.#path + field);
	}

	text(field: string): string {
		const text = this.optionalText(field);
		if (text === undefined)
			throw new Problem(`${this.owner} needs ${this.#path}${field}, a text`);
		return text;
	}

	optionalText(field: string): string | undefined {
		return this.#typed(field, "string", "a text");
	}

	flag(field: string): boolean | undefined {
		return this.#typed(field, "boolean", "true or false");
	}

	time(field: string): number | undefined {
		const value = this.#typed<number>(field, "number", "epoch milliseconds");
		if (value === undefined || (value >= 0 && value <= latest)) return value;
		throw this.#wrong(field, value, "epoch milliseconds");
	}

	count(field: string, least = 1): number | undefined {
		const right = `a whole number, ${least} or more`;
		const value = this.#typed<number>(field, "number", right);
		if (value === undefined || (Number.isSafeInteger(value) && value >= least))
			return value;
		throw this.#wrong(field, value, right);
	}

	choice<Choice extends string>(
		field: string,
		choices: readonly Choice[],
	): Choice | undefined {
		const value = this.#field(field);
		if (value === undefined || choices.includes(value as Choice))
			return value as Choice | undefined;
		throw this.#wrong(field, value, `one of ${choices.join(", ")}`);
	}

	object(field: string): Fields {
		const value = this.#field(field);
		if (typeof value === "object" && !Array.isArray(value))
			return new Fields(value as object, this.owner, `${field}.`);
		if (value === undefined)
			throw new Problem(`${this.owner} needs ${field}, an object`);
		throw this.#wrong(field, value, "an object");
	}

	usage(): Usage | undefined {
		if (this.#field("usage") === undefined) return undefined;
		const used = this.object("usage");
		return given({
			inputTokens: used.count("inputTokens", 0),
			outputTokens: used.count("outputTokens", 0),
		});
	}

	#field(field: string): unknown {
		const value = Object.hasOwn(this.#value, field)
			? this.#value[field]
			: undefined;
		return value === null ? undefined : value;
	}

	#typed<Value>(
		field: string,
		type: "string" | "number" | "boolean",
		right: string,
	): Value | undefined {
		const value = this.#field(field);
		if (value === undefined || typeof value === type)
			return value as Value | undefined;
		throw this.#wrong(field, value, right);
	}

	#wrong(field: string, value: unknown, right: string): Problem {
		return new Problem(
			`${this.#path}${field} is ${shown(value)}; it must be ${right}`,
		);
	}
}

/** The report that a line makes. */
export function reportOf(
	line: Extract<StreamLine, { type: "start" | "end" | "error" }>,
): LifecycleReport {
	const { at: _, type: phase, ...rest } = line;
	return { ...rest, phase } as LifecycleReport;
}
