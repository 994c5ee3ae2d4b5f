/** Owns a server on loopback that speaks a gateway's protocol as far as a bystander sees it: it lets in who knows the token and says what a test, or a recording, has it say. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";

export interface Said {
	readonly type: string;
	readonly id?: string;
	readonly method?: string;
	readonly params?: Readonly<Record<string, unknown>>;
}

export interface GatewayServer {
	readonly url: string;
	/** What clients have asked. */
	readonly asked: Said[];
	/** Resolves when a client has subscribed. */
	readonly subscribed: Promise<void>;
	/** To all that have subscribed. */
	emit(event: string, payload: object, seq?: number): void;
	send(text: string): void;
	/** Ends all connections. */
	end(code?: number, reason?: string): void;
}

export async function startGateway(
	answers: { readonly token?: string; readonly silent?: boolean } = {},
): Promise<GatewayServer> {
	const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
	await once(server, "listening");
	onTestFinished(() => {
		for (const client of server.clients) client.terminate();
		server.close();
	});
	const asked: Said[] = [];
	const subscribers = new Set<WebSocket>();
	const subscribed = Promise.withResolvers<void>();
	server.on("connection", (socket) => {
		const answer = (id: string | undefined, rest: object) =>
			socket.send(JSON.stringify({ type: "res", id, ...rest }));
		const challenge = { nonce: "n", ts: 1 };
		socket.send(
			JSON.stringify({
				type: "event",
				event: "connect.challenge",
				payload: challenge,
			}),
		);
		socket.on("message", (data) => {
			const said = JSON.parse(String(data)) as Said;
			asked.push(said);
			if (answers.silent) return;
			const auth = said.params?.auth as { token?: string } | undefined;
			if (said.method === "connect" && answers.token !== auth?.token) {
				const error = { code: "INVALID_REQUEST", message: "unauthorized" };
				answer(said.id, { ok: false, error });
				return;
			}
			answer(said.id, { ok: true, payload: {} });
			if (said.method !== "sessions.subscribe") return;
			subscribers.add(socket);
			subscribed.resolve();
		});
	});
	const tell = (text: string) => {
		for (const socket of subscribers) socket.send(text);
	};
	return {
		url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
		asked,
		subscribed: subscribed.promise,
		emit: (event, payload, seq) =>
			tell(JSON.stringify({ type: "event", event, payload, seq })),
		send: tell,
		end: (code = 1012, reason = "service restart") => {
			for (const socket of subscribers) socket.close(code, reason);
		},
	};
}

type Frame = Readonly<Record<string, unknown>>;

/** The lines of a recording. */
export function recordingOf(name: string): Frame[] {
	const file = join(
		import.meta.dirname,
		"..",
		"recorded",
		"openclaw",
		`${name}.jsonl`,
	);
	return readFileSync(file, "utf8")
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => JSON.parse(line));
}

/** A line of a recording as the gateway had said it, or null. The older one put a row that it had not looked up into the payload itself. */
export function eventOf(
	line: Frame,
): { readonly event: string; readonly payload: object } | null {
	const { at: _, kind, ...rest } = line;
	if (kind === "lifecycle") {
		const { runId, sessionKey, sessionId, seq, ts, ...data } = rest;
		const payload = { runId, sessionKey, sessionId, seq, ts, data };
		return { event: "agent", payload: { ...payload, stream: "lifecycle" } };
	}
	if (kind !== "row") return null;
	const { row, ...payload } = rest as { readonly row: Frame };
	return {
		event: "sessions.changed",
		payload:
			row.key === undefined
				? { ...row, ...payload }
				: { ...payload, session: row },
	};
}
