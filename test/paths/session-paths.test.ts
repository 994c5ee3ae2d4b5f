/** Each generated path on the real runtime, on memory and on a SQLite file: after every event it stands as the machine says. */
import { playPath, sessionPaths, unplayedPaths } from "turnkeeper/testing";
import { describe, expect, test } from "vitest";
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

test("what is not played to its end is on a path, and only a run that nothing can steer any more asks for it", () => {
	const unplayed = paths.filter(({ name }) => name in unplayedPaths());
	expect(unplayed.map(({ name }) => name).sort()).toEqual(
		Object.keys(unplayedPaths()).sort(),
	);
	for (const { steps } of unplayed)
		expect(steps.at(-1)?.what).toBe("a stopped run takes what steers it");
});
