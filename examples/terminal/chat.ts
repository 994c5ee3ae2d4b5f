/** Owns the chat with a person: what is typed becomes calls of the runtime, and what the runtime publishes becomes lines on the screen. */
import { type RunRecord, type SessionStore, TurnkeeperError } from "turnkeeper";
import { type ChatRuntime, createChatHost } from "../chat/host.ts";
import type { Model } from "../chat/model.ts";
import { paint, Screen } from "./screen.ts";
import { counted, plain, rowLine, shortId, tellWhy } from "./words.ts";

export interface ChatOptions {
	readonly store: SessionStore;
	/** The store's file, as it is named to the person. */
	readonly file: string;
	readonly sessionKey: string;
	readonly model: Model;
}

const help = [
	"/new       a new session; what still runs belongs to the old one",
	"/stop      stops the run; messages that wait go on",
	"/sessions  the sessions in this file",
	"/why       what happened here: generations, runs, refused reports",
	"/quit      ends the program, as Ctrl-C twice does; once stops the run",
	"What you type while an answer streams waits, and survives a restart.",
	'The scripted model knows "a story", "a poem", and how to be "stubborn".',
];

/** Two of them within this time quit. */
const twiceMs = 2000;

/**
 * Chats until the person quits.
 *
 * @throws what starting the runtime throws, such as STORE_LOCKED
 */
export async function chat(options: ChatOptions): Promise<void> {
	await new Chat(options).run();
}

class Chat {
	readonly #options: ChatOptions;
	readonly #runtime: ChatRuntime;
	readonly #screen: Screen;
	readonly #left = Promise.withResolvers<void>();
	/** The run whose answer is on the screen. */
	#speaking: string | null = null;
	#generation = 0;
	#queued = 0;
	#isBusy = false;
	#interruptedAt = Number.NEGATIVE_INFINITY;

	constructor(options: ChatOptions) {
		this.#options = options;
		const { store, model, sessionKey } = options;
		const warn = (_: object, text = "") => this.#note(plain(text, 200));
		this.#screen = new Screen({
			line: (text) => this.#typed(text.trim()),
			interrupt: () => this.#interrupt(),
			close: () => this.#left.resolve(),
		});
		this.#runtime = createChatHost({
			store,
			model,
			logger: { debug() {}, info() {}, warn, error: warn },
			asked: (ticket, text) => {
				if (ticket.sessionKey !== sessionKey) return;
				this.#speaking = ticket.runId;
				this.#screen.say(paint("cyan", "you"), text);
				this.#screen.begin(paint("green", "bot"));
			},
			said: ({ runId }, text) => {
				if (runId === this.#speaking) this.#screen.grow(text);
			},
		});
		this.#watch();
	}

	async run(): Promise<void> {
		const leave = () => this.#left.resolve();
		process.once("SIGTERM", leave).once("SIGHUP", leave);
		const { file, model, sessionKey } = this.#options;
		try {
			await this.#runtime.start();
			const row = await this.#runtime.get(sessionKey);
			this.#generation = row?.generation ?? 0;
			this.#note(
				`session key ${plain(sessionKey)} in ${file}, answered by ${model.name}`,
			);
			if (row) this.#note(rowLine(row));
			this.#note(
				'type a message, "tell me a story" for a long answer; /help for the rest',
			);
			await this.#left.promise;
		} finally {
			this.#screen.close();
			await this.#runtime.close({ graceMs: 1000 });
		}
		const waiting = counted(this.#queued, "waiting message");
		console.log(
			`closed${this.#queued > 0 ? `; ${waiting} will go on with the next start` : ""}`,
		);
	}

	/** The feed is the one source of what is shown: committed changes, in order. */
	#watch(): void {
		const { sessionKey } = this.#options;
		this.#runtime.subscribe((event) => {
			if (event.type === "run" && event.run.sessionKey === sessionKey)
				this.#settled(event.run);
			if (event.type !== "row" || event.row.sessionKey !== sessionKey) return;
			const { status, queued, generation, sessionId } = event.row;
			if (this.#generation > 0 && generation > this.#generation) {
				this.#speaking = null;
				this.#screen.finish();
				this.#note(
					`— generation ${generation}, session ${shortId(sessionId)}${queued > 0 ? `; ${counted(queued, "waiting message")} will go on in it` : ""} —`,
				);
			}
			this.#generation = generation;
			this.#queued = queued;
			this.#isBusy = status === "running";
			const isAtRest = status !== "running" && status !== "resetting";
			this.#screen.prompt = `${[
				...(isAtRest ? [] : [status]),
				...(queued > 0 ? [`${queued} queued`] : []),
			].join(", ")}> `;
		});
	}

	#settled({ generation, runId, outcome, error }: RunRecord): void {
		const speaks = runId === this.#speaking;
		if (speaks) {
			this.#screen.finish();
			this.#speaking = null;
		}
		const why = error ? `: ${plain(error, 200)}` : "";
		if (generation < this.#generation)
			this.#note(
				`run ${shortId(runId)} of generation ${generation} is over (${outcome}${why}); filed there, this session is untouched`,
			);
		else if (outcome !== "completed") this.#note(`run ${outcome}${why}`);
	}

	#typed(text: string): void {
		this.#interruptedAt = Number.NEGATIVE_INFINITY;
		if (text === "") return;
		const task = text.startsWith("/") ? this.#command(text) : this.#send(text);
		task.catch((error: unknown) => {
			this.#note(
				error instanceof TurnkeeperError
					? `${error.code}: ${plain(error.text, 200)}`
					: plain((error as Error).message, 200),
			);
		});
	}

	async #send(text: string): Promise<void> {
		const { disposition, row } = await this.#runtime.send(
			this.#options.sessionKey,
			text,
		);
		if (disposition === "queued")
			this.#note(`queued, ${row.queued} waiting: ${plain(text, 50)}`);
	}

	async #command(text: string): Promise<void> {
		const { sessionKey } = this.#options;
		const [name] = text.split(/\s+/);
		switch (name) {
			case "/new":
				await this.#runtime.reset(sessionKey, { reason: "/new" });
				return;
			case "/stop":
				return this.#stop("/stop");
			case "/sessions":
				return this.#sessions();
			case "/why":
				for (const line of await tellWhy(this.#runtime, sessionKey))
					this.#note(line);
				return;
			case "/help":
				for (const line of help) this.#note(line);
				return;
			case "/quit":
			case "/exit":
				this.#left.resolve();
				return;
			default:
				this.#note(
					`there is no ${plain(name ?? "")}; /help lists what there is`,
				);
		}
	}

	async #stop(reason: string): Promise<void> {
		const { result } = await this.#runtime.abort(this.#options.sessionKey, {
			reason,
		});
		if (result === "nothing") this.#note("nothing runs");
	}

	async #sessions(): Promise<void> {
		const { items, cursor } = await this.#runtime.list({ limit: 50 });
		if (items.length === 0) this.#note("no session yet");
		for (const row of items) {
			const mark = row.sessionKey === this.#options.sessionKey ? "*" : " ";
			this.#note(`${mark} ${plain(row.sessionKey, 20)} · ${rowLine(row)}`);
		}
		if (cursor) this.#note("and more");
	}

	#interrupt(): void {
		const now = performance.now();
		if (now - this.#interruptedAt < twiceMs) {
			this.#left.resolve();
			return;
		}
		this.#interruptedAt = now;
		if (this.#isBusy) {
			this.#note("stopping; Ctrl-C again quits");
			this.#stop("Ctrl-C").catch(() => {});
		} else this.#note("Ctrl-C again quits");
	}

	#note(text: string): void {
		this.#screen.say("", text, "dim");
	}
}
