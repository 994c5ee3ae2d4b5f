/**
 * Owns the judgement in a simulation: what the store has come to hold, what the feed has told and what callers were answered, and which
 * promise is broken where these do not agree. Watches only; makes nothing happen, and knows no way to repair anything.
 */
import { isDeepStrictEqual } from "node:util";
import {
	isDraining,
	type Message,
	rowOf,
	type SessionFacts,
	type SessionRow,
	type StoredEntry,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { Verdict } from "../../machines/report.ts";
import { openWaits, type RunFacts } from "../../machines/run.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import type { RuntimeEvent, SendReceipt, Settled } from "../runtime.ts";
import {
	type Batch,
	isPurged,
	type PruneRule,
	type SessionWrite,
	type StoredMessage,
} from "../store.ts";

/** The promises, as the README names them. */
export const promises = {
	fenced: "only its owner's word counts",
	said: "nothing goes missing in silence",
	running: "running means running",
	reset: "a reset always wins and always heals",
	one: "one run at a time per session key",
	durable: "accepted is durable",
	truth: "one truth",
	released: "what ends a run releases all that it held",
	failed: "a failed write changes nothing",
	bounded: "memory follows the sessions in use",
} as const;

export type PromiseName = keyof typeof promises;

export interface Violation {
	readonly promise: PromiseName;
	readonly text: string;
}

/** A run that an executor was given. */
interface Execution {
	readonly ticket: RunTicket;
	readonly signal: AbortSignal;
	isReturned: boolean;
	disposed: number;
}

/** What one process life has shown. */
interface Life {
	readonly number: number;
	isOpen: boolean;
	isClosing: boolean;
	readonly executions: Map<string, Execution>;
	/** Runs that the feed said had ended. */
	readonly ended: Set<string>;
	/** The last thing that the feed said of a message. */
	readonly fates: Map<string, string>;
	readonly generations: Set<string>;
	seq: number;
}

export function runIdOf({
	sessionKey,
	runId,
	attempt,
}: Pick<RunTicket, "sessionKey" | "runId" | "attempt">): string {
	return `${sessionKey}/${runId}.${attempt}`;
}

export class Witness {
	violation: Violation | null = null;
	/** As the store holds them. */
	readonly facts = new Map<string, SessionFacts>();
	readonly #runs = new Map<string, RunFacts>();
	/** The ids by which the store tells duplicates. */
	readonly #messages = new Map<string, StoredMessage>();
	/** Ids that a message once had, erased or not. */
	readonly #everAccepted = new Set<string>();
	readonly #attempts = new Map<string, number>();
	/** In which life a run was first committed. */
	readonly #born = new Map<string, number>();
	/** Runs whose row was lost while they lived: nobody may know how they ended. */
	readonly #orphans = new Set<string>();
	/** Keys whose row cannot be read until it is written again. */
	readonly #lostRows = new Set<string>();
	/** Keys whose row was lost once: what was in it is known to nobody. */
	readonly #healed = new Set<string>();
	/** Messages that executors looked at, with the run that did. */
	readonly #seen = new Map<string, string>();
	readonly #erased = new Set<string>();
	/** Messages of which the caller was told that nothing holds. */
	readonly #failed = new Set<string>();
	/** What a message may have been sent with: one that was refused may come again with something else. */
	readonly #inputs = new Map<string, Set<string>>();
	readonly #sending = new Map<string, number>();
	readonly #sentTwice = new Set<string>();
	/** Runs that have waited once: they come back for their slot. */
	readonly #waited = new Set<string>();
	readonly #edited = new Set<string>();
	readonly #carriedOut = new Set<string>();
	/** What deliveries came to, by idempotency key. */
	readonly #delivered = new Map<string, string>();
	/** The run and name that an idempotency key is of. */
	readonly #effects = new Map<string, string>();
	readonly #answers = new Map<string, Set<string>>();
	readonly #told = new Map<string, number>();
	/** Reports that were not applied, by the mark in them, with how often the store was given them. */
	readonly #refusals = new Map<string, number>();
	#erasesRefusals = false;
	#life: Life = newLife(0);
	#mostRuns: number | null = null;

	readonly #broken: (violation: Violation) => void;

	/** Tells at once when a promise is broken. */
	constructor(broken: (violation: Violation) => void) {
		this.#broken = broken;
	}

	/** A promise is broken; the first one counts. */
	break(promise: PromiseName, text: string): void {
		if (this.violation) return;
		this.violation = { promise, text };
		this.#broken(this.violation);
	}

	// ── lives

	begin(mostRuns: number | null): void {
		this.#life = newLife(this.#life.number + 1);
		this.#mostRuns = mostRuns;
	}

	/** Everything that a dead process left was settled before anything else is served. */
	opened(): void {
		this.#life.isOpen = true;
		for (const [key, facts] of this.facts) {
			if (this.#lostRows.has(key)) continue;
			for (const run of unsettledOf(facts)) {
				const born = this.#born.get(runIdOf(run));
				if (born === this.#life.number || run.leaseMs !== null) continue;
				this.break(
					"running",
					`session ${key} has run ${runIdOf(run)} unsettled after the start, and the process that had it is gone`,
				);
			}
		}
	}

	closing(): void {
		this.#life.isClosing = true;
	}

	// ── the store

	held(batch: Batch): void {
		for (const write of batch.sessions) this.#write(write);
		for (const { report } of batch.refusals) {
			const { mark } = report as { mark?: string };
			if (mark !== undefined)
				this.#refusals.set(mark, (this.#refusals.get(mark) ?? 0) + 1);
		}
	}

	pruned(rule: PruneRule): void {
		if (rule.of === "messages")
			for (const [id, message] of this.#messages)
				if (
					message.fate !== "queued" &&
					message.acceptedAt < rule.acceptedBefore
				)
					this.#forget(id);
		if (rule.of === "refusals") this.#erasesRefusals = true;
		if (rule.of === "generations" && "sessionKey" in rule)
			this.#forgetRuns(rule.sessionKey, rule.before);
	}

	#write(write: SessionWrite): void {
		const { sessionKey: key, facts, baseVersion } = write;
		const before = this.facts.get(key) ?? null;
		const wasLost = facts !== null && this.#lostRows.delete(key);
		if ((before?.version ?? 0) !== baseVersion)
			this.break(
				"truth",
				`a commit on session ${key} was made on version ${baseVersion} and taken on ${before?.version ?? 0}`,
			);
		const after = facts ?? before;
		for (const message of write.messages) this.#note(key, message);
		const written = new Set(write.runs.map(runIdOf));
		for (const run of write.runs) this.#file(run);
		if (facts) {
			for (const run of [
				...unsettledOf(facts),
				...facts.reservations,
				...facts.retries,
			])
				this.#file(run);
			if (before) this.#compare(before, facts, written, wasLost);
			this.facts.set(key, facts);
			this.#checkFacts(facts, wasLost);
		}
		for (const entry of write.entries)
			if (after) this.#append(after, before, entry);
		if (write.purgeBefore !== null) this.#purge(key, write.purgeBefore);
	}

	/** The row of a key cannot be read any more. */
	lost(key: string): void {
		this.#lostRows.add(key);
	}

	/** Whether the row of a key was lost and made anew, so that nobody knows what was in it. */
	wasLost(key: string): boolean {
		return this.#healed.has(key);
	}

	/** What is no longer unsettled must have been written. */
	#compare(
		before: SessionFacts,
		after: SessionFacts,
		written: ReadonlySet<string>,
		wasLost: boolean,
	): void {
		const key = after.sessionKey;
		if (after.version <= before.version)
			this.break(
				"truth",
				`session ${key} went from version ${before.version} to ${after.version}`,
			);
		if (after.generation < before.generation)
			this.break(
				"reset",
				`session ${key} went from generation ${before.generation} back to ${after.generation}`,
			);
		const now = new Set([...unsettledOf(after), ...after.retries].map(runIdOf));
		for (const run of unsettledOf(before)) {
			const id = runIdOf(run);
			if (now.has(id) || written.has(id)) continue;
			if (wasLost) this.#orphans.add(id);
			else
				this.break(
					"said",
					`run ${id} left session ${key} in version ${after.version} without a word of how it ended`,
				);
		}
	}

	#checkFacts(facts: SessionFacts, wasLost: boolean): void {
		const { sessionKey: key, run, generation } = facts;
		if (run && run.generation !== generation)
			this.break(
				"fenced",
				`session ${key} is in generation ${generation} and runs ${runIdOf(run)} of generation ${run.generation}`,
			);
		if (run && run.outcome !== null)
			this.break(
				"running",
				`session ${key} runs ${runIdOf(run)}, which was ${run.outcome}`,
			);
		for (const { run: old } of facts.draining)
			if (old.generation >= generation)
				this.break(
					"reset",
					`run ${runIdOf(old)} of generation ${old.generation} drains in generation ${generation}`,
				);
		const waiting = new Set<string>();
		for (const { messageId } of facts.queue) {
			if (waiting.has(messageId))
				this.break(
					"durable",
					`message ${messageId} stands in line of session ${key} twice`,
				);
			waiting.add(messageId);
			const { fate } = this.#messages.get(`${key}/${messageId}`) ?? {};
			if (fate !== "queued")
				this.break(
					"durable",
					`message ${messageId} waits on session ${key}, and the store says that it was ${fate ?? "never accepted"}`,
				);
		}
		if (!wasLost)
			for (const [id, message] of this.#messages)
				if (
					message.fate === "queued" &&
					message.kind === "message" &&
					id === `${key}/${message.messageId}` &&
					!waiting.has(message.messageId)
				)
					this.break(
						"durable",
						`message ${id} was accepted and waits, and session ${key} has lost it from its line`,
					);
		if (wasLost || this.#healed.has(key)) {
			this.#healed.add(key);
			return;
		}
		let input = 0;
		let output = 0;
		for (const one of this.#runs.values())
			if (one.sessionKey === key && one.generation === generation) {
				input += one.inputTokens;
				output += one.outputTokens;
			}
		if (facts.inputTokens !== input || facts.outputTokens !== output)
			this.break(
				"fenced",
				`session ${key} says ${facts.inputTokens} + ${facts.outputTokens} tokens in generation ${generation}, and its runs used ${input} + ${output}`,
			);
	}
	#note(key: string, message: StoredMessage): void {
		const id = `${key}/${message.messageId}`;
		const known = this.#messages.get(id);
		if (known && known.kind === "message" && message.kind === "message") {
			if (known.seq !== message.seq)
				this.break(
					"durable",
					`message ${id} was accepted a second time, as number ${message.seq} after ${known.seq}`,
				);
			if (known.fate === "removed" && message.fate !== "removed")
				this.break(
					"durable",
					`message ${id} was removed, and then ${message.fate}`,
				);
		}
		this.#messages.set(id, message);
		if (message.kind !== "message") return;
		if (this.#failed.has(id)) this.#holds(id);
		this.#everAccepted.add(id);
	}

	#file(run: RunFacts): void {
		const id = runIdOf(run);
		const known = this.#runs.get(id);
		if (known === run) return;
		const isAnother =
			known?.generation !== run.generation && this.#erased.delete(id);
		if (!known || isAnother) {
			this.#born.set(id, this.#life.number);
			const name = `${run.sessionKey}/${run.runId}`;
			const attempts = this.#attempts.get(name) ?? 0;
			if (run.attempt <= attempts && !this.#healed.has(run.sessionKey))
				this.break(
					"fenced",
					`run ${name} has attempt ${run.attempt} after ${attempts}`,
				);
			this.#attempts.set(name, Math.max(attempts, run.attempt));
		} else {
			if (known.generation !== run.generation)
				this.break(
					"fenced",
					`run ${id} went from generation ${known.generation} to ${run.generation}`,
				);
			if (known.outcome !== null && run.outcome !== known.outcome)
				this.break(
					"fenced",
					`run ${id} was ${known.outcome}, and then ${run.outcome ?? "unsettled"}`,
				);
			if (
				run.inputTokens < known.inputTokens ||
				run.outputTokens < known.outputTokens
			)
				this.break("fenced", `run ${id} has used less than before`);
			for (const { name, status, attempt } of known.deliveries)
				if (
					status === "done" &&
					!run.deliveries.some(
						(one) => one.name === name && one.status === "done",
					)
				)
					this.break(
						"fenced",
						`delivery ${name} of run ${id} was done by attempt ${attempt}, and is not any more`,
					);
		}
		if (run.waits.length > 0 || run.answers.length > 0) this.#waited.add(id);
		this.#runs.set(id, run);
	}

	#append(
		after: SessionFacts,
		before: SessionFacts | null,
		entry: StoredEntry,
	): void {
		const { sessionKey: key, seq, runId, attempt, generation } = entry;
		if (before && seq <= before.entries) return;
		const run = this.#runs.get(runIdOf(entry));
		if (!run || run.generation !== generation)
			this.break(
				"fenced",
				`entry ${seq} of session ${key} is of run ${runId}.${attempt}, which generation ${generation} does not know`,
			);
		else if (!run.sessionIds.includes(entry.sessionId))
			this.break(
				"fenced",
				`entry ${seq} of session ${key} is of session id ${entry.sessionId}, which run ${runIdOf(run)} never had`,
			);
		const by = (entry.entry as { by?: string } | null)?.by;
		if (by !== undefined && by !== `${runId}.${attempt}`)
			this.break(
				"fenced",
				`entry ${seq} of session ${key} was appended by ${by} and filed under ${runId}.${attempt}`,
			);
		if (generation > after.generation)
			this.break(
				"fenced",
				`entry ${seq} of session ${key} is of generation ${generation}, which has not begun`,
			);
	}

	#purge(key: string, before: number): void {
		for (const [id, message] of this.#messages)
			if (id.startsWith(`${key}/`) && isPurged(message, before))
				this.#forget(id);
		this.#forgetRuns(key, before);
		this.#erasesRefusals = true;
	}

	/** Their records were erased: who uses a run id again may begin with the first attempt. */
	#forgetRuns(key: string, before: number): void {
		for (const [id, run] of this.#runs)
			if (run.sessionKey === key && run.generation < before) {
				this.#erased.add(id);
				this.#attempts.delete(`${key}/${run.runId}`);
			}
	}

	/** Its id was erased: who sends it again sends a new message. */
	#forget(id: string): void {
		this.#messages.delete(id);
		this.#seen.delete(id);
		this.#erased.add(id);
	}

	// ── the feed

	told(event: RuntimeEvent): void {
		const life = this.#life;
		if (event.seq <= life.seq)
			this.break(
				"truth",
				`the feed says number ${event.seq} after ${life.seq}`,
			);
		life.seq = event.seq;
		if (event.type === "row") this.#toldRow(event.row);
		else if (event.type === "deleted")
			this.#toldVersion(event.sessionKey, event.version);
		else if (event.type === "message")
			life.fates.set(`${event.sessionKey}/${event.messageId}`, event.fate);
		else if (event.type === "run") {
			const { run } = event;
			const id = runIdOf(run);
			life.ended.add(id);
			const known = this.#runs.get(id);
			if (known?.outcome !== run.outcome)
				this.break(
					"truth",
					`the feed says that run ${id} was ${run.outcome}, and the store says ${known?.outcome ?? "nothing"}`,
				);
		} else if (event.type === "generation") {
			const { sessionKey, generation } = event.ended;
			const id = `${sessionKey}/${generation}`;
			if (life.generations.has(id))
				this.break("truth", `the feed says twice that generation ${id} ended`);
			life.generations.add(id);
			if ((this.facts.get(sessionKey)?.generation ?? 0) <= generation)
				this.break(
					"truth",
					`the feed says that generation ${id} ended, and the store is still in it`,
				);
		}
	}

	#toldVersion(key: string, version: number): void {
		const before = this.#told.get(key) ?? 0;
		if (version <= before)
			this.break(
				"truth",
				`the feed says version ${version} of session ${key} after ${before}`,
			);
		this.#told.set(key, version);
		const held = this.facts.get(key)?.version ?? 0;
		if (version > held)
			this.break(
				"truth",
				`the feed says version ${version} of session ${key}, and the store holds ${held}`,
			);
	}

	#toldRow(row: SessionRow): void {
		this.#toldVersion(row.sessionKey, row.version);
		this.row(row, "the feed");
	}

	/** A row that somebody was shown. */
	row(row: SessionRow, where: string): void {
		const { sessionKey: key, status, hasActiveRun, activeRun } = row;
		const runs = status === "running" || status === "waiting";
		if (hasActiveRun !== runs || (activeRun !== null) !== runs)
			this.break(
				"running",
				`${where} says that session ${key} is ${status} with hasActiveRun ${hasActiveRun}`,
			);
		if (row.waits.length > 0 !== (status === "waiting"))
			this.break(
				"running",
				`${where} says that session ${key} is ${status} and waits for ${JSON.stringify(row.waits)}`,
			);
		if (activeRun && activeRun.generation !== row.generation)
			this.break(
				"fenced",
				`${where} says that session ${key} of generation ${row.generation} runs one of ${activeRun.generation}`,
			);
		const facts = this.facts.get(key);
		if (!facts || row.version > facts.version)
			this.break(
				"truth",
				`${where} says version ${row.version} of session ${key}, and the store holds ${facts?.version ?? 0}`,
			);
		else if (
			row.version === facts.version &&
			!facts.hidden &&
			!isDeepStrictEqual(row, rowOf(facts))
		)
			this.break(
				"truth",
				`${where} says of version ${row.version} of session ${key} what the store does not hold`,
			);
	}

	/** A read that was asked after the feed had told so much. */
	read(key: string, row: SessionRow | null, told: number): void {
		if (row) this.row(row, "get");
		if (row && row.version < told)
			this.break(
				"truth",
				`get says version ${row.version} of session ${key} after the feed had said ${told}`,
			);
	}

	toldOf(key: string): number {
		return this.#told.get(key) ?? 0;
	}

	// ── messages

	/** A message is about to be sent. */
	sent(key: string, messageId: string, input: JsonValue): void {
		const id = `${key}/${messageId}`;
		const known = this.#inputs.get(id) ?? new Set();
		this.#inputs.set(id, known.add(JSON.stringify(input)));
		this.#failed.delete(id);
		const sending = (this.#sending.get(id) ?? 0) + 1;
		this.#sending.set(id, sending);
		if (sending > 1) this.#sentTwice.add(id);
	}

	/** It was answered, however. */
	answeredTo(key: string, messageId: string): void {
		const id = `${key}/${messageId}`;
		const left = (this.#sending.get(id) ?? 0) - 1;
		if (left > 0) this.#sending.set(id, left);
		else this.#sending.delete(id);
	}

	/** With what the store keeps it, if it keeps it. */
	inputOf(key: string, messageId: string): JsonValue | null {
		const known = this.#messages.get(`${key}/${messageId}`);
		return known?.kind === "message" ? known.input : null;
	}

	/** Whether a deleted session has messages in line, and may take no other one. */
	isFull(key: string): boolean {
		const { hidden, queue = [] } = this.facts.get(key) ?? {};
		return hidden === true && queue.length > 0;
	}

	/** It was given another input. */
	edited(key: string, messageId: string): void {
		this.#edited.add(`${key}/${messageId}`);
	}

	/** A command was done that carries this id: no other one with it is, unless the id was erased. */
	carriedOut(key: string, messageId: string): void {
		const id = `${key}/${messageId}`;
		if (this.#carriedOut.has(id) && !this.#erased.has(id))
			this.break("durable", `command ${id} was carried out twice`);
		this.#carriedOut.add(id);
	}

	accepted(key: string, receipt: SendReceipt): void {
		const { messageId, disposition, ticket } = receipt;
		const id = `${key}/${messageId}`;
		if (!this.#everAccepted.has(id))
			this.break(
				"durable",
				`message ${id} was answered ${disposition}, and the store does not hold it`,
			);
		if (disposition === "started" && !ticket)
			this.break("said", `message ${id} was started by no run`);
	}

	/** The answer was that nothing of it holds. */
	failed(key: string, messageId: string): void {
		const id = `${key}/${messageId}`;
		// Of calls that overlap, another one may have been kept.
		if (this.#sentTwice.has(id)) return;
		if (this.#everAccepted.has(id)) this.#holds(id);
		else this.#failed.add(id);
	}

	#holds(id: string): void {
		this.break(
			"failed",
			`message ${id} was answered that nothing of it holds, and the store holds it`,
		);
	}

	settled(key: string, messageId: string, settled: Settled): void {
		const id = `${key}/${messageId}`;
		const { outcome, ticket } = settled;
		// A runtime that closes says of what still waits that it did not end here.
		if (this.#life.isClosing && outcome === "interrupted") return;
		const fate = this.#messages.get(id)?.fate;
		if (outcome === "removed") {
			// Of a run whose record was erased, or lost with its row, nothing else is known.
			const runId = ticket && runIdOf(ticket);
			if (runId && (this.#erased.has(runId) || this.#orphans.has(runId)))
				return;
			if (ticket !== null || (fate !== undefined && fate !== "removed"))
				this.break(
					"said",
					`the receipt of message ${id} says removed, and the store says ${fate}`,
				);
			return;
		}
		const run = ticket && this.#runs.get(runIdOf(ticket));
		if (run?.outcome !== outcome)
			this.break(
				"said",
				`the receipt of message ${id} says ${outcome}, and its run was ${run?.outcome ?? "never heard of"}`,
			);
		else if (!run.messageIds.includes(messageId))
			this.break(
				"said",
				`the receipt of message ${id} names run ${runIdOf(run)}, which was not given it`,
			);
	}

	// ── runs

	executes(
		ticket: RunTicket,
		signal: AbortSignal,
		messages: readonly Message[],
	): Execution {
		const id = runIdOf(ticket);
		const life = this.#life;
		const execution = { ticket, signal, isReturned: false, disposed: 0 };
		if (life.executions.has(id))
			this.break("one", `run ${id} is executed twice by one process`);
		const run = this.#runs.get(id);
		if (!run)
			this.break("durable", `run ${id} is executed before it is committed`);
		else if (run.outcome !== null)
			this.break("fenced", `run ${id} is executed and was ${run.outcome}`);
		for (const other of life.executions.values())
			if (
				other.ticket.sessionKey === ticket.sessionKey &&
				!this.#isOver(other.ticket) &&
				this.facts
					.get(ticket.sessionKey)
					?.draining.every(
						({ run: old }) => runIdOf(old) !== runIdOf(other.ticket),
					)
			)
				this.break(
					"one",
					`session ${ticket.sessionKey} executes ${id} while ${runIdOf(other.ticket)} has not settled`,
				);
		life.executions.set(id, execution);
		for (const message of messages) this.looked(ticket, message);
		this.#checkSlots();
		return execution;
	}

	#isOver(ticket: RunTicket): boolean {
		const run = this.#runs.get(runIdOf(ticket));
		return run === undefined || run.outcome !== null;
	}

	/** Those that never waited hold a slot from their start to their end. */
	#checkSlots(): void {
		if (this.#mostRuns === null) return;
		let count = 0;
		for (const { ticket } of this.#life.executions.values()) {
			const run = this.#runs.get(runIdOf(ticket));
			if (!run || run.outcome !== null || run.ancestors.length > 0) continue;
			if (this.#orphans.has(runIdOf(run))) continue;
			if (!this.#waited.has(runIdOf(run))) count += 1;
		}
		if (count > this.#mostRuns)
			this.break(
				"one",
				`${count} runs execute at once, and maxConcurrentRuns is ${this.#mostRuns}`,
			);
	}

	/** A start that failed may have committed what the feed never tells. */
	startFailed(): void {
		this.#life.fates.clear();
	}

	/** An executor looked at a message. */
	looked(ticket: RunTicket, { messageId, input }: Message): void {
		const id = `${ticket.sessionKey}/${messageId}`;
		const before = this.#seen.get(id);
		// What is sent anew once its id was forgotten is another message.
		if (
			before !== undefined &&
			before !== ticket.runId &&
			!this.#erased.has(id)
		)
			this.break(
				"durable",
				`message ${id} was given to run ${before}, and then to ${ticket.runId}`,
			);
		this.#seen.set(id, ticket.runId);
		const sent = this.#inputs.get(id);
		if (!sent || this.#edited.has(id)) return;
		const given = JSON.stringify(input);
		if (!sent.has(given))
			this.break(
				"durable",
				`message ${id} was sent as ${[...sent].join(" or ")} and given to run ${ticket.runId} as ${given}`,
			);
	}

	/** An effect is about to go out. */
	effect(ticket: RunTicket, name: string, idempotencyKey: string): void {
		const facts = this.facts.get(ticket.sessionKey);
		const id = runIdOf(ticket);
		const of = `${ticket.sessionKey}/${ticket.runId}/${name}`;
		if (this.#delivered.has(idempotencyKey))
			this.break(
				"fenced",
				`delivery ${name} of run ${id} goes out again, and was done`,
			);
		const known = this.#effects.get(idempotencyKey);
		if (known !== undefined && known !== of)
			this.break(
				"fenced",
				`deliveries ${known} and ${of} have one idempotency key`,
			);
		this.#effects.set(idempotencyKey, of);
		if (this.#lostRows.has(ticket.sessionKey)) return;
		if (facts?.run && runIdOf(facts.run) === id) {
			const intent = facts.run.deliveries.find((one) => one.name === name);
			if (intent?.status !== "begun")
				this.break(
					"fenced",
					`delivery ${name} of run ${id} goes out before its intent is committed`,
				);
			if (facts.run.stop !== null)
				this.break(
					"fenced",
					`delivery ${name} of run ${id} goes out after the run was told to stop`,
				);
		} else
			this.break(
				"fenced",
				`delivery ${name} of run ${id} goes out, and session ${ticket.sessionKey} does not run it`,
			);
	}

	delivered(idempotencyKey: string, result: JsonValue): void {
		const said = JSON.stringify(result);
		const known = this.#delivered.get(idempotencyKey);
		if (known !== undefined && known !== said)
			this.break(
				"fenced",
				`a delivery came to ${known}, and a later attempt was told ${said}`,
			);
		this.#delivered.set(idempotencyKey, said);
	}

	/** Somebody is about to answer a wait. */
	answers(ticket: RunTicket, name: string, value: JsonValue): void {
		const id = `${ticket.sessionKey}/${ticket.runId}/${name}`;
		const known = this.#answers.get(id) ?? new Set();
		this.#answers.set(id, known.add(JSON.stringify(value)));
	}

	answered(ticket: RunTicket, name: string, value: JsonValue): void {
		const id = `${ticket.sessionKey}/${ticket.runId}/${name}`;
		if (!this.#answers.get(id)?.has(JSON.stringify(value)))
			this.break(
				"fenced",
				`run ${runIdOf(ticket)} was answered ${JSON.stringify(value)} to ${name}, which nobody said`,
			);
	}

	// ── reports

	verdict(mark: string, isTerminal: boolean, verdict: Verdict): void {
		const { ticket } = verdict;
		if (verdict.verdict === "applied") {
			const run = ticket && this.#runs.get(runIdOf(ticket));
			if (!run)
				this.break(
					"said",
					`a report was applied to ${ticket ? runIdOf(ticket) : "nothing"}, which the store does not hold`,
				);
			else if (
				isTerminal &&
				run.outcome === null &&
				!this.#orphans.has(runIdOf(run))
			)
				this.break(
					"said",
					`the end of run ${runIdOf(run)} was applied, and it has not settled`,
				);
			if (verdict.row && ticket && verdict.row.generation !== ticket.generation)
				this.break(
					"fenced",
					`a report of generation ${ticket.generation} was applied to a row of ${verdict.row.generation}`,
				);
			return;
		}
		if (!this.#erasesRefusals && this.#refusals.get(mark) !== 1)
			this.break(
				"said",
				`a report was answered ${verdict.verdict}, and the store was given ${this.#refusals.get(mark) ?? 0} refusals of it`,
			);
	}

	// ── when nothing is under way

	/** The store is well, and all that was to be tried again has been. */
	calm(mayExecute: boolean): void {
		const life = this.#life;
		if (!life.isOpen) return;
		let holding = 0;
		for (const facts of this.facts.values())
			for (const run of unsettledOf(facts))
				if (run.driver === "managed" && run.ancestors.length === 0)
					holding += 1;
		for (const [key, facts] of this.facts) {
			if (this.#lostRows.has(key)) continue;
			for (const run of unsettledOf(facts)) {
				if (run.driver !== "managed") continue;
				const execution = life.executions.get(runIdOf(run));
				if (!execution)
					this.break(
						"running",
						`session ${key} has run ${runIdOf(run)} unsettled, and nobody executes it`,
					);
				if (run.stop && !execution?.signal.aborted)
					this.break(
						"released",
						`run ${runIdOf(run)} was told to stop, and its signal is silent`,
					);
			}
			const isFree = this.#mostRuns === null || holding < this.#mostRuns;
			if (
				mayExecute &&
				isFree &&
				facts.queue.length > 0 &&
				!facts.hidden &&
				!facts.run &&
				!isDraining(facts)
			)
				this.break(
					"said",
					`message ${facts.queue[0]?.messageId} waits on session ${key}, and nothing stands in its way`,
				);
			if (isDraining(facts))
				this.break(
					"reset",
					`session ${key} still drains when every grace period is over`,
				);
		}
		for (const [id, execution] of life.executions) {
			const run = this.#runs.get(id);
			if (run && run.outcome === null && !this.#orphans.has(id)) {
				const facts = this.facts.get(run.sessionKey);
				if (
					facts &&
					!this.#lostRows.has(run.sessionKey) &&
					!unsettledOf(facts).some((one) => runIdOf(one) === id)
				)
					this.break(
						"running",
						`run ${id} has not settled, and its session does not know it`,
					);
			} else if (run && !execution.signal.aborted && !execution.isReturned)
				this.break(
					"released",
					`run ${id} was ${run.outcome}, and its executor was never told`,
				);
		}
	}

	/** All has come to its end. */
	over(): void {
		const life = this.#life;
		const takenBy = new Map<string, string>();
		const died = new Set<string>();
		for (const run of this.#runs.values())
			for (const messageId of run.messageIds) {
				const id = `${run.sessionKey}/${messageId}`;
				const other = takenBy.get(id);
				if (other !== undefined && other !== run.runId && !this.#erased.has(id))
					this.break(
						"durable",
						`runs ${other} and ${run.runId} both have message ${id}`,
					);
				takenBy.set(id, run.runId);
				if (run.outcome === "interrupted") died.add(id);
			}
		for (const [key, facts] of this.facts) {
			const [run] = unsettledOf(facts);
			if (run)
				this.break("released", `run ${runIdOf(run)} never comes to its end`);
			if (facts.queue.length > 0)
				this.break(
					"said",
					`message ${facts.queue[0]?.messageId} waits on session ${key} for ever`,
				);
		}
		for (const [id, message] of this.#messages) {
			if (message.kind !== "message") continue;
			if (message.fate === "queued" && !this.#healed.size)
				this.break("said", `message ${id} waits for ever`);
			const key = id.slice(0, -message.messageId.length - 1);
			if (!this.#healed.has(key) && !this.#erased.has(id)) {
				const run = takenBy.get(id);
				// What is to be tried again may be taken back before it is.
				if (message.fate === "removed" && run !== undefined && !died.has(id))
					this.break(
						"durable",
						`message ${id} was removed, and run ${run} has it`,
					);
				if (message.fate === "taken" && run === undefined)
					this.break("durable", `message ${id} was taken, and no run has it`);
			}
			const fate = life.fates.get(id);
			if (fate !== undefined && fate !== message.fate)
				this.break(
					"truth",
					`the feed says last that message ${id} was ${fate}, and the store says ${message.fate}`,
				);
		}
		for (const [id, { disposed }] of life.executions) {
			if (disposed > 1)
				this.break("released", `the scope of run ${id} was disposed twice`);
			if (disposed === 0)
				this.break("released", `the scope of run ${id} was never disposed`);
			if (!life.ended.has(id) && !this.#orphans.has(id))
				this.break("truth", `the feed never says that run ${id} ended`);
		}
	}
}

function newLife(number: number): Life {
	return {
		number,
		isOpen: false,
		isClosing: false,
		executions: new Map(),
		ended: new Set(),
		fates: new Map(),
		generations: new Set(),
		seq: 0,
	};
}

/** What is live in it, or drains. */
function unsettledOf(facts: SessionFacts): readonly RunFacts[] {
	const draining = facts.draining.map(({ run }) => run);
	return facts.run ? [facts.run, ...draining] : draining;
}

export function isWaiting(run: RunFacts): boolean {
	return openWaits(run).length > 0;
}
