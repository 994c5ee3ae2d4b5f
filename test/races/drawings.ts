/** Owns the traces that scenarios leave for the gallery: a folder of JSON, written if RACES_DRAWINGS names one. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TraceData } from "../../src/testing/trace.ts";

/** What one scenario has left: a trace for each store that it played on. */
export interface Drawing {
	readonly id: string;
	/** Without the id. */
	readonly title: string;
	/** The name of its test file. */
	readonly file: string;
	readonly traces: readonly TraceData[];
}

const folder = process.env.RACES_DRAWINGS;
let count = 0;

/** The id that a scenario's name begins with, or null. */
export function idOf(name: string): string | null {
	return /^[A-Z]{2}-\d{2} /.test(name) ? name.slice(0, 5) : null;
}

export function keepDrawing(
	file: string,
	name: string,
	traces: readonly TraceData[],
): void {
	const id = idOf(name);
	if (folder === undefined || id === null) return;
	mkdirSync(folder, { recursive: true });
	count += 1;
	const drawing: Drawing = {
		id,
		title: name.slice(6),
		file: file.split("/").at(-1) ?? file,
		traces,
	};
	const order = String(count).padStart(4, "0");
	writeFileSync(
		join(folder, `${id}-${order}-${process.pid}.json`),
		JSON.stringify(drawing),
	);
}

/** What is in a folder of them, by id, and in each in the order of its tests. */
export function readDrawings(from: string): readonly Drawing[] {
	return readdirSync(from)
		.filter((name) => name.endsWith(".json"))
		.sort()
		.map((name) => JSON.parse(readFileSync(join(from, name), "utf8")));
}
