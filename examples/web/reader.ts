/**
 * Owns one page's stream of server-sent events: what it is told, in order, and how far it has read each answer. The id of an event says
 * the latter, so that a browser that comes back is told the rest and no more.
 */
import type { ServerResponse } from "node:http";
import type { RunTicket } from "turnkeeper";
import type { ChatRuntime } from "../chat/host.ts";
import type { Told } from "./told.ts";

/** What may wait for a slow page, in bytes. Beyond it the page is let go: it comes back by itself. */
const mostUnread = 4 * 1024 * 1024;

export class Reader {
	readonly #runtime: ChatRuntime;
	readonly #response: ServerResponse;
	readonly #gone = new AbortController();
	/** The number of the last piece that it has, by run id. */
	readonly #read: Map<string, number>;
	readonly #followed = new Set<string>();
	/** What happens before it has been told what there is; null from then on. */
	#early: string[] | null = [];

	constructor(
		runtime: ChatRuntime,
		response: ServerResponse,
		lastEventId: string,
	) {
		this.#runtime = runtime;
		this.#response = response;
		this.#read = positionsOf(lastEventId);
		response.once("close", () => this.#gone.abort());
		response.writeHead(200, { "content-type": "text/event-stream" });
		response.write("retry: 1000\n\n");
	}

	/** There is this. */
	tell(told: Told): void {
		this.#write(eventOf(told));
	}

	/** It knows what there is: now come the things that happened meanwhile. */
	begin(): void {
		for (const event of this.#early ?? []) this.#write(event);
		this.#early = null;
	}

	/** Something happened. */
	hear(told: Told, id?: string): void {
		const event = eventOf(told, id);
		if (this.#early) this.#early.push(event);
		else this.#write(event);
	}

	/** From where it was on, or from the beginning. */
	follow(ticket: RunTicket): void {
		const { runId } = ticket;
		if (this.#followed.has(runId)) return;
		this.#followed.add(runId);
		this.#follow(ticket)
			// The runtime has closed.
			.catch(() => {})
			.finally(() => {
				this.#read.delete(runId);
				this.#followed.delete(runId);
			});
	}

	close(): void {
		this.#gone.abort();
		this.#response.end();
	}

	async #follow(ticket: RunTicket): Promise<void> {
		const { runId, sessionKey, sessionId, generation, attempt } = ticket;
		const who = { runId, sessionKey, sessionId, generation, attempt };
		const from = (this.#read.get(runId) ?? 0) + 1;
		const { signal } = this.#gone;
		for await (const item of this.#runtime.follow(who, { from, signal })) {
			if ("gap" in item) {
				this.hear({ type: "gap", ticket: who, seq: item.gap.to + 1 });
				continue;
			}
			const { seq, value } = item;
			this.#read.set(runId, seq);
			const text = String(value);
			this.hear({ type: "piece", ticket: who, seq, text }, this.#id());
		}
	}

	#id(): string {
		const id = new URLSearchParams();
		for (const [runId, read] of this.#read) id.set(runId, String(read));
		return id.toString();
	}

	#write(text: string): void {
		if (this.#gone.signal.aborted) return;
		if (this.#response.writableLength > mostUnread) this.#response.destroy();
		else this.#response.write(text);
	}
}

function eventOf(told: Told, id?: string): string {
	const data = `data: ${JSON.stringify(told)}\n\n`;
	return id === undefined ? data : `id: ${id}\n${data}`;
}

/** @example positionsOf("r1=12&r2=7") // what a browser sends as Last-Event-ID */
function positionsOf(lastEventId: string): Map<string, number> {
	const positions = new Map<string, number>();
	for (const [runId, read] of new URLSearchParams(lastEventId))
		if (/^\d{1,9}$/.test(read)) positions.set(runId, Number(read));
	return positions;
}
