/**
 * Owns the two times of a live run: how long it may take, and how long it may be silent. When one is over it says so; what that means is
 * decided by the session. Time in which a run waits counts for neither.
 */
import { openWaits, type RunFacts, type RunWait } from "../machines/run.ts";
import type { RuntimeClock } from "./clock.ts";
import type { LiveRun } from "./registry.ts";

export interface DeadlineHost {
	readonly clock: RuntimeClock;
	/** A run took longer than it may. */
	timedOut(live: LiveRun): void;
	/** A run that has a lease was silent for too long. Looked at `again` if it was heard of before that could be decided. */
	fellSilent(live: LiveRun, again: () => void): void;
	/** The time of a wait is over that began in another process. */
	unanswered(live: LiveRun, wait: RunWait): void;
	/** A run that has a lease showed that it lives. */
	alive(live: LiveRun): void;
}

export function armTimeout(
	live: LiveRun,
	timeoutMs: number,
	host: DeadlineHost,
): void {
	const { clock } = host;
	let left = timeoutMs;
	let since = clock.monotonic();
	let timer: unknown = null;
	const run = () => {
		since = clock.monotonic();
		timer = clock.setTimeout(() => host.timedOut(live), Math.max(0, left));
	};
	const pause = () => {
		if (timer === null) return;
		clock.clearTimeout(timer);
		timer = null;
		left -= clock.monotonic() - since;
	};
	let isOver = false;
	const end = () => {
		isOver = true;
		pause();
	};
	const see = (now: RunFacts) => {
		if (isOver) return;
		if (isWaiting(now) || live.isHeldUp) pause();
		else if (timer === null) run();
	};
	see(live.run);
	live.own({
		see,
		stop: end,
		release: end,
	});
}

export function armLease(
	live: LiveRun,
	leaseMs: number,
	host: DeadlineHost,
): void {
	const { clock } = host;
	let timer: unknown = null;
	const wait = (ms: number) => {
		timer = clock.setTimeout(look, Math.max(0, ms));
	};
	const look = () => {
		const left = silenceLeft(live, leaseMs, clock.monotonic());
		if (left > 0) wait(left);
		else host.fellSilent(live, look);
	};
	look();
	let waits = isWaiting(live.run);
	live.own({
		see: (now) => {
			// To wait for an answer is no silence of its own: the time runs anew from there.
			if (isWaiting(now) === waits) return;
			waits = isWaiting(now);
			host.alive(live);
		},
		release: () => clock.clearTimeout(timer),
	});
}

/** The waits that a run comes with; those that begin here have timers of their own. */
export function armWaits(live: LiveRun, host: DeadlineHost): void {
	const { clock } = host;
	const open = openWaits(live.run);
	for (const wait of live.run.waits) {
		const { name, deadline } = wait;
		if (deadline === null || !open.includes(name)) continue;
		const left = deadline - clock.now();
		if (left <= 0) {
			host.unanswered(live, wait);
			continue;
		}
		const timer = clock.setTimeout(() => host.unanswered(live, wait), left);
		live.own({ release: () => clock.clearTimeout(timer) });
	}
}

/** How long a run may be silent still, in ms; `now` is monotonic. */
export function silenceLeft(
	live: LiveRun,
	leaseMs: number,
	now: number,
): number {
	if (isWaiting(live.run)) return leaseMs;
	return live.heardAt + leaseMs - now;
}

function isWaiting(run: RunFacts): boolean {
	return openWaits(run).length > 0;
}
