/** Owns what a mutation is: one change to one source file, named so that the name outlives edits elsewhere. Never applies it. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/**
 * guard: always true, always false, or no longer asked by a candidate · action, transition: dropped · target: another state, or none ·
 * fence: a comparison of identities that always holds, never holds, or a refusal that is not called.
 */
export type MutationKind =
	| "guard"
	| "action"
	| "transition"
	| "target"
	| "fence";

export const kinds: readonly MutationKind[] = [
	"guard",
	"action",
	"transition",
	"target",
	"fence",
];

export interface Mutation {
	/** By kind and names, never by line: `guard isHidden always true`. */
	readonly id: string;
	readonly kind: MutationKind;
	/** From the root of the repository. */
	readonly file: string;
	/** From 1, as an editor counts. */
	readonly line: number;
	/** What is replaced, as offsets into the source. */
	readonly start: number;
	readonly end: number;
	readonly text: string;
}

export const root: string = fileURLToPath(new URL("../../", import.meta.url));

export interface Source {
	readonly file: string;
	readonly text: string;
	readonly tree: ts.SourceFile;
}

/** A source as it stood when it was first asked for: offsets mean that, whatever is edited meanwhile. */
export function sourceOf(file: string): Source {
	const known = sources.get(file);
	if (known) return known;
	const text = readFileSync(new URL(file, `file://${root}`), "utf8");
	const tree = ts.createSourceFile(
		file,
		text,
		ts.ScriptTarget.ESNext,
		true,
		ts.ScriptKind.TS,
	);
	const source = { file, text, tree };
	sources.set(file, source);
	return source;
}

const sources = new Map<string, Source>();

/** A mutation that replaces a node. */
export function replaced(
	source: Source,
	kind: MutationKind,
	id: string,
	node: ts.Node,
	text: string,
): Mutation {
	const start = node.getStart(source.tree);
	return {
		id: `${kind} ${id}`,
		kind,
		file: source.file,
		line: source.tree.getLineAndCharacterOfPosition(start).line + 1,
		start,
		end: node.end,
		text,
	};
}

/** A mutation that takes a node out of its list, with the comma after it. */
export function dropped(
	source: Source,
	kind: MutationKind,
	id: string,
	node: ts.Node,
): Mutation {
	const mutation = replaced(source, kind, id, node, "");
	const comma = /^\s*,/.exec(source.text.slice(node.end));
	return { ...mutation, end: node.end + (comma?.[0].length ?? 0) };
}

/** The whole file with the mutation in it. */
export function mutated({ file, start, end, text: by }: Mutation): string {
	const { text } = sourceOf(file);
	return text.slice(0, start) + by + text.slice(end);
}

/** Names said twice get a number, in the order of the source. */
export function distinct(mutations: readonly Mutation[]): Mutation[] {
	const seen = new Map<string, number>();
	return mutations.map((mutation) => {
		const count = (seen.get(mutation.id) ?? 0) + 1;
		seen.set(mutation.id, count);
		return count === 1
			? mutation
			: { ...mutation, id: `${mutation.id} #${count}` };
	});
}

/** All nodes under a node, itself first. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
	yield node;
	const children: ts.Node[] = [];
	ts.forEachChild(node, (child) => {
		children.push(child);
	});
	for (const child of children) yield* nodesOf(child);
}
