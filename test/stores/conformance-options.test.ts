/** What `storeConformance` cannot be given. */
import { memoryStore } from "turnkeeper/memory";
import { type StoreMaker, storeConformance } from "turnkeeper/testing";
import { expect, test } from "vitest";

test.each([
	[{ kills: 0 }, "kills is 0; it must be a whole number"],
	[{ plans: 1.5 }, "plans is 1.5"],
	[{ seed: -1 }, "seed is -1"],
	[{ module: "" }, 'module is ""; it must be the URL or the path of a module'],
	[{ module: 5 }, "module is 5"],
	[{ spoil: true }, "spoil is true; it must be a function"],
	[{ clear: "all" }, 'clear is "all"'],
])("%j is refused before anything is asked", async (options, text) => {
	await expect(
		storeConformance("x", () => memoryStore(), options as object),
	).rejects.toMatchObject({
		code: "INVALID_ARGUMENT",
		message: expect.stringContaining(text),
	});
});

test("a store is not what makes one", async () => {
	const make = memoryStore() as unknown as StoreMaker;
	await expect(storeConformance("x", make)).rejects.toMatchObject({
		code: "INVALID_ARGUMENT",
		message: expect.stringContaining("must be a function"),
	});
});
