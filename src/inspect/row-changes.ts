/**
 * Owns how pages are told of sessions that changed: the newest of each, together, so that neither a busy host nor a slow page makes
 * more work than there are sessions. Follows its source only while there is a page.
 */
import type { WebSocket } from "ws";
import type { ChangedRow, ConsoleSource } from "./console-source.ts";
import { LocalServer } from "./local-server.ts";
import type { Line, Said } from "./protocol.ts";
import { lineOf } from "./session-parts.ts";
import { isBehind } from "./slow-page.ts";

const everyMs = 100;
/** Telling that takes long is followed by a pause that is so many times longer. */
const pauseFactor = 20;
const linesPerFrame = 1000;
/** Of sessions that a slow page has not been told of. Beyond it, the page is let go: it can come back and ask for all. */
const mostBehind = 200_000;

type Lines = Map<string, Line>;

export class RowChanges {
	readonly #source: ConsoleSource;
	#changed = new Map<string, ChangedRow>();
	/** Each page, with what it has not been told of yet. */
	readonly #pages = new Map<WebSocket, Lines>();
	#stop: (() => void) | null = null;
	#timer: NodeJS.Timeout | null = null;
	#pauseMs = everyMs;

	constructor(source: ConsoleSource) {
		this.#source = source;
	}

	join(page: WebSocket): void {
		this.#pages.set(page, new Map());
		this.#stop ??= this.#source.follow((row) => {
			this.#changed.set(row.sessionKey, row);
			this.#flushSoon();
		});
	}

	leave(page: WebSocket): void {
		this.#pages.delete(page);
		if (this.#pages.size > 0) return;
		this.#stop?.();
		this.#stop = null;
		this.#changed.clear();
		if (this.#timer) clearTimeout(this.#timer);
		this.#timer = null;
	}

	#flushSoon(): void {
		this.#timer ??= setTimeout(() => {
			this.#timer = null;
			const began = performance.now();
			this.#flush();
			this.#pauseMs = Math.max(
				everyMs,
				pauseFactor * (performance.now() - began),
			);
		}, this.#pauseMs).unref();
	}

	#flush(): void {
		const frames = framesOf(this.#changed);
		this.#changed = new Map();
		let isAnyBehind = false;
		for (const [page, behind] of this.#pages) {
			for (const frame of frames)
				if (behind.size === 0 && !isBehind(page))
					LocalServer.send(page, frame.text);
				else
					for (const [sessionKey, line] of frame.lines)
						behind.set(sessionKey, line);
			catchUp(page, behind);
			if (behind.size > mostBehind) page.terminate();
			else isAnyBehind ||= behind.size > 0;
		}
		if (isAnyBehind) this.#flushSoon();
	}
}

/** As much of what a page was not told of as it takes. */
function catchUp(page: WebSocket, behind: Lines): void {
	while (behind.size > 0 && !isBehind(page)) {
		const some: [string, Line][] = [];
		for (const one of behind) {
			behind.delete(one[0]);
			if (some.push(one) === linesPerFrame) break;
		}
		LocalServer.send(page, new Frame(some).text);
	}
}

function framesOf(changed: ReadonlyMap<string, ChangedRow>): Frame[] {
	const lines = [...changed].map(([sessionKey, row]): [string, Line] => [
		sessionKey,
		row.status === "deleted" ? row : lineOf(row),
	]);
	const frames: Frame[] = [];
	for (let at = 0; at < lines.length; at += linesPerFrame)
		frames.push(new Frame(lines.slice(at, at + linesPerFrame)));
	return frames;
}

/** Its text is made once for all pages, if there is one that takes it. */
class Frame {
	readonly lines: readonly [string, Line][];
	#text: string | null = null;

	constructor(lines: readonly [string, Line][]) {
		this.lines = lines;
	}

	get text(): string {
		this.#text ??= JSON.stringify({
			say: "rows",
			rows: this.lines.map(([, line]) => line),
		} satisfies Said);
		return this.#text;
	}
}
