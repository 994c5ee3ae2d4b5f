/** Owns the drawing of the swim-lanes: where each lane, run and late event stands. What there is to draw is said by lanes.ts. */
import { useMemo, useRef } from "preact/hooks";
import { useNow, useWidth } from "./hooks.ts";
import { type Bar, type Lane, type LateEvent, lanesOf } from "./lanes.ts";
import { axisOf, type TimeAxis } from "./scale.ts";
import type { WatchedSession } from "./watched.ts";
import { clock, counted, duration, shortId } from "./words.ts";

const laneHeight = 54;
const barTop = 22;
const barHeight = 20;
const axisHeight = 26;
const margin = 12;

export function LanesView({
	session,
	most,
	marked,
	mark,
}: {
	readonly session: WatchedSession;
	/** How many lanes. */
	readonly most: number;
	/** Index of the refusal that is pointed at. */
	readonly marked: number | null;
	readonly mark: (index: number | null) => void;
}) {
	const frame = useRef<HTMLDivElement>(null);
	const width = useWidth(frame);
	const isLive = session.runs.items.some(({ endedAt }) => endedAt === null);
	const ticked = useNow(isLive ? 500 : 10_000);
	const drawn = useMemo(() => {
		// What has come since the last tick is not in the future.
		const now = Math.max(ticked, Date.now());
		const { lanes, events, instants } = lanesOf(session, most, now);
		const busy = lanes.flatMap(({ bars }) =>
			bars.map(({ from, to }) => ({ from, to: to ?? now })),
		);
		return {
			now,
			lanes,
			events,
			axis: axisOf(instants, busy, Math.max(width - 2 * margin, 200)),
		};
	}, [session, most, ticked, width]);
	const { now, lanes, events, axis } = drawn;
	const height = axisHeight + lanes.length * laneHeight;
	const topOf = (generation: number) => {
		const at = lanes.findIndex((lane) => lane.generation === generation);
		return at < 0 ? null : axisHeight + at * laneHeight;
	};
	return (
		<section
			class="lanes"
			ref={frame}
			// biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard.
			tabIndex={0}
			aria-label="Generations over time"
		>
			<svg
				class="lanes-drawing"
				role="img"
				aria-label={summaryOf(lanes, events)}
				width={axis.width + 2 * margin}
				height={height}
				viewBox={`${-margin} 0 ${axis.width + 2 * margin} ${height}`}
			>
				<defs>
					<pattern
						id="drain"
						width="6"
						height="6"
						patternUnits="userSpaceOnUse"
						patternTransform="rotate(45)"
					>
						<rect class="drain-ground" width="6" height="6" />
						<rect class="drain-line" width="2.5" height="6" />
					</pattern>
				</defs>
				<Axis axis={axis} height={height} />
				{lanes.map((lane) => (
					<LaneView
						key={lane.generation}
						lane={lane}
						top={topOf(lane.generation) ?? 0}
						axis={axis}
						now={now}
					/>
				))}
				{events.map((event) => (
					<LateEventView
						key={`${event.at} ${event.text}`}
						event={event}
						axis={axis}
						from={topOf(event.cameIn)}
						to={event.owner === null ? null : topOf(event.owner)}
						isMarked={marked !== null && marked === event.index}
						mark={mark}
					/>
				))}
			</svg>
		</section>
	);
}

function Axis({
	axis: { ticks, cuts },
	height,
}: {
	readonly axis: TimeAxis;
	readonly height: number;
}) {
	return (
		<g class="axis">
			{ticks.map(({ x, label }) => (
				<g key={x} transform={`translate(${x} 0)`}>
					<line y1={axisHeight - 6} y2={height} />
					<text x={4} y={14}>
						{label}
					</text>
				</g>
			))}
			{cuts.map(({ x, width, from, to }) => (
				<g key={x} class="cut" transform={`translate(${x} 0)`}>
					<rect y={axisHeight - 6} width={width} height={height} />
					<text x={width / 2} y={14} text-anchor="middle">
						{`⋯ ${duration(to - from)
							.split(" ")
							.slice(0, 2)
							.join(" ")}`}
					</text>
				</g>
			))}
		</g>
	);
}

function LaneView({
	lane,
	top,
	axis: { x },
	now,
}: {
	readonly lane: Lane;
	readonly top: number;
	readonly axis: TimeAxis;
	readonly now: number;
}) {
	const { generation, from, to, endedBy, reason, bars } = lane;
	const end = x(to ?? now);
	const by = endedBy
		? ` · ended by ${endedBy}${reason ? ` (${reason})` : ""}`
		: " · current";
	return (
		<g class="lane" transform={`translate(0 ${top})`}>
			<rect
				class={to === null ? "band current" : "band"}
				x={x(from)}
				width={Math.max(end - x(from), 3)}
				y={2}
				height={laneHeight - 6}
				rx={6}
			/>
			<text class="lane-name" x={x(from) + 7} y={16}>
				{`generation ${generation}`}
				<tspan class="quiet">{by}</tspan>
			</text>
			{to !== null && (
				<line class="ending" x1={end} x2={end} y1={2} y2={laneHeight - 4} />
			)}
			{bars.map((bar) => (
				<BarView
					key={`${bar.run.runId} ${bar.run.attempt}`}
					bar={bar}
					x={x}
					now={now}
				/>
			))}
		</g>
	);
}

function BarView({
	bar: { run, from, to, drainsFrom, waits },
	x,
	now,
}: {
	readonly bar: Bar;
	readonly x: TimeAxis["x"];
	readonly now: number;
}) {
	const end = to ?? now;
	const wide = (a: number, b: number) => Math.max(x(b) - x(a), 3);
	const outcome = run.outcome ?? (run.stoppedBy ? "aborting" : "running");
	return (
		<g class={`bar outcome-${outcome}`}>
			<title>{barTitle(run, from, to, now)}</title>
			<rect
				x={x(from)}
				y={barTop}
				width={wide(from, drainsFrom ?? end)}
				height={barHeight}
				rx={4}
			/>
			{drainsFrom !== null && (
				<rect
					class="drain"
					x={x(drainsFrom)}
					y={barTop}
					width={wide(drainsFrom, end)}
					height={barHeight}
					rx={4}
				/>
			)}
			{waits.map((wait) => (
				<rect
					key={wait.from}
					class="wait"
					x={x(wait.from)}
					y={barTop + barHeight - 6}
					width={wide(wait.from, wait.to ?? now)}
					height={6}
				/>
			))}
			{run.stoppedBy !== null && (
				<path
					class="stop"
					transform={`translate(${x(drainsFrom ?? end)} ${barTop + barHeight / 2})`}
					d="M-4 -4 L4 4 M4 -4 L-4 4"
				/>
			)}
			{wide(from, drainsFrom ?? end) > 60 && (
				<text x={x(from) + 6} y={barTop + 14}>
					{shortId(run.runId).slice(
						0,
						Math.floor((wide(from, drainsFrom ?? end) - 14) / 6.8),
					)}
				</text>
			)}
		</g>
	);
}

function LateEventView({
	event: { index, at: cameAt, verdict, text },
	axis: { x, width },
	from,
	to,
	isMarked,
	mark,
}: {
	readonly event: LateEvent;
	readonly axis: TimeAxis;
	/** Top of the lane where it came in; null: not shown. */
	readonly from: number | null;
	readonly to: number | null;
	readonly isMarked: boolean;
	readonly mark: (index: number | null) => void;
}) {
	if (from === null) return null;
	const at = x(cameAt);
	const start = from + barTop + barHeight / 2;
	const end = to === null ? start : to + barTop + barHeight / 2;
	const round = Math.min(40, Math.abs(end - start) / 2);
	const bend = at + round > width ? -round : round;
	return (
		<g
			class={`late verdict-${verdict}${isMarked ? " marked" : ""}`}
			onPointerEnter={() => mark(index)}
			onPointerLeave={() => mark(null)}
		>
			<title>{`${clock(cameAt)} · ${text}`}</title>
			{end !== start && (
				<path
					class="filed"
					d={`M${at} ${start} C${at + bend} ${start} ${at + bend} ${end} ${at} ${end}`}
				/>
			)}
			<circle cx={at} cy={start} r={5} />
			{end !== start && <rect x={at - 4} y={end - 4} width={8} height={8} />}
		</g>
	);
}

function barTitle(
	run: Bar["run"],
	from: number,
	to: number | null,
	now: number,
): string {
	const stopped = run.stoppedBy ? `, stopped by ${run.stoppedBy}` : "";
	const attempt = run.attempt > 1 ? ` attempt ${run.attempt}` : "";
	const outcome = run.outcome ?? "live";
	const error = run.error ? `: ${run.error.slice(0, 200)}` : "";
	return `run ${run.runId}${attempt} · ${outcome}${stopped} · ${clock(from)}, ${duration((to ?? now) - from)}${error}`;
}

function summaryOf(
	lanes: readonly Lane[],
	events: readonly LateEvent[],
): string {
	const runs = lanes.reduce((sum, { bars }) => sum + bars.length, 0);
	const shown = `${counted(lanes.length, "generation")} with ${counted(runs, "run")}`;
	return [shown, ...events.map(({ text }) => text)].join("; ");
}
