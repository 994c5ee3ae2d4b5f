/** Owns what the object of a session keeps of it besides its records. */
import type { SessionFacts } from "../../machines/facts.ts";
import type { RunTicket } from "../../machines/ticket.ts";
import type { Drain } from "../drain.ts";
import type { WaitedFor } from "./protocol.ts";

/** A run that Restate executes. */
export interface Executing {
	readonly ticket: RunTicket;
	/** The invocation that executes it. */
	readonly invocation: string;
	/** How often it was told something. */
	readonly told: number;
}

/** A message to another session that is attached to a run of this one. */
export interface AttachedChild {
	readonly parent: RunTicket;
	readonly sessionKey: string;
	readonly messageId: string;
}

/** Somebody who is answered by an awakeable of this id. */
export interface Waiter {
	readonly id: string;
	readonly for:
		| WaitedFor
		| { readonly of: "drain"; readonly drain: Drain<never> };
}

/** Where runs stand among those of their session. */
export interface RunPlaces {
	readonly next: number;
	/** Of those that are open, by ticket. */
	readonly of: Readonly<Record<string, number>>;
}

/** What is true of a session, and what its object has to see to. */
export interface KeptSession {
	/** The time of the newest call that changed it. */
	readonly at: number;
	readonly facts: SessionFacts | null;
	readonly executing: readonly Executing[];
	readonly waiters: readonly Waiter[];
	/** Until they are told to stop. */
	readonly children: readonly AttachedChild[];
	/** When the object is to be called again, epoch ms. */
	readonly alarm: number | null;
	/** Names of the outputs that are kept, the oldest first. */
	readonly outputs: readonly string[];
	readonly places: RunPlaces;
}

export const keptName = "session";

/** Of a key that nobody has used. */
export const unusedSession: KeptSession = {
	at: 0,
	facts: null,
	executing: [],
	waiters: [],
	children: [],
	alarm: null,
	outputs: [],
	places: { next: 1, of: {} },
};
