/** Owns which pages are held to what they say: those that ship or stand in the root, how the tests work, and all of the guide. */
import { globSync } from "node:fs";
import { type Page, readPage, root } from "./page.ts";

/** Their commands take long, or are for a checkout. */
const read = [
	"README.md",
	"CONTRIBUTING.md",
	"SECURITY.md",
	"CHANGELOG.md",
	"test/README.md",
];

/** The guide's commands are run as they stand there; `docs/api` is made by TypeDoc. */
const played = globSync("docs/**/*.md", {
	cwd: root,
	exclude: ["docs/api/**"],
}).sort();

export const pages: readonly Page[] = [
	...read.map((name) => readPage(name, false)),
	...played.map((name) => readPage(name, true)),
];
