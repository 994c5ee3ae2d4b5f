/** Owns what stands on a page of Markdown, and in which line: its fences, links, headings and code spans. Judges nothing but comments that mean nothing. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Code, Nodes, Parents } from "mdast";
import { fromMarkdown } from "mdast-util-from-markdown";
import { type Notes, noteOf } from "./note.ts";
import type { Problem } from "./problem.ts";

export const root = join(import.meta.dirname, "..", "..");

/** Some text and the line of the page where it begins. */
export interface Piece {
	readonly text: string;
	readonly line: number;
}

/** What a program prints; `isEnd`: at the end, with more before it. */
export interface Output extends Piece {
	readonly isEnd: boolean;
}

/** The lines that may stand between a program and what it prints. */
const printing = ["It prints:", "At the end it prints:"];

export interface Fence {
	readonly lang: string;
	/** What stands between the fences, and where. */
	readonly code: Piece;
	readonly notes: Notes;
	/** The `text` fence behind it, with "It prints:" or "At the end it prints:" between the two. */
	readonly output: Output | null;
}

export interface Page {
	/** Its path in the repository. */
	readonly name: string;
	/** Whether the commands of its `sh` fences are run. */
	readonly isPlayed: boolean;
	readonly fences: readonly Fence[];
	/** Where links, images and definitions lead. */
	readonly links: readonly Piece[];
	readonly headings: readonly Piece[];
	readonly spans: readonly Piece[];
	/** Comments that are meant for a fence and reach none. */
	readonly problems: readonly Problem[];
}

/** Other names of the languages whose fences are checked. */
const synonyms: Readonly<Record<string, string>> = {
	typescript: "ts",
	mts: "ts",
	bash: "sh",
	shell: "sh",
	console: "sh",
};

export function readPage(name: string, isPlayed: boolean): Page {
	const fences: Fence[] = [];
	const links: Piece[] = [];
	const headings: Piece[] = [];
	const spans: Piece[] = [];
	const problems: Problem[] = [];
	const read = new Set<Nodes>();

	const visit = (node: Nodes, parent: Parents | null, at: number): void => {
		const line = lineOf(node);
		const problem = (text: string) => problems.push({ page: name, line, text });
		switch (node.type) {
			case "code": {
				const comments = commentsBefore(parent, at);
				for (const one of comments) read.add(one);
				const lang = node.lang ?? "";
				const synonym = synonyms[lang];
				if (synonym !== undefined)
					problem(`a fence of "${lang}" is checked by nobody; "${synonym}" is`);
				fences.push({
					lang,
					code: pieceOf(node),
					notes: notesOf(comments, lang, problem),
					output: outputBehind(parent, at),
				});
				break;
			}
			case "heading":
				headings.push({ text: textOf(node), line });
				break;
			case "link":
			case "image":
			case "definition":
				links.push({ text: node.url, line });
				break;
			case "inlineCode":
				spans.push({ text: node.value, line });
				break;
			case "html":
				if (/\b(?:href|src)=/.test(node.value))
					problem("a link in HTML is checked by nobody; one in Markdown is");
				break;
		}
		if ("children" in node)
			for (const [index, child] of node.children.entries())
				visit(child, node, index);
		// Only now, when every fence has had its comments.
		if (node.type === "root")
			for (const one of node.children)
				if (one.type === "html" && !read.has(one) && noteOf(one.value))
					problems.push({
						page: name,
						line: lineOf(one),
						text: "the comment is for a fence, which must begin on the next line",
					});
	};
	visit(fromMarkdown(readFileSync(join(root, name))), null, 0);
	return { name, isPlayed, fences, links, headings, spans, problems };
}

/** What stands on its line directly before, and directly before that. */
function commentsBefore(parent: Parents | null, at: number): Nodes[] {
	const found: Nodes[] = [];
	const siblings: readonly Nodes[] = parent?.children ?? [];
	for (let index = at; ; index -= 1) {
		const [before, node] = [siblings[index - 1], siblings[index]];
		const isNext =
			before?.type === "html" &&
			node !== undefined &&
			before.position?.end.line === lineOf(node) - 1;
		if (!isNext) return found;
		found.push(before);
	}
}

function notesOf(
	comments: readonly Nodes[],
	lang: string,
	problem: (text: string) => void,
): Notes {
	let notes: Notes = {};
	for (const comment of comments) {
		const html = "value" in comment ? comment.value : "";
		const note = noteOf(html);
		if (note) notes = { ...notes, ...note };
		else if (lang === "ts" || lang === "sh")
			problem(`${html} says nothing that is known of a fence; see note.ts`);
	}
	return notes;
}

function outputBehind(parent: Parents | null, at: number): Output | null {
	const [between, printed] = [1, 2].map(
		(offset): Nodes | undefined => parent?.children[at + offset],
	);
	const kind = between ? printing.indexOf(textOf(between)) : -1;
	return kind >= 0 && printed?.type === "code" && printed.lang === "text"
		? { ...pieceOf(printed), isEnd: kind === 1 }
		: null;
}

function pieceOf(fence: Code): Piece {
	return { text: fence.value, line: lineOf(fence) + 1 };
}

function textOf(node: Nodes): string {
	if (node.type === "html") return "";
	if ("value" in node) return node.value;
	return "children" in node ? node.children.map(textOf).join("") : "";
}

function lineOf(node: Nodes): number {
	return node.position?.start.line ?? 0;
}
