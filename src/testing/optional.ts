/** Owns the loading of packages that only some parts of `turnkeeper/testing` need, and what is said where one is missing. */

import { TurnkeeperError } from "../errors.ts";

/** A package that need not be installed. */
export async function loaded<Module>(
	name: string,
	caller: string,
): Promise<Module> {
	try {
		return (await import(name)) as Module;
	} catch (error) {
		throw new TurnkeeperError(
			"INVALID_ARGUMENT",
			`${caller}() needs the package ${name}, which could not be loaded; install it beside turnkeeper`,
			{ cause: error },
		);
	}
}
