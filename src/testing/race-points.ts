/**
 * Owns where a script may hold something up: the points that a run comes to, and the commits of a store. It holds and lets go, and knows
 * nothing of what happens meanwhile.
 */
import type { Run } from "../runtime.ts";
import type { Batch, OpenStore, SessionStore } from "../store.ts";

/** What a run comes to by itself. */
export type RunPoint = "deliver" | "append" | "wait" | "end";

/** Where in a point: as it is about to begin, under way, or done. */
export type Side = "before" | "during" | "after";

const sides: readonly Side[] = ["before", "during", "after"];

/** A door that is shut for whoever comes until somebody opens it. */
export class Gate {
	#isOpen = false;
	readonly #opened = Promise.withResolvers<void>();
	/** Somebody stands before it, or has gone through. */
	isReached = false;

	/** Resolves when it is open. */
	pass(): Promise<void> {
		this.isReached = true;
		return this.#isOpen ? Promise.resolve() : this.#opened.promise;
	}

	open(): void {
		this.#isOpen = true;
		this.#opened.resolve();
	}
}

/** The gates of one run, in the order in which the script has them. */
export class Course {
	readonly #gates: { point: RunPoint; side: Side; gate: Gate }[];
	/** What the run has come to, for those who wait for something else. */
	readonly visited: RunPoint[] = [];

	/** What a run without an executor of its own is to do, in this order: each point once, however often it is held up there. */
	readonly asked: readonly RunPoint[];

	constructor(stops: readonly { point: RunPoint; side: Side }[]) {
		this.#gates = stops.map((stop) => ({ ...stop, gate: new Gate() }));
		const asked: RunPoint[] = [];
		let last: { point: RunPoint; side: Side } | null = null;
		for (const stop of stops) {
			const isSame =
				last?.point === stop.point &&
				sides.indexOf(last.side) < sides.indexOf(stop.side);
			if (!isSame) asked.push(stop.point);
			last = stop;
		}
		this.asked = asked;
	}

	/** The first of these gates that nobody has opened yet. */
	next(point: RunPoint, side: Side): Gate | undefined {
		return this.#gates.find(
			(stop) => stop.point === point && stop.side === side,
		)?.gate;
	}

	/** It has been waited at for the last time. */
	done(gate: Gate): void {
		gate.open();
		const at = this.#gates.findIndex((stop) => stop.gate === gate);
		if (at >= 0) this.#gates.splice(at, 1);
	}

	/** The run comes by: it waits here if the script means to hold it here next. */
	async pass(point: RunPoint, side: Side): Promise<void> {
		if (side === "before") this.visited.push(point);
		await this.next(point, side)?.pass();
	}

	openAll(): void {
		for (const { gate } of this.#gates.splice(0)) gate.open();
	}
}

/** A run that is held up at the gates of its course. */
export function onCourse<R extends Run>(run: R, course: Course): R {
	const at = async <T>(point: RunPoint, act: () => Promise<T>): Promise<T> => {
		await course.pass(point, "before");
		const result = await act();
		await course.pass(point, "after");
		return result;
	};
	const held: Partial<Run> = {
		append: (entry) => at("append", () => run.append(entry)),
		deliver: (name, effect) =>
			at("deliver", () =>
				run.deliver(name, async (context) => {
					await course.pass("deliver", "during");
					return effect(context);
				}),
			),
		waitFor: (name, options) => at("wait", () => run.waitFor(name, options)),
	};
	return new Proxy(run, {
		get: (target, name) => {
			const own = held[name as keyof Run];
			if (own) return own;
			const value = Reflect.get(target, name, target);
			return typeof value === "function" ? value.bind(target) : value;
		},
	});
}

/** A store whose next commit can be held up, or made to fail. */
export class HeldStore implements SessionStore {
	readonly #inner: SessionStore;
	#gate: Gate | null = null;
	#fault: "before" | "after" | null = null;

	constructor(inner: SessionStore) {
		this.#inner = inner;
	}

	/** The next commit waits; the gate says when one has come. */
	hold(): Gate {
		this.#gate = new Gate();
		return this.#gate;
	}

	/** Commits go on, that which waits among them. */
	release(): void {
		this.#gate?.open();
		this.#gate = null;
	}

	/** The next commit fails: before it took effect, or after. */
	fail(when: "before" | "after"): void {
		this.#fault = when;
	}

	read() {
		return this.#inner.read();
	}

	async open(owner: { readonly name: string }): Promise<OpenStore> {
		const store = await this.#inner.open(owner);
		const commit = async (batch: Batch): Promise<void> => {
			await this.#gate?.pass();
			const fault = this.#fault;
			this.#fault = null;
			if (fault === "before") throw new Error("disk I/O error");
			await store.commit(batch);
			if (fault === "after") throw new Error("connection lost");
		};
		return new Proxy(store, {
			get: (target, name) => {
				if (name === "commit") return commit;
				const value = Reflect.get(target, name, target);
				return typeof value === "function" ? value.bind(target) : value;
			},
		});
	}
}
