/** Owns where the chromium of this machine is. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where it is; null if there is none, and then pages cannot be tested here. */
export const executablePath = found([
	"chromium",
	"chromium-browser",
	"google-chrome",
]);

function found(names: readonly string[]): string | null {
	for (const folder of (process.env.PATH ?? "").split(delimiter))
		for (const name of names)
			try {
				const path = join(folder, name);
				accessSync(path, constants.X_OK);
				return path;
			} catch {
				// Another folder may have it.
			}
	return null;
}
