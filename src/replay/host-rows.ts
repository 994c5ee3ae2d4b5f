/**
 * Owns the judgement on the rows that a recorded host published: whether one contradicts itself, and whether it contradicts the runs
 * as the runtime's feed and the stream's own lines tell them. Knows the present of each session and one generation back. Never asks the
 * runtime anything, and never changes it.
 *
 * A host's `running` claims a run; `done`, `completed`, `ended`, `failed`, `error`, `killed`, `aborted`, `timeout` and `interrupted` claim that the last run ended
 * so; any other word, or none, claims nothing. A row that carries the session id of the generation before is judged by that one.
 */
import type { VerdictKind } from "../../machines/report.ts";
import type { RunOutcome } from "../../machines/ticket.ts";
import type { RuntimeEvent } from "../runtime.ts";
import type { HostRow, StreamLine } from "./lines.ts";
import { duration, had, offset, shortId } from "./words.ts";

interface Settled {
	readonly runId: string;
	readonly outcome: RunOutcome;
	readonly toldToStop: boolean;
	readonly at: number;
}

interface Live {
	readonly runId: string;
	readonly since: number;
	toldToStopAt: number | null;
}

interface Generation {
	readonly number: number;
	/** What opened it; null for the first. */
	readonly opened: {
		readonly by: "reset" | "delete";
		readonly at: number;
	} | null;
	readonly sessionIds: Set<string>;
	last: Settled | null;
	/** A run that nobody accepted has ended here since the last one that somebody did. */
	strangerEnded: boolean;
}

interface Session {
	current: Generation;
	previous: Generation | null;
	live: Live | null;
	readonly reserved: Set<string>;
	readonly draining: Set<string>;
	/** Runs that nobody accepted and that say they run. */
	readonly strangers: Set<string>;
}

const claimedOutcome: Readonly<Record<string, RunOutcome>> = {
	done: "completed",
	completed: "completed",
	ended: "completed",
	failed: "failed",
	error: "failed",
	killed: "aborted",
	aborted: "aborted",
	timeout: "timeout",
	interrupted: "interrupted",
};

interface Finding {
	/** The same contradiction again has the same. */
	readonly same: string;
	readonly sentence: string;
}

/** A finding of one session, with the rows in a row that gave it. */
interface Said {
	readonly sessionKey: string;
	readonly finding: Finding;
	readonly first: number;
	last: number;
	times: number;
	/** Whether no other row of the session has come since. */
	isOpen: boolean;
}

export class HostRowJudge {
	/** Rows whose own status and hasActiveRun contradict each other. */
	rowsAtOdds = 0;
	/** Rows that contradict the runs. */
	rowsAgainstRuns = 0;
	/** All rows that were judged. */
	rows = 0;
	#begin: number;
	#tell: ((contradiction: string) => void) | null;
	#sessions = new Map<string, Session>();
	#said: Said[] = [];

	/**
	 * @param begin the time that offsets count from, epoch ms
	 * @param tell told of each contradiction when it is found, the first of rows that say the same; then the last alone is kept
	 */
	constructor(
		begin: number,
		tell: ((contradiction: string) => void) | null = null,
	) {
		this.#begin = begin;
		this.#tell = tell;
	}

	/** One sentence for each contradiction, in order; rows in a row that say the same have one together. */
	get contradictions(): string[] {
		return this.#said.map((said) => this.#sentenceOf(said));
	}

	#sentenceOf({ sessionKey, finding, first, last, times }: Said): string {
		const at = (time: number) => offset(time - this.#begin);
		const sentence = `${at(first)}  ${sessionKey}: ${finding.sentence}`;
		return times === 1
			? sentence
			: `${sentence} (×${times}, until ${at(last)})`;
	}

	/** A line of the stream that is no row, once the runtime has taken it. */
	took(line: StreamLine, verdict?: VerdictKind): void {
		if (line.type === "row" || line.sessionKey === undefined) return;
		const session = this.#session(line.sessionKey);
		if (line.type === "accepted") {
			if (session.live?.runId !== line.runId) session.reserved.add(line.runId);
		} else if (line.type === "abort") {
			const { live } = session;
			if (live && (line.runId ?? live.runId) === live.runId)
				live.toldToStopAt ??= line.at;
		} else if (line.type === "start") {
			if (verdict === "unknown") session.strangers.add(line.runId);
		} else if (line.type === "end" || line.type === "error") {
			if (verdict !== "unknown") return;
			session.strangers.delete(line.runId);
			session.current.strangerEnded = true;
		}
	}

	/** What the runtime's feed says, with the time of the stream. */
	observe(event: RuntimeEvent, at: number): void {
		if (event.type === "row") {
			const { row } = event;
			const session = this.#enter(row.sessionKey, row.generation);
			const run = row.activeRun;
			session.current.sessionIds.add(row.sessionId);
			if (run?.runId !== session.live?.runId)
				session.live = run
					? { runId: run.runId, since: row.startedAt ?? at, toldToStopAt: null }
					: null;
			if (run) session.reserved.delete(run.runId);
		} else if (event.type === "generation") {
			this.#ended(event.ended, at);
		} else if (event.type === "deleted") {
			this.#enter(event.sessionKey, event.generation + 1);
		} else if (event.type === "run" && event.run.outcome !== null) {
			const { sessionKey, generation, runId, outcome, stoppedBy } = event.run;
			const session = this.#enter(sessionKey, generation);
			session.reserved.delete(runId);
			session.draining.delete(runId);
			const own =
				generation === session.current.number
					? session.current
					: session.previous?.number === generation
						? session.previous
						: null;
			if (!own) return;
			own.last = { runId, outcome, toldToStop: stoppedBy !== null, at };
			own.strangerEnded = false;
		}
	}

	/** A row that the host published. */
	judge(sessionKey: string, row: HostRow, at: number): void {
		this.rows += 1;
		const odds = oddsOf(row);
		if (odds) this.rowsAtOdds += 1;
		const fact = this.#factAgainst(sessionKey, row, at);
		if (fact) this.rowsAgainstRuns += 1;
		const last = this.#said.at(-1);
		if (!odds && !fact) {
			if (last?.sessionKey === sessionKey) last.isOpen = false;
			return;
		}
		const claim = odds ? `contradicts itself: ${odds}` : claimOf(row);
		const link = odds ? "; " : ", but ";
		const same = `${claim}\n${fact?.same ?? ""}`;
		if (
			last?.isOpen &&
			last.sessionKey === sessionKey &&
			last.finding.same === same
		) {
			last.times += 1;
			last.last = at;
			return;
		}
		const sentence = fact ? claim + link + fact.sentence : claim;
		const said: Said = {
			sessionKey,
			finding: { same, sentence },
			first: at,
			last: at,
			times: 1,
			isOpen: true,
		};
		if (this.#tell) this.#said = [];
		this.#said.push(said);
		this.#tell?.(this.#sentenceOf(said));
	}

	/** What is true of the runs and contradicts the row. */
	#factAgainst(sessionKey: string, row: HostRow, at: number): Finding | null {
		const session = this.#sessions.get(sessionKey);
		const running = row.status === "running" || row.hasActiveRun === true;
		if (!session)
			return running ? finding("no run has been accepted for it") : null;
		const own = subjectOf(session, row);
		if (running)
			return isBusy(session, own) ? null : againstRunning(session, own, at);
		if (own === session.current && session.live)
			return againstRest(session.live, row, at);
		const outcome = claimedOutcome[row.status ?? ""];
		return outcome ? againstOutcome(session, own, outcome, at) : null;
	}

	#session(sessionKey: string): Session {
		let session = this.#sessions.get(sessionKey);
		if (!session) {
			session = {
				current: generation(1, null),
				previous: null,
				live: null,
				reserved: new Set(),
				draining: new Set(),
				strangers: new Set(),
			};
			this.#sessions.set(sessionKey, session);
		}
		return session;
	}

	/** The session, moved on to this generation if it is a newer one. */
	#enter(sessionKey: string, number: number): Session {
		const session = this.#session(sessionKey);
		if (number > session.current.number)
			session.current = generation(number, session.current.opened);
		return session;
	}

	#ended(
		ended: Extract<RuntimeEvent, { type: "generation" }>["ended"],
		at: number,
	): void {
		const session = this.#enter(ended.sessionKey, ended.generation);
		// The feed tells a generation's end before the row that follows it; anything older is known.
		if (ended.generation < session.current.number) return;
		for (const id of ended.sessionIds) session.current.sessionIds.add(id);
		session.previous = session.current;
		session.current = generation(ended.generation + 1, {
			by: ended.endedBy === "delete" ? "delete" : "reset",
			at,
		});
		const run = ended.row.activeRun;
		if (run) session.draining.add(run.runId);
		session.live = null;
		session.reserved.clear();
	}
}

function generation(number: number, opened: Generation["opened"]): Generation {
	return {
		number,
		opened,
		sessionIds: new Set(),
		last: null,
		strangerEnded: false,
	};
}

/** How a row contradicts itself, or null. */
export function oddsOf(row: HostRow): string | null {
	const { status, hasActiveRun } = row;
	if (hasActiveRun === true && status !== "running")
		return `it has an active run and ${status === undefined ? "no status" : `status ${status}`}`;
	if (hasActiveRun === false && status === "running")
		return "it has status running and no active run";
	return null;
}

function claimOf(row: HostRow): string {
	if (row.status !== undefined) return `says ${row.status}`;
	return row.hasActiveRun
		? "says that a run is active"
		: "says that no run is active";
}

/** The generation that a row speaks of. */
function subjectOf(session: Session, row: HostRow): Generation {
	const { current, previous } = session;
	const id = row.sessionId;
	if (!previous || id === undefined || current.sessionIds.has(id))
		return current;
	return previous.sessionIds.has(id) ? previous : current;
}

function isBusy(session: Session, own: Generation): boolean {
	if (session.draining.size > 0 || session.strangers.size > 0) return true;
	return (
		own === session.current &&
		(session.live !== null || session.reserved.size > 0)
	);
}

function finding(same: string, sentence = same): Finding {
	return { same, sentence };
}

function againstRunning(
	session: Session,
	own: Generation,
	at: number,
): Finding {
	if (own.last) {
		const { runId, outcome, at: when } = own.last;
		const same = `run ${shortId(runId)} ${had(outcome)}`;
		return finding(same, `${same} ${duration(at - when)} before`);
	}
	if (own !== session.current && session.current.opened)
		return opening(session.current, at, "it had ended by a");
	return own.opened
		? opening(own, at, "no run has been accepted since the")
		: finding("no run has been accepted for it");
}

function opening(own: Generation, at: number, words: string): Finding {
	const { by, at: when } = own.opened as NonNullable<Generation["opened"]>;
	const same = `${words} ${by}`;
	return finding(same, `${same} ${duration(at - when)} before`);
}

/** The row says that nothing runs while a run is live. */
function againstRest(live: Live, row: HostRow, at: number): Finding | null {
	const claims = row.hasActiveRun === false || claimedOutcome[row.status ?? ""];
	if (!claims) return null;
	const run = `run ${shortId(live.runId)}`;
	return live.toldToStopAt === null
		? finding(
				`${run} is running`,
				`${run} has been running for ${duration(at - live.since)}`,
			)
		: finding(
				`${run} has not settled`,
				`${run}, told to stop ${duration(at - live.toldToStopAt)} before, has not settled`,
			);
}

/** The row says how the last run ended. */
function againstOutcome(
	session: Session,
	own: Generation,
	claimed: RunOutcome,
	at: number,
): Finding | null {
	if (own.strangerEnded) return null;
	if (!own.last) {
		if (session.strangers.size > 0) return null;
		if (own !== session.current && session.draining.size > 0) return null;
		return own.opened
			? opening(own, at, "no run has ended since the")
			: finding("no run has ended in it");
	}
	const { runId, outcome, toldToStop, at: when } = own.last;
	// A run that was told to stop is aborted here, whatever word a host has for it; it did not fail.
	if (claimed === outcome || (toldToStop && claimed !== "failed")) return null;
	const same = `run ${shortId(runId)} ${had(outcome)}`;
	return finding(same, `${same} ${duration(at - when)} before`);
}
