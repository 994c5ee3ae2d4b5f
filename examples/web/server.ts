/**
 * Owns the door between the page and the runtime: on this machine alone, behind a random token, Host and Origin checked, bodies of limited
 * size. What is posted becomes a call of the runtime. What a page is told is the feed's.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { TurnkeeperError } from "turnkeeper";
import type { Feed } from "./feed.ts";

export interface ServerOptions {
	/** 0: any that is free. */
	readonly port: number;
	/** What lets in; random unless given. */
	readonly token?: string;
	readonly feed: Feed;
	/** What may be posted, by path. */
	readonly posts: Readonly<Record<string, Post>>;
}

/** What a post does; what it gives is answered as JSON. Throws BadRequest for a body that it cannot use. */
export type Post = (body: Readonly<Record<string, unknown>>) => Promise<object>;

export class BadRequest extends Error {}

/** Of a body, in bytes. */
const largestBody = 64 * 1024;

const types: Readonly<Record<string, string>> = {
	".html": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
};

const headers = {
	"content-security-policy": [
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self'",
		"frame-ancestors 'none'",
		"base-uri 'none'",
		"form-action 'none'",
	].join("; "),
	"x-content-type-options": "nosniff",
	"referrer-policy": "no-referrer",
	"cross-origin-resource-policy": "same-origin",
	"cache-control": "no-store",
};

interface File {
	readonly type: string;
	readonly body: Buffer;
}

export class ChatServer {
	/** To open in a browser; with the token that lets in. */
	readonly url: string;
	readonly #token: string;
	/** The names that it goes by. */
	readonly #hosts: ReadonlySet<string>;
	readonly #http: Server;
	readonly #feed: Feed;
	readonly #posts: ReadonlyMap<string, Post>;
	readonly #files: ReadonlyMap<string, File>;

	private constructor(
		http: Server,
		{ feed, posts, token }: ServerOptions,
		files: ReadonlyMap<string, File>,
	) {
		const { port } = http.address() as AddressInfo;
		this.#token = token ?? randomBytes(24).toString("base64url");
		this.url = `http://127.0.0.1:${port}/?token=${this.#token}`;
		this.#hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
		this.#feed = feed;
		this.#posts = new Map(Object.entries(posts));
		this.#files = files;
		this.#http = http;
		http.on("request", (request, response) => {
			this.#answer(request, response).catch((error) => {
				// Whoever asked has gone in the middle of it.
				const isGone = request.errored !== null;
				if (!isGone) console.error(error);
				if (isGone || response.headersSent) response.destroy();
				else say(response, 500, "The host made a mistake.");
			});
		});
	}

	/** @throws what the system says where the port is taken (EADDRINUSE) */
	static async listen(options: ServerOptions): Promise<ChatServer> {
		const files = await readPage();
		const http = createServer({ requestTimeout: 10_000, headersTimeout: 5000 });
		http.listen(options.port, "127.0.0.1");
		await once(http, "listening");
		return new ChatServer(http, options, files);
	}

	/** Nothing is heard any more, and no socket stays open. */
	async close(): Promise<void> {
		this.#feed.close();
		const closed = new Promise((resolve) => this.#http.close(resolve));
		this.#http.closeAllConnections();
		await closed;
	}

	async #answer(
		request: IncomingMessage,
		response: ServerResponse,
	): Promise<void> {
		for (const [name, value] of Object.entries(headers))
			response.setHeader(name, value);
		const { host, origin } = request.headers;
		// Another name that resolves to this address is another site's (DNS rebinding).
		if (!this.#hosts.has(host ?? ""))
			return say(response, 421, "This page goes by another name.");
		const asked = URL.parse(request.url ?? "", "http://page");
		const path = asked?.pathname ?? "";
		const file = this.#files.get(path);
		// Nothing in the page's files is about a conversation; all else is asked for with the token.
		if (!file && !this.#isToken(asked?.searchParams.get("token") ?? ""))
			return say(
				response,
				401,
				"Open the whole address that the program printed, with its token.",
			);
		const post = this.#posts.get(path);
		if (post) {
			if (request.method !== "POST")
				return say(response, 405, "This can only be posted to.");
			// Other sites can post here too; a browser says who they are.
			if (origin !== `http://${host}`)
				return say(response, 403, "Only this page itself may post here.");
			return this.#post(post, request, response);
		}
		if (!file && path !== "/events")
			return say(response, 404, "There is no such page.");
		if (request.method !== "GET")
			return say(response, 405, "This can only be read.");
		if (file) {
			response.setHeader("content-type", file.type);
			response.end(file.body);
		} else if (!this.#feed.join(response, lastEventId(request)))
			say(response, 503, "Too many pages are open.");
	}

	#isToken(given: string): boolean {
		const [own, other] = [Buffer.from(this.#token), Buffer.from(given)];
		return own.length === other.length && timingSafeEqual(own, other);
	}

	async #post(
		post: Post,
		request: IncomingMessage,
		response: ServerResponse,
	): Promise<void> {
		if (!request.headers["content-type"]?.startsWith("application/json"))
			return say(response, 415, "What is posted here must be JSON.");
		const body = await readBody(request);
		if (body === null)
			return say(response, 413, `At most ${largestBody / 1024} KiB, please.`);
		try {
			const answer = JSON.stringify(await post(parsed(body)));
			response.setHeader("content-type", "application/json");
			response.end(answer);
		} catch (error) {
			if (error instanceof BadRequest) say(response, 400, error.message);
			else if (error instanceof TurnkeeperError)
				say(response, 409, `${error.code}: ${error.text}`);
			else throw error;
		}
	}
}

function say(response: ServerResponse, status: number, text: string): void {
	response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
	response.end(text);
}

function lastEventId({ headers }: IncomingMessage): string {
	return String(headers["last-event-id"] ?? "");
}

/** Null: it is too large. It is read to its end all the same, or its sender would not hear that. */
async function readBody(request: IncomingMessage): Promise<string | null> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request) {
		size += chunk.length;
		if (size <= largestBody) chunks.push(chunk);
	}
	return size <= largestBody ? Buffer.concat(chunks).toString() : null;
}

function parsed(body: string): Readonly<Record<string, unknown>> {
	let value: unknown;
	try {
		value = JSON.parse(body);
	} catch {
		// Said below.
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new BadRequest("What is posted here must be a JSON object.");
	return value as Record<string, unknown>;
}

/** The files of the page, by path. What is not among them cannot be asked for. */
async function readPage(): Promise<ReadonlyMap<string, File>> {
	const folder = join(import.meta.dirname, "page");
	const files = new Map<string, File>();
	for (const name of await readdir(folder)) {
		const type = types[extname(name)];
		if (!type) continue;
		const path = name === "index.html" ? "/" : `/${name}`;
		files.set(path, { type, body: await readFile(join(folder, name)) });
	}
	return files;
}
