/** Owns the session statechart as data, read from the machine itself: its states, and one arrow for all that leads from one to another. */
import { sessionMachine } from "./session.ts";

type Node = typeof sessionMachine.root;

/** For those who draw it. */
export interface Chart {
	readonly states: readonly string[];
	readonly initial: string;
	readonly arrows: readonly ChartArrow[];
}

export interface ChartArrow {
	/** Null: from every state. */
	readonly from: string | null;
	readonly to: string;
	/** Event and guard of each transition that it stands for, such as `settled [liveRunFailed]`. */
	readonly labels: readonly string[];
}

/**
 * The session statechart, for drawing.
 *
 * @example sessionChart().states // ["idle", "running", …]
 */
export function sessionChart(): Chart {
	const root = sessionMachine.root as Node;
	const states = Object.values(root.states) as unknown as Node[];
	return {
		states: states.map(({ key }) => key),
		initial: (root.initial.target as readonly Node[])[0]?.key ?? "",
		arrows: [
			...states.flatMap((state) => arrowsOf(state, state.key)),
			// What every state answers stands once.
			...arrowsOf(root, null),
		],
	};
}

function arrowsOf(node: Node, from: string | null): ChartArrow[] {
	const labels = new Map<string, string[]>();
	const add = (eventType: string, transition: unknown) => {
		const { guard, target } = transition as {
			guard?: string;
			target?: readonly Node[];
		};
		const to = target?.[0]?.key;
		if (to === undefined) return;
		const label = `${eventType}${guard ? ` [${guard}]` : ""}`.trim();
		labels.set(to, [...(labels.get(to) ?? []), label]);
	};
	for (const [eventType, transitions] of node.transitions)
		for (const transition of transitions) add(eventType, transition);
	for (const transition of node.always ?? []) add("", transition);
	return [...labels].map(([to, own]) => ({ from, to, labels: own }));
}
