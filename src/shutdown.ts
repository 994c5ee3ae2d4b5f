/** Owns how runs are brought to their end when the runtime closes: told, given their grace period, then abandoned. Never waits for ever. */
import type { Engine } from "./engine.ts";
import { RunAborted } from "./errors.ts";
import type { LiveRun } from "./registry.ts";
import { lastCommitMs } from "./runs.ts";

const reason = "the runtime is closing";

/** Stops or awaits what runs. Host-driven runs settle 'interrupted' at once when it comes to stopping. */
export async function stopRuns<Meta>(
	engine: Engine<Meta>,
	runs: "abort" | "await",
	graceMs: number,
): Promise<void> {
	const { registry, directory } = engine;
	const { clock } = engine;
	const end = clock.monotonic() + graceMs;
	// A run with a lease lives on elsewhere; whoever drives it may come back.
	const own = () => registry.all().filter(({ run }) => run.leaseMs === null);
	const isOver = () =>
		own().length === 0 &&
		directory.busy().length === 0 &&
		!engine.hasUnfinished;
	if (runs === "await") await within(engine, end, isOver);
	// What is about to begin is stopped as soon as it has.
	engine.whileClosing = (live) =>
		stopOne(engine, live, end - clock.monotonic());
	for (const live of own()) stopOne(engine, live, end - clock.monotonic());
	await within(engine, end, isOver);
	// Whoever has not stopped by now is abandoned, or tried again as after a crash; a store that does not answer is not waited for.
	for (const live of own())
		if (engine.options.retry && live.driver === "managed")
			engine.runs.settle(live, { outcome: "interrupted" });
		else engine.runs.overdue(live);
	await within(engine, clock.monotonic() + lastCommitMs, isOver);
}

/** Resolves when it holds, or when the time is up, on the monotonic clock. */
async function within<Meta>(
	engine: Engine<Meta>,
	end: number,
	holds: () => boolean,
): Promise<void> {
	const over = new AbortController();
	const { clock } = engine;
	const timer = clock.setTimeout(
		() => over.abort(),
		Math.max(0, end - clock.monotonic()),
	);
	await engine.waiting.idle(holds, over.signal).catch(() => {});
	clock.clearTimeout(timer);
}

function stopOne<Meta>(
	engine: Engine<Meta>,
	live: LiveRun,
	leftMs: number,
): void {
	if (live.run.leaseMs !== null) return;
	const deadline = engine.now() + Math.max(0, leftMs);
	live.stoppedBy ??= "shutdown";
	engine.keep(live.ticket.sessionKey, {
		event: ({ facts }) => {
			const at = engine.now();
			if (live.driver === "host")
				return {
					type: "settled",
					at,
					ticket: live.ticket,
					end: { at, outcome: "interrupted", stoppedBy: "shutdown" },
				};
			const isLive = facts.run !== null && live.is(facts.run);
			return isLive
				? {
						type: "abort",
						at,
						cause: "shutdown",
						reason,
						deadline,
						queued: "keep",
					}
				: null;
		},
		committed: () => {},
	});
	// The run itself is told at once, whatever the store says.
	live.abort(new RunAborted("shutdown", reason));
}
