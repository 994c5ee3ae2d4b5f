/** Owns one page's conversation: what it asks is answered once, and it is told of the session that it watches. Trusts no frame. */
import type { WebSocket } from "ws";
import { errorText } from "../errors.ts";
import { type Heard, heard } from "./console-request.ts";
import type { ConsoleSource } from "./console-source.ts";
import { LocalServer } from "./local-server.ts";
import type { Answered, HostDescription, Question, Said } from "./protocol.ts";
import { SessionWatch } from "./session-watch.ts";

/** Of one page. A page that asks more at once is not one of ours. */
const mostUnanswered = 64;

export class ConsoleSocket {
	readonly #socket: WebSocket;
	readonly #source: ConsoleSource;
	#watch: SessionWatch | null = null;
	#unanswered = 0;
	#isOver = false;

	constructor(socket: WebSocket, source: ConsoleSource, host: HostDescription) {
		this.#socket = socket;
		this.#source = source;
		this.#say({ say: "hello", host });
		socket.on("message", (data, isBinary) => {
			const said = isBinary || this.#isOver ? null : heard(String(data));
			if (said) void this.#answer(said);
		});
	}

	/** The page has gone. */
	end(): void {
		this.#isOver = true;
		this.#watch?.end();
		this.#watch = null;
	}

	async #answer(said: Heard): Promise<void> {
		const { id } = said;
		if ("problem" in said) {
			this.#fail(id, said.problem);
			return;
		}
		if (this.#unanswered >= mostUnanswered) {
			this.#fail(
				id,
				`${this.#unanswered} requests of this page wait for their answers already; ask again when some have come`,
			);
			return;
		}
		this.#unanswered += 1;
		try {
			const answer = await this.#answerTo(id, said.question);
			this.#say({ say: "answer", id, answer });
		} catch (error) {
			this.#fail(id, errorText(error));
		} finally {
			this.#unanswered -= 1;
		}
	}

	async #answerTo(id: number, question: Question): Promise<Answered> {
		switch (question.ask) {
			case "rows":
				return this.#source.rows(question.cursor);
			case "watch":
				await this.#watchOther(id, question.sessionKey);
				return null;
			default:
				return this.#source.carryOut(question);
		}
	}

	async #watchOther(id: number, sessionKey: string | null): Promise<void> {
		this.#watch?.end();
		this.#watch =
			sessionKey === null
				? null
				: new SessionWatch(this.#source, sessionKey, this.#socket, (message) =>
						this.#fail(id, message),
					);
		await this.#watch?.begin();
	}

	#fail(id: number, message: string): void {
		this.#say({ say: "error", id, message });
	}

	#say(said: Said): void {
		if (!this.#isOver) LocalServer.send(this.#socket, JSON.stringify(said));
	}
}
