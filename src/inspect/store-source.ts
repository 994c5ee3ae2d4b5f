/**
 * Owns how the console looks at a store that another process owns: by reading it again and again while somebody looks on. It takes no
 * commands, because a session has one owner.
 */
import { sessionChart } from "../../machines/chart.ts";
import { errorText } from "../errors.ts";
import type { Logger } from "../logger.ts";
import {
	readArchive,
	readList,
	readRefusals,
	readRow,
	readRuns,
	readTranscript,
} from "../reader.ts";
import type { StoreReader } from "../store.ts";
import type { ConsoleSource } from "./console-source.ts";
import type { CommandAnswer, HostDescription } from "./protocol.ts";
import { lineOf, type SessionReads } from "./session-parts.ts";

const followMs = 1000;
const watchMs = 500;
const pageLimit = 1000;

export class StoreSource implements ConsoleSource {
	readonly reads: SessionReads;
	readonly host: HostDescription;
	readonly #store: StoreReader;
	readonly #logger: Logger;

	constructor(store: StoreReader, name: string, logger: Logger) {
		this.#store = store;
		this.#logger = logger;
		this.reads = readsOf(store);
		this.host = {
			name,
			readOnly: "Commands are taken where the sessions run, by createConsole.",
			tellsAll: false,
			chart: sessionChart(),
		};
	}

	follow(tell: Parameters<ConsoleSource["follow"]>[0]): () => void {
		let since: number | null = null;
		return this.#again(followMs, async () => {
			let cursor: string | null | undefined;
			let newest = since ?? Date.now();
			do {
				const page = await this.reads.list({
					// Who looks on has read what was there before.
					updatedSince: since ?? newest - followMs,
					limit: pageLimit,
					...(cursor ? { cursor } : {}),
				});
				for (const { updatedAt } of page.items)
					newest = Math.max(newest, updatedAt);
				if (page.items.length > 0) tell(page.items.map(lineOf));
				cursor = page.cursor;
			} while (cursor);
			since = newest;
		});
	}

	watch(sessionKey: string, tell: () => void): () => void {
		let before = "";
		return this.#again(watchMs, async () => {
			const version = await this.#store.version(sessionKey);
			// A refusal moves no version.
			const { items } = await this.reads.refusals({ sessionKey, limit: 1 });
			const now = JSON.stringify([version, items]);
			if (now !== before) tell();
			before = now;
		});
	}

	async command(): Promise<CommandAnswer> {
		throw new Error(`${this.host.readOnly} Nothing was done.`);
	}

	/** Now, and then so long after each time, until the answer is called. */
	#again(everyMs: number, look: () => Promise<void>): () => void {
		let isOver = false;
		let timer: NodeJS.Timeout | undefined;
		const go = async () => {
			try {
				await look();
			} catch (error) {
				// The next look may find it readable again.
				this.#logger.debug(
					{ error },
					`the store could not be read (${errorText(error)})`,
				);
			}
			if (isOver) return;
			timer = setTimeout(go, everyMs);
			timer.unref();
		};
		go();
		return () => {
			isOver = true;
			clearTimeout(timer);
		};
	}
}

function readsOf(store: StoreReader): SessionReads {
	return {
		get: (sessionKey) => readRow(store, sessionKey),
		list: (query) => readList(store, query),
		archive: (sessionKey, query) => readArchive(store, sessionKey, query),
		runs: (sessionKey, query) => readRuns(store, sessionKey, query),
		refusals: (query) => readRefusals(store, query),
		transcript: (sessionKey, query) => readTranscript(store, sessionKey, query),
		queue: {
			list: async (sessionKey) => (await store.load(sessionKey))?.queue ?? [],
		},
	};
}
