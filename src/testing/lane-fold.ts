/** Owns what is left out of a drawing that would be too wide or too long: it is said how much, and nothing is left out in silence. */
import type { TraceData, TraceLane, TraceStep } from "./trace.ts";

/** How much of a trace is drawn. */
export interface Extent {
	/** Most lanes; sessions beyond share one. Default 16. */
	readonly lanes?: number;
	/** Most steps; default all. */
	readonly steps?: number;
}

/** A trace that is no wider and no longer than that. */
export function folded(trace: TraceData, extent: Extent = {}): TraceData {
	return shortened(narrowed(trace, extent.lanes ?? 16), extent.steps);
}

function narrowed(trace: TraceData, most: number): TraceData {
	if (trace.lanes.length <= most) return trace;
	const sessions = trace.lanes.filter(({ kind }) => kind === "session");
	const ownOf = (key: string | null) =>
		trace.lanes.filter((lane) => lane.sessionKey === key);
	// Whole sessions, as many as there is room for beside host, store and the rest; the first in any case.
	const kept = new Set<TraceLane>();
	let room = most - 3;
	for (const { sessionKey } of sessions) {
		const own = ownOf(sessionKey);
		if (kept.size > 0 && own.length > room) break;
		for (const lane of own) kept.add(lane);
		room -= own.length;
	}
	const left = sessions.filter((lane) => !kept.has(lane));
	if (left.length === 0) return trace;
	const rest: TraceLane = {
		id: "rest",
		kind: "session",
		label:
			left.length === 1
				? (left[0]?.label ?? "")
				: `${left.length} more sessions`,
		sessionKey: null,
		generation: null,
	};
	const ids = new Set([...kept].map(({ id }) => id)).add("host").add("store");
	const laneOf = (id: string) => (ids.has(id) ? id : rest.id);
	const lanes = trace.lanes.filter(({ id }) => ids.has(id));
	return {
		lanes: [...lanes.slice(0, -1), rest, ...lanes.slice(-1)],
		steps: together(
			trace.steps.map((step) => ({
				...step,
				from: laneOf(step.from),
				to: laneOf(step.to),
				// Of many sessions there is no one generation.
				generation: ids.has(step.from) ? step.generation : null,
			})),
			rest.id,
		),
	};
}

/** What the sessions that share a lane do all the same, one after another, is one step, with how often. */
function together(
	steps: readonly TraceStep[],
	lane: string,
): readonly TraceStep[] {
	const drawn: { step: TraceStep; count: number }[] = [];
	for (const step of steps) {
		const last = drawn.at(-1);
		const isSame =
			last !== undefined &&
			(step.from === lane || step.to === lane) &&
			(["kind", "from", "to", "label", "at"] as const).every(
				(name) => last.step[name] === step[name],
			);
		if (isSame) last.count += 1;
		else drawn.push({ step, count: 1 });
	}
	return drawn.map(({ step, count }) =>
		count === 1 ? step : { ...step, label: `${step.label} (${count} times)` },
	);
}

function shortened(trace: TraceData, most: number | undefined): TraceData {
	const { lanes, steps } = trace;
	if (most === undefined || steps.length <= most) return trace;
	const shown = steps.slice(0, most - 1);
	const last = shown.at(-1) as TraceStep;
	const touched = new Set(shown.flatMap(({ from, to }) => [from, to]));
	return {
		lanes: lanes.filter(
			({ id, kind }) => touched.has(id) || kind === "host" || kind === "store",
		),
		steps: [
			...shown,
			{
				...last,
				kind: "close",
				from: "host",
				to: "host",
				label: `… and ${steps.length - shown.length} more steps`,
				tone: "plain",
				generation: null,
			},
		],
	};
}
