/** Owns how the checks of a store become a vitest suite, and what is left out of it and why. What is asked is said in `store-conformance/`. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { checkCount, checkOptions, invalid, shown } from "../arguments.ts";
import { TurnkeeperError } from "../errors.ts";
import { type CheckGroup, runCheck } from "./store-conformance/check.ts";
import { storeChecks } from "./store-conformance/checks.ts";
import type {
	StoreMaker,
	StorePlace,
	Subject,
} from "./store-conformance/trial.ts";

export interface StoreConformanceOptions {
	/**
	 * URL or path of a module that exports the maker as `makeStore`, for stores whose data outlast the process. The suite loads it in other
	 * processes, by Node alone: to ask what holds between them, and to kill them while they commit. Without it that part is skipped.
	 */
	readonly module?: string | URL | undefined;
	/**
	 * Makes the stored row of a key unreadable while nobody has the store open, for stores that can come across such a row. Without it
	 * that part is skipped.
	 */
	readonly spoil?:
		| ((place: StorePlace, sessionKey: string) => Promise<void> | void)
		| undefined;
	/** Removes what a test left elsewhere than in the folder of its place. */
	readonly clear?: ((place: StorePlace) => Promise<void> | void) | undefined;
	/** How often a process is killed. Default 5. */
	readonly kills?: number | undefined;
	/** How many random plans are played on the store and on a memory store. Default 50. */
	readonly plans?: number | undefined;
	/** The first plan, of which a failure tells. Default 1. */
	readonly seed?: number | undefined;
}

const reasons = {
	module: "no `module` was given to load the store in another process",
	spoil: "no `spoil` was given to make a row unreadable",
} as const;

/** No check waits for anything but the store; the slowest kills processes. */
const timeoutMs = 120_000;

/**
 * A vitest suite that asks of a store all that turnkeeper relies on: batches that hold wholly or not at all, also where the process is
 * killed; compare-and-set; pages and their order; readers beside the owner; what is erased and what is left. Each test has a place, and so
 * a store, of its own. Awaited at the top level of a test file; vitest is loaded when it is called.
 *
 * @param make Makes the store of a place; called again with the same place, a store of the same data.
 * @throws INVALID_ARGUMENT for options that cannot be, and where vitest is not installed
 * @example
 * // my-store.test.ts
 * import { storeConformance } from "turnkeeper/testing";
 * import { makeStore } from "./my-store.ts"; // ({ folder }) => myStore(`${folder}/sessions`)
 *
 * await storeConformance("my store", makeStore, {
 * 	module: new URL("./my-store.ts", import.meta.url),
 * });
 */
export async function storeConformance(
	name: string,
	make: StoreMaker,
	options: StoreConformanceOptions = {},
): Promise<void> {
	const subject = subjectOf(make, options);
	const { describe, test } = await loadVitest();
	describe(name, () => {
		for (const group of storeChecks) {
			const reason = reasonToSkip(group, subject);
			const ask = reason === null ? test : test.skip;
			const about = reason === null ? "" : ` (left out: ${reason})`;
			describe(group.about + about, () => {
				for (const [sentence, check] of Object.entries(group.checks))
					ask(sentence, () => runCheck(check, subject), timeoutMs);
			});
		}
	});
}

function reasonToSkip({ needs }: CheckGroup, subject: Subject): string | null {
	return needs === undefined || subject[needs] !== undefined
		? null
		: reasons[needs];
}

function subjectOf(
	make: StoreMaker,
	options: StoreConformanceOptions,
): Subject {
	if (typeof make !== "function")
		throw invalid(
			`make is ${shown(make)}; it must be a function that makes the store of a place`,
		);
	const {
		module,
		spoil,
		clear,
		kills = 5,
		plans = 50,
		seed = 1,
	} = checkOptions(options);
	for (const [name, given] of Object.entries({ spoil, clear }))
		if (given !== undefined && typeof given !== "function")
			throw invalid(`${name} is ${shown(given)}; it must be a function`);
	checkCount(kills, "kills");
	checkCount(plans, "plans");
	checkCount(seed, "seed");
	return { make, module: urlOf(module), spoil, clear, kills, plans, seed };
}

/** The URL of a module that is named by URL or path. */
function urlOf(module: string | URL | undefined): string | undefined {
	if (module === undefined) return undefined;
	if (module instanceof URL) return module.href;
	if (typeof module !== "string" || module === "")
		throw invalid(
			`module is ${shown(module)}; it must be the URL or the path of a module that exports makeStore`,
		);
	return URL.canParse(module) ? module : pathToFileURL(resolve(module)).href;
}

async function loadVitest() {
	try {
		return await import("vitest");
	} catch (error) {
		throw new TurnkeeperError(
			"INVALID_ARGUMENT",
			"storeConformance makes a vitest suite, and vitest cannot be loaded here; install it and call storeConformance in a test file",
			{ cause: error },
		);
	}
}
