/**
 * Owns a connection to a live gateway: says who it is, subscribes, and gives the frames that concern runs, in the order in which they came.
 * Only reads. One connection: when it is gone, it says so and is over.
 */
import { on } from "node:events";
import { type RawData, WebSocket } from "ws";
import { checkOptions, invalid, shown } from "../arguments.ts";
import { errorText, TurnkeeperError } from "../errors.ts";
import { type Frame, frameOf } from "./frames.ts";

/** How a gateway is connected to. */
export interface GatewayOptions {
	/** The gateway's shared token, if it wants one. */
	token?: string;
	/** Its shared password, if it wants one. */
	password?: string;
	/** Ends the frames, without an error. */
	signal?: AbortSignal;
	/** How long it may take until the gateway has let in and subscribed, in ms. Default 10,000. */
	timeoutMs?: number;
}

/** Versions of the gateway's protocol that are understood. */
const protocols = { minProtocol: 3, maxProtocol: 4 };

/** Frames that may wait for who reads them before the socket is paused. */
const most = 1000;

/**
 * What a live gateway says of its runs and sessions, from now on. For `reportsOf` and `watchDrift`.
 *
 * @example for await (const report of reportsOf(gatewayFrames("ws://127.0.0.1:18789", { token }))) await runtime.report(report);
 * @throws GATEWAY_FAILED where it cannot be reached, does not let in, or ends the connection; INVALID_ARGUMENT
 */
export function gatewayFrames(
	url: string,
	options?: GatewayOptions,
): AsyncGenerator<Frame, void> {
	const given = checkOptions(options);
	if (!/^wss?:\/\/./.test(url))
		throw invalid(
			`url is ${shown(url)}; it must be the WebSocket address of a gateway, such as ws://127.0.0.1:18789`,
		);
	return framesOf(url, given);
}

async function* framesOf(
	url: string,
	{ token, password, signal, timeoutMs = 10_000 }: GatewayOptions,
): AsyncGenerator<Frame, void> {
	if (signal?.aborted) return;
	const socket = new WebSocket(url, { handshakeTimeout: timeoutMs });
	const connection = new Connection(socket, url, timeoutMs);
	// What comes when nobody reads any more is nobody's.
	socket.on("error", () => {});
	socket.once("open", () => connection.greet({ token, password }));
	const stop = () => socket.terminate();
	signal?.addEventListener("abort", stop);
	try {
		const messages = on(socket, "message", {
			close: ["close"],
			highWaterMark: most,
			lowWaterMark: most / 2,
		} as Parameters<typeof on>[2]);
		for await (const [data] of messages as AsyncIterable<[RawData]>) {
			yield* connection.take(String(data));
		}
		if (!signal?.aborted) throw connection.lost();
	} catch (error) {
		if (signal?.aborted) return;
		throw error instanceof TurnkeeperError
			? error
			: failed(url, `could not be reached: ${errorText(error)}`, error);
	} finally {
		connection.close();
		signal?.removeEventListener("abort", stop);
		socket.terminate();
	}
}

class Connection {
	readonly #socket: WebSocket;
	readonly #url: string;
	readonly #timer: NodeJS.Timeout;
	readonly #timeoutMs: number;
	#isLate = false;
	#isSubscribed = false;
	/** The number of the newest event that had one. */
	#seq: number | null = null;
	#why = "";

	constructor(socket: WebSocket, url: string, timeoutMs: number) {
		this.#socket = socket;
		this.#url = url;
		this.#timeoutMs = timeoutMs;
		this.#timer = setTimeout(() => {
			this.#isLate = true;
			socket.terminate();
		}, timeoutMs);
		socket.once("close", (code, reason) => {
			this.#why = `${code}${reason.length > 0 ? `, ${reason}` : ""}`;
		});
	}

	greet(auth: { token: string | undefined; password: string | undefined }) {
		this.#ask("connect", {
			...protocols,
			client: {
				id: "gateway-client",
				displayName: "turnkeeper",
				version: "1",
				platform: process.platform,
				mode: "backend",
			},
			role: "operator",
			scopes: ["operator.read"],
			caps: [],
			...(auth.token || auth.password ? { auth } : {}),
		});
	}

	/** What a message says that concerns runs, and before it that something was left out, if it was. */
	take(text: string): readonly Frame[] {
		let message: Frame;
		try {
			message = JSON.parse(text);
		} catch {
			return [];
		}
		if (message?.type === "res") this.#answered(message);
		if (message?.type !== "event" || !this.#isSubscribed) return [];
		const at = Date.now();
		const gap = this.#skips(message.seq) ? [{ at, kind: "gap" }] : [];
		const frame = frameOf(message, at);
		return frame ? [...gap, frame] : gap;
	}

	lost(): TurnkeeperError {
		return failed(
			this.#url,
			this.#isLate
				? `did not let in within ${this.#timeoutMs} ms`
				: `ended the connection (${this.#why})`,
		);
	}

	close(): void {
		clearTimeout(this.#timer);
	}

	#ask(method: string, params: object): void {
		// Its name is its id: each is asked once.
		this.#socket.send(
			JSON.stringify({ type: "req", id: method, method, params }),
		);
	}

	#answered({ id, ok, error }: Frame): void {
		if (ok !== true) {
			const { code, message } = (error ?? {}) as Frame;
			throw failed(
				this.#url,
				`refused ${id}: ${[code, message].filter(Boolean).join(", ") || "without a reason"}; it must speak protocol ${protocols.minProtocol} or ${protocols.maxProtocol} and let an operator read with this token or password`,
			);
		}
		if (id === "connect") this.#ask("sessions.subscribe", {});
		if (id !== "sessions.subscribe") return;
		this.#isSubscribed = true;
		clearTimeout(this.#timer);
	}

	/** Whether events were left out before this one: a gateway drops what a slow client does not read. */
	#skips(seq: unknown): boolean {
		if (typeof seq !== "number") return false;
		const skips = this.#seq !== null && seq > this.#seq + 1;
		this.#seq = seq;
		return skips;
	}
}

function failed(url: string, what: string, cause?: unknown): TurnkeeperError {
	return new TurnkeeperError(
		"GATEWAY_FAILED",
		`the gateway at ${url} ${what}`,
		cause === undefined ? {} : { cause },
	);
}
