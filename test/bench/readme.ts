/** Owns the table of figures as text and in the README, with the command that made it and what it was measured with. */
import { readFileSync, writeFileSync } from "node:fs";
import { figures, type Reading, readingOf } from "./figures.ts";
import type { Results } from "./results.ts";
import { columns, shownMachine, shownRounds } from "./table.ts";

const readme = new URL("../../README.md", import.meta.url);
const block =
	/(<!-- what `npm run bench` printed last -->\n)[\s\S]*?(<!-- \/ -->)/;

/** What was measured of the figures; those of workloads that were not played are left out. */
export function readingsOf(results: Results): Reading[] {
	const played = new Set(results.groups.map(({ workload }) => workload));
	return figures
		.filter(({ workload }) => played.has(workload))
		.map((figure) => readingOf(figure, results));
}

function metOf({ isMet }: Reading): string {
	return isMet === null ? "–" : isMet ? "yes" : "no";
}

/** The machine, the rounds, and the fsyncs before each group. */
function conditions(results: Results): string {
	const medians = results.groups.map(({ fsync }) => fsync.medianMs);
	const p99 = results.groups.map(({ fsync }) => fsync.p99Ms);
	const range = (numbers: readonly number[]) =>
		`${Math.min(...numbers).toFixed(2)}–${Math.max(...numbers).toFixed(2)} ms`;
	const rounds = Math.max(...results.groups.map((group) => group.rounds));
	return `${shownMachine(results.machine, results.size)}, medians of ${shownRounds(rounds)}; one fsync ${range(medians)} (p99 ${range(p99)}), measured before each group`;
}

export function figuresText(results: Results): string {
	const rows = readingsOf(results).map((one) => [
		one.figure,
		one.goal,
		one.measured,
		metOf(one),
	]);
	return [
		columns([["figure", "goal", "measured", "met"], ...rows], 4),
		conditions(results),
	].join("\n");
}

function figuresMarkdown(results: Results, command: string): string {
	return [
		`\`${command}\`:`,
		"",
		"| figure | goal | measured | met |",
		"|---|---|---|---|",
		...readingsOf(results).map(
			(one) =>
				`| ${one.figure} | ${one.goal} | ${one.measured} | ${metOf(one)} |`,
		),
		"",
		`${conditions(results)}. On ${new Date().toISOString().slice(0, 10)}.`,
	].join("\n");
}

/** The text with the table in the place of what was printed last. */
export function withFigures(
	text: string,
	results: Results,
	command: string,
): string {
	if (!block.test(text))
		throw new Error(
			"the README has no place for what `npm run bench` printed; it is between `<!-- what `npm run bench` printed last -->` and `<!-- / -->`",
		);
	return text.replace(
		block,
		(_, begin, end) => `${begin}${figuresMarkdown(results, command)}\n${end}`,
	);
}

export function tellReadme(results: Results, command: string): void {
	const text = readFileSync(readme, "utf8");
	writeFileSync(readme, withFigures(text, results, command));
}
