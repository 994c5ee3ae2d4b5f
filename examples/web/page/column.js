/** Owns one conversation on the page: its row as committed, what was said, what waits, and what is typed into it. */
import { post } from "./host.js";
import { Messages } from "./messages.js";

const template = document.getElementById("column");

export class Column {
	#said;
	#version = 0;
	#announce;
	#drafted;

	/**
	 * @param {number} number of the conversation; its session key is `web:` and this
	 * @param {(text: string) => void} announce says something to who does not see it
	 */
	constructor(number, announce) {
		this.key = `web:${number}`;
		this.name = `Conversation ${number}`;
		this.status = "none";
		/** Called when the status is another. */
		this.changed = () => {};
		this.#announce = announce;
		this.element = template.content.cloneNode(true).firstElementChild;
		const heading = this.#part("h2");
		heading.textContent = this.name;
		heading.id = `conversation-${number}`;
		this.element.setAttribute("aria-labelledby", heading.id);
		const messages = this.#part(".messages");
		messages.ariaLabel = `Messages of ${this.name}`;
		// What scrolls must be within reach of who has only keys.
		messages.tabIndex = 0;
		this.#said = new Messages(messages);
		this.#said.begin(1);
		this.input = this.#part("textarea");
		this.input.ariaLabel = `Message to ${this.name}`;
		this.input.addEventListener("keydown", (event) => {
			if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
			event.preventDefault();
			this.#submit();
		});
		this.#part("form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		this.#part(".new").addEventListener("click", () => this.#command("/new"));
		this.#part(".stop").addEventListener("click", () => this.#command("/stop"));
	}

	/** The address of the console, which shows this session too; null: it is not known yet. */
	set console(url) {
		const link = this.#part(".look");
		link.hidden = url === null;
		link.ariaLabel = `${this.name} in the console`;
		link.href = `${url}#/session/${encodeURIComponent(this.key)}`;
	}

	/** All that there was when the page came. */
	conversation({ row, runs, entries, queue }) {
		for (const entry of entries) {
			const { role, content } = entry.entry;
			if (role === "user") this.#said.asked(entry, content);
			else this.#said.answered(entry, content);
		}
		for (const run of runs) this.#said.settled(run);
		this.row(row);
		this.queue(queue);
	}

	row(row) {
		if (row.version <= this.#version) return;
		this.#version = row.version;
		const { status, generation, queued, draining } = row;
		const pill = this.#part(".status");
		pill.textContent = status;
		pill.dataset.status = status;
		this.#part(".generation").textContent = `generation ${generation}`;
		tell(this.#part(".waiting"), queued > 0 && `${queued} queued`);
		tell(this.#part(".draining"), draining > 0 && `${draining} draining`);
		this.#said.begin(generation);
		this.#late();
		this.status = status;
		this.changed();
	}

	asked(ticket, text) {
		this.#said.asked(ticket, text);
	}

	piece(ticket, seq, text) {
		this.#said.piece(ticket, seq, text);
	}

	gap(ticket, seq) {
		this.#said.gap(ticket, seq);
	}

	run(run) {
		const turn = this.#said.settled(run);
		const late = this.#late();
		if (late?.runId === run.runId)
			this.#announce(`${this.name}: ${lateText(late)}`);
		else if (turn) this.#announce(`${this.name}: ${turn.answer}`);
	}

	queue(messages) {
		const list = this.#part(".queue");
		list.hidden = messages.length === 0;
		list.replaceChildren(
			...messages.map(({ text }) => {
				const item = document.createElement("li");
				const pill = document.createElement("span");
				pill.className = "pill";
				pill.textContent = "queued";
				const said = document.createElement("span");
				said.textContent = text;
				item.append(pill, said);
				return item;
			}),
		);
	}

	/** Says what became of the run before this generation, and gives it. */
	#late() {
		const run = this.#said.lateRun();
		tell(this.#part(".late"), run && lateText(run));
		return run;
	}

	#submit() {
		const text = this.input.value.trim();
		if (text === "") return;
		this.input.value = "";
		if (text.startsWith("/")) this.#command(text);
		else this.#send(text);
	}

	#command(text) {
		const { key: sessionKey } = this;
		if (text !== "/new" && text !== "/stop")
			this.#trouble(`There is no ${text}; there are /new and /stop.`);
		else
			this.#post(text, { sessionKey }).then((answer) => {
				if (text === "/stop" && answer?.result === "nothing")
					this.#trouble("Nothing runs.");
			});
	}

	async #send(text) {
		// The same text again under the same id, if the host did not answer: it may have heard it.
		if (this.#drafted?.text !== text)
			this.#drafted = { text, messageId: crypto.randomUUID() };
		const { messageId } = this.#drafted;
		const { key: sessionKey } = this;
		const answer = await this.#post("/send", { sessionKey, text, messageId });
		if (answer) this.#drafted = null;
		else this.input.value ||= text;
	}

	/** Null: it went wrong, and that was said. */
	async #post(path, body) {
		this.#trouble("");
		try {
			return await post(path, body);
		} catch ({ message }) {
			this.#trouble(message);
			return null;
		}
	}

	#trouble(text) {
		this.#part(".trouble").textContent = text;
	}

	#part(selector) {
		return this.element.querySelector(selector);
	}
}

/** @example "late error of generation 1: archived" */
function lateText({ error, generation, outcome }) {
	if (outcome === "abandoned")
		return `run of generation ${generation}: abandoned, it did not stop in time`;
	return `late ${error ? "error" : "end"} of generation ${generation}: archived`;
}

function tell(element, text) {
	element.hidden = !text;
	element.textContent = text || "";
}
