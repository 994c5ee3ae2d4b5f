/** Owns how what is wrong with a page is told: where in its Markdown, and what. */
export interface Problem {
	/** The page's path in the repository. */
	readonly page: string;
	readonly line: number;
	readonly text: string;
}

/** @example "docs/stores.md:12: there is no npm script \"tset\"" */
export function told({ page, line, text }: Problem): string {
	return `${page}:${line}: ${text}`;
}
