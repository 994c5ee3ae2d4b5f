// Owns how the package is built. Which entry points there are is said in
// package.json (`exports`, what ships) and tsconfig.json (`paths`, the source
// of each); both are read here, so a new entry point is one line in each.
import {
	copyFile,
	mkdir,
	readdir,
	readFile,
	writeFile,
} from "node:fs/promises";
import { defineConfig, type Options } from "tsup";
import manifest from "./package.json" with { type: "json" };
import tsconfig from "./tsconfig.json" with { type: "json" };

const sources: Record<string, string[]> = tsconfig.compilerOptions.paths;
const library: Record<string, string> = {};
for (const [subpath, target] of Object.entries(manifest.exports)) {
	if (typeof target === "string") continue;
	const name = manifest.name + subpath.slice(1);
	const source = sources[name]?.[0];
	if (source === undefined) {
		throw new Error(
			`package.json exports "${subpath}", but tsconfig.json has no "paths" entry for "${name}"`,
		);
	}
	library[target.default.replace(/^\.\/dist\/|\.js$/g, "")] = source;
}

const page = "src/inspect/page";
const pageFolder = "dist/console";

/** The page of the console, for a browser: with all that it needs, so that it works offline. The tests build it too. */
export const consolePage: Options = {
	entry: { console: `${page}/main.tsx` },
	outDir: pageFolder,
	tsconfig: `${page}/tsconfig.json`,
	format: "esm",
	target: "es2023",
	platform: "browser",
	noExternal: [/./],
	splitting: false,
	minify: true,
	clean: false,
	dts: false,
	onSuccess: () => copyFile(`${page}/index.html`, `${pageFolder}/index.html`),
	esbuildPlugins: [
		{
			name: "licenses of what is bundled",
			setup(build) {
				build.initialOptions.metafile = true;
				build.onEnd(async ({ metafile }) => {
					const files = Object.keys(metafile?.inputs ?? {});
					await mkdir(pageFolder, { recursive: true });
					await writeFile(`${pageFolder}/licenses.txt`, await licenses(files));
				});
			},
		},
	],
};

async function licenses(files: readonly string[]): Promise<string> {
	const folders = files.map(
		(file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0],
	);
	const texts: string[] = [];
	for (const folder of new Set(folders)) {
		if (folder === undefined) continue;
		const name = (await readdir(folder)).find((one) =>
			/^licen[cs]e/i.test(one),
		);
		if (!name)
			throw new Error(`${folder} has no license to ship with the page`);
		const text = await readFile(`${folder}/${name}`, "utf8");
		texts.push(`${folder.replace("node_modules/", "")}\n\n${text.trim()}\n`);
	}
	return texts.sort().join("\n\n");
}

export default defineConfig((cli) => [
	consolePage,
	{
		entry: {
			...library,
			cli: "./src/cli/main.ts",
			"simulate-worker": "./src/cli/simulate-worker.ts",
			"thread-worker": "./src/sqlite/thread-worker.ts",
		},
		dts: { entry: library },
		// The page is built beside it. Without a new set of declarations the old ones stay.
		clean: ["!console/**", ...(cli.dts === false ? ["!**/*.d.ts"] : [])],
		format: "esm",
		target: "node24",
		platform: "node",
		splitting: true,
		sourcemap: true,
		// `node:sqlite` has no name without the prefix.
		removeNodeProtocol: false,
	},
]);
