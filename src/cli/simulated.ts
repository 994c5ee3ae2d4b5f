/** Owns finding a module that says what is simulated: an executor, a store, options of a runtime. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { errorText } from "../errors.ts";
import type { SimulateOptions } from "../testing/simulate.ts";
import { CommandError } from "./command.ts";

const names = ["execute", "store", "input", "runtime", "keys"] as const;

/**
 * The options that a module exports by name.
 *
 * @throws CommandError naming the module
 */
export async function loadSimulated(
	name: string,
): Promise<Partial<SimulateOptions>> {
	const file = resolve(name);
	if (!existsSync(file)) throw new CommandError(`there is no module ${name}`);
	let module: Readonly<Record<string, unknown>>;
	try {
		module = await import(pathToFileURL(file).href);
	} catch (error) {
		throw new CommandError(
			`the module ${name} cannot be loaded: ${errorText(error).split("\n")[0]}`,
			{ cause: error },
		);
	}
	const found = names.filter((one) => module[one] !== undefined);
	if (found.length === 0)
		throw new CommandError(
			`the module ${name} exports ${Object.keys(module).join(", ") || "nothing"}; it must export one of ${names.join(", ")}`,
		);
	return Object.fromEntries(found.map((one) => [one, module[one]]));
}
