/** Owns what is said in one run: the messages that the model is told, each in the transcript before anything follows from it. */
import type { ModelMessage, UserModelMessage } from "ai";
import type { Message } from "../../machines/facts.ts";
import { invalid, shown } from "../arguments.ts";
import type { ManagedRun } from "../runtime.ts";
import { answered, fromUser, messagesIn } from "./history.ts";
import { plain } from "./plain.ts";
import type { AiSettings } from "./settings.ts";

export class Conversation<Input, Meta> {
	readonly #run: ManagedRun<Input, Meta>;
	readonly #settings: AiSettings<Input>;
	#messages: readonly ModelMessage[] = [];

	constructor(run: ManagedRun<Input, Meta>, settings: AiSettings<Input>) {
		this.#run = run;
		this.#settings = settings;
	}

	get messages(): ModelMessage[] {
		return [...this.#messages];
	}

	/** What was said before, and what is asked now. */
	async begin(): Promise<void> {
		const { remember: limit = 100, history } = this.#settings;
		const entries = await this.#run.transcript({ limit });
		if (history) this.#messages = answered(await history(entries));
		else {
			const said = messagesIn(entries);
			this.#messages = answered(entries.length < limit ? said : fromUser(said));
		}
		await this.add(this.#run.messages.map((one) => this.#told(one)));
	}

	/** In one commit, as far as the store lets that be. */
	async add(messages: readonly ModelMessage[]): Promise<void> {
		const entries = messages.map((message) => plain(message));
		await Promise.all(entries.map((entry) => this.#run.append(entry)));
		this.#messages = [...this.#messages, ...entries];
	}

	/** What steers the run since the last look. Taken is told: it is in the transcript before anything else is taken. */
	async steer(): Promise<void> {
		for (;;) {
			const message = await this.#run.steering.take();
			if (!message) return;
			await this.add([this.#told(message)]);
		}
	}

	#told(message: Message<Input>): UserModelMessage {
		const { toMessage } = this.#settings;
		const { messageId, input } = message;
		const told = toMessage ? toMessage(message) : input;
		if (typeof told === "string") return { role: "user", content: told };
		const given = told as Partial<UserModelMessage> | null;
		if (given?.role === "user" && given.content !== undefined)
			return given as UserModelMessage;
		throw invalid(
			`${toMessage ? "settings.toMessage gave" : "the input"} for message ${shown(messageId)} is ${shown(told)}; it must be a string or a message of a user${toMessage ? "" : ", or settings.toMessage must make one of it"}`,
		);
	}
}
