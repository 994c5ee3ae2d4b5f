/** Owns how a trace is drawn in characters. Never colours: it must read the same in a log. */
import { type Extent, folded } from "./lane-fold.ts";
import type { TraceData, TraceStep } from "./trace.ts";

/** Characters from one lane to the next. */
const apart = 5;

const marks = {
	plain: "",
	good: "",
	late: "~ ",
	refused: "✗ ",
	error: "! ",
} as const;

/** Swim-lanes in characters. A lane reaches from the first step that touches it to the last. */
export function textOf(trace: TraceData, extent: Extent): string {
	const { lanes, steps } = folded(trace, extent);
	const place = new Map(lanes.map(({ id }, i) => [id, i]));
	const reach = reachOf(steps);
	const width = lanes.length * apart;
	const lines: string[] = lanes.map(({ label }, i) => {
		const before = "│".padEnd(apart).repeat(i);
		return `         ${before}${label}`;
	});
	let at = 0;
	steps.forEach((step, i) => {
		const row = Array.from({ length: width }, () => " ");
		for (const [lane, [first, last]] of reach)
			if (first <= i && i <= last) row[(place.get(lane) ?? 0) * apart] = "│";
		// Those that are always there.
		for (const { id, kind } of lanes)
			if (kind === "host" || kind === "store" || kind === "session")
				row[(place.get(id) ?? 0) * apart] = "│";
		draw(row, step, place);
		const time = step.at === at ? "" : elapsed(step.at - at);
		at = step.at;
		lines.push(
			`${time.padStart(8)} ${row.join("")}${marks[step.tone]}${step.label}`,
		);
	});
	return lines.map((line) => line.trimEnd()).join("\n");
}

function draw(
	row: string[],
	{ kind, from, to }: TraceStep,
	place: ReadonlyMap<string, number>,
): void {
	if (kind === "crash" || kind === "boot" || kind === "close") {
		const across = kind === "crash" ? "╳" : "═";
		for (let x = 0; x < row.length - apart + 1; x++)
			row[x] = x % apart === 0 ? "╪" : across;
		return;
	}
	const a = (place.get(from) ?? 0) * apart;
	const b = (place.get(to) ?? 0) * apart;
	for (let x = Math.min(a, b) + 1; x < Math.max(a, b); x++)
		row[x] = row[x] === "│" ? "┼" : "─";
	row[a] = "●";
	if (a < b) row[b - 1] = "▶";
	if (b < a) row[b + 1] = "◀";
}

/** By lane: the first step that touches it, and the last. */
export function reachOf(
	steps: readonly TraceStep[],
): ReadonlyMap<string, readonly [number, number]> {
	const reach = new Map<string, [number, number]>();
	steps.forEach(({ from, to }, i) => {
		for (const lane of [from, to]) {
			const known = reach.get(lane);
			if (known) known[1] = i;
			else reach.set(lane, [i, i]);
		}
	});
	return reach;
}

const units: readonly [number, string][] = [
	[86_400_000, "d"],
	[3_600_000, "h"],
	[60_000, "min"],
	[1000, "s"],
	[1, "ms"],
];

/** A time that has passed, in two units at most. Clocks may step back. */
export function elapsed(ms: number): string {
	const sign = ms < 0 ? "−" : "+";
	let left = Math.abs(ms);
	const parts: string[] = [];
	for (const [size, name] of units) {
		const count = Math.floor(left / size);
		if (count === 0) continue;
		parts.push(`${count}${name}`);
		left -= count * size;
		if (parts.length === 2) break;
	}
	return `${sign}${parts.join("") || "0ms"}`;
}
