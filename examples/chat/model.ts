/**
 * Owns where answers come from: a scripted model, or any OpenAI-compatible server. A model is an async generator of text that takes an
 * AbortSignal. Knows nothing of sessions.
 */

/** One side's part of a conversation. */
export type Turn = {
	readonly role: "user" | "assistant";
	readonly content: string;
};

export interface Tokens {
	readonly inputTokens: number;
	readonly outputTokens: number;
}

export interface AnswerOptions {
	readonly signal: AbortSignal;
	/** Told once what the answer cost. */
	readonly used: (tokens: Tokens) => void;
}

export interface Model {
	readonly name: string;
	answer(
		turns: readonly Turn[],
		options: AnswerOptions,
	): AsyncGenerator<string, void>;
}

const story =
	"Once upon a time there was a bot with ten thousand conversations. Each of them had a row, and every row said what went on in it: idle, running, ended or failed. One evening somebody typed /new while an answer was still on its way. The row became fresh and clean. Then the old answer broke, reported its error, and all it had in its hands was the name of the conversation. So the bot wrote the old error into the fresh row, and the channel fell silent.";

const poem =
	"A run set out on a winter's day,\nwith a ticket that told it whose it was.\nThe session it served had moved away;\nits words were kept, and they gave no cause.";

const stubborn =
	"I will not listen to anybody who tells me to stop: give me three seconds and I will break in my own time";

function scriptedAnswer(asked: string): string {
	if (/story|long/i.test(asked)) return story;
	if (/poem/i.test(asked)) return poem;
	if (/stubborn/i.test(asked)) return stubborn;
	if (/hello|hi\b/i.test(asked))
		return "Hello! Ask me for a story or a poem, and type /new or /stop while I speak.";
	return `You said "${asked}". I am a scripted model and know a story and a poem; ask me to be stubborn and I ignore /new and /stop.`;
}

/**
 * A model that says the same to the same. Asked to be stubborn it ignores its signal and then fails, as real ones do.
 *
 * @example for await (const text of scriptedModel({ wordMs: 40 }).answer(turns, { signal, used })) write(text);
 */
export function scriptedModel({ wordMs = 60 } = {}): Model {
	return {
		name: "a scripted model",
		async *answer(turns, { signal, used }) {
			const asked = turns.at(-1)?.content ?? "";
			const words = scriptedAnswer(asked).match(/\S+\s*/g) ?? [];
			const ignoresSignal = /stubborn/i.test(asked);
			for (const word of words) {
				await pause(wordMs, ignoresSignal ? null : signal);
				yield word;
			}
			if (ignoresSignal) {
				await pause(3000, null);
				throw new Error("the connection to the model was reset");
			}
			const inputTokens = turns
				.map(({ content }) => content.split(/\s+/).length)
				.reduce((sum, count) => sum + count, 0);
			used({ inputTokens, outputTokens: words.length });
		},
	};
}

/** Rejects with the signal's reason if that comes first. */
function pause(ms: number, signal: AbortSignal | null): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) {
			reject(signal.reason);
			return;
		}
		const stop = () => {
			clearTimeout(timer);
			reject(signal?.reason);
		};
		const timer = setTimeout(() => {
			signal?.removeEventListener("abort", stop);
			resolve();
		}, ms);
		signal?.addEventListener("abort", stop, { once: true });
	});
}

/**
 * Any server that speaks OpenAI's chat completions: OPENAI_BASE_URL with its /v1, OPENAI_API_KEY if it wants one, OPENAI_MODEL.
 *
 * @example openAiModel({ OPENAI_BASE_URL: "http://localhost:11434/v1", OPENAI_MODEL: "llama3.2" })
 */
export function openAiModel(
	env: Readonly<Record<string, string | undefined>>,
): Model {
	const base = (env.OPENAI_BASE_URL ?? "").replace(/\/+$/, "");
	const model = env.OPENAI_MODEL || "gpt-4o-mini";
	const key = env.OPENAI_API_KEY;
	return {
		name: `${model} at ${base}`,
		async *answer(turns, { signal, used }) {
			const response = await request(`${base}/chat/completions`, {
				method: "POST",
				headers: {
					"content-type": "application/json",
					...(key ? { authorization: `Bearer ${key}` } : {}),
				},
				body: JSON.stringify({
					model,
					messages: turns,
					stream: true,
					stream_options: { include_usage: true },
				}),
				signal,
			});
			let isComplete = false;
			for await (const data of events(response, signal)) {
				if (data === "[DONE]") return;
				const chunk = parsed(data, base);
				if (chunk.error) throw new Error(`${base}: ${said(chunk.error)}`);
				const { usage, choices } = chunk;
				if (usage)
					used({
						inputTokens: usage.prompt_tokens ?? 0,
						outputTokens: usage.completion_tokens ?? 0,
					});
				const [choice] = choices ?? [];
				if (choice?.finish_reason) isComplete = true;
				if (choice?.delta?.content) yield choice.delta.content;
			}
			// Some servers close the stream without the last word; half an answer is another matter.
			if (!isComplete)
				throw new Error(`${base} broke off in the middle of its answer`);
		},
	};
}

interface Chunk {
	readonly error?: unknown;
	readonly usage?: {
		readonly prompt_tokens?: number;
		readonly completion_tokens?: number;
	} | null;
	readonly choices?: readonly {
		readonly delta?: { readonly content?: string | null };
		readonly finish_reason?: string | null;
	}[];
}

/** The answer to a request, or an error that says what is wrong in one sentence. */
async function request(url: string, init: RequestInit): Promise<Response> {
	let response: Response;
	try {
		response = await fetch(url, init);
	} catch (error) {
		if (init.signal?.aborted) throw error;
		throw new Error(`${url} cannot be reached (${causeOf(error)})`, {
			cause: error,
		});
	}
	if (response.ok) return response;
	const body = await response.text().catch(() => "");
	let why = body;
	try {
		why = said((JSON.parse(body) as Chunk).error ?? body);
	} catch {
		// Not JSON: shown as it came.
	}
	why = why.replace(/\s+/g, " ").trim().slice(0, 200);
	throw new Error(
		`${url} answered ${response.status} ${response.statusText}${why ? `: ${why}` : ""}`,
	);
}

/** The data of each server-sent event. */
async function* events(
	response: Response,
	signal: AbortSignal,
): AsyncGenerator<string> {
	if (!response.body) throw new Error(`${response.url} answered nothing`);
	let rest = "";
	try {
		for await (const text of response.body.pipeThrough(
			new TextDecoderStream(),
		)) {
			const lines = (rest + text).split(/\r?\n/);
			rest = lines.pop() ?? "";
			for (const line of lines)
				if (line.startsWith("data:")) yield line.slice(5).trim();
		}
	} catch (error) {
		if (signal.aborted) throw error;
		throw new Error(
			`${response.url} broke off in the middle of its answer (${causeOf(error)})`,
			{ cause: error },
		);
	}
	if (rest.startsWith("data:")) yield rest.slice(5).trim();
}

function parsed(data: string, base: string): Chunk {
	try {
		return JSON.parse(data) as Chunk;
	} catch {
		throw new Error(
			`${base} sent ${JSON.stringify(data.slice(0, 60))}, which is not JSON; is it an OpenAI-compatible server?`,
		);
	}
}

function said(error: unknown): string {
	const { message } = (error ?? {}) as { message?: unknown };
	if (typeof message === "string") return message;
	return typeof error === "string" ? error : JSON.stringify(error);
}

function causeOf(error: unknown): string {
	const { cause, message } = error as Error;
	const { code } = (cause ?? {}) as { code?: string };
	return code ?? message;
}
