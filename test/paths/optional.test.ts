/** What is said where a package is missing that only a part of `turnkeeper/testing` needs. */
import { TurnkeeperError } from "turnkeeper";
import { expect, test } from "vitest";
import { loaded } from "../../src/testing/optional.ts";

test("a package that is missing is named, with who needs it", async () => {
	const missing = loaded("turnkeeper-has-no-such-package", "sessionPaths");
	await expect(missing).rejects.toThrow(TurnkeeperError);
	await expect(missing).rejects.toThrow(
		"sessionPaths() needs the package turnkeeper-has-no-such-package, which could not be loaded; install it beside turnkeeper",
	);
	await expect(missing).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

test("a package that is there is given as it is", async () => {
	expect(await loaded("xstate", "runPaths")).toHaveProperty("createActor");
});
