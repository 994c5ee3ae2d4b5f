/** Owns the page's socket: questions and their answers, what the host says by itself, and coming back after it was away. Shows nothing. */
import { type Atom, createAtom } from "@xstate/store";
import type {
	Answered,
	HostDescription,
	Question,
	RowsPage,
	Said,
} from "../protocol.ts";

/** Where the connection stands. `refused`: the host is there, or never was, and does not let this address in. */
export type Link = "connecting" | "open" | "away" | "refused";

/** Told what the host says by itself. */
export interface Listener {
	/** Connected, for the first time or anew: what was known may be old. */
	opened(host: HostDescription): void;
	rows(said: Extract<Said, { say: "rows" }>): void;
	session(said: Extract<Said, { say: "session" }>): void;
	/** Something that was asked for can be told no more, for now. */
	trouble(message: string): void;
}

const firstRetryMs = 500;
const longestRetryMs = 10_000;

export class Connection {
	readonly link: Atom<Link> = createAtom<Link>("connecting");
	readonly host = createAtom<HostDescription | null>(null);
	readonly #listener: Listener;
	readonly #answers = new Map<
		number,
		{ resolve(answer: Answered): void; reject(error: Error): void }
	>();
	#socket: WebSocket | null = null;
	#asked = 0;
	#retryMs = firstRetryMs;

	constructor(listener: Listener) {
		this.#listener = listener;
		this.#open();
	}

	/** Rejects where the host cannot answer, with what it says about that, and where the connection is lost before it did. */
	ask(question: Extract<Question, { ask: "rows" }>): Promise<RowsPage>;
	ask<Answer extends Answered = null>(question: Question): Promise<Answer>;
	ask(question: Question): Promise<Answered> {
		const socket = this.#socket;
		if (socket?.readyState !== WebSocket.OPEN)
			return Promise.reject(new Error("the host is away; nothing was done"));
		this.#asked += 1;
		const id = this.#asked;
		socket.send(JSON.stringify({ id, ...question }));
		return new Promise((resolve, reject) => {
			this.#answers.set(id, { resolve, reject });
		});
	}

	#open(): void {
		const socket = new WebSocket(
			`${location.origin.replace(/^http/, "ws")}/${location.search}`,
		);
		this.#socket = socket;
		socket.onmessage = ({ data }) => this.#hear(JSON.parse(data) as Said);
		socket.onclose = () => this.#closed();
	}

	#closed(): void {
		for (const { reject } of this.#answers.values())
			reject(
				new Error(
					"the connection was lost before the answer; look before you ask again",
				),
			);
		this.#answers.clear();
		// A browser does not say why: one that never let us in has another token.
		const wasIn = this.host.get() !== null;
		this.link.set(wasIn ? "away" : "refused");
		setTimeout(() => this.#open(), this.#retryMs);
		this.#retryMs = Math.min(longestRetryMs, this.#retryMs * 2);
	}

	#hear(said: Said): void {
		switch (said.say) {
			case "hello":
				this.#retryMs = firstRetryMs;
				this.host.set(said.host);
				this.link.set("open");
				this.#listener.opened(said.host);
				return;
			case "answer":
				this.#answers.get(said.id)?.resolve(said.answer);
				this.#answers.delete(said.id);
				return;
			case "error": {
				const asked = this.#answers.get(said.id);
				this.#answers.delete(said.id);
				if (asked) asked.reject(new Error(said.message));
				// It was answered before: what is watched since cannot be read.
				else this.#listener.trouble(said.message);
				return;
			}
			case "rows":
				this.#listener.rows(said);
				return;
			case "session":
				this.#listener.session(said);
		}
	}
}
