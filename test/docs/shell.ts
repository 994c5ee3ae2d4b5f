/** Owns what a line for the shell consists of: its commands, each a list of words. Knows quotes, comments, redirections and pipes; expands nothing. */
import type { Piece } from "./page.ts";

/** The lines of a fence; one that ends in `\` goes on in the next. */
export function linesOf({ text, line }: Piece): Piece[] {
	const lines: Piece[] = [];
	let open: Piece | null = null;
	for (const [offset, raw] of text.split("\n").entries()) {
		const begun: Piece = open ?? { text: "", line: line + offset };
		const goesOn = raw.endsWith("\\");
		const whole = {
			text: begun.text + (goesOn ? `${raw.slice(0, -1)} ` : raw),
			line: begun.line,
		};
		open = goesOn ? whole : null;
		if (!goesOn && commandsIn(whole.text).length > 0) lines.push(whole);
	}
	return lines;
}

/**
 * The commands of a line, without assignments before them, redirections and comments.
 *
 * @example commandsIn("A=1 npm ci && npm start < in # both") // [["npm", "ci"], ["npm", "start"]]
 */
export function commandsIn(line: string): string[][] {
	const commands: string[][] = [[]];
	let isTarget = false;
	for (const [token] of line.matchAll(
		/#.*$|&&|\|\||\d?>>?(?:&\d)?|[;|&<]|(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s;|&<>"'\\])+/g,
	)) {
		const words = commands.at(-1) as string[];
		if (token.startsWith("#")) break;
		if (/^(?:&&|\|\||[;|&])$/.test(token)) commands.push([]);
		else if (token === "<" || /^\d?>/.test(token))
			isTarget = !token.includes("&");
		else if (isTarget) isTarget = false;
		else if (words.length > 0 || !/^\w+=/.test(token))
			words.push(unquoted(token));
	}
	return commands.filter((words) => words.length > 0);
}

function unquoted(word: string): string {
	return word.replace(
		/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g,
		(_, double?: string, single?: string, escaped?: string) =>
			double?.replace(/\\(.)/g, "$1") ?? single ?? escaped ?? "",
	);
}
