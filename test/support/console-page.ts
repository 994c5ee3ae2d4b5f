/** Owns that the tests see the console's page as it stands in the sources: built before any of them runs. */
import { build } from "tsup";
import { consolePage } from "../../tsup.config.ts";

export async function setup(): Promise<void> {
	await build({ ...consolePage, config: false, silent: true });
}
