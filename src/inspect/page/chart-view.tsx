/** Owns the drawing of the session statechart: laid out by dagre, with the state that the session is in and the transition that led there. */
import { Graph, layout } from "@dagrejs/dagre";
import { useMemo } from "preact/hooks";
import type { Chart, ChartArrow } from "../../../machines/chart.ts";
import type { SeenTransition } from "../protocol.ts";

const any = "any state";
const margin = 8;

interface Box {
	readonly name: string;
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
}

interface Drawn {
	readonly width: number;
	readonly height: number;
	readonly boxes: readonly Box[];
	readonly arrows: readonly {
		readonly arrow: ChartArrow;
		readonly path: string;
	}[];
}

export function ChartView({
	chart,
	state,
	transition,
}: {
	readonly chart: Chart;
	readonly state: string | null;
	readonly transition: SeenTransition | null;
}) {
	const { width, height, boxes, arrows } = useMemo(() => draw(chart), [chart]);
	const last = useMemo(
		() => (transition ? arrowsOf(chart, transition) : new Set<ChartArrow>()),
		[chart, transition],
	);
	const isLast = (arrow: ChartArrow) => last.has(arrow);
	// What is marked stands on top.
	const ordered = [...arrows].sort(
		(a, b) => Number(isLast(a.arrow)) - Number(isLast(b.arrow)),
	);
	return (
		<svg
			class="chart"
			role="img"
			aria-label={`Statechart of the session; it is ${state ?? "not there"}${
				transition ? `, and came from ${transition.from}` : ""
			}`}
			viewBox={`${-margin} ${-margin} ${width + 2 * margin} ${height + 2 * margin}`}
		>
			<defs>
				{["tip", "tip-last"].map((id) => (
					<marker
						key={id}
						id={id}
						viewBox="0 0 8 8"
						refX="7"
						refY="4"
						markerWidth="7"
						markerHeight="7"
						orient="auto-start-reverse"
					>
						<path class={id} d="M0 0 L8 4 L0 8 z" />
					</marker>
				))}
			</defs>
			{ordered.map(({ arrow, path }) => (
				<g
					key={`${arrow.from} ${arrow.to}`}
					class={isLast(arrow) ? "arrow last" : "arrow"}
				>
					<title>{`${arrow.from ?? any} → ${arrow.to}: ${arrow.labels.join(", ")}`}</title>
					<path
						d={path}
						marker-end={isLast(arrow) ? "url(#tip-last)" : "url(#tip)"}
					/>
				</g>
			))}
			{boxes.map(({ name, x, y, width: w, height: h }) => (
				<g
					key={name}
					class={`state${name === state ? ` active status-${name}` : ""}${name === any ? " any" : ""}`}
					transform={`translate(${x} ${y})`}
				>
					<rect x={-w / 2} y={-h / 2} width={w} height={h} rx={8} />
					<text text-anchor="middle" dominant-baseline="central">
						{name}
					</text>
				</g>
			))}
		</svg>
	);
}

/** The arrow from one state to the other; through a state that is left at once, both; else that which leads there from every state. */
function arrowsOf(
	{ arrows }: Chart,
	{ from, to }: SeenTransition,
): ReadonlySet<ChartArrow> {
	const direct = arrows.find((arrow) => arrow.from === from && arrow.to === to);
	if (direct) return new Set([direct]);
	const isAtOnce = ({ labels }: ChartArrow) =>
		labels.some((label) => label.startsWith("["));
	for (const first of arrows)
		for (const second of arrows)
			if (
				first.from === from &&
				first.to === second.from &&
				second.to === to &&
				isAtOnce(second)
			)
				return new Set([first, second]);
	return new Set(
		arrows.filter((arrow) => arrow.from === null && arrow.to === to),
	);
}

function draw({ states, arrows }: Chart): Drawn {
	const graph = new Graph();
	graph.setGraph({ rankdir: "LR", nodesep: 26, ranksep: 54, edgesep: 14 });
	graph.setDefaultEdgeLabel(() => ({}));
	for (const name of [any, ...states])
		graph.setNode(name, { width: name.length * 8 + 26, height: 34 });
	for (const { from, to } of arrows)
		if (from !== to) graph.setEdge(from ?? any, to);
	layout(graph);
	const { width = 0, height = 0 } = graph.graph() as {
		width?: number;
		height?: number;
	};
	const boxes = [any, ...states].map((name) => {
		const { x, y, width, height } = graph.node(name) as Box;
		return { name, x, y, width, height };
	});
	return {
		width,
		height,
		boxes,
		arrows: arrows.map((arrow) => {
			const { from, to } = arrow;
			if (from === to) {
				const box = boxes.find(({ name }) => name === to) as Box;
				return { arrow, path: loop(box) };
			}
			const { points } = graph.edge(from ?? any, to) as {
				points: readonly { x: number; y: number }[];
			};
			return { arrow, path: curve(points) };
		}),
	};
}

/** From a state to itself, below it. */
function loop({ x, y, height }: Box): string {
	const bottom = y + height / 2;
	return `M${x - 9} ${bottom} C${x - 16} ${bottom + 20} ${x + 16} ${bottom + 20} ${x + 9} ${bottom}`;
}

/** Through the middle of each stretch, bent at the points between. */
function curve(points: readonly { x: number; y: number }[]): string {
	const [first, ...rest] = points;
	const last = rest.pop();
	if (!first || !last) return "";
	const parts = [`M${first.x} ${first.y}`];
	rest.forEach((point, at) => {
		const next = rest[at + 1];
		const end = next
			? { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 }
			: last;
		parts.push(`Q${point.x} ${point.y} ${end.x} ${end.y}`);
	});
	return parts.join(" ");
}
