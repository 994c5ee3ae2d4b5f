/** Owns where the files of the console's page are: beside the built package, read once when a console is opened. */
import { readdir, readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, extname, join } from "node:path";
import type { PageFile } from "./local-server.ts";

const types: Readonly<Record<string, string>> = {
	".html": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
	".txt": "text/plain; charset=utf-8",
};

/**
 * The files by the path that they are served under, `index.html` as `/`.
 *
 * @throws Error where the page has not been built
 */
export async function readConsolePage(
	folder = builtPage(),
): Promise<ReadonlyMap<string, PageFile>> {
	const files = new Map<string, PageFile>();
	for (const name of await namesIn(folder)) {
		const type = types[extname(name)];
		if (type === undefined) continue;
		const body = await readFile(join(folder, name));
		files.set(name === "index.html" ? "/" : `/${name}`, { type, body });
	}
	if (!files.has("/")) throw notBuilt(folder);
	return files;
}

/** From `src/` and from `dist/` alike. */
function builtPage(): string {
	const manifest = findPackageJSON("..", import.meta.url);
	return join(dirname(manifest ?? ""), "dist", "console");
}

async function namesIn(folder: string): Promise<readonly string[]> {
	try {
		return await readdir(folder);
	} catch (error) {
		throw notBuilt(folder, error);
	}
}

function notBuilt(folder: string, cause?: unknown): Error {
	return new Error(
		`the console's page is not in ${folder}; the package has it there, so leave turnkeeper out of a bundle; in a checkout, \`npm run build\` makes it`,
		{ cause },
	);
}
