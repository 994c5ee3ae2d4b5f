/** Owns what a run's driver holds in its hands. A handle acts through the engine and keeps no fact of its own. */
import {
	type ArchivedGeneration,
	type Message,
	rowOf,
	type SessionFacts,
	type SessionRow,
} from "../machines/facts.ts";
import { addUsage } from "../machines/lifecycle.ts";
import type { Verdict } from "../machines/report.ts";
import { ownsRun, type RunFacts, stepRun } from "../machines/run.ts";
import type { RunTicket } from "../machines/ticket.ts";
import { checkOptionalName, shown } from "./arguments.ts";
import type { Engine } from "./engine.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import type { LiveRun } from "./registry.ts";
import type { Reports } from "./reports.ts";
import type { AdmittedRun, ManagedRun, Run } from "./runtime.ts";
import type { LiveSession } from "./session.ts";

class RunHandle<Meta> implements Run<Meta> {
	protected readonly engine: Engine<Meta>;
	protected readonly live: LiveRun;

	constructor(engine: Engine<Meta>, live: LiveRun) {
		this.engine = engine;
		this.live = live;
	}

	get ticket(): RunTicket {
		return this.live.ticket;
	}

	get signal(): AbortSignal {
		return this.live.signal;
	}

	get row(): SessionRow<Meta> {
		return rowOf<Meta>(this.live.facts as SessionFacts);
	}

	usage(tokens: { inputTokens?: number; outputTokens?: number }): void {
		const inputTokens = count(tokens?.inputTokens);
		const outputTokens = count(tokens?.outputTokens);
		if (inputTokens === 0 && outputTokens === 0) return;
		countUsage(this.engine, this.ticket, { inputTokens, outputTokens });
	}

	async rotate(options: { sessionId?: string } = {}): Promise<RunTicket> {
		const { engine, live } = this;
		const given = checkOptionalName(options.sessionId, "sessionId");
		const { sessionKey, generation, runId } = live.ticket;
		if (live.isAborted) throw staleRun(live.ticket);
		return new Promise((resolve, reject) => {
			engine.post(sessionKey, {
				event: () => ({
					type: "rotate",
					at: engine.now(),
					ticket: live.ticket,
					sessionId:
						given ?? engine.options.sessionId(sessionKey, generation, "rotate"),
				}),
				committed: ({ reply, after }) => {
					if (reply?.result === "done" && after.run?.runId === runId)
						resolve(live.ticket);
					else reject(staleRun(live.ticket));
				},
				failed: reject,
			});
		});
	}
}

/** The handle of a run that this runtime executes. */
export class ManagedHandle<Input, Meta>
	extends RunHandle<Meta>
	implements ManagedRun<Input, Meta>
{
	readonly messages: readonly Message<Input>[];

	constructor(
		engine: Engine<Meta>,
		live: LiveRun,
		messages: readonly Message<Input>[],
	) {
		super(engine, live);
		this.messages = messages;
	}
}

/** The handle of a run that the host drives. */
export class AdmittedHandle<Meta>
	extends RunHandle<Meta>
	implements AdmittedRun<Meta>
{
	readonly #reports: Reports<Meta>;

	constructor(engine: Engine<Meta>, live: LiveRun, reports: Reports<Meta>) {
		super(engine, live);
		this.#reports = reports;
	}

	start(options: { startedAt?: number } = {}): Promise<Verdict> {
		return this.#reports.take({ ...this.ticket, phase: "start", ...options });
	}

	end(options: Parameters<AdmittedRun["end"]>[0] = {}): Promise<Verdict> {
		return this.#reports.take({ ...this.ticket, phase: "end", ...options });
	}

	fail(
		error: unknown,
		options: Parameters<AdmittedRun["fail"]>[1] = {},
	): Promise<Verdict> {
		return this.#reports.take({
			...this.ticket,
			phase: "error",
			error: errorText(error),
			...options,
		});
	}

	/** Without an end it settles 'interrupted'; a reservation is given up, also in the archive of its generation. */
	[Symbol.asyncDispose](): Promise<void> {
		const { engine, live } = this;
		const { ticket } = live;
		let left: RunFacts | null = null;
		// If the runtime ends first, it is settled at the next start like all that this process leaves behind.
		return new Promise((resolve) => {
			engine.keep(
				ticket.sessionKey,
				{
					prepare: (session) => {
						left = null;
						if (isUnsettled(session, ticket)) return undefined;
						return keptRun(engine, session, ticket).then((kept) => {
							left = kept?.outcome === null ? kept : null;
						});
					},
					event: ({ facts }) => {
						if (left) return null;
						const at = engine.now();
						return isReserved(facts, ticket)
							? {
									type: "abort",
									at,
									cause: "shutdown",
									reason: "its host let it go",
									deadline: at,
									queued: "keep",
									expect: { runId: ticket.runId },
								}
							: {
									type: "settled",
									at,
									grant: engine.grant(facts),
									ticket,
									end: { at, outcome: "interrupted" },
								};
					},
					amend: (turn) => {
						if (!left) return;
						const end = { at: engine.now(), outcome: "interrupted" } as const;
						turn.runs = [stepRun(left, { type: "settle", end })];
					},
					committed: () => resolve(),
				},
				resolve,
			);
		});
	}
}

function count(tokens: unknown): number {
	return typeof tokens === "number" && tokens > 0 && Number.isFinite(tokens)
		? tokens
		: 0;
}

export function staleRun(ticket: RunTicket): TurnkeeperError {
	return new TurnkeeperError(
		"STALE_RUN",
		`run ${shown(ticket.runId)} of session ${shown(ticket.sessionKey)} (generation ${ticket.generation}) is not live any more; only a live run that was not told to stop may do this`,
	);
}

/** Usage always counts: to the live run, to one that drains, or in the record of one that settled. */
function countUsage<Meta>(
	engine: Engine<Meta>,
	ticket: RunTicket,
	used: { readonly inputTokens: number; readonly outputTokens: number },
): void {
	let settled: RunFacts | null = null;
	let archived: ArchivedGeneration | null = null;
	engine.keep(ticket.sessionKey, {
		prepare: (session) => {
			settled = null;
			archived = null;
			if (isUnsettled(session, ticket)) return undefined;
			return (async () => {
				const { sessionKey, generation } = ticket;
				settled = await keptRun(engine, session, ticket);
				if (generation !== session.facts.generation)
					archived = await engine.store.generation(sessionKey, generation);
			})();
		},
		event: (session) =>
			archived || (settled && settled.generation !== session.facts.generation)
				? null
				: { type: "usage", at: engine.now(), ticket, ...used },
		amend: (turn) => {
			if (!settled) return;
			turn.runs = [stepRun(settled, { type: "usage", ...used })];
			if (archived)
				turn.generations = [{ ...archived, row: addUsage(archived.row, used) }];
		},
		committed: () => {},
	});
}

/** The record of a run that is not among its session's unsettled ones. */
async function keptRun<Meta>(
	engine: Engine<Meta>,
	session: LiveSession,
	{ sessionKey, generation, runId, attempt }: RunTicket,
): Promise<RunFacts | null> {
	await engine.settled(session);
	const kept = await engine.store.runsNamed(runId, sessionKey);
	return (
		kept.find(
			(run) => run.generation === generation && run.attempt === attempt,
		) ?? null
	);
}

function isReserved(facts: SessionFacts, ticket: RunTicket): boolean {
	return facts.reservations.some((run) => ownsRun(run, ticket));
}

function isUnsettled({ facts }: LiveSession, ticket: RunTicket): boolean {
	return (
		(facts.run !== null && ownsRun(facts.run, ticket)) ||
		isReserved(facts, ticket) ||
		facts.draining.some(({ run }) => ownsRun(run, ticket))
	);
}
