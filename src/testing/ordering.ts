/**
 * Owns the search for an order: whether steps that overlapped in time can have happened one after the other, so that each finds what it was
 * told. Wing and Gong's search (1993), with Lowe's memory (2017) of what has been tried: the same steps done and the same state reached
 * lead nowhere twice. Knows nothing of sessions.
 */

/** One step. What it does to a state is said by `next` of the search. */
export interface Step {
	readonly invokedAt: number;
	/** Null: never. */
	readonly answeredAt: number | null;
	/** It must have happened; else it may have, by its answer. */
	readonly isRequired: boolean;
	/** The index of a step that comes before it. */
	readonly after: number | null;
	/** The highest level at which it can still happen; null: at any. */
	readonly most: number | null;
}

/** A state that a step leads to, and steps that it makes needless. */
export interface Reached<State> {
	readonly state: State;
	readonly over?: readonly number[];
}

export interface Search<State> {
	readonly initial: State;
	/** Every state that the step may lead to; none: it cannot happen here. */
	next(state: State, step: number): readonly Reached<State>[];
	/** A number that no step makes smaller, such as a version: beyond what a step that must happen can bear, nothing is tried. */
	levelOf(state: State): number;
	/** The same text for the same state. */
	textOf(state: State): string;
	/** Configurations to try before the search is given up. */
	readonly limit: number;
}

export interface Order<State> {
	/** Steps in an order that holds: all that are required, or the most that could be put in order. */
	readonly steps: readonly number[];
	readonly state: State;
}

export type Found<State> =
	| { readonly result: "ordered"; readonly order: Order<State> }
	| { readonly result: "impossible"; readonly deepest: Order<State> }
	| { readonly result: "undecided"; readonly deepest: Order<State> };

interface Place<State> {
	readonly state: State;
	/** Done, or made needless. */
	readonly done: Uint8Array;
	/** The latest invocation among what was done: what was answered before that can be done no more. */
	readonly since: number;
	readonly trail: Trail | null;
}

/** The steps that led to a place, the last first: shared between places. */
interface Trail {
	readonly step: number;
	readonly before: Trail | null;
	readonly length: number;
}

export function findOrder<State>(
	steps: readonly Step[],
	search: Search<State>,
): Found<State> {
	const tried = new Set<string>();
	const first: Place<State> = {
		state: search.initial,
		done: new Uint8Array(steps.length),
		since: Number.NEGATIVE_INFINITY,
		trail: null,
	};
	let deepest = first;
	const open = [first];
	for (let place = open.pop(); place; place = open.pop()) {
		if (isComplete(steps, place))
			return { result: "ordered", order: orderOf(place) };
		if (tried.size >= search.limit)
			return { result: "undecided", deepest: orderOf(deepest) };
		const text = `${place.done.join("")}|${search.textOf(place.state)}`;
		if (tried.has(text)) continue;
		tried.add(text);
		if (lengthOf(place) > lengthOf(deepest)) deepest = place;
		// The last is tried first, so those that were answered first are put last.
		for (const step of possible(steps, place))
			for (const reached of search.next(place.state, step)) {
				const next = after(steps, place, step, reached);
				if (search.levelOf(next.state) <= mostOf(steps, next)) open.push(next);
			}
	}
	return { result: "impossible", deepest: orderOf(deepest) };
}

function isComplete<State>(
	steps: readonly Step[],
	{ done }: Place<State>,
): boolean {
	return steps.every(({ isRequired }, i) => !isRequired || done[i] === 1);
}

/** The highest level that all that must still happen can bear. */
function mostOf<State>(steps: readonly Step[], { done }: Place<State>): number {
	let most = Number.POSITIVE_INFINITY;
	steps.forEach((step, i) => {
		if (step.isRequired && !done[i] && step.most !== null)
			most = Math.min(most, step.most);
	});
	return most;
}

/** The steps that may come next: no step that must have happened was answered before they were called. The likeliest is the last. */
function possible<State>(
	steps: readonly Step[],
	{ done, since }: Place<State>,
): readonly number[] {
	let soonest = Number.POSITIVE_INFINITY;
	steps.forEach((step, i) => {
		if (step.isRequired && !done[i])
			soonest = Math.min(soonest, answerOf(step));
	});
	return steps
		.map((_, i) => i)
		.filter((i) => {
			const step = steps[i] as Step;
			if (done[i] || step.invokedAt > soonest) return false;
			if (step.after !== null && !done[step.after]) return false;
			return answerOf(step) >= since;
		})
		.sort((a, b) => {
			const [one, other] = [steps[a] as Step, steps[b] as Step];
			if (one.isRequired !== other.isRequired) return one.isRequired ? 1 : -1;
			return answerOf(other) - answerOf(one) || other.invokedAt - one.invokedAt;
		});
}

function answerOf({ answeredAt }: Step): number {
	return answeredAt ?? Number.MAX_VALUE;
}

function after<State>(
	steps: readonly Step[],
	{ done, since, trail }: Place<State>,
	step: number,
	{ state, over = [] }: Reached<State>,
): Place<State> {
	const next = done.slice();
	next[step] = 1;
	for (const needless of over) next[needless] = 1;
	return {
		state,
		done: next,
		since: Math.max(since, (steps[step] as Step).invokedAt),
		trail: { step, before: trail, length: (trail?.length ?? 0) + 1 },
	};
}

function lengthOf<State>({ trail }: Place<State>): number {
	return trail?.length ?? 0;
}

function orderOf<State>({ state, trail }: Place<State>): Order<State> {
	const steps: number[] = [];
	for (let at = trail; at; at = at.before) steps.push(at.step);
	return { steps: steps.reverse(), state };
}
