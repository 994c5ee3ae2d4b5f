/** Owns the plot: turns per second of each contender by how many sessions there are, drawn without a browser. */
import type { Results } from "./results.ts";
import { median } from "./statistics.ts";
import { shownMachine } from "./table.ts";

interface Point {
	readonly contender: string;
	readonly sessions: string;
	readonly turns: number;
	readonly least: number;
	readonly most: number;
}

/** What is drawn: medians, and from the least to the most of a round. */
export function pointsOf(results: Results): Point[] {
	return results.groups
		.filter(({ workload }) => workload === "turns")
		.flatMap((group) =>
			group.contenders
				.filter(({ samples }) => samples.length > 0)
				.map(({ name }) => {
					const numbers = results.numbers(group.name, name, "turns");
					return {
						contender: name,
						sessions: Number(group.job.sessions).toLocaleString("en"),
						turns: median(numbers),
						least: Math.min(...numbers),
						most: Math.max(...numbers),
					};
				}),
		);
}

export async function plotted(results: Results): Promise<string> {
	const points = pointsOf(results);
	if (points.length === 0)
		throw new Error(
			"there is nothing to plot; the plot is of the workload turns",
		);
	const { compile } = await import("vega-lite");
	const { parse, View } = await import("vega");
	const inOrder = [...new Set(points.map(({ contender }) => contender))];
	const y = {
		field: "contender",
		type: "nominal",
		sort: inOrder,
		title: null,
		axis: { labelLimit: 400 },
	};
	const fsyncs = results.groups
		.filter(({ workload }) => workload === "turns")
		.map(({ fsync }) => fsync.medianMs);
	const { spec } = compile({
		$schema: "https://vega.github.io/schema/vega-lite/v6.json",
		background: "white",
		title: {
			text: "Turns per second: message → run → end",
			subtitle: `${shownMachine(results.machine, results.size)}, one fsync ${Math.min(...fsyncs).toFixed(2)}–${Math.max(...fsyncs).toFixed(2)} ms; medians of the rounds, and from the least to the most`,
			anchor: "start",
		},
		data: { values: points },
		facet: {
			field: "sessions",
			type: "nominal",
			title: "sessions",
			sort: [...new Set(points.map(({ sessions }) => sessions))],
		},
		columns: 2,
		spec: {
			width: 420,
			height: { step: 20 },
			layer: [
				{
					mark: { type: "bar", color: "#7a9cc6" },
					encoding: {
						y,
						x: { field: "turns", type: "quantitative", title: "turns/s" },
					},
				},
				{
					mark: { type: "rule", color: "#333333" },
					encoding: {
						y,
						x: { field: "least", type: "quantitative" },
						x2: { field: "most" },
					},
				},
			],
		},
		resolve: { scale: { x: "independent" } },
	});
	const view = new View(parse(spec), { renderer: "none" });
	const svg = await view.toSVG();
	view.finalize();
	return svg;
}
