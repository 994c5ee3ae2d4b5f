/**
 * Owns what readers see of committed state: the feed, the atoms, and those who wait for a row. Fed by the journal and by nothing
 * else, so there is no second path from an event to a reader. One that throws harms nobody but itself.
 */
import { type Atom, createAtom, type ReadonlyAtom } from "@xstate/store";
import type { Subscription } from "xstate";
import type { EndedGeneration, SessionRow } from "../machines/facts.ts";
import type { Refusal } from "../machines/report.ts";
import { type RunFacts, runRecordOf } from "../machines/run.ts";
import { errorText, TurnkeeperError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import type { RuntimeEvent } from "./runtime.ts";

type Row<Meta> = SessionRow<Meta>;
type Unnumbered<T> = T extends unknown ? Omit<T, "seq"> : never;

export class Projection<Meta> {
	#logger: Logger;
	#seq = 0;
	#told = new WeakSet<TurnkeeperError>();
	#listeners = new Set<(event: RuntimeEvent<Meta>) => void>();
	/** An atom lives as long as the host holds it or is subscribed to it. */
	#atoms = new Map<string, WeakRef<Atom<Row<Meta> | null>>>();
	#subscribed = new Set<Atom<Row<Meta> | null>>();
	/** Atoms that a commit has reached. */
	#shown = new WeakSet<Atom<Row<Meta> | null>>();
	#forget = new FinalizationRegistry<string>((key) => {
		if (!this.#atoms.get(key)?.deref()) this.#atoms.delete(key);
	});

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	subscribe(listener: (event: RuntimeEvent<Meta>) => void): Subscription {
		// A listener that subscribes twice is told twice.
		const own = (event: RuntimeEvent<Meta>) => listener(event);
		this.#listeners.add(own);
		return { unsubscribe: () => this.#listeners.delete(own) };
	}

	/** Whether anybody follows the feed. */
	get isFollowed(): boolean {
		return this.#listeners.size > 0;
	}

	/** Whether anybody would see a row of this key. */
	shows(sessionKey: string): boolean {
		return this.isFollowed || this.#atoms.has(sessionKey);
	}

	tell(event: Unnumbered<RuntimeEvent<Meta>>): void {
		this.#seq += 1;
		if (this.#listeners.size === 0) return;
		const numbered = { seq: this.#seq, ...event } as RuntimeEvent<Meta>;
		for (const listener of [...this.#listeners]) {
			// One may have unsubscribed another.
			if (!this.#listeners.has(listener)) continue;
			try {
				listener(numbered);
			} catch (error) {
				this.#logger.error(
					{ error, event: numbered.type, seq: numbered.seq },
					`a subscriber threw (${errorText(error)}); the others are told all the same`,
				);
			}
		}
	}

	row(row: Row<Meta>): void {
		this.tell({ type: "row", row });
		this.#show(row.sessionKey, row);
	}

	deleted(sessionKey: string, generation: number, version: number): void {
		this.tell({ type: "deleted", sessionKey, generation, version });
		this.#show(sessionKey, null);
	}

	generation(ended: EndedGeneration<Meta>): void {
		this.tell({ type: "generation", ended });
	}

	run(run: RunFacts): void {
		this.tell({ type: "run", run: runRecordOf(run) });
	}

	refusal(refusal: Refusal): void {
		this.tell({ type: "refusal", refusal });
	}

	/** Once for each error, whoever else comes upon it. */
	trouble(error: TurnkeeperError): void {
		if (this.#told.has(error)) return;
		this.#told.add(error);
		this.#logger.error({ error, code: error.code }, error.text);
		this.tell({ type: "trouble", error });
	}

	/** The atom of a key; `read` fetches the committed row for a new one, at once if it is in memory. */
	atom(
		sessionKey: string,
		read: () => Row<Meta> | null | Promise<Row<Meta> | null>,
	): ReadonlyAtom<Row<Meta> | null> {
		const known = this.#atoms.get(sessionKey)?.deref();
		if (known) return known;
		const now = read();
		const atom = this.#make(now instanceof Promise ? null : now);
		this.#atoms.set(sessionKey, new WeakRef(atom));
		this.#forget.register(atom, sessionKey);
		if (now instanceof Promise) this.#fill(atom, sessionKey, now);
		return atom;
	}

	/** Reads the rows of all atoms that no commit has reached. */
	refresh(read: (sessionKey: string) => Promise<Row<Meta> | null>): void {
		for (const [sessionKey, held] of this.#atoms) {
			const atom = held.deref();
			if (atom && !this.#shown.has(atom))
				this.#fill(atom, sessionKey, read(sessionKey));
		}
	}

	#fill(
		atom: Atom<Row<Meta> | null>,
		sessionKey: string,
		reading: Promise<Row<Meta> | null>,
	): void {
		reading.then(
			(row) => {
				// A commit that came meanwhile is newer.
				if (!this.#shown.has(atom)) atom.set(row);
			},
			(error) => this.trouble(asTrouble(error, sessionKey)),
		);
	}

	#make(row: Row<Meta> | null): Atom<Row<Meta> | null> {
		const atom = createAtom<Row<Meta> | null>(row);
		const subscribe = atom.subscribe.bind(atom) as (
			...args: unknown[]
		) => Subscription;
		let readers = 0;
		const held = (...args: unknown[]): Subscription => {
			const subscription = subscribe(...args);
			readers += 1;
			this.#subscribed.add(atom);
			let open = true;
			return {
				unsubscribe: () => {
					subscription.unsubscribe();
					if (open) readers -= 1;
					open = false;
					if (readers === 0) this.#subscribed.delete(atom);
				},
			};
		};
		atom.subscribe = held as typeof atom.subscribe;
		return atom;
	}

	#show(sessionKey: string, row: Row<Meta> | null): void {
		const atom = this.#atoms.get(sessionKey)?.deref();
		if (!atom) return;
		this.#shown.add(atom);
		try {
			atom.set(row);
		} catch (error) {
			this.#logger.error(
				{ error, sessionKey },
				`a reader of an atom threw (${errorText(error)})`,
			);
		}
	}
}

function asTrouble(error: unknown, sessionKey: string): TurnkeeperError {
	return error instanceof TurnkeeperError
		? error
		: new TurnkeeperError(
				"STORE_FAILED",
				`the row of session ${JSON.stringify(sessionKey)} could not be read: ${errorText(error)}`,
				{ cause: error },
			);
}
