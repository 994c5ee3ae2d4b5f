/**
 * Owns whether the programs on the pages compile: all of them in one go, against the sources, as `strict` as a reader has them. Their
 * folders are in memory alone, beside the real `node_modules`.
 */
import { dirname, join } from "node:path";
import ts from "typescript";
import { type Page, type Piece, root } from "./page.ts";
import type { Problem } from "./problem.ts";
import { isProgram, programsOf } from "./programs.ts";

interface Source {
	readonly page: Page;
	readonly pieces: readonly Piece[];
	readonly text: string;
}

/** For each page what does not compile on it. */
export function typeProblems(
	pages: readonly Page[],
): ReadonlyMap<Page, readonly Problem[]> {
	const found = new Map<Page, Problem[]>();
	const sources = new Map<string, Source>();
	for (const page of pages) {
		const { folders, problems } = programsOf(page);
		found.set(page, [...problems]);
		for (const folder of folders) {
			const place = join(root, ".docs", String(sources.size));
			for (const [name, pieces] of folder) {
				const text = pieces.map((piece) => `${piece.text}\n`).join("");
				sources.set(join(place, name), { page, pieces, text });
			}
		}
	}
	for (const { file, at, text } of diagnosticsOf(sources)) {
		const { page, pieces } = sources.get(file) as Source;
		const line = lineOnPage(pieces, at);
		const problems = found.get(page) ?? [];
		// A file is compiled at each fence that changes it or stands beside it.
		if (!problems.some((one) => one.line === line && one.text === text))
			problems.push({ page: page.name, line, text });
	}
	return found;
}

interface Found {
	readonly file: string;
	/** Its line, from 0. */
	readonly at: number;
	readonly text: string;
}

function* diagnosticsOf(
	sources: ReadonlyMap<string, Source>,
): Generator<Found> {
	const options = projectOptions();
	const files = [...sources.keys()].filter(isProgram);
	const program = ts.createProgram(files, options, hostOf(sources, options));
	const [wrong] = program.getOptionsDiagnostics();
	if (wrong) throw new Error(messageOf(wrong));
	for (const file of files) {
		const source = program.getSourceFile(file);
		for (const diagnostic of [
			...program.getSyntacticDiagnostics(source),
			...program.getSemanticDiagnostics(source),
		])
			yield {
				file,
				at: source
					? source.getLineAndCharacterOfPosition(diagnostic.start ?? 0).line
					: 0,
				text: messageOf(diagnostic),
			};
	}
}

function projectOptions(): ts.CompilerOptions {
	const file = join(root, "tsconfig.json");
	const { config } = ts.readConfigFile(file, ts.sys.readFile);
	// Only its options are wanted, so it is given no files to find.
	const { options } = ts.parseJsonConfigFileContent(
		{ ...config, include: undefined, files: ["tsup.config.ts"] },
		ts.sys,
		root,
		{},
		file,
	);
	// The types of Slack's adapter do not stand it.
	return { ...options, exactOptionalPropertyTypes: false };
}

/** The files of the disk, and those of the pages. */
function hostOf(
	sources: ReadonlyMap<string, Source>,
	options: ts.CompilerOptions,
): ts.CompilerHost {
	const host = ts.createCompilerHost(options);
	const folders = new Set<string>();
	for (const file of sources.keys())
		for (let up = dirname(file); up !== root; up = dirname(up)) folders.add(up);
	const { readFile, fileExists, directoryExists } = host;
	host.readFile = (file) => sources.get(file)?.text ?? readFile(file);
	host.fileExists = (file) => sources.has(file) || fileExists(file);
	host.directoryExists = (folder) =>
		folders.has(folder) || (directoryExists?.(folder) ?? true);
	return host;
}

function messageOf({ code, messageText }: ts.Diagnostic): string {
	const text = ts.flattenDiagnosticMessageText(messageText, "\n");
	return `TS${code}: ${text.replace(/\n\s*/g, " ")}`;
}

/** The line of the page that is line `at`, from 0, of a file made of these pieces. */
function lineOnPage(pieces: readonly Piece[], at: number): number {
	let before = 0;
	let line = 0;
	for (const piece of pieces) {
		if (at < before) break;
		line = piece.line + at - before;
		before += piece.text.split("\n").length;
	}
	return line;
}
