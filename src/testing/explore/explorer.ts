/**
 * Owns the search through all states within bounds, breadth first, each once: a world, and what of the bounds was used on the way to it. At the
 * end every world must come to rest by itself. Knows the way to each, so that what it finds comes with its shortest trace.
 */
import { Broken } from "./broken.ts";
import { Budget } from "./budget.ts";
import type { Stage } from "./stage.ts";
import { States } from "./states.ts";
import { Worlds } from "./worlds.ts";

export interface Found {
	readonly broken: Broken;
	/** Names of moves, from the first world on. */
	readonly trace: readonly string[];
}

export interface Count {
	readonly states: number;
	readonly transitions: number;
	readonly depth: number;
	/** Different worlds among the states: what differs in more than what is left of the bounds. */
	readonly worlds: number;
	/** Different facts among the worlds. */
	readonly facts: number;
	/** States that are known and not yet gone on from. */
	readonly open: number;
}

/** States between two looks. */
const stride = 512;

export class Explorer {
	readonly #stage: Stage;
	readonly #worlds: Worlds;
	readonly #states = new States();
	#transitions = 0;
	#depth = 0;
	#gone = 0;
	/** The move that is being made. */
	#making: string | null = null;

	constructor(stage: Stage) {
		this.#stage = stage;
		this.#worlds = new Worlds(stage, new Budget(stage.scene.bounds));
	}

	get count(): Count {
		return {
			states: this.#states.size,
			transitions: this.#transitions,
			depth: this.#depth,
			worlds: this.#worlds.size,
			facts: this.#stage.facts,
			open: this.#states.size - this.#gone,
		};
	}

	/** A look in between now and then. Resolves with what it found, or null if every state was gone on from or `look` said stop. */
	async run(look: (count: Count) => boolean): Promise<Found | null> {
		try {
			this.#states.meet(this.#worlds.meet(this.#stage.first()), 0, -1, -1);
			// Where the states of this depth end.
			let end = 1;
			while (this.#gone < this.#states.size) {
				if (this.#gone === end) {
					this.#depth += 1;
					end = this.#states.size;
				}
				this.#goOn(this.#gone);
				this.#gone += 1;
				if (this.#gone % stride === 1) {
					await new Promise<void>((resume) => setImmediate(resume));
					if (!look(this.count)) return null;
				}
			}
		} catch (error) {
			if (error instanceof Broken)
				return { broken: error, trace: this.#traceOf(this.#gone) };
			throw error;
		}
		look(this.count);
		return this.#restless();
	}

	/** Everything that can happen in a state. */
	#goOn(state: number): void {
		const world = this.#states.world(state);
		const used = this.#states.used(state);
		const { names, expenses } = this.#worlds.choice(world);
		for (let by = 0; by < expenses.length; by++) {
			const usedThen = (expenses[by] as (typeof expenses)[number]).on(used);
			if (usedThen < 0) continue;
			this.#transitions += 1;
			this.#making = names[by] as string;
			this.#states.meet(this.#worlds.after(world, by), usedThen, state, by);
		}
		this.#making = null;
	}

	/** Names of the moves to a state, and of the one that was being made there. */
	#traceOf(state: number): readonly string[] {
		const names: string[] = this.#making === null ? [] : [this.#making];
		for (let at = state; at > 0; at = this.#states.from(at)) {
			const from = this.#states.world(this.#states.from(at));
			const { names: choices } = this.#worlds.choice(from);
			names.unshift(choices[this.#states.by(at)] as string);
		}
		return names;
	}

	/** A world from which nothing that goes on by itself ends at rest. What a world does by itself uses nothing of the bounds. */
	#restless(): Found | null {
		const calm = new Uint8Array(this.#worlds.size);
		for (let world = 0; world < calm.length; world++) {
			const way: number[] = [];
			let at = world;
			while (at >= 0 && calm[at] === 0) {
				calm[at] = 2;
				way.push(at);
				at = this.#worlds.next(at);
			}
			if (at >= 0 && calm[at] === 2)
				return {
					broken: new Broken(
						"liveness",
						"left to itself, this session never comes to rest",
					),
					trace: this.#traceOf(this.#firstOf(world)),
				};
			for (const one of way) calm[one] = 1;
		}
		return null;
	}

	/** The state in which a world was met first. */
	#firstOf(world: number): number {
		for (let state = 0; state < this.#states.size; state++)
			if (this.#states.world(state) === world) return state;
		return 0;
	}
}
