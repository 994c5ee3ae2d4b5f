/**
 * Owns what goes between the parts that Restate lies between: the client of a host, the object of a session, the service that executes
 * runs. JSON, and of one version: parts of another one are told so.
 */
import type {
	Message,
	QueuedMessage,
	SessionRow,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { WaitAnswer } from "../../machines/run.ts";
import type { RunTicket, StopCause } from "../../machines/ticket.ts";
import { invalid, shown } from "../arguments.ts";
import { type ErrorCode, TurnkeeperError } from "../errors.ts";

/** The name of the signal by which a run is told something for the nth time. */
export function signalName(told: number): string {
	return `told ${told}`;
}

/** Raised whenever parts of before and after would not understand each other. */
export const protocolVersion = 1;

/** The virtual object: one for each session key. */
export const sessionsService = "TurnkeeperSession";
/** The virtual object of what a run has told while it runs: one for each run that tells anything, by its `ticketId`. */
export const progressService = "TurnkeeperProgress";
/** The service that executes runs. */
export const runsService = "TurnkeeperRuns";

/** A call that changes a session, by its name in `SessionRuntime`. */
export type CallName =
	| "send"
	| "admit"
	| "report"
	| "patch"
	| "resume"
	| "import"
	| "receive"
	| "queue.update"
	| "queue.remove";

/** A call that ends runs, and is answered when they have ended. */
export type StopName = "reset" | "abort" | "delete";

/** A call that reads. */
export type ReadName =
	| "get"
	| "archive"
	| "runs"
	| "transcript"
	| "refusals"
	| "queue.list";

/** Something that a run asks for, by its name in `Run`. */
export type ActName =
	| "append"
	| "usage"
	| "rotate"
	| "waitFor"
	| "deliver"
	| "delivered"
	| "pull"
	| "spawn"
	| "alive"
	| "rest"
	| "release";

/** A call brings its time, epoch ms: to ask Restate for it would cost each call a write. */
export interface Timed {
	readonly at: number;
}

export interface Asked<Name extends string> extends Timed {
	readonly protocol: number;
	readonly name: Name;
	/** What the method was given, without the session key. */
	readonly args: readonly unknown[];
}

export interface Act extends Asked<ActName> {
	readonly ticket: RunTicket;
}

/** What the driver of a run needs to know of it, as committed. */
export interface RunView {
	/** The version of the session that it is of: an older one is not believed. */
	readonly version: number;
	readonly sessionId: string;
	/** Why it was told to stop. */
	readonly stop: {
		readonly cause: StopCause;
		readonly reason: string | null;
	} | null;
	/** It has settled, or was given up. */
	readonly isOver: boolean;
	/** Silence for this long settles it, in ms; null: it has no lease. */
	readonly leaseMs: number | null;
	/** Names that it waits for. */
	readonly waits: readonly string[];
	readonly answers: readonly WaitAnswer[];
	/** How many messages wait that arrived for it. */
	readonly steering: number;
	/** The row of its generation. */
	readonly row: SessionRow;
}

/** A run to execute. */
export interface RunStart {
	readonly ticket: RunTicket;
	readonly messages: readonly QueuedMessage[];
	readonly skipped: readonly Message[];
	readonly view: RunView;
}

/** How an executor came to its end. */
export interface RunReturn {
	readonly outcome: "completed" | "failed" | "interrupted";
	readonly error?: string;
	readonly output?: JsonValue;
	/** What it took while it ran and did not look at. */
	readonly unread: readonly QueuedMessage[];
}

/** What somebody waits for. */
export type WaitedFor =
	/** The end of a message. */
	| { readonly of: "message"; readonly messageId: string }
	/** A row of a later version. */
	| { readonly of: "change"; readonly version: number }
	/** That nothing runs, drains or waits. */
	| { readonly of: "rest" }
	/** Another view of a run than the one of that version. */
	| { readonly of: "view"; readonly ticket: RunTicket; readonly seen: RunView };

/** The handlers of the service that executes runs, as those who call them see it. */
export interface RunsApi {
	/** How the executor ended of a process that Restate is cut off from. */
	left(ctx: unknown, left: Left): Promise<void>;
	execute(ctx: unknown, start: RunStart): Promise<void>;
}

/** The handlers of a session's object, as those who call them see it. */
export interface SessionApi {
	call(ctx: unknown, asked: Asked<CallName>): Promise<Answered>;
	act(ctx: unknown, act: Act): Promise<Answered>;
	/** Answers with what a stop came to, once it has drained. */
	stop(ctx: unknown, asked: Asked<StopName>): Promise<Answered>;
	/** As `stop`, but answered at once: null if the awakeable is resolved with the answer. */
	begin(
		ctx: unknown,
		asked: Asked<StopName> & { readonly awakeable: string },
	): Promise<Answered | null>;
	read(ctx: unknown, asked: Asked<ReadName>): Promise<Answered>;
	wait(ctx: unknown, wait: Wait): Promise<unknown>;
	watch(
		ctx: unknown,
		watched: Wait & { readonly awakeable: string },
	): Promise<void>;
	returned(ctx: unknown, returned: Returned): Promise<void>;
	/** A message of this session is attached to a run that was told to stop, or is over. */
	stopChild(ctx: unknown, child: StoppedChild): Promise<void>;
	alarm(ctx: unknown, alarm: Timed): Promise<void>;
}

/** What a run has told, from a number on. */
export interface ProgressPage {
	readonly items: readonly {
		readonly seq: number;
		readonly value: JsonValue;
	}[];
	/** The number after the newest. */
	readonly next: number;
}

/** The handlers of the object of a run's progress, as those who call them see it. */
export interface ProgressApi {
	add(ctx: unknown, values: readonly JsonValue[]): Promise<void>;
	read(ctx: unknown, from: number): Promise<ProgressPage>;
	/** As `read`, once there is something. */
	follow(ctx: unknown, from: number): Promise<ProgressPage>;
	take(
		ctx: unknown,
		asked: { readonly from: number; readonly awakeable: string },
	): Promise<ProgressPage | null>;
	/** Nobody will ask any more. */
	forget(ctx: unknown): Promise<void>;
}

/** Somebody begins to wait. */
export interface Wait extends Timed {
	readonly for: WaitedFor;
}

/** A message that is attached to a run that was told to stop, or is over. */
export interface StoppedChild extends Timed {
	readonly messageId: string;
	/** When it is abandoned, epoch ms. */
	readonly deadline: number;
}

/** All that an invocation knows of the run that it executed. */
export interface Executed extends RunReturn, Timed {
	readonly messages: readonly QueuedMessage[];
	/** There is progress of it to forget. */
	readonly hasTold: boolean;
}

/** An invocation that a process is cut off from, and how that process's executor ended. */
export interface Left {
	readonly invocation: string;
	readonly executed: Executed;
}

/** A run's executor came to its end. */
export type Returned = Omit<Executed, "hasTold"> & {
	readonly ticket: RunTicket;
};

/** An answer, or the error that it was. */
export type Answered<Value = unknown> =
	| { readonly value: Value }
	| { readonly error: { readonly code: ErrorCode; readonly text: string } };

/** What a host's own code threw goes on as it is: Restate tries again. */
export async function answerOf<Value>(
	act: () => Promise<Value>,
): Promise<Answered<Value>> {
	try {
		return { value: await act() };
	} catch (error) {
		if (!(error instanceof TurnkeeperError)) throw error;
		return { error: { code: error.code, text: error.text } };
	}
}

export function toldBy<Value>(answered: Answered<Value>): Value {
	if ("error" in answered)
		throw new TurnkeeperError(answered.error.code, answered.error.text);
	return answered.value;
}

export function mustUnderstand(protocol: number, args: unknown): void {
	if (protocol !== protocolVersion)
		throw new TurnkeeperError(
			"ENGINE_MISMATCH",
			`the call is of protocol ${protocol}, these services are of protocol ${protocolVersion}; deploy the services and the hosts from one version of turnkeeper`,
		);
	if (!Array.isArray(args))
		throw invalid(`args is ${shown(args)}; it must be a list`);
}
