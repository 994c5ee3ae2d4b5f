/** Owns finding a map module by the name that a user gives. Never looks into a stream. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { errorText } from "../errors.ts";
import type { StreamMap } from "../replay/lines.ts";
import { CommandError } from "./command.ts";

const shipped = ["openclaw", "turnkeeper/maps/openclaw"];

/**
 * The map of a module: `openclaw`, a path, or a package as seen from the working directory.
 *
 * @throws CommandError naming the module
 */
export async function loadMap(name: string): Promise<StreamMap> {
	const module = await load(name);
	if (typeof module.map === "function") return module.map as StreamMap;
	const names = Object.keys(module);
	throw new CommandError(
		`the map ${name} exports ${names.length > 0 ? names.join(", ") : "nothing"}; it must export a function named map`,
	);
}

async function load(name: string): Promise<Readonly<Record<string, unknown>>> {
	if (shipped.includes(name)) return import("../maps/openclaw.ts");
	const file = resolve(name);
	const isPath = /^\.{0,2}\//.test(name);
	if (isPath && !existsSync(file))
		throw new CommandError(`there is no map ${name}`);
	try {
		const found = existsSync(file)
			? file
			: createRequire(join(process.cwd(), "map")).resolve(name);
		return await import(pathToFileURL(found).href);
	} catch (error) {
		throw new CommandError(
			`the map ${name} cannot be loaded: ${errorText(error).split("\n")[0]}`,
			{ cause: error },
		);
	}
}
