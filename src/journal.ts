/**
 * Owns the way to the store: the turns of all sessions that moved in one tick go into one transaction, one commit is in flight at a
 * time, and whatever a turn asked for happens after its commit. A failed batch is tried again session by session, so that one bad
 * record fails one session. Never decides what a turn means.
 */
import type { RuntimeClock } from "./clock.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import type { LiveSession } from "./session.ts";
import type { OpenStore, SessionWrite, StoredRefusal } from "./store.ts";
import { changesSession, notesOf, type Turn } from "./turn.ts";

export interface JournalHost {
	readonly clock: RuntimeClock;
	/** These turns hold, in the order in which they were made. */
	committed(turns: readonly Turn[]): void;
	/** These turns, all of one session, do not hold. */
	failed(
		session: LiveSession,
		turns: readonly Turn[],
		error: TurnkeeperError,
	): void;
	/** Somebody else has written to the store: it is no longer ours. */
	lost(error: TurnkeeperError): void;
}

interface Loose {
	readonly refusal: StoredRefusal;
	readonly resolve: () => void;
	readonly reject: (error: TurnkeeperError) => void;
}

/** Turns in one transaction; more wait for the next. */
const largestBatch = 5000;
const measured = 1000;

export class Journal {
	#store: OpenStore;
	#host: JournalHost;
	#open: Turn[] = [];
	#inFlight: readonly Turn[] = [];
	/** Refusals of reports that no session was asked about. */
	#loose: Loose[] = [];
	#scheduled = false;
	#flushing: Promise<void> | null = null;
	#waiters: { holds: () => boolean; done: () => void }[] = [];
	/** Nobody waits for a commit any more. */
	#isAbandoned = false;
	/** Set when nothing may be written any more. */
	#stopped: TurnkeeperError | null = null;
	#commits = 0;
	#rows = 0;
	#took: number[] = [];

	constructor(store: OpenStore, host: JournalHost) {
		this.#store = store;
		this.#host = host;
	}

	add(turn: Turn): void {
		turn.session.pending += 1;
		this.#open.push(turn);
		this.#schedule();
	}

	/** Resolves once a refusal that belongs to no turn is kept. */
	refuse(refusal: StoredRefusal): Promise<void> {
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		this.#loose.push({ refusal, resolve, reject });
		this.#schedule();
		return promise;
	}

	#schedule(): void {
		if (this.#scheduled || this.#flushing) return;
		this.#scheduled = true;
		this.#host.clock.setImmediate(() => {
			this.#scheduled = false;
			void this.#flush();
		});
	}

	/** Resolves when nothing of this session waits for a commit. */
	settled(session: LiveSession): Promise<void> {
		return this.#when(() => session.pending === 0);
	}

	/** Nothing is written from now on: what is open fails. */
	stop(error: TurnkeeperError): void {
		this.#stopped ??= error;
		this.#schedule();
	}

	/** As `stop`, and whoever waits for a commit that the store does not answer is told so. */
	abandon(error: TurnkeeperError): void {
		this.stop(error);
		for (const { operation } of this.#inFlight) operation.failed(error);
		this.#isAbandoned = true;
		for (const { done } of this.#waiters.splice(0)) done();
	}

	#when(holds: () => boolean): Promise<void> {
		if (holds() || this.#isAbandoned) return Promise.resolve();
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#waiters.push({ holds, done: resolve });
		return promise;
	}

	get stats() {
		const sorted = [...this.#took].sort((a, b) => a - b);
		const at = (share: number) =>
			sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
		return {
			commits: this.#commits,
			rowsPerCommit: this.#commits === 0 ? 0 : this.#rows / this.#commits,
			commitMs: { p50: at(0.5), p99: at(0.99) },
		};
	}

	#flush(): Promise<void> {
		this.#flushing ??= this.#run().finally(() => {
			this.#flushing = null;
			this.#wake();
			// What came between the last look at what is open and this moment would wait for ever.
			if (this.#open.length > 0 || this.#loose.length > 0) this.#schedule();
		});
		return this.#flushing;
	}

	async #run(): Promise<void> {
		while (this.#open.length > 0 || this.#loose.length > 0) {
			const turns = this.#open.splice(0, this.#next());
			const loose = this.#loose.splice(0, largestBatch);
			this.#inFlight = turns;
			await this.#commit(turns, loose);
			this.#inFlight = [];
			this.#wake();
			// Calls that the commit set off join the next batch together.
			if (this.#open.length > 0)
				await new Promise<void>((next) => this.#host.clock.setImmediate(next));
		}
	}

	/** How many of the open turns the next batch takes. A purge is the last of its batch: an id that it erases may come anew after it. */
	#next(): number {
		const most = this.#open.slice(0, largestBatch);
		const purge = most.findIndex(({ purgeBefore }) => purgeBefore !== null);
		return purge === -1 ? most.length : purge + 1;
	}

	#wake(): void {
		if (this.#waiters.length === 0) return;
		const waiting = this.#waiters;
		this.#waiters = [];
		for (const waiter of waiting)
			if (waiter.holds()) waiter.done();
			else this.#waiters.push(waiter);
	}

	async #commit(
		turns: readonly Turn[],
		loose: readonly Loose[],
	): Promise<void> {
		const groups = groupBySession(turns);
		if (this.#stopped) {
			for (const [session, own] of groups)
				this.#fail(session, own, this.#stopped);
			for (const { reject } of loose) reject(this.#stopped);
			return;
		}
		const sessions = [...groups]
			.map(([session, own]) => write(session, own))
			.filter((one) => one !== null);
		const refusals = [
			...refusalsOf(turns),
			...loose.map(({ refusal }) => refusal),
		];
		if (sessions.length === 0 && refusals.length === 0) {
			this.#conclude(turns);
			return;
		}
		const began = performance.now();
		try {
			await this.#store.commit({ sessions, refusals });
		} catch (error) {
			for (const [session, own] of groups)
				await this.#retry(session, own, error);
			for (const one of loose) await this.#retryLoose(one);
			return;
		}
		this.#measure(performance.now() - began, sessions.length);
		this.#conclude(turns);
		for (const { resolve } of loose) resolve();
	}

	async #retryLoose({ refusal, resolve, reject }: Loose): Promise<void> {
		if (this.#stopped) return reject(this.#stopped);
		try {
			await this.#store.commit({ sessions: [], refusals: [refusal] });
			resolve();
		} catch (cause) {
			reject(
				new TurnkeeperError(
					"STORE_FAILED",
					`the refusal of a report could not be stored (${errorText(cause)})`,
					{ cause },
				),
			);
		}
	}

	/** After any failure the version is read back, because a commit may fail after it took effect; only what does not hold is tried again. */
	async #retry(
		session: LiveSession,
		turns: readonly Turn[],
		cause: unknown,
	): Promise<void> {
		const change = write(session, turns);
		let failure = cause;
		for (let isFirst = true; ; isFirst = false) {
			const holds = change ? await this.#holds(change) : "unknown";
			if (holds === "yes") return this.#conclude(turns);
			// Records alone can be written again: that changes nothing.
			const isDoubtful = holds === "unknown" && movesVersion(turns);
			if (this.#stopped || isDoubtful || !isFirst)
				return this.#fail(session, turns, failure, holds);
			try {
				await this.#store.commit({
					sessions: change ? [change] : [],
					refusals: refusalsOf(turns),
				});
				return this.#conclude(turns);
			} catch (error) {
				failure = error;
			}
		}
	}

	/** The store stands where the change begins, or where it ends. Anywhere else, it is not ours any more. Of records alone it cannot tell. */
	async #holds(change: SessionWrite): Promise<"yes" | "no" | "unknown"> {
		let found: number;
		try {
			found = await this.#store.version(change.sessionKey);
		} catch {
			return "unknown";
		}
		if (found === change.baseVersion) return change.facts ? "no" : "unknown";
		if (change.facts && found === change.facts.version) return "yes";
		this.#host.lost(
			new TurnkeeperError(
				"STORE_LOCKED",
				`session ${JSON.stringify(change.sessionKey)} is at version ${found} in the store, which this owner never wrote (it wrote ${change.baseVersion}); another process has taken the store over`,
			),
		);
		return "no";
	}

	#fail(
		session: LiveSession,
		turns: readonly Turn[],
		cause: unknown,
		holds: "no" | "unknown" = "no",
	): void {
		const above = this.#open.filter((turn) => turn.session === session);
		this.#open = this.#open.filter((turn) => turn.session !== session);
		const error =
			this.#stopped ??
			new TurnkeeperError(
				"STORE_FAILED",
				holds === "unknown"
					? `whether the change to session ${JSON.stringify(session.key)} was stored is not known (${errorText(cause)}); the session goes on from what the store holds once it can be read`
					: `the change to session ${JSON.stringify(session.key)} could not be stored (${errorText(cause)}); nothing of it holds, and the session goes on from its last commit`,
				{ cause },
			);
		const isDoubtful = holds === "unknown" && movesVersion(turns);
		session.drop(isDoubtful ? { turns, error } : null);
		this.#host.failed(session, [...turns, ...above], error);
	}

	#conclude(turns: readonly Turn[]): void {
		for (const turn of turns) {
			const { session } = turn;
			session.pending -= 1;
			session.committed = turn.after;
			if (session.purging?.turn === turn) session.purging = null;
			for (const message of notesOf(turn))
				if (session.uncommittedMessages.get(message.messageId) === message)
					session.uncommittedMessages.delete(message.messageId);
		}
		this.#host.committed(turns);
	}

	#measure(took: number, rows: number): void {
		this.#commits += 1;
		this.#rows += rows;
		if (this.#took.length === measured)
			this.#took[this.#commits % measured] = took;
		else this.#took.push(took);
	}
}

function groupBySession(turns: readonly Turn[]): Map<LiveSession, Turn[]> {
	const groups = new Map<LiveSession, Turn[]>();
	for (const turn of turns) {
		const own = groups.get(turn.session);
		if (own) own.push(turn);
		else groups.set(turn.session, [turn]);
	}
	return groups;
}

function refusalsOf(turns: readonly Turn[]): StoredRefusal[] {
	const refusals: StoredRefusal[] = [];
	for (const turn of turns) refusals.push(...turn.refusals);
	return refusals;
}

/** Records alone do not, such as those of a reservation. */
function movesVersion(turns: readonly Turn[]): boolean {
	return turns.at(-1)?.after !== turns[0]?.before;
}

/** All that the turns of one session write together, or null if that is nothing. */
function write(
	session: LiveSession,
	turns: readonly Turn[],
): SessionWrite | null {
	if (!turns.some(changesSession)) return null;
	const first = turns[0] as Turn;
	const last = turns.at(-1) as Turn;
	const base = {
		sessionKey: session.key,
		baseVersion: first.before.version,
		facts: movesVersion(turns) ? last.after : null,
	};
	if (turns.length === 1) {
		const { runs, generations, entries, hides, purgeBefore } = first;
		const messages = notesOf(first);
		return {
			...base,
			runs,
			generations,
			messages,
			entries,
			hides,
			purgeBefore,
		};
	}
	return {
		...base,
		runs: turns.flatMap((turn) => turn.runs),
		generations: turns.flatMap((turn) => turn.generations),
		messages: turns.flatMap(notesOf),
		entries: turns.flatMap((turn) => turn.entries),
		hides: turns.flatMap((turn) => turn.hides),
		purgeBefore: last.purgeBefore,
	};
}
