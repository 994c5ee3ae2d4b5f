/**
 * Owns the session machine in its small world: the first world, what can happen in any, and which worlds are one. Every step and every facts is
 * held to the promises once, when it is met. Never searches.
 */
import type { SessionEvent } from "../../../machines/events.ts";
import { type SessionFacts, unusedFacts } from "../../../machines/facts.ts";
import { checkAnswers, checkArrivals, checkWaysOut } from "./answers.ts";
import { Canon } from "./canonical.ts";
import { checkFence } from "./fence.ts";
import { KnownFacts } from "./known-facts.ts";
import { type Move, movesOf, type Scene } from "./moves.ts";
import { Parts } from "./parts.ts";
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
	readonly #canon: Canon;
	readonly #machine: SessionMachine;
	readonly #steps = new WeakMap<SessionFacts, Map<string, Step>>();

	constructor(machine: SessionMachine, scene: Scene) {
		this.#machine = machine;
		this.scene = scene;
		const known = new KnownFacts((facts) => {
			checkFacts(facts);
			checkAnswers(machine, facts);
			checkArrivals(machine, facts);
			checkFence(machine, facts);
			checkWaysOut(machine, facts);
		});
		this.#canon = new Canon(known, new Parts());
	}

	/** How many different facts were met. */
	get facts(): number {
		return this.#canon.facts.size;
	}

	first(): World {
		return this.settled(this.text(firstWorld(unusedFacts("k"))));
	}

	text(world: World): string {
		// Without retries nobody asks for what a run was given.
		return this.#canon.text(
			this.scene.recovery === "retry" ? world : { ...world, taken: [] },
		);
	}

	settled(text: string): World {
		return this.#canon.world(text);
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
