/**
 * Owns which mutants nothing can tell from the original, each with its reason. One that is killed after all, or that does not exist,
 * fails the run: the list is never longer than the truth.
 */

export interface Equivalent {
	readonly id: string;
	readonly why: string;
}

export const equivalents: readonly Equivalent[] = [];
