/** Owns which files a page has at each of its fences, and which programs must compile there. Compiles nothing. */
import type { Fence, Page, Piece } from "./page.ts";
import type { Problem } from "./problem.ts";

/** A folder of the page at one of its fences: each file by its name, with the pieces of the page that it is made of, one behind the other. */
export type Folder = ReadonlyMap<string, readonly Piece[]>;

export interface Programs {
	readonly folders: readonly Folder[];
	readonly problems: readonly Problem[];
}

export const isProgram = (name: string): boolean => /\.m?ts$/.test(name);

/** The name under which a fence that stands alone is a file. */
export const aloneAs = ({ code }: Fence): string => `line-${code.line}.ts`;

export function programsOf({ name: page, fences }: Page): Programs {
	const folders: Folder[] = [];
	const problems: Problem[] = [];
	const files = new Map<string, readonly Piece[]>();
	for (const fence of fences) {
		const { code, lang, notes } = fence;
		const wrong = (text: string) =>
			problems.push({ page, line: code.line, text });
		if (notes.file !== undefined) {
			files.set(notes.file, [code]);
			if (isProgram(notes.file)) folders.push(new Map(files));
			else if (lang === "ts")
				wrong(`${notes.file} is TypeScript; its name must end in .ts or .mts`);
		} else if (notes.part !== undefined) {
			const whole = files.get(notes.part);
			if (whole) folders.push(new Map(files).set(notes.part, [...whole, code]));
			else
				wrong(
					`it is part of ${notes.part}, but the page has ${filesSoFar(files)} until here`,
				);
		} else if (lang === "ts") folders.push(new Map([[aloneAs(fence), [code]]]));
	}
	return { folders, problems };
}

function filesSoFar(files: ReadonlyMap<string, unknown>): string {
	return files.size === 0 ? "no file" : `only ${[...files.keys()].join(", ")}`;
}
