/** Owns a store that fails when a test says so: before a commit takes effect, after it did, or for one session alone. */
import type { Batch, OpenStore, SessionStore } from "../store.ts";

type Fault = "before" | "after";

export class FaultyStore implements SessionStore {
	readonly #inner: SessionStore;
	/** What becomes of the next commits; none left: they hold. */
	readonly faults: (Fault | null)[] = [];
	/** Every commit that touches this key fails. */
	poisoned: string | null = null;
	broken = false;
	/** The store behind the faults, for whoever overtakes its owner. */
	opened: OpenStore | null = null;
	commits = 0;
	/** What whoever asks for a generation that ended waits for; null: nothing. */
	generationsAfter: Promise<void> | null = null;
	/** Called before a commit is handed on. */
	beforeCommit: ((batch: Batch) => Promise<void> | void) | null = null;

	constructor(inner: SessionStore) {
		this.#inner = inner;
	}

	read() {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#inner.open(owner);
		this.opened = store;
		const commit = async (batch: Batch): Promise<void> => {
			this.commits += 1;
			await this.beforeCommit?.(batch);
			const fault = this.faults.shift() ?? null;
			const poisoned = batch.sessions.some(
				({ sessionKey }) => sessionKey === this.poisoned,
			);
			if (this.broken || poisoned || fault === "before")
				throw new Error("disk I/O error");
			await store.commit(batch);
			if (fault === "after") throw new Error("connection lost");
		};
		const generation: OpenStore["generation"] = async (...which) => {
			await this.generationsAfter;
			return store.generation(...which);
		};
		return new Proxy(store, {
			get: (target, name) => {
				if (name === "commit") return commit;
				if (name === "generation") return generation;
				const value = Reflect.get(target, name, target);
				return typeof value === "function" ? value.bind(target) : value;
			},
		});
	}
}
