/**
 * Owns the judgement of a history: whether its calls, key by key, can have been answered by a session that serves one call at a time. Made
 * of plain data, so that it judges any engine. Never runs one.
 */
import { rowOf } from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { ReportedRun } from "../../machines/report.ts";
import { invalid, shown } from "../arguments.ts";
import type { OverlapPolicy } from "../runtime.ts";
import type { HistoryCall } from "./history.ts";
import { findOrder, type Step } from "./ordering.ts";
import {
	marks,
	Sequential,
	type SequentialState,
	type Told,
	textOf,
	unusedState,
	type Way,
} from "./sequential.ts";

/** What the runtime was given that answers depend on. */
export interface HistoryOptions {
	/** Whether it executes runs itself (`execute`). Default: true. */
	readonly executes?: boolean;
	/** As given to the runtime. Default 'enqueue'. Quiet windows are not known here. */
	readonly overlap?: OverlapPolicy["mode"] | Omit<OverlapPolicy, "debounceMs">;
	/** As given to the runtime. Default: a new generation has no fields. */
	readonly carryOver?: (
		meta: JsonValue,
		cause: "reset" | "expiry",
	) => JsonValue;
	/** Configurations to try on one key before the search is given up. Default 50,000. */
	readonly limit?: number;
}

/** What a history was found to be. */
export type HistoryVerdict =
	| {
			readonly result: "ordered";
			/** For each key its calls in an order that explains every answer. */
			readonly orders: Readonly<Record<string, readonly HistoryCall[]>>;
	  }
	| {
			readonly result: "impossible" | "undecided";
			readonly key: string;
			/** The call whose answer no order explains; of the calls that were answered, the first. Null if that is undecided. */
			readonly call: HistoryCall | null;
			/** The calls of that key up to that answer: every shorter part of the history can be ordered. */
			readonly prefix: readonly HistoryCall[];
			/** All of it in words, for people. */
			readonly explanation: string;
	  };

/**
 * Whether a history is that of a correct engine: for each key there is one order of its calls, in accord with when each was called and
 * answered, in which the session machine gives every one of the answers (linearizability).
 *
 * Not known here: children, expiry, quiet windows, leases, recovery by retry, `steering`, a cap on runs. Times in rows are not looked at.
 *
 * @example
 * const verdict = checkHistory(calls);
 * if (verdict.result !== "ordered") throw new Error(verdict.explanation);
 * @throws INVALID_ARGUMENT for a call that was answered before it was called
 */
export function checkHistory(
	calls: readonly HistoryCall[],
	options: HistoryOptions = {},
): HistoryVerdict {
	const { executes = true, overlap = "enqueue", limit = 50_000 } = options;
	const policy = typeof overlap === "string" ? { mode: overlap } : overlap;
	const sequential = new Sequential({
		executes,
		overlap: {
			mode: policy.mode,
			capacity: policy.capacity ?? 1000,
			onFull: policy.onFull ?? "reject",
		},
		carryOver: options.carryOver ?? (() => ({})),
	});
	const byKey = new Map<string, HistoryCall[]>();
	for (const call of calls) {
		const { answeredAt, invokedAt, key } = call;
		if (answeredAt !== null && !(answeredAt >= invokedAt))
			throw invalid(
				`answeredAt of a ${call.call} on ${shown(key)} is ${shown(answeredAt)}, and it was invoked at ${shown(invokedAt)}; an answer comes after its call`,
			);
		const own = byKey.get(key);
		if (own) own.push(call);
		else byKey.set(key, [call]);
	}
	const orders: Record<string, readonly HistoryCall[]> = {};
	for (const [key, own] of byKey) {
		const judged = new KeyHistory(key, own, sequential, limit).judge();
		if ("result" in judged) return judged;
		Object.defineProperty(orders, key, {
			value: judged.order,
			enumerable: true,
			configurable: true,
		});
	}
	return { result: "ordered", orders };
}

/** Codes that say that a call did nothing; whether rightly so is not for the machine to say. */
const unchecked = new Set([
	"STORE_FAILED",
	"STORE_LOCKED",
	"STORE_CORRUPT",
	"RUNTIME_CLOSED",
	"INVALID_ARGUMENT",
	"INVALID_INPUT",
]);

/** A part of a call, as a step of the search. */
interface Part extends Step {
	readonly call: number;
	readonly what: "first" | "second" | "fires" | "unwaits" | "orphans";
}

/** What became of the search for an order of some calls: that order, or the longest that was found. */
interface Ordered {
	readonly result: "ordered" | "impossible" | "undecided";
	/** Calls, by the first part of each. */
	readonly calls: readonly number[];
	readonly parts: readonly Part[];
	readonly steps: readonly number[];
	readonly state: SequentialState;
}

class KeyHistory {
	readonly #key: string;
	readonly #calls: readonly HistoryCall[];
	readonly #sequential: Sequential;
	readonly #limit: number;
	#texts = new WeakMap<SequentialState, string>();

	constructor(
		key: string,
		calls: readonly HistoryCall[],
		sequential: Sequential,
		limit: number,
	) {
		this.#key = key;
		this.#calls = calls;
		this.#sequential = sequential;
		this.#limit = limit;
	}

	judge():
		| { readonly order: readonly HistoryCall[] }
		| (HistoryVerdict & { readonly result: "impossible" | "undecided" }) {
		const found = this.#order(this.#calls);
		if (found.result === "ordered")
			return { order: found.calls.map((i) => this.#calls[i] as HistoryCall) };
		if (found.result === "undecided")
			return {
				result: "undecided",
				key: this.#key,
				call: null,
				prefix: this.#calls,
				explanation: `whether the ${this.#calls.length} calls on ${shown(this.#key)} can be ordered was not found out within ${this.#limit} configurations; give a higher limit, or a shorter history`,
			};
		return this.#explained();
	}

	/** Halves its way to the shortest part of the history that cannot be ordered: its last answer is the one. */
	#explained(): HistoryVerdict & { readonly result: "impossible" } {
		const answers = this.#calls
			.filter(({ answeredAt }) => answeredAt !== null)
			.map(({ answeredAt }) => answeredAt as number)
			.sort((a, b) => a - b);
		let low = 0;
		let high = answers.length - 1;
		while (low < high) {
			const middle = (low + high) >> 1;
			const { result } = this.#order(this.#until(answers[middle] as number));
			if (result === "impossible") high = middle;
			else low = middle + 1;
		}
		const end = answers[low] as number;
		const prefix = this.#until(end);
		const found = this.#order(prefix);
		const call = this.#calls.find(
			({ answeredAt }) => answeredAt === end,
		) as HistoryCall;
		return {
			result: "impossible",
			key: this.#key,
			call,
			prefix,
			explanation: this.#words(call, prefix, found),
		};
	}

	/** The history as it stood at a time: what was not answered by then may still take effect. */
	#until(end: number): readonly HistoryCall[] {
		return this.#calls
			.filter(
				({ call, invokedAt, answeredAt }) =>
					invokedAt <= end &&
					// What nobody has seen yet is no call.
					!(call === "run.began" && (answeredAt ?? end + 1) > end),
			)
			.map((call) => {
				if (call.answeredAt !== null && call.answeredAt <= end) return call;
				const { told: _told, error: _error, ...open } = call;
				return { ...open, answeredAt: null } as HistoryCall;
			});
	}

	#order(calls: readonly HistoryCall[]): Ordered {
		const parts = partsOf(calls);
		const found = findOrder(parts, {
			initial: unusedState(this.#key),
			limit: this.#limit,
			levelOf: ({ facts }) => facts.version,
			textOf: (state) => this.#textOf(state),
			next: (state, step) => {
				const part = parts[step] as Part;
				const call = calls[part.call] as HistoryCall;
				return this.#ways(state, part, call).flatMap((way) => {
					const after = agreed(way, call);
					if (!after) return [];
					// What need not have happened and changes nothing is not tried.
					if (!part.isRequired && after === state) return [];
					const rest = way.isOver
						? parts.flatMap((one, i) =>
								one.after === step && one.what === "second" ? [i] : [],
							)
						: [];
					return [{ state: after, over: rest }];
				});
			},
		});
		const order = found.result === "ordered" ? found.order : found.deepest;
		const isFirst = (step: number) => (parts[step] as Part).what === "first";
		return {
			result: found.result,
			calls: order.steps
				.filter(isFirst)
				.map((step) => (parts[step] as Part).call),
			parts,
			steps: order.steps,
			state: order.state,
		};
	}

	#ways(state: SequentialState, part: Part, call: HistoryCall): Way[] {
		return toldBy(state, call).flatMap((told) =>
			this.#waysFrom(told, part, call),
		);
	}

	#waysFrom(state: SequentialState, part: Part, call: HistoryCall): Way[] {
		const own = this.#sequential;
		switch (part.what) {
			case "first":
				return own.first(state, call, part.call);
			case "second":
				return own.second(state, call, part.call);
			case "fires":
				return own.fires(state, call, part.call);
			case "unwaits":
				return call.call === "run.waitFor" ? own.unwaits(state, call) : [];
			case "orphans":
				return call.call === "admit" ? own.orphans(state, call, part.call) : [];
		}
	}

	#textOf(state: SequentialState): string {
		let text = this.#texts.get(state);
		if (text === undefined) {
			text = textOf(state);
			this.#texts.set(state, text);
		}
		return text;
	}

	#words(
		call: HistoryCall,
		prefix: readonly HistoryCall[],
		{ parts, steps, state }: Ordered,
	): string {
		const ordered = steps.map((step) => {
			const part = parts[step] as Part;
			const { what } = part;
			const one = prefix[part.call] as HistoryCall;
			const words = what === "second" ? `the end of ${wordsOf(one)}` : "";
			return `  ${words || wordsOf(one)}`;
		});
		const index = prefix.indexOf(call);
		const part = parts.findLast((one) => one.call === index);
		const told = part
			? this.#ways(state, part, call).map((way) => toldWords(way.told))
			: [];
		return [
			`No order of the calls on ${shown(this.#key)} explains this answer:`,
			`  ${wordsOf(call)} was told ${answerWords(call)}`,
			"",
			`The ${prefix.length} calls until then, with when each was called and answered:`,
			...prefix.map(
				(one) =>
					`  ${String(one.invokedAt).padStart(4)} – ${String(one.answeredAt ?? "…").padEnd(4)} ${wordsOf(one)} → ${answerWords(one)}`,
			),
			"",
			"The longest order that holds:",
			...(ordered.length > 0 ? ordered : ["  (none)"]),
			`which leaves the session at ${short(rowOf(state.facts))}`,
			told.length > 0
				? `where it would be told ${told.join(", or ")}`
				: "where it cannot be answered yet",
		].join("\n");
	}
}

/** The parts of the calls that are to be put in order. */
function partsOf(calls: readonly HistoryCall[]): readonly Part[] {
	const parts: Part[] = [];
	calls.forEach((call, index) => {
		const { invokedAt, answeredAt, error } = call;
		const isAnswered = call.told !== undefined || error !== undefined;
		const part = {
			invokedAt,
			answeredAt,
			call: index,
			after: null,
			most: null,
		};
		if (error !== undefined && unchecked.has(error)) {
			if (error !== "STORE_FAILED") return;
			if (mayStop(call))
				parts.push({ ...part, isRequired: false, what: "fires" });
			if (call.call === "run.waitFor")
				parts.push({
					...part,
					answeredAt: null,
					isRequired: false,
					what: "unwaits",
				});
			return;
		}
		const first = parts.length;
		const most = versionTold(call);
		parts.push({ ...part, isRequired: isAnswered, what: "first", most });
		if (hasTwoParts(call))
			parts.push({
				...part,
				isRequired: isAnswered,
				what: "second",
				after: first,
			});
		if (isAnswered) return;
		// Nobody has the handle of its run.
		if (call.call === "admit")
			parts.push({
				...part,
				answeredAt: null,
				isRequired: false,
				what: "orphans",
				after: first,
			});
		// It may also have failed, and left behind what a failure does.
		if (mayStop(call))
			parts.push({ ...part, isRequired: false, what: "fires" });
		if (call.call === "run.waitFor")
			parts.push({
				...part,
				answeredAt: null,
				isRequired: false,
				what: "unwaits",
			});
	});
	return parts;
}

/** The version of the row that a call was told, where that is the session's at the time of the answer, or later. */
function versionTold(call: HistoryCall): number | null {
	switch (call.call) {
		case "get":
			return call.told?.version ?? null;
		case "send":
			// Of a deleted session, a duplicate is told an older row.
			if (call.told?.disposition === "duplicate") return null;
			break;
		case "report":
		case "patch":
		case "resume":
		case "reset":
			break;
		default:
			return null;
	}
	return call.told?.row?.version ?? null;
}

function hasTwoParts({ call }: HistoryCall): boolean {
	return (
		call === "reset" ||
		call === "abort" ||
		call === "delete" ||
		call === "run.waitFor" ||
		call === "run.deliver" ||
		call === "restart"
	);
}

function mayStop(call: HistoryCall): boolean {
	switch (call.call) {
		case "reset":
		case "abort":
		case "delete":
			return true;
		case "send": {
			const { reset, overlap = "interrupt" } = call.given;
			return reset === true || /interrupt|rollback/.test(overlap);
		}
		default:
			return false;
	}
}

/** Where a call leaves the session if it was told what it would be; with the ids that the answer tells. Null: it was told otherwise. */
function agreed(way: Way, call: HistoryCall): SequentialState | null {
	const { state, told } = way;
	if (told === null) return state;
	const isAnswered = call.told !== undefined || call.error !== undefined;
	if (!isAnswered) {
		// What would have been refused did nothing.
		if ("error" in told) return null;
		return call.call === "run.began"
			? bound(state, told.answer, call.given)
			: state;
	}
	if ("error" in told) return told.error === call.error ? state : null;
	if (call.error !== undefined) return null;
	if (call.call === "run.began") return bound(state, told.answer, call.given);
	return bound(state, told.answer, answerOf(call));
}

/** The handle of a run says under which session id it runs by the time that it is looked at, which another call may have changed. */
function answerOf(call: HistoryCall): unknown {
	if (call.call !== "admit" || !call.told) return call.told;
	return { ticket: { ...call.told.ticket, sessionId: undefined } };
}

/** The state with its marks replaced by the ids of an answer; null if the answer is another one. */
function bound(
	state: SequentialState,
	expected: unknown,
	told: unknown,
): SequentialState | null {
	const ids = new Map<string, string>();
	if (!agrees(expected, told, ids)) return null;
	let after = state;
	for (const [mark, id] of ids) after = replaced(after, mark, id);
	return after;
}

/** Of rows, what cannot be known or differs between engines. */
const ignored: ReadonlySet<string> = new Set([
	"createdAt",
	"updatedAt",
	"startedAt",
	"endedAt",
	"runtimeMs",
	"acceptedAt",
]);

/** Lists whose order says nothing. */
const unordered = new Set(["drained", "abandoned", "removed"]);

/** Whether all that was told is so; what was left out is not asked. */
function agrees(
	expected: unknown,
	told: unknown,
	ids: Map<string, string>,
): boolean {
	if (told === undefined) return true;
	if (typeof expected === "string" && marks.test(expected)) {
		if (typeof told !== "string") return false;
		const known = ids.get(expected);
		if (known !== undefined) return known === told;
		ids.set(expected, told);
		return true;
	}
	if (
		typeof expected !== "object" ||
		typeof told !== "object" ||
		expected === null ||
		told === null
	)
		return Object.is(expected, told);
	if (Array.isArray(expected) || Array.isArray(told))
		return (
			Array.isArray(expected) &&
			Array.isArray(told) &&
			expected.length === told.length &&
			expected.every((one, i) => agrees(one, told[i], ids))
		);
	const from = expected as Record<string, unknown>;
	return Object.entries(told).every(([name, value]) => {
		if (ignored.has(name) || !(name in from)) return true;
		if (name === "meta") return textOf(from.meta) === textOf(value);
		if (unordered.has(name) && Array.isArray(value))
			return agreesAsSet(from[name] as readonly unknown[], value, ids);
		return agrees(from[name], value, ids);
	});
}

function agreesAsSet(
	expected: readonly unknown[],
	told: readonly unknown[],
	ids: Map<string, string>,
): boolean {
	if (expected.length !== told.length) return false;
	const left = [...expected];
	// Those that need no mark first, so that a mark is left for an id that is not known yet.
	for (const mayBind of [false, true])
		for (const one of told) {
			const at = left.findIndex((other) => {
				const own = new Map(ids);
				return agrees(other, one, own) && own.size > ids.size === mayBind;
			});
			if (at === -1) continue;
			agrees(left[at], one, ids);
			left.splice(at, 1);
		}
	return left.length === 0;
}

/**
 * A ticket may tell ids that no answer has told: those of a run or a rotation whose callers never heard of it. So may a report, which may
 * as well name what never was.
 */
function toldBy(
	state: SequentialState,
	call: HistoryCall,
): readonly SequentialState[] {
	if (call.call === "report")
		return [
			state,
			...namedBy(state, call.given).filter((one) => one !== state),
		];
	return "ticket" in call.given ? namedBy(state, call.given.ticket) : [state];
}

function namedBy(
	state: SequentialState,
	{ sessionId, runId, generation, attempt }: ReportedRun,
): readonly SequentialState[] {
	if (sessionId === undefined) return [state];
	const runs = [
		state.facts.run,
		...state.facts.draining.map(({ run }) => run),
		...Object.values(state.runs),
	].filter(
		(run) =>
			(run?.generation === generation || generation === undefined) &&
			(run?.attempt === attempt || attempt === undefined),
	);
	const run =
		runs.find((one) => one?.runId === runId) ??
		runs.find((one) => one && marks.test(one.runId));
	if (!run) return [state];
	const named = run.runId === runId ? state : replaced(state, run.runId, runId);
	if (run.sessionIds.includes(sessionId)) return [named];
	const unknown = run.sessionIds.filter((id) => marks.test(id));
	return unknown.length === 0
		? [named]
		: unknown.map((mark) => replaced(named, mark, sessionId));
}

function replaced(
	state: SequentialState,
	mark: string,
	id: string,
): SequentialState {
	const from = JSON.stringify(mark).slice(1, -1);
	const to = JSON.stringify(id).slice(1, -1);
	return JSON.parse(JSON.stringify(state).replaceAll(from, to));
}

// ── words

/** JSON as people read it: without times, without what is empty, tickets as one word. */
function short(value: unknown): string {
	const text = JSON.stringify(value, (name, part) => {
		if (ignored.has(name) || left.has(name)) return undefined;
		if (Array.isArray(part) && part.length === 0) return undefined;
		if (typeof part !== "object" || part === null) return part;
		const { runId, generation, attempt, outcome } = part;
		return runId && generation && attempt && outcome === undefined
			? `${runId} (generation ${generation}, attempt ${attempt})`
			: part;
	});
	return text === undefined
		? "nothing"
		: text.replaceAll(/"([a-zA-Z]+)":/g, "$1: ").replaceAll(",", ", ");
}

/** Of a row, what its key or another field of it says. */
const left = new Set(["sessionKey", "totalTokens", "hasActiveRun"]);

function wordsOf({ call, given }: HistoryCall): string {
	return `${call}(${short(given)})`;
}

function answerWords({ told, error, answeredAt }: HistoryCall): string {
	if (error !== undefined) return error;
	if (told !== undefined) return short(told);
	return answeredAt === null ? "no answer" : "no answer that is known";
}

function toldWords(told: Told): string {
	if (told === null) return "something later";
	return "error" in told ? told.error : short(told.answer);
}
