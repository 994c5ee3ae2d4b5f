/** Owns the way of a lifecycle report to its verdict: whose run it means, wherever that run stands. Every report gets one. */
import type { SessionEvent } from "../machines/events.ts";
import type { ArchivedGeneration, SessionFacts } from "../machines/facts.ts";
import { notJson } from "../machines/json.ts";
import { addUsage } from "../machines/lifecycle.ts";
import {
	contradictionOf,
	findRun,
	type Judgement,
	judgeStored,
	type LifecycleReport,
	matchesRun,
	type Refusal,
	type Verdict,
} from "../machines/report.ts";
import { type RunFacts, ticketOf } from "../machines/run.ts";
import { checkName, copied, shown } from "./arguments.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { errorText } from "./errors.ts";
import { drains } from "./records.ts";
import type { LiveSession, Operation } from "./session.ts";
import type { StoredRefusal } from "./store.ts";
import { rowAfter, type Turn } from "./turn.ts";

export class Reports<Meta> {
	readonly #engine: Engine<Meta>;

	constructor(engine: Engine<Meta>) {
		this.#engine = engine;
	}

	/** Synchronous up to the mailbox where the key is given, so that reports and commands keep the order of the calls. */
	async take(given: LifecycleReport): Promise<Verdict> {
		const engine = this.#engine;
		if (engine.state !== "open" && engine.state !== "closing")
			throw engine.refusal("report");
		const problem = problemOf(given);
		if (problem)
			return this.#refuse(keyIn(given), asJson(given), "refused", problem);
		const report = clean(given);
		return report.sessionKey === undefined
			? this.#find(report)
			: this.#judge(report.sessionKey, report);
	}

	/** A report without a key: the session is looked up by the run. */
	async #find(report: LifecycleReport): Promise<Verdict> {
		const engine = this.#engine;
		// What was asked before this call is in the registry or the store once it has been served.
		await engine.barrier();
		const named = [
			...engine.registry.named(report.runId),
			...(await engine.store.runsNamed(report.runId)),
		];
		const matching = named.filter((run) => matchesRun(run, report));
		const runs = matching.length > 0 ? matching : named;
		const keys = [...new Set(runs.map(({ sessionKey }) => sessionKey))];
		const [key] = keys;
		const id = shown(report.runId);
		if (key === undefined)
			return this.#refuse(
				null,
				report,
				"unknown",
				`no run ${id} was ever admitted`,
			);
		if (keys.length > 1)
			return this.#refuse(
				null,
				report,
				"refused",
				`run ${id} exists in ${keys.length} sessions (${keys.slice(0, 3).map(shown).join(", ")}${keys.length > 3 ? ", …" : ""}); say which by sessionKey`,
			);
		return this.#judge(key, report);
	}

	#judge(key: string, report: LifecycleReport): Promise<Verdict> {
		const engine = this.#engine;
		let stored: Stored | null = null;
		return this.#ask(key, report, {
			prepare: (session) => {
				stored = null;
				if (findRun(session.facts, report)) return undefined;
				return judgeElsewhere(engine, session, report).then((found) => {
					stored = found;
				});
			},
			event: ({ facts }) =>
				stored
					? lateUsage(stored, facts, engine.now())
					: {
							type: "report",
							at: engine.now(),
							grant: engine.taking.grant(facts),
							report,
							stoppedBy: stoppedBy(engine, facts, report),
						},
			amend: (turn) => {
				if (!stored) return;
				const { run, ...rest } = stored.judgement;
				const ticket = run ? ticketOf(run) : null;
				turn.reply = { result: "verdict", ...rest, ticket };
				if (rest.verdict !== "archived" || !run) return;
				turn.runs = [...turn.runs, run];
				if (stored.generation) turn.generations = [stored.generation];
			},
		});
	}

	/** A report of a live run is a sign of life, and its progress is for those who follow it. */
	#heard({ ticket }: Verdict, report: LifecycleReport): void {
		const { registry, runs } = this.#engine;
		const live = ticket && registry.get(ticket);
		if (!live) return;
		this.#engine.runs.alive(live);
		if (report.phase === "progress")
			runs.progress.add(live.ticket, copied(report.value ?? null));
	}

	/** A verdict that needs no session's word. */
	async #refuse(
		sessionKey: string | null,
		report: LifecycleReport,
		verdict: Refusal["verdict"],
		reason: string,
	): Promise<Verdict> {
		const engine = this.#engine;
		const row = sessionKey ? await engine.committedRow(sessionKey) : null;
		await engine.refuse({
			refusalId: engine.options.freshId(),
			at: engine.now(),
			verdict,
			reason,
			report,
			current: row?.activeRun ?? null,
			sessionKey,
		});
		return { verdict, reason, ticket: null, row };
	}

	#ask(
		key: string,
		report: LifecycleReport,
		parts: Pick<Operation, "prepare" | "event" | "amend">,
	): Promise<Verdict> {
		const engine = this.#engine;
		return new Promise((resolve, reject) => {
			engine.post(key, {
				...parts,
				amend: (turn) => {
					parts.amend?.(turn);
					const refusal = refusalOf(turn, report, engine.options);
					if (refusal) turn.refusals = [refusal];
				},
				committed: (turn) => {
					const verdict = verdictOf(turn);
					if (verdict.verdict === "applied") this.#heard(verdict, report);
					resolve(verdict);
				},
				failed: reject,
			});
		});
	}
}

/** Why the run's signal was fired, if it was, though the commit of that stop may have failed. */
function stoppedBy<Meta>(
	engine: Engine<Meta>,
	facts: SessionFacts,
	report: LifecycleReport,
) {
	const run = findRun(facts, report);
	return (run && engine.registry.get(run)?.stoppedBy) ?? undefined;
}

function verdictOf(turn: Turn): Verdict {
	const { reply } = turn;
	const verdict =
		reply?.result === "verdict"
			? reply
			: { verdict: "refused" as const, reason: "no verdict", ticket: null };
	return {
		verdict: verdict.verdict,
		reason: verdict.reason,
		ticket: verdict.ticket,
		row: rowAfter(turn),
	};
}

function refusalOf(
	turn: Turn,
	report: LifecycleReport,
	{ freshId, clock }: Pick<EngineOptions<never>, "freshId" | "clock">,
): StoredRefusal | null {
	const { reply, before } = turn;
	if (reply?.result !== "verdict" || reply.verdict === "applied") return null;
	return {
		refusalId: freshId(),
		at: clock.now(),
		verdict: reply.verdict,
		reason: reply.reason,
		report,
		current: before.run ? ticketOf(before.run) : null,
		sessionKey: before.version > 0 ? before.sessionKey : null,
	};
}

/** A verdict on a run that no longer is, or never was, unsettled in its session; with what it completes. */
interface Stored {
	readonly judgement: Judgement;
	/** The archived generation with the usage that came late. */
	readonly generation: ArchivedGeneration | null;
	readonly used: {
		readonly inputTokens: number;
		readonly outputTokens: number;
	};
}

const nothingUsed = { inputTokens: 0, outputTokens: 0 };

/** What a report adds to a generation of which something drains still: that has its row yet to write. */
function lateUsage(
	{ judgement: { run }, used }: Stored,
	facts: SessionFacts,
	at: number,
): SessionEvent | null {
	const isUsed = used.inputTokens > 0 || used.outputTokens > 0;
	return run && isUsed && drains(facts, run.generation)
		? { type: "usage", at, ticket: ticketOf(run), ...used }
		: null;
}

async function judgeElsewhere<Meta>(
	engine: Engine<Meta>,
	session: LiveSession,
	report: LifecycleReport,
): Promise<Stored> {
	await engine.settled(session);
	const kept = await engine.store.runsNamed(report.runId, session.key);
	const latest = kept
		.filter((run) => matchesRun(run, report))
		.reduce<RunFacts | null>(
			(best, run) => (best && best.attempt >= run.attempt ? best : run),
			null,
		);
	if (!latest)
		return {
			judgement: mismatch([...inSession(session, report), ...kept], report),
			generation: null,
			used: nothingUsed,
		};
	const judgement = judgeStored(latest, report, engine.now());
	const { verdict, run } = judgement;
	if (verdict !== "archived" || !run)
		return { judgement, generation: null, used: nothingUsed };
	const ended = await engine.store.generation(session.key, run.generation);
	const used = {
		inputTokens: run.inputTokens - latest.inputTokens,
		outputTokens: run.outputTokens - latest.outputTokens,
	};
	return {
		judgement,
		generation: ended && { ...ended, row: addUsage(ended.row, used) },
		used,
	};
}

function inSession({ facts }: LiveSession, { runId }: LifecycleReport) {
	const draining = facts.draining.map(({ run }) => run);
	return [facts.run, ...facts.reservations, ...draining].filter(
		(run): run is RunFacts => run?.runId === runId,
	);
}

/** The verdict where no run matches: unknown, or at odds with the one of that name. */
function mismatch(
	named: readonly RunFacts[],
	report: LifecycleReport,
): Judgement {
	const [run] = named;
	const id = shown(report.runId);
	if (!run)
		return {
			verdict: "unknown",
			reason: `no run ${id} was ever admitted on session ${shown(report.sessionKey)}`,
			run: null,
		};
	const field = contradictionOf(run, report) as
		| "sessionId"
		| "generation"
		| "attempt";
	return {
		verdict: "refused",
		reason: `${field} is ${shown(report[field])}, but run ${id} has ${shown(ticketOf(run)[field])}`,
		run,
	};
}

const phases = ["start", "progress", "end", "error"];
const outcomes = ["completed", "aborted", "timeout"];

/** What is wrong with a report, in a sentence, or null. */
export function problemOf(report: unknown): string | null {
	if (typeof report !== "object" || report === null)
		return `the report is ${shown(report)}; it must be an object with runId and phase`;
	const given = report as Record<string, unknown>;
	if (typeof given.runId !== "string" || given.runId === "")
		return `runId is ${shown(given.runId)}; it must be the id of a run`;
	if (!phases.includes(given.phase as string))
		return `phase is ${shown(given.phase)}; it must be one of ${phases.join(", ")}`;
	for (const name of ["runId", "sessionKey", "sessionId"])
		if (given[name] !== undefined)
			try {
				checkName(given[name], name);
			} catch (error) {
				return errorText(error);
			}
	for (const name of ["generation", "attempt", "startedAt", "endedAt"])
		if (given[name] !== undefined && !Number.isFinite(given[name]))
			return `${name} is ${shown(given[name])}; it must be a number, or left out`;
	if (given.phase === "progress" && given.value !== undefined) {
		const found = notJson(given.value, "value");
		if (found !== null) return `${found} is not JSON; progress must be`;
	}
	if (given.phase === "error" && typeof given.error !== "string")
		return `error is ${shown(given.error)}; it must be the error's text`;
	if (
		given.phase === "end" &&
		given.outcome !== undefined &&
		!outcomes.includes(given.outcome as string)
	)
		return `outcome is ${shown(given.outcome)}; it must be one of ${outcomes.join(", ")}`;
	if (given.usage !== undefined) {
		if (typeof given.usage !== "object" || given.usage === null)
			return `usage is ${shown(given.usage)}; it must be { inputTokens, outputTokens }`;
		for (const name of ["inputTokens", "outputTokens"]) {
			const tokens = (given.usage as Record<string, unknown>)[name];
			if (
				tokens !== undefined &&
				!(Number.isFinite(tokens) && (tokens as number) >= 0)
			)
				return `usage.${name} is ${shown(tokens)}; it must be a number, 0 or more`;
		}
	}
	return null;
}

/** The key that a malformed report names, if it can be one. */
function keyIn(report: unknown): string | null {
	const key = (report as { sessionKey?: unknown } | null)?.sessionKey;
	try {
		return checkName(key, "sessionKey");
	} catch {
		return null;
	}
}

const named = ["runId", "sessionKey", "sessionId", "generation", "attempt"];
const fieldsOf = {
	start: [...named, "phase", "startedAt"],
	progress: [...named, "phase", "value"],
	end: [...named, "phase", "outcome", "startedAt", "endedAt", "usage"],
	error: [...named, "phase", "error", "startedAt", "endedAt", "usage"],
} as const;

/** The fields that a report of its phase has; others are ignored. */
function clean(given: LifecycleReport): LifecycleReport {
	const from = given as unknown as Record<string, unknown>;
	const report: Record<string, unknown> = {};
	for (const name of fieldsOf[given.phase])
		if (from[name] !== undefined) report[name] = from[name];
	if ("usage" in given && given.usage) {
		const { inputTokens, outputTokens } = given.usage;
		report.usage = {
			...(inputTokens === undefined ? {} : { inputTokens }),
			...(outputTokens === undefined ? {} : { outputTokens }),
		};
	}
	return report as unknown as LifecycleReport;
}

/** A malformed report as far as it can be kept. */
function asJson(report: unknown): LifecycleReport {
	return (
		notJson(report, "") === null
			? JSON.parse(JSON.stringify(report ?? null))
			: { unreadable: shown(report) }
	) as LifecycleReport;
}
