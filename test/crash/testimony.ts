/** Owns what a host under load says of what it was told, a line each, and the words in which a life is asked of it. */
import type { JsonValue } from "turnkeeper";

/** A run as a host tells it. */
export interface SaidRun {
	readonly sessionKey: string;
	readonly generation: number;
	readonly runId: string;
	readonly attempt: number;
}

/** What a delivery came to: who carried it out. */
export interface Carried {
	readonly life: number;
	readonly attempt: number;
}

/** One line. All but `executing` and the first two are said when a call has been answered: from then on the answer must hold. */
export type Said =
	/** `start` has resolved; these rows say running. */
	| { readonly said: "booted"; readonly running: readonly SaidRun[] }
	/** A call begins that drops messages or stops runs; it may hold although its answer is never heard. */
	| {
			readonly said: "begins";
			readonly call: Call;
			readonly sessionKey: string;
	  }
	| {
			readonly said: "accepted";
			readonly sessionKey: string;
			readonly messageId: string;
			readonly generation: number;
			readonly version: number;
	  }
	| {
			readonly said: "refused";
			readonly sessionKey: string;
			readonly messageId: string;
	  }
	| {
			readonly said: "executing";
			readonly run: SaidRun;
			readonly messageIds: readonly string[];
	  }
	| {
			readonly said: "steered";
			readonly run: SaidRun;
			readonly messageId: string;
	  }
	| { readonly said: "appended"; readonly run: SaidRun; readonly n: number }
	| {
			readonly said: "delivered";
			readonly run: SaidRun;
			readonly idempotencyKey: string;
			readonly carried: Carried;
	  }
	/** A wait came back with this. */
	| {
			readonly said: "answered";
			readonly run: SaidRun;
			readonly name: string;
			readonly value: JsonValue;
	  }
	| {
			readonly said: "resumed";
			readonly run: SaidRun;
			readonly name: string;
			readonly value: JsonValue;
	  }
	| {
			readonly said: "reset";
			readonly sessionKey: string;
			readonly messageId: string;
			readonly generation: number;
			readonly version: number;
	  }
	| { readonly said: "aborted"; readonly runs: readonly SaidRun[] }
	| {
			readonly said: "removed";
			readonly sessionKey: string;
			readonly messageId: string;
	  }
	/** A run of the host's, with a lease that no life outlasts. */
	| { readonly said: "admitted"; readonly run: SaidRun }
	| { readonly said: "ended"; readonly run: SaidRun }
	/** Nothing runs, drains or waits. */
	| { readonly said: "settled" }
	/** What a call was answered and must not have been. */
	| { readonly said: "wrong"; readonly what: string };

export type Call = "reset" | "abort" | "delete" | "drop" | "remove";

/** How a life is played. */
export interface LifeOptions {
	readonly file: string;
	/** Where deliveries go: a line for each time that an effect is carried out. */
	readonly sideLog: string;
	/** Whether the store has its database on a thread. */
	readonly thread: boolean;
	readonly seed: number;
	readonly life: number;
	readonly recovery: "settle" | "retry";
	/** No new load: what is there comes to its end. */
	readonly last: boolean;
	/** Ends itself by kill -9 right before or right after a commit, counted from 1; null: is killed from outside. */
	readonly diesAt: {
		readonly commit: number;
		readonly moment: "before" | "after";
	} | null;
	/** Accepted in an earlier life: to be sent again, as duplicates. */
	readonly accepted: readonly {
		readonly sessionKey: string;
		readonly messageId: string;
	}[];
	/** Acknowledged in an earlier life: to be sent again, to no effect. */
	readonly resets: readonly {
		readonly sessionKey: string;
		readonly messageId: string;
	}[];
	/** Host-driven runs that were admitted and have not ended. */
	readonly leased: readonly SaidRun[];
}

/** Most attempts of a run. */
export const maxAttempts = 3;

/** What may be done to the sessions of a family of keys. */
export const families = {
	/** Nothing that drops a message: what is accepted is taken. */
	plain: 8,
	/** Messages are passed over, taken back, dropped and removed; sessions are deleted. */
	mixed: 8,
	/** Sessions are also purged. */
	purged: 3,
	/** Runs that the host drives, with a lease. */
	host: 4,
} as const;

export type Family = keyof typeof families;

export function familyOf(sessionKey: string): Family {
	return sessionKey.split("-")[0] as Family;
}
