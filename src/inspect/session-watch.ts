/**
 * Owns what one page is told of the session that it watches: all parts once, and then those that differ from what it was told last. Reads
 * again only after something changed, one reading at a time, and never so often that reading is what the process does.
 */
import type { WebSocket } from "ws";
import { errorText } from "../errors.ts";
import type { ConsoleSource } from "./console-source.ts";
import { LocalServer } from "./local-server.ts";
import type { SessionParts } from "./protocol.ts";
import { isBehind } from "./slow-page.ts";

const everyMs = 200;
/** A reading that takes long is followed by a pause that is so many times longer. */
const pauseFactor = 50;

export class SessionWatch {
	readonly #source: ConsoleSource;
	readonly #sessionKey: string;
	readonly #page: WebSocket;
	readonly #failed: (message: string) => void;
	/** JSON of each part, as the page has it. */
	readonly #told = new Map<string, string>();
	#stop: (() => void) | null = null;
	#timer: NodeJS.Timeout | null = null;
	#isReading = false;
	#hasChanged = false;
	#notBefore = 0;
	#lastFailure: string | null = null;

	/** `failed` is told when a later reading cannot be made; once, until one can. */
	constructor(
		source: ConsoleSource,
		sessionKey: string,
		page: WebSocket,
		failed: (message: string) => void,
	) {
		this.#source = source;
		this.#sessionKey = sessionKey;
		this.#page = page;
		this.#failed = failed;
	}

	/** Resolves when all parts have been said; rejects where they cannot be read, and goes on watching. */
	async begin(): Promise<void> {
		this.#stop = this.#source.watch(this.#sessionKey, () => {
			this.#hasChanged = true;
			this.#readSoon();
		});
		await this.#read();
	}

	/** Nothing is said after it. */
	end(): void {
		this.#stop?.();
		this.#stop = null;
		if (this.#timer) clearTimeout(this.#timer);
		this.#timer = null;
		this.#told.clear();
	}

	#readSoon(): void {
		if (!this.#stop || !this.#hasChanged || this.#isReading) return;
		this.#timer ??= setTimeout(
			() => {
				this.#timer = null;
				void this.#readAgain();
			},
			Math.max(0, this.#notBefore - performance.now()),
		).unref();
	}

	async #readAgain(): Promise<void> {
		if (isBehind(this.#page)) {
			this.#notBefore = performance.now() + everyMs;
			this.#readSoon();
			return;
		}
		try {
			await this.#read();
		} catch (error) {
			const failure = errorText(error);
			if (failure !== this.#lastFailure) this.#failed(failure);
			this.#lastFailure = failure;
		}
	}

	async #read(): Promise<void> {
		this.#isReading = true;
		this.#hasChanged = false;
		const began = performance.now();
		try {
			const parts = await this.#source.parts(this.#sessionKey);
			if (!this.#stop) return;
			this.#say(parts);
			this.#lastFailure = null;
		} catch (error) {
			if (this.#stop) throw error;
		} finally {
			this.#isReading = false;
			const now = performance.now();
			this.#notBefore = now + Math.max(everyMs, pauseFactor * (now - began));
			this.#readSoon();
		}
	}

	#say(parts: SessionParts): void {
		const differing: string[] = [];
		for (const [name, part] of Object.entries(parts)) {
			const json = JSON.stringify(part);
			if (this.#told.get(name) === json) continue;
			this.#told.set(name, json);
			differing.push(`${JSON.stringify(name)}:${json}`);
		}
		if (differing.length === 0) return;
		LocalServer.send(
			this.#page,
			`{"say":"session","sessionKey":${JSON.stringify(this.#sessionKey)},"parts":{${differing.join()}}}`,
		);
	}
}
