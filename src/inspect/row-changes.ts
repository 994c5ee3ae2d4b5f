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

const everyMs = 250;
/** Telling that takes long is followed by a pause that is so many times longer. */
const pauseFactor = 20;
const linesPerFrame = 1000;
/** More wait for the next time: the host has other work. */
const framesAtOnce = 4;
/** Of sessions that a page has not been told of. Beyond it, the page is let go: it can come back and ask for all. */
const mostUntold = 200_000;

type Lines = Map<string, Line>;

export class RowChanges {
	readonly #source: Pick<ConsoleSource, "follow">;
	readonly #mostBehind: number;
	readonly #changed = new Map<string, ChangedRow>();
	/** Each page, with what it has not been told of yet. */
	readonly #pages = new Map<WebSocket, Lines>();
	#stop: (() => void) | null = null;
	#timer: NodeJS.Timeout | null = null;
	#pauseMs = everyMs;

	constructor(source: Pick<ConsoleSource, "follow">, mostBehind = mostUntold) {
		this.#source = source;
		this.#mostBehind = mostBehind;
	}

	join(page: WebSocket): void {
		this.#pages.set(page, new Map());
		this.#stop ??= this.#source.follow((row) => {
			this.#changed.set(row.sessionKey, row);
			if (this.#changed.size > this.#mostBehind)
				for (const one of [...this.#pages.keys()]) this.#letGo(one);
			else this.#flushSoon();
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
			const isDone = this.#flush();
			const took = performance.now() - began;
			this.#pauseMs = Math.max(everyMs, pauseFactor * took);
			if (!isDone) this.#flushSoon();
		}, this.#pauseMs).unref();
	}

	/** Whether all pages have been told of everything. */
	#flush(): boolean {
		const frames: Frame[] = [];
		while (this.#changed.size > 0 && frames.length < framesAtOnce)
			frames.push(new Frame(taken(this.#changed).map(changedLine)));
		let isDone = this.#changed.size === 0;
		for (const [page, behind] of this.#pages) {
			for (const frame of frames)
				if (behind.size === 0 && !isBehind(page))
					LocalServer.send(page, frame.text);
				else
					for (const [sessionKey, line] of frame.lines)
						behind.set(sessionKey, line);
			while (behind.size > 0 && !isBehind(page))
				LocalServer.send(page, new Frame(taken(behind)).text);
			if (behind.size > this.#mostBehind) this.#letGo(page);
			else if (behind.size > 0) isDone = false;
		}
		return isDone;
	}

	#letGo(page: WebSocket): void {
		page.terminate();
		this.leave(page);
	}
}

/** As many as a frame has, taken out of those that wait. */
function taken<Item>(waiting: Map<string, Item>): [string, Item][] {
	const some: [string, Item][] = [];
	for (const one of waiting) {
		waiting.delete(one[0]);
		if (some.push(one) === linesPerFrame) break;
	}
	return some;
}

function changedLine([sessionKey, row]: [string, ChangedRow]): [string, Line] {
	return [sessionKey, row.status === "deleted" ? row : lineOf(row)];
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
