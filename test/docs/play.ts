/** Owns that a page does what it says: its files are written, its commands run in their order, and what they print is what stands beside them. */
import type { Ended } from "../support/program.ts";
import type { Fence, Output, Page, Piece } from "./page.ts";
import { Place } from "./place.ts";
import type { Problem } from "./problem.ts";
import { aloneAs } from "./programs.ts";
import { linesOf } from "./shell.ts";

/** Stops at the first thing that goes wrong, because what comes after it may build on it. */
export async function playProblems(page: Page): Promise<Problem[]> {
	if (!page.fences.some((fence) => isRun(fence, page))) return [];
	await using place = await Place.make();
	for (const fence of page.fences) {
		const { code, lang, notes } = fence;
		if (notes.file !== undefined) place.write(notes.file, code.text);
		if (!isRun(fence, page)) continue;
		const problem =
			lang === "sh"
				? await runLines(fence, page, place)
				: await runProgram(fence, page, place);
		if (problem) return [problem];
	}
	return [];
}

/** Commands in the guide, and programs that have an output; what has a test of its own is left to it. */
function isRun({ lang, notes, output }: Fence, { isPlayed }: Page): boolean {
	if (notes.notRun ?? notes.example ?? notes.testedAs ?? notes.part)
		return false;
	return lang === "sh" ? isPlayed : lang === "ts" && output !== null;
}

async function runLines(
	{ code, notes, output }: Fence,
	page: Page,
	place: Place,
): Promise<Problem | null> {
	let printed = "";
	for (const line of linesOf(code)) {
		if (notes.background === undefined) {
			const ended = await place.run(line.text);
			if (ended.code !== 0) return problemOf(page, line, failed(ended));
			printed += ended.stdout;
		} else {
			const lines = output?.text.split("\n").length ?? 1;
			const { isUp, ...said } = await place.serve(line.text, lines);
			if (!isUp) return problemOf(page, line, failed(said));
			printed += said.stdout;
		}
	}
	return difference(page, output, printed);
}

async function runProgram(
	fence: Fence,
	page: Page,
	place: Place,
): Promise<Problem | null> {
	const name = fence.notes.file ?? aloneAs(fence);
	place.write(name, fence.code.text);
	const ended = await place.run(`node ${name}`);
	return ended.code === 0
		? difference(page, fence.output, ended.stdout)
		: problemOf(page, fence.code, failed(ended));
}

function failed({ code, stdout, stderr }: Ended): string {
	const ended =
		code === null ? "it had to be ended" : `it ended with exit code ${code}`;
	return `${ended}: ${[stdout, stderr].join("\n").trim()}`;
}

function difference(
	page: Page,
	output: Output | null,
	printed: string,
): Problem | null {
	if (output === null) return null;
	const expected = output.text === "" ? "" : `${output.text}\n`;
	const isSo = output.isEnd
		? `\n${printed}`.endsWith(`\n${expected}`)
		: printed === expected;
	return isSo
		? null
		: problemOf(page, output, `what is printed is\n${printed}`);
}

function problemOf({ name: page }: Page, at: Piece, text: string): Problem {
	return { page, line: at.line, text };
}
