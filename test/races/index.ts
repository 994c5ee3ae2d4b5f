/**
 * Owns the index of the race catalogue: which scenario stands for which row. Read from the test files themselves; run as a program
 * (`npm run races:index`) it writes README.md beside it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import catalogue from "./catalogue.json" with { type: "json" };
import { notApplicable } from "./not-applicable.ts";

export type Row = (typeof catalogue)[number];

export interface Scenario {
	readonly id: string;
	/** Without the id; what a template fills in stands in braces. */
	readonly title: string;
	/** The name of its file, in this folder. */
	readonly file: string;
}

export interface Index {
	readonly rows: readonly Row[];
	readonly scenarios: readonly Scenario[];
	/** By id: why nothing of a row is left here. */
	readonly reasons: Readonly<Record<string, string>>;
}

const folder = import.meta.dirname;
export const readmeFile = join(folder, "README.md");

/** By category: what its races have in common. */
export const categories: Readonly<Record<string, string>> = {
	SE: "a stale event writes a new generation",
	VD: "a valid event is dropped as stale",
	SR: "stuck as running after a crash or a restart",
	AB: "an abort that does not drain",
	SC: "a stale command hits a successor",
	RR: "a reset during a reset",
	RQ: "a reset and the messages that wait",
	DP: "one message, two runs",
	PR: "what is shown differs from what is kept",
	CR: "the session id changes while a run is live",
	DR: "deleted, then created again",
	CH: "a child outlives its parent",
	TC: "a timeout against a completion",
	TM: "a timer fires into a new generation",
	QM: "messages that arrive while a run is live",
	MP: "more than one process",
	LU: "an update that is lost",
	AC: "accounting",
	OT: "other",
};

/** The scenarios of one test file: each `test("SC-05 …", …)` in it, in order. */
export function scenariosIn(file: string, text: string): readonly Scenario[] {
	const found: Scenario[] = [];
	const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
	const visit = (node: ts.Node): void => {
		if (
			ts.isCallExpression(node) &&
			ts.isIdentifier(node.expression) &&
			node.expression.text === "test"
		) {
			const title = titleOf(source, node.arguments[0]);
			const [, id, rest] = /^([A-Z]{2}-\d{2}) (.+)$/s.exec(title) ?? [];
			if (id !== undefined && rest !== undefined)
				found.push({ id, title: rest, file });
		}
		ts.forEachChild(node, visit);
	};
	visit(source);
	return found;
}

function titleOf(
	source: ts.SourceFile,
	node: ts.Expression | undefined,
): string {
	if (!node) return "";
	if (ts.isStringLiteralLike(node)) return node.text;
	if (!ts.isTemplateExpression(node)) return "";
	return node.templateSpans.reduce(
		(text, { expression, literal }) =>
			`${text}{${expression.getText(source)}}${literal.text}`,
		node.head.text,
	);
}

/** The index as this folder has it. */
export function readIndex(): Index {
	const files = readdirSync(folder).filter((file) => file.endsWith(".test.ts"));
	return {
		rows: catalogue,
		scenarios: files
			.sort()
			.flatMap((file) =>
				scenariosIn(file, readFileSync(join(folder, file), "utf8")),
			),
		reasons: notApplicable,
	};
}

/** What is wrong with an index, by name; nothing if it is whole. */
export function faultsOf(index: Index): readonly string[] {
	const { rows, scenarios, reasons } = index;
	const faults: string[] = [];
	const known = new Set<string>();
	const played = new Map(scenarios.map((one) => [one.id, one]));
	for (const { id, category } of rows) {
		if (known.has(id)) faults.push(`${id} is in the catalogue twice`);
		known.add(id);
		if (!(category in categories))
			faults.push(`${id} is of category ${category}, which has no heading`);
		const scenario = played.get(id);
		const said = [
			...(scenario ? [`a scenario in ${scenario.file}`] : []),
			...(id in reasons ? ["a reason why it does not apply"] : []),
		];
		if (said.length === 0)
			faults.push(`${id} has neither a scenario nor a reason`);
		if (said.length > 1) faults.push(`${id} has ${said.join(" and ")}`);
	}
	for (const { id, file, title } of scenarios)
		if (!known.has(id))
			faults.push(`${file} plays ${id}, which no row has: "${title}"`);
	for (const id of Object.keys(reasons))
		if (!known.has(id))
			faults.push(`not-applicable.ts names ${id}, which no row has`);
	return faults;
}

/** README.md as the index has it. */
export function readmeOf(index: Index): string {
	const { rows, scenarios, reasons } = index;
	const none = rows.filter(({ id }) => id in reasons).length;
	const lines = [
		"# Races",
		"",
		`${rows.length} races that happened in real chat-bot hosts, agent frameworks and actor engines. Each row of`,
		"[catalogue.json](catalogue.json) is taken from the public thread that it names, with the cause and the outcome that is",
		"right. A scenario plays its order of events against the public API on each kind of store, and asserts that outcome;",
		"parts of the original that this project does not have are left out.",
		"",
		`Rows with scenarios: ${rows.length - none}. Rows of which nothing is left here: ${none}.`,
		"",
		"Written by `npm run races:index`. `npm run races:gallery` plays all of them and writes `gallery.html`, a page with the",
		"swim-lanes of each, drawn from what it did.",
	];
	for (const [category, name] of Object.entries(categories)) {
		const own = rows.filter((row) => row.category === category);
		if (own.length === 0) continue;
		lines.push(
			"",
			`## ${category}: ${name}`,
			"",
			"| id | thread | scenario, or why there is none |",
			"|---|---|---|",
		);
		for (const row of own) {
			const cells = scenarios
				.filter(({ id }) => id === row.id)
				.map(({ title, file }) => `[${escaped(title)}](${file})`);
			if (row.id in reasons)
				cells.push(`Does not apply: ${escaped(reasons[row.id] as string)}`);
			lines.push(
				`| ${row.id} | ${threadOf(row.thread)} | ${cells.join("<br>")} |`,
			);
		}
	}
	return `${lines.join("\n")}\n`;
}

function escaped(text: string): string {
	return text.replace(/[|[\]<>*_`\\]/g, "\\$&").replace(/\s+/g, " ");
}

/** `owner/name#1 / #2`, with each number linked. */
function threadOf(thread: string): string {
	const [repository] = thread.split("#");
	return thread
		.split(" / ")
		.map((one) => {
			const number = one.split("#")[1];
			return `[${one}](https://github.com/${repository}/issues/${number})`;
		})
		.join(" / ");
}

if (import.meta.main) {
	const index = readIndex();
	writeFileSync(readmeFile, readmeOf(index));
	for (const fault of faultsOf(index)) console.error(fault);
}
