/** Owns what a check of a store is: a sentence about every store, and how it is asked. Checks need no test runner. */
import type { Subject } from "./trial.ts";
import { Trial } from "./trial.ts";

/** Asks one thing of a store. Throws where the store is not as it must be. */
export type Check = (trial: Trial) => Promise<void>;

/** Checks of one kind, each by the sentence that it proves. */
export interface CheckGroup {
	readonly about: string;
	/** What they cannot do without; where the subject does not have it, they are skipped. */
	readonly needs?: keyof Pick<Subject, "module" | "spoil">;
	readonly checks: Readonly<Record<string, Check>>;
}

/** Runs one check on a store of its own, which is gone afterwards. */
export async function runCheck(check: Check, subject: Subject): Promise<void> {
	await using trial = new Trial(subject);
	await check(trial);
}
