/** Owns all that one check has in its hands: a place that is its own, the stores and processes that it opens there; ends them with the check. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OpenStore, SessionStore, StoreReader } from "../../store.ts";
import { StoreProcess } from "./store-process.ts";

/** Where a store under test may keep its data: nobody else has this folder, or this name. */
export interface StorePlace {
	/** An empty folder, which goes when the test ends. */
	readonly folder: string;
	/** Letters, digits and `_`, of which the first is a letter: for a database, a schema, a prefix of tables. */
	readonly name: string;
}

/**
 * Makes the store of a place. Called again with the same place it makes one of the same data, unless the data live in the object.
 *
 * @example (place) => sqliteStore(join(place.folder, "sessions.db"))
 */
export type StoreMaker = (
	place: StorePlace,
) => SessionStore | Promise<SessionStore>;

/** What is asked. */
export interface Subject {
	readonly make: StoreMaker;
	/** The module that exports the same as `makeStore`. */
	readonly module?: string | undefined;
	readonly spoil?:
		| ((place: StorePlace, sessionKey: string) => Promise<void> | void)
		| undefined;
	readonly clear?: ((place: StorePlace) => Promise<void> | void) | undefined;
	/** How often a process is killed. */
	readonly kills: number;
	/** How many random plans are played, and the seed of the first. */
	readonly plans: number;
	readonly seed: number;
}

export class Trial implements AsyncDisposable {
	readonly subject: Subject;
	readonly place: StorePlace;
	readonly #opened = new AsyncDisposableStack();
	#store: Promise<SessionStore> | null = null;

	constructor(subject: Subject) {
		this.subject = subject;
		const folder = mkdtempSync(join(tmpdir(), "turnkeeper-store-"));
		const name = `t${randomUUID().replaceAll("-", "_")}`;
		this.place = { folder, name };
		this.#opened.defer(() => rmSync(folder, { recursive: true, force: true }));
		this.#opened.defer(() => subject.clear?.(this.place));
	}

	/** The store of the place; the same object each time. */
	store(): Promise<SessionStore> {
		this.#store ??= this.another();
		return this.#store;
	}

	/** Another object for the same place, as after a restart. */
	async another(): Promise<SessionStore> {
		return this.subject.make(this.place);
	}

	async open(name = "test"): Promise<OpenStore> {
		const store = await this.store();
		return this.keep(await store.open({ name }));
	}

	async read(): Promise<StoreReader> {
		const store = await this.store();
		return this.keep(await store.read());
	}

	/** Ended with the check: what was opened by other means than `open` and `read`. */
	keep<Opened extends AsyncDisposable>(opened: Opened): Opened {
		// Not `use`: V8 13 takes a bound function for no disposer.
		this.#opened.defer(() => opened[Symbol.asyncDispose]());
		return opened;
	}

	/** Another process with a store of the same place. */
	async process(): Promise<StoreProcess> {
		const module = this.subject.module as string;
		return this.keep(await StoreProcess.start(module, this.place));
	}

	/** Makes the row of a key unreadable, behind the back of a store that nobody has open. */
	async spoil(sessionKey: string): Promise<void> {
		await this.subject.spoil?.(this.place, sessionKey);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#opened.disposeAsync();
	}
}
