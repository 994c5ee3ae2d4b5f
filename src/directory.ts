/**
 * Owns which sessions are in memory. A session is made when it is first asked for, and leaves when it has been at rest for a while or
 * when too many rest. Never drops one that has anything to do or to lose.
 */
import type { RuntimeClock } from "./clock.ts";
import { LiveSession, type SessionHost } from "./session.ts";

export class Directory {
	readonly #host: SessionHost;
	readonly #clock: RuntimeClock;
	readonly #passivateAfterMs: number;
	readonly #maxResident: number;
	#sessions = new Map<string, LiveSession>();
	#restless = new Set<LiveSession>();
	/** Since when a session rests, on the monotonic clock; the longest rest first. */
	#resting = new Map<LiveSession, number>();
	#sweep: unknown = null;

	constructor(
		host: SessionHost,
		clock: RuntimeClock,
		limits: { passivateAfterMs: number; maxResident: number },
	) {
		this.#host = host;
		this.#clock = clock;
		this.#passivateAfterMs = limits.passivateAfterMs;
		this.#maxResident = limits.maxResident;
	}

	get size(): number {
		return this.#sessions.size;
	}

	/** Whether nothing is asked, running, draining or queued anywhere. */
	get isIdle(): boolean {
		for (const session of this.#restless) if (!session.isIdle) return false;
		return true;
	}

	all(): IterableIterator<LiveSession> {
		return this.#sessions.values();
	}

	find(key: string): LiveSession | undefined {
		return this.#sessions.get(key);
	}

	/** The sessions that serve a call, or have one that waits for its commit. */
	busy(): readonly LiveSession[] {
		return [...this.#restless].filter((session) => session.isBusy);
	}

	/** The session, about to be asked something. */
	wake(key: string): LiveSession {
		let session = this.#sessions.get(key);
		if (!session) {
			session = new LiveSession(key, this.#host);
			this.#sessions.set(key, session);
		}
		this.#resting.delete(session);
		this.#restless.add(session);
		return session;
	}

	/** Called whenever a session may have come to rest. */
	settle(session: LiveSession): void {
		if (!session.atRest) {
			this.#restless.add(session);
			return;
		}
		this.#restless.delete(session);
		if (!session.actor) {
			this.#sessions.delete(session.key);
			return;
		}
		this.#resting.delete(session);
		this.#resting.set(session, this.#clock.monotonic());
		if (this.#resting.size > this.#maxResident) this.#passivateLongest();
		this.#schedule();
	}

	clear(): void {
		this.#clock.clearTimeout(this.#sweep);
		this.#sweep = null;
		for (const session of this.#sessions.values()) session.passivate();
		this.#sessions.clear();
		this.#restless.clear();
		this.#resting.clear();
	}

	#schedule(): void {
		if (this.#sweep !== null) return;
		const [since] = this.#resting.values();
		if (since === undefined) return;
		const due = since + this.#passivateAfterMs - this.#clock.monotonic();
		this.#sweep = this.#clock.setTimeout(
			() => {
				this.#sweep = null;
				this.#passivateRested();
				this.#schedule();
			},
			Math.max(0, due),
		);
		// A sweep alone is no reason for the process to stay.
		(this.#sweep as { unref?: () => void } | null)?.unref?.();
	}

	#passivateRested(): void {
		const before = this.#clock.monotonic() - this.#passivateAfterMs;
		for (const since of this.#resting.values()) {
			if (since > before) return;
			this.#passivateLongest();
		}
	}

	#passivateLongest(): void {
		const [session] = this.#resting.keys();
		if (!session) return;
		this.#resting.delete(session);
		this.#sessions.delete(session.key);
		session.passivate();
	}
}
