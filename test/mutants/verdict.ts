/** Owns what can become of a mutant. */

export type Verdict =
	/** A test failed, or the test file itself. */
	| { readonly fate: "killed"; readonly by: Killer; readonly why: string }
	/** A test, or everything, took far longer than it does. */
	| { readonly fate: "hung"; readonly by: Killer }
	| { readonly fate: "does not compile"; readonly why: string }
	| { readonly fate: "survived"; readonly asked: number };

/** What killed a mutant. */
export interface Killer {
	/** From the root of the repository. */
	readonly file: string;
	/** The name of the test, without those of what it stands in; null: the file did not come as far as a test. */
	readonly test: string | null;
}

/** What a laboratory is asked: the files as if they stood so, and what to run against them, step by step until something fails. */
export interface Trial {
	readonly file: string;
	/** The whole text of the file; null: as it is. */
	readonly text: string | null;
	readonly steps: readonly Step[];
	/** Runs everything, whatever fails. */
	readonly goesOn?: boolean;
}

export interface Step {
	readonly files: readonly string[];
	/** Of one test alone. */
	readonly test?: string;
	/** How long a test may take. */
	readonly timeoutMs: number;
}

/** What a laboratory says while it works, and at the end. */
export type Said =
	| { readonly says: "ready" }
	| { readonly says: "began"; readonly file: string }
	| {
			readonly says: "ended";
			readonly file: string;
			readonly ms: number;
			readonly passed: boolean;
	  }
	| {
			readonly says: "done";
			readonly failed: { readonly by: Killer; readonly why: string } | null;
	  };
