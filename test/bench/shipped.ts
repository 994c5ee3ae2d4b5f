/**
 * Owns that the package is measured as it ships: loaded into a process before anything else (`node --import`), it lets the bench, which has
 * a `package.json` of its own, import the package by its name. What that is, the package's `exports` say: what was built.
 */
import { registerHooks } from "node:module";
import manifest from "../../package.json" with { type: "json" };

const parentURL = new URL("../../package.json", import.meta.url).href;

registerHooks({
	resolve(specifier, context, next) {
		const isOwn =
			specifier === manifest.name || specifier.startsWith(`${manifest.name}/`);
		return next(specifier, isOwn ? { ...context, parentURL } : context);
	},
});
