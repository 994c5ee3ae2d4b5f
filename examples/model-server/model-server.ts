/**
 * Owns a model server without a model: it speaks OpenAI's chat completions on loopback, says what its script says, and goes wrong when
 * that says so. It counts what it bills, and knows which of its clients hung up. Knows nothing of sessions.
 */
import { once } from "node:events";
import {
	createServer,
	type IncomingHttpHeaders,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** One thing that an answer does. */
export type Act =
	/** Streamed word by word. */
	| { readonly say: string }
	/** A call of a tool that the client has. */
	| { readonly call: string; readonly input: object; readonly id?: string }
	/** Nothing, until this settles or the client hangs up. */
	| { readonly until: Promise<unknown> }
	/** As it stands, whatever that is. */
	| { readonly chunk: object }
	/** The socket is destroyed, in the middle of what was going on. */
	| { readonly drop: true }
	/** The stream ends as if it were whole, without the word that it is. */
	| { readonly breakOff: true }
	/** An answer without a stream; only as the first act. */
	| {
			readonly refuse: number;
			readonly error: { readonly message: string; readonly code?: string };
			readonly headers?: Readonly<Record<string, string>>;
	  };

/** Nothing more, until the client hangs up. */
export const stall: Act = { until: new Promise(() => {}) };

/** What a server says that was given too long a conversation. */
export const overflow: Act = {
	refuse: 400,
	error: {
		message:
			"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
		code: "context_length_exceeded",
	},
};

/** What a server says that was asked too often. */
export const rateLimit: Act = {
	refuse: 429,
	error: { message: "Rate limit reached", code: "rate_limit_exceeded" },
	headers: { "retry-after": "7" },
};

export interface Tokens {
	readonly inputTokens: number;
	readonly outputTokens: number;
}

/** A message as OpenAI's format has it. */
export interface WireMessage {
	readonly role: string;
	readonly content?: unknown;
	readonly tool_calls?: readonly unknown[];
	readonly tool_call_id?: string;
}

export interface ModelRequest {
	readonly headers: IncomingHttpHeaders;
	readonly body: {
		readonly model: string;
		readonly messages: readonly WireMessage[];
		readonly [field: string]: unknown;
	};
	/** Resolves when the connection of this request is over: true if the client hung up before the answer was. */
	readonly left: Promise<boolean>;
}

export interface ModelServer extends AsyncDisposable {
	/** For a client's `baseURL`: with the /v1. */
	readonly url: string;
	/** All that it was asked, in order. */
	readonly requests: readonly ModelRequest[];
	/** What it has billed so far: of each answer that came to its end. */
	readonly billed: Tokens;
	/** Resolves when it has been asked so often. */
	asked(times: number): Promise<ModelRequest>;
	close(): Promise<void>;
}

export interface ModelServerOptions {
	/** What it does with a request; the number counts from 0. */
	readonly answer: (request: ModelRequest, number: number) => readonly Act[];
	/** Others are refused as unknown. Default: any model is known. */
	readonly models?: readonly string[];
	/** Whoever has another token is refused. Default: none is needed. */
	readonly token?: string;
}

/**
 * Starts the server on a free port of loopback.
 *
 * @example await using server = await startModelServer({ answer: () => [{ say: "Hello!" }] });
 */
export async function startModelServer(
	options: ModelServerOptions,
): Promise<ModelServer> {
	const requests: ModelRequest[] = [];
	const billed = { inputTokens: 0, outputTokens: 0 };
	const waiting = new Set<() => void>();
	const server = createServer((message, response) => {
		serve(message, response).catch(() => response.destroy());
	});

	async function serve(message: IncomingMessage, response: ServerResponse) {
		const left = new Promise<boolean>((resolve) =>
			response.once("close", () => resolve(!response.writableFinished)),
		);
		const body = JSON.parse(await text(message));
		const request: ModelRequest = { headers: message.headers, body, left };
		requests.push(request);
		for (const look of [...waiting]) look();
		const acts = refusal(message, request, options) ?? [
			...options.answer(request, requests.length - 1),
		];
		const outputTokens = await perform(acts, response, left, body.model);
		if (outputTokens === null) return;
		const inputTokens = wordsOf(JSON.stringify(body.messages)).length;
		billed.inputTokens += inputTokens;
		billed.outputTokens += outputTokens;
		send(response, {
			choices: [],
			usage: {
				prompt_tokens: inputTokens,
				completion_tokens: outputTokens,
				total_tokens: inputTokens + outputTokens,
			},
		});
		response.end("data: [DONE]\n\n");
	}

	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	const close = async () => {
		server.closeAllConnections();
		if (server.listening) await new Promise((done) => server.close(done));
	};
	return {
		url: `http://127.0.0.1:${port}/v1`,
		requests,
		billed,
		asked: (times) =>
			new Promise((resolve) => {
				const look = () => {
					const request = requests[times - 1];
					if (!request) return;
					waiting.delete(look);
					resolve(request);
				};
				waiting.add(look);
				look();
			}),
		close,
		[Symbol.asyncDispose]: close,
	};
}

/** Why a request gets no answer, if so. */
function refusal(
	{ url }: IncomingMessage,
	{ headers, body }: ModelRequest,
	{ token, models }: ModelServerOptions,
): Act[] | null {
	const refused = (refuse: number, code: string, message: string): Act[] => [
		{ refuse, error: { message, code } },
	];
	if (url !== "/v1/chat/completions")
		return refused(404, "unknown_url", `Unknown request URL: ${url}`);
	if (token !== undefined && headers.authorization !== `Bearer ${token}`)
		return refused(401, "invalid_api_key", "Incorrect API key provided");
	if (models && !models.includes(body.model))
		return refused(
			404,
			"model_not_found",
			`The model \`${body.model}\` does not exist`,
		);
	return null;
}

/** Does what an answer does; how many tokens that came to, or null if it did not come to its end. */
async function perform(
	acts: readonly Act[],
	response: ServerResponse,
	left: Promise<boolean>,
	model: string,
): Promise<number | null> {
	let tokens = 0;
	let calls = 0;
	for (const act of acts) {
		if ("refuse" in act) {
			const { refuse, error, headers } = act;
			response.writeHead(refuse, {
				"content-type": "application/json",
				...headers,
			});
			response.end(JSON.stringify({ error }));
			return null;
		}
		if (!response.headersSent)
			response.writeHead(200, { "content-type": "text/event-stream" });
		const said = (delta: object) =>
			send(response, { model, choices: [{ index: 0, delta }] });
		if ("say" in act) {
			for (const content of wordsOf(act.say)) {
				said({ content });
				tokens += 1;
			}
		} else if ("call" in act) {
			const { call, input, id = `call_${calls}` } = act;
			const json = JSON.stringify(input);
			said({
				tool_calls: [
					{
						index: calls,
						id,
						type: "function",
						function: { name: call, arguments: json },
					},
				],
			});
			calls += 1;
			tokens += wordsOf(json).length;
		} else if ("chunk" in act) send(response, act.chunk);
		else if ("until" in act) {
			// Out of the buffer first: what was said before is heard meanwhile.
			response.flushHeaders();
			if (await Promise.race([act.until.then(() => false), left])) return null;
		} else if ("drop" in act) {
			await new Promise((written) => response.write("\n", written));
			response.destroy();
			return null;
		} else {
			response.end();
			return null;
		}
	}
	if (!response.headersSent)
		response.writeHead(200, { "content-type": "text/event-stream" });
	send(response, {
		model,
		choices: [
			{
				index: 0,
				delta: {},
				finish_reason: calls > 0 ? "tool_calls" : "stop",
			},
		],
	});
	return tokens;
}

function send(response: ServerResponse, chunk: object): void {
	response.write(
		`data: ${JSON.stringify({ id: "chatcmpl", object: "chat.completion.chunk", created: 0, ...chunk })}\n\n`,
	);
}

function wordsOf(said: string): readonly string[] {
	return said.match(/\S+\s*/g) ?? [];
}
