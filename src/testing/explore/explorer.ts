/**
 * Owns the search through all worlds within bounds, breadth first, each once. Every step, every facts and every world is held to the promises
 * as it is met; at the end every world must come to rest by itself. Knows the way to each, so that what it finds comes with its shortest trace.
 */
import { hash } from "node:crypto";
import type { SessionEvent } from "../../../machines/events.ts";
import { type SessionFacts, unusedFacts } from "../../../machines/facts.ts";
import { checkAnswers, checkArrivals, checkWaysOut } from "./answers.ts";
import { Broken } from "./broken.ts";
import { Facts, textOf, worldOf } from "./canonical.ts";
import { checkFence } from "./fence.ts";
import { type Move, movesOf, type Scene } from "./moves.ts";
import { checkFacts, checkStep } from "./promises.ts";
import { type SessionMachine, type Step, step } from "./step.ts";
import type { Used, World } from "./world.ts";

const unused: Used = {
	runs: 0,
	resets: 0,
	deletes: 0,
	aborts: 0,
	crashes: 0,
	failedCommits: 0,
	waits: 0,
	rotations: 0,
	expiries: 0,
	timeouts: 0,
	heldUp: 0,
	closes: 0,
	postponed: 0,
};

/** Of a key that nobody has used, in a process that has just opened. */
function firstWorld(facts: SessionFacts): World {
	return {
		used: unused,
		process: "up",
		committed: facts,
		pending: [],
		live: [],
		kept: [],
		taken: [],
		hooks: [],
	};
}

/** The machine in its world: what can happen next, with every step and every facts checked once. */
export class Stage {
	readonly scene: Scene;
	readonly facts: Facts;
	readonly #machine: SessionMachine;
	readonly #steps = new WeakMap<SessionFacts, Map<string, Step>>();

	constructor(machine: SessionMachine, scene: Scene) {
		this.#machine = machine;
		this.scene = scene;
		this.facts = new Facts((facts) => {
			checkFacts(facts);
			checkAnswers(machine, facts);
			checkArrivals(machine, facts);
			checkFence(machine, facts);
			checkWaysOut(machine, facts);
		});
	}

	first(): World {
		return this.settled(textOf(this.facts, firstWorld(unusedFacts("k"))));
	}

	text(world: World): string {
		// Without retries nobody asks for what a run was given.
		return textOf(
			this.facts,
			this.scene.recovery === "retry" ? world : { ...world, taken: [] },
		);
	}

	settled(text: string): World {
		return worldOf(this.facts, text);
	}

	moves(world: World): Move[] {
		return movesOf(this.scene, world, (facts, event) =>
			this.#take(facts, event),
		);
	}

	#take(facts: SessionFacts, event: SessionEvent): Step {
		let known = this.#steps.get(facts);
		if (!known) {
			known = new Map();
			this.#steps.set(facts, known);
		}
		const text = JSON.stringify(event);
		let taken = known.get(text);
		if (!taken) {
			taken = step(this.#machine, facts, { ...event, version: facts.version });
			checkStep(taken);
			known.set(text, taken);
		}
		return taken;
	}
}

export interface Found {
	readonly broken: Broken;
	/** Names of moves, from the first world on. */
	readonly trace: readonly string[];
}

export interface Count {
	readonly states: number;
	readonly transitions: number;
	readonly depth: number;
	/** Different facts among the states. */
	readonly facts: number;
	/** States that are known and not yet gone on from. */
	readonly open: number;
}

export class Explorer {
	readonly #stage: Stage;
	readonly #index = new Map<string, number>();
	/** By state: where it was met first, and by which of the moves there. */
	readonly #from: number[] = [-1];
	readonly #by: number[] = [-1];
	/** By state: the state that it comes to by itself; -1: it is at rest. */
	readonly #next: number[] = [];
	#transitions = 0;
	#depth = 0;
	#open: { readonly index: number; readonly world: World }[] = [];

	constructor(stage: Stage) {
		this.#stage = stage;
	}

	get count(): Count {
		return {
			states: this.#index.size,
			transitions: this.#transitions,
			depth: this.#depth,
			facts: this.#stage.facts.size,
			open: this.#open.length,
		};
	}

	/** Level by level, a look in between now and then. Resolves with what it found, or null if every state was gone on from or `look` said stop. */
	async run(look: (count: Count) => boolean): Promise<Found | null> {
		let first: World;
		try {
			first = this.#stage.first();
		} catch (error) {
			if (error instanceof Broken) return { broken: error, trace: [] };
			throw error;
		}
		this.#meet(this.#stage.text(first), -1, -1);
		let level = [{ index: 0, world: first }];
		while (level.length > 0) {
			const next: typeof level = [];
			this.#open = next;
			for (const [at, { index, world }] of level.entries()) {
				try {
					this.#expand(index, world, next);
				} catch (error) {
					if (error instanceof Broken)
						return { broken: error, trace: this.#traceOf(index) };
					throw error;
				}
				if (at % 512 === 0) {
					await new Promise<void>((resume) => setImmediate(resume));
					if (!look(this.count)) return null;
				}
			}
			level = next;
			if (next.length > 0) this.#depth += 1;
		}
		look(this.count);
		return this.#restless();
	}

	#failing: string | null = null;

	#expand(
		index: number,
		world: World,
		next: { index: number; world: World }[],
	): void {
		let rest = -1;
		let restsBy = Number.POSITIVE_INFINITY;
		for (const [by, { name, settles, to }] of this.#stage
			.moves(world)
			.entries()) {
			this.#transitions += 1;
			this.#failing = name;
			const text = this.#stage.text(to());
			const [reached, isNew] = this.#meet(text, index, by);
			if (isNew)
				next.push({ index: reached, world: this.#stage.settled(text) });
			if (settles !== null && settles < restsBy) {
				restsBy = settles;
				rest = reached;
			}
		}
		this.#failing = null;
		this.#next[index] = rest;
	}

	/** 128 bits stand for a state: two of ten million are taken for one with a chance of one in 10^24. */
	#meet(text: string, from: number, by: number): [number, boolean] {
		const id = hash("md5", text, "binary");
		const known = this.#index.get(id);
		if (known !== undefined) return [known, false];
		const index = this.#index.size;
		this.#index.set(id, index);
		this.#from[index] = from;
		this.#by[index] = by;
		return [index, true];
	}

	/** Names of the moves to a state, and of the one that was being made there. */
	#traceOf(index: number): readonly string[] {
		const path: number[] = [];
		for (let at = index; at > 0; at = this.#from[at] as number)
			path.unshift(this.#by[at] as number);
		let world = this.#stage.first();
		const names = path.map((by) => {
			const move = this.#stage.moves(world)[by] as Move;
			world = this.#stage.settled(this.#stage.text(move.to()));
			return move.name;
		});
		return this.#failing === null ? names : [...names, this.#failing];
	}

	/** A state from which nothing that goes on by itself ends at rest. */
	#restless(): Found | null {
		const calm = new Uint8Array(this.#index.size);
		for (let index = 0; index < calm.length; index++) {
			const way: number[] = [];
			let at = index;
			while (at >= 0 && calm[at] === 0) {
				calm[at] = 2;
				way.push(at);
				at = this.#next[at] as number;
			}
			if (at >= 0 && calm[at] === 2)
				return {
					broken: new Broken(
						"liveness",
						"left to itself, this session never comes to rest",
					),
					trace: this.#traceOf(index),
				};
			for (const one of way) calm[one] = 1;
		}
		return null;
	}
}
