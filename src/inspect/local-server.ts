/**
 * Owns the door of every page that turnkeeper serves: loopback unless told otherwise, a random token on all that says anything about a
 * session, Host and Origin checked, so that neither another name for this address nor another site's script gets in. What is behind the
 * door it never knows.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
} from "node:http";
import { isIPv4 } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { checkName, invalid, shown } from "../arguments.ts";
import { errorText } from "../errors.ts";
import type { Logger } from "../logger.ts";

export interface LocalServerOptions {
	/** 0: any that is free. */
	readonly port: number;
	/** The address that it listens on. Others than loopback must be asked for by their name. */
	readonly host: string;
	readonly logger: Logger;
}

/** A file of the page: nothing in it is about a session, so it needs no token. */
export interface PageFile {
	readonly type: string;
	readonly body: string | Buffer;
}

export interface Page {
	/** By path, without a query; `/` is the page itself. */
	readonly files: ReadonlyMap<string, PageFile>;
	/** What the page may frame, besides nothing. */
	readonly frames?: string;
	/** A socket that has shown its token, with the path that it asked for. */
	connected(socket: WebSocket, path: string): void;
}

/** Of one message from a socket. A larger one closes it. */
const largestFrame = 4 * 1024 * 1024;
/** What may wait for a reader that is slow. Beyond it, the reader is let go: it can come back. */
const mostUnread = 16 * 1024 * 1024;
const mostSockets = 256;

export class LocalServer {
	/** With the token. */
	readonly url: string;
	readonly #http: Server;
	readonly #sockets = new WebSocketServer({
		noServer: true,
		maxPayload: largestFrame,
		perMessageDeflate: false,
	});

	private constructor(http: Server, url: string) {
		this.#http = http;
		this.url = url;
	}

	static async listen(
		page: Page,
		{ port, host, logger }: LocalServerOptions,
	): Promise<LocalServer> {
		if (!Number.isInteger(port) || port < 0 || port > 65_535)
			throw invalid(
				`port is ${shown(port)}; it must be a whole number, 0 to 65535`,
			);
		checkName(host, "host");
		const token = randomBytes(24).toString("base64url");
		const http = createServer({
			requestTimeout: 10_000,
			headersTimeout: 5_000,
		});
		http.maxConnections = 2 * mostSockets;
		await new Promise<void>((resolve, reject) => {
			http.once("error", reject);
			http.listen({ port, host }, () => {
				http.off("error", reject);
				resolve();
			});
		});
		http.on("error", (error) =>
			logger.error({ error }, `the page's server failed (${errorText(error)})`),
		);
		const address = http.address();
		const bound = typeof address === "object" && address ? address.port : port;
		const server = new LocalServer(
			http,
			`http://${nameOf(host)}:${bound}/?token=${token}`,
		);
		const door = new Door(token, host, bound);
		http.on("request", (request, response) =>
			answer(page, door, request, response),
		);
		http.on("upgrade", (request, socket, head) =>
			server.#upgrade(page, door, request, socket, head),
		);
		return server;
	}

	/** The same door for sockets. */
	get socketUrl(): string {
		return this.url.replace(/^http/, "ws");
	}

	/** Sends to one that reads; one that does not keep up is let go. */
	static send(socket: WebSocket, text: string): void {
		if (socket.readyState !== socket.OPEN) return;
		if (socket.bufferedAmount > mostUnread) {
			socket.terminate();
			return;
		}
		socket.send(text);
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets.clients) socket.terminate();
		const closed = new Promise<void>((resolve) =>
			this.#http.close(() => resolve()),
		);
		this.#http.closeAllConnections();
		await closed;
	}

	#upgrade(
		page: Page,
		door: Door,
		request: IncomingMessage,
		socket: Duplex,
		head: Buffer,
	): void {
		// What goes wrong on a socket is that socket's.
		socket.on("error", () => socket.destroy());
		const refusal =
			this.#sockets.clients.size >= mostSockets
				? "503 Service Unavailable"
				: door.refusalOf(request);
		if (refusal !== null) {
			socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\n\r\n`, () =>
				socket.destroy(),
			);
			return;
		}
		this.#sockets.handleUpgrade(request, socket, head, (open) => {
			open.on("error", () => open.terminate());
			page.connected(open, pathOf(request));
		});
	}
}

/** Who gets in. */
class Door {
	readonly #token: Buffer;
	/** The names that it goes by; null where it was asked to listen beyond this machine, under whatever name that is. */
	readonly #hosts: ReadonlySet<string> | null;

	constructor(token: string, host: string, port: number) {
		this.#token = Buffer.from(token);
		const names = ["127.0.0.1", "localhost", "[::1]", nameOf(host)];
		this.#hosts = isLoopback(host)
			? new Set(names.map((name) => `${name}:${port}`))
			: null;
	}

	/** Whether it was asked by a name of its own: a page of another name that resolves to this address is not let in. */
	knows({ headers }: IncomingMessage): boolean {
		return this.#hosts?.has(headers.host ?? "") ?? true;
	}

	/** Status line of what a socket is refused with; null: it may come in. */
	refusalOf(request: IncomingMessage): string | null {
		if (!this.knows(request)) return "421 Misdirected Request";
		const { origin, host } = request.headers;
		// Programs send none; a browser always does.
		if (origin !== undefined && origin !== `http://${host}`)
			return "403 Forbidden";
		return this.#isToken(tokenOf(request)) ? null : "401 Unauthorized";
	}

	#isToken(given: string): boolean {
		const bytes = Buffer.from(given);
		return (
			bytes.length === this.#token.length && timingSafeEqual(bytes, this.#token)
		);
	}
}

function answer(
	page: Page,
	door: Door,
	request: IncomingMessage,
	response: ServerResponse,
): void {
	const end = (status: number, body: string) => {
		response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
		response.end(body);
	};
	response.setHeader(
		"content-security-policy",
		[
			"default-src 'none'",
			"script-src 'self'",
			"style-src 'self'",
			"img-src 'self' data:",
			"connect-src 'self'",
			`frame-src ${page.frames ?? "'none'"}`,
			"frame-ancestors 'none'",
			"base-uri 'none'",
			"form-action 'none'",
		].join("; "),
	);
	response.setHeader("x-content-type-options", "nosniff");
	response.setHeader("referrer-policy", "no-referrer");
	response.setHeader("cache-control", "no-store");
	const file = page.files.get(pathOf(request));
	const isRead = request.method === "GET" || request.method === "HEAD";
	if (!door.knows(request)) {
		end(421, "This page is served on this machine under its own name.");
		return;
	}
	if (!isRead) {
		end(405, "This page is only read.");
		return;
	}
	if (!file) {
		end(404, "There is no such page.");
		return;
	}
	response.writeHead(200, { "content-type": file.type });
	response.end(request.method === "HEAD" ? undefined : file.body);
}

function urlOf({ url }: IncomingMessage): URL | null {
	return URL.parse(url ?? "/", "http://page");
}

function pathOf(request: IncomingMessage): string {
	return urlOf(request)?.pathname ?? "";
}

function tokenOf(request: IncomingMessage): string {
	return urlOf(request)?.searchParams.get("token") ?? "";
}

function isLoopback(host: string): boolean {
	return (
		host === "localhost" ||
		host === "::1" ||
		(isIPv4(host) && host.startsWith("127."))
	);
}

/** As it stands in a URL. */
function nameOf(host: string): string {
	return host.includes(":") ? `[${host}]` : host;
}
