/**
 * Owns what the console's page and its host say to each other: JSON, one value a frame, over one socket. Types alone, because both sides
 * are built with this file.
 */
import type { Chart } from "../../machines/chart.ts";
import type {
	ArchivedGeneration,
	Expectation,
	SessionRow,
	SessionStatus,
} from "../../machines/facts.ts";
import type { Refusal } from "../../machines/report.ts";
import type { RunRecord } from "../../machines/run.ts";

/** What the page asks. Each is answered once, under its id. */
export type Request = { readonly id: number } & Question;

export type Question =
	/** A page of all sessions, by key. */
	| { readonly ask: "rows"; readonly cursor: string | null }
	/** To be told of this session and no longer of another; null: of none. */
	| { readonly ask: "watch"; readonly sessionKey: string | null }
	| Command;

/** What the page asks to be done, with the expectation of what it showed. */
export type Command = { readonly sessionKey: string } & (
	| {
			readonly ask: "reset" | "abort" | "delete";
			readonly expect: Expectation;
	  }
	| { readonly ask: "remove"; readonly messageId: string }
);

/** What the host says. */
export type Said =
	| { readonly say: "hello"; readonly host: HostDescription }
	| { readonly say: "answer"; readonly id: number; readonly answer: Answered }
	/** What could not be answered, and why. */
	| { readonly say: "error"; readonly id: number; readonly message: string }
	/** Sessions that changed. */
	| { readonly say: "rows"; readonly rows: readonly Line[] }
	/** Parts of the watched session that changed, each as a whole. */
	| {
			readonly say: "session";
			readonly sessionKey: string;
			readonly parts: Partial<SessionParts>;
	  };

export interface HostDescription {
	/** What is looked at: a store's file, or the runtime of a process. */
	readonly name: string;
	/** Whether commands are taken; if not, why. */
	readonly readOnly: string | null;
	/** Whether every change is told. If not, deleted sessions are found by asking for all again. */
	readonly tellsAll: boolean;
	readonly chart: Chart;
}

/** By what was asked: a page of rows, what became of a command, or null. */
export type Answered = RowsPage | CommandAnswer | null;

export interface RowsPage {
	readonly rows: readonly SessionLine[];
	readonly cursor: string | null;
}

export type CommandAnswer =
	| { readonly result: "done"; readonly generation: number }
	| { readonly result: "stale"; readonly mismatch: keyof Expectation }
	| { readonly result: "nothing" };

/** A session in the table of all. */
export interface SessionLine {
	readonly sessionKey: string;
	readonly status: SessionStatus;
	readonly generation: number;
	readonly sessionId: string;
	readonly runId: string | null;
	readonly queued: number;
	readonly draining: number;
	readonly tokens: number;
	readonly createdAt: number;
	readonly updatedAt: number;
	readonly version: number;
}

/** A session of the table, or that it is there no longer. */
export type Line =
	| SessionLine
	| {
			readonly sessionKey: string;
			readonly status: "deleted";
			readonly version: number;
	  };

/** The newest of a list, newest first. */
export interface Newest<T> {
	readonly items: readonly T[];
	/** Whether there are older ones that are not shown. */
	readonly more: boolean;
}

/** What there is to see of one session. */
export interface SessionParts {
	/** Null: there is none, or it was deleted. */
	readonly row: SessionRow | null;
	/** Where its chart stands; null without a row. */
	readonly state: string | null;
	/** The last transition that was seen; null if none was since somebody looks. */
	readonly transition: SeenTransition | null;
	/** Those that ended. */
	readonly generations: Newest<ArchivedGeneration>;
	readonly runs: Newest<RunRecord>;
	readonly refusals: Newest<Refusal>;
	/** In the order in which they will be taken. */
	readonly queue: Newest<ShownMessage>;
	readonly transcript: Newest<ShownEntry>;
}

export interface SeenTransition {
	readonly from: string;
	readonly to: string;
	/** Type of the event that caused it. */
	readonly event: string;
	readonly at: number;
}

export interface ShownMessage {
	readonly messageId: string;
	readonly acceptedAt: number;
	/** Where it was accepted. */
	readonly generation: number;
	/** The beginning of its input, as JSON or as the text that it is. */
	readonly input: string;
}

export interface ShownEntry {
	readonly seq: number;
	readonly generation: number;
	readonly runId: string;
	readonly at: number;
	/** The beginning of it, as JSON or as the text that it is. */
	readonly entry: string;
}
