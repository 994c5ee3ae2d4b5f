/**
 * Owns the words between an engine and the session machine: events in, replies and named effects out. Plain data.
 * An event carries all that a decision needs from outside: the time, fresh ids, and whether a run may start.
 */
import type {
	ArchivedGeneration,
	Expectation,
	QueuedMessage,
} from "./facts.ts";
import type { JsonValue } from "./json.ts";
import type { LifecycleReport, VerdictKind } from "./report.ts";
import type { RunEnd, RunFacts, RunStop } from "./run.ts";
import type { RunTicket, StopCause } from "./ticket.ts";

export type OverlapMode = "reject" | "enqueue";

interface Turn {
	/** The engine's clock, epoch ms. */
	readonly at: number;
	/** A fresh run id if a managed run may start in this turn, else null or absent. */
	readonly grant?: string | null | undefined;
}

interface Command extends Turn {
	readonly expect?: Expectation | undefined;
}

export type SessionEvent =
	| (Command & {
			readonly type: "message";
			readonly messageId: string;
			readonly input: JsonValue;
			readonly mode: OverlapMode;
			readonly capacity: number;
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
	  })
	| (Turn & { readonly type: "overdue"; readonly ticket: RunTicket })
	| (Command & {
			readonly type: "reset";
			readonly sessionId: string;
			readonly reason: string | null;
			/** When the grace period of what it stops is over. */
			readonly deadline: number;
			readonly queued: "keep" | "drop";
			/** What the new generation starts with. */
			readonly meta: JsonValue;
	  })
	| (Command & {
			readonly type: "delete";
			readonly reason: string | null;
			readonly deadline: number;
			readonly queued: "keep" | "drop";
			readonly purge: boolean;
	  })
	| (Command & {
			readonly type: "abort";
			readonly cause: StopCause;
			readonly reason: string | null;
			readonly deadline: number;
			readonly queued: "keep" | "drop";
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
	/** Nothing but leave to take the next message. */
	| (Turn & { readonly type: "take" });

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
	/** Erase all that older generations left. */
	purge: { readonly sessionKey: string; readonly before: number };
}
