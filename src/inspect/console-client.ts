/**
 * Owns one page's part of the console: what it asks is checked and answered, and it is told what changed, no faster than it reads. Whatever
 * a page sends harms nobody but that page.
 */
import type { WebSocket } from "ws";
import { checkName, invalid, shown } from "../arguments.ts";
import { errorText } from "../errors.ts";
import type { ConsoleSource } from "./console-source.ts";
import { LocalServer } from "./local-server.ts";
import type {
	Answered,
	Command,
	Line,
	Question,
	Request,
	Said,
} from "./protocol.ts";
import { lineOf } from "./session-parts.ts";
import { SessionWatch } from "./session-watch.ts";

/** Changed rows are told together, at most so often. */
const rowsEveryMs = 100;
const pageLimit = 1000;
/** Questions of one page that may be under way. */
const mostAsked = 64;
/** A page with so much unread is told nothing more until it has read. */
const mostUnread = 1024 * 1024;
/** Beyond this, who does not read is let go. It can come back and read all. */
const mostChanged = 200_000;

export class ConsoleClient {
	readonly #socket: WebSocket;
	readonly #source: ConsoleSource;
	readonly #unfollow: () => void;
	/** The newest of each session that it has not been told. */
	readonly #changed = new Map<string, Line>();
	#timer: NodeJS.Timeout | null = null;
	#watch: SessionWatch | null = null;
	#asked = 0;

	constructor(socket: WebSocket, source: ConsoleSource) {
		this.#socket = socket;
		this.#source = source;
		this.#unfollow = source.follow((lines) => this.#take(lines));
		socket.on("message", (data, isBinary) => {
			if (!isBinary) this.#hear(String(data));
		});
		socket.on("close", () => this.#close());
		this.#say({ say: "hello", host: source.host });
	}

	#close(): void {
		this.#unfollow();
		this.#watch?.stop();
		if (this.#timer) clearTimeout(this.#timer);
		this.#changed.clear();
	}

	#say(said: Said): void {
		LocalServer.send(this.#socket, JSON.stringify(said));
	}

	get #isBehind(): boolean {
		return this.#socket.bufferedAmount > mostUnread;
	}

	// ── what changed

	#take(lines: readonly Line[]): void {
		for (const line of lines) this.#changed.set(line.sessionKey, line);
		if (this.#changed.size > mostChanged) {
			this.#socket.terminate();
			return;
		}
		this.#timer ??= setTimeout(() => this.#flush(), rowsEveryMs).unref();
	}

	#flush(): void {
		this.#timer = null;
		if (this.#isBehind) {
			this.#timer = setTimeout(() => this.#flush(), rowsEveryMs).unref();
			return;
		}
		const rows = [...this.#changed.values()].slice(0, pageLimit);
		for (const { sessionKey } of rows) this.#changed.delete(sessionKey);
		this.#say({ say: "rows", rows });
		if (this.#changed.size > 0) this.#take([]);
	}

	// ── what it asks

	#hear(text: string): void {
		let request: Request;
		try {
			request = requestIn(text);
		} catch (error) {
			const id = idIn(text);
			if (id !== null) this.#fail(id, error);
			return;
		}
		const { id } = request;
		if (this.#asked >= mostAsked) {
			this.#fail(
				id,
				new Error(
					`${mostAsked} questions of this page are under way; ask again when one is answered`,
				),
			);
			return;
		}
		this.#asked += 1;
		this.#answer(request)
			.then((answer) => this.#say({ say: "answer", id, answer }))
			.catch((error) => this.#fail(id, error))
			.finally(() => {
				this.#asked -= 1;
			});
	}

	#fail(id: number, error: unknown): void {
		this.#say({ say: "error", id, message: errorText(error) });
	}

	async #answer(question: Question): Promise<Answered> {
		switch (question.ask) {
			case "rows": {
				const page = await this.#source.reads.list({
					limit: pageLimit,
					...(question.cursor === null ? {} : { cursor: question.cursor }),
				});
				return { rows: page.items.map(lineOf), cursor: page.cursor };
			}
			case "watch": {
				this.#watch?.stop();
				this.#watch = null;
				const { sessionKey } = question;
				if (sessionKey === null) return null;
				const watch = new SessionWatch(this.#source, sessionKey, {
					isBehind: () => this.#isBehind,
					tell: (parts) => this.#say({ say: "session", sessionKey, parts }),
				});
				this.#watch = watch;
				await watch.begin();
				return null;
			}
			default:
				return this.#source.command(question);
		}
	}
}

/** INVALID_ARGUMENT unless it is what a page asks. */
function requestIn(text: string): Request {
	const value = objectIn(text);
	const { id, ask, sessionKey } = value;
	if (!Number.isSafeInteger(id))
		throw invalid(`id is ${shown(id)}; it must be a whole number`);
	const question = (): Question => {
		switch (ask) {
			case "rows": {
				const { cursor } = value;
				if (cursor !== null && typeof cursor !== "string")
					throw invalid(
						`cursor is ${shown(cursor)}; it must be that of a page, or null`,
					);
				return { ask, cursor };
			}
			case "watch":
				return {
					ask,
					sessionKey:
						sessionKey === null ? null : checkName(sessionKey, "sessionKey"),
				};
			case "reset":
			case "abort":
			case "delete": {
				const { expect } = value;
				// Which of its fields there are is checked by the command itself.
				if (typeof expect !== "object" || expect === null)
					throw invalid(
						`expect is ${shown(expect)}; it must be what the page showed`,
					);
				const name = checkName(sessionKey, "sessionKey");
				return { ask, sessionKey: name, expect } as Command;
			}
			case "remove":
				return {
					ask,
					sessionKey: checkName(sessionKey, "sessionKey"),
					messageId: checkName(value.messageId, "messageId"),
				};
			default:
				throw invalid(
					`ask is ${shown(ask)}; it must be rows, watch, reset, abort, delete or remove`,
				);
		}
	};
	return { id: id as number, ...question() };
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
	const value: unknown = JSON.parse(text);
	if (typeof value !== "object" || value === null)
		throw invalid(`this is ${shown(value)}; it must be an object with id, ask`);
	return value as Record<string, unknown>;
}

function idIn(text: string): number | null {
	try {
		const { id } = objectIn(text);
		return Number.isSafeInteger(id) ? (id as number) : null;
	} catch {
		return null;
	}
}
