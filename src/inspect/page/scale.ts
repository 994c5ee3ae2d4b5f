/** Owns the time axis of the lanes: times in which something happens are drawn to scale, those in which nothing does are cut short. */
import { type ScaleTime, scaleTime } from "d3-scale";
import { timeFormat } from "d3-time-format";

export interface TimeAxis {
	readonly x: ScaleTime<number, number>;
	readonly width: number;
	readonly ticks: readonly { readonly x: number; readonly label: string }[];
	/** Times that were cut short. */
	readonly cuts: readonly Cut[];
}

export interface Cut {
	readonly from: number;
	readonly to: number;
	readonly x: number;
	readonly width: number;
}

/** A time in which something runs. */
export interface Busy {
	readonly from: number;
	readonly to: number;
}

const cutWidth = 44;
const pxATick = 150;
const labelWidth = 64;
const least = 1000;
/** Times as long as a usual run: a pause that is longer is cut short, and so is what goes on for very much longer. */
const longPause = 4;
const longRun = 20;

/**
 * An axis from the first instant to the last, at least as wide as told.
 *
 * @example axisOf([0, 1000, 90_000_000, 90_001_000], [{ from: 0, to: 1000 }], 800).cuts.length // 1
 */
export function axisOf(
	instants: readonly number[],
	busy: readonly Busy[],
	wide: number,
): TimeAxis {
	const first = instants[0] ?? 0;
	const last = Math.max(instants.at(-1) ?? 0, first + least);
	const usual = Math.max(
		least,
		medianOf(busy.map(({ from, to }) => to - from)),
	);
	const spans: { from: number; to: number; isCut: boolean }[] = [];
	for (const { from, to } of stepsOf(instants, last)) {
		const goesOn = busy.some((one) => one.from <= from && one.to >= to);
		const isCut = to - from > usual * (goesOn ? longRun : longPause);
		const before = spans.at(-1);
		if (before && !before.isCut && !isCut) before.to = to;
		else spans.push({ from, to, isCut });
	}
	const cutCount = spans.filter(({ isCut }) => isCut).length;
	const drawn = spans
		.filter(({ isCut }) => !isCut)
		.reduce((sum, { from, to }) => sum + to - from, 0);
	const width = Math.max(wide, cutCount * cutWidth + instants.length * 6);
	const msAPx = Math.max(drawn, 1) / Math.max(width - cutCount * cutWidth, 1);
	const domain = [first];
	const range = [0];
	const cuts: Cut[] = [];
	const ticks: { x: number; label: string }[] = [];
	for (const { from, to, isCut } of spans) {
		const x = range.at(-1) as number;
		const spanWidth = isCut ? cutWidth : (to - from) / msAPx;
		domain.push(to);
		range.push(x + spanWidth);
		if (isCut) {
			cuts.push({ from, to, x, width: spanWidth });
			continue;
		}
		const own = scaleTime([from, to], [x, x + spanWidth]);
		const many = Math.floor(spanWidth / pxATick);
		if (many === 0) continue;
		const times = own.ticks(many);
		const label = timeFormat(formatOf(times));
		for (const time of times) ticks.push({ x: own(time), label: label(time) });
	}
	// A cut says how long it is, where a tick beside it would stand.
	const isFree = (at: number) =>
		cuts.every(({ x, width }) => at < x - labelWidth || at > x + width);
	return {
		x: scaleTime(domain, range).clamp(true),
		width,
		ticks: ticks.filter(({ x }) => isFree(x)),
		cuts,
	};
}

/** As exactly as the ticks need it. */
function formatOf([first, second]: readonly Date[]): string {
	const step = first && second ? second.getTime() - first.getTime() : least;
	if (step < 1000) return "%H:%M:%S.%L";
	if (step < 60_000) return "%H:%M:%S";
	return step < 86_400_000 ? "%a %H:%M" : "%Y-%m-%d";
}

function stepsOf(instants: readonly number[], last: number): Busy[] {
	const steps: Busy[] = [];
	let from = instants[0] ?? 0;
	for (const to of [...instants.slice(1), last])
		if (to > from) {
			steps.push({ from, to });
			from = to;
		}
	return steps;
}

function medianOf(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
