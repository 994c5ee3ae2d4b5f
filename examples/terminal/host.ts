/** Owns the chat host: a runtime on a store, and what a run does with a message. Knows no terminal. */
import {
	createSessionRuntime,
	type EmbeddedRuntime,
	type RunTicket,
	type RuntimeOptions,
	type SessionStore,
} from "turnkeeper";
import type { Model, Turn } from "./model.ts";

/** The host's own fields of a session: what the model is told of the conversation so far. A reset starts without them. */
export type ChatFields = { readonly turns?: readonly Turn[] };

export type ChatRuntime = EmbeddedRuntime<string, string, ChatFields>;

export interface ChatHostOptions
	extends Pick<RuntimeOptions<string, string, ChatFields>, "ids" | "logger"> {
	readonly store: SessionStore;
	readonly model: Model;
	/** A run begins to answer. */
	readonly asked: (ticket: RunTicket, text: string) => void;
	/** A piece of the answer; none of a run that was told to stop. */
	readonly said: (ticket: RunTicket, text: string) => void;
}

/** Most turns that a session remembers. */
const remembered = 20;

/**
 * The runtime of a chat. What is sent is answered by the model, one message at a time per session.
 *
 * @example const runtime = createChatHost({ store: sqliteStore("chat.db"), model, asked, said });
 */
export function createChatHost(options: ChatHostOptions): ChatRuntime {
	const { store, model, asked, said, ids, logger } = options;
	const runtime: ChatRuntime = createSessionRuntime<string, string, ChatFields>(
		{
			store,
			...(ids ? { ids } : {}),
			...(logger ? { logger } : {}),
			graceMs: 5000,
			execute: async (run) => {
				const { ticket, signal } = run;
				const text = run.messages.map(({ input }) => input).join("\n");
				const turns: Turn[] = [
					...(run.row.meta.turns ?? []),
					{ role: "user", content: text },
				];
				asked(ticket, text);
				let answer = "";
				for await (const piece of model.answer(turns, {
					signal,
					used: (tokens) => run.usage(tokens),
				})) {
					answer += piece;
					if (!signal.aborted) said(ticket, piece);
				}
				turns.push({ role: "assistant", content: answer });
				// Only if the session is still this run's: if it was reset meanwhile, the answer says 'stale' and nothing is written.
				await runtime.patch(
					ticket.sessionKey,
					{ turns: turns.slice(-remembered) },
					{ expect: { generation: ticket.generation, runId: ticket.runId } },
				);
				return answer;
			},
		},
	);
	return runtime;
}
