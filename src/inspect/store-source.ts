/**
 * Owns what the console sees of a store that a host elsewhere owns: it looks again and again while somebody looks on, and changes nothing.
 * A session that was deleted is found by who asks for all again. Changes are found by their time, on the host's clock: where that is set
 * back, so is what was changed until it has caught up.
 */
import { type SessionRow, shownRow } from "../../machines/facts.ts";
import { stateOf } from "../../machines/session.ts";
import { errorText } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { readList, readRefusals, readRuns, readTranscript } from "../reader.ts";
import { factsOf, type Page, type StoreReader } from "../store.ts";
import type { ChangedRow, ConsoleSource } from "./console-source.ts";
import { Poll } from "./poll.ts";
import type {
	CommandAnswer,
	RowsPage,
	SeenTransition,
	SessionParts,
} from "./protocol.ts";
import {
	lineOf,
	most,
	newestOf,
	shownEntry,
	shownQueue,
} from "./session-parts.ts";

const rowsEveryMs = 1000;
const watchedEveryMs = 500;
/** What is committed late was changed before what is known already. */
const overlapMs = 5000;
/** Looks after which a watched session is read again though nothing tells of a change: what is erased moves no version. */
const looksUntilRead = 20;

interface Watched {
	readonly watchers: Set<() => void>;
	/** Version and newest refusal as the last look found them. */
	mark: string | null;
	state: string | null;
	transition: SeenTransition | null;
	looks: number;
}

export class StoreSource implements ConsoleSource {
	readonly description;
	readonly #store: StoreReader;
	readonly #logger: Logger;
	readonly #followers = new Set<(row: ChangedRow) => void>();
	readonly #watched = new Map<string, Watched>();
	readonly #rowsPoll = new Poll(rowsEveryMs, () =>
		this.#look(() => this.#lookAtRows()),
	);
	readonly #watchedPoll = new Poll(watchedEveryMs, () =>
		this.#look(() => this.#lookAtWatched()),
	);
	/** The newest change that was seen, on the host's clock. */
	#newest = 0;
	/** Versions that were told, of rows that the next look finds again. */
	#told = new Map<string, number>();
	#lastFailure: string | null = null;

	/** The reader is the source's, and closed with it. */
	constructor(store: StoreReader, file: string, logger: Logger) {
		this.#store = store;
		this.#logger = logger;
		this.description = {
			name: file,
			readOnly:
				"a store file is only read here; the console that its host opens (createConsole) takes commands",
			tellsAll: false,
		};
	}

	async rows(cursor: string | null): Promise<RowsPage> {
		const page = await readList<unknown>(this.#store, {
			limit: most.rows,
			cursor: cursor ?? undefined,
		});
		for (const { updatedAt } of page.items) this.#saw(updatedAt);
		return { rows: page.items.map(lineOf), cursor: page.cursor };
	}

	async parts(sessionKey: string): Promise<SessionParts> {
		const store = this.#store;
		const loaded = await store.load(sessionKey);
		const row = loaded && shownRow(loaded.facts);
		const state = loaded && row ? stateOf(factsOf(loaded)) : null;
		const queue = shownQueue(loaded?.queue ?? []);
		return {
			row,
			state,
			transition: this.#transitionTo(sessionKey, state),
			generations: newestOf(
				await store.generations(sessionKey, { limit: most.generations }),
				(ended) => ended,
			),
			runs: newestOf(
				await readRuns(store, sessionKey, { limit: most.runs }),
				(run) => run,
			),
			refusals: newestOf(
				await readRefusals(store, { sessionKey, limit: most.refusals }),
				(refusal) => refusal,
			),
			queue,
			transcript: newestOf(
				await readTranscript(store, sessionKey, { limit: most.transcript }),
				shownEntry,
			),
		};
	}

	async carryOut(): Promise<CommandAnswer> {
		throw new Error(`nothing was done: ${this.description.readOnly}`);
	}

	follow(changed: (row: ChangedRow) => void): () => void {
		this.#followers.add(changed);
		this.#rowsPoll.set(true);
		return () => {
			this.#followers.delete(changed);
			this.#rowsPoll.set(this.#followers.size > 0);
		};
	}

	watch(sessionKey: string, changed: () => void): () => void {
		const own = () => changed();
		const watched = this.#watched.get(sessionKey) ?? {
			watchers: new Set(),
			mark: null,
			state: null,
			transition: null,
			looks: 0,
		};
		watched.watchers.add(own);
		this.#watched.set(sessionKey, watched);
		this.#watchedPoll.set(true);
		return () => {
			watched.watchers.delete(own);
			if (watched.watchers.size === 0) this.#watched.delete(sessionKey);
			this.#watchedPoll.set(this.#watched.size > 0);
		};
	}

	async close(): Promise<void> {
		await this.#store[Symbol.asyncDispose]();
	}

	#saw(updatedAt: number): void {
		this.#newest = Math.max(this.#newest, updatedAt);
	}

	async #lookAtRows(): Promise<void> {
		// What is dated ahead of all clocks must not hide what comes after it.
		const newest = Math.min(this.#newest, Date.now());
		const updatedSince = Math.max(0, newest - overlapMs);
		const told = new Map<string, number>();
		let cursor: string | null | undefined;
		while (cursor !== null && this.#followers.size > 0) {
			const page: Page<SessionRow> = await readList(this.#store, {
				limit: most.rows,
				updatedSince,
				cursor,
			});
			for (const row of page.items) {
				this.#saw(row.updatedAt);
				told.set(row.sessionKey, row.version);
				if (this.#told.get(row.sessionKey) === row.version) continue;
				for (const follower of this.#followers) follower(row);
			}
			cursor = page.cursor;
		}
		this.#told = told;
	}

	async #lookAtWatched(): Promise<void> {
		for (const [sessionKey, watched] of this.#watched) {
			const version = await this.#store.version(sessionKey);
			const { items } = await this.#store.refusals({ sessionKey, limit: 1 });
			const mark = `${version} ${items[0]?.refusalId}`;
			watched.looks += 1;
			if (watched.mark === mark && watched.looks < looksUntilRead) continue;
			watched.mark = mark;
			watched.looks = 0;
			for (const changed of watched.watchers) changed();
		}
	}

	#transitionTo(sessionKey: string, to: string | null): SeenTransition | null {
		const watched = this.#watched.get(sessionKey);
		if (!watched) return null;
		const { state: from } = watched;
		watched.state = to;
		if (from !== null && to !== null && from !== to)
			watched.transition = { from, to, event: "", at: Date.now() };
		return watched.transition;
	}

	/** What cannot be read now may be read later; it is said once. */
	async #look(look: () => Promise<void>): Promise<void> {
		try {
			await look();
			this.#lastFailure = null;
		} catch (error) {
			const failure = errorText(error);
			if (failure !== this.#lastFailure)
				this.#logger.warn({ error }, `the console cannot read: ${failure}`);
			this.#lastFailure = failure;
		}
	}
}
