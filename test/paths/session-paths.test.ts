/** Each generated path on the real runtime, on memory and on a SQLite file: after every event it stands as the machine says. */
import { playPath, sessionPaths } from "turnkeeper/testing";
import { describe, test } from "vitest";
import { storeKinds } from "../support/stores.ts";

const paths = await sessionPaths();

describe.each(storeKinds)(
	"on %s the runtime goes the way of the machine",
	(_, make) => {
		test.each(paths)("$name", async (path) => {
			await playPath(path, make());
		});
	},
);
