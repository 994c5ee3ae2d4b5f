/**
 * Owns how a program that imports the package by its own name runs on the sources, before anything is built: `node --import` this file.
 * The sources of the entry points are said once, in tsconfig.json (`paths`).
 */
import { registerHooks } from "node:module";
import tsconfig from "../../tsconfig.json" with { type: "json" };

const sources: Record<string, string[]> = tsconfig.compilerOptions.paths;
const root = new URL("../../", import.meta.url);

registerHooks({
	resolve(specifier, context, next) {
		const [source] = sources[specifier] ?? [];
		return source === undefined
			? next(specifier, context)
			: { url: new URL(source, root).href, shortCircuit: true };
	},
});
