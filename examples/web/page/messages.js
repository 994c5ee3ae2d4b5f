/** Owns what was said in one conversation, generation by generation. Whatever is told twice, or late, changes nothing twice. */
import { Turn } from "./turn.js";

const template = document.getElementById("generation");

export class Messages {
	#element;
	#generations = new Map();
	#turns = new Map();
	#current = 0;
	/** Whether the end is in view, and is to stay there. */
	#isAtEnd = true;

	/** @param {HTMLElement} element what is filled, and scrolled */
	constructor(element) {
		this.#element = element;
		element.addEventListener("scroll", () => {
			const { scrollHeight, scrollTop, clientHeight } = element;
			this.#isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
		});
		// A notice below takes room, or a narrow screen shows what it did not.
		new ResizeObserver(() => this.#grown()).observe(element);
	}

	/** The current generation, which may be a new one. */
	begin(generation) {
		const isNew = generation > this.#current;
		if (isNew) this.#current = generation;
		this.#generation(this.#current);
		for (const [number, section] of this.#generations)
			section.classList.toggle("is-over", number < this.#current);
		for (const turn of this.#turns.values())
			if (turn.generation < this.#current) turn.stopped();
		if (isNew) this.#toEnd();
		else this.#grown();
	}

	asked({ generation, runId }, text) {
		this.#turn(generation, runId).asked(text);
		this.#toEnd();
	}

	answered({ generation, runId }, text) {
		this.#turn(generation, runId).answered(text);
	}

	piece({ generation, runId }, seq, text) {
		this.#turn(generation, runId).piece(seq, text);
		this.#grown();
	}

	gap({ generation, runId }, seq) {
		this.#turn(generation, runId).gap(seq);
	}

	/** The turn, if its run has just ended; else null. */
	settled(run) {
		const turn = this.#turns.get(run.runId);
		const hasEnded = turn?.settled(run) ?? false;
		this.#grown();
		return hasEnded ? turn : null;
	}

	/** Of generations before this one, the run that a reset stopped and that has settled last; null: there is none. */
	lateRun() {
		const late = [...this.#turns.values()]
			.map(({ run }) => run)
			.filter(
				(run) =>
					run?.outcome &&
					run.stoppedBy === "reset" &&
					run.generation === this.#current - 1,
			);
		return late.at(-1) ?? null;
	}

	#turn(generation, runId) {
		const known = this.#turns.get(runId);
		if (known) return known;
		const turn = new Turn(generation);
		this.#turns.set(runId, turn);
		this.#generation(generation).querySelector(".turns").append(turn.element);
		return turn;
	}

	#generation(number) {
		const known = this.#generations.get(number);
		if (known) return known;
		const section = template.content.cloneNode(true).firstElementChild;
		section.querySelector("h3").textContent = `Generation ${number}`;
		const later = [...this.#generations]
			.filter(([other]) => other > number)
			.sort(([a], [b]) => a - b)[0];
		this.#element.insertBefore(section, later?.[1] ?? null);
		this.#generations.set(number, section);
		return section;
	}

	#grown() {
		if (this.#isAtEnd) this.#toEnd();
	}

	#toEnd() {
		this.#element.scrollTop = this.#element.scrollHeight;
	}
}
