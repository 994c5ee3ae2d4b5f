/** Owns a store whose owner can die at any moment: what it committed stays, what it does from then on reaches nobody. */
import type { OpenStore, SessionStore } from "../store.ts";

export class CrashingStore implements SessionStore {
	readonly #inner: SessionStore;
	#opened: { store: OpenStore; dead: boolean } | null = null;
	/** Called as the owner dies. */
	onCrash: (() => void) | null = null;

	constructor(inner: SessionStore) {
		this.#inner = inner;
	}

	read() {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#inner.open(owner);
		const opened = { store, dead: false };
		this.#opened = opened;
		return new Proxy(store, {
			get: (target, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				return async (...args: unknown[]) => {
					if (!opened.dead) return value.apply(target, args);
					if (name !== Symbol.asyncDispose)
						throw new Error("the process has died");
				};
			},
		});
	}

	/** The owner dies; the next one finds the store free. */
	async crash(): Promise<void> {
		const opened = this.#opened;
		if (!opened || opened.dead) throw new Error("nobody to crash");
		opened.dead = true;
		this.onCrash?.();
		await opened.store[Symbol.asyncDispose]();
	}
}
