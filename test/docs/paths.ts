/** Owns whether the files that a page names in its sentences, such as `test/races/`, are in the repository, or are made by one of its commands. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Page, root } from "./page.ts";
import type { Problem } from "./problem.ts";

/** What is made, and not kept. */
const ignored = readFileSync(join(root, ".gitignore"), "utf8").split("\n");

export function pathProblems({ name, spans }: Page): Problem[] {
	return spans
		.filter(
			({ text }) =>
				/^(?:docs|examples|machines|src|test)\/[\w./-]*$/.test(text) &&
				!existsSync(join(root, text)) &&
				!isMade(text),
		)
		.map(({ text, line }) => ({
			page: name,
			line,
			text: `${text} is not there`,
		}));
}

function isMade(path: string): boolean {
	return ignored.some((one) =>
		one.endsWith("/") ? `${path}/`.startsWith(one) : path === one,
	);
}
