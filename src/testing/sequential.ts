/**
 * Owns the session as if everything came one call at a time: the session machine stepped purely, with what a store would keep beside it.
 * Says what each call is told, and where it leaves the session. No engine, no time, no chance: ids that an engine would mint are marks,
 * which the first answer that tells the id replaces.
 */
import { transition } from "xstate";
import type {
	OverlapMode,
	Reply,
	SessionEffects,
	SessionEvent,
} from "../../machines/events.ts";
import {
	type ArchivedGeneration,
	mismatchOf,
	type SessionFacts,
	type SessionRow,
	shownRow,
	unusedFacts,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import { addUsage } from "../../machines/lifecycle.ts";
import {
	contradictionOf,
	findRun,
	judgeStored,
	type LifecycleReport,
	matchesRun,
} from "../../machines/report.ts";
import {
	ownsRun,
	type RunFacts,
	stepRun,
	ticketOf,
} from "../../machines/run.ts";
import { sessionMachine, stateOf } from "../../machines/session.ts";
import {
	type RunTicket,
	type StopCause,
	ticketId,
} from "../../machines/ticket.ts";
import type { HistoryAnswer, HistoryCall } from "./history.ts";

/** What the runtime was given that its answers depend on. */
export interface SequentialOptions {
	/** Whether it executes runs. */
	readonly executes: boolean;
	readonly overlap: {
		readonly mode: OverlapMode;
		readonly capacity: number;
		readonly onFull: "reject" | "drop-oldest";
	};
	readonly carryOver: (meta: JsonValue, cause: "reset") => JsonValue;
}

/** What became of a message id, as a store keeps it. */
interface KnownMessage {
	readonly kind: "message" | "reset" | "abort" | "delete";
	readonly fate: "queued" | "taken" | "removed";
	readonly run: RunTicket | null;
	readonly input: JsonValue;
	readonly edited: boolean;
	readonly generation: number;
}

/** What the second part of a call needs of its first. */
interface Pending {
	readonly older: number;
	/** Tickets of what it stopped, each as one string. */
	readonly stopped: readonly string[];
	readonly removed: readonly string[];
	/** The generation that it ended. */
	readonly ended: number | null;
	readonly wasHidden: boolean;
	readonly row: SessionRow | null;
	/** Of the generation before, if the session was deleted. */
	readonly lastRow: SessionRow | null;
}

/** All that is true of one key between two calls. */
export interface SequentialState {
	readonly facts: SessionFacts;
	readonly messages: Readonly<Record<string, KnownMessage>>;
	/** Runs that settled, and reservations, by ticket. */
	readonly runs: Readonly<Record<string, RunFacts>>;
	readonly generations: Readonly<Record<number, ArchivedGeneration>>;
	/** Generations before this one have been erased. */
	readonly purged: number;
	/** Runs whose signal was fired by a stop that was not committed, by ticket. */
	readonly fired: Readonly<Record<string, StopCause>>;
	/** Tickets of runs whose executor was called. */
	readonly began: readonly string[];
	/** Deliveries whose intent may hold although nobody was told so, each by ticket and name: they may be asked for again. */
	readonly untold: readonly string[];
	readonly pending: Readonly<Record<number, Pending>>;
}

/** What a call is told: its answer, or the code of an error. */
export type Told =
	| { readonly answer: unknown }
	| { readonly error: string }
	/** Nothing that can be checked. */
	| null;

/** One way that a part of a call may go. */
export interface Way {
	readonly state: SequentialState;
	readonly told: Told;
	/** No other part of the call follows. */
	readonly isOver: boolean;
}

export function unusedState(key: string): SequentialState {
	return {
		facts: unusedFacts(key),
		messages: {},
		runs: {},
		generations: {},
		purged: 0,
		fired: {},
		began: [],
		untold: [],
		pending: {},
	};
}

// ── one turn of the machine

interface Turned {
	readonly state: SequentialState;
	readonly reply: Reply | null;
	readonly start: SessionEffects["startRun"] | null;
	readonly stops: SessionEffects["stopRuns"];
	/** Ids of messages that left without a run. */
	readonly removed: readonly string[];
	readonly settled: readonly RunFacts[];
}

function turn(state: SequentialState, event: SessionEvent): Turned {
	const { facts } = state;
	const [snapshot, actions] = transition(
		sessionMachine,
		sessionMachine.resolveState({ value: stateOf(facts), context: { facts } }),
		{ ...event, version: facts.version },
	);
	const messages = { ...state.messages };
	const runs = { ...state.runs };
	const generations = { ...state.generations };
	let { purged } = state;
	let reply: Reply | null = null;
	let start: SessionEffects["startRun"] | null = null;
	let stops: SessionEffects["stopRuns"] = [];
	let settled: readonly RunFacts[] = [];
	const removed: string[] = [];
	const asked = actions as unknown as readonly {
		[Type in keyof SessionEffects]: {
			readonly type: Type;
			readonly params: SessionEffects[Type];
		};
	}[keyof SessionEffects][];
	for (const effect of asked)
		switch (effect.type) {
			case "reply":
				reply = effect.params;
				break;
			case "startRun":
				start = effect.params;
				for (const message of effect.params.messages)
					messages[message.messageId] = {
						kind: "message",
						fate: "taken",
						run: ticketOf(effect.params.run),
						input: message.input,
						edited: message.edited,
						generation: message.generation,
					};
				break;
			case "stopRuns":
				stops = [...stops, ...effect.params];
				break;
			case "keepRuns":
				for (const run of effect.params) runs[ticketId(run)] = run;
				settled = [...settled, ...effect.params];
				break;
			case "keepGeneration":
				generations[effect.params.generation] = effect.params;
				break;
			case "keepMessages":
				for (const { message, fate, run } of effect.params) {
					messages[message.messageId] = {
						kind: "message",
						fate,
						run,
						input: message.input,
						edited: message.edited,
						generation: message.generation,
					};
					if (fate === "removed") removed.push(message.messageId);
				}
				break;
			case "keepLine":
				for (const { messageId, input, edited } of effect.params) {
					const known = messages[messageId];
					if (known) messages[messageId] = { ...known, input, edited };
				}
				break;
			case "purge":
				purged = Math.max(purged, effect.params.before);
				for (const [id, { generation, fate }] of Object.entries(messages))
					if (generation < purged && fate !== "queued") delete messages[id];
				break;
		}
	const after = snapshot.context.facts;
	const isSame = after === facts && asked.every(({ type }) => type === "reply");
	return {
		state: isSame
			? state
			: { ...state, facts: after, messages, runs, generations, purged },
		reply,
		start,
		stops,
		removed,
		settled,
	};
}

function rowIn({ facts }: SequentialState): SessionRow | null {
	return shownRow(facts);
}

/** Of a key that was deleted: the row that its last generation ended with. */
function lastRowIn(state: SequentialState): SessionRow | null {
	const { facts, generations, purged } = state;
	const last = facts.generation - 1;
	if (!facts.hidden || facts.version === 0 || last < purged) return null;
	return generations[last]?.row ?? null;
}

/** Runs that are live or drain. */
function unsettledIn({ facts }: SequentialState): readonly RunFacts[] {
	const draining = facts.draining.map(({ run }) => run);
	return facts.run ? [facts.run, ...draining] : draining;
}

/** Records that have not been erased. */
function recordsIn({ runs, purged }: SequentialState): readonly RunFacts[] {
	return Object.values(runs).filter(({ generation }) => generation >= purged);
}

/** The run of a ticket, wherever it stands. */
function runIn(
	state: SequentialState,
	ticket: RunTicket,
): RunFacts | undefined {
	const known = [
		...unsettledIn(state),
		...state.facts.reservations,
		...state.facts.retries,
	].find((run) => ticketId(run) === ticketId(ticket));
	return known ?? state.runs[ticketId(ticket)];
}

function isStopped(state: SequentialState, ticket: RunTicket): boolean {
	const run = runIn(state, ticket);
	return (
		!run ||
		run.stop !== null ||
		run.outcome !== null ||
		state.fired[ticketId(ticket)] !== undefined
	);
}

// ── what each call does

/** A mark for an id that an engine mints. */
export function markOf(what: string, call: number): string {
	return `‹${what} ${call}›`;
}

export const marks = /‹[a-z]+ \d+›/;

const base = { at: 0, deadline: 0 } as const;

const done = (state: SequentialState, answer: unknown): Way => ({
	state,
	told: { answer },
	isOver: true,
});
const refused = (state: SequentialState, error: string): Way => ({
	state,
	told: { error },
	isOver: true,
});
/** More of it follows. */
const goesOn = (state: SequentialState): Way => ({
	state,
	told: null,
	isOver: false,
});
/** It has happened, and there is nothing to be told of it. */
const happened = (state: SequentialState): Way => ({
	state,
	told: null,
	isOver: true,
});

export class Sequential {
	readonly #options: SequentialOptions;

	constructor(options: SequentialOptions) {
		this.#options = options;
	}

	/** The ways that the first part of a call may go; `index` tells it from every other call. */
	first(state: SequentialState, call: HistoryCall, index: number): Way[] {
		switch (call.call) {
			case "send":
				return [this.#send(state, call, index)];
			case "admit":
				return [this.#admit(state, call, index)];
			case "report":
				return [this.#report(state, call, index)];
			case "reset":
				return [
					this.#command(
						state,
						call,
						this.#resetEvent(state, call, index),
						index,
					),
				];
			case "abort":
			case "delete":
				return [this.#command(state, call, this.#stopEvent(call), index)];
			case "patch":
				return [
					this.#answer(state, {
						...base,
						type: "patch",
						patch: call.given.meta,
						expect: call.given.expect,
					}),
				];
			case "resume": {
				const { ticket, name, value } = call.given;
				return [
					this.#answer(state, {
						...base,
						type: "answer",
						ticket,
						name,
						value,
						grant: this.#grant(index),
					}),
				];
			}
			case "queue.update":
				return [
					this.#change(state, {
						...base,
						type: "edit",
						messageId: call.given.messageId,
						input: call.given.input,
						before: call.given.before,
					}),
				];
			case "queue.remove":
				return [
					this.#change(state, {
						...base,
						type: "remove",
						messageId: call.given.messageId,
					}),
				];
			case "get":
				return [done(state, rowIn(state))];
			default:
				return this.#ofRun(state, call, index);
		}
	}

	#ofRun(state: SequentialState, call: HistoryCall, index: number): Way[] {
		switch (call.call) {
			case "run.append":
				return this.#asked(state, call.given.ticket, {
					...base,
					type: "append",
					ticket: call.given.ticket,
					entry: call.given.entry,
				});
			case "run.rotate":
				return this.#asked(
					state,
					call.given.ticket,
					{
						...base,
						type: "rotate",
						ticket: call.given.ticket,
						sessionId: call.given.sessionId ?? markOf("session", index),
					},
					({ facts }) => ticketOf(facts.run as RunFacts),
				);
			case "run.waitFor":
				return this.#waits(state, call);
			case "run.deliver":
				return this.#delivers(state, call);
			case "run.usage":
				return [this.#usage(state, call)];
			case "run.began":
				return this.#began(state, call);
			case "run.ended":
				return [this.#ended(state, call, index)];
			case "run.overdue":
				return this.#overdue(state, call, index);
			case "run.released":
				return [this.#released(state, call, index)];
			case "restart":
				return [this.#restart(state)];
			default:
				return [];
		}
	}

	/** The ways that the second part may go. */
	second(state: SequentialState, call: HistoryCall, index: number): Way[] {
		switch (call.call) {
			case "reset":
			case "abort":
			case "delete":
				return this.#drained(state, index);
			case "run.waitFor":
				return this.#answered(state, call);
			case "run.deliver":
				return this.#delivered(state, call);
			case "restart":
				return [this.#goOn(state, index)];
			default:
				return [];
		}
	}

	/** What a stop does whose commit failed: signals that were fired stay so. */
	fires(state: SequentialState, call: HistoryCall, index: number): Way[] {
		const events: SessionEvent[] = [];
		if (call.call === "reset") events.push(this.#resetEvent(state, call, 0));
		else if (call.call === "abort" || call.call === "delete")
			events.push(this.#stopEvent(call));
		else if (call.call === "send") {
			if (call.given.reset) events.push(this.#resetBefore(state, call, 0));
			else events.push(this.#message(state, call, index));
		}
		const fired = { ...state.fired };
		for (const event of events)
			for (const { run, stop } of turn(state, event).stops)
				fired[ticketId(run)] ??= stop.cause;
		const isSame =
			Object.keys(fired).length === Object.keys(state.fired).length;
		return isSame ? [] : [happened({ ...state, fired })];
	}

	#grant(index: number): string | null {
		return this.#options.executes ? markOf("run", index) : null;
	}

	#firstSessionId({ facts }: SequentialState, index: number): string {
		return facts.hidden ? markOf("session", index) : "";
	}

	// ── intake

	#send(
		state: SequentialState,
		call: HistoryCall & { call: "send" },
		index: number,
	): Way {
		const { input, reset } = call.given;
		const messageId = idOf(call, index);
		const known = state.messages[messageId];
		if (known) {
			const isSame = known.edited || textOf(known.input) === textOf(input);
			if (known.kind !== "message" || !isSame)
				return refused(state, "INVALID_ARGUMENT");
			const { run } = known;
			const row = rowIn(state);
			return done(state, {
				disposition: "duplicate",
				messageId,
				ticket: run,
				...(row ? { row } : {}),
			});
		}
		if (!this.#options.executes) return refused(state, "INVALID_ARGUMENT");
		let before = state;
		if (reset) {
			const turned = turn(state, this.#resetBefore(state, call, index));
			if (turned.reply?.result !== "done")
				return refused(state, "STALE_EXPECTATION");
			before = turned.state;
		}
		const turned = turn(before, this.#message(before, call, index));
		switch (turned.reply?.result) {
			case "done":
				break;
			case "stale":
				return refused(state, "STALE_EXPECTATION");
			case "busy":
				return refused(state, "SESSION_BUSY");
			default:
				return refused(state, "MAILBOX_FULL");
		}
		const after = turned.state;
		const taken = turned.start?.messages.some(
			(message) => message.messageId === messageId,
		);
		const waits = after.facts.queue.find((one) => one.messageId === messageId);
		return done(after, {
			disposition: taken ? "started" : waits?.steers ? "steered" : "queued",
			messageId,
			ticket: taken && turned.start ? ticketOf(turned.start.run) : null,
			row: rowIn(after),
		});
	}

	#message(
		state: SequentialState,
		call: HistoryCall & { call: "send" },
		index: number,
	): SessionEvent {
		const { input, overlap, reset, meta, expect } = call.given;
		const { mode, ...policy } = this.#options.overlap;
		return {
			...base,
			type: "message",
			grant: this.#grant(index),
			messageId: idOf(call, index),
			input,
			policy: { ...policy, mode: overlap ?? mode, debounceMs: 0 },
			front: reset ? "reset" : null,
			parent: null,
			sessionId: this.#firstSessionId(state, index),
			meta,
			expect: reset ? undefined : expect,
		};
	}

	#resetBefore(
		state: SequentialState,
		{ given }: HistoryCall & { call: "send" },
		index: number,
	): SessionEvent {
		return {
			...this.#newGeneration(state, given.expect, index),
			...base,
			type: "reset",
			cause: "reset",
			reason: null,
			queued: "keep",
			expect: given.expect,
			hook: false,
			grant: null,
		};
	}

	/** What a reset brings that is not its caller's. */
	#newGeneration(
		{ facts }: SequentialState,
		expect: Parameters<typeof mismatchOf>[1],
		index: number,
	) {
		const applies = mismatchOf(facts, expect) === null;
		return {
			sessionId: applies ? markOf("session", index) : "",
			meta:
				applies && !facts.hidden
					? this.#options.carryOver(facts.meta, "reset")
					: {},
		};
	}

	#admit(
		state: SequentialState,
		{ given, told }: HistoryCall & { call: "admit" },
		index: number,
	): Way {
		const { facts } = state;
		const runId = given.runId ?? told?.ticket.runId ?? markOf("run", index);
		const isKnown = facts.reservations.some((run) => run.runId === runId);
		const before = [...unsettledIn(state), ...recordsIn(state)].filter(
			(run) => run.runId === runId,
		);
		const latest = Math.max(0, ...before.map(({ attempt }) => attempt));
		const turned = turn(state, {
			...base,
			type: "admit",
			grant: this.#grant(index),
			runId,
			attempt: isKnown ? 1 : latest + 1,
			reserve: given.reserve ?? false,
			givenSessionId: given.sessionId ?? null,
			sessionId: given.sessionId ?? this.#firstSessionId(state, index),
			leaseMs: null,
			meta: given.meta,
			expect: given.expect,
		});
		switch (turned.reply?.result) {
			case "admitted":
				return done(turned.state, { ticket: ticketOf(turned.reply.run) });
			case "stale":
				return refused(state, "STALE_EXPECTATION");
			default:
				return refused(state, "SESSION_BUSY");
		}
	}

	// ── reports

	#report(
		state: SequentialState,
		{ key, given }: HistoryCall & { call: "report" },
		index: number,
	): Way {
		const report: LifecycleReport = { ...given, sessionKey: key };
		const found = findRun(state.facts, report);
		if (!found) return this.#stored(state, report);
		const { state: after, reply } = turn(state, {
			...base,
			type: "report",
			grant: this.#grant(index),
			report,
			stoppedBy: state.fired[ticketId(found)],
		});
		if (reply?.result !== "verdict") return refused(state, "no verdict");
		const { verdict, ticket } = reply;
		return done(after, { verdict, ticket, row: rowIn(after) });
	}

	/** The verdict on a run that is not among the unsettled ones. */
	#stored(state: SequentialState, report: LifecycleReport): Way {
		const named = recordsIn(state).filter((run) => run.runId === report.runId);
		const [latest] = named
			.filter((run) => matchesRun(run, report))
			.sort((a, b) => b.attempt - a.attempt);
		const row = rowIn(state);
		if (!latest) {
			const here = [...unsettledIn(state), ...state.facts.reservations];
			const run = [...here, ...named].find(
				(one) =>
					one.runId === report.runId && contradictionOf(one, report) !== null,
			);
			return done(state, {
				verdict: run ? "refused" : "unknown",
				ticket: run ? ticketOf(run) : null,
				row,
			});
		}
		const { verdict, run } = judgeStored(latest, report, 0);
		const ticket = run && ticketOf(run);
		if (verdict !== "archived" || !run)
			return done(state, { verdict, ticket, row });
		const used = {
			inputTokens: run.inputTokens - latest.inputTokens,
			outputTokens: run.outputTokens - latest.outputTokens,
		};
		const after = this.#counted(
			{ ...state, runs: { ...state.runs, [ticketId(run)]: run } },
			ticketOf(run),
			used,
			false,
		);
		return done(after, { verdict, ticket, row: rowIn(after) });
	}

	/** Usage of a run whose record is closed or archived. */
	#counted(
		state: SequentialState,
		ticket: RunTicket,
		used: { readonly inputTokens: number; readonly outputTokens: number },
		isOfGeneration: boolean,
	): SequentialState {
		const { generation } = ticket;
		const ended = state.generations[generation];
		const after: SequentialState =
			ended && generation !== state.facts.generation
				? {
						...state,
						generations: {
							...state.generations,
							[generation]: { ...ended, row: addUsage(ended.row, used) },
						},
					}
				: state;
		const drains = state.facts.draining.some(
			({ run }) => run.generation === generation,
		);
		const counts = used.inputTokens > 0 || used.outputTokens > 0;
		if (!counts || !(drains || isOfGeneration)) return after;
		return turn(after, { ...base, type: "usage", ticket, ...used }).state;
	}

	#usage(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.usage" },
	): Way {
		const { ticket, inputTokens = 0, outputTokens = 0 } = given;
		const used = { inputTokens, outputTokens };
		const id = ticketId(ticket);
		const isHere = [...unsettledIn(state), ...state.facts.reservations].some(
			(run) => ticketId(run) === id,
		);
		if (isHere)
			return done(
				turn(state, { ...base, type: "usage", ticket, ...used }).state,
				null,
			);
		const record = state.runs[id];
		const kept = record && record.generation >= state.purged ? record : null;
		const after = kept
			? {
					...state,
					runs: {
						...state.runs,
						[id]: stepRun(kept, { type: "usage", ...used }),
					},
				}
			: state;
		const isOfGeneration = ticket.generation === state.facts.generation;
		return done(this.#counted(after, ticket, used, isOfGeneration), null);
	}

	// ── commands

	/** Once for each id that it may carry, whatever it found to do. */
	#command(
		state: SequentialState,
		call: HistoryCall & { call: "reset" | "abort" | "delete" },
		event: SessionEvent & { type: "reset" | "abort" | "delete" },
		index: number,
	): Way {
		const { messageId } = call.given;
		const known = messageId && state.messages[messageId];
		if (known)
			return known.kind === call.call
				? done(state, { result: "nothing", row: rowIn(state) })
				: refused(state, "INVALID_ARGUMENT");
		const way = this.#stop(state, event, index);
		const isStale =
			way.told !== null &&
			"answer" in way.told &&
			(way.told.answer as HistoryAnswer).result === "stale";
		if (!messageId || isStale || way.state.facts.version === 0) return way;
		const note: KnownMessage = {
			kind: call.call,
			fate: "taken",
			run: null,
			input: null,
			edited: false,
			generation: way.state.facts.generation,
		};
		const messages = { ...way.state.messages, [messageId]: note };
		return { ...way, state: { ...way.state, messages } };
	}

	#resetEvent(
		state: SequentialState,
		{ given }: HistoryCall & { call: "reset" },
		index: number,
	): SessionEvent & { type: "reset" } {
		const fresh = this.#newGeneration(state, given.expect, index);
		return {
			...base,
			type: "reset",
			cause: "reset",
			sessionId: given.sessionId ?? fresh.sessionId,
			meta: given.meta ?? fresh.meta,
			reason: given.reason ?? null,
			queued: given.queued ?? "keep",
			expect: given.expect,
			hook: false,
			grant: this.#grant(index),
		};
	}

	#stopEvent(
		call: HistoryCall & { call: "abort" | "delete" },
	): SessionEvent & { type: "abort" | "delete" } {
		const { reason = null, queued, expect } = call.given;
		return call.call === "abort"
			? {
					...base,
					type: "abort",
					cause: "abort",
					reason,
					queued: queued ?? "keep",
					expect,
				}
			: {
					...base,
					type: "delete",
					reason,
					queued: queued ?? "drop",
					purge: call.given.purge ?? false,
					expect,
					hook: false,
				};
	}

	#stop(
		state: SequentialState,
		event: SessionEvent & { type: "reset" | "abort" | "delete" },
		index: number,
	): Way {
		const turned = turn(state, event);
		const { reply, state: after } = turned;
		if (reply?.result !== "done") return this.#refusal(after, reply);
		const { facts } = after;
		const ends = facts.generation !== state.facts.generation;
		const pending: Pending = {
			older: ends || state.facts.hidden ? facts.generation : 0,
			stopped: [
				...turned.stops.map(({ run }) => run),
				...turned.settled.filter(({ outcome }) => outcome !== null),
			].map(ticketId),
			removed: turned.removed,
			ended: ends && !state.facts.hidden ? state.facts.generation : null,
			wasHidden: facts.hidden,
			row: rowIn(after),
			lastRow: lastRowIn(state),
		};
		return goesOn({
			...after,
			pending: { ...after.pending, [index]: pending },
		});
	}

	/** Once nothing that it stopped is live. */
	#drained(state: SequentialState, index: number): Way[] {
		const { [index]: own, ...pending } = state.pending;
		if (!own) return [];
		const { facts } = state;
		const isLeft = (run: RunFacts) => own.stopped.includes(ticketId(run));
		const drains = facts.draining.some(
			({ run }) => run.generation < own.older || isLeft(run),
		);
		if (drains || (facts.run && isLeft(facts.run))) return [];
		const ended =
			own.ended === null ? null : (state.generations[own.ended] ?? null);
		const { lastRow } = own;
		const last =
			lastRow && (state.generations[lastRow.generation]?.row ?? lastRow);
		const row = own.wasHidden
			? (ended?.row ?? last)
			: (rowIn(state) ?? own.row);
		const after = { ...state, pending };
		if (!row) return [done(after, { result: "nothing", row: null })];
		const over = own.stopped
			.map((id) => state.runs[id])
			.filter((run) => run !== undefined && run.outcome !== null)
			.map((run) => {
				const { runId, attempt, outcome, stop } = run as RunFacts;
				return { runId, attempt, outcome, stoppedBy: stop?.cause ?? null };
			})
			.sort((a, b) => (ticketText(a) < ticketText(b) ? -1 : 1));
		return [
			done(after, {
				result: "done",
				row,
				report: {
					ended: ended && {
						generation: ended.generation,
						endedBy: ended.endedBy,
					},
					drained: over.filter(({ outcome }) => outcome !== "abandoned"),
					abandoned: over.filter(({ outcome }) => outcome === "abandoned"),
					removed: [...own.removed].sort(),
				},
			}),
		];
	}

	#refusal(state: SequentialState, reply: Reply | null): Way {
		const row = rowIn(state);
		return reply?.result === "stale"
			? done(state, { result: "stale", mismatch: reply.mismatch, row })
			: done(state, { result: "nothing", row });
	}

	#answer(state: SequentialState, event: SessionEvent): Way {
		const { state: after, reply } = turn(state, event);
		if (reply?.result !== "done") return this.#refusal(after, reply);
		return done(after, { result: "done", row: rowIn(after) });
	}

	#change(
		state: SequentialState,
		event: SessionEvent & { type: "edit" | "remove" },
	): Way {
		const { state: after, reply } = turn(state, event);
		const row = rowIn(after);
		if (reply?.result === "done")
			return done(after, { result: "done", ...(row ? { row } : {}) });
		if (
			reply?.result === "nothing" &&
			state.messages[event.messageId]?.kind === "message"
		)
			return done(after, { result: "stale", mismatch: "messageId", row });
		return this.#refusal(after, reply);
	}

	// ── what runs do

	/** Whatever a run may ask only while it is live and was not told to stop. */
	#asked(
		state: SequentialState,
		ticket: RunTicket,
		event: SessionEvent & { type: "append" | "rotate" },
		answer: (after: SequentialState) => unknown = () => null,
	): Way[] {
		const { state: after, reply } = turn(state, event);
		if (reply?.result !== "done") return [refused(state, "STALE_RUN")];
		const ways = [done(after, answer(after))];
		if (event.type === "rotate" && state.fired[ticketId(ticket)])
			ways.push(refused(state, "STALE_RUN"));
		return ways;
	}

	#waits(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.waitFor" },
	): Way[] {
		const { ticket, name } = given;
		const { state: after, reply } = turn(state, {
			...base,
			type: "wait",
			ticket,
			name,
			deadline: null,
		});
		if (reply?.result === "known") return [done(after, reply.value)];
		if (reply?.result !== "done") return [refused(state, "STALE_RUN")];
		const ways = [goesOn(after)];
		if (state.fired[ticketId(ticket)]) ways.push(refused(state, "STALE_RUN"));
		return ways;
	}

	#answered(
		state: SequentialState,
		{ given, error }: HistoryCall & { call: "run.waitFor" },
	): Way[] {
		const { ticket, name } = given;
		if (error === "WAIT_TIMEOUT") return this.#givenUp(state, given);
		const answers = runIn(state, ticket)?.answers ?? [];
		const ways = answers
			.filter((one) => one.name === name)
			.map(({ value }) => done(state, value));
		if (isStopped(state, ticket))
			ways.push(refused(state, "RUN_ABORTED"), refused(state, "STALE_RUN"));
		return ways;
	}

	#givenUp(
		state: SequentialState,
		{ ticket, name }: { readonly ticket: RunTicket; readonly name: string },
	): Way[] {
		const after = turn(state, { ...base, type: "unwait", ticket, name }).state;
		return [refused(after, "WAIT_TIMEOUT")];
	}

	/** A wait whose commit failed is given up, in case that it held. */
	unwaits(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.waitFor" },
	): Way[] {
		return this.#givenUp(state, given).map((way) => happened(way.state));
	}

	/** A run that was admitted although its caller was told that it failed has nobody to end it. */
	orphans(
		state: SequentialState,
		{ given }: HistoryCall & { call: "admit" },
		index: number,
	): Way[] {
		const runId = given.runId ?? markOf("run", index);
		const orphan = unsettledIn(state).find(
			(run) => run.runId === runId && run.driver === "host",
		);
		if (!orphan) return [];
		const { state: after } = turn(state, {
			...base,
			type: "settled",
			grant: this.#grant(index),
			ticket: ticketOf(orphan),
			end: { at: 0, outcome: "interrupted" },
		});
		return [happened(after)];
	}

	#delivers(
		state: SequentialState,
		call: HistoryCall & { call: "run.deliver" },
	): Way[] {
		const { ticket, name } = call.given;
		const id = `${ticketId(ticket)} ${name}`;
		const isAnswered = call.told !== undefined || call.error !== undefined;
		const begun = {
			...state,
			untold: isAnswered
				? state.untold.filter((one) => one !== id)
				: [...state.untold, id],
		};
		const ways = this.#intends(begun, call.given, false);
		return state.untold.includes(id)
			? [...ways, ...this.#intends(begun, call.given, true)]
			: ways;
	}

	#intends(
		state: SequentialState,
		{ ticket, name }: { readonly ticket: RunTicket; readonly name: string },
		unbegun: boolean,
	): Way[] {
		const { state: after, reply } = turn(state, {
			...base,
			type: "deliver",
			ticket,
			name,
			unbegun,
		});
		if (reply?.result === "known") return [done(after, reply.value)];
		if (reply?.result === "used") return [refused(state, "INVALID_ARGUMENT")];
		if (reply?.result !== "done") return [refused(state, "STALE_RUN")];
		const ways = [goesOn(after)];
		if (state.fired[ticketId(ticket)]) ways.push(refused(state, "STALE_RUN"));
		return ways;
	}

	#delivered(
		state: SequentialState,
		{ given, told, error }: HistoryCall & { call: "run.deliver" },
	): Way[] {
		const { ticket, name } = given;
		// Told to stop while the intent was on its way: nothing was done.
		if (error === "STALE_RUN")
			return isStopped(state, ticket) ? [refused(state, error)] : [];
		const step = {
			type: "delivered",
			name,
			status: error === undefined ? "done" : "failed",
			result: told ?? null,
		} as const;
		const isHere = [
			...unsettledIn(state),
			...state.facts.reservations,
			...state.facts.retries,
		].some((run) => ownsRun(run, ticket));
		const record = state.runs[ticketId(ticket)];
		const after = isHere
			? turn(state, { ...base, ...step, ticket }).state
			: record
				? {
						...state,
						runs: {
							...state.runs,
							[ticketId(ticket)]: stepRun(record, step),
						},
					}
				: state;
		return [
			error === undefined ? done(after, told ?? null) : refused(after, error),
		];
	}

	// ── what happens to runs

	/** True of any time from when it was taken; it begins but once. */
	#began(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.began" },
	): Way[] {
		const { ticket, messageIds } = given;
		const settled = recordsIn(state).filter(({ outcome }) => outcome !== null);
		return [...unsettledIn(state), ...settled]
			.filter(
				(run) =>
					run.driver === "managed" &&
					run.generation === ticket.generation &&
					run.attempt === ticket.attempt &&
					!state.began.includes(ticketId(run)) &&
					(run.runId === ticket.runId || marks.test(run.runId)) &&
					(!messageIds || isSubset(messageIds, run.messageIds)),
			)
			.map((run) => ({
				state: { ...state, began: [...state.began, ticketId(run)].sort() },
				told: { answer: { ticket: ticketOf(run) } },
				isOver: true,
			}));
	}

	#ended(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.ended" },
		index: number,
	): Way {
		const { ticket, outcome, error } = given;
		const turned = turn(state, {
			...base,
			type: "settled",
			grant: this.#grant(index),
			ticket,
			end: {
				at: 0,
				outcome,
				error,
				stoppedBy: state.fired[ticketId(ticket)],
			},
		});
		const [run] = turned.settled;
		// Whatever it says comes too late.
		if (!run) return refused(turned.state, "already over");
		return done(turned.state, {
			outcome: run.outcome,
			stoppedBy: run.stop?.cause ?? null,
		});
	}

	#overdue(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.overdue" },
		index: number,
	): Way[] {
		const { ticket } = given;
		if (!isStopped(state, ticket)) return [];
		const turned = turn(state, {
			...base,
			type: "overdue",
			grant: this.#grant(index),
			ticket,
			stoppedBy: state.fired[ticketId(ticket)],
		});
		return turned.settled.length > 0 ? [done(turned.state, null)] : [];
	}

	#released(
		state: SequentialState,
		{ given }: HistoryCall & { call: "run.released" },
		index: number,
	): Way {
		const { ticket } = given;
		const { facts } = state;
		const end = { at: 0, outcome: "interrupted" } as const;
		if (facts.reservations.some((run) => ownsRun(run, ticket)))
			return done(
				turn(state, {
					...base,
					type: "abort",
					cause: "shutdown",
					reason: "its host let it go",
					queued: "keep",
					expect: { runId: ticket.runId },
				}).state,
				null,
			);
		if (unsettledIn(state).some((run) => ownsRun(run, ticket)))
			return done(
				turn(state, {
					...base,
					type: "settled",
					grant: this.#grant(index),
					ticket,
					end,
				}).state,
				null,
			);
		const id = ticketId(ticket);
		const record = state.runs[id];
		if (!record || record.outcome !== null) return done(state, null);
		const run = stepRun(record, { type: "settle", end });
		return done({ ...state, runs: { ...state.runs, [id]: run } }, null);
	}

	/** All that ran is settled before anything else is served. */
	#restart(state: SequentialState): Way {
		let after = state;
		for (let run = unsettledIn(after)[0]; run; run = unsettledIn(after)[0])
			after = turn(after, {
				...base,
				type: "settled",
				ticket: ticketOf(run),
				end: { at: 0, outcome: "interrupted" },
				recovers: true,
			}).state;
		return goesOn({ ...after, fired: {}, pending: {} });
	}

	/** Then the line goes on. */
	#goOn(state: SequentialState, index: number): Way {
		const grant = this.#grant(index);
		return done(turn(state, { ...base, type: "take", grant }).state, null);
	}
}

function idOf(call: HistoryCall & { call: "send" }, index: number): string {
	return (
		call.given.messageId ?? call.told?.messageId ?? markOf("message", index)
	);
}

function isSubset(some: readonly string[], all: readonly string[]): boolean {
	return some.every(
		(id) => all.includes(id) || all.some((one) => marks.test(one)),
	);
}

function ticketText({
	runId,
	attempt,
}: {
	readonly runId: string;
	readonly attempt: number;
}): string {
	return `${runId}.${attempt}`;
}

/** The same text for the same JSON, whatever the order of its fields. */
export function textOf(value: unknown): string {
	return JSON.stringify(value, (_, part) =>
		typeof part === "object" && part !== null && !Array.isArray(part)
			? Object.fromEntries(
					Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)),
				)
			: part,
	);
}
