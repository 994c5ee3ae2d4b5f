/** Owns how measurements are printed: tables of words, in which numbers stand right. */
import type { GroupResult, Machine } from "./results.ts";
import { median, ratios } from "./statistics.ts";
import type { Measure, Size } from "./workload.ts";

/** Three digits that count, thousands apart. */
export function shownNumber(number: number): string {
	if (!Number.isFinite(number)) return "–";
	const digits = Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
	if (number !== 0 && Math.abs(number) < 0.1) return number.toPrecision(2);
	return number.toLocaleString("en", {
		minimumFractionDigits: digits,
		maximumFractionDigits: digits,
	});
}

/** What is set against nothing has no ratio. */
function shownRatio(ratio: number): string {
	return Number.isFinite(ratio) ? ratio.toFixed(2) : "–";
}

/** Columns as wide as they must be; the first, or so many, stand left, the others right. */
export function columns(
	rows: readonly (readonly string[])[],
	left = 1,
): string {
	const widths = (rows[0] ?? []).map((_, at) =>
		Math.max(...rows.map((row) => (row[at] ?? "").length)),
	);
	return rows
		.map((row) =>
			row
				.map((cell, at) =>
					at < left
						? cell.padEnd(widths[at] ?? 0)
						: cell.padStart(widths[at] ?? 0),
				)
				.join("   ")
				.trimEnd(),
		)
		.join("\n");
}

/** What a reader must know of a run to judge its numbers. */
export function shownMachine(machine: Machine, size: Size): string {
	return `Node ${machine.node}, ${machine.cores} cores (${machine.cpu}), size ${size}${size === "tiny" ? ", which proves nothing" : ""}`;
}

export function shownRounds(rounds: number): string {
	return `${rounds} round${rounds === 1 ? "" : "s"}`;
}

export function shownFsync({ fsync }: GroupResult): string {
	const { appends, medianMs, p99Ms } = fsync;
	return `one fsync ${medianMs.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms (${appends} appends of 4 kB)`;
}

/** A group: medians of its rounds, from the least to the most, and each beside the first. */
export function groupTable(
	group: GroupResult,
	machine: Machine,
	size: Size,
): string {
	const job = Object.entries(group.job)
		.map(([name, value]) => `${name} ${value}`)
		.join(", ");
	return [
		group.name,
		group.what,
		`${shownMachine(machine, size)}, ${shownRounds(group.rounds)}${job && `, ${job}`}`,
		shownFsync(group),
		...group.measures.map((measure) => measureTable(group, measure)),
		...group.contenders
			.filter(({ absent }) => absent !== null)
			.map(({ name, absent }) => `left out: ${name} (${absent})`),
	].join("\n");
}

function measureTable(group: GroupResult, measure: Measure): string {
	const numbersOf = (at: number) =>
		(group.contenders[at]?.samples ?? [])
			.map((sample) => sample[measure.name])
			.filter((number) => number !== undefined);
	const present = group.contenders
		.map(({ name }, at) => ({ name, numbers: numbersOf(at) }))
		.filter(({ numbers }) => numbers.length > 0);
	const base = present[0]?.numbers ?? [];
	return columns([
		[
			`  ${measure.name}, ${measure.unit}`,
			"median",
			"min–max",
			present.length > 1 ? "ratio" : "",
		],
		...present.map(({ name, numbers }) => [
			`  ${name}`,
			shownNumber(median(numbers)),
			`${shownNumber(Math.min(...numbers))}–${shownNumber(Math.max(...numbers))}`,
			present.length > 1 ? shownRatio(median(ratios(numbers, base))) : "",
		]),
	]);
}
