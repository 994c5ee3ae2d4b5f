/** Owns what a page can be told, as it goes over the wire. Nothing here runs. */
import type { RunRecord, RunTicket, SessionRow } from "turnkeeper";
import type { Conversation, Waiting } from "./conversation.ts";

/** What the page knows of the host. */
export interface HostTold {
	readonly model: string;
	readonly isSlow: boolean;
	/** The address of the console, with its token. */
	readonly console: string;
}

/** One event, as JSON in its data. */
export type Told =
	| ({ readonly type: "host" } & HostTold)
	| ({ readonly type: "conversation" } & Conversation)
	| { readonly type: "row"; readonly row: SessionRow<unknown> }
	| { readonly type: "run"; readonly run: RunRecord }
	| {
			readonly type: "queue";
			readonly sessionKey: string;
			readonly queue: readonly Waiting[];
	  }
	| {
			readonly type: "asked";
			readonly ticket: RunTicket;
			readonly text: string;
	  }
	/** A piece of the answer; 1, 2, 3 … of each run. */
	| {
			readonly type: "piece";
			readonly ticket: RunTicket;
			readonly seq: number;
			readonly text: string;
	  }
	/** Pieces before this number are not kept any more. */
	| { readonly type: "gap"; readonly ticket: RunTicket; readonly seq: number };
