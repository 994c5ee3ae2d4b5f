/** Owns where links may lead: to files and folders of this repository, to headings of its pages, or out of it. Asks no network. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type Page, type Piece, readPage, root } from "./page.ts";
import type { Problem } from "./problem.ts";

export function linkProblems(page: Page): Problem[] {
	return page.links.flatMap(({ text, line }) => {
		const wrong = wrongWith(text, page);
		return wrong === null ? [] : [{ page: page.name, line, text: wrong }];
	});
}

function wrongWith(link: string, page: Page): string | null {
	if (/^[a-z][a-z\d+.-]*:/i.test(link))
		return URL.canParse(link) ? null : `${link} is no address`;
	const [path = "", anchor] = link.split("#") as [string, string?];
	const target =
		path === ""
			? page.name
			: relative(root, join(root, dirname(page.name), decodeURI(path)));
	if (path.startsWith("/") || target.startsWith(".."))
		return `${link} leads out of the repository; a link is relative to its page`;
	if (!existsSync(join(root, target)))
		return `${link} leads to ${target}, which is not there`;
	return anchor === undefined
		? null
		: wrongAnchor(anchor, target, target === page.name ? page : null);
}

function wrongAnchor(
	anchor: string,
	target: string,
	page: Page | null,
): string | null {
	if (!target.endsWith(".md")) return wrongLine(anchor, target);
	const { headings } = page ?? readPage(target, false);
	const all = slugsOf(headings);
	return all.includes(decodeURIComponent(anchor))
		? null
		: `#${anchor} is no heading of ${target}; it has ${all.map((slug) => `#${slug}`).join(", ")}`;
}

/** GitHub's anchors for source: `#L10`, `#L10-L20`. */
function wrongLine(anchor: string, target: string): string | null {
	const lines = statSync(join(root, target)).isFile()
		? readFileSync(join(root, target), "utf8").split("\n").length
		: 0;
	const [, first, last = first] = /^L(\d+)(?:-L(\d+))?$/.exec(anchor) ?? [];
	return last !== undefined && Number(last) <= lines
		? null
		: `#${anchor} is no line of ${target}`;
}

/**
 * The anchors that GitHub makes of headings: lower case, without anything but letters, digits, `_`, `-` and spaces, each space a `-`; one
 * that comes again is numbered.
 */
export function slugsOf(headings: readonly Piece[]): string[] {
	const slugs = new Set<string>();
	for (const { text } of headings) {
		const slug = text
			.trim()
			.toLowerCase()
			.replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "")
			.replaceAll(" ", "-");
		let [free, again] = [slug, 0];
		while (slugs.has(free)) {
			again += 1;
			free = `${slug}-${again}`;
		}
		slugs.add(free);
	}
	return [...slugs];
}
