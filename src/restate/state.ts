/**
 * Owns how a session lies in the state of its Restate object: what is true of it under one name, each of its records under one of its own, in
 * an order that a list of names gives back. Written by the call that holds the object, so nothing here is ever contested.
 */
import type {
	ArchivedGeneration,
	RowFacts,
	SessionFacts,
	StoredEntry,
	TranscriptEntry,
} from "../../machines/facts.ts";
import type { JsonValue } from "../../machines/json.ts";
import type { RunFacts } from "../../machines/run.ts";
import { ticketId } from "../../machines/ticket.ts";
import { invalid, shown } from "../arguments.ts";
import { limitOf, pageOf, shownEntry } from "../page.ts";
import {
	type Batch,
	isPurged,
	type LoadedSession,
	type OpenStore,
	type Page,
	type PageQuery,
	type Pruned,
	type SessionWrite,
	type StoredMessage,
	type StoredRefusal,
	type StoreReader,
	type TranscriptQuery,
} from "../store.ts";
import type { RunPlaces } from "./kept.ts";
import { openRuns } from "./view.ts";

/** What Restate keeps for an object, for those who do not hold it. */
export interface ObjectReader {
	get<Value>(name: string): Promise<Value | null>;
	stateKeys(): Promise<string[]>;
}

/** The same, for the call that holds it. */
export interface ObjectState extends ObjectReader {
	set(name: string, value: unknown): void;
	clear(name: string): void;
}

/** A number in a name, so that names sort as numbers do. */
const digits = 15;
const numbered = (n: number) => String(n).padStart(digits, "0");
const named = (id: string) => encodeURIComponent(id);

const names = {
	message: (messageId: string) => `message/${named(messageId)}`,
	run: ({ generation, runId, attempt }: RunFacts, place: number) =>
		`run/${numbered(generation)}/${numbered(place)}/${named(runId)}/${numbered(attempt)}`,
	generation: (generation: number) => `generation/${numbered(generation)}`,
	entry: ({ generation, seq }: StoredEntry) =>
		`entry/${numbered(generation)}/${numbered(seq)}`,
	refusal: ({ refusalId }: StoredRefusal) => `refusal/${named(refusalId)}`,
	output: (runId: string, attempt: number) =>
		`output/${named(runId)}/${numbered(attempt)}`,
};

/** Outputs of runs and refusals that a session keeps. */
const mostOutputs = 20;
const mostRefusals = 1000;

export class StateReader implements StoreReader {
	readonly #state: ObjectReader;
	/** As last committed; null: never used. */
	facts: SessionFacts | null;

	constructor(state: ObjectReader, facts: SessionFacts | null) {
		this.#state = state;
		this.facts = facts;
	}

	async [Symbol.asyncDispose](): Promise<void> {}

	async load(): Promise<LoadedSession | null> {
		if (!this.facts) return null;
		const { queue, ...rest } = this.facts;
		const facts: RowFacts = { ...rest, queued: queue.length };
		return { facts, queue };
	}

	async version(): Promise<number> {
		return this.facts?.version ?? 0;
	}

	message(_: string, messageId: string): Promise<StoredMessage | null> {
		return this.#state.get(names.message(messageId));
	}

	async runsNamed(runId: string): Promise<readonly RunFacts[]> {
		return this.all<RunFacts>(await this.namesOf(runId));
	}

	protected async namesOf(runId: string): Promise<readonly string[]> {
		const isNamed = (name: string) => name.split("/")[3] === named(runId);
		return (await this.names("run/")).filter(isNamed);
	}

	async list(): Promise<Page<RowFacts>> {
		throw invalid(
			"list is asked of one session; the client reads the list of all from the admin API of Restate",
		);
	}

	generations(_: string, query: PageQuery): Promise<Page<ArchivedGeneration>> {
		return this.#page("generation/", query);
	}

	generation(
		_: string,
		generation: number,
	): Promise<ArchivedGeneration | null> {
		return this.#state.get(names.generation(generation));
	}

	runs(
		_: string,
		query: PageQuery & { readonly generation?: number | undefined },
	): Promise<Page<RunFacts>> {
		const { generation } = query;
		return this.#page(
			generation === undefined ? "run/" : `run/${numbered(generation)}/`,
			query,
		);
	}

	async transcript(
		_: string,
		query: TranscriptQuery,
	): Promise<Page<TranscriptEntry>> {
		const { generation, sessionId } = query;
		const page = await this.#page<StoredEntry>(
			generation === undefined ? "entry/" : `entry/${numbered(generation)}/`,
			query,
			(entry) =>
				!entry.hidden && (sessionId ?? entry.sessionId) === entry.sessionId,
		);
		return { ...page, items: page.items.map(shownEntry) };
	}

	refusals(query: PageQuery): Promise<Page<StoredRefusal>> {
		return this.#page("refusal/", query);
	}

	output(run: Pick<RunFacts, "runId" | "attempt">): Promise<JsonValue | null> {
		return this.#state.get(names.output(run.runId, run.attempt));
	}

	/** Newest first. */
	protected async names(prefix: string): Promise<string[]> {
		const all = await this.#state.stateKeys();
		return all
			.filter((name) => name.startsWith(prefix))
			.sort()
			.reverse();
	}

	protected async all<Item>(own: readonly string[]): Promise<Item[]> {
		const items: Item[] = [];
		for (const name of own) {
			const item = await this.#state.get<Item>(name);
			if (item !== null) items.push(item);
		}
		return items;
	}

	/** A cursor is the name of the last item. */
	async #page<Item>(
		prefix: string,
		query: PageQuery,
		isShown: (item: Item) => boolean = () => true,
	): Promise<Page<Item>> {
		const limit = limitOf(query);
		const { cursor } = query;
		if (cursor !== undefined && !cursor.startsWith(prefix))
			throw invalid(
				`cursor is ${shown(cursor)}; it must be the cursor of an earlier page of the same query`,
			);
		const own = await this.names(prefix);
		const found: { name: string; item: Item }[] = [];
		for (const name of own) {
			if (cursor !== undefined && name >= cursor) continue;
			const item = await this.#state.get<Item>(name);
			if (item !== null && isShown(item)) found.push({ name, item });
			if (found.length > limit) break;
		}
		const page = pageOf(found, limit, ({ name }) => name);
		return { ...page, items: page.items.map(({ item }) => item) };
	}
}

/** The same, in the hands of the call that holds the object. */
export class StateStore extends StateReader implements OpenStore {
	readonly #state: ObjectState;
	places: RunPlaces;
	/** Places of the runs that this call has read or recorded, by ticket. */
	readonly #known = new Map<string, number>();

	constructor(
		state: ObjectState,
		facts: SessionFacts | null,
		places: RunPlaces,
	) {
		super(state, facts);
		this.#state = state;
		this.places = places;
	}

	async unsettled(): Promise<Page<string>> {
		return { items: [], cursor: null };
	}

	async prune(): Promise<Pruned> {
		return { erased: 0, more: false };
	}

	async commit({ sessions, refusals }: Batch): Promise<void> {
		for (const refusal of refusals)
			this.#state.set(names.refusal(refusal), refusal);
		if (refusals.length > 0)
			for (const old of (await this.names("refusal/")).slice(mostRefusals))
				this.#state.clear(old);
		for (const write of sessions) await this.#write(write);
	}

	async #write(write: SessionWrite): Promise<void> {
		if (write.facts) this.facts = write.facts;
		for (const message of write.messages) this.keepMessage(message);
		for (const run of write.runs)
			this.#state.set(names.run(run, this.#placeOf(run)), run);
		if (write.facts) this.#keepPlaces(write.facts);
		for (const ended of write.generations)
			this.#state.set(names.generation(ended.generation), ended);
		for (const entry of write.entries)
			this.#state.set(names.entry(entry), entry);
		for (const { generation, runId, attempt } of write.hides)
			for (const entry of await this.all<StoredEntry>(
				await this.names(`entry/${numbered(generation)}/`),
			))
				if (entry.runId === runId && entry.attempt === attempt && !entry.hidden)
					this.#state.set(names.entry(entry), { ...entry, hidden: true });
		if (write.purgeBefore !== null) await this.#purge(write.purgeBefore);
	}

	/** A run that is on record is read before it is recorded again. */
	override async runsNamed(runId: string): Promise<readonly RunFacts[]> {
		const runs: RunFacts[] = [];
		for (const name of await this.namesOf(runId)) {
			const run = await this.#state.get<RunFacts>(name);
			if (!run) continue;
			this.#known.set(ticketId(run), Number(name.split("/")[2]));
			runs.push(run);
		}
		return runs;
	}

	/** Runs come in the order in which they were recorded first: their times may all be the same. */
	#placeOf(run: RunFacts): number {
		const { next, of } = this.places;
		const id = ticketId(run);
		const known = of[id] ?? this.#known.get(id);
		if (known !== undefined) return known;
		this.#known.set(id, next);
		this.places = { next: next + 1, of: { ...of, [id]: next } };
		return next;
	}

	/** Of runs that are open: one may be recorded again without being read. */
	#keepPlaces(facts: SessionFacts): void {
		const open = new Set(openRuns(facts).map(ticketId));
		const of = Object.entries(this.places.of).filter(([id]) => open.has(id));
		this.places = { ...this.places, of: Object.fromEntries(of) };
	}

	async #purge(before: number): Promise<void> {
		for (const name of await this.#state.stateKeys()) {
			const [kind = "", part = ""] = name.split("/");
			if (kind === "message") {
				const message = await this.#state.get<StoredMessage>(name);
				if (message && isPurged(message, before)) this.#state.clear(name);
			} else if (
				kind === "refusal" ||
				kind === "output" ||
				(["run", "generation", "entry"].includes(kind) && Number(part) < before)
			)
				this.#state.clear(name);
		}
	}

	keepMessage(message: StoredMessage): void {
		this.#state.set(names.message(message.messageId), message);
	}

	/** What a run returned, for those who ask later; only of the newest runs, whose names are `kept`. Answers with those of then. */
	keepOutput(
		{ runId, attempt }: Pick<RunFacts, "runId" | "attempt">,
		output: JsonValue,
		kept: readonly string[],
	): readonly string[] {
		const name = names.output(runId, attempt);
		this.#state.set(name, output);
		const others = kept.filter((one) => one !== name);
		const old = others.slice(0, Math.max(0, others.length + 1 - mostOutputs));
		for (const one of old) this.#state.clear(one);
		return [...others.slice(old.length), name];
	}
}
