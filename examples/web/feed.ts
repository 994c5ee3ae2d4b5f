/**
 * Owns what pages are told: one stream of server-sent events for each, with all conversations in it. Changes come from the runtime's feed,
 * answers from the runs that are followed. Never decides anything about a session.
 */
import type { ServerResponse } from "node:http";
import type { RunTicket, SessionRow } from "turnkeeper";
import type { ChatRuntime } from "../chat/host.ts";
import {
	keyPrefix,
	readConversation,
	readConversations,
	waitingOf,
} from "./conversation.ts";
import { Reader } from "./reader.ts";
import type { HostTold, Told } from "./told.ts";

/** A page is somebody's; more than these are a mistake. */
const mostReaders = 100;

export class Feed {
	readonly #runtime: ChatRuntime;
	readonly #host: () => HostTold;
	readonly #readers = new Set<Reader>();
	readonly #subscription: { unsubscribe(): void };
	/** Queues are read one after another, so that no page is told an older one last. */
	#reading = Promise.resolve();

	constructor(runtime: ChatRuntime, host: () => HostTold) {
		this.#runtime = runtime;
		this.#host = host;
		this.#subscription = runtime.subscribe((event) => {
			if (event.type === "row" && isShown(event.row)) this.#row(event.row);
			else if (event.type === "run" && isShown(event.run))
				this.#tell({ type: "run", run: event.run });
			else if (event.type === "message" && isShown(event))
				this.#queue(event.sessionKey);
		});
	}

	/** A run begins to answer this. */
	asked(ticket: RunTicket, text: string): void {
		if (isShown(ticket)) this.#tell({ type: "asked", ticket, text });
	}

	/** What `host` gives has changed. */
	hostChanged(): void {
		this.#tell({ type: "host", ...this.#host() });
	}

	/**
	 * Tells a page all that there is, and then what changes. `lastEventId` is what the browser gives when it comes back: what it has of each
	 * answer is not told again. False: there are too many.
	 */
	join(response: ServerResponse, lastEventId: string): boolean {
		if (this.#readers.size >= mostReaders) return false;
		const reader = new Reader(this.#runtime, response, lastEventId);
		// Before anything is read: what changes meanwhile is told after it.
		this.#readers.add(reader);
		response.once("close", () => this.#readers.delete(reader));
		this.#catchUp(reader).catch(() => reader.close());
		return true;
	}

	close(): void {
		this.#subscription.unsubscribe();
		for (const reader of this.#readers) reader.close();
	}

	async #catchUp(reader: Reader): Promise<void> {
		reader.tell({ type: "host", ...this.#host() });
		for (const row of await readConversations(this.#runtime)) {
			const conversation = await readConversation(this.#runtime, row);
			reader.tell({ type: "conversation", ...conversation });
			// Also of runs that were stopped: the transcript has no answer of theirs, but a while longer the runtime has.
			for (const run of conversation.runs)
				if (run.outcome !== "completed") reader.follow(run);
		}
		reader.begin();
	}

	#row(row: SessionRow<unknown>): void {
		this.#tell({ type: "row", row });
		if (row.activeRun)
			for (const reader of this.#readers) reader.follow(row.activeRun);
	}

	#queue(sessionKey: string): void {
		this.#reading = this.#reading.then(async () => {
			const queue = await waitingOf(this.#runtime, sessionKey).catch(
				// The runtime is closing, or its store is lost: it says so itself.
				() => null,
			);
			if (queue) this.#tell({ type: "queue", sessionKey, queue });
		});
	}

	#tell(told: Told): void {
		for (const reader of this.#readers) reader.hear(told);
	}
}

/** The file may hold sessions of others, such as the terminal's. */
function isShown({ sessionKey }: { readonly sessionKey: string }): boolean {
	return sessionKey.startsWith(keyPrefix);
}
