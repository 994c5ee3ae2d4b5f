/** Owns a store of which a test can wait until nothing asked of it is under way, however long its answers take. */
import type { OpenStore, SessionStore, StoreReader } from "../store.ts";
import { turns } from "./virtual-clock.ts";

export class WatchedStore implements SessionStore {
	readonly #inner: SessionStore;
	#calls = new Set<Promise<unknown>>();

	constructor(inner: SessionStore) {
		this.#inner = inner;
	}

	read(): Promise<StoreReader> {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#watch(this.#inner.open(owner));
		return new Proxy(store, {
			get: (target, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				return (...args: unknown[]) => this.#watch(value.apply(target, args));
			},
		});
	}

	#watch<T>(call: Promise<T>): Promise<T> {
		this.#calls.add(call);
		const done = () => {
			this.#calls.delete(call);
		};
		Promise.resolve(call).then(done, done);
		return call;
	}

	/** Lets all that is under way without a timer come to its end, what is asked of the store included. */
	async rest(): Promise<void> {
		for (;;) {
			await turns();
			if (this.#calls.size === 0) return;
			await Promise.allSettled(this.#calls);
		}
	}
}
