/**
 * Owns a chat host as an HTTP service: messages come in as JSON, what a run says goes out as server-sent events that a reader can leave and
 * come back to. No framework: node:http, and the chat of `examples/chat`.
 */
import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
} from "node:http";
import { type ErrorCode, type RunTicket, TurnkeeperError } from "turnkeeper";
import type { ChatRuntime } from "../chat/host.ts";

const longestBody = 64 * 1024;

/** What the host answers to an error of the runtime. Any other is 500. */
const statusOf: Partial<Record<ErrorCode, number>> = {
	INVALID_ARGUMENT: 400,
	INVALID_INPUT: 400,
	SESSION_BUSY: 409,
	STALE_EXPECTATION: 412,
	MAILBOX_FULL: 429,
	RUNTIME_CLOSED: 503,
	STORE_FAILED: 503,
	STORE_LOCKED: 503,
};

class Refused extends Error {
	readonly status: number;

	constructor(status: number, message: string) {
		super(message);
		this.status = status;
	}
}

interface Call {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly key: string;
	readonly runId: string;
}

/** By method and path; `:key` and `:run` are parts of the path, percent-encoded. */
const routes: readonly [string, RegExp, keyof HttpHost][] = [
	["POST", /^\/sessions\/([^/]+)\/messages$/, "send"],
	["POST", /^\/sessions\/([^/]+)\/reset$/, "reset"],
	["POST", /^\/sessions\/([^/]+)\/abort$/, "abort"],
	["GET", /^\/sessions\/([^/]+)$/, "row"],
	["GET", /^\/sessions\/([^/]+)\/transcript$/, "transcript"],
	["GET", /^\/sessions\/([^/]+)\/runs\/([^/]+)\/events$/, "events"],
];

export class HttpHost {
	readonly #runtime: ChatRuntime;

	constructor(runtime: ChatRuntime) {
		this.#runtime = runtime;
	}

	/** Takes a message and answers at once: 202, and the run that it started, if it did. The same `messageId` again runs nothing twice. */
	async send({ request, response, key }: Call): Promise<void> {
		const { text, messageId } = await bodyOf(request);
		if (typeof text !== "string" || text === "")
			throw new Refused(400, '"text" must be what is said, a string');
		if (messageId !== undefined && typeof messageId !== "string")
			throw new Refused(400, '"messageId" must be a string, if it is given');
		const receipt = await this.#runtime.send(
			key,
			text,
			messageId === undefined ? {} : { messageId },
		);
		const { disposition, ticket } = receipt;
		answer(response, 202, {
			disposition,
			messageId: receipt.messageId,
			run: ticket?.runId ?? null,
		});
	}

	async reset({ response, key }: Call): Promise<void> {
		const { result, row } = await this.#runtime.reset(key);
		answer(response, 200, { result, row });
	}

	async abort({ response, key }: Call): Promise<void> {
		const { result, row } = await this.#runtime.abort(key);
		answer(response, 200, { result, row });
	}

	async row({ response, key }: Call): Promise<void> {
		const row = await this.#runtime.get(key);
		if (!row) throw new Refused(404, `there is no session ${key}`);
		answer(response, 200, row);
	}

	async transcript({ response, key }: Call): Promise<void> {
		const { items } = await this.#runtime.transcript(key);
		answer(response, 200, items.map(({ entry }) => entry).reverse());
	}

	/** What a run says, numbered: who comes back with `Last-Event-ID` goes on behind it, and is told of what is gone. */
	async events({ request, response, key, runId }: Call): Promise<void> {
		const ticket = await this.#ticketOf(key, runId);
		const left = new AbortController();
		response.on("close", () => left.abort());
		response.writeHead(200, {
			"content-type": "text/event-stream",
			"cache-control": "no-store",
		});
		const from = Number(request.headers["last-event-id"] ?? 0) + 1;
		try {
			for await (const item of this.#runtime.follow(ticket, {
				from: Number.isSafeInteger(from) ? from : 1,
				signal: left.signal,
			}))
				response.write(
					"gap" in item
						? `event: gap\ndata: ${JSON.stringify(item.gap)}\n\n`
						: `id: ${item.seq}\ndata: ${JSON.stringify(item.value)}\n\n`,
				);
			const ended = await this.#recordOf(key, runId);
			response.end(
				`event: end\ndata: ${JSON.stringify({ outcome: ended?.outcome ?? null })}\n\n`,
			);
		} catch (error) {
			if (!left.signal.aborted) throw error;
		}
	}

	async #ticketOf(key: string, runId: string): Promise<RunTicket> {
		const record = await this.#recordOf(key, runId);
		if (!record) throw new Refused(404, `session ${key} has no run ${runId}`);
		return record;
	}

	/** Of the newest; a reader comes soon. */
	async #recordOf(key: string, runId: string) {
		const { items } = await this.#runtime.runs(key, { limit: 100 });
		return items.find((run) => run.runId === runId);
	}
}

/**
 * The service; `listen` on it.
 *
 * @example serverOf(runtime).listen(3000);
 */
export function serverOf(runtime: ChatRuntime): Server {
	const host = new HttpHost(runtime);
	return createServer(async (request, response) => {
		try {
			await route(host, request, response);
		} catch (error) {
			const status =
				error instanceof Refused
					? error.status
					: (error instanceof TurnkeeperError && statusOf[error.code]) || 500;
			if (response.headersSent) response.destroy();
			else if (error instanceof TurnkeeperError)
				answer(response, status, { error: error.text, code: error.code });
			else
				answer(response, status, {
					error: error instanceof Error ? error.message : String(error),
				});
		}
	});
}

async function route(
	host: HttpHost,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	const path = request.url?.split("?")[0] ?? "";
	const found = routes.filter(([, pattern]) => pattern.test(path));
	const [, pattern, name] =
		found.find(([method]) => method === request.method) ?? [];
	if (!pattern || !name)
		throw found.length > 0
			? new Refused(405, `${path} takes ${found.map(([one]) => one).join()}`)
			: new Refused(404, `there is nothing at ${path}`);
	const [key = "", runId = ""] = (pattern.exec(path) ?? [])
		.slice(1)
		.map(decoded);
	await host[name]({ request, response, key, runId });
}

function decoded(part: string): string {
	try {
		return decodeURIComponent(part);
	} catch {
		throw new Refused(400, `${part} is not percent-encoded UTF-8`);
	}
}

async function bodyOf(
	request: IncomingMessage,
): Promise<Record<string, unknown>> {
	const chunks: Buffer[] = [];
	let length = 0;
	for await (const chunk of request) {
		// Read to its end in any case, else whoever sends it hears no answer.
		length += chunk.length;
		if (length <= longestBody) chunks.push(chunk);
	}
	if (length > longestBody)
		throw new Refused(413, `a body has at most ${longestBody} bytes`);
	let body: unknown;
	try {
		body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
	} catch {
		throw new Refused(400, "the body must be JSON");
	}
	if (typeof body !== "object" || body === null || Array.isArray(body))
		throw new Refused(400, "the body must be a JSON object");
	return body as Record<string, unknown>;
}

function answer(
	response: ServerResponse,
	status: number,
	value: unknown,
): void {
	response.writeHead(status, { "content-type": "application/json" });
	response.end(`${JSON.stringify(value)}\n`);
}
