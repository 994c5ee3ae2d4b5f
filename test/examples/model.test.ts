import { once } from "node:events";
import {
	createServer,
	type IncomingHttpHeaders,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import {
	openAiModel,
	scriptedModel,
	type Tokens,
	type Turn,
} from "../../examples/chat/model.ts";

interface Asked {
	readonly url: string | undefined;
	readonly headers: IncomingHttpHeaders;
	readonly body: Record<string, unknown>;
}

/** A server on loopback that answers as told, and what it was asked. */
async function serve(answer: (response: ServerResponse) => void) {
	const asked: Asked[] = [];
	const server = createServer(async (request, response) => {
		const body = JSON.parse(await text(request));
		asked.push({ url: request.url, headers: request.headers, body });
		answer(response);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	onTestFinished(() => {
		server.closeAllConnections();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	return { asked, base: `http://127.0.0.1:${port}/v1` };
}

const turns: readonly Turn[] = [{ role: "user", content: "hello" }];

async function ask(
	base: string,
	{ signal = new AbortController().signal, heard = (_: string) => {} } = {},
) {
	const used: Tokens[] = [];
	const model = openAiModel({
		OPENAI_BASE_URL: `${base}/`,
		OPENAI_MODEL: "small",
		OPENAI_API_KEY: "secret",
	});
	let answer = "";
	for await (const piece of model.answer(turns, {
		signal,
		used: (tokens) => used.push(tokens),
	})) {
		answer += piece;
		heard(piece);
	}
	return { answer, used };
}

const said = (content: string) =>
	`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
const stop = `data: ${JSON.stringify({ choices: [{ delta: {}, finish_reason: "stop" }] })}\n\n`;

describe("a model behind an OpenAI-compatible server", () => {
	test("streams the answer, whatever the chunks are, and counts what it used", async () => {
		const { asked, base } = await serve(async (response) => {
			const stream = Buffer.from(
				`: a comment\n\n${said("Grüße")}${said(" 😀")}${stop}data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}\r\n\r\ndata: [DONE]\n\n`,
			);
			// Cut in the middle of a line and of a character.
			for (const at of [0, 1, 2]) {
				response.write(
					stream.subarray(at * 55, at < 2 ? at * 55 + 55 : undefined),
				);
				await new Promise((next) => setImmediate(next));
			}
			response.end();
		});
		expect(await ask(base)).toEqual({
			answer: "Grüße 😀",
			used: [{ inputTokens: 7, outputTokens: 9 }],
		});
		expect(asked[0]).toMatchObject({
			url: "/v1/chat/completions",
			headers: { authorization: "Bearer secret" },
			body: { model: "small", messages: turns, stream: true },
		});
	});

	test("an answer without the last word is whole if the model had finished", async () => {
		const { base } = await serve((response) =>
			response.end(said("all") + stop),
		);
		expect((await ask(base)).answer).toBe("all");
	});

	test.each<[string, (response: ServerResponse) => void, RegExp]>([
		[
			"refuses",
			(response) => {
				response.writeHead(401);
				response.end('{"error":{"message":"Incorrect API key"}}');
			},
			/\/v1\/chat\/completions answered 401 Unauthorized: Incorrect API key$/,
		],
		[
			"answers with something else",
			(response) => response.end("data: <html>\n\n"),
			/sent "<html>", which is not JSON; is it an OpenAI-compatible server\?$/,
		],
		[
			"ends in the middle",
			(response) => response.end(said("half")),
			/broke off in the middle of its answer$/,
		],
		[
			"hangs up in the middle",
			(response) => {
				response.write(said("half"), () => response.destroy());
			},
			/broke off in the middle of its answer \(.+\)$/,
		],
		[
			"reports an error in the stream",
			(response) =>
				response.end('data: {"error":{"message":"overloaded"}}\n\n'),
			/\/v1: overloaded$/,
		],
	])("that %s is an error in a sentence", async (_, answer, message) => {
		const { base } = await serve(answer);
		await expect(ask(base)).rejects.toThrow(message);
	});

	test("that is not there is an error in a sentence", async () => {
		await expect(ask("http://127.0.0.1:1/v1")).rejects.toThrow(
			/cannot be reached \(.+\)$/,
		);
	});

	test("stops when its signal fires, with the signal's reason", async () => {
		const { base } = await serve((response) => {
			response.write(said("half"));
		});
		const controller = new AbortController();
		const reason = new DOMException("told to stop", "AbortError");
		await expect(
			ask(base, {
				signal: controller.signal,
				heard: () => controller.abort(reason),
			}),
		).rejects.toBe(reason);
	});
});

describe("the scripted model", () => {
	const answer = async (content: string, signal: AbortSignal) => {
		const pieces: string[] = [];
		const model = scriptedModel({ wordMs: 0 });
		const options = { signal, used: () => {} };
		for await (const piece of model.answer(
			[{ role: "user", content }],
			options,
		))
			pieces.push(piece);
		return pieces.join("");
	};

	test("says the same to the same", async () => {
		const { signal } = new AbortController();
		expect(await answer("a story", signal)).toBe(
			await answer("a story", signal),
		);
	});

	test("stops at once when its signal has fired", async () => {
		const reason = new DOMException("told to stop", "AbortError");
		await expect(answer("a story", AbortSignal.abort(reason))).rejects.toBe(
			reason,
		);
	});
});
