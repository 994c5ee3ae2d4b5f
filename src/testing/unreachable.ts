/** Owns the list of the transitions that the chart has and no session can take, each with the reason. The suite fails if one of them is taken. */

/** A transition that no session can take. */
export interface UnreachableTransition {
	readonly name: string;
	readonly why: string;
}

const free = ["idle", "ended", "failed"];
const live = ["running", "waiting", "aborting"];

/** Every state inherits what the root answers, also what only some of them can meet. */
const reasons: readonly {
	readonly why: string;
	readonly states: readonly string[];
	readonly transitions: readonly string[];
}[] = [
	{
		why: "no run is live in this state",
		states: [...free, "resetting"],
		transitions: ["admit [isLiveAgain]"],
	},
	{
		why: "nothing is live in this state and nothing drains",
		states: free,
		transitions: ["admit [isTaken]"],
	},
	{
		why: "a run is live in this state, or something drains: the admission was refused before",
		states: [...live, "resetting"],
		transitions: ["admit → running"],
	},
	{
		why: "a hidden generation has had no run: it comes to light with its first",
		states: [...live, "ended", "failed"],
		transitions: [
			"reset [isHidden]",
			"delete → resetting [deletesAgain]",
			"delete [isHidden]",
			"patch [isHidden]",
			"import [isUnused]",
		],
	},
	{
		why: "what drains was used once",
		states: ["resetting"],
		transitions: ["import [isUnused]"],
	},
	{
		why: "a hidden session of which something drains is deleted again, which comes first",
		states: ["resetting"],
		transitions: ["delete [isHidden]"],
	},
	{
		why: "an abort either means the live run, or it is stale",
		states: live,
		transitions: ["abort [dropsWaiting]", "abort"],
	},
	{
		why: "a session of which something drains is resetting",
		states: [...live, ...free],
		transitions: ["usage [isOfDrainingGeneration]"],
	},
	{
		why: "no run is live in this state, and one that is to be tried again has left the session ended or failed",
		states: ["idle", "resetting"],
		transitions: ["answer [answersWait]", "answer"],
	},
	{
		why: "no run is live in this state, nothing drains, and one that is to be tried again has left the session ended or failed",
		states: ["idle"],
		transitions: ["delivered [ownsUnsettledRun]"],
	},
	{
		why: "a delivery that ends after its run was put in line again is one of a process that closes, which admits no run that could fail",
		states: ["failed"],
		transitions: ["delivered [ownsUnsettledRun]"],
	},
	{
		why: "the outcome of a run that was told to stop is never 'failed'",
		states: ["aborting"],
		transitions: [
			"report → failed [reportFailsRun]",
			"settled → failed [liveRunFailed]",
		],
	},
];

/**
 * Transitions of the session chart (`sessionTransitions`) that no path takes, by design, each with the reason.
 *
 * @example unreachableTransitions()[0] // { name: "idle: admit [isLiveAgain]", why: "no run is live in this state" }
 */
export function unreachableTransitions(): readonly UnreachableTransition[] {
	return reasons.flatMap(({ why, states, transitions }) =>
		states.flatMap((state) =>
			transitions.map((transition) => ({
				name: `${state}: ${transition}`,
				why,
			})),
		),
	);
}
