// Owns how the package is built. Which entry points there are is said in
// package.json (`exports`, what ships) and tsconfig.json (`paths`, the source
// of each); both are read here, so a new entry point is one line in each.
import { defineConfig } from "tsup";
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

export default defineConfig((cli) => ({
	entry: {
		...library,
		cli: "./src/cli/main.ts",
		"simulate-worker": "./src/cli/simulate-worker.ts",
	},
	dts: { entry: library },
	// Without a new set of declarations the old ones stay.
	clean: cli.dts === false ? ["!**/*.d.ts"] : true,
	format: "esm",
	target: "node24",
	platform: "node",
	splitting: true,
	sourcemap: true,
	// `node:sqlite` has no name without the prefix.
	removeNodeProtocol: false,
}));
