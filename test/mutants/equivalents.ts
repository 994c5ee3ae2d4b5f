/**
 * Owns which mutants nothing can tell from the original, each with its reason. One that is killed after all, or that does not exist,
 * fails the run: the list is never longer than the truth.
 */

export interface Equivalent {
	readonly id: string;
	readonly why: string;
}

export const equivalents: readonly Equivalent[] = [
	...alike(
		"one run at most drains, for none becomes live before it has: there is no other to tell it from",
		[
			"fence machines/generation.ts settleDraining: !ownsRun(one.run, ticketOf(run)) always false",
			"fence machines/generation.ts startDraining: ownsRun(one.run, ticketOf(run)) always true",
			"fence machines/report.ts findRun: run.attempt > latest.attempt always true",
			"fence machines/report.ts findRun: run.attempt > latest.attempt always false",
			"fence machines/lifecycle.ts countUsage: one.run.generation === event.ticket.generation always true",
		],
	),
	...alike(
		"what drains was told to stop, so it settles aborted, abandoned or by a time limit, never failed",
		[
			'fence machines/generation.ts completeGeneration: run.outcome === "failed" always false',
			'fence machines/generation.ts completeGeneration: run.outcome === "failed" always false #2',
		],
	),
	...alike(
		"only asked in the states running and waiting, where no run has been told to stop",
		[
			"fence machines/effects.ts mayAct: facts.run?.stop === null always true",
			"fence machines/line.ts steeringFor: run.stop always false",
		],
	),
	...alike(
		"a hidden generation has no run, so the comparison that follows finds the same",
		[
			"fence machines/facts.ts mismatchOf: facts.hidden always false #2",
			"fence machines/facts.ts mismatchOf: facts.hidden always false #3",
		],
	),
	...alike(
		"a hidden generation has nothing that is to be tried again: the delete that began it took that back",
		["fence machines/generation.ts keeps: !facts.hidden always true"],
	),
	...alike(
		"what waits through a delete expects no generation: it would have lost its place by the delete itself",
		["fence machines/generation.ts keeps: facts.hidden always false"],
	),
	...alike(
		"while anything drains no run is live, and without one nothing goes back into line",
		[
			"fence machines/lifecycle.ts unreadOf: !ownsRun(run, ticket) always false",
		],
	),
	...alike("a shortcut: the filter beside it finds the same empty line", [
		"fence machines/line.ts take: run.messageIds.length === facts.queue.length always false",
	]),
	...alike(
		"a run that was told to stop settles interrupted only if its process closed",
		[
			'fence machines/retry.ts isTriedAgain: run.stop.cause === "shutdown" always true',
		],
	),
];

function alike(why: string, ids: readonly string[]): Equivalent[] {
	return ids.map((id) => ({ id, why }));
}
