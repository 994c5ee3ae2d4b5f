/**
 * Owns a workspace without Slack: the part of its Web API and of its socket mode that a bot needs, on loopback. People say things there; what
 * the bot posts and marks stands in the channels as anybody would see it. It delivers twice, holds back and loses connections when told to.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type WebSocket, WebSocketServer } from "ws";

export const botToken = "xoxb-of-the-example";
export const appToken = "xapp-of-the-example";
const botId = "UBOT";

/** A message as it stands in a channel. */
export interface Posted {
	readonly channel: string;
	/** Slack's id of a message: when it was said, in seconds, and a number. */
	readonly ts: string;
	/** The message whose thread it is in. */
	readonly thread: string | null;
	/** Null: the bot. */
	readonly user: string | null;
	text: string;
	readonly reactions: Set<string>;
	readonly buttons: readonly {
		readonly label: string;
		readonly value: string;
	}[];
}

/** What somebody says. */
export interface Saying {
	readonly channel?: string;
	readonly user?: string;
	readonly thread?: string;
	/** Delivered so often; the second time as Slack does that had no answer. Default 1. */
	readonly times?: number;
}

type Form = Record<string, string | undefined>;
type Answer = Record<string, unknown>;

export class SlackServer implements AsyncDisposable {
	/** All that was said, by anybody, in order. */
	readonly messages: Posted[] = [];
	/** Calls of the Web API that changed something, by method. */
	readonly calls: string[] = [];
	/** So many of the next posts are held back: 429, to be tried again after a second. */
	holdBack = 0;
	readonly #http = createServer((request, response) => {
		this.#answer(request).then(
			({ status, body, headers }) => {
				response.writeHead(status, {
					"content-type": "application/json",
					...headers,
				});
				response.end(JSON.stringify(body));
			},
			() => response.destroy(),
		);
	});
	readonly #sockets = new WebSocketServer({ noServer: true });
	readonly #connected = new Set<WebSocket>();
	readonly #unacked = new Map<string, () => void>();
	#seconds = 1_700_000_000;
	#envelopes = 0;

	/** @example await using slack = await SlackServer.start(); */
	static async start(): Promise<SlackServer> {
		const server = new SlackServer();
		server.#http.on("upgrade", (request, socket, head) =>
			server.#sockets.handleUpgrade(request, socket, head, (client) =>
				server.#connect(client),
			),
		);
		server.#http.listen(0, "127.0.0.1");
		await once(server.#http, "listening");
		return server;
	}

	get #host(): string {
		return `127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
	}

	/** For the adapter's `apiUrl`. */
	get url(): string {
		return `http://${this.#host}/api/`;
	}

	/** What the bot has said so far. */
	get botSaid(): string[] {
		return this.messages
			.filter(({ user }) => user === null)
			.map((message) => message.text);
	}

	/** Says something; resolves with its ts once the bot has acknowledged it. */
	async say(
		said: string,
		{ channel = "C1", user = "U1", thread, times = 1 }: Saying = {},
	): Promise<string> {
		const ts = this.#put({
			channel,
			user,
			thread: thread ?? null,
			text: said,
			buttons: [],
		});
		const isDirect = channel.startsWith("D");
		for (let time = 0; time < times; time++)
			await this.#deliver(
				"events_api",
				{
					team_id: "T1",
					event_id: `Ev${ts}`,
					event_time: this.#seconds,
					event: {
						type:
							said.includes(`<@${botId}>`) && !isDirect
								? "app_mention"
								: "message",
						channel,
						channel_type: isDirect ? "im" : "channel",
						user,
						text: said,
						ts,
						team: "T1",
						...(thread === undefined ? {} : { thread_ts: thread }),
					},
				},
				time === 0 ? {} : { retry_attempt: time, retry_reason: "timeout" },
			);
		return ts;
	}

	/** Somebody changes what they have said. */
	async edit(ts: string, to: string): Promise<void> {
		const message = this.#find(ts);
		const before = message.text;
		message.text = to;
		const { channel, user, thread } = message;
		const stamp = `${++this.#seconds}.000000`;
		const own = {
			type: "message",
			user,
			ts,
			team: "T1",
			...(thread === null ? {} : { thread_ts: thread }),
		};
		await this.#deliver("events_api", {
			team_id: "T1",
			event_id: `Ev${stamp}`,
			event_time: this.#seconds,
			event: {
				type: "message",
				subtype: "message_changed",
				channel,
				channel_type: channel.startsWith("D") ? "im" : "channel",
				ts: stamp,
				message: { ...own, text: to, edited: { user, ts: stamp } },
				previous_message: { ...own, text: before },
			},
		});
	}

	/** Presses the button of this label under the newest message of the bot that has one. */
	async press(label: string, user = "U1"): Promise<void> {
		const message = this.messages.findLast(({ buttons }) => buttons.length > 0);
		const button = message?.buttons.find((one) => one.label === label);
		if (!message || !button) throw new Error(`there is no button ${label}`);
		const { channel, ts, thread } = message;
		await this.#deliver("interactive", {
			type: "block_actions",
			team: { id: "T1" },
			user: {
				id: user,
				username: user.toLowerCase(),
				name: user.toLowerCase(),
			},
			channel: { id: channel, name: "general" },
			container: { type: "message", message_ts: ts, channel_id: channel },
			message: {
				ts,
				text: message.text,
				...(thread === null ? {} : { thread_ts: thread }),
			},
			actions: [
				{
					type: "button",
					action_id: "turnkeeper",
					block_id: "b",
					value: button.value,
					action_ts: ts,
				},
			],
			trigger_id: "trigger",
		});
	}

	/** Cuts all connections, as Slack does now and then; clients come back. */
	disconnect(): void {
		for (const client of this.#connected)
			client.send(
				JSON.stringify({ type: "disconnect", reason: "refresh_requested" }),
			);
	}

	async close(): Promise<void> {
		for (const client of this.#connected) client.terminate();
		this.#sockets.close();
		this.#http.closeAllConnections();
		if (this.#http.listening)
			await new Promise((done) => this.#http.close(done));
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	#put(message: Omit<Posted, "ts" | "reactions">): string {
		this.#seconds += 1;
		const ts = `${this.#seconds}.000100`;
		this.messages.push({ ...message, ts, reactions: new Set() });
		return ts;
	}

	#find(ts: string | undefined): Posted {
		const found = this.messages.find((message) => message.ts === ts);
		if (!found) throw new Error(`there is no message ${ts}`);
		return found;
	}

	#connect(client: WebSocket): void {
		this.#connected.add(client);
		client.on("close", () => this.#connected.delete(client));
		client.on("message", (data) => {
			const { envelope_id } = JSON.parse(String(data));
			this.#unacked.get(envelope_id)?.();
			this.#unacked.delete(envelope_id);
		});
		client.send(
			JSON.stringify({
				type: "hello",
				num_connections: this.#connected.size,
				connection_info: { app_id: "A1" },
				debug_info: { host: "loopback", approximate_connection_time: 3600 },
			}),
		);
	}

	async #deliver(
		type: string,
		payload: object,
		retry: object = {},
	): Promise<void> {
		this.#envelopes += 1;
		const envelope_id = `envelope-${this.#envelopes}`;
		const [client] = this.#connected;
		if (!client) throw new Error("no bot is connected");
		const acked = new Promise<void>((done) => {
			this.#unacked.set(envelope_id, done);
		});
		client.send(
			JSON.stringify({
				type,
				envelope_id,
				payload,
				accepts_response_payload: type !== "events_api",
				...retry,
			}),
		);
		await acked;
	}

	async #answer(request: IncomingMessage): Promise<{
		status: number;
		body: Answer;
		headers?: Record<string, string>;
	}> {
		const method = request.url?.replace(/^\/api\//, "").split("?")[0] ?? "";
		const form = formIn(await text(request), request.headers["content-type"]);
		const token =
			request.headers.authorization?.replace(/^Bearer /, "") ?? form.token;
		const wanted = method === "apps.connections.open" ? appToken : botToken;
		if (token !== wanted)
			return { status: 200, body: { ok: false, error: "invalid_auth" } };
		if (method === "chat.postMessage" && this.holdBack > 0) {
			this.holdBack -= 1;
			return {
				status: 429,
				body: { ok: false, error: "ratelimited" },
				headers: { "retry-after": "1" },
			};
		}
		const act = this.#methods[method];
		return act
			? { status: 200, body: { ok: true, ...act(form) } }
			: { status: 200, body: { ok: false, error: "unknown_method" } };
	}

	readonly #methods: Record<string, (form: Form) => Answer> = {
		"apps.connections.open": () => ({ url: `ws://${this.#host}/link` }),
		"auth.test": () => ({
			user_id: botId,
			user: "bot",
			bot_id: "BBOT",
			team_id: "T1",
			team: "example",
		}),
		"users.info": ({ user = "" }) => {
			const name = user === botId ? "bot" : user.toLowerCase();
			return {
				user: {
					id: user,
					name,
					real_name: name,
					is_bot: user === botId,
					profile: { display_name: name, real_name: name },
				},
			};
		},
		"conversations.info": ({ channel = "" }) => ({
			channel: { id: channel, name: "general", is_im: channel.startsWith("D") },
		}),
		"conversations.replies": ({ channel, ts }) => ({
			messages: this.messages
				.filter(
					(one) =>
						one.channel === channel && (one.ts === ts || one.thread === ts),
				)
				.map((one) => ({
					type: "message",
					user: one.user ?? botId,
					text: one.text,
					ts: one.ts,
				})),
			has_more: false,
		}),
		"chat.postMessage": (form) => {
			this.calls.push("chat.postMessage");
			const { channel = "", thread_ts } = form;
			const ts = this.#put({
				channel,
				user: null,
				thread: thread_ts ?? null,
				text: textIn(form),
				buttons: buttonsIn(form.blocks),
			});
			return { channel, ts, message: { text: textIn(form), ts } };
		},
		"chat.update": (form) => {
			this.calls.push("chat.update");
			this.#find(form.ts).text = textIn(form);
			return { channel: form.channel, ts: form.ts, text: textIn(form) };
		},
		"reactions.add": ({ timestamp, name = "" }) => {
			this.#find(timestamp).reactions.add(name);
			return {};
		},
		"reactions.remove": ({ timestamp, name = "" }) => {
			this.#find(timestamp).reactions.delete(name);
			return {};
		},
		"assistant.threads.setStatus": () => ({}),
	};
}

/** What a call says, whichever way its client encodes it. */
function formIn(body: string, type = ""): Form {
	return type.includes("json")
		? JSON.parse(body || "{}")
		: Object.fromEntries(new URLSearchParams(body));
}

function textIn({ text: plain, markdown_text }: Form): string {
	return markdown_text ?? plain ?? "";
}

function buttonsIn(blocks: unknown): Posted["buttons"] {
	const found: { label: string; value: string }[] = [];
	const parsed =
		typeof blocks === "string" ? JSON.parse(blocks) : (blocks ?? []);
	for (const { elements = [] } of parsed)
		for (const { type, text: label, value } of elements)
			if (type === "button") found.push({ label: label?.text ?? "", value });
	return found;
}
