/** Owns plain tables: columns as wide as their widest cell. Never cuts anything off. */
import { printable } from "./output.ts";

export interface TableOptions {
	readonly head?: readonly string[];
	/** Columns that are aligned to the right, counted from 0. */
	readonly right?: readonly number[];
	readonly indent?: string;
}

/**
 * Rows as lines of text.
 *
 * @example table([["applied", 2], ["refused", 0]], { right: [1] })
 */
export function table(
	rows: readonly (readonly (string | number | null)[])[],
	{ head, right = [], indent = "" }: TableOptions = {},
): string {
	const cells = rows.map((row) =>
		row.map((cell) => (cell === null ? "–" : printable(String(cell)))),
	);
	const lines = head ? [[...head], ...cells] : cells;
	const widths: number[] = [];
	for (const line of lines)
		line.forEach((cell, at) => {
			widths[at] = Math.max(widths[at] ?? 0, width(cell));
		});
	return lines
		.map((line) =>
			(
				indent +
				line
					.map((cell, at) => {
						const space = " ".repeat((widths[at] ?? 0) - width(cell));
						return right.includes(at) ? space + cell : cell + space;
					})
					.join("  ")
			).trimEnd(),
		)
		.join("\n");
}

const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const wide =
	/^[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\ufe0f/u;

/** Columns that a terminal gives a text. */
export function width(text: string): number {
	if (/^[\u0020-\u007e]*$/.test(text)) return text.length;
	let columns = 0;
	for (const { segment } of segments.segment(text))
		columns += wide.test(segment) ? 2 : 1;
	return columns;
}
