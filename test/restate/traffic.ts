/** Owns when a test on Restate goes on: what is under way between its process and the server, and a way there on which calls keep their order. */
import { setTimeout as pause } from "node:timers/promises";
import { Admin } from "../../src/restate/admin.ts";
import { Door } from "../../src/restate/door.ts";

const timeoutMs = 20_000;
/** A session that is nobody's: its calls show how far the server has come. */
const probe = "how far the server has come";
/** So many looks must find the same: something may be on its way for as long as some of them take. */
const calmLooks = 3;

/** What is under way. */
export class Traffic {
	/** Changes whenever something has happened. */
	happened = 0;
	readonly #look: () => Promise<unknown>;
	/** Calls that are answered before anybody goes on. */
	readonly #asked = new Set<object>();
	/** Calls of sessions that are being served. */
	readonly #served = new Set<object>();
	#looking: Promise<void> | null = null;

	/** `look`: to the server and back, behind what is under way. */
	constructor(look: () => Promise<unknown>) {
		this.#look = look;
	}

	asks<Value>(ask: () => Promise<Value>): Promise<Value> {
		return this.#while(this.#asked, ask);
	}

	serves<Value>(serve: () => Promise<Value>): Promise<Value> {
		return this.#while(this.#served, serve);
	}

	async #while<Value>(
		those: Set<object>,
		act: () => Promise<Value>,
	): Promise<Value> {
		const one = {};
		those.add(one);
		this.happened += 1;
		try {
			return await act();
		} finally {
			those.delete(one);
			this.happened += 1;
		}
	}

	/** Resolves when nothing is under way but what waits for something that has not happened. */
	async quiet(): Promise<void> {
		do await this.still();
		while (this.#asked.size > 0);
	}

	/** The same, for a call that others wait for. Whoever asks looks together with the others. */
	still(): Promise<void> {
		this.#looking ??= this.#lookOn().finally(() => {
			this.#looking = null;
		});
		return this.#looking;
	}

	async #lookOn(): Promise<void> {
		let seen = this.happened;
		for (let calm = 0; calm < calmLooks; calm += 1) {
			await pause(0);
			await this.#look();
			await pause(0);
			if (this.happened === seen && this.#served.size === 0) continue;
			seen = this.happened;
			calm = -1;
		}
	}
}

/** Calls come to the server in the order in which they are made, and are answered when nothing more comes of them: as on the embedded engine. */
export class OrderedDoor extends Door {
	readonly traffic = new Traffic(() => super.read(probe, "get"));
	/** The process behind it is dead: no call goes out, and none is answered. */
	isDead = false;
	#before: Promise<unknown> = Promise.resolve();

	constructor(ingress: string, now: () => number) {
		super(ingress, timeoutMs, undefined, now);
	}

	/** Resolves when all calls that were made before have come to the server. */
	async taken(): Promise<void> {
		await this.#before;
	}

	/** For a call that waits for no run. */
	bounded<Value>(call: () => Promise<Value>): Promise<Value> {
		return this.traffic.asks(() => this.#inOrder(call));
	}

	async #inOrder<Value>(call: () => Promise<Value>): Promise<Value> {
		const { traffic } = this;
		const mayGo = this.#before;
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#before = promise;
		await traffic.asks(() => mayGo);
		await this.#alive();
		const answer = call();
		const taken = () => resolve();
		void Promise.race([answer, traffic.still()]).then(taken, taken);
		try {
			return await answer;
		} finally {
			traffic.happened += 1;
			await this.#alive();
			await traffic.still();
		}
	}

	async #alive(): Promise<void> {
		if (this.isDead) await new Promise(() => {});
	}

	override call<Value>(...asked: Parameters<Door["call"]>): Promise<Value> {
		return this.bounded(() => super.call<Value>(...asked));
	}

	override stop<Value>(...asked: Parameters<Door["stop"]>): Promise<Value> {
		return this.#inOrder(() => super.stop<Value>(...asked));
	}

	override read<Value>(...asked: Parameters<Door["read"]>): Promise<Value> {
		return this.bounded(() => super.read<Value>(...asked));
	}

	override act(...asked: Parameters<Door["act"]>): ReturnType<Door["act"]> {
		return this.bounded(() => super.act(...asked));
	}

	override async wait<Value>(
		...asked: Parameters<Door["wait"]>
	): Promise<Value> {
		const { traffic } = this;
		await this.#alive();
		traffic.happened += 1;
		try {
			return await super.wait<Value>(...asked);
		} finally {
			traffic.happened += 1;
			await this.#alive();
		}
	}

	override async left(...asked: Parameters<Door["left"]>): Promise<void> {
		await this.#alive();
		return super.left(...asked);
	}

	/** An exclusive call of a session: what is due by now happens with it. */
	async ring(sessionKey: string): Promise<void> {
		const ticket = {
			sessionKey,
			sessionId: "none",
			generation: 1,
			runId: "none",
			attempt: 1,
		};
		await super.act(ticket, "rest", []);
	}
}

/** A report that names no session asks for it first: in its turn. */
export class OrderedAdmin extends Admin {
	readonly #door: OrderedDoor;

	constructor(url: string, door: OrderedDoor) {
		super(url, timeoutMs);
		this.#door = door;
	}

	override keysOf(runId: string): Promise<readonly string[]> {
		return this.#door.bounded(() => super.keysOf(runId));
	}
}
