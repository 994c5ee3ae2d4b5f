/**
 * Entry point `turnkeeper/memory`. Owns a store that lasts as long as the object: for tests, and for hosts that choose to forget. Keeps
 * what it is given by reference, which is safe because nothing of it is ever changed. Never touches the disk.
 *
 * @module turnkeeper/memory
 */
import type {
	ArchivedGeneration,
	RowFacts,
	SessionFacts,
	StoredEntry,
	TranscriptEntry,
} from "../machines/facts.ts";
import { isDraining, statusOf } from "../machines/facts.ts";
import type { RunFacts } from "../machines/run.ts";
import { checkCount, invalid, shown } from "./arguments.ts";
import { TurnkeeperError } from "./errors.ts";
import { byOrder, limitOf, numbersIn, pageOf, shownEntry } from "./page.ts";
import {
	type Batch,
	type HiddenRun,
	isPurged,
	type ListQuery,
	type LoadedSession,
	type OpenStore,
	type Page,
	type PageQuery,
	type Pruned,
	type PruneRule,
	queuedOf,
	type SessionStore,
	type SessionWrite,
	type StoredMessage,
	type StoredRefusal,
	type StoreReader,
	storable,
	type TranscriptQuery,
	VersionConflict,
} from "./store.ts";

/**
 * A store in memory. One owner at a time, as with any other; what was committed is there for the next.
 *
 * @example
 * const store = memoryStore();
 * const runtime = createSessionRuntime({ store, execute });
 */
export function memoryStore(): SessionStore {
	const data = new Data();
	let owner: string | null = null;
	return {
		async open({ name }) {
			if (owner !== null)
				throw new TurnkeeperError(
					"STORE_LOCKED",
					`this memoryStore is owned by ${shown(owner)}; close that owner first`,
				);
			owner = name;
			return new MemoryOwner(data, () => {
				owner = null;
			});
		},
		async read() {
			return new MemoryReader(data);
		},
	};
}

type Row = Omit<SessionFacts, "queue">;

interface Session {
	row: Row;
	/** By message id. */
	readonly messages: Map<string, StoredMessage>;
	/** Those of them that wait. */
	readonly queue: Map<string, StoredMessage>;
	readonly generations: Map<number, ArchivedGeneration>;
	runs: Kept<RunFacts>[];
	/** By generation, each by `seq`. */
	readonly entries: Map<number, StoredEntry[]>;
}

/** Whether anything of it runs or drains. */
function hasRuns({ row }: Session): boolean {
	return row.run !== null || isDraining(row);
}

/** A message that a rule covers, if it is still there. */
interface OldMessage {
	readonly session: Session;
	readonly message: StoredMessage;
}

/** Something with its place in the order of first writes. */
interface Kept<Item> {
	readonly n: number;
	item: Item;
}

/** How many records a call may still erase. */
interface Budget {
	left: number;
}

class Data {
	readonly sessions = new Map<string, Session>();
	readonly runsById = new Map<string, Kept<RunFacts>[]>();
	readonly refusals = new Map<string, Kept<StoredRefusal>>();
	#keys: readonly string[] | null = [];
	#count = 0;
	/** What was found to be old and has not been looked at since, the oldest last: so that many small steps look through all once. */
	#old: OldMessage[] = [];

	/** All keys in the order of code points, which is that of any store that holds UTF-8. */
	get keys(): readonly string[] {
		this.#keys ??= [...this.sessions.keys()].sort(byCodePoint);
		return this.#keys;
	}

	commit(batch: Batch): void {
		check(batch, this.sessions);
		// From here on nothing can fail.
		for (const refusal of batch.refusals)
			if (!this.refusals.has(refusal.refusalId))
				this.refusals.set(refusal.refusalId, {
					n: this.#next(),
					item: refusal,
				});
		for (const write of batch.sessions) this.#write(write);
	}

	#next(): number {
		this.#count += 1;
		return this.#count;
	}

	#write(write: SessionWrite): void {
		const { sessionKey, facts, purgeBefore } = write;
		let session = this.sessions.get(sessionKey);
		if (facts) {
			const { queue: _, ...row } = facts;
			if (!session) {
				session = {
					row,
					messages: new Map(),
					queue: new Map(),
					generations: new Map(),
					runs: [],
					entries: new Map(),
				};
				this.sessions.set(sessionKey, session);
				this.#keys = null;
			}
			session.row = row;
		}
		if (!session) return;
		for (const message of write.messages) {
			session.messages.set(message.messageId, message);
			if (message.fate === "queued")
				session.queue.set(message.messageId, message);
			else session.queue.delete(message.messageId);
		}
		for (const run of write.runs) this.#file(session, run);
		for (const ended of write.generations)
			session.generations.set(ended.generation, ended);
		for (const entry of write.entries) this.#append(session, entry);
		for (const run of write.hides) this.#hide(session, run);
		if (purgeBefore !== null) this.#purge(sessionKey, session, purgeBefore);
	}

	#file(session: Session, run: RunFacts): void {
		const named = this.runsById.get(run.runId) ?? [];
		const known = named.find(
			({ item }) =>
				item.sessionKey === run.sessionKey && item.attempt === run.attempt,
		);
		if (known) {
			known.item = run;
			return;
		}
		const kept = { n: this.#next(), item: run };
		session.runs.push(kept);
		this.runsById.set(run.runId, [...named, kept]);
	}

	/** An entry that is not newer than the newest of its generation is there already. */
	#append(session: Session, entry: StoredEntry): void {
		const { generation, seq } = entry;
		const own = session.entries.get(generation);
		if (!own) session.entries.set(generation, [entry]);
		else if (seq > (own.at(-1)?.seq ?? 0)) own.push(entry);
	}

	/** Runs of a generation come one after the other: the entries of the one that is hidden are the newest. */
	#hide(session: Session, { generation, runId, attempt }: HiddenRun): void {
		const own = session.entries.get(generation) ?? [];
		for (let i = own.length - 1; i >= 0; i--) {
			const entry = own[i] as StoredEntry;
			if (entry.runId !== runId || entry.attempt !== attempt) return;
			if (!entry.hidden) own[i] = { ...entry, hidden: true };
		}
	}

	#purge(sessionKey: string, session: Session, before: number): void {
		for (const [id, message] of session.messages)
			if (isPurged(message, before)) session.messages.delete(id);
		for (const generation of session.generations.keys())
			if (generation < before) session.generations.delete(generation);
		for (const generation of session.entries.keys())
			if (generation < before) session.entries.delete(generation);
		this.#eraseRuns(
			session,
			session.runs.filter(({ item }) => item.generation < before),
		);
		for (const [id, { item }] of this.refusals)
			if (item.sessionKey === sessionKey) this.refusals.delete(id);
	}

	#eraseRuns(session: Session, erased: readonly Kept<RunFacts>[]): void {
		if (erased.length === 0) return;
		const gone = new Set(erased);
		session.runs = session.runs.filter((one) => !gone.has(one));
		for (const kept of erased) {
			const { runId } = kept.item;
			const left = this.runsById.get(runId)?.filter((one) => one !== kept);
			if (left && left.length > 0) this.runsById.set(runId, left);
			else this.runsById.delete(runId);
		}
	}

	prune(rule: PruneRule, limit: number): Pruned {
		const budget = { left: checkCount(limit, "limit") };
		const more =
			rule.of === "messages"
				? this.#pruneMessages(rule.acceptedBefore, budget)
				: rule.of === "refusals"
					? this.#pruneRefusals(rule.keep, budget)
					: this.#pruneGenerations(rule, budget);
		return { erased: limit - budget.left, more };
	}

	#pruneMessages(acceptedBefore: number, budget: Budget): boolean {
		for (;;) {
			const next = this.#nextOld(acceptedBefore);
			if (!next) return false;
			if (budget.left === 0) return true;
			next.session.messages.delete(next.message.messageId);
			budget.left -= 1;
		}
	}

	#nextOld(acceptedBefore: number): OldMessage | undefined {
		const isLeft = ({ session, message }: OldMessage) =>
			message.acceptedAt < acceptedBefore &&
			!hasRuns(session) &&
			session.messages.get(message.messageId) === message;
		while (this.#old.length > 0) {
			const last = this.#old.at(-1) as OldMessage;
			if (isLeft(last)) return last;
			this.#old.pop();
		}
		for (const session of this.sessions.values()) {
			if (hasRuns(session)) continue;
			for (const message of session.messages.values())
				if (message.fate !== "queued" && message.acceptedAt < acceptedBefore)
					this.#old.push({ session, message });
		}
		this.#old.sort((a, b) => b.message.acceptedAt - a.message.acceptedAt);
		return this.#old.at(-1);
	}

	#pruneGenerations(
		rule: PruneRule & { readonly of: "generations" },
		budget: Budget,
	): boolean {
		for (const { session, generation } of this.#ended(rule)) {
			if (budget.left === 0) return true;
			const entries = session.entries.get(generation) ?? [];
			const erased = entries.splice(-Math.min(budget.left, entries.length));
			budget.left -= erased.length;
			if (entries.length > 0) return true;
			session.entries.delete(generation);
			const runs = session.runs.filter(
				({ item }) => item.generation === generation,
			);
			const old = runs.slice(Math.max(0, runs.length - budget.left));
			this.#eraseRuns(session, old);
			budget.left -= old.length;
			if (old.length < runs.length) return true;
			if (!session.generations.has(generation)) continue;
			if (budget.left === 0) return true;
			session.generations.delete(generation);
			budget.left -= 1;
		}
		return false;
	}

	/** The generations that a rule covers, the oldest first; those without an archive record only by their key. */
	#ended(
		rule: PruneRule & { readonly of: "generations" },
	): { session: Session; generation: number }[] {
		if ("sessionKey" in rule) {
			const session = this.sessions.get(rule.sessionKey);
			if (!session) return [];
			const known = new Set([
				...session.generations.keys(),
				...session.entries.keys(),
				...session.runs.map(({ item }) => item.generation),
			]);
			return [...known]
				.filter((one) => one < rule.before && !isKept(session, one))
				.sort((a, b) => a - b)
				.map((generation) => ({ session, generation }));
		}
		const found: { session: Session; generation: number; endedAt: number }[] =
			[];
		for (const session of this.sessions.values())
			for (const { generation, endedAt } of session.generations.values())
				if (endedAt < rule.endedBefore && !isKept(session, generation))
					found.push({ session, generation, endedAt });
		return found.sort((a, b) => a.endedAt - b.endedAt);
	}

	#pruneRefusals(keep: number, budget: Budget): boolean {
		for (const id of this.refusals.keys()) {
			if (this.refusals.size <= keep) break;
			if (budget.left === 0) return true;
			this.refusals.delete(id);
			budget.left -= 1;
		}
		return false;
	}
}

class MemoryReader implements StoreReader {
	readonly #data: Data;
	#open = true;

	constructor(data: Data) {
		this.#data = data;
	}

	protected get data(): Data {
		if (!this.#open)
			throw new TurnkeeperError(
				"STORE_FAILED",
				"this memoryStore is closed; open it again",
			);
		return this.#data;
	}

	async load(sessionKey: string): Promise<LoadedSession | null> {
		const session = this.data.sessions.get(sessionKey);
		if (!session) return null;
		const queue = [...session.queue.values()].sort(byOrder).map(queuedOf);
		return { facts: factsOf(session), queue };
	}

	async version(sessionKey: string): Promise<number> {
		return this.data.sessions.get(sessionKey)?.row.version ?? 0;
	}

	async message(
		sessionKey: string,
		messageId: string,
	): Promise<StoredMessage | null> {
		return this.data.sessions.get(sessionKey)?.messages.get(messageId) ?? null;
	}

	async runsNamed(
		runId: string,
		sessionKey?: string,
	): Promise<readonly RunFacts[]> {
		const named = (this.data.runsById.get(runId) ?? []).map(({ item }) => item);
		return named
			.filter(
				(run) => sessionKey === undefined || run.sessionKey === sessionKey,
			)
			.reverse();
	}

	async list(query: ListQuery): Promise<Page<RowFacts>> {
		const limit = limitOf(query);
		const { cursor, prefix = "", updatedSince, status } = query;
		const wanted = typeof status === "string" ? [status] : status;
		const found: RowFacts[] = [];
		for (const [key, session] of this.sessionsAfter(cursor)) {
			const { row } = session;
			if (row.hidden || !key.startsWith(prefix)) continue;
			if (updatedSince !== undefined && row.updatedAt < updatedSince) continue;
			if (wanted && !wanted.includes(statusOf(row))) continue;
			found.push(factsOf(session));
			if (found.length > limit) break;
		}
		return pageOf(found, limit, (last) => last.sessionKey);
	}

	async generations(
		sessionKey: string,
		query: PageQuery,
	): Promise<Page<ArchivedGeneration>> {
		const limit = limitOf(query);
		const [before] = numbersIn(query.cursor, 1) ?? [Number.POSITIVE_INFINITY];
		const all = this.data.sessions.get(sessionKey)?.generations.values() ?? [];
		const found = [...all]
			.filter(({ generation }) => generation < (before as number))
			.sort((a, b) => b.generation - a.generation);
		return pageOf(found, limit, (last) => String(last.generation));
	}

	async generation(
		sessionKey: string,
		generation: number,
	): Promise<ArchivedGeneration | null> {
		const session = this.data.sessions.get(sessionKey);
		return session?.generations.get(generation) ?? null;
	}

	async runs(
		sessionKey: string,
		query: PageQuery & { readonly generation?: number | undefined },
	): Promise<Page<RunFacts>> {
		const limit = limitOf(query);
		const cursor = numbersIn(query.cursor, 2) as [number, number] | null;
		const found = (this.data.sessions.get(sessionKey)?.runs ?? [])
			.filter(
				({ item }) =>
					query.generation === undefined ||
					item.generation === query.generation,
			)
			.filter((kept) => !cursor || newerFirst(cursor, placeOf(kept)) < 0)
			.sort((a, b) => newerFirst(placeOf(a), placeOf(b)));
		const page = pageOf(found, limit, (last) => placeOf(last).join("."));
		return { ...page, items: page.items.map(({ item }) => item) };
	}

	async transcript(
		sessionKey: string,
		query: TranscriptQuery,
	): Promise<Page<TranscriptEntry>> {
		const limit = limitOf(query);
		const { sessionId } = query;
		const [last, before] = numbersIn(query.cursor, 2) ?? [];
		const entries: ReadonlyMap<number, readonly StoredEntry[]> =
			this.data.sessions.get(sessionKey)?.entries ?? new Map();
		const found: StoredEntry[] = [];
		for (const generation of [...entries.keys()].sort((a, b) => b - a)) {
			if (query.generation !== undefined && generation !== query.generation)
				continue;
			if (last !== undefined && generation > last) continue;
			const own = entries.get(generation) ?? [];
			let i =
				generation === last ? placeOfSeq(own, before as number) : own.length;
			while (--i >= 0 && found.length <= limit) {
				const entry = own[i] as StoredEntry;
				if (
					!entry.hidden &&
					(sessionId === undefined || entry.sessionId === sessionId)
				)
					found.push(entry);
			}
			if (found.length > limit) break;
		}
		const page = pageOf(found, limit, (one) => `${one.generation}.${one.seq}`);
		return { ...page, items: page.items.map(shownEntry) };
	}

	async refusals(
		query: PageQuery & { readonly sessionKey?: string | undefined },
	): Promise<Page<StoredRefusal>> {
		const limit = limitOf(query);
		const [before] = numbersIn(query.cursor, 1) ?? [Number.POSITIVE_INFINITY];
		const { sessionKey } = query;
		const found = [...this.data.refusals.values()]
			.filter(({ n }) => n < (before as number))
			.filter(
				({ item }) =>
					sessionKey === undefined || item.sessionKey === sessionKey,
			)
			.reverse();
		const page = pageOf(found, limit, ({ n }) => String(n));
		return { ...page, items: page.items.map(({ item }) => item) };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#open = false;
	}

	protected *sessionsAfter(
		cursor: string | undefined,
	): Generator<readonly [string, Session]> {
		for (const key of this.data.keys)
			if (cursor === undefined || byCodePoint(key, cursor) > 0)
				yield [key, this.data.sessions.get(key) as Session];
	}
}

class MemoryOwner extends MemoryReader implements OpenStore {
	#giveBack: (() => void) | null;

	constructor(data: Data, giveBack: () => void) {
		super(data);
		this.#giveBack = giveBack;
	}

	async commit(batch: Batch): Promise<void> {
		this.data.commit(batch);
	}

	async prune(rule: PruneRule, limit: number): Promise<Pruned> {
		return this.data.prune(rule, limit);
	}

	async unsettled(query: PageQuery): Promise<Page<string>> {
		const limit = limitOf(query);
		const found: string[] = [];
		for (const [key, session] of this.sessionsAfter(query.cursor)) {
			const { row, queue } = session;
			if (!hasRuns(session) && !row.closing.length && !queue.size) continue;
			found.push(key);
			if (found.length > limit) break;
		}
		return pageOf(found, limit, (last) => last);
	}

	override async [Symbol.asyncDispose](): Promise<void> {
		await super[Symbol.asyncDispose]();
		this.#giveBack?.();
		this.#giveBack = null;
	}
}

/** Throws for a batch that cannot hold, before anything of it is written. */
function check(batch: Batch, sessions: ReadonlyMap<string, Session>): void {
	const versions = new Map<string, number>();
	for (const { sessionKey } of batch.refusals)
		if (sessionKey !== null) storable(sessionKey);
	for (const write of batch.sessions) {
		const { sessionKey, baseVersion, facts } = write;
		const stored = sessions.get(sessionKey)?.row.version;
		const found = versions.get(sessionKey) ?? stored;
		if ((found ?? 0) !== baseVersion)
			throw new VersionConflict(sessionKey, baseVersion, found ?? 0);
		if (facts) versions.set(sessionKey, facts.version);
		else if (found === undefined)
			throw invalid(
				`session ${shown(sessionKey)} has no row; its first write must bring one`,
			);
		storable(sessionKey);
		for (const { runId } of write.runs) storable(runId);
		for (const { messageId } of write.messages) storable(messageId);
		for (const { runId, sessionId } of write.entries) {
			storable(runId);
			storable(sessionId);
		}
	}
}

function factsOf({ row, queue }: Session): RowFacts {
	return { ...row, queued: queue.size };
}

/** Whether a generation may not be erased: the current one, and those that drain. */
function isKept({ row }: Session, generation: number): boolean {
	return (
		generation === row.generation ||
		row.draining.some(({ ended }) => ended.generation === generation) ||
		row.closing.some((one) => one.generation === generation)
	);
}

/** How many entries come before a `seq`. */
function placeOfSeq(entries: readonly StoredEntry[], seq: number): number {
	let low = 0;
	let high = entries.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((entries[middle] as StoredEntry).seq < seq) low = middle + 1;
		else high = middle;
	}
	return low;
}

/** Where a run stands in its session: generation, then first write. */
function placeOf({ n, item }: Kept<RunFacts>): [number, number] {
	return [item.generation, n];
}

function newerFirst(a: [number, number], b: [number, number]): number {
	return b[0] - a[0] || b[1] - a[1];
}

/** UTF-16 sorts characters past U+FFFF before some that code points sort them after. */
function byCodePoint(a: string, b: string): number {
	const length = Math.min(a.length, b.length);
	for (let i = 0; i < length; i++) {
		const one = a.charCodeAt(i);
		const other = b.charCodeAt(i);
		if (one !== other) return rank(one) - rank(other);
	}
	return a.length - b.length;
}

/** Surrogates, which only such characters have, behind all else. */
function rank(unit: number): number {
	return unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit;
}
