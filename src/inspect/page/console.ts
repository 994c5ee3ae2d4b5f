/** Owns what the page is made of: one connection, all sessions, the one that is watched, and which of the two views is shown. */
import { createAtom } from "@xstate/store";
import type { Answered, Command, CommandAnswer } from "../protocol.ts";
import { Connection } from "./connection.ts";
import { Sessions } from "./sessions.ts";
import { Watched } from "./watched.ts";

/** Where deletions are not told, they are found by reading all again. */
const readAgainMs = 30_000;

export class Console {
	/** Null: the table of all. */
	readonly sessionKey = createAtom<string | null>(null);
	/** What became of the last command, in a sentence. */
	readonly told = createAtom("");
	readonly sessions = new Sessions();
	readonly watched = new Watched();
	readonly connection: Connection;

	constructor() {
		this.connection = new Connection({
			opened: () => {
				this.#read();
				this.#watch();
			},
			rows: ({ rows }) => this.sessions.take(rows),
			session: (said) => this.watched.take(said),
			trouble: (message) => this.watched.trouble.set(message),
		});
		const follow = () => {
			this.sessionKey.set(keyIn(location.hash));
			this.told.set("");
			this.#watch();
		};
		addEventListener("hashchange", follow);
		follow();
		setInterval(() => {
			if (this.connection.host.get()?.tellsAll === false) this.#read();
		}, readAgainMs);
	}

	/** What became of it is told in a sentence, whatever it is. */
	async command(command: Command, doing: string): Promise<void> {
		// A reset takes as long as what it stops: by then, another session may be looked at.
		const tell = (what: string) => {
			if (command.sessionKey === this.sessionKey.get()) this.told.set(what);
		};
		tell(`${doing} …`);
		try {
			const answer = await this.connection.ask<Answered & CommandAnswer>(
				command,
			);
			tell(`${doing}: ${sentences[answer.result](answer)}`);
		} catch (error) {
			tell(`${doing}: ${(error as Error).message}`);
		}
	}

	#read(): void {
		this.sessions
			.read((cursor) => this.connection.ask({ ask: "rows", cursor }))
			// The connection says so itself, and all are read again when it is back.
			.catch((error: Error) => console.warn(error.message));
	}

	#watch(): void {
		const sessionKey = this.sessionKey.get();
		this.watched.begin(sessionKey);
		if (this.connection?.link.get() !== "open") return;
		this.connection.ask({ ask: "watch", sessionKey }).catch((error: Error) => {
			if (sessionKey === this.sessionKey.get())
				this.watched.trouble.set(error.message);
		});
	}
}

const sentences = {
	done: () => "done.",
	stale: (answer: CommandAnswer) =>
		`stale. The session is no longer the one that was shown (${answer.result === "stale" ? answer.mismatch : ""}); nothing was done.`,
	nothing: () => "there was nothing to do.",
};

const before = "#/session/";

/** Where a session is shown. */
export function hrefOf(sessionKey: string): string {
	return before + encodeURIComponent(sessionKey);
}

function keyIn(hash: string): string | null {
	if (!hash.startsWith(before)) return null;
	try {
		return decodeURIComponent(hash.slice(before.length));
	} catch {
		return null;
	}
}
