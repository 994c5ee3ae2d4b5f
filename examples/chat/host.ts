/** Owns the chat host: a runtime on a store, and what a run does with a message. Knows neither terminal nor browser. */
import {
	createSessionRuntime,
	type EmbeddedRuntime,
	type RunTicket,
	type RuntimeOptions,
	type SessionStore,
} from "turnkeeper";
import type { Model, Turn } from "./model.ts";

export type ChatRuntime = EmbeddedRuntime<string, string>;

export interface ChatHostOptions
	extends Pick<RuntimeOptions<string, string, never>, "ids" | "logger"> {
	readonly store: SessionStore;
	readonly model: Model;
	/** A run begins to answer. */
	readonly asked?: (ticket: RunTicket, text: string) => void;
	/** A piece of the answer; none of a run that was told to stop. Who comes later can `follow` the run, which gives the same. */
	readonly said?: (ticket: RunTicket, text: string) => void;
}

/** Most turns of a conversation that the model is told. */
const remembered = 20;

/**
 * The runtime of a chat. What is sent is answered by the model, one message at a time per session; what both say is the session's
 * transcript, and a reset begins with an empty one.
 *
 * @example const runtime = createChatHost({ store: sqliteStore("chat.db"), model, asked, said });
 */
export function createChatHost(options: ChatHostOptions): ChatRuntime {
	const { store, model, asked, said, ids, logger } = options;
	return createSessionRuntime<string, string>({
		store,
		...(ids ? { ids } : {}),
		...(logger ? { logger } : {}),
		graceMs: 5000,
		execute: async (run) => {
			const { ticket, signal } = run;
			const text = run.messages.map(({ input }) => input).join("\n");
			asked?.(ticket, text);
			await run.append({ role: "user", content: text } satisfies Turn);
			const turns = (await run.transcript({ limit: remembered })).map(
				({ entry }) => entry as Turn,
			);
			let answer = "";
			try {
				for await (const piece of model.answer(turns, {
					signal,
					used: (tokens) => run.usage(tokens),
				})) {
					if (signal.aborted) continue;
					answer += piece;
					run.progress(piece);
					said?.(ticket, piece);
				}
			} finally {
				// What was said stays said, also where the answer breaks. If the session was reset meanwhile, it is not this run's any more, and the
				// runtime refuses the entry.
				if (answer !== "")
					await run
						.append({ role: "assistant", content: answer } satisfies Turn)
						.catch((error) => {
							if (!signal.aborted) throw error;
						});
			}
			return answer;
		},
	});
}
