/**
 * Owns the store of a simulation: any store, made slow and faulty. It fails before a commit takes effect or after, cannot be read, cannot
 * say where a row stands, fails one session alone, loses a row, and dies with its process between any two steps. Says to whoever watches
 * what it has come to hold.
 */
import type { SessionFacts } from "../../machines/facts.ts";
import { TurnkeeperError } from "../errors.ts";
import {
	type Batch,
	type LoadedSession,
	type OpenStore,
	type PruneRule,
	type SessionStore,
	UnreadableSession,
} from "../store.ts";
import type { SimulatedClock, SimulatedTime } from "./simulate-time.ts";

/** What may fail: a commit, a question for a row's version, any other read. */
export type StoreFault = "before" | "after" | "version" | "read";

export interface StoreWatcher {
	/** This holds from now on. */
	held(batch: Batch): void;
	/** This is asked to be erased; some of it may be by now. */
	pruned(rule: PruneRule): void;
	/** The process of this clock has died. */
	died(): void;
}

/** The process dies in the middle of the commit that comes after so many others. */
interface Death {
	left: number;
	readonly moment: "before" | "after";
}

export class SimulatedStore implements SessionStore {
	readonly #inner: SessionStore;
	readonly #time: SimulatedTime;
	readonly #watcher: StoreWatcher;
	#opened: OpenStore | null = null;
	#life: SimulatedClock | null = null;
	#faults: StoreFault[] = [];
	#death: Death | null = null;
	/** Every commit that touches this key fails. */
	#poisoned: string | null = null;
	/** How long a call takes, in ms. */
	#latency = 0;
	/** Rows that cannot be read until they are written again. */
	readonly #lost = new Set<string>();
	/** How often it has failed. */
	failures = 0;
	commits = 0;

	constructor(inner: SessionStore, time: SimulatedTime, watcher: StoreWatcher) {
		this.#inner = inner;
		this.#time = time;
		this.#watcher = watcher;
	}

	read() {
		return this.#inner.read();
	}

	/** Who opens it next. */
	begin(life: SimulatedClock): void {
		this.#life = life;
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const life = this.#life as SimulatedClock;
		const store = await this.#time.outside(this.#inner.open(owner));
		this.#opened = store;
		return new Proxy(store, {
			get: (target, name) => {
				const value = Reflect.get(target, name, target);
				if (typeof value !== "function") return value;
				if (name === Symbol.asyncDispose) return () => this.#close(life);
				if (name === "commit")
					return (batch: Batch) => this.#commit(life, target, batch);
				return (...args: unknown[]) =>
					this.#read(life, String(name), args, () => value.apply(target, args));
			},
		});
	}

	/** The next calls of that kind fail. */
	fail(...faults: readonly StoreFault[]): void {
		this.#faults.push(...faults);
	}

	poison(key: string | null): void {
		this.#poisoned = key;
	}

	/** Whether a session can be stored never, until something is done about it. */
	get isPoisoned(): boolean {
		return this.#poisoned !== null;
	}

	slow(ms: number): void {
		this.#latency = ms;
	}

	/** The row of a key cannot be read any more. */
	lose(key: string): void {
		this.#lost.add(key);
	}

	isLost(key: string): boolean {
		return this.#lost.has(key);
	}

	dieAt(left: number, moment: Death["moment"]): void {
		this.#death = { left, moment };
	}

	/** No fault is left but rows that were lost. */
	heal(): void {
		this.#faults = [];
		this.#poisoned = null;
		this.#latency = 0;
		this.#death = null;
	}

	/** Gives it back for a process that died; the next one finds it free. */
	async release(): Promise<void> {
		const store = this.#opened;
		this.#opened = null;
		this.#death = null;
		await this.#time.outside(store?.[Symbol.asyncDispose]());
	}

	async #close(life: SimulatedClock): Promise<void> {
		if (!life.isOver) await this.release();
	}

	async #commit(
		life: SimulatedClock,
		store: OpenStore,
		batch: Batch,
	): Promise<void> {
		await this.#pass(life);
		this.commits += 1;
		const death = this.#deathNow();
		if (death === "before") return this.#die();
		const fault = this.#take("before", "after");
		const poisoned = batch.sessions.some(
			({ sessionKey }) => sessionKey === this.#poisoned,
		);
		if (poisoned || fault === "before") throw this.#failure("disk I/O error");
		await this.#time.outside(store.commit(batch));
		for (const { sessionKey, facts } of batch.sessions)
			if (facts) this.#lost.delete(sessionKey);
		this.#watcher.held(batch);
		if (death === "after") return this.#die();
		await this.#pass(life);
		if (fault === "after") throw this.#failure("connection lost");
	}

	async #read(
		life: SimulatedClock,
		name: string,
		args: readonly unknown[],
		act: () => Promise<unknown>,
	): Promise<unknown> {
		await this.#pass(life);
		if (this.#take(name === "version" ? "version" : "read"))
			throw this.#failure(`${name}: the disk does not answer`);
		const [first] = args;
		if (name === "prune") this.#watcher.pruned(first as PruneRule);
		if (name === "load" && this.#lost.has(first as string))
			return this.#unreadable(first as string);
		return this.#time.outside(act());
	}

	async #unreadable(key: string): Promise<never> {
		const store = this.#opened;
		if (!store) throw this.#failure("the store is closed; open it again");
		const { facts, queue } = (await this.#time.outside(
			store.load(key),
		)) as LoadedSession;
		const {
			generation,
			version,
			entries,
		}: Pick<SessionFacts, "generation" | "version" | "entries"> = facts;
		const row = { sessionKey: key, generation, version, entries };
		throw new UnreadableSession(
			{ ...row, raw: "{", queue, lost: [] },
			new SyntaxError("a brace is missing"),
		);
	}

	/** Behind what is to happen before, and after as long as it takes; never, if its process is over by then. */
	async #pass(life: SimulatedClock): Promise<void> {
		if (life.isOver) await new Promise(() => {});
		await (this.#latency > 0 ? life.sleep(this.#latency) : life.soon());
	}

	#take(...kinds: readonly StoreFault[]): StoreFault | null {
		const [next] = this.#faults;
		if (next === undefined || !kinds.includes(next)) return null;
		this.#faults.shift();
		return next;
	}

	#failure(why: string): Error {
		this.failures += 1;
		return new TurnkeeperError("STORE_FAILED", why);
	}

	#deathNow(): Death["moment"] | null {
		const death = this.#death;
		if (!death) return null;
		if (death.left > 0) {
			death.left -= 1;
			return null;
		}
		this.#death = null;
		return death.moment;
	}

	#die(): Promise<never> {
		this.#watcher.died();
		return new Promise(() => {});
	}
}
