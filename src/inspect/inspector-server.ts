/**
 * Owns the way from a host to Stately's inspector in a browser: what `createWebSocketInspector` sends is handed to the page, and who opens the
 * page later is told of the actors that are there. The same as `@statelyai/inspect/server`, but on loopback and behind a token.
 */
import type { WebSocket } from "ws";
import { checkOptions, invalid, shown } from "../arguments.ts";
import { consoleLogger, guarded, type Logger } from "../logger.ts";
import { LocalServer, type PageFile } from "./local-server.ts";

export interface InspectorServerOptions {
	/** 0: any that is free. Default 8080. */
	port?: number;
	/** The address that it listens on. Default 127.0.0.1, which nobody else can reach. */
	host?: string;
	/** The inspector that the page shows. Default https://stately.ai/inspect; a page of your own works offline. */
	inspector?: string;
	logger?: Logger;
}

export interface InspectorServer {
	/** To open in a browser; with the token that lets in. */
	readonly url: string;
	/** For `createWebSocketInspector({ url })` and `createWebSocketReceiver({ server })`; with the token. */
	readonly socket: string;
	close(): Promise<void>;
}

const mib = 1024 * 1024;

/**
 * Shows a runtime in Stately's inspector. The page and the socket are on this machine alone, behind a random token.
 *
 * @example
 * const server = await createInspectorServer();
 * runtime.inspect(createWebSocketInspector({ url: server.socket, ...withoutContents }).inspect);
 * console.log(server.url);
 * @throws INVALID_ARGUMENT; what the system says where the port is taken (EADDRINUSE)
 */
export async function createInspectorServer(
	given?: InspectorServerOptions,
): Promise<InspectorServer> {
	const {
		port = 8080,
		host = "127.0.0.1",
		inspector = "https://stately.ai/inspect",
		logger = consoleLogger,
	} = checkOptions(given);
	const shownUrl = URL.parse(inspector);
	if (!shownUrl || !/^https?:$/.test(shownUrl.protocol))
		throw invalid(
			`inspector is ${shown(inspector)}; it must be the URL of a page, such as https://stately.ai/inspect`,
		);
	const relay = new Relay();
	const server = await LocalServer.listen(
		{
			files: bridge(shownUrl),
			frames: shownUrl.origin,
			connected: (socket) => relay.join(socket),
		},
		{ port, host, logger: guarded(logger) },
	);
	return {
		url: server.url,
		socket: server.socketUrl,
		close: () => server.close(),
	};
}

/** Hands what one socket says to all others. */
class Relay {
	readonly #sockets = new Set<WebSocket>();
	/** What who comes later is told, which together is less than may wait for a slow reader. By actor: that it is there, and its newest snapshot. */
	readonly #actors = new Newest(1000, 4 * mib);
	readonly #snapshots = new Newest(1000, 4 * mib);
	readonly #events = new Newest(200, mib);
	#count = 0;

	join(socket: WebSocket): void {
		this.#sockets.add(socket);
		socket.on("close", () => this.#sockets.delete(socket));
		for (const kept of [this.#actors, this.#snapshots, this.#events])
			for (const text of kept.texts()) LocalServer.send(socket, text);
		socket.on("message", (data, isBinary) => {
			if (isBinary) return;
			const text = String(data);
			if (!this.#keep(text)) return;
			for (const other of this.#sockets)
				if (other !== socket) LocalServer.send(other, text);
		});
	}

	/** False: it is nothing that an inspector says. */
	#keep(text: string): boolean {
		const said = parsed(text);
		if (typeof said?.sessionId !== "string") return false;
		const { sessionId } = said;
		switch (said.type) {
			case "@xstate.actor":
				this.#actors.set(sessionId, text);
				return true;
			case "@xstate.snapshot":
				this.#snapshots.set(sessionId, text);
				return true;
			case "@xstate.event":
				this.#count += 1;
				this.#events.set(String(this.#count), text);
				return true;
			default:
				return false;
		}
	}
}

/** Texts by name, of which the oldest go: a text that is set anew is a new one. */
class Newest {
	readonly #texts = new Map<string, string>();
	readonly #most: number;
	readonly #mostBytes: number;
	#bytes = 0;

	constructor(most: number, mostBytes: number) {
		this.#most = most;
		this.#mostBytes = mostBytes;
	}

	texts(): IterableIterator<string> {
		return this.#texts.values();
	}

	set(name: string, text: string): void {
		this.#delete(name);
		this.#texts.set(name, text);
		this.#bytes += Buffer.byteLength(text);
		for (const oldest of this.#texts.keys()) {
			if (this.#texts.size <= this.#most && this.#bytes <= this.#mostBytes)
				break;
			this.#delete(oldest);
		}
	}

	#delete(name: string): void {
		this.#bytes -= Buffer.byteLength(this.#texts.get(name) ?? "");
		this.#texts.delete(name);
	}
}

function parsed(text: string): { type?: unknown; sessionId?: unknown } | null {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" ? value : null;
	} catch {
		return null;
	}
}

/** The page: Stately's inspector in a frame, which is handed what the socket says once it is there. */
function bridge(inspector: URL): ReadonlyMap<string, PageFile> {
	const attribute = inspector.href
		.replaceAll("&", "&amp;")
		.replaceAll('"', "&quot;");
	return new Map([
		[
			"/",
			{
				type: "text/html; charset=utf-8",
				body: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>turnkeeper inspector</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/bridge.css">
<p id="status" role="status"></p>
<iframe id="inspector" title="Stately inspector" src="${attribute}"></iframe>
<script type="module" src="/bridge.js"></script>
</html>
`,
			},
		],
		[
			"/bridge.css",
			{
				type: "text/css; charset=utf-8",
				body: "html, body { height: 100%; margin: 0 }\niframe { width: 100%; height: 100%; border: 0 }\np { margin: 0; font: 1rem/1.5 system-ui; text-align: center }\n",
			},
		],
		[
			"/bridge.js",
			{
				type: "text/javascript; charset=utf-8",
				body: `const frame = document.getElementById("inspector");
const origin = new URL(frame.src).origin;
const early = [];
let isThere = false;
addEventListener("message", ({ source, data }) => {
	if (source !== frame.contentWindow || data?.type !== "@statelyai.connected") return;
	isThere = true;
	for (const one of early.splice(0)) frame.contentWindow.postMessage(one, origin);
});
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
let wasLetIn = false;
socket.onopen = () => {
	wasLetIn = true;
};
socket.onclose = () => {
	document.getElementById("status").textContent = wasLetIn
		? "The host has gone. Open the address that it prints when it runs again."
		: "Not let in. Open the whole address that the host printed, with its token.";
};
socket.onmessage = ({ data }) => {
	const said = JSON.parse(data);
	if (isThere) frame.contentWindow.postMessage(said, origin);
	else {
		early.push(said);
		if (early.length > 2000) early.shift();
	}
};
`,
			},
		],
	]);
}
