/**
 * Owns the session machine in its small world: the first world, what can happen in any, and which worlds are one. Every step and every facts is
 * held to the promises once, when it is met. Never searches.
 */
import type { SessionEvent } from "../../../machines/events.ts";
import { type SessionFacts, unusedFacts } from "../../../machines/facts.ts";
import { checkAnswers, checkArrivals, checkWaysOut } from "./answers.ts";
import { Facts, textOf, worldOf } from "./canonical.ts";
import { checkFence } from "./fence.ts";
import { type Move, movesOf, type Scene } from "./moves.ts";
import { checkFacts, checkStep } from "./promises.ts";
import { type SessionMachine, type Step, step } from "./step.ts";
import type { World } from "./world.ts";

/** Of a key that nobody has used, in a process that has just opened. */
function firstWorld(facts: SessionFacts): World {
	return {
		process: "up",
		committed: facts,
		pending: [],
		live: [],
		kept: [],
		taken: [],
		hooks: [],
	};
}

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
		return this.settled(this.text(firstWorld(unusedFacts("k"))));
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
