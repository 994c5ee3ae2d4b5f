/** That the conformance suite can fail: each store here breaks one rule, and is caught. */

import { describe, expect, test } from "vitest";
import { runCheck } from "../../src/testing/store-conformance/check.ts";
import { storeChecks } from "../../src/testing/store-conformance/checks.ts";
import type { Subject } from "../../src/testing/store-conformance/trial.ts";
import { brokenStores, wholeStore } from "./broken-stores.ts";

// The store of the example imports the package by its name, also in the processes that are killed.
const ownName = new URL("../support/own-name.ts", import.meta.url).href;
process.env.NODE_OPTIONS = `--import ${ownName}`;

/** A check by its group and its sentence. */
function checkOf([about, sentence]: readonly [string, string]) {
	const group = storeChecks.find((one) => one.about === about);
	const check = group?.checks[sentence];
	if (!check) throw new Error(`there is no check "${about}: ${sentence}"`);
	return check;
}

const subjectOf = (make: Subject["make"]): Subject => ({
	make,
	kills: 1,
	plans: 40,
	seed: 1,
});

describe("a store is caught that", () => {
	test.each(brokenStores)("$fault", async ({ caughtBy, make }) => {
		const check = checkOf(caughtBy);
		const failed = runCheck(check, subjectOf(make));
		await expect(failed).rejects.toThrow();
		await expect(failed).rejects.not.toBeInstanceOf(TypeError);
		// Nor is it the wrapper that is caught.
		await runCheck(check, subjectOf(wholeStore));
	});
});

describe("a store on the disk is caught that", () => {
	test.each([
		[
			"answers before the batch is on the disk",
			"while it commits: every batch holds wholly or not at all, and what was answered is there",
			// Or, where the kill came too late to find it, by its successor, which answers too early as well.
			/batches were answered, \d+ are there|strictly equal/,
		],
		[
			"writes a batch in several pieces",
			"while it commits: every batch holds wholly or not at all, and what was answered is there",
			/all sessions of a batch hold, or none|strictly/,
		],
		[
			"writes down who owns it",
			"it is free for the next owner",
			/is owned by first/,
		],
	])("%s", async (fault, sentence, message) => {
		const url = new URL("./broken-log.ts", import.meta.url);
		url.searchParams.set("fault", fault);
		const { makeBroken } = await import("./broken-log.ts");
		const subject: Subject = {
			make: makeBroken(fault),
			module: url.href,
			// It ends with the first kill that finds something.
			kills: 20,
			plans: 1,
			seed: 1,
		};
		await expect(
			runCheck(checkOf(["is killed", sentence]), subject),
		).rejects.toThrow(message);
	});
});
