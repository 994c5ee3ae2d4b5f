/** Owns where the files of the console's page are: beside the package's own, as they were built. */
import { readdir, readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, extname, join } from "node:path";
import type { PageFile } from "./local-server.ts";

const types: Readonly<Record<string, string>> = {
	".html": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".txt": "text/plain; charset=utf-8",
};

/** By path, without a query; the page itself at `/`. */
export async function consoleFiles(): Promise<ReadonlyMap<string, PageFile>> {
	const root = dirname(findPackageJSON("..", import.meta.url) ?? "");
	const folder = join(root, "dist", "console");
	let names: string[];
	try {
		names = await readdir(folder);
	} catch (error) {
		throw new Error(
			`the console's page is not in ${folder}; the package has it there, and in a checkout npm run build makes it`,
			{ cause: error },
		);
	}
	const files = new Map<string, PageFile>();
	for (const name of names) {
		const type = types[extname(name)];
		if (type === undefined) continue;
		const body = await readFile(join(folder, name));
		files.set(name === "index.html" ? "/" : `/${name}`, { type, body });
	}
	return files;
}
