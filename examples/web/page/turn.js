/** Owns one turn on the page: what was asked, the answer as far as it has come, and how its run ended. */

const template = document.getElementById("turn");

const stops = {
	reset: "by /new",
	abort: "by /stop",
	shutdown: "because the host closed",
};

const draining = "told to stop, and has not settled yet";

export class Turn {
	/** @param {number} generation the one that its run belongs to */
	constructor(generation) {
		this.generation = generation;
		this.element = template.content.cloneNode(true).firstElementChild;
		this.run = null;
		this.answer = "";
		/** The number of the last piece that is shown. */
		this.read = 0;
		/** The transcript has the answer: pieces of it say nothing new. */
		this.isKept = false;
		this.#part("bot").classList.add("is-streaming");
	}

	asked(text) {
		this.#part("user").querySelector(".text").textContent = text;
	}

	/** As the transcript has it. */
	answered(text) {
		this.isKept = true;
		this.#show(text);
	}

	piece(seq, text) {
		if (this.isKept || seq <= this.read) return;
		this.read = seq;
		this.#show(this.answer + text);
	}

	gap(seq) {
		if (this.isKept || seq - 1 <= this.read) return;
		this.read = seq - 1;
		this.#show(`${this.answer} … `);
	}

	/** True: its run has just ended. */
	settled(run) {
		const hasEnded = run.outcome !== null && !this.run?.outcome;
		this.run = run;
		if (run.outcome !== null || run.stoppedBy) this.#end(outcomeOf(run));
		this.#part("outcome").classList.toggle(
			"is-failed",
			run.outcome === "failed",
		);
		return hasEnded;
	}

	/** Its generation has ended: nothing more of its answer is to be expected. */
	stopped() {
		if (!this.run?.outcome) this.#end(draining);
	}

	#end(outcome) {
		this.#part("bot").classList.remove("is-streaming");
		this.#part("outcome").textContent = outcome;
		this.#part("outcome").hidden = outcome === "";
	}

	#show(answer) {
		this.answer = answer;
		this.#part("bot").querySelector(".text").textContent = answer;
		this.#part("bot").classList.toggle("has-text", answer !== "");
	}

	#part(name) {
		return this.element.querySelector(`.${name}`);
	}
}

/** @example "aborted by /new: the connection to the model was reset" */
function outcomeOf({ outcome, stoppedBy, error }) {
	if (outcome === null) return draining;
	if (outcome === "completed") return "";
	const by = stops[stoppedBy] ? ` ${stops[stoppedBy]}` : "";
	return `${outcome}${by}${error ? `: ${error}` : ""}`;
}
