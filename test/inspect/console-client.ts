/** Owns a console under test, and a client that speaks to it as its page does. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { serveConsole } from "../../src/inspect/console-server.ts";
import type { ConsoleSource } from "../../src/inspect/console-source.ts";
import type {
	Answered,
	CommandAnswer,
	Line,
	Question,
	RowsPage,
	Said,
	SessionLine,
	SessionParts,
} from "../../src/inspect/protocol.ts";
import {
	type ConsoleRuntime,
	RuntimeSource,
} from "../../src/inspect/runtime-source.ts";
import { silent } from "../support/host.ts";
import { temporaryFile } from "../support/stores.ts";

/** Resolves when it is so: what comes over a socket comes when it comes. */
export function until<T>(isSo: () => T | Promise<T>): Promise<T> {
	return vi.waitFor(isSo, { timeout: 45_000, interval: 10 });
}

/** A folder with the files of a page, such as they are. */
export function pageFolder(): string {
	const folder = dirname(temporaryFile());
	mkdirSync(folder, { recursive: true });
	for (const [name, text] of [
		["index.html", "<!doctype html><title>console</title>"],
		["console.js", "export {};"],
		["console.css", "p {}"],
		["console.js.map", "{}"],
	] as const)
		writeFileSync(`${folder}/${name}`, text);
	return folder;
}

export async function openConsole(source: ConsoleSource | ConsoleRuntime) {
	const served = await serveConsole(
		"carryOut" in source ? source : new RuntimeSource(source),
		{ port: 0, host: "127.0.0.1", logger: silent, folder: pageFolder() },
	);
	onTestFinished(() => served.close());
	return served;
}

export class PageClient {
	readonly socket: WebSocket;
	readonly said: Said[] = [];
	readonly closed: Promise<void>;
	/** Of all sessions, as far as they were told; deleted ones are gone. */
	readonly lines = new Map<string, SessionLine>();
	/** Of the session that is watched, as far as they were told. */
	readonly parts: Partial<SessionParts> = {};
	#ids = 0;
	#waiting = new Map<number, PromiseWithResolvers<Answered>>();

	private constructor(socket: WebSocket) {
		this.socket = socket;
		this.closed = new Promise((resolve) => socket.once("close", resolve));
		socket.on("message", (data) => this.#hear(JSON.parse(String(data))));
	}

	static async open(url: string): Promise<PageClient> {
		const socket = new WebSocket(url.replace(/^http/, "ws"));
		const client = new PageClient(socket);
		onTestFinished(() => socket.terminate());
		await new Promise((resolve, reject) => {
			socket.once("open", resolve);
			socket.once("error", reject);
		});
		return client;
	}

	ask(question: Question): Promise<Answered> {
		this.#ids += 1;
		return this.askAs(this.#ids, question);
	}

	/** Anything at all, under an id. */
	askAs(id: number, question: object): Promise<Answered> {
		const answered = Promise.withResolvers<Answered>();
		this.#waiting.set(id, answered);
		this.socket.send(JSON.stringify({ id, ...question }));
		return answered.promise;
	}

	async command(question: Question): Promise<CommandAnswer> {
		return (await this.ask(question)) as CommandAnswer;
	}

	/** Asks for all rows, page after page. */
	async readRows(): Promise<number> {
		let cursor: string | null = null;
		let pages = 0;
		do {
			const page = (await this.ask({ ask: "rows", cursor })) as RowsPage;
			for (const line of page.rows) this.#merge(line);
			cursor = page.cursor;
			pages += 1;
		} while (cursor !== null);
		return pages;
	}

	async watch(sessionKey: string): Promise<void> {
		for (const name of Object.keys(this.parts) as (keyof SessionParts)[])
			delete this.parts[name];
		await this.ask({ ask: "watch", sessionKey });
	}

	#hear(said: Said): void {
		this.said.push(said);
		switch (said.say) {
			case "answer":
				this.#waiting.get(said.id)?.resolve(said.answer);
				break;
			case "error":
				this.#waiting.get(said.id)?.reject(new Error(said.message));
				break;
			case "rows":
				for (const line of said.rows) this.#merge(line);
				break;
			case "session":
				Object.assign(this.parts, said.parts);
				break;
		}
	}

	#merge(line: Line): void {
		const known = this.lines.get(line.sessionKey);
		if (known && known.version > line.version) return;
		if (line.status === "deleted") this.lines.delete(line.sessionKey);
		else this.lines.set(line.sessionKey, line);
	}
}
