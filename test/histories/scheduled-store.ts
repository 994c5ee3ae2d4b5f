/** Owns a store each of whose answers comes when a scheduler says so: whatever a runtime awaits of it may overtake what else it awaits. */
import type { OpenStore, SessionStore } from "turnkeeper";

/** Resolves when it is this one's turn; fast-check's is one. */
export interface Scheduler {
	schedule<T>(what: Promise<T>, label: string): Promise<T>;
}

export class ScheduledStore implements SessionStore {
	readonly #inner: SessionStore;
	readonly #scheduler: Scheduler;
	/** While false, everything is answered at once. */
	isOn = false;

	constructor(inner: SessionStore, scheduler: Scheduler) {
		this.#inner = inner;
		this.#scheduler = scheduler;
	}

	read() {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#inner.open(owner);
		return new Proxy(store, {
			get: (target, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				return async (...args: unknown[]) => {
					await this.#turn(`${String(name)} is asked`);
					const answer = await value.apply(target, args);
					// A commit may hold long before its caller knows.
					if (name === "commit") await this.#turn("commit is answered");
					return answer;
				};
			},
		});
	}

	async #turn(label: string): Promise<void> {
		if (this.isOn) await this.#scheduler.schedule(Promise.resolve(), label);
	}
}
