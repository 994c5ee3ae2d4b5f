/** Owns which scenarios of the catalogue are not played on Restate, and why. */

/** By what a scenario asks for. */
export const embeddedOnly = {
	store: "it looks into its store, or makes it fail",
	close: "nothing of a session ends with a process that closes",
	onGenerationEnded: "there is no onGenerationEnded",
	retention: "there is no retention",
	maxConcurrentRuns: "there is no maxConcurrentRuns",
	maxResident: "nothing of a session is in a process",
	atom: "there are no atoms",
	inspect: "nobody can look at the actors",
	stats: "there are no stats",
} as const;

/** Titles of those that come out otherwise there, by the reason. */
const otherwise: Readonly<Record<string, readonly string[]>> = {
	"parent and child began in one ms, and each of them sees to its own time": [
		"AB-25 whichever way a run comes to its end, every run that is attached to it is stopped with it",
		"CH-07 a run that times out is said to have, when the runs that it has started have come to their end or been given up, and not before",
		"CH-08 however often a job fires and is timed out, no more than one of its children lives",
	],
	"a run of the host's goes on without its process, until its lease is over": [
		"DP-16 a run that was in flight when its process died is settled as interrupted, not begun again, and the line goes on",
		"DP-16 what was in flight when its process died is settled or tried again as its host has said, and an effect that is known is not repeated",
		"SE-03 the end of a run that died with its process does not end the attempt that has taken it up again",
		"SR-05 a start finds what the last process left by what it owned, whichever way that process went",
		"SR-07 what is left of a dead process is settled before anybody is served, also where no run is on record",
		"TM-14 what a run that its process's death has ended had put in line elsewhere is not shown by the next process",
		"VD-10 the end of a run that was settled as its process died is told to whoever asks, and touches nothing of the one that is live",
	],
	"what it takes for dead lives on, which test/restate/deaths plays": [
		"MP-05 the monitor of a process that was resumed elsewhere finds that the session is not its own",
		"TM-13 the lease of a run, counted by an owner that has lost its store, ends nothing with the next, which counts by itself",
		"TM-13 the timer of an owner that has lost its store changes nothing in the store of the next",
	],
	"a lease is a tenth longer": [
		"MP-16 who works renews its lease by that, and that nobody has a lease is no permission",
		"SR-22 a lease is that of one run: its process lives on, and the session is not held for it",
		"TM-10 the lease of a run that was named before runs anew, as long as it was given now, and the one of before ends nothing",
	],
	[embeddedOnly.store]: [
		"PR-05 a row that has ended has nothing after its end in its transcript, and takes the next message, also after a crash",
		"RR-07 a reset succeeds whatever the old row is like, and another one during it as well",
	],
	"it has two hosts, each with a store of its own": [
		"PR-08 a session id that two sessions share says nothing of the one by the run of the other",
	],
	"there is no feed, and what is heard here of a call is heard before Restate has it":
		[
			"PR-10 whoever learns that a run has ended finds it ended, by whichever way they learn it",
		],
	"a child that has died with its parent is tried again until it is told that its parent is gone":
		[
			"RQ-13 a message whose run has died with its process is tried again before all others, however the process ended, until it has been handled",
		],
	"which of the two is set free first is not said": [
		"RR-05 two sessions that act on each other from both sides do not lock each other out",
	],
	"there are no owners": [
		"SR-07 an owner that comes between the plan to settle and its commit is not overwritten",
	],
};

/** How many are left out: one more would be one that was played before. */
export const mostLeftOut = 72;

export function reasonNotTo(title: string): string | null {
	const found = Object.entries(otherwise).find(([, titles]) =>
		titles.includes(title),
	);
	return found?.[0] ?? null;
}
