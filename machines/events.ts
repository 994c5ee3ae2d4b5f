/**
 * Owns the words between an engine and the session machine: events in, replies and named effects out. Plain data.
 * An event carries all that a decision needs from outside: the time, fresh ids, and whether a run may start.
 */
import type {
	ArchivedGeneration,
	ChildOf,
	ClosingGeneration,
	Expectation,
	QueuedMessage,
	StoredEntry,
} from "./facts.ts";
import type { JsonValue } from "./json.ts";
import type { LifecycleReport, VerdictKind } from "./report.ts";
import type { RunEnd, RunFacts, RunStop } from "./run.ts";
import type { RunTicket, StopCause } from "./ticket.ts";

/**
 * What happens to a message that arrives during a run.
 * reject: refused · enqueue: one run each, in order · latest: only the newest waits, the skipped are listed in its run · collect: those
 * that stand together in the queue become one run · steer: the live managed run may take it; else it waits like any other · interrupt:
 * stop, drain, then this one · rollback: like interrupt, and the stopped run's transcript is hidden.
 */
export type OverlapMode =
	| "reject"
	| "enqueue"
	| "latest"
	| "collect"
	| "steer"
	| "interrupt"
	| "rollback";

/** An overlap policy with nothing left out. */
export interface Overlap {
	readonly mode: OverlapMode;
	readonly debounceMs: number;
	readonly capacity: number;
	readonly onFull: "reject" | "drop-oldest";
}

interface Turn {
	/** The engine's clock, epoch ms. */
	readonly at: number;
	/** A fresh run id if a managed run may start in this turn, else null or absent. */
	readonly grant?: string | null | undefined;
	/** The version of the facts that it was made for: what it does to them is the next one, also where all that it does is to let a message be taken. */
	readonly version?: number | undefined;
}

interface Command extends Turn {
	readonly expect?: Expectation | undefined;
}

export type SessionEvent =
	| (Command & {
			readonly type: "message";
			readonly messageId: string;
			readonly input: JsonValue;
			readonly policy: Overlap;
			/** `reset` if it comes with one: then it stands before all others. */
			readonly front?: "reset" | null | undefined;
			readonly parent?: ChildOf | null | undefined;
			/** When the grace period of what it interrupts is over. */
			readonly deadline: number;
			/** For the generation that this opens, if it opens one. */
			readonly sessionId: string;
			readonly meta?: JsonValue | undefined;
	  })
	| (Command & {
			readonly type: "admit";
			readonly runId: string;
			readonly attempt: number;
			readonly reserve: boolean;
			/** The session id that the host gave, which the session takes on. */
			readonly givenSessionId: string | null;
			readonly sessionId: string;
			readonly leaseMs?: number | null | undefined;
			readonly meta?: JsonValue | undefined;
	  })
	| (Turn & {
			readonly type: "report";
			readonly report: LifecycleReport;
			/** The cause of a stop that was fired but whose commit failed. */
			readonly stoppedBy?: StopCause | undefined;
	  })
	| (Turn & {
			readonly type: "settled";
			readonly ticket: RunTicket;
			readonly end: RunEnd;
			/** It settles what a dead process left, which is no activity. */
			readonly recovers?: boolean | undefined;
			/** What its messages are and how often they may be tried, if dead runs are tried again at all. */
			readonly retry?:
				| {
						readonly messages: readonly QueuedMessage[];
						readonly maxAttempts: number;
						readonly maxAgeMs: number;
				  }
				| undefined;
			/** Messages that the run took while it ran and never looked at. */
			readonly unread?: readonly QueuedMessage[] | undefined;
	  })
	| (Turn & {
			readonly type: "overdue";
			readonly ticket: RunTicket;
			/** The cause of a stop that was fired but whose commit failed. */
			readonly stoppedBy?: StopCause | undefined;
			readonly unread?: readonly QueuedMessage[] | undefined;
	  })
	| (Command & {
			readonly type: "reset";
			readonly cause: "reset" | "expiry";
			readonly sessionId: string;
			readonly reason: string | null;
			/** When the grace period of what it stops is over. */
			readonly deadline: number;
			readonly queued: "keep" | "drop";
			/** What the new generation starts with. */
			readonly meta: JsonValue;
			/** Whether the host has work of its own to do on the one that ends. */
			readonly hook?: boolean | undefined;
	  })
	| (Command & {
			readonly type: "delete";
			readonly reason: string | null;
			readonly deadline: number;
			readonly queued: "keep" | "drop";
			readonly purge: boolean;
			readonly hook?: boolean | undefined;
	  })
	| (Command & {
			readonly type: "abort";
			readonly cause: StopCause;
			readonly reason: string | null;
			readonly deadline: number;
			readonly queued: "keep" | "drop";
			/** The run that is meant, where a person's word is not enough. */
			readonly ticket?: RunTicket | undefined;
	  })
	| (Turn & {
			readonly type: "rotate";
			readonly ticket: RunTicket;
			readonly sessionId: string;
	  })
	| (Turn & {
			readonly type: "usage";
			readonly ticket: RunTicket;
			readonly inputTokens: number;
			readonly outputTokens: number;
	  })
	| (Command & {
			readonly type: "patch";
			readonly patch: JsonValue;
			/** The fields that a schema was asked about; the patch counts only while they are still the session's. */
			readonly seen?: JsonValue | undefined;
	  })
	| (Turn & {
			readonly type: "import";
			readonly sessionId: string;
			readonly meta: JsonValue;
			readonly inputTokens: number;
			readonly outputTokens: number;
			readonly createdAt: number;
			readonly updatedAt: number;
	  })
	// What a run asks for, in its own name.
	| (Turn & {
			readonly type: "append";
			readonly ticket: RunTicket;
			readonly entry: JsonValue;
	  })
	| (Turn & {
			readonly type: "wait";
			readonly ticket: RunTicket;
			readonly name: string;
			readonly deadline: number | null;
	  })
	/** The time of a wait is over. */
	| (Turn & {
			readonly type: "unwait";
			readonly ticket: RunTicket;
			readonly name: string;
	  })
	| (Turn & {
			readonly type: "deliver";
			readonly ticket: RunTicket;
			readonly name: string;
			/** Whoever asks knows that the attempt has not begun it: an intent that was kept all the same is no use of the name. */
			readonly unbegun?: boolean | undefined;
	  })
	| (Turn & {
			readonly type: "delivered";
			readonly ticket: RunTicket;
			readonly name: string;
			readonly status: "done" | "failed";
			readonly result: JsonValue;
	  })
	/** Takes the next message that steers it. */
	| (Turn & { readonly type: "pull"; readonly ticket: RunTicket })
	| (Turn & { readonly type: "alive"; readonly ticket: RunTicket })
	/** Somebody's answer to a wait. */
	| (Turn & {
			readonly type: "answer";
			readonly ticket: Pick<RunTicket, "generation" | "runId">;
			readonly name: string;
			readonly value: JsonValue;
	  })
	// What a host changes of the line.
	| (Turn & {
			readonly type: "edit";
			readonly messageId: string;
			readonly input?: JsonValue | undefined;
			/** The message that it goes before; null: to the end. */
			readonly before?: string | null | undefined;
	  })
	| (Turn & { readonly type: "remove"; readonly messageId: string })
	/** The host's own work on a generation that ended is done, or given up. */
	| (Turn & { readonly type: "closed"; readonly generation: number })
	/** The time for that is over, and the host could not even be called. */
	| (Turn & { readonly type: "postponed"; readonly generation: number })
	/** Nothing but leave to take the next message. */
	| (Turn & {
			readonly type: "take";
			/** The quiet window that is over, whatever the clock says. */
			readonly quietUntil?: number | undefined;
	  });

/** What the caller of an event is told. */
export type Reply =
	| { readonly result: "done" }
	| { readonly result: "nothing" }
	/** The host's fields changed while a schema looked at them. */
	| { readonly result: "moved" }
	| { readonly result: "stale"; readonly mismatch: keyof Expectation }
	| { readonly result: "busy"; readonly current: RunTicket | null }
	| { readonly result: "full"; readonly capacity: number }
	| { readonly result: "admitted"; readonly run: RunFacts }
	/** A wait that was answered before, a delivery that was done before. */
	| { readonly result: "known"; readonly value: JsonValue }
	/** A delivery's name that this attempt has used. */
	| { readonly result: "used" }
	| { readonly result: "pulled"; readonly message: QueuedMessage }
	| {
			readonly result: "verdict";
			readonly verdict: VerdictKind;
			readonly reason: string;
			readonly ticket: RunTicket | null;
	  };

export type MessageFate = {
	readonly message: QueuedMessage;
	readonly fate: "queued" | "taken" | "removed";
	/** The run that took it. */
	readonly run: RunTicket | null;
	readonly reason: string | null;
};

/** What the machine asks of an engine, by action name. */
export interface SessionEffects {
	/** Answer whoever sent the event. Exactly one an event, or none for events that nobody waits on. */
	reply: Reply;
	/** Once the turn is committed, let this run execute; it takes these messages, none if the host drives it. */
	startRun: {
		readonly run: RunFacts;
		readonly messages: readonly QueuedMessage[];
	};
	/** Fire the signals of these runs, and send `overdue` when a grace period is over. */
	stopRuns: readonly { readonly run: RunFacts; readonly stop: RunStop }[];
	/** Keep the record of a run that settled or was reserved; a reservation that its generation leaves behind stays open. */
	keepRuns: readonly RunFacts[];
	/** A live run took a step that changes neither its place nor its owner. For those who watch. */
	showRun: RunFacts;
	/** Keep a generation that ended, or write it again when its last run completed it. */
	keepGeneration: ArchivedGeneration;
	/** Keep what became of these messages; what `startRun` takes is not said again. */
	keepMessages: readonly MessageFate[];
	/** Keep messages that wait as they are now: their place or input changed, not their fate. */
	keepLine: readonly QueuedMessage[];
	/** Keep a new entry of the transcript. */
	keepEntry: StoredEntry;
	/** Hide what these runs appended. */
	hideEntries: readonly RunFacts[];
	/**
	 * Let the host do its own work on these generations, each until its deadline, and say `closed`, or `postponed` if it was not called by then; where
	 * it is at it, a deadline can only come nearer.
	 */
	closeGenerations: readonly ClosingGeneration[];
	/** Erase all that older generations left. */
	purge: { readonly sessionKey: string; readonly before: number };
}
